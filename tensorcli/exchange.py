"""One request to an engine in another process: sent when it is ready, its answers passed on, Ctrl-C carried to it."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from tensorcli import child, wire
from tensorcli.report import AnyReport, AnyRequest, Diagnosis, Notice
from tensorcli.signals import sigint_to

Emit = Callable[[AnyReport], None]

PATIENCE_SECONDS = 1.0  # after Ctrl-C: then what runs can hardly be interrupted
STUCK = (
    "it has not stopped yet, as one long operation of torch's does not: Ctrl-C again ends the engine and brings the "
    "session back"
)
GIVEN_UP = "given up: torch was still starting, and nothing was run"


@dataclass
class Course:
    """How far a request has come: since when it runs, and the statement of it that does, or was the last to.

    One that is not `reached` has done nothing: the engine ended before it read it. `pressed` is Ctrl-C while it was
    due, whether or not it came in time to interrupt.
    """

    sent_at: float = field(default_factory=time.monotonic)
    begun: int = 1
    reached: bool = False
    pressed: bool = False


class _Presses:
    """What Ctrl-C means while an answer is due: it interrupts, and once it was said that this does not help, it ends.

    Called as a signal's handler, between any two steps of whoever waits, so it waits for nothing itself.
    """

    def __init__(self, engine: child.Engine, number: int, inbox: child.Inbox, course: Course) -> None:
        self._engine, self._number, self._inbox, self._course = engine, number, inbox, course
        self._since: float | None = None  # the first one
        self._unsent = self._told = False
        self.sent = False  # whether the request is

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        if self._told:
            self._engine.kill("was stopped by a second Ctrl-C while it had not answered the first")
            return
        if self._since is not None:  # an impatient one: what the first one does is still to be seen
            return
        self._since, self._unsent, self._course.pressed = time.monotonic(), True, True
        if self.sent:
            self.carry()
        else:
            self._inbox.post(child.Pressed())

    def carry(self) -> None:
        """Send what was pressed, unless the engine is just being written to: then the next time."""
        if self._unsent:
            self._unsent = not self._engine.send(wire.Interrupt(number=self._number), wait=False)

    def is_stuck(self) -> bool:
        """Whether to say now, once, that nothing comes of the first one; carries what could not be sent before."""
        if self._told or self._since is None or not self.sent:
            return False
        self.carry()
        self._told = time.monotonic() - self._since >= PATIENCE_SECONDS
        return self._told


def exchange(
    engine: child.Engine,
    number: int,
    request: AnyRequest,
    emit: Emit,
    *,
    tell: Emit | None = None,
    course: Course,
    was_pressed: Callable[[], bool] = lambda: False,
    typed: int | None = None,
) -> bool:
    """Ask `engine`, and say whether it lived to answer. `tell` hears of a Ctrl-C that does not help, else `emit`.

    `typed` is the number of the input that it is of. `was_pressed` says whether it was just before.
    """
    inbox = child.Inbox()
    presses = _Presses(engine, number, inbox, course)
    with engine.subscribed(number, inbox), sigint_to(presses):
        if was_pressed():
            presses(signal.SIGINT, None)
        while True:
            message = inbox.get()
            if presses.is_stuck():
                (tell or emit)(Notice(text=STUCK))
            match message:
                case wire.Hello() if not presses.sent:
                    course.sent_at = time.monotonic()
                    engine.send(wire.Ask(number=number, request=request, input=typed))
                    presses.sent = True
                    presses.carry()
                case wire.Answer(report=report):
                    course.reached = True
                    emit(report)
                case wire.Begun(statement=statement):
                    course.begun, course.reached = statement, True
                case wire.Done():
                    return True
                case child.Ended():
                    return False
                case child.Pressed() if not presses.sent:
                    emit(Diagnosis(code="interrupted", category="interrupted", title=GIVEN_UP))
                    return True
