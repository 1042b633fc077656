"""Diagnoses of losses and embeddings: what they ask of shapes, dtypes and the range of values."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    brackets,
    change,
    constant,
    is_tensor,
    product,
    reconstructed,
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

_CLASSES = ("cross_entropy", "nll_loss", "CrossEntropyLoss", "NLLLoss", "multi_margin_loss", "MultiMarginLoss")
_PROBABILITIES = ("binary_cross_entropy", "BCELoss", "binary_cross_entropy_with_logits", "BCEWithLogitsLoss")


def _pair(failure: Failure) -> tuple[Operand, Operand] | None:
    """The prediction and the target of a loss."""
    call = failure.call
    first = call.argument(0, "input") if call else None
    second = call.argument(1, "target") if call else None
    if first is None or second is None or not (is_tensor(first.value) and is_tensor(second.value)):
        return None
    return first, second


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _is_float(operand: Operand) -> bool:
    return bool(operand.value.is_floating_point())


def _swapped(failure: Failure, first: Operand, second: Operand) -> Edit:
    texts = [suffixed(failure, operand, "") for operand in (first, second)]
    return change(failure, (first, texts[1]), (second, texts[0]), title="prediction first, target second")


def _of_loss(failure: Failure) -> Failure:
    """The failure of a backward as one of the loss that it goes back through: there the mistake was made."""
    node, statement = failure.node, failure.statement
    if failure.call is None or failure.call.name != "backward" or not isinstance(node, ast.Call):
        return failure
    inner = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(inner, ast.Name) and (written := failure.definition(inner.id)):
        statement, inner = written, getattr(written.node, "value", None)
    if statement is None or not isinstance(inner, ast.Call):
        return failure
    return replace(failure, statement=statement, node=inner, call=failure.call_of(statement, inner))


def target_dtype(failure: Failure) -> Finding | None:
    """A target of the wrong dtype."""
    failure = _of_loss(failure)
    pair, call = _pair(failure), failure.call
    if call is None:
        return None
    if call.name == "one_hot" and said(failure, "classes dtype"):
        first = call.arguments[0]
        return Finding(
            f"one_hot takes int64, and {first.text} is {_dtype(first.value)}", (), [suffix(failure, first, ".long()")]
        )
    if pair is None:
        return None
    first, second = pair
    classes = call.name in _CLASSES
    if classes and _of_other_shape(first, second):
        return None
    if classes and said(failure, "classes dtype"):
        title = f"targets are class numbers (int64), and {second.text} is {_dtype(second.value)}"
        return Finding(title, (), _class_edits(failure, first, second))
    if not classes and _loses(call.name) and _mixed(failure, first, second):
        wrong = second if not _is_float(second) else first
        title = f"this loss takes floating-point numbers, and {wrong.text} is {_dtype(wrong.value)}"
        if _is_float(first) and _is_float(second):
            title = (
                f"{first.text} is {_dtype(first.value)} and {second.text} is {_dtype(second.value)}: they must be equal"
            )
        return Finding(title, (), _float_edits(failure, first, second))
    return None


def _of_other_shape(first: Operand, second: Operand) -> bool:
    """Whether prediction and target are swapped, or the classes are spelt out as zeros and ones."""
    if not _is_float(first) and _is_float(second):
        return True
    return shape(first) == shape(second) and not _is_float(second)


def _loses(name: str) -> bool:
    return name in _PROBABILITIES or name.endswith(("_loss", "Loss", "kl_div"))


def _mixed(failure: Failure, first: Operand, second: Operand) -> bool:
    if said(failure, "loss dtype") or said(failure, "result dtype"):
        return True
    return "not implemented for" in failure.message and not (_is_float(first) and _is_float(second))


def _class_edits(failure: Failure, first: Operand, second: Operand) -> Iterator[Edit]:
    a, b = shape(first) or (), shape(second) or ()
    if a == b and not _is_float(second):
        if len(a) == 2 and _one_hot(second.value):
            yield suffix(failure, second, ".float()", title="as probabilities of the classes")
            yield suffix(failure, second, ".argmax(dim=1)", title="the number of the class")
        yield suffix(failure, second, ".float()", title="as probabilities of the classes")
    if len(b) == len(a) and len(b) > 1 and b[1] == 1:
        yield suffix(failure, second, ".squeeze(1).long()", title="class numbers (int64)")
    yield suffix(failure, second, ".long()", title="class numbers (int64)")


def _one_hot(value: Any) -> bool:
    return bool((value.sum(1) == 1).all())


def _float_edits(failure: Failure, first: Operand, second: Operand) -> Iterator[Edit]:
    if _is_float(first):
        text = {"float64": ".double()", "float16": ".half()"}.get(_dtype(first.value), ".float()")
        yield suffix(failure, second, text, title=f"as the prediction: {_dtype(first.value)}")
    elif _is_float(second):
        yield suffix(failure, first, ".float()", title="floating-point numbers")
    pairs = [(operand, suffixed(failure, operand, ".float()")) for operand in (first, second)]
    yield change(failure, *pairs, title="floating-point numbers")


def target_shape(failure: Failure) -> Finding | None:
    """A target whose sizes do not fit the prediction's."""
    pair, call = _pair(failure), failure.call
    if pair is None or call is None:
        return None
    first, second = pair
    a, b = shape(first) or (), shape(second) or ()
    if call.name in _CLASSES and _of_other_shape(first, second):
        if not _is_float(first) and _is_float(second):
            title = f"the prediction comes first, and {first.text} is {_dtype(first.value)}: are the two swapped?"
            return Finding(title, (), [_swapped(failure, first, second)])
        title = f"one class number for each prediction is wanted, and {second.text} is {brackets(b)}, as {first.text}"
        return Finding(title, (), _class_edits(failure, first, second))
    known = ("classes batch", "classes rank", "classes size", "loss sizes")
    if any(said(failure, name) for name in known):
        classes = call.name in _CLASSES
        needs = "one class number for each prediction" if classes else "the sizes of the prediction"
        title = f"the target needs {needs}: the prediction is {brackets(a)}, the target {brackets(b)}"
        return Finding(title, (), _shape_edits(failure, first, second, a, b))
    return None


