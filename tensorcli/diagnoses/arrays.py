"""Diagnoses where NumPy and Python meet tensors: arrays, dtypes and strides that do not pass, one value of many."""

import ast
from collections.abc import Iterator
from typing import Any

from tensorcli import units
from tensorcli.diagnoses import Call, Edit, Entry, Failure, Finding, Operand, Unknown
from tensorcli.diagnoses.edits import (
    atom,
    cast,
    change,
    dtype_of,
    innermost,
    is_tensor,
    made_by,
    parent,
    suffix,
    text_of,
    with_keyword,
)
from tensorcli.diagnoses.messages import dtype_named, said


def is_array(value: Any) -> bool:
    """Whether a value is a NumPy array."""
    return type(value).__name__ == "ndarray"


def _is_number(value: Any) -> bool:
    """Whether a value is one of NumPy's scalars."""
    return type(value).__module__ == "numpy" and hasattr(value, "dtype") and not is_array(value)


# Tensors to NumPy.


def _converted(failure: Failure) -> list[tuple[ast.expr, Any]]:
    """The tensors that the failing expression hands to NumPy, and where they stand."""
    call = failure.call
    given = [*call.arguments, *call.keywords.values()] if call else list(failure.operands)
    found: list[tuple[ast.expr, Any]] = []
    for operand in given:
        if isinstance(operand.node, ast.Tuple | ast.List):
            found += [(part, failure.value(part)) for part in operand.node.elts]
        elif operand.node is not None:
            found.append((operand.node, operand.value))
    return [(node, value) for node, value in found if is_tensor(value)]


def _put_before(failure: Failure, suffixes: tuple[str, ...], chosen: list[ast.expr], title: str) -> Iterator[Edit]:
    """Each suffix behind the tensors, all of them first."""
    for text in suffixes:
        pairs = [(node, atom(failure, node) + text) for node in chosen]
        if pairs:
            yield change(failure, *pairs, title=title)
        if len(pairs) > 1:
            yield from (change(failure, pair, title=title) for pair in pairs)


def _owner(failure: Failure) -> ast.expr | None:
    """What .numpy() is called on, where its value could not be had."""
    node = failure.node
    func = node.func if isinstance(node, ast.Call) else None
    return func.value if isinstance(func, ast.Attribute) and func.attr in ("numpy", "__array__") else None


def _sources(failure: Failure, wanted: Any) -> list[ast.expr]:
    tensors = _converted(failure)
    chosen = [node for node, value in tensors if wanted(value)] or [node for node, _ in tensors]
    owner = _owner(failure)
    return chosen or ([owner] if owner is not None else [])


def _listed(failure: Failure, text: str) -> Iterator[Edit]:
    """`[t.detach() for t in ws]` for a variable that holds several tensors."""
    call = failure.call
    for given in (*call.arguments, *call.keywords.values()) if call else ():
        if (
            isinstance(given.value, list | tuple)
            and any(map(is_tensor, given.value))
            and isinstance(given.node, ast.Name)
        ):
            yield change(failure, (given, f"[t{text} for t in {given.text}]"))


def requires_grad(failure: Failure) -> Finding | None:
    """A tensor with a gradient, handed to NumPy."""
    if not said(failure, "requires grad"):
        return None
    nodes = _sources(failure, lambda value: value.requires_grad)
    text = text_of(failure, nodes[0]) if nodes else ""
    title = f"{text if 0 < len(text) < 40 else 'the tensor'} requires gradients, and NumPy keeps none: detach it first"
    return Finding(title, (), _detach_edits(failure, nodes))


def _detach_edits(failure: Failure, nodes: list[ast.expr]) -> Iterator[Edit]:
    method = _owner(failure) is not None
    if not method:
        yield from _put_before(failure, (".detach().numpy()",), nodes, "as an array")
    yield from _put_before(failure, (".detach()",), nodes, "without gradients")
    yield from _listed(failure, ".detach()")
    if not method:
        yield from _as_torch(failure)
    if isinstance(failure.node, ast.Call) and method:
        yield change(failure, (failure.node, f"{atom(failure, nodes[0])}.tolist()"), title="as a list")


def _as_torch(failure: Failure) -> Iterator[Edit]:
    """torch's function of the same name for NumPy's; another library's array as a tensor."""
    node = failure.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = {"concatenate": "cat", "power": "pow", "absolute": "abs"}.get(node.func.attr, node.func.attr)
        yield change(failure, (node.func, f"torch.{name}"), title="torch's own function")


