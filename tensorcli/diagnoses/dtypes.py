"""Diagnoses of dtypes: two of them in one operation, integers where floats are needed, results that do not fit."""

import ast
from collections.abc import Iterator
from typing import Any

from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Operand
from tensorcli.diagnoses.edits import (
    atom,
    cast,
    cast_all,
    change,
    constant,
    dtype_of,
    innermost,
    is_tensor,
    keyword,
    made_by,
    parent,
    placed,
    suffix,
    suffixed,
    tensors,
    text_of,
    with_keyword,
)
from tensorcli.diagnoses.messages import dtype_named, said

_FLOATS = ("float32", "float64", "float16", "bfloat16")
_LOW = ("float16", "bfloat16")
_COMPLEX = ("complex32", "complex64", "complex128")


def _is_whole(value: Any) -> bool:
    """Whether a tensor holds integers or truth values."""
    return is_tensor(value) and dtype_of(value) not in (*_FLOATS, *_COMPLEX)


_OPERATORS = {
    "matmul": "@", "neg": "-", "sub": "-", "bitwise_not": "~", "bitwise_and": "&", "bitwise_or": "|", "add": "+",
    "bitwise_xor": "^", "remainder": "%", "floor_divide": "//", "mul": "*", "div": "/", "gt": ">", "lt": "<",
    "ge": ">=", "le": "<=", "bitwise_left_shift": "<<", "bitwise_right_shift": ">>", "pow": "**",
}  # fmt: skip


