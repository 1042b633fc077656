"""Which names and attributes user code has: read-only namespaces in place of modules, and the gate's guards."""

import builtins
import importlib.util
import math
import string
import sys
import time
import types
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, NoReturn

import numpy as np
import torch

from tensorcli import units
from tensorcli.engine import allowed
from tensorcli.language import EXCEPTIONS, MAX_WIDTH, width_of

MAX_BITS = 1_000_000  # of an integer power or shift
MAX_ITEMS = 10_000_000  # of a repeated or spelt-out sequence
MAX_STEPS = 1_000_000_000  # of a range: sum(range(n)) is one native call that Ctrl-C cannot end


class Refused(Exception):
    """What was asked for is not tensor work. The message says what and why."""


class Namespace:
    """A read-only stand-in for a module, holding only what may be named."""

    def __init__(self, name: str, table: Mapping[str, Any]) -> None:
        entries = {
            key: Namespace(f"{name}.{key}", value) if isinstance(value, dict) else value for key, value in table.items()
        }
        self.__dict__.update(entries, **{".name": name})

    def __repr__(self) -> str:
        return f"<{self.__dict__['.name']}: what does tensor work>"

    def __getattr__(self, name: str) -> NoReturn:
        _not_in_namespace(self, name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise Refused(f"{name_of(self)} is read-only")

    def __delattr__(self, name: str) -> NoReturn:
        raise Refused(f"{name_of(self)} is read-only")

    def __dir__(self) -> list[str]:
        return sorted(key for key in self.__dict__ if key[0] != ".")


class _StandIn(type):
    """The type of stand-ins for classes: good for isinstance and comparing, and they make nothing."""

    real: type

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.real)

    def __call__(cls, *arguments: object, **options: object) -> NoReturn:
        raise Refused(f"{units.one(cls.real.__name__)} cannot be made this way: use the functions of torch, np and nn")

    def __repr__(cls) -> str:
        return repr(cls.real)


@cache
def stand_in(kind: Any) -> type:
    """The one stand-in for a class that user code cannot name: its constructor may start or reach anything."""
    return _StandIn(kind.__name__, (), {"real": kind})


def name_of(namespace: Namespace) -> str:
    """The dotted name of the module it stands for."""
    name: str = namespace.__dict__[".name"]
    return name


def _namespaces() -> dict[str, Namespace]:
    tables = allowed.python_tables()
    tables["math"] |= MATH
    tables["time"] |= {"sleep": sleep}
    tables |= {"torch": allowed.torch_table(), "numpy": allowed.numpy_table() | {"ndarray": stand_in(np.ndarray)}}
    spaces = {name: Namespace(name, table) for name, table in tables.items()}
    for name in ("torch", "numpy"):
        spaces |= _inner(spaces[name])
    return spaces


def _inner(space: Namespace) -> dict[str, Namespace]:
    found = {name_of(value): value for value in vars(space).values() if isinstance(value, Namespace)}
    return found | {name: value for inner in found.values() for name, value in _inner(inner).items()}


def start_names(*, trust: bool) -> dict[str, Any]:
    """The variables of a new session, `__builtins__` included."""
    if trust:
        real = {"torch": torch, "np": np, "nn": torch.nn, "F": torch.nn.functional, "math": math}
        return {"__name__": "__main__", "__builtins__": builtins, **real}
    return {"__name__": "__main__", "__builtins__": BUILTINS, **START}


# Layer 4: attributes.


def _row_of(kind: type) -> frozenset[str]:
    """The attributes of a type, worked out when the type is first met."""
    row: frozenset[str] | Callable[[type], frozenset[str]] = frozenset()
    for base, names in _ROW_TABLE:
        if issubclass(kind, base):
            row = names
            break
    _ROWS[kind] = row(kind) if callable(row) else row
    return _ROWS[kind]


_METHODS_OF_TYPES = (str, bytes, list, dict, set, tuple, int, float, complex, torch.Tensor, np.ndarray)


def attribute(value: Any, name: str) -> Any:
    """`value.name`, looked up in the table of what values of this type have. Raises Refused, AttributeError."""
    try:
        known = name in _ROWS[type(value)]
    except KeyError:
        known = name in _row_of(type(value))
    return getattr(value, name) if known else _other_attribute(value, name)


