"""Mistakes that raise nothing, told in one line each: said once per session and kind.

A kind is one entry of KINDS: what must stand in a statement for it to be looked for, and a function that looks.
"""

import ast
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tensorcli.engine import apart, describe
from tensorcli.engine.look import Look, Operation, Plan, is_library
from tensorcli.language import Statement

MAX_ELEMENTS = 1_000_000  # of a result whose sub-expressions are searched for NaN, and of one that is counted again
MAX_SUMMED = 16_000_000  # of a result that is looked at for NaN
MAX_CLONED = 100_000  # of a tensor that is copied before a statement that may change it
SECONDS = 0.2  # to find the sub-expression that made the first NaN
MAX_PLANS = 300

Finder = Callable[[Look, ast.AST], str | None]

_NARROW = (torch.uint8, torch.int8, torch.int16)
_INTEGERS = (*_NARROW, torch.int32, torch.int64)
_SAME = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
    "__lshift__": "bitwise_left_shift",
}  # fmt: skip
_ELEMENTWISE = frozenset(
    "add sub mul div floor_divide remainder pow eq ne lt le gt ge maximum minimum atan2 where".split()
)
_LOSSES = frozenset("loss mse_loss l1_loss smooth_l1_loss huber_loss poisson_nll_loss kl_div soft_margin_loss".split())
_CONVERTING = frozenset("float half bfloat16 type type_as int long bool double to numpy".split())
_TO_ANOTHER = ("to", "copy", "set")  # methods that take a tensor on another device on purpose


def _named(operation: Operation) -> str:
    return _SAME.get(operation.name, operation.name)


# The kinds. Each gives its note, or None.


def outer_product(look: Look, node: ast.AST) -> str | None:
    """[n, 1] with [n] gives [n, n]."""
    operation = look.operation(node)
    if operation is None or operation.in_place or len(operation.operands) != 2:
        return None
    if _named(operation) not in _ELEMENTWISE | _LOSSES or any(_is_stretched(part) for part in operation.operands):
        return None
    found = look.tensors(node)
    if found is None:
        return None
    for column, row, text in (
        (found[1], found[2], operation.operands[1]),
        (found[2], found[1], operation.operands[0]),
    ):
        n = row.shape[0] if row.dim() == 1 else 0
        if n > 1 and tuple(column.shape) == (n, 1):
            pairs = f"{look.text(text)}.unsqueeze(1) pairs them one by one"
            return f"{look.text(node)} stretches [{n}, 1] with [{n}] to [{n}, {n}]: {pairs}"
    return None


def _is_stretched(node: ast.expr) -> bool:
    """Whether an operand is given a dimension where it stands, on purpose: `x[:, None]`."""
    match node:
        case ast.Subscript(slice=index):
            return any(isinstance(part, ast.Constant) and part.value is None for part in ast.walk(index))
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in ("unsqueeze", "view", "reshape", "expand")
    return False


def meta_device(look: Look, node: ast.AST) -> str | None:
    """A real tensor with one on the meta device."""
    operation = look.operation(node)
    if operation is None or not look.mentions(lambda v: isinstance(v, torch.Tensor) and v.is_meta, "meta"):
        return None
    if operation.name in _TO_ANOTHER or operation.name.endswith(("_as", "_like")):
        return None
    values = [look.operand(part) for part in operation.operands]
    tensors = [value for value in values if isinstance(value, torch.Tensor) and (value.is_meta or value.dim())]
    kinds = sorted({tensor.device.type for tensor in tensors})
    if "meta" not in kinds or len(kinds) < 2:
        return None
    return f"{look.text(node)} mixes {' and '.join(kinds)}: meta tensors have no values to compute with"


_EXACTLY: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "bitwise_left_shift": torch.bitwise_left_shift,
    "pow": torch.pow,
    "neg": torch.neg,
}


def wrapped(look: Look, node: ast.AST) -> str | None:
    """Integers that wrapped around."""
    operation = look.operation(node)
    if operation is None or _named(operation) not in _EXACTLY or operation.keywords:
        return None
    words = ("int8", "int16", "byte", "short", "char") if _named(operation) != "pow" else ("",)
    if not look.mentions(lambda v: isinstance(v, torch.Tensor) and v.dtype in _NARROW, *words):
        return None
    sides = [look.operand(part) for part in operation.operands]
    if not 0 < len(sides) < 3 or not all(_is_whole(side) for side in sides) or not _is_counted(*sides):
        return None
    kind = _result_type(operation, sides)
    if kind not in _NARROW and not (kind in _INTEGERS and _named(operation) == "pow"):
        return None
    wide = torch.float64 if _named(operation) == "pow" else torch.int64
    exact = _EXACTLY[_named(operation)](
        *(side.detach().to(wide) if isinstance(side, torch.Tensor) else side for side in sides)
    )
    return _beyond(look.text(node), exact, kind)