def on_gpu(failure: Failure) -> Finding | None:
    """A tensor of another device, handed to NumPy."""
    found = said(failure, "on gpu")
    if not found:
        return None
    nodes = _sources(failure, lambda value: value.device.type != "cpu")
    text = text_of(failure, nodes[0]) if nodes else ""
    named = text if 0 < len(text) < 40 else "the tensor"
    return Finding(f"{named} is on {found[1]}, and NumPy's arrays are on the CPU", (), _cpu_edits(failure, nodes))


def _cpu_edits(failure: Failure, nodes: list[ast.expr]) -> Iterator[Edit]:
    yield from _put_before(failure, (".cpu()", ".detach().cpu()", ".cpu().numpy()"), nodes, "on the CPU first")
    yield from _listed(failure, ".cpu()")


def numpy_dtype(failure: Failure) -> Finding | None:
    """A dtype that the other side does not have."""
    found = said(failure, "no numpy dtype")
    if not found:
        return None
    if found[1]:
        nodes = _sources(failure, lambda value: dtype_of(value) == dtype_named(found[1]))
        edits = _put_before(failure, (".float()", ".double()"), nodes, "as float32, which holds all of its values")
        return Finding(f"NumPy has no {dtype_named(found[1])}: convert to float32 first", (), edits)
    given = _array_operand(failure)
    kind = str(given.value.dtype) if given is not None else (found[2] or "").rpartition(".")[2]
    title = f"torch has no dtype for NumPy's {kind}"
    if "byte order" in failure.message:
        title = f"the array is {kind}, in another byte order than this machine's"
    return Finding(title, (), _astype_edits(failure, given))


def _array_operand(failure: Failure) -> Operand | None:
    call = failure.call
    given = (*call.arguments, *call.keywords.values()) if call else ()
    return next((operand for operand in given if is_array(operand.value)), None)


def _astype_edits(failure: Failure, given: Operand | None) -> Iterator[Edit]:
    if given is None:
        return
    for name in _likely_dtypes(given.value):
        yield suffix(failure, given, f".astype({name})", title=f"as {name.removeprefix('np.')}")
    if given.value.dtype == object and given.value.ndim == 1:
        yield change(failure, (failure.node, f"[torch.tensor(row) for row in {given.text}]"), title="a list of tensors")
    if given.value.dtype.kind in "US":
        text = f"np.unique({given.text}, return_inverse=True)[1]"
        yield change(failure, (given, text), title="a number for each word")


def _likely_dtypes(array: Any) -> Iterator[str]:
    """What the elements of an array are, or read as."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "fiuc" and not array.dtype.isnative:
        yield f"np.{array.dtype.newbyteorder('=').name}"
        return
    if kind == "M" or kind == "m":
        yield "np.int64"
        return
    items = array.ravel().tolist()[:1000]
    if kind == "f" and size > 8:
        yield "np.float64"
    elif items and all(isinstance(item, bool) for item in items):
        yield "bool"
    elif items and all(type(item) is int or _reads_as(item, int) for item in items):
        yield "np.int64"
        yield "np.float32"
    yield "np.float64"
    yield "np.float32"


def _reads_as(item: Any, kind: type) -> bool:
    if not isinstance(item, str | bytes):
        return False
    try:
        kind(item)
    except ValueError:
        return False
    return True


def strides(failure: Failure) -> Finding | None:
    """An array turned round, whose strides are negative."""
    if not said(failure, "negative strides"):
        return None
    given = _array_operand(failure)
    what = given.text if given is not None and len(given.text) < 40 else "the array"
    title = f"{what} is read backwards (its strides are negative), and tensors cannot be"
    return Finding(title, (), _stride_edits(failure, given))


def _stride_edits(failure: Failure, given: Operand | None) -> Iterator[Edit]:
    yield suffix(failure, given, ".copy()", title="a copy in its order")
    if given is not None:
        yield change(failure, (given, f"np.ascontiguousarray({given.text})"), title="a copy in its order")
        for part in ast.walk(given.node) if given.node else ():
            if isinstance(part, ast.Name) and is_array(failure.value(part)):
                yield change(failure, (part, f"{part.id}.copy()"), title="a copy in its order")
                found = made_by(failure, Operand(part.id, None, part))
                if found is not None:
                    written, value = found
                    yield Edit(((written, value, f"{written.place_of(value).text}.copy()"),), "a copy in its order")


# Arrays where tensors are needed.


def not_a_tensor(failure: Failure) -> Finding | None:
    """A NumPy array, a number or a list where torch takes a tensor."""
    if not isinstance(failure.error, TypeError | AttributeError | ValueError) or not said(failure, "not a tensor"):
        return None
    if _is_from_numpy(failure):
        return _no_array(failure)
    if _is_numpys(failure):
        return _no_numpy(failure)
    arrays = _arrays(failure)
    if arrays and _is_torchs(failure, arrays):
        listed = " and ".join(
            text if len(text) < 40 else "it" for text in dict.fromkeys(text_of(failure, n) for n, _ in arrays)
        )
        be = "is a NumPy array" if len(arrays) == 1 else "are NumPy arrays"
        return Finding(f"{listed} {be}, and a tensor is needed here", (), _tensor_edits(failure, arrays))
    return None


def _is_from_numpy(failure: Failure) -> bool:
    return failure.call is not None and failure.call.name == "from_numpy"


def _no_array(failure: Failure) -> Finding | None:
    call, node = failure.call, failure.node
    given = call.argument(0) if call else None
    if given is None or not isinstance(node, ast.Call) or is_array(given.value):
        return None
    kind = units.one(type(given.value).__name__) if given.value is not Unknown else "something else"
    title = f"torch.from_numpy takes a NumPy array, and {given.text if len(given.text) < 40 else 'this'} is {kind}"
    edits = [change(failure, (node.func, "torch.tensor"), title="a new tensor")]
    if is_tensor(given.value):
        edits.insert(0, change(failure, (node, given.text), title="it is a tensor already"))
    edits.append(change(failure, (given, f"np.array({given.text})"), title="as an array"))
    return Finding(title, (), edits)


def _is_numpys(failure: Failure) -> bool:
    """Whether one of NumPy's functions was given a tensor."""
    node = failure.node
    func = node.func if isinstance(node, ast.Call) else None
    owner = failure.value(func.value) if isinstance(func, ast.Attribute) else None
    return owner is not None and owner is failure.place("numpy") and bool(_converted(failure))