def _other_attribute(value: Any, name: str) -> Any:
    if isinstance(value, Namespace):
        _not_in_namespace(value, name)
    if isinstance(value, str | bytes) and name in _BOUNDED_TEXT:
        return partial(_bounded_text, value, name)
    if isinstance(value, str) and name in ("format", "format_map"):
        return partial(_format_text, value) if name == "format" else lambda fields: _format_text(value, **fields)
    if isinstance(value, torch.nn.Module) and _is_own(value, name):
        return getattr(value, name)
    if isinstance(value, torch.distributions.Distribution) and isinstance(vars(value).get(name), torch.Tensor):
        return getattr(value, name)
    if isinstance(value, type) and value in _METHODS_OF_TYPES and name in _row_of(value):
        return getattr(value, name)
    real = getattr(value, name)  # AttributeError in Python's own words where there is none
    what = "submodule" if isinstance(real, types.ModuleType) else "attribute"
    raise Refused(f"the {what} .{name} of {units.one(type(value).__name__)} is not tensor work")


def _not_in_namespace(space: Namespace, name: str) -> NoReturn:
    full = name_of(space)
    module: Any = sys.modules[full.partition(".")[0]]
    for part in full.split(".")[1:]:
        module = getattr(module, part)
    if hasattr(module, name):
        raise Refused(f"{full}.{name} is not among the names that do tensor work")
    raise AttributeError(f"{full} has no {name}", name=name, obj=space)


def _is_own(module: torch.nn.Module, name: str) -> bool:
    """Whether a Module's attribute is a parameter, a buffer, a submodule or plain data of its own."""
    if name in module._parameters or name in module._buffers or name in module._modules:
        return True
    return isinstance(
        vars(module).get(name, vars(type(module)).get(name)), bool | int | float | str | tuple | torch.Tensor
    )


_SETTABLE = {"grad", "data", "requires_grad"}


def settable(value: Any, name: str) -> Any:
    """`value` itself, where its attribute `name` may be assigned. Raises Refused."""
    if isinstance(value, torch.Tensor) and name in _SETTABLE:
        return value
    if isinstance(value, torch.nn.Module) and name in value._parameters:
        return value
    kind = name_of(value) if isinstance(value, Namespace) else units.one(type(value).__name__)
    raise Refused(f"the attribute .{name} of {kind} cannot be assigned here")


# Imports.


def module(name: str, bound: str) -> Namespace:
    """The namespace that `import name` binds, `bound` being the part of it that is bound. Raises Refused."""
    if name not in MODULES:
        if name.rpartition(".")[0] in MODULES and importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        raise Refused(f"{name} is not among the modules that do tensor work ({_module_list()})")
    return MODULES[bound]


def member(name: str, key: str) -> Any:
    """What `from name import key` binds. Raises Refused, ImportError."""
    if f"{name}.{key}" in MODULES:
        return MODULES[f"{name}.{key}"]
    space = module(name, name)
    try:
        return attribute(space, key)
    except AttributeError:
        raise ImportError(f"cannot import name {key!r} from {name!r}", name=name) from None


def _module_list() -> str:
    return ", ".join(sorted(name for name in MODULES if "." not in name))


