"""Diagnoses of calls: what is no function, forgotten brackets, and arguments that a function does not take."""

import ast
import builtins
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tensorcli import units
from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Unknown
from tensorcli.diagnoses.edits import (
    argument_texts,
    atom,
    brackets,
    called_with,
    calling,
    change,
    constant,
    counted,
    definite,
    is_tensor,
    or_else,
    parent,
    text_of,
)
from tensorcli.diagnoses.messages import said
from tensorcli.diagnoses.names import dtype_names
from tensorcli.diagnoses.signatures import (
    Parameter,
    Signature,
    fits,
    given,
    open_ended,
    positional,
    required,
    signatures,
    written,
)
from tensorcli.diagnoses.words import distance, folded, inverted, near

# Calling what is no function


def not_callable(failure: Failure) -> Finding | None:
    """A call of a tensor, a size, a number, a module."""
    found = said(failure, "not callable")
    node = failure.node
    if not isinstance(failure.error, TypeError) or not found or not isinstance(node, ast.Call):
        return None
    value = failure.value(node.func)
    if value is Unknown or callable(value):
        return None
    text = text_of(failure, node.func)
    kind = f"{definite(value)}" if found[1] != "Namespace" else "a module"
    arguments = bool(node.args or node.keywords)
    advice = "" if arguments else ": leave the brackets away"
    return Finding(f"{text} is {kind}, not a function{advice}", (), _without_call(failure, node, value, text))


def _without_call(failure: Failure, node: ast.Call, value: Any, text: str) -> Iterator[Edit]:
    arguments = argument_texts(failure, node)
    inside = ", ".join(arguments)
    if not arguments:
        yield change(failure, (node, text))
        return
    if isinstance(node.func, ast.Call) and is_tensor(value):  # torch.rand(2)(3): two sizes
        together = ", ".join([*argument_texts(failure, node.func), inside])
        yield change(failure, (node, f"{text_of(failure, node.func.func)}({together})"))
    first: Any = failure.value(node.args[0]) if node.args else Unknown
    kind = type(value).__name__
    if isinstance(node.func, ast.Tuple | ast.List):
        yield change(failure, (node, f"{text}, {text_of(failure, node)[len(text) :].lstrip()}"))
    if kind == "Namespace":
        holder, _, last = text.rpartition(".")
        space = failure.place(holder)
        words = near(last, failure.attributes(space)) if space else ()
        yield from (change(failure, (node.func, f"{holder}.{word}")) for word in words)
        yield change(failure, (node, f"{text}.{'array' if text in ('np', 'numpy') else 'tensor'}({inside})"))
    if kind == "dtype":
        yield change(failure, (node, f"{atom(failure, node.args[0])}.to({text})"))
        yield change(failure, (node, f"torch.tensor({inside}, dtype={text})"))
    if isinstance(value, list | tuple) and value and all(callable(part) for part in value):
        yield change(failure, (node, f"nn.Sequential(*{text})({inside})"))
    if isinstance(value, int | float) or (is_tensor(first) and is_tensor(value) and first.is_floating_point()):
        product = inside if len(node.args) == 1 and isinstance(node.args[0], ast.Name | ast.Constant) else f"({inside})"
        yield change(failure, (node, f"{text} * {product}"))
        yield change(failure, (node, f"{text} @ {product}"))
    yield change(failure, (node, f"{text}[{inside}]"))


# Functions without their brackets


def forgotten_brackets(failure: Failure) -> Finding | None:
    """A method or a class that stands where its result is meant."""
    if not isinstance(failure.error, TypeError | AttributeError | IndexError | ValueError):
        return None
    if not said(failure, "without brackets") or failure.node is None:
        return None
    nodes = list(_uncalled(failure, failure.node))
    if not nodes:
        return None
    names = list(dict.fromkeys(text_of(failure, node) for node in nodes))
    kinds = [f"{name} is {_uncalled_kind(failure, node)}" for name, node in zip(names, nodes, strict=False)]
    if said(failure, "not a layer"):
        title = f"layers are wanted here: {'; '.join(kinds)}"
    elif len(names) > 1:
        title = f"{_and(names)} were not called: brackets are missing"
    else:
        title = f"{kinds[0]} and was not called: brackets are missing"
    return Finding(title, (), _bracket_edits(failure, nodes))


def _uncalled_kind(failure: Failure, node: ast.expr) -> str:
    layer = said(failure, "not a layer")
    value = failure.value(node)
    if isinstance(value, type):
        needs = _and(required(value)) if layer else ""
        return f"a class that needs {needs}" if needs else "a class that was not called" if layer else "a class"
    if isinstance(node, ast.Attribute) and type(failure.value(node.value)).__name__ != "Namespace":
        return "a method"
    made = next(_layers_like(failure, node), None) if layer else None
    return f"a function, and {made} its layer" if made else "a function"


def _layers_like(failure: Failure, node: ast.expr) -> Iterator[str]:
    """`nn.ReLU()` for `F.relu`: the layer that has the name of a function."""
    name = folded(text_of(failure, node).rpartition(".")[2])
    yield from (f"nn.{kind}()" for kind in failure.attributes(failure.place("torch.nn")) if folded(kind) == name)


