"""Mistakes that raise nothing, told in one line each: said once per session and kind.

A kind is one entry of KINDS: the operations at which it is looked for, and a function that looks. What torch itself
warns of (losses of two shapes, softmax without dim) is not told again.
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
from tensorcli.engine.look import QUICK, SMALL, Look, Operation, Plan, is_library
from tensorcli.language import Statement

MAX_ELEMENTS = 1_000_000  # of a tensor that is summed again, and of a result whose maker is searched for
MAX_SUMMED = 4_000_000  # elements of a result that are looked at for NaN: 0.2 ms
MAX_KEPT = 1 << 18  # bytes of a tensor that is copied before a statement that may change it
SECONDS = 0.2  # to find the sub-expression that made the first NaN
MAX_PLANS = 300

_NARROW = (torch.uint8, torch.int8, torch.int16)
_INTEGERS = (*_NARROW, torch.int32, torch.int64)
_COMPARED = frozenset("eq ne lt le gt ge".split())
_ARITHMETIC = frozenset("add sub mul div floor_divide remainder pow maximum minimum atan2".split())


# The kinds. Each gives its note, or None.


def outer_product(look: Look, operation: Operation) -> str | None:
    """[n, 1] with [n] gives [n, n]."""
    if len(operation.operands) != 2 or operation.in_place or any(map(_is_stretched, operation.operands)):
        return None
    if any(isinstance(part, ast.Name) and part.id in look.stretched for part in operation.operands):
        return None
    found = look.tensors(operation) or ()
    for at in range(len(found)):
        column, row = found[at], found[1 - at]
        n = row.shape[0] if row.dim() == 1 else 0
        if n > 1 and tuple(column.shape) == (n, 1):
            pairs = f"{look.atom(operation.operands[1 - at])}.unsqueeze(1) pairs them one by one"
            return f"{look.text(operation.node)} stretches [{n}, 1] with [{n}] to [{n}, {n}]: {pairs}"
    return None


def _is_stretched(node: ast.expr) -> bool:
    """Whether an operand is given a dimension where it stands, on purpose: `x[:, None]`, `x.sum(1, keepdim=True)`."""
    match node:
        case ast.Subscript(slice=index):
            return any(isinstance(part, ast.Constant) and part.value is None for part in ast.walk(index))
        case ast.Call(func=ast.Attribute(attr=name), keywords=keywords):
            kept = any(keyword.arg == "keepdim" for keyword in keywords)
            return kept or name in ("unsqueeze", "view", "reshape", "expand")
    return False


def meta_device(look: Look, operation: Operation) -> str | None:
    """A real tensor with one on the meta device."""
    if not look.mentions(_is_meta, "meta") or operation.name in ("to", "copy", "set", "call"):
        return None
    if operation.name.endswith(("_as", "_like")):
        return None
    values = [look.operand(part) for part in operation.operands]
    tensors = [value for value in values if isinstance(value, torch.Tensor) and (value.is_meta or value.dim())]
    kinds = sorted({tensor.device.type for tensor in tensors})
    if "meta" not in kinds or len(kinds) < 2 or values[0] is not tensors[0]:
        return None
    return f"{look.text(operation.node)} mixes {' and '.join(kinds)}: meta tensors have no values to compute with"


def _is_meta(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_meta


def wrapped(look: Look, operation: Operation) -> str | None:
    """Integers that wrapped around."""
    words = ("int8", "int16", "byte", "short", "char") if operation.name != "pow" else ("**", "pow")
    if operation.keywords or not look.mentions(lambda value: getattr(value, "dtype", None) in _NARROW, *words):
        return None
    sides = [look.operand(part) for part in operation.operands]
    if not 0 < len(sides) < 3 or not all(map(_is_whole, sides)):
        return None
    own = operation.in_place or len(sides) == 1
    kind = sides[0].dtype if own else torch.result_type(*sides)
    if kind not in _NARROW and (kind not in _INTEGERS or operation.name != "pow"):
        return None
    wide = torch.float64 if operation.name == "pow" else torch.int64
    known = [side.to(wide) if isinstance(side, torch.Tensor) else side for side in _first(sides)]
    return _beyond(look, operation, getattr(torch, operation.name)(*known), kind) if known else None


def _is_whole(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dtype in _INTEGERS and not value.is_meta
    return isinstance(value, int) and not isinstance(value, bool)


def _first(values: list[Any]) -> list[Any]:
    """Operands that are quickly computed with: of large tensors of one shape the first elements, of others none."""
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if all(tensor.numel() <= SMALL for tensor in tensors):
        return values
    if len({tensor.shape for tensor in tensors}) > 1 or not all(tensor.is_contiguous() for tensor in tensors):
        return []
    return [value.view(-1)[:SMALL] if isinstance(value, torch.Tensor) else value for value in values]


def _beyond(look: Look, operation: Operation, exact: torch.Tensor, kind: torch.dtype) -> str | None:
    bounds = torch.iinfo(kind)
    low = exact < bounds.min
    high = exact >= 2.0**63 if exact.is_floating_point() and kind == torch.int64 else exact > bounds.max
    outside = exact[low | high]
    if not outside.numel():
        return None
    where = "" if low.any() and high.any() else f" below {bounds.min:,}" if low.any() else f" above {bounds.max:,}"
    among = _among(outside.numel(), exact)
    holds = f"{describe.dtype_name(kind)} holds {bounds.min:,} to {bounds.max:,}"
    example = ""
    if not exact.is_floating_point():
        value = int(outside.flatten()[0])
        example = f" ({value:,} became {(value - bounds.min) % (1 << bounds.bits) + bounds.min:,})"
    elif bounds.bits == 64:
        holds = f"{describe.dtype_name(kind)} ends at 2**63 - 1, float64 goes further"
    return f"{look.text(operation.node)} wrapped around{where}{among}{example}: {holds}"


def _among(count: int, elements: torch.Tensor) -> str:
    first = "the first " if elements.shape == (SMALL,) else ""
    return f" in {count:,} of {first}{elements.numel():,} elements" if elements.dim() else ""


def narrow_sum(look: Look, operation: Operation) -> str | None:
    """A sum in small integers, asked for with dtype, that wrapped around."""
    options = {str(keyword.arg): look.operand(keyword.value) for keyword in operation.keywords}
    kind = options.pop("dtype", None)
    if kind not in _NARROW or not operation.operands:
        return None
    subject, *rest = (look.operand(part) for part in operation.operands)
    if not _is_whole(subject) or subject.numel() > MAX_ELEMENTS:
        return None
    exact = getattr(subject, operation.name)(*rest, **options, dtype=torch.int64)
    return _beyond(look, operation, exact, kind)


def rounded_to_zero(look: Look, operation: Operation) -> str | None:
    """A division of whole numbers that gave nothing but 0."""
    modes = [look.operand(keyword.value) for keyword in operation.keywords if keyword.arg == "rounding_mode"]
    mode = "floor" if operation.name == "floor_divide" else modes[0] if modes else None
    sides = [look.operand(part) for part in operation.operands] if mode else []
    if len(sides) != 2 or not all(map(_is_whole, sides)) or _first(sides) is not sides:
        return None
    quotient = torch.div(*sides, rounding_mode=mode)
    if quotient.numel() < 2 or bool(quotient.any()) or not bool(torch.as_tensor(sides[0]).any()):
        return None
    above, below = (look.atom(part) for part in operation.operands)
    rounds = f"it rounds to whole numbers, {above} / {below} keeps the fractions"
    return f"{look.text(operation.node)} gave 0 for all {quotient.numel():,} elements: {rounds}"


def from_numpy(look: Look, operation: Operation) -> str | None:
    """float64 that came from NumPy, whose numbers it is."""
    node = operation.node
    assert isinstance(node, ast.Call)
    if torch.get_default_dtype() == torch.float64 or not is_library(node.func) or not operation.operands:
        return None
    if any(keyword.arg in ("dtype", None) for keyword in operation.keywords) or _is_converted(look, node):
        return None
    given = look.operand(operation.operands[0])
    if not _is_double(given, np.ndarray, np.generic) and not (given is None and _gave_double(look, node)):
        return None
    return f"{look.text(node)} is float64, as NumPy's numbers are, and torch's layers are float32: .float() converts"


def _is_double(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and value.dtype in (torch.float64, np.float64)  # type: ignore[attr-defined]


def _gave_double(look: Look, node: ast.Call) -> bool:
    """Whether this call's own result is float64, and NumPy's doing."""
    made = look.mentions(lambda value: isinstance(value, np.ndarray), "np.", "numpy.")
    return made and look.whole() is node and any(_is_double(value, torch.Tensor) for _, value in look.results())


_CONVERTING = frozenset("float half bfloat16 type type_as int long bool double to numpy".split())


def _is_converted(look: Look, node: ast.Call) -> bool:
    return any(
        isinstance(part, ast.Attribute) and part.value is node and part.attr in _CONVERTING
        for part in ast.walk(look.plan.statement.node)
    )


def mixed_with_double(look: Look, operation: Operation) -> str | None:
    """Arithmetic that made float64 of float32, because of the other side."""
    known = look.mentions(lambda value: _is_double(value, torch.Tensor, np.ndarray), "np.")
    if not known or len(operation.operands) != 2 or operation.in_place:
        return None
    for at in (0, 1):
        single, double = look.operand(operation.operands[at]), look.operand(operation.operands[1 - at])
        name, atom = look.text(operation.operands[1 - at]), look.atom(operation.operands[1 - at])
        if not isinstance(single, torch.Tensor) or single.dtype != torch.float32 or "double" in name or "64" in name:
            continue
        if _is_double(double, torch.Tensor) and torch.result_type(single, double) == torch.float64:
            return f"{look.text(operation.node)} is float64, because {name} is: {atom}.float() keeps float32"
        if _is_double(double, np.ndarray):
            keeps = f"torch.from_numpy({name}).float() keeps float32"
            return f"{look.text(operation.node)} is float64, as NumPy's {name} is: {keeps}"
    return None


def equality(look: Look, operation: Operation) -> str | None:
    """Numbers that are different by rounding alone."""
    sides = [look.operand(part) for part in operation.operands]
    tensors = [side for side in sides if isinstance(side, torch.Tensor) and side.is_floating_point()]
    if not tensors or len(tensors) + sum(type(side) in (int, float) for side in sides) < 2:
        return None
    known = [torch.as_tensor(side, dtype=tensors[0].dtype) for side in _first(sides)]
    if not known or known[0].dtype != known[1].dtype or any(map(_is_meta, known)):
        return None
    one, other = known
    if bool((one == one.round()).all()) and bool((other == other.round()).all()):
        return None  # whole numbers differ because they are different
    room = 2 if one.element_size() < 4 else 16  # in units of the last place
    close = torch.isclose(one, other, rtol=room * torch.finfo(one.dtype).eps, atol=0)
    count = int((close & (one != other)).sum())
    sides_of = f"the sides of {look.text(operation.node)} differ by rounding alone"
    return f"{sides_of}{_among(count, close)}: torch.isclose leaves room for it" if count else None


_CALLABLE = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)


def uncalled(look: Look, operation: Operation) -> str | None:
    """A function without its brackets, as a truth value: torch.cuda.is_available."""
    for test in operation.operands:
        if not isinstance(test, ast.Attribute):
            continue
        owned = operation.sure and isinstance(look.operand(test.value), torch.Tensor)
        if (owned or is_library(test)) and isinstance(look.operand(test), _CALLABLE):
            text = look.text(test)
            return f"{text} is not called, and a function is always true: {text}()"
    return None


def not_called(look: Look, operation: Operation) -> str | None:
    """A statement that names what a layer, an optimizer or a tensor does, and does not do it: m.eval."""
    owner = look.operand(operation.operands[0])
    if not isinstance(owner, torch.nn.Module | torch.optim.Optimizer | torch.Tensor):
        return None
    if not isinstance(look.value, _CALLABLE) or isinstance(look.value, types.FunctionType):
        return None
    text = look.text(operation.node)
    return f"{text} is not called, and nothing is done: {text}()"


def repeated(look: Look, operation: Operation) -> str | None:
    """A tuple of results times a whole number: it is repeated, and its tensors are not multiplied."""
    for part, other in zip(operation.operands, operation.operands[::-1], strict=True):
        value = look.operand(part)
        if hasattr(value, "values") and isinstance(value, tuple) and isinstance(look.operand(other), int):
            text = look.text(part)
            return f"{look.text(operation.node)} repeats the two results of {text}: {text}.values is the tensor"
    return None


def cut_to_whole(look: Look, operation: Operation) -> str | None:
    """A fraction stored in a tensor of whole numbers."""
    owner, value = (look.operand(part) for part in operation.operands)
    if (
        not isinstance(owner, torch.Tensor)
        or owner.dtype not in _INTEGERS
        or not isinstance(value, float | torch.Tensor)
    ):
        return None
    fractions = torch.as_tensor(value)
    if (
        not fractions.is_floating_point()
        or fractions.numel() > MAX_ELEMENTS
        or bool((fractions == fractions.trunc()).all())
    ):
        return None
    name = look.text(operation.operands[0])
    what = f"{name} is {describe.dtype_name(owner.dtype)}, and the fractions are cut off"
    return f"{look.text(operation.node)}: {what}; {name} = {name}.float() keeps them"


def softmax_twice(look: Look, operation: Operation) -> str | None:
    """cross_entropy of probabilities: it applies softmax itself."""
    if operation.name == "call":
        assert isinstance(operation.node, ast.Call)
        if not isinstance(look.operand(operation.node.func), torch.nn.CrossEntropyLoss):
            return None
    scores = look.operand(operation.operands[0]) if len(operation.operands) > 1 else None
    if not isinstance(scores, torch.Tensor) or scores.dim() < 2 or not 0 < scores.numel() <= MAX_ELEMENTS:
        return None
    sums = scores.sum(1)
    if not scores.is_floating_point() or bool((scores < 0).any()) or not torch.allclose(sums, torch.ones_like(sums)):
        return None
    given = f"{look.text(operation.operands[0])} is probabilities already, which sum to 1"
    return f"{look.text(operation.node)} applies softmax itself, and {given}: give it the scores"


def dimless(look: Look, operation: Operation) -> str | None:
    """argmax of a batch without a dimension."""
    if len(operation.operands) != 1 or any(keyword.arg in ("dim", "axis", None) for keyword in operation.keywords):
        return None
    subject = look.operand(operation.operands[0])
    if not isinstance(subject, torch.Tensor) or subject.dim() < 2 or "unravel_index" in look.plan.statement.source:
        return None
    what = f"{operation.name} of {list(subject.shape)} without dim looks at all {subject.numel():,} elements"
    return f"{what}: dim={subject.dim() - 1} is along the last dimension"


def no_log(look: Look, operation: Operation) -> str | None:
    """nll_loss of probabilities, or of scores: it takes logarithms of probabilities, which are 0 at most."""
    subject = look.operand(operation.operands[0]) if operation.operands else None
    if not isinstance(subject, torch.Tensor) or subject.numel() > MAX_ELEMENTS or not (subject > 1e-3).any():
        return None
    given = f"{look.text(operation.operands[0])} has values above 0"
    what = f"{look.text(operation.node)} takes log-probabilities, and {given}"
    return f"{what}: log_softmax gives them, and cross_entropy takes the scores themselves"


# NaN and infinity.

_ODD_NAMES = frozenset(
    "inf nan Inf NaN infty empty empty_like new_empty empty_strided empty_permuted Tensor FloatTensor resize_".split()
)


def not_finite(look: Look, operation: Operation) -> str | None:
    """NaN or infinity where there was none before, and none is written."""
    node = operation.node
    for name, result in look.results():
        value = next(filter(_is_odd, _parts(result)), None)
        if value is None:
            continue
        if any(map(_is_written, ast.walk(node))) or look.mentions(_is_meta, "meta") or _had_odd(look):
            return None
        if not isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign):
            return f"{name} now holds {_counted(value)}"
        found = None if look.seconds > QUICK or getattr(value, "numel", int)() > MAX_ELEMENTS else _maker(look)
        about, value = found or (look.whole() or node, value)
        return f"{look.text(about)} made {_counted(value)}"
    return None


def _parts(value: Any) -> Iterator[Any]:
    """A value, and the tensors that it holds, each container in it once."""
    waiting, seen = [value], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple | list | dict) and len(value) <= 100:
            new = id(value) not in seen
            seen.add(id(value))
            waiting += reversed(list(value.values() if isinstance(value, dict) else value) if new else [])
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
    if value.is_meta or value.is_nested or (value.numel() > MAX_SUMMED and not value.is_contiguous()):
        return False
    values = value.detach() if value.numel() <= MAX_SUMMED else value.detach().view(-1)[:MAX_SUMMED]
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
    known = {**look.after, **look.before}
    fresh = set(look.plan.stored) - look.before.keys()
    names = apart.used([look.plan.statement.node], known) - fresh
    return any(_is_odd(part) for name in names for part in _parts(known[name]))


def _counted(value: Any) -> str:
    values = torch.as_tensor(value).detach()
    nan, infinite = int(torch.isnan(values).sum()), int(torch.isinf(values).sum())
    if values.numel() == 1:
        return "NaN" if nan else "an infinity"
    infinities = f"{infinite:,} {'infinity' if infinite == 1 else 'infinities'}"
    counts = [f"{nan:,} NaN"] * bool(nan) + [infinities] * bool(infinite)
    return f"{' and '.join(counts)} of {values.numel():,} elements"


def _maker(look: Look) -> tuple[ast.AST, Any] | None:
    """The first operation, in the order of evaluation, whose value is not finite, with that value."""
    with apart.apart(seconds=SECONDS, random_state=look.random_state):
        for operation in look.plan.operations:
            node = operation.node
            if not operation.sure or not isinstance(node, ast.Call | ast.BinOp | ast.UnaryOp):
                continue
            value = look.operand(node)
            if value is None and not look.trust:  # what --trust allows may have effects outside of Python
                value = _apart(look, node)
            if odd := list(filter(_is_odd, _parts(value))):
                return node, odd[0]
    return None


def _apart(look: Look, node: ast.expr) -> Any:
    try:
        return apart.value_of(node, {**look.after, **look.before}, trust=look.trust)
    except (Exception, KeyboardInterrupt):  # the statement has succeeded: nothing may take that back
        return None


# The table.


@dataclass(frozen=True)
class Kind:
    """One kind of surprise. Entries of the same name are one kind: it is said once."""

    name: str
    operations: frozenset[str] | None  # their names; any where None
    find: Callable[[Look, Operation], str | None]
    by_value: bool = False  # it depends on values, and not on shapes and dtypes alone
    everywhere: bool = False  # it is found in functions, too


def _of(names: str) -> frozenset[str]:
    return frozenset(names.split())


_LOSSES = _of("kl_div poisson_nll_loss soft_margin_loss")  # torch warns of the others
_LAYERS = """ReLU LeakyReLU ELU SiLU GELU Sigmoid Tanh Softmax LogSoftmax Dropout Flatten Identity MSELoss L1Loss
CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss"""


def layer_of_tensor(look: Look, operation: Operation) -> str | None:
    """A layer made with a tensor, as its inplace or its dim, where it was to be applied to it."""
    if not isinstance(operation.node, ast.Call) or not operation.node.args:
        return None
    if not isinstance(look.operand(operation.node.args[0]), torch.Tensor):
        return None
    made, tensor = look.text(operation.node.func), look.text(operation.node.args[0])
    return f"{look.text(operation.node)} makes a layer and applies it to nothing: {made}()({tensor}) applies it"


KINDS = (
    Kind("layer", _of(_LAYERS), layer_of_tensor),
    Kind("outer product", _ARITHMETIC | _COMPARED | _LOSSES, outer_product),
    Kind("meta", None, meta_device),
    Kind("integers", _of("add sub mul pow neg bitwise_left_shift"), wrapped, by_value=True),
    Kind("integers", _of("sum prod cumsum cumprod"), narrow_sum, by_value=True),
    Kind("zeros", _of("floor_divide div"), rounded_to_zero, by_value=True),
    Kind("float64", _of("from_numpy tensor as_tensor asarray"), from_numpy),
    Kind("float64", _ARITHMETIC, mixed_with_double),
    Kind("equality", _of("eq ne"), equality, by_value=True),
    Kind("uncalled", _of("truth"), uncalled, everywhere=True),
    Kind("not called", _of("named"), not_called),
    Kind("repeated", _of("mul"), repeated),
    Kind("cut to whole", _of("assigned"), cut_to_whole, by_value=True),
    Kind("softmax twice", _of("cross_entropy call"), softmax_twice, by_value=True),
    Kind("dimless", _of("argmax argmin"), dimless),
    Kind("no log", _of("nll_loss"), no_log, by_value=True),
    Kind("not finite", _of("statement"), not_finite),
)


def _looks(plan: Plan) -> tuple[tuple[Kind, Operation], ...]:
    """Where to look for what: the surprises inside first, and NaN last."""
    return tuple(
        (kind, operation)
        for kind in KINDS
        for operation in plan.operations
        if (kind.operations is None or operation.name in kind.operations)
        and (operation.sure or kind.everywhere)
        and (operation.settled or not kind.by_value)
    )


@dataclass(frozen=True)
class Seen:
    """What must be known of a statement before it runs: its plan, where to look, and its variables' values."""

    plan: Plan
    looks: tuple[tuple[Kind, Operation], ...]
    values: dict[str, Any]
    stretched: frozenset[str]


