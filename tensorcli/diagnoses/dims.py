"""Diagnoses of dimensions that are not there: dim= arguments, and the orders of permute and transpose."""

import ast
from collections.abc import Iterator

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    constant,
    constructor,
    counted,
    is_tensor,
    renamed,
    shape,
    suffix,
    suffixed,
    text_of,
    with_keyword,
)
from tensorcli.diagnoses.messages import said

Sizes = tuple[int, ...]

_DIM_KEYWORDS = (
    "dim",
    "axis",
    "dims",
    "dim0",
    "dim1",
    "start_dim",
    "end_dim",
    "axis0",
    "axis1",
    "source",
    "destination",
)


def out_of_range(failure: Failure) -> Finding | None:
    """A dimension that the tensor does not have."""
    match = said(failure, "dim")
    if not match:
        return None
    low, high, dim = int(match[1]), int(match[2]), int(match[3])
    source = _source(failure)
    have = shape(source)
    name = failure.call.name if failure.call else ""
    what = f"{brackets(have)} has" if have is not None else "it has"
    places = f"dimensions {low} to {high}" if high > 0 else "dimension 0 alone"
    inserted = " places" if name in ("unsqueeze", "stack") else ""
    title = f"there is no dimension {dim}: {what} {places.replace('dimension', 'the' + inserted + ' dimension', 1)}"
    title = f"there is no dimension {dim}: {what} {places}" if not inserted else title
    return Finding(title, (), _dim_edits(failure, source, have or (), low, high, dim))


def _source(failure: Failure) -> Operand | None:
    call = failure.call
    operands = [*call.arguments, *call.keywords.values()] if call else []
    if call and call.form == "index":
        operands = list(call.arguments[:1])
    return next((operand for operand in operands if is_tensor(operand.value)), None)


def _written_dims(failure: Failure, dim: int) -> list[Operand]:
    """Where the dimension is written in the call: `dim=2`, a plain 2 after the tensor, or an item of a tuple."""
    call = failure.call
    if call is None:
        return []
    named = [call.keywords[name] for name in _DIM_KEYWORDS if name in call.keywords]
    found = [operand for operand in [*named, *reversed(call.arguments[1:])] if operand.value == dim]
    for operand in [*named, *call.arguments[1:]]:
        if isinstance(operand.node, ast.Tuple | ast.List):
            found += [Operand(str(dim), dim, item) for item in operand.node.elts if constant(item) == dim]
    return found


def _dim_edits(failure: Failure, source: Operand | None, have: Sizes, low: int, high: int, dim: int) -> Iterator[Edit]:
    call = failure.call
    if call is None:
        return
    if call.name in ("cat", "concat", "concatenate") and dim == high + 1:
        yield renamed(failure, "stack", title="a new dimension")
    others = {
        int(operand.value) for operand in call.arguments[1:] if type(operand.value) is int and operand.value != dim
    }
    free = [d for d in range(high, -1, -1) if d not in others] if call.name in _TWO_DIMS else [high]
    if call.name == "permute" and sorted(o.value for o in call.arguments[1:] if type(o.value) is int) == list(
        range(1, high + 2)
    ):
        pairs = [(o, str(o.value - 1)) for o in call.arguments[1:]]
        yield change(failure, *pairs, title="dimensions are counted from 0")
    yield from _shifted(failure, dim)
    yield from _dropped(failure, dim)
    for written in _written_dims(failure, dim):
        for other in free[:1]:
            yield change(failure, (written, "-1" if dim < 0 and other else str(other)), title="the last dimension")
        yield from _batched(failure, source, have, dim)
        for other in range(high - 1, -1, -1):
            if other not in others:
                yield change(failure, (written, str(other)), title=f"dimension {other}")
    if (found := constructor(failure)) is not None:
        for part in ast.walk(found[1]):
            if constant(part) == dim and isinstance(part, ast.Constant | ast.UnaryOp):
                yield Edit(((found[0], part, str(high)),), f"dimension {high}")
    if call.form == "module" and source is not None:
        yield suffix(failure, source, ".unsqueeze(0)", title="a batch of one")
    if isinstance(failure.node, ast.Call) and not _written_dims(failure, dim) and call.form != "module":
        yield change(failure, (failure.node, with_keyword(text_of(failure, failure.node), f"dim={high}")))
    yield from _batched(failure, source, have, dim)


