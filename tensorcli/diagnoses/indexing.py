"""Diagnoses of indices: out of range, of the wrong dtype or shape, too many, and gather, scatter and their kin."""

import ast
from collections.abc import Iterator
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand, Unknown
from tensorcli.diagnoses.broadcast import alignments, broadcastable
from tensorcli.diagnoses.edits import (
    atom,
    brackets,
    change,
    constant,
    counted,
    dtype_of,
    is_tensor,
    product,
    renamed,
    resized,
    shape,
    suffix,
    suffixed,
    text_of,
    with_argument,
)
from tensorcli.diagnoses.messages import said

Sizes = tuple[int, ...]


def _owner(failure: Failure) -> tuple[Operand | None, Sizes]:
    """The indexed tensor and its sizes."""
    call = failure.call
    operands = [*call.arguments, *call.keywords.values()] if call else []
    owner = next((operand for operand in operands[:2] if is_tensor(operand.value)), None)
    return owner, shape(owner) or ()


def _index_parts(failure: Failure) -> list[ast.expr]:
    """The parts of an index as written: of `x[a, b]` a and b."""
    node = failure.node
    if not isinstance(node, ast.Subscript):
        return []
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _indexed(failure: Failure, parts: list[str]) -> Edit:
    """The same object indexed with other parts."""
    node = failure.node
    if not isinstance(node, ast.Subscript) or not parts:
        return Edit(())
    return change(failure, (node.slice, ", ".join(parts)))


def _texts(failure: Failure) -> list[str]:
    return [text_of(failure, part) for part in _index_parts(failure)]


# Out of range.


def out_of_range(failure: Failure) -> Finding | None:
    """An index larger than the size it indexes."""
    if failure.layer is not None or failure.call is None:
        return None
    owner, have = _owner(failure)
    if match := said(failure, "index"):
        index, dim, size = int(match[1]), int(match[2]), int(match[3])
    elif match := said(failure, "select"):
        index, dim = int(match[1]), int(match[3])
        size = have[dim] if dim < len(have) else 0
    elif match := said(failure, "take"):
        index, dim, size = int(match[1]), 0, int(match[2])
    elif said(failure, "index in self") and failure.call.name in _INDEX_FUNCTIONS:
        return _vector_out_of_range(failure, owner, have)
    elif match := said(failure, "narrow"):
        return _narrow(failure, match)
    elif match := said(failure, "narrow start"):
        return Finding(
            f"narrow begins at {match[3]}, beyond the size {match[2]}", (), _other_dim(failure, have, int(match[3]))
        )
    elif said(failure, "top k"):
        return _top_k(failure, have)
    else:
        return None
    where = f"dimension {dim} of {brackets(have)}" if have else f"dimension {dim}"
    title = f"there is no index {index} in {where}: {f'the last is {size - 1}' if size else 'it is empty'}"
    return Finding(title, _one_based(index, size), _range_edits(failure, have, index, dim, size))


_INDEX_FUNCTIONS = frozenset(
    {"index_select", "index_add_", "index_copy_", "index_fill_", "index_add", "take", "gather"}
)


def _one_based(index: int, size: int) -> tuple[str, ...]:
    return ("indices begin with 0",) if index == size > 0 else ()


def _range_edits(failure: Failure, have: Sizes, index: int, dim: int, size: int) -> Iterator[Edit]:
    written = list(_written_index(failure, index))
    other = [d for d in range(len(have)) if d != dim and -have[d] <= index < have[d]]
    parts = _texts(failure)
    far = index != size
    if far and len(parts) == 1 and len(other) >= 1:
        yield _indexed(failure, [*[":"] * other[0], *parts])
    if len(parts) == 2 and len(have) == 2:
        swapped = _indexed(failure, parts[::-1])
        if far:
            yield swapped
    if far:
        yield from _other_dim(failure, have, index)
    for part in written:
        yield from _nearer(failure, part, index, size, dim)
    for operand in _index_tensors(failure):
        yield from _lower(failure, operand, size)
    yield from _other_dim(failure, have, index)
    if len(parts) == 1 and other:
        yield _indexed(failure, [*[":"] * other[0], *parts])
    if len(parts) == 2:
        yield _indexed(failure, parts[::-1])


def _written_index(failure: Failure, index: int) -> Iterator[ast.expr]:
    """Where the index stands: the part of the subscript, or the argument, whose value it is."""
    node, call = failure.node, failure.call
    parts = _index_parts(failure)
    if isinstance(node, ast.Call) and call is not None:
        parts = [operand.node for operand in (*call.arguments[1:], *call.keywords.values()) if operand.node]
    for part in reversed(parts):
        value = constant(part) if constant(part) is not None else failure.value(part)
        if not isinstance(part, ast.Slice) and not is_tensor(value) and value == index and value is not True:
            yield part


