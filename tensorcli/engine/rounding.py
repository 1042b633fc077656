"""What rounding can do to a result: bounds that add up along the operators that gave it."""

import math
from typing import NamedTuple

import torch

LARGEST_ACCEPTED = 0.1  # relative; further off than a tenth agrees with nothing, whatever rounding excuses
# The roundoff of float32 products where torch may compute them with fewer bits (torch.set_float32_matmul_precision).
_REDUCED_ROUNDOFF = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}


class Rounding(NamedTuple):
    """The roundoffs on the way to a result, relative to it: their sum, and the sum of their squares.

    The first is the most that they can be together (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
    3.1 and 4.2). They are as good as random, so that ten times the square root of the second is what they are not
    seen to exceed (Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 41,
    2019).
    """

    most: float = 0.0
    squares: float = 0.0

    def then(self, other: "Rounding") -> "Rounding":
        """This one and another behind it."""
        return Rounding(self.most + other.most, self.squares + other.squares)

    def or_more(self, other: "Rounding") -> "Rounding":
        """The larger of both."""
        return Rounding(max(self.most, other.most), max(self.squares, other.squares))

    @property
    def usual(self) -> float:
        """How far they lead where they are as good as random."""
        return math.sqrt(self.squares)

    @property
    def times(self) -> float:
        """How many times the usual two results may be apart: of few roundings by what each may be off at most."""
        return min(2 * self.most / self.usual, 10.0) if self.usual else 10.0

    @property
    def explains(self) -> float:
        """How far two results may be apart, relative to their size, where no numbers cancel each other."""
        return min(self.times * self.usual, LARGEST_ACCEPTED)


EXACT = Rounding()


def roundoff(dtype: torch.dtype) -> float:
    """Half the distance of 1 from the next number; 0 for integers, which are exact."""
    return torch.finfo(dtype).eps / 2 if dtype.is_floating_point or dtype.is_complex else 0.0


def of(dtype: torch.dtype, *, terms: int = 1, times: int = 1) -> Rounding:
    """That of numbers which are rounded to a dtype `times` times, and are summed from `terms` products before.

    Within an operator numbers of 16 bits and fewer are summed as float32, as torch's own and the libraries' are.
    """
    own = roundoff(dtype)
    if not own:
        return EXACT
    inside, reduced = min(own, roundoff(torch.float32)), 0.0
    if dtype is torch.float32 and terms > 1:
        reduced = 2 * _REDUCED_ROUNDOFF[torch.get_float32_matmul_precision()]
    squares = times * own**2 + (terms - 1) * inside**2 + reduced**2
    return Rounding(times * own + (terms - 1) * inside + reduced, squares)