def _is_whole(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dtype in _INTEGERS and not value.is_meta
    return isinstance(value, int) and not isinstance(value, bool)


def _is_counted(*values: Any) -> bool:
    sizes = [value.numel() for value in values if isinstance(value, torch.Tensor)]
    return bool(sizes) and max(sizes) <= MAX_ELEMENTS


def _result_type(operation: Operation, sides: list[Any]) -> torch.dtype:
    first: torch.dtype | None = getattr(sides[0], "dtype", None)
    if first and (operation.in_place or len(sides) == 1):
        return first
    return torch.result_type(*sides)


def _beyond(text: str, exact: torch.Tensor, kind: torch.dtype) -> str | None:
    bounds = torch.iinfo(kind)
    low = exact < bounds.min
    high = exact >= 2.0**63 if exact.is_floating_point() and kind == torch.int64 else exact > bounds.max
    outside = low | high
    count = int(outside.sum())
    if not count:
        return None
    where = "" if low.any() and high.any() else f" below {bounds.min:,}" if low.any() else f" above {bounds.max:,}"
    among = "" if exact.dim() == 0 else f" in {count:,} of {exact.numel():,} elements"
    return f"{text} wrapped around{where}{among}{_example(exact[outside], bounds)}: {_range(kind)}"


def _example(outside: torch.Tensor, bounds: torch.iinfo) -> str:
    if outside.is_floating_point():
        return ""
    first = int(outside.flatten()[0])
    return f" ({first:,} became {(first - bounds.min) % (1 << bounds.bits) + bounds.min:,})"


def _range(kind: torch.dtype) -> str:
    bounds = torch.iinfo(kind)
    if bounds.bits == 64:
        return f"{describe.dtype_name(kind)} ends at 2**63 - 1, float64 goes further"
    return f"{describe.dtype_name(kind)} holds {bounds.min:,} to {bounds.max:,}"


def narrow_sum(look: Look, node: ast.AST) -> str | None:
    """A sum in small integers, asked for with dtype, that wrapped around."""
    operation = look.operation(node)
    if operation is None or operation.name not in ("sum", "prod", "cumsum", "cumprod") or not operation.operands:
        return None
    options = {str(keyword.arg): look.operand(keyword.value) for keyword in operation.keywords}
    subject, *rest = (look.operand(part) for part in operation.operands)
    kind = options.pop("dtype", None)
    if kind not in _NARROW or not isinstance(subject, torch.Tensor) or not _is_counted(subject) or subject.is_meta:
        return None
    exact = getattr(subject.detach(), operation.name)(*rest, **options, dtype=torch.int64)
    return _beyond(look.text(node), exact, kind)


def rounded_to_zero(look: Look, node: ast.AST) -> str | None:
    """A division of whole numbers that gave nothing but 0."""
    operation = look.operation(node)
    if operation is None or _named(operation) not in ("floor_divide", "div") or len(operation.operands) != 2:
        return None
    options = {str(keyword.arg): look.operand(keyword.value) for keyword in operation.keywords}
    mode = "floor" if operation.name == "floor_divide" else options.get("rounding_mode")
    if mode is None:
        return None
    above, below = (look.operand(part) for part in operation.operands)
    if not (_is_whole(above) and _is_whole(below) and _is_counted(above, below)):
        return None
    quotient = torch.div(above, below, rounding_mode=mode)
    if quotient.numel() < 2 or bool(quotient.any()) or not bool(torch.as_tensor(above).any()):
        return None
    sides = [look.text(part) for part in operation.operands]
    keeps = f"{sides[0]} / {sides[1]} keeps the fractions"
    return f"{look.text(node)} gave 0 for all {quotient.numel():,} elements: it rounds to whole numbers, {keeps}"


def from_numpy(look: Look, node: ast.AST) -> str | None:
    """float64 that came from NumPy, whose numbers it is."""
    assert isinstance(node, ast.Call)
    operation = look.operation(node)
    if operation is None or operation.name not in ("from_numpy", "tensor", "as_tensor", "asarray"):
        return None
    if torch.get_default_dtype() == torch.float64 or not is_library(node.func) or not operation.operands:
        return None
    if any(keyword.arg in ("dtype", None) for keyword in operation.keywords) or _is_converted(look, node):
        return None
    given = look.operand(operation.operands[0])
    if not _is_float64_array(given) and not (given is None and _gave_float64(look, node)):
        return None
    return f"{look.text(node)} is float64, as NumPy's numbers are, and torch's layers are float32: .float() converts"


def _is_float64_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype == np.float64


def _gave_float64(look: Look, node: ast.Call) -> bool:
    """Whether this call's own result is float64, and NumPy's doing."""
    results = [value for _, value in look.results()]
    made = look.mentions(lambda value: isinstance(value, np.ndarray), "np.", "numpy.")
    return made and look.whole() is node and getattr(results[0], "dtype", None) == torch.float64


def _is_converted(look: Look, node: ast.Call) -> bool:
    return any(
        isinstance(part, ast.Attribute) and part.value is node and part.attr in _CONVERTING
        for part in look.plan.certain
    )


def float64_mixed(look: Look, node: ast.AST) -> str | None:
    """Arithmetic that made float64 of float32, because of the other side."""
    operation = look.operation(node)
    if operation is None or operation.in_place or len(operation.operands) != 2:
        return None
    known = [_named(operation) in _ELEMENTWISE, _named(operation) not in ("eq", "ne", "lt", "le", "gt", "ge", "where")]
    if not all(known) or not look.mentions(lambda v: getattr(v, "dtype", 0) in _FLOAT64, "float64", "double", "np."):
        return None
    sides = [look.operand(part) for part in operation.operands]
    for one, other, text in ((sides[0], sides[1], 1), (sides[1], sides[0], 0)):
        if not isinstance(one, torch.Tensor) or one.dtype != torch.float32:
            continue
        name = look.text(operation.operands[text])
        if isinstance(other, np.ndarray) and other.dtype == np.float64:
            return f"{look.text(node)} is float64, as NumPy's {name} is: torch.from_numpy({name}).float() keeps float32"
        if isinstance(other, torch.Tensor) and torch.result_type(one, other) == torch.float64:
            return f"{look.text(node)} is float64, because {name} is: {name}.float() keeps float32"
    return None


_FLOAT64 = (torch.float64, np.dtype(np.float64))
_ROUNDING = frozenset("round floor ceil trunc sign sgn heaviside".split())


def equality(look: Look, node: ast.AST) -> str | None:
    """Floating-point numbers compared exactly."""
    assert isinstance(node, ast.Compare)
    if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return None
    sides = (node.left, node.comparators[0])
    if _is_within(*sides) or _is_within(*reversed(sides)) or any(_is_rounded(side) for side in sides):
        return None
    values = []
    for side in sorted(sides, key=lambda part: not isinstance(part, ast.Name | ast.Constant)):
        values.append(look.operand(side))
        if not _is_inexact(values[-1]):
            return None
    if not any(isinstance(value, torch.Tensor) for value in values):
        return None
    close = "torch.isclose compares element by element, and torch.allclose the whole, with room for rounding"
    return f"{look.text(node)} compares floats exactly: {close}"


def _is_within(inner: ast.expr, outer: ast.expr) -> bool:
    """Whether one side is made of the other, as in `x == x.max()` and `x != x`."""
    text = ast.dump(inner)
    return not isinstance(inner, ast.Constant) and any(ast.dump(part) == text for part in ast.walk(outer))


def _is_rounded(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ROUNDING


def _is_inexact(value: Any) -> bool:
    """Whether a value is a float that rounding may have touched: no whole number, no infinity."""
    if isinstance(value, torch.Tensor):
        if not value.is_floating_point() or value.is_meta:
            return False
        return value.numel() > MAX_ELEMENTS or not bool((value.detach() == value.detach().trunc()).all())
    return isinstance(value, float) and not value.is_integer() and value - value == 0


_CALLABLE = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)


def uncalled(look: Look, node: ast.AST) -> str | None:
    """A function without its brackets, as a truth value: torch.cuda.is_available."""
    for test in _truths(node):
        if not isinstance(test, ast.Attribute):
            continue
        library = is_library(test)
        if not library and (node in look.plan.unsure or not isinstance(look.operand(test.value), torch.Tensor)):
            continue
        if isinstance(look.operand(test), _CALLABLE):
            text = look.text(test)
            return f"{text} is not called, and a function is always true: {text}()"
    return None


def _truths(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return [test]
        case ast.BoolOp(values=values):
            return values
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
    return []


_PICKING = ("argmax", "argmin")


def dimless(look: Look, node: ast.AST) -> str | None:
    """softmax or argmax of a batch without a dimension."""
    operation = look.operation(node)
    if operation is None or operation.name not in (*_PICKING, "softmax", "log_softmax", "softmin"):
        return None
    if len(operation.operands) != 1 or any(keyword.arg in ("dim", "axis", None) for keyword in operation.keywords):
        return None
    subject = look.operand(operation.operands[0])
    if not isinstance(subject, torch.Tensor) or subject.dim() < 2 or "unravel_index" in look.plan.statement.source:
        return None
    what, last = f"{operation.name} of {list(subject.shape)} without dim", subject.dim() - 1
    if operation.name in _PICKING:
        return f"{what} looks at all {subject.numel():,} elements: dim={last} is along the last dimension"
    along = 0 if subject.dim() == 3 else 1  # what torch chooses
    return f"{what} goes along dimension {along}: " + (
        f"write dim={last}" if along == last else f"dim={last} is the last"
    )


_ODD_NAMES = frozenset("inf nan Inf NaN infty empty empty_like new_empty empty_strided empty_permuted".split())


def not_finite(look: Look, node: ast.AST) -> str | None:
    """NaN or infinity where there was none before, and none is written."""
    if node is not look.plan.statement.node:
        return None
    for name, result in look.results():
        value = next((part for part in _parts(result) if _is_odd(part)), None)
        if value is None:
            continue
        if any(_is_written(part) for part in (*look.plan.certain, *look.plan.unsure)) or _had_odd(look):
            return None
        found = _maker(look) if getattr(value, "numel", lambda: 0)() <= MAX_ELEMENTS else None
        if found:
            return f"{look.text(found[0])} {_made(found[1])}"
        if look.plan.repeated:
            return f"{name} is not finite: it {_made(value).replace('made', 'holds')}"
        return f"{look.text(look.whole() or node)} {_made(value)}"
    return None


def _parts(value: Any) -> Iterator[Any]:
    """A value, and the tensors that it holds."""
    if isinstance(value, tuple | list) and len(value) <= 100:
        for part in value:
            yield from _parts(part)
    elif isinstance(value, dict) and len(value) <= 100:
        yield from _parts(list(value.values()))
    elif isinstance(value, torch.nn.Module):
        yield from (*value.parameters(), *value.buffers())
    else:
        yield value


def _is_odd(value: Any) -> bool:
    """Whether a float or a tensor of floats holds NaN or infinity. A sum that is finite says no at once."""
    if isinstance(value, float):
        return value - value != 0
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size <= MAX_SUMMED and not np.isfinite(value).all()
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.layout is not torch.strided:
        return False
    if value.is_meta or value.is_nested or value.numel() > MAX_SUMMED:
        return False
    values = value.detach()
    total = float(values.sum())
    return total - total != 0 and not bool(torch.isfinite(values).all())


def _is_written(node: ast.AST) -> bool:
    """Whether a node speaks of NaN or infinity, or makes a tensor of whatever was in memory."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _ODD_NAMES
        case ast.Constant(value=str() as text):
            return bool(re.fullmatch(r"[+-]?(inf|infinity|nan)", text.strip(), re.IGNORECASE))
        case ast.Constant(value=float() as number):
            return number - number != 0
    return False


def _had_odd(look: Look) -> bool:
    """Whether what the statement could read held NaN or infinity before it."""
    names = apart.used([look.plan.statement.node], {**look.after, **look.before})
    known = {**look.after, **look.before}
    fresh = set(look.plan.stored) - look.before.keys()
    return any(_is_odd(part) for name in names - fresh for part in _parts(known[name]))


def _made(value: Any) -> str:
    values = torch.as_tensor(value).detach()
    nan, infinite = int(torch.isnan(values).sum()), int(torch.isinf(values).sum())
    if values.numel() == 1:
        return "made NaN" if nan else "made an infinity"
    counts = [f"{nan:,} NaN" if nan else "", _count_of(infinite)]
    return f"made {' and '.join(filter(None, counts))} of {values.numel():,} elements"


def _count_of(infinite: int) -> str:
    return f"{infinite:,} {'infinity' if infinite == 1 else 'infinities'}" if infinite else ""


def _maker(look: Look) -> tuple[ast.expr, Any] | None:
    """The first expression, in the order of evaluation, whose value is not finite, with that value."""
    if look.plan.repeated:
        return None
    with apart.apart(seconds=SECONDS, random_state=look.random_state):
        for node in look.plan.certain:
            if isinstance(node, ast.Call | ast.BinOp | ast.UnaryOp):
                value = look.operand(node)
                if value is None and not look.trust:  # what --trust allows may have effects outside of Python
                    value = _apart(look, node)
                if any(_is_odd(part) for part in _parts(value)):
                    return node, next(part for part in _parts(value) if _is_odd(part))
    return None


def _apart(look: Look, node: ast.expr) -> Any:
    try:
        return apart.value_of(node, {**look.after, **look.before}, trust=look.trust)
    except Exception:
        return None


# The table.


@dataclass(frozen=True)
class Kind:
    """One kind of surprise. Entries of the same name are one kind: it is said once."""

    name: str
    nodes: tuple[type[ast.AST], ...]  # what it is looked for at
    find: Finder
    by_value: bool = False  # it depends on values, and not on shapes and dtypes alone
    everywhere: bool = False  # it is found in functions, too
    torch: str | None = None  # how torch's own warning of the same begins


_OPERATIONS = (ast.BinOp, ast.AugAssign, ast.Call)
_CHANGING = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.With)
_TESTS = (ast.If, ast.IfExp, ast.While, ast.Assert, ast.BoolOp, ast.UnaryOp)
_LIVELY = (*_OPERATIONS, *_TESTS, ast.Compare)  # a statement without any of these surprises nobody
KINDS = (
    Kind("outer product", (*_OPERATIONS, ast.Compare), outer_product, torch="Using a target size"),
    Kind("meta", (*_OPERATIONS, ast.Compare), meta_device),
    Kind("integers", (*_OPERATIONS, ast.UnaryOp), wrapped, by_value=True),
    Kind("integers", (ast.Call,), narrow_sum, by_value=True),
    Kind("zeros", _OPERATIONS, rounded_to_zero, by_value=True),
    Kind("float64", (ast.Call,), from_numpy),
    Kind("float64", (ast.BinOp, ast.Call), float64_mixed),
    Kind("equality", (ast.Compare,), equality, by_value=True),
    Kind("uncalled", _TESTS, uncalled, everywhere=True),
    Kind("dimless", (ast.Call,), dimless, torch="Implicit dimension choice"),
    Kind("not finite", _CHANGING, not_finite),
)


@dataclass(frozen=True)
class Seen:
    """What must be known of a statement before it runs: its plan, where to look, and its variables' values."""

    plan: Plan
    looks: tuple[tuple[Kind, ast.AST], ...]
    values: dict[str, Any]


class Watch:
    """What has been said in a session. Kinds that were said are not looked for again."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._latest: list[Kind] = []
        self._plans: dict[str, tuple[Plan, tuple[tuple[Kind, ast.AST], ...]]] = {}

    def before(self, statement: Statement, names: Mapping[str, Any]) -> Seen | None:
        """References to the values of the names that a statement mentions, before it runs; None where nothing could
        be said of it. Small tensors that it may change in place are copied. Never raises.
        """
        self._latest = []
        try:
            plan, looks = self._planned(statement)
            if not looks:
                return None
            values = {name: names[name] for name in plan.names if name in names}
            values.update((name, _kept(values[name])) for name in plan.changed if name in values)
        except Exception:
            return None
        return Seen(plan, looks, values)

    def _planned(self, statement: Statement) -> tuple[Plan, tuple[tuple[Kind, ast.AST], ...]]:
        found = self._plans.get(statement.source)
        if found is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = Plan.of(statement)
            found = self._plans[statement.source] = plan, tuple(_looks(plan))
        return found

    def notes(
        self,
        seen: Seen,
        value: Any,
        names: Mapping[str, Any],
        *,
        trust: bool = False,
        random_state: torch.Tensor | None = None,
    ) -> list[str]:
        """What is surprising in a statement that succeeded, each kind once. Never raises."""
        look = Look(seen.plan, seen.values, names, value, trust, random_state)
        found = []
        for kind, node in seen.looks:
            if kind.name in self._said:
                continue
            try:
                note = None if kind.by_value and not look.is_sure(node) else kind.find(look, node)
            except Exception:  # an odd value: nothing is said of it
                continue
            if note:
                self._said.add(kind.name)
                self._latest.append(kind)
                found.append(f"note: {note}")
        return found

    def covers(self, warning: str) -> bool:
        """Whether a note on the latest statement says what this warning of torch's says."""
        return any(kind.torch is not None and kind.torch in warning for kind in self._latest)


def _looks(plan: Plan) -> Iterator[tuple[Kind, ast.AST]]:
    """Where to look for what: the surprises inside first, and NaN last."""
    calm = not any(isinstance(node, _LIVELY) for node in plan.certain)
    for kind in KINDS:
        nodes = [] if calm else plan.certain
        nodes = [*nodes, *plan.unsure] if kind.everywhere else nodes
        yield from ((kind, node) for node in nodes if isinstance(node, kind.nodes))


def _kept(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.numel() <= MAX_CLONED and not value.is_meta:
        return value.detach().clone()
    return value
