"""An engine that ends while nobody asks it anything: another takes its place, and the prompt says so."""

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_engine
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.application.current import AppSession
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from tensorcli.client import Pipe
from tensorcli.repl.loop import run
from tensorcli.report import AnyReport, Evaluate, Notice, Settings
from tensorcli.show import Screen

PATIENCE = 30  # seconds
ENDED = (
    "the engine was ended by SIGKILL (memory ran out, or somebody did it): "
    "a fresh engine takes its place, and your session is brought back"
)

BACK = "; 1 of its inputs were run again"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        os.sched_yield()


def number(pipe: Pipe) -> int:
    """Its engine's process."""
    assert pipe._engine._process
    return pipe._engine._process.pid


class Watched:
    """A client, its hellos and the ends that it told of."""

    def __init__(self) -> None:
        self.hellos: list[Settings] = []
        self.ends = 0
        self.pipe = Pipe(command=fake_engine.COMMAND, on_hello=self.hellos.append)
        self.pipe.on_end = self._ended

    def _ended(self) -> None:
        self.ends += 1

    def asked(self, text: str) -> list[str]:
        said: list[AnyReport] = []
        self.pipe.next_input()
        self.pipe.ask(Evaluate(text=text), said.append)
        return [each.text for each in said if hasattr(each, "text")]

    def kill(self, ends: int) -> None:
        """End the engine, and wait until this has been told for so many times in all."""
        os.kill(number(self.pipe), signal.SIGKILL)
        until(lambda: self.ends == ends)


@pytest.fixture
def watched() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.pipe.close()


def test_another_engine_starts_at_once_and_the_next_request_brings_the_session_back(watched: Watched) -> None:
    assert watched.asked("x = 41") == ["None"]
    watched.kill(1)
    until(lambda: len(watched.hellos) == 2)
    assert (watched.pipe.ended, watched.pipe.goes_on) == (False, True)
    first, second, value = watched.asked("x + 1")
    assert (first, value) == (ENDED, "42")
    assert second.endswith("; 1 of its inputs were run again")
    assert (watched.pipe.goes_on, watched.ends) == (False, 1)


def test_what_has_been_told_is_not_told_again(watched: Watched) -> None:
    watched.asked("1")
    watched.kill(1)
    assert watched.pipe.take_news() == Notice(text=ENDED)
    assert watched.pipe.take_news() is None
    assert ENDED not in watched.asked("2")


def test_one_that_ends_again_before_an_input_waits_for_it(watched: Watched) -> None:
    watched.asked("x = 41")
    watched.kill(1)
    until(lambda: len(watched.hellos) == 2)
    watched.kill(2)
    assert watched.pipe.ended
    assert watched.asked("x + 1")[::2] == [ENDED, "42"]
    watched.kill(3)
    until(lambda: len(watched.hellos) == 4)
    assert watched.asked("x + 2")[::2] == [ENDED, "43"]


def test_one_that_dies_of_a_request_or_at_the_end_is_no_news(watched: Watched) -> None:
    watched.asked("import os; os.kill(os.getpid(), 9)")
    assert watched.asked("2") == ["2"]
    watched.pipe.close()
    until(lambda: watched.pipe.ended)
    assert (watched.ends, watched.pipe.take_news(), len(watched.hellos)) == (0, None, 2)


def test_one_that_cannot_start_is_not_started_again(tmp_path: Path) -> None:
    ended, again = threading.Event(), tmp_path / "started"
    os.mkfifo(tmp_path / "gate")
    pipe = Pipe(command=["/bin/sh", "-c", f"cat {tmp_path}/gate; echo >> {again}"])
    pipe.on_end = ended.set
    (tmp_path / "gate").write_text("")
    assert ended.wait(PATIENCE)
    pipe.close()
    assert (pipe.ended, again.read_text()) == (True, "\n")


def at_the_prompt(pipe: Pipe, out: io.StringIO, types: Callable[[PipeInput, AppSession], None]) -> None:
    """Run a prompt whose first input is `x = 41`, and beside it what types the others and leaves it."""
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()) as session:
        thread = threading.Thread(target=types, args=(keyboard, session))
        keyboard.send_text("x = 41\r")
        thread.start()
        screen = Screen(stdout=out, stderr=out, color=False, width=200)
        assert run(lambda: pipe, lambda: screen, seed=7, color=None, history=Path(os.devnull)) == 0
    thread.join()


def played(begun: str, then: str) -> str:
    """What is shown where the engine is killed behind keys at the second prompt, before others and Enter."""
    out, pipe = io.StringIO(), Pipe(command=fake_engine.COMMAND)

    def type_on(keyboard: PipeInput, session: AppSession) -> None:
        try:
            until(lambda: "None" in out.getvalue() and session.app)
            keyboard.send_text(begun)
            until(lambda: session.app and session.app.is_running and session.app.current_buffer.text == begun)
            os.kill(number(pipe), signal.SIGKILL)
            until(lambda: ENDED in out.getvalue() and pipe.settings)
            until(lambda: begun or BACK in out.getvalue())
            keyboard.send_text(then + "\r")
        finally:
            keyboard.send_text("\x04")

    at_the_prompt(pipe, out, type_on)
    return out.getvalue()


@pytest.mark.parametrize(("begun", "then"), [("", "x + 1"), ("x +", " 1")])
def test_the_prompt_says_so_and_goes_on_with_what_is_typed(begun: str, then: str) -> None:
    shown = played(begun, then)
    assert shown.count(ENDED) == shown.count(BACK) == 1
    assert shown.index(ENDED) < shown.index(BACK) < shown.index("42")


def test_an_editor_that_is_open_keeps_what_is_written_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, done, editor = tmp_path / "opened", tmp_path / "done", tmp_path / "editor"
    os.mkfifo(done)
    editor.write_text(f'#!/bin/sh\ntouch {opened}\ncat {done} > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    out, pipe = io.StringIO(), Pipe(command=fake_engine.COMMAND)

    def edit(keyboard: PipeInput, session: AppSession) -> None:
        try:
            until(lambda: "None" in out.getvalue() and session.app)
            keyboard.send_text("\x18\x05")
            until(opened.exists)
            os.kill(number(pipe), signal.SIGKILL)
            until(lambda: pipe.goes_on and pipe.settings)
            assert session.app
            assert session.app.loop
            turned = threading.Event()
            session.app.loop.call_soon_threadsafe(turned.set)  # behind what the hello has the prompt do
            assert turned.wait(PATIENCE)
            done.write_text("x + 1\n")
            until(lambda: session.app and session.app.current_buffer.text == "x + 1")
            keyboard.send_text("\r")
        finally:
            keyboard.send_text("\x04")

    at_the_prompt(pipe, out, edit)
    assert out.getvalue().endswith("42\n")
