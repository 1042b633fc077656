"""Making edits: the ways a failing expression is rewritten, printed as its author would have written them."""

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tensorcli import units
from tensorcli.diagnoses import Edit, Failure, Operand, Unknown
from tensorcli.language import Statement

# What needs no brackets before a dot or an index.
_ATOMS = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.JoinedStr)


def atom(failure: Failure, node: ast.AST) -> str:
    """The text of a node as it can stand before a dot: in brackets where it needs them."""
    text = text_of(failure, node)
    return text if isinstance(node, _ATOMS) and not _bare_tuple(node, text) else f"({text})"


def _bare_tuple(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Tuple) and not text.startswith("(")


def text_of(failure: Failure, node: ast.AST) -> str:
    """The text of a node of the failing statement."""
    assert failure.statement is not None
    text: str = failure.statement.place_of(node).text
    return text


def change(failure: Failure, *pairs: tuple[ast.AST | Operand | None, str], title: str = "", **options: Any) -> Edit:
    """The edit that writes new text in the place of nodes, or operands, of the failing statement."""
    changes = []
    for part, text in pairs:
        node = part.node if isinstance(part, Operand) else part
        if node is None or failure.statement is None:
            return Edit((), title)  # nothing to change: never tried
        changes.append((failure.statement, node, text))
    return Edit(tuple(changes), title, **options)


def suffix(failure: Failure, operand: Operand | None, text: str, *, title: str = "", **options: Any) -> Edit:
    """The edit that puts `.float()` or another suffix behind an operand."""
    if operand is None or operand.node is None:
        return Edit(())
    return change(failure, (operand, suffixed(failure, operand, text)), title=title, **options)


def or_else(edits: Iterable[Edit], others: Iterable[Edit]) -> Iterator[Edit]:
    """Edits, and others only where none of these worked: those that drop what was typed, for instance."""
    worked: list[Edit] = []

    def noted(edit: Edit) -> Edit:
        def accept(value: Any) -> bool:
            good = edit.accept(value)
            worked.extend([edit] if good else ())
            return good

        return replace(edit, accept=accept)

    yield from map(noted, edits)
    if not worked:
        yield from others


_MOVE = r"\.(?:cpu|cuda)\(\)|\.to\([\"'](?:cpu|cuda)(?::0)?[\"']\)"
_LATER_COUNTS = (
    re.compile(rf"{_MOVE}|\.to\((?:device|dev|DEVICE|\w+\.device)\)"),
    re.compile(r"\.(?:float|double)\(\)|\.to\(torch\.(?:float32|float64)\)"),
)
_UNDOES_ITSELF = re.compile(r"\.(?:T|mT|H|mH|t\(\)|transpose\(-?\d, ?-?\d\))")
_ONCE = (".detach()", ".contiguous()")


def suffixed(failure: Failure, operand: Operand, text: str) -> str:
    """The operand's text with a suffix, which replaces the last one where the two would cancel: `x.cpu().cuda()`."""
    assert operand.node is not None
    node = operand.node
    owner = node.func if isinstance(node, ast.Call) else node
    if isinstance(owner, ast.Attribute):
        before = Operand("", failure.value(owner.value), owner.value)
        last = text_of(failure, node).removeprefix(text_of(failure, owner.value))
        if last == text and _UNDOES_ITSELF.fullmatch(text):
            return text_of(failure, owner.value)
        if last in _ONCE and text.startswith(last):
            return suffixed(failure, before, text)
        if any(kind.fullmatch(last) and kind.fullmatch(text) for kind in _LATER_COUNTS):
            return text_of(failure, owner.value) if _differ(before, operand) else suffixed(failure, before, text)
    return atom(failure, node) + text


def _differ(one: Operand, other: Operand) -> bool:
    """Whether tensors are on two devices, or of two of the dtypes that layers work in."""
    if not is_tensor(one.value) or not is_tensor(other.value):
        return False
    kinds = {dtype_of(one.value), dtype_of(other.value)}
    return one.value.device != other.value.device or kinds == {"float32", "float64"}


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value given for a keyword of a call."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def with_keyword(text: str, argument: str) -> str:
    """A call's text with one more argument at its end."""
    head = text[:-1].rstrip()
    return f"{head}{'' if head.endswith(('(', ',')) else ','}{'' if head.endswith('(') else ' '}{argument})"


def both(*edits: Edit) -> Edit:
    """Several edits as one."""
    if not all(edit.changes for edit in edits):
        return Edit(())
    return replace(edits[0], changes=tuple(change for edit in edits for change in edit.changes))


# What operands are, asked of values without importing torch.


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor."""
    return (
        value is not Unknown and hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "requires_grad")
    )


def shape(operand: Operand | None) -> tuple[int, ...] | None:
    """The sizes of an operand that is a tensor."""
    if operand is None or not is_tensor(operand.value):
        return None
    return tuple(int(size) for size in operand.value.shape)


def brackets(sizes: tuple[int, ...]) -> str:
    """Sizes as they read on the screen: [2, 3]."""
    return "[" + ", ".join(map(str, sizes)) + "]"


def counted(count: int, noun: str) -> str:
    """A number of things: "1 dimension", "2 dimensions"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def product(sizes: tuple[int, ...]) -> int:
    """The number of elements of a shape."""
    return math.prod(sizes)


