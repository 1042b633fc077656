"""Plays Markdown pages: runs the commands and inputs in their fences and compares the answers that stand below them.

- `console`: `$ tensorcli ...` lines, each followed by all it printed, and `[exit 1]` where its status was not 0.
- `pycon`: `>>> ` and `... ` lines, each input followed by its answer as the REPL shows it; one session per page.
- `sh`: commands without answers. Those of tensorcli are run and must be known; set-up commands must name real files.

In an answer `[..]` stands for anything within a line, and `...` alone on a line for any number of lines. What differs
from run to run is never compared: how long something took, how fast it was, which build of torch it is (2.13.0+cpu).
"""

import difflib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tensorcli.client import Pipe
from tensorcli.inputs import submit
from tensorcli.past import Past
from tensorcli.pieces import is_complete
from tensorcli.report import AnyReport, Timing
from tensorcli.show import Screen

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 80
Answer = Callable[[str], list[str]]

_FENCE = re.compile(r"(`{3,}|~{3,})\s*([\w+-]*)")
_PROMPT = {"console": "$ ", "pycon": ">>> "}


def _measured(line: re.Match[str]) -> str:
    """A line of a benchmark's table or of its limits, without its numbers, verdicts and bars, nor columns' widths."""
    text = re.sub(r"~|█(?: = \d+ x)?|in cache| call  |[\d.]+ %  | \(down to [^)]*\)", "", line[0])
    return " ".join(re.sub(r"\d[\d.,]*(?:e-\d+)?(?: (?:ns|us|ms|s|min|h)\b)?", "#", text).split())


_VARYING = (
    (re.compile(r"^.*(?: \.\. |95 % interval|x faster|x slower| extrapolated |GFLOP/s|relative error).*$"), _measured),
    # a time, and the blanks before it that line it up, as they do the head of its column
    (re.compile(r" *\b\d[\d.,]* (?:ns|us|ms|s)\b| +time\b"), " time"),
    (re.compile(r'seconds":[\d.e+-]+'), 'seconds":0'),
    (re.compile(r"\b(\d+\.\d+\.\d+)\+\w+"), r"\1"),
)


@dataclass(frozen=True)
class Example:
    """A command or an input on a page. Its answer is the page's lines from `begin` up to `end`, counted from 0."""

    kind: str
    source: str
    begin: int
    end: int
    expected: list[str]


@dataclass(frozen=True)
class Mismatch:
    """An example whose answer is another than the page says."""

    example: Example
    actual: list[str]

    def __str__(self) -> str:
        lines = difflib.unified_diff(self.example.expected, self.actual, "the page", "now", lineterm="")
        return f"line {self.example.begin}: {self.example.source}\n" + "\n".join(lines)


# Reading a page.


def examples(page: str) -> list[Example]:
    """The examples on a page, in order."""
    return [example for kind, first, lines in _fences(page) for example in _examples(kind, first, lines)]


def _fences(page: str) -> Iterator[tuple[str, int, list[str]]]:
    """Each fence's word, the number of its first line inside, and its lines."""
    lines, opened = page.split("\n"), None
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if opened is None and mark:
            opened = mark[1], mark[2], number + 1
        elif opened and mark and mark[1].startswith(opened[0]) and not mark[2]:
            yield opened[1], opened[2], lines[opened[2] : number]
            opened = None


def _examples(kind: str, first: int, lines: list[str]) -> Iterator[Example]:
    if kind == "sh":
        for number, line in enumerate(lines, first + 1):
            if line.strip() and not line.startswith("#"):
                yield Example(kind, line, number, number, [])
    if kind not in _PROMPT:
        return
    prompt = _PROMPT[kind]
    starts = [number for number, line in enumerate(lines) if f"{line} ".startswith(prompt)]
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        source, begin = lines[start].removeprefix(prompt), start + 1
        if kind == "pycon":  # `...` after what is complete is no prompt: it stands for lines of the answer
            while begin < stop and f"{lines[begin]} ".startswith("... ") and not is_complete(source):
                source += "\n" + lines[begin][4:]
                begin += 1
        end = stop
        while end > begin and not lines[end - 1].strip():
            end -= 1
        yield Example(kind, source, first + begin, first + end, lines[begin:end])


# Playing it.


def play(page: str, answers: dict[str, Answer]) -> list[Mismatch]:
    """Run every example whose kind has an answer, in order, and give those that the page has wrong."""
    found = []
    for example in examples(page):
        if example.kind in answers:
            actual = [line.rstrip() for line in answers[example.kind](example.source)]
            while actual and not actual[-1]:
                actual.pop()
            if not matches(example.expected, actual):
                found.append(Mismatch(example, actual))
    return found