def _nearer(failure: Failure, part: ast.expr, index: int, size: int, dim: int = 0) -> Iterator[Edit]:
    """The index one smaller, or the last one; of a loop's variable the loop that ends sooner."""
    if constant(part) is not None:
        if size:
            yield change(failure, (part, "-1" if index >= size else str(-size)), title="the last one")
            yield change(failure, (part, str(size - 1)), title=f"indices go to {size - 1}")
        return
    loops = _loops(failure, part)
    shorter = [edit for loop in loops for edit in _shorter(failure, loop.iter, part, size, dim)]
    if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add) and constant(part.right) == 1:
        yield from shorter
        yield change(failure, (part, text_of(failure, part.left)), title="one less")
        return
    less = change(failure, (part, f"{atom(failure, part)} - 1"), title="indices begin with 0")
    if not loops:
        yield from (less, change(failure, (part, "-1"), title="the last one"))
        return
    if any(isinstance(loop.iter, ast.Call) and _begins_with_one(loop.iter) for loop in loops):
        yield less
    yield from shorter


def _loops(failure: Failure, part: ast.expr) -> list[ast.For | ast.comprehension]:
    """The loops whose variables an index uses."""
    used = {name.id for name in ast.walk(part) if isinstance(name, ast.Name)}
    loops = ast.walk(failure.statement.node) if failure.statement else ()
    return [
        loop
        for loop in loops
        if isinstance(loop, ast.For | ast.comprehension)
        and any(isinstance(name, ast.Name) and name.id in used for name in ast.walk(loop.target))
    ]


def _begins_with_one(call: ast.Call) -> bool:
    return len(call.args) > 1 and constant(call.args[0]) == 1


def _shorter(failure: Failure, over: ast.expr, part: ast.expr, size: int, dim: int) -> Iterator[Edit]:
    """A range that ends at the size; one less where the next is looked at too."""
    if not isinstance(over, ast.Call) or not isinstance(over.func, ast.Name) or over.func.id != "range":
        return
    if len(over.args) not in (1, 2):
        return
    end = over.args[-1]
    count, itself = failure.value(end), isinstance(part, ast.Name)
    if isinstance(end, ast.BinOp) and isinstance(end.op, ast.Add) and constant(end.right) == 1:
        yield change(failure, (end, text_of(failure, end.left)), title="the range ends before")
    elif not isinstance(end, ast.Constant) and (not itself or count in (Unknown, size + 1)):
        yield change(failure, (end, f"{text_of(failure, end)} - 1"), title="the range ends before")
    elif not itself and type(count) is int:
        yield change(failure, (end, str(count - 1)), title="the range ends before")
    if size and itself:
        owner, _ = _owner(failure)
        whole = owner.text if owner is not None and isinstance(owner.node, ast.Name | ast.Attribute) else ""
        yield change(failure, (end, str(size)), title=f"the range ends at {size}")
        if whole:
            yield change(
                failure, (end, f"{whole}.shape[{dim}]" if dim else f"len({whole})"), title="as many as there are"
            )


def _index_tensors(failure: Failure) -> list[Operand]:
    """Index tensors of whole numbers among the operands."""
    call = failure.call
    operands = [*call.arguments[1:], *call.keywords.values()] if call else []
    return [operand for operand in operands if is_tensor(operand.value) and "int" in str(operand.value.dtype)]


def _lower(failure: Failure, operand: Operand, size: int) -> Iterator[Edit]:
    value = operand.value
    if value.numel() and int(value.min()) >= 1 and int(value.max()) == size:
        yield suffix(failure, operand, " - 1", title="indices begin with 0")
    elif value.numel() and int(value.max()) >= size:
        yield from _without_large(failure, operand, size)
        yield suffix(failure, operand, f".clamp(max={size - 1})", title=f"at most {size - 1}")
        yield suffix(failure, operand, f" % {size}", title=f"counted round {size}")


def _without_large(failure: Failure, operand: Operand, size: int) -> Iterator[Edit]:
    """A spelt-out list of indices with the one too large made the last."""
    for node in ast.walk(operand.node) if operand.node else ():
        if constant(node) == size and isinstance(node, ast.Constant):
            yield change(failure, (node, str(size - 1)), title=f"indices go to {size - 1}")
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(operand.node, ast.Call) and type(value) is int and value > size:
            yield change(failure, (node, str(size)), title=f"indices below {size}")
    if isinstance(operand.node, ast.Name) and (written := failure.definition(operand.node.id)):
        for node in ast.walk(written.node):
            if constant(node) == size and isinstance(node, ast.Constant):
                yield Edit(((written, node, str(size - 1)),), f"indices go to {size - 1}")


