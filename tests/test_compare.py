"""Expressions of one's own, measured under a clock that ticks at each reading."""

import signal
import weakref

import numpy as np
import pytest
import torch
from test_workloads import TICK, Ticking

from tensorcli import report, wire
from tensorcli.engine import agreement, ceiling, interrupts, rounding
from tensorcli.engine.compare import compare, workload_of
from tensorcli.engine.session import Session
from tensorcli.render import render


@pytest.fixture(autouse=True)
def no_ceilings(monkeypatch):
    monkeypatch.setattr(ceiling, "of", lambda *_, **__: report.Ceiling())


def asked(*texts, session=None, **fields):
    """Every report of a comparison, progress left out; the time to spend is one tick."""
    reports = []
    request = report.Compare(**{"texts": texts, "min_seconds": TICK} | fields)
    compare(session or Session(seed=1), request, reports.append, clock=Ticking(TICK))
    for each in reports:
        assert wire.report(wire.encode(each)) == each
    return [each for each in reports if not isinstance(each, report.Progress)]


def variants(*texts, **fields):
    (answer,) = [each for each in asked(*texts, **fields) if isinstance(each, report.Benchmark)]
    (case,) = answer.cases
    return case.variants


NOTHING = "there is nothing to measure: write an expression, such as x @ x.T"
MATRICES = "a = torch.rand({n}, {n}); b = torch.rand({n}, {n})"


def test_expressions_are_measured_for_each_parameter():
    (answer,) = asked("a @ b", "torch.einsum('ij,jk->ik', a, b)", setup=MATRICES, parameters={"n": (4, 8)})
    assert (answer.workload, answer.complete, answer.warnings[1:]) == ("compare", True, ())
    assert answer.asked.parameters == {"n": (4, 8)}
    assert [(case.device, case.dtype, case.size) for case in answer.cases] == [
        ("cpu", "float32", {"n": 4}),
        ("cpu", "float32", {"n": 8}),
    ]
    for case in answer.cases:
        first, second = case.variants
        assert (first.name, second.name) == ("a @ b", "torch.einsum('ij,jk->ik', a, b)")
        assert {each.status for each in case.variants} == {"measured"}
        assert first.agrees is None
        assert (second.agrees.ok, second.agrees.with_) == (True, "a @ b")
        assert second.ratio.to == "a @ b"
        n = case.size["n"]
        assert (first.flops, first.nbytes, second.flops) == (2 * n**3, 12 * n**2, 2 * n**3)
        assert len(first.seconds) >= 6


def test_several_parameters_take_all_combinations():
    (answer,) = asked("torch.zeros({n}, dtype={d})", parameters={"n": (1, 2), "d": ("torch.int8", "torch.int64")})
    assert [case.size for case in answer.cases] == [
        {"n": 1, "d": "torch.int8"}, {"n": 1, "d": "torch.int64"}, {"n": 2, "d": "torch.int8"},
        {"n": 2, "d": "torch.int64"},
    ]  # fmt: skip


def test_the_same_expression_twice_has_two_names():
    first, second = variants("torch.ones(3)", "torch.ones(3)")
    assert (first.name, second.name, first.text, second.text) == (
        "torch.ones(3)", "torch.ones(3) (2)", "torch.ones(3)", "torch.ones(3)",
    )  # fmt: skip


def test_random_numbers_are_the_same_for_all():
    _, second = variants("torch.rand(3)", "torch.empty(3).uniform_()")
    assert (second.agrees.ok, second.agrees.max_abs_error) == (True, 0.0)


def test_what_changes_its_inputs_is_said():
    (answer,) = asked("x.add_(1)", "x + 1", setup="x = torch.zeros(3)")
    (case,) = answer.cases
    assert case.warnings == ('"x.add_(1)" changes x: each call works on what the last one left',)
    assert case.variants[1].agrees.ok


def test_a_count_that_goes_on_is_said():
    (answer,) = asked("c += 1; c", setup="c = 0")
    assert answer.cases[0].warnings == ('"c += 1; c" changes c: each call works on what the last one left',)