def _uncalled(failure: Failure, top: ast.AST) -> Iterator[ast.expr]:
    """The functions in an expression, or a header, that are not called there."""
    for node in _expressions(top):
        above = parent(failure, node)
        if not isinstance(node, ast.Attribute | ast.Name) or calling(failure, node):
            continue
        if isinstance(above, ast.Attribute) and node is not top and isinstance(failure.value(node), type):
            continue
        value = failure.value(node)
        if value is Unknown or not callable(value) or (hasattr(value, "forward") and not isinstance(value, type)):
            continue
        if isinstance(value, type) and value.__module__ in ("builtins", "numpy"):
            continue
        if type(value).__name__ == "Namespace":
            continue
        yield node


def _expressions(top: ast.AST) -> Iterator[ast.expr]:
    roots: list[ast.AST] = [item.context_expr for item in top.items] if isinstance(top, ast.With) else [top]
    for root in roots:
        yield from (node for node in ast.walk(root) if isinstance(node, ast.expr))


def _bracket_edits(failure: Failure, nodes: list[ast.expr]) -> Iterator[Edit]:
    above = parent(failure, nodes[0])
    if isinstance(above, ast.Subscript) and above.value is nodes[0]:
        yield from _brackets_for_index(failure, nodes[0], above)
    for node in nodes:
        if not isinstance(failure.value(node), type):
            yield from (change(failure, (node, made)) for made in _layers_like(failure, node))
    yield change(failure, *((node, f"{text_of(failure, node)}()") for node in nodes))
    if len(nodes) > 1:
        yield from (change(failure, (node, f"{text_of(failure, node)}()")) for node in nodes)


def _brackets_for_index(failure: Failure, node: ast.expr, above: ast.Subscript) -> Iterator[Edit]:
    text, index = text_of(failure, node), text_of(failure, above.slice)
    if text.endswith(".size"):
        yield change(failure, (above, f"{text.removesuffix('size')}shape[{index}]"))
    elif not isinstance(above.slice, ast.Slice):
        yield change(failure, (above, f"{text}({index})"))
        yield change(failure, (above, f"{text}([{index}])"))
    yield change(failure, (node, f"{text}()"))


def made_too_early(failure: Failure) -> Finding | None:
    """`nn.ReLU(x)`: a layer that was given its input where it takes its settings."""
    top = failure.node
    for node in ast.walk(top) if isinstance(top, ast.expr) else ():
        if not isinstance(node, ast.Call):
            continue
        kind = failure.value(node.func)
        module = isinstance(kind, type) and hasattr(kind, "forward") and kind.__module__.startswith("torch.nn")
        tensors = [part for part in node.args if is_tensor(failure.value(part))]
        if module and tensors and len(tensors) == len(node.args) and kind.__name__ != "Parameter":
            made = f"{text_of(failure, node.func)}(...) makes a layer"
            title = f"{made}: it takes its settings first, and tensors when it is called"
            inside = ", ".join(text_of(failure, part) for part in tensors)
            settings = ", ".join(f"{k.arg}={text_of(failure, k.value)}" for k in node.keywords)
            func = text_of(failure, node.func)
            texts = [f"{func}({settings})({inside})"]
            if not settings:
                texts.insert(0 if "oftm" in func else 1, f"{func}(dim=-1)({inside})")
            return Finding(title, (), [change(failure, (node, text)) for text in texts])
    return None


# dtypes as text


def dtype_as_text(failure: Failure) -> Finding | None:
    """`dtype="float32"`, `.to("float32")`, `dtype=np.float32`."""
    if isinstance(failure.error, NameError):
        return _dtype_name(failure)
    node = failure.node if isinstance(failure.node, ast.Call) else calling(failure, failure.node)
    if node is None or not isinstance(failure.error, TypeError | RuntimeError | AttributeError | ValueError):
        return None
    for part in _dtype_arguments(node):
        names = list(dtype_names(failure, part))
        value = failure.value(part)
        if not names or (isinstance(value, str) and value.partition(":")[0] in ("cpu", "cuda", "mps", "meta")):
            continue
        text = text_of(failure, part)
        if not isinstance(value, str) and not (isinstance(value, type) and value.__module__ == "numpy"):
            continue
        what = "text" if isinstance(value, str) else "one of NumPy's"
        title = f"{text} is {what}, and a dtype is written {names[0]}"
        return Finding(title, (), _dtype_edits(failure, node, part, names))
    return None


def _dtype_name(failure: Failure) -> Finding | None:
    """`dtype=float64`, a dtype's name without torch."""
    node, above = failure.node, parent(failure, failure.node)
    call = parent(failure, above) if isinstance(above, ast.keyword) else above
    if (
        not isinstance(node, ast.Name)
        or not isinstance(call, ast.Call)
        or node.id not in failure.attributes(failure.place("torch"))
    ):
        return None
    names = list(dtype_names(failure, node)) if node in _dtype_arguments(call) else []
    if not names:
        return None
    title = f"there is no variable {node.id}: a dtype is written {names[0]}"
    return Finding(title, (), [change(failure, (node, name)) for name in names])


def _dtype_edits(failure: Failure, node: ast.Call, part: ast.expr, names: list[str]) -> Iterator[Edit]:
    renamed = isinstance(node.func, ast.Attribute) and node.func.attr == "astype"
    for name in names:
        if renamed and isinstance(node.func, ast.Attribute):
            yield change(failure, (node, f"{atom(failure, node.func.value)}.to({name})"))
        else:
            yield change(failure, (part, name))


def _dtype_arguments(node: ast.Call) -> Iterator[ast.expr]:
    yield from (k.value for k in node.keywords if k.arg == "dtype")
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("to", "type", "astype", "view"):
        yield from node.args
    yield from (part for part in node.args[1:] if isinstance(part, ast.Constant) and isinstance(part.value, str))


# Keywords

