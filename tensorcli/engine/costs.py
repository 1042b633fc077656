"""What an operator of torch's costs: its floating-point operations and the bytes that it has to move."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch.utils import flop_counter

# Of these each element taken in is one operation (less one for each that comes out: not counted off).
_REDUCTIONS = frozenset(
    """sum nansum mean nanmean prod amax amin aminmax max min argmax argmin all any cumsum cumprod cummax cummin
    logcumsumexp count_nonzero""".split()
)
# Operations for each element: the maximum, the difference, the exponential, the sum, the quotient or logarithm.
_PER_ELEMENT = {
    "_softmax": 5,
    "_log_softmax": 5,
    "logsumexp": 4,
    "var": 4,
    "std": 4,
    "var_mean": 4,
    "std_mean": 4,
    "linalg_vector_norm": 2,
    "mse_loss": 3,
}
# What moves elements and computes nothing.
_MOVES = frozenset(
    """clone copy copy_ _to_copy fill fill_ zero_ cat stack index index_put index_put_ _index_put_impl_ gather scatter
    scatter_ index_select index_copy index_fill index_fill_ masked_fill masked_fill_ masked_select where embedding flip
    roll repeat constant_pad_nd pad reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d
    nonzero unfold slice_scatter select_scatter diagonal_scatter tril triu lift_fresh lift_fresh_copy
    size stride numel sym_size sym_stride sym_numel storage_offset sym_storage_offset
    _local_scalar_dense resize_ set_ detach_ bernoulli_ normal_ uniform_ random_ exponential_ _linalg_check_errors
    """.split()
)


class Cost(NamedTuple):
    """`flops` is None where there is no formula for the operator."""

    flops: int | None
    nbytes: int


def cost(operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any], result: Any) -> Cost:
    """The cost of one call of an operator of `torch.ops`.

    A matrix product counts 2 m n k (Golub and Van Loan, Matrix Computations, 1.1); convolutions and attention as in
    torch.utils.flop_counter; an element-wise operator one for each element of its result, whatever it computes; a
    reduction one for each element of its input. The bytes are those of the tensors taken and given, each once: what has
    to move at least. Views move none.
    """
    if operator.is_view or operator.namespace == "prim" or operator.overloadpacket is torch.ops.aten._unsafe_view:
        return Cost(0, 0)
    taken, given = list(tensors((*arguments, *options.values()))), list(tensors((result,)))
    moved = sum(map(_nbytes, (*taken, *given)))
    formula = _formula(operator)
    try:
        return Cost(formula(arguments, options, taken, given, result), moved)
    except Exception:  # sizes that a formula does not expect
        return Cost(None, moved)


_Formula = Callable[[tuple[Any, ...], Mapping[str, Any], list[torch.Tensor], list[torch.Tensor], Any], int | None]


@cache
def _formula(operator: Any) -> _Formula:
    packet, name = operator.overloadpacket, str(operator.overloadpacket).split(".")[-1]
    if packet in flop_counter.flop_registry:
        count = flop_counter.flop_registry[packet]
        return lambda arguments, options, taken, given, result: count(*arguments, **options, out_val=result)
    if name in ("dot", "vdot"):
        return lambda arguments, *_: 2 * arguments[0].numel()
    if name in ("mv", "addmv", "addmv_"):
        return lambda arguments, *_: 2 * arguments[-2 if name == "mv" else 1].numel()
    if name == "_scaled_dot_product_flash_attention_for_cpu":
        return lambda arguments, *_: flop_counter.sdpa_flop_count(*(part.shape for part in arguments[:3]))
    if name in _PER_ELEMENT:
        each = _PER_ELEMENT[name]
        return lambda _arguments, _options, taken, *_: each * taken[0].numel()
    if name in _MOVES or name.endswith("_like") or name.startswith(("new_", "empty")):
        return lambda *_: 0
    if torch.Tag.inplace_view in operator.tags:
        return lambda *_: 0
    if name in _REDUCTIONS:
        return lambda _arguments, _options, taken, *_: taken[0].numel()
    if torch.Tag.pointwise in operator.tags:
        return lambda _arguments, _options, _taken, given, _result: sum(out.numel() for out in given)
    return lambda _arguments, _options, taken, *_: None if taken else 0  # without an input it makes numbers up


def tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """The tensors among values and in the lists and tuples among them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(value)


def _nbytes(x: torch.Tensor) -> int:
    """The bytes of a tensor's elements; of one that was expanded, those that are there."""
    if x.layout is not torch.strided or x.is_nested:
        return 0
    there = math.prod(size for size, stride in zip(x.shape, x.stride(), strict=True) if stride)
    return there * x.element_size() if x.numel() else 0