def _shape_edits(failure: Failure, first: Operand, second: Operand, a: Sizes, b: Sizes) -> Iterator[Edit]:
    call = failure.call
    if call and call.name in _CLASSES:
        if len(b) == 2 and b[1] == 1 and b[0] == a[0]:
            yield suffix(failure, second, ".squeeze(1)", title="without its size of 1")
        if len(a) >= 2 and a == b:
            yield suffix(failure, second, ".argmax(dim=1)", title="the numbers of the classes")
            yield suffix(failure, second, ".float()", title="as probabilities")
        if len(a) > 2 and a[:-1] == b:
            order = ".transpose(1, 2)" if len(a) == 3 else ".permute(0, 3, 1, 2)"
            yield suffix(failure, first, order, title="classes at dimension 1")
            yield _both_flat(failure, first, second, a)
        if len(a) == 2 and len(b) > 1 and product(b) == a[0]:
            yield suffix(failure, second, ".flatten()", title="one number for each prediction")
        if len(a) == 3 and len(b) == 1 and b[0] == a[0] * a[1]:
            yield suffix(failure, first, ".flatten(0, 1)", title="one row for each target")
        if len(a) == 2 and len(b) == 1 and b[0] == a[1] and not _is_float(second):
            yield suffix(failure, first, ".T", title="one row for each target")
        if len(b) == 2 and b[0] == 1:
            yield suffix(failure, second, ".squeeze(0)", title="without its size of 1")
        if len(b) == len(a) and len(b) > 2 and b[1] == 1:
            yield suffix(failure, second, ".squeeze(1)", title="without its size of 1")
        if len(a) > 2:
            yield _both_flat(failure, first, second, a)
        if not _is_float(first) and _is_float(second):
            yield _swapped(failure, first, second)
        if len(a) == 1 and not b:
            yield suffix(failure, second, ".unsqueeze(0)")
            yield suffix(failure, first, ".unsqueeze(0)", title="a batch of one")
        if len(b) == 0 and len(a) == 2:
            yield suffix(failure, second, ".unsqueeze(0)", title="a batch of one")
        if a and b and a[0] > b[0]:
            yield suffix(failure, first, f"[:{b[0]}]", title=f"the first {b[0]}")
        elif a and b and b[0] > a[0]:
            yield suffix(failure, second, f"[:{a[0]}]", title=f"the first {a[0]}")
        return
    for d in range(len(a)):
        if a[d] == 1 and a[:d] + a[d + 1 :] == b:
            yield suffix(failure, first, f".squeeze({d})", title="without its size of 1")
            yield suffix(failure, second, f".unsqueeze({d})", title="with a size of 1")
    for d in range(len(b)):
        if b[d] == 1 and b[:d] + b[d + 1 :] == a:
            yield suffix(failure, second, f".squeeze({d})", title="without its size of 1")
            yield suffix(failure, first, f".unsqueeze({d})", title="with a size of 1")
    if product(a) == product(b):
        if len(a) == 2 == len(b) and a[::-1] == b:
            yield suffix(failure, second, ".T", title="transpose")
        yield suffix(failure, second, f".view_as({first.text})", title=f"as {brackets(a)}")
    yield suffix(failure, second, f".expand_as({first.text})", title=f"stretched to {brackets(a)}")
    if len(a) == 2 and len(b) == 1 and b[0] == a[0] and not _is_float(second):
        yield change(failure, (second, f"F.one_hot({second.text}, {a[1]}).float()"), title="one column for each class")


