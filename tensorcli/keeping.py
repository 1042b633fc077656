"""%load, %save and %run: what they are given, and the requests or files that follow from it."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from keyword import iskeyword
from pathlib import Path

from tensorcli import notes
from tensorcli.cells import Cell, read
from tensorcli.past import Input
from tensorcli.report import Configure, Diagnosis, Load, Notice, Save

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
TENSORS = (".safetensors", ".npy", ".npz")
DEEPEST = 8  # files that run files


class Mistyped(Exception):
    """What is wrong with what stands behind a command, in a sentence."""


def load(argument: str) -> Load:
    """`FILE [NAMES]`, `FILE as NAME`. Raises Mistyped."""
    words = _words(argument)
    if not words:
        raise Mistyped("%load takes a file: try %load data.csv, or %load photo.png as img")
    path, names, name = _path(words[0]), tuple(words[1:]), None
    if len(names) > 1 and names[-2] == "as":
        names, name = names[:-2], names[-1]
    if "as" in names:
        raise Mistyped("one name stands behind as: try %load data.csv as X")
    if path.suffix.lower() in notes.KINDS:
        raise Mistyped(f"{path.name} holds code, no tensors: %run {words[0]} runs it")
    if name is not None and (not name.isidentifier() or iskeyword(name) or name.startswith("_")):
        raise Mistyped(f"{_short(name)} is no name for a variable: try %load {_short(words[0])} as x")
    try:
        found = path.stat()
        stamp = (found.st_size, found.st_mtime_ns)
    except (OSError, ValueError):
        stamp = None  # the engine says so
    return Load(path=str(path), names=tuple(each.rstrip(",") for each in names), name=name, stamp=stamp)


def save(
    argument: str, history: Sequence[Input], start: Configure, may_change: Callable[[str], bool]
) -> Save | Notice | Diagnosis:
    """`[-f] FILE [NAMES | EXPRESSION]` for tensors, `[-f] FILE [N-M ...]` for what was typed. Raises Mistyped."""
    words = _words(argument)
    force = "-f" in words
    words = [word for word in words if word != "-f"]
    if not words:
        raise Mistyped("%save takes a file: try %save notes.py, or %save x.safetensors x")
    path, rest = _path(words[0]), [word.rstrip(",") for word in words[1:]]
    ending = path.suffix.lower()
    if not os.path.isdir(path.parent):  # which raises nothing where it may not look
        raise Mistyped(f"there is no folder {path.parent}")
    if ending in TENSORS:
        named = all(map(str.isidentifier, rest))
        what = {"names": tuple(rest)} if named else {"text": _behind(argument)}
        return Save(path=str(path), force=force, **what)
    if ending in PICKLES:
        raise Mistyped(f"{ending} files are pickles, which can run code when they are loaded: "
                       f"%save {path.with_suffix('.safetensors').name} holds the same tensors")  # fmt: skip
    if ending not in notes.KINDS:
        known = ", ".join((*notes.KINDS, *TENSORS))
        raise Mistyped(f"%save writes by the file's ending, one of {known}, not {_short(ending) or 'none'}")
    return notes.save(path, _chosen(history, rest), history, start, force=force, may_change=may_change)


def run(argument: str, running: Sequence[str]) -> list[Cell] | Diagnosis:
    """The cells of a file that is to be run, within those that run already. Raises Mistyped."""
    words = _words(argument)
    if len(words) != 1:
        raise Mistyped("%run takes one file: try %run notes.md")
    path = _path(words[0])
    if argument in running or len(running) >= DEEPEST:
        raise Mistyped(f"{path.name} would run itself again and again: it is left out")
    if path.suffix.lower() not in notes.KINDS:
        raise Mistyped(f"%run runs files that end in {', '.join(notes.KINDS)}, not {_short(path.name)}")
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise Mistyped(f"{path.name} is a pipe or a device: %run runs files")
    return read(str(path))


def _words(argument: str) -> list[str]:
    """The words of an argument, of which those in quotes may have blanks in them."""
    try:
        words = shlex.split(argument, posix=sys.platform != "win32")
    except ValueError:
        raise Mistyped("a quote is opened and never closed") from None
    return [re.sub(r"""^(["'])(.*)\1$""", r"\2", word) for word in words] if sys.platform == "win32" else words


_FILE = re.compile(r"""\s*(?:-f\s+)?(?:"[^"]*"|'[^']*'|\\.|\S)+\s+(?:-f\s+)?(.*?)(?:\s+-f)?\s*""", re.DOTALL)


def _behind(argument: str) -> str:
    """What stands behind a file, as it was written."""
    found = _FILE.fullmatch(argument)
    return found[1] if found else ""


def _path(word: str) -> Path:
    """A path from the current folder on, or from the home of the user. Raises Mistyped."""
    if "\0" in word or not word:
        raise Mistyped("a file's name has no null byte in it" if word else "an empty name is no file's")
    try:
        return Path(word).expanduser().absolute()
    except (RuntimeError, OSError):
        raise Mistyped(f"there is no folder {_short(word.partition('/')[0])}: write the whole path") from None


def _chosen(history: Sequence[Input], words: Sequence[str]) -> list[Input]:
    """The inputs of these numbers, "3" or "5-8"; all without any. Raises Mistyped."""
    if not words:
        return list(history)
    most = history[-1].number
    wanted = {number for word in words for number in _numbers(word, most)}
    return [each for each in history if each.number in wanted]


def _numbers(word: str, most: int) -> Iterator[int]:
    found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", word, re.ASCII)
    if found is None:
        raise Mistyped(f"{_short(word)} is no number of an input: %save notes.py 1-4 7 takes these of %history")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= most:
        raise Mistyped(f"there is no input {word}: %history has {most:,}")
    yield from range(first, last + 1)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