def _other_dim(failure: Failure, have: Sizes, index: int) -> Iterator[Edit]:
    """select, index_select and the like along another dimension."""
    call = failure.call
    if call is None or call.form == "index":
        return
    written = call.keywords.get("dim") or (call.arguments[1] if len(call.arguments) > 1 else None)
    if written is not None and type(written.value) is int:
        for d, size in enumerate(have):
            if d != written.value and index < size:
                yield change(failure, (written, str(d)), title=f"along dimension {d}")


def _vector_out_of_range(failure: Failure, owner: Operand | None, have: Sizes) -> Finding | None:
    indices = _index_tensors(failure)
    call = failure.call
    if not indices or call is None or not have:
        return None
    dim = next((o.value for o in (*call.arguments[1:], *call.keywords.values()) if type(o.value) is int), 0)
    size = have[dim] if dim < len(have) else 0
    largest, least = int(indices[0].value.max()), int(indices[0].value.min())
    index = largest if largest >= size else least
    title = f"there is no index {index} in dimension {dim} of {brackets(have)}: the last is {size - 1}"
    return Finding(title, _one_based(index, size), _range_edits(failure, have, index, dim, size))


def _narrow(failure: Failure, match: Any) -> Finding:
    start, length, size = int(match[1]), int(match[2]), int(match[3])
    title = f"{length} elements from {start} on would end at {start + length}, and the size is {size}"
    call = failure.call
    given = call.argument(3, "length") if call else None
    begins = call.argument(2, "start") if call else None
    edits = [change(failure, (given, str(size - start)), title=f"the {size - start} that are left")] if given else []
    if begins and size >= length:
        edits.append(change(failure, (begins, str(size - length)), title=f"the last {length}"))
    return Finding(title, (), edits)


def _top_k(failure: Failure, have: Sizes) -> Finding:
    call = failure.call
    given = call.argument(1, "k") if call else None
    dim = call.argument(2, "dim") if call else None
    size = have[int(dim.value) if dim and type(dim.value) is int else -1] if have else 0
    if given and type(given.value) is int and given.value < 1:
        smallest = change(failure, (given, str(max(-given.value, 1))))
        return Finding(f"k goes from 1 to {size}, and {given.value} was given", (), [smallest])
    title = f"there are {size} elements, and {given.text if given else 'more'} were asked for"
    edits = []
    for d, other in enumerate(have):
        if given and type(given.value) is int and other >= given.value:
            edits.append(with_argument(failure, 2, ("dim",), str(d), title=f"along dimension {d}"))
    if given and size:
        edits.append(change(failure, (given, str(size)), title=f"all {size}"))
    return Finding(title, (), edits)


# The dtype of an index.


def dtype(failure: Failure) -> Finding | None:
    """An index that is no whole number."""
    call = failure.call
    if call is None or failure.layer is not None:
        return None
    if not (said(failure, "index dtype") or said(failure, "mask dtype") or said(failure, "float index")):
        return None
    masks = bool(said(failure, "mask dtype"))
    wrong = [
        operand
        for operand in (*call.arguments[1:], *call.keywords.values())
        if (is_tensor(operand.value) and _is_no_index(operand.value, masks=masks))
        or (type(operand.value) in (float, str) and not masks)
    ]
    if not wrong and call.form not in ("index", "assign"):
        return None
    shown = [*wrong, *(Operand(text_of(failure, bound), failure.value(bound)) for bound in _broken_bounds(failure))]
    given = f", and {shown[0].text} is {dtype_of(shown[0].value)}" if shown else ""
    title = f"an index is a whole number or a mask{given}"
    return Finding(title, (), _dtype_edits(failure, wrong))


def condition(failure: Failure) -> Finding | None:
    """A condition of torch.where that is not True or False for each element."""
    call = failure.call
    if call is None or not said(failure, "condition"):
        return None
    given = call.argument(1 if call.form == "method" else 0, "condition")
    if given is None or given.node is None or not is_tensor(given.value):
        return None
    title = f"where chooses by a mask of bool, and {given.text} is {dtype_of(given.value)}"
    text = suffixed(failure, given, "")
    return Finding(title, (), [change(failure, (given, f"{text} {test}")) for test in ("!= 0", "> 0")])


