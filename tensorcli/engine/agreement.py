"""Whether a computed result agrees with a float64 reference, by a bound on what rounding can do."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from tensorcli import report, units
from tensorcli.engine import rounding
from tensorcli.engine.rounding import EXACT, Rounding

CANCELS = 4.0  # times as far as rounding usually moves it does a result move whose terms cancel each other


def tolerance(dtype: torch.dtype, *, terms: int, roundings: int) -> float:
    """The largest relative error that rounding explains in a sum of `terms` products that are not negative.

    Beside them are so many `roundings` to the dtype. Each adds its roundoff, in whatever order they are summed
    (Jeannerod and Rump, Improved Error Bounds for Inner Products in Floating-Point Arithmetic, SIAM J. Matrix Anal.
    Appl. 34, 2013), and the sum that of the reference. Integers are exact: zero.
    """
    if not dtype.is_floating_point:
        return 0.0
    exact = rounding.of(torch.float64, terms=max(terms, 1)).most
    return min(rounding.of(dtype, terms=max(terms, 1), times=roundings).most + exact, rounding.LARGEST_ACCEPTED)


def compare(result: torch.Tensor, reference: torch.Tensor, *, name: str, bound: float) -> report.Agreement:
    """Compare a result with the float64 reference called `name`; errors are null where the shapes differ.

    `bound` is relative to each element of the reference.
    """
    if result.shape != reference.shape:
        return _other(name, _shapes(result, reference))
    errors = (result.to(reference.device).to(torch.float64) - reference).abs()
    sizes = reference.abs()
    relative = torch.where(errors == 0, 0.0, errors / sizes)
    return _agreement(name, errors, relative, bool((errors <= bound * sizes).all()), bound)


def alike(
    result: Any, first: Any, *, name: str, way: Rounding = EXACT, moved: Sequence[float] = ()
) -> report.Agreement | None:
    """Compare what two expressions gave: tensors, numbers, and tuples, lists and dicts of them.

    None where there is nothing in them that can be compared. There is no exact result to hold them against, so each
    tensor's largest error is relative to the largest element, and may be what the roundings on the `way` explain. Where
    numbers that are summed cancel each other, these do more: `moved` are how far each pair's results then move.
    Elements that are nan or infinite must be so in both.
    """
    found: list[report.Agreement] = []
    for number, (one, other) in enumerate(_pairs(result, first)):
        if isinstance(one, str):
            return _other(name, one)
        found.append(_alike(one, other, name, way, moved[number] if number < len(moved) else 0.0))
    wrong = [each for each in found if not each.ok]
    worst = max(
        found, key=lambda each: each.max_rel_error if isinstance(each.max_rel_error, float) else 0.0, default=None
    )
    return wrong[0] if wrong else worst


def distances(result: Any, first: Any) -> list[float]:
    """How far the tensors and numbers in two results are apart, in the order in which `alike` compares them."""
    return [
        math.inf if isinstance(one, str) or one.shape != other.shape else _largest(_compared(one, other)[0])
        for one, other in _pairs(result, first)
    ]


_NUMBERS = torch.Tensor | np.ndarray | np.generic | bool | int | float | complex
_NAMES = str | bytes | torch.dtype | torch.device | torch.Size


def _pairs(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """The tensors at the same places in both; a sentence where these differ. What cannot be compared is left out.

    Lists of numbers are numbers, as arrays of them are.
    """
    one, other = (_array(x) for x in (one, other))
    if isinstance(one, _NAMES) and isinstance(other, _NAMES):
        if one != other:
            yield f"it has {str(one)[:40]} instead of {str(other)[:40]}", None
    elif isinstance(one, _NUMBERS) and isinstance(other, _NUMBERS):
        try:
            yield _tensor(one), _tensor(other)
        except (TypeError, ValueError, RuntimeError):  # an integer of more than 64 bits, an array of texts
            if not np.array_equal(np.asarray(one), np.asarray(other)):
                yield "it is another value", None
    elif isinstance(one, tuple | list) and isinstance(other, tuple | list):
        if len(one) != len(other):
            yield f"it has {units.plural(len(one), 'item')} instead of {len(other):,}", None
        for mine, theirs in zip(one, other, strict=False):
            yield from _pairs(mine, theirs)
    elif isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            yield "its keys are others", None
        for key in filter(other.__contains__, one):
            yield from _pairs(one[key], other[key])
    elif type(one) is not type(other):
        yield f"it is of type {type(one).__name__} instead of {type(other).__name__}", None


def _array(value: Any) -> Any:
    """A list of numbers, or of such lists, as an array; anything else as it is."""
    inside = value
    while isinstance(inside, tuple | list) and inside:
        inside = inside[0]
    if inside is value or not isinstance(inside, bool | int | float | complex):
        return value
    try:
        found = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # lists of several lengths, or not of numbers alone
        return value
    return found if found.dtype.kind in "biufc" else value


def _tensor(value: Any) -> torch.Tensor:
    """A number or an array as a tensor; Python's own numbers with all their digits."""
    match value:
        case bool() | int() | torch.Tensor():
            return torch.as_tensor(value)
        case float():
            return torch.as_tensor(value, dtype=torch.float64)
        case complex():
            return torch.as_tensor(value, dtype=torch.complex128)
        case _:
            return torch.as_tensor(np.array(value))  # a copy: torch takes none that is read-only or reversed


