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
    "smooth_l1_loss": 4,
    "huber_loss": 4,
    "binary_cross_entropy": 6,
    "glu": 2,  # half of its elements: an exponential, a sum, a quotient, a product
    "_prelu_kernel": 1,
    # mean and variance, the difference and the product with 1/deviation, the scale and the shift
    "native_layer_norm": 8,
    "native_group_norm": 8,
    "native_batch_norm": 8,
    "cudnn_batch_norm": 8,
    "_native_batch_norm_legit": 8,
    "_batch_norm_with_update": 8,
}
# For each element of the result one for each of the kernel's.
_POOLS = frozenset("max_pool2d_with_indices avg_pool2d max_pool3d_with_indices avg_pool3d avg_pool1d".split())
# Of complex numbers 5 n log2 n operations, of real ones half of that: the convention of Frigo and Johnson's benchFFT.
_TRANSFORMS = {"_fft_c2c": 5.0, "_fft_r2c": 2.5, "_fft_c2r": 2.5}
# Operations of m x n matrices, m >= n, with k right-hand sides: the leading terms (Anderson and others, LAPACK Working
# Note 41, appendix C).
_FACTORINGS: dict[str, Callable[[int, int, int], float]] = {
    "linalg_cholesky_ex": lambda m, n, k: n**3 / 3,
    "linalg_lu_factor_ex": lambda m, n, k: m * n**2 - n**3 / 3,
    "_linalg_det": lambda m, n, k: 2 * n**3 / 3,
    "_linalg_slogdet": lambda m, n, k: 2 * n**3 / 3,
    "_linalg_solve_ex": lambda m, n, k: 2 * n**3 / 3 + 2 * n**2 * k,
    "linalg_inv_ex": lambda m, n, k: 2 * n**3,
    "linalg_qr": lambda m, n, k: 4 * m * n**2 - 4 * n**3 / 3,  # both factors
    "linalg_solve_triangular": lambda m, n, k: n**2 * k,
}
# What reads only the elements that an index asks for.
_LOOKUPS = frozenset("index index_select gather embedding take".split())
# What writes its first tensor, or one like it, and does not read it.
_OVERWRITES = frozenset(
    "fill_ zero_ copy_ normal_ uniform_ random_ exponential_ bernoulli_ cauchy_ geometric_ log_normal_".split()
)
# What changes, in place, the elements that an index names: which argument has one element for each of them, and whether
# it is added to what is there.
_SCATTERS = {
    "index_put_": (2, False),
    "_index_put_impl_": (2, False),
    "scatter_": (2, False),
    "scatter_add_": (3, True),
    "scatter_reduce_": (3, True),
    "index_add_": (3, True),
    "index_copy_": (3, False),
}
# What gives views although it is not marked so.
_VIEWS = frozenset("_unsafe_view unsafe_split unsafe_split_with_sizes unsafe_chunk".split())
# What moves elements and computes nothing.
_MOVES = frozenset(
    """clone copy copy_ _to_copy fill fill_ zero_ cat stack index index_put index_put_ _index_put_impl_ gather scatter
    scatter_ index_select index_copy index_fill index_fill_ masked_fill masked_fill_ masked_select where embedding flip
    upsample_nearest1d upsample_nearest2d upsample_nearest3d take pixel_shuffle pixel_unshuffle channel_shuffle im2col
    masked_scatter masked_scatter_ bernoulli normal
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
    to move at least. Views move none, a lookup in a table what is looked up, and what is only written is not read.
    """
    name = _name(operator)
    views = operator.is_view or torch.Tag.inplace_view in operator.tags or name in _VIEWS
    if views or operator.namespace == "prim":
        return Cost(0, 0)
    outputs = {argument.name for argument in operator._schema.arguments if argument.is_out}
    read = (value for name, value in options.items() if name not in outputs)
    taken, given = list(tensors((*arguments, *read))), list(tensors((result,)))
    moved = _moved(name, arguments, taken, given)
    formula = _formula(operator)
    try:
        return Cost(formula(arguments, options, taken, given, result), moved)
    except Exception:  # sizes that a formula does not expect
        return Cost(None, moved)


def terms(operator: Any, arguments: tuple[Any, ...], spent: Cost, result: Any) -> int:
    """How many terms an operator sums to an element of its result at most, about; 0 where it only moves elements.

    Products have as many as there are products of two factors for each element, reductions as there are elements for
    each of the result's. What sums along a dimension and keeps it, as cumsum and softmax do, has that dimension's.
    """
    name = _name(operator)
    taken, given = list(tensors(arguments)), [x.numel() for x in tensors((result,)) if x.numel()]
    makes = name in _MOVES or name in _VIEWS or name.endswith("_like") or name.startswith(("new_", "empty"))
    if makes or operator.is_view or not taken or not given:
        return 0
    if torch.Tag.pointwise in operator.tags:
        return 1
    first = taken[0]
    named = [argument.name for argument in operator._schema.arguments[:2]]
    along = (
        first.size(arguments[1]) if len(arguments) > 1 and named[1] == "dim" and isinstance(arguments[1], int) else 1
    )
    products = -(-(spent.flops or 0) // (2 * given[0]))
    return max(1, along, products, first.numel() // min(given))


def _moved(name: str, arguments: tuple[Any, ...], taken: list[torch.Tensor], given: list[torch.Tensor]) -> int:
    """The bytes that an operator reads and writes at least."""
    if name.startswith(("empty", "new_empty")):
        return 0
    if name in _LOOKUPS:
        return sum(map(_nbytes, (*taken[1:], *given, *given)))
    if name in _SCATTERS:
        touched = _touched(name, arguments) * taken[0].element_size()
        return sum(map(_nbytes, taken[1:])) + touched * (2 if _adds(name, arguments) else 1)
    if name in _OVERWRITES or name.endswith("_like") or name.startswith("new_"):
        return sum(map(_nbytes, (*taken[1:], *given)))
    return sum(map(_nbytes, (*{id(x): x for x in taken}.values(), *given)))


def _touched(name: str, arguments: tuple[Any, ...]) -> int:
    """How many elements an operator in `_SCATTERS` changes; of a mask, as many as it has."""
    place, _ = _SCATTERS[name]
    values = arguments[place]
    counts = [values.numel()] if isinstance(values, torch.Tensor) else []
    if name.startswith(("index_put", "_index_put")):
        indices = [index for index in arguments[1] if index is not None]
        counts.append(math.prod(torch.broadcast_shapes(*(index.shape for index in indices))))
    return max(counts) if counts else int(arguments[2].numel())


def _adds(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an operator in `_SCATTERS` adds to what is there."""
    return _SCATTERS[name][1] or (len(arguments) > 3 and arguments[3] is True)


_Formula = Callable[[tuple[Any, ...], Mapping[str, Any], list[torch.Tensor], list[torch.Tensor], Any], int | None]


@cache
def _formula(operator: Any) -> _Formula:
    packet, name = operator.overloadpacket, _name(operator)
    if packet in flop_counter.flop_registry:
        count = flop_counter.flop_registry[packet]
        return lambda arguments, options, taken, given, result: count(*arguments, **options, out_val=result)
    if name in ("dot", "vdot"):
        return lambda arguments, *_: 2 * arguments[0].numel()
    if name in ("mv", "addmv", "addmv_"):
        return lambda arguments, *_: 2 * arguments[-2 if name == "mv" else 1].numel()
    if name == "_scaled_dot_product_flash_attention_for_cpu":
        return lambda arguments, *_: flop_counter.sdpa_flop_count(*(part.shape for part in arguments[:3]))
    if name in _POOLS:
        return lambda arguments, _options, _taken, given, _result: given[0].numel() * _of_kernel(arguments[1], given[0])
    if name in _TRANSFORMS:
        each = _TRANSFORMS[name]
        return lambda arguments, _options, taken, given, _result: _of_transform(each, arguments[1], taken[0], given[0])
    if name in _FACTORINGS:
        return lambda arguments, _options, taken, *_: _of_factoring(_FACTORINGS[name], taken)
    if name == "mkldnn_rnn_layer":  # in each step both matrices of weights times a vector, for each of the batch
        return lambda arguments, *_: (
            2 * math.prod(arguments[0].shape[:2]) * (arguments[1].numel() + arguments[2].numel())
        )
    if name in ("_cdist_forward", "_euclidean_dist"):  # a difference, a power and a sum for each element of each pair
        return lambda arguments, _options, _taken, given, _result: 3 * given[0].numel() * arguments[0].size(-1)
    if name in _SCATTERS or f"{name}_" in _SCATTERS:
        inner = name if name in _SCATTERS else f"{name}_"
        return lambda arguments, *_: _touched(inner, arguments) if _adds(inner, arguments) else 0
    if name == "nll_loss_forward":
        return lambda _arguments, _options, taken, *_: taken[1].numel()
    if name in _PER_ELEMENT:
        times = _PER_ELEMENT[name]
        return lambda _arguments, _options, taken, *_: times * taken[0].numel()
    if name in _MOVES or name.endswith("_like") or name.startswith(("new_", "empty")):
        return lambda *_: 0
    if name in _REDUCTIONS:
        return lambda _arguments, _options, taken, *_: taken[0].numel()
    if torch.Tag.pointwise in operator.tags or name in ("floor_divide", "floor_divide_"):
        return lambda _arguments, _options, _taken, given, _result: sum(out.numel() for out in given)
    return lambda _arguments, _options, taken, *_: None if taken else 0  # without an input it makes numbers up


def _name(operator: Any) -> str:
    return str(operator.overloadpacket).split(".")[-1]


def _of_kernel(kernel: Any, result: torch.Tensor) -> int:
    """The elements of a pool's kernel, which is given in each direction, or once for all of them."""
    return math.prod(kernel) if len(kernel) > 1 else int(kernel[0]) ** (result.dim() - 2)


def _of_factoring(formula: Callable[[int, int, int], float], taken: list[torch.Tensor]) -> int:
    """For each matrix of a batch; the right-hand sides are columns of the second one."""
    rows, columns = taken[0].shape[-2:]
    sides = taken[1].size(-1) if len(taken) > 1 and taken[1].dim() > 1 else 1
    count = math.prod(taken[0].shape[:-2])
    return round(count * formula(max(rows, columns), min(rows, columns), sides))


def _of_transform(each: float, dims: Any, taken: torch.Tensor, given: torch.Tensor) -> int:
    whole = given if taken.is_complex() and not given.is_complex() else taken  # the side that has all frequencies
    n = math.prod(whole.size(d) for d in dims)
    return round(each * whole.numel() * math.log2(n)) if n > 1 else 0


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
