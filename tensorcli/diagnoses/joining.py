"""Diagnoses of cat, stack and einsum, and of lists that make no tensor."""

import ast
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    is_tensor,
    renamed,
    suffixed,
    text_of,
    with_argument,
)
from tensorcli.diagnoses.messages import said

Sizes = tuple[int, ...]


def _items(failure: Failure) -> tuple[Operand, list[Operand], list[Sizes]] | None:
    """The sequence given to cat or stack, its items where they are spelt out, and the shapes of all."""
    call = failure.call
    given = call.argument(0, "tensors") if call else None
    if given is None or not isinstance(given.value, list | tuple):
        return None
    values: Sequence[Any] = given.value
    if not values or not all(is_tensor(value) for value in values):
        return None
    nodes = given.node.elts if isinstance(given.node, ast.List | ast.Tuple) else []
    items = []
    if len(nodes) == len(values):
        items = [Operand(text_of(failure, node), value, node) for node, value in zip(nodes, values, strict=True)]
    return given, items, [tuple(int(size) for size in value.shape) for value in values]


_STACKS = ("stack", "vstack", "hstack", "dstack", "column_stack", "row_stack")


def sizes(failure: Failure) -> Finding | None:
    """Tensors to join whose other sizes differ."""
    match, stacked, call = said(failure, "cat"), said(failure, "stack"), failure.call
    found = _items(failure) if (match or stacked) and call else None
    if found is None or call is None:
        return None
    _given, items, shapes = found
    at = int((match and match[4]) or (stacked and stacked[2]) or 1)
    first, other = brackets(shapes[0]), brackets(shapes[min(at, len(shapes) - 1)])
    if call.name in _STACKS:
        return None
    dim = int(match[1]) if match else 0
    title = f"{call.name} along dimension {dim} needs all other sizes equal, and {first} and {other} differ there"
    return Finding(title, (), _cat_edits(failure, items, shapes, dim))


def _cat_edits(failure: Failure, items: list[Operand], shapes: list[Sizes], dim: int) -> Iterator[Edit]:
    call = failure.call
    assert call is not None
    for other in _joinable(shapes):
        yield with_argument(failure, 1, ("dim", "axis"), str(other), title=f"along dimension {other}")
    yield from _transposed(failure, items, shapes, dim)
    yield from _raised(failure, items, shapes, dim)
    yield from _padded(failure)


def _joinable(shapes: list[Sizes]) -> list[int]:
    """The dimensions along which tensors could be joined."""
    ranks = {len(sizes) for sizes in shapes}
    if len(ranks) != 1:
        return []
    return [dim for dim in range(ranks.pop()) if len({sizes[:dim] + sizes[dim + 1 :] for sizes in shapes}) == 1]


def _transposed(failure: Failure, items: list[Operand], shapes: list[Sizes], dim: int) -> Iterator[Edit]:
    """An item turned so that it fits the first, or the first turned to fit the others."""
    for k in [*range(1, len(items)), *range(min(len(items), 1))]:
        fixed = shapes[0 if k else -1]
        mine = shapes[k]
        if len(mine) == 2 and len(fixed) <= 2:
            yield change(failure, (items[k], suffixed(failure, items[k], ".T")), title="transpose")
        elif len(mine) == len(fixed) and len(mine) in (3, 4):
            for order in permutations(range(len(mine))):
                moved = tuple(mine[d] for d in order)
                if all(x == y for d, (x, y) in enumerate(zip(moved, fixed, strict=True)) if d != dim):
                    swapped = [d for d, p in enumerate(order) if d != p]
                    text = f".transpose{tuple(swapped)}" if len(swapped) == 2 else f".permute{order}"
                    yield change(failure, (items[k], suffixed(failure, items[k], text)), title="reorder its dimensions")


