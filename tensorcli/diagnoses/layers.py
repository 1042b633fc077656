"""Diagnoses of convolutions, pooling, normalisation, recurrent and attention layers: channels, ranks, features."""

import ast
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tensorcli import units
from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    constructor,
    is_tensor,
    keyword,
    reconstructed,
    resized,
    shape,
    suffix,
    suffixed,
    swapped_sizes,
    text_of,
    with_keyword,
)
from tensorcli.diagnoses.messages import said

Sizes = tuple[int, ...]


def _input(failure: Failure) -> tuple[Operand | None, Sizes]:
    """The operand to edit, where the layer was called directly, and the shape that the failing layer was given."""
    call, layer = failure.call, failure.layer
    operand = call.argument(0, "input", "x") if call and not (layer and layer.path) else None
    known = shape(operand)  # a layer may have turned its input by now
    if layer is not None and layer.inputs and not known:
        return operand, tuple(int(size) for size in layer.inputs[0].shape)
    return operand, known or ()


def _first(failure: Failure) -> tuple[Operand | None, Sizes]:
    """The input of the whole model, where that is what the failing layer was given."""
    operand, have = _input(failure)
    if operand is None and failure.call and failure.layer and failure.layer.inputs:
        outer = failure.call.argument(0, "input", "x")
        if shape(outer) == have:
            return outer, have
    return operand, have


def _named(failure: Failure) -> str:
    if failure.layer is None:
        return failure.call.name if failure.call else "the layer"
    name = type(failure.layer.module).__name__
    return f"{name} {failure.layer.path}" if failure.layer.path else name


# Convolutions and pooling.


def channels(failure: Failure) -> Finding | None:
    """A convolution whose input has other channels than its weight."""
    match = said(failure, "channels")
    if not match:
        return None
    operand, have = _first(failure)
    wanted, given = int(match[2]), int(match[3])
    title = f"{_named(failure)} takes {units.plural(wanted, 'channel')}, and its input {brackets(have)} has {given}"
    rank = len(have)
    notes = []
    if have and have[-1] == wanted:
        notes.append("the channels seem to be last; torch wants them before the sizes: (batch, channels, ...)")
    return Finding(title, tuple(notes), _channel_edits(failure, operand, have, wanted, given, rank))


def _channel_edits(
    failure: Failure, operand: Operand | None, have: Sizes, wanted: int, given: int, rank: int
) -> Iterator[Edit]:
    name = _kind(failure)
    spatial = next((n for n in (1, 2, 3) if f"{n}d" in name), 2)
    unbatched = rank == spatial + 1
    weight = failure.call.argument(1, "weight") if failure.call and failure.call.form == "function" else None
    w = shape(weight)
    node = failure.node
    if w and wanted == 1 and given > 1 and w[0] % given == 0 and isinstance(node, ast.Call):
        text = with_keyword(text_of(failure, node), f"groups={given}")
        yield change(failure, (node, text), title="each channel by itself")
    if have and have[-1] == wanted and wanted != given:
        yield suffix(failure, operand, _channels_first(rank, unbatched), title="channels first")
    for d in range(2, rank - 1):
        if have[d] == wanted and not unbatched:
            yield suffix(failure, operand, f".transpose(1, {d})", title="channels second")
    if getattr(failure.layer and failure.layer.module, "out_channels", None) == given:
        yield swapped_sizes(failure)
    if unbatched and wanted == 1:
        yield suffix(failure, operand, ".unsqueeze(1)", title="a channel for each of the batch")
        yield suffix(failure, operand, ".unsqueeze(0)", title="one channel")
    if rank > 2 and have[0] == wanted and not unbatched:
        yield suffix(failure, operand, ".transpose(0, 1)", title="swap batch and channels")
    if unbatched and rank > 2 and have[1] == wanted:
        yield suffix(failure, operand, ".transpose(0, 1)", title="channels first")
    yield reconstructed(failure, 0, "in_channels", given, title=f"a layer for {units.plural(given, 'channel')}")
    if given == 1 and operand is not None and not unbatched:
        spread = ", ".join(["-1", str(wanted), *["-1"] * spatial])
        yield suffix(failure, operand, f".expand({spread})", title=f"the one channel {wanted} times")
    if given == 1 and unbatched:
        spread = ", ".join([str(wanted), *["-1"] * spatial])
        yield suffix(failure, operand, f".expand({spread})", title=f"the one channel {wanted} times")
    if w and len(w) > 1 and given in w[:2]:
        yield suffix(failure, weight, ".transpose(0, 1)", title="swap the weight's channels")
    if w and len(w) > 1 and w[-1] == given:
        order = "3, 2, 0, 1" if len(w) == 4 else "2, 1, 0"
        yield suffix(failure, weight, f".permute({order})", title="the weight's channels first")
    if wanted < given and operand is not None:
        index = f":{wanted}" if unbatched else f":, :{wanted}"
        yield suffix(
            failure, operand, f"[{index}]", title=f"the first {wanted} channels" if wanted > 1 else "the first channel"
        )
    if wanted == 1 and not unbatched:
        yield suffix(failure, operand, ".mean(1, keepdim=True)", title="the mean of the channels")


