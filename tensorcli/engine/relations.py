"""How a value stands to what it was made of: a view, the same object, a copy, new; what was stretched to make it."""

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from tensorcli import report, units
from tensorcli.engine import describe
from tensorcli.engine.instrument import Site, base_of, root_name

_COPIES = frozenset(
    """clone contiguous to float double half bfloat16 int long short byte bool char cpu cuda reshape flatten ravel
    type type_as copy asarray as_tensor tensor reshape_as""".split()
)
_ARRAYS = (torch.Tensor, np.ndarray)
_PRODUCTS = frozenset(("matmul", "mm", "bmm", "mv", "dot", "addmm", "linear"))


class Input(NamedTuple):
    """The value of a part directly below another."""

    site: Site | None
    value: Any


class Stretch(NamedTuple):
    """The memory of a tensor's or an array's elements: where the first is, and how far apart they are in bytes."""

    device: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """For NumPy, which does not read the memory to say whether two of these overlap."""
        kind = f"|V{self.itemsize}"
        return {"data": (self.start, True), "shape": self.shape, "strides": self.strides, "typestr": kind, "version": 3}

    def overlaps(self, other: "Stretch") -> bool:
        """Whether an element is in both; yes where that would take long to find out."""
        try:
            mine, theirs = np.asarray(self), np.asarray(other)
            return self.device == other.device and np.shares_memory(mine, theirs, max_work=_WORK)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True


_WORK = 10_000


def stretch(x: torch.Tensor | np.ndarray) -> Stretch:
    """The memory of an array's elements."""
    if isinstance(x, np.ndarray):
        start = x.__array_interface__["data"][0]
        return Stretch("cpu", start, x.shape, x.strides, x.itemsize)
    size, shape = x.element_size(), describe.shape_of(x)
    strides = tuple(size * describe.known(stride) for stride in x.stride())
    place = describe.extent(x)
    if place is None:
        return Stretch("", 1, (0,), (size,), size)
    return Stretch(place[0], place[1] + 1 + size * describe.known(x.storage_offset()), shape, strides, size)


@dataclass(frozen=True)
class Facts:
    """What is known of a value beside itself."""

    matters: bool = True  # whether it is worth a line of its own
    relation: str | None = None  # "view of x", "same object as x", "copy", "new"
    new_nbytes: int | None = None
    broadcast: report.Broadcast | None = None
    notes: tuple[str, ...] = ()


def facts(
    site: Site | None,
    operation: str,
    value: Any,
    inputs: Sequence[Input],
    names: Mapping[str, Any],
    made: Callable[[torch.Tensor], bool],
    changes: set[Stretch],
) -> Facts:
    """The facts of a part of a statement, while what it was made of is still there.

    `made` tells whether a tensor's memory is new. `changes` is the memory that the part changed.
    """
    node = site.node if site else None
    if isinstance(node, ast.AugAssign | ast.Assign):
        return _changed(node, value, inputs, changes)
    relation = None if isinstance(node, ast.Name) else _relation(operation, value, inputs, names, made)
    return Facts(
        matters=_matters(node, value),
        relation=relation,
        new_nbytes=_new_nbytes(value, relation),
        broadcast=_broadcast(operation, value, inputs),
        notes=_notes(value, relation),
    )


def _changed(node: ast.AugAssign | ast.Assign, value: Any, inputs: Sequence[Input], changes: set[Stretch]) -> Facts:
    """`x += y` and `x[0] = y`: whether the variable is still the same object. Of arrays torch sees no changes."""
    base = base_of(node)
    before = next((taken.value for taken in inputs if taken.site and taken.site.node is base), None)
    name, matters = root_name(node), _holds_tensor(value) or _holds_tensor(before)
    if isinstance(base, ast.Name) and value is not before:
        return Facts(matters, relation="new" if describe.extent(value) else None, new_nbytes=_new_nbytes(value, "new"))
    relation = f"same object as {name}" if name and matters else None
    if isinstance(before, np.ndarray):
        changes.add(stretch(before))
    unseen = base and not changes and not isinstance(before, torch.Tensor)
    notes = (f"changes {ast.unparse(base)} in place",) if base and unseen else ()
    return Facts(matters, relation=relation, new_nbytes=0, notes=notes)


