"""What inspect says of a statement's parts: results, times, costs and relations; and that looking changes nothing."""

import gc
from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tensorcli import report
from tensorcli.engine import probe, recorder
from tensorcli.engine.session import Session


@pytest.fixture
def session() -> Session:
    return Session(seed=0)


def ask(session: Session, request: report.AnyRequest | str) -> list[report.AnyReport]:
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=request) if isinstance(request, str) else request, said.append)
    return said


def traced(session: Session, text: str, **options: object) -> report.Trace:
    (trace,) = ask(session, report.Inspect(text=text, **options))
    assert isinstance(trace, report.Trace), trace
    return trace


def walk(node: report.Node) -> Iterator[report.Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def texts(trace: report.Trace) -> list[str]:
    return [node.text for node in walk(trace.root)]


def part(trace: report.Trace, text: str) -> report.Node:
    return next(node for node in walk(trace.root) if node.text == text)


SETUP = "x = torch.rand(8, 5); w = torch.rand(5, 3); b = torch.rand(3); i = 2; xs = [x, x.T]; net = nn.Linear(5, 3)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x @ w + b", ["x @ w + b", "x @ w", "x", "w", "b"]),
        ("x.sum(dim=0).mean()", ["x.sum(dim=0).mean()", "x.sum(dim=0)", "x"]),
        ("x[i, 1:i]", ["x[i, 1:i]", "x"]),
        ("torch.cat([x, x * 2])", ["torch.cat([x, x * 2])", "[x, x * 2]", "x", "x * 2", "x"]),
        ("x if x.sum() > 0 else w", ["x if x.sum() > 0 else w", "x.sum() > 0", "x.sum()", "x", "x"]),
        ("[t.sum() for t in xs]", ["[t.sum() for t in xs]", "xs"]),
        ("y = x * 2", ["x * 2", "x"]),
        ("a, c = x.max(1)", ["x.max(1)", "x"]),
        ("x += 1", ["x += 1", "x"]),
        ("x[0] = b.sum()", ["x[0] = b.sum()", "b.sum()", "b", "x"]),
        ("a = c = x * 2", ["x * 2", "x"]),
        ("y = x[0] = b.sum()", ["y = x[0] = b.sum()", "b.sum()", "b", "x"]),
        ("for t in xs: t.sum()", ["for t in xs: t.sum()", "xs"]),
        ("if i > 1: x.exp()", ["if i > 1: x.exp()", "i > 1", "x.exp()", "x"]),
        ("with torch.no_grad(): net(x)", ["with torch.no_grad(): net(x)", "torch.no_grad()", "net(x)", "x"]),
        ("lambda a: a + 1", ["lambda a: a + 1"]),
        ("3", ["3"]),
        ("x", ["x"]),
        ("torch.pi", ["torch.pi"]),
        ("F.relu(input=x)", ["F.relu(input=x)", "x"]),
        ("x.mul(*[2])", ["x.mul(*[2])", "x"]),
        ("(y := x + 1) * y", ["(y := x + 1) * y", "y := x + 1", "x + 1", "x", "y"]),
        ("f'{x.sum():.1f}'", ["f'{x.sum():.1f}'"]),
    ],
)
def test_the_parts_of_a_statement(session, text, expected):
    ask(session, SETUP)
    assert texts(traced(session, text)) == expected


def test_everything_is_shown_when_it_is_asked_for(session):
    ask(session, SETUP)
    assert texts(traced(session, "x[i] * i", all=True)) == ["x[i] * i", "x[i]", "x", "i", "i"]
    loop = traced(session, "for t in xs:\n    t.sum() + i", all=True)
    assert texts(loop)[1:] == ["xs", "t.sum() + i", "t.sum()", "t", "i"]
    assert part(loop, "t.sum()").count == 2


