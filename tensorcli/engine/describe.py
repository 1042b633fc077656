"""Any value to a report, within a bound of time and memory: no large copy, nothing moved off a GPU to be shown."""

import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import torch

from tensorcli import report, units
from tensorcli.engine import summary

MAX_TEXT = 20_000
MAX_ITEMS = 50  # of a container
MAX_ITEMS_IN_ALL = 500  # of a container, of those in it, and so on
DEPTH = 3  # of containers in containers, of which the text says what they hold
MAX_DEPTH = 8  # of containers in containers, of which each is described
MAX_COUNTED = 100_000  # things in one, of which those are added up that have bytes
MAX_ELEMENTS = 2_000_000  # of which the statistics of a container's items are made, all together
MAX_BITS = 14_000  # of an integer: Python spells out at most 4,300 digits
MAX_ITEM_VALUES = 200  # elements above which a container's item shows its corners only
NOWHERE = "storage"  # in the place of a device: that of a tensor without memory
STATS_FROM = 25  # elements: fewer can be seen at a glance

# torch's own formatting first converts the whole of such a tensor: `_lean_text` formats their corners alone.
_CONVERTED = {torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}
_PRINT_THRESHOLD = 1000  # elements above which torch shows corners only
_EDGE = 3


@dataclass
class _Share:
    """What is left for the items of one container, all of them together, and the containers that one is within."""

    items: int = MAX_ITEMS_IN_ALL
    elements: int = MAX_ELEMENTS
    characters: int = 5 * MAX_TEXT
    around: tuple[int, ...] = ()

    def takes(self, x: torch.Tensor) -> bool:
        """Whether there is enough for the statistics of one more tensor, which is then taken."""
        numel = int(_or(0, x.numel))
        enough = numel <= self.elements
        self.elements -= numel if enough else 0
        return enough

    def text(self, value: Any) -> str:
        """The text of one more value, as far as the characters go."""
        text = _Text(self.around, min(self.characters, MAX_TEXT)).of(value, DEPTH)
        self.characters -= min(len(text), self.characters)
        return text

    @contextmanager
    def within(self, value: Any) -> Iterator[None]:
        around, self.around = self.around, (*self.around, id(value))
        try:
            yield
        finally:
            self.around = around


def describe(
    value: Any,
    *,
    name: str | None = None,
    names: Mapping[str, Any] | None = None,
    max_values: int = 1000,
    drew_random: bool = False,
    brief: bool = False,
    stats: bool = True,
    share: _Share | None = None,
) -> report.Tensor | report.Value:
    """A report on any value; never raises.

    `names` are the live variables, to say which share its memory; `brief` leaves out values and text, and the
    statistics of a large tensor; without `stats` there are none at all. An item has its `share` of a container's.
    """
    try:
        with torch.no_grad():
            if isinstance(value, torch.Tensor):
                if has_unknown_sizes(value) and (found := _symbolic(value, name=name)):
                    return found
                return tensor(
                    value,
                    name=name,
                    names=names or {},
                    max_values=max_values,
                    drew_random=drew_random,
                    brief=brief,
                    stats=stats and (share is None or share.takes(value)),
                )
            if isinstance(value, torch.SymInt):
                return report.Value(name=name, type="int", text=str(formula(value)))
            if isinstance(value, torch.SymBool):
                return report.Value(name=name, type="bool", text=_condition(value))
            options = {"names": names or {}, "max_values": max_values, "brief": brief, "stats": stats}
            return _value(value, name, share or _Share(), options)
    except Exception as error:
        return report.Value(
            name=name, type=type_name(type(value)), text=f"(its own text fails: {type(error).__name__})"
        )


