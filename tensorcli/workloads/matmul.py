"""The product of two n x n matrices."""

from itertools import islice, product
from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Parts, Variant, Workload, no_compiler, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    a, b = uniform(2, n, n, device=device, dtype=dtype, seed=seed)
    return {"a": a, "b": b, "out": torch.empty_like(a)}


def python_loop(a: Any, b: Any, parts: int | None) -> Any:
    """Element by element, in three loops."""
    import torch

    n = len(a)
    c = torch.zeros_like(a)
    for i, j in islice(product(range(n), repeat=2), parts):
        total = 0
        for k in range(n):
            total += a[i, k] * b[k, j]
        c[i, j] = total
    return c


def loop_over_rows(a: Any, b: Any, parts: int | None) -> Any:
    """Each element as a row times a column."""
    import torch

    n = len(a)
    c = torch.zeros_like(a)
    for i, j in islice(product(range(n), repeat=2), parts):
        c[i, j] = torch.dot(a[i], b[:, j])
    return c


WORKLOAD = Workload(
    name="matmul",
    title="the product of two n x n matrices",
    sizes=(64, 256),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant("python loop", "python_loop(a, b, parts)", parts=Parts(count=lambda n: n * n, steps=lambda n: n)),
        Variant("loop over rows", "loop_over_rows(a, b, parts)", parts=Parts(lambda n: n * n, steps=lambda n: 1)),
        Variant("row times matrix", "torch.stack([row @ b for row in a])"),
        Variant(
            "broadcast and sum",
            "(a[:, :, None] * b).sum(dim=1)",
            scratch_nbytes=lambda n, itemsize: n**3 * itemsize,
        ),
        Variant("einsum", "torch.einsum('ik,kj->ij', a, b)"),
        Variant("matmul", "a @ b"),
        Variant("matmul into out", "torch.matmul(a, b, out=out)"),
        Variant("compiled", "product(a, b)", setup="product = torch.compile(torch.matmul)", lacking=no_compiler),
    ),
    functions={"python_loop": python_loop, "loop_over_rows": loop_over_rows},
    reference="a @ b",
    terms=lambda n: n,
    roundings=2,
    # n products and n sums for each of n x n elements (Golub and Van Loan, Matrix Computations, 1.1)
    flops=lambda n: 2 * n**3,
    # each matrix read or written once
    nbytes=lambda n, itemsize: 3 * n * n * itemsize,
)
