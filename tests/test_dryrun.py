"""Dry runs: what they say is what happens, nothing is computed, and the session stays as it is."""

import re
import sys
from pathlib import Path

import pytest
import torch

from tensorcli import report
from tensorcli.engine import pretend
from tensorcli.engine.session import Session
from tensorcli.render.trace import render_trace

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import dryrun

HUGE = "x = torch.empty(100000, 100000)"


def answers(text: str, setup: str = "", *, session: Session | None = None, symbols=()) -> list[report.AnyReport]:
    found: list[report.AnyReport] = []
    request = report.Inspect(text=text, setup=setup, dry_run=True, symbols=tuple(symbols))
    (session or Session(seed=0)).ask(request, found.append)
    return found


def trace(text: str, setup: str = "", **options) -> report.Trace:
    found = answers(text, setup, **options)[0]
    assert isinstance(found, report.Trace), found
    return found


def problem(text: str, setup: str = "", **options) -> report.Diagnosis:
    found = answers(text, setup, **options)[-1]
    assert isinstance(found, report.Diagnosis), found
    return found


def nodes(node: report.Node) -> list[report.Node]:
    return [node, *(below for child in node.children for below in nodes(child))]


def texts(found: report.Trace) -> list[str]:
    return [node.text for node in nodes(found.root)]


@pytest.fixture
def pretended():
    pretend.start()
    yield
    pretend.stop()


# Truth.


def test_what_a_dry_run_says_of_expressions_is_what_happens():
    found = list(dryrun.oracle(every=4))
    assert len(found) >= 500
    assert sum(case.agrees for case in found) >= 0.95 * len(found)
    assert [case.text for case in found if not case.agrees and not case.depends] == []


def test_what_a_dry_run_says_of_mistakes_and_their_corrections_is_what_happens():
    found = list(dryrun.failing(every=4))
    assert len(found) >= 500
    assert sum(case.agrees for case in found) >= 0.94 * len(found)
    misses = [case.text for case in found if not case.agrees and not case.depends]
    assert len(misses) <= 1, misses


@pytest.mark.parametrize(
    "text",
    ["x[0]", "x[:, 1:]", "torch.where(x > 0, x, 0)", "x.shape[0] * 2", "x.topk(2)", "[x.sum() for k in range(len(x))]"],
)
def test_what_has_one_answer_whatever_the_values_is_given(text: str):
    assert trace(text, "x = torch.rand(3, 4)").predicted


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("x[x > 0]", "the shape of x[x > 0] depends on values, and a dry run has none: it has between 0 and 12 rows"),
        (
            "x.nonzero()",
            "the shape of x.nonzero() depends on values, and a dry run has none: it has between 0 and 12 rows",
        ),
        ("x.sum().item()", "the value of x.sum().item() depends on values, and a dry run has none"),
        ("1 if x.any() else 2", "the value of x.any() depends on values, and a dry run has none"),
        ("x.tolist()", "the value of x.tolist() depends on values, and a dry run has none"),
    ],
)
def test_what_depends_on_values_is_said(text: str, title: str):
    found = answers(text, "x = torch.rand(3, 4)")
    assert isinstance(found[-1], report.Diagnosis)
    assert (found[-1].code, found[-1].title) == ("depends-on-values", title)


def test_meta_tensors_stay_where_they_are():
    found = trace("(m + 1) @ m", "m = torch.ones(3, 3, device='meta')")
    devices = {node.text: getattr(node.result, "device", None) for node in nodes(found.root)}
    assert devices == {"(m + 1) @ m": "meta", "m + 1": "meta", "m": "meta"}
    mixed = problem("m + torch.ones(2)", "m = torch.ones(1000, 2, device='meta')")
    assert [(each.text, each.device) for each in mixed.operands] == [("m", "meta"), ("torch.ones(2)", "cpu")]


