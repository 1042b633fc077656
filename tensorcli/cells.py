"""Python, Markdown and notebooks as cells of text, with the line each begins on."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tensorcli import marked, markup
from tensorcli.report import Diagnosis

MOST_NBYTES = 1 << 28  # of a file: notebooks hold pictures too


@dataclass(frozen=True)
class Cell:
    """A stretch of code that is run as one input: where it stands, and which of its expressions answer."""

    text: str
    filename: str | None
    first_line: int
    echo: Literal["last", "all"]


def read(name: str) -> list[Cell] | Diagnosis:
    """The cells of a file ("-" is stdin), or what is wrong with it."""
    try:
        data = _stdin() if name == "-" else _start_of(Path(name))
    except OSError as error:
        return Diagnosis(code="no-file", category="value", title=f"{name} cannot be read: {error.strerror}")
    shown = "stdin" if name == "-" else name
    if len(data) > MOST_NBYTES:
        title = f"{shown} has more than {MOST_NBYTES >> 20} MiB: that is not code"
        return Diagnosis(code="too-large", category="value", title=title)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        title = f"{shown} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}; save it as UTF-8"
        return Diagnosis(code="not-utf8", category="value", title=title)
    return cells(text, name)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:  # a device may have no end
        return file.read(MOST_NBYTES + 1)


def _stdin() -> bytes:
    return sys.stdin.buffer.read(MOST_NBYTES + 1) if sys.stdin else b""  # a process may be started without one


def cells(text: str, name: str) -> list[Cell] | Diagnosis:
    """The cells of a text, by its file's ending: .md, .ipynb, or Python."""
    shown = "stdin" if name == "-" else Path(name).name
    match Path(name).suffix.lower():
        case ".md" | ".markdown":
            return _markdown(text, shown)
        case ".ipynb":
            return _notebook(text, shown)
    return [Cell(marked.as_commands(text), shown, 1, "all")]


def _markdown(text: str, name: str) -> list[Cell]:
    """The Python fences, in order."""
    return [
        Cell(fence.text, name, fence.line, "all" if fence.language == "pycon" else "last")  # each >>> typed by itself
        for fence in markup.fences(text)
        if fence.is_python
    ]


def _notebook(text: str, name: str) -> list[Cell] | Diagnosis:
    """The code cells, in order; lines count within each cell."""
    try:
        texts = markup.notebook(text)
    except ValueError:
        return Diagnosis(code="no-notebook", category="value", title=f"{name} is not a notebook: it is not JSON")
    except KeyError:
        return Diagnosis(code="no-notebook", category="value", title=f"{name} is not a notebook: it has no cells")
    return [Cell(marked.as_commands(text), f"{name} cell {number}", 1, "last") for number, text in enumerate(texts, 1)]
