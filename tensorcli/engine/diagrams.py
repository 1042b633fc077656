"""Pictures of what an operation did to its operands' axes and elements, made while these are alive."""

import ast
import math
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from tensorcli import report
from tensorcli.engine import describe
from tensorcli.engine.instrument import Site, is_path

ROWS, COLUMNS = 8, 16  # shown of what an index selected,
WIDTH = 48  # and so many digits and spaces in a row of column numbers
MAX_CELLS = 1_000_000  # elements of a tensor in which an index is looked up
MAX_STORAGE = 64  # elements of a storage that are drawn one by one
MAX_PIECES = 100  # tensors joined or split

_PRODUCTS = {"matmul": 0, "mm": 0, "bmm": 0, "mv": 0, "dot": 0, "linear": 0, "addmm": 1, "addmv": 1, "baddbmm": 1}
_SHAPED = frozenset(("reshape", "view", "flatten", "unflatten", "ravel", "reshape_as", "view_as"))
_MOVED = frozenset("permute transpose t T mT H mH adjoint movedim moveaxis swapaxes swapdims squeeze unsqueeze".split())
_GROWN = frozenset(("expand", "expand_as", "broadcast_to", "repeat", "tile"))
_JOINED = frozenset("stack cat concat concatenate hstack vstack dstack row_stack column_stack".split())
_PARTED = frozenset("chunk split tensor_split hsplit vsplit dsplit unbind".split())
_PICKED = frozenset("gather index_select take_along_dim take masked_select select narrow".split())
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093, 1097)

Diagrams = tuple[report.AnyDiagram, ...]


def of(
    site: Site | None,
    operation: str,
    value: Any,
    inputs: Sequence[Any],
    names: Mapping[str, Any],
    module: torch.nn.Module | None = None,
) -> Diagrams:
    """The pictures of one part of a statement, what says most first; none of what has nothing to show.

    `inputs` are the parts directly below it, each with its value. Sizes that are not known cannot be drawn.
    """
    if any(map(describe.has_unknown_sizes, (value, *(item[1] for item in inputs)))):
        return ()
    try:
        with torch.no_grad(), torch._C.DisableTorchFunction(), _disable_current_modes():
            return tuple(picture for picture in _pictures(site, operation, value, inputs, names, module) if picture)
    except Exception:  # a tensor without a storage
        return ()


def _pictures(
    site: Site | None,
    operation: str,
    value: Any,
    inputs: Sequence[Any],
    names: Mapping[str, Any],
    module: torch.nn.Module | None,
) -> Iterator[report.AnyDiagram | None]:
    if isinstance(module, torch.nn.Linear):
        yield _product("linear", [inputs[-1][1], module.weight], value)
    elif isinstance(module, torch.nn.Flatten | torch.nn.Unflatten):
        yield _reshaped(inputs[-1][1], value)
    elif site is not None and module is None:
        call = _Call(site.node, inputs, names)
        with suppress(Exception):  # an argument that is not known, or no tensor
            yield _picture(operation.removeprefix("method ").removeprefix("attribute "), call, value)
    tensors = [other for _, other, *_ in inputs if isinstance(other, torch.Tensor)]
    places = [describe.extent(other) for other in tensors if other is not value]
    if operation == "name" or (len(places) == len(tensors) and describe.extent(value) in places):
        yield _strides(value)


def _picture(name: str, call: "_Call", value: Any) -> report.AnyDiagram | None:
    if call.changed is not None:
        return _changed(*call.steps(call.changed))
    operands = call.operands
    if name == "index":
        return _selection(operands[0], operands[1], value)
    if name in _PICKED:
        return _picked(operands[0], call.again(name), value)
    if name == "einsum" and isinstance(operands[0], str):
        return _einsum(operands[0], call.texts[1:], operands[1:], value)
    if name in _PRODUCTS:
        return _product(name, operands[_PRODUCTS[name] :], value)
    if name in _SHAPED:
        return _reshaped(operands[0], value)
    if name in _MOVED:
        return _moved(operands[0], call.again(name))
    if name in _GROWN:
        return _grown(operands[0], value)
    if name in _JOINED:
        last = name in ("column_stack", "dstack")
        return _joined(operands[0], value, -1 if last else call.option("dim", 1, 0))
    if name in _PARTED:
        return _parted(operands[0], value, call.option("dim", 1, 0))
    return None


