"""What was typed, what it asked for, and what became of that."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tensorcli import wire
from tensorcli.report import AnyReport, AnyRequest, Data, Diagnosis, Loaded, Nothing, Tensor, Value


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
    """What was typed at once, or a cell. `number` is the client's, and the one that people know it by."""

    text: str
    number: int = 0
    parts: list[Part] = field(default_factory=list)

    @property
    def undone(self) -> bool:
        """Whether all of it was taken back."""
        return bool(self.parts) and all(part.undone for part in self.parts)


class _Line(Data, frozen=True, kw_only=True):
    """What stands in a file of inputs: that one began, a part of it that was answered, or what was taken back."""

    number: int = 0
    text: str | None = None
    part: Part | None = None
    taken_back: tuple[int, ...] = ()


class Past:
    """The inputs of a session, in order; in a `file` also for a process that goes on with it."""

    def __init__(self, file: Path | None = None) -> None:
        self.inputs: list[Input] = []
        self._file = file
        with suppress(OSError):
            self._read(file.read_bytes() if file else b"")

    @property
    def latest(self) -> int:
        """The number of the last input; 0 before the first."""
        return self.inputs[-1].number if self.inputs else 0

    def begun(self, given: Input) -> None:
        """An input begins."""
        self.inputs.append(given)
        self._write(_Line(number=given.number, text=given.text))

    def answered(self, given: Input, part: Part) -> None:
        """A part of it is as it stays."""
        self._write(_Line(number=given.number, part=part))

    def take_back(self, numbers: Sequence[int]) -> None:
        """Mark what there is of the inputs of these numbers as taken back: one that goes on may do more."""
        for part in (part for each in self.inputs if each.number in numbers for part in each.parts):
            part.undone = True
        self._write(_Line(taken_back=tuple(numbers)))

    def _write(self, line: _Line) -> None:
        if self._file:
            with suppress(OSError), self._file.open("ab") as file:
                file.write(wire.encode(line))

    def _read(self, written: bytes) -> None:
        """Take up what an earlier process wrote; a line that was cut off is left out."""
        file, self._file = self._file, None  # nothing of it is written again
        decoder = msgspec.json.Decoder(_Line)
        for text in written.splitlines():
            with suppress(msgspec.MsgspecError):
                line = decoder.decode(text)
                if line.text is not None:
                    self.begun(Input(line.text, line.number))
                elif line.part and line.number == self.latest:
                    self.inputs[-1].parts.append(line.part)
                else:
                    self.take_back(line.taken_back)
        self._file = file
        if file and written and not written.endswith(b"\n"):  # else the next one would stand behind half a line
            with file.open("ab") as end:
                end.write(b"\n")
