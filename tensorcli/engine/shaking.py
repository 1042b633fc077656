"""An expression run once more with other roundings: how far its result moves is what rounding does to it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map_only

from tensorcli.engine import costs, work
from tensorcli.engine.rounding import roundoff

RUNS = 4


class Shaking(work.Watching):
    """A mode in which each operator's result is rounded up or down by chance, and so are the terms that it sums.

    Monte Carlo arithmetic (Parker, Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic, 1997;
    Vignes, A Stochastic Arithmetic for Reliable Scientific Computation, Mathematics and Computers in Simulation 35,
    1993): it knows of numbers that cancel each other, of exponentials and of ill-conditioned matrices. The session's
    generators are left alone.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._draw = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        result = operator(*arguments, **options)
        own = work.roundings(operator, arguments, costs.cost(operator, arguments, options, result), result)
        if not own.most:
            return result
        results = [x for x in costs.tensors((result,)) if roundoff(x.dtype)]
        inside = own.squares - max(roundoff(x.dtype) for x in results) ** 2  # of the terms that it sums
        if inside > 0 and not operator._schema.is_mutable:
            by = math.sqrt(inside)
            arguments = tree_map_only(torch.Tensor, lambda x: self.shaken(_wide(x), by), arguments)
            given = costs.tensors((operator(*arguments, **options),))
            for x, other in zip(results, (each for each in given if roundoff(each.dtype)), strict=True):
                x.copy_(other)
            if operator is torch.ops.aten._euclidean_dist.default:
                (x,), squares = results, _squares(*arguments)
                x.copy_((x * x + self.shaken(squares, by) - squares).clamp(min=0).sqrt())
        for x in results:
            x.copy_(self.shaken(x, roundoff(x.dtype)))
        return result

    def shaken(self, value: Any, by: float) -> Any:
        """Numbers that are each off by such a share of them, up or down; all else as it is."""
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return self.shaken(torch.from_numpy(np.array(value)), by).numpy()
        if not isinstance(value, torch.Tensor) or not roundoff(value.dtype):
            return value
        signs = torch.randint(2, value.shape, generator=self._draw, dtype=torch.int8) * 2 - 1
        return value * (1 + by * signs.to(value.device, value.dtype))


def _wide(x: torch.Tensor) -> torch.Tensor:
    """As it is summed."""
    return x.float() if roundoff(x.dtype) > roundoff(torch.float32) else x


def _squares(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """What cancels within a distance of torch.cdist's, which takes x^2 + y^2 - 2 x y by a product of matrices."""
    return one.square().sum(-1, keepdim=True) + other.square().sum(-1).unsqueeze(-2)