class _Call:
    """An operation as written: its operands' values and texts, a method's object first."""

    def __init__(self, node: ast.AST, inputs: Sequence[Any], names: Mapping[str, Any]) -> None:
        self._values = {id(site.node): value for site, value, *_ in inputs if site}
        self._names = names
        nodes: list[ast.expr] = []
        keywords: list[ast.keyword] = []
        self.changed: ast.expr | None = None  # by an assignment: a part of a tensor
        match node:
            case ast.Assign(targets=[ast.Subscript() as target]) | ast.AugAssign(target=ast.Subscript() as target):
                self.changed = target
            case ast.BinOp(left=left, right=right):
                nodes = [left, right]
            case ast.Subscript(value=owner, slice=index):
                nodes = [owner, index]
            case ast.Attribute(value=owner):
                nodes = [owner]
            case ast.Call(func=function):
                nodes, keywords = node.args, node.keywords
                if isinstance(function, ast.Attribute) and not is_path(function):
                    nodes = [function.value, *nodes]
        self.texts = [ast.unparse(node) for node in nodes]
        self._nodes, self._keywords = nodes, keywords

    @property
    def operands(self) -> list[Any]:
        """The operands that were given by place; then those by name."""
        return [*self._placed, *self._named.values()]

    @property
    def _placed(self) -> list[Any]:
        return [
            value
            for node in self._nodes
            for value in (self._value(node.value) if isinstance(node, ast.Starred) else [self._value(node)])
        ]

    @property
    def _named(self) -> dict[str, Any]:
        return {keyword.arg: self._value(keyword.value) for keyword in self._keywords if keyword.arg}

    def option(self, name: str, place: int, default: Any) -> Any:
        """An argument by its name or its place."""
        placed = self._placed
        return self._named.get(name, placed[place] if place < len(placed) else default)

    def steps(self, node: ast.expr) -> tuple[Any, list[Any]]:
        """The tensor that something is a part of, and the indices that lead from it to the part."""
        match node:
            case ast.Subscript(value=owner, slice=index):
                x, indices = self.steps(owner)
                if isinstance(x, torch.Tensor):
                    return x, [*indices, self._value(index)]
        return self._value(node), []

    def again(self, name: str) -> Callable[[torch.Tensor], Any]:
        """The same operation on another tensor."""
        rest = [_here(value) for value in self._placed[1:]]
        named = {key: _here(value) for key, value in self._named.items() if key != "input"}
        function = getattr(torch.Tensor, name)
        return lambda x: function(x, *rest, **named) if callable(function) else getattr(x, name)

    def _value(self, node: ast.AST | None) -> Any:
        if id(node) in self._values:
            return self._values[id(node)]
        match node:
            case None:
                return None
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self._names:
                return self._names[name]
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(self._value(lower), self._value(upper), self._value(step))
            case ast.Tuple(elts=parts):
                return tuple(map(self._value, parts))
            case ast.List(elts=parts):
                return list(map(self._value, parts))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._value(operand)
            case ast.Subscript(value=owner, slice=index):
                held, place = self._value(owner), self._value(index)
                if type(held) in (list, tuple, dict) or (isinstance(held, torch.Tensor) and _is_basic(place)):
                    return held[place]
        raise LookupError(node)


def _here(value: Any) -> Any:
    """A value, an index's tensors on the CPU."""
    if isinstance(value, tuple):
        return tuple(map(_here, value))
    return value.cpu() if isinstance(value, torch.Tensor) else value


# Products.


def _product(name: str, factors: Sequence[torch.Tensor], value: torch.Tensor) -> report.Product:
    left, right = (describe.shape_of(factor) for factor in factors[:2])
    return report.Product(left=left, right=right, result=describe.shape_of(value), transposed=name == "linear")


