"""The sum of n elements."""

from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Parts, Variant, Workload, bounded, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    (x,) = uniform(1, n, device=device, dtype=dtype, seed=seed, scale=bounded(n))
    return {"x": x, "ones": torch.ones_like(x)}


def python_loop(x: Any, parts: int | None) -> Any:
    """Element by element."""
    total = 0
    for i in range(len(x) if parts is None else parts):
        total += x[i]
    return total


WORKLOAD = Workload(
    name="sum",
    title="the sum of n elements",
    sizes=(1_000, 1_000_000),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant("python loop", "python_loop(x, parts)", parts=Parts(count=lambda n: n, steps=lambda n: 1)),
        Variant("python sum of a list", "torch.tensor(sum(x.tolist()), dtype=x.dtype)"),
        Variant("times ones", "x @ ones"),
        Variant("sum", "x.sum(dtype=x.dtype)"),
    ),
    functions={"python_loop": python_loop},
    reference="x.sum()",
    terms=lambda n: n,
    roundings=1,
    flops=lambda n: n,
    nbytes=lambda n, itemsize: (n + 1) * itemsize,
)