def _no_numpy(failure: Failure) -> Finding:
    nodes = [node for node, _ in _converted(failure)]
    text = text_of(failure, nodes[0])
    title = f"{text if len(text) < 40 else 'this'} is a tensor, and NumPy's {_called(failure)} takes arrays"
    return Finding(title, (), _numpy_edits(failure, nodes))


def _numpy_edits(failure: Failure, nodes: list[ast.expr]) -> Iterator[Edit]:
    grad = any(failure.value(node).requires_grad for node in nodes)
    yield from _put_before(failure, (".detach().numpy()" if grad else ".numpy()",), nodes, "as an array")
    yield from _as_torch(failure)


def _arrays(failure: Failure) -> list[tuple[ast.expr, Any]]:
    """The arrays among what the failing expression works on, those that a list spells out included."""
    call = failure.call
    given = [*call.arguments, *call.keywords.values()] if call else []
    if isinstance(failure.node, ast.Attribute):
        given = [operand for operand in given if operand.node is failure.node.value]
    found: list[tuple[ast.expr, Any]] = []
    for operand in given:
        if isinstance(operand.node, ast.Tuple | ast.List):
            found += [(part, failure.value(part)) for part in operand.node.elts]
        elif operand.node is not None:
            found.append((operand.node, operand.value))
            if isinstance(operand.value, list | tuple) and any(map(is_array, operand.value)):
                found[-1] = (operand.node, next(filter(is_array, operand.value)))
    return [(node, value) for node, value in found if is_array(value) or _is_number(value)]


def _is_torchs(failure: Failure, arrays: list[tuple[ast.expr, Any]]) -> bool:
    """Whether it is torch that was given the arrays, or torch's attribute that one of them was asked for."""
    call = failure.call
    if call is None:
        return False
    if isinstance(failure.error, AttributeError) and call.form == "attribute":
        name = getattr(failure.error, "name", "") or ""
        tensor: Any = failure.place("torch.Tensor") or failure.place("torch")
        return bool(name) and hasattr(getattr(failure.place("torch"), "Tensor", tensor), name)
    if call.form == "operator":
        return any(is_tensor(operand.value) for operand in call.arguments)
    if call.form == "method":
        first = call.arguments[0].value
        return is_tensor(first) or (
            is_array(first) and call.name in ("view", "size", "type", "dim", "permute", "expand")
        )
    module = str(getattr(call.function, "__module__", "") or "")
    owner = str(getattr(type(getattr(call.function, "__self__", None)), "__module__", ""))
    return not module.startswith("numpy") and not owner.startswith("numpy")