def tensor(
    x: torch.Tensor,
    *,
    name: str | None,
    names: Mapping[str, Any],
    max_values: int,
    drew_random: bool,
    brief: bool,
    stats: bool,
) -> report.Tensor:
    """A report on a tensor of any layout, dtype and device."""
    numel = _or(0, x.numel)
    shared = sharing(x, names, own=name)
    plain = x.layout is torch.strided and not x.is_quantized and not x.is_meta
    small = numel <= max_values
    wants_stats = stats and numel >= STATS_FROM and not (brief and numel > 1_000_000)
    return report.Tensor(
        name=name,
        shape=shape_of(x),
        dtype=dtype_name(x.dtype),
        device=str(x.device),
        layout=str(x.layout).removeprefix("torch."),
        stride=_or(None, lambda: tuple(x.stride())) if x.layout is torch.strided and not x.is_nested else None,
        contiguous=_or(True, x.is_contiguous),
        requires_grad=x.requires_grad,
        grad_fn=type(x.grad_fn).__name__ if x.grad_fn is not None else None,
        nbytes=_or(0, lambda: _nbytes(x)),
        storage_nbytes=_or(0, lambda: x.untyped_storage().nbytes()) if plain else _or(0, lambda: _nbytes(x)),
        shares_memory_with=tuple(shared),
        view_of=_view_of(x, shared, names),
        drew_random=drew_random,
        stats=summary.statistics(x) if wants_stats else None,
        values=plain_values(x) if small and not brief else None,
        text="" if brief else tensor_text(x),
    )


def known(size: Any) -> int:
    """A size as a number; one that is not known as the number that stands for it."""
    return int(size.node.hint) if isinstance(size, torch.SymInt) else int(size)


def has_unknown_sizes(value: Any) -> bool:
    """Whether this is a tensor with sizes that are not known."""
    return isinstance(value, torch.Tensor) and any(
        isinstance(size, torch.SymInt) for size in _or((), lambda: value.shape)
    )


def formula(size: Any) -> int | str:
    """A size as a number, or as a formula of the names that sizes not known have."""
    if not isinstance(size, torch.SymInt):
        return int(size)
    from tensorcli.engine import formulas

    expression = formulas.simple(size.node.expr.xreplace(size.node.shape_env.names))
    return int(expression) if expression.is_number else formulas.text(expression)


def _condition(value: torch.SymBool) -> str:
    """A comparison of sizes that are not known: what it is taken for, and where it is that."""
    from tensorcli.engine import formulas

    node = value.node
    expression = node.expr.xreplace(node.shape_env.names)
    return f"{bool(node.hint)} where {formulas.text(expression if node.hint else ~expression)}"


def _symbolic(x: torch.Tensor, *, name: str | None) -> report.Tensor | None:
    """The report on a tensor with sizes that are not known; None where all are."""
    sizes = tuple(formula(size) for size in x.shape)
    if not any(isinstance(size, str) for size in sizes):
        return None
    return report.Tensor(
        name=name,
        shape=shape_of(x),
        sizes=sizes,
        dtype=dtype_name(x.dtype),
        device=str(x.device),
        requires_grad=x.requires_grad,
        nbytes_formula=str(formula(x.numel() * x.element_size())),
    )


def shape_of(x: torch.Tensor) -> tuple[int, ...]:
    """The sizes as plain integers; -1 where a nested tensor's are ragged."""
    try:
        return tuple(known(size) for size in x.shape)
    except Exception:
        return tuple(_size(x, d) for d in range(x.dim()))


def _size(x: torch.Tensor, d: int) -> int:
    return int(_or(-1, lambda: x.size(d)))


def dtype_name(dtype: torch.dtype) -> str:
    """The one spelling of a dtype: "float32"."""
    return str(dtype).removeprefix("torch.")


def _nbytes(x: torch.Tensor) -> int:
    match x.layout:
        case torch.sparse_coo:
            return _nbytes(x._indices()) + _nbytes(x._values())
        case torch.sparse_csr | torch.sparse_bsr:
            return _nbytes(x.crow_indices()) + _nbytes(x.col_indices()) + _nbytes(x.values())
        case torch.sparse_csc | torch.sparse_bsc:
            return _nbytes(x.ccol_indices()) + _nbytes(x.row_indices()) + _nbytes(x.values())
    return x.numel() * x.element_size()


def plain_values(x: torch.Tensor) -> Any:
    """Nested lists of plain numbers, or null where the elements cannot be read."""
    if x.is_meta or x.is_nested or x.layout is not torch.strided:
        return None
    try:
        return _plain(x.detach().dequantize().tolist() if x.is_quantized else x.detach().tolist())
    except Exception:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return report.number(value)


