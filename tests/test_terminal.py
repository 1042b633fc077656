"""The playground in a real terminal: what a person sees, and what the keys do while the engine is busy."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from terminal import Terminal

from tensorcli.commands import COMMANDS

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

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


class Gate:
    """An input, `text`, that says it is busy and then stays so until somebody opens the gate."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        self.text = f"print('busy')\nopen({str(path)!r}).read()[:0]\n"

    def open(self) -> None:
        """Let it end."""
        self._path.write_text("done")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """One gate; `Gate` makes more."""
    return Gate(tmp_path / "gate")


def begins(text: str) -> Callable[[list[str]], bool]:
    """Whether a line begins so."""
    return lambda lines: any(line.startswith(text) for line in lines)


def has(text: str) -> Callable[[list[str]], bool]:
    """Whether a line has it."""
    return lambda lines: any(text in line for line in lines)


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


def test_keys_typed_during_an_evaluation_are_for_the_next_prompt(start: Start, gate: Gate) -> None:
    terminal = start("--trust")
    terminal.prompt()
    terminal.type(pasted(gate.text) + "\r")
    terminal.see("busy")
    terminal.type("6 * 7\r")
    gate.open()
    terminal.see("42")
    assert [line for line in terminal.lines if "6 * 7" in line] == [">>> 6 * 7"], "echoed into the output"
    assert terminal.leave() == 0


def test_what_is_typed_during_an_evaluation_is_seen_below_its_output(start: Start, tmp_path: Path) -> None:
    gates = [Gate(tmp_path / "first"), Gate(tmp_path / "second")]
    terminal = start("--trust", "--seed", "5", columns=40)  # no seed with a 70 in it
    terminal.prompt()
    terminal.type(pasted("".join(gate.text for gate in gates)) + "\r")
    terminal.see("busy")
    terminal.type("6 * 88\x7f\x7f7")
    terminal.see(lambda _: terminal.line == ">>> 6 * 7")
    gates[0].open()
    terminal.see(lambda lines: lines[-3:] == ["busy", "busy", ">>> 6 * 7"] and terminal.line == lines[-1])
    terminal.type("\r" + pasted("for i in range(2):\n    print(i + 70)"))
    terminal.see(lambda _: terminal.line == "(2 queued) >>>     print(i + 70)")
    gates[1].open()
    terminal.see(begins("...     print(i + 70)"))
    terminal.type("\r\r")
    terminal.see("71")
    terminal.prompt()
    shown = [line for line in terminal.lines if "6 * 7" in line or line == "42" or "70" in line]
    assert shown == [">>> 6 * 7", "42", "...     print(i + 70)", "70"]
    assert terminal.leave() == 0


