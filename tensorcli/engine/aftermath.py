"""What a suggestion, once taken, does not bring back, in sentences for the person who takes it."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from tensorcli.engine import describe
from tensorcli.language import Place, Statement
from tensorcli.report import Suggestion

_COMPOUND = (ast.For, ast.While, ast.With, ast.If, ast.Try)


def notes(
    suggestions: Iterable[Suggestion], failed: Statement, place: Place | None, names: Mapping[str, Any]
) -> Iterator[str]:
    """What the failed statement changed before it failed, and what the suggestions make anew."""
    done = _done(failed.again(), place, names)
    anew = sorted({name for suggestion in suggestions for name in _models(suggestion.source, failed, names)})
    if done:
        yield f"{describe.cut(done, limit=60)} had run before it failed, and runs again with a suggestion"
    for name in anew:
        yield f"making {name} anew draws new weights; an optimizer made before keeps the old ones"


def _done(failed: Statement, place: Place | None, names: Mapping[str, Any]) -> str | None:
    """The text of the first part of a compound statement that surely changed something before it failed."""
    if not isinstance(failed.node, _COMPOUND) or place is None:
        return None
    parts = (part for part in _ran([failed.node], failed, place, names) if _changes(part))
    return next((failed.place_of(part).text for part in parts), None)


def _ran(block: list[ast.stmt], failed: Statement, place: Place, names: Mapping[str, Any]) -> Iterator[ast.stmt]:
    """The simple statements of a block that ran before the one at `place` failed, as far as that is sure."""
    holds = [_holds(failed.place_of(part), place) for part in block]
    for part, here in zip(block, holds, strict=True):
        if isinstance(part, ast.For | ast.While) and here and _is_on(part, names):
            yield from _simple(part.body)
        if here:
            for name in ("body", "orelse", "handlers", "finalbody"):
                inner = [one for one in getattr(part, name, ()) if isinstance(one, ast.stmt)]
                if any(_holds(failed.place_of(one), place) for one in inner):
                    yield from _ran(inner, failed, place, names)
            return
        yield from _simple([part])


def _simple(block: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a block that run whatever the values are."""
    for part in block:
        if isinstance(part, ast.With):
            yield from _simple(part.body)
        elif not isinstance(part, _COMPOUND):
            yield part


def _holds(outer: Place, inner: Place) -> bool:
    begins = (outer.line, outer.column) <= (inner.line, inner.column)
    return begins and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)


def _changes(part: ast.stmt) -> bool:
    """Whether a statement changes what is there: `n += 1`, `a[0] = 1`, `seen.append(x)`."""
    match part:
        case ast.AugAssign() | ast.Expr(value=ast.Call(func=ast.Attribute())):
            return True
        case ast.Assign(targets=targets, value=value):
            read = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
            return any(not isinstance(target, ast.Name) or target.id in read for target in targets)
    return False


def _is_on(loop: ast.For | ast.While, names: Mapping[str, Any]) -> bool | None:
    """Whether a loop got beyond its first step; None where that cannot be known."""
    match loop:
        case ast.For(target=ast.Name(id=name), iter=items):
            for first in islice(_items(items, names), 1):
                value = names.get(name)
                return not (first is value or (type(first) is type(value) is int and first == value))
    return None


def _items(node: ast.expr, names: Mapping[str, Any]) -> Iterable[Any]:
    match node:
        case ast.Name(id=name) if isinstance(names.get(name), list | tuple):
            return names[name]  # type: ignore[no-any-return]
        case ast.List(elts=[ast.Name(id=name), *_]) | ast.Tuple(elts=[ast.Name(id=name), *_]) if name in names:
            return [names[name]]
        case ast.Call(func=ast.Name(id="range"), args=[_]):
            return [0]
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(start)), *_]):
            return [start]
    return ()


def _models(source: str, failed: Statement, names: Mapping[str, Any]) -> Iterator[str]:
    """The session's models that a corrected text assigns again, and the failed statement did not."""
    for node in ast.parse(source).body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name) and target.id not in failed.bound:
                value = names.get(target.id)
                if isinstance(value, torch.nn.Module) and next(value.parameters(), None) is not None:
                    yield target.id