def _is_no_index(value: Any, *, masks: bool) -> bool:
    kind = str(value.dtype)
    return "bool" not in kind and (masks or "int64" not in kind)


def _broken_bounds(failure: Failure) -> list[ast.expr]:
    """The bounds of slices that are no whole numbers."""
    slices = [part for part in _index_parts(failure) if isinstance(part, ast.Slice)]
    bounds = [bound for part in slices for bound in (part.lower, part.upper, part.step)]
    return [bound for bound in bounds if bound is not None and type(failure.value(bound)) is float]


def _dtype_edits(failure: Failure, wrong: list[Operand]) -> Iterator[Edit]:
    masks = failure.call is not None and "mask" in failure.call.name
    bounds = _broken_bounds(failure)
    if bounds:
        halves = [b for b in bounds if isinstance(b, ast.BinOp) and isinstance(b.op, ast.Div)]
        if len(halves) == len(bounds):
            pairs = [(b, f"{text_of(failure, b.left)} // {text_of(failure, b.right)}") for b in halves]
            yield change(failure, *pairs, title="the whole part of the quotient")
        yield change(failure, *[(b, f"int({text_of(failure, b)})") for b in bounds], title="the whole part")
    for operand in wrong:
        value = operand.value
        if is_tensor(value):
            yes_no = value.numel() > 0 and bool(((value == 0) | (value == 1)).all())
            whole = (
                (".bool()", ".long()")
                if masks or (yes_no and value.numel() > 2 and _fits_mask(failure, value))
                else (".long()", ".bool()")
            )
            for text in whole:
                yield suffix(failure, operand, text, title="as a mask" if "bool" in text else "as indices")
            continue
        match operand.node:
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                text = f"{text_of(failure, left)} // {text_of(failure, right)}"
                yield change(failure, (operand, text), title="the whole part of the quotient")
            case ast.Constant(value=float() as number) if number == int(number):
                yield change(failure, (operand, str(int(number))), title="a whole number")
        if type(value) is float:
            yield change(failure, (operand, f"int({operand.text})"), title="the whole part")
            yield change(failure, (operand, f"round({operand.text})"), title="the nearest")


def _fits_mask(failure: Failure, value: Any) -> bool:
    _, have = _owner(failure)
    return tuple(value.shape) == have[: value.dim()]


# Masks, and too many indices.


def mask_shape(failure: Failure) -> Finding | None:
    """A mask of other sizes than what it selects from."""
    match = said(failure, "mask")
    if not match:
        return None
    _, have = _owner(failure)
    mask = _numbers(match[1])
    title = f"a mask of {brackets(mask)} does not fit {brackets(have)} at dimension {match[4]}"
    return Finding(title, (), _mask_edits(failure, have, mask))


def _numbers(text: str) -> Sizes:
    return tuple(int(part) for part in text.split(",") if part.strip())


def _mask_edits(failure: Failure, have: Sizes, mask: Sizes) -> Iterator[Edit]:
    call = failure.call
    operands = [o for o in call.arguments[1:] if is_tensor(o.value) and shape(o) == mask] if call else []
    parts = _texts(failure)
    for operand in operands:
        starts = [d for d in range(len(have)) if have[d : d + len(mask)] == mask]
        if starts and len(parts) == 1:
            yield _indexed(failure, [*[":"] * starts[0], operand.text])
        if len(mask) == 1 and mask[0] in have and len(parts) > 1:
            yield _indexed(failure, parts[::-1])
        for d in range(len(mask)):
            if mask[d] == 1 and mask[:d] + mask[d + 1 :] == have[: len(mask) - 1]:
                yield suffix(failure, operand, f".squeeze({d})", title="without its size of 1")
        if len(mask) == 2 and mask[::-1] == have[:2]:
            yield suffix(failure, operand, ".T", title="transpose")
        if broadcastable(mask, have) == have:
            yield suffix(failure, operand, ".expand_as({})".format(call.arguments[0].text if call else ""))
        if len(mask) == 2 and mask[0] == have[0]:
            yield suffix(failure, operand, ".any(1)", title="rows with any")
        if len(mask) == 1 and len(have) and mask[0] > have[0]:
            yield suffix(failure, operand, f"[:{have[0]}]", title=f"the first {have[0]}")
        if len(mask) == 1 and len(have) and mask[0] < have[0] and call and len(parts) == 1:
            yield change(failure, (call.arguments[0], suffixed(failure, call.arguments[0], f"[:{mask[0]}]")))


