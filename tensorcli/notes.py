"""A session's inputs as a script, a notebook or Markdown, to be run again elsewhere (`%save`)."""

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorcli import __version__, atomic, journal, marked
from tensorcli.past import Input, Part
from tensorcli.report import (
    AnyRequest,
    Configure,
    Diagnosis,
    Document,
    Draw,
    Evaluate,
    Explain,
    ListDevices,
    ListNames,
    Load,
    Notice,
    Reset,
    Save,
    TimeIt,
    Undo,
)

KINDS = (".py", ".ipynb", ".md", ".markdown")
LOOKING_UP = (Document, Explain, ListDevices, ListNames)  # which no notes need
MayChange = Callable[[str], bool]

_IMPORTS = {  # the names that are there from the start, in the order in which they are imported
    "math": "import math",
    "np": "import numpy as np",
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
    "nn": "from torch import nn",
}
_RANDOM = "_random"  # so that its seed goes by a name that nobody types


def save(
    path: Path,
    chosen: Sequence[Input],
    history: Sequence[Input],
    start: Configure,
    *,
    force: bool,
    may_change: MayChange,
) -> Notice | Diagnosis:
    """Write inputs to a file, and say which did not work and how they stand there."""
    markdown = path.suffix.lower() in (".md", ".markdown")
    writer = Writer(start, may_change, commands=markdown, names=_names(chosen))
    wanted = {id(each) for each in chosen}
    cells = [writer.cell(each, wanted=id(each) in wanted) for each in history]
    if not any(cells):
        title = "nothing has been typed that could be saved"
        return Diagnosis(code="cannot-save", category="value", title=title)
    write = _markdown if markdown else _notebook if path.suffix.lower() == ".ipynb" else _script
    text = write(writer.before(), list(filter(None, cells)), path)
    try:
        if path.exists() and not force:
            title = f"{path.name} is there already: %save -f {path.name} writes over it"
            return Diagnosis(code="cannot-save", category="value", title=title)
        atomic.write(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        title = f"{path.name} cannot be written: {error.strerror or error}"
        return Diagnosis(code="not-written", category="value", title=title)

    def those(what: Callable[[Part], bool]) -> str:
        return ", ".join(str(each.number) for each in chosen if any(what(p) for p in each.parts if not p.undone))

    failed = those(lambda part: bool(part.problem and part.request))
    timed = those(lambda part: isinstance(part.request, TimeIt) and not part.problem and may_change(part.request.text))
    return Notice(text="\n".join(_told(path, sum(map(bool, cells)), failed, timed)))


def _told(path: Path, count: int, failed: str, timed: str) -> Iterator[str]:
    yield f"{path.name} holds {count:,} input{'s' if count > 1 else ''}"
    if failed:
        yield f"what failed is a comment, or in a try where it may have changed something: {failed}"
    if timed:
        yield f"what %timeit changed, such as random numbers, is not in it: {timed}"


def _names(inputs: Iterable[Input]) -> set[str]:
    """The names that are looked up in inputs, and _RANDOM where they import Python's generator."""
    found: set[str] = set()
    for text in (_code_of(part.request) for each in inputs for part in each.parts):
        with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
            for node in ast.walk(ast.parse(text or "")):
                match node:
                    case ast.Name(id=name, ctx=ast.Load()):
                        found.add(name)
                    case ast.Import(names=imported) if any(each.name == "random" for each in imported):
                        found.add(_RANDOM)
                    case ast.ImportFrom(module="random"):
                        found.add(_RANDOM)
    return found


def _code_of(request: AnyRequest | None) -> str | None:
    """The statements that a request runs once; None where it runs none, or nobody knows how often."""
    again = journal.effect(request) if request is not None and not isinstance(request, TimeIt) else None
    return again.text if isinstance(again, Evaluate) else None


@dataclass
class Writer:
    """Turns inputs into code, in the order in which they were typed: plain Python, or with `commands` our own."""

    start: Configure
    may_change: MayChange
    commands: bool
    names: set[str]
    imports: list[str] = field(default_factory=list)
    seed: int = 0
    number: int = 0  # of the input, as Out has it
    again: int = 2  # the same where the notes are run, with commands: what comes before all is the first
    renumbered: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seed = self.start.seed or 0

    def cell(self, given: Input, *, wanted: bool) -> list[str]:
        """The parts of an input as code, with its commands as what they did. One not `wanted` is passed over."""
        self.number = given.number
        imports, again = list(self.imports), self.again
        parts = []
        for text in (self._part(part) for part in given.parts if not part.undone):
            parts += [text] if text else []
            self.again += bool(text)  # each stands by itself
        if wanted:
            return parts
        self.imports, self.again = imports, again
        return []

    def before(self) -> str:
        """What has to come first: imports, the seed and the settings that the session began with."""
        if self.commands:
            return "\n".join(self._commands(self.start))
        used = {"torch", *self.names}
        if _RANDOM in self.names:
            self.imports.append(f"import random as {_RANDOM}")
        lines = sorted({*self.imports, *(line for name, line in _IMPORTS.items() if name in used)}, key=_order)
        out = ["", "Out = {}"] if "Out" in self.names else []
        return "\n".join([*lines, "", *self._settings(self.start), *out])

    def _part(self, part: Part) -> str:
        request = part.request
        if request is None or isinstance(request, Undo):
            return ""
        if isinstance(request, Save) and not (request.text and self.may_change(request.text)):
            return ""
        code = _code_of(request)
        if code is not None:
            return self._code(part, code)
        own = "" if part.problem else self._own(part, request)
        return own or _comment(part.source)

    def _own(self, part: Part, request: AnyRequest) -> str:
        """A command that runs no statements of the user's."""
        if isinstance(request, Configure) and request.seed is not None:
            self.seed = request.seed
        if self.commands:
            timed = isinstance(request, TimeIt)
            if request == Configure() or isinstance(request, LOOKING_UP):
                return ""
            return "" if timed and self.may_change(getattr(request, "text", "")) else part.source
        match request:
            case Configure():
                lines = self._settings(request)
                beyond = request.precision is not None and len(lines) > 1  # what NumPy prints with
                return marked.written(part.source, lines) if beyond else "\n".join(lines)
            case Reset():
                return "\n".join([_comment(part.source), *self._settings(Configure(seed=self.seed))])
            case Load() if part.loaded:
                usual = _IMPORTS.values()  # these come first; the others nothing else needs
                self.imports += [line for line in part.loaded.imports if line in usual]
                own = [line for line in part.loaded.imports if line not in usual]
                return marked.written(part.source, [*own, *part.loaded.python.split("\n")])
        return ""

    def _settings(self, given: Configure) -> list[str]:
        """Settings in plain Python."""
        lines = []
        if given.device not in (None, "cpu") or (given.device and given is not self.start):
            lines.append(f"torch.set_default_device({given.device!r})")
        if given.dtype not in (None, "float32") or (given.dtype and given is not self.start):
            lines.append(f"torch.set_default_dtype(torch.{given.dtype})")
        if given.threads is not None:
            lines.append(f"torch.set_num_threads({given.threads})")
        if given.precision is not None:
            lines.append(f"torch.set_printoptions(precision={4 if given.precision == 'default' else given.precision})")
            if "np" in self.names:
                lines.append(f"np.set_printoptions(precision={8 if given.precision == 'default' else given.precision})")
        if given.seed is not None:
            lines.append(f"torch.manual_seed({given.seed})")
            if "np" in self.names:
                lines.append(f"np.random.seed({given.seed % 2**32})")
            if _RANDOM in self.names:
                lines.append(f"{_RANDOM}.seed({given.seed})")
        return lines

    def _commands(self, given: Configure) -> list[str]:
        """Settings as commands."""
        lines = [f"%device {given.device}"] if given.device not in (None, "cpu") else []
        lines += [f"%dtype {given.dtype}"] if given.dtype not in (None, "float32") else []
        return [*lines, f"%seed {given.seed}"]

    def _code(self, part: Part, text: str) -> str:
        """Statements that were run, as an input, and their number in Out, which is another where the notes are run."""
        nothing_ran = part.problem is not None and part.problem.seconds is None
        if not self.commands:
            return self._statements(part, text, nothing_ran=nothing_ran)
        whole = not isinstance(part.request, Evaluate | Save) and part.problem is None
        written = part.source if whole else self._statements(part, text, nothing_ran=nothing_ran)
        written = _OUT.sub(lambda found: self.renumbered.get(found[0], found[0]), written)
        if part.gave or isinstance(part.request, Draw):
            self.renumbered[str(self.number)] = str(self.again)
        return written

    def _statements(self, part: Part, text: str, *, nothing_ran: bool) -> str:
        """Statements as they ran: what failed is a comment, or in a try where it may have changed something first.

        So is what Python does not compile as it would stand there: it takes a whole script or nothing of it.
        """
        try:
            tree = ast.parse(text).body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return _comment(text)
        if part.problem is None:
            written = self._with_results(text, tree, part)
            return written if _compiles(written) else _comment(text)
        node = tree[(part.failed or 1) - 1]
        broken = None if nothing_ran else self._broken(text, node, part.problem.category)
        ran = self._with_results(text[: _begin(text, node)], tree[: tree.index(node)], part).rstrip("; \n")
        later = text[_end(text, node) if broken else _begin(text, node) :]
        return "\n".join(filter(None, [ran, broken, _comment(later.strip("; \n"))]))

    def _broken(self, text: str, node: ast.stmt, category: str) -> str | None:
        """A statement that failed, in a try; None where it changed nothing, or cannot be made to fail again."""
        if category in ("refused", "interrupted", "engine", "memory"):
            return None
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr) else None
        source = ast.get_source_segment(text, node) or ast.unparse(node)
        if value is not None and not self.may_change(ast.unparse(value)):
            return None
        if "\n" in source and _has_long_strings(node):
            source = ast.unparse(node)
        body = "\n".join(f"    {line}" if line else "" for line in source.split("\n"))
        tried = f"try:  # it failed\n{body}\nexcept Exception:\n    pass"
        return tried if _compiles(tried) else None

    def _with_results(self, text: str, nodes: Sequence[ast.stmt], part: Part) -> str:
        """Expressions bound to the names that their values have in a session, where any of these is looked up."""
        wanted = [name for name in ("_", "Out") if name in self.names and not self.commands]
        if not wanted:
            return text
        target = " = ".join(f"Out[{self.number}]" if name == "Out" else name for name in wanted)
        for number, node in reversed(list(enumerate(nodes, 1))):
            if number in part.gave:
                at = _begin(text, node)
                text = f"{text[:at]}{target} = {text[at:]}"
        return text


