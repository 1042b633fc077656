"""How a value stands to what it was made of: a view, the same object, a copy, new; what was stretched to make it."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from tensorcli import report, units
from tensorcli.engine import describe
from tensorcli.engine.instrument import Site

_COPIES = frozenset(
    """clone contiguous to float double half bfloat16 int long short byte bool char cpu cuda reshape flatten ravel
    type type_as copy asarray as_tensor tensor reshape_as""".split()
)
_ARRAYS = (torch.Tensor, np.ndarray)
_PRODUCTS = frozenset(("matmul", "mm", "bmm", "mv", "dot", "addmm", "linear"))


class Input(NamedTuple):
    """The value of a part directly below another, and how often it had been changed in place until then."""

    site: Site | None
    value: Any
    version: int | None = None


def taken(site: Site | None, value: Any) -> Input:
    """A part's value as it is now."""
    return Input(site, value, _version(value))


def _version(value: Any) -> int | None:
    try:
        return value._version if isinstance(value, torch.Tensor) else None
    except RuntimeError:  # inference tensors do not count their changes
        return None


@dataclass(frozen=True)
class Facts:
    """What is known of a value beside itself."""

    matters: bool = True  # whether it is worth a line of its own
    relation: str | None = None  # "view of x", "same object as x", "copy", "new"
    new_nbytes: int | None = None
    broadcast: report.Broadcast | None = None
    notes: tuple[str, ...] = ()


def facts(site: Site | None, operation: str, value: Any, inputs: Sequence[Input], names: Mapping[str, Any]) -> Facts:
    """The facts of a part of a statement, while what it was made of is still there."""
    node = site.node if site else None
    if isinstance(node, ast.AugAssign | ast.Assign):
        return _changed(node, value, inputs, names)
    relation = None if isinstance(node, ast.Name) else _relation(operation, value, inputs, names)
    return Facts(
        matters=_matters(node, value),
        relation=relation,
        new_nbytes=_new_nbytes(value, relation),
        broadcast=_broadcast(operation, value, inputs),
        notes=(*_notes(value, relation), *_change([x for _, x, old in inputs if old != _version(x)], names)),
    )


def _changed(node: ast.AugAssign | ast.Assign, value: Any, inputs: Sequence[Input], names: Mapping[str, Any]) -> Facts:
    """`x += y` and `x[0] = y`: whether the variable is still the same object, and what else sees the change."""
    before = inputs[0] if inputs else Input(None, None)
    name = before.site.node.id if before.site and isinstance(before.site.node, ast.Name) else None
    if value is None or value is not before.value:
        return Facts(relation="new" if describe.extent(value) else None, new_nbytes=_new_nbytes(value, "new"))
    return Facts(relation=f"same object as {name}", new_nbytes=0, notes=_change([value], names))


def _change(changed: Sequence[Any], names: Mapping[str, Any]) -> tuple[str, ...]:
    """The variables in which a change in place of these shows."""
    seen = [
        name
        for value in changed
        for name in (*(name for name, other in names.items() if other is value), *_others(value, names))
    ]
    return (f"changes {', '.join(dict.fromkeys(seen))} in place",) if seen else ()


def _others(value: Any, names: Mapping[str, Any]) -> list[str]:
    return describe.sharing(value, {name: other for name, other in names.items() if name[0] not in "_."}, own=None)


def shared(node: ast.AST, names: Mapping[str, Any]) -> tuple[report.Shared, ...]:
    """The variables that share memory with one in a statement, those of each memory together."""
    groups: dict[tuple[str, ...], report.Shared] = {}
    for own in (part.id for part in ast.walk(node) if isinstance(part, ast.Name)):
        value = names.get(own)
        place = describe.extent(value)
        if place is None:
            continue
        others = describe.sharing(value, names, own=own)
        together = tuple(name for name in names if name in others or name == own)
        if others:
            kinds = tuple((name, _kind(names[name])) for name in together)
            groups[together] = report.Shared(names=kinds, nbytes=place[2] - place[1])
    return tuple(groups.values())


def _kind(value: Any) -> str:
    return "NumPy" if isinstance(value, np.ndarray) else "view" if value._base is not None else ""


def _matters(node: ast.AST | None, value: Any) -> bool:
    if isinstance(node, ast.Constant):
        return False
    if isinstance(node, ast.Name | ast.Tuple | ast.List | ast.Attribute | ast.UnaryOp):
        return _holds_tensor(value) or isinstance(value, torch.nn.Module)
    return True


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_holds_tensor(item) for item in value)
    return isinstance(value, _ARRAYS)


def _relation(operation: str, value: Any, inputs: Sequence[Input], names: Mapping[str, Any]) -> str | None:
    if not isinstance(value, _ARRAYS):
        return None
    same = next((name for name, other in names.items() if other is value and name[0] not in "_."), None)
    if same:
        return f"same object as {same}"
    if any(other is value for _, other, _ in inputs):
        return "same object as its input"
    shared = describe.sharing(value, names, own=None)
    if shared:
        return f"view of {shared[0]}"
    mine = describe.extent(value)
    if mine and any(describe.extent(other) == mine for _, other, _ in inputs):
        return "view of its input"
    held = operation == "index" and not isinstance(inputs[0].value, _ARRAYS)
    if held or operation.startswith("attribute"):  # it was there before
        return None
    copied = operation.removeprefix("method ") in _COPIES and any(isinstance(other, _ARRAYS) for _, other, _ in inputs)
    return "copy" if copied else "new"


def _new_nbytes(value: Any, relation: str | None) -> int | None:
    if relation not in ("new", "copy"):
        return 0 if relation else None
    place = describe.extent(value)
    return place[2] - place[1] if place else None


def _notes(value: Any, relation: str | None) -> tuple[str, ...]:
    """A view's bytes against those of its storage."""
    if relation and relation.startswith("view") and isinstance(value, torch.Tensor):
        place, own = describe.extent(value), describe.known(value.numel()) * value.element_size()
        if place and 0 < own < place[2] - place[1]:
            return (f"{units.nbytes(own)} of a storage of {units.nbytes(place[2] - place[1])}",)
    return ()


def _broadcast(operation: str, value: Any, inputs: Sequence[Input]) -> report.Broadcast | None:
    """The alignment of an element-wise operation that stretched an operand."""
    operands = [(site, other) for site, other, _ in inputs if isinstance(other, torch.Tensor)]
    if operation.removeprefix("method ") in _PRODUCTS or operation in ("ifexp", "boolop"):  # these choose
        return None
    if not isinstance(value, torch.Tensor) or len(operands) < 2:
        return None
    if any(map(describe.has_unknown_sizes, (value, *(other for _, other in operands)))):
        return None
    result, shapes = describe.shape_of(value), [describe.shape_of(other) for _, other in operands]
    if all(shape == result for shape in shapes) or not _align(shapes, result):
        return None
    padded = [(None,) * (len(result) - len(shape)) + shape for shape in shapes]
    texts = [ast.unparse(site.node) if site else "" for site, _ in operands]
    return report.Broadcast(operands=tuple(zip(texts, padded, strict=True)), result=result)


def _align(shapes: Sequence[tuple[int, ...]], result: tuple[int, ...]) -> bool:
    """Whether shapes stretched to each other give a result's."""
    try:
        return np.broadcast_shapes(*shapes) == result
    except ValueError:
        return False