class Watch:
    """What has been said in a session. Kinds that were said are not looked for again."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._plans: dict[str, tuple[Plan, tuple[tuple[Kind, Operation], ...]]] = {}
        self._stretched: frozenset[str] = frozenset()

    def before(self, statement: Statement, names: Mapping[str, Any]) -> Seen | None:
        """The values of the names that a statement mentions, before it runs; None where nothing could be said of it.

        Small tensors that it may change in place are copied. Never raises.
        """
        try:
            plan, looks = self._planned(statement)
            stretched = self._stretched
            self._stretched = (stretched - set(plan.stored)) | _stretched(plan)
            if all(kind.name in self._said for kind, _ in looks):
                return None
            values = {name: names[name] for name in plan.names if name in names}
            values.update((name, _kept(values[name])) for name in plan.changed if name in values)
        except Exception:
            return None
        return Seen(plan, looks, values, stretched)

    def _planned(self, statement: Statement) -> tuple[Plan, tuple[tuple[Kind, Operation], ...]]:
        found = self._plans.get(statement.source)
        if found is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = Plan.of(statement)
            found = self._plans[statement.source] = plan, _looks(plan)
        return found

    def notes(self, seen: Seen, value: Any, names: Mapping[str, Any], **known: Any) -> list[str]:
        """What is surprising in a statement that succeeded, each kind once. Never raises."""
        found = []
        with Look(seen.plan, seen.values, names, value, stretched=seen.stretched, **known) as look:
            for kind, operation in seen.looks:
                if kind.name in self._said:
                    continue
                try:
                    note = kind.find(look, operation)
                except Exception:  # an odd value: nothing is said of it
                    continue
                if note:
                    self._said.add(kind.name)
                    found.append(f"note: {note}")
        return found


def _stretched(plan: Plan) -> set[str]:
    """The variables that a statement gives a dimension, on purpose: `pos = torch.arange(9).unsqueeze(1)`."""
    match plan.statement.node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            parts = (part for part in ast.walk(value) if isinstance(part, ast.expr))
            return {name} if any(map(_is_stretched, parts)) else set()
    return set()


def _kept(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not value.is_meta and value.numel() * value.itemsize <= MAX_KEPT:
        return value.detach().clone()
    return value
