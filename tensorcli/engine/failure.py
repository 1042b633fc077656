"""An exception to a diagnosis: the exact sub-expression that failed, its operands' facts, and the table's sentence."""

import ast
import math
import re
import warnings
from collections.abc import Mapping
from types import FrameType, ModuleType, TracebackType
from typing import Any

import numpy as np
import torch

from tensorcli import diagnoses, report
from tensorcli.engine import describe, namespace
from tensorcli.language import TRUST, Place, Problem, Statement

MAX_ELEMENTS = 1_000_000  # of an operand that is made again to be described


def of_problem(problem: Problem, *, filename: str | None, first_line: int) -> report.Diagnosis:
    """The diagnosis of text that cannot or may not run."""
    line = first_line + problem.line - 1
    return report.Diagnosis(
        source=problem.source,
        statement=1,
        code=problem.code,
        category=problem.code,
        title=problem.title,
        span=report.Span(**problem.place._asdict()),
        location=f"{filename}:{line + problem.place.line - 1}" if filename else None,
        notes=problem.notes,
    )


def of_error(
    error: BaseException,
    statement: Statement,
    *,
    number: int,
    seconds: float,
    sources: Mapping[str, Statement],
    names: Mapping[str, Any],
    filename: str | None = None,
    first_line: int = 1,
    random_state: torch.Tensor | None = None,
) -> report.Diagnosis:
    """The diagnosis of an exception that `statement` raised. Runs nothing that could have an effect.

    `sources` are the statements by their code's filename; `random_state` is the generator's state before the
    statement, so that an operand that draws can be made again alike.
    """
    origin, frame, place = _locate(error.__traceback__, statement, sources)
    place = place and _narrowed(origin.again(), place)
    text = place.text if place else ""
    operands: tuple[diagnoses.Operand, ...] = ()
    if place and isinstance(error, Exception):
        scope = {**(frame.f_globals if frame else names), **(frame.f_locals if frame else {})}
        operands = _operands(origin, place, scope, random_state)
    message = _message(error)
    failure = diagnoses.Failure(error, message, text, operands, names, namespace.directory)
    code, category, finding = _recognised(failure)
    line = first_line + statement.line - 1 + (place.line - 1 if place and origin is statement else 0)
    return report.Diagnosis(
        source=statement.source,
        statement=number,
        seconds=seconds,
        code=code,
        category=category,
        title=finding.title,
        torch=message if message and category != "refused" else None,
        span=report.Span(**place._asdict()) if place else None,
        within=None if origin is statement else origin.source,
        location=f"{filename}:{line}" if filename else None,
        operands=tuple(_facts(operand) for operand in operands),
        notes=finding.notes,
    )


def let_go(error: BaseException | None) -> None:
    """Drop an exception's frames: they would keep its tensors alive."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _recognised(failure: diagnoses.Failure) -> tuple[str, str, diagnoses.Finding]:
    if isinstance(failure.error, namespace.Refused):
        return "refused", "refused", diagnoses.Finding(failure.message, (TRUST,))
    return diagnoses.recognised(failure)


def _message(error: BaseException) -> str:
    """The exception's own words, without the lines that torch adds for its developers."""
    text = str(error)
    if isinstance(error, KeyError) and error.args and not isinstance(error.args[0], str):
        text = repr(error.args[0])
    text = re.split(r"\n(?:Exception raised from|C\+\+ CapturedTraceback|frame #0)", text)[0]
    return describe.cut(text.strip(), limit=4000)


