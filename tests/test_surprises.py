"""Mistakes that raise nothing: what is told of them, once, and what is not."""

import pytest
import torch

from tensorcli import report
from tensorcli.engine.session import Session

TOLD = {
    "an outer product": (
        "p = torch.rand(5, 1); t = torch.rand(5)",
        "p - t",
        "note: p - t stretches [5, 1] with [5] to [5, 5]: t.unsqueeze(1) pairs them one by one",
    ),
    "an outer product the other way round": (
        "p = torch.rand(5, 1); t = torch.rand(5)",
        "loss = ((t - p) ** 2).mean()",
        "note: t - p stretches [5, 1] with [5] to [5, 5]: t.unsqueeze(1) pairs them one by one",
    ),
    "meta": (
        "a = torch.rand(3, 3); b = torch.rand(3, 3, device='meta')",
        "a @ b",
        "note: a @ b mixes cpu and meta: meta tensors have no values to compute with",
    ),
    "uint8": (
        "img = torch.tensor([5, 20, 200], dtype=torch.uint8)",
        "img - 10",
        "note: img - 10 wrapped around in 1 of 3 elements: uint8 holds 0 to 255",
    ),
    "int8 in place": (
        "q = torch.tensor([100, 3], dtype=torch.int8)",
        "q += 100",
        "note: q += 100 wrapped around in 1 of 2 elements: int8 holds -128 to 127",
    ),
    "int64 power": (
        "n = torch.tensor([10, 2])",
        "n ** 30",
        "note: n ** 30 wrapped around in 1 of 2 elements: "
        "int64 holds -9,223,372,036,854,775,808 to 9,223,372,036,854,775,807",
    ),
    "float64 from NumPy": (
        "a = np.ones(3)",
        "x = torch.from_numpy(a)",
        "note: x is float64, as NumPy's numbers are, and torch's layers are float32: .float() converts",
    ),
    "equality": (
        "a = torch.rand(3); b = torch.rand(3)",
        "a == b",
        "note: a == b compares floats exactly: torch.isclose allows for rounding",
    ),
    "is_available": (
        "",
        'device = "cuda" if torch.cuda.is_available else "cpu"',
        "note: torch.cuda.is_available is not called, and a function is always true: torch.cuda.is_available()",
    ),
    "argmax": (
        "scores = torch.rand(4, 10)",
        "scores.argmax()",
        "note: argmax of [4, 10] without dim looks at all 40 elements: dim=1 is along the last dimension",
    ),
    "infinity": (
        "x = torch.tensor([0.0, 1.0, 4.0])",
        "y = torch.log(x) * 2 + 1",
        "note: torch.log(x) made 1 infinity (of 3 elements)",
    ),
    "NaN": (
        "x = torch.tensor([-1.0, 0.0, 4.0])",
        "(x.sqrt() + 1).sum()",
        "note: x.sqrt() made 1 NaN (of 3 elements)",
    ),
}
NOT_TOLD = {
    "an outer product that is meant": ("p = torch.rand(5, 1); t = torch.rand(1, 5)", "p - t"),
    "a column and its own size": ("p = torch.rand(5, 1); t = torch.rand(5, 1)", "p - t"),
    "a row": ("x = torch.rand(4, 5); t = torch.rand(5)", "x - t"),
    "uint8 that stays": ("img = torch.tensor([50, 20], dtype=torch.uint8)", "img - 10"),
    "whole numbers": ("a = torch.arange(3)", "a == a"),
    "a float that is whole": ("a = torch.rand(3)", "a == 0"),
    "a vector": ("x = torch.rand(5)", "x.argmax()"),
    "a dimension": ("x = torch.rand(5, 2)", "x.softmax(1)"),
    "NaN that was there": ("x = torch.tensor([float('nan'), 1.0])", "x + 1"),
    "a call": ("", 'device = "cuda" if torch.cuda.is_available() else "cpu"'),
    "a property": ("x = torch.rand(3)", 'y = "gpu" if x.is_cuda else "cpu"'),
    "float32 from NumPy": ("a = np.ones(3, dtype=np.float32)", "x = torch.from_numpy(a)"),
    "float64 that is asked for": ("a = np.ones(3)", "x = torch.tensor(a, dtype=torch.float64)"),
}


def told(session: Session, text: str) -> list[str]:
    """The notes that a text brings."""
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=text), said.append)
    assert not any(isinstance(answer, report.Diagnosis) for answer in said), said
    return [answer.text for answer in said if isinstance(answer, report.Notice) and answer.text.startswith("note:")]


@pytest.mark.parametrize("name", TOLD)
def test_told_once(name):
    setup, statement, note = TOLD[name]
    session = Session(seed=0, warn=True)
    told(session, setup)
    assert told(session, statement) == [note]
    assert told(session, setup + "\n" + statement) == []


@pytest.mark.parametrize("name", TOLD)
def test_nothing_is_told_unless_wanted(name):
    setup, statement, _ = TOLD[name]
    session = Session(seed=0)
    assert told(session, setup) + told(session, statement) == []


@pytest.mark.parametrize("name", NOT_TOLD)
def test_not_told(name):
    setup, statement = NOT_TOLD[name]
    session = Session(seed=0, warn=True)
    assert told(session, setup) + told(session, statement) == []


def test_a_reset_forgets_what_was_said_and_it_can_be_switched():
    session = Session(seed=0, warn=True)
    assert len(told(session, "torch.rand(3) == torch.rand(3)")) == 1
    session.ask(report.Reset(), lambda _: None)
    assert len(told(session, "torch.rand(3) == torch.rand(3)")) == 1
    session.ask(report.Reset(), lambda _: None)
    session.ask(report.Configure(warn=False), lambda _: None)
    assert told(session, "torch.rand(3) == torch.rand(3)") == []
    assert session.settings().warn is False


def test_looking_runs_nothing_twice():
    session = Session(seed=0, warn=True)
    told(session, "log = []\ndef f(t):\n  print('once')\n  log.append(1)\n  return t.log()\nx = torch.zeros(2)")
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text="f(x) + torch.rand(2)"), said.append)
    assert [answer.text for answer in said if isinstance(answer, report.Output)] == ["once\n"]
    assert [answer.text for answer in said if isinstance(answer, report.Notice)] == [
        "note: f(x) made 2 infinities (of 2 elements)"
    ]
    assert session.names["log"] == [1]
    told(session, "y = torch.rand(2)")
    torch.manual_seed(0)
    torch.rand(2)
    assert session.names["y"].tolist() == torch.rand(2).tolist()


def test_inspect_tells_too():
    session, said = Session(seed=0, warn=True), []
    session.ask(report.Inspect(text="p - t", setup="p = torch.rand(5, 1); t = torch.rand(5)"), said.append)
    assert [answer.text for answer in said if isinstance(answer, report.Notice)] == [TOLD["an outer product"][2]]
