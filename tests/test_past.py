"""What was typed: one number for each input wherever it is named, and there for whoever goes on with the session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tensorcli import journal
from tensorcli.client import Here, Pipe
from tensorcli.inputs import submit
from tensorcli.past import Input, Part, Past
from tensorcli.report import AnyReport, Configure, Diagnosis, Evaluate, Notice, Settings, Undone

INPUTS = ("x = torch.ones(2)", "%whos", "x +", "%help\nx * 2\nx * 3", "%nothing", "undefined", "%time x + 3", "_ + 1")


def typed(client: Pipe | Here, *texts: str) -> list[AnyReport]:
    """What is said to some inputs."""
    said: list[AnyReport] = []
    for text in texts:
        number = client.next_input()
        submit(text, client.ask, said.append, history=client.past, start=client.start, number=number)
    return said


def text(client: Pipe | Here, *texts: str) -> str:
    """The last thing that is said to some inputs."""
    return getattr(typed(client, *texts)[-1], "text", "")


def resumed(folder: Path) -> Pipe:
    last = journal.latest(folder)
    assert last is not None
    return Pipe(seed=9, journal=last)


@pytest.mark.parametrize("kind", [Here, Pipe])
def test_an_input_has_one_number_whatever_it_is(
    kind: Callable[..., Pipe | Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = kind(seed=3)
    typed(client, *INPUTS)
    assert client.input == 8
    assert text(client, "{n: v.tolist() for n, v in Out.items()}") == ("{4: [3.0, 3.0], 7: [4.0, 4.0], 8: [5.0, 5.0]}")
    assert text(client, "%history 3") == (
        "   8  _ + 1\n   9  {n: v.tolist() for n, v in Out.items()}\n  10  %history 3"
    )
    assert "where it may have changed something: 3, 6" in text(client, "%save some.py 1-4 6")
    assert (
        Path("some.py").read_text().endswith("x = torch.ones(2)\n\n# %whos\n\n# x +\n\nx * 2\nx * 3\n\n# undefined\n")
    )
    answers: list[AnyReport] = []
    client.ask(Configure(), answers.append)
    assert [each.inputs for each in answers if isinstance(each, Settings)] == [client.input] == [11]
    client.close()


def test_a_number_is_the_same_after_another_input_was_taken_back_and_after_a_death() -> None:
    client = Pipe(seed=3, trust=True)
    typed(client, "x = torch.ones(2)", "x.sum()", "y = 1", "x.mean()")
    (undone,) = (each for each in typed(client, "y = 2", "%undo") if isinstance(each, Undone))
    assert undone.inputs == (5,)
    assert text(client, "list(Out)") == "[2, 4]"
    typed(client, "import os; os.kill(os.getpid(), 9)")
    assert text(client, "list(Out)") == "[2, 4, 7]"
    client.close()


def test_functions_of_one_input_are_told_apart_where_they_fail() -> None:
    client = Here(seed=3)
    typed(client, "def f(): return torch.ones(2) @ torch.ones(3)\n%who\ndef g(): return torch.ones(4) @ torch.ones(5)")
    (said,) = typed(client, "f()")
    assert isinstance(said, Diagnosis)
    assert said.span is not None
    assert said.span.text == "torch.ones(2) @ torch.ones(3)"


def test_who_goes_on_with_a_session_has_all_that_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = Pipe(seed=3, journal=journal.begun(tmp_path / "s", Configure(seed=3, dtype="float64")), dtype="float64")
    typed(first, *INPUTS, "gone = 1", "%undo")
    before = text(first, "%history")
    first.close()
    again = resumed(tmp_path / "s")
    typed(again, "torch.rand(2)")
    assert text(again, "%history") == f"{before}\n  12  torch.rand(2)\n  13  %history"
    assert text(again, "list(Out)") == "[4, 7, 8, 12]"
    assert "   9  gone = 1  (taken back)\n" in before
    assert text(again, "%save all.py") == (
        "all.py holds 9 inputs\nwhat failed is a comment, or in a try where it may have changed something: 3, 6"
    )
    saved = Path("all.py").read_text()
    assert "torch.set_default_dtype(torch.float64)\ntorch.manual_seed(3)\n" in saved
    assert "Out[4] = x * 3" in saved
    assert "gone" not in saved
    again.close()
    third = resumed(tmp_path / "s")
    assert text(third, "%history").startswith(before)
    assert third.input == 16
    third.close()


def test_a_file_that_was_run_stands_in_the_file_as_in_memory(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("y = 1\n%who\n")
    first = Pipe(seed=3, journal=journal.begun(tmp_path / "s", Configure(seed=3)))
    typed(first, f"x = 1\n%run {tmp_path / 'f.py'}\nz = 1")
    (given,) = first.past.inputs
    assert [part.source for part in given.parts] == ["x = 1", f"%run {tmp_path / 'f.py'}", "y = 1", "%who", "z = 1"]
    first.close()
    again = resumed(tmp_path / "s")
    assert [part.source for part in again.past.inputs[0].parts] == [part.source for part in given.parts]
    again.close()


def test_a_line_that_was_cut_off_is_left_out_and_nothing_after_it(tmp_path: Path) -> None:
    file = tmp_path / "typed.jsonl"
    past, first, second = Past(file), Input("x = '\ud800'", 1), Input("y", 4)
    past.begun(first)
    part = Part("x = '\ud800'", Evaluate(text="x"), Diagnosis(code="c", category="shape", title="t"), 1, {2})
    past.answered(first, part)
    with file.open("ab") as cut:
        cut.write(b'{"number":2,"te')
    again = Past(file)
    again.begun(second)
    again.answered(second, Part("y"))
    again.take_back([1])
    found = Past(file).inputs
    assert [(each.number, each.text) for each in found] == [(1, "x = '\\ud800'"), (4, "y")]
    assert (found[0].parts[0].problem, found[0].parts[0].gave, found[0].undone) == (part.problem, {2}, True)
    assert not found[1].undone
    assert found[1].parts == [Part("y")]


def test_nothing_is_said_of_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    past = Past(tmp_path / "none" / "typed.jsonl")
    past.begun(Input("x", 1))
    assert past.latest == 1
    assert isinstance(submit("%history", lambda *_: None, lambda _: None, history=past), Notice | None)
    assert past.latest == 2
