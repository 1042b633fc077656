"""Engines that are really killed, and sessions that are there again."""

import os

import numpy as np
import pytest
import torch
from test_client import killed, without_progress

from tensorcli import journal, keeping
from tensorcli.client import Pipe
from tensorcli.report import AnyReport, Configure, Diagnosis, Evaluate, ListNames, Names, Notice, Progress, TimeIt, Undo

INPUTS = (
    "import os, signal",
    "x = torch.rand(3, 4)\nrow = x[1]",
    "def f(a):\n    return (a * k).sum()",
    "k = torch.randn(4, requires_grad=True)\nloss = f(x)",
    "model = nn.Linear(4, 2)\nopt = torch.optim.Adam(model.parameters())",
    "for _ in range(3):\n    model(x).pow(2).sum().backward()\n    opt.step()",
    "undefined_name",
    "s = {'a', 'b', 'c', 'd'}",
    "loss.backward()",
    "row.add_(1)",
)
LOOK = "[x, row, s, k.grad, loss, f(x), model.weight, opt.state_dict(), torch.rand(3), np.random.rand(3)]"


def asked(client: Pipe, *texts: str) -> list[AnyReport]:
    """All that is said to some inputs."""
    said: list[AnyReport] = []
    for text in texts:
        client.ask(Evaluate(text=text, max_values=10_000), said.append)
    return without_progress(said)


def seen(client: Pipe) -> str:
    """The whole session, by its values and the next random numbers."""
    (answer,) = asked(client, f"str({LOOK})")
    return repr(getattr(answer, "text", answer))


def names(client: Pipe) -> list[str]:
    said: list[AnyReport] = []
    client.ask(ListNames(), said.append)
    (answer,) = said
    assert isinstance(answer, Names)
    return [str(each) for each in answer.items]


@pytest.fixture(scope="module")
def expected() -> tuple[str, list[str]]:
    """What a session says that nobody killed."""
    client = Pipe(seed=3, trust=True)
    asked(client, *INPUTS)
    found = seen(client), names(client)
    client.close()
    return found


@pytest.fixture
def pipe():
    client = Pipe(seed=3, trust=True)
    yield client
    client.close()


def test_between_inputs_nothing_is_lost(pipe: Pipe, expected: tuple[str, list[str]]) -> None:
    asked(pipe, *INPUTS[:5])
    killed(pipe)
    died, back, *_ = asked(pipe, INPUTS[5])
    assert isinstance(died, Notice)
    assert isinstance(back, Notice)
    asked(pipe, *INPUTS[6:])
    killed(pipe)
    assert isinstance(asked(pipe, "1")[0], Notice)
    assert pipe._journal.uncertain is False
    assert (seen(pipe), names(pipe)) == expected


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(3)"])
def test_what_stands_before_the_statement_that_ends_it_is_there(
    pipe: Pipe, end: str, expected: tuple[str, list[str]]
) -> None:
    asked(pipe, *INPUTS)
    died, back = asked(pipe, f"before = 1\n{end}\nafter = 2")[-2:]
    assert isinstance(died, Diagnosis)
    assert died.notes[0] == "that happened in statement 2 of this input, which is not run again"
    assert isinstance(back, Notice)
    assert getattr(asked(pipe, "before")[0], "text", None) == "1"
    assert getattr(asked(pipe, "after")[0], "code", None) == "unknown-name"
    assert seen(pipe) == expected[0]


def test_after_an_error_that_leaves_cuda_useless_the_session_has_a_new_engine(pipe: Pipe) -> None:
    asked(pipe, "x = torch.rand(3)")
    before = getattr(asked(pipe, "str(x)")[0], "text", None)
    said = asked(pipe, "y = 1\nraise torch.AcceleratorError('CUDA error: device-side assert triggered')")
    assert [getattr(each, "code", type(each).__name__) for each in said[1:]] == [said[1].code, "engine-died", "Notice"]
    died = said[2]
    assert isinstance(died, Diagnosis)
    assert died.title == "the engine had to end: after that error CUDA computes nothing more in the same process"
    assert died.notes[0] == "that happened in statement 2 of this input, which is not run again"
    assert [getattr(each, "text", None) for each in asked(pipe, "str(x)", "y")] == [before, "1"]


def test_while_it_is_brought_back_nothing_is_lost(pipe: Pipe, expected: tuple[str, list[str]], tmp_path) -> None:
    asked(pipe, *INPUTS)
    flag = tmp_path / "flag"
    # It is well the first time, and ends whoever runs it again.
    asked(pipe, f"os.path.exists({str(flag)!r}) and os.kill(os.getpid(), 9); open({str(flag)!r}, 'w').close()")
    killed(pipe)
    said = asked(pipe, "1")
    assert isinstance(said[1], Notice)
    assert "1 left out that ended the engine" in said[1].text
    assert seen(pipe) == expected[0]


