"""Diagnoses of element-wise operations, expand and repeat, whose sizes do not go together."""

import ast
from collections.abc import Iterator
from itertools import chain, combinations, permutations

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    counted,
    is_tensor,
    or_else,
    product,
    renamed,
    resized,
    shape,
    suffix,
    suffixed,
    text_of,
    with_keyword,
)
from tensorcli.diagnoses.messages import said

Sizes = tuple[int, ...]

_REDUCTIONS = frozenset(
    "mean sum std var max min amax amin norm median logsumexp prod nanmean nansum all any argmax argmin mode".split()
)


def broadcastable(a: Sizes, b: Sizes) -> Sizes | None:
    """The shape that two shapes broadcast to; None where they do not."""
    rank = max(len(a), len(b))
    padded = [(1,) * (rank - len(sizes)) + sizes for sizes in (a, b)]
    result = []
    for x, y in zip(*padded, strict=True):
        if x != y and 1 not in (x, y):
            return None
        result.append(x if y == 1 else y)
    return tuple(result)


def alignments(small: Sizes, large: Sizes, *, last: bool = False) -> Iterator[str]:
    """Suffixes that spread a tensor's sizes over the dimensions of a larger one: ".unsqueeze(1)", "[:, None, None]".

    Sizes go to the first dimensions that fit, or the last ones: a mask is of the last, a mean over them of the first.
    """
    rank = len(large)
    found = list(combinations(range(rank), len(small)))
    for places in reversed(found) if last else found:
        if all(size in (1, large[place]) for size, place in zip(small, places, strict=True)):
            first = places[0] if places else 0
            holes = [place for place in range(first, rank) if place not in places]
            if len(holes) == 1:
                yield f".unsqueeze({holes[0] - first})"
            elif holes:
                index = [":" if place in places else "None" for place in range(first, rank)]
                while len(index) > 1 and index[-1] == ":":
                    index.pop()
                yield f"[{', '.join(index)}]"


def broadcast_sizes(failure: Failure) -> Finding | None:
    """Two sizes that neither agree nor are 1."""
    match = said(failure, "broadcast")
    if not match:
        return None
    pair = _pair(failure)
    if pair is None:
        size, other, dim = match[1], match[2], match[3]
        return Finding(f"the sizes {size} and {other} at dimension {dim} differ, and neither is 1")
    left, right = pair
    a, b = shape(left) or (), shape(right) or ()
    dim = next(d for d in range(1, min(len(a), len(b)) + 1) if a[-d] != b[-d] and 1 not in (a[-d], b[-d]))
    title = f"{brackets(a)} and {brackets(b)} do not broadcast: the sizes {a[-dim]} and {b[-dim]} differ, neither is 1"
    near = len(a) == len(b) and abs(a[-dim] - b[-dim]) == 1
    notes = (f"the sizes {a[-dim]} and {b[-dim]} differ by one",) if near else ()
    return Finding(title, notes, _broadcast_edits(failure, left, right, a, b))


def _pair(failure: Failure) -> tuple[Operand, Operand] | None:
    """The first two operands that do not broadcast."""
    call = failure.call
    operands = [*call.arguments, *call.keywords.values()] if call else []
    tensors = [operand for operand in operands if is_tensor(operand.value)]
    for left, right in combinations(tensors, 2):
        if broadcastable(shape(left) or (), shape(right) or ()) is None:
            return left, right
    return None


def _broadcast_edits(failure: Failure, left: Operand, right: Operand, a: Sizes, b: Sizes) -> Iterator[Edit]:
    in_place = failure.call is not None and (failure.call.form == "in place" or failure.call.name.endswith("_"))
    differ = [d for d in range(1, min(len(a), len(b)) + 1) if a[-d] != b[-d] and 1 not in (a[-d], b[-d])]
    pairs = len(a) == len(b) <= 2 and differ == [len(a)] and abs(a[0] - b[0]) > 1 and not in_place
    every = suffix(failure, left, "[:, None]", title="every pair of rows" if len(a) == 2 else "every pair")
    whole = _with_all(failure, left, right, a, b, in_place=in_place)
    whole = chain(whole, [every] if pairs and len(a) == 2 else [])
    others = chain(_sliced(failure, left, right, a, b), [every] if pairs else [], _defined(failure, left, right, a, b))
    yield from or_else(whole, others)
    if len(b) > len(a):
        for dim in range(len(b)):
            if b[:dim] + b[dim + 1 :] == a:
                yield suffix(failure, right, f".sum({dim})", title="reduce the larger one")


