"""What an argument of a call could be: its keyword, and values of dtypes, devices, truth values and dims."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tensorcli import report
from tensorcli.cursor import Call, Spot
from tensorcli.engine import about, pretend, prose, signatures
from tensorcli.engine.about import Entry
from tensorcli.engine.peek import NOTHING, Scope, Seen, peek


def fitting(call: Call, ways: signatures.Overloads) -> list[report.Overload]:
    """The ways to call that take what is written."""
    return [way for way in ways if signatures.takes(way, call)]


def wants_value(call: Call | None, ways: signatures.Overloads) -> bool:
    """Whether the argument at the cursor is one that the call cannot do without."""
    for way in fitting(call, ways) if call else ():
        at = signatures.current(way, call) if call else None
        return at is not None and "=" not in way.parameters[at]
    return call is None


def keywords(call: Call, ways: signatures.Overloads, called: Seen | None) -> Iterator[Entry]:
    """The keyword arguments that are not given yet."""
    given = {each.keyword for each in call.before}
    for way in ways:
        names = [each.keyword for each in call.before if each.keyword]
        if not {*names} <= {signatures.name_of(each) for each in way.parameters}:
            continue
        for parameter in _left(way, call.position):
            name = signatures.name_of(parameter)
            if name not in given and name[0] != "_":
                yield Entry(f"{name}=", _of_parameter(called, name, parameter.partition("=")[2]))


def _left(way: report.Overload, position: int) -> Iterator[str]:
    """The parameters that can be given by name behind so many by position."""
    first = way.parameters.index("/") + 1 if "/" in way.parameters else 0
    for at, parameter in enumerate(way.parameters):
        if parameter == "*" or parameter.startswith("*"):
            position = 0
        elif parameter not in ("/", "...") and at >= first and position <= 0:
            yield parameter
        position -= parameter != "/"


def _of_parameter(called: Seen | None, name: str, default: str) -> str:
    """What the documentation says of a parameter, and its default."""
    text = prose.documentation(called.value) if called else ""
    found = re.search(rf"^\s+{re.escape(name)}\s*\([^\n]*?\):\s*(.+)$", text, re.MULTILINE)
    said = prose.first_sentence(found[1]) if found else ""
    return " - ".join(filter(None, [f"default {default}" if default else "", said]))


_DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
           "complex64", "complex128")  # fmt: skip
_DIM = re.compile(r"(?:start_|end_)?(?:dims?|axis|axes)\d?$")
_DIMS_BEFORE = re.compile(r"[\[(][\d\s,-]*$|-?$")


def values(call: Call, ways: signatures.Overloads, place: Spot, scope: Scope) -> Iterator[Entry]:
    """What the argument at the cursor could be."""
    parameters = {call.keyword or "": ""}
    for way in fitting(call, ways):
        at = signatures.current(way, call)
        if at is not None:
            parameters[signatures.name_of(way.parameters[at])] = way.parameters[at].partition("=")[2]
    for name, default in parameters.items():
        if _DIM.match(name) and not place.quoted and _DIMS_BEFORE.match(call.written):
            yield from _dims(name, call, scope)
        elif not call.written and call.direct:
            yield from _plain_values(name, default, call, place)


def _plain_values(name: str, default: str, call: Call, place: Spot) -> Iterator[Entry]:
    if name == "dtype" and not place.quoted:
        library = "np" if call.function.startswith("np.") else "torch"
        yield from (
            Entry(f"{library}.{dtype}", key=dtype) for dtype in _DTYPES if (library, dtype) != ("np", "bfloat16")
        )
    elif name == "device":
        for device in _devices():
            yield Entry(device if place.quoted else f'"{device}"', key=device)
    elif default in ("True", "False") and not place.quoted:
        yield from map(Entry, ("True", "False") if default == "False" else ("False", "True"))


def _devices() -> list[str]:
    """The devices that are there, or are pretended, and meta. Asks no driver for more than their number."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = [f"cuda:{index}" for index in range(count)] or ([str(pretend.DEVICE)] if pretend.active() else [])
    return ["cpu", *there, *(["mps"] if torch.backends.mps.is_available() else []), "meta"]


def _dims(name: str, call: Call, scope: Scope) -> Iterator[Entry]:
    """The dims of the tensor that a call is about, with their sizes."""
    shape = _shape_for(call, scope)
    back = call.written.endswith("-")
    for dim, size in enumerate(shape):
        text = str(len(shape) - dim if back else dim)
        yield Entry(text, label=f"{name}={'-' if back else ''}{text} ({'?' if size < 0 else size})")


def _shape_for(call: Call, scope: Scope) -> tuple[int, ...]:
    """The shape of a method's owner, or of a function's first argument or its first item."""
    first = next((each.text for each in call.before if each.keyword in (None, "input", "tensors", "x", "a")), "")
    owner, dot, _ = call.function.rpartition(".")
    for text in ([owner] if dot else []) + ([first] if first else []):
        seen = peek(text, scope)
        value: Any = seen.value if seen else NOTHING
        value = value[0] if type(value) in (list, tuple) and value else value
        if isinstance(value, torch.Tensor):
            return about.shape(value)
        if isinstance(value, np.ndarray):
            return tuple(value.shape)
    return ()