def _name(failure: Failure) -> str:
    """What the failing operation is called: its operator's sign, its function's name, its layer's kind."""
    if failure.layer is not None:
        return f"nn.{type(failure.layer.module).__name__}"
    node = failure.node
    name = failure.call.name if failure.call else "this"
    return (
        _OPERATORS.get(name, name) if isinstance(node, ast.BinOp | ast.UnaryOp | ast.AugAssign | ast.Compare) else name
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 and "\n" not in text else "it"


# Two dtypes.


def mixed(failure: Failure) -> Finding | None:
    """An operation of tensors of two dtypes that takes one."""
    if not said(failure, "mixed dtypes"):
        return None
    own = _layer_dtype(failure)
    operands = _assigned(failure) or tensors(failure)
    kinds = list(dict.fromkeys(dtype_of(operand.value) for operand in operands))
    if own is not None:
        return _layer_finding(failure, own, operands)
    if len(kinds) == 1 and (_is_whole(operands[0].value) or not any(_lists(failure))):
        return None  # it needs floats, or these words are of something else
    data = [o for o in operands if not (_is_whole(o.value) and _is_index(failure, o))]
    named = [
        f"{o.text if _short(o.text) != 'it' else f'tensor {n}'} is {dtype_of(o.value)}" for n, o in enumerate(data, 1)
    ]
    title = f"{_name(failure)} takes tensors of one dtype: {', '.join(dict.fromkeys(named)) or failure.message}"
    return Finding(title, (), _mixed_edits(failure, operands))


def _assigned(failure: Failure) -> list[Operand]:
    """The tensor a part of which is assigned, and what is assigned to it."""
    inner = innermost(failure)
    if failure.call is None or failure.call.form != "assign" or not isinstance(inner, ast.Assign):
        return []
    value = Operand(text_of(failure, inner.value), failure.value(inner.value), inner.value)
    found = [failure.call.arguments[0], value]
    return found if all(is_tensor(operand.value) for operand in found) else []


def _layer_dtype(failure: Failure) -> str | None:
    """The dtype of the weights of the layer that failed."""
    parameter = next(iter(failure.layer.module.parameters()), None) if failure.layer else None
    return None if parameter is None else dtype_of(parameter)


def _layer_finding(failure: Failure, own: str, operands: list[Operand]) -> Finding | None:
    assert failure.layer is not None
    given = next((dtype_of(v) for v in failure.layer.inputs if dtype_of(v) != own), None)
    others = [operand for operand in operands if dtype_of(operand.value) != own]
    if given is None and not others:
        return None
    given = given or dtype_of(others[0].value)
    path = f" {failure.layer.path}" if failure.layer.path else ""
    title = f"the weights of {_name(failure)}{path} are {own}, and its input is {given}"
    notes = ("NumPy makes float64 unless told; torch's layers are float32",) if (own, given) == _NUMPYS else ()
    return Finding(title, notes, _layer_edits(failure, own, operands))


_NUMPYS = ("float32", "float64")


def _layer_edits(failure: Failure, own: str, operands: list[Operand]) -> Iterator[Edit]:
    others = [operand for operand in operands if dtype_of(operand.value) != own]
    yield cast_all(failure, others, cast(own), title=f"{own}, as the layer's weights")
    for operand in others:
        yield suffix(failure, operand, cast(own), title=f"{own}, as the layer's weights")
    yield from _made_with(failure, others, own)
    yield from _inner_casts(failure, own)
    node, call = failure.node, failure.call
    if isinstance(node, ast.Call) and call is not None:
        for given in (*call.arguments[1:], *call.keywords.values()):
            if isinstance(given.value, tuple | list) and given.value and not isinstance(given.node, ast.Tuple):
                text = f"tuple(t{cast(own)} for t in {given.text})"
                yield change(failure, (given, text), title=f"{own}, as the layer's weights")
        kinds = dict.fromkeys(dtype_of(o.value) for o in others if not _is_whole(o.value))
        if call.form == "module":
            for kind in kinds:
                yield change(failure, (node.func, atom(failure, node.func) + cast(kind)), title=f"the layer in {kind}")


def _inner_casts(failure: Failure, own: str) -> Iterator[Edit]:
    """The tensors inside an argument such as `model(torch.cat([a, b]))`, or of a user's function, in another dtype."""
    for part in ast.walk(failure.node) if failure.node else ():
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            value = failure.value(part)
            if is_tensor(value) and dtype_of(value) != own:
                yield change(failure, (part, part.id + cast(own)), title=own)


_MAKERS = frozenset(
    """tensor zeros ones rand randn full empty arange linspace eye as_tensor zeros_like ones_like full_like
    logspace""".split()
)


def _made_with(failure: Failure, operands: list[Operand], dtype: str) -> Iterator[Edit]:
    """The variable made with another dtype, where its definition says which."""
    for operand in operands:
        found = made_by(failure, operand)
        if found is not None:
            written, value = found
            for part in ast.walk(value):
                if isinstance(part, ast.Call) and (given := keyword(part, "dtype")) is not None:
                    yield Edit(((written, given, f"torch.{dtype}"),), f"{operand.text} made as {dtype}")


# Where the first tensor is changed or is what the result looks like, it keeps its dtype and the others follow.
_WRITES_TO_FIRST = frozenset(
    """index_add index_add_ index_copy index_copy_ scatter scatter_ scatter_add scatter_add_ scatter_reduce put_
    scatter_reduce_ index_put index_put_ masked_scatter masked_scatter_ index assign index_reduce index_reduce_ put
    select_scatter slice_scatter diagonal_scatter lerp_""".split()
)


def _targets(failure: Failure, operands: list[Operand]) -> list[str]:
    """The dtypes that all could have, likeliest first: what loses nothing, but float32 where weights are kept in it."""
    kinds = list(dict.fromkeys(dtype_of(operand.value) for operand in operands))
    kinds = [kind for kind in kinds if not _is_whole_name(kind)] or kinds
    call = failure.call
    if call and call.name in _WRITES_TO_FIRST and operands and not _is_whole(operands[0].value):
        kinds.sort(key=lambda kind: kind != dtype_of(operands[0].value))
        return kinds
    complex_kinds = [kind for kind in kinds if kind in _COMPLEX]
    if complex_kinds:
        return [*complex_kinds, "complex64"]
    weights = any(type(operand.value).__name__ == "Parameter" for operand in operands)
    floats = ("float32", "float64") if weights else ("float64", "float32")
    order = (*floats, "bfloat16", "float16", "int64", "int32", "int16", "uint8", "int8", "bool")
    found = [kind for kind in order if kind in kinds]
    return found if set(found) & set(_FLOATS[:2]) or not set(found) & set(_LOW) else ["float32", *found]


def _mixed_edits(failure: Failure, operands: list[Operand]) -> Iterator[Edit]:
    call = failure.call
    first = operands[0] if operands else None
    in_first = call is not None and call.name in _WRITES_TO_FIRST
    if in_first and first is not None and _is_whole(first.value):
        yield from _floats_from_the_start(failure, first)
    for target in _targets(failure, operands):
        others = [o for o in operands if dtype_of(o.value) != target]
        data = [o for o in others if not (_is_whole(o.value) and _is_index(failure, o))]
        for chosen in (data, others):
            yield cast_all(failure, chosen, cast(target), title=f"all in {target}")
        for operand in data if in_first or len(operands) > 2 else ():
            yield suffix(failure, operand, cast(target), title=f"as {target}")
    for operand in operands:
        for kind in dict.fromkeys(dtype_of(o.value) for o in operands):
            if kind != dtype_of(operand.value) and not (_is_whole_name(kind) and not _is_whole(operand.value)):
                yield suffix(failure, operand, cast(kind), title=f"as {kind}")
    yield from _list_casts(failure)
    yield from _inner_casts(failure, "float32")


def _is_whole_name(kind: str) -> bool:
    return kind not in (*_FLOATS, *_COMPLEX)


def _is_index(failure: Failure, operand: Operand) -> bool:
    call = failure.call
    if call is None:
        return False
    named = next((name for name, given in call.keywords.items() if given.node is operand.node), None)
    if named is not None:
        return named in ("index", "indices", "mask", "condition")
    indexing = call.name in _WRITES_TO_FIRST
    places = [given.node for given in call.arguments]
    return (
        indexing
        and operand.node in places
        and places.index(operand.node) in (1, 2)
        and len(places) > 2
        and (operand.node is not places[-1])
    )


# Integers where floats are needed.


def needs_float(failure: Failure) -> Finding | None:
    """An operation that takes floating-point numbers, on integers or truth values."""
    implemented = said(failure, "not for dtype")
    kind = dtype_named(implemented[1]) if implemented and implemented[1] else ""
    given = _layer_given(failure)
    float_kernel = implemented and _is_whole_kind(kind) and _wants_float(failure)
    drawn = said(failure, "result dtype") and failure.call and not _is_changed(failure)
    weights = said(failure, "mixed dtypes") and given is not None
    if not (said(failure, "needs float") or float_kernel or drawn or weights):
        return None
    operands = tensors(failure)
    whole = [operand for operand in operands if _is_whole(operand.value)]
    if not whole and said(failure, "needs float") and any(dtype_of(o.value) in _LOW for o in operands):
        return None
    what = whole[0] if whole else None
    title = f"{_name(failure)} takes floating-point numbers"
    if weights and given is not None:
        title = f"the weights of {_name(failure)} are {_layer_dtype(failure)}, and its input is {given}"
    elif what is not None:
        title += f", and {_short(what.text)} is {dtype_of(what.value)}"
    elif kind:
        title += f", not {kind}"
    if "require" in failure.message and "gradients" in failure.message:
        title = f"only floating-point numbers have gradients{_given_dtype(failure, what)}"
    return Finding(title, (), _float_edits(failure, operands, whole))


def _given_dtype(failure: Failure, what: Operand | None) -> str:
    if what is not None:
        return f", and {_short(what.text)} is {dtype_of(what.value)}"
    return ", and these are integers"


def _is_whole_kind(kind: str) -> bool:
    return bool(kind) and _is_whole_name(kind)


def _layer_given(failure: Failure) -> str | None:
    """The dtype of a layer's input where it is one of integers."""
    inputs = failure.layer.inputs if failure.layer else ()
    return next((dtype_of(value) for value in inputs if _is_whole(value)), None)


# Operators that count, compare or pick: they work on integers, and truth values are what they lack.
_FOR_INTEGERS = """
    median addmm addmv bmm dot bincount remainder div_floor abs trace cross max min topk argm sort kthvalue histc arange
    range randperm linspace shift fmod gcd lcm prod cumsum bitwise maximum minimum mode unique matmul mv baddbmm unfold
    add mul sub div_true eq ne lt le gt ge sum neg copy
""".split()


def _wants_float(failure: Failure) -> bool:
    """Whether the kernel that lacks an integer dtype is one for floating-point numbers."""
    quoted = failure.message.split('"')
    kernel = quoted[1] if len(quoted) > 2 else ""
    return not any(kernel.startswith(word) for word in _FOR_INTEGERS) or kernel.startswith(("max_pool", "histogram"))


def _is_changed(failure: Failure) -> bool:
    """Whether the call changes its first tensor, or writes to `out`."""
    call = failure.call
    return call is not None and (
        call.form in ("in place", "assign") or call.name.endswith("_") or "out" in call.keywords
    )


def _float_edits(failure: Failure, operands: list[Operand], whole: list[Operand]) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    if call is not None and _requires_grad(failure):
        yield from _grad_edits(failure, whole)
        return
    if isinstance(node, ast.Call):
        yield from _other_dtype(failure, node)
    if "negative integer powers" in failure.message:
        yield from _power_edits(failure)
    if call is not None and call.name.endswith("_") and whole and call.form == "method":
        yield from list(_literal_floats(failure, whole[0]))[:1]
        yield suffix(failure, whole[0], ".float()", title="floating-point numbers")
        yield from _floats_from_the_start(failure, whole[0])
    target = next((dtype_of(o.value) for o in operands if dtype_of(o.value) in _FLOATS), _layer_dtype(failure))
    suffixes = dict.fromkeys([cast(target or "float32"), ".float()", ".double()"])
    for text in suffixes:
        yield cast_all(failure, whole, text, title="floating-point numbers")
        if len(whole) > 1:
            yield from (suffix(failure, operand, text, title="floating-point numbers") for operand in whole)
        if text == ".float()" and isinstance(node, ast.Call) and call is not None and call.form != "module":
            yield change(
                failure,
                (node, with_keyword(text_of(failure, node), "dtype=torch.float32")),
                title="a result in float32",
            )
    for operand in whole:
        yield from _literal_floats(failure, operand)
    yield from _list_casts(failure)
    yield from _inner_casts(failure, target or "float32")


def _list_casts(failure: Failure) -> Iterator[Edit]:
    """A sequence of tensors, each in float32."""
    for given in _lists(failure):
        yield change(failure, (given, f"[t.float() for t in {given.text}]"), title="floating-point numbers")


def _lists(failure: Failure) -> Iterator[Operand]:
    """The arguments that are sequences of tensors."""
    call = failure.call
    for given in (*call.arguments, *call.keywords.values()) if call else ():
        if isinstance(given.value, list | tuple) and any(map(is_tensor, given.value)) and given.node is not None:
            yield given


def _other_dtype(failure: Failure, node: ast.Call) -> Iterator[Edit]:
    """`dtype=torch.int64` in the call itself: another, or none."""
    given = keyword(node, "dtype")
    if given is not None:
        yield change(failure, (given, "torch.float32"), title="in float32")
        kept = [text_of(failure, part) for part in node.args]
        kept += [f"{k.arg}={text_of(failure, k.value)}" for k in node.keywords if k.arg and k.arg != "dtype"]
        inner = f"{text_of(failure, node.func)}({', '.join(kept)})"
        value = failure.value(given)
        text = cast(str(value).removeprefix("torch."))
        yield change(failure, (node, f"{inner}{text}"), title="made first, and then converted")
        yield change(failure, (node, inner), title="without a dtype")


def _power_edits(failure: Failure) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    if call is None or not call.arguments:
        return
    base = call.arguments[0]
    if isinstance(node, ast.AugAssign):
        text = f"{text_of(failure, node.target)} = {base.text}.float() ** {atom(failure, node.value)}"
        yield change(failure, (node, text), title="floating-point numbers")
    elif is_tensor(base.value):
        yield suffix(failure, base, ".float()", title="floating-point numbers")
    elif base.node is not None and isinstance(constant(base.node), int):
        yield change(failure, (base, f"{constant(base.node)}.0"), title="a floating-point number")
    if len(call.arguments) > 1 and is_tensor(call.arguments[1].value):
        yield suffix(failure, call.arguments[1], ".float()", title="floating-point numbers")


# Gradients of integers.


def _requires_grad(failure: Failure) -> bool:
    return "radients" in failure.message and "require" in failure.message


def _grad_edits(failure: Failure, whole: list[Operand]) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    assert call is not None
    if isinstance(node, ast.Call) and call.name not in ("requires_grad_", "Parameter", "grad"):
        floats = _with_points(failure, node)
        if floats is not None:
            yield change(failure, *floats, title="floating-point numbers")
        given = keyword(node, "dtype")
        if given is not None:
            yield change(failure, (given, "torch.float32"), title="in float32")
        else:
            text = with_keyword(text_of(failure, node), "dtype=torch.float32")
            yield change(failure, (node, text), title="in float32")
        return
    owner = whole[0] if whole else None
    if owner is None:
        return
    inner = innermost(failure)
    if call.name == "requires_grad_" or call.name == "requires_grad":
        yield from list(_literal_floats(failure, owner))[:1]
    sets = call.name in ("requires_grad_", "requires_grad")
    if sets and isinstance(inner, ast.Expr) and isinstance(owner.node, ast.Name) and inner.value is node:
        yield change(failure, (inner, f"{owner.text} = {owner.text}.float().requires_grad_()"), title="as float32")
    if sets and isinstance(inner, ast.Assign) and isinstance(owner.node, ast.Name) and inner.value is not node:
        yield change(failure, (inner, f"{owner.text} = {owner.text}.float().requires_grad_()"), title="as float32")
    if call.form != "attribute":
        yield suffix(failure, owner, ".float()", title="as float32")
    yield from _literal_floats(failure, owner)


def _points(written_text: Any, value: ast.AST) -> list[tuple[ast.AST, str]]:
    """The whole numbers spelt out in an expression, each with a point behind it."""
    pairs: list[tuple[ast.AST, str]] = []
    for part in ast.walk(value):
        if isinstance(part, ast.Constant) and type(part.value) is int:
            pairs.append((part, f"{written_text(part)}."))
    return pairs


def _with_points(failure: Failure, node: ast.Call) -> list[tuple[ast.AST, str]] | None:
    """The numbers of `torch.tensor([1, 2])` with points."""
    first = node.args[0] if node.args else None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if first is None or name not in ("tensor", "as_tensor", "full"):
        return None
    data = first if name != "full" else (node.args[1] if len(node.args) > 1 else None)
    pairs = _points(lambda part: text_of(failure, part), data) if data is not None else []
    return pairs or None


def _literal_floats(failure: Failure, operand: Operand) -> Iterator[Edit]:
    """The variable made of floats: `torch.tensor([1., 2.])`, or with dtype=torch.float32."""
    found = made_by(failure, operand)
    if found is None:
        return
    written, value = found
    call = value
    while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call):
        call = call.func.value  # torch.arange(6).reshape(2, 3)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in _MAKERS:
        return
    given = keyword(call, "dtype")
    title = f"{operand.text} of floating-point numbers"
    if given is not None:
        yield Edit(((written, given, "torch.float32"),), title)
        return
    place = 1 if call.func.attr == "full" else 0
    if call.func.attr in ("tensor", "as_tensor", "full") and len(call.args) > place:
        pairs = _points(lambda part: written.place_of(part).text, call.args[place])
        if pairs:
            yield Edit(tuple((written, part, text) for part, text in pairs), title)
    yield Edit(((written, call, with_keyword(written.place_of(call).text, "dtype=torch.float32")),), title)


