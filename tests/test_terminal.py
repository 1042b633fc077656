"""The playground in a real terminal: what a person sees, and what the keys do while the engine is busy."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from terminal import Terminal

Start = Callable[..., Terminal]
CTRL_C, CTRL_D, TAB, UP, ESCAPE = "\x03", "\x04", "\t", "\x1b[A", "\x1b"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `tensorcli repl` in a terminal, with a home of its own."""
    started: list[Terminal] = []

    def begin(*arguments: str, env: dict[str, str] | None = None, **size: Any) -> Terminal:
        home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
        started.append(Terminal("repl", *arguments, env={**home, **(env or {})}, **size))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


def begins(text: str) -> Callable[[list[str]], bool]:
    """Whether a line begins so."""
    return lambda lines: any(line.startswith(text) for line in lines)


def pasted(text: str) -> str:
    """The keys a terminal makes of a paste."""
    return f"{ESCAPE}[200~{text}{ESCAPE}[201~"


def test_a_session(start: Start, tmp_path: Path) -> None:
    terminal = start("--seed", "42")
    terminal.prompt()
    assert re.fullmatch(r"tensorcli \S+ - torch \S+ - seed 42", terminal.lines[0])
    assert terminal.lines[1] == "Type an expression. %help for commands, Ctrl-D to leave."

    terminal.type("x = torch.ones(2, 3)\rx @ x.T\r")
    terminal.see(begins("tensor([[3., 3.],"))
    assert "x = float32 [2, 3] cpu  24 B" in terminal.lines
    terminal.see(lambda lines: bool(re.match(r"cpu - float32 - seed 42 - input 3 - last \S+ ", lines[-1])))

    terminal.type(UP + " + 1\r")
    terminal.see(begins("tensor([[4., 4.],"))
    terminal.type("for i in range(2):\rprint(i)\r\r")
    looped = [">>> for i in range(2):", "...     print(i)", "...", "0", "1", ">>>"]
    terminal.see(lambda lines: lines[-7:-1] == looped)
    terminal.type("x.resh" + TAB)
    terminal.see(lambda _: terminal.line == ">>> x.reshape")
    terminal.type(CTRL_C)
    terminal.prompt()
    assert terminal.leave() == 0
    assert "+x @ x.T" in (tmp_path / "state" / "tensorcli" / "history").read_text().splitlines()


def test_ctrl_c_interrupts_the_evaluation_and_nothing_is_lost(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("x = 5\r" + pasted("print('on')\nwhile True: pass") + "\r")
    terminal.see("on")
    terminal.type(CTRL_C)
    terminal.see("interrupted")
    terminal.type("x + 2\r")
    terminal.see("7")
    assert terminal.leave() == 0


def test_ctrl_c_while_the_engine_starts_gives_up_that_input(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("111\r")
    terminal.see(lambda _: terminal.line == "starting torch ...")
    terminal.type(CTRL_C)
    terminal.prompt()
    assert "111" not in terminal.lines
    terminal.type("exit\r")
    assert terminal.end() == 0


def test_keys_typed_during_an_evaluation_are_for_the_next_prompt(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    terminal = start("--trust")
    terminal.prompt()
    terminal.type(pasted(f"print('busy')\nopen({str(gate)!r}).read()") + "\r")
    terminal.see("busy")
    terminal.type("6 * 7\r")
    gate.write_text("done")
    terminal.see("42")
    assert [line for line in terminal.lines if "6 * 7" in line] == [">>> 6 * 7"], "echoed into the output"
    assert terminal.leave() == 0


def test_an_engine_that_dies_leaves_the_session(start: Start) -> None:
    terminal = start("--trust")
    terminal.prompt()
    terminal.type("import os; os.kill(os.getpid(), 9)\r")
    terminal.see(lambda lines: any("the engine was ended by SIGKILL" in line for line in lines))
    terminal.type("6 * 7\r")
    terminal.see("42")
    assert terminal.leave() == 0


def test_a_dumb_terminal_gets_no_escape_codes(start: Start) -> None:
    terminal = start(env={"TERM": "dumb"})
    terminal.prompt()
    terminal.type("torch.ones(2)\rtorch.ones(2) @ torch.ones(3)\r")
    terminal.see(begins("error:"))
    assert terminal.leave() == 0
    assert ESCAPE not in terminal.raw


def test_no_colour_where_none_is_wanted(start: Start) -> None:
    terminal = start(env={"NO_COLOR": "1"})
    terminal.prompt()
    terminal.type("torch.ones(2)\rtorch.ones(2) @ torch.ones(3)\r")
    terminal.see(begins("error:"))
    terminal.type("for")
    terminal.see(lambda _: terminal.line == ">>> for")
    terminal.type(CTRL_C)
    assert terminal.leave() == 0
    styles = {style for codes in re.findall(r"\x1b\[([\d;]*)m", terminal.raw) for style in codes.split(";")}
    assert styles <= {"", "0", "1", "3", "4", "7"}, "bold, italic, underlined and reverse are no colours"


def test_twenty_columns_and_another_size_while_running(start: Start) -> None:
    terminal = start(columns=20)
    terminal.prompt()
    terminal.type("torch.ones(2)\r")
    terminal.see("tensor([1., 1.])")
    terminal.prompt()
    terminal.resize(rows=30, columns=100)
    terminal.see(lambda lines: lines[-1].startswith("cpu - float32 - seed "))
    terminal.type("'x' * 50\r")
    terminal.see(f"'{'x' * 50}'")
    assert terminal.leave() == 0


def test_a_pasted_block_is_edited_as_one(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type(pasted(">>> a = 6\r\n>>> def f(x):\r\n...     return a * x\r\n"))
    terminal.see(lambda lines: any(line.endswith("return a * x") for line in lines))
    terminal.type(">>> f(7)\r")
    terminal.see("42")
    assert terminal.leave() == 0


def test_a_home_that_cannot_be_written_changes_nothing(start: Start) -> None:
    terminal = start(env={"HOME": "/dev/null", "XDG_STATE_HOME": "/dev/null/state"})
    terminal.prompt()
    terminal.type("%help %seed\r")
    terminal.see(begins("%seed [N]  "))
    assert terminal.leave() == 0


def test_a_terminal_that_goes_away_ends_it(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.child.kill(signal.SIGHUP)
    assert terminal.end() != 0