def _tensor_edits(failure: Failure, arrays: list[tuple[ast.expr, Any]]) -> Iterator[Edit]:
    call = failure.call
    floats = _wanted_dtype(failure)

    def written(part: ast.expr, value: Any, end: str) -> str:
        text = text_of(failure, part)
        whole = failure.value(part)
        if isinstance(whole, list | tuple):
            name = "array" if text != "array" else "a"
            return f"[torch.from_numpy({name}){end} for {name} in {text}]"
        if _is_number(value):
            return f"torch.tensor({text}){end}"
        return f"torch.from_numpy({text}){end}"

    endings = [""]
    if any(dtype_of(value) == "float64" for _, value in arrays) and floats:
        endings = ["", cast(floats)] if floats != "float32" or not _mixes(failure, arrays) else [cast(floats), ""]
    endings += [".float()"] + [".long()"] * all(value.dtype.kind in "iub" for _, value in arrays)
    for end in dict.fromkeys(endings):
        yield change(failure, *[(p, written(p, v, end)) for p, v in arrays], title="as a tensor")
        if len(arrays) > 1:
            yield from (change(failure, (p, written(p, v, end)), title="as a tensor") for p, v in arrays)
    if call is not None and call.form == "operator":
        yield from _other_array(failure)
    yield from _as_numpy(failure)
    yield from _definition_edits(failure, arrays)


def _mixes(failure: Failure, arrays: list[tuple[ast.expr, Any]]) -> bool:
    """Whether float32 tensors take part, with which float64 would not go together."""
    call = failure.call
    values = [operand.value for operand in (*call.arguments, *call.keywords.values())] if call else []
    return (
        any(is_tensor(value) and dtype_of(value) == "float32" for value in values)
        or failure.layer is not None
        or (call is not None and call.form == "module")
    )


def _wanted_dtype(failure: Failure) -> str | None:
    """The dtype of the layer or the tensors that the array meets."""
    call = failure.call
    module = failure.layer.module if failure.layer else (call.function if call and call.form == "module" else None)
    parameter = next(iter(module.parameters()), None) if module is not None else None
    if parameter is not None:
        return dtype_of(parameter)
    values = [operand.value for operand in (*call.arguments, *call.keywords.values())] if call else []
    return next((dtype_of(v) for v in values if is_tensor(v) and v.is_floating_point()), None)


def _other_array(failure: Failure) -> Iterator[Edit]:
    for operand in failure.call.arguments if failure.call else ():
        if is_tensor(operand.value):
            text = ".detach().numpy()" if operand.value.requires_grad else ".numpy()"
            yield suffix(failure, operand, text, title="both as arrays")


def _as_numpy(failure: Failure) -> Iterator[Edit]:
    """NumPy's own function for torch's."""
    node = failure.node
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and text_of(failure, node.func.value) == "torch"
    ):
        name = {"cat": "concatenate", "pow": "power"}.get(node.func.attr, node.func.attr)
        yield change(failure, (node.func, f"np.{name}"), title="NumPy's own function")


def _definition_edits(failure: Failure, arrays: list[tuple[ast.expr, Any]]) -> Iterator[Edit]:
    for part, value in arrays:
        found = made_by(failure, Operand("", value, part))
        if found is not None and is_array(value):
            written, made = found
            for end in ("", ".float()"):
                text = f"torch.from_numpy({written.place_of(made).text}){end}"
                yield Edit(((written, made, text),), "a tensor from the start")


# One value of many.


def item_of_many(failure: Failure) -> Finding | None:
    """A tensor of many elements where one number is needed."""
    if not said(failure, "item") or not isinstance(failure.error, TypeError | ValueError | RuntimeError):
        return None
    given = _many(failure)
    if given is None or (failure.call is not None and _is_of_a_list(failure.call)):
        return None
    name, value = given
    count = int(value.numel()) if is_tensor(value) else int(getattr(value, "size", 0))
    text = text_of(failure, name)
    what = text if len(text) < 40 else "this"
    title = f"one number is needed, and {what} has {count}" if count else f"{what} is empty: there is no number in it"
    return Finding(title, (), _item_edits(failure, name, value))


def _is_of_a_list(call: Call) -> bool:
    """Whether a list or tuple takes part, or an index: it is not one number that is missing."""
    operator = call.form in ("operator", "in place")
    return call.form in ("index", "assign") or (
        operator and any(isinstance(o.value, list | tuple) for o in call.arguments)
    )


def _many(failure: Failure) -> tuple[ast.expr, Any] | None:
    """The operand that has many elements."""
    node = failure.node
    parts: list[ast.expr] = []
    if isinstance(node, ast.JoinedStr | ast.FormattedValue):
        parts = [part.value for part in ast.walk(node) if isinstance(part, ast.FormattedValue)]
    elif failure.call is not None:
        given = (*failure.call.arguments, *failure.call.keywords.values())
        parts = [operand.node for operand in given if operand.node is not None]
    for part in parts:
        inner = part.elts if isinstance(part, ast.Tuple) else [part]
        for one in inner:
            value = failure.value(one)
            if (is_tensor(value) and value.numel() != 1) or (is_array(value) and value.size != 1):
                return one, value
    return None


