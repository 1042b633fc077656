"""Values of expressions, had again without effects: names, constants, attributes, indices and pure operators alone."""

import ast
import inspect
import itertools
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from types import BuiltinFunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from tensorcli.engine import namespace
from tensorcli.engine.instrument import is_path

MAX_ELEMENTS = 1_000_000  # of an operand that is made again

# What may be called again: native operators, conversions of tensors, and the making of small arrays.
_UPDATES = ("batch_norm", "instance_norm", "obs_fake_quant")  # in the names of those that keep running statistics
_OPERATOR_NAMES = frozenset(
    name
    for name in dir(torch._C._VariableFunctions)
    if not name.startswith("_") and not any(each in name for each in _UPDATES)
) | {
    "tensor",
    "einsum",
    "split",
    "unique",
    "norm",
}
_CONVERSIONS = frozenset("to cpu float double half bfloat16 int long bool view expand repeat numpy permute".split())
_ARRAYS = frozenset("array arange zeros ones full eye linspace asarray".split())
_FUNCTIONS = frozenset(
    "softmax log_softmax softmin logsigmoid sigmoid tanh normalize one_hot".split()
)  # never in place
_TORCH = (namespace.MODULES["torch"], torch)
_FUNCTIONAL = (namespace.MODULES["torch.nn.functional"], torch.nn.functional)
_NN = (namespace.MODULES["torch.nn"], torch.nn)
_NUMPY = (namespace.MODULES["numpy"], np)


# What else changes nothing: methods, and Python's own functions.
_READS = frozenset("item tolist numel size dim stride contiguous".split())
_BUILTINS = frozenset("abs bool float int isinstance len list max min print range repr round str sum tuple zip".split())
_TELLING = (None, "out", "inplace", "generator")  # keywords of what changes something
_FUNCTIONALS = ("F", "nn.functional", "torch.nn.functional")
_MODULES = ("torch", "torch.special", "torch.linalg", "torch.fft")  # none of whose functions is in place
# What nothing can be changed in, or only by what is named after it, as x.add_ is.
_PLAIN = (int, float, complex, str, bool, type(None), torch.dtype, torch.device, torch.Size)


def changes_nothing(trees: Sequence[ast.AST], scope: Mapping[str, Any], start: Mapping[str, Any]) -> bool:
    """Whether code is sure to change nothing that it finds: operators and torch's pure functions, of plain tensors.

    `scope` are its variables, `start` those of them that any session starts with. False where it is not sure, as of a
    call of a function of one's own, or of anything that is neither a plain tensor nor a number.
    """
    for name in {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)} & scope.keys():
        if start.get(name, Unknown) is not scope[name] and not _is_plain(scope[name]):
            return False
    for node in itertools.chain.from_iterable(map(ast.walk, trees)):
        match node:
            case ast.AugAssign() | ast.Delete() | ast.Starred() | ast.FunctionDef() | ast.ClassDef() | ast.Lambda():
                return False
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()):
                return False
            case ast.Call(func=func, keywords=keywords):
                if any(keyword.arg in _TELLING for keyword in keywords) or not _is_pure(func, scope):
                    return False
    return True


