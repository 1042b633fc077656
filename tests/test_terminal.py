"""The playground in a real terminal: what a person sees, and what the keys do while the engine is busy."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from terminal import Terminal

Start = Callable[..., Terminal]
ESCAPE = "\x1b"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `tensorcli` in a terminal, with a home of its own."""
    started: list[Terminal] = []

    def begin(*arguments: str, env: dict[str, str] | None = None, **size: Any) -> Terminal:
        home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
        started.append(Terminal(*arguments, env={**home, **(env or {})}, **size))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


def test_a_session(start: Start, tmp_path: Path) -> None:
    terminal = start("repl", "--seed", "42")
    terminal.prompt()
    assert re.fullmatch(r"tensorcli \S+ - torch \S+ - seed 42", terminal.lines[0])
    assert terminal.lines[1] == "Type an expression. %help for commands, Ctrl-D to leave."

    terminal.type("x = torch.ones(2, 3)\rx @ x.T\r")
    lines = terminal.see(lambda lines: any(line.startswith("tensor([[3., 3.],") for line in lines))
    assert "x = float32 [2, 3] cpu  24 B" in lines
    terminal.see(lambda lines: bool(re.match(r"cpu - float32 - seed 42 - input 3 - last \S+ ", lines[-1])))

    terminal.type("for i in range(2):\rprint(i)\r\r")
    assert terminal.see("1")[-4:-1] == ["0", "1", ">>>"]
    terminal.type("x.res\t")
    terminal.see(lambda _: terminal.line.startswith(">>> x.reshape") or any("reshape" in line for line in terminal.lines))
    terminal.type("\x03")
    terminal.prompt()
    assert terminal.leave() == 0
    assert "+x @ x.T" in (tmp_path / "state" / "tensorcli" / "history").read_text().splitlines()


def test_ctrl_c_interrupts_the_evaluation_and_nothing_is_lost(start: Start) -> None:
    terminal = start("repl")
    terminal.prompt()
    terminal.type("x = 5\rprint('on')\rwhile True: pass\r\r")
    terminal.see("on")
    terminal.see(lambda lines: lines[-1] == "..." or terminal.line == "")
    terminal.type("\x03")
    terminal.see(lambda lines: any(line.startswith("error: interrupted") for line in lines))
    terminal.prompt()
    terminal.type("x\r")
    terminal.see("5")
    assert terminal.leave() == 0


def test_keys_typed_during_an_evaluation_are_for_the_next_prompt(start: Start) -> None:
    terminal = start("repl")
    terminal.prompt()
    terminal.type("while True: print('busy'); torch.rand(300, 300) @ torch.rand(300, 300)\r\r")
    terminal.see("busy")
    terminal.type("6 * 7")
    terminal.type("\x03")
    terminal.see(lambda _: terminal.line == ">>> 6 * 7")
    assert not any("6 * 7" in line and "busy" in line for line in terminal.lines), "echoed into the output"
    terminal.type("\r")
    terminal.see("42")
    assert terminal.leave() == 0


def test_an_engine_that_dies_leaves_the_session(start: Start) -> None:
    terminal = start("repl", "--trust")
    terminal.prompt()
    terminal.type("import os; os.abort()\r")
    terminal.see(lambda lines: any("the engine was ended by SIGABRT" in line for line in lines))
    terminal.prompt()
    terminal.type("6 * 7\r")
    terminal.see("42")
    assert terminal.leave() == 0


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_no_colour_where_none_is_wanted(start: Start, env: dict[str, str]) -> None:
    terminal = start("repl", env=env)
    terminal.see(lambda _: terminal.line.startswith(">>>"))
    terminal.type("torch.ones(2)\rtorch.ones(2) @ torch.ones(3)\r")
    terminal.see(lambda lines: any(line.startswith("error:") for line in lines))
    terminal.see(lambda _: terminal.line.startswith(">>>"))
    assert terminal.leave() == 0
    if env == {"TERM": "dumb"}:
        assert ESCAPE not in terminal.raw
    else:  # moves of the cursor, but only the styles that are no colour
        assert set(re.findall(r"\x1b\[([\d;]*)m", terminal.raw)) <= {"", "0", "0;1", "0;3", "0;4", "0;7"}


def test_twenty_columns_and_another_size_while_running(start: Start) -> None:
    terminal = start("repl", columns=20)
    terminal.prompt()
    terminal.type("torch.ones(2, 3)\r")
    terminal.see(lambda lines: any("tensor([[1., 1., 1.]" in line for line in lines))
    terminal.resize(rows=30, columns=100)
    terminal.prompt()
    terminal.type("'wide' + ' enough'\r")
    terminal.see("'wide enough'")
    assert terminal.leave() == 0


def test_a_pasted_block_is_edited_as_one(start: Start) -> None:
    terminal = start("repl")
    terminal.prompt()
    terminal.type(f"{ESCAPE}[200~>>> a = 6\r\n>>> def f(x):\r\n...     return a * x\r\n{ESCAPE}[201~")
    terminal.see(lambda lines: any(line.endswith("return a * x") for line in lines))
    terminal.type(">>> f(7)\r")
    terminal.see("42")
    assert terminal.leave() == 0


def test_a_terminal_that_goes_away_ends_it(start: Start) -> None:
    terminal = start("repl")
    terminal.prompt()
    terminal.child.close(force=False)
    assert not terminal.child.isalive()