def _alike(one: torch.Tensor, other: torch.Tensor, name: str, way: Rounding, moved: float) -> report.Agreement:
    if one.shape != other.shape:
        return _other(name, _shapes(one, other))
    rounded = any(x.is_floating_point() or x.is_complex() for x in (one, other))
    for x in (one, other):
        way = way.or_more(rounding.of(x.dtype))
    bound = way.explains if rounded else 0.0
    errors, size = _compared(one, other)
    if moved > CANCELS * way.usual * float(size):  # of so large a number it would be as much
        size = torch.tensor(moved * way.times / bound)
    relative = torch.where(errors == 0, 0.0, errors / size)
    # Integers may have more digits than float64.
    ok = bool((relative <= bound).all() if rounded else (_dense(one) == _dense(other).to(one.device)).all())
    return _agreement(name, errors, relative, ok, bound)


def _compared(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The distance of each pair of elements, and the largest element of the second that is finite."""
    one, other = (_dense(x).to(other.device) for x in (one, other))
    exact = torch.complex128 if one.is_complex() or other.is_complex() else torch.float64
    one, other = one.to(exact), other.to(exact)
    same = (one == other) | (one.isnan() & other.isnan())
    errors = torch.where(same, 0.0, (one - other).abs())
    finite = other.abs()[other.isfinite()]
    return errors, finite.max() if finite.numel() else torch.tensor(0.0)


def _dense(x: torch.Tensor) -> torch.Tensor:
    x = x.detach()
    return (x.dequantize() if x.is_quantized else x).to_dense() if x.layout is not torch.strided else x


def _agreement(name: str, errors: torch.Tensor, relative: torch.Tensor, ok: bool, bound: float) -> report.Agreement:
    largest, most = _largest(errors), _largest(relative)
    reason = f"its largest relative error is {_short(most)}, and rounding explains {_short(bound)}"
    if math.isinf(most) and math.isfinite(largest):
        reason = f"it is off by up to {_short(largest)} where the other is 0 throughout"
    if not most:
        reason = "its integers differ in digits that float64 has not"
    return report.Agreement(
        with_=name,
        max_abs_error=report.number(largest),
        max_rel_error=report.number(most),
        ok=ok,
        reason=None if ok else reason,
    )


def _largest(x: torch.Tensor) -> float:
    return float(x.max()) if x.numel() else 0.0


def _other(name: str, reason: str) -> report.Agreement:
    return report.Agreement(with_=name, max_abs_error=None, max_rel_error=None, ok=False, reason=reason)


def _shapes(one: torch.Tensor, other: torch.Tensor) -> str:
    return f"its shape is {units.shape(one.shape)} instead of {units.shape(other.shape)}"


def _short(error: float) -> str:
    return f"{error:.1g}" if math.isfinite(error) else str(error)
