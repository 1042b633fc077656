"""How functions are called: by their documentation's first lines, by Python, or by the operator's schema."""

import functools
import inspect
import itertools
import re
import types
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import numpy as np
import torch

from tensorcli import report
from tensorcli.cursor import Call
from tensorcli.diagnoses import signatures as schemas
from tensorcli.engine import namespace, prose

MAX_DEFAULT = 30  # characters

Overloads = tuple[report.Overload, ...]


def overloads(function: Any) -> Overloads:
    """The ways to call a function; none where they are not known."""
    function = namespace.original(function.forward if isinstance(function, torch.nn.Module) else function)
    if not isinstance(function, _CALLED):
        return ()
    name = str(getattr(function, "__name__", type(function).__name__))
    return _known(function, name) if _is_of_library(function) else _found(function, name)


def _told(ways: Overloads) -> Overloads:
    """Without the parameters that are a library's own business, as `_stacklevel`; what says nothing comes last."""
    shown = [
        msgspec.structs.replace(way, parameters=tuple(each for each in way.parameters if each[0] != "_"))
        for way in ways
    ]
    return tuple(sorted(shown, key=lambda way: {*way.parameters} == {"*args", "**kwargs"}))


_CALLED = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodDescriptorType, functools.partial,
    types.WrapperDescriptorType, types.MethodWrapperType, types.ClassMethodDescriptorType, type, np.ufunc,
    type(np.sum),
)  # fmt: skip


def _is_of_library(function: Any) -> bool:
    """Whether it is one of torch's, NumPy's or Python's own, which stay as they are."""
    module = getattr(function, "__module__", None) or getattr(
        type(getattr(function, "__self__", None)), "__module__", ""
    )
    hashable = inspect.isbuiltin(function) or inspect.isfunction(function) or isinstance(function, type)
    return hashable and str(module).partition(".")[0] in ("torch", "numpy", "builtins", "math")


@cache
def _known(function: Any, name: str) -> Overloads:
    """As `_found`. The name is part of the key: torch's functions are equal where they run the same C code."""
    return _told(_found(function, name))


def _found(function: Any, name: str) -> Overloads:
    by_python = _from_python(function, name)
    if by_python and not _says_nothing(by_python[0]):
        return by_python
    text = inspect.cleandoc(prose.documentation(function))
    return tuple(_from_text(text)) or _from_schema(name, method=_is_method(function)) or by_python


def _says_nothing(overload: report.Overload) -> bool:
    """`(*args, **kwargs)`, as of what passes everything on."""
    return bool(overload.parameters) and all(each.startswith("*") for each in overload.parameters)


def _from_python(function: Any, name: str) -> Overloads:
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return ()
    returns = found.return_annotation
    returned = (
        ""
        if returns is found.empty or isinstance(function, type)
        else inspect.formatannotation(returns).removeprefix("torch.")
    )
    return (report.Overload(function=name, parameters=tuple(_written(found)), returns=returned),)


def _written(found: inspect.Signature) -> Iterator[str]:
    """The parameters as one writes them, without annotations."""
    kinds = [each.kind for each in found.parameters.values()]
    for at, each in enumerate(found.parameters.values()):
        if each.kind is each.KEYWORD_ONLY and at == kinds.index(each.kind) and each.VAR_POSITIONAL not in kinds:
            yield "*"
        mark = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        yield mark + each.name + ("" if each.default is each.empty else f"={_default(each.default)}")
        if each.kind is each.POSITIONAL_ONLY and kinds[at + 1 : at + 2] != [each.kind]:
            yield "/"


def _default(value: Any) -> str:
    """A default value in few words."""
    if isinstance(value, type) or inspect.isroutine(value):
        return str(value.__name__)
    text = repr(value) if _is_told(value) else "..."
    return text if len(text) <= MAX_DEFAULT else "..."


def _is_told(value: Any, depth: int = 3) -> bool:
    """Whether a value has a short repr that costs nothing. One of a class of one's own is not ours to run."""
    kind = type(value)
    if kind is int:
        return bool(value.bit_length() <= 64)
    if kind in (str, tuple, list, dict):
        parts = () if kind is str else itertools.chain(*value.items()) if kind is dict else value
        return len(value) < MAX_DEFAULT and depth > 0 and all(_is_told(part, depth - 1) for part in parts)
    of_library = kind.__module__.partition(".")[0] in ("torch", "numpy", "inspect")
    computes = isinstance(value, torch.Tensor | torch.nn.Module | np.ndarray)
    return kind in (float, bool, type(None)) or (of_library and not computes)


# Documentation. torch and NumPy begin it with the signature, or name further ones in directives.