def test_what_was_known_before_is_shown():
    first, last = answers("(x @ x.T)[x.sum(1) > 2] + 1", "x = torch.rand(3, 4)")
    assert isinstance(first, report.Trace)
    assert {node.text: node.result.shape for node in nodes(first.root)}["x @ x.T"] == (3, 3)
    assert isinstance(last, report.Diagnosis)


@pytest.mark.parametrize(
    ("text", "setup"),
    [
        ("e(i)", "e = nn.Embedding(3, 2); i = torch.tensor([5])"),
        ("F.cross_entropy(x, y)", "x = torch.rand(2, 3); y = torch.tensor([0, 9])"),
        ("torch.linalg.inv(x)", "x = torch.ones(2, 2)"),
        ("i // i", "i = torch.tensor([0, 1])"),
    ],
)
def test_what_fails_for_some_values_is_noted(text: str, setup: str):
    found = trace(text, setup)
    assert any("fails for some values" in note for node in nodes(found.root) for note in node.notes)


def test_what_fails_for_no_values_is_not_noted():
    found = trace("torch.relu(x) / 2 + x[0]", "x = torch.rand(3, 4)")
    assert not any("fails" in note for node in nodes(found.root) for note in node.notes)


@pytest.mark.parametrize(
    ("text", "setup"),
    [
        ("x @ w", "x = torch.empty(60000, 784); w = torch.empty(785, 10)"),
        ("x @ w", "x = torch.empty(60000, 784).double(); w = torch.empty(784, 10)"),
        ("x + y", "x = torch.empty(60000, 784); y = torch.empty(60000, 785)"),
        ("x.view(11, -1)", "x = torch.empty(60000, 784)"),
        ("x.t().view(-1)", "x = torch.empty(600, 784)"),
        ("torch.cat([x, y])", "x = torch.empty(60000, 784); y = torch.empty(60000, 785)"),
        ("lin(x)", "x = torch.empty(60000, 784); lin = nn.Linear(783, 10)"),
        ("x.cuda()", "x = torch.empty(60000, 784)"),
        ("x.to('cuda')", "x = torch.empty(3)"),
        ("torch.zeros(3, device='cuda')", ""),
        ("nn.Linear(2, 2).cuda()", ""),
    ],
)
def test_large_tensors_fail_in_torchs_words(text: str, setup: str):
    real: list[report.AnyReport] = []
    Session(seed=0).ask(report.Inspect(text=text, setup=setup), real.append)
    expected, found = real[-1], problem(text, setup)
    assert isinstance(expected, report.Diagnosis)
    assert (found.code, found.torch, found.span) == (expected.code, expected.torch, expected.span)


def test_it_plans_for_a_device_that_is_not_here(pretended):
    setup = "x = torch.empty(100000, 1000, device='cuda'); w = torch.empty(1000, 10)"
    assert problem("x @ w", setup).code == "mixed-devices"
    found = trace("x @ w.to('cuda')", setup)
    assert (found.root.result.device, found.root.result.shape) == ("cuda:0", (100000, 10))
    assert found.free_nbytes is not None


# Costs.


def test_a_tensor_of_any_size_costs_nothing_and_must_fit():
    first, last = answers("x @ x", HUGE)
    assert isinstance(first, report.Trace)
    assert first.predicted
    assert first.seconds is None
    assert all(node.seconds is None for node in nodes(first.root))
    assert (first.root.result.shape, first.root.flops) == ((100000, 100000), 2 * 10**15)
    assert (first.peak_nbytes, first.needed_nbytes) == (4 * 10**10, 8 * 10**10)
    assert isinstance(last, report.Diagnosis) == (first.free_nbytes is not None and first.free_nbytes < 8 * 10**10)
    if isinstance(last, report.Diagnosis):
        assert (last.code, last.category) == ("out-of-memory", "memory")


def test_the_last_line_says_what_is_needed():
    found = trace("x * 2", "x = torch.empty(1024, 1024)")
    assert found.needed_nbytes == 8 << 20
    assert "needs 8 MiB, " in render_trace(found, width=100).plain.splitlines()[-1]