# Calls, written another way.


def renamed(failure: Failure, name: str, *, title: str = "", **options: Any) -> Edit:
    """The failing call with another function or method in the place of its own."""
    node = failure.node
    if not isinstance(node, ast.Call):
        return Edit(())
    if isinstance(node.func, ast.Attribute):
        owner = text_of(failure, node.func.value)
        return change(failure, (node.func, f"{owner}.{name}"), title=title, **options)
    return change(failure, (node.func, name), title=title, **options)


def with_argument(failure: Failure, position: int, names: tuple[str, ...], text: str, **options: Any) -> Edit:
    """The failing call with one argument given, or given otherwise: by position where it stands, else by keyword."""
    node, call = failure.node, failure.call
    if not isinstance(node, ast.Call) or call is None:
        return Edit(())
    operand = call.argument(position, *names)
    if operand is not None:
        return change(failure, (operand, text), **options)
    return change(failure, (node, with_keyword(text_of(failure, node), f"{names[0]}={text}")), **options)


# Where a layer was made.


def constructor(failure: Failure) -> tuple[Statement, ast.Call] | None:
    """The call that made the layer that failed, and the statement it stands in."""
    node, layer = failure.node, failure.layer
    if not isinstance(node, ast.Call) or layer is None or failure.statement is None:
        return None
    if isinstance(node.func, ast.Call):
        return _inner_call(failure.statement, node.func, layer.path)
    if not isinstance(node.func, ast.Name):
        return None
    written = failure.definition(node.func.id)
    value = getattr(written.node, "value", None) if written else None
    if written is None:
        return _listed(failure)
    if not isinstance(value, ast.Call):
        return None
    while (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Call)
    ):
        value = value.func.value  # nn.Linear(3, 4).double()
    return _inner_call(written, value, layer.path)


def _listed(failure: Failure) -> tuple[Statement, ast.Call] | None:
    """The call that made a layer which stands in a list of the session's."""
    module = failure.layer.module if failure.layer else None
    for name, value in failure.names.items():
        for k, item in enumerate(value if isinstance(value, list | tuple) else ()):
            written = failure.definition(name) if item is module else None
            made = getattr(written.node, "value", None) if written else None
            if written and isinstance(made, ast.List | ast.Tuple) and k < len(made.elts):
                inner = made.elts[k]
                return (written, inner) if isinstance(inner, ast.Call) else None
    return None


def swapped_sizes(failure: Failure) -> Edit:
    """The edit that swaps the first two sizes of the layer's constructor: in and out were confused."""
    found = constructor(failure)
    if found is None or len(found[1].args) < 2:
        return Edit(())
    written, made = found
    first, second = (written.place_of(part).text for part in made.args[:2])
    return Edit(((written, made.args[0], second), (written, made.args[1], first)), "in first, out second")


def _inner_call(written: Statement, call: ast.Call, path: str) -> tuple[Statement, ast.Call] | None:
    for part in re.findall(r"\[(\d+)\]", path):
        inside = call.args[int(part)] if int(part) < len(call.args) else None
        if not isinstance(inside, ast.Call):
            return None
        call = inside
    return (written, call) if "." not in path else None


def reconstructed(failure: Failure, position: int, name: str, size: int, *, title: str = "") -> Edit:
    """The edit that gives the layer's constructor another size, at a position or by its keyword."""
    found = constructor(failure)
    if found is None:
        return Edit(())
    written, call = found
    given = keyword(call, name) or (call.args[position] if position < len(call.args) else None)
    return Edit(((written, given, str(size)),), title) if given is not None else Edit(())


def resized(failure: Failure, operand: Operand, size: int, wrong: int, *, dim: int) -> Iterator[Edit]:
    """The operand made with another size, where it, or its definition, is a call that spells the wrong one out."""
    written, value = made_by(failure, operand) or (failure.statement, operand.node)
    if written is None or not isinstance(value, ast.Call):
        return
    sizes = value.args[0].elts if value.args and isinstance(value.args[0], ast.Tuple | ast.List) else value.args
    if dim < len(sizes) and wrong in (constant(sizes[dim]), failure.value(sizes[dim])):
        yield Edit(((written, sizes[dim], str(size)),), f"{size} instead of {wrong}")