def may_change(text: str, names: Mapping[str, Any], start: Mapping[str, Any]) -> bool:
    """Whether running this may change something of a session with these names: a look at a value does not."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    for node in statements:
        if not isinstance(node, ast.Expr):
            return True
        looks = all(isinstance(part, _LOOKS) for part in ast.walk(node.value))
        if not looks and (_draws(node) or not changes_nothing([node], names, start)):
            return True
    return False


_LOOKS = (ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Constant, ast.Tuple, ast.expr_context)


def _draws(tree: ast.AST) -> bool:
    """Whether any name in this may be that of an operator that draws random numbers."""
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return any(_is_random(name) for name in called)


@cache
def _is_random(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None)
    overloads = packet.overloads() if packet is not None else []
    return any(torch.Tag.nondeterministic_seeded in getattr(packet, each).tags for each in overloads)


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in (torch.Tensor, torch.nn.Parameter) or issubclass(type(value), _PLAIN)


def _is_pure(func: ast.expr, scope: Mapping[str, Any]) -> bool:
    """Whether this names a function of torch's or Python's, or a method of a tensor, that changes nothing."""
    match func:
        case ast.Name(id=name):
            return name in _BUILTINS and name not in scope
        case ast.Attribute(value=owner, attr=name):
            path = ast.unparse(owner) if is_path(owner) else ""
            if path in _FUNCTIONALS:
                native = isinstance(getattr(torch.nn.functional, name, None), BuiltinFunctionType)  # others: `inplace`
                return name in _FUNCTIONS or (native and _changes_no_argument(name))
            known = name in _OPERATOR_NAMES or name in _CONVERSIONS or name in _READS
            return known and (not path or path in _MODULES) and _changes_no_argument(name)
    return False


@cache
def _changes_no_argument(name: str) -> bool:
    """Whether an operator changes none of its tensors, `out` left aside."""
    return not name.endswith("_") and not any(
        argument.alias_info is not None and argument.alias_info.is_write and not argument.kwarg_only
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}")
        for argument in schema.arguments
        if "Tensor" in str(argument.type)
    )


class Unknown(Exception):
    """The value cannot be had without running something that might have an effect."""


def held(node: ast.expr, scope: Mapping[str, Any], *, trust: bool) -> Any:
    """The value of a constant, a name, or an attribute or item of one, had without running anything of anybody's.

    Raises Unknown for anything else, and LookupError, AttributeError or Refused where there is none.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in scope:
            return scope[name]
        case ast.Name(id=name) if name in namespace.BUILTINS:
            return namespace.BUILTINS[name]
        case ast.Tuple(elts=parts):
            return tuple(held(part, scope, trust=trust) for part in parts)
        case ast.List(elts=parts):
            return [held(part, scope, trust=trust) for part in parts]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else held(part, scope, trust=trust) for part in (lower, upper, step)))
        case ast.Attribute(value=owner, attr=name):
            return attribute(held(owner, scope, trust=trust), name, trust=trust)
        case ast.Subscript(value=owner, slice=index):
            return _item(held(owner, scope, trust=trust), held(index, scope, trust=trust))
    raise Unknown


_LIBRARIES = ("torch", "numpy", "builtins", "collections")
_PLAIN_DESCRIPTORS = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
    types.ClassMethodDescriptorType, staticmethod, classmethod,
)  # fmt: skip
_COMPUTED = (torch.Tensor, np.ndarray, np.generic, torch.dtype, torch.device, torch.finfo, torch.iinfo)


def attribute(owner: Any, name: str, *, trust: bool) -> Any:
    """An attribute that is there, or that torch and NumPy have at hand. Raises Unknown where others' code would run."""
    if isinstance(owner, ModuleType):  # whose own __getattr__ may import
        if name not in vars(owner):
            raise Unknown
        return vars(owner)[name]
    if isinstance(owner, namespace.Namespace):
        return namespace.attribute(owner, name)
    if isinstance(owner, torch.nn.Module):
        for table in (owner._parameters, owner._buffers, owner._modules):
            if name in table:
                return table[name]
    if type(owner) in (torch.Tensor, torch.nn.Parameter):
        return getattr(owner, name) if trust else namespace.attribute(owner, name)
    raw = inspect.getattr_static(owner, name)
    library = type(owner).__module__.partition(".")[0] in _LIBRARIES
    if hasattr(type(raw), "__get__") and not isinstance(raw, _PLAIN_DESCRIPTORS):
        at_hand = isinstance(owner, _COMPUTED) or isinstance(
            raw, types.MemberDescriptorType | types.GetSetDescriptorType
        )
        if not (library and at_hand):
            raise Unknown
    if not library and not isinstance(
        inspect.getattr_static(type(owner), "__getattribute__"), types.WrapperDescriptorType
    ):
        raise Unknown
    return getattr(owner, name) if trust else namespace.attribute(owner, name)


_INDEXED = (torch.Tensor, torch.nn.Parameter, torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict, torch.Size)
_GETTERS = (list.__getitem__, tuple.__getitem__, dict.__getitem__, str.__getitem__)


def _item(owner: Any, index: Any) -> Any:
    kind = type(owner)
    plain = kind in _INDEXED or (kind.__getitem__ in _GETTERS and not hasattr(kind, "__missing__"))
    if not plain or not all(type(part) in _INDICES for part in (index if type(index) is tuple else (index,))):
        raise Unknown
    return owner[index]


_INDICES = (int, str, slice, type(None), type(...), bool)


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
    function = _is_one_of(owner, _FUNCTIONAL) and name in _FUNCTIONS
    layer = _is_one_of(owner, _NN) and hasattr(torch.nn, name)
    array = _is_one_of(owner, _NUMPY) and name in _ARRAYS
    method = isinstance(owner, torch.Tensor) and name in _OPERATOR_NAMES | _CONVERSIONS
    if (
        not (operator or function or layer or array or method)
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
