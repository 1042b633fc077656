"""%undo, with real engines: what there was before an input is there again, bit for bit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_client import killed

from tensorcli import client as client_module
from tensorcli import journal
from tensorcli.client import Canned, Here, Pipe
from tensorcli.inputs import submit
from tensorcli.past import Past
from tensorcli.repl.answer import Answers
from tensorcli.report import AnyReport, Configure, Diagnosis, Evaluate, GoOn, Notice, Undone, Value

INPUTS = (
    "x = torch.rand(3, 4)\nrow = x[1]",
    "k = torch.randn(4, requires_grad=True); loss = (x * k).sum()",
    "model = nn.Linear(4, 2)\nopt = torch.optim.Adam(model.parameters())",
    "for _ in range(3):\n    model(x).pow(2).sum().backward()\n    opt.step()",
    "s = {'a', 'b', 'c', 'd'}",
    "loss.backward()",
)
LOOK = (
    "[x, row, s, k.grad, model.weight, opt.state_dict(), torch.get_default_dtype(), torch.is_grad_enabled(),"
    " torch.rand(3), np.random.rand(3)]"
)


def typed(client: Pipe | Here | Canned, *texts: str, history: Past | None = None) -> list[AnyReport]:
    """All that is said to some inputs."""
    said: list[AnyReport] = []
    for text in texts:
        submit(text, client.ask, said.append, history=history, start=client.start, number=client.next_input())
    return said


def seen(client: Pipe) -> str:
    """The session by its values and the next random numbers."""
    said: list[AnyReport] = []
    client.next_input()
    client.ask(Evaluate(text=f"str({LOOK})", max_values=10_000), said.append)
    (answer,) = said
    assert isinstance(answer, Value)
    return answer.text


@pytest.fixture(scope="module")
def long() -> Iterator[Pipe]:
    """A session that takes a while to have again."""
    client = Pipe(seed=3)
    typed(client, "%precision 17", *INPUTS)
    yield client
    client.close()


@pytest.fixture(scope="module")
def expected(long: Pipe) -> str:
    """What it says before anything is taken back."""
    found = seen(long)
    undone(long)
    return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    client = Pipe(seed=3)
    yield client
    client.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Pipe]:
    """A session for tests of inputs that are undone, whatever came before them."""
    client = Pipe(seed=3)
    yield client
    client.close()


def undone(client: Pipe) -> tuple[str, ...]:
    """What %undo says it took back."""
    said = typed(client, "%undo")
    assert isinstance(said[0], Undone), said
    return said[0].texts


CHANGES = (
    "row.add_(1)",
    "opt.step()",
    "torch.rand(2)",
    "np.random.rand()",
    "x = 3; s.add('e')",
    "%dtype float64",
    "torch.set_grad_enabled(False)",
    "%reset",
    "%seed 5",
    "x[0] = 7\n%threads 1\nk.grad.zero_()",  # one input, of three requests
    "x[0] = torch.rand(4)\nx[0] = 1 / 0",  # one that fails in its second statement
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_there_was_is_there_again(long: Pipe, expected: str, change: str) -> None:
    typed(long, change, "x.sum()", "x[0]", "%whos")
    assert undone(long)[0] == change.split("\n%")[0]
    assert seen(long) == expected
    assert undone(long)[0].startswith("str(")  # it drew random numbers


def test_settings_that_cannot_be_are_nothing_to_take_back(pipe: Pipe) -> None:
    typed(pipe, "a = 1", "%threads 0", "%dtype int8")
    assert undone(pipe) == ("a = 1",)


def test_several_inputs_are_taken_back_at_once(pipe: Pipe) -> None:
    typed(pipe, "a = 1", "b = 2\nb", "a", "a = 3", "a", "a = 4")
    (said,) = typed(pipe, "%undo 2")
    assert isinstance(said, Undone)
    assert (said.texts, said.inputs) == (("a = 3", "a = 4"), (4, 5, 6))
    assert [getattr(each, "text", None) for each in typed(pipe, "a, b")] == ["(1, 2)"]
    assert [getattr(each, "title", None) for each in typed(pipe, "%undo 0", "%undo x")] == [
        f"%undo takes how many inputs to take back, not {given}: try %undo 2" for given in ("0", "x")
    ]
    (said,) = typed(pipe, "%undo 9")
    assert isinstance(said, Undone)
    assert (said.texts, said.text) == (("a = 1", "b = 2\nb"), "the session is as it began")


def test_an_engine_of_its_own_is_taken_where_anything_may_be_imported(expected: str) -> None:
    client = Pipe(seed=3, trust=True)
    typed(client, "%precision 17", *INPUTS, "torch.set_num_threads = None; row.add_(1)")
    assert len(undone(client)) == 1
    assert seen(client) == expected
    client.close()


def test_it_goes_further_back_and_stops_at_the_beginning(pipe: Pipe) -> None:
    history = Past()
    typed(pipe, "a = 1", "b = a + 1\nb", "a", "b = 5", "b * 2", history=history)
    typed(pipe, "%load none.npy", "%dtype none")  # which change nothing
    assert undone(pipe)[0] == "b = 5"
    assert [getattr(each, "text", None) for each in typed(pipe, "b")] == ["2"]
    assert undone(pipe) == ("b = a + 1\nb",)
    assert [getattr(each, "code", None) for each in typed(pipe, "b")] == ["unknown-name"]
    assert [getattr(each, "text", None) for each in typed(pipe, "a")] == ["1"]
    assert undone(pipe)[0] == "a = 1"
    assert [getattr(each, "title", None) for each in typed(pipe, "%undo")] == [
        "there is nothing to take back: no input has changed the session"
    ]
    assert [getattr(each, "text", None) for each in typed(pipe, "c = 3", "c")] == ["3", "3"]


def test_what_was_taken_back_is_not_saved(shared: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from prompt_toolkit.output import DummyOutput

    from tensorcli.repl.typeahead import Waiting
    from tensorcli.show import Screen

    monkeypatch.chdir(tmp_path)
    answers, screen = Answers(), Screen(stdout=io.StringIO(), stderr=io.StringIO())
    for text in ("a = 1", "b = 2", "b", "%undo", "c = 3\n%undo\nd = 4", "%save notes.py", "%history"):
        answers.answer(text, shared, screen, Waiting(DummyOutput()))
    assert (tmp_path / "notes.py").read_text().endswith("torch.manual_seed(3)\n\na = 1\n\nd = 4\n")
    assert [each.undone for each in shared.past.inputs[-7:]] == [False, True, True, False, False, False, False]


def test_after_an_engine_died_it_takes_back_all_the_same(shared: Pipe) -> None:
    typed(shared, "x = torch.zeros(2)", "x.add_(1)")
    killed(shared)
    died, back = typed(shared, "%undo")
    assert isinstance(died, Notice)
    assert isinstance(back, Undone)
    assert back.texts == ("x.add_(1)",)
    assert [getattr(each, "text", None) for each in typed(shared, "x.tolist()")] == ["[0.0, 0.0]"]


def _written(pipe: Pipe, requests: int) -> GoOn:
    """The file in which so many of them are, which is written behind the user's back."""
    while requests not in (files := {count: file for file, count in pipe._journal._files}):
        pass
    return files[requests]