def too_many(failure: Failure) -> Finding | None:
    """More indices than dimensions."""
    match, scalar = said(failure, "too many"), said(failure, "no index")
    if not (match or scalar) or failure.call is None:
        return None
    owner, have = _owner(failure)
    node = failure.node
    if scalar:
        text = suffixed(failure, failure.call.arguments[0], "") if failure.call.arguments else ""
        title = f"{owner.text if owner else 'this'} is one number without dimensions: there is nothing to index"
        edits = [
            change(failure, (node, f"{text}.item()"), title="the number itself"),
            change(failure, (node, text), title="as it is"),
        ]
        return Finding(title, (), edits)
    parts = _texts(failure)
    title = f"{len(parts)} indices were given, and {brackets(have)} has {counted(len(have), 'dimension')}"
    return Finding(title, (), _fewer_edits(failure, owner, have, parts))


def _fewer_edits(failure: Failure, owner: Operand | None, have: Sizes, parts: list[str]) -> Iterator[Edit]:
    extra = len([part for part in parts if part not in ("None", "...")]) - len(have)
    plain = [k for k, part in enumerate(parts) if part == ":"]
    nodes = _index_parts(failure)
    if extra > 0 and any(part == ":" for part in parts):
        yield _indexed(failure, parts[extra:])
    if 0 < extra <= len(plain):
        for gone in (plain[-extra:], plain[:extra]):
            yield _indexed(failure, [part for k, part in enumerate(parts) if k not in gone])
    fits = [k for k, node in enumerate(nodes) if not _in_range(failure, node, have, k, parts)]
    if extra == 1 and fits:
        yield _indexed(failure, [part for k, part in enumerate(parts) if k != fits[0]])
    if extra > 0:
        if parts[0] == "0" and extra == 1 and len(parts) > 1 and parts[1] != "0":
            yield _indexed(failure, parts[1:])
        yield _indexed(failure, parts[:-extra])
        yield _indexed(failure, parts[extra:])
    if owner is not None and extra == 1:
        yield suffix(failure, owner, ".unsqueeze(0)", title="one dimension more in front")
        yield suffix(failure, owner, ".unsqueeze(1)", title="one dimension more")


def _in_range(failure: Failure, node: ast.expr, have: Sizes, k: int, parts: list[str]) -> bool:
    value = constant(node)
    if not isinstance(value, int) or not have:
        return True
    return any(-size <= value < size for size in have[max(0, k - 1) : k + 1])


def negative_step(failure: Failure) -> Finding | None:
    """A slice with a negative step."""
    if failure.call is None or failure.call.form not in ("index", "assign") or not said(failure, "negative step"):
        return None
    owner, _ = _owner(failure)
    if owner is None or owner.node is None:
        return None
    edits = []
    for d, part in enumerate(_index_parts(failure)):
        if not isinstance(part, ast.Slice) or constant(part.step) != -1:
            continue
        rest = _texts(failure)
        if part.lower or part.upper:
            rest[d] = _forward(part, (shape(owner) or (0,) * (d + 1))[d])
            gone = sum(not isinstance(other, ast.Slice) for other in _index_parts(failure)[:d])
            text = f"{suffixed(failure, owner, '')}[{', '.join(rest)}].flip({d - gone})"
            edits.append(change(failure, (failure.node, text), title="flip turns a dimension round"))
        else:
            text = f"{suffixed(failure, owner, '')}.flip({d})"
            if any(other != ":" for k, other in enumerate(rest) if k != d):
                text += f"[{', '.join(':' if k == d else other for k, other in enumerate(rest))}]"
            edits.append(change(failure, (failure.node, text), title="flip turns a dimension round"))
    return Finding("a tensor's slices have positive steps", (), edits)


def _forward(part: ast.Slice, size: int) -> str:
    """The elements of a slice with the step -1, in their own order; those between its ends, where it has none."""
    lower, upper = (None if end is None else constant(end) for end in (part.lower, part.upper))
    if not isinstance(lower, int | None) or not isinstance(upper, int | None):
        return ast.unparse(ast.Slice(part.lower, part.upper))
    indices = range(size)[lower:upper:-1]
    if not indices:
        return f"{'' if lower is None else lower}:{'' if upper is None else upper}"
    first, last = indices[-1], indices[0]
    return f"{first or ('' if upper is None else 0)}:{'' if last == size - 1 else last + 1}"


# Lists.