CHANGES = """
x = torch.arange(6.0).reshape(2, 3)
row = x[0]
xs = [1]
model = torch.nn.Linear(3, 3)
norm = torch.nn.BatchNorm1d(3)
w = torch.ones(3, requires_grad=True)
loss = (w * 2).sum()
w.sum().backward()
before = loss.item()
l = [3, 1, 2]
s = {1}
a = np.ones(3)
b = np.ones(3)
shared = torch.from_numpy(b)
it = iter([1, 2, 3])
g = torch.Generator().manual_seed(1)
rng = np.random.default_rng(1)
net = torch.nn.ModuleDict({"relu": torch.nn.BatchNorm1d(3)})
d = {"k": 1}
def step():
    x.add_(1)
def grads(w):
    (w * 3).sum().backward()
"""


@pytest.mark.parametrize(
    "text",
    [
        "x.add_(1)",
        "x[0] = 7",
        "row.zero_(); x",
        "torch.add(x, 1, out=x)",
        "torch.nn.functional.relu(x, True)",
        "xs.append(1)",
        "[xs.append(i) for i in range(3)]",
        "norm(x)",
        "w.sum().backward()",
        "step()",
        "grads(w)",
        "model.weight.data.zero_()",
        "x.mul_(2); norm(x)",
        "l.sort()",
        "s.add(len(s) + 5)",
        "a.sort()",
        "a.fill(7)",
        "np.exp(a, a)",
        "np.add(a, 1, b)",
        "np.add(b, 1, b)",
        "model.double()",
        "model.to(torch.float64)",
        "net.relu(x)",
        "torch.rand(3, generator=g)",
        "list(it)",
        "[i for i in it]",
        "5 in it",
        "d['k'] = 2",
        "torch.set_printoptions(precision=2)",
        "torch.set_grad_enabled(False)",
        "torch.nn.init.zeros_(w.data)",
    ],
)
def test_nothing_of_the_session_s_changes(text):
    session = Session(seed=1)
    session.ask(report.Evaluate(text=CHANGES), lambda _: None)
    parts = (
        "x.tolist(), row.tolist(), xs, model.weight.tolist(), norm.state_dict(), w.grad, w.grad.tolist(), l, s, a, b",
        "shared, g.get_state().tolist(), net.relu.running_mean, d, torch.is_grad_enabled(), torch.tensor(1.23456), w",
    )
    look = report.Evaluate(text=f"[{', '.join(parts)}]")

    def state():
        session.ask(look, lambda _: None)
        return repr(session.names["_"])

    before = state()
    setting = text.startswith("torch.set")
    answer = next(each for each in asked(text, "x + 1", session=session) if isinstance(each, report.Benchmark))
    assert [each.status for each in answer.cases[0].variants] == ["failed" if setting else "measured", "measured"]
    assert state() == before
    session.ask(report.Evaluate(text="left = list(it)\nloss.backward()"), lambda _: None)
    assert session.names["left"] == [1, 2, 3]
    assert session.names["w"].grad.tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("text", ["loss.backward()", "loss.backward(retain_graph=True); w.grad", "back()"])
def test_a_graph_of_the_session_s_is_not_gone_through(text):
    session = Session(seed=1)
    session.ask(report.Evaluate(text=CHANGES + "def back():\n    loss.backward()\n"), lambda _: None)
    answer = next(each for each in asked(text, session=session) if isinstance(each, report.Benchmark))
    (variant,) = answer.cases[0].variants
    assert (variant.status, variant.reason) == (
        "failed",
        "it goes backward through a graph that stands in the session: make that in the setup, as in "
        '-s "y = (x * x).sum()"',
    )
    session.ask(report.Evaluate(text="loss.backward()"), lambda _: None)
    assert session.names["w"].grad.tolist() == [3.0, 3.0, 3.0]


def test_a_graph_that_the_setup_made_may_be_gone_through():
    session = Session(seed=1)
    session.ask(report.Evaluate(text=CHANGES), lambda _: None)
    (variant,) = variants("y.backward(retain_graph=True); w.grad", setup="y = (w * w).sum()", session=session)
    assert variant.status == "measured"
    assert session.names["w"].grad.tolist() == [1.0, 1.0, 1.0]