def _item_edits(failure: Failure, name: ast.expr, value: Any) -> Iterator[Edit]:
    node, called = failure.node, _called(failure)
    text = atom(failure, name)
    if not is_tensor(value) or (
        isinstance(node, ast.JoinedStr | ast.FormattedValue) and not _is_in_place(failure, name)
    ):
        return
    plain = text_of(failure, name)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and text_of(failure, node.func.value) == "math"
    ):
        other = {"fabs": "abs", "gamma": "exp"}.get(called, called)
        yield change(failure, (node.func, f"torch.{other}"), title="of each element")
    if called == "round" and isinstance(node, ast.Call):
        digits = f"decimals={text_of(failure, node.args[1])}" if len(node.args) > 1 else ""
        yield change(failure, (node, f"{text}.round({digits})"), title="of each element")
    for end in _reductions(failure, name, value):
        yield change(failure, (name, text + end))
    lists = called == "item" and isinstance(node, ast.Call)
    if lists:
        yield change(failure, (node, f"{text}.tolist()"), title="all of them, as a list")
    elif called in ("float", "int"):
        yield change(
            failure, (node, f"{text}{cast('float32' if called == 'float' else 'int64')}"), title="each element"
        )
        yield change(failure, (node, f"{text}.tolist()"), title="all of them, as a list")
    if called == "range" and (sizes := tuple(value.shape)):
        yield change(failure, (name, f"len({plain})" if len(sizes) else plain), title="as many as there are")
    if len(tuple(value.shape)) == 1:
        yield change(failure, (name, f"{text}[0]"), title="the first")


def _called(failure: Failure) -> str:
    """The name of what was called, as it is written: the builtins here are guarded ones."""
    match failure.node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return failure.call.name if failure.call else ""


def _is_in_place(failure: Failure, node: ast.expr) -> bool:
    """Whether the text at a node's position is the node's: before Python 3.12 it is not inside of f-strings."""
    try:
        return ast.dump(ast.parse(text_of(failure, node), mode="eval").body) == ast.dump(node)
    except (SyntaxError, IndexError, ValueError):
        return False


def _reductions(failure: Failure, name: ast.expr, value: Any) -> list[str]:
    """How the many become one, likeliest first: a count of truths, a sum where sums are kept, a mean of losses."""
    call = failure.call
    about = text_of(failure, name).lower()
    found = made_by(failure, Operand("", value, name))
    about += found[0].source.lower() if found else ""
    inner = innermost(failure)
    around = text_of(failure, inner).lower() if inner is not None else ""
    counts = dtype_of(value) == "bool"
    kept = isinstance(inner, ast.AugAssign)
    if "argmax" in about or ("int" in dtype_of(value) and call and call.name == "item" and not kept):
        return [] if call and call.name == "item" else [".sum()"]
    if counts:
        return [".sum()", ".float().mean()"]
    if "loss" in about or "mean" in around or "avg" in around or "reduction" in about:
        return [".mean()", ".sum()"]
    return [".sum()", ".mean()"] if kept or "total" in around or "sum" in around else [".mean()", ".sum()"]


# The truth of many.


def truth_of_many(failure: Failure) -> Finding | None:
    """A tensor of many elements where one True or False is needed."""
    if not said(failure, "truth") or failure.node is None or _makes_a_layer(failure):
        return None
    about = _tested(failure)
    text = text_of(failure, about) if about is not None else ""
    what = text if 0 < len(text) < 40 else "this"
    if "no values" in failure.message:
        title = f"{what} is empty, which is neither true nor false"
    else:
        value: Any = failure.value(about) if about is not None else Unknown
        count = f"has {value.numel():,} values" if is_tensor(value) and value.numel() > 1 else "has many values"
        title = f"one True or False is needed, and {what} {count}"
    return Finding(title, (), _truth_edits(failure, about))


def _makes_a_layer(failure: Failure) -> bool:
    """Whether a layer was made of tensors: it tests its settings, and another entry knows that mistake."""
    return failure.call is not None and hasattr(failure.call.function, "forward") and failure.call.form == "function"


def _tested(failure: Failure) -> ast.expr | None:
    """The expression whose truth was asked for."""
    node = failure.node
    whole = failure.statement.node if failure.statement else None
    if isinstance(node, ast.expr) and any(
        getattr(part, "test", None) is node for part in ast.walk(whole or ast.Pass())
    ):
        return node
    match node:
        case ast.BoolOp(values=values):
            return next((part for part in values if is_tensor(failure.value(part))), values[0])
        case ast.UnaryOp(operand=operand):
            return operand
        case ast.Call(args=[first, *_]):
            return first
        case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test) | ast.IfExp(test=test):
            return test
    return node if isinstance(node, ast.expr) else None