def _with_all(failure: Failure, left: Operand, right: Operand, a: Sizes, b: Sizes, *, in_place: bool) -> Iterator[Edit]:
    """The two made to broadcast with all that they hold."""
    for operand in (right, left):
        yield from _keepdim(failure, operand)
    yield from _convolved(failure, left, right)
    if failure.call and failure.call.name == "mul" and isinstance(failure.node, ast.BinOp):
        yield from _matmul(failure, left, right, a, b)
    yield from _shifted(failure, left, right)
    if len(b) < len(a):
        fitting = alignments(b, a, last="bool" in str(right.value.dtype))
        yield from (suffix(failure, right, text, title="one size for each row") for text in fitting)
    if len(a) < len(b):
        yield from (suffix(failure, left, text, title="one size for each row") for text in alignments(a, b))
    yield from _reordered(failure, right, b, a)
    if not in_place:
        yield from _reordered(failure, left, a, b)
    yield from _flattened(failure, left, right, a, b)


def _convolved(failure: Failure, left: Operand, right: Operand) -> Iterator[Edit]:
    """Padding for a convolution that made one side smaller than what it was made of."""
    for small, other in ((right, left), (left, right)):
        node = small.node
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        layer, written = failure.value(node.func), failure.definition(node.func.id)
        made = getattr(written.node, "value", None) if written else None
        kernel = getattr(layer, "kernel_size", None)
        if (
            written
            and isinstance(made, ast.Call)
            and isinstance(kernel, tuple)
            and (shape(small) or ()) < (shape(other) or ())
        ):
            text = with_keyword(written.place_of(made).text, f"padding={kernel[0] // 2}")
            yield Edit(((written, made, text),), "padding keeps the size")


def _keepdim(failure: Failure, operand: Operand) -> Iterator[Edit]:
    """keepdim=True in a reduction that the operand is, or ends in."""
    node: ast.AST | None = operand.node
    while isinstance(node, ast.Attribute | ast.Subscript | ast.BinOp | ast.UnaryOp):
        node = (
            node.operand if isinstance(node, ast.UnaryOp) else node.left if isinstance(node, ast.BinOp) else node.value
        )
    for call in [] if node is None else [n for n in ast.walk(node) if isinstance(n, ast.Call)]:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in _REDUCTIONS and not any(k.arg in ("keepdim", "keepdims") for k in call.keywords):
            text = with_keyword(text_of(failure, call), "keepdim=True")
            yield change(failure, (call, text), title="keep the reduced dimension")


def _matmul(failure: Failure, left: Operand, right: Operand, a: Sizes, b: Sizes) -> Iterator[Edit]:
    """The matrix product, where `*` was written."""
    sides = [text_of(failure, side.node) for side in (left, right) if side.node]
    if a and len(b) > 1 and a[-1] == b[-2]:
        yield change(failure, (failure.node, " @ ".join(sides)), title="the matrix product")


def _shifted(failure: Failure, left: Operand, right: Operand) -> Iterator[Edit]:
    """`x[1:] - x[:-1]`, where one side is a slice of the other."""
    for part, whole in ((left, right), (right, left)):
        match part.node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Slice(lower=ast.Constant(value=int(n)), upper=None)):
                if whole.text == name:
                    yield suffix(failure, whole, f"[:-{n}]", title="as long as the other side")
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Slice(lower=None, upper=ast.UnaryOp() as upper)):
                if whole.text == name:
                    yield suffix(failure, whole, f"[{text_of(failure, upper.operand)}:]", title="as long as the other")


def _reordered(failure: Failure, operand: Operand, sizes: Sizes, other: Sizes) -> Iterator[Edit]:
    """The operand with its dimensions in the order of the other's."""
    if len(sizes) == 2:
        if broadcastable(sizes[::-1], other) is not None:
            yield suffix(failure, operand, ".T", title="transpose")
        return
    if not 2 < len(sizes) <= 5:
        return
    for first, second in combinations(range(len(sizes)), 2):
        swapped = list(sizes)
        swapped[first], swapped[second] = sizes[second], sizes[first]
        if broadcastable(tuple(swapped), other) is not None:
            yield suffix(failure, operand, f".transpose({first}, {second})", title="swap two dimensions")
    for order in permutations(range(len(sizes))):
        moved = tuple(sizes[d] for d in order)
        if sum(d != k for k, d in enumerate(order)) > 2 and moved == other:
            yield suffix(failure, operand, f".permute{order}", title="reorder the dimensions")


