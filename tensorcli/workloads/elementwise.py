"""A chain of element-wise operators over n elements: each reads and writes memory anew, unless they are fused."""

from typing import Any

from tensorcli.workloads import FLOATS, Parts, Variant, Workload, no_compiler, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    a, b, c = uniform(3, n, device=device, dtype=dtype, seed=seed)
    return {"a": a, "b": b, "c": c, "out": torch.empty_like(a)}


def python_loop(a: Any, b: Any, c: Any, parts: int | None) -> Any:
    """Element by element."""
    import torch

    out = torch.zeros_like(a)
    for i in range(len(a) if parts is None else parts):
        out[i] = (a[i] * b[i] + c[i]).relu()
    return out


WORKLOAD = Workload(
    name="elementwise",
    title="relu(a * b + c) of n elements, operator by operator and fused",
    sizes=(1_000, 1_000_000),
    dtypes=FLOATS,
    inputs=_inputs,
    variants=(
        Variant("python loop", "python_loop(a, b, c, parts)", parts=Parts(count=lambda n: n, steps=lambda n: 1)),
        Variant("operators", "(a * b + c).relu()"),
        Variant("in place", "torch.mul(a, b, out=out).add_(c).relu_()"),
        Variant("addcmul", "torch.addcmul(c, a, b).relu_()"),
        Variant(
            "compiled",
            "fused(a, b, c)",
            setup="fused = torch.compile(lambda a, b, c: (a * b + c).relu())",
            lacking=no_compiler,
        ),
    ),
    functions={"python_loop": python_loop},
    reference="(a * b + c).relu()",
    terms=lambda n: 3,
    roundings=3,
    flops=lambda n: 3 * n,
    # three read, one written: what a fused kernel moves
    nbytes=lambda n, itemsize: 4 * n * itemsize,
)
