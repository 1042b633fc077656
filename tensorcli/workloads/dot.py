"""The dot product of two vectors of n elements."""

from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Parts, Variant, Workload, bounded, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    a, b = uniform(2, n, device=device, dtype=dtype, seed=seed, scale=bounded(n, factors=2))
    return {"a": a, "b": b}


def python_loop(a: Any, b: Any, parts: int | None) -> Any:
    """Element by element."""
    total = 0
    for i in range(len(a) if parts is None else parts):
        total += a[i] * b[i]
    return total


WORKLOAD = Workload(
    name="dot",
    title="the dot product of two vectors of n elements",
    sizes=(1_000, 100_000),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant("python loop", "python_loop(a, b, parts)", parts=Parts(count=lambda n: n, steps=lambda n: 1)),
        Variant("multiply and sum", "(a * b).sum()"),
        Variant("dot", "torch.dot(a, b)"),
        Variant("matmul", "a @ b"),
    ),
    functions={"python_loop": python_loop},
    reference="a @ b",
    terms=lambda n: n,
    roundings=2,
    # n products and n sums (Golub and Van Loan, Matrix Computations, 1.1)
    flops=lambda n: 2 * n,
    # each vector read once, one number written
    nbytes=lambda n, itemsize: (2 * n + 1) * itemsize,
)
