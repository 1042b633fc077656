"""What is typed while no prompt reads: keys through a pair of pseudo-terminals, without a program between them."""

import importlib
import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import termios

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import DummyInput, create_pipe_input
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import DummyOutput

from tensorcli.repl.gently import ANSWERS, ENGINE, gently
from tensorcli.repl.keys import quieten
from tensorcli.repl.typeahead import Waiting, reading
from tensorcli.signals import sigint_to

PATIENCE = 30  # seconds
PASTE = "\x1b[200~{}\x1b[201~"


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        os.sched_yield()


def parsed(text: str) -> list[KeyPress]:
    keys: list[KeyPress] = []
    Vt100Parser(keys.append).feed(text)
    return keys


def unread(number: int) -> int:
    """The bytes that wait in a terminal."""
    return int.from_bytes(fcntl.ioctl(number, termios.FIONREAD, bytes(4)), sys.byteorder)


class Line(DummyOutput):
    """An output that is one line, as wide as is wanted, and knows no escape code."""

    def __init__(self, columns: int = 80) -> None:
        self.columns, self.raw, self.cells, self.cursor = columns, "", [""] * 400, 0

    def get_size(self) -> Size:
        return Size(rows=1, columns=self.columns)

    def write_raw(self, data: str) -> None:
        self.raw += data
        for each in data:
            if each in "\r\b":
                self.cursor = 0 if each == "\r" else self.cursor - 1
            else:
                self.cells[self.cursor] = each
                self.cursor += 1

    @property
    def text(self) -> str:
        return "".join(self.cells).rstrip()


class Keyboard:
    """A keyboard at a terminal that is as quiet as it is during an evaluation."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self._file = os.fdopen(self.theirs, encoding="utf-8", closefd=False)
        quieten(self.theirs)
        self.input = Vt100Input(self._file)

    def type(self, data: bytes | str) -> None:
        os.write(self.ours, data.encode() if isinstance(data, str) else data)

    def interrupt(self) -> None:
        """Press Ctrl-C, as a terminal that is nobody's own sees it: it keeps its keys, if it was told to."""
        if not termios.tcgetattr(self.theirs)[3] & termios.NOFLSH:
            termios.tcflush(self.theirs, termios.TCIFLUSH)
        os.kill(os.getpid(), signal.SIGINT)

    def keys(self) -> list[KeyPress]:
        """What the next prompt gets."""
        return get_typeahead(self.input) + self.input.read_keys()

    def close(self) -> None:
        get_typeahead(self.input)
        self._file.close()
        for number in (self.ours, self.theirs):
            with suppress(OSError):
                os.close(number)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    monkeypatch.setenv("TERM", "xterm")
    found = Keyboard()
    yield found
    found.close()


# What is shown.


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("", ""),
        ("x @ y", ">>> x @ y"),
        ("xy\x7f\x7f\x7fz", ">>> z"),
        ("xyz\x15w", ">>> w"),
        ("x\x1b[D\x01\x0cy", ">>> xy"),
        ("x + 1\r", ">>> x + 1"),
        ("x + 1\ny", "(1 queued) >>> y"),
        ("\r\r", ""),
        ("\rx\r\ry", "(1 queued) >>> y"),
        ("a\rb\x7f", ">>> a"),
        (PASTE.format("a\nb\rc") + "d", "(2 queued) >>> cd"),
        (PASTE.format("a\n"), ">>> a"),
        (PASTE.format("\ta\x00\x07\x9b2J"), ">>>  a2J"),
        ("é漢\U0001f600", ">>> é漢\U0001f600"),
    ],
)
def test_keys_as_they_are_shown(keys: str, shown: str) -> None:
    line = Line()
    Waiting(line).press(parsed(keys))
    assert line.text == shown


def test_what_is_waited_for_and_what_is_typed_share_a_line() -> None:
    line = Line()
    waiting = Waiting(line)
    waiting.show("starting torch ...")
    waiting.press(parsed("6 * 7"))
    assert line.text == "starting torch ...  >>> 6 * 7"
    waiting.clear()
    assert (line.text, line.cursor) == (">>> 6 * 7", 9)
    assert waiting.take_keys() == parsed("6 * 7")
    assert (line.text, line.cursor) == ("", 0)
    assert "\x1b" not in line.raw


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(30, "starting torch ...  >>> x + 1"), (29, "starting torch ..  >>> x + 1"), (21, "starting  >>> x + 1")],
)
def test_both_have_their_part_of_a_narrow_line(columns: int, shown: str) -> None:
    line = Line(columns)
    waiting = Waiting(line)
    waiting.show("\x1b[2mstarting\x1b[0m torch ...")
    waiting.press(parsed("x + 1"))
    assert re.sub(r"\x1b\[\d*m", "", line.raw.rpartition("\r")[2]).rstrip(" \b") == shown


