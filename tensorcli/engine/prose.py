"""Documentation written in reStructuredText as plain text, and its first sentence."""

import inspect
import re
from functools import cache
from typing import Any

_ROLE = re.compile(r":[a-z:+]+:`~?(?:([^`<]*?)\s*<[^`>]*>|([^`]*))`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")
_LITERAL = re.compile(r"``?~?([^`]+)``?_{0,2}")
_MATH = re.compile(r"^([ \t]*)\.\. math::[ \t]*((?:[^\n]*)(?:\n(?:\1[ \t]+[^\n]*|[ \t]*(?=\n)))*)", re.MULTILINE)
_OPTION = re.compile(r"^[ \t]*:(?:noindex|nosignatures|no-index):[^\n]*\n?", re.MULTILINE)
_DIRECTIVE = re.compile(r"^([ \t]*)\.\. (?:py:)?([\w-]+)::[ \t]*(.*)$", re.MULTILINE)
_TARGET = re.compile(r"^[ \t]*\.\. _[^\n]*\n?", re.MULTILINE)
_TEX = (
    (r"\\(?:text|mathrm|mathbf|operatorname|mathcal|textbf|mathbb)\{([^{}]*)\}", r"\1"),
    (r"\\d?frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1) / (\2)"),
    (r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)"),
    (r"\\(?:left|right|displaystyle|,|;|!|limits)(?![a-z])", ""),
    (r"\\lceil ?", "ceil("),
    (r" ?\\rceil", ")"),
    (r"\\times(?![a-z])", "x"),
    (r"\\cdot(?![a-z])", "*"),
    (r"\\(?:ldots|dots|cdots)(?![a-z])", "..."),
    (r"\\(?:leq|le)(?![a-z])", "<="),
    (r"\\(?:geq|ge)(?![a-z])", ">="),
    (r"\\([a-zA-Z]+)", r"\1"),
    (r"\\_", "_"),
)


def documentation(value: Any) -> str:
    """The documentation of a function, class or module, as it was written; "" where there is none."""
    text = getattr(value, "__doc__", None)
    return text if isinstance(text, str) else ""


def plain(text: str) -> str:
    """Documentation without its marks, and without the signatures it begins with."""
    text = _TARGET.sub("", _SIGNATURES.sub("", inspect.cleandoc(text)))
    text = _ROLE.sub(_role, text)
    text = _LINK.sub(r"\1", text)
    text = _LITERAL.sub(r"\1", text)
    text = _MATH.sub(_formula, _OPTION.sub("", text))
    text = _DIRECTIVE.sub(_directive, text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"(\w)::$", r"\1:", text, flags=re.MULTILINE)).strip()


def _role(match: re.Match[str]) -> str:
    text = match[1] or match[2] or ""
    return _without_tex(text) if match[0].startswith(":math:") else text


def _formula(match: re.Match[str]) -> str:
    lines = [line for line in match[2].split("\n") if line.strip()]
    return "\n".join(f"{match[1]}    {_without_tex(line.strip())}" for line in lines) + "\n" * match[0].endswith("\n")


def _without_tex(text: str) -> str:
    for pattern, instead in _TEX:
        text = re.sub(pattern, instead, text)
    return " ".join(re.sub(r"\\\\|[{}&]", " ", text).split())


def _directive(match: re.Match[str]) -> str:
    margin, name, rest = match.groups()
    if name in ("function", "method", "class"):
        return f"{margin}{rest}"
    return f"{margin}{name.capitalize()}: {rest}".rstrip() if name != "math" else f"{margin}{rest}"


@cache
def first_sentence(text: str) -> str:
    """The first sentence that is no signature; "" where there is none."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)[:2000]):
        if _SIGNATURE.match(paragraph) or paragraph.startswith(".."):
            continue
        words = " ".join(plain(paragraph).split())
        end = re.search(r"[.:](?= [A-Z(]|$)(?<!e\.g\.)(?<!i\.e\.)", words)
        return words[: end.start()] if end else words
    return ""


_SIGNATURES = re.compile(r"\A(?:[\w.]+\([^\n]*\)[ \t]*(?:->[^\n]*)?(?:\n|$))+")
_SIGNATURE = re.compile(r"[\w.]+\(.*\)\s*(?:->[^\n]*)?$", re.DOTALL)
