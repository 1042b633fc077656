"""What is typed while a statement runs: seen at once on the line that waits, and kept for the next prompt.

A thread reads the keys with the prompt's own input, which goes on from there: a paste or an escape sequence may begin
in the one and end in the other. Whoever draws holds the line's lock, and the thread reads only while it has that: no
key is taken from a pager, and none is read once the reading is told to end.
"""

import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output
from prompt_toolkit.utils import get_cwidth, is_dumb_terminal

from tensorcli.repl.keys import quieten
from tensorcli.repl.typed import Typed, as_text

if TYPE_CHECKING:
    from prompt_toolkit.input.vt100 import Vt100Input

FLUSH_SECONDS = 0.5  # after which an Escape is a key by itself
AWAY_SECONDS = 0.2  # between looks whether this process has the terminal again
GAP = "  "  # between what is waited for and what is typed
STYLE = re.compile(r"\x1b\[[\d;]*m")
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Waiting:
    """The line below all output while no prompt is there: what is waited for, and what is typed meanwhile.

    It goes when it is over. Blanks erase it: no escape code is needed, and what is typed is dim only if asked for.
    """

    def __init__(self, output: Output, *, dim: Callable[[], bool] = lambda: False) -> None:
        self.lock = threading.RLock()  # of the terminal, in both directions
        self.is_free: Callable[[], bool] = lambda: True  # whether a line may be drawn where the cursor is
        self.keys: list[KeyPress] = []  # typed meanwhile
        self.text = ""  # that the next prompt begins with: what was typed before Ctrl-C
        self._output, self._dim = output, dim
        self._text = ""
        self._typed = Typed()
        self._cells = 0  # that it takes now

    def show(self, text: str) -> None:
        """Say what is waited for."""
        with self.lock:
            self._text = text
            self._draw()

    def clear(self) -> None:
        """It is not waited for any more."""
        self.show("")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within it something else is shown: the line is gone, no key is read, and what was waited for has come."""
        with self.lock:
            self._text = ""
            self._erase()
            try:
                yield
            finally:
                self._draw()

    def press(self, keys: list[KeyPress]) -> None:
        """Take keys that were typed."""
        keys = [key for key in keys if key.key != Keys.CPRResponse]  # of a prompt that is over
        with self.lock:
            self.keys += keys
            for key in keys:
                self._typed.press(key)
            self._draw()

    def hold(self) -> None:
        """Have what was typed run no more: it is text to edit, for the next prompt."""
        with self.lock:
            self.text, self.keys = as_text(self.keys, self.text), []
            self._typed = Typed(self.text)
            self._draw()

    def take_keys(self) -> list[KeyPress]:
        """Give the keys, which the next prompt reads, and show nothing of them any more."""
        with self.lock:
            keys, self.keys, self._typed = self.keys, [], Typed()
            self._draw()
        return keys

    def take_text(self) -> str:
        """Give the text that the next prompt begins with."""
        text, self.text = self.text, ""
        return text

    def _draw(self) -> None:
        if not self.is_free():
            return
        room = self._output.get_size().columns - 1  # a full line would make some terminals begin another
        text, typed = self._text, str(self._typed)
        cells = get_cwidth(STYLE.sub("", text))
        typed = _cropped(typed, max(room - cells - len(GAP), room // 2) if text else room, end=True)
        left = room - bool(typed) * (get_cwidth(typed) + len(GAP))
        if cells > left:
            text = _cropped(STYLE.sub("", text), left)
            cells = get_cwidth(text)
        gap = GAP if text and typed else ""
        cells += len(gap) + get_cwidth(typed)
        rest = max(self._cells - cells, 0)
        shown = f"{_DIM}{typed}{_PLAIN}" if typed and self._dim() else typed
        if cells + rest:
            self._write("\r" + text + gap + shown + " " * rest + "\b" * rest)
        self._cells = cells

    def _erase(self) -> None:
        if self._cells:
            self._write("\r" + " " * self._cells + "\r")
            self._cells = 0

    def _write(self, text: str) -> None:
        self._output.write_raw(text)
        self._output.flush()


def _cropped(text: str, room: int, *, end: bool = False) -> str:
    """As much of the beginning of a text, or of its end, as there is room for."""
    text = text[max(0, len(text) - room) :] if end else text[: max(0, room)]
    while text and get_cwidth(text) > room:
        text = text[1:] if end else text[:-1]
    return text if end else text.rstrip(" ")


@contextmanager
def reading(source: Input, waiting: Waiting) -> Iterator[None]:
    """Within it keys are read from a terminal and shown, and then they are the next prompt's first ones.

    Ctrl-C is a signal: what was typed before it is text for the next prompt, which does not run it. Elsewhere, and on a
    dumb terminal, keys stay where they are.
    """
    reader = _reader(source, waiting)
    if reader is None:
        yield
        return
    try:
        yield
    finally:
        reader.end()


def _reader(source: Input, waiting: Waiting) -> "_Reader | None":
    if sys.platform == "win32" or is_dumb_terminal() or threading.current_thread() is not threading.main_thread():
        return None
    from prompt_toolkit.input.vt100 import Vt100Input

    if isinstance(source, Vt100Input) and not source.closed and os.isatty(source.fileno()):
        return _Reader(source, waiting)
    return None


class _Reader:
    """Reads keys in a thread until it is told to end. Signals come to it as bytes: it must see them among the keys."""

    def __init__(self, source: "Vt100Input", waiting: Waiting) -> None:
        self._source, self._waiting = source, waiting
        self._is_over = False
        self._is_quiet = True  # the terminal echoes nothing, as far as is known
        self._signals, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._before = (
            signal.signal(signal.SIGCONT, lambda _number, _frame: None),
            signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False),
        )
        quieten(source.fileno(), lossless=True)
        waiting.press(get_typeahead(source))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Read no more, and leave the keys to the next prompt."""
        with self._waiting.lock:
            self._is_over = True
            self._waiting.clear()
            store_typeahead(self._source, self._waiting.take_keys())
            if self._is_quiet:
                quieten(self._source.fileno())
        os.write(self._wake, b"\0")
        self._thread.join()
        handler, number = self._before
        signal.set_wakeup_fd(number)
        signal.signal(signal.SIGCONT, handler)
        os.close(self._wake)
        os.close(self._signals)

    def _read(self) -> None:
        has_keys = False
        while True:
            ready = self._wait(FLUSH_SECONDS if has_keys else None)
            with self._waiting.lock:
                if self._is_over:
                    return
                signals = os.read(self._signals, 64) if self._signals in ready else b""
                if signal.SIGCONT in signals:
                    self._is_quiet = False
                if self._is_ours():
                    number = self._source.fileno()
                    if _is_readable(number):  # nobody has taken them meanwhile
                        if not _count(number):  # the terminal has gone
                            return
                        self._waiting.press(self._source.read_keys())
                        has_keys = True
                    elif not ready and has_keys:
                        self._waiting.press(self._source.flush_keys())
                        has_keys = False
                if signal.SIGINT in signals:  # all keys before it are read
                    self._waiting.hold()

    def _wait(self, seconds: float | None) -> list[int]:
        """Wait for signals and keys; in the background for signals, and a moment."""
        if self._is_quiet:
            return select.select([self._signals, self._source.fileno()], [], [], seconds)[0]
        return select.select([self._signals], [], [], AWAY_SECONDS)[0]

    def _is_ours(self) -> bool:
        """Whether this process may read the terminal, which is made as quiet as it was before another had it."""
        number = self._source.fileno()
        with suppress(OSError):  # a terminal that has no process groups
            if os.tcgetpgrp(number) != os.getpgrp():  # to read there would stop this process
                self._is_quiet = False
                return False
        if not self._is_quiet:
            self._is_quiet = True
            quieten(number, lossless=True)
            self._waiting.press([])
        return True


def _is_readable(number: int) -> bool:
    return bool(select.select([number], [], [], 0)[0])


def _count(number: int) -> int:
    """The bytes that a terminal has to be read; none where it has gone."""
    import fcntl
    import termios

    with suppress(OSError):
        return int.from_bytes(fcntl.ioctl(number, termios.FIONREAD, bytes(4)), sys.byteorder)
    return 0