def _einsum(equation: str, texts: Sequence[str], operands: Sequence[Any], value: Any) -> report.Einsum | None:
    taken, arrow, given = equation.replace(" ", "").partition("->")
    terms = taken.split(",")
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands, texts = operands[0], [""] * len(terms)
    if len(terms) != len(operands):
        return None
    if not arrow:
        given = "".join(sorted(letter for letter in set(taken) - {",", "."} if taken.count(letter) == 1))
        given = f"{'...' if '...' in taken else ''}{given}"
    # An ellipsis stands for as many axes as the letters leave: digits, the last of them the same in all operands.
    free = [x.dim() - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True) if "..." in term]
    digits = string.digits[: max(free, default=0)]
    terms = [
        term.replace("...", digits[len(digits) - x.dim() + len(term) - 3 :])
        for term, x in zip(terms, operands, strict=True)
    ]
    given = given.replace("...", digits)
    letters = tuple(dict.fromkeys("".join(terms)))

    def row(term: str, x: torch.Tensor) -> tuple[int | None, ...]:
        sizes = dict(zip(term, describe.shape_of(x), strict=True))
        return tuple(sizes.get(letter) for letter in letters)

    rows = (row(term, x) for term, x in zip(terms, operands, strict=True))
    operands_rows = tuple(zip(texts, rows, strict=True))
    heads = tuple("…" if letter in digits else letter for letter in letters)
    return report.Einsum(letters=heads, operands=operands_rows, result=row(given, value))


# Axes. A letter is an axis: "ab" is a and b merged, "a+b" one after the other, "3a" is a three times, "+" is new.


def _axes(before: Sequence[report.Axis], after: Sequence[report.Axis], note: str = "") -> report.Axes | None:
    same = [(part.shape, part.letters) for part in before] == [(part.shape, part.letters) for part in after]
    return None if same else report.Axes(before=tuple(before), after=tuple(after), note=note)


def _lettered(x: torch.Tensor) -> report.Axis:
    shape = describe.shape_of(x)
    return report.Axis(shape=shape, letters=tuple(_LETTERS[: len(shape)]))


def _reshaped(x: torch.Tensor, value: torch.Tensor) -> report.Axes | None:
    """Sizes are taken from both shapes until their products agree; there axes were merged or split."""
    before, after = describe.shape_of(x), describe.shape_of(value)
    if math.prod(before) != math.prod(after) or 0 in before:
        return None
    names = iter(_LETTERS)
    left, right, taken, given = [*before], [*after], [""] * len(before), [""] * len(after)
    i = j = 0
    while i < len(left) or j < len(right):
        one, other = (left[i] if i < len(left) else None), (right[j] if j < len(right) else None)
        if other == 1 and one != 1:
            given[j], j = "+", j + 1
            continue
        letter = next(names)
        taken[i] += letter
        if one == 1 and other != 1:
            i += 1
            continue
        assert one is not None
        assert other is not None
        if one % other and other % one:
            note = "the elements in their order, cut anew"
            return _axes([report.Axis(shape=before)], [report.Axis(shape=after)], note)
        given[j] += letter
        size = min(one, other)
        left[i], right[j] = one // size, other // size
        i, j = i + (one == size), j + (other == size)
    return _axes([report.Axis(shape=before, letters=tuple(taken))], [report.Axis(shape=after, letters=tuple(given))])


def _moved(x: torch.Tensor, again: Callable[[torch.Tensor], torch.Tensor]) -> report.Axes | None:
    """Where each axis went is seen on a tensor without elements, of which every axis has a stride of its own."""
    before = _lettered(x)
    letters = dict(zip(_PRIMES, before.letters, strict=False))
    twin = again(torch.empty_strided(before.shape, _PRIMES[: len(before.shape)], device="meta"))
    given = [letters.get(stride, "+") for stride in twin.stride()]
    # A new axis before one of size 1 has the stride of that one.
    given = ["+" if letter in given[place + 1 :] else letter for place, letter in enumerate(given)]
    return _axes([before], [report.Axis(shape=describe.shape_of(twin), letters=tuple(given))])


def _grown(x: torch.Tensor, value: torch.Tensor) -> report.Axes | None:
    before, shape = _lettered(x), describe.shape_of(value)
    new = len(shape) - len(before.shape)
    letters = ["+"] * new + [
        letter if size == wide else f"{wide // size}{letter}"
        for size, wide, letter in zip(before.shape, shape[new:], before.letters, strict=True)
    ]
    return _axes([before], [report.Axis(shape=shape, letters=tuple(letters))])


def _joined(items: Sequence[torch.Tensor], value: torch.Tensor, dim: int) -> report.Axes | None:
    shapes, result = [describe.shape_of(item) for item in items], describe.shape_of(value)
    if not 1 < len(shapes) <= MAX_PIECES or len({len(shape) for shape in shapes}) > 1:
        return None
    if len(result) == len(shapes[0]):
        return _cut(shapes, result, joins=True)
    letters = [*_LETTERS[: len(shapes[0])]]
    piece = report.Axis(shape=shapes[0], letters=tuple(letters), times=len(shapes))
    if len(result) != len(shapes[0]) + 1:
        return None
    letters.insert(dim % len(result), "+")
    return _axes([piece], [report.Axis(shape=result, letters=tuple(letters))])


