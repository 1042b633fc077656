"""What a function takes: from torch's own message, from Python's signature, or from the operator's schema."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tensorcli.diagnoses import Failure, Unknown
from tensorcli.diagnoses.edits import is_tensor


@dataclass(frozen=True)
class Parameter:
    """One parameter: `kind` is "tensor", "tensors", "int", "ints", "float", "bool", "dtype", "text", or "" for any."""

    name: str
    kind: str = ""
    required: bool = False
    keyword_only: bool = False
    default: str = ""


Signature = tuple[Parameter, ...]

_KINDS = (
    (r"List\[Tensor\]|tuple of Tensors|TensorList|(?:Sequence|Iterable)\[.*Tensor", "tensors"),
    (r"Tensor", "tensor"),
    (r"tuple of ints|[Ll]ist\[int\]|List\[SymInt\]|_size|Sequence\[int\]", "ints"),
    (r"dtype|ScalarType", "dtype"),
    (r"[Dd]evice", "device"),
    (r"\bbool\b", "bool"),
    (r"\b(?:int|SymInt)\b", "int"),
    (r"\b(?:float|Number|Scalar|number)\b", "float"),
    (r"\bstr\b", "text"),
)
# What nobody writes out when telling how a function is called.
_UNSAID = {"out", "dtype", "layout", "device", "pin_memory", "requires_grad", "generator", "memory_format", "names"}


def signatures(failure: Failure) -> tuple[Signature, ...]:
    """What the failing call's function takes, a method's object left out; empty where it is not known."""
    call = failure.call
    if call is None:
        return ()
    said = tuple(_from_message(failure.message))
    if said and failure.message.startswith(f"{call.name}()"):
        return said
    return _from_python(call.function) or said or of_operator(call.name, method=call.form == "method")


def _from_message(message: str) -> Iterator[Signature]:
    variants = re.findall(r"^ ?\* \((.*)\)$", message, re.M) or re.findall(r"but expected \((.*)\)$", message, re.M)
    for variant in variants:
        yield tuple(_spelt(variant))


def _spelt(variant: str) -> Iterator[Parameter]:
    keyword_only = False
    for part in variant.split(", ") if variant else ():
        if part == "*":
            keyword_only = True
            continue
        left, _, default = part.partition(" = ")
        kind, _, name = left.rpartition(" ")
        yield Parameter(name, kind_of(kind), not default and not keyword_only, keyword_only, default)


def kind_of(words: str) -> str:
    """The kind of a parameter from how a library spells its type."""
    if "Tensor" in words and re.search("float|Number|Scalar", words):  # lr of an optimizer: either will do
        return ""
    return next((kind for pattern, kind in _KINDS if re.search(pattern, words)), "")


def _from_python(function: Any) -> tuple[Signature, ...]:
    function = getattr(function, "forward", function) if _is_module(function) else function
    if function is None or function is Unknown or inspect.isbuiltin(function):
        return ()
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return ()
    parameters = list(found.parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return ()
    return (tuple(_parameter(p) for p in parameters if p.kind is not p.VAR_KEYWORD and not p.name.startswith("_")),)


def _is_module(value: Any) -> bool:
    return hasattr(value, "forward") and not isinstance(value, type)


def _parameter(found: inspect.Parameter) -> Parameter:
    required = found.default is found.empty
    annotation = "" if found.annotation is found.empty else str(found.annotation)
    default = "" if required else repr(found.default)
    return Parameter(found.name, kind_of(annotation), required, found.kind is found.KEYWORD_ONLY, default)


def open_ended(function: Any) -> bool:
    """Whether a Python function takes any keyword."""
    try:
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False


_SCRIPT = re.compile(r"out$|.*_out$|(?:int|float|complex|bool|str|names)(?:_|$)|Scalar(?:_|$)")
# Made in C without a schema of its own.
_RECURRENT = (
    "int input_size, int hidden_size, int num_layers = 1, bool bias = True, bool batch_first = False, "
    "float dropout = 0.0, bool bidirectional = False, int proj_size = 0"
)
_KNOWN = {
    "tensor": "object data, *, torch.dtype dtype = None, torch.device device = None, bool requires_grad = False",
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "RNN": _RECURRENT,
}


def of_operator(name: str, *, method: bool = False) -> tuple[Signature, ...]:
    """What one of torch's operators takes, in each of its overloads; empty where there is no such operator."""
    import torch

    if name in _KNOWN:
        return (tuple(_spelt(_KNOWN[name])),)
    found = []
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        arguments = schema.arguments[1:] if method else schema.arguments
        scripts = schema.overload_name != "int" and _SCRIPT.match(schema.overload_name)  # softmax.int is torch's own
        if scripts or "Dimname" in str(schema) or not _is_operator(schema):
            continue
        found.append(tuple(_argument(one) for one in arguments))
    return tuple(found)


def _is_operator(schema: Any) -> bool:
    """Whether an overload is torch's own: TorchScript's for plain numbers and texts are not reached from Python."""
    return not schema.arguments or schema.arguments[0].name not in ("a", "t", "l", "s")


def _argument(found: Any) -> Parameter:
    required = not found.has_default_value()
    default = "" if required else repr(found.default_value)
    name = "input" if found.name == "self" else found.name
    return Parameter(name, kind_of(str(found.type)), required, bool(found.kwarg_only), default)


def written(name: str, signature: Signature) -> str:
    """How a function is called: `full(size, fill_value)`."""
    shown = [p for p in signature if p.required or (p.name not in _UNSAID and not p.keyword_only)]
    parts = [
        p.name if p.required or not p.default or len(p.default) > 12 else f"{p.name}={p.default}" for p in shown[:6]
    ]
    return f"{name}({', '.join(parts)}{', ...' if len(shown) > 6 else ''})"


def fits(parameter: Parameter, value: Any) -> bool:
    """Whether a value is of a parameter's kind; what is not known fits."""
    if value is Unknown or not parameter.kind:
        return True
    if value is None:
        return not parameter.required
    sequence = isinstance(value, list | tuple)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return {
        "tensor": is_tensor(value),
        "tensors": sequence and all(is_tensor(part) for part in value),
        "int": whole,
        "ints": sequence and all(isinstance(part, int) for part in value),
        "float": whole or isinstance(value, float) or (is_tensor(value) and value.ndim == 0),
        "bool": isinstance(value, bool),
        "dtype": type(value).__name__ == "dtype",
        "device": type(value).__name__ == "device" or isinstance(value, str),
        "text": isinstance(value, str),
    }[parameter.kind]


def positional(signature: Signature) -> tuple[Parameter, ...]:
    """The parameters that can be given by position."""
    return tuple(p for p in signature if not p.keyword_only)


def required(function: Any) -> list[str]:
    """The names of what a Python function or class cannot be called without."""
    return [p.name for signature in _from_python(function) for p in signature if p.required]


def given(node: ast.Call, signature: Signature) -> set[str]:
    """The names of the parameters that a call gives."""
    names = [p.name for p in positional(signature)][: len(node.args)]
    return {*names, *(k.arg for k in node.keywords if k.arg)}
