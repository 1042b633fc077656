"""Whether a computed result agrees with a float64 reference, by a bound on what rounding can do."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tensorcli import report, units

LARGEST_ACCEPTED = 0.1  # relative; further off than a tenth agrees with nothing, whatever rounding excuses
# The roundoff of float32 products where torch may compute them with fewer bits (torch.set_float32_matmul_precision).
_REDUCED_ROUNDOFF = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}


def tolerance(dtype: torch.dtype, *, terms: int) -> float:
    """The largest relative error that rounding explains in a sum of `terms` products that are not negative.

    It is terms * u, u being half the dtype's epsilon, in whatever order they are summed (Jeannerod and Rump, Improved
    Error Bounds for Inner Products in Floating-Point Arithmetic, SIAM J. Matrix Anal. Appl. 34, 2013), and the same
    for the reference. Integers are exact: zero.
    """
    if not dtype.is_floating_point:
        return 0.0
    reduced = _REDUCED_ROUNDOFF[torch.get_float32_matmul_precision()] if dtype is torch.float32 else 0.0
    units = (torch.finfo(dtype).eps + torch.finfo(torch.float64).eps) / 2
    return min(terms * units + 2 * reduced, LARGEST_ACCEPTED)


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


def alike(result: Any, first: Any, *, name: str, terms: int, roundoff: float = 0.0) -> report.Agreement | None:
    """Compare what two expressions gave: tensors, numbers, and tuples, lists and dicts of them.

    None where there is nothing in them that can be compared. There is no exact result to hold them against, so each
    tensor's largest error is relative to the largest element. Sums of `terms` products may differ by 10 sqrt(terms) u:
    rounding errors are as good as random (Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis,
    SIAM J. Sci. Comput. 41, 2019); of few terms by 4 terms u, what each of the two may be off by at most, and as much
    again. u is half the coarsest epsilon: of the two dtypes, or `roundoff` where something on the way was coarser.
    Elements that are nan or infinite must be so in both.
    """
    found: list[report.Agreement] = []
    for one, other in _pairs(result, first):
        if isinstance(one, str):
            return _other(name, one)
        found.append(_alike(one, other, name, terms, roundoff))
    wrong = [each for each in found if not each.ok]
    worst = max(
        found, key=lambda each: each.max_rel_error if isinstance(each.max_rel_error, float) else 0.0, default=None
    )
    return wrong[0] if wrong else worst


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
        for key in one.keys() & other.keys():
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


def _alike(one: torch.Tensor, other: torch.Tensor, name: str, terms: int, roundoff: float) -> report.Agreement:
    if one.shape != other.shape:
        return _other(name, _shapes(one, other))
    one, other = (_dense(x).to(other.device) for x in (one, other))
    rounding = [x.dtype for x in (one, other) if x.dtype.is_floating_point or x.dtype.is_complex]
    coarsest = max([roundoff, *map(_roundoff, rounding)]) if rounding else 0.0
    bound = min(min(4 * terms, 10 * terms**0.5) * coarsest, LARGEST_ACCEPTED)
    whole = not rounding and bool((one == other).all())
    exact = torch.complex128 if one.is_complex() or other.is_complex() else torch.float64
    one, other = one.to(exact), other.to(exact)
    same = (one == other) | (one.isnan() & other.isnan())
    errors = torch.where(same, 0.0, (one - other).abs())
    finite = other.abs()[other.isfinite()]
    size = finite.max() if finite.numel() else torch.tensor(0.0)
    relative = torch.where(errors == 0, 0.0, errors / size)
    ok = bool((relative <= bound).all()) if rounding else whole  # integers may have more digits than float64
    return _agreement(name, errors, relative, ok, bound)


def _dense(x: torch.Tensor) -> torch.Tensor:
    x = x.detach()
    return (x.dequantize() if x.is_quantized else x).to_dense() if x.layout is not torch.strided else x


def _roundoff(dtype: torch.dtype) -> float:
    reduced = _REDUCED_ROUNDOFF[torch.get_float32_matmul_precision()] if dtype is torch.float32 else 0.0
    return torch.finfo(dtype).eps / 2 + reduced


def _agreement(name: str, errors: torch.Tensor, relative: torch.Tensor, ok: bool, bound: float) -> report.Agreement:
    largest, most = (x.max().item() if x.numel() else 0.0 for x in (errors, relative))
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


def _other(name: str, reason: str) -> report.Agreement:
    return report.Agreement(with_=name, max_abs_error=None, max_rel_error=None, ok=False, reason=reason)


def _shapes(one: torch.Tensor, other: torch.Tensor) -> str:
    return f"its shape is {units.shape(one.shape)} instead of {units.shape(other.shape)}"


def _short(error: float) -> str:
    return f"{error:.1g}" if math.isfinite(error) else str(error)