def test_the_setup_changes_copies_and_each_case_begins_anew():
    session = Session(seed=1)
    session.ask(report.Evaluate(text=CHANGES), lambda _: None)
    (answer,) = asked(
        "x[0, 0] * {n}", setup="x.add_(1); l.append(1); norm(x)", session=session, parameters={"n": (1, 2)}
    )
    assert [case.variants[0].status for case in answer.cases] == ["measured", "measured"]
    assert session.names["x"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert session.names["l"] == [3, 1, 2]
    assert session.names["norm"].num_batches_tracked == 0


def test_a_setting_that_the_setup_changes_holds_for_its_case():
    (answer,) = asked("torch.ones(3)", setup="torch.set_default_dtype(torch.float64)")
    assert answer.cases[0].variants[0].nbytes == 24
    assert torch.get_default_dtype() == torch.float32


def test_a_user_s_own_classes_may_change_with_any_operator():
    session = Session(seed=1, trust=True)
    code = "class C:\n    k = 0\n    def __add__(self, n):\n        self.k += 1\n    add = __add__\nc = C()"
    session.ask(report.Evaluate(text=code), lambda _: None)
    asked("c + 1", "c.add(1)", session=session)
    assert session.names["c"].k == 0


def test_names_that_are_shadowed_are_not_python_s():
    session = Session(seed=1)
    session.ask(report.Evaluate(text="def max(x):\n    return x.add_(1)\nt = torch.zeros(3)"), lambda _: None)
    asked("max(t)", session=session)
    assert session.names["t"].tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("xs.append(1)", "xs"),
        ("d['k'] += 1", "d"),
        ("xs[0] = xs[0] + 1", "xs"),
        ("d.update(a=1)", "d"),
        ("norm(x)", "norm"),
        ("model(x).sum().backward()", "model"),
        ("opt.step()", "opt"),
        ("model(x)", None),
        ("(w * 2).sum().backward()", "w"),
    ],
)
def test_what_changes_in_anything_is_said(text, name):
    session = Session(seed=1)
    more = "model(x).sum().backward()\nopt = torch.optim.SGD(model.parameters(), lr=0.1)\n"
    session.ask(report.Evaluate(text=CHANGES + more), lambda _: None)
    (answer,) = asked(text, session=session)
    notes = [each for each in answer.cases[0].warnings if "works on what the last one left" in each]
    assert [each.split(" changes ")[1].split(":")[0].split(", ")[0] for each in notes] == ([name] if name else [])


def test_what_gives_nothing_is_held_against_nothing():
    found = variants("xs.append(1)", "x + 1", "1 + x", setup="xs = []; x = torch.ones(3)")
    assert [each.agrees and each.agrees.ok for each in found] == [None, None, True]
    assert [each.gives_nothing for each in found] == [True, False, False]
    assert [each.ratio and each.ratio.to for each in found] == [None, "x + 1", "x + 1"]
    assert found[0].flops is None
    assert [each.gives_nothing for each in variants("xs.append(1)", "xs.append(2)", setup="xs = []")] == [False, False]


@pytest.mark.parametrize("text", ["None", "y = 3", "print(1)"])
def test_what_gives_nothing_is_no_fast_variant(text):
    answer, problem = asked("x * 2", text, setup="x = torch.ones(3)", parameters={})
    drawn = render(answer, width=80).plain
    (row,) = [line for line in drawn.split("\n") if line.startswith(f" {text} ")]
    assert row.endswith("  gives nothing: not compared")
    assert (problem.code, problem.title.partition(",")[0]) == ("gives-nothing", f'"{text}" gives nothing')


def test_a_wrong_result_is_told_once_for_all_sizes():
    answer, problem = asked("x * 2", "x * 3", setup="x = torch.ones({n})", parameters={"n": (2, 3)})
    assert len(answer.cases) == 2
    assert problem.code == "wrong-result"
    assert problem.title.startswith('"x * 3" does not agree with x * 2')


def test_lists_of_numbers_are_arrays():
    setup = "xs = list(range(100)); m = torch.rand(3, 4)"
    found = variants("[a * 2 for a in xs]", "torch.tensor(xs) * 2", "np.array(xs) * 2", setup=setup)
    assert [each.agrees.ok for each in found[1:]] == [True, True]
    assert variants("m.tolist()", "m", setup=setup)[1].agrees.ok
    assert not variants("m.tolist()", "m + 1", setup=setup)[1].agrees.ok
    assert not variants("[1, 2]", "[1, 2, 3]")[1].agrees.ok


def test_what_a_run_finds_as_the_last_left_it_is_said():
    (answer,) = asked("h = h * 2; h", "y = h + 1; y", setup="h = torch.ones(3); y = 1")
    assert answer.cases[0].warnings[0] == '"h = h * 2; h" changes h: each call works on what the last one left'
    assert not any("y = h" in each for each in answer.cases[0].warnings)


