"""Shapes, dtypes and devices without computing: statements run on tensors that have no values.

torch's fake tensors accept some dtypes that its real operators refuse; those are checked here.
"""

import ast
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from tensorcli.engine import apart, pretend

# Operators that want one dtype for all their tensors; fake tensors let them mix.
_ONE_DTYPE = frozenset(
    """matmul __matmul__ mm bmm mv dot vdot inner addmm addmv addbmm baddbmm addmm_ addmv_ addbmm_ baddbmm_ linear
    bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d einsum tensordot chain_matmul
    multi_dot cdist lerp lerp_ layer_norm batch_norm group_norm""".split()
)


def run(text: str, scope: Mapping[str, Any], *, trust: bool) -> Any:
    """What statements would give, as `apart.run`, with no element computed and none allocated.

    Raises what torch raises; where the answer depends on values, torch's DataDependentOutputException.
    """
    with _mode(), _OneDtype():
        return apart.run(text, scope, trust=trust, kind=_Faker)


def value_of(node: ast.expr, scope: Mapping[str, Any], *, trust: bool) -> Any:
    """What an expression would give, as `apart.value_of`. Raises what torch raises."""
    with _mode(), _OneDtype():
        return apart.value_of(node, scope, trust=trust, kind=_Faker)


def warm_up() -> None:
    """Pay for the first fake tensor, about a second, while nobody waits."""
    _mode()


@cache
def _kind() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)  # it logs what is raised anyway
    return FakeTensorMode


def _mode() -> Any:
    return _kind()(allow_non_fake_inputs=False)


class _Faker(apart.Copier):
    """Copies that have no elements."""

    def check_size(self, values: list[Any]) -> None:
        """Nothing is too large."""

    def array(self, value: np.ndarray) -> np.ndarray:
        """The array itself, read-only: its values cannot be left out."""
        view = value.view()
        view.setflags(write=False)
        return view

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor of the same sizes, strides and dtype; views of one storage are views of one again."""
        if value.layout is not torch.strided or value.is_nested or value.is_quantized:
            raise apart.NoCopy("this layout is not predicted")
        key = value.untyped_storage()._cdata
        if key not in self._storages:
            nbytes = value.untyped_storage().nbytes()
            self._storages[key] = torch.empty(nbytes, dtype=torch.uint8, device="cpu")
        storage = self._storages[key].untyped_storage()
        with torch.no_grad():
            fresh = torch.empty(0, dtype=value.dtype, device="cpu").set_(
                storage, value.storage_offset(), value.shape, value.stride()
            )
        pretend.carry(value, fresh)
        if isinstance(value, torch.nn.Parameter):
            return torch.nn.Parameter(fresh, value.requires_grad)
        return fresh.requires_grad_(value.requires_grad) if value.requires_grad else fresh


class _OneDtype(TorchFunctionMode):
    """Refuses the mixed dtypes that fake tensors let pass."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        if getattr(function, "__name__", "") in _ONE_DTYPE:
            dtypes = {tensor.dtype for tensor in _tensors([*arguments, *(options or {}).values()])}
            if len(dtypes) > 1 and not torch.is_autocast_enabled():
                raise RuntimeError(f"expected tensors of one dtype, but got {dtypes}")
        return function(*arguments, **(options or {}))


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
