"""Whether a computed result agrees with a float64 reference, by a bound on what rounding can do."""

import torch

from tensorcli import report

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
        return report.Agreement(with_=name, max_abs_error=None, max_rel_error=None, ok=False)
    errors = (result.to(reference.device).to(torch.float64) - reference).abs()
    sizes = reference.abs()
    relative = torch.where(errors == 0, 0.0, errors / sizes)
    return report.Agreement(
        with_=name,
        max_abs_error=report.number(errors.max().item()),
        max_rel_error=report.number(relative.max().item()),
        ok=bool((errors <= bound * sizes).all()),
    )