def _both_flat(failure: Failure, first: Operand, second: Operand, a: Sizes) -> Edit:
    return change(
        failure,
        (first, suffixed(failure, first, f".reshape(-1, {a[-1]})")),
        (second, suffixed(failure, second, ".reshape(-1)")),
        title="one row for each target",
    )


def target_range(failure: Failure) -> Finding | None:
    """A class number that the prediction has no column for."""
    call = failure.call
    if call is None or not said(failure, "class"):
        return None
    if call.name == "one_hot":
        target, count = call.arguments[0], call.argument(1, "num_classes")
        largest = int(target.value.max()) if is_tensor(target.value) else 0
        title = f"the largest class is {largest}, and there are {count.text if count else 'fewer'} classes, from 0 on"
        edits = [change(failure, (count, str(largest + 1)), title=f"{largest + 1} classes")] if count else []
        first_edit = (
            [suffix(failure, target, " - 1", title="classes begin with 0")]
            if is_tensor(target.value) and int(target.value.min()) >= 1
            else []
        )
        return Finding(title, (), [*first_edit, *edits])
    pair = _pair(failure)
    if pair is None:
        return None
    first, second = pair
    a = shape(first) or ()
    count_of = a[1] if len(a) > 1 else a[0] if a else 0
    values = second.value
    title = f"classes go from 0 to {count_of - 1}, and the target holds {int(values.min())} to {int(values.max())}"
    return Finding(title, (), _range_edits(failure, second, values, count_of))


def _range_edits(failure: Failure, target: Operand, values: Any, count: int) -> Iterator[Edit]:
    least, largest = int(values.min()), int(values.max())
    call = failure.call
    if least >= 1 and largest <= count:
        yield suffix(failure, target, " - 1", title="classes begin with 0")
    outside = sorted({int(value) for value in values.flatten().tolist() if not 0 <= value < count})
    if len(outside) == 1 and outside[0] != count:
        yield from _ignored(failure, outside[0])
    if largest >= count > least >= 0 or (outside and outside[-1] >= count):
        prediction = call.argument(0, "input") if call else None
        match prediction.node if prediction else None:
            case ast.Call(func=ast.Name(id=name)) if written := failure.definition(name):
                value = getattr(written.node, "value", None)
                last = value
                if isinstance(value, ast.Call) and value.args and isinstance(value.args[-1], ast.Call):
                    last = value.args[-1]
                if isinstance(last, ast.Call) and len(last.args) > 1:
                    yield Edit(((written, last.args[1], str(largest + 1)),), f"{largest + 1} classes")
        if prediction is not None and isinstance(prediction.node, ast.Name):
            yield from resized(failure, prediction, largest + 1, count, dim=1)
        yield suffix(failure, target, f".clamp(max={count - 1})", title=f"at most {count - 1}")
    if least >= 1:
        yield suffix(failure, target, f" - {least}", title="classes begin with 0")
    yield suffix(failure, target, f" % {count}")


