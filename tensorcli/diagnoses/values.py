"""Diagnoses of values of another type than is needed: lists, tuples, numbers, texts and None for tensors; keys."""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from tensorcli import units
from tensorcli.diagnoses import Edit, Entry, Failure, Finding, Unknown
from tensorcli.diagnoses.edits import (
    atom,
    brackets,
    calling,
    change,
    constant,
    definite,
    innermost,
    is_tensor,
    parent,
    renamed,
    text_of,
)
from tensorcli.diagnoses.indexing import assigned
from tensorcli.diagnoses.messages import said
from tensorcli.diagnoses.words import near
from tensorcli.language import Statement

# Lists for tensors


def list_for_tensor(failure: Failure) -> Finding | None:
    """A list, a tuple, a range or a number where a tensor is needed."""
    if not isinstance(failure.error, AttributeError | TypeError | RuntimeError) or failure.node is None:
        return None
    node = _listed(failure)
    if node is None:
        return None
    if said(failure, "element type") and isinstance(node, ast.Tuple | ast.List):
        last = _dimension_inside(failure, node)
        if last:
            return last
    value = failure.value(node)
    text = text_of(failure, node)
    short = text if len(text) < 30 else definite(value)
    what = definite(value) if short != definite(value) else ""
    call = failure.call
    if call and call.name.endswith("_like") and isinstance(value, list | tuple) and all(type(n) is int for n in value):
        plain = call.name.removesuffix("_like")
        title = f"{call.name} takes the size of a tensor, and {short} is a size: {plain} takes it"
        return Finding(title, (), [renamed(failure, plain, title="of this size")])
    if together := _looped(failure, node, value):
        return together
    maker, of = "tensor", ""
    if isinstance(value, list | tuple) and value and all(map(is_tensor, value)):
        maker, of = "stack", f" of {units.plural(len(value), 'tensor')}"
    made = f"torch.{maker}({'...' if len(text) > 30 else text}) makes one"
    edits = _as_tensor_edits(failure, node, value)
    number = _taken_out(failure, node)
    if number is not None:
        written, taking, owner = number
        step = f".{taking.func.attr}()" if isinstance(taking.func, ast.Attribute) else ""
        made = f"{step} made it one" if taking is not node else made
        edits = chain([Edit(((written, taking, owner),), f"without {step}")], edits)
    title = f"{short} is {f'{what}{of} and ' if what and not _spells(node) else ''}no tensor: {made}"
    return Finding(title, (), edits)


def _taken_out(failure: Failure, node: ast.expr) -> tuple[Statement, ast.Call, str] | None:
    """The call that made a number or a list of a tensor, here or in a variable's definition, and that tensor."""
    written = failure.definition(node.id) if isinstance(node, ast.Name) else failure.statement
    made = getattr(written.node, "value", None) if written and isinstance(node, ast.Name) else node
    match made:
        case ast.Call(func=ast.Attribute(value=owner, attr="item" | "tolist")) if written:
            return written, made, written.place_of(owner).text
    return None


def _looped(failure: Failure, node: ast.expr, value: Any) -> Finding | None:
    """`for xb in loader` of pairs: one name for several tensors."""
    parts = ast.walk(failure.statement.node) if failure.statement else ()
    loops = [part for part in parts if isinstance(part, ast.For | ast.comprehension)]
    loop = next((loop for loop in loops if isinstance(node, ast.Name) and _is_named(loop.target, node.id)), None)
    if loop is None or not isinstance(node, ast.Name) or not isinstance(value, list | tuple) or len(value) < 2:
        return None
    if not all(map(is_tensor, value)) or is_tensor(failure.value(loop.iter)):
        return None
    name, source = node.id, text_of(failure, loop.iter)
    other = f"y{name[1:]}" if name.startswith("x") else "target" if name != "target" else "other"
    names = f"{name}, {other}" if len(value) == 2 else f"{name}, *_"
    title = f"{source} gives {len(value)} tensors a step, and {name} is all of them: for {names} in {source}"
    edits = [change(failure, (loop.target, names)), change(failure, (node, f"{name}[0]"))]
    return Finding(title, (), edits)


def _is_named(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _dimension_inside(failure: Failure, node: ast.Tuple | ast.List) -> Finding | None:
    """`torch.cat((a, b, 1))`: the dimension stands among the tensors."""
    *tensors, last = node.elts
    if type(failure.value(last)) is not int or not all(is_tensor(failure.value(part)) for part in tensors):
        return None
    texts = [text_of(failure, part) for part in tensors]
    inside = ", ".join(texts) + ("," if len(texts) == 1 and isinstance(node, ast.Tuple) else "")
    together = f"[{inside}]" if isinstance(node, ast.List) else f"({inside})"
    title = f"{text_of(failure, last)} is no tensor, and stands among the tensors: a dimension comes after them"
    return Finding(title, (), [change(failure, (node, f"{together}, {text_of(failure, last)}"))])


def _spells(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple) or constant(node) is not None


def _listed(failure: Failure) -> ast.expr | None:
    """The expression whose value should have been a tensor."""
    node, error = failure.node, failure.error
    if isinstance(error, AttributeError):
        return _owner_without(failure, error)
    if isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp | ast.AugAssign) and said(failure, "operand types"):
        sides = _sides(node)
        numbers = [side for side in sides if _is_list(failure.value(side)) and not _is_results(failure.value(side))]
        texts = any(isinstance(failure.value(side), str) or failure.value(side) is None for side in sides)
        return numbers[0] if numbers and not texts else None
    if isinstance(node, ast.Subscript) and said(failure, "assign kind"):
        value = assigned(failure)
        return value.node if value and (_is_list(value.value) or _is_array(value.value)) else None
    if isinstance(node, ast.Subscript) and said(failure, "list index"):
        return node.value if isinstance(node.slice, ast.Tuple) and _is_list(failure.value(node.value)) else None
    if isinstance(node, ast.Call) and (
        said(failure, "must be a tensor") or said(failure, "combination") or said(failure, "element type")
    ):
        return _argument_for_tensor(failure, node)
    return None


