"""What the session's variables hold: every stretch of memory once, however many tensors lie on it."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch

from tensorcli.engine import describe

Stretch = tuple[str, int, int]  # the device, and where it begins and ends

MOST = 10_000  # things in containers that are looked at, those nearest to the variables first
SAMPLE = 1000  # items of a container, by which what all of them take is told
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_ARRAYS = (torch.Tensor, np.ndarray)


def stretches(values: Iterable[Any]) -> set[Stretch]:
    """The memory of all tensors and arrays in these values, and in what they contain; on meta there is none."""
    found = set()
    for value in _within(values):
        place = describe.extent(value)
        if place and not place[0].startswith(describe.NOWHERE):
            found.add(place)
    return found


def nbytes(found: Iterable[Stretch]) -> int:
    """The bytes of stretches; an array may lie on a part of a tensor's."""
    total, end, device = 0, 0, ""
    for place, start, stop in sorted(found):
        if place != device:
            device, end = place, 0
        if stop > end:
            total += stop - (start if start > end else end)
            end = stop
    return total


def largest(names: Mapping[str, Any], count: int = 3) -> list[tuple[str, int]]:
    """The variables that hold most memory of the host, and about how much each does, largest first."""
    held = [(name, _host_nbytes(value, set())) for name, value in names.items()]
    return sorted(held, key=lambda pair: -pair[1])[:count]


def _host_nbytes(value: Any, seen: set[Any]) -> int:
    """What a value takes, Python's own containers and texts as well; of many items by a sample of them."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    match value:
        case torch.Tensor() | np.ndarray():
            place = describe.extent(value)
            new = place is not None and place[0] == "cpu" and place not in seen
            seen.add(place)
            return (nbytes([place]) if new and place else 0) + sum(_host_nbytes(part, seen) for part in _parts(value))
        case str() | bytes() | bytearray():
            return sys.getsizeof(value)
        case torch.nn.Module() | torch.optim.Optimizer():
            return sum(_host_nbytes(part, seen) for part in _parts(value))
        case list() | tuple() | set() | frozenset() | dict():
            parts = value.values() if isinstance(value, dict) else value
            step = max(1, len(parts) // SAMPLE)
            sample = [_host_nbytes(part, seen) for part in islice(parts, 0, None, step)]
            return sys.getsizeof(value) + sum(sample) * len(parts) // max(1, len(sample))
    return 0


def _within(values: Iterable[Any]) -> Iterator[Any]:
    """The tensors and arrays among the values, and in what they contain, each once."""
    seen: set[int] = set()
    waiting, left = list(values), MOST
    for value in waiting:  # which grows meanwhile
        if type(value) in _PLAIN or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, _ARRAYS):
            yield value
        if parts := _parts(value):
            before = len(waiting)
            waiting += islice(parts, left)
            left -= len(waiting) - before


def _parts(value: Any) -> Iterable[Any]:
    """What a value contains: items, parameters, buffers, gradients, an optimizer's state."""
    if isinstance(value, torch.Tensor):  # the most there are
        return (value.grad,) if value.is_leaf and value.grad is not None else ()
    match value:
        case dict():
            return value.values()
        case list() | tuple() | set() | frozenset():
            return value
        case torch.nn.Module():
            return [*value.parameters(), *value.buffers()]
        case torch.optim.Optimizer():
            return [value.state, value.param_groups]
    return []
