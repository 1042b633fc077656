"""Mistakes that raise nothing: what is told of them, once, and what is not."""

import dataclasses

import pytest
import torch

from tensorcli import report
from tensorcli.engine import surprises
from tensorcli.engine.session import Session

TOLD = {
    "an outer product of a sum": (
        "a = torch.rand(5); c = torch.rand(5, 1)",
        "c * (a + a)",
        "note: c * (a + a) stretches [5, 1] with [5] to [5, 5]: (a + a).unsqueeze(1) pairs them one by one",
    ),
    "a layer made of a tensor": (
        "x = torch.rand(3)",
        "nn.ReLU(x)",
        "note: nn.ReLU(x) makes a layer and applies it to nothing: nn.ReLU()(x) applies it",
    ),
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
        "note: img - 10 wrapped around below 0 in 1 of 3 elements (-5 became 251): uint8 holds 0 to 255",
    ),
    "int8 in place": (
        "q = torch.tensor([100, 3], dtype=torch.int8)",
        "q += 100",
        "note: q += 100 wrapped around above 127 in 1 of 2 elements (200 became -56): int8 holds -128 to 127",
    ),
    "int64 power": (
        "n = torch.tensor([10, 2])",
        "n ** 30",
        "note: n ** 30 wrapped around above 9,223,372,036,854,775,807 in 1 of 2 elements: "
        "int64 ends at 2**63 - 1, float64 goes further",
    ),
    "float64 from NumPy": (
        "a = np.ones(3)",
        "x = torch.from_numpy(a)",
        "note: torch.from_numpy(a) is float64, as NumPy's numbers are, and torch's layers are float32: "
        ".float() converts",
    ),
    "equality": (
        "a = torch.tensor([0.3, 0.6, 0.5]); b = torch.tensor([0.9, 1.8, 1.5])",
        "a * 3 == b",
        "note: the sides of a * 3 == b differ by rounding alone in 2 of 3 elements: torch.isclose leaves room for it",
    ),
    "is_available": (
        "",
        'device = "cuda" if torch.cuda.is_available else "cpu"',
        "note: torch.cuda.is_available is not called, and a function is always true: torch.cuda.is_available()",
    ),
    "nll_loss of probabilities": (
        "x = torch.rand(3, 4); t = torch.tensor([0, 1, 2])",
        "F.nll_loss(F.softmax(x, dim=1), t)",
        "note: F.nll_loss(F.softmax(x, dim=1), t) takes log-probabilities, and F.softmax(x, dim=1) has values above 0: "
        "log_softmax gives them, and cross_entropy takes the scores themselves",
    ),
    "argmax": (
        "scores = torch.rand(4, 10)",
        "scores.argmax()",
        "note: argmax of [4, 10] without dim looks at all 40 elements: dim=1 is along the last dimension",
    ),
    "infinity": (
        "x = torch.tensor([0.0, 1.0, 4.0])",
        "y = torch.log(x) * 2 + 1",
        "note: torch.log(x) made 1 infinity of 3 elements",
    ),
    "NaN": (
        "x = torch.tensor([-1.0, 0.0, 4.0])",
        "(x.sqrt() + 1).sum()",
        "note: x.sqrt() made 1 NaN of 3 elements",
    ),
    "a loss": (
        "p = torch.rand(5, 1); t = torch.rand(5)",
        "F.kl_div(p, t)",
        "note: F.kl_div(p, t) stretches [5, 1] with [5] to [5, 5]: t.unsqueeze(1) pairs them one by one",
    ),
    "labels": (
        "p = torch.rand(5, 1); t = torch.arange(5)",
        "(p.round() == t).sum()",
        "note: p.round() == t stretches [5, 1] with [5] to [5, 5]: t.unsqueeze(1) pairs them one by one",
    ),
    "a method in place": (
        "img = torch.tensor([5, 20], dtype=torch.uint8)",
        "img.sub_(10)",
        "note: img.sub_(10) wrapped around below 0 in 1 of 2 elements (-5 became 251): uint8 holds 0 to 255",
    ),
    "a negative": (
        "img = torch.tensor([5, 0], dtype=torch.uint8)",
        "-img",
        "note: -img wrapped around below 0 in 1 of 2 elements (-5 became 251): uint8 holds 0 to 255",
    ),
    "the first elements of many": (
        "img = torch.zeros(200, 200, dtype=torch.uint8)",
        "img - 1",
        "note: img - 1 wrapped around below 0 in 10,000 of the first 10,000 elements (-1 became 255): "
        "uint8 holds 0 to 255",
    ),
    "torch.sub": (
        "p = torch.rand(5, 1); t = torch.rand(5)",
        "torch.sub(p, t)",
        "note: torch.sub(p, t) stretches [5, 1] with [5] to [5, 5]: t.unsqueeze(1) pairs them one by one",
    ),
    "meta without names": (
        "",
        "torch.rand(3, 3) @ torch.rand(3, 3, device='meta')",
        "note: torch.rand(3, 3) @ torch.rand(3, 3, device='meta') mixes cpu and meta: meta tensors have no values to "
        "compute with",
    ),
    "a narrow sum": (
        "x = torch.full((5,), 100)",
        "x.sum(dtype=torch.int8)",
        "note: x.sum(dtype=torch.int8) wrapped around above 127 (500 became -12): int8 holds -128 to 127",
    ),
    "a part in place": (
        "img = torch.full((4, 2), 200, dtype=torch.uint8)",
        "img[0] += 100",
        "note: img[0] += 100 wrapped around above 255 in 2 of 2 elements (300 became 44): uint8 holds 0 to 255",
    ),
    "nothing but 0": (
        "n = torch.arange(5)",
        "n // 10",
        "note: n // 10 gave 0 for all 5 elements: it rounds to whole numbers, n / 10 keeps the fractions",
    ),
    "float64 by arithmetic": (
        "x = torch.rand(3); y = torch.rand(3, dtype=torch.float64)",
        "x * 2 + y",
        "note: x * 2 + y is float64, because y is: y.float() keeps float32",
    ),
    "in place": ("x = torch.tensor([1.0, 0.0])", "x /= 0", "note: x /= 0 made 1 NaN and 1 infinity of 2 elements"),
    "a large tensor": (
        "x = torch.zeros(1_000_001)",
        "y = x.log() + 1",
        "note: x.log() + 1 made 1,000,001 infinities of 1,000,001 elements",
    ),
    "a layer's method without its brackets": (
        "m = nn.Linear(2, 2)",
        "m.eval",
        "note: m.eval is not called, and nothing is done: m.eval()",
    ),
    "results repeated": (
        "x = torch.rand(3, 4)",
        "torch.max(x, dim=1) * 2",
        "note: torch.max(x, dim=1) * 2 repeats the two results of torch.max(x, dim=1): torch.max(x, dim=1).values is "
        "the tensor",
    ),
    "a fraction among whole numbers": (
        "a = torch.tensor([1, 2, 3])",
        "a[1] = 2.7",
        "note: a[1] = 2.7: a is int64, and the fractions are cut off; a = a.float() keeps them",
    ),
    "softmax before cross_entropy": (
        "p = torch.rand(4, 3).softmax(1); t = torch.tensor([0, 1, 2, 0])",
        "F.cross_entropy(p, t)",
        "note: F.cross_entropy(p, t) applies softmax itself, and p is probabilities already, which sum to 1: "
        "give it the scores",
    ),
    "softmax before a loss layer": (
        "p = torch.rand(4, 3).softmax(1); t = torch.tensor([0, 1, 2, 0]); loss = nn.CrossEntropyLoss()",
        "loss(p, t)",
        "note: loss(p, t) applies softmax itself, and p is probabilities already, which sum to 1: give it the scores",
    ),
    "a block": (
        "x = torch.tensor([1.0, 1e38])",
        "for _ in range(2):\n    x = x * 10",
        "note: x now holds 1 infinity of 2 elements",
    ),
}
NOT_TOLD = {
    "whole numbers that differ": ("", "torch.tensor([8., 9., 10.], dtype=torch.bfloat16) == 9"),
    "an outer product that is meant": ("p = torch.rand(5, 1); t = torch.rand(1, 5)", "p - t"),
    "a column and its own size": ("p = torch.rand(5, 1); t = torch.rand(5, 1)", "p - t"),
    "a row": ("x = torch.rand(4, 5); t = torch.rand(5)", "x - t"),
    "uint8 that stays": ("img = torch.tensor([50, 20], dtype=torch.uint8)", "img - 10"),
    "whole numbers": ("a = torch.arange(3)", "a == a"),
    "a float that is whole": ("a = torch.rand(3)", "a == 0"),
    "a vector": ("x = torch.rand(5)", "x.argmax()"),
    "log-probabilities": (
        "x = torch.rand(3, 4); t = torch.tensor([0, 1, 2])",
        "F.nll_loss(F.log_softmax(x, dim=1), t)",
    ),
    "a dimension": ("x = torch.rand(5, 2)", "x.softmax(1)"),
    "NaN that was there": ("x = torch.tensor([float('nan'), 1.0])", "x + 1"),
    "a call": ("", 'device = "cuda" if torch.cuda.is_available() else "cpu"'),
    "float32 from NumPy": ("a = np.ones(3, dtype=np.float32)", "x = torch.from_numpy(a)"),
    "float64 that is asked for": ("a = np.ones(3)", "x = torch.tensor(a, dtype=torch.float64)"),
    "an outer product that was prepared": ("pos = torch.arange(5).unsqueeze(1); div = torch.rand(5)", "pos * div"),
    "a table of pairs": ("i = torch.arange(8)[:, None]; j = torch.arange(8)", "i >= j"),
    "a table that is written": ("", "torch.arange(5).view(-1, 1) * torch.arange(1, 6)"),
    "scores": ("x = torch.rand(4, 3); t = torch.tensor([0, 1, 2, 0])", "F.cross_entropy(x, t)"),
    "a whole number among whole numbers": ("a = torch.tensor([1, 2, 3])", "a[1] = 2"),
    "a property of a layer": ("m = nn.Linear(2, 2)", "m.weight"),
    "a function that is named": ("", "torch.relu"),
    "one that is written": ("x = torch.rand(5)", "x[:, None] - x"),
    "a branch that did not run": ("p = torch.rand(5, 1); t = torch.rand(5)", "p - t if p.dim() == 1 else p"),
    "a function's own name": ("p = torch.rand(5, 1); t = torch.rand(5)", "f = lambda p: p - t"),
    "a move to meta": ("a = torch.rand(3); b = torch.rand(3, device='meta')", "a.to(b)"),
    "shapes of meta": ("a = torch.rand(3); b = torch.rand(3, device='meta')", "max(a.numel(), b.numel())"),
    "uint8 that is widened": ("img = torch.tensor([5, 20], dtype=torch.uint8)", "img.int() - 10"),
    "a power that fits": ("n = torch.tensor([10, 2])", "n ** 18"),
    "a test of shapes in a block": (
        "p = torch.rand(5); t = torch.rand(5)",
        "with torch.no_grad():\n    d = p - t\n    p = p.unsqueeze(1)",
    ),
    "float64 that is written": ("x = torch.rand(3)", "x.double() + x"),
    "memory as it was, in the old way": ("", "torch.Tensor(1000)"),
    "no two floats alike": ("a = torch.rand(3); b = torch.rand(3)", "a == b"),
    "the same floats": ("a = torch.rand(3)", "a == a.clone()"),
    "what is put into a list": ("a = torch.rand(3); b = torch.rand(3, device='meta'); f = lambda x, y: 1", "f(a, b)"),
    "what torch tells by itself": ("x = torch.rand(2, 3, 4)", "F.softmax(x)"),
    "buckets": ("n = torch.arange(20)", "n // 10"),
    "a column that is kept": ("x = torch.rand(5, 3)", "x.sum(1, keepdim=True) + x.sum(1)"),
    "the largest": ("x = torch.rand(3)", "x == x.max()"),
    "the test for NaN": ("x = torch.rand(3)", "x != x"),
    "labels as floats": ("p = torch.rand(3); t = torch.tensor([0.0, 1.0, 1.0])", "((p > 0.5).float() == t).sum()"),
    "NaN in a layer": ("m = nn.Linear(2, 2); m.weight.data.fill_(torch.nan)", "m(torch.ones(1, 2))"),
    "memory as it was": ("", "torch.empty(1000)"),
    "half precision that adds up": ("x = torch.full((9,), 30000.0, dtype=torch.float16)", "x * 2"),
    "a property of two values": ("x = torch.rand(3)", 'y = "gpu" if x.is_cuda else "cpu"'),
    "a property": ("x = torch.rand(3)", "if x.is_cuda or not x.is_leaf: print('no')"),
    "float64 that is converted": ("a = np.ones(3)", "x = torch.from_numpy(a).float()"),
}