def test_a_first_result_stays_as_it_was():
    found = variants("a += 1; a", "a + 1", setup="a = np.ones(3)", explain=True)
    assert found[1].agrees.ok
    found = variants("x.add_(1)", "x + 1", setup="x = torch.ones(3)", explain=True)
    assert found[1].agrees.ok


def test_code_that_ends_python_in_a_sample_fails_alone():
    session = Session(seed=1, trust=True)
    code = "import sys\nn = []\ndef f():\n    n.append(1)\n    if len(n) > 3:\n        sys.exit(3)\n    return 1"
    session.ask(report.Evaluate(text=code), lambda _: None)
    answer = next(each for each in asked("f()", "1 + 0", session=session) if isinstance(each, report.Benchmark))
    assert [each.status for each in answer.cases[0].variants] == ["failed", "measured"]


def test_a_variable_that_is_not_mentioned_excuses_nothing():
    _, second = variants(
        "x * 1.0", "torch.from_numpy(x.numpy() * 1.005).float()", setup="x = torch.rand(100); big = torch.empty(10**8)"
    )
    assert not second.agrees.ok


def test_arrays_are_summed_by_numpy():
    session = Session(seed=1)
    session.ask(report.Evaluate(text="a = np.random.rand(1000, 1000).astype(np.float32)"), lambda _: None)
    first, second = variants("a.sum(dtype=np.float32)", "a.cumsum()[-1]", session=session)
    assert second.agrees.ok
    assert (first.flops, first.gflops_per_second) == (None, None)


def test_rounding_on_the_way_excuses_a_finer_result():
    _, second = variants(
        "a.double() @ b.double()", "(a @ b).double()", setup="a = torch.rand(64, 64); b = torch.rand(64, 64)"
    )
    assert second.agrees.ok


def test_what_is_asked_of_a_tensor_with_one_dimension_is_counted():
    (first,) = variants("(a @ a)[0].topk(5).values", setup="a = torch.rand(64, 64)")
    assert first.nbytes > 2 * 4 * 64 * 64


@pytest.mark.parametrize("texts", [("naive(x)", "x.sum()"), ("x.sum()", "naive(x)")])
def test_a_sum_is_held_to_what_the_longer_of_two_explains(texts):
    setup = """
x = torch.rand(3000)
def naive(x):
    total = x[0]
    for each in x[1:]:
        total = total + each
    return total
"""
    _, second = variants(*texts, setup=setup)
    assert second.agrees.ok


@pytest.mark.parametrize("texts", [("x.add_(1)", "x + 1", "1 + x"), ("x + 1", "x.add_(1)", "1 + x")])
def test_the_order_of_expressions_decides_nothing(texts):
    found = variants(*texts, setup="x = torch.zeros(3)")
    assert [each.agrees.ok for each in found[1:]] == [True, True]


def test_what_shares_memory_does_so_in_copies():
    _, second = variants("row.zero_(); x", "x * 0", setup="x = torch.ones(1, 3); row = x[0]")
    assert second.agrees.ok


def test_what_cannot_be_copied_is_said(monkeypatch):
    monkeypatch.setattr("tensorcli.engine.environment.available_nbytes", lambda: 16)
    monkeypatch.setattr("tensorcli.engine.limits.limit_memory", lambda: None)
    session = Session(seed=1)
    session.ask(report.Evaluate(text="x = torch.zeros(1000)"), lambda _: None)
    (answer,) = asked("x.add_(1)", session=session)
    assert answer.cases[0].warnings == (
        '"x.add_(1)" works on the session\'s own, which cannot be copied (it is too large)',
        '"x.add_(1)" changes x: each call works on what the last one left',
    )


@pytest.mark.parametrize(
    ("one", "other", "ok"),
    [
        ("x", "x * 1.00005", False),  # not what a million elements excuse: nothing is summed
        ("x.cumsum(0)", "x.cumsum(0) * 1.0005", False),
        ("x.sum()", "torch.dot(x, torch.ones_like(x))", True),
        ("x.sum().item()", "torch.dot(x, torch.ones_like(x)).item()", True),  # float32 on the way
        ("x.double().sum().item()", "x.double().sum().item() * 1.0001", False),
        ("x.numpy().sum()", "x.sum().item()", True),
        ("np.sum(x.numpy())", "sum(x.tolist())", True),
        ("(x - x.mean()) / x.std()", "(x - x.mean()) * x.var().rsqrt()", True),
        ("x.softmax(0)", "x.exp() / x.exp().sum()", True),
        ("x.half().float()", "x", True),  # float16 on the way, and its error is told
        ("x.half().float() * 1.01", "x", False),
    ],
)
def test_rounding_is_what_the_operators_explain(one, other, ok):
    _, second = variants(one, other, setup="x = torch.rand(100_000)")
    assert second.agrees.ok == ok, second.agrees.reason


