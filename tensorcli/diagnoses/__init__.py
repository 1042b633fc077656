"""The table of diagnoses: which failures each entry recognises, the sentence it says, and the edits that may mend it.

An entry is an `Entry` in one of this package's modules; its `example` must provoke it. Entries are asked in order, and
the first that knows a failure answers. The edits are proposals, best first: only those that ran are ever shown.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorcli.language import Statement


class Unknown:
    """Stands for a value that could not be had without running something that has effects."""


@dataclass(frozen=True)
class Operand:
    """An operand of the failing expression: its text, its value or Unknown, and its node in the failing statement."""

    text: str
    value: Any = Unknown
    node: ast.expr | None = None


@dataclass(frozen=True)
class Call:
    """The failing operation, whatever its spelling: an operator, a function, a method, a layer or an index.

    `name` is torch's: "matmul", "add", "cat", "Linear", "index". A method's object is its first argument.
    """

    name: str
    form: str  # "operator", "function", "method", "module", "index", "attribute", "in place"
    arguments: tuple[Operand, ...] = ()
    keywords: Mapping[str, Operand] = field(default_factory=dict)
    function: Any = None  # what was called, a layer for instance

    def argument(self, position: int, *names: str) -> Operand | None:
        """The argument at a position, counted with a method's object, or by one of its keywords."""
        found = next((self.keywords[name] for name in names if name in self.keywords), None)
        return found or (self.arguments[position] if position < len(self.arguments) else None)


@dataclass(frozen=True)
class Layer:
    """The layer in which a model failed: how it is reached ("model[2]"), the module itself, and what it was given."""

    path: str
    module: Any
    inputs: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Memory:
    """What is known of the memory that ran out: what is free, of how much, and the variables that hold most of it."""

    free_nbytes: int | None = None
    most_nbytes: int | None = None  # as the user set it
    holders: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Failure:
    """What is known of a failure: the exception, the failing expression in its statement, and the names in reach."""

    error: BaseException
    message: str
    text: str = ""
    operands: tuple[Operand, ...] = ()
    names: Mapping[str, Any] = field(default_factory=dict)
    attributes: Callable[[Any], Iterable[str]] = dir
    statement: Statement | None = None
    node: ast.AST | None = None  # the failing expression, or statement, in `statement`
    call: Call | None = None
    layer: Layer | None = None
    definition: Callable[[str], Statement | None] = lambda _: None  # the statement that last assigned a variable
    value: Callable[[ast.expr], Any] = lambda _: Unknown  # of an expression in the failing one's scope, or Unknown
    call_of: Callable[[Statement, ast.AST], Call | None] = lambda *_: None  # the operation at another node
    place: Callable[[str], Any] = lambda _: None  # a namespace by its dotted name
    history: Callable[[], Iterable[Statement]] = tuple  # the statements before this one, read anew
    memory: Memory = Memory()  # where it ran out


@dataclass(frozen=True)
class Edit:
    """A correction: nodes of statements as written, and the text to put in the place of each."""

    changes: tuple[tuple[Statement, ast.AST, str], ...]
    title: str = ""
    accept: Callable[[Any], bool] = lambda _: True  # whether what it gives is what could have been meant


@dataclass(frozen=True)
class Finding:
    """What an entry says of a failure: one sentence with the real numbers, notes, and edits, best first."""

    title: str
    notes: tuple[str, ...] = ()
    edits: Iterable[Edit] = ()


@dataclass(frozen=True)
class Entry:
    """One kind of mistake. `recognise` gives its finding, or None where the failure is another; it never raises.

    `rule` is the sentence to remember, `example` statements the last of which provokes it, `lesson` where it is taught.
    """

    code: str
    category: str
    recognise: Callable[[Failure], Finding | None]
    example: str
    rule: str = ""
    lesson: str | None = None
    pretend: bool = False  # the example needs a CUDA device, there or pretended


def entries() -> tuple[Entry, ...]:
    """Every entry, in the order of recognition."""
    from tensorcli.diagnoses import (
        arrays,
        autograd,
        broadcast,
        calls,
        devices,
        dims,
        dtypes,
        indexing,
        joining,
        layers,
        linalg,
        losses,
        matmul,
        names,
        python,
        reshape,
        syntax,
        values,
    )

    modules = (
        python,
        autograd,
        arrays,
        reshape,
        syntax,
        values,
        calls,
        devices,
        losses,
        dtypes,
        linalg,
        names,
        layers,
        matmul,
        joining,
        indexing,
        dims,
        broadcast,
    )
    return tuple(entry for module in modules for entry in module.ENTRIES)


def recognised(failure: Failure) -> tuple[Entry | None, str, str, Finding]:
    """The first entry that knows this failure, with code, category and finding; a general finding without one."""
    from tensorcli.diagnoses import general

    for entry in entries():
        try:
            finding = entry.recognise(failure)
        except Exception:  # an entry that trips over an odd failure leaves it to the next
            continue
        if finding:
            return entry, entry.code, entry.category, finding
    return None, *general.unknown(failure)
