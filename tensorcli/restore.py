"""A session brought back: a fresh engine is asked again what the one that died had been asked."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec.structs import replace

from tensorcli import child, units
from tensorcli.exchange import Course, Emit, exchange
from tensorcli.journal import Entry, Journal
from tensorcli.report import AnyReport, AnyRequest, Diagnosis, Evaluate, GoOn, Notice, Progress, Undone

MOST_LEFT_OUT = 3  # inputs that end every engine
INTERRUPTED = "bringing the session back was interrupted: the next input tries it again, %reset begins anew"


@dataclass(frozen=True)
class _Lost:
    """A request that did not come through, and why."""

    request: AnyRequest
    how: Literal["died", "interrupted", "unreadable"]


@dataclass
class Restoring:
    """One attempt to bring back what a journal knows; `fresh` puts a new engine in the place of the last one.

    `undone` is what the last one's session had besides, where that was taken back.
    """

    journal: Journal
    engine: child.Engine
    fresh: Callable[[], child.Engine]
    numbers: Iterator[int]
    emit: Emit
    trust: bool = False
    undone: Undone | None = None
    was_pressed: Callable[[], bool] = lambda: False  # Ctrl-C, while nothing was asked
    _left_out: int = 0
    _gone: list[str] = field(default_factory=list)  # what files no longer hold
    _differing: list[tuple[AnyRequest, Diagnosis | None]] = field(default_factory=list)

    def run(self) -> Literal["done", "interrupted", "no engine"]:
        """Do it, and say what came of it. An input of which two engines in a row died is left out."""
        start, deadly, uncertain = time.monotonic(), None, self.journal.uncertain
        while self._left_out <= MOST_LEFT_OUT:
            again = self.journal.to_ask()
            lost = self._asked(again)
            if lost is None:
                self.emit(self._told(again, time.monotonic() - start, uncertain))
                return "done"
            if not self.engine.settings and lost.how != "interrupted":
                return "no engine"
            if self.engine.settings or self.engine.ended:  # else it is still starting, and was asked nothing
                self.engine.close()
                self.engine = self.fresh()
            if lost.how == "interrupted":
                self.emit(Notice(text=INTERRUPTED))
                return "interrupted"
            if lost.how == "unreadable" or lost.request is deadly:  # else it may have been ended from outside
                self.journal.drop(lost.request)
                self._left_out += not isinstance(lost.request, GoOn)
            deadly = lost.request
        self.emit(self._report(f"the session is not brought back: {self._left_out} of its inputs end every engine"))
        return "done"

    def _asked(self, again: Sequence[Entry]) -> _Lost | None:
        """Ask the engine all of it, up to what it does not come through, if there is such a request."""
        self._differing.clear()
        self._gone.clear()
        for number, entry in enumerate(again):
            if self.undone is None:
                self.emit(Progress(done=number, total=len(again), label=self._label(again, number)))
            problems: list[Diagnosis] = []

            def listen(report: AnyReport, problems: list[Diagnosis] = problems) -> None:
                if isinstance(report, Diagnosis):
                    problems.append(report)

            request = entry.request
            asked = replace(request, silent=True) if isinstance(request, Evaluate) else request
            course = Course()
            told: dict[str, Any] = {"tell": self.emit, "course": course, "was_pressed": self.was_pressed}
            told["typed"] = entry.input or None
            lived = exchange(self.engine, next(self.numbers), asked, listen, **told)
            if course.pressed:  # too late for this one, perhaps: then those that follow are not asked
                return _Lost(request, "interrupted")
            if not lived:
                return _Lost(request, "died")
            if any(each.code == "not-kept" for each in problems):
                return _Lost(request, "unreadable")
            gone = [each.title for each in problems if each.code == "file-changed"]
            if gone and not entry.failed:
                self._gone += gone
            elif entry.failed not in (None, bool(problems)):
                self._differing.append((request, problems[0] if problems else None))
        return None

    def _label(self, again: Sequence[Entry], number: int) -> str:
        if self.engine.settings is None:
            return "bringing the session back: starting torch"
        if isinstance(again[number].request, GoOn):
            return "bringing the session back: reading its file"
        return f"bringing the session back: {number + 1:,} of {units.plural(len(again), 'input')}"

    def _told(self, again: Sequence[Entry], seconds: float, uncertain: bool) -> AnyReport:
        """What is said of a session that is back."""
        ran = len(self.journal.typed(again))
        first = f"the session is back in {seconds:.1f} s; {ran} of its inputs were run again"
        if self._left_out:
            first += f", and {self._left_out} left out that ended the engine"
        doubts = ["what an interrupted or timed statement changed in place may differ"] if uncertain else []
        doubts += self._gone
        if self.trust and ran:
            doubts.append("what they do outside was done again")
        doubts += [self._difference()] if self._differing else []
        short = self.undone is not None and seconds < 1 and not self._left_out
        return self._report("; ".join(doubts if short else [first, *doubts]))

    def _report(self, text: str) -> AnyReport:
        return replace(self.undone, text=text) if self.undone else Notice(text=text)

    def _difference(self) -> str:
        """What ended otherwise than it did at first, by the first of it."""
        request, problem = self._differing[0]
        first = getattr(request, "text", type(request).__name__).strip().partition("\n")[0]
        shown = first if len(first) <= 40 else f"{first[:37]}..."
        how = f"now fails: {problem.title}" if problem else "now runs, and failed before"
        more = f", and {units.plural(len(self._differing) - 1, 'more input')} ended otherwise"
        return f"{shown} {how}" + (more if len(self._differing) > 1 else "")