def test_an_engine_killed_while_it_brings_the_session_back_costs_no_input(
    pipe: Pipe, expected: tuple[str, list[str]]
) -> None:
    asked(pipe, *INPUTS)
    killed(pipe)
    to_kill = iter([2, 7])  # engines: each while it runs another input again

    def kill(report: AnyReport) -> None:
        if isinstance(report, Progress) and report.done == at[0]:
            killed(pipe)
            at[0] = next(to_kill, -1)

    at = [next(to_kill)]
    pipe.ask(ListNames(), kill)
    assert at == [-1]
    assert (seen(pipe), names(pipe)) == expected


def test_killed_while_its_file_is_read_nothing_is_lost(pipe: Pipe) -> None:
    asked(pipe, "x = torch.zeros(3)")
    pipe.ask(TimeIt(text="x.add_(1)", min_seconds=0.001), lambda _: None)
    while pipe._journal.uncertain:  # behind the user's back
        pass
    before = getattr(asked(pipe, "str(x.tolist())")[0], "text", None)
    killed(pipe)
    left = [1]

    def kill(report: AnyReport) -> None:
        if isinstance(report, Progress) and left:
            left.pop()
            while not pipe._engine.settings:
                pass
            killed(pipe)

    pipe.ask(ListNames(), kill)
    assert not left
    assert getattr(asked(pipe, "str(x.tolist())")[0], "text", None) == before


def test_after_timing_the_session_is_kept_in_a_file(pipe: Pipe) -> None:
    asked(pipe, "x = torch.zeros(3)")
    pipe.ask(TimeIt(text="x.add_(torch.rand(3))", min_seconds=0.001), lambda _: None)
    while pipe._journal.uncertain:  # behind the user's back
        pass
    look = ("str(x.tolist())", "str(torch.get_rng_state().sum())")
    before = [getattr(each, "text", None) for each in asked(pipe, *look)]
    killed(pipe)
    after = [getattr(each, "text", None) for each in asked(pipe, *look)]
    assert after[-2:] == before


def test_no_file_is_left(pipe: Pipe) -> None:
    asked(pipe, "x = torch.zeros(3)")
    folder = pipe._journal.folder
    assert os.path.isdir(folder)
    pipe.close()
    assert not os.path.exists(folder)


def test_another_process_goes_on_with_it(expected: tuple[str, list[str]], tmp_path) -> None:
    first = Pipe(seed=3, trust=True, journal=journal.begun(tmp_path, Configure(seed=3)))
    asked(first, *INPUTS)
    first.close()
    last = journal.latest(tmp_path)
    assert last is not None
    again = Pipe(seed=9, trust=True, journal=last)
    (back, *_) = asked(again, "1")
    assert isinstance(back, Notice)
    assert (seen(again), names(again)) == expected
    again.close()


def test_what_was_loaded_is_there_though_its_file_is_gone(tmp_path) -> None:
    """At once, before there was time to keep the session, and in another process too."""
    path = tmp_path / "x.pt"
    torch.save({"a": torch.rand(3).requires_grad_(), "b": [torch.ones(2, dtype=torch.bfloat16), 4]}, path)
    pipe = Pipe(seed=3, journal=journal.begun(tmp_path / "sessions", Configure(seed=3)))
    pipe.ask(keeping.load(f"{path} as x"), lambda _: None)
    asked(pipe, "y = x['a'] * 2")  # has a graph: no file can keep the session
    before = asked(pipe, "str([x, y])")
    path.write_bytes(b"another")
    killed(pipe)
    died, back, after = asked(pipe, "str([x, y])")
    assert isinstance(died, Notice)
    assert isinstance(back, Notice)
    assert back.text.endswith("; 3 of its inputs were run again")
    path.unlink()
    pipe.close()
    last = journal.latest(tmp_path / "sessions")
    assert last is not None
    resumed = Pipe(seed=9, journal=last)
    *_, later = asked(resumed, "str([x, y])")
    assert [getattr(each, "text", each) for each in (after, later)] == 2 * [getattr(before[-1], "text", None)]
    resumed.ask(Undo(count=2), lambda _: None)
    assert not list(last.folder.glob("loaded*"))
    resumed.close()


def test_what_takes_more_than_may_be_copied_is_read_from_its_file(
    pipe: Pipe, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_NBYTES", 4000)
    path = tmp_path / "x.npy"
    np.save(path, np.arange(1000.0, dtype="float32"))  # whose copy has a header besides
    pipe.ask(keeping.load(str(path)), lambda _: None)
    assert not list(pipe._journal.folder.glob("loaded*"))
    killed(pipe)
    assert getattr(asked(pipe, "int(x.sum())")[-1], "text", None) == "499500"


def test_two_loads_of_which_one_is_copied_are_told_apart(pipe: Pipe, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_NBYTES", 4000)
    for name, size in (("big", 1000), ("small", 10)):
        np.save(tmp_path / f"{name}.npy", np.arange(float(size), dtype="float32"))
        pipe.ask(keeping.load(str(tmp_path / f"{name}.npy")), lambda _: None)
    killed(pipe)
    assert getattr(asked(pipe, "[len(big), len(small)]")[-1], "text", None) == "[1000, 10]"