def _sides(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.Compare(left=left, comparators=[right, *_]):
            return [left, right]
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.AugAssign(target=target, value=value):
            return [target, value]
    return []


def _is_list(value: Any) -> bool:
    """Whether a value is a sequence of numbers, of tensors, or of such sequences."""
    if isinstance(value, range):
        return True
    if type(value) not in (list, tuple) or not value:
        return type(value) is list
    return all(
        isinstance(part, int | float | complex) or is_tensor(part) or _is_list(part) or _is_array(part)
        for part in value
    )


def _is_array(value: Any) -> bool:
    return type(value).__name__ == "ndarray"


def _owner_without(failure: Failure, error: AttributeError) -> ast.expr | None:
    torch: Any = failure.place("torch")
    name = error.name
    node = failure.node
    if not name or not hasattr(torch.Tensor, name) or error.obj is None:
        return None
    if isinstance(node, ast.Attribute):
        value = failure.value(node.value)
        value = error.obj if value is Unknown else value
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return node.value if plain or _is_array(value) or (_is_list(value) and not _is_results(value)) else None
    parts = [*node.args, *(k.value for k in node.keywords)] if isinstance(node, ast.Call) else []
    if isinstance(error.obj, int | float) and any(is_tensor(failure.value(part)) for part in parts[1:]):
        parts = parts[1:]  # x and the number may be in the wrong order
    for part in parts:
        value = failure.value(part)
        if (
            (value is error.obj or (type(value) is type(error.obj) and value == error.obj))
            and not is_tensor(value)
            and not isinstance(value, str)
        ):
            return part if not _is_results(value) else None
    return None


def _is_results(value: Any) -> bool:
    """Whether a tuple is what a function gave: tensors, or tuples of them."""
    return (
        isinstance(value, tuple) and bool(value) and any(is_tensor(part) or isinstance(part, tuple) for part in value)
    )


def _argument_for_tensor(failure: Failure, node: ast.Call) -> ast.expr | None:
    """The argument that has to be a tensor, and is a list or a number."""
    found = said(failure, "must be a tensor")
    parts = [*node.args, *(k.value for k in node.keywords)]
    if said(failure, "element type"):
        sequence = parts[0] if parts else None
        inside = failure.value(sequence) if sequence is not None else None
        return (
            sequence
            if (_is_list(inside) and not isinstance(inside, tuple)) or isinstance(sequence, ast.Tuple)
            else None
        )
    wanted = [part for part in parts if _is_list(failure.value(part)) and not _is_results(failure.value(part))]
    numbers = [part for part in parts if isinstance(failure.value(part), int | float)]
    if found:
        named = next((k.value for k in node.keywords if k.arg == found["name"]), None)
        position = int(found["position"] or 0) - 1
        method = failure.call and failure.call.form == "method" and failure.call.name == found["function"]
        at = node.args[position] if 0 <= position < len(node.args) else None
        chosen = named or (at if not failure.layer else None)
        value = failure.value(chosen) if chosen is not None else Unknown
        if (
            chosen is not None
            and type(value).__name__ == found["got"].rpartition(".")[2]
            and not isinstance(value, str | type(None))
        ):
            ordered = (
                not any(is_tensor(failure.value(part)) for part in node.args[position + 1 :])
                or method
                or _is_list(value)
            )
            return (
                chosen
                if ordered
                and (_is_list(value) or isinstance(value, int | float) or _is_array(value))
                and not _is_results(value)
                else None
            )
        return next((part for part in wanted + numbers if type(failure.value(part)).__name__ == found["got"]), None)
    tensor_first = re.search(r"\* \(Tensor (?:input|self)", failure.message)
    if (
        tensor_first
        and node.args
        and failure.call
        and failure.call.form == "function"
        and node.args[0] in wanted + numbers
    ):
        return node.args[0] if not any(is_tensor(failure.value(part)) for part in node.args[1:]) else None
    return None


def _as_tensor_edits(failure: Failure, node: ast.expr, value: Any) -> Iterator[Edit]:
    yield from _without_tensor(failure, node, value)
    others = list(_companions(failure, node))
    ran: list[Any] = []

    def good(result: Any) -> bool:
        ran.append(result)
        return True

    for text in tensor_texts(failure, node, value):
        if ran and "dtype=" in text:
            break
        pairs = [(part, next(iter(tensor_texts(failure, part, failure.value(part))))) for part in others]
        if "float32" in text:
            pairs = [(part, [*tensor_texts(failure, part, failure.value(part))][-1]) for part in others]
        yield change(failure, (node, text), accept=good)
        if pairs and not ran:
            yield change(failure, (node, text), *pairs, accept=good)
    yield from _plain_python(failure, node, value)


def _companions(failure: Failure, node: ast.expr) -> Iterator[ast.expr]:
    """The other lists of the same operation."""
    top = failure.node
    parts = [*top.args, *(k.value for k in top.keywords)] if isinstance(top, ast.Call) else _sides(top) if top else []
    yield from (part for part in parts if part is not node and _is_list(failure.value(part)) and failure.value(part))


def tensor_texts(failure: Failure, node: ast.expr, value: Any) -> Iterator[str]:
    """How a list, a range, an array or a number is made a tensor."""
    text = text_of(failure, node)
    if isinstance(node, ast.Tuple) and not text.startswith("("):
        text = f"({text})"
    if _is_array(value):
        yield from (f"torch.from_numpy({text})", f"torch.tensor({text})")
    if isinstance(node, ast.Call) and isinstance(value, range):
        yield f"torch.arange({text[text.index('(') + 1 : -1]})"
    if isinstance(value, list | tuple) and value and all(is_tensor(part) for part in value):
        yield from (f"torch.stack({text})", f"torch.cat({text})")
        if all(part.ndim == 0 for part in value):
            yield f"torch.tensor({text})"
        return
    if isinstance(value, list) and value and any(is_tensor(p) for p in value):
        return
    yield f"torch.tensor({text})"
    if not _has_float(value):
        yield f"torch.tensor({text}, dtype=torch.float32)"


def _has_float(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_float(part) for part in value)
    return isinstance(value, float)


def _without_tensor(failure: Failure, node: ast.expr, value: Any) -> Iterator[Edit]:
    """What needs no tensor: a number's .item(), an index of a list in a list, the length of a list."""
    above = parent(failure, node)
    called = calling(failure, above)
    number = isinstance(value, int | float) and not isinstance(node, ast.Constant)
    if number and called and getattr(above, "attr", "") in ("item", "cpu", "detach", "numpy", "tolist", "clone"):
        yield change(failure, (called, text_of(failure, node)))
    index = above.slice if isinstance(above, ast.Subscript) else None
    if isinstance(index, ast.Tuple) and not any(isinstance(part, ast.Slice) for part in index.elts):
        yield change(failure, (above, atom(failure, node) + "".join(f"[{text_of(failure, p)}]" for p in index.elts)))
    call = failure.node
    if isinstance(call, ast.Call) and said(failure, "element type") and isinstance(value, list | tuple):
        inside = node.elts if isinstance(node, ast.List | ast.Tuple) else []
        pairs = [
            (p, next(iter(tensor_texts(failure, p, failure.value(p)))))
            for p in inside
            if not is_tensor(failure.value(p))
        ]
        if pairs and any(_is_list(failure.value(p)) for p in inside):
            yield change(failure, *pairs)
        text = text_of(failure, node)
        if not inside and all(isinstance(part, list | tuple) for part in value):
            yield change(failure, (node, f"[torch.tensor(part) for part in {text}]"))
        yield change(failure, (call, f"torch.tensor({text})"))


_MATH = {
    "sqrt",
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "tanh",
    "floor",
    "ceil",
    "log2",
    "log10",
    "atan",
    "asin",
    "acos",
    "erf",
}
_BUILTIN = {"sum", "max", "min", "abs", "round", "len", "sorted"}


def _plain_python(failure: Failure, node: ast.expr, value: Any) -> Iterator[Edit]:
    """The same with Python's own functions."""
    top, call = failure.node, failure.call
    name = call.name if call else ""
    if isinstance(top, ast.Call) and len(top.args) == 1 and not top.keywords:
        inside = text_of(failure, top.args[0])
        if isinstance(value, int | float) and name in _MATH:
            yield change(failure, (top, f"math.{name}({inside})"))
        if name in _BUILTIN:
            yield change(failure, (top, f"{name}({inside})"))
    called = calling(failure, top)
    if isinstance(top, ast.Attribute) and called and top.attr in _BUILTIN and not called.args:
        yield change(failure, (called, f"{top.attr}({text_of(failure, top.value)})"))
    if isinstance(top, ast.Attribute) and top.attr in ("size", "shape", "numel"):
        yield change(failure, (called or top, f"len({text_of(failure, top.value)})"))
    if isinstance(top, ast.BinOp) and isinstance(value, list) and isinstance(top.op, ast.Add):
        other = top.right if top.left is node else top.left
        if isinstance(failure.value(other), int | float):
            yield change(failure, (other, f"[{text_of(failure, other)}]"))


# Other types


def type_conversion(failure: Failure) -> Finding | None:
    """A text, None, a tuple of results or another type where something else is needed."""
    if not isinstance(failure.error, TypeError | ValueError | AttributeError | IndexError | RuntimeError):
        return None
    if failure.node is None:
        return None
    for recogniser in (
        _parameter,
        _one_step,
        _results,
        _unpacked,
        _sized,
        _counted,
        _indexed,
        _texts,
        _nothing,
        _inferred,
        _shape_used,
        _numbers,
    ):
        finding: Finding | None = recogniser(failure)
        if finding:
            return finding
    return None


def _results(failure: Failure) -> Finding | None:
    """A tuple of results where one of them is meant: `x.max(dim=1) + 1`."""
    node = _tuple_node(failure)
    if node is None:
        return None
    value = failure.value(node)
    if together := _looped(failure, node, value):
        return together
    names = [name for name in getattr(type(value), "__match_args__", ()) if hasattr(value, name)]
    text = text_of(failure, node)
    listed = f": {' and '.join(names)}" if names else ""
    title = f"{text if len(text) < 40 else 'this'} holds {len(value)} results{listed}, and one is needed"
    return Finding(title, (), _result_edits(failure, node, value, names))


def _parameter(failure: Failure) -> Finding | None:
    """`model.weight = torch.zeros(1, 3)`: a tensor in the place of a parameter."""
    inner = innermost(failure)
    if not said(failure, "no parameter") or not isinstance(inner, ast.Assign):
        return None
    text = text_of(failure, inner.value)
    title = f"{text_of(failure, inner.targets[0])} is a parameter of the layer, and takes an nn.Parameter"
    return Finding(title, (), [change(failure, (inner.value, f"nn.Parameter({text})"))])


def _one_step(failure: Failure) -> Finding | None:
    """`next(loader)`, `loader[0]`: a step of what can only be gone over."""
    node = failure.node
    if isinstance(node, ast.Call) and len(node.args) == 1 and said(failure, "no iterator"):
        part, text = node.args[0], text_of(failure, node.args[0])
        title = f"next steps an iterator, and {text} is {definite(failure.value(part))}: iter({text}) makes one"
        return Finding(title, (), [change(failure, (part, f"iter({text})"))])
    if isinstance(node, ast.Subscript) and said(failure, "no items"):
        text = text_of(failure, node.value)
        if not hasattr(failure.value(node.value), "__iter__"):
            return None
        first = f"next({text})" if hasattr(failure.value(node.value), "__next__") else f"next(iter({text}))"
        edits = [change(failure, (node, first), title="the first step")] if constant(node.slice) == 0 else []
        edits += [change(failure, (node.value, f"{atom(failure, node.value)}.dataset"), title="an item of its data")]
        edits += [change(failure, (node.value, f"list({text})"), title="all steps as a list")]
        return Finding(
            f"{text} is {definite(failure.value(node.value))}: it has no items, a loop goes over it", (), edits
        )
    return None


def _tuple_node(failure: Failure) -> ast.expr | None:
    if isinstance(failure.error, AttributeError):
        torch: Any = failure.place("torch")
        node = failure.node
        if failure.error.name and not hasattr(torch.Tensor, failure.error.name):
            return None
        parts = (
            [node.value] if isinstance(node, ast.Attribute) else list(node.args) if isinstance(node, ast.Call) else []
        )
    elif said(failure, "operand types") or said(failure, "must be a tensor") or said(failure, "combination"):
        node = failure.node
        parts = (
            [*node.args, *(k.value for k in node.keywords)]
            if isinstance(node, ast.Call)
            else _sides(node)
            if node
            else []
        )
        if isinstance(node, ast.Call) and failure.call and failure.call.name in ("cat", "stack"):
            return None
    elif isinstance(failure.node, ast.Subscript) and said(failure, "list index"):
        parts = [failure.node.value]
    elif isinstance(failure.node, ast.Subscript) and isinstance(failure.error, IndexError):
        parts = [failure.node.slice] if hasattr(failure.value(failure.node.slice), "indices") else []
    else:
        return None
    return next((part for part in parts if _is_results(failure.value(part)) and not isinstance(part, ast.Tuple)), None)


def _result_edits(failure: Failure, node: ast.expr, value: Any, names: list[str]) -> Iterator[Edit]:
    text = atom(failure, node)
    if isinstance(failure.node, ast.Subscript) and failure.node.slice is node:
        yield change(failure, (node, f"{text}.indices"))
        yield change(failure, (failure.node, f"{text}.values"))
        return
    if "values" in names:
        yield change(failure, (node, f"{text}.values"))
        if isinstance(node, ast.Call) and "keepdim" not in text:
            yield change(failure, (node, f"{text[:-1]}, keepdim=True).values"))
    elif "S" in names:
        yield from (change(failure, (node, f"{text}.{name}")) for name in ("S", "U"))
    else:
        yield change(failure, (node, f"{text}[0]"))
        if len(value) > 1 and isinstance(value[1], tuple):
            yield change(failure, (node, f"{text}[1][0]"))
    if "indices" in names:
        yield change(failure, (node, f"{text}.indices"))
    if not names and all(is_tensor(part) for part in value):
        yield change(failure, (node, f"torch.stack({text_of(failure, node)})"))
        yield change(failure, (node, f"torch.cat({text_of(failure, node)})"))
    yield change(failure, (node, f"{text}[0]"))
    yield change(failure, (node, f"{text}[1]"))


def _unpacked(failure: Failure) -> Finding | None:
    """`a, b, c = x.shape` of two sizes."""
    found = said(failure, "unpack")
    tree = failure.statement.node if failure.statement else None
    if not found or tree is None:
        return None
    for node in ast.walk(tree):
        pair = (
            (node.targets[0], node.value)
            if isinstance(node, ast.Assign)
            else (node.target, node.iter)
            if isinstance(node, ast.For | ast.comprehension)
            else None
        )
        if pair and isinstance(pair[0], ast.Tuple | ast.List) and failure.node in (node, *pair):
            loop = not isinstance(node, ast.Assign)
            return _unpacking(failure, pair[0], pair[1], loop=loop)
    return None


def _unpacking(failure: Failure, target: ast.Tuple | ast.List, source: ast.expr, *, loop: bool) -> Finding | None:
    value = failure.value(source)
    wanted = len(target.elts)
    text = text_of(failure, source)
    short = text if len(text) < 40 else "the right side"
    if loop:
        title = f"each step of the loop fills {wanted} names, and {short} does not give {wanted} values a step"
        return Finding(title, (), _loop_edits(failure, source, value, wanted))
    count = _count(value)
    has = "is a single value" if count is None else f"gives {count} value{'s' if count != 1 else ''}"
    shape = f" {brackets(tuple(value))}" if type(value).__name__ == "Size" else ""
    title = f"{short}{shape} {has}, and there are {wanted} names to fill"
    return Finding(title, (), _unpack_edits(failure, target, source, value, count))


def _count(value: Any) -> int | None:
    try:
        return len(value) if value is not Unknown else None
    except TypeError:
        return None


def _loop_edits(failure: Failure, source: ast.expr, value: Any, wanted: int) -> Iterator[Edit]:
    text = text_of(failure, source)
    if isinstance(value, Mapping):
        yield change(failure, (source, f"{atom(failure, source)}.items()"))
    match source:
        case ast.Call(func=ast.Name(id="range"), args=[ast.Call(func=ast.Name(id="len"), args=[part])]):
            yield change(failure, (source, f"enumerate({text_of(failure, part)})"))
            return
    yield change(failure, (source, f"enumerate({text})"))
    if isinstance(source, ast.Tuple):
        yield change(failure, (source, f"zip({', '.join(text_of(failure, part) for part in source.elts)})"))
    if isinstance(value, list | tuple) and len(value) == wanted:
        yield change(failure, (source, f"zip(*{text})"))


def _unpack_edits(
    failure: Failure, target: ast.Tuple | ast.List, source: ast.expr, value: Any, count: int | None
) -> Iterator[Edit]:
    names = [text_of(failure, part) for part in target.elts]
    text = text_of(failure, source)
    parts = list(value) if isinstance(value, list | tuple) else []
    nested = [len(part) if isinstance(part, tuple) else 1 for part in parts]
    if parts and sum(nested) == len(names) and len(parts) < len(names):
        yield change(failure, (target, ", ".join(_grouped(names, nested))))
    if count is None or count == 0 or (is_tensor(value) and value.ndim == 0):
        if isinstance(source, ast.Call) and not source.args and isinstance(source.func, ast.Attribute):
            yield from (change(failure, (source, f"{text[:-1]}dim={dim})")) for dim in ("-1", "0"))
        if isinstance(source, ast.Subscript) and text_of(failure, source.value).endswith("shape"):
            yield change(failure, (source, text_of(failure, source.value)))
        if isinstance(value, int | float) or is_tensor(value):
            yield change(failure, (source, ", ".join([text] * len(names))))
        yield change(failure, (target, names[0]))
        return
    if is_tensor(value) and value.ndim == len(names) and all(map(_SIZE.fullmatch, names)):
        yield change(failure, (source, f"{atom(failure, source)}.shape"))
    if is_tensor(value) and value.shape[-1] == len(names):
        yield change(failure, (source, f"{atom(failure, source)}.unbind(-1)"))
    if count > len(names):
        extra = count - len(names)
        if type(value).__name__ == "Size":
            yield change(failure, (target, ", ".join(["_"] * extra + names)))
            yield change(failure, (target, ", ".join([*names, *["_"] * extra])))
            yield change(failure, (source, f"{text}[{len(value) - len(names)}:]"))
        else:
            yield change(failure, (target, ", ".join([*names, *(["_"] * extra if extra < 3 else ["*_"])])))
            yield change(failure, (source, f"{atom(failure, source)}[:{len(names)}]"))
        return
    yield change(failure, (target, ", ".join(names[:count]) + ("," if count == 1 else "")))
    yield change(failure, (target, ", ".join(names[-count:]) + ("," if count == 1 else "")))


# How a size is called.
_SIZE = re.compile(
    r"[A-Zbcdhkmntw_]|rows|cols|columns|height|width|batch|channels|length|(?:n|num|dim|seq)_?\w*|\w*size"
)


def _grouped(names: list[str], sizes: list[int]) -> Iterator[str]:
    at = 0
    for size in sizes:
        yield names[at] if size == 1 else f"({', '.join(names[at : at + size])})"
        at += size


def _sized(failure: Failure) -> Finding | None:
    """range(), for and len() of what has no such number."""
    node = failure.node
    name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    if isinstance(node, ast.Call) and name == "range" and said(failure, "no number"):
        return _ranged(failure, node)
    if isinstance(node, ast.Call) and name == "len" and said(failure, "no length"):
        return _measured(failure, node)
    if not said(failure, "not iterable") or not isinstance(node, ast.expr):
        return None
    above = parent(failure, node)
    inner = (
        node.args[0]
        if isinstance(node, ast.Call) and node.args and not isinstance(above, ast.For | ast.comprehension)
        else node
    )
    value = failure.value(inner)
    text = text_of(failure, inner)
    if isinstance(value, int | float) or (is_tensor(value) and value.ndim == 0):
        whole = not value.is_floating_point() if is_tensor(value) else isinstance(value, int)
        counted = f"range({text})" if isinstance(value, int) else f"range(int({text}))"
        texts = [counted] if whole else []
        if not isinstance(above, ast.For | ast.comprehension):
            texts.append(f"[{text}]")
        advice = f"a loop goes over {counted}" if whole else "it has no elements to loop over"
        return Finding(f"{text} is a single number: {advice}", (), [change(failure, (inner, t)) for t in texts])
    if hasattr(value, "parameters") and not isinstance(value, type) and isinstance(above, ast.For | ast.comprehension):
        return Finding(
            f"{text} is a layer, and its parameters are wanted: {text}.parameters()",
            (),
            [change(failure, (inner, f"{text}.parameters()"))],
        )
    return None


def _ranged(failure: Failure, node: ast.Call) -> Finding | None:
    for part in node.args:
        value, text = failure.value(part), text_of(failure, part)
        if isinstance(value, int) or value is Unknown:
            continue
        if callable(value):
            return None
        texts = list(_whole_texts(failure, part, value, text))
        return Finding(
            f"range counts with whole numbers, and {text} is {_told(value)}",
            (),
            [change(failure, (part, t)) for t in texts],
        )
    return None


def _told(value: Any) -> str:
    return f"the size {brackets(tuple(value))}" if type(value).__name__ == "Size" else definite(value)


def _whole_texts(failure: Failure, part: ast.expr, value: Any, text: str) -> Iterator[str]:
    """What could be meant by a value where a whole number is needed."""
    if type(value).__name__ == "Size":
        if len(value) > 1 or text.endswith(("shape", "size()")):
            yield (
                f"{text}[0]"
                if text.endswith("shape")
                else f"{text[:-1]}0)"
                if text.endswith(".size()")
                else f"{text}[0]"
            )
        yield f"len({text.removesuffix('.shape').removesuffix('.size()')})"
        return
    if isinstance(value, float):
        if isinstance(part, ast.Constant) and value == int(value):
            yield str(int(value))
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div):
            yield f"{text_of(failure, part.left)} // {text_of(failure, part.right)}"
        yield f"int({text})"
    elif isinstance(value, str):
        if isinstance(part, ast.Constant) and re.fullmatch(r"-?\d+", value):
            yield value
        yield f"int({text})"
    elif is_tensor(value) and value.ndim == 0:
        yield f"int({text})"
        yield f"{text}.item()"
    else:
        yield f"len({text})"
        yield f"int({text})"
        if callable(value):
            yield f"{text}()"