def tensor_text(x: torch.Tensor) -> str:
    """torch's own formatting, bounded; the corners alone of a large tensor."""
    numel = _or(0, x.numel)
    if numel > _PRINT_THRESHOLD and not x.is_meta:
        corners = math.prod(min(size, 2 * _EDGE) for size in shape_of(x))
        if corners > 4 * _PRINT_THRESHOLD or x.is_quantized or x.is_nested:
            return f"tensor(..., size={shape_of(x)}, dtype={x.dtype})"
        if x.layout is torch.strided and (x.dtype in _CONVERTED or x.is_neg() or x.is_conj()):
            return _lean_text(x)
    return cut(str(x))


def _lean_text(x: torch.Tensor) -> str:
    from torch._tensor_str import _Formatter, _tensor_str_with_formatter, get_summarized_data

    corners = get_summarized_data(x.detach()).resolve_conj().resolve_neg()
    if corners.is_complex():
        return f"tensor(..., size={shape_of(x)}, dtype={x.dtype})"
    formatter = _Formatter(corners.float())
    return cut(f"tensor({_tensor_str_with_formatter(x.detach(), 7, True, formatter)}, dtype={x.dtype})")


def cut(text: str, *, limit: int = MAX_TEXT) -> str:
    """The text, or its beginning and how much was left out."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit:,} more characters)"


# Memory: who shares storage with whom.


def extent(value: Any) -> tuple[str, int, int] | None:
    """The stretch of memory a tensor's storage or an array's root takes: (device, first byte, end).

    Where a storage has no memory (meta and fake tensors) it is a device of its own.
    """
    try:
        if isinstance(value, torch.Tensor):
            storage = value.untyped_storage()
            nbytes, device = known(storage.nbytes()), str(value.device)
            try:
                start = storage.data_ptr()
            except RuntimeError:
                start = 0
            if not start:
                return (f"{NOWHERE} {storage._cdata}", 0, nbytes) if nbytes else None
        elif isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            start, end = np.lib.array_utils.byte_bounds(value)
            nbytes, device = end - start, "cpu"
        else:
            return None
    except Exception:  # sparse, nested and functional tensors have no address
        return None
    return (device, start, start + nbytes) if start and nbytes else None


def sharing(value: Any, names: Mapping[str, Any], *, own: str | None) -> list[str]:
    """The variables on the same memory as `value`: other than `own`, or than the value itself where it has no name."""
    mine = extent(value)
    if mine is None:
        return []
    return [
        name
        for name, other in names.items()
        if isinstance(other, torch.Tensor | np.ndarray)
        and name != own
        and not (own is None and other is value)
        and (theirs := extent(other)) is not None
        and theirs[0] == mine[0]
        and theirs[1] < mine[2]
        and mine[1] < theirs[2]
    ]


def _view_of(x: torch.Tensor, shared: Iterable[str], names: Mapping[str, Any]) -> str | None:
    """The variable that `x` is a view of: its base, or one on the same base that is larger.

    An unnamed result may also be a view of one as large: `A.T`.
    """
    if x._base is None:
        return None
    least = x.numel() + any(value is x for value in names.values())
    tensors = {name: names[name] for name in shared if isinstance(names[name], torch.Tensor)}
    exact = [name for name, other in tensors.items() if other is x._base]
    return next(iter(exact + [name for name, other in tensors.items() if other.numel() >= least]), None)


# Everything else.


def _value(value: Any, name: str | None, share: _Share, options: Mapping[str, Any]) -> report.Value:
    if isinstance(value, np.ndarray):
        return report.Value(
            name=name,
            type="numpy.ndarray",
            text=""
            if options["brief"]
            else cut(np.array_repr(value) if value.size <= 1000 else _large_array_text(value)),
            shape=tuple(value.shape),
            dtype=str(value.dtype),
            nbytes=int(value.nbytes),
            shares_memory_with=tuple(sharing(value, options["names"], own=name)),
        )
    items = _items(value, share, options)
    return report.Value(
        name=name,
        type=type_name(type(value)),
        text=_optimizer_text(value) if options["brief"] and _is_optimizer(value) else share.text(value),
        items=items,
        length=None if items is None else len(value),
        nbytes=None if items is None and not (options["brief"] and _is_module(value)) else _nbytes_in(value),
    )


def _is_module(value: Any) -> bool:
    return isinstance(value, torch.nn.Module)


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, torch.optim.Optimizer) and bool(vars(value).get("param_groups"))


def _optimizer_text(value: torch.optim.Optimizer) -> str:
    """What matters of it in one line: Adam(lr=0.001, weight_decay=0.1, 4 parameters)."""
    group, usual = value.param_groups[0], inspect.signature(type(value)).parameters
    told = [f"lr={group['lr']}"] if "lr" in group else []
    for name, given in group.items():
        plain = type(given) in (int, float, bool, tuple)
        if plain and name not in ("lr", "initial_lr") and name in usual and given != usual[name].default:
            told.append(f"{name}={given}")
    count = sum(len(each["params"]) for each in value.param_groups)
    held = units.plural(count, "parameter")
    if len(value.param_groups) > 1:
        held += f" in {len(value.param_groups)} groups"
    return f"{type(value).__name__}({', '.join([*told, held])})"


def _items(value: Any, share: _Share, options: Mapping[str, Any]) -> tuple[report.Tensor | report.Value, ...] | None:
    """The first items of a container that holds tensors, as far as its share goes; None of one within itself."""
    if not isinstance(value, tuple | list | dict) or isinstance(value, torch.Size) or not _holds_tensors(value):
        return None
    if id(value) in share.around or len(share.around) == MAX_DEPTH:
        return None
    found = []
    with _for_items(), share.within(value):
        for key, item in keyed(value):
            if not share.items:
                break
            share.items -= 1
            found.append(msgspec.structs.replace(describe(item, share=share, **options), key=key))
    return tuple(found)


def _nbytes_in(value: Any) -> int | None:
    """The bytes of the arrays in a module, tuple, list or dict, and in such in it, each once; None where not known."""
    total, seen, waiting = 0, set[int](), [iter((value,))]
    while waiting and len(seen) < MAX_COUNTED:
        one = next(waiting[-1], waiting)
        if one is waiting:
            waiting.pop()
        elif id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, tuple | list | dict):
                waiting.append(iter(one.values() if isinstance(one, dict) else one))
            elif isinstance(one, torch.nn.Module):
                held = (vars(one).get(each, {}).values() for each in ("_parameters", "_buffers", "_modules"))
                waiting.append(itertools.chain(*held))
            elif isinstance(one, torch.Tensor | np.ndarray):
                if has_unknown_sizes(one):
                    return None
                total += int(one.nbytes)
    return total


@contextmanager
def _for_items() -> Iterator[None]:
    """torch's print options for an item of a tuple: it stands indented, and is cut to its corners sooner."""
    options = torch._tensor_str.PRINT_OPTS
    kept = {"linewidth": options.linewidth, "threshold": options.threshold}
    torch.set_printoptions(linewidth=max(options.linewidth - 2, 18), threshold=MAX_ITEM_VALUES)
    try:
        yield
    finally:
        torch.set_printoptions(**kept)


