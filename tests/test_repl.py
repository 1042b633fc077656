"""The prompt without a terminal: keys through prompt_toolkit's pipe input, over canned answers."""

import asyncio
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fake_engine
import pytest
from msgspec.structs import replace
from prompt_toolkit.application import create_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from tensorcli import report
from tensorcli.client import Canned, Pipe
from tensorcli.config import Config, Preferences
from tensorcli.repl import batch, history
from tensorcli.repl.answer import Answers
from tensorcli.repl.completion import EngineCompleter
from tensorcli.repl.history import Inputs
from tensorcli.repl.indent import after
from tensorcli.repl.keys import enter
from tensorcli.repl.loop import run
from tensorcli.repl.toolbar import AWAY, ENDED, banner, toolbar
from tensorcli.repl.typeahead import Waiting
from tensorcli.report import AnyReport, AnyRequest, Configure, Diagnosis, Evaluate, Notice, Settings, Suggestion, Value
from tensorcli.show import Screen

SETTINGS = Settings(
    version="0", torch="2.13", device="cpu", dtype="float32", seed=7, threads=2, no_cuda="none", inputs=2
)
CTRL_C, CTRL_D, ALT_ENTER, TAB, BACKSPACE = "\x03", "\x04", "\x1b\r", "\t", "\x7f"


