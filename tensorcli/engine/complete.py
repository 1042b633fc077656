"""Completions from live objects: names, the attributes of what stands before the dot, keyword arguments."""

import ast
import builtins
import inspect
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from tensorcli import report
from tensorcli.engine import describe, namespace, pure

_WORDS = ("and", "as", "assert", "del", "else", "elif", "except", "for", "if", "import", "in", "is", "lambda", "not",
          "or", "pass", "print", "return", "try", "while", "with", "def", "from", "True", "False", "None")  # fmt: skip
_AFTER_DOT = re.compile(r"([A-Za-z_][\w.]*(?:\[[^\[\]]*\]|\([^()]*\))?(?:\.[\w]+)*)\.(\w*)$")
_WORD = re.compile(r"(\w*)$")
_IMPORT = re.compile(r"^\s*(?:import|from)\s+([\w.]*)$")
MAX_ITEMS = 1000


def completions(text: str, cursor: int, names: Mapping[str, Any], *, trust: bool) -> report.Completions:
    """What could stand at `cursor`. Evaluates nothing that could have an effect."""
    before = text[:cursor]
    imported = _IMPORT.search(before)
    if imported:
        return _matching(imported[1], sorted(namespace.MODULES), cursor, names={})
    dotted = _AFTER_DOT.search(before)
    if dotted:
        return _attributes(dotted[1], dotted[2], cursor, names, trust=trust)
    match = _WORD.search(before)
    word = match[1] if match else ""
    if not word:
        return report.Completions(items=())
    user = [name for name in names if name[0] not in "._"]
    available = dir(builtins) if trust else [name for name in namespace.BUILTINS if name[0] not in "._"]
    others = sorted(set(available) - set(_EXCEPTIONS)) + [w for w in _WORDS if keyword.iskeyword(w)]
    return _matching(word, dict.fromkeys([*reversed(user), *others]), cursor, names=names)


_EXCEPTIONS = {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
}


def _attributes(owner: str, prefix: str, cursor: int, names: Mapping[str, Any], *, trust: bool) -> report.Completions:
    value = _value(owner, names)
    if value is _NOTHING:
        return report.Completions(items=())
    known = [name for name in (dir(value) if trust else namespace.directory(value)) if not name.startswith("_")]
    return _matching(prefix, known, cursor, names={})


_NOTHING = object()


def _value(text: str, names: Mapping[str, Any]) -> Any:
    try:
        return pure.value_of(ast.parse(text, mode="eval").body, names)
    except Exception:
        return _NOTHING


def _matching(prefix: str, known: Iterable[str], cursor: int, *, names: Mapping[str, Any]) -> report.Completions:
    start = cursor - len(prefix)
    folded = prefix.lower()
    found = [name for name in known if name.startswith(prefix)]
    found += [name for name in known if name.lower().startswith(folded) and not name.startswith(prefix)]
    items = [
        report.Completion(text=name, start=start, detail=_detail(names[name]) if name in names else "")
        for name in found[:MAX_ITEMS]
    ]
    return report.Completions(items=tuple(items))


def _detail(value: Any) -> str:
    """A few words about a variable."""
    if isinstance(value, torch.Tensor):
        return f"{describe.dtype_name(value.dtype)} {list(describe.shape_of(value))}"
    if isinstance(value, namespace.Namespace) or inspect.ismodule(value):
        return "module"
    return describe.type_name(type(value))
