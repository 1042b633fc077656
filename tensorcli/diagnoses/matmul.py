"""Diagnoses of matrix products and linear layers whose sizes do not go together."""

import ast
from collections.abc import Iterator
from itertools import combinations

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.arrays import is_array
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    constructor,
    product,
    reconstructed,
    renamed,
    resized,
    shape,
    suffix,
    suffixed,
    swapped_sizes,
    text_of,
    with_argument,
)
from tensorcli.diagnoses.messages import said

_PRODUCTS = {"matmul", "mm", "bmm", "mv", "dot", "vdot", "inner", "outer", "ger", "linear"}
_ADDED = {"addmm", "addmv", "addbmm", "baddbmm", "addmm_", "addmv_", "addbmm_", "baddbmm_"}


def _factors(failure: Failure) -> tuple[Operand, Operand] | None:
    """The two operands of a matrix product, whatever its spelling."""
    call = failure.call
    if call is None:
        return None
    first = 1 if call.name in _ADDED else 0
    if call.name not in _PRODUCTS | _ADDED:
        return None
    left = call.argument(first, "mat1", "batch1", "mat") if first else call.argument(0, "input", "self")
    right = call.argument(first + 1, "other", "mat2", "vec", "vec2", "batch2", "tensor", "weight")
    return (left, right) if left and right else None


def inner_sizes(failure: Failure) -> Finding | None:
    """A matrix product whose inner sizes differ."""
    factors = _factors(failure)
    if factors is None or failure.layer or not (said(failure, "inner sizes") or said(failure, "expand")):
        return None
    left, right = factors
    a, b = _sizes(left), _sizes(right)
    if not a or not b or failure.call is None:
        return None
    inner = b[-2] if len(b) > 1 and failure.call.name != "inner" else b[-1]
    if a[-1] == inner:
        return None
    if len(a) == len(b) == 1:
        title = f"the two vectors differ in size: {a[0]} and {b[0]}"
    else:
        title = f"the inner sizes differ: {_written(a)} @ {_written(b)} needs {a[-1]} = {inner}"
    turned = a[-1] in b or inner in a
    notes = (f"the sizes {a[-1]} and {inner} differ by one",) if abs(a[-1] - inner) == 1 and not turned else ()
    return Finding(title, notes, _product_edits(failure, left, right, a, b))


def _sizes(operand: Operand) -> tuple[int, ...] | None:
    """The sizes of a tensor or an array."""
    return tuple(operand.value.shape) if is_array(operand.value) else shape(operand)