def _raised(failure: Failure, items: list[Operand], shapes: list[Sizes], dim: int) -> Iterator[Edit]:
    """Items of fewer dimensions with one more."""
    rank = max(len(sizes) for sizes in shapes)
    low = [k for k in range(len(items)) if len(shapes[k]) == rank - 1]
    for at in dict.fromkeys((dim % max(rank, 1), 0, *range(rank))):
        pairs = [(items[k], suffixed(failure, items[k], f".unsqueeze({at})")) for k in low]
        if pairs:
            yield change(failure, *pairs, title="as one row more" if at == 0 else "one dimension more")
    high = [k for k in range(len(items)) if len(shapes[k]) == rank and 1 in shapes[k]]
    for k in high if low else []:
        at = shapes[k].index(1)
        yield change(failure, (items[k], suffixed(failure, items[k], f".squeeze({at})")), title="without its size of 1")


def _padded(failure: Failure) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    given = call.argument(0, "tensors") if call else None
    if isinstance(node, ast.Call) and given is not None:
        text = f"nn.utils.rnn.pad_sequence({given.text}, batch_first=True)"
        yield change(failure, (node, text), title="shorter ones filled up with zeros")


def ranks(failure: Failure) -> Finding | None:
    """Tensors to concatenate that have different numbers of dimensions."""
    call = failure.call
    found = _items(failure) if call and (said(failure, "cat ranks") or said(failure, "dim")) else None
    if found is None or call is None or call.name not in ("cat", "concat", "concatenate"):
        return None
    _, items, shapes = found
    if len({len(sizes) for sizes in shapes}) == 1 and shapes[0]:
        return None
    different = [brackets(sizes) for sizes in dict.fromkeys(shapes)]
    title = f"{call.name} needs tensors of one number of dimensions, and was given {' and '.join(different[:3])}"
    return Finding(title, (), _rank_edits(failure, items, shapes))


def _rank_edits(failure: Failure, items: list[Operand], shapes: list[Sizes]) -> Iterator[Edit]:
    call = failure.call
    assert call is not None
    dim = call.argument(1, "dim")
    if all(sizes == () for sizes in shapes):
        yield renamed(failure, "stack", title="numbers are stacked")
    elif () in shapes:
        pairs = [
            (item, suffixed(failure, item, ".unsqueeze(0)"))
            for item, sizes in zip(items, shapes, strict=False)
            if not sizes
        ]
        yield change(failure, *pairs, title="numbers as vectors of one")
    yield from _raised(failure, items, shapes, int(dim.value) if dim and type(dim.value) is int else 0)
    if dim is None:
        for other in (1, -1):
            rank = max(len(sizes) for sizes in shapes)
            low = [k for k in range(len(items)) if len(shapes[k]) == rank - 1]
            node = failure.node
            if low and isinstance(node, ast.Call):
                pairs = [(items[k], suffixed(failure, items[k], f".unsqueeze({other})")) for k in low]
                last = node.args[-1] if node.args else None
                if last is not None and len(node.args) == 1:
                    yield Edit((*change(failure, *pairs).changes,), "a column")


def stack_sizes(failure: Failure) -> Finding | None:
    """Tensors to stack whose sizes differ."""
    call = failure.call
    found = (
        _items(failure)
        if call and (said(failure, "stack") or said(failure, "cat") or said(failure, "cat ranks"))
        else None
    )
    if found is None or call is None or call.name not in _STACKS:
        return None
    _, items, shapes = found
    different = list(dict.fromkeys(shapes))
    title = f"{call.name} needs tensors that go together, and was given {' and '.join(map(brackets, different[:3]))}"
    if call.name == "stack":
        title = f"stack needs tensors of equal sizes, and was given {' and '.join(map(brackets, different[:3]))}"
    return Finding(title, (), _stack_edits(failure, items, shapes))