@pytest.mark.parametrize(("columns", "shown"), [(30, ">>> abcdef漢漢xyz"), (12, "cdef漢漢xyz"), (7, "漢xyz"), (1, "")])
def test_the_end_is_seen_where_there_is_no_room_for_all(columns: int, shown: str) -> None:
    line = Line(columns)
    Waiting(line).press(parsed("abcdef漢漢xyz"))
    assert line.text == shown


def test_what_is_typed_is_dim_where_that_is_wanted() -> None:
    line = Line()
    Waiting(line, dim=lambda: True).press(parsed("x"))
    assert line.raw == "\r\x1b[2m>>> x\x1b[0m"


def test_the_line_makes_way_for_what_is_shown() -> None:
    line, is_free = Line(), True
    waiting = Waiting(line)
    waiting.is_free = lambda: is_free
    waiting.show("starting torch ...")
    waiting.press(parsed("ab"))
    with waiting.aside():
        assert (line.text, line.cursor) == ("", 0)
        is_free = False  # print("...", end="")
    assert line.text == ""
    waiting.press(parsed("c"))
    assert line.text == ""
    with waiting.aside():
        is_free = True
    assert line.text == ">>> abc"


def test_an_answer_of_the_terminal_to_a_prompt_that_is_over_is_no_key() -> None:
    waiting = Waiting(Line())
    waiting.press(parsed("a\x1b[12;1Rb"))
    assert waiting.keys == parsed("ab")


# What the next prompt gets.


@pytest.mark.parametrize(
    "pieces",
    [
        [b"abc", b"d\x04"],
        [b"\xc3", b"\xa9\xf0\x9f", b"\x98\x80"],
        [b"x\x1b", b"[", b"A\x1bf"],
        [b"\x1b[20", b"0~a\nb", b"c\x1b[2", b"01", b"~d\r"],
    ],
)
def test_keys_come_whole_in_whatever_pieces(keyboard: Keyboard, pieces: list[bytes]) -> None:
    line = Line()
    with reading(keyboard.input, Waiting(line)):
        for piece in pieces:
            keyboard.type(piece)
            until(lambda: not unread(keyboard.theirs))
        keyboard.type("!")
        until(lambda: line.text.endswith("!"))
    assert line.text == ""
    text = b"".join(pieces).decode() + "!"
    assert keyboard.keys() == parsed(text.replace("\r", "\n"))  # as the terminal sends Enter then


def test_no_key_is_lost_between_prompts_and_evaluations(keyboard: Keyboard) -> None:
    chance = random.Random(0)
    parts = ["a", "é", "漢\U0001f600", "\x1b[A", "\x1b[1;5C", "\n", PASTE.format("p\nq" * 9), "\x04", "word "]
    text = "".join(chance.choices(parts, k=3000)) + "."
    data, found = text.encode(), list[KeyPress]()

    def write() -> None:
        at = 0
        while at < len(data):
            count = chance.randint(1, 40)
            keyboard.type(data[at : at + count])
            at += count

    writer = threading.Thread(target=write)
    writer.start()
    deadline = time.monotonic() + PATIENCE
    while not found or found[-1].data != ".":
        assert time.monotonic() < deadline, "a key is lost"
        with reading(keyboard.input, Waiting(Line())):
            pass
        found += keyboard.keys()
    writer.join()
    assert found == parsed(text)


def test_keys_that_the_last_prompt_left_come_first(keyboard: Keyboard) -> None:
    line = Line()
    with reading(keyboard.input, Waiting(line)):
        keyboard.type("a\nb")
        until(lambda: line.text == "(1 queued) >>> b")
    with reading(keyboard.input, Waiting(line)):
        assert line.text == "(1 queued) >>> b"
        keyboard.type("c")
        until(lambda: line.text == "(1 queued) >>> bc")
    assert keyboard.keys() == parsed("a\nbc")


def test_ctrl_c_makes_text_of_what_was_typed_ahead(keyboard: Keyboard) -> None:
    line, pressed = Line(), threading.Event()
    waiting = Waiting(line)
    with sigint_to(lambda _number, _frame: pressed.set()), reading(keyboard.input, waiting):
        keyboard.type("a = 1\nhalf\x1b[200~ of a")
        until(lambda: line.text == "(1 queued) >>> half" and not unread(keyboard.theirs))
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: line.text == "... half")
        keyboard.type(" paste\x1b[201~\nb")
        until(lambda: line.text == "(1 queued) >>> b")
    assert pressed.is_set()
    assert waiting.take_text() == "a = 1\nhalf"
    assert waiting.take_text() == ""
    assert keyboard.keys() == parsed(PASTE.format(" of a paste") + "\nb")