def _shifted(failure: Failure, dim: int) -> Iterator[Edit]:
    """A tuple of dimensions counted with a batch that is not there: (2, 3) of an image is (1, 2) of what is given."""
    call = failure.call
    for operand in (*call.keywords.values(), *call.arguments[1:]) if call and call.name != "permute" else ():
        if isinstance(operand.node, ast.Tuple | ast.List):
            dims = [d for d in map(constant, operand.node.elts) if isinstance(d, int)]
            if dims and len(dims) == len(operand.node.elts) and min(dims) >= 2 and dim in dims:
                text = ", ".join(str(d - 1) for d in dims)
                yield change(failure, (operand, f"({text})"), title="there is no batch dimension")


def _dropped(failure: Failure, dim: int) -> Iterator[Edit]:
    """A tuple of dimensions without the one that is not there."""
    call = failure.call
    for operand in (*call.keywords.values(), *call.arguments[1:]) if call and call.name not in ("permute",) else ():
        if isinstance(operand.node, ast.Tuple | ast.List):
            kept = [text_of(failure, item) for item in operand.node.elts if constant(item) != dim]
            if len(kept) == len(operand.node.elts) - 1 and kept:
                text = kept[0] if len(kept) == 1 else f"({', '.join(kept)})"
                yield change(failure, (operand, text), title=f"without dimension {dim}")


_TWO_DIMS = ("transpose", "swapaxes", "swapdims", "transpose_", "movedim", "moveaxis", "diagonal", "flatten")


def _batched(failure: Failure, source: Operand | None, have: Sizes, dim: int) -> Iterator[Edit]:
    if source is not None and dim == len(have) and have:
        yield suffix(failure, source, ".unsqueeze(0)", title="a batch of one")


def empty(failure: Failure) -> Finding | None:
    """The largest, or another that must exist, of no elements."""
    source = _source(failure)
    have = shape(source)
    if not said(failure, "empty") or source is None or failure.call is None or not have or 0 not in have:
        return None
    what = f"{source.text} of shape {brackets(have)}" if len(source.text) < 40 else "it"
    return Finding(f"{failure.call.name} needs elements, and {what} is empty", tuple(_beyond(failure, source)))


def _beyond(failure: Failure, source: Operand) -> Iterator[str]:
    """The slices that begin behind the end of what they are taken from."""
    node = source.node
    if not isinstance(node, ast.Subscript):
        return
    sizes = shape(Operand("", failure.value(node.value))) or ()
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for d, (part, size) in enumerate(zip(parts, sizes, strict=False)):
        begin = constant(part.lower) if isinstance(part, ast.Slice) else None
        if isinstance(begin, int) and begin >= size:
            yield f"{text_of(failure, part)} begins behind the end: dimension {d} has the size {size}"


def permute_dims(failure: Failure) -> Finding | None:
    """A permute or transpose that does not name each dimension once."""
    call = failure.call
    source = call.argument(0, "input") if call else None
    have = shape(source)
    if call is None or source is None or have is None:
        return None
    if call.name in ("transpose", "swapaxes") and isinstance(failure.error, TypeError) and len(call.arguments) > 3:
        title = f"transpose swaps two dimensions, and {len(call.arguments) - 1} were given: permute orders them all"
        return Finding(title, (), [renamed(failure, "permute", title="permute orders all dimensions")])
    if said(failure, "permute"):
        written = _order(failure)
        title = f"permute was given {counted(len(written), 'dimension')} for the {len(have)} of {brackets(have)}"
        return Finding(title, (), _permute_edits(failure, source, have, written))
    if said(failure, "repeated dim"):
        written = _doubled(failure)
        title = f"a dimension is named twice: each of the {len(have)} dimensions stands once in the order"
        return Finding(title, (), _repeated_edits(failure, written))
    if said(failure, "matrix transpose"):
        name = failure.call.name if failure.call else "t"
        title = f".{name} is for matrices, and {brackets(have)} has {len(have)} dimensions"
        return Finding(title, (), _transpose_edits(failure, source, have))
    return None


def _order(failure: Failure) -> list[ast.expr]:
    node = failure.node
    if not isinstance(node, ast.Call):
        return []
    parts = [*node.args, *(keyword.value for keyword in node.keywords)]
    sequences = [part for part in parts if isinstance(part, ast.Tuple | ast.List)]
    if sequences:
        return list(sequences[-1].elts)
    return parts if failure.call and failure.call.form == "method" else parts[1:]


def _doubled(failure: Failure) -> list[ast.expr]:
    """The order in which a dimension stands twice."""
    node = failure.node
    for part in ast.walk(node) if node else ():
        if isinstance(part, ast.Tuple | ast.List):
            dims = [constant(item) for item in part.elts]
            if len(set(dims)) < len(dims):
                return list(part.elts)
    return _order(failure)