def test_each_expression_has_its_own_work():
    product, ones, total, nothing = variants(
        "x @ x", "torch.ones(64, 64)", "x.sum()", "x", setup="x = torch.rand(64, 64)"
    )
    assert (product.flops, product.nbytes) == (2 * 64**3, 2 * 4 * 64**2)
    wrong = (None, None, None, None)
    for each in (ones, total, nothing):
        assert not each.agrees.ok
        assert (each.flops, each.nbytes, each.gflops_per_second, each.share) == wrong


def test_what_cannot_be_looked_at_has_the_least_work_of_those_that_agree():
    session = Session(seed=1, trust=True)
    code = "import torch\nx = torch.rand(64, 64)\nf = torch.compile(lambda x: x + 1, backend='eager')"
    session.ask(report.Evaluate(text=code), lambda _: None)
    compiled, more, less, wrong = variants("f(x)", "x + 1 + 0", "x + 1", "x.sum()", session=session)
    assert (compiled.flops, more.flops, less.flops, wrong.flops) == (64 * 64, 2 * 64 * 64, 64 * 64, None)


def test_an_expression_that_does_less_for_the_same_has_its_own_work():
    product, kept = variants("x @ x", "y", setup="x = torch.rand(64, 64); y = x @ x")
    assert kept.agrees.ok
    assert (product.flops, kept.flops, kept.nbytes) == (2 * 64**3, None, None)


def test_the_limit_is_what_any_case_did(monkeypatch):
    limit = report.Ceiling(gflops_per_second=1e-9, gbytes_per_second=1.0)
    monkeypatch.setattr(ceiling, "of", lambda *_, **__: limit)
    (answer,) = asked("a @ b", setup=MATRICES, parameters={"n": (4, 8)})
    small, large = answer.cases
    rates = [case.variants[0].gflops_per_second for case in answer.cases]
    fastest = max(rates)
    assert small.ceiling == large.ceiling == report.Ceiling(gflops_per_second=fastest, gbytes_per_second=1.0)
    assert [case.variants[0].share for case in answer.cases] == pytest.approx([rate / fastest for rate in rates])


def test_what_an_expression_assigns_is_its_own():
    first, second = variants("x = x + 1; x", "x", setup="x = torch.zeros(3)")
    assert (first.status, second.status) == ("measured", "measured")
    assert second.agrees.max_abs_error == 1.0


def test_what_fails_is_explained_once_and_the_others_are_measured():
    problem, answer = asked("a @ b", "a @ b[:3]", setup=MATRICES, parameters={"n": (4, 4)})
    assert (problem.code, problem.source) == ("matmul-inner-sizes", "a @ b[:3]")
    assert "in a function" not in str(problem.within)
    assert problem.suggestions
    for case in answer.cases:
        good, bad = case.variants
        assert (good.status, bad.status, bad.reason) == ("measured", "failed", problem.title)


def test_a_setup_that_fails_leaves_nothing_to_measure():
    problem, answer, nothing = asked("x", "y", setup="x = zork")
    assert (problem.title, nothing.title) == ("there is no variable zork", "nothing was measured: the rows say why")
    assert [(each.status, each.reason) for each in answer.cases[0].variants] == [("failed", problem.title)] * 2