def _floats_from_the_start(failure: Failure, operand: Operand) -> Iterator[Edit]:
    """What makes a variable that is changed in place one of floats, before it is."""
    yield from _literal_floats(failure, operand)
    inner = innermost(failure)
    whole = failure.statement.node if failure.statement else None
    if isinstance(operand.node, ast.Name) and inner is not None and inner is whole:
        name = operand.node.id
        text = text_of(failure, inner)
        yield change(failure, (inner, f"{name} = {name}.float()\n{text}"), title=f"{name} as float32 first")


# Results that do not fit.


def result(failure: Failure) -> Finding | None:
    """A result of another dtype than the tensor it is written to."""
    found = said(failure, "result dtype") or said(failure, "out dtype")
    call = failure.call
    if not found or call is None:
        return None
    target = call.keywords.get("out") or (call.arguments[0] if call.arguments else None)
    if target is None:
        return None
    has = dtype_of(target.value) if is_tensor(target.value) else None
    gives = dtype_named(found[1].strip()) if found.re.groups else None
    title = f"the result is {gives}" if gives else f"the result of {_name(failure)} is of another dtype"
    title += f", and {_short(target.text)}, where it would be written, is {has or 'of another dtype'}"
    return Finding(title, (), _result_edits(failure, target, gives))