def screen() -> tuple[Screen, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Screen(stdout=out, stderr=err, color=False, width=80), out, err


def value_of(request: AnyRequest) -> Iterable[AnyReport]:
    """Each text is its own value."""
    return [Value(text=request.text, seconds=1.0)] if isinstance(request, Evaluate) else []


def play(
    keys: str,
    tmp_path: Path,
    answers: Callable[[AnyRequest], Iterable[AnyReport]] = value_of,
    *,
    preferences: Preferences | None = None,
) -> list[str]:
    """Type keys, and leave; the texts that were evaluated."""
    client = Canned(answers, settings=SETTINGS)
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        keyboard.send_text(keys + CTRL_C + CTRL_D)
        options = {"color": None, "history": tmp_path / "history", "preferences": preferences}
        code = run(lambda: client, lambda: screen()[0], seed=7, **options)
    assert code == 0
    assert client.closed
    return [request.text for request in client.asked if isinstance(request, Evaluate)]


def test_an_input_is_asked_and_its_answer_shown(tmp_path: Path) -> None:
    shown, out, _ = screen()
    client = Canned(value_of, settings=SETTINGS)
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        keyboard.send_text("x + 1\r" + CTRL_D)
        run(lambda: client, lambda: shown, seed=7, color=None, history=tmp_path / "h")
    assert "x + 1" in out.getvalue()
    assert client.asked == [Evaluate(text="x + 1"), Configure()]


@pytest.mark.parametrize("keys", ["", "\r\r   \r", "exit\r", "quit\r", "exit()\r", " quit() \r", "abc" + CTRL_C])
def test_leaving(keys: str, tmp_path: Path) -> None:
    assert play(keys, tmp_path) == []


@pytest.mark.parametrize(
    ("keys", "texts"),
    [
        ("a\rb\r", ["a", "b"]),
        ("f(1,\r2)\r", ["f(1,\n    2)"]),
        ("for i in x:\ry\r\r", ["for i in x:\n    y"]),
        ("if x:\rreturn\relse:\rz\r\r", ["if x:\n    return\nelse:\n    z"]),
        ("abc" + CTRL_C + "d\r", ["d"]),
        ("for i in x:\r" + CTRL_C + "d\r", ["d"]),
        ("f(" + ALT_ENTER, ["f("]),
        ("f(\r" + TAB + "1)\r", ["f(\n        1)"]),
        ("for i in x:\r    if i:\r        y\r\r    z\rk\rl\r", ["for i in x:\n    if i:\n        y\n\n    z\nk", "l"]),
        ("x = 'abcdefghij'\ry\x1b[D\x1b[D12345678901234567890\r", ["x = 'abcdefghij'", "12345678901234567890y"]),
        ("f(a,\r  b)\rfor i in x:\ry\r\r", ["f(a,\n  b)", "for i in x:\n    y"]),
        ("for i in x:\ry\r" + BACKSPACE + "z\r", ["for i in x:\n    y\nz"]),
        ("\x1b[200~for i in x:\n    y\nz\n\x1b[201~", []),
        ("\x1b[200~for i in x:\n    y\nz\n\x1b[201~\r", ["for i in x:\n    y\nz"]),
        ("\x1b[200~>>> a\r\n>>> b\r\n1\x1b[201~\r", ["a\nb"]),
        ("# comment\r", []),
        ("é = '\u2192 \U0001f600'\r", ["é = '\u2192 \U0001f600'"]),
        ("x = 1 \x00\r", ["x = 1"]),
    ],
)
def test_keys_to_texts(keys: str, texts: list[str], tmp_path: Path) -> None:
    assert play(keys, tmp_path) == texts


@pytest.mark.parametrize(
    ("keys", "texts"),
    [
        ("bc\x1b0iab \x1bAd\r", ["ab bcd"]),
        ("a b\x1b0dwx", []),
        ("a b\x1b0dw\r", ["b"]),
        ("for i in x:\ry\r\r", ["for i in x:\n    y"]),
        ("for i in x:\ry(i)\rz(i)\x1b\r", ["for i in x:\n    y(i)\n    z(i)"]),
        ("for i in x:\ry(i)\x1bk0\r", ["for i in x:\n    y(i)"]),
        ("f(a)\x1b0\r", ["f(a)"]),
        ("f(a,\rb,\x1bk\rxAc)\x1b\r", ["f(a,\n    ,c)"]),
        ("f(a,\x1b0\rb)\r", ["f(a,\n    b)"]),
        ("for i in x:\x1b\ry\x1b\r", ["for i in x:\n    y"]),
        ("f(a)\x1bv0\r\x1b\r", ["f(a)"]),
    ],
)
def test_keys_of_vi(keys: str, texts: list[str], tmp_path: Path) -> None:
    assert play(keys, tmp_path, preferences=Preferences(Config(keys="vi"))) == texts


def test_a_found_input_runs_from_where_it_was_found(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "history")
    for text in ("f('needle', 1)", "other"):
        inputs.append_string(text)
    assert play("\x12needle\r\r", tmp_path) == ["f('needle', 1)"]


def test_a_ctrl_d_in_a_line_does_not_leave(tmp_path: Path) -> None:
    assert play("ab\x1b[D\x04\r" + "c\r", tmp_path) == ["a", "c"]


def test_ctrl_c_that_arrives_between_prompts_keeps_the_session(tmp_path: Path) -> None:
    def interrupted_once(request: AnyRequest) -> Iterable[AnyReport]:
        if request == Evaluate(text="a"):
            raise KeyboardInterrupt
        return value_of(request)

    assert play("a\rb\r", tmp_path, interrupted_once) == ["a", "b"]


def test_a_suggestion_is_accepted_by_its_number(tmp_path: Path) -> None:
    advice = Suggestion(title="t", edit="A @ A.T", source="A @ A.T", result=report.Result(shape=(3, 3)))

    def failing(request: AnyRequest) -> Iterable[AnyReport]:
        if request == Evaluate(text="A @ A"):
            return [Diagnosis(code="c", category="shape", title="t", suggestions=(advice,))]
        return value_of(request)

    assert play("A @ A\r1\r1\rA @ A\r2\r", tmp_path, failing) == ["A @ A", "A @ A.T", "1", "A @ A", "2"]
    assert play("A @ A\r00011\r", tmp_path, failing) == ["A @ A", "00011"]


def test_a_suggestion_brings_what_its_mistake_kept_from_running(tmp_path: Path) -> None:
    advice = Suggestion(title="t", edit="A @ A.T", source="B = A @ A.T", result=report.Result(shape=(3, 3)))
    failure = Diagnosis(code="c", category="shape", title="t", suggestions=(advice,), not_run="print(B)")

    def failing(request: AnyRequest) -> Iterable[AnyReport]:
        return [failure] if request == Evaluate(text="B = A @ A; print(B)") else value_of(request)

    taken = play("B = A @ A; print(B)\r1\r", tmp_path, failing)
    assert taken == ["B = A @ A; print(B)", "B = A @ A.T\nprint(B)"]


def test_an_engine_that_cannot_be_made_is_not_hidden(tmp_path: Path) -> None:
    def nothing() -> Canned:
        raise RuntimeError("no engine")

    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        keyboard.send_text("x\r")
        with pytest.raises(RuntimeError, match="no engine"):
            run(nothing, lambda: screen()[0], seed=7, color=None, history=tmp_path / "h")


def test_the_line_about_starting_is_drawn_and_erased(tmp_path: Path) -> None:
    class Recorder(DummyOutput):
        written = ""

        def write_raw(self, data: str) -> None:
            Recorder.written += data

    client = Canned(value_of)  # it never says hello
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=Recorder()):
        keyboard.send_text("x\r" + CTRL_D)
        run(lambda: client, lambda: screen()[0], seed=7, color=None, history=tmp_path / "h")
    assert Recorder.written == "\rstarting torch ...\r                  \r"