def _kind(failure: Failure) -> str:
    if failure.layer is not None:
        return type(failure.layer.module).__name__
    return failure.call.name if failure.call else ""


def _channels_first(rank: int, unbatched: bool) -> str:
    if rank == 2:
        return ".T"
    if rank == 3 and not unbatched:
        return ".transpose(1, 2)"
    order = [rank - 1, *range(rank - 1)] if unbatched else [0, rank - 1, *range(1, rank - 1)]
    return f".permute({', '.join(map(str, order))})"


def input_rank(failure: Failure) -> Finding | None:
    """A convolution, pooling or interpolation whose input has the wrong number of dimensions."""
    operand, have = _first(failure)
    if not have or not (said(failure, "layer rank") or said(failure, "weight rank")):
        return None
    weight = failure.call.argument(1, "weight") if failure.call else None
    if said(failure, "weight rank") and weight is not None:
        given = shape(weight) or ()
        title = f"the weight of a convolution is (out, in, sizes), and {weight.text} is {brackets(given)}"
        return Finding(title, (), [suffix(failure, weight, "[None, None]", title="one channel out, one in")])
    name = _kind(failure)
    spatial = next((n for n in (1, 2, 3) if f"{n}d" in name.lower()), max(len(have) - 1, 1))
    sizes = "length" if spatial == 1 else ", ".join(("depth", "height", "width")[-spatial:])
    w = shape(weight) if weight is not None and "conv" in name else None
    if w and weight and len(w) != spatial + 2 and len(have) in (spatial + 1, spatial + 2):
        title = (
            f"{name} takes a weight of {spatial + 2} dimensions, (out, in, {sizes}), and {weight.text} is {brackets(w)}"
        )
        texts = (".unsqueeze(0)", ".unsqueeze(1)", "[None, None]", ".squeeze(0)", ".squeeze(1)", ".squeeze(-1)")
        return Finding(title, (), [suffix(failure, weight, text) for text in texts])
    wants = f"(batch, channels, {sizes})"
    title = f"{_named(failure)} takes {spatial + 2} dimensions, {wants}, and its input {brackets(have)} has {len(have)}"
    return Finding(title, (), _rank_edits(failure, operand, have, spatial))