def _measured(failure: Failure, node: ast.Call) -> Finding | None:
    part = node.args[0] if node.args else None
    if part is None:
        return None
    value, text = failure.value(part), text_of(failure, part)
    if callable(value) or isinstance(value, type):
        return None
    texts = [f"len(list({text}))"] if not isinstance(value, int | float) and not is_tensor(value) else []
    if is_tensor(value):
        texts = [f"{atom(failure, part)}.numel()"]
    what = definite(value) if value is not Unknown else "a value without a length"
    if isinstance(value, int | float):
        what = units.one(type(value).__name__)
        texts = [] if constant(part) is not None else [text]
    told = "a single number" if is_tensor(value) else what
    return Finding(f"{text} is {told}: it has no length", (), [change(failure, (node, t)) for t in texts])


def _counted(failure: Failure) -> Finding | None:
    """A length or a count given as something else: `[0] * 2.0`, `round("3")`."""
    node = failure.node
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return None
    for side, other in ((node.left, node.right), (node.right, node.left)):
        value, times = failure.value(side), failure.value(other)
        if isinstance(value, str) and isinstance(times, float) and not re.fullmatch(r"-?[\d.]+", value):
            text = text_of(failure, other)
            texts = list(_whole_texts(failure, other, times, text))
            return Finding(
                f"text is repeated a whole number of times, and {text} is {definite(times)}",
                (),
                [change(failure, (other, t)) for t in texts],
            )
    return None