def _stack_edits(failure: Failure, items: list[Operand], shapes: list[Sizes]) -> Iterator[Edit]:
    call = failure.call
    assert call is not None
    if call.name == "stack":
        squeezed = [
            change(
                failure,
                (items[k], suffixed(failure, items[k], f".squeeze({sizes.index(1)})")),
                title="without its size of 1",
            )
            for k, sizes in enumerate(shapes[: len(items)])
            if 1 in sizes and len(sizes) == max(map(len, shapes)) > min(map(len, shapes))
        ]
        yield from squeezed
        yield from _transposed(failure, items, shapes, -1) if _turned(shapes) else ()
        if not items and all(len(sizes) == 1 for sizes in shapes):
            yield from _padded(failure)
        if 0 in _joinable(shapes):
            yield renamed(failure, "cat", title="one after the other")
        for dim in filter(None, _joinable(shapes)):
            node = failure.node
            given = call.argument(0, "tensors")
            if isinstance(node, ast.Call) and given is not None:
                owner = text_of(failure, node.func).rpartition(".")[0]
                name = f"{owner}.cat" if owner else "cat"
                yield change(failure, (node, f"{name}({given.text}, dim={dim})"), title=f"side by side along {dim}")
        yield from _padded(failure)
        yield from _raised(failure, items, shapes, 0)
        return
    if call.name == "column_stack":
        yield from _transposed(failure, items, shapes, 1)
    for name in ("hstack", "vstack", "column_stack", "dstack"):
        if name != call.name and not (call.name == "column_stack" and name == "hstack" and len(shapes[0]) > 1):
            yield renamed(failure, name, title={"hstack": "side by side", "vstack": "below each other"}.get(name, ""))
    yield from _transposed(failure, items, shapes, {"vstack": 0, "row_stack": 0}.get(call.name, 1))
    yield from _raised(failure, items, shapes, 1)
    yield renamed(failure, "cat", title="one after the other")
    yield from _padded(failure)


def _turned(shapes: list[Sizes]) -> bool:
    return len({tuple(sorted(sizes)) for sizes in shapes}) == 1


def ragged(failure: Failure) -> Finding | None:
    """Lists of uneven lengths, or of tensors, given to torch.tensor."""
    call = failure.call
    given = call.argument(0, "data", "obj") if call else None
    if call is None or given is None or not isinstance(given.value, list | tuple) or not given.value:
        return None
    rows = given.value
    if any(is_tensor(row) for row in rows) and said(failure, "list of tensors"):
        title = f"torch.{call.name} makes a tensor of numbers, and this is a list of {len(rows)} tensors"
        return Finding(title, (), _stacked(failure, given))
    if not (said(failure, "ragged") and all(isinstance(row, list | tuple | int | float) for row in rows)):
        return None
    uneven = _uneven(rows) or rows
    lengths = _lengths(uneven)
    different = " and ".join(str(n) if n else "a plain number" for n in list(dict.fromkeys(lengths))[:3])
    title = f"the rows of a tensor have one length, and these have {different}"
    return Finding(title, (), _filled(failure, given, lengths) if uneven is rows else ())


def _lengths(rows: Any) -> list[int]:
    """The lengths of rows; a plain number has none."""
    return [len(row) if isinstance(row, list | tuple) else 0 for row in rows]


def _uneven(rows: Any) -> Any:
    """The outermost list whose rows differ in length; None where all are of one."""
    if len(set(_lengths(rows))) > 1:
        return rows
    inner = (_uneven(row) for row in rows if isinstance(row, list | tuple))
    return next((found for found in inner if found is not None), None)


def _stacked(failure: Failure, given: Operand) -> Iterator[Edit]:
    node = failure.node
    yield change(failure, (node, f"torch.stack({given.text})"), title="one tensor of them all")
    yield change(failure, (node, f"torch.cat({given.text})"), title="one after the other")
    yield change(failure, (node, f"nn.utils.rnn.pad_sequence({given.text}, batch_first=True)"), title="filled up")


