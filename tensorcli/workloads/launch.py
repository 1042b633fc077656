"""What an operator costs that has next to nothing to do: n elements, by default one."""

from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Variant, Workload, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    (x,) = uniform(1, n, device=device, dtype=dtype, seed=seed)
    return {"x": x, "out": torch.empty_like(x)}


WORKLOAD = Workload(
    name="launch",
    title="the fixed cost of an operator: x + 0 of n elements",
    sizes=(1,),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant("operator", "x + 0"),
        Variant("into out", "torch.add(x, 0, out=out)"),
        Variant("in place", "x.add_(0)"),
        Variant("a view", "x[:]"),
        Variant("and its value in Python", "torch.tensor((x + 0).tolist(), dtype=x.dtype)"),
    ),
    reference="x + 0",
    terms=lambda n: 0,
    roundings=1,
    # what is asked for is a time: a rate of work that is next to none says nothing
    flops=lambda n: 0,
    nbytes=lambda n, itemsize: 0,
)