def _flattened(failure: Failure, left: Operand, right: Operand, a: Sizes, b: Sizes) -> Iterator[Edit]:
    if product(a) != product(b):
        return
    for operand, sizes, other in ((left, a, b), (right, b, a)):
        if len(sizes) > len(other) and sizes[0] == other[0] and len(other) == 2:
            yield suffix(failure, operand, ".flatten(1)", title="flatten all but the batch")
    if len(a) >= len(b):
        yield suffix(failure, right, f".view_as({left.text})", title=f"as {brackets(a)}")
    yield suffix(failure, left, f".view_as({right.text})", title=f"as {brackets(b)}")


def _sliced(failure: Failure, left: Operand, right: Operand, a: Sizes, b: Sizes) -> Iterator[Edit]:
    """The side that is larger wherever the two differ, cut to the other's sizes."""
    for side, sizes, other in ((right, b, a), (left, a, b)):
        cut = {}
        for d in range(1, min(len(sizes), len(other)) + 1):
            if sizes[-d] != other[-d] and 1 not in (sizes[-d], other[-d]):
                cut[len(sizes) - d] = other[-d]
        if cut and all(sizes[d] > size for d, size in cut.items()):
            index = [f":{cut[d]}" if d in cut else ":" for d in range(max(cut) + 1)]
            yield suffix(failure, side, f"[{', '.join(index)}]", title="as much as the other side has")


def _defined(failure: Failure, left: Operand, right: Operand, a: Sizes, b: Sizes) -> Iterator[Edit]:
    """The smaller operand made with the size of the other."""
    for dim in range(1, min(len(a), len(b)) + 1):
        if a[-dim] != b[-dim] and 1 not in (a[-dim], b[-dim]):
            yield from resized(failure, right, a[-dim], b[-dim], dim=len(b) - dim)
            yield from resized(failure, left, b[-dim], a[-dim], dim=len(a) - dim)


def in_place_shape(failure: Failure) -> Finding | None:
    """An in-place operation whose result would be larger than the tensor."""
    match = said(failure, "in-place shape")
    if not match or failure.call is None or not failure.call.arguments:
        return None
    title = f"the result would be [{match[2]}], and a tensor changed in place stays [{match[1]}]"
    return Finding(title, (), _in_place_edits(failure))


def _in_place_edits(failure: Failure) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    assert call is not None
    target, other = call.arguments[0], call.argument(1, "other", "value")
    a, b = shape(target) or (), shape(other) or ()
    for dim in range(len(b)):
        if other and b[dim] == 1 and b[:dim] + b[dim + 1 :] == a:
            yield suffix(failure, other, f".squeeze({dim})", title="without its size of 1")
    yield not_in_place(failure, "a new tensor")
    if other is not None and len(b) > len(a):
        for dim in range(len(b)):
            if b[:dim] + b[dim + 1 :] == a:
                yield suffix(failure, other, f".sum({dim})", title=f"summed over dimension {dim}")
        if product(b) == product(a):
            yield suffix(failure, other, f".view_as({target.text})", title=f"as {brackets(a)}")
    if isinstance(node, ast.Call) and call.name.endswith("_"):
        yield renamed(failure, call.name.removesuffix("_"), title="not in place")


def not_in_place(failure: Failure, title: str) -> Edit:
    """`x = x + y` in the place of `x += y` or `x.add_(y)`."""
    node, call = failure.node, failure.call
    if isinstance(node, ast.AugAssign):
        target, value = text_of(failure, node.target), text_of(failure, node.value)
        sign = _SIGNS.get(type(node.op))
        if isinstance(node.value, ast.BinOp | ast.IfExp | ast.BoolOp | ast.Compare):
            value = f"({value})"
        return change(failure, (node, f"{target} = {target} {sign} {value}"), title=title) if sign else Edit(())
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and call is not None:
        owner = node.func.value
        text = text_of(failure, node).replace(f".{call.name}(", f".{call.name.removesuffix('_')}(", 1)
        whole = failure.statement.node if failure.statement else None
        if isinstance(whole, ast.Expr) and whole.value is node and isinstance(owner, ast.Name):
            return change(failure, (node, f"{owner.id} = {text}"), title=title)
        return change(failure, (node, text), title=title)
    return Edit(())


_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**", ast.FloorDiv: "//",
    ast.Mod: "%", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip


