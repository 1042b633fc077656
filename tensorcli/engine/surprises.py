"""Mistakes that raise nothing, told in one line each: said once per session and kind."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tensorcli.engine import apart, describe, pure
from tensorcli.language import Statement

SMALL = 10_000  # elements of operands that may be computed again to look at them
MAX_ELEMENTS = 1_000_000  # of a result that is searched for NaN
SECONDS = 0.2  # to find the sub-expression that made the first NaN

_NARROW = {torch.uint8, torch.int8, torch.int16}
_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Pow: "**", ast.LShift: "<<"}
_ELEMENTWISE = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod, ast.FloorDiv)
_DIMLESS = ("softmax", "log_softmax", "softmin", "argmax", "argmin")
_FROM_NUMPY = ("from_numpy", "tensor", "as_tensor", "asarray", "Tensor")


@dataclass
class Look:
    """A statement that succeeded, with what its variables held before it ran."""

    statement: Statement  # read anew: its nodes are as written
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    value: Any
    trust: bool = False
    _found: dict[int, Any] = field(default_factory=dict)

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[Any]:
        """The nodes of some kinds."""
        return (node for node in ast.walk(self.statement.node) if isinstance(node, kinds))

    def text(self, node: ast.AST) -> str:
        """The text of a node, on one line and not too long."""
        text = " ".join(self.statement.place_of(node).text.split())
        return text if len(text) <= 60 else text[:57] + "..."

    def operand(self, node: ast.expr) -> Any:
        """The value of an operand before the statement, where having it again is cheap and free of effects."""
        if isinstance(node, ast.Name):
            return self.before.get(node.id)
        if id(node) not in self._found:
            self._found[id(node)] = self._again(node)
        return self._found[id(node)]

    def _again(self, node: ast.expr) -> Any:
        mentioned = [self.before.get(part.id) for part in ast.walk(node) if isinstance(part, ast.Name)]
        if any(isinstance(value, torch.Tensor) and value.numel() > SMALL for value in mentioned):
            return None
        state = torch.get_rng_state()
        try:
            with torch.no_grad():
                return pure.value_of(node, self.before)
        except Exception:
            return None
        finally:
            torch.set_rng_state(state)

    def results(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The tensors that the statement gave: its value, or the variables it assigned, by name."""
        if isinstance(self.statement.node, ast.Expr):
            yield from [(self.text(self.statement.node), self.value)] if isinstance(self.value, torch.Tensor) else []
        for name in self.statement.bound:
            if isinstance(self.after.get(name), torch.Tensor):
                yield name, self.after[name]


def _operations(look: Look) -> Iterator[tuple[ast.AST, ast.operator, ast.expr, ast.expr]]:
    """The binary operations, in-place ones too: node, operator, both sides."""
    for node in look.nodes(ast.BinOp, ast.AugAssign):
        left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        yield node, node.op, left, right


# The kinds. Each gives its note, or None.


def outer_product(look: Look) -> str | None:
    """[n, 1] with [n] gives [n, n]."""
    for node, operator, left, right in _operations(look):
        if not isinstance(operator, _ELEMENTWISE):
            continue
        for column, row, text in ((left, right, right), (right, left, left)):
            a, b = look.operand(column), look.operand(row)
            if not (isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)) or b.dim() != 1:
                continue
            n = b.shape[0]
            if a.dim() == 2 and tuple(a.shape) == (n, 1) and n > 1:
                pairs = f"{look.text(text)}.unsqueeze(1) pairs them one by one"
                return f"{look.text(node)} stretches [{n}, 1] with [{n}] to [{n}, {n}]: {pairs}"
    return None


def meta_device(look: Look) -> str | None:
    """A real tensor with one on the meta device."""
    for node in look.nodes(ast.BinOp, ast.AugAssign, ast.Call):
        parts = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        values = [look.before.get(name) for name in parts]
        kinds = {value.device.type for value in values if isinstance(value, torch.Tensor)}
        if "meta" in kinds and len(kinds) > 1:
            return f"{look.text(node)} mixes {' and '.join(sorted(kinds))}: meta tensors have no values to compute with"
    return None


