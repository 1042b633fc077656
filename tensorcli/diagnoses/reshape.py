"""Diagnoses of reshape, view, unflatten, split and chunk whose sizes do not add up."""

import ast
from collections.abc import Iterator
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    constant,
    constructor,
    product,
    renamed,
    resized,
    shape,
    suffix,
    suffixed,
    text_of,
    with_argument,
    with_keyword,
)
from tensorcli.diagnoses.messages import said

Sizes = tuple[int, ...]


def elements(failure: Failure) -> Finding | None:
    """A reshape that would change the number of elements."""
    match, call = said(failure, "reshape"), failure.call
    if not match:
        return None
    sizes = tuple(int(size) for size in match[1].split(",") if size.strip())
    numel = int(match[2])
    if any(size < 0 for size in sizes):
        fixed = product(tuple(size for size in sizes if size >= 0))
        title = f"{numel:,} elements cannot be divided into {brackets(sizes)}: {numel:,} is no multiple of {fixed:,}"
    else:
        title = f"{brackets(sizes)} has {product(sizes):,} elements, and the tensor has {numel:,}"
    source = call.argument(0, "input") if call else None
    if failure.layer is not None or source is None:
        return Finding(title)
    return Finding(title, (), _element_edits(failure, source, shape(source) or (), sizes, numel))


def _sizes_written(failure: Failure, count: int) -> list[ast.expr]:
    """The nodes of the sizes of a reshape: its arguments, or the items of the one tuple or list."""
    node = failure.node
    if not isinstance(node, ast.Call):
        return []
    parts = list(node.args) + [keyword.value for keyword in node.keywords]
    for part in parts:
        if isinstance(part, ast.Tuple | ast.List) and len(part.elts) == count:
            return list(part.elts)
    return parts[-count:] if len(parts) >= count else []