def _truth_edits(failure: Failure, about: ast.expr | None) -> Iterator[Edit]:
    node = failure.node
    from tensorcli.diagnoses.dtypes import regrouped

    if "no values" in failure.message and about is not None:
        yield change(failure, (about, f"{atom(failure, about)}.numel() > 0"), title="whether it has elements")
    grouped = list(regrouped(failure))
    yield from grouped
    match node:
        case ast.BoolOp():
            yield from _and_or(failure, node)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _not(failure, node, operand)
        case ast.Compare(ops=[ast.In() | ast.NotIn() as operator], left=left, comparators=[right]):
            word = "any" if isinstance(operator, ast.In) else "not any"
            name = "t" if text_of(failure, left) != "t" else "other"
            text = f"{word}(torch.equal({text_of(failure, left)}, {name}) for {name} in {text_of(failure, right)})"
            yield change(failure, (node, text), title="whether one of them is equal to it")
        case ast.Compare(ops=ops) if len(ops) > 1 and not grouped:
            yield from _chained(failure, node)
        case ast.Call():
            yield from _function_of_many(failure, node)
        case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
            for test in (test for part in node.generators for test in part.ifs):
                yield from _one_truth(failure, test)
    single = isinstance(node, ast.Call) and not (failure.call and failure.call.name == "bool")
    if about is not None and not (isinstance(node, ast.BoolOp | ast.ListComp | ast.GeneratorExp) or single or grouped):
        yield from _one_truth(failure, about)


def _condition(failure: Failure, about: ast.AST) -> ast.AST | None:
    """The statement or conditional expression whose condition this is, a `not` between them aside."""
    above = parent(failure, about)
    while isinstance(above, ast.UnaryOp | ast.BoolOp):
        above = parent(failure, above)
    return above


def _one_truth(failure: Failure, about: ast.expr) -> Iterator[Edit]:
    """`.any()` or `.all()`, torch.where for `a if mask else b`, torch.equal for ==."""
    above = _condition(failure, about)
    test = atom(failure, about)
    if isinstance(above, ast.IfExp) and above.test is about:
        parts = (text_of(failure, part) for part in (about, above.body, above.orelse))
        yield change(failure, (above, f"torch.where({', '.join(parts)})"), title="element by element")
    compared = isinstance(about, ast.Compare) and len(about.ops) == 1
    equal = compared and isinstance(about, ast.Compare) and isinstance(about.ops[0], ast.Eq)
    asserted = isinstance(above, ast.Assert)
    everything = equal or asserted
    if about is not failure.node and isinstance(failure.node, ast.Call) and failure.node.func is about:
        return
    whole = []
    if equal and isinstance(about, ast.Compare):
        pair = f"{text_of(failure, about.left)}, {text_of(failure, about.comparators[0])}"
        if all(is_tensor(failure.value(side)) for side in (about.left, about.comparators[0])):
            whole = [change(failure, (about, f"torch.equal({pair})"), title="whether the two are equal")]
    yield from whole if asserted else ()
    for end in (".all()", ".any()") if everything else (".any()", ".all()"):
        word = "all are" if end == ".all()" else "one is"
        yield change(failure, (about, test + end), title=f"whether {word}")
    yield from whole
    value = failure.value(about)
    if is_tensor(value) and not compared:
        yield change(failure, (about, f"{test}.numel() > 0"), title="whether it has elements")
        yield change(failure, (about, f"{text_of(failure, about)} is not None"), title="whether it is there")


def _bracketed(failure: Failure, part: ast.expr) -> str:
    text = text_of(failure, part)
    safe = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant)
    return text if isinstance(part, safe) else f"({text})"


def _and_or(failure: Failure, node: ast.BoolOp) -> Iterator[Edit]:
    """`(a > 0) & (b > 0)` for `a > 0 and b > 0`; `.any()` behind each where one truth is meant."""
    sign = " & " if isinstance(node.op, ast.And) else " | "
    word = " and " if isinstance(node.op, ast.And) else " or "
    parts = [_inverted(failure, part) for part in node.values]
    above = parent(failure, node)
    decides = isinstance(above, ast.If | ast.While | ast.Assert)
    each = [
        f"{atom(failure, part)}.any()" if is_tensor(failure.value(part)) else text_of(failure, part)
        for part in node.values
    ]
    every = [text[: -len(".any()")] + ".all()" if text.endswith(".any()") else text for text in each]
    if decides:
        yield change(failure, (node, f"({sign.join(parts)}).any()"), title="whether it holds for one")
        yield change(failure, (node, word.join(each)), title="whether each holds for one")
        yield change(failure, (node, f"({sign.join(parts)}).all()"), title="whether it holds for all")
        return
    if isinstance(above, ast.IfExp) and above.test is node:
        branches = ", ".join(text_of(failure, part) for part in (above.body, above.orelse))
        yield change(failure, (above, f"torch.where({sign.join(parts)}, {branches})"), title="element by element")
    bracketed = isinstance(above, ast.UnaryOp | ast.BinOp | ast.Compare) and not text_of(failure, node).startswith("(")
    text = sign.join(parts)
    yield change(failure, (node, f"({text})" if bracketed else text), title="element by element")
    if len(parts) == 2:
        name = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
        pair = ", ".join(text_of(failure, part) for part in node.values)
        yield change(failure, (node, f"torch.{name}({pair})"), title="element by element")
    yield change(failure, (node, word.join(each)), title="whether each holds for one")
    yield change(failure, (node, word.join(every)), title="whether each holds for all")


