"""What can be said, and tried, of a failure that no entry knows: its category, its message as a sentence, edits."""

import ast
import contextlib
import re
from collections.abc import Iterator
from itertools import combinations

from tensorcli.diagnoses import Edit, Failure, Finding, Operand
from tensorcli.diagnoses.edits import change, is_tensor, shape, suffix, suffixed, text_of, with_keyword
from tensorcli.diagnoses.messages import said

# Searched in this order in "ExceptionType: message".
_CATEGORIES = (
    ("memory", r"MemoryError|can't allocate memory|out of memory"),
    ("name", r"NameError|AttributeError|ImportError|unexpected keyword|missing \d+ required|invalid combination"),
    ("autograd", r"\bgrad\b|requires_grad|backward|leaf [Vv]ariable|autograd"),
    ("device", r"\bcuda\b|same device|CUDA|devices?\b"),
    ("numpy", r"numpy|NumPy|ndarray"),
    ("dtype", r"dtype|scalar type|not implemented for '|can't be cast|Float|Long\b|integral|complex"),
    ("index", r"IndexError|index|indices|out of (range|bounds)"),
    ("layout", r"contiguous|stride|view size|sparse|layout"),
    ("shape", r"shape|size|dimension|\bdim\b|broadcast|elements|mat1|matrix|matrices"),
    ("syntax", r"SyntaxError"),
    ("value", r"ValueError|TypeError|KeyError|ZeroDivisionError|AssertionError|OverflowError|RecursionError|ambiguous"),
)


def unknown(failure: Failure) -> tuple[str, str, Finding]:
    """Code, category and finding of a failure that no entry knows: Python's own mistakes are of their type's kind."""
    category = category_of(failure)
    kind = type(failure.error)
    own = category == "value" and kind.__module__ == "builtins"
    return kebab(kind.__name__) if own else f"{category}-error", category, Finding(sentence(failure))


def raised(failure: Failure) -> tuple[str, str, Finding]:
    """The same of what was raised in code that was typed: its type and its words say what it is, and nothing else."""
    name = type(failure.error).__name__
    category = next((category for category, pattern in _CATEGORIES if re.search(pattern, f"{name}:")), "other")
    first = _first_sentence(failure.message)
    title = f"{name}: {first}" if first else f"{name} was raised without a message"
    return kebab(name), category, Finding(title, tuple(_before(failure.error)))


def _before(error: BaseException) -> Iterator[str]:
    """The exception that this one was raised from, or while handling."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        with contextlib.suppress(Exception):  # its own text may fail
            yield f"before it came {type(before).__name__}: {_first_sentence(str(before))}".rstrip(": ")


def kebab(name: str) -> str:
    """A type's name as a code: zero-division-error."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


def category_of(failure: Failure) -> str:
    """The category that the exception's type and words suggest, or "other"."""
    words = f"{type(failure.error).__name__}: {failure.message}"
    return next((category for category, pattern in _CATEGORIES if re.search(pattern, words)), "other")


def sentence(failure: Failure) -> str:
    """The first sentence of the message, with dtypes spelt one way; the exception's name where it says nothing."""
    first = _first_sentence(failure.message)
    name = type(failure.error).__name__
    if not first:
        return f"{name} was raised without a message"
    if isinstance(failure.error, KeyError | ZeroDivisionError | RecursionError | StopIteration):
        return f"{name}: {first}"
    return re.sub(r"\btorch\.(float|int|uint|bool|complex|bfloat)(\d*)\b", r"\1\2", first)


def _first_sentence(message: str) -> str:
    return message.strip().split("\n")[0].split(". ")[0].rstrip(".: ")


# Edits that mend many failures, whatever they are.


def edits(failure: Failure) -> Iterator[Edit]:
    """Changes of one operand, or of the dimension, that mend many failures; for those that no entry could mend."""
    category = category_of(failure)
    operands = [operand for operand in failure.operands if is_tensor(operand.value)]
    if (
        category not in ("shape", "index", "layout", "dtype", "other")
        or said(failure, "index")
        or said(failure, "empty")
    ):
        return
    if category == "dtype":
        for operand in operands:
            yield from (suffix(failure, operand, text) for text in (".float()", ".long()"))
        return
    yield from _other_dims(failure, operands)
    if len(operands) > 1 and failure.call and failure.call.form != "index":
        first, second = operands[:2]
        texts = [suffixed(failure, operand, "") for operand in (first, second)]
        yield change(failure, (first, texts[1]), (second, texts[0]), title="swap the two")
    for operand in reversed(operands):
        yield from _turned(failure, operand)
    for operand in reversed(operands):
        yield from (suffix(failure, operand, text) for text in (".unsqueeze(0)", ".unsqueeze(1)", ".flatten()"))


def _turned(failure: Failure, operand: Operand) -> Iterator[Edit]:
    sizes = shape(operand) or ()
    yield from (suffix(failure, operand, f".squeeze({d})", title="without its size of 1") for d in _ones(sizes))
    if len(sizes) == 2:
        yield suffix(failure, operand, ".T", title="transpose")
    for first, second in combinations(range(len(sizes)), 2) if len(sizes) in (3, 4) else ():
        yield suffix(failure, operand, f".transpose({first}, {second})", title="swap two dimensions")


def _ones(sizes: tuple[int, ...]) -> list[int]:
    return [d for d, size in enumerate(sizes) if size == 1]


def _other_dims(failure: Failure, operands: list[Operand]) -> Iterator[Edit]:
    """The call along another dimension, where it takes one."""
    call, node = failure.call, failure.node
    if call is None or not isinstance(node, ast.Call) or not operands:
        return
    rank = len(shape(operands[0]) or ())
    given = call.keywords.get("dim") or call.keywords.get("axis")
    for dim in (*range(1, rank), 0):
        if given is not None:
            yield change(failure, (given, str(dim)), title=f"along dimension {dim}")
        elif call.form in ("function", "method"):
            text = with_keyword(text_of(failure, node), f"dim={dim}")
            yield change(failure, (node, text), title=f"along dimension {dim}")