def matches(expected: list[str], actual: list[str]) -> bool:
    """Whether an answer is what the page says, elisions apart."""
    pattern = "".join("(?:.*\n)*?" if line.rstrip() == "..." else _line_pattern(line) for line in expected)
    return re.fullmatch(pattern, "".join(_comparable(line) for line in actual)) is not None


def _line_pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in _comparable(line).split("[..]"))


def _comparable(line: str) -> str:
    for pattern, instead in _VARYING:
        line = pattern.sub(instead, line)
    return line.rstrip() + "\n"


def updated(page: str, mismatches: list[Mismatch]) -> str:
    """The page with its wrong answers replaced, keeping the elisions that still match."""
    lines = page.split("\n")
    for wrong in reversed(mismatches):
        lines[wrong.example.begin : wrong.example.end] = _elided(wrong.example.expected, wrong.actual)
    return "\n".join(lines)


def _elided(expected: list[str], actual: list[str]) -> list[str]:
    """`actual` with the elisions of `expected`: a line's where it matches, `...` where both its neighbours do."""
    answer, rest = list[str](), actual
    for index, line in enumerate(expected):
        if line == "...":
            following = expected[index + 1 : index + 2]
            kept = not index or (answer and answer[-1] == expected[index - 1])
            stop = _position(following[0], rest) if following else len(rest)
            if kept and stop is not None:
                answer, rest = [*answer, line], rest[stop:]
        elif (stop := _position(line, rest)) is not None:
            answer, rest = [*answer, *rest[:stop], line], rest[stop + 1 :]
    return answer + rest


def _position(line: str, actual: list[str]) -> int | None:
    pattern = re.compile(_line_pattern(line))
    return next((index for index, other in enumerate(actual) if pattern.fullmatch(_comparable(other))), None)


# Where the answers come from.


@contextmanager
def playground(folder: Path) -> Iterator[dict[str, Answer]]:
    """Answers from tensorcli itself, in an empty folder that has a copy of docs/ in it."""
    environment = _environment(folder)
    before = dict(os.environ)
    os.environ.update(environment)  # the engine inherits it
    client = Pipe(seed=0)
    try:
        yield {
            "console": lambda command: _printed(command, folder),
            "pycon": _repl(client),
            "sh": lambda command: _known(command, folder),
        }
    finally:
        client.close()
        os.environ.clear()
        os.environ.update(before)


def _environment(folder: Path) -> dict[str, str]:
    """What makes every machine answer alike: no GPU, one thread, 80 columns, no colours, nobody's home."""
    programs = folder / "programs"
    programs.mkdir()
    shutil.copytree(ROOT / "docs", folder / "docs")
    if os.name == "nt":
        (programs / "tensorcli.cmd").write_text(f'@"{sys.executable}" -P -m tensorcli %*\n')
    else:
        script = programs / "tensorcli"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m tensorcli "$@"\n')
        script.chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": str(WIDTH),
        "NO_COLOR": "1",
        "TERM": "dumb",
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }


def _repl(client: Pipe) -> Answer:
    history = Past()

    def answer(text: str) -> list[str]:
        shown = io.StringIO()
        screen = Screen(color=False, width=WIDTH, stdout=shown, stderr=shown)

        def show(report: AnyReport) -> None:
            # How long a statement took is another number each time, and a Timing is there for that number.
            screen.show(report if isinstance(report, Timing) else msgspec.structs.replace(report, seconds=None))

        submit(text, client.ask, show, width=WIDTH, history=history, start=client.start, number=client.next_input())
        screen.end_line()
        return shown.getvalue().splitlines()

    return answer


def _run(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


def _printed(command: str, folder: Path) -> list[str]:
    """All that a command prints, and its exit status where that is not 0."""
    done = _run(command, folder)
    return done.stdout.splitlines() + ([f"[exit {done.returncode}]"] if done.returncode else [])


def _known(command: str, folder: Path) -> list[str]:
    """Nothing where a command for people to type is one that works: it may report a failure, as tensorcli's 1 does."""
    named = re.findall(r"\b(?:scripts|docs)/[\w./-]+", command)
    missing = [f"no {path}" for path in named if not (ROOT / path).exists()]
    if missing or not re.match(r"(?:.*\|\s*)?tensorcli\b", command):
        return missing
    done = _run(command, folder)
    return [] if done.returncode in (0, 1) and "Traceback" not in done.stdout else done.stdout.splitlines()