@pytest.mark.parametrize(
    ("fields", "code", "title"),
    [
        ({"texts": ("x.__class__",)}, "refused", None),
        ({"texts": ("x x",)}, "syntax", None),
        ({"texts": ()}, "nothing-to-compare", NOTHING),
        ({"texts": ("1", " ")}, "nothing-to-compare", NOTHING),
        (
            {"texts": ("# x",)},
            "nothing-to-compare",
            "there is nothing to measure in # x: write an expression, such as x @ x.T",
        ),
        (
            {"texts": ("1",), "parameters": {"n": (1,)}},
            "bad-parameter",
            "nothing depends on n: write {n} where its values are to stand",
        ),
        (
            {"texts": ("{n}",), "parameters": {"n": ()}},
            "bad-parameter",
            "n has no values: write --param n=64,256",
        ),
        ({"texts": ("torch.ones({n})",)}, "bad-parameter", "{n} has no values: write --param n=64,256"),
        (
            {"texts": ("x + {n}",), "setup": "x = torch.ones({m})", "parameters": {"n": (1,)}},
            "bad-parameter",
            "{m} has no values: write --param m=64,256",
        ),
        (
            {"texts": ("{n} {m}",), "parameters": {"n": tuple(range(50)), "m": tuple(range(50))}},
            "bad-parameter",
            "these parameters make 2,500 cases, and 1,000 are the most",
        ),
        (
            {"texts": ("1",), "dtypes": ("int8",)},
            "unknown-dtype",
            "int8 cannot be the default dtype: choose from float32, float64, float16, bfloat16, tf32",
        ),
        (
            {"texts": ("1",), "devices": ("gpu",)},
            "unknown-device",
            "there is no device called gpu: try cpu, cuda or cuda:1",
        ),
        (
            {"texts": ("1",), "min_seconds": 0.0},
            "bad-time",
            "0 s cannot be spent on a variant: the time must be a number above 0",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_runs(fields, code, title):
    (problem,) = asked(**fields)
    assert (problem.code, title or problem.title) == (code, problem.title)


def test_the_session_stays_as_it_was():
    session = Session(seed=1)
    session.ask(report.Evaluate(text="x = torch.zeros(3)\nx + 1"), lambda _: None)
    before, out, random = dict(session.names), dict(session.names["Out"]), torch.get_rng_state()
    (answer,) = asked(
        "y + x", session=session, setup="y = torch.rand(3)\ny", dtypes=("float64",), devices=("cpu",), threads=(1,)
    )
    assert (answer.cases[0].dtype, answer.cases[0].threads) == ("float64", 1)
    assert answer.cases[0].variants[0].status == "measured"
    assert list(session.names) == list(before)
    assert session.names["Out"] == out
    assert (session.inputs, torch.get_default_dtype()) == (1, torch.float32)
    assert torch.equal(torch.get_rng_state(), random)


def test_the_dtype_of_a_case_is_that_of_its_inputs():
    (answer,) = asked("x", setup="x = torch.rand({n})", parameters={"n": (3,)}, dtypes=("float16", "float64"))
    assert [case.dtype for case in answer.cases] == ["float16", "float64"]


def test_code_of_ones_own_may_raise_anything():
    session = Session(seed=1, trust=True)
    problem, answer, _ = asked("exit(3)", session=session)
    assert answer.cases[0].variants[0].status == "failed"
    assert problem.title == answer.cases[0].variants[0].reason


def test_an_interrupted_setup_ends_it():
    reports = []
    session = Session(seed=1, trust=True)
    request = report.Compare(texts=("1",), setup="raise KeyboardInterrupt", min_seconds=TICK)
    with pytest.raises(KeyboardInterrupt):
        compare(session, request, reports.append, clock=Ticking(TICK))
    assert [(type(each), each.complete) for each in reports] == [(report.Benchmark, False)]


def test_a_statement_within_does_not_end_what_can_be_interrupted():
    with interrupts.from_keyboard(), interrupts.answering(1), interrupts.interruptible():
        with interrupts.interruptible():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_case_lets_its_tensors_go_before_the_next():
    session, alive = Session(seed=1, trust=True), []
    session.names["seen"] = lambda x: alive.append(weakref.ref(x))
    session.names["count"] = lambda: alive.append(sum(each() is not None for each in alive if callable(each)))
    asked("x", session=session, setup="count(); x = torch.rand({n}); seen(x)", parameters={"n": (2, 3, 4)})
    assert [each for each in alive if not callable(each)] == [0, 0, 0]


@pytest.mark.parametrize("text", ["len({x})", "n = 1; len({n})", "[len({n}) for n in range(2)]", "len({len})"])
def test_a_set_of_one_is_no_parameter(text):
    session = Session(seed=1)
    session.names["x"] = 1
    (answer,) = asked(text, session=session)
    assert answer.cases[0].variants[0].status == "measured"


def test_a_single_name_may_be_a_workloads():
    named = report.Compare(texts=("dot",), min_seconds=2.0)
    assert workload_of(named, {}) == report.Bench(workload="dot", min_seconds=2.0)
    assert workload_of(named, {"dot": 1}) is None
    assert workload_of(report.Compare(texts=("dot", "dot")), {}) is None
    assert workload_of(report.Compare(texts=("x",)), {}) is None
    assert workload_of(report.Compare(texts=("dot",), setup="dot = 1"), {}) is None
    said = []
    Session(seed=1).ask(report.Compare(texts=("dott",)), said.append)
    (problem,) = said
    assert problem.title == "there is no workload called dott: did you mean dot?"


# Whether two results are the same.

ERROR, ROUNDING = "its largest relative error is", "and rounding explains"
NAN, INF = float("nan"), float("inf")
X = torch.tensor([1.0, 2.0, -4.0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (X, X.clone()),
        (X, X.double()),
        (X + 1e-7, X),
        (torch.tensor([1e-7, 4.0]), torch.tensor([0.0, 4.0])),  # relative to the largest
        (torch.tensor([NAN, INF, 1.0]), torch.tensor([NAN, INF, 1.0])),
        (torch.zeros(0), torch.zeros(0)),
        (torch.tensor(3), 3),
        (3, torch.tensor(3)),
        (2.0, 2),
        ((X, [X, 1]), [X, (X, 1)]),
        ({"a": X, "b": 1}, {"b": 1, "a": X}),
        (X.to_sparse(), X),
        (X * 1j, X * 1j),
        (X.bool(), X.bool()),
    ],
)
def test_the_same_results(one, other):
    found = agreement.alike(one, other, name="f", way=rounding.of(torch.float32, terms=9))
    assert (found.ok, found.reason, found.with_) == (True, None, "f")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (X, X[:2], "its shape is [3] instead of [2]"),
        (X * 1.01, X, f"{ERROR} 0.01, {ROUNDING} 1e-06"),
        (X.long() + 1, X.long(), f"{ERROR} 0.2, {ROUNDING} 0"),
        (torch.tensor([NAN, 1.0]), torch.tensor([0.0, 1.0]), f"{ERROR} nan, {ROUNDING} 1e-06"),
        (torch.tensor([INF, 1.0]), torch.tensor([-INF, 1.0]), f"{ERROR} inf, {ROUNDING} 1e-06"),
        ((X, X), (X,), "it has 2 items instead of 1"),
        ({"a": 1}, {"b": 1}, "its keys are others"),
        (X, "x", "it is of type Tensor instead of str"),
        ([X, X], [X, X + 1], f"{ERROR} 0.3, {ROUNDING} 1e-06"),
        (torch.tensor([2**60 + 1]), torch.tensor([2**60]), "its integers differ in digits that float64 has not"),
        (np.array(["a", "b"]), np.array(["a"]), "it is another value"),
    ],
)  # fmt: skip
def test_other_results(one, other, reason):
    found = agreement.alike(one, other, name="f", way=rounding.of(torch.float32, terms=9))
    assert (found.ok, found.reason) == (False, reason)


def test_a_wrong_one_of_several_results_decides():
    found = agreement.alike((X * 1.001, X * 0 + 5), (X, X * 0 + 5), name="f")
    assert not found.ok
    found = agreement.alike((X * 1.01, X.long() + 1), (X * 1.01, X.long()), name="f")
    assert not found.ok


@pytest.mark.parametrize(
    ("one", "other", "ok"),
    [
        ((X, "a"), (X + 1, "a"), False),
        ((X, torch.float32), (X * 2, torch.float32), False),
        ((X, "a"), (X, "b"), False),
        ((X, "a"), (X, "a"), True),
        ((X, torch.nn.ReLU()), (X, torch.nn.ReLU()), True),
        (X.bfloat16() * 1.03, X.bfloat16(), False),
    ],
)
def test_what_cannot_be_compared_hides_nothing(one, other, ok):
    assert agreement.alike(one, other, name="f").ok == ok


def test_what_cannot_be_compared():
    assert agreement.alike("a", "a", name="f") is None
    assert agreement.alike(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), name="f") is None
    assert agreement.alike(None, None, name="f") is None