def test_ctrl_c_throws_away_no_key_that_nothing_has_read(keyboard: Keyboard) -> None:
    waiting = Waiting(Line())
    with sigint_to(lambda _number, _frame: None), reading(keyboard.input, waiting):
        with waiting.lock:  # something is shown
            keyboard.type("a\nb")
            until(lambda: unread(keyboard.theirs))
            keyboard.interrupt()
        until(lambda: waiting.text)
        keyboard.type("\x15cd\n")
        until(lambda: len(waiting.keys) == 4)
        keyboard.interrupt()
        until(lambda: not waiting.keys)
    assert (waiting.take_text(), keyboard.keys()) == ("a\ncd", [])


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("", ""),
        ("\r \r", ""),
        ("a\rb\x7fc", "a\nc"),
        ("a\r", "a"),
        ("ab\x1b[D\x01\x15c", "c"),
        ("for i in x:\ry\rz\r\rw", "for i in x:\n    y\n    z\nw"),
        ("if x:\ry\r\x7felse:\rz", "if x:\n    y\nelse:\n    z"),
        ("for i in x:\r  y\r\r", "for i in x:\n  y"),
        ("f(a,\rb)\rc", "f(a,\n    b)\nc"),
        (PASTE.format("a\r\n\tb\rc") + "d", "a\n\tb\ncd"),
    ],
)
def test_keys_as_the_text_they_write(keys: str, text: str) -> None:
    waiting = Waiting(Line())
    waiting.press(parsed(keys))
    waiting.hold()
    assert (waiting.take_text(), waiting.take_keys()) == (text, [])


def test_no_key_is_taken_from_a_pager(keyboard: Keyboard) -> None:
    line = Line()
    waiting = Waiting(line)
    with reading(keyboard.input, waiting):
        with waiting.aside():
            keyboard.type("q")
            assert os.read(keyboard.theirs, 10) == b"q"
        keyboard.type("x")
        until(lambda: line.text == ">>> x")
    assert keyboard.keys() == parsed("x")


def test_an_escape_is_a_key_after_a_while(keyboard: Keyboard) -> None:
    waiting = Waiting(Line())
    with reading(keyboard.input, waiting):
        keyboard.type("\x1b")
        until(lambda: [key.key for key in waiting.keys] == [Keys.Escape])


def test_a_terminal_that_goes_ends_the_reading(keyboard: Keyboard) -> None:
    before = set(threading.enumerate())
    with reading(keyboard.input, Waiting(Line())):
        os.close(keyboard.ours)
        until(lambda: before.issuperset(threading.enumerate()))


def test_a_dumb_terminal_keeps_its_keys(keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    line, before = Line(), set(threading.enumerate())
    with reading(keyboard.input, Waiting(line)):
        assert before.issuperset(threading.enumerate())
        keyboard.type("ab")
    assert (line.raw, keyboard.input.read_keys()) == ("", parsed("ab"))


def test_what_is_no_terminal_keeps_its_keys() -> None:
    with create_pipe_input() as keyboard:
        keyboard.send_text("ab")
        with reading(keyboard, Waiting(Line())):
            pass
        assert get_typeahead(keyboard) == []
        assert keyboard.read_keys() == parsed("ab")


def test_neither_signals_nor_files_are_left(keyboard: Keyboard) -> None:
    def state() -> tuple[object, ...]:
        number = signal.set_wakeup_fd(-1)
        files = len(list(Path("/dev/fd").iterdir()))
        return signal.getsignal(signal.SIGCONT), number, files, termios.tcgetattr(keyboard.theirs)

    before = state()
    with reading(keyboard.input, Waiting(Line())):
        pass
    assert state() == before


# Imports that give way to keys.


def test_an_import_waits_for_a_pause_between_keys_and_no_longer_once_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in_no_hurry", "wanted_here"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("tensorcli.repl.gently.PAUSE_SECONDS", PATIENCE)
    monkeypatch.setattr("tensorcli.repl.gently.MOST_SECONDS", PATIENCE)
    app: Application[str] = Application(input=DummyInput(), output=DummyOutput())
    needed, begun = threading.Event(), threading.Event()
    (tmp_path / "begins.py").write_text("import test_typeahead_keys as keys; keys.press()")
    press = SimpleNamespace(press=lambda: (app.key_processor.before_key_press.fire(), begun.set()))
    monkeypatch.setitem(sys.modules, "test_typeahead_keys", press)  # type: ignore[arg-type]

    thread = threading.Thread(target=lambda: gently(app, needed, ("begins", "in_no_hurry")))
    thread.start()
    assert begun.wait(PATIENCE)
    importlib.import_module("wanted_here")  # another thread's
    thread.join(0.1)
    assert thread.is_alive()
    assert "in_no_hurry" not in sys.modules
    needed.set()
    thread.join(PATIENCE)
    assert "in_no_hurry" in sys.modules


@pytest.mark.parametrize("name", [*ENGINE, *ANSWERS])
def test_what_is_imported_gently_is_there(name: str) -> None:
    importlib.import_module(name)
