"""Sizes and parameters as they are written: "512", "64..4096*2", "n=64,256,1024"."""

import math
import re

MOST = 100  # of a range
DIGITS = 18  # of a number, at most


def integers(text: str) -> list[int]:
    """The numbers of "512", of "64..4096*2" (64, 128, ..., 4096) and of "100..500+100". Raises ValueError."""
    if digits := next((len(run) for run in re.findall(r"\d+", text.replace("_", "")) if len(run) > DIGITS), 0):
        raise ValueError(f"a size of {digits:,} digits is larger than any tensor: the most are {DIGITS}")
    match = re.fullmatch(r"(-?\d{1,18})(?:\.\.(\d{1,18})([*+])(\d{1,18}))?", text.strip().replace("_", ""), re.ASCII)
    if match is None and (ends := re.fullmatch(r"(\d+)\.\.(\d+)", text.strip(), re.ASCII)):
        first, last = sorted(map(int, ends.groups()))
        raise ValueError(
            f"{text} has no step: write {first}..{last}*2 or {first}..{last}+{max(1, (last - first) // 4)}"
        )
    if match is None:
        raise ValueError(f"{text} is no size: write 512, 64..4096*2 or 100..500+100")
    found = [int(match[1])]
    if match[2] is None:
        return found
    last, sign, step = int(match[2]), match[3], int(match[4])
    if last < found[0]:
        raise ValueError(f"{text} goes downwards: begin with the smaller, {last}..{found[0]}{sign}{step}")
    if (sign == "*" and (step < 2 or found[0] < 1)) or step < 1:
        raise ValueError(f"{text} has no end: its steps do not lead upwards")
    while (following := found[-1] * step if sign == "*" else found[-1] + step) <= last:
        found.append(following)
        if len(found) > MOST:
            raise ValueError(f"{text} has more than {MOST} numbers: take larger steps, as in 64..4096*2")
    return found


def parameter(text: str) -> tuple[str, tuple[int | float | str, ...]]:
    """The name and the values of "n=64,256", "n=64..1024*2", "dtype=torch.float32,torch.float64". Raises ValueError.

    What is in brackets is one value: "shape=(3, 4),(5, 6)".
    """
    name, equals, written = text.partition("=")
    name = name.strip()
    values = [value.strip() for value in re.split(r",(?![^(\[]*[)\]])", written)]
    if not equals or not name.isidentifier() or "" in values:
        raise ValueError(f"{text} is no parameter: write n=64,256 or n=64..1024*2")
    return name, tuple(each for value in values for each in _values(value))


def _values(text: str) -> list[int | float | str]:
    if ".." in text:
        return list(integers(text))
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        # Else it would not stand in the text as it was written, or has no place in JSON.
        if str(number) == text and math.isfinite(number):
            return [number]
    return [text]