# History.


def test_inputs_are_kept_for_the_next_session(tmp_path: Path) -> None:
    play("one\rfor i in x:\ry\r\r", tmp_path)
    play("two\r", tmp_path)
    kept = ["two", "for i in x:\n    y", "one"]
    assert list(Inputs(tmp_path / "history").load_history_strings()) == kept


@pytest.mark.parametrize("path", ["/proc/nothing/here/history", "/dev/null/history", "/"])
def test_a_place_that_cannot_be_written_is_done_without(path: str, tmp_path: Path) -> None:
    inputs = Inputs(Path(path))
    inputs.store_string("x")
    assert list(inputs.load_history_strings()) == []


def test_sessions_that_run_at_once_lose_nothing_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "READ", history.MOST)

    def session(name: int) -> None:
        inputs = Inputs(tmp_path / "h")
        for number in range(100):
            inputs.append_string(f"for i in {name}:\n    {'x' * 200}\n    {number}")

    with ThreadPoolExecutor() as pool:
        list(pool.map(session, range(4)))
    kept = list(Inputs(tmp_path / "h").load_history_strings())
    for name in range(4):
        own = [f"for i in {name}:\n    {'x' * 200}\n    {number}" for number in range(100)]
        assert [text for text in reversed(kept) if text.startswith(f"for i in {name}")] == own
    assert len(kept) == 400


def test_an_input_that_is_too_long_pushes_no_other_out(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "h")
    for text in ("first", "x" * history.MOST, "last"):
        inputs.append_string(text)
    assert list(Inputs(tmp_path / "h").load_history_strings()) == ["last", "first"]


def test_the_own_inputs_come_before_those_of_a_session_beside_it(tmp_path: Path) -> None:
    async def loaded(inputs: Inputs) -> list[str]:
        return [text async for text in inputs.load()]

    one, other = Inputs(tmp_path / "h"), Inputs(tmp_path / "h")
    one.append_string("before")
    assert asyncio.run(loaded(other)) == ["before"]
    other.append_string("own")
    one.append_string("beside")
    assert asyncio.run(loaded(other)) == ["own", "before"]
    assert asyncio.run(loaded(Inputs(tmp_path / "h"))) == ["beside", "own", "before"]


def test_the_file_of_inputs_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 2000)
    inputs = Inputs(tmp_path / "h")
    for number in range(500):
        inputs.append_string(f"x = {number}\ny")
        assert (tmp_path / "h").stat().st_size <= 2100
    kept = list(Inputs(tmp_path / "h").load_history_strings())
    assert kept == [f"x = {number}\ny" for number in range(499, 499 - len(kept), -1)]
    assert len(kept) > 15
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h", "h.lock"]


def test_damage_loses_nothing_else(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "h")
    inputs.append_string("one\ntwo")
    with (tmp_path / "h").open("ab") as file:
        file.write(b"\xff\x00+\n+half of a li")
    inputs.append_string("three")
    assert list(Inputs(tmp_path / "h").load_history_strings()) == ["three", "half of a li", "one\ntwo"]


def test_what_is_no_text_is_not_kept(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "h")
    inputs.store_string("\udcff")
    inputs.store_string("x")
    assert next(iter(inputs.load_history_strings())) == "x"


# Completion.


def completions(text: str, client: Canned) -> list[tuple[str, int, str]]:
    found = EngineCompleter(client).get_completions(Document(text), CompleteEvent())
    return [(item.text, item.start_position, item.display_meta_text) for item in found]


def test_names_come_from_the_engine() -> None:
    item = report.Completion(text="randn", start=6, detail="function")
    request = report.Complete(text="torch.ra", cursor=8)
    client = Canned({request: [report.Completions(items=(item,))]}, settings=SETTINGS)
    assert completions("torch.ra", client) == [("randn", -2, "function")]


