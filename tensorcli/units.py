"""Numbers as people read them: memory, times, counts, shapes, sizes."""

import math
import re
from collections.abc import Sequence

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_METRIC = ("", "k", "M", "G", "T", "P", "E")
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def nbytes(count: float) -> str:
    """Bytes, to two or three digits: "48 B", "2.5 KiB", "64 MiB", "37.3 GiB"."""
    value, unit = _scaled(count, 1024, _BINARY)
    return f"{_short(value).removesuffix('.0')} {unit}"


_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?\s*", re.IGNORECASE)


def read_nbytes(text: str) -> int:
    """Bytes as people write them: "8 GiB", "8G" and "8gib" are 2**33, "8 GB" is 8 * 10**9, "500" is 500.

    Raises ValueError.
    """
    found = _WRITTEN.fullmatch(text)
    if not found or (not found[2] and (found[3] or "").lower() == "ib"):
        raise ValueError(f"{text!s:.40} is no amount of memory: write 8 GiB, 500M or 8000000000")
    step = 1000 if (found[3] or "").lower() == "b" else 1024
    return int(float(found[1]) * step ** "bkmgt".index((found[2] or "b").lower()))


def count(number: float, unit: str = "") -> str:
    """A large count to two or three digits with a metric prefix: "640 FLOP", "1.0 MFLOP", "131 GFLOP/s"."""
    value, prefix = _scaled(number, 1000, _METRIC)
    return f"{_short(value) if prefix else round(value)} {prefix}{unit}".rstrip()


def integer(number: int) -> str:
    """A whole number with its thousands separated: "1,000,000"."""
    return f"{number:,}"


def one(noun: str) -> str:
    """A noun with its article: "a list", "an int"."""
    return f"a{'n' if noun[:1].lower() in 'aeio' else ''} {noun}"


def seconds(value: float, *, digits: int = 2) -> str:
    """A time to `digits` digits at least: "6 us", "9.1 ms", "1.31 s", "2 min 5 s", "3 h 20 min"."""
    if not math.isfinite(value):
        return str(value)
    if value < 0:
        return f"-{seconds(-value, digits=digits)}"
    if value == 0:
        return "0 s"
    if value >= 100:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    for scale, unit in _TIMES:
        text = _digits(value / scale, max(digits, 3) if unit == "s" else digits)
        if float(text) >= 1:
            break
    return f"{text} {unit}"


def shape(sizes: tuple[int | str, ...]) -> str:
    """A shape as it is written: "[2, 3]", "[B, 10]"; "?" where a nested tensor's sizes differ."""
    return f"[{', '.join('?' if isinstance(size, int) and size < 0 else str(size) for size in sizes)}]"


def number(value: int | float | str | None) -> str:
    """A number of a tensor's statistics: "-5.41", "1.00", "-1.2e-04", "12,345", "nan"."""
    match value:
        case None:
            return "?"
        case str():
            return value
        case int():
            return f"{value:,}" if abs(value) < 10**12 else f"{value:.2e}" if abs(value) < 10**300 else str(value)
        case float() if not math.isfinite(value):
            return str(value)
        case float() if value == 0:
            return "0"
        case float() if 1e-3 <= abs(value) < 1e5:
            return f"{value:#.3g}".rstrip(".") if abs(value) < 999.5 else f"{value:,.0f}"
        case _:
            return f"{value:.1e}"


def plural(number: int, noun: str) -> str:
    """A count and its noun: "1 name", "2 names"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _scaled(value: float, step: int, units: tuple[str, ...]) -> tuple[float, str]:
    place = 0
    while abs(value) >= step - 0.5 and place + 1 < len(units):
        value, place = value / step, place + 1
    return value, units[place]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.1f}"


def _digits(value: float, digits: int) -> str:
    """A number to so many digits, and never less than its whole part."""
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    text = f"{value:.{max(0, digits - 1 - exponent)}f}"
    return text if digits > 2 or "." not in text else text.rstrip("0").rstrip(".")