def _ignored(failure: Failure, value: int) -> Iterator[Edit]:
    """The loss told to leave one number out, where it is called or where it was made."""
    node, call = failure.node, failure.call
    if not isinstance(node, ast.Call) or call is None:
        return
    option, title = f"ignore_index={value}", f"{value} left out"
    written = failure.definition(node.func.id) if isinstance(node.func, ast.Name) else None
    made = getattr(written.node, "value", None) if written else node.func
    if call.form == "function":
        yield change(failure, (node, with_keyword(text_of(failure, node), option)), title=title)
    elif isinstance(made, ast.Call):
        whole = written or failure.statement
        if whole is not None:
            yield Edit(((whole, made, with_keyword(whole.place_of(made).text, option)),), title)


def input_range(failure: Failure) -> Finding | None:
    """A loss of probabilities that was given other numbers."""
    pair, call = _pair(failure), failure.call
    if pair is None or call is None or not said(failure, "probabilities"):
        return None
    first, second = pair
    about = second if "target" in failure.message else first
    low, high = float(about.value.min()), float(about.value.max())
    title = f"probabilities lie between 0 and 1, and {about.text} goes from {low:.3g} to {high:.3g}"
    return Finding(title, (), _probability_edits(failure, first, second, about))


def _probability_edits(failure: Failure, first: Operand, second: Operand, about: Operand) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    if about is second:
        if float(second.value.min()) >= 0:
            yield suffix(failure, second, f" / {float(second.value.max()):g}", title="scaled to 1")
        yield suffix(failure, second, ".clamp(0, 1)", title="cut off at 0 and 1")
        return
    if call and call.form == "function":
        yield renamed(failure, "binary_cross_entropy_with_logits", title="takes numbers before the sigmoid")
    elif call and isinstance(node, ast.Call):
        made = node.func if isinstance(node.func, ast.Call) else None
        if made is not None:
            text = text_of(failure, made.func).replace("BCELoss", "BCEWithLogitsLoss")
            yield change(failure, (made.func, text), title="takes numbers before the sigmoid")
        elif isinstance(node.func, ast.Name) and (written := failure.definition(node.func.id)):
            value = getattr(written.node, "value", None)
            if isinstance(value, ast.Call):
                text = written.place_of(value.func).text.replace("BCELoss", "BCEWithLogitsLoss")
                yield Edit(((written, value.func, text),), "takes numbers before the sigmoid")
    yield change(failure, (first, f"torch.sigmoid({first.text})"), title="probabilities first")


# Embeddings.


def embedding(failure: Failure) -> Finding | None:
    """Numbers that an embedding has no row for."""
    if not said(failure, "index in self"):
        return None
    found = _embedded(failure)
    if found is None:
        return None
    operand, values, rows = found
    least, largest = int(values.min()), int(values.max())
    title = f"the embedding has rows 0 to {rows - 1}, and it was asked for {least} to {largest}"
    return Finding(title, (), _embedding_edits(failure, operand, least, largest, rows))


def _embedded(failure: Failure) -> tuple[Operand | None, Any, int] | None:
    """The numbers looked up, where they stand, and how many rows there are."""
    layer, call = failure.layer, failure.call
    if layer is not None and hasattr(layer.module, "num_embeddings") and layer.inputs:
        operand = call.argument(0, "input") if call and not layer.path else None
        outer = call.argument(0, "input") if call else None
        if operand is None and outer is not None and outer.value is layer.inputs[0]:
            operand = outer
        return operand, layer.inputs[0], int(layer.module.num_embeddings)
    if call is not None and call.name in ("embedding", "embedding_bag"):
        operand, weight = call.argument(0, "input"), call.argument(1, "weight")
        rows = shape(weight)
        if operand is not None and is_tensor(operand.value) and rows:
            return operand, operand.value, rows[0]
    return None


