"""What can be offered, with a line about it: a value, a function, or what a class has under a name."""

import inspect
import re
import types
from functools import cache
from typing import Any, NamedTuple

import torch

from tensorcli import units
from tensorcli.engine import describe, namespace, prose


class Entry(NamedTuple):
    """Something that could be written. `key` is what its beginning is typed as, where that is not the text."""

    text: str
    detail: str = ""
    label: str = ""
    key: str = ""


def entry(value: Any) -> str:
    """A line about what stands under a name: of what is called its help, of other values what they are."""
    return help_of(value) if inspect.isroutine(value) or isinstance(value, type) else detail(value)


def detail(value: Any) -> str:
    """A few words about a value: shape and dtype of a tensor, a plain value itself, else its type."""
    if isinstance(value, torch.Tensor):
        with torch._C.DisableTorchFunctionSubclass():
            return f"{describe.dtype_name(value.dtype)} {units.shape(shape(value))}"
    if isinstance(value, namespace.Namespace) or inspect.ismodule(value):
        return "module"
    kind = type(value)
    if kind in (torch.dtype, torch.device, torch.Size):
        return str(value).removeprefix("torch.") if kind is torch.dtype else str(value)
    if kind in (bool, float) or (kind is int and abs(value) < 1 << 64):
        return f"{describe.type_name(kind)} {value}"
    if kind is str:
        return f"str {value[:40]!r}"
    if kind in (list, tuple, dict, set):
        return f"{kind.__name__} of {len(value):,}"
    return help_of(value) or describe.type_name(kind)


def shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """A tensor's sizes, with nothing run of a class of one's own."""
    with torch._C.DisableTorchFunctionSubclass():
        return describe.shape_of(tensor)


def help_of(value: Any) -> str:
    """The first sentence of a function's or class's documentation; "" where there is none."""
    if not (inspect.isroutine(value) or isinstance(value, _DESCRIBED)):
        return ""
    sentence = prose.first_sentence(prose.documentation(namespace.original(value)))
    other = re.match(r"See torch\.([\w.]+)", sentence)
    return (prose.first_sentence(_documentation(other[1].rstrip("."))) or sentence) if other else sentence


_DESCRIBED = (type, property, types.GetSetDescriptorType, types.MemberDescriptorType)


def _documentation(path: str) -> str:
    """The documentation of something in torch, by its name."""
    found: Any = torch
    for part in path.split("."):
        found = getattr(found, part, None)
    return prose.documentation(found)


def is_of_library(kind: type) -> bool:
    """Whether a class is torch's, NumPy's or Python's own."""
    return kind.__module__.partition(".")[0] in ("torch", "numpy", "builtins")


def static(kind: type, name: str) -> Any:
    """What a class has under a name, with nothing of it run."""
    return inspect.getattr_static(kind, name, None)


@cache
def member(kind: type, name: str) -> str:
    """A line about what values of a library's class have under a name."""
    said = help_of(static(kind, name))
    if said or not issubclass(kind, torch.Tensor):
        return said
    return help_of(getattr(torch, name, None)) or help_of(getattr(torch.nn.functional, name, None))
