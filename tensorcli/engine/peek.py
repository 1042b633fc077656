"""What an expression is, without running it: its value where that is at hand, else what it would be, else its type."""

import ast
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from tensorcli import language
from tensorcli.cursor import bound
from tensorcli.engine import foresight, namespace, predict, pure, signatures

NOTHING = object()


class Seen(NamedTuple):
    """A type, and a value of it. NOTHING: only the type is known. One that is `predicted` has no elements."""

    kind: type
    value: Any = NOTHING
    predicted: bool = False


class Scope(NamedTuple):
    """What an expression may name, and whether the gate is open.

    `bound` are names that the text itself binds before the expression: of their values the type alone is believed.
    """

    names: Mapping[str, Any]
    trust: bool
    bound: tuple[str, ...] = ()

    def at(self, text: str, cursor: int) -> "Scope":
        """The scope at a place of a text."""
        return self._replace(bound=bound(text, cursor))

    @property
    def values(self) -> Mapping[str, Any]:
        """The names whose values are sure."""
        if self.names.keys().isdisjoint(self.bound):
            return self.names
        return {name: value for name, value in self.names.items() if name not in self.bound}


def peek(text: str, scope: Scope) -> Seen | None:
    """What the expression `text` is; None where that cannot be told without effects, or the gate refuses it."""
    try:
        (statement,) = language.parse(f"({text}\n)", trust=scope.trust)
    except (language.Problem, ValueError):
        return None
    return peek_at(statement.node.value, scope) if isinstance(statement.node, ast.Expr) else None


def peek_at(node: ast.expr, scope: Scope) -> Seen | None:
    """What an expression that passed the gate is, as `peek`."""
    try:
        value = pure.held(node, scope.values, trust=scope.trust)
    except pure.Unknown:
        return _predicted(node, scope) or _guessed(node, scope)
    except Exception:  # there is none
        return None
    return Seen(type(value), value)


def _predicted(node: ast.expr, scope: Scope) -> Seen | None:
    """What it would give, by a run on tensors without elements. Functions that no gate looked at are not run."""
    if scope.trust or not predict.is_warm():
        return None
    try:
        value = foresight.value_of(node, scope.values)
    except Exception:
        return None
    kind = torch.Tensor if predict.is_fake(value) else type(value)
    return Seen(kind, value, predicted=True)


_OF_TENSORS = dict.fromkeys("T mT H mH real imag data grad".split(), torch.Tensor) | {
    "shape": torch.Size, "dtype": torch.dtype, "device": torch.device, "ndim": int
}  # fmt: skip
_OF_ARRAYS = dict.fromkeys("T real imag".split(), np.ndarray) | {"shape": tuple, "dtype": np.dtype, "ndim": int}
_DISPLAYS: dict[type[ast.expr], type] = {
    ast.JoinedStr: str, ast.List: list, ast.ListComp: list, ast.Dict: dict, ast.DictComp: dict, ast.Set: set,
    ast.SetComp: set, ast.Tuple: tuple,
}  # fmt: skip


def _guessed(node: ast.expr, scope: Scope) -> Seen | None:
    """The type of what it would give, as its operators and functions say it."""
    match node:
        case ast.Name(id=name) if name in scope.names:
            return Seen(type(scope.names[name]))
        case ast.Attribute(value=owner, attr=name):
            return _attribute(peek_at(owner, scope), name, scope)
        case ast.BinOp(left=left, right=right):
            return _operated([left, right], scope)
        case ast.Compare(left=left, comparators=others):
            return _operated([left, *others], scope)
        case ast.UnaryOp(operand=one) | ast.Subscript(value=one):
            return _operated([one], scope)
        case ast.IfExp(body=one) | ast.NamedExpr(value=one):
            return peek_at(one, scope)
        case ast.Call(func=function):
            called = peek_at(function, scope)
            kind = None if called is None else signatures.returned(called.value)
            return None if kind is None else Seen(kind)
    display = _DISPLAYS.get(type(node))
    return None if display is None else Seen(display)


def _operated(parts: list[ast.expr], scope: Scope) -> Seen | None:
    """What operators make of tensors and arrays."""
    kinds = [seen.kind for part in parts if (seen := peek_at(part, scope))]
    return next((Seen(kind) for kind in (torch.Tensor, np.ndarray) if any(issubclass(k, kind) for k in kinds)), None)


def _attribute(owner: Seen | None, name: str, scope: Scope) -> Seen | None:
    """An attribute of a value, or of a type: a method by its function, then bound to the type."""
    if owner is None:
        return None
    if owner.value is not NOTHING and not owner.predicted:
        try:
            value = pure.attribute(owner.value, name, trust=scope.trust)
        except Exception:
            return None
        return Seen(type(value), value)
    if name not in attributes(owner, scope):
        return None
    for kind, known in ((torch.Tensor, _OF_TENSORS), (np.ndarray, _OF_ARRAYS)):
        if issubclass(owner.kind, kind) and name in known:
            return Seen(known[name])
    raw = inspect.getattr_static(owner.kind, name, None)
    if inspect.isfunction(raw):
        return Seen(type(raw), raw.__get__(owner.kind))
    return Seen(type(raw), raw) if inspect.ismethoddescriptor(raw) else None


def attributes(seen: Seen, scope: Scope) -> list[str]:
    """The names that may stand after it and a dot, sorted."""
    if seen.value is NOTHING or (seen.predicted and seen.kind is torch.Tensor):
        found = _all_of(seen.kind) if scope.trust else namespace.row(seen.kind)
        return sorted(name for name in found if not name.startswith("_"))
    if not scope.trust:
        return namespace.directory(seen.value)
    own = _own(seen.value)
    known = {*own, *(() if inspect.ismodule(seen.value) else _all_of(seen.kind))}
    if isinstance(seen.value, type):
        known |= _all_of(seen.value)
    if isinstance(seen.value, torch.nn.Module):
        known |= {*seen.value._parameters, *seen.value._buffers, *seen.value._modules}
    return sorted(name for name in known if isinstance(name, str) and not name.startswith("_"))


def _all_of(kind: type) -> set[str]:
    """What the classes of a type define. (`dir` may run code of theirs.)"""
    return {name for base in kind.__mro__ for name in vars(base)}


def _own(value: Any) -> Mapping[str, Any]:
    """A value's own attributes."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}