def _indexed(failure: Failure) -> Finding | None:
    """A list's index that is no whole number."""
    node = failure.node
    if not isinstance(node, ast.Subscript) or not (said(failure, "list index") or said(failure, "no number")):
        return None
    value, index = failure.value(node.value), failure.value(node.slice)
    if is_tensor(value) or _is_array(value) or isinstance(node.slice, ast.Slice):
        parts = (
            [p for p in (node.slice.lower, node.slice.upper, node.slice.step) if p]
            if isinstance(node.slice, ast.Slice)
            else []
        )
        wrong = [p for p in parts if not isinstance(failure.value(p), int)]
        if is_tensor(value) or not wrong:
            return None
        texts = [(p, t) for p in wrong for t in _whole_texts(failure, p, failure.value(p), text_of(failure, p))]
        what = f"{text_of(failure, wrong[0])} is {definite(failure.value(wrong[0]))}"
        title = f"a slice goes from one whole number to another, and {what}"
        return Finding(title, (), [change(failure, pair) for pair in texts])
    text = text_of(failure, node.slice)
    kind = "tuple" if isinstance(value, tuple) else "text" if isinstance(value, str) else "list"
    title = (
        f"a {kind}'s index is a whole number, and {text} is {definite(index) if not is_tensor(index) else 'a tensor'}"
    )
    return Finding(title, (), _index_edits(failure, node, value, index, text))