def _filled(failure: Failure, given: Operand, lengths: list[int]) -> Iterator[Edit]:
    longest = max(lengths)
    node = given.node
    rows = node.elts if isinstance(node, ast.List | ast.Tuple) else []
    short = [(row, n) for row, n in zip(rows, lengths, strict=False) if n < longest and isinstance(row, ast.List)]
    if rows and len(short) == sum(n < longest for n in lengths):
        zero = "0.0" if "." in given.text else "0"
        pairs = []
        for row, n in short:
            text = text_of(failure, row)
            pairs.append((row, f"{text[:-1]}{', ' if n else ''}{', '.join([zero] * (longest - n))}]"))
        yield change(failure, *pairs, title="shorter rows filled up with zeros")
    text = f"nn.utils.rnn.pad_sequence([torch.tensor(row) for row in {given.text}], batch_first=True)"
    yield change(failure, (failure.node, text), title="shorter rows filled up with zeros")
    yield change(failure, (failure.node, f"[torch.tensor(row) for row in {given.text}]"), title="a list of tensors")


# einsum.


def einsum(failure: Failure) -> Finding | None:
    """An einsum whose equation does not fit its operands."""
    call = failure.call
    if call is None or call.name != "einsum" or not failure.message.startswith("einsum()"):
        return None
    equation = call.argument(0, "equation")
    tensors = [operand for operand in call.arguments if is_tensor(operand.value)]
    if equation is None or not isinstance(equation.value, str):
        return None
    match, repeated = said(failure, "einsum sizes"), said(failure, "einsum repeated")
    shapes = [tuple(int(size) for size in operand.value.shape) for operand in tensors]
    if match or repeated:
        title = f"a subscript stands for two sizes in one tensor: {' and '.join(map(brackets, shapes))}"
        if match:
            title = f"the subscript {match[1]} stands for {match[2]} and for {match[3]}, and these differ"
        return Finding(title, (), _einsum_edits(failure, equation, shapes, tensors))
    return None


def einsum_subscripts(failure: Failure) -> Finding | None:
    """An einsum whose equation is not one, or has another number of subscripts or operands."""
    call = failure.call
    if call is None or call.name != "einsum" or not failure.message.startswith("einsum()"):
        return None
    equation = call.argument(0, "equation")
    tensors = [operand for operand in call.arguments if is_tensor(operand.value)]
    shapes = [tuple(int(size) for size in operand.value.shape) for operand in tensors]
    title = failure.message.removeprefix("einsum(): ").split("\n")[0]
    if equation is None or not isinstance(equation.value, str):
        return Finding(title)
    written = equation.value
    inputs = written.replace(" ", "").split("->")[0].split(",")
    given = " and ".join(map(brackets, shapes))
    if len(inputs) != len(shapes):
        title = f"the equation {written!r} has {len(inputs)} inputs, and {len(shapes)} tensors are given"
    elif "number of subscripts" in failure.message:
        title = f"the subscripts of {written!r} do not fit the numbers of dimensions of {given}"
    return Finding(title, (), _einsum_edits(failure, equation, shapes, tensors))


def _einsum_edits(failure: Failure, equation: Operand, shapes: list[Sizes], tensors: list[Operand]) -> Iterator[Edit]:
    text = str(equation.value)
    if len(tensors) == 1 and text.count(",") == 1:
        match tensors[0].node:
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                both = f"{text_of(failure, left)}, {text_of(failure, right)}"
                yield change(failure, (tensors[0], both), title="two operands")
    tried = set()
    for new, title in _equations(text, shapes):
        if new != text and new not in tried:
            tried.add(new)
            quote = "'" if equation.text.startswith("'") else '"'
            yield change(failure, (equation, f"{quote}{new}{quote}"), title=title)
    if len(tensors) == 1 and len(shapes[0]) == 2 and shapes[0][0] != shapes[0][1]:
        n = min(shapes[0])
        index = f"[:, :{n}]" if shapes[0][1] > n else f"[:{n}]"
        yield change(failure, (tensors[0], suffixed(failure, tensors[0], index)), title=f"the square of {n}")
    if len(tensors) == 2 and all(operand.node for operand in tensors):
        one, two = tensors
        pairs = (one, text_of(failure, two.node or ast.Pass())), (two, text_of(failure, one.node or ast.Pass()))
        yield change(failure, *pairs, title="swap the two operands")