def wrapped(look: Look) -> str | None:
    """Small integers that wrapped around."""
    for node, operator, left, right in _operations(look):
        sides = [look.operand(left), look.operand(right)]
        tensors = [side for side in sides if isinstance(side, torch.Tensor)]
        sign = _ARITHMETIC.get(type(operator))
        if not sign or not tensors or any(tensor.numel() > SMALL for tensor in tensors):
            continue
        kind = torch.result_type(*sides) if len(tensors) == 2 else _kind_with(tensors[0], sides)
        if kind not in _NARROW and not (kind == torch.int64 and sign == "**"):
            continue
        exact = _exact(sign, *sides)
        if exact is not None and (note := _beyond(look, node, exact, kind)):
            return note
    return None


def _kind_with(tensor: torch.Tensor, sides: list[Any]) -> torch.dtype | None:
    numbers = [side for side in sides if isinstance(side, int) and not isinstance(side, bool)]
    return tensor.dtype if numbers else None


def _exact(sign: str, left: Any, right: Any) -> np.ndarray | None:
    """The result in whole numbers without bounds."""
    sides = [np.array(x.tolist(), dtype=object) if isinstance(x, torch.Tensor) else x for x in (left, right)]
    try:
        match sign:
            case "+":
                return np.asarray(sides[0] + sides[1])
            case "-":
                return np.asarray(sides[0] - sides[1])
            case "*":
                return np.asarray(sides[0] * sides[1])
            case "**" if isinstance(right, int) and 0 <= right <= 64:
                return np.asarray(sides[0] ** right)
    except Exception:
        return None
    return None


def _beyond(look: Look, node: ast.AST, exact: np.ndarray, kind: torch.dtype) -> str | None:
    bounds = torch.iinfo(kind)
    count = sum(not bounds.min <= value <= bounds.max for value in exact.ravel().tolist())
    if not count:
        return None
    holds = f"{describe.dtype_name(kind)} holds {bounds.min:,} to {bounds.max:,}"
    return f"{look.text(node)} wrapped around in {count:,} of {exact.size:,} elements: {holds}"


def from_numpy(look: Look) -> str | None:
    """float64 that came from NumPy, whose numbers it is."""
    if torch.get_default_dtype() != torch.float32:
        return None
    calls = [node.func.attr for node in look.nodes(ast.Call) if isinstance(node.func, ast.Attribute)]
    arrays = any(isinstance(value, np.ndarray) and value.dtype == np.float64 for value in look.before.values())
    made = arrays or any(isinstance(node, ast.Name) and node.id == "np" for node in look.nodes(ast.Name))
    if not made or not any(call in _FROM_NUMPY for call in calls):
        return None
    for name, tensor in look.results():
        if tensor.dtype == torch.float64 and not any("dtype" in str(k.arg) for k in look.nodes(ast.keyword)):
            return f"{name} is float64, as NumPy's numbers are, and torch's layers are float32: .float() converts"
    return None


def equality(look: Look) -> str | None:
    """Floating-point numbers compared exactly."""
    for node in look.nodes(ast.Compare):
        if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = [look.operand(side) for side in (node.left, node.comparators[0])]
        floats = [side for side in sides if isinstance(side, torch.Tensor) and side.is_floating_point()]
        whole = any(isinstance(side, int) or (isinstance(side, float) and side.is_integer()) for side in sides)
        if floats and not whole and len(floats) == sum(isinstance(side, torch.Tensor) for side in sides):
            return f"{look.text(node)} compares floats exactly: torch.isclose allows for rounding"
    return None


def uncalled(look: Look) -> str | None:
    """is_available without its brackets, as a truth value."""
    tests = [node.test for node in look.nodes(ast.IfExp, ast.If, ast.While)]
    tests += [part for node in look.nodes(ast.BoolOp) for part in node.values]
    tests += [node.operand for node in look.nodes(ast.UnaryOp) if isinstance(node.op, ast.Not)]
    for test in tests:
        if isinstance(test, ast.Attribute) and test.attr == "is_available":
            text = look.text(test)
            return f"{text} is not called, and a function is always true: {text}()"
    return None