def _written(sizes: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _product_edits(
    failure: Failure, left: Operand, right: Operand, a: tuple[int, ...], b: tuple[int, ...]
) -> Iterator[Edit]:
    """Edits of `left @ right`, likeliest first."""
    inner = b[-2] if len(b) > 1 and not (failure.call and failure.call.name == "inner") else b[-1]
    if len(a) == 3 and len(b) == 2 and b == (a[0], a[2]):
        yield suffix(failure, right, ".unsqueeze(-1)", title="one column vector per batch")
    if len(b) > 1 and a[-1] in b[-2:]:
        yield suffix(failure, right, _transpose(right, b), title="transpose the right side")
    if len(a) > 2 and product(a[1:]) == inner:
        yield suffix(failure, left, ".flatten(1)", title=f"flatten {brackets(a[1:])} to {inner}")
    if len(a) > 1 and product(a) == inner:
        yield suffix(failure, left, ".flatten()", title=f"flatten {brackets(a)} to {inner}")
    if len(a) > 1 and a[-2] == inner:
        yield suffix(failure, left, _transpose(left, a), title="transpose the left side")
    yield _swapped(failure, left, right)
    if len(a) > 1 and len(b) > 1:
        yield change(
            failure,
            (left, suffixed(failure, left, _transpose(left, a))),
            (right, suffixed(failure, right, _transpose(right, b))),
            title="transpose both sides",
        )
    if a[-1] in b or inner in a:
        pass  # something fits as it is
    elif a[-1] > inner:
        yield suffix(failure, left, f"[..., :{inner}]" if len(a) != 2 else f"[:, :{inner}]", title=f"the first {inner}")
    elif len(b) < 3:
        yield suffix(failure, right, f"[:{a[-1]}]", title=f"the first {a[-1]}")
    yield suffix(failure, left, ".unsqueeze(-1)", title="one column more")
    yield suffix(failure, right, ".unsqueeze(0)", title="one row")
    yield from resized(failure, right, a[-1], inner, dim=max(len(b) - 2, 0))
    yield from resized(failure, left, inner, a[-1], dim=len(a) - 1)
    if a == b and isinstance(failure.node, ast.BinOp):
        yield change(
            failure, (failure.node, f"{_side(failure, left)} * {_side(failure, right)}"), title="element by element"
        )


def _side(failure: Failure, operand: Operand) -> str:
    return suffixed(failure, operand, "")


def _transpose(operand: Operand, sizes: tuple[int, ...]) -> str:
    return ".T" if len(sizes) == 2 else ".swapaxes(-2, -1)" if is_array(operand.value) else ".transpose(-2, -1)"


def _swapped(failure: Failure, left: Operand, right: Operand) -> Edit:
    return change(failure, (left, _side(failure, right)), (right, _side(failure, left)), title="swap the two sides")


def linear(failure: Failure) -> Finding | None:
    """F.linear with a weight of the wrong orientation or size."""
    factors = _factors(failure)
    if factors is None or failure.layer or failure.call is None or failure.call.name != "linear":
        return None
    left, right = factors
    a, b = shape(left), shape(right)
    if not a or not b or not said(failure, "inner sizes"):
        return None
    title = f"F.linear takes a weight (out, in): {brackets(b)} takes {b[-1]} in, and {brackets(a)} has {a[-1]}"
    return Finding(title, (), _weight_edits(failure, left, right, a, b))


def _weight_edits(
    failure: Failure, left: Operand, right: Operand, a: tuple[int, ...], b: tuple[int, ...]
) -> Iterator[Edit]:
    if len(b) == 2 and b[0] == a[-1]:
        yield suffix(failure, right, ".T", title="the weight as (out, in)")
    if len(a) > 2 and product(a[1:]) == b[-1]:
        yield suffix(failure, left, ".flatten(1)", title="flatten all but the batch")
    if len(a) == 2 and a[0] == b[-1]:
        yield suffix(failure, left, ".T", title="transpose")
    if len(a) == 3 and a[1] == b[-1]:
        yield suffix(failure, left, ".transpose(1, 2)", title="features last")
    yield _swapped(failure, left, right)
    yield from resized(failure, right, a[-1], b[-1], dim=len(b) - 1)


def all_reversed(failure: Failure) -> Finding | None:
    """`q @ k.T` of more than two dimensions, all of which .T reverses."""
    for side in _factors(failure) or ():
        sizes = shape(side)
        if isinstance(side.node, ast.Attribute) and side.node.attr == "T" and sizes and len(sizes) > 2:
            owner = text_of(failure, side.node.value)
            title = (
                f"{owner}.T reverses all {len(sizes)} dimensions, to {brackets(sizes)}: {owner}.mT swaps the last two"
            )
            return Finding(title, (), [change(failure, (side, f"{owner}{end}")) for end in _LAST_TWO])
    return None


_LAST_TWO = (".mT", ".transpose(-2, -1)")


def batch_sizes(failure: Failure) -> Finding | None:
    """Batches of matrices of different numbers."""
    factors, call = _factors(failure), failure.call
    if call is not None and call.name == "scaled_dot_product_attention" and said(failure, "broadcast"):
        factors = (call.arguments[0], call.arguments[1]) if len(call.arguments) > 1 else None
    if factors is None or call is None or not (said(failure, "broadcast") or said(failure, "inner sizes")):
        return None
    left, right = factors
    a, b = shape(left), shape(right)
    if not a or not b or len(a) < 3 > len(b):
        return None
    sides = f"{brackets(a[:-2])} of {brackets(a[-2:])} and {brackets(b[:-2])} of {brackets(b[-2:])}"
    if a[:-2] == b[:-2] and a[-1] in b[-2:]:
        mask = call.keywords.get("attn_mask")
        sizes = shape(mask) or ()
        title = f"the mask {brackets(sizes)} does not fit the scores [..., {a[-2]}, {b[-2]}]"
        return Finding(title, (), [suffix(failure, mask, text) for text in ("[:, None, None]", "[:, None]", "[None]")])
    title = f"the batches of matrices differ: {sides}"
    return Finding(title, (), _batch_edits(failure, left, right, a, b))


def _batch_edits(
    failure: Failure, left: Operand, right: Operand, a: tuple[int, ...], b: tuple[int, ...]
) -> Iterator[Edit]:
    name = failure.call.name if failure.call else ""
    if name == "bmm" and 1 in (a[0], b[0]):
        yield renamed(failure, "matmul", title="matmul stretches a batch of one")
        for side, sizes, other in ((right, b, a), (left, a, b)):
            if sizes[0] == 1:
                yield suffix(failure, side, f".expand({other[0]}, -1, -1)", title="the one matrix for each")
    attention = name == "scaled_dot_product_attention"
    for side, sizes, other in ((right, b, a), (left, a, b)):
        for first, second in combinations(range(len(sizes)), 2):
            turned = list(sizes)
            turned[first], turned[second] = sizes[second], sizes[first]
            pair = (turned, list(other)) if side is left else (list(other), turned)
            if pair[0][:-2] == pair[1][:-2] and (attention or pair[0][-1] == pair[1][-2]):
                yield suffix(failure, side, f".transpose({first}, {second})", title="swap two dimensions")
    for side, sizes, other in ((right, b, a), (left, a, b)):
        if 2 < len(sizes) < len(other):
            for at in range(1, len(sizes) - 1):
                yield suffix(failure, side, f".unsqueeze({at})", title="a batch of one more")
        if len(sizes) > len(other) and 1 in sizes:
            yield suffix(failure, side, f".squeeze({sizes.index(1)})", title="without its size of 1")
    if len(a) == len(b) == 3 and name != "bmm":
        yield suffix(failure, left, ".unsqueeze(1)", title="every pair of the two batches")


def features(failure: Failure) -> Finding | None:
    """A linear layer whose in_features are not the input's last size."""
    layer = failure.layer
    if layer is None or type(layer.module).__name__ != "Linear" or not said(failure, "inner sizes"):
        return None
    given = tuple(int(size) for size in layer.inputs[0].shape) if layer.inputs else ()
    wanted = int(layer.module.in_features)
    if not given or given[-1] == wanted:
        return None
    what = f"the layer {layer.path}" if layer.path else "the layer"
    title = f"{what} takes {wanted} features, and the last size of its input {brackets(given)} is {given[-1]}"
    flat = f"{brackets(given[1:])} flattened is {wanted}: did you forget to flatten?"
    notes = (flat,) if product(given[1:]) == wanted else ()
    return Finding(title, notes, _feature_edits(failure, given, wanted))


def _feature_edits(failure: Failure, given: tuple[int, ...], wanted: int) -> Iterator[Edit]:
    call, layer = failure.call, failure.layer
    assert layer is not None
    direct = call.argument(0, "input") if call and not layer.path else None
    outer = call.argument(0, "input", "x") if call and layer.path else None
    if outer is not None and len(given) == 2 and product(given) == wanted and len(shape(outer) or ()) in (1, 3):
        yield suffix(failure, outer, ".unsqueeze(0)", title="a batch of one")
    if wanted == 1:
        yield suffix(failure, direct, ".unsqueeze(-1)", title="one feature")
    if given[-1] == layer.module.out_features:
        yield swapped_sizes(failure)
    if len(given) > 2 and product(given[1:]) == wanted:
        yield suffix(failure, direct, ".flatten(1)", title="flatten all but the batch")
    if product(given) == wanted:
        yield suffix(failure, direct, ".flatten()", title="flatten")
    if len(given) == 2 and given[0] == wanted:
        yield suffix(failure, direct, ".T", title="transpose")
    if len(given) == 3 and given[1] == wanted:
        yield suffix(failure, direct, ".transpose(1, 2)", title="features last")
    if len(given) == 4 and given[1] == wanted:
        yield suffix(failure, direct, ".permute(0, 2, 3, 1)", title="channels last")
    found = constructor(failure)
    if found and layer.path and len(given) > 2:
        written, made = found
        text = f"nn.Flatten(), {written.place_of(made).text}"
        yield Edit(((written, made, text),), "flatten before the layer")
        flat = reconstructed(failure, 0, "in_features", product(given[1:]))
        if flat.changes:
            node = flat.changes[0][1]
            start = written.place_of(made).text
            yield Edit(
                ((written, made, f"nn.Flatten(), {start.replace(written.place_of(node).text, flat.changes[0][2], 1)}"),)
            )
    yield reconstructed(failure, 0, "in_features", given[-1], title=f"a layer for {given[-1]} features")


_RANKS = {
    "mv": (2, 1), "mm": (2, 2), "bmm": (3, 3), "dot": (1, 1), "vdot": (1, 1), "outer": (1, 1), "ger": (1, 1),
    "addmm": (2, 2), "addmv": (2, 1), "addbmm": (3, 3), "baddbmm": (3, 3),
}  # fmt: skip


def ranks(failure: Failure) -> Finding | None:
    """A product that wants vectors, matrices or batches of them, and was given something else."""
    factors = _factors(failure)
    if factors is None or failure.call is None or not said(failure, "product ranks"):
        return None
    left, right = factors
    a, b = shape(left), shape(right)
    name = failure.call.name
    wanted = _RANKS.get(name)
    if a is None or b is None or wanted is None or (len(a), len(b)) == wanted:
        return None
    title = f"{name} multiplies {wanted[0]}-D by {wanted[1]}-D tensors, and was given {brackets(a)} and {brackets(b)}"
    return Finding(title, (), _rank_edits(failure, left, right, a, b))


def _rank_edits(
    failure: Failure, left: Operand, right: Operand, a: tuple[int, ...], b: tuple[int, ...]
) -> Iterator[Edit]:
    if failure.call and failure.call.name in ("dot", "vdot") and a == b and len(a) == 2 and 1 not in a:
        texts = [suffixed(failure, side, "") for side in (left, right)]
        yield change(
            failure, (failure.node, f"({' * '.join(texts)}).sum(dim=1)"), title="the product of each pair of rows"
        )
    if len(a) == 3 and len(b) == 2 and b == (a[0], a[2]):
        yield suffix(failure, right, ".unsqueeze(-1)", title="one column vector per batch")
    if len(b) == 3 and len(a) == 2 and a == b[:2]:
        yield suffix(failure, left, ".unsqueeze(1)", title="one row vector per batch")
    for side, sizes in ((right, b), (left, a)):
        if (
            len(sizes) == 2
            and 1 in sizes
            and failure.call
            and failure.call.name in ("mv", "dot", "outer", "ger", "addmv")
        ):
            yield suffix(failure, side, f".squeeze({sizes.index(1)})", title="as a vector")
    if failure.call and failure.call.name in ("dot", "vdot") and product(a) == product(b) == max((*a, *b)):
        flat = [(side, suffixed(failure, side, ".flatten()")) for side in (left, right) if len(shape(side) or ()) != 1]
        yield change(failure, *flat, title="as vectors")
    yield renamed(failure, "matmul", title="matmul takes any number of dimensions")
    yield suffix(failure, right, ".unsqueeze(0)", title="a batch of one")
    yield suffix(failure, left, ".unsqueeze(0)", title="a batch of one")
    if failure.call and failure.call.form == "function":
        for transposed, sizes in ((right, b), (left, a)):
            if len(sizes) > 1:
                text = suffixed(failure, transposed, _transpose(transposed, sizes))
                yield change(failure, (failure.node, _as_matmul(failure, left, right, transposed, text)))


def _as_matmul(failure: Failure, left: Operand, right: Operand, replaced: Operand, text: str) -> str:
    sides = [text if side is replaced else text_of(failure, side.node) for side in (left, right) if side.node]
    return f"torch.matmul({', '.join(sides)})"


def contracted(failure: Failure) -> Finding | None:
    """A tensordot whose dimensions to sum over differ in size."""
    match, call = said(failure, "contracted"), failure.call
    left, right = (call.argument(0, "a"), call.argument(1, "b")) if call else (None, None)
    a, b = shape(left), shape(right)
    if not match or call is None or not a or not b:
        return None
    title = f"the sizes summed over differ: {match[1]} of {brackets(a)} and {match[2]} of {brackets(b)}"
    return Finding(title, (), _contracted_edits(failure, a, b))


def _contracted_edits(failure: Failure, a: tuple[int, ...], b: tuple[int, ...]) -> Iterator[Edit]:
    given = failure.call.argument(2, "dims") if failure.call else None
    pairs = [(i, j) for i in reversed(range(len(a))) for j in range(len(b)) if a[i] == b[j]]
    if a[-1] == b[0] and (given is None or not isinstance(given.node, ast.Tuple | ast.List)):
        yield with_argument(failure, 2, ("dims",), "1", title="the last dimension with the first")
    for i, j in pairs:
        yield with_argument(failure, 2, ("dims",), f"([{i}], [{j}])", title=f"dimension {i} with dimension {j}")


ENTRIES = (
    Entry(
        "transpose-all",
        "shape",
        all_reversed,
        "q = torch.rand(2, 8, 16)\nk = torch.rand(2, 8, 16)\nq @ k.T",
        ".T is for matrices: x.mT, or x.transpose(-2, -1), transposes each matrix of a batch.",
    ),
    Entry(
        "linear-features",
        "shape",
        features,
        "layer = nn.Linear(20, 5)\nlayer(torch.rand(8, 30))",
        "nn.Linear(in_features, out_features) takes inputs whose last size is in_features.",
    ),
    Entry(
        "linear-features",
        "shape",
        linear,
        "F.linear(torch.rand(8, 20), torch.rand(20, 5))",
        "F.linear takes a weight (out, in), as nn.Linear keeps it.",
    ),
    Entry(
        "matmul-inner-sizes",
        "shape",
        inner_sizes,
        "torch.rand(3, 2) @ torch.rand(3, 2)",
        "In A @ B the last size of A must equal the size before the last of B: (n, k) @ (k, m) gives (n, m).",
    ),
    Entry(
        "einsum-sizes",
        "shape",
        contracted,
        "torch.tensordot(torch.rand(7, 12), torch.rand(4, 12), dims=1)",
        "tensordot sums over dimensions of equal sizes: the last ones of a with the first ones of b, or those named.",
    ),
    Entry(
        "matmul-batch-sizes",
        "shape",
        batch_sizes,
        "torch.rand(2, 3, 4) @ torch.rand(5, 4, 6)",
        "In a product of batches the sizes before the last two must be equal, or 1.",
    ),
    Entry(
        "matmul-ranks",
        "shape",
        ranks,
        "torch.mm(torch.rand(8, 3, 4), torch.rand(4, 5))",
        "mm takes matrices, mv a matrix and a vector, bmm batches of matrices, dot vectors; matmul takes them all.",
    ),
)