def test_it_goes_on_from_the_file_that_was_written_before(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(client_module, "IDLE_SECONDS", 0.0)
    typed(pipe, "x = torch.rand(2)", "y = x.clone()")
    first = _written(pipe, 2)
    typed(pipe, "x.add_(1)")
    second = _written(pipe, 3)
    assert undone(pipe) == ("x.add_(1)",)
    assert isinstance(pipe._journal.again()[0], GoOn)
    assert pipe._journal.again()[0] == first
    assert not Path(second.path).exists()
    assert [getattr(each, "text", None) for each in typed(pipe, "torch.equal(x, y)")] == ["True"]


def test_another_process_takes_back_what_this_one_was_told(tmp_path: Path) -> None:
    first = Pipe(seed=3, journal=journal.begun(tmp_path, Configure(seed=3)))
    typed(first, "a = 1", "a = 2\n%seed 4\nb = 3", "a")
    first.close()
    last = journal.latest(tmp_path)
    assert last is not None
    again = Pipe(seed=9, journal=last)
    assert undone(again) == ("a = 2", "%seed 4", "b = 3")
    assert [getattr(each, "text", None) for each in typed(again, "a")] == ["1"]
    assert undone(again) == ("a = 1",)
    assert isinstance(typed(again, "%undo")[0], Diagnosis)
    again.close()


def test_a_file_that_has_changed_is_told_when_it_would_be_read_again(
    shared: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("1\n2\n")
    typed(shared, "%load d.csv as Y")
    monkeypatch.setattr(journal, "MAX_NBYTES", 0)  # so that nothing is copied
    typed(shared, "%load d.csv as X", "a = 1")
    Path("d.csv").write_text("1\n2\n3\n")
    said = typed(shared, "%undo")
    assert [getattr(each, "text", None) for each in typed(shared, "Y.tolist()")] == ["[[1.0], [2.0]]"]
    assert "d.csv has changed, so what was loaded from it is not there" in getattr(said[0], "text", "")


def test_elsewhere_than_at_the_prompt_it_says_so() -> None:
    client = Here(seed=1)
    said = typed(client, "a = 1", "%undo", "a")
    assert [getattr(each, "code", None) for each in said] == [None, "prompt-only", None]
    assert not isinstance(said[1], Notice)
