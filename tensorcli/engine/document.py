"""What an expression is: the ways to call it, its documentation, and what is known of its value."""

import ast
import functools
import inspect
import re
import sys
import types
from collections.abc import Mapping
from typing import Any

import msgspec
import torch

from tensorcli import cursor, report
from tensorcli.engine import describe, namespace, prose, signatures
from tensorcli.engine.peek import NOTHING, Scope, Seen, peek
from tensorcli.language import Statement

MAX_TEXT = 20_000  # characters


def called(request: report.Signature, scope: Scope) -> report.Signatures:
    """The ways to call the function whose call the cursor is in, each with the parameter that is written."""
    call = cursor.call(request.text, request.cursor)
    seen = peek(call.function, scope.at(request.text, request.cursor)) if call else None
    if call is None or seen is None:
        return report.Signatures()
    name = " ".join(call.function.split())
    items = tuple(
        msgspec.structs.replace(way, function=name, current=signatures.current(way, call))
        for way in signatures.overloads(seen.value)
    )
    best = next((at for at, way in enumerate(items) if signatures.takes(way, call)), 0)
    return report.Signatures(items=items, best=best)


def document(
    request: report.Document, scope: Scope, variables: Mapping[str, Any], sources: Mapping[str, Statement]
) -> report.Documentation | report.Diagnosis:
    """What the expression is, or the one that is meant at the cursor."""
    text: str | None = request.text.strip()
    if request.cursor is not None:
        text, scope = cursor.named(request.text, request.cursor), scope.at(request.text, request.cursor)
    seen = peek(text, scope) if text else None
    if text is None or seen is None:
        title = f"{_quoted(text or request.text)} is nothing that can be told about without running it"
        return report.Diagnosis(code="not-documented", category="name", title=title, source=request.text[:200])
    value = None if seen.value is NOTHING else seen.value
    ways = signatures.overloads(value)
    return report.Documentation(
        name=text,
        type=_kind(seen),
        signatures=tuple(msgspec.structs.replace(way, function=text) for way in ways),
        text=describe.cut(_documentation(seen), limit=MAX_TEXT),
        value=_described(seen, variables, stats=request.cursor is None),
        definition=_definition(value, sources) if request.source else None,
    )


def _quoted(text: str) -> str:
    return describe.cut(" ".join(text.split()), limit=40) or "this"


def _is_made_by_hand(value: Any) -> bool:
    """Whether a value has documentation of its own: what is defined or imported, rather than computed."""
    return inspect.isroutine(value) or isinstance(value, type | types.ModuleType | namespace.Namespace)


def _documentation(seen: Seen) -> str:
    """The documentation of what has its own, else of its type; another function's, where it says to see that."""
    about = seen.value if _is_made_by_hand(seen.value) else seen.kind
    if about is seen.kind and about.__module__ == "builtins":
        return ""
    if isinstance(about, namespace.Namespace):
        about = _real(namespace.name_of(about))
    text = prose.plain(prose.documentation(namespace.original(about)))
    other = re.fullmatch(r"See torch\.([\w.]+?)\(?\)?\.?", text)
    return (prose.plain(prose.documentation(_real(f"torch.{other[1]}"))) or text) if other else text


def _real(path: str) -> Any:
    """What stands behind a dotted name; None where there is nothing."""
    root, *parts = path.split(".")
    return functools.reduce(lambda found, part: getattr(found, part, None), parts, sys.modules.get(root))


def _kind(seen: Seen) -> str:
    """What it is, in a word."""
    value = seen.value
    if isinstance(value, namespace.Namespace) or inspect.ismodule(value):
        return "module"
    if isinstance(value, type):
        return "class"
    if inspect.isroutine(value):
        return "method" if isinstance(value, types.MethodDescriptorType) or _owner(value) is not None else "function"
    return describe.type_name(seen.kind)


def _owner(value: Any) -> Any:
    owner = getattr(value, "__self__", None)
    return None if owner is None or isinstance(owner, types.ModuleType | type) else owner


def _described(seen: Seen, variables: Mapping[str, Any], *, stats: bool) -> report.Tensor | report.Value | None:
    """The description of a value that is at hand; its `stats` may take a while."""
    if seen.value is NOTHING or seen.predicted or _is_made_by_hand(seen.value):
        return None
    return describe.describe(seen.value, names=variables, max_values=0, stats=stats)


def _definition(value: Any, sources: Mapping[str, Statement]) -> str | None:
    """The source text of a function or class: as it was typed, or from its library's file."""
    if isinstance(value, torch.nn.Module):
        value = type(value)
    if not _is_made_by_hand(value):
        return None
    if isinstance(value, type) and (typed := _typed_class(value, sources)):
        return typed
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    if isinstance(code, types.CodeType) and code.co_filename in sources:
        return sources[code.co_filename].source
    try:
        return inspect.getsource(value)
    except (TypeError, OSError):
        return None


def _typed_class(kind: type, sources: Mapping[str, Statement]) -> str | None:
    """The source text of a class that was typed: that which was so called last."""
    if kind.__module__ != "__main__":
        return None
    typed = (one for one in reversed(list(sources.values())) if isinstance(one.node, ast.ClassDef))
    return next((one.source for one in typed if one.node.name == kind.__qualname__), None)  # type: ignore[attr-defined]