def test_depth_adds_up_what_it_hides(session):
    ask(session, SETUP)
    whole, cut = traced(session, "(x @ w + b).exp()"), traced(session, "(x @ w + b).exp()", depth=1)
    assert texts(cut) == ["(x @ w + b).exp()", "x @ w + b"]
    assert cut.root.children[0].flops == 2 * 8 * 5 * 3 + 8 * 3
    assert sum(node.flops or 0 for node in walk(whole.root)) == sum(node.flops or 0 for node in walk(cut.root))


STATEMENTS = [
    "y = torch.relu(x @ w + b).mean(dim=0)",
    "y = [t.mean(dim=1) for t in xs if t.sum() > 0]",
    "y = {k: v.sum() for k, v in enumerate(xs)}",
    "y = sum(t.sum() for t in xs)",
    "y = 0\nfor t in xs:\n    if t.shape[0] == 5: continue\n    y = y + t.sum()\nelse:\n    y = y * 2",
    "y = 3\nwhile y > 0:\n    y -= 1\n    if y == 1: break",
    "y = (lambda a: a * 2)(x)",
    "def f(a, *, k=1):\n    for _ in range(2):\n        a = a * k\n    return a\ny = f(x, k=3)",
    "y = x.clone(); y[1:3, ::2] *= 2; y[0] = b.sum()",
    "try:\n    y = x @ x\nexcept RuntimeError:\n    y = x @ x.T",
    "y = torch.rand(3) + torch.randn(3)",
    "y = net(x).softmax(-1)",
    "y, (z, *rest) = x, [1, 2, 3]",
    "y = 1 < i < 3 and x.sum() or w",
    "y = x[..., None][:, i, :]",
    "w2 = w.clone().requires_grad_(); (x @ w2).sum().backward(); y = w2.grad",
    "with torch.no_grad():\n    y = net(x) + torch.rand(8, 3)",
    "q = torch.rand(2, 3, 4); y = nn.MultiheadAttention(4, 2, batch_first=True).eval()(q, q, q)[0]",
    "y = nn.Dropout(0.5)(x)",
]


@pytest.mark.parametrize("text", STATEMENTS)
@pytest.mark.parametrize("whole", [False, True])
def test_values_are_those_of_a_plain_run(text, whole):
    """The last statement is run, or inspected: its variable and the random state are bit for bit the same."""
    plain, state = _after(text)
    looked, looked_state = _after(report.Inspect(text=text, all=whole))
    assert _same(plain["y"], looked["y"])
    assert torch.equal(state, looked_state)
    assert plain.keys() == looked.keys()


def _after(request: report.AnyRequest | str) -> tuple[dict[str, object], torch.Tensor]:
    session = Session(seed=3)
    ask(session, SETUP)
    answers = ask(session, request)
    assert not any(isinstance(answer, report.Diagnosis) for answer in answers), answers
    return session.variables(), torch.get_rng_state()


def _same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b) and a._version == b._version
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    return a == b


def test_what_runs_again_for_its_times_leaves_nothing_behind(session):
    ask(session, SETUP + "; seen = []; n = 0")
    answers = ask(session, report.Inspect(text="print(seen.append(x.sum()))"))
    assert [answer.text for answer in answers if isinstance(answer, report.Output)] == ["None\n"]
    assert len(session.names["seen"]) == 1
    traced(session, "n += 1")
    assert session.names["n"] == 1
    traced(session, "x.add_(1)")
    assert session.names["x"]._version == 1


def test_steps_are_counted_and_timed(session):
    ask(session, SETUP)
    for text in ("for k in range(4): x.sum()", "[x.sum() for k in range(4)]", "{k: x for k in range(4)}"):
        root = traced(session, text).root
        assert root.count == 4
        assert 0 <= root.shortest_seconds <= root.longest_seconds > 0
    root = traced(session, "sum(k for k in range(5))").root
    assert root.children[0].count == 5
    once = traced(session, "x.sum()").root
    assert (once.count, once.shortest_seconds) == (1, None)