def constant(node: ast.AST | None) -> object:
    """The number or text that a node spells out, negative numbers included; None for anything else."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    return None


# What stands around a node, and calls as text.


def parent(failure: Failure, node: ast.AST | None) -> ast.AST | None:
    """The node of the failing statement that holds another one."""
    if failure.statement is None or node is None:
        return None
    return next(
        (one for one in ast.walk(failure.statement.node) if any(child is node for child in ast.iter_child_nodes(one))),
        None,
    )


def calling(failure: Failure, node: ast.AST | None) -> ast.Call | None:
    """The call of what a node names."""
    above = parent(failure, node)
    return above if isinstance(above, ast.Call) and above.func is node else None


def argument_texts(failure: Failure, call: ast.Call) -> list[str]:
    """The arguments of a call as written, keywords with their names."""
    named = [
        f"{k.arg}={text_of(failure, k.value)}" if k.arg else f"**{text_of(failure, k.value)}" for k in call.keywords
    ]
    return [text_of(failure, part) for part in call.args] + named


def called_with(failure: Failure, call: ast.Call, arguments: list[str], *, title: str = "") -> Edit:
    """The call with other arguments."""
    return change(failure, (call, f"{text_of(failure, call.func)}({', '.join(arguments)})"), title=title)


def definite(value: Any) -> str:
    """A value's type in plain words: "a list", "the number 3", "the text 'a'"."""
    match value:
        case None:
            return "None"
        case bool():
            return str(value)
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value[:30]!r}"
        case list() | tuple() | dict() | set() | range():
            kind = type(value).__name__
            return "a size" if kind == "Size" else f"a {kind if kind in ('list', 'dict', 'set', 'range') else 'tuple'}"
    if is_tensor(value):
        return f"a tensor of shape {brackets(tuple(value.shape))}"
    kind = type(value).__name__
    if kind in ("builtin_function_or_method", "method", "function"):
        return "a function without its brackets"
    return units.one("NumPy array" if kind == "ndarray" else kind)


def quoted(failure: Failure, node: ast.AST, text: str) -> str:
    """A text in the quotes that a node of the failing statement is written in."""
    quote = "'" if text_of(failure, node).startswith("'") else '"'
    return f"{quote}{text}{quote}"


# dtypes, and statements written anew.

_CASTS = {
    "float32": ".float()", "float64": ".double()", "float16": ".half()", "bfloat16": ".bfloat16()", "int64": ".long()",
    "int32": ".int()", "int16": ".short()", "bool": ".bool()",
}  # fmt: skip


def dtype_of(value: Any) -> str:
    """The name of the dtype of a tensor or array: float32."""
    return str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")


def cast(dtype: str) -> str:
    """The suffix that makes a tensor one of a dtype."""
    return _CASTS.get(dtype, f".to(torch.{dtype})")


def tensors(failure: Failure) -> list[Operand]:
    """The tensors that the failing call works on, those that a tuple or list spells out among them."""
    call = failure.call
    given = [*call.arguments, *call.keywords.values()] if call else list(failure.operands)
    found: list[Operand] = []
    for operand in given:
        if isinstance(operand.node, ast.Tuple | ast.List):
            parts = [Operand(text_of(failure, part), failure.value(part), part) for part in operand.node.elts]
            found += [part for part in parts if is_tensor(part.value)]
        elif is_tensor(operand.value):
            found.append(operand)
    return found


def cast_all(failure: Failure, operands: list[Operand], text: str, *, title: str = "") -> Edit:
    """The edit that puts the same suffix behind several operands."""
    pairs = [(operand, suffixed(failure, operand, text)) for operand in operands if operand.node is not None]
    return change(failure, *pairs, title=title) if pairs else Edit(())


def rewritten(failure: Failure, text: str, *, title: str = "", **options: Any) -> Edit:
    """The edit that writes the failing statement's innermost statement around the failing expression anew."""
    inner = innermost(failure)
    return change(failure, (inner, text), title=title, **options) if inner is not None else Edit(())


def innermost(failure: Failure) -> ast.stmt | None:
    """The smallest statement that holds the failing expression."""
    node: ast.AST | None = failure.node
    while node is not None and not isinstance(node, ast.stmt):
        node = parent(failure, node)
    return node


def made_by(failure: Failure, operand: Operand | None) -> tuple[Statement, ast.expr] | None:
    """The statement that last assigned the variable that an operand is, and the expression that it was given."""
    if operand is None or not isinstance(operand.node, ast.Name):
        return None
    written = failure.definition(operand.node.id)
    value = getattr(written.node, "value", None) if written else None
    return (written, value) if written is not None and value is not None else None


def placed(failure: Failure, node: ast.AST | None, text: str, **options: Any) -> Edit:
    """The edit that puts an operation in the place of a node, in brackets where it would fall apart without them."""
    above = parent(failure, node)
    tight = isinstance(above, ast.Attribute | ast.Subscript | ast.BinOp | ast.UnaryOp | ast.Compare)
    if isinstance(above, ast.Subscript) and above.value is not node:
        tight = False
    if tight and node is not None and failure.statement is not None and not _in_brackets(failure.statement, node):
        text = f"({text})"
    return change(failure, (node, text), **options)


def _in_brackets(written: Statement, node: ast.AST) -> bool:
    place = written.place_of(node)
    lines = written.source.split("\n")
    before = lines[place.line - 1][: place.column].rstrip()
    after = lines[place.end_line - 1][place.end_column :].lstrip()
    called = len(before) > 1 and (before[-2].isalnum() or before[-2] in "_)]")
    return before.endswith("(") and after.startswith(")") and not called
