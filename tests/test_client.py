"""The ways to reach an engine: Ctrl-C, an engine that dies, one that cannot start."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_engine
import pytest

from tensorcli import child, exchange, journal, restore, wire
from tensorcli import client as client_module
from tensorcli.client import Canned, Here, Pipe
from tensorcli.engine import interrupts
from tensorcli.report import (
    AnyReport,
    AnyRequest,
    Complete,
    Completions,
    Configure,
    Diagnosis,
    Evaluate,
    Notice,
    Outlook,
    Output,
    Progress,
    Settings,
    Undo,
    Value,
)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    client = Pipe(command=fake_engine.COMMAND)
    yield client
    client.close()


def answers(client: Pipe | Here | Canned, text: str, *, on_output: Callable[[], None] | None = None) -> list[AnyReport]:
    """The reports of an Evaluate; `on_output` is called at each Output."""
    said: list[AnyReport] = []

    def emit(report: AnyReport) -> None:
        said.append(report)
        if isinstance(report, Output) and on_output:
            on_output()

    client.ask(Evaluate(text=text), emit)
    return without_progress(said)


def without_progress(reports: list[AnyReport]) -> list[AnyReport]:
    return [each for each in reports if not isinstance(each, Progress)]


def brief(reports: list[AnyReport]) -> list[str]:
    return [r.code if isinstance(r, Diagnosis) else getattr(r, "text", "?") for r in reports]


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def press_ctrl_c_once(ready: Callable[[], bool]) -> None:
    """Send this process the signal as soon as it is ready for it."""

    def wait_and_press() -> None:
        while not ready():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait_and_press).start()


def test_canned_gives_what_was_prepared() -> None:
    client = Canned({Evaluate(text="1"): [Value(text="1")]})
    assert brief(answers(client, "1")) == ["1"]
    assert answers(client, "2") == []
    assert client.asked == [Evaluate(text="1"), Evaluate(text="2")]


def test_pipe_answers(pipe: Pipe) -> None:
    assert brief(answers(pipe, "x = 20")) == ["None"]
    assert brief(answers(pipe, "x + 1")) == ["21"]


def test_pipe_does_not_wait_for_its_engine_and_says_when_it_is_there() -> None:
    hello = threading.Event()
    client = Pipe(command=fake_engine.COMMAND, on_hello=lambda _: hello.set())
    assert client.settings is None
    assert hello.wait(timeout=30)
    assert isinstance(client.settings, Settings)
    client.close()


def test_settings_follow_what_is_configured(pipe: Pipe) -> None:
    pipe.ask(Configure(seed=5), lambda _: None)
    assert pipe.settings
    assert pipe.settings.seed == 5


def test_ctrl_c_interrupts_the_evaluation_and_keeps_the_session(pipe: Pipe) -> None:
    answers(pipe, "x = 3")
    said = answers(pipe, "say('on')\nwhile True: pass", on_output=press_ctrl_c)
    assert brief(said) == ["on", "interrupted"]
    assert brief(answers(pipe, "x")) == ["3"]


def for_ever(call: str) -> str:
    """An input that says so and keeps on with this, wherever the first Ctrl-C meets it."""
    return f"with contextlib.suppress(KeyboardInterrupt):\n say('on')\n {call}\n{call}"


# The first is one call of C's, and no other thread of the engine's has a turn.
@pytest.mark.parametrize("text", [for_ever("sum(range(10**15))"), for_ever("while True: pass")])
def test_a_second_ctrl_c_ends_an_engine_that_does_not_answer(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_SECONDS", 0.1)
    said: list[AnyReport] = []

    def emit(report: AnyReport) -> None:
        said.append(report)
        if isinstance(report, Output | Notice):
            press_ctrl_c()

    pipe.ask(Evaluate(text=text), emit)
    assert brief(said) == ["on", exchange.STUCK, "engine-died"]
    assert isinstance(said[2], Diagnosis)
    assert said[2].title == "the engine was stopped by a second Ctrl-C while it had not answered the first"
    assert brief(answers(pipe, "1")) == ["1"]


def test_two_presses_at_once_interrupt_and_keep_the_engine(pipe: Pipe) -> None:
    def press_twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    process = pipe._engine._process
    said = answers(pipe, "say('on')\nwhile True: pass", on_output=press_twice)
    assert brief(said) == ["on", "interrupted"]
    assert pipe._engine._process is process
    assert brief(answers(pipe, "1")) == ["1"]


def test_ctrl_c_while_the_engine_starts_gives_up_that_input_only() -> None:
    client = Pipe(
        command=[sys.executable, "-c", f"import runpy, os\nos.read(0, 1)\nrunpy.run_path({fake_engine.__file__!r})"]
    )
    before = signal.getsignal(signal.SIGINT)
    press_ctrl_c_once(lambda: signal.getsignal(signal.SIGINT) is not before)
    assert brief(answers(client, "1")) == ["interrupted"]
    assert signal.getsignal(signal.SIGINT) is before
    client.close()


def test_ctrl_c_while_a_fresh_engine_starts_leaves_the_session_to_be_brought_back(tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"import runpy, os\nwhile not os.path.exists({str(go)!r}): pass\n"
    waits += f"runpy.run_path({fake_engine.__file__!r}, run_name='__main__')"
    go.touch()
    client = Pipe(command=[sys.executable, "-c", waits])
    answers(client, "x = 1")
    go.unlink()
    killed(client)
    before = signal.getsignal(signal.SIGINT)
    press_ctrl_c_once(lambda: signal.getsignal(signal.SIGINT) is not before)
    _, notice = without_progress(answers(client, "x"))
    assert isinstance(notice, Notice)
    assert notice.text == "bringing the session back was interrupted: the next input tries it again, %reset begins anew"
    go.touch()
    assert brief(answers(client, "x"))[-1] == "1"
    client.close()


def test_an_engine_that_dies_during_a_request_is_replaced(pipe: Pipe) -> None:
    pipe.ask(Configure(seed=5), lambda _: None)
    said = answers(pipe, "os.write(2, b'free(): invalid pointer\\n') and os.kill(os.getpid(), 11)")
    assert isinstance(said[0], Diagnosis)
    assert said[0].category == "engine"
    assert said[0].title == "the engine was ended by SIGSEGV"
    assert said[0].notes == (
        "that happened in this input, which is not run again",
        "a fresh engine takes its place, and your session is brought back",
        "its last words: free(): invalid pointer",
    )
    assert isinstance(said[1], Notice)
    assert said[1].text.endswith("; 1 of its inputs were run again")
    assert len(said) == 2
    assert brief(answers(pipe, "1")) == ["1"]
    assert pipe.settings
    assert pipe.settings.seed == 5, "what was set with %seed still holds"


def killed(pipe: Pipe) -> None:
    """End its engine, and wait until that has been noticed."""
    assert pipe._engine._process
    pipe._engine._process.kill()
    while not pipe._engine.ended:
        pass


def test_an_engine_that_died_between_requests_is_replaced_and_the_request_answered(pipe: Pipe) -> None:
    answers(pipe, "x = 1")
    killed(pipe)
    said: list[AnyReport] = []
    pipe.ask(Complete(text="to", cursor=2), said.append)
    assert said == []  # which completion does not mend
    said = answers(pipe, "1")
    assert [type(each).__name__ for each in said] == ["Notice", "Notice", "Value"]
    assert isinstance(said[0], Notice)  # no failure of the input's
    assert said[0].text == (
        "the engine was ended by SIGKILL (memory ran out, or somebody did it): "
        "a fresh engine takes its place, and your session is brought back"
    )


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_an_engine_did_not_come_to_read_is_asked_of_the_next_one(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    answers(pipe, "x = 1")
    send, ended = child.Engine.send, []

    def end_before(engine: child.Engine, message: wire.Message, *, wait: bool = True) -> bool:
        if isinstance(message, wire.Ask) and message.request == Evaluate(text="x += 1; x") and len(ended) < times:
            assert engine._process
            engine._process.kill()
            ended.append(engine._process.wait())
        return send(engine, message, wait=wait)

    monkeypatch.setattr(child.Engine, "send", end_before)
    said = answers(pipe, "x += 1; x")
    kinds = [type(each).__name__ for each in said]
    back = ["Notice", "Notice"]
    assert kinds == (back * times + ["Value"] if times < 3 else [*back * 2, "Diagnosis", "Notice"])
    assert brief(answers(pipe, "x")) == ["2" if times < 3 else "1"]


def test_what_was_assigned_is_there_again(pipe: Pipe) -> None:
    answers(pipe, "x = [1]")
    answers(pipe, "x.append(2)")
    answers(pipe, "y = 1 / 0")
    killed(pipe)
    assert brief(answers(pipe, "x"))[-1] == "[1, 2]"


def test_an_engine_ended_from_outside_while_it_brings_the_session_back_costs_nothing(
    pipe: Pipe, tmp_path: Path
) -> None:
    answers(pipe, "x = 1")
    killed(pipe)
    said: list[AnyReport] = []

    def end_once(report: AnyReport) -> None:
        said.append(report)
        if isinstance(report, Progress) and len(said) == 2:
            while not pipe._engine.settings:
                pass
            killed(pipe)

    pipe.ask(Evaluate(text="x"), end_once)
    back, value = without_progress(said)[1:]
    assert isinstance(back, Notice)
    assert back.text.endswith("; 1 of its inputs were run again")
    assert brief([value]) == ["1"]


def test_it_says_how_far_the_session_is_back(pipe: Pipe) -> None:
    for text in ("x = 1", "y = 2"):
        answers(pipe, text)
    killed(pipe)
    said: list[AnyReport] = []
    pipe.ask(Evaluate(text="x + y"), said.append)
    label = "bringing the session back"
    assert [(each.done, each.total, each.label) for each in said if isinstance(each, Progress)] == [
        (0, 2, f"{label}: starting torch"),
        (1, 2, f"{label}: 2 of 2 inputs"),
    ]


def test_what_ends_otherwise_than_before_is_said(pipe: Pipe, tmp_path: Path) -> None:
    made = tmp_path / "made"
    answers(pipe, f"p = {str(made)!r}")
    answers(pipe, "open(p, 'x').close()")
    killed(pipe)
    _, back, _value = answers(pipe, "1")
    assert isinstance(back, Notice)
    assert "; 2 of its inputs were run again; open(p, 'x').close() now fails: FileExistsError: " in back.text
    made.unlink()
    answers(pipe, "os.mkdir(p + '/x')")
    made.mkdir()
    killed(pipe)
    _, back, _value = answers(pipe, "1")
    assert isinstance(back, Notice)
    assert back.text.endswith(", and 1 more input ended otherwise")


def test_a_request_that_cannot_be_read_is_answered(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(pipe, "x = 1")
    monkeypatch.setattr(wire, "encode", lambda message: b'{"message":"ask","number":%d}\n' % message.number)
    (problem,) = answers(pipe, "x")
    monkeypatch.undo()
    assert isinstance(problem, Diagnosis)
    assert problem.title.endswith("cannot read this request: Object missing required field `request`")
    assert brief(answers(pipe, "x")) == ["1"]


def test_an_engine_whose_cuda_is_of_no_use_ends_and_the_session_goes_on(pipe: Pipe) -> None:
    answers(pipe, "x = 1")
    said = answers(pipe, "say('asserted')\nsession.poisoned = True")
    assert brief(said)[:-1] == ["asserted", "None", "engine-died"]
    assert isinstance(said[2], Diagnosis)
    assert said[2].title == "the engine had to end: after that error CUDA computes nothing more in the same process"
    assert isinstance(said[3], Notice)
    assert brief(answers(pipe, "x")) == ["1"]


def test_what_ended_the_engine_is_not_run_again_nor_what_ends_it_then(pipe: Pipe, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    answers(pipe, "x = 1")
    # Runs well the first time, and kills whoever runs it again.
    answers(
        pipe,
        f"os.path.exists({str(runs)!r}) and os.kill(os.getpid(), 9) or os.close(os.open({str(runs)!r}, os.O_CREAT))",
    )
    answers(pipe, "y = 2")
    said = answers(pipe, "os.kill(os.getpid(), 11)")
    assert isinstance(said[-1], Notice)
    assert said[-1].text.endswith("; 2 of its inputs were run again, and 1 left out that ended the engine")
    assert brief(answers(pipe, "x + y")) == ["3"]


def test_a_session_that_is_long_to_run_again_is_kept_in_a_file(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(client_module, "IDLE_SECONDS", 0.0)
    answers(pipe, "x = [1]")
    while not pipe._journal._file:  # behind the user's back
        pass
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 100.0)
    answers(pipe, "x.append(2)")
    said = answers(pipe, "os.kill(os.getpid(), 9)")
    assert isinstance(said[-1], Notice)
    assert said[-1].text.endswith("; 1 of its inputs were run again")
    assert brief(answers(pipe, "x")) == ["[1, 2]"]


def test_what_is_asked_while_the_session_is_kept_puts_that_off(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(client_module, "IDLE_SECONDS", 0.0)
    answers(pipe, "x = [1]; put_off = 2")
    while not pipe._journal._file:  # the third time
        pass
    assert brief(answers(pipe, "put_off")) == ["0"]


def test_an_interrupted_input_leaves_a_doubt_until_the_session_is_kept(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal.Journal, "to_keep", lambda self: None)
    answers(pipe, "x = 3")
    answers(pipe, "say('on')\nwhile True: x += 1", on_output=press_ctrl_c)
    said = answers(pipe, "os.kill(os.getpid(), 9)")
    assert isinstance(said[-1], Notice)
    assert said[-1].text.endswith("; what an interrupted or timed statement changed in place may differ")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/no/such/python"], "it could not be run: /no/such/python: No such file or directory"),
        ([sys.executable, "-c", "import no_torch"], "ModuleNotFoundError: No module named 'no_torch'"),
        (
            [sys.executable, "-c", "print('Welcome to this host'); raise SystemExit(4)"],
            "it ended by itself with exit code 4",
        ),
    ],
)
def test_an_engine_that_cannot_start_is_one_sentence_each_time(command: list[str], why: str) -> None:
    client = Pipe(command=command)
    for _ in range(2):
        said = answers(client, "1")
        assert [r.title for r in said if isinstance(r, Diagnosis)] == [f"the engine cannot start: {why}"]
    client.close()


def test_threads_may_ask_while_an_evaluation_runs(pipe: Pipe) -> None:
    found: list[AnyReport] = []
    asking = threading.Thread(target=pipe.ask, args=(Complete(text="to", cursor=2), found.append))
    assert brief(answers(pipe, "say('on')", on_output=asking.start)) == ["on", "None"]
    asking.join(timeout=10)
    assert isinstance(found[0], Completions)


@pytest.mark.parametrize("later", [Outlook(text="2", cursor=1), Complete(text="to", cursor=2), Evaluate(text="2")])
def test_an_outlook_gives_way_to_whatever_is_asked_next(pipe: Pipe, later: AnyRequest) -> None:
    answers(pipe, "1")
    found: list[AnyReport] = []
    endless = Outlook(text="say('on')\nwhile True: pass", cursor=0)
    begun = threading.Event()
    looking = threading.Thread(target=pipe.ask, args=(endless, lambda each: (found.append(each), begun.set())))
    looking.start()
    assert begun.wait(timeout=10)
    said: list[AnyReport] = []
    pipe.ask(later, said.append)
    looking.join(timeout=10)
    assert brief(found) == ["on", "interrupted"]
    assert isinstance(said[-1], Value | Completions)


def test_an_outlook_of_an_engine_that_died_is_not_mourned(pipe: Pipe) -> None:
    answers(pipe, "x = 1")
    found: list[AnyReport] = []
    pipe.ask(Outlook(text="os._exit(3)", cursor=0), found.append)
    assert found == []
    assert brief(answers(pipe, "x"))[-1] == "1"


def test_a_flood_of_output_can_be_interrupted(pipe: Pipe) -> None:
    count = 0

    def press_once() -> None:
        nonlocal count
        count += 1
        if count == 100:
            press_ctrl_c()

    said = answers(pipe, "while True: say('x' * 1000)", on_output=press_once)
    assert brief(said)[-1] == "interrupted"


def test_an_emit_that_fails_leaves_the_pipe_usable(pipe: Pipe) -> None:
    def broken(_: AnyReport) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        pipe.ask(Evaluate(text="[say('x') for _ in range(1000)]"), broken)
    assert brief(answers(pipe, "1")) == ["1"]


def test_closing_ends_the_process(pipe: Pipe) -> None:
    answers(pipe, "1")
    process = pipe._engine._process
    pipe.close()
    assert process
    assert process.returncode == 0


def test_here_imports_its_engine_at_the_first_request() -> None:
    script = (
        "import sys\nfrom tensorcli.client import Here, Pipe\nfrom tensorcli.report import Evaluate\n"
        "h = Here(seed=1)\nassert 'torch' not in sys.modules and h.settings is None\n"
        "h.ask(Evaluate(text='1 + 1'), lambda r: print(r.text))\nassert 'torch' in sys.modules\nprint(h.settings.seed)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2\n1\n", "")


def test_here_interrupts_the_evaluation() -> None:
    client = Here(seed=1)
    said = answers(client, "x = 5")
    before = signal.getsignal(signal.SIGINT)
    press_ctrl_c_once(lambda: interrupts._State.open)
    said = answers(client, "while True: pass")
    assert brief(said) == ["interrupted"]
    assert brief(answers(client, "x")) == ["5"]
    assert signal.getsignal(signal.SIGINT) is before


def test_here_says_why_it_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorcli.engine.session", None)
    said = answers(Here(seed=1), "1")
    assert brief(said) == ["engine-start"]


def test_a_second_ctrl_c_here_leaves_a_call_that_does_not_return() -> None:
    script = (
        "import os, signal, threading\nfrom tensorcli.engine import interrupts\n"
        "def press():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    while not interrupts._State.presses:\n"  # two at once would be one
        "        pass\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "with interrupts.from_keyboard(), interrupts.answering(1):\n"
        "    threading.Thread(target=press).start()\n"
        "    while True:\n"
        "        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_real_engine_at_the_end_of_a_pipe() -> None:
    client = Pipe(seed=3)
    said = answers(client, "torch.ones(2, 3).sum()")
    assert [type(r).__name__ for r in said] == ["Tensor"]
    assert client.settings
    assert client.settings.seed == 3
    client.close()


def test_ctrl_c_while_the_session_is_brought_back_runs_nothing_on_half_of_it(pipe: Pipe, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    answers(pipe, "x = 1")
    answers(pipe, f"mine = not os.path.exists({str(first)!r})\nopen({str(first)!r}, 'w').close()")
    answers(pipe, f"while not mine:\n open({str(again)!r}, 'w').close()")  # for ever, the second time
    answers(pipe, "y = 2")
    killed(pipe)
    press_ctrl_c_once(again.exists)
    died, notice = answers(pipe, "x = 5")
    assert isinstance(died, Notice)
    assert isinstance(notice, Notice)
    assert notice.text == (
        "bringing the session back was interrupted: the next input tries it again, %reset begins anew"
    )
    first.unlink()
    back, value = answers(pipe, "x + y")
    assert isinstance(back, Notice)
    assert back.text.startswith("the session is back")
    assert brief([value]) == ["3"]


def test_a_session_lasts_where_its_journal_is_on_disk_and_something_is_in_it(pipe: Pipe, tmp_path: Path) -> None:
    answers(pipe, "x = 1")
    assert not pipe.is_lasting()
    client = Pipe(command=fake_engine.COMMAND, journal=journal.begun(tmp_path, Configure(seed=5)))
    assert not client.is_lasting()
    answers(client, "x = 1")
    assert client.is_lasting()
    killed(client)
    assert client.is_lasting()
    client.ask(Undo(), lambda _: None)
    assert not client.is_lasting()
    client.close()


def test_ctrl_c_between_two_inputs_that_are_run_again_leaves_none_half_done(pipe: Pipe) -> None:
    answers(pipe, "x = []")
    answers(pipe, "x.append(1)")
    answers(pipe, "x.append(2)")
    killed(pipe)
    said: list[AnyReport] = []

    def emit(report: AnyReport) -> None:
        said.append(report)
        if isinstance(report, Progress) and report.done == 2:
            signal.raise_signal(signal.SIGINT)

    pipe.ask(Evaluate(text="x"), emit)
    assert brief(without_progress(said))[1:] == [restore.INTERRUPTED]
    assert brief(answers(pipe, "x"))[-1] == "[1, 2]"


def test_a_file_that_cannot_be_read_is_done_without(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(client_module, "IDLE_SECONDS", 0.0)
    answers(pipe, "x = [1]")
    while not (file := pipe._journal._file):
        pass
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 100.0)
    answers(pipe, "x.append(2)")
    Path(file.path).write_text("rubbish")
    killed(pipe)
    assert brief(answers(pipe, "x"))[-1] == "[1, 2]"
