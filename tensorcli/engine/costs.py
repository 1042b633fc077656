"""Floating-point operations of the operators whose count is a formula."""

import math
from typing import Any

import torch

_PRODUCTS = {"matmul", "mm", "bmm", "mv", "dot", "method matmul", "method mm", "method bmm", "method mv", "method dot"}


def flops(operation: str, result: Any, inputs: list[Any]) -> int | None:
    """Multiplications and additions of a matrix product: 2 n for each of its elements, n being the inner size.

    (Golub and Van Loan, Matrix Computations, 1.1.) None where no formula is known here.
    """
    tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
    if operation not in _PRODUCTS or not isinstance(result, torch.Tensor) or not tensors or not tensors[0].dim():
        return None
    return 2 * math.prod(result.shape) * int(tensors[0].shape[-1])
