"""The softmax of the rows of an n x n matrix."""

from typing import Any

from tensorcli.workloads import FLOATS, Parts, Variant, Workload, no_compiler, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    (x,) = uniform(1, n, n, device=device, dtype=dtype, seed=seed)
    return {"x": x}


def loop_over_rows(x: Any, parts: int | None) -> Any:
    """Row by row."""
    import torch

    out = torch.zeros_like(x)
    for i in range(len(x) if parts is None else parts):
        e = (x[i] - x[i].max()).exp()
        out[i] = e / e.sum()
    return out


def by_hand(x: Any) -> Any:
    """Less the largest, or else the exponential of a large number is infinite."""
    e = (x - x.amax(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True)


WORKLOAD = Workload(
    name="softmax",
    title="the softmax of the rows of an n x n matrix",
    sizes=(64, 1024),
    dtypes=FLOATS,
    inputs=_inputs,
    variants=(
        Variant("loop over rows", "loop_over_rows(x, parts)", parts=Parts(count=lambda n: n, steps=lambda n: 1)),
        Variant("by hand", "by_hand(x)"),
        Variant("exp(log_softmax)", "F.log_softmax(x, dim=-1).exp()"),
        Variant("softmax", "F.softmax(x, dim=-1)"),
        Variant("compiled", "fused(x)", setup="fused = torch.compile(by_hand)", lacking=no_compiler),
    ),
    functions={"loop_over_rows": loop_over_rows, "by_hand": by_hand},
    reference="F.softmax(x, dim=-1)",
    # n terms in the sum; the difference, two exponentials of a few units each, and the quotient
    terms=lambda n: n + 16,
    roundings=12,  # a logarithm's own is multiplied by it: by 10 at n = 20,000
    # for each element the maximum, the difference, the exponential, the sum, the quotient
    flops=lambda n: 5 * n * n,
    nbytes=lambda n, itemsize: 2 * n * n * itemsize,
)