_KEYWORDS = """
    dim: axis axes dims dimension dimensions ax d
    keepdim: keepdims keep_dim keep_dims keep
    lr: learning_rate learningrate rate eta alpha step_size
    p: prob rate dropout probability drop dropout_rate prob_drop keep_prob
    kernel_size: kernel ksize kernels size filter_size kernelsize k window pool_size window_size
    negative_slope: alpha slope leak
    steps: num n count number step num_steps points
    fill_value: value val fill x number
    value: fill_value val fill constant
    end: stop high to
    size: shape dims sizes
    shape: size sizes dims
    dtype: type data_type dt typ
    descending: reverse desc reversed decreasing decending
    correction: ddof
    unbiased: unbias biased bessel
    min: minimum low lower a a_min min_value min_val
    max: maximum high upper b a_max max_value max_val
    low: min start minimum
    high: max end stop maximum
    start: begin low from_
    scale_factor: scale factor zoom
    num_classes: classes num_class n_classes nclasses depth n
    training: train is_training mode
    reduction: reduce agg
    device: gpu dev
    std: sigma stddev scale sd
    mean: mu loc average
    batch_first: batchfirst batch
    hidden_size: hidden hidden_dim units n_hidden
    num_layers: layers n_layers nlayers depth
    in_features: input in_dim n_in input_size in_size input_dim in_channels
    bias: use_bias with_bias
    out_features: output out_dim n_out output_size out_size units output_dim out_channels
    in_channels: in_planes in_features input_channels in_ch c_in
    out_channels: filters out_planes out_features output_channels out_ch c_out
    stride: strides step
    padding: pad pads
    num_embeddings: vocab_size input_dim n vocab num size
    embedding_dim: dim size output_dim emb_dim embed_dim d
    num_features: features channels num_channels n size
    momentum: mom beta
    weight_decay: wd l2 decay
    betas: beta beta1
    eps: epsilon
    requires_grad: grad requires_gradient require_grad trainable needs_grad
    other: y b tensor2
    input: x a tensor logits
    target: y targets labels label y_true
    dims: axes dim axis
    dim0: dim axis0 axis1
    dim1: axis1 axis2
    k: n num top count
    repeats: reps times n
    start_dim: start dim axis
    end_dim: end
    offset: k diagonal
    diagonal: k offset
    sections: num
    chunks: n num sections
    mask: where condition
    label_smoothing: smoothing label_smooth
    num_heads: heads n_heads nhead
    embed_dim: dim d_model size embedding_dim
    step_size: step
    gamma: factor decay
    batch_size: batch bs batchsize
    approximate: approx
    ord: p order
    return_inverse: inverse
    return_counts: counts
    indexing: index mode
    sorted: sort
    output_size: size out_size
    inplace: in_place
"""
_ALIASES = inverted(_KEYWORDS)


def unknown_argument(failure: Failure) -> Finding | None:
    """A keyword that the function does not have."""
    node, call = failure.node, failure.call
    if not isinstance(failure.error, TypeError) or not isinstance(node, ast.Call) or call is None:
        return None
    said_so = said(failure, "unexpected keyword")
    found = signatures(failure)
    names = _parameter_names(found)
    python = call.form == "function" and isinstance(node.func, ast.Name) and hasattr(builtins, call.name)
    unknown = [
        k
        for k in node.keywords
        if k.arg and (python or (said_so and k.arg in said_so.groups()) or _is_unknown(k.arg, names, failure))
    ]
    if not unknown or not (
        said_so
        or said(failure, "combination")
        or said(failure, "missing arguments")
        or said(failure, "too many arguments")
    ):
        return None
    if python:
        return _of_python(failure, node, call.name, unknown)
    choices = {k.arg: _meant(str(k.arg), names - {str(one.arg) for one in node.keywords}) for k in unknown}
    hint = next((meant[0] for meant in choices.values() if meant), None)
    listed = " and ".join(str(k.arg) for k in unknown)
    title = f"{call.name} has no argument {listed}{f': did you mean {hint}?' if hint else ''}"
    return Finding(title, _notes(call.name, found), _keyword_edits(failure, node, unknown, choices, found))


def _of_python(failure: Failure, node: ast.Call, name: str, unknown: list[ast.keyword]) -> Finding:
    """A function of Python's that was given what torch's of the same name takes: `sum(x, dim=1)`."""
    texts = argument_texts(failure, node)
    edits = []
    if node.args and is_tensor(failure.value(node.args[0])):
        edits = [change(failure, (node, f"{atom(failure, node.args[0])}.{name}({', '.join(texts[1:])})"))]
        edits.append(change(failure, (node.func, f"torch.{name}")))
    title = f"Python's {name} has no argument {_and([str(k.arg) for k in unknown])}"
    return Finding(f"{title}{': a tensor has its own' if edits else ''}", (), edits)


def _is_unknown(name: str, names: set[str], failure: Failure) -> bool:
    accepted = {"axis", "keepdims", "x", "x1", "x2", "self", "input", "out"}
    return (
        bool(names) and name not in names | accepted and not open_ended(failure.call.function if failure.call else None)
    )


def _parameter_names(found: tuple[Signature, ...]) -> set[str]:
    return {p.name for signature in found for p in signature}


def _notes(name: str, found: tuple[Signature, ...]) -> tuple[str, ...]:
    return (f"it is called {written(name, found[0])}",) if len(found) == 1 and found[0] else ()


