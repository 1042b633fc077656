"""How often a dry run says what the real run gives: the shape, dtype and device of every tensor, or the failure.

    scripts/dryrun [--misses]

Over the oracle's expressions (tests/test_oracle.py) and the mistakes with what was meant in their place
(tests/mistakes). Prints how many agree, how many a dry run cannot say without values, and how many disagree.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from mistakes import FOLDER, mistakes  # noqa: E402

from tensorcli import report  # noqa: E402
from tensorcli.engine import pretend  # noqa: E402
from tensorcli.engine.session import Session  # noqa: E402


@dataclass(frozen=True)
class Case:
    """One text, what it gives and what a dry run says that it gives."""

    setup: str
    text: str
    real: object
    dry: object
    doubtful: bool = False  # whether the dry run says that it fails for some values

    @property
    def depends(self) -> bool:
        """Whether the dry run says that it depends on values."""
        return self.dry == "depends-on-values" or (self.doubtful and isinstance(self.real, str))

    @property
    def agrees(self) -> bool:
        """Whether the two are the same."""
        return self.real == self.dry


def case(session: Session, setup: str, text: str) -> Case:
    """Ask for both, the dry run first: the real one may change the session."""
    dry = _last(session, report.Inspect(text=text, dry_run=True))
    real = _last(session, report.Inspect(text=text))
    return Case(setup, text, _said(real), _said(dry), doubtful="fails for some values" in str(dry))


def _last(session: Session, request: report.Inspect) -> report.Trace | report.Diagnosis:
    answers: list[report.AnyReport] = []
    session.ask(request, answers.append)
    return [answer for answer in answers if isinstance(answer, report.Trace | report.Diagnosis)][-1]


def _said(last: report.Trace | report.Diagnosis) -> object:
    return facts(last.root.result) if isinstance(last, report.Trace) else last.code


def facts(result: report.Tensor | report.Value) -> object:
    """What the two must agree in."""
    if isinstance(result, report.Tensor):
        return result.shape, result.dtype, result.device, result.layout, result.requires_grad
    if result.items is not None:
        return result.type, [facts(item) for item in result.items]
    return result.type, result.shape, result.dtype


def oracle(every: int = 1) -> Iterator[Case]:
    """The expressions of the oracle, or one of so many."""
    from test_oracle import EXPRESSIONS, SETUP

    session = Session(seed=0)
    session.ask(report.Evaluate(text=SETUP), lambda _: None)
    for text in EXPRESSIONS[::every]:
        yield case(session, "", text)


def failing(every: int = 1) -> Iterator[Case]:
    """The mistakes with what was meant in their place, or one of so many."""
    for file in sorted(FOLDER.glob("*.toml")):
        for mistake in mistakes(file)[::every]:
            if mistake.get("pretend"):
                pretend.start()
            try:
                for text in (mistake["failing"], mistake["intended"]):
                    if text:
                        session = Session(seed=0)
                        session.ask(report.Evaluate(text=mistake["setup"]), lambda _: None)
                        yield case(session, mistake["setup"], text)
            finally:
                if mistake.get("pretend"):
                    pretend.stop()


def main() -> None:
    """Print the agreement; with --misses each disagreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    for name, cases in (("oracle", list(oracle())), ("mistakes", list(failing()))):
        agree, depend = sum(c.agrees for c in cases), sum(c.depends and not c.agrees for c in cases)
        rest = len(cases) - agree - depend
        print(f"{name}: {len(cases)} texts, {agree} agree, {depend} depend on values, {rest} do not")
        for c in cases if options.misses else ():
            if not c.agrees and not c.depends:
                print(f"  {c.text!r} after {c.setup!r}: {c.real} in fact, {c.dry} in a dry run")


if __name__ == "__main__":
    main()
