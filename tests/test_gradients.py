"""What inspect --grad shows: the graph, the gradients as torch gives them or why there are none; nothing changes."""

import pytest
import torch

from tensorcli import report
from tensorcli.engine import gradients
from tensorcli.engine.session import Session
from tensorcli.render import render

SETUP = """x = torch.rand(8, 5); w = torch.rand(5, 3, requires_grad=True)
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)); h = x @ w; y = h.exp(); loss = y.sum()"""


@pytest.fixture
def session() -> Session:
    session = Session(seed=0)
    ask(session, report.Evaluate(text=SETUP))
    return session


def ask(session: Session, request: report.AnyRequest) -> list[report.AnyReport]:
    said: list[report.AnyReport] = []
    session.ask(request, said.append)
    return said


def traced(session: Session, text: str, **options: object) -> report.Trace:
    (trace,) = ask(session, report.Inspect(text=text, grad=True, **options))
    assert isinstance(trace, report.Trace), trace
    return trace


def reason(session: Session, text: str) -> str:
    trace, notice = ask(session, report.Inspect(text=text, grad=True))
    assert isinstance(trace, report.Trace)
    assert trace.gradients == ()
    return notice.text.removeprefix("there are no gradients: ")


def reached(trace: report.Trace) -> dict[str | None, report.Gradient]:
    return {leaf.name: leaf for leaf in trace.gradients if leaf.reached}


def drawn(trace: report.Trace, width: int = 80) -> list[str]:
    """What is drawn of the graph and the gradients."""
    lines = str(render(trace, width=width)).split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith((" graph", " gradients")))
    return [line for line in lines[start:-1] if line][:-1]


# What is shown.


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("net(x @ w).exp().sum()", "the result"),
        ("net(x @ w).exp()", "the sum of the result"),
        ("net(x @ w).sum(), [w.exp(), 3]", "the sum of all results"),
        ("{'loss': net(x @ w).mean(), 'n': 3}", "the result"),
        ("w * 1j", "the sum of the real part of the result"),
        ("w", "the sum of the result"),
        ("w.to_sparse() * 2", "the sum of the result"),
        ("loss = net(x @ w).log_softmax(0).var()", "the result"),
    ],
)
def test_gradients_are_those_of_a_backward_from_the_sum(session, text, of):
    trace = traced(session, text)
    leaves = {"w": session.names["w"]} | {f"net.{name}": leaf for name, leaf in session.names["net"].named_parameters()}
    assert all(leaf.grad is None for leaf in leaves.values())
    assert [leaf.name for leaf in trace.gradients] == list(leaves)
    value = eval(text.removeprefix("loss = "), {"torch": torch, **session.names})
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
    flat = [x for part in parts for x in (part if isinstance(part, list) else [part]) if isinstance(x, torch.Tensor)]
    sum(x.real.sum() if x.is_complex() else x.sum() for x in flat).backward()
    for leaf in trace.gradients:
        grad = leaves[leaf.name].grad
        assert (leaf.reached, leaf.of, leaf.shape) == (grad is not None, of, tuple(leaves[leaf.name].shape))
        assert leaf.norm == (None if grad is None else pytest.approx(grad.norm().item()))


def test_the_graph_is_a_tree_down_to_the_leaves_with_their_names(session):
    assert drawn(traced(session, "net(x @ w).exp().sum() * loss"), 60)[:9] == [
        " graph, from the result down to its leaves",
        " MulBackward0",
        " ├ SumBackward0 ─ ExpBackward0 ─ AddmmBackward0",
        " │ ├ net.2.bias",
        " │ ├ ReluBackward0 ─ AddmmBackward0",
        " │ │ ├ net.0.bias",
        " │ │ ├ MmBackward0 ─ w",
        " │ │ └ TBackward0 ─ net.0.weight",
        " │ └ TBackward0 ─ net.2.weight",
    ]