def changed(stretches: Iterable[Stretch], names: Mapping[str, Any]) -> tuple[str, ...]:
    """The variables, and the parts of them, that have elements in any of these."""
    stretches = tuple(stretches)
    return tuple(
        name
        for name, x in held(names)
        if _is_known(x) and any(one.overlaps(own) for own in (stretch(x),) for one in stretches)
    )


def held(names: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor | np.ndarray]]:
    """The arrays that variables are or hold: `w`, `w.grad`, `net.weight`, `xs[0]`; each of those held once."""
    seen = {id(value) for name, value in names.items() if isinstance(value, _ARRAYS)}
    for name, value in names.items():
        if name[0] in "_.":
            continue
        for text, x in _parts(name, value):
            if x is value or id(x) not in seen:
                seen.add(id(x))
                yield text, x
                if isinstance(x, torch.Tensor) and x.is_leaf and x.grad is not None:
                    yield f"{text}.grad", x.grad


def _parts(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor | np.ndarray]]:
    if isinstance(value, torch.nn.Module):
        items = [*value.named_parameters(name), *value.named_buffers(name)]
    elif isinstance(value, list | tuple):
        items = [(f"{name}[{place}]", item) for place, item in enumerate(value[:_MOST])]
    elif isinstance(value, dict):
        items = [(f"{name}[{key!r}]", item) for key, item in itertools.islice(value.items(), _MOST)]
    else:
        items = [(name, value)]
    yield from ((text, item) for text, item in items if isinstance(item, _ARRAYS))


_MOST = 1000  # items of a list that are looked at


def _is_known(x: torch.Tensor | np.ndarray) -> bool:
    return isinstance(x, np.ndarray) or (x.layout is torch.strided and not x.is_nested)


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


def _relation(
    operation: str,
    value: Any,
    inputs: Sequence[Input],
    names: Mapping[str, Any],
    made: Callable[[torch.Tensor], bool],
) -> str | None:
    if not isinstance(value, _ARRAYS):
        return None
    same = next((name for name, other in names.items() if other is value and name[0] not in "_."), None)
    if same:
        return f"same object as {same}"
    if any(other is value for _, other in inputs):
        return "same object as its input"
    shared = describe.sharing(value, names, own=None)
    if shared:
        return f"view of {shared[0]}"
    mine = describe.extent(value)
    if mine and any(describe.extent(other) == mine for _, other in inputs):
        return "view of its input"
    taken_out = operation == "index" and not isinstance(inputs[0].value, _ARRAYS)
    if taken_out or operation.startswith("attribute") or (isinstance(value, torch.Tensor) and not made(value)):
        return None  # it was there before
    copied = operation.removeprefix("method ") in _COPIES and any(isinstance(other, _ARRAYS) for _, other in inputs)
    return "copy" if copied else "new"


def _new_nbytes(value: Any, relation: str | None) -> int | None:
    if relation not in ("new", "copy"):
        return 0 if relation else None
    place = describe.extent(value)
    return place[2] - place[1] if place else None


def _notes(value: Any, relation: str | None) -> tuple[str, ...]:
    """A view's bytes against those of its storage."""
    if relation and relation.startswith("view") and isinstance(value, torch.Tensor):
        if describe.has_unknown_sizes(value):
            return ()
        place, own = describe.extent(value), describe.known(value.numel()) * value.element_size()
        if place and 0 < own < place[2] - place[1]:
            return (f"{units.nbytes(own)} of a storage of {units.nbytes(place[2] - place[1])}",)
        if place and own > place[2] - place[1]:
            return (f"all on a storage of {units.nbytes(place[2] - place[1])}",)
    return ()


def _broadcast(operation: str, value: Any, inputs: Sequence[Input]) -> report.Broadcast | None:
    """The alignment of an element-wise operation that stretched an operand."""
    operands = [(site, other) for site, other in inputs if isinstance(other, torch.Tensor)]
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
