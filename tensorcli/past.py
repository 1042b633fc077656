"""What was typed, what it asked for, and what became of that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tensorcli.report import AnyReport, AnyRequest, Diagnosis, Loaded, Nothing, Tensor, Value


@dataclass
class Part:
    """A stretch of an input as it was written, and the request it made: none, where the answer needed no engine.

    `failed` is the statement in it that did, and `problem` what was said of that; `gave` are the statements whose
    value is the last one, `_`, after them. `undone` says that it was taken back.
    """

    source: str
    request: AnyRequest | None = None
    problem: Diagnosis | None = None
    failed: int | None = None
    gave: set[int] = field(default_factory=set)
    loaded: Loaded | None = None
    undone: bool = False

    def heard(self, report: AnyReport) -> None:
        """Take down what a report says of it."""
        match report:
            case Diagnosis():
                self.problem, self.failed = report, report.statement
            case Loaded():
                self.loaded = report
            case Tensor(name=None) | Value(name=None) | Nothing(unsaid=True) if report.statement:
                self.gave.add(report.statement)


@dataclass
class Input:
    """What was typed at once, or a cell. `number` is the client's."""

    text: str
    number: int = 0
    parts: list[Part] = field(default_factory=list)

    @property
    def undone(self) -> bool:
        """Whether all of it was taken back."""
        return bool(self.parts) and all(part.undone for part in self.parts)


def take_back(inputs: Iterable[Input], numbers: Sequence[int]) -> None:
    """Mark what there is of the inputs of these numbers as taken back: one that goes on may do more."""
    for part in (part for each in inputs if each.number in numbers for part in each.parts):
        part.undone = True
