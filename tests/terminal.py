"""A terminal with a program in it: keys go in, and what a person would see can be read at any time."""

import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pexpect
import pyte

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30  # seconds until what was waited for is given up; no test should take a fraction of it


class _Screen(pyte.Screen):
    """A screen that answers when the program asks where the cursor is."""

    child: Any = None

    def write_process_input(self, data: str) -> None:
        self.child.send(data)

    def select_graphic_rendition(self, *attrs: int, private: bool = False) -> None:
        """Pyte knows no private form of this; prompt_toolkit sends one to xterm-like terminals."""
        if not private:
            super().select_graphic_rendition(*attrs)


class Terminal:
    """`tensorcli` with these arguments, in a terminal of this size. `raw` is every character it wrote."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str] | None = None, rows: int = 24, columns: int = 80
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.screen = _Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self.raw = ""
        self.child = self.screen.child = pexpect.spawn(
            sys.executable,
            ["-m", "tensorcli", *arguments],
            cwd=ROOT,
            env={**inherited, "TERM": "xterm-256color", **(env or {})},
            dimensions=(rows, columns),
            encoding="utf-8",
        )
        self.child.delaybeforesend = None

    def type(self, keys: str) -> None:
        """Press these keys. What the program writes meanwhile is read: with both ways full, neither would go on."""
        data, number = keys.encode(), self.child.child_fd
        os.set_blocking(number, False)
        try:
            while data:
                readable, writable, _ = select.select([number], [number], [], PATIENCE)
                assert readable or writable, "the program reads no keys"
                if readable:
                    self._read(PATIENCE)
                if writable:
                    data = data[os.write(number, data[:1000]) :]
        finally:
            os.set_blocking(number, True)

    def resize(self, *, rows: int, columns: int) -> None:
        """Give the window another size."""
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    @property
    def lines(self) -> list[str]:
        """The screen's lines that are not blank."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def line(self) -> str:
        """The line the cursor is on, up to the cursor."""
        return str(self.screen.display[self.screen.cursor.y][: self.screen.cursor.x])

    def see(self, what: str | Callable[[list[str]], bool]) -> list[str]:
        """Wait until the screen has this line, or is as wanted, and give its lines."""
        wanted = what if callable(what) else lambda lines: what in lines
        deadline = time.monotonic() + PATIENCE
        while not wanted(self.lines):
            try:
                self._read(deadline - time.monotonic())
            except (pexpect.EOF, pexpect.TIMEOUT):
                if wanted(self.lines):
                    break
                raise AssertionError(f"{what!r} was not seen:\n" + "\n".join(self.lines)) from None
        return self.lines

    def prompt(self) -> None:
        """Wait until an empty prompt has the cursor."""
        self.see(lambda _: self.line == ">>> ")

    def leave(self) -> int:
        """Press Ctrl-D, wait for the end and give the exit status."""
        self.type("\x04")
        return self.end()

    def end(self) -> int:
        """Wait for the end and give the exit status."""
        deadline = time.monotonic() + PATIENCE
        try:
            while True:
                self._read(deadline - time.monotonic())
        except pexpect.EOF:
            pass
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -int(self.child.signalstatus)

    def close(self) -> None:
        """End the program, however it is."""
        self.child.close(force=True)

    def _read(self, timeout: float) -> None:
        text = self.child.read_nonblocking(65536, timeout=max(timeout, 0.01))
        self.raw += text
        self._stream.feed(text)