def test_a_function_that_is_used_twice_is_marked(session):
    assert drawn(traced(session, "y * h.sin()"))[1:4] == [
        " MulBackward0",
        " ├ ExpBackward0 ─ MmBackward0 (1) ─ w",
        " └ SinBackward0 ─ MmBackward0 (1, see above)",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_deep_graph_is_folded(session, width):
    ask(session, report.Evaluate(text="d = w\nfor i in range(5000): d = (d + 1) * 1.0"))
    trace = traced(session, "d")
    assert trace.gradients[0].norm == pytest.approx(15**0.5)
    assert sum(each.count for each in trace.functions) == 10_000
    lines = drawn(trace, width)
    assert sum("Backward" in line or "more functions" in line for line in lines) <= 21
    assert max(map(len, lines)) <= width
    shown = sum(line.count("Backward") for line in lines)
    assert f"… and {10_000 - shown:,} more" in "\n".join(lines) or width == 20
    ask(session, report.Evaluate(text="d = w\nfor i in range(10000): d = d * 1.0"))
    assert drawn(traced(session, "d"), 80)[1] == " MulBackward0 x 10,000 ─ w"


def test_what_is_remarkable_in_a_gradient_is_said(session):
    ask(session, report.Evaluate(text="a = torch.zeros(3, requires_grad=True); b = torch.ones(2, requires_grad=True)"))
    text = "a.sqrt().sum() + (b * 0).sum() + (w[0] * 0).sqrt().sum()"
    assert drawn(traced(session, text))[-5:] == [
        " w     float32 [5, 3] cpu   nan  3 nan",
        " a     float32 [3] cpu      inf  3 inf",
        " b     float32 [2] cpu        0  all 0",
        " no gradient: the result does not depend on net.0.weight, net.0.bias,",
        " net.2.weight, net.2.bias",
    ]
    trace = traced(session, "(a * 1e-30).sum()")
    assert reached(trace)["a"].norm == pytest.approx(3**0.5 * 1e-30)


def test_a_narrow_screen_keeps_the_names_of_leaves(session):
    names = ["w", "net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]
    lines = drawn(traced(session, "net(x @ w).sum()"), 36)
    assert [line.split()[0] for line in lines[-5:]] == names


def test_after_a_backward_the_gradients_that_it_left_are_shown(session):
    trace = traced(session, "loss.backward()")
    assert list(reached(trace)) == ["w"]
    assert trace.gradients[0].norm == pytest.approx(session.names["w"].grad.norm().item())
    assert drawn(trace)[0] == " gradients in .grad"


def test_leaves_in_lists_and_dicts_have_names(session):
    ask(session, report.Evaluate(text="ws = [torch.ones(2, requires_grad=True)]; d = {'m': nn.Linear(2, 1)}"))
    assert list(reached(traced(session, "d['m'](ws[0])"))) == ["ws[0]", "d['m'].weight", "d['m'].bias"]
    assert list(reached(traced(session, "torch.ones(2, requires_grad=True) * 2"))) == [None]


# Why there are none.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h.detach()", "the graph ends at h.detach()"),
        ("x.sum()", "the result was made without w, net.0.weight, net.0.bias and 2 more, or it was detached, or"),
        ("h.argmax()", "the result is int64; only floating and complex numbers have gradients"),
        ("h.sum().item()", "the result is no tensor, it is a float, and no leaf has one in .grad"),
        ("with torch.no_grad(): z = x @ w", "the statement gives no result, and no leaf has one in .grad"),
        ("torch.set_grad_enabled(False); x @ w", "they are turned off; torch.set_grad_enabled(True) turns them on"),
    ],
)
def test_why_there_is_no_graph(session, text, said):
    try:
        *before, last = text.split("; ")
        ask(session, report.Evaluate(text="; ".join(before)))
        assert reason(session, last).startswith(said)
    finally:
        torch.set_grad_enabled(True)


def test_a_session_without_leaves_is_told_how_to_make_one():
    session = Session(seed=0)
    assert reason(session, "torch.rand(3).sum()").startswith("no tensor of the session requires them; ")


