"""The failing operation in one form, whatever its spelling: its name, its operands, and the layer inside a model."""

import ast
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import torch

from tensorcli.diagnoses import Call, Layer, Operand, Unknown
from tensorcli.engine import namespace
from tensorcli.language import Statement

Value = Callable[[ast.expr], Any]

OPERATIONS: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder", ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "bitwise_and", ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor", ast.LShift: "bitwise_left_shift", ast.RShift: "bitwise_right_shift", ast.USub: "neg",
    ast.UAdd: "positive", ast.Invert: "bitwise_not", ast.Not: "not", ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt",
    ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip


def of(node: ast.AST, statement: Statement, value: Value) -> Call | None:
    """The operation at a node of a statement as written; None where it is no operation."""

    def operand(part: ast.expr) -> Operand:
        return _operand(part, statement, value)

    match node:
        case ast.BinOp(left=left, op=operator, right=right):
            return Call(OPERATIONS[type(operator)], "operator", (operand(left), operand(right)))
        case ast.AugAssign(target=target, op=operator, value=right):
            read = _loaded(target)
            return Call(OPERATIONS[type(operator)], "in place", (operand(read), operand(right)))
        case ast.UnaryOp(op=operator, operand=inner):
            return Call(OPERATIONS[type(operator)], "operator", (operand(inner),))
        case ast.Compare(left=left, ops=[operator, *_], comparators=[right, *_]):
            return Call(OPERATIONS.get(type(operator), "in"), "operator", (operand(left), operand(right)))
        case ast.Subscript(value=owner, slice=index):
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            form = "index" if isinstance(node.ctx, ast.Load) else "assign"
            return Call("index", form, (operand(owner), *(operand(part) for part in parts)))
        case ast.Attribute(value=owner, attr=name):
            return Call(name, "attribute", (operand(owner),))
        case ast.Call():
            return _call(node, operand, value)
    return None


def _call(node: ast.Call, operand: Callable[[ast.expr], Operand], value: Value) -> Call:
    arguments = tuple(operand(part) for part in node.args if not isinstance(part, ast.Starred))
    keywords = {keyword.arg: operand(keyword.value) for keyword in node.keywords if keyword.arg}
    function = value(node.func)
    if isinstance(function, torch.nn.Module):
        return Call(type(function).__name__, "module", arguments, keywords, function)
    match node.func:
        case ast.Attribute(value=owner, attr=name):
            holder = value(owner)
            if isinstance(holder, namespace.Namespace | ModuleType | type):
                return Call(name, "function", arguments, keywords, function)
            return Call(name, "method", (operand(owner), *arguments), keywords, function)
        case ast.Name(id=name):
            named = name if isinstance(function, namespace.Namespace) else getattr(function, "__name__", name)
            return Call(named, "function", arguments, keywords, function)
    return Call("call", "call", (operand(node.func), *arguments), keywords, function)


def _operand(node: ast.expr, statement: Statement, value: Value) -> Operand:
    text = " ".join(statement.place_of(node).text.split())
    return Operand(text, Unknown if isinstance(node, ast.Starred) else value(node), node)


def _loaded(target: ast.expr) -> ast.expr:
    """A target read as an expression, at the same place."""
    match target:
        case ast.Subscript(value=owner, slice=index):
            read: ast.expr = ast.Subscript(owner, index, ast.Load())
        case ast.Attribute(value=owner, attr=name):
            read = ast.Attribute(owner, name, ast.Load())
        case ast.Name(id=name):
            read = ast.Name(name, ast.Load())
        case _:
            return target
    return ast.copy_location(read, target)


def operands(node: ast.AST, statement: Statement, value: Value) -> tuple[Operand, ...]:
    """The operands to show: the expressions whose values the failing one works on."""
    parts = [part.value if isinstance(part, ast.Starred) else part for part in _parts(node)]
    found = [_operand(part, statement, value) for part in parts if not _is_spelt_out(part)]
    return tuple(operand for operand in found if not isinstance(operand.value, namespace.Namespace | ModuleType))


def _is_spelt_out(node: ast.expr) -> bool:
    """Whether an operand is a plain number, text or slice, or a sequence of these: its text says it all."""
    match node:
        case ast.UnaryOp(operand=inner):
            return isinstance(inner, ast.Constant)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return bool(items) and all(_is_spelt_out(item) for item in items)
    return isinstance(node, ast.Constant | ast.Slice)


def _parts(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left=left, right=right):
            yield from (left, right)
        case ast.AugAssign(target=target, value=right):
            yield from (_loaded(target), right)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Compare(left=left, comparators=rest):
            yield from (left, *rest)
        case ast.Call(func=func, args=args, keywords=keywords):
            yield func.value if isinstance(func, ast.Attribute) else func
            for part in [*args, *(keyword.value for keyword in keywords)]:
                yield from part.elts if isinstance(part, ast.Tuple | ast.List) and _few_names(part) else [part]
        case ast.Subscript(value=value, slice=index):
            yield value
            yield from index.elts if isinstance(index, ast.Tuple) else [index]
        case ast.Attribute(value=value):
            yield value


def _few_names(part: ast.Tuple | ast.List) -> bool:
    """Whether a sequence spells out a few values, as cat's and stack's does: each is an operand of its own."""
    return len(part.elts) <= 8 and not any(isinstance(item, ast.Constant) for item in part.elts)


def parameters(function: ast.FunctionDef | ast.Lambda) -> list[str]:
    """The names of a function's parameters, in the order of their places."""
    given = function.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


# The layer inside a model.


def layer(call: Call | None, library: tuple[FrameType, ...]) -> Layer | None:
    """The innermost layer that was running, and how it is reached from what the user called."""
    running = [frame for frame in library if isinstance(frame.f_locals.get("self"), torch.nn.Module)]
    if not running:
        return None
    forwards = [frame for frame in running if frame.f_code.co_name == "forward"]
    frame = (forwards or running)[-1]
    module = frame.f_locals["self"]
    names = frame.f_code.co_varnames[1 : frame.f_code.co_argcount]
    inputs = tuple(frame.f_locals[name] for name in names if isinstance(frame.f_locals.get(name), torch.Tensor))
    top = call.function if call and isinstance(call.function, torch.nn.Module) else module
    return Layer(_path(top, module), module, inputs)


def _path(top: torch.nn.Module, module: torch.nn.Module) -> str:
    """How a layer is reached from the model: "[2]", ".fc1", "" for the model itself."""
    name = next((name for name, inner in top.named_modules() if inner is module), "")
    return "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in name.split(".") if part)
