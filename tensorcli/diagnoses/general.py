"""What can be said of a failure that no entry knows: its category, and its own message as one sentence."""

import re

from tensorcli.diagnoses import Failure

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


def category_of(failure: Failure) -> str:
    """The category that the exception's type and words suggest, or "other"."""
    words = f"{type(failure.error).__name__}: {failure.message}"
    return next((category for category, pattern in _CATEGORIES if re.search(pattern, words)), "other")


def sentence(failure: Failure) -> str:
    """The first sentence of the message, with dtypes spelt one way; the exception's name where it says nothing."""
    first = failure.message.strip().split("\n")[0].split(". ")[0].rstrip(".: ")
    name = type(failure.error).__name__
    if not first:
        return f"{name} was raised without a message"
    if isinstance(failure.error, KeyError | ZeroDivisionError | RecursionError | StopIteration):
        return f"{name}: {first}"
    return re.sub(r"\btorch\.(float|int|uint|bool|complex|bfloat)(\d*)\b", r"\1\2", first)