def test_the_time_of_a_part_is_its_own(session):
    ask(session, SETUP)
    trace = traced(session, "(x @ w).exp().sum()")
    assert all(node.seconds >= 0 for node in walk(trace.root) if node.operation != "name")
    assert sum(node.seconds or 0 for node in walk(trace.root)) <= trace.total_seconds
    assert part(trace, "x").seconds is None
    assert trace.probe_seconds == recorder.overhead().part + recorder.overhead().below


def test_a_model_opens_into_its_modules(session):
    ask(session, SETUP + "; m = nn.Sequential(nn.Linear(5, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))")
    trace = traced(session, "m(x)")
    assert [node.operation for node in walk(trace.root)] == [
        "call", "name", "module Linear", "module Sequential", "module ReLU", "module Linear",
    ]  # fmt: skip
    shapes = [node.result.shape for node in walk(trace.root)]
    assert shapes == [(8, 2), (8, 5), (8, 4), (8, 2), (8, 4), (8, 2)]
    assert all(node.span is None for node in walk(trace.root) if node.operation.startswith("module"))
    assert "_forward_hooks" not in str(torch.nn.modules.module._global_forward_hooks)
    assert not torch.nn.modules.module._global_forward_hooks


def test_a_function_of_the_session_opens_and_is_put_back(session):
    ask(session, SETUP)
    ask(session, "def f(a, k):\n    c = a @ a.T\n    return g(c) if k else c")
    ask(session, "def g(c): return c.exp()")
    code = session.names["f"].__code__
    assert texts(traced(session, "f(x, 1)")) == [
        "f(x, 1)", "x", "a @ a.T", "a", "a.T", "a", "g(c) if k else c", "g(c)", "c", "c.exp()", "c",
    ]  # fmt: skip
    assert session.names["f"].__code__ is code


def test_a_function_that_calls_itself_is_one_part(session):
    ask(session, "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)")
    trace = traced(session, "fib(6)")
    assert trace.root.result.text == "8"
    assert part(trace, "n < 2").count == 25


@pytest.mark.parametrize(
    "text",
    [
        "x @ w", "F.linear(x, torch.rand(4, 5))", "torch.bmm(torch.rand(2, 3, 4), torch.rand(2, 4, 5))", "net(x)",
        "F.conv2d(torch.rand(1, 3, 9, 9), torch.rand(4, 3, 3, 3), stride=2)", "torch.einsum('ij,jk->ik', x, w)",
        "torch.addmm(b, x, w)", "nn.ConvTranspose2d(3, 2, 3)(torch.rand(1, 3, 5, 5))",
    ],
)  # fmt: skip
def test_products_count_as_torch_counts_them(session, text):
    ask(session, SETUP)
    with FlopCounterMode(display=False) as counter:
        ask(session, text)
    added = {"torch.bmm(torch.rand(2, 3, 4), torch.rand(2, 4, 5))": 0}.get(text, 0)
    assert sum(node.flops or 0 for node in walk(traced(session, text).root)) == counter.get_total_flops() + added > 0