def _index_edits(failure: Failure, node: ast.Subscript, value: Any, index: Any, text: str) -> Iterator[Edit]:
    owner = atom(failure, node.value)
    if isinstance(index, str) and isinstance(value, list | tuple):
        if hasattr(value, index):
            yield change(failure, (node, f"{owner}.{index}"))
        if value and isinstance(value[0], Mapping):
            yield change(failure, (node.value, f"{owner}[0]"))
            yield change(failure, (node, f"[part[{text}] for part in {text_of(failure, node.value)}]"))
    if is_tensor(index) and index.ndim == 1 and isinstance(value, list):
        if _is_list(value):
            yield change(failure, (node.value, f"torch.tensor({text_of(failure, node.value)})"))
        yield change(failure, (node, f"[{owner}[i] for i in {text}]"))
    if isinstance(index, list) and isinstance(value, list):
        yield change(failure, (node, f"[{owner}[i] for i in {text}]"))
        yield change(failure, (node.value, f"torch.tensor({text_of(failure, node.value)})"))
    yield from (change(failure, (node.slice, t)) for t in _whole_texts(failure, node.slice, index, text))


def _texts(failure: Failure) -> Finding | None:
    """Text and numbers in one operation."""
    node = failure.node
    if not isinstance(node, ast.BinOp | ast.Compare | ast.AugAssign) or not said(failure, "operand types"):
        return None
    sides = _sides(node)
    texts = [side for side in sides if isinstance(failure.value(side), str)]
    if not texts or len(texts) == len(sides):
        return None
    other = next(side for side in sides if side is not texts[0])
    value = failure.value(other)
    what = definite(value) if value is not Unknown else "not"
    title = f"{text_of(failure, texts[0])} is text, and {text_of(failure, other)} is {what}"
    return Finding(title, (), _text_edits(failure, node, texts[0], other, value))