def test_ctrl_c_leaves_what_was_typed_ahead_to_be_edited(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type(pasted("print('busy')\nwhile True: pass") + "\r")
    terminal.see("busy")
    terminal.type("k = 5\rhalf")
    terminal.see(lambda _: terminal.line == "(1 queued) >>> half")
    terminal.type(CTRL_C)
    terminal.see(lambda lines: lines[-3:-1] == [">>> k = 5", "... half"] and terminal.line == "... half")
    assert not [line for line in terminal.lines if line.startswith("k = int")]
    terminal.type("\x7f" * 4 + "k * 7\r")
    terminal.see("35")
    assert terminal.leave() == 0


def test_keys_are_seen_while_torch_loads(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("111\r")
    terminal.see(lambda _: terminal.line == "starting torch ...")
    terminal.type("6 * 7")
    terminal.see(lambda _: terminal.line == "starting torch ...  >>> 6 * 7")
    terminal.see(lambda _: terminal.line == ">>> 6 * 7")
    terminal.see("111")
    terminal.type("\r")
    terminal.see("42")
    assert not [line for line in terminal.lines if "starting" in line]
    assert terminal.leave() == 0


def test_an_engine_that_dies_leaves_the_session(start: Start) -> None:
    terminal = start("--trust")
    terminal.prompt()
    terminal.type("import os; os.kill(os.getpid(), 9)\r")
    terminal.see(lambda lines: any("the engine was ended by SIGKILL" in line for line in lines))
    terminal.type("6 * 7\r")
    terminal.see("42")
    assert terminal.leave() == 0


def test_a_session_is_back_before_the_next_input_where_its_engine_ends_meanwhile(start: Start) -> None:
    terminal = start("--trust", columns=100)
    terminal.prompt()
    terminal.type("import os; x = os.getpid(); print('it', x)\r")
    found = terminal.see(begins("it "))
    terminal.see(has("input 2"))
    terminal.prompt()
    os.kill(int(next(line for line in found if line.startswith("it ")).split()[1]), signal.SIGKILL)
    terminal.see(begins("the engine was ended by SIGKILL"))
    terminal.see(has("the session is back in"))
    terminal.see(has("input 2"))
    assert terminal.line == ">>> "
    assert terminal.leave() == 0


def test_a_dumb_terminal_gets_no_escape_codes(start: Start) -> None:
    terminal = start(env={"TERM": "dumb"})
    terminal.prompt()
    terminal.type("torch.ones(2)\rtorch.ones(2) @ torch.ones(3)\r")
    terminal.see(begins("error:"))
    terminal.prompt()
    terminal.type("for i in range(2):\rprint(i + 41)\x7f0\x7f)\r")
    terminal.see(lambda lines: lines[-3:] == [">>> for i in range(2):", "...     print(i + 41)", "..."])
    assert terminal.line == "...     "
    terminal.type("\r")
    terminal.see("42")
    terminal.prompt()
    terminal.type("x = 'ab'" + "\x7f" * 3)
    terminal.see(lambda _: terminal.line == ">>> x = '")
    terminal.type(CTRL_C)
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


def test_other_sizes_while_running_and_during_an_answer(start: Start, gate: Gate) -> None:
    terminal = start("--trust", columns=20)
    terminal.prompt()
    terminal.type("torch.ones(2)\r")
    terminal.see("tensor([1., 1.])")
    terminal.prompt()
    terminal.see(lambda lines: lines[-1] == "cpu - --trust")
    terminal.resize(rows=30, columns=100)
    terminal.see(lambda lines: lines[-1].startswith("cpu - float32 - seed "))
    terminal.type("'x' * 50\r")
    terminal.see(f"'{'x' * 50}'")
    terminal.prompt()

    terminal.type(pasted(gate.text + "torch.ones(3, 4) @ torch.ones(3)") + "\r")
    terminal.see("busy")
    terminal.resize(rows=24, columns=40)
    gate.open()
    terminal.see(begins("  message: size mismatch"))
    terminal.prompt()
    terminal.see(lambda lines: lines[-1].startswith("cpu - float32"))
    terminal.type("x" * 60)
    terminal.see(lambda lines: "x" * 24 in lines)
    terminal.resize(rows=24, columns=80)
    terminal.see(lambda _: terminal.line == ">>> " + "x" * 60)
    terminal.type(CTRL_C)
    assert terminal.leave() == 0


LONG = "\n".join(["def f(x):", *(f"    x = x + {number}" for number in range(1000)), "    return x"])


def test_a_thousand_lines_are_pasted(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type(pasted(LONG.replace("\n", "\r")))
    terminal.see(begins("...     return x"))
    terminal.type("\r\r")
    terminal.prompt()
    terminal.type("f(0)\r")
    terminal.see("499500")
    assert terminal.leave() == 0


def test_a_thousand_lines_come_unmarked(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type(LONG.replace("\n", "\r"))
    terminal.see(lambda _: terminal.line == "...     return x")
    terminal.type("\r\rf(0)\r")
    terminal.see("499500")
    assert terminal.leave() == 0


def test_what_is_pasted_runs_at_enter_and_not_before(start: Start, gate: Gate) -> None:
    terminal = start("--trust")
    terminal.prompt()
    terminal.type(pasted(gate.text) + "\r")
    terminal.see("busy")
    terminal.type(pasted("# Title\r\r```python\rx = 6\rx * 7\r```\rIt isn't.\r"))
    gate.open()
    terminal.see("... It isn't.")
    assert "42" not in terminal.lines
    terminal.type("\r")
    terminal.see("42")
    terminal.type(pasted('{"cells": [{"cell_type": "code", "source": ["y = x\\n", "y * 100"]}]}') + "\r")
    terminal.see("600")
    assert terminal.leave() == 0


def test_wide_characters_are_edited_and_aligned(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("名 = '日本語 \U0001f600 e\u0301'; ab = torch.ones(2)" + "\x1b[D" * 3 + "c\x7f" + "\x05\r")
    terminal.see(begins("ab = float32 [2] cpu"))
    terminal.type("%whos\r")
    lines = terminal.see(lambda lines: any(line.startswith("ab ") for line in lines) and "float32" in str(lines[-2:]))
    terminal.prompt()
    ab, name = (next(line for line in lines[::-1] if line.split(" ")[0] == each) for each in ("ab", "名"))
    assert ab.index("float32") == name.index("str") + 1, "a wide character takes two cells, and pyte gives it one"
    terminal.type("len(名)\r")
    terminal.see("8")
    assert terminal.leave() == 0


def test_keys_of_vi_and_the_change_to_them(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("%config keys vi\r")
    terminal.see(lambda lines: lines[-1].startswith("insert - cpu"))
    terminal.prompt()
    terminal.type("b * 7\x1b")
    terminal.see(lambda lines: lines[-1].startswith("normal - cpu"))
    terminal.type("0r6")
    terminal.see(lambda _: terminal.lines[-2] == ">>> 6 * 7")
    terminal.type("\r")
    terminal.see("42")
    terminal.prompt()
    terminal.type("%config keys emacs\r")
    terminal.see(lambda lines: lines[-1].startswith("cpu"))
    assert terminal.leave() == 0


def test_the_configuration_holds_from_the_first_prompt_and_what_is_wrong_is_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config" / "tensorcli").mkdir(parents=True)
    (tmp_path / "config" / "tensorcli" / "config.toml").write_text('keys = "vi"\nouch = 1\n')
    terminal = start(env={"XDG_CONFIG_HOME": str(tmp_path / "config")}, columns=200)
    terminal.prompt()
    assert terminal.lines[2].startswith("warning: ")
    assert terminal.lines[2].endswith("max_memory")
    terminal.see(lambda lines: lines[-1].startswith("insert - "))
    terminal.type("%config theme light --save\r")
    terminal.see(begins(str(tmp_path)))
    assert terminal.leave() == 0
    saved = (tmp_path / "config" / "tensorcli" / "config.toml").read_text()
    assert saved == 'keys = "vi"\nouch = 1\ntheme = "light"\n'


def program(folder: Path, name: str, code: str) -> str:
    """A command that runs this code."""
    (folder / name).write_text(code)
    return f"{sys.executable} {folder / name}"


def test_an_editor_gets_the_input_and_nothing_runs(start: Start, tmp_path: Path) -> None:
    code = """import pathlib, sys
path = pathlib.Path(sys.argv[-1])
path.write_text('x = 6\\n' + path.read_text() + 'x * y')
"""
    terminal = start(env={"VISUAL": program(tmp_path, "editor", code)})
    terminal.prompt()
    terminal.type("y = 7\x18\x05")
    terminal.see(lambda lines: lines[-4:-1] == [">>> x = 6", "... y = 7", "... x * y"])
    assert "42" not in terminal.lines
    terminal.type("\r")
    terminal.see("42")
    assert terminal.leave() == 0


def test_what_is_typed_has_the_colours_of_its_background(start: Start) -> None:
    terminal = start()

    def colors(column: int) -> tuple[str, str]:
        character = terminal.screen.buffer[terminal.screen.cursor.y][column]
        return character.fg, character.bg

    terminal.prompt()
    terminal.type("for i in (1)")
    terminal.see(lambda _: colors(4) == ("87afff", "default"))
    terminal.see(lambda _: colors(13) == colors(15) == ("ffffff", "005f87"))
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type("%config theme light\r")
    terminal.see(begins("theme ="))
    terminal.prompt()
    terminal.type("for")
    terminal.see(lambda _: colors(4) == ("005faf", "default"))
    terminal.type(CTRL_C)
    terminal.prompt()
    assert terminal.leave() == 0


def test_a_pager_shows_what_commands_answer_where_it_does_not_fit(start: Start, gate: Gate, tmp_path: Path) -> None:
    code = """import sys
lines = sys.stdin.read().splitlines()
print(f"{len(lines)} lines paged", flush=True)
open("/dev/tty").readline()
"""
    terminal = start("--trust", env={"PAGER": program(tmp_path, "pager", code)})
    terminal.prompt()
    terminal.type("%help %save\r")
    terminal.see(lambda lines: any(line.startswith("%save -f notes.py") for line in lines))
    terminal.prompt()
    terminal.type("%help\r")
    terminal.see(f"{len(COMMANDS)} lines paged")
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type("torch.arange(64).reshape(32, 2)\r")  # a result, and what is printed, is no text to read
    terminal.see(lambda lines: any(line.endswith("[62, 63]])") for line in lines))
    terminal.prompt()
    terminal.type("for i in range(50): print(i)\r")
    terminal.see("49")
    terminal.prompt()
    terminal.type(pasted(gate.text + "%help") + "\r")
    terminal.see("busy")
    terminal.type("6 * 7\r")
    gate.open()
    terminal.see("42")
    terminal.prompt()
    (tmp_path / "looks.md").write_text("```python\n%help\n'all ' + 'run'\n```\n")
    terminal.type(f"%run {tmp_path / 'looks.md'}\r")
    terminal.see("'all run'")
    assert not [line for line in terminal.lines if "paged" in line], "keys were waiting, and a file ran"
    terminal.type("%config pager off\r")
    terminal.see(begins("pager = false"))
    terminal.type("%help\r")
    terminal.see(lambda lines: any(line.startswith("!nvidia-smi") for line in lines))
    assert terminal.leave() == 0


def test_an_earlier_session_is_there_before_the_first_prompt(start: Start) -> None:
    terminal = start("--seed", "5")
    terminal.prompt()
    terminal.type("x = torch.ones(3)\r")
    terminal.see(begins("x = float32"))
    terminal.prompt()
    assert terminal.leave() == 0
    assert terminal.lines[-1] == "tensorcli repl --resume goes on with this session"

    terminal = start("--resume")
    terminal.see(lambda lines: any(line.endswith("- seed 5") for line in lines))
    terminal.see(has("; 1 of its inputs were run again"))
    terminal.prompt()
    terminal.see(has("seed 5 - input 2"))
    terminal.type("x + 1")
    terminal.see(lambda lines: any(line.startswith("float32 [3]") for line in lines))
    terminal.type("\r")
    terminal.see("tensor([2., 2., 2.])")
    terminal.prompt()
    assert terminal.leave() == 0


def test_a_session_in_which_nothing_changed_is_not_told_of(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("6 * 7\r")
    terminal.see("42")
    terminal.prompt()
    assert terminal.leave() == 0
    assert "--resume" not in terminal.raw


def test_an_earlier_session_that_is_not_waited_for_is_brought_back_by_the_next_input(start: Start) -> None:
    terminal = start()
    terminal.prompt()
    terminal.type("x = 42\r")
    terminal.see(has("input 2"))
    terminal.prompt()
    assert terminal.leave() == 0

    terminal = start("--resume")
    terminal.see(has("bringing the session back: starting torch"))
    terminal.type(CTRL_C)
    terminal.see(begins("bringing the session back was interrupted: the next input tries it again"))
    terminal.prompt()
    terminal.type("x\r")
    terminal.see(has("; 1 of its inputs were run again"))
    terminal.see("42")
    assert terminal.leave() == 0


def test_tab_goes_on_behind_a_folder_that_it_took(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub dir" / "one.npy").touch()
    terminal = start(columns=200)
    terminal.see(has("input 1"))
    terminal.type(f"%load {tmp_path}/su")
    terminal.see(lambda _: terminal.line.endswith("/su"))
    terminal.type(TAB)
    terminal.see(lambda _: terminal.line == f'>>> %load "{tmp_path}/sub dir/')
    terminal.type(TAB)
    terminal.see(lambda _: terminal.line == f'>>> %load "{tmp_path}/sub dir/one.npy"')
    terminal.type(CTRL_C)
    terminal.prompt()
    assert terminal.leave() == 0


def test_a_menu_leaves_the_line_below_and_room_for_help(start: Start) -> None:
    terminal = start(columns=40, rows=14)
    terminal.prompt()
    terminal.type("x = torch.ones(2, 3)\r" + "1\r" * 9 + "6 * 7\r")
    terminal.see("42")
    terminal.prompt()
    terminal.type("x.sum(dim=")
    terminal.see(begins("x.sum("))
    terminal.type(TAB)
    lines = terminal.see(has(" dim=0 (2)"))
    assert [line.strip() for line in lines[-5:-1]] == [
        ">>> x.sum(dim=",
        "dim=0 (2)",
        "dim=1 (3)",
        "x.sum(dim=None, ...) -> Tensor",
    ]
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type("F." + TAB)
    lines = terminal.see(lambda lines: len(lines) > 8 and lines[-9] == ">>> F.")
    assert lines[-8].startswith(" relu                Applies")
    assert len(lines[-8]) > 35
    terminal.type(CTRL_C)
    terminal.prompt()
    assert terminal.leave() == 0


def test_earlier_inputs_are_found_again(start: Start) -> None:
    first = start()
    first.prompt()
    first.type("for i in range(2):\rprint('needle', i)\r\r")
    first.see("needle 1")
    first.type("1 + 1\r")
    first.see("2")
    assert first.leave() == 0

    terminal = start()
    terminal.prompt()
    terminal.type("\x12needle")
    terminal.see(begins(">>> for i in range(2):"))
    terminal.type("\r")
    terminal.see(begins("...     print('needle', i)"))
    terminal.type("\r\r")
    terminal.see("needle 1")
    terminal.prompt()
    terminal.type(UP * 3)  # through the two lines of the last one
    terminal.see(lambda _: terminal.line == ">>> 1 + 1")
    terminal.type(CTRL_C)
    assert terminal.leave() == 0


def test_a_terminal_that_does_not_say_where_its_cursor_is(start: Start) -> None:
    terminal = start()
    terminal.screen.write_process_input = lambda data: None
    terminal.prompt()
    terminal.type("6 * 7\r")
    terminal.see("42")
    terminal.prompt()
    assert terminal.leave() == 0
    assert "WARNING" not in terminal.raw


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
