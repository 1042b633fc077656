"""Which results agree: equal expressions in every dtype, and slightly other ones that do not."""

import pytest
from test_compare import asked

from tensorcli import report

SETUP = """
x = torch.rand(1000); y = torch.randn(1000); a = torch.rand(48, 32); b = torch.rand(32, 40); s = torch.randn(40, 40)
"""
EQUAL = [
    ("x.sum()", "torch.dot(x, torch.ones_like(x))"),
    ("(x - x.mean()).sum()", "x.sum() - x.mean() * 1000"),
    ("(x - x.mean()).sum()", "torch.zeros(())"),
    ("y.sum()", "y.flip(0).sum()"),
    ("a @ b", "torch.einsum('ij,jk->ik', a, b)"),
    ("a @ b", "(a[:, :, None] * b).sum(1)"),
    ("s @ s", "torch.stack([r @ s for r in s])"),
    ("x.softmax(0)", "x.exp() / x.exp().sum()"),
    ("(20 * y).softmax(0)", "(20 * y - (20 * y).max()).exp() / (20 * y - (20 * y).max()).exp().sum()"),
    ("x.var()", "((x - x.mean()) ** 2).sum() / 999"),
    ("x.var(unbiased=False)", "(x * x).mean() - x.mean() ** 2"),
    ("(x - x.mean()) / x.std()", "(x - x.mean()) * x.var().rsqrt()"),
    (
        "torch.nn.functional.layer_norm(a, (32,))",
        "(a - a.mean(1, keepdim=True)) / (a.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()",
    ),
    ("y.relu()", "y.clamp(min=0)"),
    ("y.sigmoid()", "1 / (1 + (-y).exp())"),
    ("y.tanh()", "2 * (2 * y).sigmoid() - 1"),
    ("torch.nn.functional.gelu(y)", "y * 0.5 * (1 + torch.erf(y / 2 ** 0.5))"),
    ("torch.nn.functional.silu(y)", "y * y.sigmoid()"),
    ("x.logsumexp(0)", "x.exp().sum().log()"),
    ("x.norm()", "(x * x).sum().sqrt()"),
    ("x * 3", "x + x + x"),
    ("(x + 1) ** 2 - x ** 2 - 2 * x", "torch.ones(1000)"),
    ("y.cumsum(0)[-1]", "y.sum()"),
    ("torch.cdist(a, a)", "((a[:, None] - a[None]) ** 2).sum(-1).sqrt()"),
    ("x.mean()", "x.sum() / 1000"),
    ("x.pow(3)", "x * x * x"),
    ("x.sqrt()", "x ** 0.5"),
    ("a.T.contiguous() @ a", "a.T @ a"),
    ("torch.nn.functional.linear(a, b.T)", "a @ b"),
    ("sum(x.tolist())", "x.sum().item()"),
    ("torch.addmm(torch.zeros(48, 40), a, b)", "a @ b"),
    ("x.prod()", "x.log().sum().exp()"),
    ("torch.outer(x, y)", "x[:, None] * y"),
    ("y.log_softmax(0)", "y.softmax(0).log()"),
    ("torch.nn.functional.cross_entropy(s, torch.arange(40))", "-s.log_softmax(1).diagonal().mean()"),
    ("x.half().float()", "x"),
    ("(s @ s) @ s", "s @ (s @ s)"),
    ("torch.linspace(-1, 1, 1000).sum()", "torch.linspace(-1, 1, 1000).flip(0).sum()"),
]
EQUAL_IN_FULL = [  # torch factors no matrices of 16-bit numbers
    ("torch.linalg.solve(s, s @ s)", "s"),
    ("torch.linalg.inv(s) @ s", "torch.eye(40)"),
    ("torch.linalg.det(s)", "torch.linalg.eigvals(s).prod().real"),
]
OTHER = [
    ("x", "x * {e}"),
    ("a @ b", "(a @ b) * {e}"),
    ("x.sum()", "x.sum() * {e}"),
    ("x.softmax(0)", "x.softmax(0) * {e}"),
    ("x", "torch.cat([x[:500], x[500:501] * {e} + .02, x[501:]])"),
    ("(x - x.mean()).sum()", "(x - 1.1 * x.mean()).sum()"),
    ("(x - 1.1 * x.mean()).sum()", "torch.zeros(())"),
    ("y.sum()", "y[1:].sum()"),
    ("x.var()", "x.var(unbiased=False) * {e}"),
    ("s @ s", "(s @ s) * {e}"),
    ("x.norm()", "x.norm() * {e}"),
    ("torch.linalg.inv(s) @ s", "torch.eye(40) * 1.05"),
    ("y.sigmoid()", "y.sigmoid() * {e}"),
    ("sum(x.tolist())", "x.sum().item() * {e}"),
    ("x.numpy().sum()", "x.sum().item() * {e}"),
]
SLIGHTLY = {"float64": "1.0000001", "float32": "1.0005", "bfloat16": "1.03", "float16": "1.005"}


@pytest.fixture(scope="module", autouse=True)
def no_ceilings():
    """The largest product of a device takes long, and nothing here needs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tensorcli.engine.bench.ceiling.of", lambda *_, **__: report.Ceiling())
        yield


def agreements(one, other, dtypes):
    """How the second agrees with the first, in each dtype."""
    answer, *_ = asked(one, other, setup=SETUP, dtypes=dtypes)
    return {case.dtype: case.variants[1].agrees for case in answer.cases}


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_expressions_agree(one, other):
    found = agreements(one, other, tuple(SLIGHTLY))
    assert {dtype: each.reason for dtype, each in found.items()} == dict.fromkeys(SLIGHTLY)


@pytest.mark.parametrize(("one", "other"), EQUAL_IN_FULL)
def test_what_is_ill_conditioned_agrees(one, other):
    found = agreements(one, other, ("float64", "float32"))
    assert [each.reason for each in found.values()] == [None, None]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_is_slightly_off_does_not_agree(one, other):
    of_16_bits = () if "linalg" in one or "numpy" in one else ("bfloat16", "float16")
    for dtype in ("float64", "float32", *of_16_bits):
        texts = (text.replace("{e}", SLIGHTLY[dtype]) for text in (one, other))
        assert [each.ok for each in agreements(*texts, (dtype,)).values()] == [False], dtype