def _meant(word: str, names: set[str]) -> list[str]:
    aliases = [name for name in _ALIASES.get(word.lower(), ()) if name in names]
    if not aliases and len(word) > 2:
        near_words = [alias for alias in _ALIASES if len(alias) > 2 and distance(alias, word.lower()) == 1]
        aliases = [name for alias in near_words for name in _ALIASES[alias] if name in names]
    close = list(near(word, sorted(names), habits=False))
    parts = [n for n in sorted(names) if set(n.split("_")) & set(word.split("_")) and n not in close and len(word) > 2]
    same = [name for name in close if folded(name) == folded(word)]
    return list(dict.fromkeys([*same, *aliases, *close, *parts]))


def _keyword_edits(
    failure: Failure,
    node: ast.Call,
    unknown: list[ast.keyword],
    choices: dict[str | None, list[str]],
    found: tuple[Signature, ...],
) -> Iterable[Edit]:
    """Other names for the unknown arguments; without these where no other name works."""

    if text_of(failure, node.func) == "torch.Tensor":
        return [change(failure, (node.func, "torch.tensor"), title="torch.Tensor makes float32 alone")]

    def with_names(names: dict[int, str | None]) -> Edit:
        parts = [text_of(failure, part) for part in node.args]
        for k in node.keywords:
            name = names.get(id(k), k.arg)
            value = text_of(failure, k.value)
            if name == "dtype" and isinstance(failure.value(k.value), str):
                value = next(dtype_names(failure, k.value), value)
            parts += [] if name is None else [f"{name}={value}" if name else value]
        parts.sort(key=lambda part: bool(re.match(r"\w+=(?!=)", part)) or part.startswith("**"))
        return called_with(failure, node, parts)

    missing = (
        [p.name for s in found for p in s if p.required and p.name not in given(node, s)] if len(found) == 1 else []
    )
    renamed: list[dict[int, str | None]] = []
    if len(unknown) > 1 and all(choices[k.arg] for k in unknown):
        renamed.append({id(k): choices[k.arg][0] for k in unknown})
    for k in unknown:
        others = {id(one): next(iter(choices[one.arg]), None) for one in unknown if one is not k}
        renamed += [{**others, id(k): name} for name in dict.fromkeys([*choices[k.arg][:3], *missing])]
    if not any(choices.values()) and any(len(node.args) < len(positional(signature)) for signature in found):
        renamed.append(dict.fromkeys(map(id, unknown), ""))
    return or_else(map(with_names, renamed), [with_names(dict.fromkeys(map(id, unknown)))])


# Arguments


def wrong_arguments(failure: Failure) -> Finding | None:
    """Arguments missing, too many, of another type, or in another order."""
    early = made_too_early(failure)
    node, call = failure.node, failure.call
    if early or not isinstance(failure.error, TypeError | RuntimeError | ValueError | AttributeError):
        return early
    if isinstance(failure.error, AttributeError) and not _swapped(failure):
        return None
    if not isinstance(node, ast.Call) or call is None:
        return None
    if call.name in ("transpose", "swapaxes") and len(call.arguments) > 3:  # permute is meant
        return None
    patterns = (
        "must be",
        "size element",
        "combination",
        "missing arguments",
        "too many arguments",
        "multiple values",
        "clamp",
        "not a layer",
        "not parameters",
        "no attribute",
    )
    _warm(call.function)
    if not any(said(failure, name) for name in patterns):
        return None
    if said(failure, "not parameters") and not any(
        _is_layer(failure.value(p)) or is_tensor(failure.value(p)) for p in node.args
    ):
        return None
    found = signatures(failure)
    return Finding(_sentence(failure, node, found), (), _argument_edits(failure, node, found))


def number_as_text(failure: Failure) -> Finding | None:
    """`SGD(..., lr="0.1")`: a number in quotes, which a function compares with numbers."""
    node = failure.node
    if not isinstance(node, ast.Call) or not said(failure, "operand types"):
        return None
    for k in node.keywords:
        value = failure.value(k.value)
        if k.arg and isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+(e-?\d+)?", value):
            _warm(failure.value(node.func))
            title = f"{k.arg} is a number, and was given {definite(value)}"
            return Finding(
                title,
                (),
                [change(failure, (k.value, value if constant(k.value) else f"float({text_of(failure, k.value)})"))],
            )
    return None


def _swapped(failure: Failure) -> bool:
    """Whether a function's first argument is a number, and a later one a tensor."""
    node = failure.node
    values = [failure.value(part) for part in node.args] if isinstance(node, ast.Call) else []
    function = failure.call is not None and failure.call.form == "function"
    return function and len(values) > 1 and not is_tensor(values[0]) and any(is_tensor(v) for v in values[1:])


def _warm(function: Any) -> None:
    """An optimizer imports much when the first one is made: longer than trying an edit may take."""
    if str(getattr(function, "__module__", "")).startswith("torch.optim"):
        import torch._dynamo  # noqa: F401


def _is_layer(value: Any) -> bool:
    return hasattr(value, "parameters") and not isinstance(value, type)