def _text_edits(failure: Failure, node: ast.AST, text: ast.expr, other: ast.expr, value: Any) -> Iterator[Edit]:
    word = failure.value(text)
    if re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", word):
        if isinstance(text, ast.Constant):
            yield change(failure, (text, word.strip()))
        yield change(failure, (text, f"{'float' if '.' in word else 'int'}({text_of(failure, text)})"))
    adds = isinstance(node, ast.AugAssign | ast.BinOp) and isinstance(node.op, ast.Add)
    if adds and value is not Unknown:
        single = is_tensor(value) and value.numel() == 1
        yield change(
            failure,
            (other, f"str({text_of(failure, other)}{'' if not single or isinstance(other, ast.BinOp) else '.item()'})"),
        )
        yield change(failure, (other, f"str({text_of(failure, other)})"))


def _nothing(failure: Failure) -> Finding | None:
    """None where a value is needed."""
    if isinstance(failure.error, AttributeError):
        node = failure.node
        found = said(failure, "no attribute")
        if not found or "NoneType" not in failure.message or not isinstance(node, ast.Attribute):
            return None
        text = text_of(failure, node.value)
        return Finding(
            f"{text} is None, which has no {found['name']}{_why_none(failure, node.value)}",
            (),
            list(_none_edits(failure, node.value)),
        )
    if not said(failure, "none"):
        return None
    node = failure.node
    parts = (
        _sides(node)
        if node and not isinstance(node, ast.Call)
        else [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node, ast.Call)
        else []
    )
    if isinstance(node, ast.Subscript):
        parts = [node.value]
    none = next((part for part in parts if failure.value(part) is None), None)
    if none is None:
        return None
    text = text_of(failure, none)
    title = f"{text} is None, and a value is needed here" if text != "None" else "None is no value to compute with"
    return Finding(f"{title}{_why_none(failure, none)}", (), list(_none_edits(failure, none)))