def _equations(text: str, shapes: list[Sizes]) -> Iterator[tuple[str, str]]:
    """Other equations that may have been meant, likeliest first."""
    plain = text.replace(" ", "")
    for wrong, right in ((";", ","), ("=>", "->"), ("=", "->"), ("-->", "->"), ("→", "->"), ("|", ","), (".", ",")):
        if wrong in plain:
            yield plain.replace(wrong, right), f"{right} for {wrong}"
    if "->" not in plain:
        yield plain.replace(">", "->"), "an arrow is ->"
        yield plain.replace("-", "->"), "an arrow is ->"
    left, arrow, right = plain.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        if len(inputs) == 1 and len(left) == sum(map(len, shapes)):
            cut = len(shapes[0])
            yield f"{left[:cut]},{left[cut:]}{arrow}{right}", "a comma between the inputs"
        if len(inputs) > len(shapes):
            kept = inputs[: len(shapes)]
            yield f"{','.join(kept)}{arrow}{''.join(c for c in right if c in ''.join(kept))}", "an input less"
        if len(inputs) == len(shapes) - 1 and right:
            fresh = _fresh(plain)
            letters = right[-1] + "".join(fresh[: max(len(shapes[-1]) - 1, 0)])
            yield f"{left},{letters}{arrow}{right[:-1]}{letters[1:]}", "an input more"
        return
    wrong_letters = [c for c in right if c.isalpha() and c not in left]
    for letter in wrong_letters:
        for other in dict.fromkeys(c for c in left if c.isalpha() and c not in right):
            yield f"{left}->{right.replace(letter, other)}", f"{other} for {letter}"
        yield f"{left}->{right.replace(letter, '')}", f"without {letter}"
    for letter in dict.fromkeys(c for c in right if right.count(c) > 1):
        at = right.rindex(letter)
        for other in dict.fromkeys(c for c in left if c.isalpha() and c not in right):
            yield f"{left}->{right[:at]}{other}{right[at + 1 :]}", f"{other} for one {letter}"
        yield f"{left}->{right[:at]}{right[at + 1 :]}", f"{letter} once"
    yield from _other_ranks(inputs, right, arrow, shapes)
    # The subscripts of one input in another order: it is used transposed.
    for k in reversed(range(len(inputs))):
        if 2 <= len(inputs[k]) <= 4 and len(inputs[k]) == len(shapes[k]):
            for order in permutations(inputs[k]):
                other_inputs = [*inputs[:k], "".join(order), *inputs[k + 1 :]]
                if _consistent(other_inputs, shapes):
                    yield f"{','.join(other_inputs)}{arrow}{right}", "its dimensions in this order"
    yield from _two_letters(inputs, right, arrow, shapes)


def _fresh(used: str) -> list[str]:
    """Letters that an equation does not use, the next ones in the alphabet first."""
    last = max((c for c in used if c.isalpha()), default="h")
    letters = "abcdefghijklmnopqrstuvwxyz"
    at = letters.index(last.lower()) + 1
    return [c for c in letters[at:] + letters[:at] if c not in used]


def _two_letters(inputs: list[str], right: str, arrow: str, shapes: list[Sizes]) -> Iterator[tuple[str, str]]:
    """Another letter for a second size: of rows that are many in one input and fewer in another."""
    if len(inputs) != 2:
        return
    first, second = inputs
    sizes = dict(zip(first, shapes[0], strict=False))
    wrong = [c for c, size in zip(second, shapes[1], strict=False) if c in sizes and sizes[c] != size]
    if len(wrong) == 1 and wrong[0] in right:
        fresh = _fresh(first + second + right)[0]
        output = right.replace(wrong[0], wrong[0] + fresh)
        yield f"{first},{second.replace(wrong[0], fresh)}{arrow}{output}", f"{fresh} for the second size"