def told(session: Session, text: str) -> list[str]:
    """The notes that a text brings."""
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=text), said.append)
    assert not any(isinstance(answer, report.Diagnosis) for answer in said), said
    return [answer.text for answer in said if isinstance(answer, report.Notice) and answer.text.startswith("note:")]


@pytest.fixture(autouse=True)
def finders_do_not_fail(monkeypatch):
    """A finder that raises says nothing, as it should; here it must not raise at all."""
    failures = []

    def watched(find):
        def find_and_tell(look, node):
            try:
                return find(look, node)
            except Exception as error:
                failures.append(error)
                raise

        return find_and_tell

    kinds = tuple(dataclasses.replace(kind, find=watched(kind.find)) for kind in surprises.KINDS)
    monkeypatch.setattr(surprises, "KINDS", kinds)
    yield
    assert failures == []


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
    assert len(told(session, "torch.rand(3, 1) - torch.rand(3)")) == 1
    session.ask(report.Reset(), lambda _: None)
    assert len(told(session, "torch.rand(3, 1) - torch.rand(3)")) == 1
    session.ask(report.Reset(), lambda _: None)
    session.ask(report.Configure(warn=False), lambda _: None)
    assert told(session, "torch.rand(3, 1) - torch.rand(3)") == []
    assert session.settings().warn is False


def test_looking_runs_nothing_twice():
    session = Session(seed=0, warn=True)
    told(session, "log = []\ndef f(t):\n  print('once')\n  log.append(1)\n  return t.log()\nx = torch.zeros(2)")
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text="f(x) + torch.rand(2)"), said.append)
    assert [answer.text for answer in said if isinstance(answer, report.Output)] == ["once\n"]
    assert [answer.text for answer in said if isinstance(answer, report.Notice)] == [
        "note: f(x) made 2 infinities of 2 elements"
    ]
    assert session.names["log"] == [1]
    told(session, "y = torch.rand(2)")
    torch.manual_seed(0)
    torch.rand(2)
    assert session.names["y"].tolist() == torch.rand(2).tolist()


def test_inspect_tells_too():
    session, said = Session(seed=0, warn=True), []
    session.ask(report.Inspect(text="p - t", setup="p = torch.rand(5, 1); t = torch.rand(5)"), said.append)
    assert TOLD["an outer product"][2] in [answer.text for answer in said if isinstance(answer, report.Notice)]