_GIVES_NOTHING = {
    "backward",
    "append",
    "extend",
    "sort",
    "reverse",
    "insert",
    "clear",
    "step",
    "zero_grad",
    "shuffle",
    "seed",
    "print",
    "update",
}


def _why_none(failure: Failure, node: ast.expr) -> str:
    made = _made_by(failure, node)
    if made is not None and isinstance(made.func, ast.Attribute | ast.Name):
        name = made.func.attr if isinstance(made.func, ast.Attribute) else made.func.id
        if name in _GIVES_NOTHING:
            return f": {name}() changes things and gives nothing"
        if _forgotten(failure, made):
            return f": {name} has no return"
    if isinstance(node, ast.Attribute) and node.attr == "grad":
        return ": no backward() has put a gradient there"
    return ""


def _forgotten(failure: Failure, made: ast.Call) -> tuple[Statement, ast.FunctionDef] | None:
    """The session's function that a call calls, where it has no return."""
    for written in reversed(list(failure.history())):
        node = written.node
        if isinstance(node, ast.FunctionDef) and isinstance(made.func, ast.Name) and node.name == made.func.id:
            returns = any(isinstance(part, ast.Return | ast.Yield | ast.YieldFrom) for part in ast.walk(node))
            return None if returns else (written, node)
    return None


def _made_by(failure: Failure, node: ast.expr) -> ast.Call | None:
    if isinstance(node, ast.Call):
        return node
    written = failure.definition(node.id) if isinstance(node, ast.Name) else None
    value = getattr(written.node, "value", None) if written else None
    return value if isinstance(value, ast.Call) else None


def _none_edits(failure: Failure, node: ast.expr) -> Iterator[Edit]:
    """The definition without what threw the value away."""
    made = _made_by(failure, node)
    written = failure.definition(node.id) if isinstance(node, ast.Name) else failure.statement
    if made is None or written is None:
        return
    if function := _forgotten(failure, made):
        source, last = function[0], function[1].body[-1]
        text, indent = source.place_of(last).text, " " * last.col_offset
        again = () if written is failure.statement else ((written, written.node, written.source),)
        match last:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
                yield Edit(((source, last, f"{text}\n{indent}return {name}"), *again))
            case ast.Expr():
                yield Edit(((source, last, f"return {text}"), *again))
    if isinstance(made.func, ast.Attribute) and made.func.attr in _GIVES_NOTHING:
        owner = written.place_of(made.func.value).text
        if made.func.attr == "sort":
            yield Edit(((written, made, f"sorted({owner})"),))
        if made.func.attr == "append" and len(made.args) == 1:
            yield Edit(((written, made, f"{owner} + [{written.place_of(made.args[0]).text}]"),))
        yield Edit(((written, made, owner),))
    elif isinstance(made.func, ast.Name) and made.func.id == "print" and made.args:
        yield Edit(((written, made, written.place_of(made.args[0]).text),))


def _inferred(failure: Failure) -> Finding | None:
    """torch.tensor of what holds no plain numbers."""
    node = failure.node
    found = said(failure, "no dtype")
    if not found or not isinstance(node, ast.Call) or not node.args:
        return None
    part = node.args[0]
    value, text = failure.value(part), text_of(failure, part)
    kind = found[1] or "str"
    texts: list[str] = []
    if isinstance(value, str):
        texts = (
            [value]
            if isinstance(part, ast.Constant) and re.fullmatch(r"-?\d+(\.\d+)?|[\[(].*[\])]", value.strip())
            else [f"float({text})"]
        )
    elif isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        literal = isinstance(part, ast.List) and all(isinstance(e, ast.Constant) for e in part.elts)
        texts = ["[" + ", ".join(value) + "]"] if literal else []
        texts += [f"[{f}(v) for v in {text}]" for f in ("int", "float")]
    elif isinstance(value, Mapping):
        texts = [f"list({atom(failure, part)}.values())"]
    elif isinstance(value, set) or kind in (
        "set",
        "dict_values",
        "dict_keys",
        "map",
        "filter",
        "zip",
        "generator",
        "frozenset",
    ):
        texts = (
            [f"[{text[1:-1] if text.startswith('(') else text}]"]
            if isinstance(part, ast.GeneratorExp)
            else [f"list({text})"]
        )
    what = definite(value) if value is not Unknown else units.one(kind)
    if isinstance(value, list):
        what = "a list that holds text or other things"
    edits = [change(failure, (part, t)) for t in texts]
    if isinstance(part, ast.GeneratorExp) and not text.startswith("("):
        edits = [change(failure, (node, f"{text_of(failure, node.func)}([{text}])"))]
    elif isinstance(part, ast.GeneratorExp):
        whole = text_of(failure, node)
        inside = whole[len(text_of(failure, node.func)) + 1 : -1]
        edits = [change(failure, (node, f"{text_of(failure, node.func)}([{inside}])"))]
    return Finding(f"tensors hold numbers, and this is {what}", (), edits)