def _locate(
    traceback: TracebackType | None, statement: Statement, sources: Mapping[str, Statement]
) -> tuple[Statement, FrameType | None, Place | None]:
    """The innermost frame of user code: its statement, itself, and the place of what it was executing."""
    found: tuple[Statement, FrameType | None, Place | None] = (statement, None, None)
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename in sources:
            origin = sources[code.co_filename]
            positions = list(code.co_positions())[traceback.tb_lasti // 2]
            place = None
            if None not in positions:
                line, end_line, offset, end_offset = positions
                place = origin.place(line, offset, end_line, end_offset)  # type: ignore[arg-type]
            found = (origin, traceback.tb_frame, place)
        traceback = traceback.tb_next
    return found


def _narrowed(fresh: Statement, place: Place) -> Place:
    """The condition, or what is looped over, of the statement at `place`: Python lays their failures on all of it."""
    for node in ast.walk(fresh.node):
        match node:
            case (
                ast.If(test=part)
                | ast.While(test=part)
                | ast.Assert(test=part)
                | ast.IfExp(test=part)
                | ast.For(iter=part)
            ) if fresh.place_of(node) == place:
                return fresh.place_of(part)
    return place


def _node_at(fresh: Statement, place: Place) -> ast.expr | None:
    """The expression that stands exactly at `place` in a statement."""
    expressions = (node for node in ast.walk(fresh.node) if isinstance(node, ast.expr))
    return next((node for node in expressions if fresh.place_of(node) == place), None)


def _operands(
    origin: Statement, place: Place, scope: Mapping[str, Any], random_state: torch.Tensor | None
) -> tuple[diagnoses.Operand, ...]:
    fresh = origin.again()
    node = _node_at(fresh, place)
    if node is None:
        return ()
    before = torch.get_rng_state()
    try:
        if random_state is not None:
            torch.set_rng_state(random_state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they have been said when the statement ran
            texts = {part: " ".join(fresh.place_of(part).text.split()) for part in _parts(node)}
            found = [_operand(part, text, scope) for part, text in texts.items()]
            return tuple(operand for operand in found if not isinstance(operand.value, _LIBRARIES))
    finally:
        torch.set_rng_state(before)


def _parts(node: ast.expr) -> list[ast.expr]:
    """The expressions whose values the failing one works on."""
    match node:
        case ast.BinOp(left=left, right=right):
            parts = [left, right]
        case ast.UnaryOp(operand=operand):
            parts = [operand]
        case ast.Compare(left=left, comparators=rest):
            parts = [left, *rest]
        case ast.Call(func=func, args=args, keywords=keywords):
            owner = [func.value] if isinstance(func, ast.Attribute) else [func]
            parts = [*owner, *args, *(keyword.value for keyword in keywords)]
        case ast.Subscript(value=value, slice=index):
            parts = [value, *(index.elts if isinstance(index, ast.Tuple) else [index])]
        case ast.Attribute(value=value):
            parts = [value]
        case _:
            parts = []
    parts = [part.value if isinstance(part, ast.Starred) else part for part in parts]
    return [part for part in parts if not isinstance(part, ast.Constant | ast.Slice)]


def _operand(node: ast.expr, text: str, scope: Mapping[str, Any]) -> diagnoses.Operand:
    try:
        with torch.no_grad():
            return diagnoses.Operand(text, value_of(node, scope))
    except Exception:  # it has effects, is too large, or fails itself: its text alone is known
        return diagnoses.Operand(text)


def _facts(operand: diagnoses.Operand) -> report.Operand:
    value = operand.value
    if isinstance(value, torch.Tensor):
        return report.Operand(
            text=operand.text,
            shape=describe.shape_of(value),
            dtype=describe.dtype_name(value.dtype),
            device=str(value.device),
        )
    if isinstance(value, np.ndarray):
        return report.Operand(text=operand.text, shape=tuple(value.shape), dtype=str(value.dtype), note="a NumPy array")
    if value is None or (callable(value) and not isinstance(value, torch.nn.Module)):
        return report.Operand(text=operand.text)
    kind = describe.type_name(type(value))
    return report.Operand(text=operand.text, note=f"{kind} {describe.cut(describe.text_of(value), limit=60)}")


# Values of operands, had again without effects.

# What may be called again: native operators, conversions of tensors, and the making of small arrays.
_OPERATOR_NAMES = frozenset(name for name in dir(torch._C._VariableFunctions) if not name.startswith("_")) | {
    "tensor",
    "einsum",
    "split",
    "unique",
    "norm",
}
_CONVERSIONS = frozenset("to cpu float double half bfloat16 int long bool view expand repeat numpy permute".split())
_ARRAYS = frozenset("array arange zeros ones full eye linspace asarray".split())
_TORCH = (namespace.MODULES["torch"], torch)
_NN = (namespace.MODULES["torch.nn"], torch.nn)
_NUMPY = (namespace.MODULES["numpy"], np)

_LIBRARIES = (namespace.Namespace, ModuleType)


class Unknown(Exception):
    """The value cannot be had without running something that might have an effect."""


def value_of(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    """The value of an expression made of names, constants, attributes, indices, operators and torch's pure functions.

    Raises Unknown for anything else, and whatever the operations themselves raise.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            if name in scope:
                return scope[name]
            if name in namespace.BUILTINS:
                return namespace.BUILTINS[name]
        case ast.Tuple(elts=parts):
            return tuple(value_of(part, scope) for part in parts)
        case ast.List(elts=parts):
            return [value_of(part, scope) for part in parts]
        case ast.UnaryOp(op=operator, operand=operand):
            return _apply(operator, _bounded(value_of(operand, scope)))
        case ast.BinOp(left=left, op=operator, right=right):
            return _apply(operator, _bounded(value_of(left, scope)), _bounded(value_of(right, scope)))
        case ast.Attribute(value=owner, attr=name):
            return _attribute(value_of(owner, scope), name)
        case ast.Subscript(value=owner, slice=index):
            return _known(value_of(owner, scope))[value_of(index, scope)]
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else value_of(part, scope) for part in (lower, upper, step)))
        case ast.Call(func=ast.Attribute(value=owner, attr=name) as func, args=args, keywords=keywords):
            _check_pure(value_of(owner, scope), name, keywords)
            function = value_of(func, scope)
            positional = [_bounded(value_of(arg, scope)) for arg in args]
            _check_size(positional)
            named = {str(keyword.arg): _bounded(value_of(keyword.value, scope)) for keyword in keywords}
            return _bounded(function(*positional, **named))
    raise Unknown(ast.dump(node))


_OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.MatMult: lambda a, b: a @ b,
    ast.Pow: namespace.power,
    ast.USub: lambda a: -a,
    ast.Invert: lambda a: ~a,
    ast.Not: lambda a: not a,
}


def _apply(operator: ast.AST, *values: Any) -> Any:
    if type(operator) not in _OPERATORS:
        raise Unknown
    return _OPERATORS[type(operator)](*(_known(value) for value in values))


def _known(value: Any) -> Any:
    """The value, where its operators and attributes are torch's, NumPy's or Python's own: without effects."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic | torch.nn.Module | namespace.Namespace):
        return value
    if type(value) in (int, float, bool, complex, str, tuple, list, dict, torch.Size, torch.device, torch.dtype):
        return value
    if _is_one_of(value, (torch, np, torch.nn, torch.nn.functional)):
        return value
    raise Unknown


def _attribute(owner: Any, name: str) -> Any:
    return getattr(owner, name) if isinstance(owner, ModuleType) else namespace.attribute(_known(owner), name)


def _check_pure(owner: Any, name: str, keywords: list[ast.keyword]) -> None:
    """Raise Unknown unless this is one of torch's native operators or a method of a tensor that changes nothing."""
    operator = _is_one_of(owner, _TORCH) and name in _OPERATOR_NAMES
    layer = _is_one_of(owner, _NN) and hasattr(torch.nn, name)
    array = _is_one_of(owner, _NUMPY) and name in _ARRAYS
    method = isinstance(owner, torch.Tensor) and name in _OPERATOR_NAMES | _CONVERSIONS
    if (
        not (operator or layer or array or method)
        or name.endswith("_")
        or any(k.arg in (None, "out") for k in keywords)
    ):
        raise Unknown


def _is_one_of(owner: Any, libraries: tuple[Any, ...]) -> bool:
    return any(owner is library for library in libraries)


def _check_size(arguments: list[Any]) -> None:
    """Raise Unknown where the arguments read as the sizes of a large tensor to be made."""
    sizes = [size for value in arguments for size in (value if isinstance(value, tuple | list) else [value])]
    if math.prod(size for size in sizes if isinstance(size, int) and size > 0) > MAX_ELEMENTS:
        raise Unknown


def _bounded(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.numel() > MAX_ELEMENTS and value.device.type != "meta":
        raise Unknown
    return value