def _large_array_text(value: "np.ndarray[Any, Any]") -> str:
    if math.prod(min(size, 2 * _EDGE) for size in value.shape) > 4 * _PRINT_THRESHOLD:
        return f"array(..., shape={value.shape}, dtype={value.dtype})"
    return np.array_repr(value)


def _holds_tensors(value: Any) -> bool:
    return any(isinstance(item, torch.Tensor | np.ndarray) for _, item in keyed(value))


def keyed(value: Any) -> list[tuple[str, Any]]:
    """The first items of a tuple, list or dict, each with its key, its field's name or its index."""
    if isinstance(value, dict):
        return [
            (cut(repr(key) if not isinstance(key, str) else key, limit=80), item)
            for key, item in islice(value.items(), MAX_ITEMS)
        ]
    fields = getattr(type(value), "_fields", None) or _return_fields(type(value))
    return [(fields[i] if i < len(fields) else str(i), item) for i, item in enumerate(islice(value, MAX_ITEMS))]


def _return_fields(kind: type) -> tuple[str, ...]:
    if kind.__module__ != "torch.return_types":
        return ()
    return tuple(re.findall(r"(?:^|[(,\s])(\w+)=", _or("", lambda: kind.__doc__ or ""))) or _struct_fields(kind)


def _struct_fields(kind: type) -> tuple[str, ...]:
    """The field names of a C struct sequence, in order."""
    members = [name for name, entry in vars(kind).items() if type(entry).__name__ == "member_descriptor"]
    return tuple(members)


