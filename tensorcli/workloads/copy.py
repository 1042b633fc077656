"""A copy of n elements: the bandwidth of a device's memory."""

from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Parts, Variant, Workload, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    (x,) = uniform(1, n, device=device, dtype=dtype, seed=seed)
    return {"x": x, "out": torch.empty_like(x), "every_other": torch.stack([x, x], dim=1)[:, 0]}


def python_loop(x: Any, parts: int | None) -> Any:
    """Element by element."""
    import torch

    out = torch.zeros_like(x)
    for i in range(len(x) if parts is None else parts):
        out[i] = x[i]
    return out


WORKLOAD = Workload(
    name="copy",
    title="a copy of n elements: the bandwidth of the memory",
    sizes=(1_000, 10_000_000),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant("python loop", "python_loop(x, parts)", parts=Parts(count=lambda n: n, steps=lambda n: 1)),
        Variant("through a list", "torch.tensor(x.tolist(), dtype=x.dtype, device=x.device)"),
        Variant("every other element", "every_other.contiguous()"),
        Variant("clone", "x.clone()"),
        Variant("into out", "out.copy_(x)"),
    ),
    functions={"python_loop": python_loop},
    reference="x.clone()",
    terms=lambda n: 0,
    roundings=0,
    flops=lambda n: 0,
    nbytes=lambda n, itemsize: 2 * n * itemsize,
)