_FIRST = re.compile(r"(?:[\w.]+\.)?(\w+)\(")
_DIRECTIVE = re.compile(r"^[ \t]*\.\. (?:py:)?(?:function|method)::[ \t]*(?:[\w.]+\.)?(\w+)\(", re.MULTILINE)


def _from_text(text: str) -> Iterator[report.Overload]:
    at, seen = len(text) - len(text.lstrip()), set()
    starts = []
    while match := _FIRST.match(text, at):
        end = _closing(text, match.end())
        starts.append((match[1], match.end(), end))
        at = text.find("\n", end) + 1
        if not at:
            break
    starts += [(each[1], each.end(), _closing(text, each.end())) for each in _DIRECTIVE.finditer(text)]
    for called, begin, end in starts:
        parameters = tuple(_split(text[begin:end]))
        if parameters not in seen and all(map(_PARAMETER.match, parameters)):
            seen.add(parameters)
            returns = re.match(r"\)[ \t]*->[ \t]*([^\n]+)", text[end:])
            yield report.Overload(function=called, parameters=parameters, returns=returns[1].strip() if returns else "")


_PARAMETER = re.compile(r"\*{0,2}[A-Za-z_]\w*(?:\s*=|$)|[*/]$|\.\.\.$")


def _closing(text: str, begin: int) -> int:
    """Where the bracket closes that is open at `begin`; the end of the text if nowhere."""
    depth = 1
    for at in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if not depth:
            return at
    return len(text)


def _split(text: str) -> Iterator[str]:
    """Parameters between commas; `[, out]` is an optional one, and types are left out."""
    if re.search(r"\[,|,\s*\[|\*\[", text):
        text = text.replace("*[", "*").replace("[", "").replace("]", "")
    depth = begin = 0
    for at, character in enumerate(text + ","):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            part = re.sub(r"\\|:[^=]*(?==|$)", "", " ".join(text[begin:at].split())).replace(" = ", "=").strip()
            begin = at + 1
            if part:
                yield part


def _is_method(function: Any) -> bool:
    """Whether it is a method of tensors."""
    owners = getattr(function, "__self__", None), getattr(function, "__objclass__", None)
    return isinstance(owners[0], torch.Tensor) or owners[1] in torch.Tensor.__mro__


def _from_schema(name: str, *, method: bool) -> Overloads:
    """Of an operator that has no documentation."""
    found = []
    for parameters in schemas.of_operator(name, method=method):
        words, keyword_only = [], False
        for each in parameters:
            if each.keyword_only and not keyword_only:
                keyword_only = True
                words.append("*")
            words.append(each.name if each.required else f"{each.name}={each.default}")
        found.append(report.Overload(function=name, parameters=tuple(words), returns="Tensor"))
    return tuple(dict.fromkeys(found))


# What is asked of them.


def name_of(parameter: str) -> str:
    """The name in a parameter as written; "" for the marks * and /."""
    return parameter.partition("=")[0].strip("*/ .")


def current(overload: report.Overload, call: Call) -> int | None:
    """Which parameter the argument at the cursor is for; None where there is none for it."""
    if call.keyword is not None:
        names = [name_of(each) for each in overload.parameters]
        if call.keyword in names:
            return names.index(call.keyword)
        return next((at for at, each in enumerate(overload.parameters) if each.startswith("**")), None)
    left = call.position
    for at, each in enumerate(overload.parameters):
        if each == "*" or each.startswith("**"):
            return None
        if each == "/":
            continue
        if not left or each.startswith("*"):
            return at
        left -= 1
    return None


def takes(overload: report.Overload, call: Call) -> bool:
    """Whether an overload has parameters for what is written."""
    names = {name_of(each) for each in overload.parameters}
    every = any(each.startswith("**") for each in overload.parameters)
    known = every or {each.keyword for each in call.before if each.keyword} <= names
    empty = not overload.parameters and not call.before and not call.written and call.keyword is None
    return known and (empty or current(overload, call) is not None)


def returned(function: Any) -> type | None:
    """The type of what a call gives, where the function says so."""
    if isinstance(function, type):
        return getattr(function, "real", function)
    said = [each.returns for each in overloads(function)]
    if any(map(_A_TENSOR.fullmatch, said)):
        return torch.Tensor
    of_array = any(map(_AN_ARRAY.search, said)) or _GIVES_ARRAY.search(
        inspect.cleandoc(prose.documentation(namespace.original(function)))
    )
    return np.ndarray if of_array else None


_A_TENSOR = re.compile(r"(?:torch\.)?\w*Tensor\.?")
_AN_ARRAY = re.compile(r"\bndarray\b")
_GIVES_ARRAY = re.compile(r"^Returns\n-+\n[^\n]*\b(?:nd)?array\b", re.MULTILINE)
