"""What one call's operators do, added up while it runs: operations, traffic, and roundings in a row."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tensorcli.engine import costs, rounding
from tensorcli.engine.rounding import EXACT, Rounding, roundoff

MOST_SECONDS = 0.5  # spent on looking; what goes on after them is not known


@dataclass(frozen=True)
class Work:
    """The operations and the least traffic of one call; `flops` is null where some operator has no formula.

    `way` are the most roundings that lie behind any tensor in it, one operator after the other. `operators` are how
    many there are, and `held_nbytes` what all the memory takes that they touch. `looked` are the seconds that looking
    took.
    """

    flops: int | None
    nbytes: int
    way: Rounding
    looked: float = 0.0
    operators: int = 0
    held_nbytes: int = 0


def observed(call: Callable[[], Any]) -> tuple[Any, Work | None]:
    """What a call gives, and its work; None where that cannot be told. Raises what the call raises."""
    with _Observer() as observer:
        value = call()
    return value, observer.found()


class Watching(TorchDispatchMode):
    """A mode that sees every operator and is cheap to turn on."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler, more than a second's worth, to keep it from seeing this mode."""
        return False


class _Observer(Watching):
    """Adds up what it sees."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._flops: int | None = 0
        self._nbytes = 0
        self._most = EXACT
        self._ways: dict[int, Rounding] = {}  # by the storage of what is rounded
        self._held: dict[int, int] = {}  # bytes, by the storage that they are in
        self._operators = 0
        self._known, self._looked = True, 0.0

    def found(self) -> Work | None:
        held = sum(self._held.values())
        known = Work(self._flops, self._nbytes, self._most, self._looked, self._operators, held)
        return known if self._known else None

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        result = operator(*arguments, **(options or {}))
        if self._known:
            start = time.perf_counter()
            try:
                self._add(operator, arguments, options or {}, result)
            except Exception:  # a kind of tensor that is not known here: looking must not be what fails
                self._known = False
            self._looked += time.perf_counter() - start
            self._known &= self._looked < MOST_SECONDS
        return result

    def _add(self, operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any], result: Any) -> None:
        spent = costs.cost(operator, arguments, options, result)
        self._nbytes += spent.nbytes
        self._operators += 1
        self._flops = None if self._flops is None or spent.flops is None else self._flops + spent.flops
        taken = [*costs.tensors((*arguments, *options.values()))]
        before = reduce(Rounding.or_more, (self._ways.get(_storage(x), EXACT) for x in taken), EXACT)
        own = roundings(operator, arguments, spent, result)
        for x in costs.tensors((result,)):
            self._ways[_storage(x)] = way = before.then(own)
            self._most = self._most.or_more(way)
            taken.append(x)
        for x in taken:
            held = min(x.nbytes, x.untyped_storage().nbytes()) if x.layout is torch.strided else 0
            self._held[_storage(x)] = max(held, self._held.get(_storage(x), 0))


def roundings(operator: Any, arguments: tuple[Any, ...], spent: costs.Cost, result: Any) -> Rounding:
    """What an operator rounds: the terms that it sums, and its result; of what is only moved, what gets coarser."""
    terms = costs.terms(operator, arguments, spent, result)
    finest = min((roundoff(x.dtype) for x in costs.tensors(arguments)), default=1.0)
    found = EXACT
    for x in costs.tensors((result,)):
        if terms or roundoff(x.dtype) > finest > 0:
            found = found.or_more(rounding.of(x.dtype, terms=max(terms, 1)))
    return found


def _storage(x: torch.Tensor) -> int:
    """What tells a tensor's memory from others'; of one without memory of its own, the tensor itself."""
    return x.untyped_storage()._cdata if x.layout is torch.strided else id(x)