def dimless(look: Look) -> str | None:
    """softmax or argmax of a batch without a dimension."""
    for node in look.nodes(ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name not in _DIMLESS or any(k.arg in ("dim", "axis") for k in node.keywords):
            continue
        owner = look.operand(node.func.value)
        subject = owner if isinstance(owner, torch.Tensor) else look.operand(node.args[0]) if node.args else None
        others = len(node.args) - (not isinstance(owner, torch.Tensor))
        if isinstance(subject, torch.Tensor) and subject.dim() > 1 and others == 0:
            sizes = list(subject.shape)
            what = f"looks at all {subject.numel():,} elements" if name.startswith("arg") else "chooses one by itself"
            return f"{name} of {sizes} without dim {what}: dim={subject.dim() - 1} is along the last dimension"
    return None


def not_finite(look: Look) -> str | None:
    """NaN or infinity where there was none before, and none is written."""
    if re.search(r"nan|inf", look.statement.source, re.IGNORECASE):
        return None
    for name, tensor in look.results():
        if not _has_odd(tensor) or any(_has_odd(value) for value in look.before.values()):
            continue
        node = _maker(look)
        about = look.text(node) if node is not None else name
        made = look.operand(node) if node is not None else None
        return f"{about} made {_counted(made if isinstance(made, torch.Tensor) else tensor)}"
    return None


def _has_odd(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.layout is not torch.strided:
        return False
    if value.is_meta or value.numel() > MAX_ELEMENTS:
        return False
    return not bool(torch.isfinite(value.detach()).all())


def _counted(tensor: torch.Tensor) -> str:
    values = tensor.detach()
    nan, inf = int(torch.isnan(values).sum()), int(torch.isinf(values).sum())
    kinds = [f"{nan:,} NaN" if nan else "", f"{inf:,} {'infinity' if inf == 1 else 'infinities'}" if inf else ""]
    return f"{' and '.join(kind for kind in kinds if kind)} (of {tensor.numel():,} elements)"


def _maker(look: Look) -> ast.expr | None:
    """The innermost expression that is not finite although all within it is."""
    with apart.apart(seconds=SECONDS):
        for node in look.nodes(ast.Call, ast.BinOp, ast.UnaryOp, ast.Subscript):
            value = _apart(look, node)
            if _has_odd(value):
                inner = [part for part in ast.walk(node) if part is not node and isinstance(part, ast.Call | ast.BinOp)]
                if not any(_has_odd(_apart(look, part)) for part in inner):
                    look._found[id(node)] = value
                    return node  # type: ignore[no-any-return]
    return None


def _apart(look: Look, node: ast.expr) -> Any:
    try:
        return apart.value_of(node, {**look.after, **look.before}, trust=look.trust)
    except Exception:
        return None


@dataclass(frozen=True)
class Kind:
    """One kind of surprise: what must stand in a statement for it to be looked for, and who looks."""

    name: str
    nodes: tuple[type[ast.AST], ...]
    find: Callable[[Look], str | None]


_OPERATIONS = (ast.BinOp, ast.AugAssign)
KINDS = (
    Kind("outer product", _OPERATIONS, outer_product),
    Kind("meta", (*_OPERATIONS, ast.Call), meta_device),
    Kind("wrapped", _OPERATIONS, wrapped),
    Kind("float64", (ast.Call,), from_numpy),
    Kind("equality", (ast.Compare,), equality),
    Kind("uncalled", (ast.Attribute,), uncalled),
    Kind("dimless", (ast.Call,), dimless),
    Kind("not finite", (*_OPERATIONS, ast.Call), not_finite),
)


class Watch:
    """What has been said in a session. Kinds that were said are not looked for again."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def before(self, statement: Statement, names: Mapping[str, Any]) -> dict[str, Any] | None:
        """The values of the names that a statement mentions, before it runs; None where nothing could be said of it.

        Narrow integers are copied where they are small: an operator in place changes them.
        """
        kinds: set[type[ast.AST]] = set()
        mentioned: list[str] = []
        for node in ast.walk(statement.node):
            kinds.add(type(node))
            if isinstance(node, ast.Name):
                mentioned.append(node.id)
        if not any(kind.name not in self._said and kinds & set(kind.nodes) for kind in KINDS):
            return None
        values = {name: names[name] for name in mentioned if name in names}
        if ast.AugAssign in kinds:
            values = {name: _kept(value) for name, value in values.items()}
        return values

    def notes(
        self, statement: Statement, before: Mapping[str, Any], value: Any, names: Mapping[str, Any], *, trust: bool
    ) -> Iterator[str]:
        """What is surprising in a statement that succeeded, each kind once. Never raises."""
        try:
            look = Look(statement.again(), before, names, value, trust)
            present = {type(node) for node in ast.walk(look.statement.node)}
        except Exception:
            return
        for kind in KINDS:
            if kind.name in self._said or not present & set(kind.nodes):
                continue
            try:
                note = kind.find(look)
            except Exception:  # an odd value: nothing is said of it
                continue
            if note:
                self._said.add(kind.name)
                yield f"note: {note}"


def _kept(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype in _NARROW and value.numel() <= SMALL:
        return value.clone()
    return value
