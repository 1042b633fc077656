"""What a result is expected to be, as one writes it: "float32 [64, 10] cpu"."""

import difflib
import re
from dataclasses import dataclass

from tensorcli import units
from tensorcli.report import Diagnosis, Tensor, Trace, Value

DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
    *("qint8", "quint8", "qint32"),
)
ALIASES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32"}
DEVICES = ("cpu", "cuda", "mps", "xpu", "meta", "hpu", "xla")

_FORM = 'write a dtype, a shape and a device, as in "float32 [64, 10] cpu"'
_MEANT = {"gpu": "cuda", "fp16": "float16", "fp32": "float32", "fp64": "float64"}
_BRACKETS = "a shape stands in brackets, as in [64, 10]"
_WORD = re.compile(r"\[[^\[\]]*\]|[^\s\[\],]+|[\[\]]")


class Malformed(ValueError):
    """What is no expectation, in a sentence."""


@dataclass(frozen=True)
class Expectation:
    """A dtype, sizes and a device; what is None may be anything. A size that is a text is a name or "*"."""

    dtype: str | None = None
    sizes: tuple[int | str, ...] | None = None
    any_leading: bool = False
    device: str | None = None

    def __str__(self) -> str:
        leading = ["..."] if self.any_leading else []
        sizes = None if self.sizes is None else f"[{', '.join(leading + [str(size) for size in self.sizes])}]"
        return " ".join(part for part in (self.dtype, sizes, self.device) if part)


def parse(text: str) -> Expectation:
    """The expectation that a text is. Raises Malformed."""
    found: dict[str, Expectation] = {}
    for word in _WORD.findall(text):
        kind, one = _word(word)
        if kind in found:
            raise Malformed(f"there are two {kind}s, {found[kind]} and {one}: {_FORM}")
        found[kind] = one
    if not found:
        raise Malformed(f"there is nothing to expect: {_FORM}")
    nothing = Expectation()
    shape = found.get("shape", nothing)
    dtype, device = found.get("dtype", nothing).dtype, found.get("device", nothing).device
    return Expectation(dtype, shape.sizes, shape.any_leading, device)


def _word(word: str) -> tuple[str, Expectation]:
    if word.startswith("[") and word.endswith("]"):
        return "shape", _shape(word)
    name = word.removeprefix("torch.")
    name = ALIASES.get(name, name)
    if name in DTYPES:
        return "dtype", Expectation(dtype=name)
    kind, _, index = word.partition(":")
    if kind in DEVICES and (index.isdecimal() or word == kind):
        return "device", Expectation(device=word)
    if re.match(r"[(\[\]]|\d", word):
        raise Malformed(f"{word[:40]} is no dtype, shape or device: {_BRACKETS}")
    near = difflib.get_close_matches(name.lower(), (*DTYPES, *ALIASES, *DEVICES, *_MEANT), n=1)
    advice = f"did you mean {_MEANT.get(near[0], near[0])}?" if near else _FORM
    raise Malformed(f"{word[:40]} is no dtype, shape or device: {advice}")


def _shape(word: str) -> Expectation:
    texts = [text.strip() for text in word[1:-1].split(",")]
    if texts[-1] == "":
        texts.pop()  # "[]", "[3,]"
    leading = texts[:1] == ["..."]
    sizes: list[int | str] = []
    for text in texts[leading:]:
        if text.isascii() and text.isdecimal() and len(text) < 20:
            sizes.append(int(text))
        elif text.isidentifier() or text == "*":
            sizes.append(text)
        elif text == "...":
            raise Malformed(
                "... stands for any number of leading dimensions: it is the first in a shape, as in [..., 3]"
            )
        else:
            raise Malformed(f"{text[:40] or 'an empty place'} is no size: a size is a number, a name or *")
    return Expectation(sizes=tuple(sizes), any_leading=leading)


def problem(expected: Expectation, trace: Trace) -> Diagnosis | None:
    """A diagnosis where a statement that did not fail gave something else."""
    title = None if trace.root.failed else difference(expected, trace.root.result)
    if title is None:
        return None
    return Diagnosis(code="not-as-expected", category="shape", title=title, source=trace.source)


def difference(expected: Expectation, result: Tensor | Value) -> str | None:
    """What differs between what was expected and a result, as one sentence; None where nothing does."""
    if isinstance(result, Value) and result.shape is None:
        what = "None" if result.type == "NoneType" else units.one(result.type)
        advice = f": take one of its {units.plural(result.length or 0, 'item')}" if result.items else ""
        return f"expected {expected}, got no tensor but {what}{advice}"
    sizes = _sizes(result)
    dtype, device = result.dtype, result.device if isinstance(result, Tensor) else "cpu"
    wrong = []
    if expected.dtype is not None and expected.dtype != dtype:
        wrong.append(f"the dtype is {dtype}, not {expected.dtype}")
    if expected.sizes is not None:
        wrong += _wrong_sizes(expected, sizes)
    if expected.device is not None and device not in (expected.device, f"{expected.device}:{_index(device)}"):
        wrong.append(f"the device is {device}, not {expected.device}")
    if not wrong:
        return None
    parts = (
        dtype if expected.dtype else None,
        f"[{', '.join(map(str, sizes))}]" if expected.sizes is not None else None,
        device if expected.device else None,
    )
    got = " ".join(part for part in parts if part)
    return f"expected {expected}, got {got}: {'; '.join(wrong)}"


def _sizes(result: Tensor | Value) -> tuple[int | str, ...]:
    return getattr(result, "sizes", None) or result.shape or ()


def _index(device: str) -> str:
    return device.partition(":")[2]


def _wrong_sizes(expected: Expectation, sizes: tuple[int | str, ...]) -> list[str]:
    wanted = expected.sizes or ()
    more = len(sizes) - len(wanted)
    if more < 0 or (more > 0 and not expected.any_leading):
        count = "1 dimension" if len(sizes) == 1 else f"{len(sizes)} dimensions"
        return [
            f"there {'is' if len(sizes) == 1 else 'are'} {count}, not {'at least ' * expected.any_leading}{len(wanted)}"
        ]
    wrong: list[str] = []
    known: dict[str, tuple[int | str, int]] = {}
    for d, (want, size) in enumerate(zip(wanted, sizes[more:], strict=True), more):
        match want:
            case "*":
                continue
            case int() if size != want:
                wrong.append(f"dimension {d} is {size}, not {want}")
            case str() if isinstance(size, str) and size != want:
                wrong.append(f"dimension {d} is {size}, not {want}")
            case str() if known.setdefault(want, (size, d))[0] != size:
                before, where = known[want]
                told = f"not {want}" if before == want else f"and {want} is {before} in dimension {where}"
                wrong.append(f"dimension {d} is {size}, {told}")
    return wrong
