"""The dot product of two vectors of n elements."""

from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Parts, Variant, Workload, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> tuple[Any, ...]:
    return uniform(2, n, device=device, dtype=dtype, seed=seed)


def _python_loop(a: Any, b: Any, *, parts: int | None = None) -> Any:
    total = 0
    for i in range(len(a) if parts is None else parts):
        total += a[i] * b[i]
    return total


def _multiply_and_sum(a: Any, b: Any) -> Any:
    return (a * b).sum()


def _dot(a: Any, b: Any) -> Any:
    import torch

    return torch.dot(a, b)


def _matmul(a: Any, b: Any) -> Any:
    return a @ b


WORKLOAD = Workload(
    name="dot",
    title="the dot product of two vectors of n elements",
    sizes=(1_000, 100_000),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant(
            "python loop",
            _python_loop,
            parts=Parts(count=lambda n: n, steps=lambda n: 1),
        ),
        Variant("multiply and sum", _multiply_and_sum),
        Variant("dot", _dot),
        Variant("matmul", _matmul),
    ),
    reference=_matmul,
    terms=lambda n: n,
    # n products and n sums (Golub and Van Loan, Matrix Computations, 1.1)
    flops=lambda n: 2 * n,
    # each vector read once, one number written
    nbytes=lambda n, itemsize: (2 * n + 1) * itemsize,
)