def test_nothing_is_asked_of_an_engine_that_is_not_there() -> None:
    client = Canned({})
    assert completions("torch.ra", client) == []
    assert client.asked == []


def test_commands_come_from_the_table() -> None:
    client = Canned({})
    assert [text for text, _, _ in completions("%time", client)] == ["%time", "%timeit"]
    assert [text for text, _, _ in completions("%help %ti", client)] == ["%time", "%timeit"]
    assert completions("!n", client)[0][:2] == ("!nvidia-smi", -2)
    assert completions("x %ti", client) == []


def test_a_completion_that_is_not_answered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from tensorcli.repl import completion

    monkeypatch.setattr(completion, "PATIENCE", 0.01)
    answer = threading.Event()

    def late(_: AnyRequest) -> Iterable[AnyReport]:
        answer.wait(timeout=30)
        return []

    client = Canned(late, settings=SETTINGS)
    completer = EngineCompleter(client)
    for _ in range(3):
        assert list(completer.get_completions(Document("x"), CompleteEvent())) == []
    assert len(client.asked) == 1, "the next is asked only once this one is answered"
    answer.set()


@pytest.mark.parametrize(
    ("text", "indentation"),
    [
        ("x = 1", 0),
        ("if x:", 4),
        ("if x:  # why", 4),
        ("x = '#:'", 0),
        ("for i in x:\n    y", 4),
        ("for i in x:\n    if y:", 8),
        ("def f():\n    return x", 0),
        ("def f():\n    if x:\n        break", 4),
        ("f(", 4),
        ("f(1,", 4),
        ("f(1,\n  2,", 2),
        ("x = {\n    'a': [", 8),
        ("x = {\n    'a': [\n        1,\n        2],", 4),
        ("def f(\n        x,\n        y):", 4),
        ("for i in x:\n    y = g(1,\n          2)", 4),
        ("for i in x:\n    return g(1,\n             2)", 0),
        ("x = 1 + \\", 4),
        ('x = """\n  a', 2),
        ('x = """(', 0),
        ("", 0),
    ],
)
def test_a_line_is_indented_by_what_it_goes_on(text: str, indentation: int) -> None:
    assert after(text) == " " * indentation


def test_enter_takes_the_chosen_completion() -> None:
    buffer = Buffer(document=Document("torch.ra"))
    from prompt_toolkit.buffer import CompletionState
    from prompt_toolkit.completion import Completion

    buffer.complete_state = CompletionState(buffer.document, [Completion("randn", -2)], complete_index=0)
    enter(buffer)
    assert buffer.text == "torch.randn"


# The lines about the session.


def test_the_banner_names_torch_without_importing_it() -> None:
    first, second, rest = banner(7).split("\n")
    import importlib.metadata

    from tensorcli import __version__

    assert first == f"tensorcli {__version__} - torch {importlib.metadata.version('torch')} - seed 7"
    assert second == "Type an expression. %help for commands, Ctrl-D to leave."
    assert rest == ""


def test_the_toolbar_drops_what_does_not_fit() -> None:
    assert toolbar(None, width=80) == "starting torch ..."
    assert "1 thread -" in toolbar(replace(SETTINGS, threads=1), width=80)
    whole = "cpu - float32 - seed 7 - input 3 - last 6 us - 2 threads - no CUDA device"
    assert toolbar(SETTINGS, number=3, seconds=6e-6, width=80) == whole
    assert toolbar(SETTINGS, seconds=6e-6, width=40) == "cpu - float32 - seed 7 - last 6 us"
    assert toolbar(SETTINGS, seconds=6e-6, width=20) == "cpu - float32"
    assert toolbar(SETTINGS, seconds=6e-6, width=20, mode="normal") == "normal - cpu"
    assert toolbar(SETTINGS, seconds=6e-6, width=2) == "cp"
    assert toolbar(SETTINGS, width=60, state=AWAY) == "cpu - the next input brings the session back - float32"
    assert toolbar(None, width=80, mode="insert", state=AWAY) == "insert - starting torch ..."
    assert toolbar(None, width=80, state=ENDED) == "the engine has ended: the next input starts another"


def test_a_refreshed_toolbar_costs_no_answer() -> None:
    answers = Answers()
    client = Canned(value_of, settings=SETTINGS)
    shown, out, _ = screen()
    answers.answer("x", client, shown, Waiting(DummyOutput()))
    assert out.getvalue().count("x") == 1
    assert answers.seconds == 1.0
    assert client.asked[-1] == Configure()


