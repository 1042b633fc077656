"""What is said to a person who may take a suggestion: what has run already, what has not, what is made anew."""

import pytest

from tensorcli import language, report
from tensorcli.engine import aftermath
from tensorcli.engine.session import Session


def explained(*texts: str) -> report.Diagnosis:
    """The diagnosis of the last text."""
    said: list[report.AnyReport] = []
    session = Session(seed=0)
    for text in texts:
        session.ask(report.Evaluate(text=text), said.append)
    diagnosis = said[-1]
    assert isinstance(diagnosis, report.Diagnosis)
    assert diagnosis.suggestions
    return diagnosis


def test_the_statements_after_the_one_that_failed_are_kept():
    assert explained("x = torch.rand(6); y = x.veiw(2, 3); z = 1\nfor i in range(2):\n    z += i").not_run == (
        "z = 1\nfor i in range(2):\n    z += i"
    )
    assert explained("x = torch.rand(6); y = x.veiw(2, 3)").not_run is None


RUN = "had run before it failed, and runs again with a suggestion"
SETUP = "x, seen, n = torch.rand(2, 3), [], 0; xs = [torch.rand(3, 2), x]"


@pytest.mark.parametrize(
    ("loop", "done"),
    [
        ("for t in [x, x]:\n    n += 1\n    x @ x", "n += 1"),
        ("for i in range(3):\n    seen.append(i); x @ x", "seen.append(i)"),
        ("for i in range(3):\n    x @ x; seen.append(i)", None),
        ("for t in xs:\n    seen.append(t @ t)", None),
        ("with torch.no_grad():\n    y = 1\n    x @ x", None),
        ("with torch.no_grad():\n    x -= 1\n    x @ x", "x -= 1"),
        ("for p in iter(xs):\n    n += 1; x @ x", "n += 1"),
        ("for p in iter(xs):\n    x @= x", None),
        ("while n < 1:\n    x = x + 1\n    x @ x; n += 1", "x = x + 1"),
        ("if n == 0:\n    y = x @ x; n += 1", None),
        ("for i, row in x:\n    n += 1", None),
        ("for i in range(2):\n    if i:\n        n += 1\n    x @ x", None),
        ("for i in range(2):\n    if i:\n        n += 1\n    else:\n        x @ x", None),
        ("while n < 1:\n    x @ x; n += 1", None),
    ],
)
def test_what_a_suggestion_does_a_second_time_is_named(loop, done):
    assert explained(SETUP, loop).notes == (() if done is None else (f"{done} {RUN}",))


@pytest.mark.parametrize(("i", "done"), [(0, []), (1, [f"n += 1 {RUN}"])])
def test_what_comes_later_in_a_loop_has_run_from_the_second_step_on(i, done):
    (loop,) = language.parse("for i in range(3):\n    x @ x; n += 1")
    place = language.Place(2, 4, 2, 9, "x @ x")
    suggestion = report.Suggestion(title="", edit="x @ x.T", source="x @ x.T", result=report.Result())
    assert list(aftermath.notes([suggestion], loop, place, {"i": i, "n": i})) == done


def test_a_model_made_anew_loses_its_weights_and_that_is_said():
    told = explained("net = nn.Sequential(nn.Linear(5, 2), nn.ReLU()); x = torch.rand(4, 3)", "net(x)")
    assert "making net anew draws new weights; an optimizer made before keeps the old ones" in told.notes
    told = explained("x = torch.rand(4, 3)", "net = nn.Linear(5, 2); net(x)")
    assert told.source == "net(x)"
    assert "net" in told.notes[-1]