def _rank_edits(failure: Failure, operand: Operand | None, have: Sizes, spatial: int) -> Iterator[Edit]:
    missing = spatial + 2 - len(have)
    module = failure.layer.module if failure.layer else None
    wanted = getattr(module, "in_channels", None)
    weight = shape(failure.call.argument(1, "weight")) if failure.call and failure.call.form == "function" else None
    if weight and len(weight) > 1 and "conv" in _kind(failure):
        wanted = weight[1]
        if len(weight) == len(have) - 1:
            yield suffix(failure, failure.call.argument(1, "weight") if failure.call else None, ".unsqueeze(0)")
    if missing == 2 and len(have) == 2 and wanted and have[0] != have[1]:
        side = math.isqrt(have[1] // wanted)
        if side > 1 and side * side * wanted == have[1] and spatial == 2:
            yield suffix(failure, operand, f".view(-1, {wanted}, {side}, {side})", title="as images")
    if missing == 2 and len(have) == 2 and have[1] == wanted:
        yield suffix(failure, operand, "[:, :, None, None]", title="images of one pixel")
    if missing == 2:
        yield suffix(failure, operand, "[None, None]", title="a batch of one, one channel")
        yield suffix(failure, operand, ".unsqueeze(0)", title="one channel")
    if missing == 1:
        yield suffix(failure, operand, ".unsqueeze(0)", title="a batch of one")
        yield suffix(failure, operand, ".unsqueeze(1)", title="one channel")
    if missing == 3:
        yield suffix(failure, operand, "[None, None, :, None]")
    if missing == -1:
        if have[1] == 1:
            yield suffix(failure, operand, ".squeeze(1)", title="without its size of 1")
        if have[-1] == 1:
            yield suffix(failure, operand, ".squeeze(-1)", title="without its size of 1")
        if wanted is None or have[2] == wanted:
            yield suffix(failure, operand, ".flatten(0, 1)", title="the first two dimensions as one batch")
        if have[0] == 1:
            yield suffix(failure, operand, ".squeeze(0)", title="without its size of 1")
        if (found := constructor(failure)) is not None and have[1] == wanted:
            yield from _other_class(failure, found, len(have) - 2)
        yield suffix(failure, operand, ".flatten(2)" if spatial == 1 else ".flatten(1, 2)", title="flatten")
    found = constructor(failure)
    if found is not None and module is not None:
        yield from _other_class(failure, found, len(have) - 2)
    node = failure.node
    if (
        isinstance(node, ast.Call)
        and failure.call
        and failure.call.form == "function"
        and f"{spatial}d" in _kind(failure)
    ):
        text = text_of(failure, node.func).replace(f"{spatial}d", f"{len(have) - 2}d")
        yield change(failure, (node.func, text), title=f"for {len(have) - 2} spatial dimensions")


def _other_class(failure: Failure, found: Any, spatial: int) -> Iterator[Edit]:
    written, made = found
    name = written.place_of(made.func).text
    for n in (1, 2, 3):
        if f"{n}d" in name and 1 <= spatial <= 3 and n != spatial:
            yield Edit(
                ((written, made.func, name.replace(f"{n}d", f"{spatial}d")),), f"for {spatial} spatial dimensions"
            )


def padding(failure: Failure) -> Finding | None:
    """A padding that is not two numbers for each dimension."""
    given = failure.call.argument(1, "pad") if failure.call else None
    if not said(failure, "padding") or given is None or not isinstance(given.value, list | tuple):
        return None
    title = f"pad takes two numbers for each dimension, from the last one on, and {given.text} has {len(given.value)}"
    both, fewer = list(given.value), list(given.value)[:-1]
    texts = [f"({', '.join(map(str, sizes))})" for sizes in (both + both[-1:], fewer) if sizes]
    return Finding(title, (), [change(failure, (given, text)) for text in texts])


def too_small(failure: Failure) -> Finding | None:
    """A kernel or a pooled size larger than the input."""
    match, pooled = said(failure, "kernel"), said(failure, "pool")
    operand, have = _first(failure)
    if said(failure, "pool empty"):
        title = f"nothing is left of an input of {brackets(have)}: the kernel is larger than its last size"
        return Finding(title, (), _smaller(failure, operand, have))
    if not (match or pooled):
        return None
    if match:
        title = f"the kernel ({match[2]}) is larger than the input with its padding ({match[1]})"
    else:
        assert pooled is not None
        title = f"nothing is left: an input of ({pooled[1]}) would give ({pooled[2]})"
    return Finding(title.replace(" x ", "x").replace("x", ", "), (), _smaller(failure, operand, have))


def _smaller(failure: Failure, operand: Operand | None, have: Sizes) -> Iterator[Edit]:
    spatial = next((n for n in (1, 2, 3) if f"{n}d" in _kind(failure).lower()), 2)
    sizes = have[-spatial:]
    if len(have) >= 3 and have[-1] in (1, 3, 4) and have[-1] < have[-2]:
        yield suffix(failure, operand, _channels_first(len(have), len(have) == spatial + 1), title="channels first")
    least = min(sizes, default=1)
    module = failure.layer.module if failure.layer else None
    computed = failure.call.argument(1, "kernel_size") if failure.call and failure.call.form == "function" else None
    if computed is not None and not isinstance(computed.node, ast.Constant) and not is_tensor(computed.value):
        yield change(failure, (computed, str(least)), title=f"a kernel of {least}")
    if spatial == 1 and len(have) == 3 and have[1] > have[2]:
        yield suffix(failure, operand, ".transpose(1, 2)", title="length last")
    place = 2 if hasattr(module, "in_channels") else 0
    found = constructor(failure)
    if found is not None:
        written, made = found
        text = written.place_of(made).text
        kernel = getattr(module, "kernel_size", 0)
        largest = max(kernel) if isinstance(kernel, tuple) else int(kernel)
        if place == 2:
            padding = keyword(made, "padding")
            if padding is None:
                yield Edit(((written, made, with_keyword(text, f"padding={largest // 2}")),), "padding keeps the size")
        yield reconstructed(failure, place, "kernel_size", least, title=f"a kernel of {least}")
        if keyword(made, "padding") is None and place == 0:
            yield Edit(((written, made, with_keyword(text, f"padding={largest // 2}")),), "with padding")
    node, call = failure.node, failure.call
    if isinstance(node, ast.Call) and call and call.form == "function":
        kernel_operand = call.argument(1, "kernel_size")
        if kernel_operand is not None and not is_tensor(kernel_operand.value):
            yield change(failure, (kernel_operand, str(least)), title=f"a kernel of {least}")
        weight = shape(kernel_operand)
        if weight:
            yield change(
                failure, (node, with_keyword(text_of(failure, node), f"padding={max(weight[2:], default=2) // 2}"))
            )
    if len(have) >= 2:
        yield suffix(failure, operand, ".transpose(-2, -1)", title="swap the last two dimensions")


def bias_size(failure: Failure) -> Finding | None:
    """A convolution whose bias or weight does not fit."""
    match = said(failure, "conv bias")
    if not match:
        return None
    title = f"the bias needs {match[1]} elements, one for each output channel, and has [{match[2]}]"
    bias = failure.call.argument(2, "bias") if failure.call else None
    have = shape(bias) or ()
    edits = [suffix(failure, bias, ".flatten()", title="as a vector")] if len(have) > 1 else []
    if bias is not None and len(have) == 1:
        edits.append(suffix(failure, bias, f"[:{match[1]}]", title=f"the first {match[1]}"))
    return Finding(title, (), edits)


# Normalisation.


def norm(failure: Failure) -> Finding | None:
    """A normalisation layer made for another number of features, or of dimensions."""
    operand, have = _first(failure)
    if match := said(failure, "norm features"):
        given, wanted = int(match[1]), int(match[2])
        title = f"{_named(failure)} takes {wanted} features, and its input {brackets(have)} has {given} at dimension 1"
        return Finding(title, (), _feature_edits(failure, operand, have, wanted, given))
    if match := said(failure, "layer norm"):
        wanted_shape, given_shape = _numbers(match[1]), _numbers(match[2])
        sizes = f"{brackets(wanted_shape)}, and its input is {brackets(given_shape)}"
        title = f"{_named(failure)} normalises the last sizes {sizes}"
        return Finding(title, (), _layer_norm_edits(failure, operand, given_shape, wanted_shape))
    if match := said(failure, "group norm"):
        channels_given = have[1] if len(have) > 1 else 0
        title = f"{_named(failure)} takes {match[1]} channels, and its input {brackets(have)} has {channels_given}"
        return Finding(title, (), _group_edits(failure, operand, have, int(match[1].split(",")[0])))
    if match := said(failure, "groups"):
        groups = int(match[2])
        title = (
            f"the {have[1] if len(have) > 1 else 0} channels of {brackets(have)} cannot be divided into {groups} groups"
        )
        return Finding(title, (), _divided(failure, operand, have, groups))
    if match := said(failure, "norm rank"):
        title = f"{_named(failure)} takes {match[1]} inputs, and its input {brackets(have)} is {len(have)}D"
        return Finding(title, (), _norm_rank_edits(failure, operand, have))
    if said(failure, "norm batch"):
        title = (
            f"{_named(failure)} in training needs more than one value per channel, and its input is {brackets(have)}"
        )
        return Finding(title, ("in evaluation it uses the running statistics: model.eval()",), _evaluated(failure))
    return None


def _numbers(text: str) -> Sizes:
    return tuple(int(part) for part in text.replace("*", "").split(",") if part.strip())


def _feature_edits(failure: Failure, operand: Operand | None, have: Sizes, wanted: int, given: int) -> Iterator[Edit]:
    if len(have) == 2 and have[0] == wanted:
        yield suffix(failure, operand, ".T", title="transpose")
    if len(have) == 3 and have[2] == wanted:
        yield suffix(failure, operand, ".transpose(1, 2)", title="features at dimension 1")
    if len(have) == 4 and have[3] == wanted:
        yield suffix(failure, operand, ".permute(0, 3, 1, 2)", title="channels first")
    yield reconstructed(failure, 0, "num_features", given, title=f"a layer for {given} features")
    if len(have) > 2 and have[0] == wanted:
        yield suffix(failure, operand, ".transpose(0, 1)", title="swap the first two dimensions")


def _layer_norm_edits(failure: Failure, operand: Operand | None, have: Sizes, wanted: Sizes) -> Iterator[Edit]:
    call = failure.call
    written_shape = call.argument(1, "normalized_shape") if call and call.form == "function" else None
    if written_shape is not None and not isinstance(written_shape.node, ast.Constant | ast.Tuple | ast.List):
        yield change(failure, (written_shape, f"({', '.join(map(str, have[-len(wanted) :]))},)"))
    if len(wanted) == 1 and wanted[0] in have:
        at = have.index(wanted[0])
        if len(have) == 2:
            yield suffix(failure, operand, ".T", title="transpose")
        elif len(have) == 4 and at == 1:
            yield suffix(failure, operand, ".permute(0, 2, 3, 1)", title="channels last")
        else:
            yield suffix(failure, operand, f".transpose({at}, {len(have) - 1})", title="these sizes last")
    if len(wanted) > 1 and sorted(wanted) == sorted(have[-len(wanted) :]):
        yield suffix(failure, operand, ".transpose(-2, -1)", title="transpose")
    right = have[-len(wanted) :]
    text = str(right[0]) if len(right) == 1 else f"[{', '.join(map(str, right))}]"
    found = constructor(failure)
    if found is not None:
        written, made = found
        given = keyword(made, "normalized_shape") or (made.args[0] if made.args else None)
        if given is not None:
            if isinstance(given, ast.List | ast.Tuple) and len(right) == 1:
                text = f"[{text}]" if isinstance(given, ast.List) else f"({text},)"
            yield Edit(((written, given, text),), f"a layer for {brackets(right)}")
    if written_shape is not None:
        yield change(failure, (written_shape, f"({', '.join(map(str, right))},)" if len(right) == 1 else str(right)))


def _group_edits(failure: Failure, operand: Operand | None, have: Sizes, wanted: int) -> Iterator[Edit]:
    if have and have[-1] == wanted and len(have) > 2:
        order = ".transpose(1, 2)" if len(have) == 3 else ".permute(0, 3, 1, 2)"
        yield suffix(failure, operand, order, title="channels first")
    if len(have) > 1:
        yield reconstructed(failure, 1, "num_channels", have[1], title=f"a layer for {have[1]} channels")


def _divided(failure: Failure, operand: Operand | None, have: Sizes, groups: int) -> Iterator[Edit]:
    if len(have) > 2 and have[-1] % groups == 0:
        order = ".transpose(1, 2)" if len(have) == 3 else ".permute(0, 3, 1, 2)"
        yield suffix(failure, operand, order, title="channels first")
    given = failure.call.argument(1, "num_groups") if failure.call else None
    fitting = [n for n in range(groups, 0, -1) if len(have) > 1 and have[1] % n == 0]
    if given is not None and fitting:
        yield change(failure, (given, str(fitting[0])), title=f"{fitting[0]} groups")


def _norm_rank_edits(failure: Failure, operand: Operand | None, have: Sizes) -> Iterator[Edit]:
    found = constructor(failure)
    if found is not None:
        yield from _other_class(failure, found, max(len(have) - 2, 1))
    missing = {"1": 2, "2": 4, "3": 5}.get(next((c for c in _kind(failure) if c.isdigit()), "1"), 4) - len(have)
    if missing == 1:
        yield suffix(failure, operand, ".unsqueeze(0)", title="a batch of one")
    if missing == 2:
        yield suffix(failure, operand, "[:, :, None, None]", title="sizes of 1 behind")
    if missing < 0:
        yield suffix(failure, operand, ".flatten(2)", title="flatten the sizes behind the channels")
        yield suffix(failure, operand, ".flatten(0, 1)", title="flatten the first two dimensions")


def _evaluated(failure: Failure) -> Iterator[Edit]:
    node = failure.node
    if isinstance(node, ast.Call) and failure.call and failure.call.form == "module":
        yield change(failure, (node.func, f"{text_of(failure, node.func)}.eval()"), title="evaluation, until .train()")


# Recurrent layers and attention.


def recurrent(failure: Failure) -> Finding | None:
    """A recurrent or attention layer whose input, hidden state or batch does not fit."""
    layer = failure.layer
    if layer is None:
        return None
    operand, have = _first(failure)
    if match := said(failure, "rnn features"):
        wanted, given = (int(match[name] or match[k]) for k, name in ((1, "wanted"), (2, "given")))
        title = f"{_named(failure)} takes {wanted} features, and the last size of its input {brackets(have)} is {given}"
        return Finding(title, (), _rnn_edits(failure, operand, have, wanted, given))
    if match := said(failure, "rnn hidden"):
        title = f"the hidden state must be [{match[1]}], and is [{match[2]}]: is the batch first or second?"
        return Finding(title, (), _hidden_edits(failure, operand))
    if match := said(failure, "cell batch"):
        title = f"the input is a batch of {match[1]}, and the hidden state one of {match[2]}"
        return Finding(title, (), _cell_edits(failure))
    hidden = failure.call.argument(1, "hx") if failure.call and not layer.path else None
    if "hx should" in failure.message and hidden is not None and is_tensor(hidden.value):
        state = "(layers, batch, hidden)" if len(have) == 3 else "(layers, hidden)"
        own = f"{hidden.text} is {_shapes((hidden.value,))}"
        title = f"for an input {brackets(have)} the hidden state is {state}, and {own}"
        return Finding(title, (), _rnn_rank_edits(failure, operand, have))
    if said(failure, "rnn rank"):
        title = f"{_named(failure)} takes (length, batch, features), and its input is {brackets(have)}"
        return Finding(title, (), _rnn_rank_edits(failure, operand, have))
    if match := said(failure, "attention features"):
        wanted, given = int(match[1]), int(match[2])
        title = f"{_named(failure)} takes {wanted} features, and the last size of its input {brackets(have)} is {given}"
        return Finding(title, (), _attention_edits(failure, have, wanted, given))
    if type(layer.module).__name__ in ("MultiheadAttention", "Transformer", "TransformerDecoderLayer") and (
        said(failure, "reshape") or said(failure, "attention batch")
    ):
        title = f"query, key and value must agree in batch and length: {_shapes(layer.inputs)}; is the batch first?"
        return Finding(title, (), _attention_batch(failure))
    return None


def _attention_batch(failure: Failure) -> Iterator[Edit]:
    """One of the operands turned, or the layer made for batches that come first."""
    call, layer = failure.call, failure.layer
    operands = [o for o in (call.arguments if call else ()) if is_tensor(o.value) and len(shape(o) or ()) == 3]
    batch = 0 if layer is not None and getattr(layer.module, "batch_first", False) else 1
    if operands and len({o.text for o in operands}) > 1:
        first, rest = operands[0], operands[1:]
        sizes = {(shape(o) or ())[batch] for o in rest}
        if sizes == {(shape(first) or ())[1 - batch]}:
            yield suffix(failure, first, ".transpose(0, 1)", title="swap length and batch")
        turned = [(o, suffixed(failure, o, ".transpose(0, 1)")) for o in rest if o.text != first.text]
        if {(shape(o) or ())[1 - batch] for o in rest} == {(shape(first) or ())[batch]}:
            yield change(failure, *turned, title="swap length and batch")
    yield from _with_batch_first(failure)


def _cell_edits(failure: Failure) -> Iterator[Edit]:
    call = failure.call
    hidden = call.argument(1, "hx") if call else None
    operand = call.argument(0, "input") if call else None
    if (
        operand is not None
        and isinstance(operand.node, ast.Subscript)
        and not isinstance(operand.node.slice, ast.Tuple)
    ):
        step = text_of(failure, operand.node.slice)
        yield change(failure, (operand.node.slice, f":, {step}"), title="a step of each of the batch")
    for side in (hidden, operand):
        if side is not None and len(shape(side) or ()) == 2:
            yield suffix(failure, side, ".T", title="transpose")
    if hidden is not None and operand is not None and shape(operand):
        n = (shape(operand) or (0,))[0]
        yield suffix(failure, hidden, f".expand({n}, -1)", title="the same for the whole batch")
        yield suffix(failure, hidden, f"[:{n}]", title=f"the first {n}")


def _shapes(values: tuple[Any, ...]) -> str:
    return ", ".join(brackets(tuple(int(size) for size in value.shape)) for value in values[:3])


def _with_batch_first(failure: Failure) -> Iterator[Edit]:
    found = constructor(failure)
    if found is not None:
        written, made = found
        given = keyword(made, "batch_first")
        text = written.place_of(made).text
        title = "batch first: (batch, length, features)"
        if given is None:
            yield Edit(((written, made, with_keyword(text, "batch_first=True")),), title)
        else:
            yield Edit(((written, given, "True" if written.place_of(given).text == "False" else "False"),), title)


def _rnn_edits(failure: Failure, operand: Operand | None, have: Sizes, wanted: int, given: int) -> Iterator[Edit]:
    if given == getattr(failure.layer and failure.layer.module, "hidden_size", None):
        yield swapped_sizes(failure)
    if wanted in have[:-1]:
        at = have.index(wanted)
        last = len(have) - 1
        yield suffix(failure, operand, ".T" if len(have) == 2 else f".transpose({at}, {last})", title="features last")
    if wanted == 1:
        yield suffix(failure, operand, ".unsqueeze(-1)", title="one feature")
    yield reconstructed(failure, 0, "input_size", given, title=f"a layer for {given} features")
    if len(have) == 4 and have[2] * have[3] == wanted:
        yield suffix(failure, operand, ".flatten(2)", title="flatten the features")


def _hidden_edits(failure: Failure, operand: Operand | None) -> Iterator[Edit]:
    call = failure.call
    hidden = call.argument(1, "hx") if call else None
    module = failure.layer.module if failure.layer else None
    if hidden is not None and (match := said(failure, "rnn hidden")):
        pairs = enumerate(zip(_numbers(match[1]), _numbers(match[2]), strict=False))
        wrong = [(dim, want, given) for dim, (want, given) in pairs if want != given]
        layers = [dim for dim, _, _ in wrong] == [0]  # one state for each layer and direction
        for dim, want, given in wrong if layers or getattr(module, "batch_first", False) else ():
            yield from resized(failure, hidden, want, given, dim=dim)
    yield from _with_batch_first(failure)
    if operand is not None:
        yield suffix(failure, operand, ".transpose(0, 1)", title="swap length and batch")
    if hidden is not None and is_tensor(hidden.value):
        rank = len(shape(hidden) or ())
        yield suffix(failure, hidden, ".unsqueeze(0)" if rank == 2 else ".transpose(0, 1)")
    if hidden is not None and hidden.node is not None:
        node = failure.node
        if isinstance(node, ast.Call) and len(node.args) > 1:
            yield change(
                failure, (node, f"{text_of(failure, node.func)}({text_of(failure, node.args[0])})"), title="from zero"
            )


def _rnn_rank_edits(failure: Failure, operand: Operand | None, have: Sizes) -> Iterator[Edit]:
    features = getattr(failure.layer.module, "input_size", None) if failure.layer else None
    if len(have) == 1:
        yield suffix(failure, operand, ".unsqueeze(0)" if have[0] == features else ".unsqueeze(-1)", title="a sequence")
    if len(have) == 4:
        yield suffix(failure, operand, ".flatten(2)", title="flatten the features")
        yield suffix(failure, operand, ".flatten(0, 1)", title="flatten the first two dimensions")
        for dim in range(4):
            if have[dim] == 1:
                yield suffix(failure, operand, f".squeeze({dim})", title="without its size of 1")
    hidden = failure.call.argument(1, "hx") if failure.call else None
    if hidden is not None:
        yield suffix(failure, hidden, ".unsqueeze(0)", title="(layers, batch, hidden)")


def _attention_edits(failure: Failure, have: Sizes, wanted: int, given: int) -> Iterator[Edit]:
    call = failure.call
    operands = (
        [operand for operand in (*call.arguments, *call.keywords.values()) if is_tensor(operand.value)] if call else []
    )
    turned = {operand.text: operand for operand in operands if wanted in (shape(operand) or ())[:-1]}
    if turned and call:
        pairs = [
            (operand, suffixed(failure, operand, f".transpose({(shape(operand) or ()).index(wanted)}, -1)"))
            for operand in operands
            if operand.text in turned
        ]
        yield change(failure, *pairs, title="features last")
    for name in ("embed_dim", "d_model"):
        if failure.layer is not None and not failure.layer.path and hasattr(failure.layer.module, "embed_dim"):
            yield reconstructed(failure, 0, name, given, title=f"a layer for {given} features")
    found = (
        constructor(failure) or constructor(replace(failure, layer=replace(failure.layer, path="")))
        if failure.layer
        else None
    )
    if found is not None:
        written, made = found
        first = made.args[0] if made.args else keyword(made, "embed_dim") or keyword(made, "d_model")
        if first is not None:
            yield Edit(((written, first, str(given)),), f"a layer for {given} features")


ENTRIES = (
    Entry(
        "conv-channels",
        "shape",
        channels,
        "conv = nn.Conv2d(3, 8, 3)\nconv(torch.rand(2, 16, 16, 3))",
        "A convolution takes (batch, channels, height, width), with as many channels as its in_channels.",
    ),
    Entry(
        "pad-count",
        "shape",
        padding,
        "F.pad(torch.rand(3, 4), (1, 1, 1))",
        "F.pad takes two numbers for each dimension, beginning with the last: (left, right, top, bottom).",
    ),
    Entry(
        "conv-rank",
        "shape",
        input_rank,
        "conv = nn.Conv2d(1, 8, 3)\nconv(torch.rand(28, 28))",
        "2-D layers take (batch, channels, height, width), or one image (channels, height, width).",
    ),
    Entry(
        "pool-size",
        "shape",
        too_small,
        "nn.MaxPool2d(3)(torch.rand(1, 3, 2, 2))",
        "The kernel must fit into the input with its padding.",
    ),
    Entry(
        "conv-bias",
        "shape",
        bias_size,
        "F.conv2d(torch.rand(1, 3, 8, 8), torch.rand(8, 3, 3, 3), torch.rand(4))",
        "A convolution's bias has one element for each output channel.",
    ),
    Entry(
        "norm-shape",
        "shape",
        norm,
        "bn = nn.BatchNorm2d(8)\nbn(torch.rand(2, 3, 4, 4))",
        "BatchNorm counts features at dimension 1, LayerNorm normalises the last dimensions.",
    ),
    Entry(
        "recurrent-shape",
        "shape",
        recurrent,
        "lstm = nn.LSTM(10, 20)\nlstm(torch.rand(5, 3, 8))",
        "Recurrent and attention layers take (length, batch, features); with batch_first=True the batch comes first.",
    ),
)