def test_flops_bytes_and_peak_are_those_of_the_real_run():
    text, setup = (
        "torch.relu(x @ w + b).mean(dim=0)",
        "x = torch.rand(64, 784); w = torch.rand(784, 10); b = torch.rand(10)",
    )
    real: list[report.AnyReport] = []
    Session(seed=0).ask(report.Inspect(text=text, setup=setup), real.append)
    expected, found = real[-1], trace(text, setup)
    assert isinstance(expected, report.Trace)

    def costs(one: report.Trace) -> list[object]:
        return [(n.text, n.flops, n.moved_nbytes, n.relation, n.broadcast) for n in nodes(one.root)]

    assert costs(found) == costs(expected)
    assert found.peak_nbytes == expected.peak_nbytes


# The session.


def test_nothing_is_waited_for(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    session = Session(seed=0)
    session.ask(report.Evaluate(text="import time; s = time.sleep"), print)
    assert trace("s(20)", session=session).root.result.text == "None"
    assert slept == [0]
    session.ask(report.Evaluate(text="s(20)"), print)
    assert slept[1:] == [20]


def test_the_session_stays_as_it_is():
    session = Session(seed=0)
    session.ask(
        report.Evaluate(text="x = torch.ones(3, requires_grad=True); y = (x * 2).sum(); z = torch.zeros(3)"), print
    )
    before, version = torch.get_rng_state(), session.names["z"]._version
    assert trace("new = z.add_(torch.rand(3))", session=session).root.result.shape == (3,)
    assert trace("y.backward()", session=session).predicted
    assert trace("x.grad", "y.backward()", session=session).root.result.shape == (3,)
    assert "new" not in session.names
    assert torch.equal(session.names["z"], torch.zeros(3))
    assert session.names["z"]._version == version
    assert session.names["x"].grad is None
    assert torch.equal(torch.get_rng_state(), before)
    session.names["y"].backward()


def test_autograd_and_modules_run_as_they_do():
    setup = "net = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10)); x = torch.rand(64, 784)"
    found = trace("net(x).sum()", setup)
    assert "0: Linear(784, 100)" in texts(found)
    grads = trace("[p.grad for p in net.parameters()]", setup + "; net(x).sum().backward()").root.result.items
    assert [item.shape for item in grads] == [(100, 784), (100,), (10, 100), (10,)]
    assert trace("net.double()(x.double())", setup).root.result.dtype == "float64"


def test_settings_changed_in_a_dry_run_are_put_back():
    trace("torch.zeros(3)", "torch.set_default_dtype(torch.float64); torch.manual_seed(3)")
    assert torch.get_default_dtype() is torch.float32


# Sizes that are not known.


def sizes(text: str, setup: str, *symbols: str) -> object:
    found = trace(text, setup, symbols=symbols)
    assert found.peak_nbytes is None
    return found.root.result.sizes


def test_unknown_sizes_are_names():
    setup = "x = torch.empty(B, 784); w = torch.empty(784, 10)"
    assert sizes("x @ w", setup, "B") == ("B", 10)
    assert sizes("torch.cat([x, x])", setup, "B") == ("2*B", 784)
    assert sizes("x.sum(0)", setup, "B") is None
    found = trace("x @ w", setup, symbols=["B"])
    assert (found.root.result.nbytes_formula, found.root.flops, found.root.flops_formula) == ("40*B", None, "15680*B")
    assert "[B, 10]" in render_trace(found, width=100).plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x + y", "only for B = 7, because of x + y"),
        ("(x * 2).view(2, -1, 3)", "only where B is divisible by 2, because of (x * 2).view(2, -1, 3)"),
    ],
)
def test_what_an_expression_asks_of_a_size_is_said(text: str, said: str):
    found = answers(text, "x = torch.empty(B, 3); y = torch.empty(7, 3)", symbols=["B"])
    assert isinstance(found[0], report.Trace)
    assert [answer.text for answer in found if isinstance(answer, report.Notice)] == [said]


