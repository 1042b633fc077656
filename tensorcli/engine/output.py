"""What user code prints, as reports: soon enough to watch, in pieces large enough to be cheap."""

import io
import time
from collections.abc import Callable

from tensorcli import report
from tensorcli.engine import interrupts

MAX_WAIT_SECONDS = 0.05
MAX_HELD = 8192  # characters


class Sink(io.TextIOBase):
    """A text stream whose lines become Output reports."""

    def __init__(self, emit: Callable[[report.AnyReport], None], *, source: str | None, statement: int | None) -> None:
        self._emit, self._source, self._statement = emit, source, statement
        self._held: list[str] = []
        self._length = 0
        self._since = 0.0

    def writable(self) -> bool:
        """A sink takes text."""
        return True

    def write(self, text: str) -> int:
        """Take text; emit what is held once it is long or old enough."""
        if not self._held:
            self._since = time.monotonic()
        self._held.append(text)
        self._length += len(text)
        if self._length > MAX_HELD or ("\n" in text and time.monotonic() - self._since > MAX_WAIT_SECONDS):
            with interrupts.shielded():
                self.finish()
        return len(text)

    def finish(self) -> None:
        """Emit what is held."""
        if self._held:
            text = "".join(self._held)
            self._held, self._length = [], 0
            self._emit(report.Output(source=self._source, statement=self._statement, text=text))
