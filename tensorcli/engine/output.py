"""What user code prints, as reports: soon enough to watch, in pieces large enough to be cheap."""

import io
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from tensorcli import report
from tensorcli.engine import interrupts

MAX_WAIT_SECONDS = 0.05
MAX_HELD = 8192  # characters


class Sink(io.TextIOBase):
    """A text stream whose lines become Output reports: from whoever writes, and from `_later` where that one is slow.

    What was flushed does not wait for the end of its line, and for a moment only where much is.
    """

    def __init__(self, emit: Callable[[report.AnyReport], None], *, source: str | None, statement: int | None) -> None:
        self._emit, self._source, self._statement = emit, source, statement
        self._held: deque[str] = deque()  # the end is added to by who writes, the rest taken by who has the lock
        self._length = 0
        self._since = self._emitted = 0.0
        self._is_flushed = False
        self._problem: Exception | None = None
        self._lock = threading.Lock()

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
        else:
            _later.look_at(self)
        return len(text)

    def flush(self) -> None:
        """Emit what is held, unless something just was: then in a moment."""
        if not self._held:  # as when it is collected, which flushes it
            return
        self._is_flushed = True
        if time.monotonic() - self._emitted > MAX_WAIT_SECONDS:
            with interrupts.shielded():
                self.finish()
        else:
            _later.look_at(self)

    def finish(self) -> None:
        """Emit what is held."""
        with self._lock:
            self._is_flushed = False
            self._emit_held("".join(self._taken()))
        if self._problem:
            raise self._problem

    def overdue(self) -> None:
        """Emit the whole lines that are held, from another thread than the one that writes."""
        with self._lock:
            flushed, self._is_flushed = self._is_flushed, False
            text = "".join(self._taken())
            end = len(text) if flushed else text.rfind("\n") + 1
            if rest := text[end:]:
                self._held.appendleft(rest)
                self._length += len(rest)
            try:
                self._emit_held(text[:end])
            except Exception as error:  # whoever writes is told; the thread goes on for others
                self._problem = error

    def _taken(self) -> list[str]:
        self._length = 0
        return [self._held.popleft() for _ in range(len(self._held))]

    def _emit_held(self, text: str) -> None:
        self._emitted = time.monotonic()
        if text:
            self._emit(report.Output(source=self._source, statement=self._statement, text=text))


class _Later:
    """One thread for all sinks, which looks after the one that was last written to."""

    def __init__(self) -> None:
        self._comes = False  # whether it will look
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._latest: Sink | None = None
        self._thread: threading.Thread | None = None

    def look_at(self, sink: Sink) -> None:
        """Have it look in a moment. Called in the midst of user code, where an interrupt may come."""
        self._latest = sink
        if self._comes:
            return
        with interrupts.shielded():
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, daemon=True)
                self._thread.start()
            self._comes = True
            self._asked.put(None)

    def _look(self) -> None:
        while True:
            self._asked.get()
            time.sleep(MAX_WAIT_SECONDS)
            self._comes = False  # before it looks: what is written now asks anew
            if self._latest:
                self._latest.overdue()


_later = _Later()