def _parted(x: torch.Tensor, pieces: Sequence[torch.Tensor], dim: int) -> report.Axes | None:
    shapes, whole = [describe.shape_of(piece) for piece in pieces], _lettered(x)
    if not 1 < len(shapes) <= MAX_PIECES:
        return None
    if len(shapes[0]) == len(whole.shape):
        return _cut(shapes, whole.shape, joins=False)
    letters = tuple(letter for place, letter in enumerate(whole.letters) if place != dim % len(whole.shape))
    return _axes([whole], [report.Axis(shape=shapes[0], letters=letters, times=len(shapes))])


def _cut(shapes: Sequence[tuple[int, ...]], whole: tuple[int, ...], *, joins: bool) -> report.Axes | None:
    """Pieces that stand one after the other along the axis whose sizes add up to the whole's."""
    rank = len(whole)
    sums = [tuple(map(sum, zip(*shapes, strict=True)))[d] for d in range(rank)]
    place = next(
        (d for d in range(rank) if sums[d] == whole[d] and any(shape[d] != whole[d] for shape in shapes)), None
    )
    if place is None:
        return None
    letters = [*_LETTERS[:rank]]
    if len(set(shapes)) == 1:
        pieces = [report.Axis(shape=shapes[0], letters=tuple(letters), times=len(shapes))]
        letters[place] = f"{len(shapes)}{letters[place]}"
    elif len(shapes) <= len(_LETTERS) - rank:
        own = [letters[place], *_LETTERS[rank : rank + len(shapes) - 1]]
        pieces = [
            report.Axis(shape=shape, letters=(*letters[:place], letter, *letters[place + 1 :]))
            for shape, letter in zip(shapes, own, strict=True)
        ]
        letters[place] = "+".join(own)
    else:
        return None
    of_all = [report.Axis(shape=whole, letters=tuple(letters))]
    return _axes(pieces, of_all) if joins else _axes(of_all, pieces)


# What an index selected.


def _selection(x: Any, index: Any, value: Any) -> report.AnyDiagram | None:
    if not isinstance(x, torch.Tensor) or not x.dim():
        return None
    shape, parts = describe.shape_of(x), index if isinstance(index, tuple) else (index,)
    if not _is_basic(index):
        return _picked(x, lambda twin: twin[_here(index)], value)
    ranges = _ranges(shape, parts)
    if all(len(chosen) == size for chosen, size in zip(ranges, shape, strict=True)):
        return _moved(x, lambda twin: twin[index])
    return _grid(shape, ranges, None, value.numel())