def type_name(kind: type) -> str:
    """A type's name as people import it: "int", "torch.Size", "numpy.ndarray", "torch.nn.Linear"."""
    if kind.__module__ in ("builtins", "__main__") or kind.__module__.startswith("tensorcli"):
        return kind.__qualname__
    for space in (torch, torch.nn, torch.optim, np):
        if getattr(space, kind.__name__, None) is kind:
            return f"{space.__name__}.{kind.__name__}"
    inner = kind.__module__.startswith("torch") and "return_types" not in kind.__module__
    return f"{'torch' if inner else kind.__module__}.{kind.__qualname__}"


class _Text:
    """The text of one value while it is put together: how many characters are left, and what it is within."""

    def __init__(self, around: Iterable[int] = (), most: int = MAX_TEXT) -> None:
        self._around = list(around)
        self._left = most

    def of(self, value: Any, depth: int) -> str:
        match value:
            case torch.Tensor():
                text = f"{dtype_name(value.dtype)} {list(shape_of(value))}"
            case np.ndarray():
                text = f"array {value.dtype} {list(value.shape)}"
            case str() | bytes():
                text = cut(repr(value[: MAX_TEXT + 1]))
            case int() if value.bit_length() > MAX_BITS:
                text = f"an integer of {value.bit_length():,} bits"
            case list() | tuple() | dict() | set() | frozenset() if type(value) in _BRACKETS or _is_named(value):
                return self._of_container(value, depth)
            case _:
                text = cut(re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value)))
        self._left -= len(text)
        return text

    def _of_container(self, value: Any, depth: int) -> str:
        if not value:
            return repr(value)
        named = _is_named(value) and type(value) is not tuple
        start, end = (f"{type_name(type(value))}(", ")") if named else _BRACKETS[type(value)]
        if id(value) in self._around:
            return f"{start}...{end}"
        if depth == 0 or self._left <= 0:
            return "..."
        self._around.append(id(value))
        parts = list(self._parts(value, depth - 1, named=named))
        self._around.pop()
        more = len(value) - len(parts)
        parts += [f"... {more:,} more"] if more > 0 else []
        comma = "," if type(value) is tuple and len(value) == 1 else ""
        return cut(f"{start}{', '.join(parts)}{comma}{end}")

    def _parts(self, value: Any, depth: int, *, named: bool) -> Iterator[str]:
        """The texts of the first items, until there is as much as is ever shown."""
        pairs = (
            keyed(value) if named else islice(value.items() if isinstance(value, dict) else enumerate(value), MAX_ITEMS)
        )
        for key, item in pairs:
            if self._left <= 0:
                return
            self._left -= len(", ")
            before = f"{key}=" if named else f"{self.of(key, depth)}: " if isinstance(value, dict) else ""
            yield before + self.of(item, depth)


def text_of(value: Any) -> str:
    """A bounded `repr`: tensors as their header, long containers and strings cut, no addresses."""
    return _Text().of(value, DEPTH)


_BRACKETS: dict[type, Any] = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: ("frozenset({", "})")}


def _is_named(value: Any) -> bool:
    return isinstance(value, tuple) and not isinstance(value, torch.Size)


def _or(default: Any, ask: Callable[[], Any]) -> Any:
    """What `ask` gives, or the default where this kind of tensor cannot say."""
    try:
        return ask()
    except Exception:
        return default
