"""Files that `run` plays: Python, Markdown and notebooks, as cells of text with the line each begins on."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tensorcli.commands import submit
from tensorcli.report import Diagnosis

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.show import Screen

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})\s*([\w+-]*)")
_LANGUAGES = {"python", "py", "python3", "pycon", "ipython", "ipython3"}


@dataclass(frozen=True)
class Cell:
    """A stretch of code that is run as one input: where it stands, and which of its expressions answer."""

    text: str
    filename: str
    first_line: int
    echo: Literal["last", "all"]


def read(name: str) -> list[Cell] | Diagnosis:
    """The cells of a file ("-" is stdin), or what is wrong with it."""
    try:
        data = _stdin() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        return Diagnosis(code="no-file", category="value", title=f"{name} cannot be read: {error.strerror}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        shown = "stdin" if name == "-" else name
        title = f"{shown} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}; save it as UTF-8"
        return Diagnosis(code="not-utf8", category="value", title=title)
    return cells(text, name)


def _stdin() -> bytes:
    return sys.stdin.buffer.read() if sys.stdin else b""  # a process may be started without one


def cells(text: str, name: str) -> list[Cell] | Diagnosis:
    """The cells of a text, by its file's ending: .md, .ipynb, or Python."""
    shown = "stdin" if name == "-" else Path(name).name
    match Path(name).suffix.lower():
        case ".md" | ".markdown":
            return _markdown(text, shown)
        case ".ipynb":
            return _notebook(text, shown)
    return [Cell(text, shown, 1, "all")]


def _markdown(text: str, name: str) -> list[Cell]:
    """The Python fences, in order."""
    found: list[Cell] = []
    fence, indent, wanted, first, body = "", 0, False, 0, list[str]()
    echo: Literal["last", "all"] = "last"
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[2].startswith(fence) and not line.strip(" `~"):
                if wanted:
                    found.append(Cell("\n".join(body), name, first, echo))
                fence = ""
            else:
                body.append(line[min(indent, len(line) - len(line.lstrip())) :])
        elif mark:
            fence, indent, wanted = mark[2], len(mark[1]), mark[3].lower() in _LANGUAGES
            echo = "all" if mark[3].lower() == "pycon" else "last"  # each >>> was typed by itself
            first, body = number + 1, []
    if fence and wanted:  # one that is never closed goes on to the end
        found.append(Cell("\n".join(body), name, first, echo))
    return found


def _notebook(text: str, name: str) -> list[Cell] | Diagnosis:
    """The code cells, in order; lines count within each cell."""
    try:
        found: list[dict[str, Any]] = json.loads(text)["cells"]
        sources = [cell["source"] for cell in found if cell["cell_type"] == "code"]
        texts = ["".join(source) if isinstance(source, list) else str(source) for source in sources]
    except (ValueError, RecursionError):
        return Diagnosis(code="no-notebook", category="value", title=f"{name} is not a notebook: it is not JSON")
    except (KeyError, TypeError):
        return Diagnosis(code="no-notebook", category="value", title=f"{name} is not a notebook: it has no cells")
    return [Cell(text, f"{name} cell {number}", 1, "last") for number, text in enumerate(texts, 1)]


def play(found: list[Cell], engine: "Client", screen: "Screen", *, keep_going: bool, max_values: int = 1000) -> int:
    """Run the cells as one session, stop at the first diagnosis unless `keep_going`; the exit code."""
    history: list[str] = []
    for cell in found:
        problem = submit(
            cell.text,
            engine.ask,
            screen.show,
            echo=cell.echo,
            filename=cell.filename,
            first_line=cell.first_line,
            width=screen.width,
            max_values=max_values,
            history=history,
            keep_going=keep_going,
        )
        history.append(cell.text)
        if problem and (problem.category == "interrupted" or not keep_going):
            break
    return screen.exit_code
