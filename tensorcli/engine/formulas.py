"""Formulas of sizes that are not known, as torch derives them, in the form in which people write them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sympy
from sympy.printing.precedence import PRECEDENCE, precedence
from sympy.printing.str import StrPrinter
from torch.utils._sympy.functions import FloorDiv, Mod

_TRIED = 1_000  # numbers for a size that is not known


class Condition(NamedTuple):
    """What has to hold: its words, and a number for one of the sizes with which it does."""

    words: str
    name: str
    number: int


class _Printer(StrPrinter):  # type: ignore[misc]
    """Prints as Python, with no more parentheses than are needed."""

    printmethod = "_nobodys"  # torch's functions print themselves with many

    def parenthesize(self, item: Any, level: int, strict: bool = False) -> str:
        own = PRECEDENCE["Mul"] if isinstance(item, FloorDiv | Mod) else precedence(item)
        text = str(self._print(item))
        return f"({text})" if own < level or (not strict and own <= level) else text

    def _print_FloorDiv(self, expression: Any) -> str:
        return self._infix(expression, "//")

    def _print_Mod(self, expression: Any) -> str:
        return self._infix(expression, " % ")

    def _infix(self, expression: Any, sign: str) -> str:
        left, right = expression.args
        level = PRECEDENCE["Mul"]
        return f"{self.parenthesize(left, level, strict=True)}{sign}{self.parenthesize(right, level)}"


def text(expression: Any) -> str:
    """An expression as one writes it: "64*B//7", "(H - 1)//2"."""
    return str(_Printer().doprint(expression))


def simple(expression: Any) -> Any:
    """The same with fewer steps: a//n + k is (a + k n)//n, and a//(a//n) is n, as where a view leaves -1 to torch."""
    parts = [simple(part) for part in expression.args]
    if parts:
        expression = expression.func(*parts)
    if isinstance(expression, FloorDiv):
        above, below = expression.args
        if isinstance(below, FloorDiv) and below.args[0] == above:
            return below.args[1]
    if isinstance(expression, sympy.Add):
        number, rest = expression.as_coeff_Add()
        quotients = [part for part in sympy.Add.make_args(rest) if isinstance(part, FloorDiv)]
        if number and len(quotients) == 1 and quotients[0].args[1].is_Integer:
            (quotient,) = quotients
            above, below = quotient.args
            return rest - quotient + FloorDiv(sympy.expand(above + number * below), below)
    return expression


def conditions(refused: Any, numbers: Mapping[Any, int]) -> list[Condition]:
    """What would have to hold for a condition of torch's that did not: an inequality that was found true.

    `numbers` stand for the sizes that are not known; they are in none of the words.
    """
    if not isinstance(refused, sympy.Ne):
        return []
    left, right = (simple(side) for side in refused.args)
    unknown = sorted(refused.free_symbols, key=list(numbers).index)
    if len(unknown) == 1:
        return _of_one(left - right, unknown[0])
    found = []
    for name in reversed(unknown):
        others = {other: number for other, number in numbers.items() if other != name}
        solution = _solved(left - right, name)
        if solution is not None:
            number, words = solution.subs(others), f"for {name} = {text(solution)}"
        else:
            number = next((n for n in range(1, _TRIED) if _is_zero(left - right, {**others, name: n})), None)
            words = f"where {text(left)} = {text(right)}"
            if isinstance(left, Mod) and right == 0:
                words = f"where {text(left.args[0])} is divisible by {text(left.args[1])}"
        if number is not None and number >= 1 and int(number) == number:
            found.append(Condition(words, str(name), int(number)))
    return found


def _of_one(difference: Any, name: Any) -> list[Condition]:
    number = next((n for n in range(2, _TRIED) if _is_zero(difference, {name: n})), None)
    if number is None:
        return []
    if _is_zero(difference, {name: 3 * number}):
        return [Condition(f"where {name} is divisible by {number}", str(name), 3 * number)]
    return [Condition(f"for {name} = {number}", str(name), number)]


def _solved(difference: Any, name: Any) -> Any:
    """What a size has to be for a difference to be zero, in terms of the others; None where that is no polynomial."""
    if difference.has(FloorDiv, Mod):
        return None
    found = sympy.solve(difference, name)
    return found[0] if len(found) == 1 and found[0].is_polynomial() else None


def _is_zero(expression: Any, numbers: Mapping[Any, int]) -> bool:
    try:
        return bool(expression.subs(numbers) == 0)
    except ZeroDivisionError:
        return False
