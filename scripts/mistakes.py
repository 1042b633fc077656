"""How well mistakes are explained: the share of tests/mistakes whose first suggestions are what was meant.

    scripts/mistakes [FILE.toml ...] [--misses] [--keep]

Prints, per file and in all: top-1 (the first suggestion equals the intended statement, or gives the same result),
top-3 (one of those shown does), the exact span, and the expected code.
"""

import argparse
import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tensorcli import report
from tensorcli.engine import pretend
from tensorcli.engine.session import Session

FOLDER = Path(__file__).parents[1] / "tests" / "mistakes"
RESULTS = FOLDER / "RESULTS.md"
SEED = 0


@dataclass(frozen=True)
class Outcome:
    """How one mistake was answered."""

    mistake: dict[str, Any]
    diagnosis: report.Diagnosis | None
    first: bool = False
    shown: bool = False
    span: bool = False
    code: bool = False


def mistakes(file: Path) -> list[dict[str, Any]]:
    """The mistakes of one file."""
    found: list[dict[str, Any]] = tomllib.loads(file.read_text())["mistake"]
    return found


def outcome(mistake: dict[str, Any]) -> Outcome:
    """Make the mistake in a fresh session, and judge what is said of it."""
    if mistake.get("pretend"):
        pretend.start()
    try:
        diagnosis = _diagnosis(mistake)
        if diagnosis is None:
            return Outcome(mistake, None)
        good = [equivalent(mistake, suggestion.source) for suggestion in diagnosis.suggestions]
    finally:
        if mistake.get("pretend"):
            pretend.stop()
    span = diagnosis.span is not None and _is_span(_plain(diagnosis.span.text), _plain(mistake["span"]))
    nothing_meant = not mistake["intended"] and not diagnosis.suggestions
    return Outcome(
        mistake,
        diagnosis,
        first=nothing_meant or bool(good[:1] and good[0]),
        shown=nothing_meant or any(good),
        span=span,
        code=mistake.get("code") in (None, diagnosis.code),
    )


def _is_span(found: str, expected: str) -> bool:
    """Whether it is the expected one; of an assignment to a part of a tensor Python marks the part."""
    return found == expected or expected.startswith(f"{found}=")


def _plain(text: str) -> str:
    return "".join(text.split())


def _session(setup: str) -> Session:
    session = Session(seed=SEED)
    said: list[report.AnyReport] = []
    if setup.strip():
        session.ask(report.Evaluate(text=setup), said.append)
    problems = [answer for answer in said if isinstance(answer, report.Diagnosis)]
    if problems:
        raise ValueError(f"the setup fails: {setup!r}: {problems[0].title}")
    return session


def _diagnosis(mistake: dict[str, Any]) -> report.Diagnosis | None:
    said: list[report.AnyReport] = []
    _session(mistake["setup"]).ask(report.Evaluate(text=mistake["failing"]), said.append)
    return next((answer for answer in said if isinstance(answer, report.Diagnosis)), None)


def equivalent(mistake: dict[str, Any], source: str) -> bool:
    """Whether a suggestion is the intended text, or leaves the same values."""
    intended = mistake["intended"]
    if not intended:
        return False
    try:
        if ast.dump(ast.parse(intended)) == ast.dump(ast.parse(source)):
            return True
    except SyntaxError:
        return False
    meant, given = _values(mistake["setup"], intended), _values(mistake["setup"], source)
    return meant is not None and given is not None and all(_same(meant[key], given.get(key)) for key in meant)


def _values(setup: str, text: str) -> Any:
    """What a text gives after the setup: its last value, the variables it binds or changes, and their gradients."""
    session = _session(setup)
    before = dict(session.names)
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=text), said.append)
    if any(isinstance(answer, report.Diagnosis) for answer in said):
        return None
    found = {"_": session.names.get("_") if "_" in session.names else None}
    for name, value in session.names.items():
        if name[0] != "_" and name != "Out" and _comparable(value):
            if before.get(name) is not value or isinstance(value, torch.Tensor):
                found[name] = value
            if isinstance(value, torch.Tensor) and value.is_leaf and value.grad is not None:
                found[f"{name}.grad"] = value.grad
    return found


def _comparable(value: Any) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray | int | float | bool | str | tuple | list)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.layout is not torch.strided or b.layout is not torch.strided:
            return a.layout == b.layout and _same(a.to_dense(), b.to_dense())
        if a.shape != b.shape or a.dtype != b.dtype or str(a.device) != str(b.device):
            return False
        return bool(torch.allclose(a.cpu().double(), b.cpu().double(), equal_nan=True)) if not a.is_complex() else True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, torch.nn.Module):
        return isinstance(b, torch.nn.Module) and repr(a) == repr(b)
    try:
        return type(a) is type(b) and (a is None or bool(a == b))
    except Exception:
        return False


def table(found: list[tuple[str, list[Outcome]]]) -> str:
    """The shares for each file and for all, as Markdown."""
    everything = [answer for _, answers in found for answer in answers]
    operators = {answer.mistake["operator"] for answer in everything}
    lines = [
        "How often the first suggestion, or one of those shown, is what was meant; printed by `scripts/mistakes`.",
        "",
        "| | mistakes | top-1 | top-3 | span | code |",
        "|---|---|---|---|---|---|",
        *(_row(name, answers) for name, answers in found),
        _row("all", everything),
        "",
        f"{len(everything)} mistakes over {len(operators)} operators.",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, found: list[Outcome]) -> str:
    shares = [sum(getattr(o, key) for o in found) / max(len(found), 1) for key in ("first", "shown", "span", "code")]
    return f"| {name} | {len(found)} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |"


def main() -> None:
    """Print the table; with --misses what was not right, with --keep write it to tests/mistakes/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    files = options.files or sorted(FOLDER.glob("*.toml"))
    found = [(file.stem, [outcome(mistake) for mistake in mistakes(file)]) for file in files]
    for name, answers in found if options.misses else ():
        print(_row(name, answers))
        for answer in answers:
            _print_miss(answer)
    print(table(found))
    print(f"torch {torch.__version__}")
    if options.keep:
        RESULTS.write_text(table(found))


def _print_miss(answer: Outcome) -> None:
    wrong = [key for key in ("first", "shown", "span", "code") if not getattr(answer, key)]
    if not wrong:
        return
    mistake, diagnosis = answer.mistake, answer.diagnosis
    print(f"  -- {', '.join(wrong)}: {mistake['failing']!r}   after {mistake['setup']!r}")
    print(f"     meant {mistake['intended']!r} {mistake.get('code')} span {mistake['span']!r}")
    if diagnosis is None:
        print("     nothing failed")
        return
    print(f"     said  {diagnosis.code}: {diagnosis.title} | span {diagnosis.span and diagnosis.span.text!r}")
    print(f"     torch {(diagnosis.torch or '')[:200]!r}")
    for suggestion in diagnosis.suggestions:
        print(f"       try {suggestion.source!r} {suggestion.result.shape} {suggestion.result.dtype}")


if __name__ == "__main__":
    main()