def expand_sizes(failure: Failure) -> Finding | None:
    """An expand whose sizes do not fit the tensor's."""
    match, few, call = said(failure, "expand"), said(failure, "expand ranks"), failure.call
    if (
        call is None
        or call.name not in ("expand", "expand_as", "broadcast_to", "broadcast_tensors")
        or not (match or few)
    ):
        return None
    source = call.argument(0, "input")
    have = shape(source)
    if have is None:
        return None
    if few:
        given = _given_sizes(failure)
        sizes = f"{counted(len(given), 'size')} for the {counted(len(have), 'dimension')}"
        title = f"expand was given {sizes} of {brackets(have)}"
        return Finding(title, (), _expand_rank_edits(failure, source, have, given))
    assert match is not None
    wanted = tuple(int(size) for size in match[3].split(","))
    title = f"expand can only stretch sizes of 1: {brackets(have)} does not stretch to {brackets(wanted)}"
    return Finding(title, (), _expand_edits(failure, source, have, wanted))


def _given_sizes(failure: Failure) -> tuple[Operand, ...]:
    return failure.call.arguments[1:] if failure.call else ()


def _expand_rank_edits(
    failure: Failure, source: Operand | None, have: Sizes, given: tuple[Operand, ...]
) -> Iterator[Edit]:
    kept = ", ".join(["-1"] * (len(have) - len(given)) + [operand.text for operand in given])
    if source is not None:
        yield change(
            failure, (failure.node, f"{suffixed(failure, source, '')}.expand({kept})"), title="-1 keeps a size"
        )
    sizes = ", ".join([operand.text for operand in given] + ["-1"] * len(have))
    if source is not None:
        yield change(failure, (failure.node, f"{suffixed(failure, source, '')}.expand({sizes})"))


def _expand_edits(failure: Failure, source: Operand | None, have: Sizes, wanted: Sizes) -> Iterator[Edit]:
    if source is None:
        return
    for text in alignments(have, wanted):
        yield suffix(failure, source, text, title="sizes of 1 where it is to be stretched")
    if len(have) == 2 and broadcastable(have[::-1], wanted) == wanted:
        yield suffix(failure, source, ".T", title="transpose")
    padded = (1,) * (len(wanted) - len(have)) + have
    if all(want % size == 0 for size, want in zip(padded, wanted, strict=True) if size):
        times = ", ".join(str(want // size) for size, want in zip(padded, wanted, strict=True))
        yield change(failure, (failure.node, f"{suffixed(failure, source, '')}.repeat({times})"), title="repeat copies")
    for dim, (size, want) in enumerate(zip(padded, wanted, strict=True)):
        operands = _given_sizes(failure)
        if size not in (1, want) and dim < len(operands):
            yield change(failure, (operands[dim], "-1"), title="-1 keeps a size")


def repeat_dims(failure: Failure) -> Finding | None:
    """A repeat with fewer numbers than the tensor has dimensions."""
    call = failure.call
    if call is None or not call.arguments or not said(failure, "repeat"):
        return None
    have, given = shape(call.arguments[0]) or (), call.arguments[1:]
    numbers = f"{counted(len(given), 'number')} for the {counted(len(have), 'dimension')}"
    title = f"repeat was given {numbers} of {brackets(have)}"
    texts = [operand.text for operand in given]
    ones = ["1"] * (len(have) - len(given))
    head = f"{suffixed(failure, call.arguments[0], '')}.repeat("
    edits = [
        change(failure, (failure.node, f"{head}{', '.join(sizes)})"), title=title_of)
        for sizes, title_of in (([*texts, *ones], "the first dimensions"), ([*ones, *texts], "the last dimensions"))
    ]
    edits.append(renamed(failure, "tile", title="tile counts from the last dimension"))
    return Finding(title, (), edits)


ENTRIES = (
    Entry(
        "in-place-shape",
        "shape",
        in_place_shape,
        "x = torch.zeros(3)\nx += torch.ones(2, 3)",
        "An in-place operation cannot change the shape of the tensor that it changes.",
    ),
    Entry(
        "expand-sizes",
        "shape",
        expand_sizes,
        "torch.rand(3).expand(3, 4)",
        "expand stretches only sizes of 1, and new dimensions come in front; repeat copies.",
    ),
    Entry(
        "repeat-dims",
        "shape",
        repeat_dims,
        "torch.rand(3, 4).repeat(2)",
        "repeat takes a number for each dimension: x.repeat(2, 1) puts a matrix twice below itself.",
    ),
    Entry(
        "broadcast-sizes",
        "shape",
        broadcast_sizes,
        "torch.rand(3, 4) + torch.rand(3)",
        "Sizes are compared from the last to the first: each pair must be equal, or one of them 1 or missing.",
    ),
)