def list_index(failure: Failure) -> Finding | None:
    """An index that a list, a tuple or a text does not have."""
    node = failure.node
    if not isinstance(failure.error, IndexError) or not isinstance(node, ast.Subscript):
        return None
    value, index = failure.value(node.value), failure.value(node.slice)
    if not isinstance(value, list | tuple | str) or type(index) is not int:
        return None
    text, size = text_of(failure, node.value), len(value)
    if not size:
        return Finding(f"{text} is empty: there is no item {index}")
    if type(value).__name__ == "Size":
        title = f"{text} has as many sizes as there are dimensions, {size}: there is no size {index}"
        return Finding(title, (), _nearer(failure, node.slice, index, size))
    items = "one item, 0" if size == 1 else f"{size} items, 0 to {size - 1}"
    return Finding(f"{text} has {items}: there is no item {index}", (), _nearer(failure, node.slice, index, size))


# Assigning.


def assign_shape(failure: Failure) -> Finding | None:
    """A value of other sizes than the part of a tensor that it is assigned to."""
    call = failure.call
    if call is None or call.form != "assign" or failure.statement is None:
        return None
    match = (
        said(failure, "expand")
        or said(failure, "assign")
        or said(failure, "expand ranks")
        or said(failure, "broadcast")
    )
    value = assigned(failure)
    if not match or value is None or not is_tensor(value.value):
        return None
    part = failure.value(_loaded(failure))
    target = tuple(int(size) for size in part.shape) if is_tensor(part) else None
    given = shape(value) or ()
    title = f"{brackets(given)} does not fit into {failure.text}, which is {brackets(target or ())}"
    return Finding(title, (), _assign_edits(failure, value, given, target))


def assigned(failure: Failure) -> Operand | None:
    """What is assigned to the failing target."""
    whole = failure.statement.node if failure.statement else None
    for node in ast.walk(whole) if whole else ():
        if isinstance(node, ast.Assign) and failure.node in node.targets:
            return Operand(text_of(failure, node.value), failure.value(node.value), node.value)
    return None


def _loaded(failure: Failure) -> ast.expr:
    node = failure.node
    assert isinstance(node, ast.Subscript)
    return ast.copy_location(ast.Subscript(node.value, node.slice, ast.Load()), node)


def _assign_edits(failure: Failure, value: Operand, given: Sizes, target: Sizes | None) -> Iterator[Edit]:
    _, have = _owner(failure)
    parts = _texts(failure)
    call = failure.call
    if len(parts) == 1 and call and is_tensor(call.arguments[1].value) and given == have:
        yield suffix(failure, value, f"[{parts[0]}]", title="the same part of the other")
    if target and len(given) == len(target) and not isinstance(value.node, ast.Name):
        for d, (wrong, size) in enumerate(zip(given, target, strict=True)):
            yield from resized(failure, value, size, wrong, dim=d) if wrong != size else ()
    for dim in range(1, len(given) if target is not None and len(given) == len(target) == 3 else 0):
        orders = ((0, 2, 1), (1, 0, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)) if dim == 1 else ()
        for order in orders:
            if tuple(given[d] for d in order) == target:
                yield suffix(failure, value, f".permute{order}", title="its dimensions in this order")
    if target is not None:
        for text in alignments(given, target) if len(given) < len(target) else ():
            yield suffix(failure, value, text, title="one dimension more")
        if len(given) == 2 and broadcastable(given[::-1], target) == target:
            yield suffix(failure, value, ".T", title="transpose")
        for d in range(len(given)):
            if given[d] == 1 and broadcastable(given[:d] + given[d + 1 :], target) == target:
                yield suffix(failure, value, f".squeeze({d})", title="without its size of 1")
        if product(given) == product(target):
            yield suffix(
                failure, value, ".flatten()" if len(target) == 1 else f".reshape({', '.join(map(str, target))})"
            )
    if len(parts) == 1 and len(have) > 1:
        for d in range(1, len(have)):
            rest = have[:d] + have[d + 1 :]
            if broadcastable(given, rest) == rest:
                yield _indexed(failure, [*[":"] * d, *parts])
    if len(parts) == 2 and len(have) == 2:
        yield _indexed(failure, parts[::-1])
        if parts[0] == ":":
            yield _indexed(failure, parts[1:])
    if target is not None and len(given) == 1 and len(parts) == 1:
        part = _index_parts(failure)[0]
        if not isinstance(part, ast.Slice) and len(target) == 1 and given[0] < target[0]:
            end = f"len({value.text})" if isinstance(value.node, ast.Name) else str(given[0])
            yield _indexed(failure, [*parts, f":{end}"])
        if isinstance(part, ast.Slice) and have and given[0] <= have[0]:
            start = constant(part.lower) if part.lower else 0
            low = text_of(failure, part.lower) if part.lower else ""
            if isinstance(start, int):
                yield _indexed(failure, [f"{low}:{start + given[0]}"])
    if target is not None and len(given) == len(target):
        different = [d for d in range(len(given)) if given[d] > target[d] > 0]
        if len(different) == 1:
            d = different[0]
            yield suffix(failure, value, f"[{':, ' * d}:{target[d]}]", title=f"the first {target[d]}")