# Layer 6: what can explode.


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`, integers bounded to MAX_BITS bits. Raises Refused."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_BITS:
        raise Refused(
            f"this power has about {base.bit_length() * exponent:,} bits, and at most {MAX_BITS:,} are computed"
        )
    return base**exponent


def shift(value: Any, count: Any) -> Any:
    """`value << count`, integers bounded to MAX_BITS bits. Raises Refused."""
    if isinstance(value, int) and isinstance(count, int) and value.bit_length() + count > MAX_BITS:
        raise Refused(f"this shift makes {value.bit_length() + count:,} bits, and at most {MAX_BITS:,} are computed")
    return value << count


def repeat(left: Any, right: Any) -> Any:
    """`left * right` where one is a sequence, bounded to MAX_ITEMS items. Raises Refused."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, list | tuple | str | bytes) and isinstance(count, int):
            _bound_items(len(sequence) * count)
    return left * right


def percent(text: Any, values: Any) -> Any:
    """`text % values`, widths bounded. Raises Refused."""
    pattern = text if isinstance(text, str) else text.decode("latin-1")
    if "*" in pattern or width_of(pattern) > MAX_WIDTH:
        raise Refused(f"fields wider than {MAX_WIDTH:,} characters, and * as a width, are out")
    return text % values


def checked(guard: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """The right side of an augmented assignment, after the guard has looked at both."""
    if isinstance(left, int) or isinstance(right, list | tuple | str):
        guard(left, right)
    return right


def bounded_range(*arguments: int) -> range:
    """`range(...)` that is about to be spelt out as a list. Raises Refused."""
    result = range(*arguments)
    if result.stop - result.start > MAX_ITEMS * abs(result.step):
        _bound_items(abs(result.stop - result.start) // abs(result.step))
    return result


def _bound_items(count: int) -> None:
    if count > MAX_ITEMS:
        raise Refused(f"this sequence would have {count:,} items, and at most {MAX_ITEMS:,} are made: use a tensor")


def _range(*arguments: Any) -> range:
    """`range(...)` of at most MAX_STEPS steps. Raises Refused."""
    result = range(*arguments)
    steps = max(0, -((result.start - result.stop) // result.step)) if result else 0
    if steps > MAX_STEPS:
        raise Refused(f"this range has {steps:,} steps, and at most {MAX_STEPS:,} are taken: use a tensor")
    return result


def _bounded_bits(function: Callable[..., int], bits: Callable[..., int]) -> Callable[..., int]:
    """An integer function, refused where the bits of its result, which `bits` bounds, are more than MAX_BITS."""

    def bounded(*arguments: Any) -> int:
        if all(isinstance(value, int) for value in arguments) and bits(*arguments) > MAX_BITS:
            raise Refused(
                f"{function.__name__} would have about {bits(*arguments):,} bits, at most {MAX_BITS:,} are computed"
            )
        return function(*arguments)

    return bounded


def _prod(values: Iterable[Any], *, start: Any = 1) -> Any:
    """math.prod, in steps between which it can be interrupted."""
    for value in values:
        start = start * value
    return start


MATH = {
    "factorial": _bounded_bits(math.factorial, lambda n: n * n.bit_length()),
    "comb": _bounded_bits(math.comb, lambda n, k: min(k, n - k) * n.bit_length()),
    "perm": _bounded_bits(math.perm, lambda n, k=None: (n if k is None else k) * n.bit_length()),
    "prod": _prod,
}


IS_PREDICTED = ContextVar("IS_PREDICTED", default=False)  # nothing is computed: shapes alone are known


def sleep(seconds: float, /) -> None:
    """time.sleep, which where nothing is computed waits for nothing either."""
    time.sleep(0 * seconds if IS_PREDICTED.get() else seconds)


_BOUNDED_TEXT = set(allowed.TEXT_OUT.split()) - {"format", "format_map"}


def _bounded_text(text: Any, name: str, *arguments: Any, **options: Any) -> Any:
    widths = [value for value in (*arguments, *options.values()) if isinstance(value, int)]
    if any(width > MAX_WIDTH for width in widths):
        raise Refused(f"a field of {max(widths):,} characters is wider than {MAX_WIDTH:,}")
    return getattr(text, name)(*arguments, **options)


class _Formatter(string.Formatter):
    """str.format without attributes and indices of the fields, and with bounded widths."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if "." in field_name or "[" in field_name:
            raise Refused("str.format here fills in whole values: write the attribute or index in an f-string")
        return self.get_value(int(field_name) if field_name.isdecimal() else field_name, args, kwargs), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return bounded_format(value, format_spec)


def _format_text(text: str, /, *arguments: Any, **fields: Any) -> str:
    return _Formatter().vformat(text, arguments, fields)


def bounded_format(value: Any, spec: str = "") -> str:
    """`format(value, spec)`, the width bounded. Raises Refused."""
    if width_of(spec) > MAX_WIDTH:
        raise Refused(f"a field of {width_of(spec):,} characters is wider than {MAX_WIDTH:,}")
    return format(value, spec)


MODULES = _namespaces()
START = {
    "torch": MODULES["torch"],
    "np": MODULES["numpy"],
    "nn": MODULES["torch.nn"],
    "F": MODULES["torch.nn.functional"],
    "math": MODULES["math"],
}

_ROW_TABLE = allowed.rows()
_ROWS: dict[type, frozenset[str]] = {
    Namespace: frozenset(key for space in MODULES.values() for key in vars(space) if key[0] != ".")
}


# Layer 7: the builtins.


def _print(*values: object, sep: str | None = " ", end: str | None = "\n", flush: bool = False) -> None:
    """print, to the session's output and nowhere else."""
    print(*values, sep=sep, end=end)


def _type(value: object) -> type:
    """The type of a value; with one argument only, and not of a type."""
    if isinstance(value, type):
        raise Refused("type() of a type leads into Python's internals")
    if isinstance(value, Namespace):
        raise Refused(f"{name_of(value)} is a module, and the type of modules makes more of them")
    kind: Any = type(value)
    return kind if kind in _nameable() else stand_in(kind)


@cache
def _nameable() -> frozenset[type]:
    """The classes that user code can name anyway."""
    values = [entry for space in MODULES.values() for entry in vars(space).values()] + list(BUILTINS.values())
    return frozenset(value for value in values if isinstance(value, type) and not isinstance(value, _StandIn))


def _iter(value: Any, *sentinel: Any) -> Any:
    """iter of one argument: with two it can be endless inside one native call."""
    if sentinel:
        raise Refused("iter takes one argument here, for with two it may never end: write a while loop")
    return iter(value)


def _round(number: Any, ndigits: Any = None) -> Any:
    if isinstance(ndigits, int) and abs(ndigits) > MAX_WIDTH:
        raise Refused(f"at most {MAX_WIDTH:,} digits are rounded to")
    return round(number) if ndigits is None else round(number, ndigits)


def _spelt(name: str) -> str:
    if not isinstance(name, str) or name.startswith("_"):
        raise Refused("names that begin with an underscore are Python's internals")
    return name


def _getattr(value: Any, name: str, *default: Any) -> Any:
    try:
        return attribute(value, _spelt(name))
    except AttributeError:
        if default:
            return default[0]
        raise


def _hasattr(value: Any, name: str) -> bool:
    try:
        attribute(value, _spelt(name))
    except (AttributeError, Refused):
        return False
    return True


def _pow(base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is None:
        return power(base, exponent)
    if (
        isinstance(exponent, int)
        and isinstance(modulus, int)
        and exponent.bit_length() * modulus.bit_length() > MAX_BITS
    ):
        raise Refused(f"exponent and modulus are too long: {exponent.bit_length():,} and {modulus.bit_length():,} bits")
    return pow(base, exponent, modulus)


def row(kind: type) -> frozenset[str]:
    """The attributes that all values of a type have for user code."""
    return _row_of(kind)


def directory(value: Any) -> list[str]:
    """The attributes that user code may write after a value and a dot, sorted."""
    if isinstance(value, Namespace):
        return dir(value)
    names = set(_row_of(type(value)))
    if isinstance(value, str):
        names |= set(allowed.TEXT_OUT.split())
    if isinstance(value, torch.nn.Module):
        own = {*value._parameters, *value._buffers, *value._modules, *vars(value)}
        names |= {name for name in own if not name.startswith("_") and _is_own(value, name)}
    return sorted(names)


GUARDS: dict[str, Any] = {
    ".attribute": attribute,
    ".settable": settable,
    ".module": module,
    ".member": member,
    ".power": power,
    ".shift": shift,
    ".repeat": repeat,
    ".percent": percent,
    ".power=": partial(checked, power),
    ".shift=": partial(checked, shift),
    ".repeat=": partial(checked, repeat),
    ".percent=": lambda left, right: right,
    ".range": bounded_range,
    ".format": bounded_format,
    ".str": str,
    ".repr": repr,
    ".ascii": ascii,
}

# C code in torch and NumPy imports through the calling frame's builtins: `__import__` must be there, and no text that
# passed the check can spell it.
BUILTINS: dict[str, Any] = {
    **allowed.builtin_table(EXCEPTIONS),
    **GUARDS,
    "__import__": __import__,
    "print": _print,
    "type": _type,
    "getattr": _getattr,
    "hasattr": _hasattr,
    "dir": directory,
    "format": bounded_format,
    "pow": _pow,
    "range": _range,
    "iter": _iter,
    "round": _round,
}

_ORIGINALS = {
    BUILTINS[name]: getattr(builtins, name)
    for name in "print type getattr hasattr dir format pow range iter round".split()
}
_ORIGINALS |= {function: getattr(math, name) for name, function in MATH.items()}


def original(function: Any) -> Any:
    """What a function of ours stands for in Python: the one whose documentation is meant."""
    return _ORIGINALS.get(function, function) if isinstance(function, types.FunctionType) else function