def conditions(text: str, setup: str, *symbols: str) -> list[str]:
    found = answers(text, setup, symbols=symbols)
    assert isinstance(found[0], report.Trace), found
    return [answer.text for answer in found if isinstance(answer, report.Notice)]


def test_conditions_on_several_sizes_are_in_their_names():
    x = "x = torch.empty(B, T)"
    assert conditions("x @ y", f"{x}; y = torch.empty(S, 7)", "B", "T", "S") == ["only for S = T, because of x @ y"]
    assert conditions("x + y", f"{x}; y = torch.empty(B, S)", "B", "T", "S") == ["only for S = T, because of x + y"]
    assert conditions("x.view(B, H, D)", x, "B", "T", "H", "D") == ["only for T = D*H, because of x.view(B, H, D)"]
    assert conditions("x.view(-1, 7)", x, "B", "T") == [
        "only where B*T is divisible by 7, because of x.view(-1, 7)",
    ]
    assert sorted(
        conditions("x @ y + z", f"{x}; y = torch.empty(S, 7); z = torch.empty(C, 7)", "B", "T", "S", "C")
    ) == [
        "only for C = B, because of x @ y + z",
        "only for S = T, because of x @ y",
    ]
    assert sizes("x.view(-1, 7)", "x = torch.empty(B, 64)", "B") == ("64*B//7", 7)
    found = trace("x.shape[0] > 10", x, symbols=["B", "T"])
    assert found.root.result.text == "True where B > 10"


LAYERS = {
    "conv": "nn.Conv2d(3, 8, 3, stride=2, padding=1)",
    "pool": "nn.MaxPool2d(3, stride=2)",
    "average": "nn.AvgPool2d(2)",
    "adapt": "nn.AdaptiveAvgPool2d((2, 2))",
    "up": "nn.ConvTranspose2d(3, 4, 2, stride=2)",
    "linear": "nn.Linear(64, 10)",
    "attend": "nn.MultiheadAttention(64, 4, batch_first=True)",
    "norm": "nn.LayerNorm(64)",
    "embed": "nn.Embedding(50, 16)",
    "net": "nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))",
    "images": "nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(2))",
}
SYMBOLIC = """x @ w|x @ x.T|x.T @ x|torch.einsum('bt,bs->ts', x, x)|x + x[0]|x * 2 + 1|x.sum(0)
x.mean(1, keepdim=True)|x.flatten()
x.reshape(-1)|x.view(B, 8, 8)|x.unsqueeze(1)|x[None]|x[:, ::2]|x[1:]|x[:, 3:-2]|x[-1]|x[..., 0]|x.t().contiguous()
torch.cat([x, x])|torch.cat([x, x], 1)|torch.stack([x, x, x])|x.chunk(2, 1)[0]|x.split(16, 1)[1]|x.repeat(2, 3)
x.expand(4, B, 64)|x.unfold(1, 3, 2)|x.movedim(0, 1)|x.softmax(-1)|x.argmax(1)|x.cumsum(0)|x.sort(1).values
x.topk(5, dim=1).values|x.tril()|torch.outer(x[0], x[0])|linear(x)|net(x)|norm(x)
attend(s, s, s)[0]|s.transpose(1, 2) @ s|F.scaled_dot_product_attention(s, s, s)|s.view(B, T, 4, 16).transpose(1, 2)
s.flatten(0, 1)|s.reshape(B * T, 64)|linear(s).softmax(-1)|s.mean(1)|torch.bmm(s, s.transpose(1, 2))|embed(i)
conv(p)|pool(p)|average(p)|adapt(p)|up(p)|images(p)|p.permute(0, 2, 3, 1)|p.flatten(1)|p.mean((2, 3))
torch.arange(B)|torch.zeros(B, T)|torch.ones(T, 3) @ torch.ones(3, B)|torch.eye(T)
torch.broadcast_to(x[0], (T, 64))|torch.where(x > 0, x, 0)|F.one_hot(i, 50)
F.cross_entropy(linear(x), i[:, 0])""".replace("\n", "|").split("|")
TENSORS = {
    "x": "torch.rand(B, 64)",
    "w": "torch.rand(64, 10)",
    "s": "torch.rand(B, T, 64)",
    "p": "torch.rand(B, 3, T, T)",
    "i": "torch.zeros(B, T, dtype=torch.int64)",
}