def _inverted(failure: Failure, part: ast.expr) -> str:
    """A part of `and`, with ~ for its `not`."""
    if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not):
        return f"~{_bracketed(failure, part.operand)}"
    if isinstance(part, ast.BoolOp):
        sign = " & " if isinstance(part.op, ast.And) else " | "
        return f"({sign.join(_inverted(failure, inner) for inner in part.values)})"
    return _bracketed(failure, part)


def _not(failure: Failure, node: ast.UnaryOp, operand: ast.expr) -> Iterator[Edit]:
    decides = isinstance(parent(failure, node), ast.If | ast.While | ast.Assert | ast.IfExp)
    value = failure.value(operand)
    text = atom(failure, operand)
    truth = is_tensor(value) and dtype_of(value) == "bool"
    plain = (node, f"~{text}" if truth else f"{text} == 0")
    if decides:
        yield change(failure, (operand, f"{text}.any()"), title="where none is")
        yield change(failure, (operand, f"{text}.all()"), title="where not all are")
    yield change(failure, plain, title="element by element")
    yield change(failure, (node, f"torch.logical_not({text_of(failure, operand)})"), title="element by element")


def _chained(failure: Failure, node: ast.Compare) -> Iterator[Edit]:
    """`(0 < x) & (x < 1)` for `0 < x < 1`."""
    from tensorcli.diagnoses.dtypes import compare_sign

    sides = [text_of(failure, part) for part in (node.left, *node.comparators)]
    pairs = [f"({a} {compare_sign(op)} {b})" for a, op, b in zip(sides, node.ops, sides[1:], strict=False)]
    above = _condition(failure, node)
    joined = " & ".join(pairs)
    if isinstance(above, ast.If | ast.While | ast.Assert):
        yield change(failure, (node, f"({joined}).all()"), title="whether all are between")
        yield change(failure, (node, f"({joined}).any()"), title="whether one is between")
    elif isinstance(above, ast.IfExp) and above.test is node:
        branches = ", ".join(text_of(failure, part) for part in (above.body, above.orelse))
        yield change(failure, (above, f"torch.where({joined}, {branches})"), title="element by element")
    else:
        text = f"({joined})" if isinstance(above, ast.BinOp | ast.Attribute) else joined
        yield change(failure, (node, text), title="element by element")


_OF_MANY = {"max": "maximum", "min": "minimum"}


def _function_of_many(failure: Failure, node: ast.Call) -> Iterator[Edit]:
    """max(a, b), sorted(x), any(x), all(x) and list.index of tensors."""
    call = failure.call
    if call is None or not node.args:
        return
    name, first = _called(failure), node.args[0]
    arguments = [text_of(failure, part) for part in node.args]
    own = atom(failure, first)
    if name in _OF_MANY and len(node.args) == 2:
        yield change(failure, (node, f"torch.{_OF_MANY[name]}({', '.join(arguments)})"), title="element by element")
        values = [failure.value(part) for part in node.args]
        if is_tensor(values[0]) != is_tensor(values[1]):
            number = arguments[1 if is_tensor(values[0]) else 0]
            word = "min" if name == "max" else "max"
            owner = atom(failure, node.args[0] if is_tensor(values[0]) else node.args[1])
            yield change(failure, (node, f"{owner}.clamp({word}={number})"), title="element by element")
            yield change(failure, (node, f"torch.{_OF_MANY[name]}({arguments[0]}, torch.tensor({number}))"))
    elif name in ("max", "min", "any", "all") and len(node.args) == 1:
        yield change(failure, (node, f"{own}.{name}()"), title="of all elements")
        if isinstance(failure.value(first), list | tuple):
            yield change(failure, (node, f"torch.stack({arguments[0]}).{name}(dim=0)"), title="element by element")
    elif name == "sorted":
        yield change(failure, (node, f"{own}.sort().values"), title="in order, along the last dimension")
        yield change(failure, (node, f"{own}.sort(dim=0).values"), title="in order")
        if isinstance(failure.value(first), list | tuple) and not any(k.arg == "key" for k in node.keywords):
            for end in (".sum().item()", ".norm().item()"):
                yield change(failure, (node, with_keyword(text_of(failure, node), f"key=lambda t: t{end}")))
    elif name in ("index", "count") and call.form == "method" and isinstance(node.func, ast.Attribute):
        held, sought = text_of(failure, node.func.value), arguments[0]
        found = f"torch.equal(t, {sought})"
        one = f"next(i for i, t in enumerate({held}) if {found})"
        yield change(failure, (node, one if name == "index" else f"sum({found} for t in {held})"))