def test_a_graph_that_cannot_be_gone_through_says_why(session):
    ask(session, report.Evaluate(text="loss.backward()"))
    assert reason(session, "y * 1").startswith("an earlier backward freed the graph; ")
    ask(session, report.Evaluate(text="v = w.exp(); v.add_(1)"))
    assert reason(session, "v").startswith("a tensor [5, 3], the result of Exp, was changed in place, ")


# Nothing is called, nothing is changed.


def _forward(ctx, x):
    return x * 2


HOOKS = {
    "a leaf's": lambda names, hook: names["w"].register_hook(hook),
    "a tensor's": lambda names, hook: names["h"].register_hook(hook),
    "a function's": lambda names, hook: names["y"].grad_fn.register_hook(hook),
    "before a function": lambda names, hook: names["y"].grad_fn.register_prehook(hook),
    "a module's": lambda names, hook: names["net"].register_full_backward_hook(hook),
    "before a module": lambda names, hook: names["net"][0].register_full_backward_pre_hook(hook),
    "a module's, the old way": lambda names, hook: names["net"][2].register_backward_hook(hook),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_are_not_called(session, kind):
    called: list[object] = []
    handle = HOOKS[kind](session.names, lambda *_: called.append(kind))
    text = "net(h).sum()" if "module" in kind else "loss * 1"
    assert "hooks, which a backward would call" in reason(session, text)
    assert called == []
    handle.remove()
    assert reached(traced(session, text))


def test_hooks_of_a_tensor_that_is_gone_are_not_called(session):
    called: list[object] = []
    handle = session.names["h"].register_hook(called.append)
    del session.names["h"]
    assert "has no name any more has hooks" in reason(session, "loss * 1")
    assert called == []
    handle.remove()
    assert list(reached(traced(session, "loss * 1"))) == ["w"]


def test_forward_hooks_do_not_matter(session):
    session.names["net"][0].register_forward_hook(lambda *_: None)
    session.names["net"].register_forward_pre_hook(lambda *_: None)
    assert reached(traced(session, "net(x @ w).sum()"))


def test_a_retained_gradient_is_not_filled_and_a_hook_after_accumulation_not_called(session):
    called: list[object] = []
    session.names["w"].register_post_accumulate_grad_hook(called.append)
    assert list(reached(traced(session, "loss * 1"))) == ["w"]
    session.names["h"].retain_grad()
    assert reason(session, "loss * 1").startswith("a tensor float32 [8, 3] retains its gradient")
    assert (called, session.names["h"].grad) == ([], None)


def test_a_function_of_the_sessions_own_is_not_called(session):
    called: list[object] = []
    members = {"forward": staticmethod(_forward), "backward": staticmethod(lambda ctx, grad: called.append(grad))}
    session.names["z"] = type("Twice", (torch.autograd.Function,), members).apply(session.names["w"])
    assert reason(session, "z * 1").startswith("Twice is a function of the session's own")
    assert called == []


def test_the_graph_is_kept(session):
    traced(session, "loss")
    (done,) = ask(session, report.Evaluate(text="loss.backward()"))
    assert isinstance(done, report.Nothing)
    expected = session.names["w"].grad
    torch.testing.assert_close(
        expected, torch.autograd.grad((session.names["x"] @ session.names["w"]).exp().sum(), [session.names["w"]])[0]
    )
    grad = "g, = torch.autograd.grad((w ** 3).sum(), w, create_graph=True)"
    ask(session, report.Evaluate(text=grad))
    assert reached(traced(session, "g"))["w"].norm == pytest.approx((6 * session.names["w"]).norm().item())


def test_a_graph_is_gone_through_without_recursion():
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = (y + x).clone()
    (leaf,) = gradients.gradients(y, {"x": x})
    assert leaf.norm == pytest.approx(10_001 * 2**0.5)
    rows = gradients.functions(y)
    assert (len(rows), rows[-1].name) == (gradients.MAX_FUNCTIONS + 1, "others")