def _shape_used(failure: Failure) -> Finding | None:
    """Arithmetic with a whole shape: `x.shape + 1`."""
    node = failure.node
    if not isinstance(node, ast.BinOp | ast.Compare | ast.AugAssign) or not said(failure, "operand types"):
        return None
    size = next((side for side in _sides(node) if type(failure.value(side)).__name__ == "Size"), None)
    if size is None:
        return None
    value, text = failure.value(size), text_of(failure, size)
    other = next((side for side in _sides(node) if side is not size), None)
    title = f"{text} is all the sizes, {brackets(tuple(value))}: one of them is {_part(text, 0)}"
    edits = []
    if other is not None and isinstance(failure.value(other), list):
        inside = ", ".join(map(str, failure.value(other)))
        edits = (
            [change(failure, (other, f"({inside}{',' if len(failure.value(other)) == 1 else ''})"))]
            if isinstance(other, ast.List)
            else []
        )
        edits += [change(failure, (other, f"tuple({text_of(failure, other)})"))]
    if (
        other is not None
        and isinstance(failure.value(other), int)
        and isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and False
    ):
        edits += [change(failure, (other, f"({text_of(failure, other)},)"))]
    edits += [change(failure, (size, _part(text, dim))) for dim in ((0, -1) if len(value) > 1 else (0,))]
    if text.endswith(".shape"):
        edits += [change(failure, (size, f"{text.removesuffix('.shape')}.numel()"))]
    return Finding(title, (), edits)


def _part(text: str, dim: int) -> str:
    return f"{text[:-1]}{dim})" if text.endswith(".size()") else f"{text}[{dim}]"


def _numbers(failure: Failure) -> Finding | None:
    """int("3.5"), float("1,5"), math.sqrt("2")."""
    node = failure.node
    if not isinstance(node, ast.Call) or not node.args:
        return None
    part = node.args[0]
    value, text = failure.value(part), text_of(failure, part)
    if isinstance(value, str) and said(failure, "no number in text"):
        texts = [f"float({text})"] if re.fullmatch(r"\s*-?\d*\.\d*(e-?\d+)?\s*", value) else []
        plain = (
            value.replace(",", ".")
            if value.count(",") == 1 and "." not in value
            else value.replace(",", "").replace(" ", "")
        )
        if isinstance(part, ast.Constant) and plain != value:
            texts = [f'"{plain}"']
        edits = [change(failure, (part, t)) for t in texts]
        if texts and texts[0].startswith("float"):
            edits += [change(failure, (node, texts[0]))]
        return Finding(
            f"{text} does not read as {'a whole number' if 'int()' in failure.message else 'a number'}", (), edits
        )
    if isinstance(value, str) and said(failure, "real number") and re.fullmatch(r"-?[\d.]+", value):
        return Finding(f"{text} is text, and a number is needed", (), [change(failure, (part, value))])
    flat = isinstance(value, list | tuple) and not any(isinstance(one, list | tuple) for one in value)
    if flat and said(failure, "real number"):
        torch = f"torch.tensor({text})"
        name = failure.call.name if failure.call else ""
        edits = [change(failure, (node, f"torch.{name}({torch})"))] if name in _MATH else []
        edits += [change(failure, (part, f"{text}[0]"))]
        return Finding(f"{text} is {definite(value)}, and a number is needed", (), edits)
    return None


# Keys


def key_error(failure: Failure) -> Finding | None:
    """A key that a dictionary does not have."""
    if not isinstance(failure.error, KeyError):
        return None
    node = failure.node
    key = failure.error.args[0] if failure.error.args else ""
    owner = failure.value(node.value) if isinstance(node, ast.Subscript) else Unknown
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = failure.value(node.func.value)
    keys = list(owner.keys()) if hasattr(owner, "keys") else []
    close = list(_near_keys(key, keys))
    hint = f": did you mean {close[0]!r}?" if close else f"; it has {_listed_keys(keys)}" if keys else ""
    part = (
        node.slice
        if isinstance(node, ast.Subscript)
        else node.args[0]
        if isinstance(node, ast.Call) and node.args
        else None
    )
    edits = [change(failure, (part, _quoted(failure, part, one))) for one in close] if part is not None else []
    return Finding(f"there is no key {key!r}{hint}", (), edits)


def _listed_keys(keys: list[Any]) -> str:
    return ", ".join(repr(key) for key in keys[:6]) + (", ..." if len(keys) > 6 else "")


def _near_keys(key: Any, keys: list[Any]) -> Iterator[Any]:
    yield from (one for one in keys if type(one) is not type(key) and str(one) == str(key))
    words = [one for one in keys if isinstance(one, str)]
    if isinstance(key, str):
        yield from near(key, words)
        parts = set(re.findall(r"[a-z0-9]+", key.lower()))
        close = set(near(key, words))
        kin = [
            one
            for one in words
            if one not in close and (parts & set(re.findall(r"[a-z0-9]+", one.lower())) or one.endswith(f".{key}"))
        ]
        yield from sorted(kin, key=lambda one: (not one.endswith(f".{key}"), abs(len(one) - len(key))))
    elif isinstance(key, int) and not isinstance(key, bool):
        numbers = [one for one in keys if isinstance(one, int)]
        yield from sorted(numbers, key=lambda one: abs(one - key))[:3]
        yield from (words[key : key + 1] if 0 <= key < len(words) else ())


def _quoted(failure: Failure, part: ast.expr, key: Any) -> str:
    mark = "'" if text_of(failure, part).startswith("'") else '"'
    return f"{mark}{key}{mark}" if isinstance(key, str) else repr(key)


ENTRIES = (
    Entry(
        "list-for-tensor",
        "value",
        list_for_tensor,
        "torch.mean([1.0, 2.0])",
        "Python's lists and numbers are no tensors: torch.tensor makes one, torch.stack one of several tensors.",
    ),
    Entry(
        "type-conversion",
        "value",
        type_conversion,
        "x = torch.rand(2, 3)\nx.max(dim=1) - x",
        "max, sort and topk along a dimension give two tensors, .values and .indices; an LSTM gives output and state.",
    ),
    Entry(
        "key-error",
        "name",
        key_error,
        'd = {"loss": 1.0}\nd["lss"]',
        "A dictionary answers to exactly the keys that were put into it.",
    ),
)