@pytest.mark.parametrize(
    ("one", "other", "ok"),
    [
        (np.ones(3), np.zeros(3), False),
        (np.ones(3), np.ones(3), True),
        (np.ones(3)[::-1], torch.ones(3), True),
        (np.float64(1.5), 1.5, True),
        (torch.tensor([2**53 + 1]), torch.tensor([2**53]), False),
        (torch.tensor([2**53 + 1]), torch.tensor([2**53 + 1]), True),
        (1.00000001, 1.0, False),
        (1.0, 1.0, True),
        (10**20, 10**20 + 1, False),
        (True, False, False),
    ],
)
def test_numbers_and_arrays_are_compared_with_all_their_digits(one, other, ok):
    found = agreement.alike(one, other, name="first")
    assert found is not None
    assert found.ok == ok


def test_every_generator_gives_the_same_numbers_to_all_and_is_put_back():
    session = Session(seed=3)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    (found,) = (
        each
        for each in asked("np.random.rand(3)", "np.random.rand(3)", session=session)
        if isinstance(each, report.Benchmark)
    )
    assert found.cases[0].variants[1].agrees.ok
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@pytest.mark.parametrize("endless", ["while True: pass", "forever()"])
def test_a_call_that_never_ends_is_stopped_and_the_others_are_measured(monkeypatch, endless):
    monkeypatch.setattr("tensorcli.engine.bench.LEAST_PATIENCE", 0.1)
    setup = """
x = torch.ones(3)
def forever():
    while True:
        try:
            x + 1
        except Exception:
            pass
"""
    answer, problem = asked("x + 1", endless, "1 + x", setup=setup, max_seconds=0.01)
    first, second, third = answer.cases[0].variants
    assert (problem.code, problem.title) == ("not-measured", f'"{endless}" was {second.reason}')
    assert (second.status, second.median) == ("failed", None)
    assert second.reason == "stopped after 0.1 s, for it may never end: raise --max-time, or --full lets it run"
    assert (first.status, third.status, third.agrees.ok) == ("measured", "measured", True)