_OUT = re.compile(r"(?<=\bOut\[)\d+(?=\])", re.ASCII)


def _order(line: str) -> tuple[int, int, str]:
    """Where an import stands: Python's own first, "import" before "from"."""
    module = line.split()[1]
    return (module.partition(".")[0] not in ("csv", "math", "random"), line.startswith("from"), module.lower())


def _begin(text: str, node: ast.stmt) -> int:
    """Where a statement begins in a text, its decorators included."""
    first = min([node, *getattr(node, "decorator_list", [])], key=lambda each: each.lineno)
    at = _offset(text, first.lineno, first.col_offset)
    return text.rindex("@", 0, at) if first is not node else at


def _end(text: str, node: ast.stmt) -> int:
    return _offset(text, node.end_lineno or node.lineno, node.end_col_offset or 0)


def _offset(text: str, line: int, column: int) -> int:
    """A place in characters, from Python's line and bytes."""
    lines = text.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + len(lines[line - 1].encode()[:column].decode())


def _has_long_strings(node: ast.AST) -> bool:
    return any(
        isinstance(each, ast.Constant | ast.JoinedStr) and each.lineno != each.end_lineno for each in ast.walk(node)
    )


def _compiles(text: str) -> bool:
    """Whether Python takes it in a script, behind something else: it parses `return 3`, and does not compile it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(f"0\n{text}", "script", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False
    return True


def _comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.split("\n")) if text else ""


def _script(before: str, cells: Sequence[Sequence[str]], path: Path) -> str:
    title = f'"""What was typed in tensorcli {__version__}, for Python with PyTorch."""'
    return "\n\n".join([title, before, *map("\n".join, cells)]) + "\n"


def _notebook(before: str, cells: Sequence[Sequence[str]], path: Path) -> str:
    found: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"input-{number}",
            "metadata": {},
            "outputs": [],
            "source": text.splitlines(keepends=True),
        }
        for number, text in enumerate([before, *map("\n".join, cells)])
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": found, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def _markdown(before: str, cells: Sequence[Sequence[str]], path: Path) -> str:
    title = f"# {path.stem}\n\nWhat was typed in tensorcli {__version__}: `tensorcli run {path.name}` gives it again."
    return "\n\n".join([title, *map(_fence, [before, *(part for cell in cells for part in cell)])]) + "\n"


def _fence(text: str) -> str:
    mark = "```"
    while mark in text:
        mark += "`"
    return f"{mark}python\n{text}\n{mark}"