@pytest.mark.parametrize(
    ("text", "flops"),
    [
        ("x + x", 40),
        ("x.exp()", 40),
        ("x.sum()", 40),
        ("x.mean(dim=0)", 40),
        ("x.softmax(-1)", 5 * 40),
        ("b @ b", 2 * 3),
        ("w @ b", 2 * 5 * 3),
        ("x.T", 0),
        ("x.clone()", 0),
        ("torch.ones_like(x)", 0),
        ("torch.empty_like(x)", 0),
        ("x.clone().squeeze_()", 0),
        ("torch.rand(3)", 0),
        ("F.scaled_dot_product_attention(q, q, q)", 2 * 2 * 2 * 4 * 4 * 8),
        ("F.layer_norm(x, (5,))", 8 * 40),
        ("F.max_pool2d(q, 2)", 2 * 2 * 4 * 4),
        ("F.avg_pool2d(q, (1, 2))", 2 * 4 * 4 * 2),
        ("torch.fft.fft(torch.ones(4, 8, dtype=torch.complex64))", 5 * 32 * 3),
        ("torch.fft.rfft(torch.ones(4, 8))", 32 * 3 * 5 // 2),
        ("torch.fft.irfft(torch.ones(4, 5, dtype=torch.complex64))", 32 * 3 * 5 // 2),
        ("F.nll_loss(x, torch.ones(8, dtype=torch.int64))", 8),
        ("x // 2", 40),
        ("F.interpolate(q, scale_factor=2.0)", 0),
        ("nn.LSTM(3, 5)(torch.rand(7, 2, 3))", 2 * 14 * (20 * 3 + 20 * 5)),
        ("torch.linalg.cholesky(torch.eye(6).expand(2, 6, 6))", 2 * 72),
        ("torch.linalg.inv(torch.eye(6))", 2 * 216),
        ("torch.linalg.solve(torch.eye(6), torch.ones(6, 2))", 144 + 144),
        ("torch.linalg.solve_triangular(torch.eye(6), torch.ones(6, 2), upper=True)", 72),
        ("torch.linalg.det(torch.eye(6))", 144),
        ("torch.cdist(torch.ones(3, 7), torch.ones(4, 7))", 3 * 12 * 7),
        ("torch.zeros(9).index_add_(0, torch.tensor([1, 2]), torch.ones(2))", 2),
        ("torch.zeros(9).scatter_(0, torch.tensor([1, 2]), 1.0)", 0),
        ("F.smooth_l1_loss(x, x)", 4 * 40),
        ("F.pixel_shuffle(torch.ones(1, 4, 2, 2), 2)", 0),
        ("x.sort()", None),
        ("torch.linalg.svd(x)", None),
    ],
)
def test_what_operators_cost(session, text, flops):
    ask(session, SETUP + "; q = torch.rand(1, 2, 4, 8)")
    root = traced(session, text).root
    assert root.flops == flops
    assert bool(root.uncounted) == (flops is None)


def test_bytes_moved_are_those_taken_and_given(session):
    ask(session, SETUP)
    assert traced(session, "x @ w").root.moved_nbytes == 4 * (40 + 15 + 24)
    assert traced(session, "x + b[0]").root.moved_nbytes == 4 * (40 + 1 + 40)
    assert traced(session, "x * torch.ones(1).expand(8, 5)").root.moved_nbytes == 4 * (40 + 1 + 40)
    assert traced(session, "x.T").root.moved_nbytes is None
    assert traced(session, "x.t_()").root.moved_nbytes is None
    assert traced(session, "b + b").root.moved_nbytes == 4 * (3 + 3)
    ask(session, "table = torch.rand(1000, 4); i = torch.tensor([1, 2])")
    for text in ("table[i]", "F.embedding(i, table)", "table.index_select(0, i)"):
        assert traced(session, text).root.moved_nbytes == 2 * 8 + 2 * 2 * 4 * 4, text


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("y.zero_()", 4000),
        ("y.fill_(2.0)", 4000),
        ("y.normal_()", 4000),
        ("y.copy_(z)", 8000),
        ("y.add_(1)", 8000),
        ("torch.zeros_like(y)", 4000),
        ("torch.empty_like(y)", 0),
        ("y.new_ones(10)", 40),
        ("y.index_put_((i,), v)", 16 + 8 + 8),
        ("y.index_put_((i,), v, accumulate=True)", 16 + 8 + 16),
        ("y.index_add_(0, i, v)", 16 + 8 + 16),
        ("y.scatter_(0, i, v)", 16 + 8 + 8),
        ("y.scatter_(0, i, 1.0)", 16 + 8),
    ],
)
def test_what_is_only_written_is_not_read(session, text, nbytes):
    ask(session, "y = torch.ones(1000); z = torch.ones(1000); i = torch.tensor([1, 2]); v = torch.ones(2)")
    assert traced(session, text).root.moved_nbytes == (nbytes or None)