def _sentence(failure: Failure, node: ast.Call, found: tuple[Signature, ...]) -> str:
    assert failure.call is not None
    name = failure.call.name
    wrong = said(failure, "must be")
    likely = [s for s in found if wrong and any(p.name == wrong["name"] for p in s)] or found
    best = min(likely, key=lambda s: (_misfit(failure, node, s), any(p.kind == "dtype" for p in s[:1])), default=())
    how = written(name, best) if found else name
    missing = said(failure, "missing arguments")
    absent = _names(missing[1]) if missing else [p.name for p in best if p.required and p.name not in given(node, best)]
    if missing or (absent and _misfit(failure, node, best) == 2 * len(absent)):
        return f"{_and(absent)} {'is' if len(absent) == 1 else 'are'} missing: {how}"
    told = _whole_numbers(failure, node, best)
    if told:
        return told
    many = said(failure, "multiple values")
    if many:
        return f"{how} was given {many[1]} twice, by its place and by its name"
    if wrong:
        position = f", its argument {wrong['position']}," if wrong["position"] else ""
        if wrong["other"]:
            return f"{how} takes a list of tensors, and was given a list of other things"
        return f"{how} takes {_kind(wrong['wanted'])} as {wrong['name']}{position} and was given {_kind(wrong['got'])}"
    if said(failure, "too many arguments"):
        return f"{how} was given {counted(len(node.args) + len(node.keywords), 'argument')}"
    if said(failure, "not parameters"):
        return f"{name} takes a model's parameters, and was given {definite(failure.value(node.args[0]))}"
    if said(failure, "not a layer"):
        return f"{name} takes layers, one after the other"
    values = [definite(failure.value(part)) for part in node.args if failure.value(part) is not Unknown]
    values += [f"{k.arg}={text_of(failure, k.value)}" for k in node.keywords if k.arg]
    return f"{how} was given {_and(values) or 'nothing'}"


def _whole_numbers(failure: Failure, node: ast.Call, signature: Signature) -> str | None:
    """What is said of sizes, or dimensions, that are given one by one."""
    place = next(iter(positional(signature)), None)
    if place is None or place.kind not in ("int", "ints") or failure.call is None:
        return None
    broken = [part for part in node.args if isinstance(failure.value(part), float)]
    if broken and place.kind == "ints":
        return f"{place.name} takes whole numbers, and {text_of(failure, broken[0])} is not one"
    dims = [failure.value(part) for part in node.args]
    if place.name != "dim" or len(dims) < 2 or not all(map(_is_whole, dims)) or failure.call.form != "method":
        return None
    subject = failure.call.arguments[0]
    shape = tuple(subject.value.shape) if is_tensor(subject.value) else ()
    has = f"; {subject.text} of shape {brackets(shape)} has {len(shape)}" if max(dims) >= len(shape) else ""
    return f"{failure.call.name} takes several dimensions in brackets, ({', '.join(map(str, dims))}){has}"