def _element_edits(failure: Failure, source: Operand, have: Sizes, sizes: Sizes, numel: int) -> Iterator[Edit]:
    written = _sizes_written(failure, len(sizes))
    if len(written) == len(sizes):
        if -1 not in sizes:
            yield from _inferred(failure, written, have, sizes, numel)
        else:
            yield from _corrected(failure, written, have, sizes, numel)
    if len(sizes) == 2 and len(have) > 2 and have:
        yield change(
            failure, (failure.node, f"{suffixed(failure, source, '')}.flatten(1)"), title="flatten all but the batch"
        )
    if len(written) == len(sizes):
        for dim in range(len(sizes)):
            others = product(tuple(size for k, size in enumerate(sizes) if k != dim and size > 0))
            if others and numel % others == 0 and -1 not in sizes:
                yield change(failure, (written[dim], str(numel // others)))
        if -1 not in sizes and written:
            yield change(
                failure, *[(node, "-1" if k == 0 else text_of(failure, node)) for k, node in enumerate(written)]
            )
    if len(have) == 1 and -1 not in sizes:
        yield from _made_larger(failure, source, product(sizes), numel)
    if written and len(sizes) > 1:
        if len(written) == len(sizes) == 2 and -1 not in sizes:
            yield from _factored(failure, written, have, sizes, numel)
        yield from _fewer(failure, written, sizes, numel)


def _inferred(failure: Failure, written: list[ast.expr], have: Sizes, sizes: Sizes, numel: int) -> Iterator[Edit]:
    """One size inferred with -1: the one that is least likely meant as it stands."""

    def unlikely(dim: int) -> tuple[bool, bool, int]:
        # A size that the tensor has is meant; the batch, in front, is what people forget to change.
        return (sizes[dim] in have, not isinstance(written[dim], ast.Constant), dim)

    for dim in sorted(range(len(sizes)), key=unlikely):
        others = product(sizes[:dim] + sizes[dim + 1 :])
        if others and numel % others == 0:
            yield change(failure, (written[dim], "-1"), title=f"-1 is inferred: {numel // others}")


def _corrected(failure: Failure, written: list[ast.expr], have: Sizes, sizes: Sizes, numel: int) -> Iterator[Edit]:
    """The sizes beside -1 made to divide the elements."""
    fixed = [dim for dim, size in enumerate(sizes) if size >= 0]
    if sizes[0] == -1 and len(sizes) == 2 and len(have) > 1:
        rest = product(have[1:])
        title = f"{brackets(have[1:])} flattened is {rest}" if len(have) > 2 else f"the last size of {brackets(have)}"
        yield change(failure, (written[1], str(rest)), title=title)
    if sizes.count(-1) == 1:
        for dim in fixed:
            if len(fixed) > 1 and sizes[dim] not in have:
                others = product(tuple(sizes[k] for k in fixed if k != dim))
                minus = sizes.index(-1)
                if have and minus < len(have) and others and numel % (others * have[0]) == 0:
                    yield change(
                        failure, (written[dim], str(numel // (others * have[0]))), title=f"so that {have[0]} rows stay"
                    )
        for dim in fixed:
            for size in have:
                others = product(tuple(sizes[k] for k in fixed if k != dim))
                if 1 < size < numel and others and numel % (others * size) == 0 and size != sizes[dim]:
                    yield change(failure, (written[dim], str(size)), title=f"{size} divides {numel:,}")


def _factored(failure: Failure, written: list[ast.expr], have: Sizes, sizes: Sizes, numel: int) -> Iterator[Edit]:
    """Both sizes changed to the nearest whose product is the number of elements."""
    pairs = [(n, numel // n) for n in range(2, min(numel, 4096)) if numel % n == 0]
    pairs.sort(key=lambda pair: sum(abs(a - b) for a, b in zip(pair, sizes, strict=True)))
    for pair in [pair for pair in pairs if pair != tuple(have)][:2]:
        edits = [(node, str(n)) for node, n in zip(written, pair, strict=True)]
        yield change(failure, *edits, title=f"{pair[0]} x {pair[1]} is {numel:,}")


def _made_larger(failure: Failure, source: Operand, wanted: int, numel: int) -> Iterator[Edit]:
    """The flat tensor made with as many elements as are wanted."""
    node = source.node
    if isinstance(node, ast.Call):
        for part in node.args:
            if isinstance(part, ast.Constant) and part.value == numel:
                yield change(failure, (part, str(wanted)), title=f"{wanted:,} elements")
    yield from resized(failure, source, wanted, numel, dim=0)


def _fewer(failure: Failure, written: list[ast.expr], sizes: Sizes, numel: int) -> Iterator[Edit]:
    """A size in the middle of the others changed to the nearest that divides."""
    for dim in range(len(sizes) - 1, -1, -1):
        if sizes[dim] <= 0:
            continue
        others = product(tuple(size for k, size in enumerate(sizes) if k != dim and size > 0)) or 1
        near = [n for n in range(1, min(numel, 4096) + 1) if numel % (n * others) == 0]
        near.sort(key=lambda n: (n in (1, numel), abs(n - sizes[dim])))
        yield from (change(failure, (written[dim], str(n)), title=f"{n} divides {numel:,}") for n in near[:2])


def two_inferred(failure: Failure) -> Finding | None:
    """More than one -1 in a reshape."""
    call = failure.call
    if call is None or not call.arguments or not said(failure, "two inferred"):
        return None
    have = shape(call.arguments[0]) or ()
    node = failure.node
    minus = [
        part
        for part in (ast.walk(node) if node else ())
        if isinstance(part, ast.UnaryOp) and isinstance(part.operand, ast.Constant) and part.operand.value == 1
    ]
    edits = [
        change(failure, (part, str(have[k])), title=f"the size that {brackets(have)} has there")
        for k, part in enumerate(minus[:-1])
        if k < len(have)
    ]
    return Finding("only one size can be left to infer with -1", (), edits)


def not_contiguous(failure: Failure) -> Finding | None:
    """A view of memory that is not in the order that the view needs."""
    call = failure.call
    if call is None or not call.arguments or not said(failure, "view"):
        return None
    source = call.arguments[0]
    title = f"{source.text} is not contiguous, and view only works where no element has to be moved"
    return Finding(
        title,
        (),
        (
            renamed(failure, "reshape", title="reshape copies where it must"),
            suffix(failure, source, ".contiguous()", title="a contiguous copy first"),
        ),
    )


def unflatten_sizes(failure: Failure) -> Finding | None:
    """An unflatten whose sizes do not multiply to the dimension's size."""
    match = said(failure, "unflatten")
    if not match:
        return None
    sizes, size = tuple(int(part) for part in match[1].split(",")), int(match[3])
    title = f"the sizes {brackets(sizes)} multiply to {product(sizes):,}, and dimension {match[2]} has {size:,}"
    written = [
        part.elts
        for part in (ast.walk(failure.node) if failure.node else ())
        if isinstance(part, ast.Tuple | ast.List) and len(part.elts) == len(sizes)
    ]
    return Finding(title, (), _unflatten_edits(failure, written, sizes, size))


def _unflatten_edits(failure: Failure, written: list[list[ast.expr]], sizes: Sizes, size: int) -> Iterator[Edit]:
    source = failure.call.argument(0, "input") if failure.call else None
    for dim, have in enumerate(shape(source) or ()):
        if have == product(sizes):
            yield with_argument(failure, 1, ("dim",), str(dim), title=f"dimension {dim} has {have}")
    found = constructor(failure)
    made = [part.elts for part in ast.walk(found[1]) if isinstance(part, ast.Tuple | ast.List)] if found else []
    for dim in range(len(sizes)):
        others = product(sizes[:dim] + sizes[dim + 1 :])
        if others > 0 and size % others == 0:
            if written:
                yield change(failure, (written[0][dim], "-1"), title=f"-1 is inferred: {size // others}")
            for items in made:
                if found and len(items) == len(sizes):
                    yield Edit(
                        ((found[0], items[dim], str(size // others)),), f"{size // others} instead of {sizes[dim]}"
                    )


def split_sizes(failure: Failure) -> Finding | None:
    """A split whose sizes do not add up to the dimension's size."""
    match = said(failure, "split")
    if match:
        size, parts = int(match[1]), [int(part) for part in match[3].split(",") if part.strip()]
        title = f"the sizes {brackets(tuple(parts))} add up to {sum(parts)}, and dimension {match[2]} has {size}"
        return Finding(title, (), _split_edits(failure, size, parts))
    match = said(failure, "chunks")
    if match:
        return Finding(f"a tensor cannot be cut into {match[1] or match[2] or 0} pieces", (), ())
    return None


def missing_piece(failure: Failure) -> Finding | None:
    """A piece of a chunk or split that is not there, because another dimension was cut."""
    node, whole = failure.node, failure.statement.node if failure.statement else None
    cut: ast.AST | None = None
    if isinstance(failure.error, IndexError) and isinstance(node, ast.Subscript):
        cut = node.value
    elif said(failure, "pieces") and isinstance(whole, ast.Assign):
        cut = whole.value  # too few pieces, or too many, for the names they are given
    if not isinstance(cut, ast.Call):
        return None
    name = cut.func.attr if isinstance(cut.func, ast.Attribute) else ""
    pieces = failure.value(cut)
    if name not in ("chunk", "split", "tensor_split", "unbind", "hsplit", "vsplit") or not isinstance(pieces, tuple):
        return None
    title = f"{name} gave {len(pieces)} piece{'s' * (len(pieces) != 1)}, and another number is asked for"
    sizes = tuple(int(size) for size in pieces[0].shape) if pieces else ()
    return Finding(title, (), (*_other_count(failure, cut, pieces), *_other_cuts(failure, cut, sizes)))


def _other_count(failure: Failure, cut: ast.Call, pieces: tuple[Any, ...]) -> Iterator[Edit]:
    """As many pieces as there are names for them."""
    match = said(failure, "pieces")
    for part in (*cut.args, *(k.value for k in cut.keywords if k.arg == "chunks")):
        if match and constant(part) == len(pieces) != int(match[1]):
            yield change(failure, (part, match[1]), title=f"{match[1]} pieces")
    wanted = int(match[1]) if match and isinstance(cut.func, ast.Attribute) and cut.func.attr == "split" else 0
    for part in cut.args if wanted else ():
        for dim in range(pieces[0].ndim):
            whole = sum(piece.shape[dim] for piece in pieces)
            if constant(part) == pieces[0].shape[dim] < whole and whole % wanted == 0:
                yield change(failure, (part, str(whole // wanted)), title=f"{wanted} pieces")


def _other_cuts(failure: Failure, cut: ast.Call, sizes: Sizes) -> Iterator[Edit]:
    rank = len(sizes)
    counts = [constant(part) for part in (*cut.args, *(k.value for k in cut.keywords))]
    count = next((n for n in counts if isinstance(n, int) and n > 1), 1)
    likely = [1, 3, 2, 0] if rank == 4 else [*reversed(range(rank))]
    order = sorted(likely, key=lambda dim: sizes[dim] % count != 0 or sizes[dim] == 1)
    given = next((k.value for k in cut.keywords if k.arg in ("dim", "axis")), None)
    method = isinstance(cut.func, ast.Attribute) and not isinstance(failure.value(cut.func.value), str)
    text = text_of(failure, cut)
    for dim in order:
        if given is not None:
            yield change(failure, (given, str(dim)), title=f"along dimension {dim}")
        elif method:
            yield change(failure, (cut, with_keyword(text, f"dim={dim}")), title=f"along dimension {dim}")


def _split_edits(failure: Failure, size: int, parts: list[int]) -> Iterator[Edit]:
    call = failure.call
    given = call.argument(1, "split_size_or_sections", "split_size", "split_sizes") if call else None
    if given is None:
        return
    have = shape(call.arguments[0]) if call and call.arguments else None
    for dim, other in reversed(list(enumerate(have or ()))):
        if other == sum(parts):
            yield with_argument(failure, 2, ("dim",), str(dim), title=f"dimension {dim} has {other}")
    left = size - sum(parts)
    literal = given.node.elts if isinstance(given.node, ast.List | ast.Tuple) else None
    if literal is not None and len(literal) == len(parts):
        if left > 0:
            yield change(failure, (given, _listed(given, [*map(str, parts), str(left)])), title=f"the last {left} too")
        last = size - sum(parts[:-1])
        if last > 0:
            yield change(failure, (literal[-1], str(last)), title=f"{last} in the last piece")
        if left < 0 and sum(parts[:-1]) == size:
            yield change(failure, (given, _listed(given, [*map(str, parts[:-1])])), title="one piece less")
        first = size - sum(parts[1:])
        if first > 0:
            yield change(failure, (literal[0], str(first)), title=f"{first} in the first piece")
    elif left > 0:
        yield change(failure, (given, f"{given.text} + [{left}]"), title=f"the last {left} too")
    if len(set(parts)) == 1:
        yield change(failure, (given, str(parts[0])), title=f"pieces of {parts[0]}, the last one what is left")


def _listed(given: Operand, items: list[str]) -> str:
    return f"({', '.join(items)})" if isinstance(given.node, ast.Tuple) else f"[{', '.join(items)}]"


ENTRIES = (
    Entry(
        "reshape-elements",
        "shape",
        elements,
        "torch.arange(10).reshape(3, 4)",
        "The sizes of a reshape multiply to the number of elements; one of them may be -1 and is inferred.",
    ),
    Entry(
        "reshape-elements",
        "shape",
        two_inferred,
        "torch.rand(3, 4).reshape(-1, -1)",
        "The sizes of a reshape multiply to the number of elements; one of them may be -1 and is inferred.",
    ),
    Entry(
        "view-not-contiguous",
        "layout",
        not_contiguous,
        "torch.rand(3, 4).T.view(12)",
        "view never copies: after a transpose or permute use reshape, or contiguous() first.",
    ),
    Entry(
        "reshape-elements",
        "shape",
        unflatten_sizes,
        "torch.rand(12).unflatten(0, (5, 2))",
        "The sizes of unflatten multiply to the size of the dimension; one of them may be -1 and is inferred.",
    ),
    Entry(
        "split-sizes",
        "shape",
        missing_piece,
        "torch.rand(1, 9).chunk(3)[2]",
        "chunk and split cut dimension 0 unless told otherwise.",
    ),
    Entry(
        "split-sizes",
        "shape",
        split_sizes,
        "torch.rand(10).split([3, 3])",
        "A list given to split adds up to the size of the dimension; a number gives pieces of that size.",
    ),
)