def test_the_peak_is_of_what_lives_at_one_time(session):
    ask(session, "x = torch.zeros(256)")
    assert traced(session, "x + 1").peak_nbytes == 1024
    assert traced(session, "(x + 1) + 1").peak_nbytes == 2048
    assert traced(session, "((x + 1) + 1) + 1").peak_nbytes == 2048
    assert traced(session, "x.view(2, 128)").peak_nbytes == 0


def test_what_drew_random_numbers_and_the_seed_that_gives_them_again():
    session = Session(seed=41)
    trace = traced(session, "torch.rand(3) + torch.ones(3)")
    drew = {node.text: node.result.drew_random for node in walk(trace.root)}
    assert drew == {"torch.rand(3) + torch.ones(3)": False, "torch.rand(3)": True, "torch.ones(3)": False}
    assert trace.seed == 41
    assert traced(session, "torch.ones(3)").seed is None


def test_what_worked_is_shown_with_the_diagnosis_of_what_failed(session):
    ask(session, SETUP)
    trace, problem = ask(session, report.Inspect(text="(x @ w).sum() + (x * w).mean()"))
    assert isinstance(trace, report.Trace)
    assert isinstance(problem, report.Diagnosis)
    assert problem.span.text == "x * w"
    assert {node.text: node.failed for node in walk(trace.root)} == {
        "(x @ w).sum() + (x * w).mean()": True,
        "(x @ w).sum()": False,
        "x @ w": False,
        "x": False,
        "w": False,
        "(x * w).mean()": True,
        "x * w": True,
    }
    assert part(trace, "x @ w").result.shape == (8, 3)
    (alone,) = ask(session, report.Inspect(text="x @ x"))
    assert alone.code == "matmul-inner-sizes"


def test_a_failure_in_a_module_shows_those_that_worked(session):
    ask(session, SETUP + "; m = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(3, 2))")
    trace, problem = ask(session, report.Inspect(text="m(x)"))
    assert [(node.operation, node.failed) for node in walk(trace.root)] == [
        ("call", True), ("name", False), ("module Linear", False), ("module ReLU", False), ("module Linear", True),
    ]  # fmt: skip
    assert problem.code == "linear-features"


def test_large_values_are_not_copied_for_another_look(session):
    ask(session, "x = torch.zeros(1000, 1000)")
    statement = session.sources[next(reversed(session.sources))].again()
    assert probe._copies(session, statement) == {}


def test_kinds_of_tensors_that_cannot_be_counted_are_no_failure(session):
    trace = traced(session, "torch.nested.nested_tensor([torch.rand(2), torch.rand(3)])")
    assert trace.root.result.layout == "strided"
    assert traced(session, "torch.eye(3).to_sparse()").root.result.layout == "sparse_coo"


def test_a_model_made_of_copies_of_a_layer_is_predicted(session):
    trace = traced(session, "nn.Transformer(8, 2, 1, 1, 16)(q, q)", setup="q = torch.rand(5, 2, 8)", dry_run=True)
    assert trace.root.result.shape == (5, 2, 8)


def test_what_is_chosen_is_not_stretched(session):
    ask(session, "a = torch.rand(3); b = torch.rand(3)")
    assert traced(session, "a if a.sum() > 0 else b").root.broadcast is None
    assert traced(session, "a[:1] + b").root.broadcast.result == (3,)


def test_a_function_with_several_names_is_put_back(session):
    ask(session, "def f(x): return x + 1")
    ask(session, "g = f")
    ask(session, "f")
    traced(session, "f(1)")
    assert [answer.text for answer in ask(session, "f(2)")] == ["3"]


def test_times_are_not_taken_again_of_what_reaches_a_graph():
    session = Session(seed=0)
    ask(session, "w = torch.ones(2, requires_grad=True); y = w.sum()")
    traced(session, "y.backward()")
    assert session.names["w"].grad.tolist() == [1, 1]