def _consistent(inputs: list[str], shapes: list[Sizes]) -> bool:
    sizes: dict[str, int] = {}
    for letters, shape in zip(inputs, shapes, strict=True):
        if len(letters) != len(shape):
            return False
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size and 1 not in (size, sizes[letter]):
                return False
    return True


def _other_ranks(inputs: list[str], right: str, arrow: str, shapes: list[Sizes]) -> Iterator[tuple[str, str]]:
    """Equations with the letters that operands have more, or fewer, than the equation."""
    more = [k for k, (letters, shape) in enumerate(zip(inputs, shapes, strict=True)) if len(shape) == len(letters) + 1]
    fewer = [k for k, (letters, shape) in enumerate(zip(inputs, shapes, strict=True)) if len(shape) == len(letters) - 1]
    fresh = next(c for c in "bnzyxwvut" if c not in "".join([*inputs, right]))
    for k in more:  # the letter may be one that another input has for this size
        known = {
            c: s
            for letters, shape in zip(inputs, shapes, strict=True)
            if len(letters) == len(shape)
            for c, s in zip(letters, shape, strict=True)
        }
        for c in known:
            if c not in inputs[k]:
                for grown in (c + inputs[k], inputs[k] + c):
                    rest = [*inputs[:k], grown, *inputs[k + 1 :]]
                    if _consistent(rest, shapes):
                        yield f"{','.join(rest)}{arrow}{right}", f"{c} for its other size"
    if more and "..." not in "".join(inputs):
        batched = [f"{fresh}{letters}" if k in more else letters for k, letters in enumerate(inputs)]
        yield f"{','.join(batched)}{arrow}{fresh}{right}" if arrow else ",".join(batched), f"{fresh} for the batch"
        trailing = [f"{letters}{fresh}" if k in more else letters for k, letters in enumerate(inputs)]
        yield f"{','.join(trailing)}{arrow}{right}{fresh}", "one subscript more"
    fits = [(k, at) for k in fewer for at in range(len(inputs[k]))]
    for k, at in sorted(
        fits, key=lambda place: inputs[place[0]][place[1]] in "".join(inputs[: place[0]] + inputs[place[0] + 1 :])
    ):
        for gone in inputs[k][at]:
            rest = [*inputs[:k], inputs[k][:at] + inputs[k][at + 1 :], *inputs[k + 1 :]]
            output = right if gone in "".join(rest) else right.replace(gone, "")
            if _consistent(rest, shapes):
                yield f"{','.join(rest)}{arrow}{output}", f"without {gone}"


ENTRIES = (
    Entry(
        "stack-sizes",
        "shape",
        stack_sizes,
        "torch.stack([torch.rand(3), torch.rand(4)])",
        "stack makes a new dimension of tensors of equal sizes; cat joins along one that is there.",
    ),
    Entry(
        "cat-sizes",
        "shape",
        sizes,
        "torch.cat([torch.rand(2, 3), torch.rand(2, 4)])",
        "cat joins along one dimension, 0 unless told: all other sizes must be equal.",
    ),
    Entry(
        "cat-ranks",
        "shape",
        ranks,
        "torch.cat([torch.rand(2, 3), torch.rand(3)])",
        "cat joins tensors of the same number of dimensions: unsqueeze the one that has fewer.",
    ),
    Entry(
        "ragged-list",
        "shape",
        ragged,
        "torch.tensor([[1, 2], [3]])",
        "A tensor has rows of one length; torch.stack makes one tensor of a list of tensors.",
    ),
    Entry(
        "einsum-sizes",
        "shape",
        einsum,
        "torch.einsum('ij,jk->ik', torch.rand(3, 4), torch.rand(5, 4))",
        "A letter of an einsum equation stands for one size wherever it stands.",
    ),
    Entry(
        "einsum-subscripts",
        "shape",
        einsum_subscripts,
        "torch.einsum('ij,jk->il', torch.rand(3, 4), torch.rand(4, 5))",
        "An einsum equation has one group of letters for each tensor, one letter for each dimension.",
    ),
)
