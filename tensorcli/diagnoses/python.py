"""Diagnoses of interruptions, assertions and memory that ran out."""

import math
import re
from collections.abc import Iterator

from tensorcli import units
from tensorcli.diagnoses import Entry, Failure, Finding
from tensorcli.diagnoses.edits import brackets, is_tensor
from tensorcli.diagnoses.messages import said


def interrupted(failure: Failure) -> Finding | None:
    """Ctrl-C."""
    if isinstance(failure.error, KeyboardInterrupt):
        return Finding("interrupted", ("the session's variables are as the statement left them",))
    return None


def assertion(failure: Failure) -> Finding | None:
    """An assert of the user's that did not hold."""
    if (
        isinstance(failure.error, AssertionError)
        and failure.layer is None
        and failure.text
        and not re.search("CUDA|compiled with", failure.message)
    ):
        first = failure.message.split("\n")[0].rstrip("!.")
        said = f": {first}" if first else ""
        return Finding(f"the assertion does not hold{said}")
    return None


def out_of_memory(failure: Failure) -> Finding | None:
    """An allocation larger than what is free."""
    if not isinstance(failure.error, MemoryError) and not said(failure, "no memory"):
        return None
    asked = _asked_nbytes(failure)
    if asked and asked >= 2**63:
        return Finding("this needs more memory than any machine can have", tuple(_smaller_ways(failure, asked)))
    amount = units.nbytes(asked) if asked else ""
    free, most = failure.memory.free_nbytes, failure.memory.most_nbytes
    on_gpu = "CUDA" in failure.message
    if free is None:
        where = "the GPU has too little free memory for" if on_gpu else "there is too little free memory for"
        return Finding(f"{where} {amount or 'this'}", tuple(_smaller_ways(failure, asked)))
    where = f"left of the {units.nbytes(most)} of --max-memory" if most else "free"
    have = f"{units.nbytes(free)} of {'the GPU' if on_gpu else 'memory'} are {where}"
    if most:
        have = f"{units.nbytes(free)} are {where}"
    if asked and asked > free:
        title = f"{amount} were asked for, and {have}"
    else:
        title = f"this needs more memory than there is: {have}"
    return Finding(title, (*_holders(failure, asked), *_smaller_ways(failure, asked)))


def _holders(failure: Failure, asked: int | None) -> Iterator[str]:
    """Who holds what could be given back, where that would make a difference."""
    least = max(16 << 20, min(asked or 0, failure.memory.free_nbytes or 0) // 10)
    large = [(name, nbytes) for name, nbytes in failure.memory.holders if nbytes >= least]
    if large:
        held = " and ".join(f"{name} holds {units.nbytes(nbytes)}" for name, nbytes in large[:2])
        yield f"{held}: del {large[0][0]} gives it back where nothing else holds it (Out keeps results too)"


def _asked_nbytes(failure: Failure) -> int | None:
    """How many bytes were asked for: as the message says, or as its sizes give."""
    found, sizes = said(failure, "amount"), said(failure, "sizes")
    if found and found[1]:
        return int(found[1])
    if found:
        number, unit = (found[2] or found[3]).split()
        return int(float(number) * 1024 ** _UNITS.index(unit[0].upper())) if unit[0].upper() in _UNITS else None
    return math.prod(int(size) for size in sizes[1].split(",")) * 4 if sizes else None


_UNITS = "BKMGTPE"


# What the result of an operation need not hold: what to write instead.
_INSTEAD = {
    "eye": "a diagonal needs no matrix: keep the vector and multiply by it, or torch.sparse.spdiags",
    "diag": "a diagonal needs no matrix: multiply by the vector, v[:, None] * x",
    "one_hot": "class numbers index directly: F.embedding, gather and cross_entropy need no one-hot rows",
    "repeat": "expand shows a tensor many times without copying it, where broadcasting does not do that by itself",
    "tile": "expand shows a tensor many times without copying it, where broadcasting does not do that by itself",
    "outer": "a sum over an outer product needs no matrix: outer(a, b).sum() is a.sum() * b.sum()",
    "cdist": "distances can be computed for some rows at a time: for part in x.split(1000)",
}
_EACH_WITH_EACH = ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge", "pow", "remainder", "where")
_HALF = {"float64": "float32", "float32": "float16 or bfloat16", "int64": "int32", "complex128": "complex64"}


def _smaller_ways(failure: Failure, asked: int | None) -> Iterator[str]:
    """How the same could be had in less memory."""
    call = failure.call
    name = call.name if call else ""
    if name in _INSTEAD:
        yield _INSTEAD[name]
    shapes = [tuple(o.value.shape) for o in (call.arguments if call else ()) if is_tensor(o.value)]
    if name in _EACH_WITH_EACH and len(shapes) == 2 and shapes[0] != shapes[1]:
        sizes = " and ".join(map(brackets, shapes))
        yield f"broadcasting makes one number for each pair of {sizes}: do it for some rows at a time, or sum by matmul"
    dtype = _result_dtype(failure)
    if asked and dtype in _HALF and failure.memory.free_nbytes and asked // 2 < failure.memory.free_nbytes:
        yield f"{_HALF[dtype]} would need {units.nbytes(asked // 2)}"


def _result_dtype(failure: Failure) -> str:
    call = failure.call
    given = call.keywords.get("dtype") if call else None
    if given is not None:
        return str(given.value).removeprefix("torch.")
    values = [o.value for o in (call.arguments if call else ()) if is_tensor(o.value)]
    return str(values[0].dtype).removeprefix("torch.") if values else "float32"


ENTRIES = (
    Entry("interrupted", "interrupted", interrupted, ""),
    Entry(
        "assertion",
        "value",
        assertion,
        "assert torch.rand(3).shape == (4,)",
        "An assertion asks for one truth: assert torch.equal(a, b), or assert (a > 0).all().",
    ),
    Entry(
        "out-of-memory",
        "memory",
        out_of_memory,
        "torch.empty(10**15)",
        "A tensor needs its number of elements times the size of one: 4 bytes in float32, 2 in float16.",
    ),
)