def notes_of(trace: report.Trace) -> dict[str, tuple[str, ...]]:
    return {node.text: node.notes for node in walk(trace.root) if node.notes}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x[:, 0] += 1", {"x[:, 0] += 1": ("changes x, left in place",)}),
        ("x[x > 0.5] = 0", {"x[x > 0.5] = 0": ("changes x, left, right in place",)}),
        ("right[0] = 2", {"right[0] = 2": ("changes x, right in place",)}),
        ("shift(x)", {"a[:, 1] += 1": ("changes x, right in place",)}),
        ("for i in range(2): x[i] += i", {"for i in range(2): x[i] += i": ("changes x, left, right in place",)}),
        ("opt.step()", {"opt.step()": ("changes net.weight, net.bias in place",)}),
        ("torch.add(x, 1, out=x)", {"torch.add(x, 1, out=x)": ("changes x, left, right in place",)}),
        ("a += 1", {"a += 1": ("changes a, t in place",)}),
        ("t.zero_()", {"t.zero_()": ("changes a, t in place",)}),
        ("pair[1] += 1", {"pair[1] += 1": ("changes pair[1] in place",)}),
        ("pair += [x]", {"pair += [x]": ("changes pair in place",)}),
        ("torch.ones(3).add_(1)", {}),
        ("x = x + 1", {}),
    ],
)
def test_what_a_part_changes_in_place(session, text, expected):
    ask(session, "x = torch.zeros(4, 2); left = x[:, 0]; right = x[:, 1]; a = np.ones(3); t = torch.from_numpy(a)")
    ask(session, "net = nn.Linear(2, 1); opt = torch.optim.SGD(net.parameters(), 0.1); net(x).sum().backward()")
    ask(session, "pair = [torch.ones(1), torch.ones(1)]\ndef shift(a):\n    a[:, 1] += 1\n    return a")
    assert notes_of(traced(session, text)) == expected


def test_training_changes_running_statistics_and_evaluating_does_not(session):
    ask(session, "norm = nn.BatchNorm1d(2); x = torch.rand(3, 2)")
    assert notes_of(traced(session, "norm(x)")) == {
        "norm(x)": ("changes norm.running_mean, norm.running_var, norm.num_batches_tracked in place",)
    }
    assert notes_of(traced(session, "norm.eval()(x)")) == {}


@pytest.mark.parametrize(
    ("text", "drew"),
    [
        ("F.scaled_dot_product_attention(q, q, q)", False),
        ("F.dropout(q, 0.0)", False),
        ("F.dropout(q, 0.5)", True),
        ("F.dropout(q, 0.5, training=False)", False),
        ("nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)(q[0])", True),  # its weights are drawn
        ("layer(q[0])", False),
        ("torch.bernoulli(q)", True),
        ("q.bernoulli_(0.0)", True),
    ],
)
def test_what_leaves_nothing_out_draws_nothing(session, text, drew):
    ask(session, "q = torch.rand(1, 2, 8); layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)")
    state = torch.get_rng_state()
    trace = traced(session, text)
    said = [getattr(node.result, "drew_random", "random" in node.notes) for node in walk(trace.root)]
    assert any(said) == drew
    assert torch.equal(state, torch.get_rng_state()) == (not drew)


def test_what_was_there_before_is_not_new(session):
    ask(session, "d = {'a': torch.rand(3)}; l = [torch.rand(3)]; net = nn.Linear(2, 1)")
    for text in ("d.get('a')", "l.pop()", "next(net.parameters())", "d['a']"):
        root = traced(session, text).root
        assert (root.relation, root.new_nbytes) == (None, None), text
    assert traced(session, "torch.tensor([1.0, 2.0])").root.relation == "new"


def test_a_view_larger_than_its_memory_says_so(session):
    assert traced(session, "torch.ones(1).expand(1000)").root.notes == ("all on a storage of 4 B",)
    assert traced(session, "torch.ones(1).repeat(1000)").root.notes == ()