def test_only_what_a_file_that_is_run_answers_is_not_paged(tmp_path: Path) -> None:
    class Paging(Screen):
        def show(self, report: AnyReport, *, paged: bool = False) -> None:
            shown.append(paged)

    (tmp_path / "f.py").write_text("x\n%who\n")
    shown: list[bool] = []
    client = Canned(lambda request: [] if request == Configure() else [Notice(text="n")])
    Answers().answer(f"%who\n%run {tmp_path / 'f.py'}\n%who", client, Paging(), Waiting(DummyOutput()))
    assert shown == [True, False, False, True]


def test_an_engine_that_ends_before_the_toolbar_asks_is_told_of() -> None:
    class Ending(Pipe):
        def ask(self, request: AnyRequest, emit: Callable[[AnyReport], None]) -> None:
            if request == Configure():
                assert self._engine._process
                self._engine._process.kill()
                while not self._engine.ended:
                    pass
            super().ask(request, emit)

    client, (shown, out, _) = Ending(command=fake_engine.COMMAND), screen()
    Answers().answer("x = 41", client, shown, Waiting(DummyOutput()))
    client.close()
    assert "a fresh\nengine takes its place, and your session is brought back\n" in out.getvalue()
    assert out.getvalue().endswith("; 1 of its inputs were run again\n")


# Fed from a pipe.


def fed(data: bytes | None, answers: Callable[[AnyRequest], Iterable[AnyReport]]) -> tuple[int, list[AnyRequest], str]:
    shown, _, err = screen()
    client = Canned(answers)
    code = batch(client, shown, None if data is None else io.BytesIO(data))
    return code, client.asked, err.getvalue()


def failing_at(text: str, category: str = "other") -> Callable[[AnyRequest], Iterable[AnyReport]]:
    wrong = Diagnosis(code="c", category=category, title="wrong")
    return lambda r: [wrong] if getattr(r, "text", "") == text else []


@pytest.mark.parametrize("data", [None, b"", b"\n\n", b"# c\n", b"\xef\xbb\xbf"])
def test_an_empty_stream_is_a_success(data: bytes | None) -> None:
    assert fed(data, value_of) == (0, [], "")


def test_each_statement_of_a_stream_is_an_input_of_its_own() -> None:
    code, asked, _ = fed(b"x = (1,\r\n2)\r\nfor i in x:\r\n  y\r\n\r\nz; w\n%whos\n\xc3\xa9", value_of)
    assert code == 0
    assert asked == [
        Evaluate(text="x = (1,\n2)", echo="all"),
        Evaluate(text="for i in x:\n  y", echo="all", first_line=3),
        Evaluate(text="z; w", echo="all", first_line=6),
        report.ListNames(),
        Evaluate(text="é", echo="all", first_line=8),
    ]


def test_a_stream_of_markdown_is_its_code() -> None:
    code, asked, _ = fed(b"# A\n\n```python\nx = 1\ny\n```\n\n```sh\nls\n```\n", value_of)
    assert code == 0
    assert asked == [
        Evaluate(text="x = 1", echo="all", first_line=4),
        Evaluate(text="y", echo="all", first_line=5),
    ]


def test_a_statement_that_fails_leaves_the_others_to_run() -> None:
    code, asked, err = fed(b"a\nb\nc\n", failing_at("b"))
    assert (code, len(asked)) == (1, 3)
    assert "wrong" in err


def test_an_interrupt_ends_a_stream() -> None:
    code, asked, _ = fed(b"a\nb\nc\n", failing_at("b", "interrupted"))
    assert (code, len(asked)) == (130, 2)


def test_bytes_that_are_no_text_run_nothing() -> None:
    code, asked, err = fed(b"a = 1\nb = '\xff'\n", value_of)
    assert (code, asked) == (1, [])
    assert "byte 11 (0xff, on line 2) is not UTF-8 text: nothing was run" in err


@pytest.mark.parametrize("data", [b"\0", b"(", b"'''", b"x" * 10_000_000, b"(" * 100_000, b"%", b"!", b"\\\n" * 1000])
def test_odd_streams_end_cleanly(data: bytes) -> None:
    assert fed(data, lambda _: [])[0] in (0, 1)
