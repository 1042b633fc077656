"""The product of two n x n matrices."""

from itertools import islice, product
from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Parts, Variant, Workload, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> tuple[Any, ...]:
    return uniform(2, n, n, device=device, dtype=dtype, seed=seed)


def _python_loop(a: Any, b: Any, *, parts: int | None = None) -> Any:
    import torch

    n = len(a)
    c = torch.zeros_like(a)
    for i, j in islice(product(range(n), repeat=2), parts):
        total = 0
        for k in range(n):
            total += a[i, k] * b[k, j]
        c[i, j] = total
    return c


def _row_times_matrix(a: Any, b: Any) -> Any:
    import torch

    return torch.stack([row @ b for row in a])


def _broadcast_and_sum(a: Any, b: Any) -> Any:
    return (a[:, :, None] * b).sum(dim=1)


def _matmul(a: Any, b: Any) -> Any:
    return a @ b


WORKLOAD = Workload(
    name="matmul",
    title="the product of two n x n matrices",
    sizes=(64, 256),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant(
            "python loop",
            _python_loop,
            parts=Parts(count=lambda n: n * n, steps=lambda n: n),
        ),
        Variant("row times matrix", _row_times_matrix),
        Variant(
            "broadcast and sum",
            _broadcast_and_sum,
            scratch_nbytes=lambda n, itemsize: n**3 * itemsize,
        ),
        Variant("matmul", _matmul),
    ),
    reference=_matmul,
    terms=lambda n: n,
    # n products and n sums for each of n x n elements (Golub and Van Loan, Matrix Computations, 1.1)
    flops=lambda n: 2 * n**3,
    # each matrix read or written once
    nbytes=lambda n, itemsize: 3 * n * n * itemsize,
)