def test_the_peak_under_all_is_that_of_a_plain_look(session):
    text = "for _ in range(4): t = torch.zeros(256)"
    assert traced(session, text).peak_nbytes == traced(session, text, all=True).peak_nbytes == 2048
    assert traced(session, "torch.tensor([1.0, 2.0]) + 1").peak_nbytes == 16
    assert traced(session, "torch.ones(4).resize_(256)").peak_nbytes == 1024


def test_a_part_left_by_return_or_by_an_error_has_come_to_its_end(session):
    ask(session, "x = torch.ones(3)")
    ask(session, "def first(x):\n    while True:\n        for j in range(4):\n            if j == 2: return x + j")
    ask(session, "def none(x):\n    try:\n        for j in range(4): x + torch.ones(2)\n    except RuntimeError: pass")
    left = [node for node in walk(traced(session, "first(x)").root) if node.operation in ("while", "for")]
    assert [(node.count, node.failed) for node in left] == [(1, False)]
    left = [node for node in walk(traced(session, "first(x)", all=True).root) if node.operation in ("while", "for")]
    assert [(node.count, node.failed) for node in left] == [(1, False), (3, False)]
    (failed,) = [node for node in walk(traced(session, "none(x)").root) if node.operation == "for"]
    assert (failed.count, failed.failed) == (1, True)


@pytest.mark.parametrize("text", ["x" + " + x" * 180, "-" * 180 + "x", "deep(x)"])
def test_what_is_nested_too_deeply_for_looking_is_one_part(session, text):
    ask(session, f"x = torch.ones(3)\ndef deep(x): return {'-' * 180}x")
    trace = traced(session, text)
    assert len(texts(trace)) == (2 if text == "deep(x)" else 1)
    assert trace.root.flops == 3 * 180


def test_what_outlives_its_statement_runs_on(session):
    ask(session, "x = torch.ones(3)")
    traced(session, "g = (x * i for i in range(3))")
    assert [answer.text for answer in ask(session, "sum(g).tolist()")] == ["[3.0, 3.0, 3.0]"]


def test_generators_and_globals_of_a_trusted_session_see_nothing_of_it():
    session = Session(seed=0, trust=True)
    ask(session, "def pairs(n):\n    for i in range(n):\n        yield torch.ones(i).sum()\np = pairs(4)")
    assert traced(session, "sum(pairs(3)) + next(p)").root.result.shape == ()
    assert [answer.text for answer in ask(session, "sum(p).item()")] == ["6.0"]
    names = set(session.names)
    assert traced(session, "seen = set(globals())").root.result.type == "set"
    assert session.names["seen"] <= names


def test_a_module_that_cannot_print_itself_is_no_failure():
    session = Session(seed=0, trust=True)
    ask(
        session,
        "class Odd(nn.Module):\n    def extra_repr(self): raise KeyError\n    def forward(self, x): return x + 1",
    )
    ask(session, "net = nn.Sequential(Odd())")
    assert texts(traced(session, "net(torch.ones(2))"))[-1] == "0: Odd"


def test_a_name_that_hides_a_library_is_a_name(session):
    ask(session, "F = torch.rand(4, 3); np = torch.rand(2)")
    assert texts(traced(session, "F.T")) == ["F.T", "F"]
    assert traced(session, "np.sum()").root.operation == "method sum"


def test_a_module_called_often_is_one_part(session):
    ask(session, "net = nn.Sequential(nn.Linear(2, 2)); x = torch.rand(1, 2)")
    root = traced(session, f"for _ in range({recorder.MAX_MODULES + 100}): net(x)").root
    assert [(node.text, node.count) for node in walk(root)][2:] == [("0: Linear(2, 2)", recorder.MAX_MODULES + 100)]


def test_nothing_that_was_seen_is_kept(session):
    ask(session, SETUP + "\ndef f(a): return a * 2")
    for text in ("x * 2", "y = f(x)", "g = (x * k for k in range(3))", "net(x)", "f(x @ x)"):
        ask(session, report.Inspect(text=text))
    gc.collect()
    assert [vars(each) for each in gc.get_objects() if isinstance(each, recorder.Recorder)] == [{"_done": True}]  # g's
