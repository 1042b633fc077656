"""Diagnoses of names, attributes and keyword arguments that are not there."""

import builtins
import difflib
import re
from collections.abc import Iterable

from tensorcli.diagnoses import Entry, Failure, Finding

# Where people look for a thing under another library's name.
_ELSEWHERE = {
    "size": "shape", "length": "numel", "len": "numel", "concat": "cat", "astype": "to", "copy": "clone",
    "dims": "ndim", "cross_entropy_loss": "cross_entropy", "array": "tensor", "multiply": "mul", "power": "pow",
    "negative": "neg",
    "matmult": "matmul", "avg": "mean", "average": "mean", "dimension": "dim", "reshape_": "reshape",
}  # fmt: skip
_OUT_OF_REACH = "files, processes and Python's internals are out of reach: --trust lifts this for your own code"


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, or None where none is near."""
    known = list(known)
    if _ELSEWHERE.get(word) in known:
        return _ELSEWHERE[word]
    folded = {name.lower().replace("_", ""): name for name in reversed(known)}
    same = folded.get(word.lower().replace("_", ""))
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return same or next(iter(near), None)


def _hint(word: str, known: Iterable[str]) -> str:
    near = did_you_mean(word, known)
    return f": did you mean {near}?" if near else ""


def unknown_name(failure: Failure) -> Finding | None:
    """A variable that was never assigned, or a builtin that is out of reach."""
    if not isinstance(failure.error, NameError) or isinstance(failure.error, UnboundLocalError):
        return None
    name = failure.error.name or ""
    if name in dir(builtins):
        return None
    return Finding(f"there is no variable {name}{_hint(name, failure.names)}")


def refused_builtin(failure: Failure) -> Finding | None:
    """One of Python's builtins that does no tensor work."""
    name = getattr(failure.error, "name", None)
    if isinstance(failure.error, NameError) and name in dir(builtins):
        return Finding(f"{name} is not tensor work", (_OUT_OF_REACH,))
    return None


def unknown_attribute(failure: Failure) -> Finding | None:
    """An attribute or method that the value does not have."""
    if not isinstance(failure.error, AttributeError):
        return None
    match = re.search(r"(?:(\S+) has no|has no attribute '?)\s*'?(\w+)'?$", failure.message.split("\n")[0])
    name = failure.error.name or (match and match[2])
    if not name:
        return None
    owner = failure.error.obj
    what = match[1] if match and match[1] else f"a {type(owner).__name__}" if owner is not None else "this value"
    return Finding(f"{what} has no {name}{_hint(name, failure.attributes(owner))}")


ENTRIES = (
    Entry("refused", "refused", refused_builtin, "open('notes.txt')"),
    Entry("unknown-name", "name", unknown_name, "tensor_a + 1"),
    Entry("unknown-attribute", "name", unknown_attribute, "torch.rand(3).shpae"),
)
