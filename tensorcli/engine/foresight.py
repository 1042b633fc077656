"""What may be run while somebody types: behind the gate, without elements, and only what ends in a moment."""

import ast
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from tensorcli.engine import apart, interrupts, namespace, predict, pretend

SECONDS = 0.1  # that it may take
MOST_ITEMS = 10_000  # of a range, or a sequence that is used: Python's own functions go through one without a pause

# What is looked up at a device, waits for one, or is another number whenever it is asked for.
_OUTSIDE = (frozenset(namespace.directory(namespace.MODULES["torch.cuda"])) - {"device", "is_available"}) | frozenset(
    "id hash object time perf_counter perf_counter_ns process_time monotonic sleep default_timer seed data_ptr "
    "get_num_threads current_accelerator DataLoader".split()
)
_REPEATED = (list, tuple, str, bytes)
_MAY_LAST = (ast.For, ast.While, ast.comprehension, ast.FunctionDef, ast.Lambda)


def is_foreseeable(trees: Sequence[ast.AST], names: Mapping[str, Any]) -> bool:
    """Whether code can be run on copies alone, and ends by itself or when it is told to."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = [names[name] for name in apart.used(trees, names)]
    if any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes):
        return False
    if any(_is_numpy(value) or _is_long(value) for value in used):
        return False
    if not interrupts.has_timer() and any(isinstance(node, _MAY_LAST) for node in nodes):
        return False
    if any(isinstance(node, ast.Mult) for node in nodes) and any(isinstance(value, _REPEATED) for value in used):
        return False  # Python repeats a sequence in one go
    words = {getattr(node, "attr", getattr(node, "id", None)) for node in nodes}
    return _OUTSIDE.isdisjoint(words.union(*map(apart.mentioned, used)))


def value_of(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What an expression would give. Raises what it raises itself, and NoCopy or TimeoutError where nobody knows."""
    if not is_foreseeable([node], names):
        raise apart.NoCopy("this is not foreseeable")
    with apart.apart(seconds=SECONDS, gently=True), interrupts.may_raise(), predict.predicting(predict.mode()):
        return apart.value_of(node, names, trust=False, kind=Faker, start=start_names())


def start_names() -> dict[str, Any]:
    """What a session starts with, less what takes long in one go."""
    return {**namespace.start_names(trust=False), "__builtins__": _BUILTINS}


def _is_numpy(value: Any) -> bool:
    """Whether this computes at once, whatever the size: torch's fake tensors know nothing of NumPy."""
    if isinstance(value, namespace.Namespace):
        return namespace.name_of(value).startswith("numpy")
    return isinstance(value, np.ndarray | np.generic)


def _is_long(value: Any) -> bool:
    """Whether Python copies this, or goes through it, for a while."""
    return type(value) in (list, tuple, dict, set, frozenset) and len(value) > MOST_ITEMS


class Faker(predict.Faker):
    """Copies that have no elements. What has values all the same, or is on a device of its own, is not copied."""

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """Refused where the copy, which is made on the CPU, would not be where the tensor is."""
        if value.device.type not in ("cpu", "meta") and not pretend.active():
            raise apart.NoCopy("a tensor on a device of its own")
        return super().tensor(value)

    def array(self, value: np.ndarray) -> np.ndarray:
        """Refused: NumPy would compute."""
        raise apart.NoCopy("an array of NumPy's")


# Python's own functions, bounded: a native call that goes through a long sequence cannot be cut short.


def _repeat(left: Any, right: Any) -> Any:
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, _REPEATED) and isinstance(count, int):
            _bound(len(sequence) * count)
    return left * right


def _range(*arguments: Any) -> range:
    result: range = namespace.BUILTINS["range"](*arguments)
    _bound(len(result))
    return result


def _bound(count: int) -> None:
    if count > MOST_ITEMS:
        raise interrupts.Late


_BUILTINS = {
    **namespace.BUILTINS,
    "range": _range,
    ".range": _range,
    ".repeat": _repeat,
    ".repeat=": partial(namespace.checked, _repeat),
}