def _embedding_edits(failure: Failure, operand: Operand | None, least: int, largest: int, rows: int) -> Iterator[Edit]:
    parts = ast.walk(operand.node) if operand and operand.node and least == largest else ()
    spelt = [part for part in parts if constant(part) == largest >= rows]  # torch.tensor(5)
    yield from (change(failure, (part, str(rows - 1)), title="the last row") for part in spelt)
    if least >= 1 and largest == rows and not spelt:
        yield suffix(failure, operand, " - 1", title="rows begin with 0")
    if least >= 0:
        yield reconstructed(failure, 0, "num_embeddings", largest + 1, title=f"{largest + 1} rows")
    weight = failure.call.argument(1, "weight") if failure.call and failure.call.form == "function" else None
    if weight is not None:
        yield from resized(failure, weight, largest + 1, rows, dim=0)
    if least < 0 and largest - least < rows:
        yield suffix(failure, operand, f" + {-least}", title="rows begin with 0")
    if least < 0:
        yield suffix(failure, operand, ".clamp(min=0)", title="at least 0")
        yield suffix(failure, operand, f" % {rows}", title=f"counted from the end: -1 is {rows - 1}")
    yield suffix(failure, operand, f".clamp(max={rows - 1})", title=f"at most {rows - 1}")
    yield suffix(failure, operand, f" % {rows}", title=f"counted round {rows}")


def embedding_dtype(failure: Failure) -> Finding | None:
    """Numbers of rows that are no whole numbers."""
    call, layer = failure.call, failure.layer
    if call is None or not (said(failure, "embedding dtype") or said(failure, "embedding weight")):
        return None
    operand = call.argument(0, "input")
    given = layer.inputs[0] if layer is not None and layer.inputs else operand.value if operand else None
    weight = call.argument(1, "weight") if call.form == "function" else None
    if weight is not None and is_tensor(weight.value) and "int" in _dtype(weight.value) and operand:
        return Finding("the numbers come first and the weight second", (), [_swapped(failure, operand, weight)])
    if weight is not None and said(failure, "embedding weight") and operand:
        return Finding("the numbers come first and the weight second", (), [_swapped(failure, operand, weight)])
    if not is_tensor(given):
        return None
    what = operand.text if operand and not (layer and layer.path) else "its input"
    title = f"an embedding looks up rows by whole numbers, and {what} is {_dtype(given)}"
    edits = [suffix(failure, operand, text, title="whole numbers") for text in (".long()", ".int()")]
    return Finding(title, (), edits)


ENTRIES = (
    Entry(
        "loss-target-dtype",
        "dtype",
        target_dtype,
        "F.cross_entropy(torch.rand(4, 3), torch.tensor([0.0, 1.0, 2.0, 1.0]))",
        "cross_entropy takes class numbers (int64) or probabilities (floats); regression losses take floats.",
    ),
    Entry(
        "loss-target-shape",
        "shape",
        target_shape,
        "F.cross_entropy(torch.rand(4, 3), torch.tensor([[0], [1], [2], [1]]))",
        "cross_entropy takes predictions (batch, classes, ...) and one class number for each: (batch, ...).",
    ),
    Entry(
        "loss-target-range",
        "value",
        target_range,
        "F.cross_entropy(torch.rand(4, 3), torch.tensor([1, 2, 3, 1]))",
        "Classes are counted from 0 to the number of classes less 1.",
    ),
    Entry(
        "loss-input-range",
        "value",
        input_range,
        "F.binary_cross_entropy(torch.tensor([1.5, 0.2]), torch.tensor([1.0, 0.0]))",
        "binary_cross_entropy takes probabilities; binary_cross_entropy_with_logits takes any numbers.",
    ),
    Entry(
        "embedding-index",
        "index",
        embedding,
        "emb = nn.Embedding(10, 4)\nemb(torch.tensor([3, 10]))",
        "nn.Embedding(n, size) has rows 0 to n - 1.",
    ),
    Entry(
        "embedding-dtype",
        "dtype",
        embedding_dtype,
        "emb = nn.Embedding(10, 4)\nemb(torch.tensor([1.0, 2.0]))",
        "An embedding looks up rows by whole numbers: int64 or int32.",
    ),
)