def _permute_edits(failure: Failure, source: Operand, have: Sizes, written: list[ast.expr]) -> Iterator[Edit]:
    order = [constant(part) for part in written]
    dims = [d for d in order if isinstance(d, int)]
    if not order or len(dims) != len(order):
        return
    missing = len(have) - len(dims)
    if missing == 1 and sorted(dims) == list(range(len(dims))):
        if len(have) == 4 and dims[0] != 0:
            yield _reordered(failure, written, [0, *(d + 1 for d in dims)], "the batch stays in front")
            yield _reordered(failure, written, [*dims, len(dims)], "the last dimension stays")
        else:
            yield _reordered(failure, written, [*dims, len(dims)], "the last dimension stays")
            yield _reordered(failure, written, [0, *(d + 1 for d in dims)], "the first dimension stays")
    left = [d for d in range(len(have)) if d not in dims and d - len(have) not in dims]
    if missing > 0 and len(left) == missing:
        yield _reordered(failure, written, [*dims, *left], "the other dimensions behind")
    if missing < 0:
        if dims[:-missing] == list(range(-missing)):
            yield _reordered(failure, written, [d + missing for d in dims[-missing:]], "without the batch")
        kept = [d for d in dims if d < len(have)]
        if missing == -1:
            at = ".unsqueeze(0)" if dims[0] == 0 else ".unsqueeze(-1)"
            yield suffix(failure, source, at, title="one dimension more")
            yield suffix(failure, source, ".unsqueeze(0)", title="a batch of one")
        yield _reordered(failure, written, kept, "the dimensions there are")


def _reordered(failure: Failure, written: list[ast.expr], dims: list[int], title: str) -> Edit:
    """The order written anew, in the place of its items."""
    if not written or not dims:
        return Edit(())
    _first, *rest = written
    if len(dims) < len(written):  # the items that go take their commas along: the whole sequence is written anew
        node = failure.node
        call = failure.call
        if not isinstance(node, ast.Call) or call is None:
            return Edit(())
        text = ", ".join(map(str, dims))
        for part in ast.walk(node):
            if isinstance(part, ast.Tuple | ast.List) and written[0] in part.elts:
                return change(failure, (part, f"({text})" if isinstance(part, ast.Tuple) else f"[{text}]"), title=title)
        owner = suffixed(failure, call.arguments[0], "")
        return change(failure, (node, f"{owner}.{call.name}({text})"), title=title)
    texts = [str(d) for d in dims]
    head = texts[: len(rest)]
    return change(failure, *zip(written, [*head, ", ".join(texts[len(rest) :])], strict=True), title=title)


def _repeated_edits(failure: Failure, written: list[ast.expr]) -> Iterator[Edit]:
    dims = [constant(part) for part in written]
    others = [constant(part) for part in ast.walk(failure.node or ast.Pass()) if isinstance(part, ast.Constant)]
    missing = [d for d in range(len(dims)) if d not in dims]
    if failure.call and failure.call.name in ("movedim", "moveaxis"):
        missing = [d for d in others if isinstance(d, int) and d not in dims] or missing
    for at, d in reversed(list(enumerate(dims))):
        if dims.count(d) > 1 and missing:
            yield change(failure, (written[at], str(missing[0])), title=f"dimension {missing[0]} is missing")


def _transpose_edits(failure: Failure, source: Operand, have: Sizes) -> Iterator[Edit]:
    if len(have) > 2:
        yield change(
            failure,
            (failure.node, f"{suffixed(failure, source, '')}.transpose(-2, -1)"),
            title="the last two dimensions, in each batch",
        )
        yield change(failure, (failure.node, f"{suffixed(failure, source, '')}.transpose(0, 1)"))
    if len(have) < 2:
        yield change(failure, (failure.node, suffixed(failure, source, "")), title="as it is")
        yield change(failure, (failure.node, f"{suffixed(failure, source, '')}.unsqueeze(1)"), title="a column")


ENTRIES = (
    Entry(
        "empty-tensor",
        "value",
        empty,
        "torch.rand(3, 4)[:, 5:9].max()",
        "The largest of no elements does not exist: a slice behind the end is empty, and raises nothing by itself.",
    ),
    Entry(
        "permute-dims",
        "shape",
        permute_dims,
        "torch.rand(2, 3, 4).permute(1, 0)",
        "permute names every dimension once, in the new order.",
    ),
    Entry(
        "dim-out-of-range",
        "index",
        out_of_range,
        "torch.rand(3, 4).sum(dim=2)",
        "Dimensions are counted from 0, or from -1 at the end: a matrix has dimensions 0 and 1.",
    ),
)
