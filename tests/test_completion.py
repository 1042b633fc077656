"""Completion, the signature line and F1 at a prompt without a terminal, over canned answers."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import fragment_list_to_text
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from tensorcli import report
from tensorcli.client import Canned
from tensorcli.commands import COMMANDS, Command
from tensorcli.repl import completion
from tensorcli.repl.asking import Asker
from tensorcli.repl.completion import EngineCompleter
from tensorcli.repl.signatures import CURRENT, SignatureLine, fitted
from tensorcli.report import AnyReport, AnyRequest

SETTINGS = report.Settings(version="0", torch="2.13", device="cpu", dtype="float32", seed=7, threads=2)
ALT_UP, ALT_DOWN, F1 = "\x1b[1;3A", "\x1b[1;3B", "\x1bOP"
SUM = report.Signatures(
    items=(
        report.Overload(function="x.sum", parameters=("*", "dtype=None"), returns="Tensor"),
        report.Overload(function="x.sum", parameters=("dim", "keepdim=False"), current=0),
    ),
    best=1,
)


def canned(request: AnyRequest) -> Iterable[AnyReport]:
    match request:
        case report.Complete(text=text, cursor=cursor):
            return [report.Completions(items=(report.Completion(text=f"{text}|", start=cursor, detail="d\x1b[0m"),))]
        case report.Signature():
            return [SUM]
        case report.Document(text=text, cursor=cursor):
            return [report.Documentation(name=f"{text}@{cursor}")]
    return []


def offered(text: str, client: Canned | None = None, *, typed: bool = False) -> list[str]:
    completer = EngineCompleter(client or Canned(canned, settings=SETTINGS))
    event = CompleteEvent(text_inserted=typed, completion_requested=not typed)
    return [item.text for item in completer.get_completions(Document(text), event)]


def at_prompt(
    keys: str, until: Callable[[PromptSession[str], SignatureLine], Any], *, answers: Any = canned, screen: Any = None
) -> Any:
    """What `until` gives once that is not None, looked at whenever the prompt has been drawn."""
    client = Canned(answers, settings=SETTINGS)
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        prompt: PromptSession[Any] = PromptSession(completer=EngineCompleter(client), complete_while_typing=False)
        line = SignatureLine(prompt, client, screen)
        prompt.key_bindings = line.keys

        def drawn(_app: object) -> None:
            if (found := until(prompt, line)) is not None and not prompt.app.future.done():  # type: ignore[union-attr]
                prompt.app.exit(result=found)

        prompt.app.after_render += drawn
        prompt.default_buffer.on_completions_changed += drawn
        keyboard.send_text(keys)
        return prompt.prompt()


# What is asked for behind a command.


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("x.re", report.Complete(text="x.re", cursor=4)),
        ("x\ny.re", report.Complete(text="x\ny.re", cursor=6)),
        ("%timeit (x @ w).re", report.Complete(text="(x @ w).re", cursor=10)),
        ("x\n%time f(", report.Complete(text="f(", cursor=2)),
        ("%time f(\n  x.", report.Complete(text="f(\n  x.", cursor=7)),
        ("%time x\ny.", report.Complete(text="%time x\ny.", cursor=10)),
        ("%%time\nx.re", report.Complete(text="%%time\nx.re", cursor=11)),
        ("%explain mat", report.Complete(text="mat", cursor=3, of="mistakes")),
        ("x %ti", report.Complete(text="x %ti", cursor=5)),
        ("?x.re", report.Complete(text="?x.re", cursor=5)),
    ],
)
def test_what_the_engine_is_asked(text: str, request_: report.Complete) -> None:
    client = Canned(canned, settings=SETTINGS)
    offered(text, client)
    assert client.asked == [request_]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%timei", ["%timeit"]),
        ("%%ti", ["%%time", "%%timeit"]),
        ("%help %timei", ["%timeit"]),
        ("%device ", ["cpu", "cuda", "meta"]),
        ("%dtype float", ["float32", "float64", "float16"]),
        ("%warn o", ["on", "off"]),
        ("%plot hist", ["histogram", "hist|"]),
        ("%reset ", []),
        ("%nothing ", []),
        ("%config k", ["keys"]),
        ("%config keys ", ["emacs", "vi", "--save"]),
        ("%config theme ", ["auto", "dark", "light", "--save"]),
        ("%config pager t", ["true"]),
        ("%config pager off ", ["--save"]),
        ("%config --save ke", ["keys"]),
        ("%config --save keys v", ["vi"]),
        ("%config nothing ", ["--save"]),
        ("!n", ["!nvidia-smi"]),
    ],
)
def test_commands_and_their_arguments(text: str, found: list[str]) -> None:
    assert offered(text) == found


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Command("%load", "%load FILE", "read it", COMMANDS["%whos"].run, "files")
    monkeypatch.setitem(COMMANDS, "%load", load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("data/one.csv", "data/two.csv", "date.py", "my file.csv", ".hidden"):
        (tmp_path / name).touch()
    without = Canned({})  # no engine is needed for it
    assert offered("%load da", without) == [f"data{completion.os.sep}", "date.py"]
    assert offered("%load data/o", without) == [f"data{completion.os.sep}one.csv".replace("\\", "/")]
    assert offered("%load my", without) == ['"my file.csv"']
    assert offered("%load 'my f", without) == ["'my file.csv'"]
    assert offered("%load nowhere/x", without) == []
    assert ".hidden" not in offered("%load ", without)


def test_of_a_long_input_the_engine_is_asked_about_the_end() -> None:
    client = Canned(canned, settings=SETTINGS)
    offered("y = 1\n" * 100_000 + "x.re", client)
    (asked,) = client.asked
    assert isinstance(asked, report.Complete)
    assert asked.text.endswith("y = 1\nx.re")
    assert asked.cursor == len(asked.text) < 10_000


def test_what_nobody_asked_for_is_offered_where_a_name_has_begun() -> None:
    assert offered("x.re", typed=True) == ["x.re|"]
    assert offered("f(", typed=True) == []
    assert offered("f(") == ["f(|"]


def test_what_comes_from_values_steers_no_terminal() -> None:
    completer = EngineCompleter(Canned(canned, settings=SETTINGS))
    (item,) = completer.get_completions(Document("x"), CompleteEvent())
    assert item.display_meta_text == "d\\x1b[0m"


# At a prompt.


def test_tab_completes() -> None:
    def completed(prompt: PromptSession[str], _line: SignatureLine) -> str | None:
        text = prompt.default_buffer.text
        return text if text.endswith("|") else None

    assert at_prompt("x.re\t", completed) == "x.rex.re|"


def test_typing_goes_on_while_the_engine_is_busy() -> None:
    done = threading.Event()

    def late(_: AnyRequest) -> Iterable[AnyReport]:
        done.wait(timeout=60)
        return []

    assert at_prompt("torch.\trand(3)\r", lambda *_: None, answers=late) == "torch.rand(3)"
    done.set()


def shown(line: SignatureLine, width: int = 60) -> str:
    return fragment_list_to_text(line(width))


def test_the_signature_follows_the_cursor() -> None:
    found = at_prompt("x.sum(", lambda _, line: line(60) or None)
    assert fragment_list_to_text(found) == "x.sum(dim, keepdim=False)  2 of 2"
    assert [text for style, text, *_ in found if style == CURRENT] == ["dim"]


def test_the_next_signature_and_the_one_before() -> None:
    seen: list[str] = []

    def follow(prompt: PromptSession[str], line: SignatureLine) -> list[str] | None:
        if (text := shown(line)) and text not in seen[-1:]:
            seen.append(text)
            prompt.app.input.send_text(ALT_DOWN if len(seen) == 1 else ALT_UP)
        return seen if len(seen) == 3 else None

    first, second, third = at_prompt("x.sum(", follow)
    assert (first, second) == ("x.sum(dim, keepdim=False)  2 of 2", "x.sum(*, dtype=None) -> Tensor  1 of 2")
    assert third == first


def test_there_is_no_signature_outside_a_call() -> None:
    asked: list[AnyRequest] = []
    assert at_prompt("x.sum\r", lambda *_: None, answers=lambda request: asked.append(request) or []) == "x.sum"
    assert asked == []


def test_f1_shows_the_documentation_of_what_stands_at_the_cursor() -> None:
    told: list[AnyReport] = []
    screen = SimpleNamespace(show=told.append, end_line=lambda: None)
    at_prompt("x.sum" + F1, lambda *_: told or None, screen=screen)
    assert told == [report.Documentation(name="x.sum@5")]


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (80, "torch.sum(input, dim, keepdim=False, *, dtype=None) -> Tensor"),
        (50, "torch.sum(input, dim, keepdim=False, ...) -> Tensor"[:50]),
        (30, "torch.sum(..., dim, ...) -> Tensor"[:30]),
        (16, "sum(..., dim, ...) -> Tensor"[:16]),
        (1, "s"),
    ],
)
def test_a_signature_fits_the_width(width: int, text: str) -> None:
    parameters = ("input", "dim", "keepdim=False", "*", "dtype=None")
    way = report.Overload(function="torch.sum", parameters=parameters, returns="Tensor", current=1)
    found = fragment_list_to_text(fitted(way, width))
    assert len(found) <= width
    assert "dim" in found or width < 16
    assert width < 80 or found == text


def test_what_it_returns_gives_way_to_the_arguments() -> None:
    way = report.Overload(function="F.loss", parameters=("input", "target", "weight=None"), returns="Tensor", current=1)
    assert fragment_list_to_text(fitted(way, 33)) == "F.loss(input, target, ...)"
    assert fragment_list_to_text(fitted(way, 36)) == "F.loss(input, target, ...) -> Tensor"


def test_the_last_question_wins() -> None:
    begun, go_on, all_done = threading.Event(), threading.Event(), threading.Event()
    answered: list[str] = []

    def slow(request: AnyRequest) -> Iterable[AnyReport]:
        begun.set()
        go_on.wait(timeout=60)
        return [report.Notice(text=request.text)]  # type: ignore[union-attr]

    asker = Asker(Canned(slow, settings=SETTINGS))

    def then(answers: list[AnyReport]) -> None:
        answered.extend(each.text for each in answers if isinstance(each, report.Notice))
        if len(answered) == 2:
            all_done.set()

    asker.ask(report.Evaluate(text="first"), then)
    begun.wait(timeout=60)
    for text in ("second", "third"):
        asker.ask(report.Evaluate(text=text), then)
    go_on.set()
    assert all_done.wait(timeout=60)
    assert answered == ["first", "third"]


def test_an_answer_that_finds_no_prompt_stops_no_question() -> None:
    asker, answered = Asker(Canned(canned, settings=SETTINGS)), threading.Event()

    def ended(_: list[AnyReport]) -> None:
        first.set()
        raise RuntimeError("the prompt has ended")

    first = threading.Event()
    asker.ask(report.Complete(text="x", cursor=1), ended)
    assert first.wait(timeout=60)
    asker.ask(report.Complete(text="x", cursor=1), lambda _: answered.set())
    assert answered.wait(timeout=60)