def test_an_error_of_the_codes_own_is_not_taken_for_ours():
    problem, answer = asked("f()", "x + 1", setup="x = torch.ones(3)\ndef f(): raise TimeoutError")
    assert [each.status for each in answer.cases[0].variants] == ["failed", "measured"]
    assert "may never end" not in answer.cases[0].variants[0].reason + problem.title


def test_a_call_that_never_ends_when_it_is_sampled_is_stopped(monkeypatch):
    monkeypatch.setattr("tensorcli.engine.bench.LEAST_PATIENCE", 0.1)
    setup = "x = torch.ones(3)\nl = []\ndef f():\n    l.append(1)\n    while len(l) > 2:\n        pass"
    answer, problem = asked("f()", "x + 1", setup=setup, max_seconds=0.01)
    first, second = answer.cases[0].variants
    assert (problem.code, problem.title) == ("not-measured", f'"f()" was {first.reason}')
    assert (first.status, second.status) == ("failed", "measured")
    assert first.reason == "stopped after 0.2 s, for it may never end: raise --max-time, or --full lets it run"


@pytest.mark.parametrize(
    ("text", "constant"),
    [("2 + 2", True), ("'a' * 10", True), ("(1, 2)", True), ("-3 ** 2", True), ("2", False), ("k + 2", False),
     ("max(1, 2)", False), ("2 ** 100_000", False), ("k; 2 + 2", False)],
)  # fmt: skip
def test_what_python_computes_when_it_compiles_is_told(text, constant):
    (answer,) = asked(text, setup="k = 2")
    told = f'"{text}" is computed once, when it is compiled, and not in each call: name its parts in the setup'
    assert (told in answer.cases[0].warnings) == constant


def test_timeit_tells_of_constants_too():
    said = []
    Session(seed=1).ask(report.TimeIt(text="2 + 2", min_seconds=0.001), said.append)
    assert said[-1].warnings[0].startswith('"2 + 2" is computed once, when it is compiled')


@pytest.mark.parametrize(
    ("text", "changed"), [("y.add_(1)", "y"), ("k += 1", "k"), ("l.append(1)", "l"), ("y + k", ""), ("z = y * 2", "")]
)
def test_timeit_tells_what_it_changed(text, changed):
    said, session = [], Session(seed=1)
    session.ask(report.Evaluate(text="y = torch.ones(3); k = 1; l = []"), lambda _: None)
    session.ask(report.TimeIt(text=text, min_seconds=0.001), said.append)
    told = [each for each in said[-1].warnings if "has changed" in each]
    assert told == ([f'"{text}" has changed {changed}, in every call: %bench works on copies'] if changed else [])