def _and(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""


def _names(words: str) -> list[str]:
    return re.findall(r"\w+", words.replace(" and ", " "))


_WORDS = {
    "Tensor": "a tensor", "int": "a whole number", "float": "a number", "Number": "a number", "bool": "True or False",
    "tuple of ints": "a size such as (2, 3)", "tuple of Tensors": "a list of tensors", "torch.dtype": "a dtype",
    "str": "text", "list": "a list", "tuple": "a tuple", "NoneType": "None", "type": "a type",
    "Parameter": "a parameter", "builtin_function_or_method": "a function", "torch.Size": "a size",
    "numpy.ndarray": "a NumPy array",
}  # fmt: skip


def _kind(word: str) -> str:
    return _WORDS.get(word, word)


def _misfit(failure: Failure, node: ast.Call, signature: Signature) -> int:
    """How many arguments of a call do not fit a signature."""
    places = positional(signature)
    wrong = sum(not fits(p, failure.value(part)) for p, part in zip(places, node.args, strict=False))
    absent = sum(p.required and p.name not in given(node, signature) for p in signature)
    return 2 * (wrong + absent) + 3 * max(len(node.args) - len(places), 0)


Given = list[tuple[str, Any]]


def _argument_edits(failure: Failure, node: ast.Call, found: tuple[Signature, ...]) -> Iterator[Edit]:
    """Other arguments, likeliest first."""
    named = [
        f"{k.arg}={text_of(failure, k.value)}" if k.arg else f"**{text_of(failure, k.value)}" for k in node.keywords
    ]
    if any(isinstance(part, ast.Starred) for part in node.args):
        return
    args = [(text_of(failure, part), failure.value(part)) for part in node.args]
    meant = [*_called_twice(failure, node), *_clamped(failure, node, args)]
    yield from meant
    if not meant:
        yield from or_else(_mended(failure, node, args, named, found), _fewer(failure, node, args, named))


def _called_twice(failure: Failure, node: ast.Call) -> Iterator[Edit]:
    """`F.relu(x)` for `F.relu()(x)`: a function that is called as a layer is."""
    outer = calling(failure, node)
    if outer and outer.args and not isinstance(failure.value(node.func), type) and said(failure, "missing arguments"):
        arguments = [*argument_texts(failure, outer), *argument_texts(failure, node)]
        yield change(failure, (outer, f"{text_of(failure, node.func)}({', '.join(arguments)})"))


def _clamped(failure: Failure, node: ast.Call, args: Given) -> Iterator[Edit]:
    """`a.clamp(min=0.5)` for `torch.max(a, 0.5)`: the larger of each element and a number."""
    call = failure.call
    if call is None or call.name not in ("max", "min") or len(call.arguments) != 2 or not args:
        return
    text, value = args[-1]
    if is_tensor(call.arguments[0].value) and isinstance(value, float) and isinstance(node.func, ast.Attribute):
        owner = text_of(failure, node.func.value)
        first = [text for text, _ in args[:-1]]
        bound = f"{'min' if call.name == 'max' else 'max'}={text}"
        title = f"{call.name} takes a dimension here, clamp a bound"
        yield change(failure, (node, f"{owner}.clamp({', '.join([*first, bound])})"), title=title)


def _fewer(failure: Failure, node: ast.Call, args: Given, named: list[str]) -> Iterator[Edit]:
    """The call without its last arguments."""
    if said(failure, "too many arguments") or said(failure, "must be") or said(failure, "combination"):
        for kept in range(len(args) - 1, -1, -1):
            yield called_with(failure, node, [text for text, _ in args[:kept]] + named)


def _mended(
    failure: Failure, node: ast.Call, args: Given, named: list[str], found: tuple[Signature, ...]
) -> Iterator[Edit]:
    ordered = sorted(found, key=lambda s: _misfit(failure, node, s))
    right = ordered and all(fits(p, v) for p, (_, v) in zip(positional(ordered[0]), args, strict=False))
    filled = list(_filled(failure, node, args, named, ordered))
    yield from filled if right else ()
    for arguments in _proposals(failure, node, args, ordered) if not (right and filled) else ():
        yield called_with(failure, node, [*arguments, *named])
    yield from _keywords_converted(failure, node, ordered)
    yield from _special(failure, node, args, named)
    yield from filled
    if args and said(failure, "multiple values"):
        yield called_with(failure, node, [text for text, _ in args[:-1]] + named)
        many = said(failure, "multiple values")
        yield called_with(
            failure, node, [text for text, _ in args] + [n for n in named if many and not n.startswith(f"{many[1]}=")]
        )


def _proposals(failure: Failure, node: ast.Call, args: Given, found: list[Signature]) -> Iterator[list[str]]:
    yield from _as_keywords(args, found)
    yield from _in_order(args, found)
    yield from _with_dimension(args, found)
    for signature in found:
        yield from _gathered(args, positional(signature))
    yield from _spread(args)
    for signature in found:
        yield from _converted(failure, node, args, positional(signature))
    if not found:
        yield from _converted(failure, node, args, tuple(Parameter(str(i), "int") for i in range(len(args))))


def _as_keywords(args: Given, found: list[Signature]) -> Iterator[list[str]]:
    """A dtype, a device or a flag that stands where only a keyword can."""
    kinds = {"dtype": "dtype", "device": "device", "bool": "requires_grad"}
    names = _parameter_names(tuple(found)) if found else {"dtype", "device", "requires_grad"}
    for at in range(len(args) - 1, 0, -1):
        text, value = args[at]
        word = kinds.get(type(value).__name__) or ("device" if isinstance(value, str) and _is_device(value) else None)
        if word in ("requires_grad",) and "keepdim" in names:
            word = "keepdim"
        if word and (word in names or not found):
            rest = [t for t, _ in args[at + 1 :]]
            yield [*(t for t, _ in args[:at]), *rest, f"{word}={text}"]


def _is_device(value: str) -> bool:
    return value.partition(":")[0] in ("cpu", "cuda", "mps", "meta")


def _in_order(args: Given, found: list[Signature]) -> Iterator[list[str]]:
    """The same arguments in another order, where each then is what it should be."""
    if not 2 <= len(args) <= 4:
        return
    orders = list(itertools.permutations(range(len(args))))
    orders.sort(key=lambda order: sum(place != at for at, place in enumerate(order)))
    for signature in found:
        places = positional(signature)
        if len(places) < len(args) or sum(not fits(p, v) for p, (_, v) in zip(places, args, strict=False)) < 2:
            continue
        for order in orders[1:]:
            if all(_could_be(places[at], args[place][1]) for at, place in enumerate(order)):
                yield [args[place][0] for place in order]


def _could_be(parameter: Parameter, value: Any) -> bool:
    """Whether a value fits, or is a single dimension where several can be given."""
    return fits(parameter, value) or (parameter.kind == "ints" and _is_whole(value))


def _with_dimension(args: Given, found: list[Signature]) -> Iterator[list[str]]:
    """A dimension put in where it was left out: gather(x, index)."""
    for signature in found:
        places = positional(signature)
        at = next((n for n, p in enumerate(places) if p.name == "dim" and p.required), None)
        if at is None or at >= len(args) or len(args) >= len(places) or fits(places[at], args[at][1]):
            continue
        texts = [text for text, _ in args]
        yield from ([*texts[:at], dim, *texts[at:]] for dim in ("1", "0", "-1"))


def _gathered(args: Given, places: tuple[Parameter, ...]) -> Iterator[list[str]]:
    """Sizes or tensors one by one, where they are taken together."""
    for at, parameter in enumerate(places):
        if parameter.kind not in ("ints", "tensors") or at >= len(args):
            continue
        after = sum(p.required for p in places[at + 1 :])
        good = _is_whole if parameter.kind == "ints" else is_tensor
        ends = [len(args) - after, *range(len(args), at, -1)] if after else range(len(args), at, -1)
        for end in ends:
            inside = args[at:end]
            if inside and all(good(value) for _, value in inside):
                joined = ", ".join(text for text, _ in inside)
                together = f"({joined}{',' if len(inside) == 1 else ''})"
                yield [*(t for t, _ in args[:at]), together, *(t for t, _ in args[end:])]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _spread(args: Given) -> Iterator[list[str]]:
    """Sizes partly in brackets, one by one."""
    if not any(isinstance(value, list | tuple) for _, value in args):
        return
    parts = [part for text, value in args for part in ([f"*{text}"] if isinstance(value, list | tuple) else [text])]
    flat = [part for text, value in args for part in (map(str, value) if isinstance(value, list | tuple) else [text])]
    whole = all(_is_whole(v) for _, value in args for v in (value if isinstance(value, list | tuple) else [value]))
    if whole:
        literal = all(text.startswith(("(", "[")) for text, value in args if isinstance(value, list | tuple))
        yield flat if literal else parts


def _converted(failure: Failure, node: ast.Call, args: Given, places: tuple[Parameter, ...]) -> Iterator[list[str]]:
    """Each argument as what its parameter takes."""
    last = places[-1] if places else Parameter("")
    variadic = len(args) > len(places) and last.kind == "ints"
    choices: list[list[str]] = []
    for at, (text, value) in enumerate(args):
        parameter = places[at] if at < len(places) and not variadic else Parameter(last.name, "int" if variadic else "")
        part = node.args[at]
        wrong = not fits(parameter, value)
        choices.append(
            [*(converted(failure, part, text, value, parameter) if wrong else ()), *([] if wrong else [text])] or [text]
        )
    for chosen in itertools.islice(itertools.product(*choices), 6):
        if list(chosen) != [text for text, _ in args]:
            yield list(chosen)


def converted(failure: Failure, node: ast.expr, text: str, value: Any, parameter: Parameter) -> Iterator[str]:
    """A value as what a parameter takes, in words that its author would have written."""
    kind = parameter.kind
    if isinstance(value, str) and kind in ("int", "ints", "float", "bool", "tensor"):
        plain = value.strip()
        if re.fullmatch(r"-?\d+(\.\d+)?|True|False|[\[(].*[\])]|-?\d+(, ?-?\d+)+", plain):
            yield plain
        return
    if kind in ("int", "ints") and isinstance(value, float):
        yield from _whole(failure, node, text, value)
    elif kind == "int" and is_tensor(value):
        yield f"int({text})"
        yield f"{atom(failure, node)}.item()"
    elif kind == "ints" and is_tensor(value):
        yield f"{atom(failure, node)}.shape"
        yield f"{atom(failure, node)}.tolist()"
    elif kind == "ints" and _is_whole(value):
        yield f"({text},)"
        if parameter.name == "pad":
            yield f"({text}, {text})"
            yield f"({text}, {text}, {text}, {text})"
    elif kind == "ints" and isinstance(value, list | tuple):
        yield "(" + "".join(f"{int(v)}, " for v in value if isinstance(v, int | float)).strip() + ")"
    elif kind == "int" and isinstance(value, list | tuple):
        if isinstance(node, ast.Tuple | ast.List):
            yield ", ".join(text_of(failure, part) for part in node.elts)
        else:
            yield from (f"*{text}", f"len({text})", f"{atom(failure, node)}[0]")
    elif kind == "tensors" and is_tensor(value):
        yield f"[{text}]"
    elif kind == "float" and is_tensor(value):
        yield f"{atom(failure, node)}.item()"
        yield f"len({text})"
    elif kind == "float" and isinstance(value, list | tuple) and len(value) == 1:
        yield f"{text}[0]"
    elif kind == "bool" and value in (0, 1):
        yield str(bool(value))


def _whole(failure: Failure, node: ast.expr, text: str, value: float) -> Iterator[str]:
    """A size that came out as 2.0: `//` for `/`, the number without its point, or int()."""
    match node:
        case ast.Constant():
            yield str(int(value))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            yield f"{text_of(failure, left)} // {text_of(failure, right)}"
    yield f"int({text})"


def _keywords_converted(failure: Failure, node: ast.Call, found: list[Signature]) -> Iterator[Edit]:
    parameters = {p.name: p for signature in reversed(found) for p in signature}
    for k in node.keywords:
        parameter, value = parameters.get(k.arg or ""), failure.value(k.value)
        if parameter and not fits(parameter, value):
            for text in converted(failure, k.value, text_of(failure, k.value), value, parameter):
                yield change(failure, (k.value, text))


def _special(failure: Failure, node: ast.Call, args: Given, named: list[str]) -> Iterator[Edit]:
    """What people mean by calls of a few functions that take something else than one thinks."""
    call = failure.call
    texts = [text for text, _ in args]
    if call is None:
        return
    if args and said(failure, "not parameters"):
        first = f"{texts[0]}.parameters()" if _is_layer(args[0][1]) else f"[{texts[0]}]"
        yield called_with(failure, node, [first, *texts[1:], *named])
    if call.name in ("Sequential", "ModuleList") and len(args) == 1:
        if isinstance(node.args[0], ast.List | ast.Tuple):
            yield called_with(failure, node, [text_of(failure, part) for part in node.args[0].elts])
        yield called_with(failure, node, [f"*{texts[0]}"])
    if call.name == "tensor" and len(args) > 1:
        yield called_with(failure, node, [f"[{', '.join(texts)}]", *named])
    if call.name == "clamp" and not args:
        yield called_with(failure, node, ["min=0"])
    if call.name in ("mean", "sum", "max", "min", "prod") and len(args) > 1 and all(is_tensor(v) for _, v in args):
        yield change(failure, (node, f"{text_of(failure, node.func)}(torch.stack([{', '.join(texts)}]))"))
    if call.name == "normal" and len(texts) == 2:
        yield called_with(failure, node, [*texts, "(1,)", *named])


# What a missing argument could be, by its name: {n} is the last dimension of the tensor.
_FILLED = {
    "dim": ("dim=-1", "dim=0"), "dim1": ("1",), "dims": ("0", "(0,)"), "shape": ("-1",), "size": ("(1,)",),
    "shifts": ("1",), "fill_value": ("0",), "exponent": ("2",), "split_size_or_sections": ("1",), "chunks": ("2",),
    "diagonal": ("0",), "repeats": ("2",), "steps": ("steps=100",),
}  # fmt: skip
_BY_NAME = {
    "target": ("target", "targets", "y", "labels", "label", "t", "y_true"),
    "input": ("x", "input", "inputs", "X", "data"),
    "other": ("y", "b", "other", "B", "w", "W"),
}


def _filled(failure: Failure, node: ast.Call, args: Given, named: list[str], found: list[Signature]) -> Iterator[Edit]:
    """The call with what it lacks, where its name says what that could be."""
    call = failure.call
    texts = [text for text, _ in args]
    for signature in found[:2]:
        missing = [p.name for p in signature if p.required and p.name not in given(node, signature)]
        if call is None or not missing:
            continue
        subject: Any = call.arguments[0].value if call.arguments else Unknown
        rank = subject.ndim if is_tensor(subject) else 2
        for fill in _fills(call.name, missing, texts, rank, failure):
            yield called_with(
                failure, node, [*texts, *(f for f in fill if "=" not in f), *named, *(f for f in fill if "=" in f)]
            )


def _fills(name: str, missing: list[str], texts: list[str], rank: int, failure: Failure) -> Iterator[list[str]]:
    if name == "permute":
        yield [str(dim) for dim in reversed(range(rank))]
        yield ["(" + ", ".join(str(dim) for dim in reversed(range(rank))) + ")"]
    if missing == ["dim0", "dim1"]:
        yield ["0", "1"] if rank == 2 else ["-2", "-1"]
    elif missing == ["dim1"]:
        given_dim = texts[-1] if texts else "0"
        yield (
            ["0"]
            if given_dim in ("1", "-1") and rank == 2
            else ["2"]
            if given_dim == "1"
            else ["-1"]
            if given_dim == "-2"
            else ["1"]
        )
        yield ["-1"]
        yield ["0"]
    elif len(missing) == 1:
        fills = (
            ("0", "-1")
            if name.startswith("unsqueeze")
            else ("dim=0", "dim=-1")
            if name.startswith("cum")
            else ("-1",)
            if name == "view"
            else ("0",)
            if name == "where"
            else _FILLED.get(missing[0], ())
        )
        yield from ([fill] for fill in fills)
        tensors = [
            v for v in _BY_NAME.get(missing[0], (missing[0],)) if v in failure.names and is_tensor(failure.names[v])
        ]
        yield from ([v] for v in tensors if v not in texts)


# Numbers


def number_out_of_range(failure: Failure) -> Finding | None:
    """A learning rate, a probability or a size that none can be."""
    found, node = said(failure, "number range"), failure.node
    if not found or not isinstance(node, ast.Call):
        return None
    what, *told = filter(None, found.groups())
    parts = [part for given in (*node.args, *(k.value for k in node.keywords)) for part in ast.walk(given)]
    numbers = [part for part in parts if isinstance(constant(part), int | float)]
    wrong = [part for part in numbers if told and constant(part) == float(told[0])]
    wrong = wrong or [part for part in numbers if isinstance(part, ast.UnaryOp)]
    value = text_of(failure, wrong[0]) if wrong else "".join(told)
    size = what.lower() == "dimension"
    share = what in ("probability", "beta parameter")
    title = f"{units.one('size' if size else what)} cannot be {value}{' here' if size else ''}"
    notes = ("only view, reshape and expand work out a -1",) if size and value == "-1" else ()
    range_of = "it lies between 0 and 1" if share else "it is 0 or more"
    edits = (change(failure, (part, text)) for part in wrong for text in _in_range(part, text_of(failure, part)))
    return Finding(f"{title}: {range_of}", notes, edits)


def _in_range(node: ast.AST, text: str) -> Iterator[str]:
    if isinstance(node, ast.UnaryOp):
        yield text.lstrip("- ")
    else:  # 2 or 50 for a share
        yield f"{float(text) / 10 ** len(str(int(float(text)))):g}"
        yield "0.5"


ENTRIES = (
    Entry(
        "not-callable",
        "name",
        not_callable,
        "x = torch.rand(2, 3)\nx.shape()",
        "Brackets call functions; an attribute such as shape, T or dtype has none, and an index stands in [ ].",
    ),
    Entry(
        "forgotten-brackets",
        "name",
        forgotten_brackets,
        "x = torch.rand(2, 3)\nx.mean + 1",
        "x.mean is the method itself; x.mean() is what it gives.",
    ),
    Entry(
        "number-out-of-range",
        "value",
        number_out_of_range,
        "nn.Dropout(p=2)",
        "A probability lies between 0 and 1; a learning rate and a size are never negative.",
    ),
    Entry(
        "dtype-as-text",
        "dtype",
        dtype_as_text,
        'torch.ones(3, dtype="float32")',
        "A dtype is an object, torch.float32, and not a text.",
    ),
    Entry(
        "unknown-argument",
        "name",
        unknown_argument,
        "nn.Linear(in_feature=3, out_features=2)",
        "A keyword has exactly the name that the function's signature gives it.",
    ),
    Entry(
        "wrong-arguments",
        "name",
        number_as_text,
        'torch.optim.SGD([torch.rand(2, requires_grad=True)], lr="0.1")',
        "Each argument has its place or its name, and its type: sizes are whole numbers, cat takes a list of tensors.",
    ),
    Entry(
        "wrong-arguments",
        "name",
        wrong_arguments,
        "torch.full(0.5, (3, 3))",
        "Each argument has its place or its name, and its type: sizes are whole numbers, cat takes a list of tensors.",
    ),
)