def shapes(failure: Failure) -> Finding | None:
    """Index tensors that do not go together."""
    match = said(failure, "index shapes")
    if not match:
        return None
    title = f"the indices {match[1]} do not broadcast together"
    parts, tensors = _texts(failure), list(_index_tensors(failure))
    edits = []
    pair = len(parts) == 2 and failure.call is not None and failure.call.form == "index"
    if len(tensors) == 2:
        edits.append(suffix(failure, tensors[0], "[:, None]", title="every pair of the two"))
    if pair and failure.call:
        text = f"{suffixed(failure, failure.call.arguments[0], '')}[{parts[0]}][:, {parts[1]}]"
        edits.append(change(failure, (failure.node, text), title="rows, then columns"))
    if len(tensors) == 2:
        n = min(int(tensors[0].value.numel()), int(tensors[1].value.numel()))
        longer = max(tensors, key=lambda operand: int(operand.value.numel()))
        edits.append(suffix(failure, longer, f"[:{n}]", title=f"the first {n}"))
    return Finding(title, (), edits)


# gather, scatter and their kin.


def gather_shape(failure: Failure) -> Finding | None:
    """The index of a gather or scatter with other dimensions, or sizes, than it needs."""
    call = failure.call
    if call is None or not (said(failure, "gather ranks") or said(failure, "gather sizes") or _source_rank(failure)):
        return None
    _, have = _owner(failure)
    index = call.argument(2, "index", "indices") or call.argument(1, "index", "indices")
    index = index if index and is_tensor(index.value) else call.argument(1, "indices", "index")
    given = shape(index)
    if given is None or index is None:
        return None
    title = f"{call.name} needs an index with the dimensions of {brackets(have)}, and it is {brackets(given)}"
    if len(given) == len(have):
        title = (
            f"{call.name} needs an index no larger than {brackets(have)} beside its dimension: it is {brackets(given)}"
        )
    return Finding(title, (), _gather_edits(failure, index, have, given))


def _source_rank(failure: Failure) -> bool:
    """A scatter whose source has fewer dimensions than its index."""
    call = failure.call
    if call is None or "scatter" not in call.name or not said(failure, "dim"):
        return False
    source, index = call.argument(3, "src", "value"), call.argument(2, "index")
    return shape(source) is not None and len(shape(source) or ()) < len(shape(index) or ())


def _gather_edits(failure: Failure, index: Operand, have: Sizes, given: Sizes) -> Iterator[Edit]:
    call = failure.call
    assert call is not None
    written = call.argument(1, "dim") if call.name != "take_along_dim" else call.argument(2, "dim")
    dim = int(written.value) % max(len(have), 1) if written is not None and type(written.value) is int else 0
    source = call.argument(3, "src") if "scatter" in call.name else None
    missing = len(have) - len(given)
    if missing == 1 and "scatter" in call.name and shape(source) == (*given, *have[1:]):
        to = {
            "scatter_add_": "index_add_",
            "scatter_add": "index_add",
            "scatter_": "index_copy_",
            "scatter": "index_copy",
        }
        if call.name in to:
            yield renamed(failure, to[call.name], title="whole rows")
    if missing == 1:
        places = list(dict.fromkeys((dim, *range(len(have)))))
        for at in places:
            beside = [size for d, size in enumerate(have) if d not in (at,)]
            if all(g <= b for g, b in zip(given, beside, strict=True)) or at == dim:
                edit = (index, suffixed(failure, index, f".unsqueeze({at})"))
                if shape(source) and len(shape(source) or ()) < len(have) and source:
                    yield change(failure, edit, (source, suffixed(failure, source, f".unsqueeze({at})")))
                yield change(failure, edit, title="an index for each row" if at else "")
    if missing == 2:
        yield suffix(failure, index, "[:, None, None]")
    if missing == -1:
        for d in range(len(given)):
            if given[d] == 1:
                yield suffix(failure, index, f".squeeze({d})", title="without its size of 1")
    if missing == 0:
        if shape(source) is not None and source and len(shape(source) or ()) < len(have):
            yield suffix(failure, source, f".unsqueeze({dim})", title="one dimension more")
            yield suffix(failure, source, f".unsqueeze({dim}).expand_as({index.text})")
        if len(given) == 2:
            yield suffix(failure, index, ".T", title="transpose")
        for other in range(len(have)):
            if other != dim and written is not None:
                yield change(failure, (written, str(other)), title=f"along dimension {other}")
        if shape(source) is not None and source and len(given) == 2:
            yield suffix(failure, source, ".expand_as(" + index.text + ")", title="stretched to the index")
        cut = [f":{h}" if g > h and d != dim else ":" for d, (g, h) in enumerate(zip(given, have, strict=True))]
        while cut and cut[-1] == ":":
            cut.pop()
        if cut:
            yield suffix(failure, index, f"[{', '.join(cut)}]", title="as much as there is")