def _result_edits(failure: Failure, target: Operand, gives: str | None) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    if isinstance(node, ast.AugAssign):
        yield from _apart_edits(failure, node, target, gives)
    elif isinstance(node, ast.Call) and call is not None and "out" in call.keywords:
        yield from _out_edits(failure, node, target, gives)
    elif isinstance(node, ast.Call) and call is not None and call.name.endswith("_"):
        yield from _method_edits(failure, node, target)


_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.MatMult: "@", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip


def sign_of(operator: ast.AST) -> str:
    """How an operator is written."""
    return _SIGNS[type(operator)]


def right_side(failure: Failure, node: ast.AugAssign, left: str) -> str:
    """`left * (a + b)` for the right side of `x *= a + b`."""
    text = text_of(failure, node.value)
    simple = (
        isinstance(node.value, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and isinstance(node.value.op, ast.Mult | ast.Div | ast.Add | ast.Sub | ast.MatMult | ast.Pow)
    )
    product = (
        isinstance(node.value, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and isinstance(node.value.op, ast.Mult | ast.Div | ast.MatMult | ast.Pow)
    )
    if isinstance(node.value, ast.BinOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Lambda) and not (
        simple or product
    ):
        text = f"({text})"
    return f"{left} {_SIGNS[type(node.op)]} {text}"


def _apart_edits(failure: Failure, node: ast.AugAssign, target: Operand, gives: str | None) -> Iterator[Edit]:
    """`x = x / 2` for `x /= 2`; where a part of x is changed, x made of floats."""
    left = text_of(failure, node.target)
    if gives in _COMPLEX:
        yield from _complex_from_the_start(failure, node, gives)
    if isinstance(node.target, ast.Name | ast.Attribute):
        yield change(failure, (node, f"{left} = {right_side(failure, node, left)}"), title="a new tensor")
    owner: ast.expr = node.target
    while isinstance(owner, ast.Subscript):
        owner = owner.value
    if isinstance(owner, ast.Name):
        root = Operand(owner.id, failure.value(_read(owner)), _read(owner))
        yield from _floats_from_the_start(failure, root)
        yield from _made_with(failure, [root], gives or "float32")
    if isinstance(constant(node.value), float) and float(constant(node.value)).is_integer():  # type: ignore[arg-type]
        yield change(failure, (node.value, str(int(constant(node.value)))), title="a whole number")  # type: ignore[call-overload]
    if isinstance(node.op, ast.Div):
        yield change(failure, (node, f"{left} //= {text_of(failure, node.value)}"), title="whole numbers, rounded down")
    if isinstance(node.target, ast.Name | ast.Attribute) and gives not in _COMPLEX:
        yield change(failure, (node, f"{left} = {right_side(failure, node, f'{left}.float()')}"), title="in float32")


def _read(name: ast.Name) -> ast.Name:
    return ast.copy_location(ast.Name(name.id, ast.Load()), name)


def _complex_from_the_start(failure: Failure, node: ast.AugAssign, gives: str) -> Iterator[Edit]:
    if isinstance(node.target, ast.Subscript) and isinstance(node.target.value, ast.Name):
        name = node.target.value.id
        text = f"{name} = {name}.to(torch.{gives})\n{text_of(failure, node)}"
        yield change(failure, (node, text), title=f"{name} as {gives} first")


def _out_edits(failure: Failure, node: ast.Call, out: Operand, gives: str | None) -> Iterator[Edit]:
    """A result of the call itself, or an `out` of the right dtype."""
    kept = [text_of(failure, part) for part in node.args]
    kept += [f"{k.arg}={text_of(failure, k.value)}" for k in node.keywords if k.arg and k.arg != "out"]
    text = f"{text_of(failure, node.func)}({', '.join(kept)})"
    inner = innermost(failure)
    made = out.node
    for part in ast.walk(made) if made is not None else ():
        if isinstance(part, ast.keyword) and part.arg == "dtype":
            yield change(failure, (part.value, f"torch.{gives or 'float32'}"), title=f"out as {gives or 'float32'}")
    if isinstance(made, ast.Name):
        if isinstance(inner, ast.Expr) and inner.value is node:
            yield change(failure, (inner, f"{made.id} = {text}"), title="a new tensor")
        yield from _made_with(failure, [out], gives or "float32")
        yield from _literal_floats(failure, out)
    yield change(failure, (node, text), title="a new tensor")


def _method_edits(failure: Failure, node: ast.Call, target: Operand) -> Iterator[Edit]:
    """`x = x.add(0.5)` for `x.add_(0.5)`."""
    inner = innermost(failure)
    if not isinstance(node.func, ast.Attribute):
        return
    owner, name = node.func.value, node.func.attr.rstrip("_")
    arguments = text_of(failure, node)[len(text_of(failure, node.func)) :]
    apart = f"{text_of(failure, owner)}.{name}{arguments}"
    if isinstance(inner, ast.Expr) and inner.value is node and isinstance(owner, ast.Name | ast.Attribute):
        yield change(failure, (inner, f"{text_of(failure, owner)} = {apart}"), title="a new tensor")
        yield from _floats_from_the_start(failure, target)
        return
    yield change(failure, (node, apart), title="a new tensor")
    yield suffix(failure, target, ".float()", title="in float32")
    yield from _literal_floats(failure, target)


# Truth values.


def bool_arithmetic(failure: Failure) -> Finding | None:
    """Minus on truth values."""
    if not said(failure, "bool arithmetic"):
        return None
    masks = [o for o in tensors(failure) if dtype_of(o.value) == "bool"]
    named = " and ".join(_short(o.text) for o in masks) or "this"
    be = "are" if len(masks) > 1 else "is"
    return Finding(f"minus is not for truth values, and {named} {be} bool", (), _minus_edits(failure, masks))


def _minus_edits(failure: Failure, masks: list[Operand]) -> Iterator[Edit]:
    node, call = failure.node, failure.call
    if call is None or not masks:
        return
    first, second = (*call.arguments, None, None)[:2]
    if (len(masks) == 1 and second is None) or call.name in ("neg", "negative"):
        yield placed(failure, node, f"~{atom(failure, masks[0].node or ast.Pass())}", title="not")
        yield suffix(failure, masks[0], ".int()", title="0 and 1 as integers")
        yield suffix(failure, masks[0], ".float()", title="0 and 1 as floats")
        return
    if len(masks) == 2 and first is not None and second is not None:
        yield from _difference(failure, masks)
        return
    whole_one = first is not None and first.node is not None and constant(first.node) == 1
    if call.name == "rsub":
        whole_one = second is not None and second.node is not None and constant(second.node) == 1
    if whole_one:
        inverted = f"~{atom(failure, masks[0].node or ast.Pass())}"
        if type(constant(first.node if call.name != "rsub" and first else None)) is float:
            yield suffix(failure, masks[0], ".float()", title="0 and 1 as floats")
        yield placed(failure, node, inverted, title="not")
    other = next((o for o in tensors(failure) if dtype_of(o.value) != "bool"), None)
    number = next(
        (constant(o.node) for o in call.arguments if o.node is not None and constant(o.node) is not None), None
    )
    floats = (other is not None and not _is_whole(other.value)) or type(number) is float
    for text in (".float()", ".int()") if floats else (".int()", ".float()"):
        yield cast_all(failure, masks, text, title="0 and 1 as numbers")
    yield cast_all(failure, masks, ".long()", title="0 and 1 as numbers")


def _difference(failure: Failure, masks: list[Operand]) -> Iterator[Edit]:
    node = failure.node
    left, right = (suffixed(failure, mask, "") for mask in masks)
    if isinstance(node, ast.AugAssign):
        target = text_of(failure, node.target)
        yield change(failure, (node, f"{target} ^= {right}"), title="where the two differ")
        yield change(failure, (node, f"{target} &= ~{right}"), title="in the first and not in the second")
        yield change(failure, (node, f"{target} = {target}.int() - {right}.int()"), title="the difference of 0 and 1")
        return
    if isinstance(node, ast.Call):
        both = ", ".join(mask.text for mask in masks)
        yield change(failure, (node, f"torch.logical_xor({both})"), title="where the two differ")
    yield placed(failure, node, f"{left} ^ {right}", title="where the two differ")
    for text in (".int()", ".float()"):
        yield cast_all(failure, masks, text, title="the difference of 0 and 1")
    yield placed(failure, node, f"{left} & ~{right}", title="in the first and not in the second")


# Operators without a dtype.


def not_for_dtype(failure: Failure) -> Finding | None:
    """An operator that is not there for a dtype."""
    found = said(failure, "not for dtype") or said(failure, "needs float")
    if not found or failure.call is None:
        return None
    operands = tensors(failure)
    kind = dtype_named(found[1]) if found.re.groups and found[1] else ""
    kind = kind or next((dtype_of(o.value) for o in operands), "")
    about = next((o for o in operands if dtype_of(o.value) == kind), None)
    name = _name(failure)
    title = f"{name} is not there for {kind}" if kind else failure.message.strip().split("\n")[0].rstrip(".")
    if name in ("~", "&", "|", "^", "<<", ">>") or name.startswith("bitwise"):
        title = f"{name} is for truth values and integers"
    if about is not None and about.text != name:
        title += (
            f", and {_short(about.text)} is {kind}" if "there for" not in title else f", which {_short(about.text)} is"
        )
    return Finding(title, (), _kind_edits(failure, operands, kind))


def _kind_edits(failure: Failure, operands: list[Operand], kind: str) -> Iterator[Edit]:
    node = failure.node
    bad = [o for o in operands if dtype_of(o.value) == kind] or operands
    if isinstance(node, ast.Call):
        yield from _bool_made(failure, node)
    if kind in _COMPLEX:
        yield from _complex_edits(failure, bad)
    elif kind in _LOW:
        for text in (".float()", ".double()"):
            yield cast_all(failure, bad, text, title="in more precision")
            yield from (suffix(failure, operand, text) for operand in bad)
    elif kind == "bool":
        for text in (".int()", ".long()", ".float()"):
            yield cast_all(failure, bad, text, title="0 and 1 as numbers")
            yield from (suffix(failure, operand, text) for operand in bad if len(bad) > 1)
    elif kind in _FLOATS:
        yield from regrouped(failure)
        yield from _bit_edits(failure, [o for o in operands if not _is_whole(o.value)] or bad)
        yield from _real_edits(failure, bad)
    else:
        for text in (".int()", ".long()", ".float()"):
            yield cast_all(failure, bad, text)
    yield from _list_casts(failure)


def _bool_made(failure: Failure, node: ast.Call) -> Iterator[Edit]:
    """`torch.arange(5).bool()` for `torch.arange(5, dtype=torch.bool)`."""
    given = keyword(node, "dtype")
    if given is None:
        return
    kept = [text_of(failure, part) for part in node.args]
    kept += [f"{k.arg}={text_of(failure, k.value)}" for k in node.keywords if k.arg and k.arg != "dtype"]
    inner = f"{text_of(failure, node.func)}({', '.join(kept)})"
    wanted = str(failure.value(given)).removeprefix("torch.")
    if not isinstance(node.func, ast.Attribute) or not tensors(failure):
        yield change(failure, (node, inner + cast(wanted)), title="made first, and then converted")
    yield change(failure, (node, inner), title="without a dtype")


def _complex_edits(failure: Failure, bad: list[Operand]) -> Iterator[Edit]:
    call, node = failure.call, failure.node
    if call is not None and call.name in ("rfft", "rfft2", "rfftn", "sign") and isinstance(node, ast.Call):
        func = text_of(failure, node.func)
        end = func.rpartition(".")[2]
        other = "sgn" if end == "sign" else end[1:]
        yield change(failure, (node.func, f"{func[: -len(end)]}{other}"), title="for complex numbers")
    ordered = call is not None and call.name in ("float", "int", "floor", "ceil", "round", "trunc", "clamp", "relu")
    for text in (".real", ".abs()") if ordered else (".abs()", ".real"):
        title = "the real part" if text == ".real" else "absolute values"
        yield cast_all(failure, bad, text, title=title)


def _real_edits(failure: Failure, bad: list[Operand]) -> Iterator[Edit]:
    """What a function for complex numbers, or for integers, takes."""
    if "complex" in failure.message:
        for operand in bad:
            yield suffix(failure, operand, ".to(torch.complex64)", title="as complex numbers")
        return
    yield cast_all(failure, bad, ".long()", title="whole numbers")
    yield from (suffix(failure, operand, ".long()", title="whole numbers") for operand in bad)
    yield cast_all(failure, bad, ".double()", title="in float64")


def _bit_edits(failure: Failure, bad: list[Operand]) -> Iterator[Edit]:
    """What was meant by a bitwise operator between floats: a power, truth values, a double or a half."""
    call, node = failure.call, failure.node
    if call is None or not call.name.startswith(("bitwise", "__")) or not call.arguments:
        return
    first, second = (*call.arguments, None)[:2]
    inside = isinstance(node, ast.BinOp | ast.AugAssign)
    number = None if second is None or second.node is None else constant(second.node)
    a = suffixed(failure, first, "") if first is not None and first.node is not None else ""
    b = suffixed(failure, second, "") if second is not None and second.node is not None else ""
    if call.name == "bitwise_xor" and inside and (number is not None or not all(map(_is_mask, bad))):
        power = str(number) if number is not None else b
        text = f"{text_of(failure, node.target)} **= {power}" if isinstance(node, ast.AugAssign) else f"{a} ** {power}"
        yield change(failure, (node, text), title="a power")
    if "shift" in call.name and inside and isinstance(number, int):
        sign = "*" if "left" in call.name else "/"
        yield change(failure, (node, f"{a} {sign} {2**number}"), title=f"{sign} {2**number}")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr) and not all(map(_is_mask, bad)):
        word = "&" if isinstance(node.op, ast.BitAnd) else "|"
        texts = [f"({o.text} > 0)" if o in bad or (o in tensors(failure) and not _is_whole(o.value)) else atom_text
                 for o, atom_text in ((first, a), (second, b)) if o is not None]  # fmt: skip
        yield cast_all(failure, bad, ".bool()", title="as truth values: all but 0 are true")
        yield placed(failure, node, f" {word} ".join(texts), title="where they are positive")
    yield cast_all(failure, bad, ".bool()", title="as truth values: all but 0 are true")
    if isinstance(node, ast.UnaryOp) and first is not None:
        yield change(failure, (node, f"1 - {a}"), title="1 less")
        yield change(failure, (node, f"-{a}"), title="minus")
    logical = {"bitwise_not": "not", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}.get(call.name)
    if logical and node is not None:
        arguments = ", ".join(o.text for o in call.arguments)
        yield change(failure, (node, f"torch.logical_{logical}({arguments})"), title="as truth values")
    yield cast_all(failure, bad, ".long()", title="as integers")


def _is_mask(operand: Operand) -> bool:
    """Whether a tensor of floats holds nothing but 0 and 1."""
    value = operand.value
    return bool(((value == 0) | (value == 1)).all())


def regrouped(failure: Failure) -> Iterator[Edit]:
    """`(x > 0) & (x < 1)` for `x > 0 & x < 1`, where & binds closer than > and <."""
    node: ast.AST | None = failure.node
    compare = node if isinstance(node, ast.Compare) else parent(failure, node)
    if isinstance(compare, ast.UnaryOp | ast.BinOp) and not isinstance(compare, ast.Compare):
        compare = parent(failure, compare)
    if not isinstance(compare, ast.Compare):
        return
    text = _grouped(failure, compare)
    decides = isinstance(parent(failure, compare), ast.If | ast.While | ast.Assert)
    for end in (".any()", ".all()") if text is not None and decides else ():
        yield change(failure, (compare, f"({text}){end}"), title="comparisons in brackets, and one truth of them")
    if text is not None:
        yield change(failure, (compare, text), title="comparisons in brackets: & and | bind closer than they")


_COMPARES: dict[type[ast.AST], str] = {
    ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


def compare_sign(operator: ast.AST) -> str:
    """How a comparison is written."""
    return _COMPARES[type(operator)]


def _grouped(failure: Failure, compare: ast.Compare) -> str | None:
    """A comparison whose sides hold & or |, with each comparison in brackets of its own."""
    sides = [compare.left, *compare.comparators]
    if not any(_is_bits(failure, side) for side in sides) or any(type(op) not in _COMPARES for op in compare.ops):
        return None
    words = list(_words(failure, sides[0]))
    for operator, side in zip(compare.ops, sides[1:], strict=True):
        words += [_COMPARES[type(operator)], *_words(failure, side)]
    groups: list[list[str]] = [[]]
    signs = []
    for word in words:
        if word in ("&", "|"):
            signs.append(word)
            groups.append([])
        else:
            groups[-1].append(word)
    texts = [f"({' '.join(group)})" if len(group) > 1 else group[0] for group in groups]
    return texts[0] + "".join(f" {sign} {text}" for sign, text in zip(signs, texts[1:], strict=True))


def _is_bits(failure: Failure, side: ast.expr) -> bool:
    return isinstance(side, ast.BinOp) and isinstance(side.op, ast.BitAnd | ast.BitOr)


def _words(failure: Failure, side: ast.expr) -> Iterator[str]:
    """One side of a comparison, cut at & and |."""
    if isinstance(side, ast.BinOp) and isinstance(side.op, ast.BitAnd | ast.BitOr):
        yield from _words(failure, side.left)
        yield "&" if isinstance(side.op, ast.BitAnd) else "|"
        yield from _words(failure, side.right)
    else:
        yield (
            suffixed(failure, Operand("", None, side), "") if isinstance(side, ast.Compare) else text_of(failure, side)
        )


ENTRIES = (
    Entry(
        "needs-float",
        "dtype",
        needs_float,
        "torch.tensor([1, 2, 3]).mean()",
        "Means, softmax, layers and gradients are for floating-point numbers: x.float(), or write 1. instead of 1.",
    ),
    Entry(
        "mixed-dtypes",
        "dtype",
        mixed,
        "torch.rand(2, 3) @ torch.rand(3, 2, dtype=torch.float64)",
        "Products, layers and indexed writes take tensors of one dtype; NumPy makes float64, torch float32.",
    ),
    Entry(
        "result-dtype",
        "dtype",
        result,
        "x = torch.tensor([1, 2, 3])\nx /= 2",
        "An operation in place keeps the tensor's dtype: write x = x / 2 where the result is of another.",
    ),
    Entry(
        "bool-arithmetic",
        "dtype",
        bool_arithmetic,
        "mask = torch.tensor([True, False])\n1 - mask",
        "Truth values have ~, &, | and ^; convert them with .int() or .float() to calculate with them.",
    ),
    Entry(
        "not-for-dtype",
        "dtype",
        not_for_dtype,
        "~torch.tensor([0.0, 1.0])",
        "Bitwise operators are for integers and truth values, order is not for complex numbers.",
    ),
)