def _is_basic(index: Any) -> bool:
    """Whether what an index gives is a view: there are only whole numbers and slices in it."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is ... or isinstance(part, slice) or type(part) is int for part in parts)


def _picked(x: torch.Tensor, again: Callable[[torch.Tensor], Any], value: torch.Tensor) -> report.Selection | None:
    """What an operation takes of a tensor is seen on the numbers of its elements."""
    shape = describe.shape_of(x)
    if math.prod(shape) > MAX_CELLS:
        return None
    mask = torch.zeros(math.prod(shape), dtype=torch.bool)
    mask[again(torch.arange(mask.numel()).reshape(shape)).flatten()] = True
    return _masked(mask.reshape(shape), value.numel())


def _changed(x: torch.Tensor, indices: Sequence[Any]) -> report.Selection | None:
    """What an assignment to `x[i]` or `x[i][j]` changed; indices that are the tensor itself are not what they were."""
    *views, last = indices
    shape, parts = describe.shape_of(x), last if isinstance(last, tuple) else (last,)
    if not views and _is_basic(last):
        ranges = _ranges(shape, parts)
        return _grid(shape, ranges, None, math.prod(map(len, ranges)), changed=True)
    own = x.untyped_storage().data_ptr()
    tensors = [part for part in parts if isinstance(part, torch.Tensor)]
    if math.prod(shape) > MAX_CELLS or any(part.untyped_storage().data_ptr() == own for part in tensors):
        return None
    part = mask = torch.zeros(shape, dtype=torch.bool)
    for index in views:
        part = part[_here(index)]
    part[_here(last)] = True
    return _masked(mask, int(mask.sum()), changed=True)


def _masked(mask: torch.Tensor, taken: int, *, changed: bool = False) -> report.Selection | None:
    """The first plane in which something is chosen, and its rows and columns with such elements."""
    shape = tuple(mask.shape)
    planes = mask.flatten(0, -3) if mask.dim() > 2 else mask.reshape(1, -1, shape[-1])
    at = int(planes.flatten(1).any(1).int().argmax())
    plane = planes[at]
    leading = [int(place) for place in torch.unravel_index(torch.tensor(at), shape[:-2])] if len(shape) > 2 else []
    rows, columns = ([int(i) for i in plane.any(d).nonzero()[:, 0]] for d in (1, 0))
    ranges = [*([place] for place in leading), *([rows] if len(shape) > 1 else []), columns]
    return _grid(shape, ranges, mask, taken, changed=changed)


def _ranges(shape: tuple[int, ...], parts: tuple[Any, ...]) -> list[Sequence[int]]:
    """What ints and slices select of each axis."""
    given: list[Any] = [part for part in parts if part is not None]
    missing = [slice(None)] * (len(shape) - sum(part is not ... for part in given))
    place = given.index(...) if ... in given else len(given)
    given[place : place + 1] = missing
    return [
        range(size)[part] if isinstance(part, slice) else range(size)[part : part + 1 or None]
        for part, size in zip(given, shape, strict=True)
    ]


def _grid(
    shape: tuple[int, ...],
    ranges: Sequence[Sequence[int]],
    mask: torch.Tensor | None,
    taken: int,
    *,
    changed: bool = False,
) -> report.Selection | None:
    """The last two axes with the chosen cells: in `ranges`, or in `mask` where it is given."""
    chosen = math.prod(map(len, ranges)) if mask is None else int(mask.sum())
    if chosen in (0, math.prod(shape)):
        return None
    leading = tuple(each[0] for each in ranges[:-2])
    planes = math.prod(map(len, ranges[:-2])) if mask is None else int(mask.flatten(-2).any(-1).sum()) if leading else 1
    columns = _shown(shape[-1], ranges[-1], min(COLUMNS, WIDTH // (1 + len(str(shape[-1] - 1)))))
    rows = _shown(shape[-2], ranges[-2], ROWS) if len(shape) > 1 else ()

    def is_chosen(*place: int) -> bool:
        if mask is not None:
            return bool(mask[(*leading, *place)])
        return all(i in each for i, each in zip(place, ranges[-len(place) :], strict=True))

    places: list[tuple[int, ...]] = [(row,) for row in rows] or [()]
    cells = [[is_chosen(*row, column) for column in columns] for row in places]
    return report.Selection(
        shape=shape,
        chosen=chosen,
        taken=taken,
        plane=leading,
        planes=planes,
        rows=rows,
        columns=columns,
        cells=tuple("".join("#" if cell else "." for cell in row) for row in cells),
        changed=changed,
    )


def _shown(size: int, chosen: Sequence[int], most: int) -> tuple[int, ...]:
    """The rows or columns to show: the first and last of all and of those chosen, the next to these, more chosen."""
    if size <= most:
        return tuple(range(size))
    first, last = chosen[0], chosen[-1]
    wanted = [first, last, 0, size - 1, first - 1, last + 1, first + 1, last - 1, *islice(chosen, most)]
    return tuple(sorted(list(dict.fromkeys(i for i in wanted if 0 <= i < size))[:most]))


# Strides.


def _strides(x: Any) -> report.Strides | None:
    """How a tensor lies in its storage, where it is a view or does not fill it."""
    if not isinstance(x, torch.Tensor) or x.layout is not torch.strided or not x.numel():
        return None
    held = int(x.untyped_storage().nbytes()) // x.element_size()
    if x.is_contiguous() and x.numel() == held:
        return None
    cells = None
    if held <= MAX_STORAGE and x.numel() <= MAX_CELLS:
        places = {x.storage_offset()}
        for size, stride in zip(x.shape, x.stride(), strict=True):
            places = {place + i * stride for place in places for i in range(size if stride else 1)}
        cells = "".join("#" if place in places else "." for place in range(held))
    return report.Strides(
        sizes=describe.shape_of(x),
        strides=tuple(map(int, x.stride())),
        offset=int(x.storage_offset()),
        storage=held,
        cells=cells,
    )