def vector_index(failure: Failure) -> Finding | None:
    """index_select and its kin with an index that is no vector, or of another length than the source."""
    if not said(failure, "vector index"):
        return None
    indices = _index_tensors(failure)
    title = f"the index is a vector, and it is {brackets(shape(indices[0]) or ())}" if indices else failure.message
    return Finding(title, (), _vector_edits(failure, indices))


def _vector_edits(failure: Failure, indices: list[Operand]) -> Iterator[Edit]:
    call = failure.call
    owner, have = _owner(failure)
    written = call.argument(1, "dim") if call else None
    if call and indices and call.name == "index_select" and len(shape(indices[0]) or ()) > 1 and owner and written:
        if 1 in (shape(indices[0]) or ()):
            yield suffix(failure, indices[0], ".flatten()", title="as a vector")
        places = ":, " * (int(written.value) if type(written.value) is int else 0)
        text = f"{suffixed(failure, owner, '')}[{places}{indices[0].text}]"
        yield change(failure, (failure.node, text), title="an index of any shape")
    if written is not None and type(written.value) is int:
        for other in range(len(have)):
            if other != written.value:
                yield change(failure, (written, str(other)), title=f"along dimension {other}")
    if indices:
        yield suffix(failure, indices[0], ".flatten()", title="as a vector")
        yield suffix(failure, indices[0], ".squeeze()", title="without its sizes of 1")


ENTRIES = (
    Entry(
        "index-assign-shape",
        "shape",
        assign_shape,
        "x = torch.zeros(2, 3)\nx[0] = torch.rand(2)",
        "What is assigned must broadcast to the part that it is assigned to.",
    ),
    Entry(
        "gather-shape",
        "shape",
        gather_shape,
        "torch.rand(3, 4).gather(1, torch.tensor([0, 1, 2]))",
        "gather and scatter take an index with as many dimensions as the tensor.",
    ),
    Entry(
        "gather-shape",
        "index",
        vector_index,
        "torch.rand(3, 4).index_select(0, torch.tensor([[1]]))",
        "index_select takes a vector of indices.",
    ),
    Entry(
        "index-out-of-range",
        "index",
        out_of_range,
        "torch.rand(3)[3]",
        "Indices go from 0 to the size less 1; -1 is the last.",
    ),
    Entry(
        "index-dtype",
        "dtype",
        dtype,
        "torch.rand(3)[torch.tensor([0.0, 1.0])]",
        "An index is a whole number (int64), a slice, or a mask of bool.",
    ),
    Entry(
        "index-dtype",
        "dtype",
        condition,
        "torch.where(torch.rand(3), 1, 0)",
        "torch.where takes a mask of bool, which a comparison gives.",
    ),
    Entry(
        "mask-shape",
        "shape",
        mask_shape,
        "torch.rand(3, 4)[torch.tensor([True, False, True, True])]",
        "A mask has the sizes of the dimensions that it selects from, from the first on.",
    ),
    Entry(
        "too-many-indices",
        "index",
        too_many,
        "torch.rand(3)[0, 0]",
        "A tensor takes one index for each dimension at most.",
    ),
    Entry(
        "negative-step",
        "index",
        negative_step,
        "torch.rand(3)[::-1]",
        "Tensors are turned round with flip: a slice's step is positive.",
    ),
    Entry(
        "index-out-of-range",
        "index",
        list_index,
        "[1, 2, 3][3]",
        "Indices begin with 0: the last of n items is n - 1, or -1.",
    ),
    Entry(
        "index-shapes",
        "shape",
        shapes,
        "torch.rand(3, 4)[torch.tensor([0, 1]), torch.tensor([0, 1, 2])]",
        "Several index tensors are taken pair by pair: they must broadcast together.",
    ),
)