def needed_for(text: str) -> str:
    return "; ".join(f"{name} = {made}" for name, made in (LAYERS | TENSORS).items() if re.search(rf"\b{name}\b", text))


def test_sizes_in_names_are_those_of_real_runs():
    """At several sizes, what the names give is the shape, and the bytes, that torch gives."""
    session = Session(seed=0)
    said: list[report.AnyReport] = []
    numbers = [{"B": 2, "T": 9}, {"B": 7, "T": 12}, {"B": 5, "T": 31}]
    wrong = []
    for text in SYMBOLIC:
        found = answers(text, needed_for(text), symbols=["B", "T"])
        if not isinstance(found[0], report.Trace):
            wrong.append((text, found))
            continue
        root = found[0].root.result
        for sizes in numbers:
            said.clear()
            setup = "; ".join(f"{name} = {size}" for name, size in sizes.items())
            session.ask(report.Inspect(text=text, setup=f"{setup}; {needed_for(text)}"), said.append)
            real = said[0].root.result
            shape = tuple(eval(str(size), dict(sizes)) for size in root.sizes or root.shape)
            nbytes = eval(root.nbytes_formula, dict(sizes)) if root.nbytes_formula else root.nbytes
            if (shape, nbytes, root.dtype) != (real.shape, real.nbytes, real.dtype):
                wrong.append((text, sizes, root.sizes, real.shape, nbytes, real.nbytes))
    assert wrong == []


@pytest.mark.parametrize("text", ["torch.linspace(0, 1, B)", "F.pad(x, (1, 2))", "[row.sum() for row in x]"])
def test_what_torch_asks_of_the_number_itself_is_said(text):
    assert conditions(text, "x = torch.rand(B, 64)", "B") == [
        "this is shown for B = 23: what it does depends on the number itself"
    ]


def test_what_works_for_no_size_fails():
    assert problem("x @ x", "x = torch.empty(2, B, 3)", symbols=["C"]).code == "unknown-name"
    assert problem("x @ w", "x = torch.empty(B, 3); w = torch.empty(4, 2)", symbols=["B"]).code == "matmul-inner-sizes"
    assert problem("x", symbols=["no name"]).code == "bad-argument"
    lazy = problem("m(x)", "m = nn.LazyLinear(5); x = torch.empty(4, 3)")
    assert lazy.title.startswith("a lazy layer gets its parameters from its first input")
    rnn = problem("m(x)", "m = nn.LSTM(8, 16); x = torch.empty(T, 4, 8)", symbols=["T"])
    assert rnn.code == "not-predicted"


@pytest.mark.parametrize(
    "model",
    [
        "nn.Linear(4, 4).half().cuda()",
        "nn.Linear(4, 4).cuda().half()",
        "nn.Linear(4, 4).to('cuda', torch.float16)",
        "nn.Linear(4, 4, device='cuda', dtype=torch.float16)",
    ],
)
def test_a_converted_model_on_a_pretended_device_is_predicted(model):
    pretend.start()
    try:
        session, said = Session(seed=0), []
        setup = f"model = {model}; x = torch.empty(6, 4, device='cuda', dtype=torch.float16)"
        session.ask(report.Inspect(text="model(x)", setup=setup, dry_run=True), said.append)
    finally:
        pretend.stop()
    assert isinstance(said[0], report.Trace), said
    result = said[0].root.result
    assert (result.shape, result.dtype, result.device) == ((6, 4), "float16", "cuda:0")