def sizes_apart(failure: Failure) -> Finding | None:
    """NumPy's zeros and its kin given sizes one by one, as torch takes them."""
    node = failure.node
    if not said(failure, "array sizes") or not isinstance(node, ast.Call) or len(node.args) < 2:
        return None
    texts = ", ".join(text_of(failure, part) for part in node.args)
    named = "".join(f", {k.arg}={text_of(failure, k.value)}" for k in node.keywords)
    title = f"NumPy takes sizes as one tuple, ({texts}), and the second argument as a dtype"
    edit = change(failure, (node, f"{text_of(failure, node.func)}(({texts}){named})"), title="the sizes as a tuple")
    return Finding(title, (), (edit,))


def arrays_apart(failure: Failure) -> Finding | None:
    """NumPy's concatenate and its kin given arrays one by one, which they take as one tuple."""
    node, name = failure.node, _called(failure)
    owner = failure.value(node.func.value) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else 0
    if not isinstance(node, ast.Call) or owner is not failure.place("numpy") or name not in _JOINS:
        return None
    values = [failure.value(part) for part in node.args]
    if len(values) < 2 or not all(is_array(value) or is_tensor(value) for value in values):
        return None
    texts = ", ".join(text_of(failure, part) for part in node.args)
    named = "".join(f", {k.arg}={text_of(failure, k.value)}" for k in node.keywords)
    functions = [f"torch.{_JOINS[name]}"] * all(map(is_tensor, values)) + [text_of(failure, node.func)]
    edits = [change(failure, (node, f"{f}(({texts}){named})"), title="all in one tuple") for f in functions]
    return Finding(f"NumPy's {name} takes all arrays as one tuple, ({texts})", (), edits)


_JOINS = {"concatenate": "cat", "concat": "cat", "column_stack": "column_stack", "row_stack": "vstack"} | {
    name: name for name in ("stack", "hstack", "vstack", "dstack")
}


ENTRIES = (
    Entry(
        "wrong-arguments",
        "name",
        sizes_apart,
        "np.zeros(3, 4)",
        "NumPy's zeros, ones, empty and full take the sizes as one tuple.",
    ),
    Entry(
        "wrong-arguments",
        "name",
        arrays_apart,
        "np.concatenate(np.ones(2), np.ones(3))",
        "NumPy's concatenate, stack and their kin take the arrays as one tuple.",
    ),
    Entry(
        "numpy-requires-grad",
        "numpy",
        requires_grad,
        "torch.ones(3, requires_grad=True).numpy()",
        "NumPy keeps no gradients: x.detach().numpy().",
    ),
    Entry(
        "numpy-on-gpu",
        "numpy",
        on_gpu,
        "torch.ones(3, device='cuda').numpy()",
        "NumPy's arrays are on the CPU: x.cpu().numpy().",
        pretend=True,
    ),
    Entry(
        "numpy-dtype",
        "numpy",
        numpy_dtype,
        "torch.ones(3, dtype=torch.bfloat16).numpy()",
        "NumPy has no bfloat16, and torch no text and no objects: convert first.",
    ),
    Entry(
        "numpy-strides",
        "numpy",
        strides,
        "torch.from_numpy(np.arange(3)[::-1])",
        "Tensors have no negative strides: array[::-1].copy().",
    ),
    Entry(
        "numpy-not-a-tensor",
        "numpy",
        not_a_tensor,
        "torch.mean(np.ones(3))",
        "torch's functions and layers take tensors: torch.from_numpy(array) makes one that shares its memory.",
    ),
    Entry(
        "truth-of-many",
        "value",
        truth_of_many,
        "x = torch.rand(3)\nif x > 0.5:\n    x = x + 1",
        "if, and, or and not take one True or False: x.any(), x.all(), and & | ~ element by element.",
    ),
    Entry(
        "item-of-many",
        "value",
        item_of_many,
        "torch.rand(3).item()",
        "item(), float() and int() take a tensor of one element: x.tolist() gives them all, x.mean() makes one.",
    ),
)
