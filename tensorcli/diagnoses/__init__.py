"""The table of diagnoses: which failures each entry recognises and the sentence it says. The first that fits answers.

An entry is a `Diagnosis` in one of this package's modules, listed in `ENTRIES`; its `example` must provoke it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operand:
    """An operand of the failing expression: its text and, where it could be had without running anything, its value."""

    text: str
    value: Any = None


@dataclass(frozen=True)
class Failure:
    """What is known of a failure: the exception, the failing text, its operands and the names in reach."""

    error: BaseException
    message: str
    text: str = ""
    operands: tuple[Operand, ...] = ()
    names: Mapping[str, Any] = field(default_factory=dict)
    attributes: Callable[[Any], Iterable[str]] = dir


@dataclass(frozen=True)
class Finding:
    """What an entry says of a failure: one sentence with the real numbers, and notes."""

    title: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One kind of mistake. `recognise` gives its finding, or None where the failure is another; it never raises."""

    code: str
    category: str
    recognise: Callable[[Failure], Finding | None]
    example: str


def entries() -> tuple[Entry, ...]:
    """Every entry, in the order of recognition."""
    from tensorcli.diagnoses import names, python, shapes

    return (*python.ENTRIES, *names.ENTRIES, *shapes.ENTRIES)


def recognised(failure: Failure) -> tuple[str, str, Finding]:
    """The code, category and finding of the first entry that knows this failure, or a general one."""
    from tensorcli.diagnoses import general

    for entry in entries():
        finding = entry.recognise(failure)
        if finding:
            return entry.code, entry.category, finding
    category = general.category_of(failure)
    return f"{category}-error", category, Finding(general.sentence(failure))
