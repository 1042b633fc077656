"""Text that is no Python: what a person would say of it, where, and repaired texts that can be tried.

There is no failure to recognise here: the text never ran. `explained` answers for a SyntaxError.
"""

# ruff: noqa: RUF001 (the table of characters that are taken for others)

import ast
import keyword
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from tensorcli import units
from tensorcli.diagnoses import Edit, Entry, Failure, Finding
from tensorcli.diagnoses.edits import text_of
from tensorcli.diagnoses.words import distance
from tensorcli.language import Place

MAX_CANDIDATES = 12  # that parse, of each text


@dataclass(frozen=True)
class Broken:
    """A text that could not be parsed, and where: the line from 0, the columns from 0 in it."""

    text: str
    message: str
    line: int
    start: int
    end: int

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")

    @property
    def source(self) -> str:
        """The line that Python stopped at."""
        return self.lines[self.line]

    @property
    def offset(self) -> int:
        """Where Python stopped, in characters of the whole text."""
        return sum(len(line) + 1 for line in self.lines[: self.line]) + self.start

    def with_line(self, line: str, at: int | None = None) -> str:
        """The text with one line written otherwise."""
        lines = self.lines
        lines[self.line if at is None else at] = line
        return "\n".join(lines)


def broken(text: str, error: SyntaxError) -> Broken:
    """What Python says of a text, its positions within the text."""
    lines = text.split("\n")
    line = min(max((error.lineno or 1) - 1, 0), len(lines) - 1)
    start = min(max((error.offset or 1) - 1, 0), len(lines[line]))
    end = len(lines[line]) if (error.end_lineno or 0) - 1 > line else max((error.end_offset or 0) - 1, start)
    return Broken(text, error.msg or "invalid syntax", line, start, min(end, len(lines[line])))


# Titles


_CHARACTERS = {
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "`": "'",
    "´": "'", "−": "-", "–": "-", "—": "-", "×": "*", "⋅": "*", "·": "*", "÷": "/",
    "≤": "<=", "≥": ">=", "≠": "!=", "²": "**2", "³": "**3", "（": "(", "）": ")",
    "，": ",", "：": ":", "；": ";", "。": ".", "、": ",", "［": "[", "］": "]", "【": "[",
    "】": "]", "＝": "=", "＋": "+", "－": "-", "＊": "*", "∗": "*", "…": "...",
    "√": "", "∈": " in ", "∧": " and ", "∨": " or ", "¬": "not ", "→": "->",
    "¹": "**1", "⁻": "-", "∞": "torch.inf", "π": "torch.pi", "＂": '"', "＇": "'",
    "｀": "'",
}  # fmt: skip
_SPACES = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_UNSEEN = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad\u202a-\u202e]")

# What is wrong, by Python's own words and by what stands in the line. The first that fits is said.
_TITLES: tuple[tuple[str, str, str], ...] = (
    (r"f-string", "", "the braces or quotes inside this f-string do not match"),
    (r"was never closed", "", "the bracket {at} is never closed"),
    (r"unmatched '(.)'", "", "there is a {1} too many, or its opening bracket is missing"),
    (r"closing parenthesis '(.)' does not match opening parenthesis '(.)'", "", "the bracket {2} is closed by {1}"),
    (r"", r"^\s*(?:>>>|\.\.\.|In ?\[\d*\]:|Out ?\[\d*\]:|\$ )", "this begins with a prompt that was pasted along"),
    (
        r"",
        r"^\s*<[\w.]+ .*>\s*$|grad_fn=<|^\s*\[\d+ rows x|^Traceback|^\s*File \"",
        "this looks like output pasted with the code",
    ),
    (r"'with' is missing", "", "a block such as no_grad begins with `with`"),
    (
        r"invalid syntax|illegal target",
        r"^\s*torch(?:\.\w+)+(?:\(.*\))?:",
        "a block such as no_grad begins with `with`",
    ),
    (r"expected ':'", r"\belse\s+if\b", "Python writes elif, not else if"),
    (r"", r"^\s*else\s*if\b|^\s*elseif\b|^\s*elsif\b", "Python writes elif, not else if"),
    (r"expected ':'|forgotten.*':'", "", "a colon is missing at the end of this line"),
    (
        r"invalid syntax",
        r"^\s*(?:if|while|for|def|else|elif|with|try|except|class)\b[^:]*$",
        "a colon is missing at the end of this line",
    ),
    (r"Missing parentheses in call to 'print'", "", "print is a function and takes brackets: print(...)"),
    (r"Missing parentheses in call to '(\w+)'", "", "{1} is a function and takes brackets"),
    (r"unterminated triple-quoted", "", "the text in triple quotes is never closed"),
    (
        r"unterminated f-string|unterminated string|EOL while",
        r"\w'\s*(?:[*@+.,)]|$)",
        "a quote is never closed; a transpose is written x.T",
    ),
    (r"unterminated|EOL while", "", "a quote is missing: this text is never closed"),
    (r"", r"&&", "Python writes `and`, and & between tensors, not &&"),
    (r"", r"\|\|", "Python writes `or`, and | between tensors, not ||"),
    (r"invalid syntax", r"\+\+|--\s*;?\s*$", "Python has no ++ and --: write += 1 or -= 1"),
    (r"invalid syntax", r"=>", "Python writes >= for greater or equal"),
    (r"invalid syntax", r"=<", "Python writes <= for less or equal"),
    (r"invalid syntax", r"<>", "Python writes != for not equal"),
    (r"invalid syntax", r"===|!==", "Python compares with == and !=, of two characters"),
    (r"invalid syntax", r"!\s*[A-Za-z_(]", "Python writes `not`, and ~ for tensors, not !"),
    (r"invalid syntax", r"\?.*:", "Python writes a if condition else b, not condition ? a : b"),
    (
        r"invalid syntax",
        r"^\s*(?:var|let|const|int|float|double|auto|Tensor)\s+\w+\s*=",
        "Python's variables are not declared: write only the name",
    ),
    (r"invalid syntax", r"\bnew\s+\w", "Python makes objects without `new`"),
    (r"invalid syntax", r"//", "a comment begins with #, not //"),
    (r"invalid syntax", r"\.\^|\.\*|\./", "tensors multiply element by element with * and / and **, without a dot"),
    (r"invalid syntax", r"\w\{", "an index stands in [ ], and what a function is given in ( )"),
    (r"Maybe you meant '==' or ':='", r"\{", 'a dictionary is written with colons: {{"a": 1}}'),
    (r"expression cannot contain assignment", "", "a keyword is a plain name, without quotes or dots"),
    (
        r"Maybe you meant '=='|invalid syntax",
        r"\b(?:if|while|assert|elif)\b.*[^=!<>:]=[^=]",
        "= assigns; a comparison is written ==",
    ),
    (
        r"cannot assign to (function call|expression|literal|comparison|True|False|None|operator)",
        "",
        "= assigns to a name, and this is {one}; a comparison is written ==",
    ),
    (r"illegal expression for augmented assignment", "", "only a name or a part of something can be changed in place"),
    (r"Perhaps you forgot a comma", "", "a comma or an operator is missing"),
    (r"positional argument follows keyword argument", "", "arguments without a name come before those with one"),
    (r"keyword argument repeated: (\w+)", "", "the argument {1} is given twice"),
    (r"unexpected indent", "", "this line is indented further than the one before"),
    (r"expected an indented block after (.*?)(?: on line \d+)?$", "", "what belongs to the {1} above must be indented"),
    (r"unindent does not match", "", "this line's indentation fits none of the lines above"),
    (r"inconsistent use of tabs", "", "tabs and spaces are mixed in the indentation"),
    (r"expected 'else' after 'if'", "", "an `if` inside an expression needs an `else`"),
    (r"expected 'except' or 'finally'", "", "a try needs an except"),
    (r"leading zeros", "", "a whole number does not begin with 0"),
    (
        r"invalid decimal literal|invalid .* literal",
        r"\d\.[A-Za-z]",
        "a number's method needs brackets around the number",
    ),
    (
        r"invalid decimal literal|invalid .* literal",
        "",
        "an operator is missing between a number and a name, or the number has a letter too many",
    ),
    (r"invalid character '(.)'", "", "{1} is no character of Python{instead}"),
    (
        r"invalid non-printable character (U\+\w+)",
        "",
        "there is an invisible character here, {1}: it came with what was pasted",
    ),
    (r"'return' outside function", "", "return stands only in a function"),
    (
        r"'(break|continue)' outside loop|'(continue)' not properly in loop",
        "",
        "break and continue stand only in a loop",
    ),
)


_UNFINISHED = re.compile(r"(?<![-+.])(?P<sign>[-+*/@%|&^<>=!]+|\.|\b(?:and|or|not|in|is|if|else|lambda))\s*$")


def _unfinished(problem: Broken) -> str | None:
    """The operator that a text ends with: what follows it has yet to be written."""
    found = _UNFINISHED.search(problem.text)
    return found["sign"] if found and found["sign"] not in ("++", "--") and problem.source[:1] != "<" else None


_STARTS = "return for import from while else elif def class with try except print assert break continue pass".split()


def _misspelt(problem: Broken) -> tuple[str, str, str] | None:
    """A word of Python's that is misspelt where a statement begins: both words, and the line with it mended."""
    found = re.match(r"(\s*)([A-Za-z_]{3,})\b(?=\s*:|\s+[^\s=.,)\]]|\s*$)(.*)", problem.source)
    for word in _STARTS if found else ():
        indent, wrong, rest = found.groups() if found else ("", "", "")
        line = f"{indent}print({rest.strip()})" if word == "print" else f"{indent}{word}{rest}"
        if not keyword.iskeyword(wrong) and distance(wrong, word) == 1 and _parses(problem.with_line(line)):
            return wrong, word, line
    return None


def _by_misspelt(problem: Broken) -> Iterator[str]:
    if found := _misspelt(problem):
        yield problem.with_line(found[2])


def _title(problem: Broken) -> str:
    said, line = problem.message, problem.source
    if found := _misspelt(problem):
        return f"{found[0]} is no word of Python: did you mean {found[1]}?"
    if _unfinished(problem):
        return f"this line is not finished: something is missing after {_unfinished(problem)}"
    for pattern, inside, title in _TITLES:
        match = re.search(pattern, said)
        if match and (not inside or re.search(inside, line)):
            parts = [match[0], *(part or "" for part in match.groups()), ""]
            character = parts[1] if len(parts) > 1 else ""
            wanted = _CHARACTERS.get(character)
            instead = f": write {wanted.strip()}" if wanted and wanted.strip() else ""
            one = character if character[:1].isupper() else units.one(character)
            return title.format(*parts, one=one, at=line[problem.start : problem.start + 1], instead=instead)
    return _plain_title(problem)


def _plain_title(problem: Broken) -> str:
    """What can be said of an "invalid syntax"."""
    rest = problem.source[problem.start :]
    if problem.message != "invalid syntax":
        return f"this is not Python: {problem.message.removeprefix('invalid syntax. ')}"
    if not rest.strip():
        return "this line is not finished: it ends too early"
    word = re.match(r"\w+|\S", rest.lstrip())
    found = word[0] if word else rest[:1]
    if keyword.iskeyword(found):
        return f"this is not Python: {found} is one of Python's own words, and cannot stand here"
    if re.match(r"\w", found) and re.search(r"[\w)\]}\"']\s*$", problem.source[: problem.start]):
        return f"this is not Python: an operator or a comma is missing before {found}"
    return f"this is not Python: {found} cannot stand here"


def _place(problem: Broken) -> Place:
    """Where a person would put the caret."""
    line = problem.source
    start, end = _span(problem, line)
    return Place(1, start, 1, end, line[start:end])


# Signs and words of other languages: where one of these stands near, it is what is wrong.
_WRONG = re.compile(
    r"&&|\|\||\+\+|--|=>|=<|===|!==|<>|= =|\.\^|\.\*|\./|//|/\*|\?|^\s*(?:>>>|\.\.\.|\$)|\bnew\b"
    r"|\belse\s*if\b|\belsif\b|\b(?:var|let|const|int|float|double|auto|Tensor|function|func)\b(?= \w)"
)


def _span(problem: Broken, line: str) -> tuple[int, int]:
    start, end, said = problem.start, max(problem.end, problem.start), problem.message
    if found := _misspelt(problem):
        return line.index(found[0]), line.index(found[0]) + len(found[0])
    if re.search("unexpected indent|unindent|inconsistent use of tabs|indented block", said):
        return len(line) - len(line.lstrip()), len(line.rstrip())
    if "Missing parentheses" in said:
        return start, len(line.rstrip())
    if "unterminated" in said:
        quote = re.search(r"[\"']", line[start:])
        return (start + quote.start(), start + quote.end()) if quote else (start, start + 1)
    if "decimal literal" in said:
        word = next((m for m in re.finditer(r"[\w.]+", line) if m.start() <= start < m.end()), None)
        return word.span() if word else (start, end)
    if "invalid syntax" in said or "expected ':'" in said:
        signs = [m for m in _WRONG.finditer(line) if m.start() <= end + 1 and m.end() >= start - 5]
        if signs and "comma" not in said:
            return len(line[: signs[0].start()]) + len(signs[0][0]) - len(signs[0][0].lstrip()), signs[0].end()
        if "expected ':'" in said or _COLON.match(line) or not line[start:].strip():
            last = re.search(r"(\w+|\S)\s*$", line[:start])
            return last.span(1) if last else (start, end)
    return start, end if end > start or start >= len(line) else start + 1


_COLON = re.compile(r"^\s*(?:if|while|for|def|else|elif|with|try|except)\b[^:]*$")


# Repairs: each gives whole texts that might be meant. Those that parse are tried, in this order.


def _by_characters(problem: Broken) -> Iterator[str]:
    text = _UNSEEN.sub("", _SPACES.sub(" ", problem.text))
    yield text
    table = {k: v for k, v in _CHARACTERS.items() if k != "`"}
    yield "".join(table.get(character, character) for character in text)
    yield "".join(_CHARACTERS.get(character, character) for character in text)
    yield re.sub(r"√\s*(\w+|\([^()]*\))", lambda m: f"math.sqrt({m[1].strip('()')})", text)


_PROMPT = re.compile(r"^\s*(?:>>> ?|\.\.\. ?|In ?\[\d*\]: ?|Out ?\[\d*\]: ?|\$ |> |% |# %% )")


def _without_prompts(problem: Broken) -> Iterator[str]:
    lines = problem.lines
    if any(_PROMPT.match(line) for line in lines):
        yield "\n".join(_PROMPT.sub("", line) for line in lines)
        yield "\n".join(_PROMPT.sub("", line) for line in lines if _PROMPT.match(line))


_OUTPUT = re.compile(
    r"^\s*(?:tensor\(|array\(|\[\[|torch\.Size|<|Out ?\[|[\d.]+e?[-+]?\d*\s*$|\w+\(.*grad_fn)"
    r"|^Traceback|^\s*File \"|^\w+Error:"
)


def _without_output(problem: Broken) -> Iterator[str]:
    lines = problem.lines
    if len(lines) > 1:
        yield "\n".join(line for at, line in enumerate(lines) if at != problem.line)
        kept = [line for line in lines if not _OUTPUT.match(line)]
        yield "\n".join(kept)
        yield "\n".join(lines[: problem.line])
        yield "\n".join(line for line in kept if not re.match(r"^\s+[\[\d]", line))
    yield re.sub(r",?\s*grad_fn=<\w*>?", "", problem.text)
    yield re.sub(
        r"\btensor\(",
        "torch.tensor(",
        re.sub(r",?\s*(?:grad_fn=<\w*>|requires_grad=True|device='[\w:]*')", "", problem.text),
    )


def _print(problem: Broken) -> Iterator[str]:
    line = problem.source
    match = re.match(r"^(.*?\bprint)\s+(.+?)\s*(;?)$", line) or re.match(
        r"^(.*?\b(?:exec|len|sum|max|min|abs|list))\s+(.+?)(;?)$", line
    )
    if match:
        yield problem.with_line(f"{match[1]}({match[2].rstrip(',')}){match[3]}")
    every = re.sub(r"(?m)^(\s*)print\s+([^(\n].*?)\s*$", r"\1print(\2)", problem.text)
    yield every


_OPERATORS = (
    (r"\s*&&\s*", " and "),
    (r"\s*\|\|\s*", " or "),
    (r"!==", "!="),
    (r"===", "=="),
    (r"=>", ">="),
    (r"=<", "<="),
    (r"<>", "!="),
    (r"=!", "!="),
    (r"= =", "=="),
    (r"= =", "="),
    (r"! =", "!="),
    (r"> =", ">="),
    (r"< =", "<="),
    (r"([+\-*/]) =", r"\1="),
    (r"\*\s+\*", "**"),
    (r"/\s+/", "//"),
    (r"!\s*(?=[\w(])(?!=)", "not "),
    (r"!\s*(?=[\w(])", "~"),
    (r"(\w+(?:\[\w+\]|\.\w+)*)\s*\+\+;?", r"\1 += 1"),
    (r"(\w+(?:\[\w+\]|\.\w+)*)\s*--;?", r"\1 -= 1"),
    (r"\.\^", "**"),
    (r"\s*\.\^\s*", " ** "),
    (r"\.\*", "*"),
    (r"\s*\.\*\s*", " * "),
    (r"\./", "/"),
    (r"\s*\./\s*", " / "),
    (r"(?<![\w)\]'\"])//.*$", ""),
    (r"//.*$", ""),
    (r"\s*//\s*(.*)$", r"  # \1"),
    (r"/\*.*?\*/\s*", ""),
    (r"\s+--\s+.*$", ""),
    (r":=", "="),
    (r"<-", "="),
    (r"(\w)'", r"\1.T"),
    (r"(\w+)\((:[^()]*|[^()]*:)\)", r"\1[\2]"),
    (r"(\w+)\(([^()]*:[^()]*)\)", r"\1[\2]"),
    (r"(\w+)\{([^{}]*)\}", r"\1(\2)"),
    (r"(\w+)\{([^{}]*)\}", r"\1[\2]"),
    (r"(=\s*)(.+?)\s*\?\s*(.+?)\s*:\s*(.+)", r"\1\3 if \2 else \4"),
    (r"^(\s*)(.+?)\s*\?\s*(.+?)\s*:\s*(.+)", r"\1\3 if \2 else \4"),
    (
        r"\b(?:var|let|const|int|float|double|auto|Tensor|val|my|local|bool|string|str|list)\s+(?=\w+\s*(?::\s*\w+\s*)?=)",
        "",
    ),
    (r"\bnew\s+", ""),
    (r"(?:;\s*)?\bend\b\s*;?\s*$", ""),
    (r";+\s*$", ""),
    (r"^\s*;\s*", ""),
    (r";\s*;+", ";"),
    (r",\s*,", ","),
    (r"\(\s*,\s*", "("),
    (r"\[\s*,\s*", "[:, "),
    (r"\[\s*,\s*", "["),
    (r"(\d)\s*;\s*", r"\1, "),
    (r"\bNULL\b|\bnull\b|\bnil\b", "None"),
    (r"\$(\w+)", r"\1"),
    (r"@(?=\w+\s*=)", ""),
    (r"\bis\s+not\s+in\b", "not in"),
    (r"\bnot\s+is\b", "is not"),
    (r"\b(\w+)\s+not\s+(?!in\b)", r"\1 != "),
    (r"\bthen\b", ":"),
    (r"\s+then\b", ":"),
    (r"\belse\s*if\b", "elif"),
    (r"\bels(?:e)?if\b", "elif"),
    (r"\b(?:function|func|fn|fun|define|Def|DEF)\s+(?=\w+\()", "def "),
    (r"\bfor\s*\((\w+)\s+in\s+(.*?)\)\s*:?", r"for \1 in \2:"),
    (r"\bfor\s+each\b|\bforeach\b|\bFor\b|\bFOR\b", "for"),
    (r"\bIf\b|\bIF\b", "if"),
    (r"\bfor\s+(\w+)\s+(?!in\b|,)(?=\w)", r"for \1 in "),
    (r"\bfor\s+(\w+)\s*(?:=|of|:)\s*", r"for \1 in "),
    (r"\bWhile\b", "while"),
    (r"\bImport\b|\binclude\b|\busing\b|\brequire\b", "import"),
    (r"\bReturn\b", "return"),
    (r"\bimport\s+([\w.]+)\s+from\s+([\w.]+)", r"from \2 import \1"),
    (r"\bimport\s+(.+?)\s+(?:to|is)\s+(\w+)", r"import \1 as \2"),
    (r"(\d+(?:\.\d*)?)[fFlLdu]\b", r"\1"),
    (r"\b0+(\d+)\b", r"\1"),
    (r"(?<![\w.])(\d+)\.(?=[A-Za-z_])", r"(\1)."),
    (r"_(?=\W|$)", ""),
    (r"(\d)[eE](?=\W|$)", r"\1"),
    (r"(\d)\.(\d+)\.", r"\1.\2"),
    (r"(\d+\.\d+)\.(\d)", r"\1\2"),
    (r"\.\.(?!\.)", "."),
    (r"\.\s*$", ""),
    (r"(\w)\s*->\s*(\w)", r"\1.\2"),
    (r"(\w)::(\w)", r"\1.\2"),
    (r"(\w):(\d|True|False)", r"\1=\2"),
    (r"\bas\s*$", ""),
    (r"\"(\w+)\"\s*=(?!=)", r"\1="),
    (r"'(\w+)'\s*=(?!=)", r"\1="),
    (r"\{\s*(\w+)\s*=\s*([^,{}]+)\s*\}", r'{"\1": \2}'),
)


def _operators(problem: Broken) -> Iterator[str]:
    """Other languages' operators and words, one kind at a time: first where Python stopped, then everywhere."""
    line = problem.source
    yield from _matrix(problem)
    for pattern, new in _OPERATORS:
        if re.search(pattern, line):
            yield problem.with_line(re.sub(pattern, new, line))
            yield problem.with_line(re.sub(pattern, new, line, count=1))
        if len(problem.lines) > 1 and re.search(pattern, problem.text, re.M):
            yield re.sub(pattern, new, problem.text, flags=re.M)
    yield from _bracketed_logic(problem)
    yield from _dictionary(problem)


def _bracketed_logic(problem: Broken) -> Iterator[str]:
    for word, sign, name in (("&&", "&", "and"), ("||", "|", "or")):
        if word in problem.source:
            head, equals, tail = re.match(r"^(\s*(?:\w+\s*=(?!=)|return|if|while)?)()(.*)$", problem.source).groups()  # type: ignore[union-attr]
            colon = ":" if tail.rstrip().endswith(":") else ""
            parts = [part.strip() for part in tail.rstrip().removesuffix(":").split(word)]
            joined = f" {sign} ".join(part if re.fullmatch(r"\(.*\)|[\w.]+", part) else f"({part})" for part in parts)
            for text in (joined, f"torch.logical_{name}({', '.join(parts)})"):
                yield problem.with_line(f"{head}{equals}{' ' if head.strip() else ''}{text}{colon}")


def _dictionary(problem: Broken) -> Iterator[str]:
    match = re.search(r"\{([^{}:]*=[^{}]*)\}", problem.source)
    if match:
        pairs = re.sub(r"(\w+)\s*=\s*", r'"\1": ', match[1])
        start, end = match.span()
        yield problem.with_line(f"{problem.source[:start]}{{{pairs}}}{problem.source[end:]}")


def _matrix(problem: Broken) -> Iterator[str]:
    """MATLAB's [1, 2; 3, 4] and [1 2; 3 4]."""
    match = re.search(r"(?<![\w)\]])\[([^\[\]]*[; ][^\[\]]*)\]", problem.source)
    if not match:
        return
    rows = [", ".join(re.split(r"[\s,]+", row.strip())) for row in match[1].split(";")]
    text = f"[[{'], ['.join(rows)}]]" if len(rows) > 1 else f"[{rows[0]}]"
    start, end = match.span()
    for made in (text, f"torch.tensor({text})"):
        yield problem.with_line(problem.source[:start] + made + problem.source[end:])


def _with(problem: Broken) -> Iterator[str]:
    """`with torch.no_grad(): x` for `torch.no_grad: x`."""
    head, _, block = problem.source.partition(":")
    yield problem.with_line(f"with {head.strip()}{'' if head.rstrip().endswith(')') else '()'}:{block}")


def _colons(problem: Broken) -> Iterator[str]:
    lines = problem.lines
    for at in dict.fromkeys([problem.line, max(problem.line - 1, 0), *range(len(lines))]):
        line = lines[at]
        if not re.match(r"\s*(?:if|elif|else|for|while|def|with|try|except|finally)\b", line):
            continue
        body, mark, comment = line.partition("#")
        body = body.rstrip()
        yield problem.with_line(f"{body.rstrip(';,.{ ')}:{'  ' + mark + comment if mark else ''}", at)
        if at == problem.line:
            yield problem.with_line(f"{line[: problem.start].rstrip()}: {line[problem.start :].lstrip(':; ')}", at)
        yield problem.with_line(re.sub(r"[;,={]\s*$", ":", body), at)
        for word in re.finditer(r"\)\s+(?=\w)", line):
            yield problem.with_line(f"{line[: word.start() + 1]}: {line[word.end() :]}", at)


_PAIRS = {"(": ")", "[": "]", "{": "}"}


def _brackets(problem: Broken) -> Iterator[str]:
    text, said = problem.text, problem.message
    mismatch = re.search(r"closing parenthesis '(.)' does not match opening parenthesis '(.)'", said)
    unmatched = re.search(r"unmatched '(.)'", said)
    if mismatch:
        closer, at = _PAIRS[mismatch[2]], problem.offset
        yield text[:at] + closer + text[at:]
        yield text[:at] + closer + text[at + 1 :]
        yield from (text[:p] + closer + text[p:] for p in _boundaries(text, at))
    elif unmatched:
        yield text[: problem.offset] + text[problem.offset + 1 :]
        opener = next((o for o, c in _PAIRS.items() if c == unmatched[1]), "(")
        start = text.rfind("\n", 0, problem.offset) + 1
        before = list(re.finditer(r"(?<=\w) (?=[\w\[(-])", text[start : problem.offset]))
        yield from (text[: start + m.start()] + opener + text[start + m.end() :] for m in reversed(before))
        yield from (text[:p] + opener + text[p:] for p in _boundaries(text, problem.offset))
    elif "never closed" in said or "'['" in said or "'('" in said:
        yield from _closed(text, problem)
    elif "invalid syntax" in said or "f-string" in said:
        yield from islice(_closed(text, problem), 8)


def _closed(text: str, problem: Broken) -> Iterator[str]:
    stack = _open_brackets(text)
    closers = "".join(_PAIRS[text[at]] for at in reversed(stack))
    if not closers:
        return
    trailing = re.sub(r"[\s,+*/=.-]*$", "", text)
    lines = problem.lines
    line_end = sum(len(line) + 1 for line in lines[: text.count("\n", 0, stack[-1]) + 1]) - 1
    first = line_end if len(lines) > 1 else len(text)
    for at in dict.fromkeys([first, len(text.rstrip()), len(trailing)]):
        head, tail = text[:at].rstrip(), text[at:]
        if head.endswith(":"):
            yield f"{head[:-1]}{closers}:{tail}"
        yield f"{head}{closers}{tail}"
        yield f"{head.rstrip(',')}{closers}{tail}"
    yield trailing + closers
    if len(closers) == 1:
        yield from (text[:p] + closers + text[p:] for p in _boundaries(text, len(text)) if p > stack[0] + 1)
        yield text[: stack[0]] + text[stack[0] + 1 :]
    else:
        for p in _boundaries(text, len(text)):
            if p > stack[-1]:
                yield text[:p] + closers[0] + text[p:].rstrip() + closers[1:]


def _open_brackets(text: str) -> list[int]:
    """Where brackets are opened that are never closed, texts and comments left out."""
    stack: list[int] = []
    plain = re.sub(r"(\"\"\"|''')(?:.|\n)*?\1|\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*", lambda m: "~" * len(m[0]), text)
    for at, character in enumerate(plain):
        if character in _PAIRS:
            stack.append(at)
        elif character in ")]}" and stack and _PAIRS[plain[stack[-1]]] == character:
            stack.pop()
    return stack


def _boundaries(text: str, end: int) -> Iterator[int]:
    """Where a word or a bracket ends, from `end` backwards."""
    yield from (m.end() for m in reversed(list(re.finditer(r"\w+|[)\]}\"']", text[:end]))))


_GAP = re.compile(r"(?<=[\w)\]}\"'])([ \t]+|\n[ \t]*)(?=[\w(\[{\"'-])")
_LIBRARIES = {"torch", "nn", "F", "np", "math", "x"}


def _gaps(problem: Broken) -> Iterator[str]:
    """A comma, an operator, = or a dot between two values that stand side by side."""
    text = problem.text
    near_to = problem.offset
    gaps = sorted(_GAP.finditer(text), key=lambda m: (abs(m.start() - near_to) > 80, abs(m.end() - near_to)))
    inside = bool(_open_brackets(text[:near_to]))
    for gap in gaps[:12]:
        before = re.search(r"(\w+)$", text[: gap.start()])
        word = before[1] if before else ""
        if keyword.iskeyword(word) and word not in ("True", "False", "None"):
            continue
        number = bool(re.fullmatch(r"\d+(\.\d*)?", word))
        signs = [", ", " * ", "=", ": ", ".", " = "] if inside else [" * ", " = ", ".", ", ", " + "]
        if not inside and _are_statements(text[: gap.start()], text[gap.end() :]):
            yield f"{text[: gap.start()]}; {text[gap.end() :]}"
            return
        if word in _LIBRARIES and word != "x":
            signs = [".", *signs]
        if inside and re.search(r"[(,]\s*\w+$", text[: gap.start()]) and not number and word in _KEYWORDS:
            signs = ["=", *signs]
        if inside and re.search(r"[\"']$", text[: gap.start()]) and "{" in text[:near_to]:
            signs = [": ", *signs]
        if not inside and re.search(r"(?:^|\n)\s*[A-Za-z_]\w*$", text[: gap.start()]):
            signs = [" = ", " * ", "."] if re.match(r"[\w.]+[(\[]|[\[(\d]", text[gap.end() :]) else signs
        for sign in signs:
            tail = gap[0] if "\n" in gap[0] else ""
            yield text[: gap.start()] + (sign.rstrip() + tail if tail else sign) + text[gap.end() :]
    commas = text
    for _ in range(len(gaps)):
        again = _GAP.sub(lambda m: "," + (m[0] if "\n" in m[0] else " "), commas)
        if again == commas:
            break
        commas = again
    yield commas
    line = problem.source
    yield problem.with_line(
        re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)(?=[A-Za-z_(])(?![eE]\d|[xXoObB][\da-fA-F])", r"\1 * ", line)
    )
    yield problem.with_line(
        re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)(?=[A-Za-z_(])(?![eE]\d|[xXoObB][\da-fA-F])", r"\1*", line, count=1)
    )
    yield problem.with_line(re.sub(r"\)\s*\(", "), (", line))
    yield problem.with_line(re.sub(r"\)\s*\(", ") * (", line))
    yield problem.with_line(re.sub(r"\]\s*\[", "], [", line))


def _are_statements(before: str, after: str) -> bool:
    """Whether two statements stand side by side: one assigns, and the next uses it, prints or assigns too."""
    assigned = re.match(r"(\w+)\s*[-+*/]?=(?!=)", before.rpartition("\n")[2].strip())
    follows = rf"print\(|\w+ *=(?!=)|.*\b{assigned[1]}\b" if assigned else r"(?!)"
    return bool(re.match(follows, after)) and _parses(before) and _parses(after)


_KEYWORDS = set(
    "dim dtype device keepdim size lr bias stride padding kernel_size end start step requires_grad out_features axis p "
    "in_features batch_first hidden_size reduction weight_decay momentum inplace min max steps num_classes sep".split()
)


def _equals(problem: Broken) -> Iterator[str]:
    line = problem.source
    single = [m.start() for m in re.finditer(r"(?<![=!<>:+\-*/%@&|])=(?!=)", line)]
    swapped = re.match(r"^(\s*)(.+?)\s*=\s*([A-Za-z_]\w*)\s*$", line)
    if swapped and not re.match(r"\s*(?:if|while|assert|elif)\b", line):
        yield problem.with_line(f"{swapped[1]}{swapped[3]} = {swapped[2]}")
    if "==" not in problem.message and not re.search(r"\b(?:if|while|assert|elif|and|or|not|return)\b", line):
        single = []
    order = sorted(single, key=lambda at: (at < problem.start, abs(at - problem.start)))
    for at in order:
        yield problem.with_line(f"{line[:at]}=={line[at + 1 :]}")
    match = re.match(r"^(\s*)((?:[\w.]|\[[^\]]*\])+)\s*=\s*(.+?)\s+if\s+(.+)$", line)
    if match:
        yield problem.with_line(f"{match[1]}if {match[4]}: {match[2]} = {match[3]}")
        yield problem.with_line(f"{line.rstrip()} else {match[2]}")
        yield problem.with_line(f"{line.rstrip()} else None")
    elif " if " in line and "else" not in line:
        yield problem.with_line(f"{line.rstrip()} else None")
    every = re.sub(r"(?<![=!<>:])==(?!=)", "=", line, count=1)
    yield problem.with_line(every)


def _quotes(problem: Broken) -> Iterator[str]:
    line = problem.source
    if "triple-quoted" in problem.message:
        yield problem.text.rstrip() + '"""'
        yield problem.text.rstrip() + "'''"
        yield problem.text.rstrip(")") + '""")'
    if "f-string" in problem.message:
        yield from _f_strings(problem)
    if "unterminated" not in problem.message and "EOL" not in problem.message:
        return
    mark = re.search(r"[\"']", line[problem.start :])
    if mark is None:
        return
    if re.search(r"\w'\s*(?:[*@+.,)-]|$)", line) and line.count("'") == 1:
        yield problem.with_line(re.sub(r"(\w)'", r"\1.T", line))
    quote, other = mark[0], '"' if mark[0] == "'" else "'"
    opened = problem.start + mark.start()
    if other in line[opened + 1 :]:
        at = line.rindex(other)
        yield problem.with_line(line[:at] + quote + line[at + 1 :])
        yield problem.with_line(line[:opened] + other + line[opened + 1 :])
    tail = re.search(r"[)\]}]*:?\s*$", line)
    ends = [tail.start()] if tail else []
    for at in [
        *ends,
        *range(len(line), max(opened, len(line) - 4), -1),
        *(m.end() for m in re.finditer(r"\w+", line) if m.end() > opened),
    ]:
        yield problem.with_line(line[:at] + quote + line[at:])
    yield problem.with_line(line[:opened] + line[opened + 1 :])
    words = [m.start() for m in re.finditer(r"\w+", line[:opened])]
    yield from (problem.with_line(line[:at] + quote + line[at:]) for at in reversed(words))


def _f_strings(problem: Broken) -> Iterator[str]:
    line = problem.source
    for match in re.finditer(r"f([\"'])(.*)\1", line):
        quote, other, inside = match[1], '"' if match[1] == "'" else "'", match[2]
        start, end = match.span()
        braced = re.sub(r"[{]([^{}]*?)(?=[^\w.(),:\[\]]|$)", r"{\1}", inside, count=1)
        for text in (f"{inside}}}", inside.replace(quote, other), braced, inside.replace("}", "", 1)):
            yield problem.with_line(f"{line[:start]}f{quote}{text}{quote}{line[end:]}")


def _indented(problem: Broken) -> Iterator[str]:
    lines, at = problem.lines, problem.line
    own = len(lines[at]) - len(lines[at].lstrip())
    above = next((line for line in reversed(lines[:at]) if line.strip()), "")
    level = len(above) - len(above.lstrip())
    if "indented block" in problem.message:
        while at < len(lines) - 1 and not lines[at].strip():
            at += 1
        if not lines[at].strip() or at <= problem.line - 1:
            yield problem.text.rstrip() + " pass"
            return
        pushed = ["    " + line if line.strip() else line for line in lines]
        yield "\n".join([*lines[:at], pushed[at], *lines[at + 1 :]])
        yield "\n".join([*lines[:at], *pushed[at:]])
        end = next((n for n in range(at, len(lines)) if not lines[n].strip()), len(lines))
        yield "\n".join([*lines[:at], *pushed[at:end], *lines[end:]])
        for stop in range(at + 2, len(lines)):
            yield "\n".join([*lines[:at], *pushed[at:stop], *lines[stop:]])
    if "tabs" in problem.message or "\t" in problem.text:
        yield problem.text.expandtabs(4)
        yield problem.text.expandtabs(8)
    if re.search("indent", problem.message):
        levels = sorted(
            {len(line) - len(line.lstrip()) for line in lines[:at] if line.strip()} | {0},
            key=lambda n: (abs(n - own), -n),
        )
        yield problem.with_line(" " * level + lines[at].lstrip())
        yield "\n".join(
            [
                *lines[:at],
                *(
                    line[max(own - level, 0) :] if line[: max(own - level, 0)].isspace() else line
                    for line in lines[at:]
                ),
            ]
        )
        yield from (problem.with_line(" " * n + lines[at].lstrip()) for n in levels)
        if at and level < own and not above.rstrip().endswith((":", "\\")):
            yield problem.with_line(f"{above}:", at - 1)
        yield "\n".join(line.strip() for line in lines)
    if "except" in problem.message:
        yield problem.text.rstrip() + "\nexcept Exception:\n    pass"
        yield "\n".join(line.strip() for line in lines if line.strip() != "try:")


def _order_of_arguments(problem: Broken) -> Iterator[str]:
    """`x.sum(dim=0, 1)`: the argument without a name first, as part of the one before, or as keepdim."""
    match = re.search(r"\(([^()]*)\)\s*$", problem.source) or re.search(r"\(([^()]*)\)", problem.source)
    if "positional argument" not in problem.message or not match:
        return
    parts = [part.strip() for part in match[1].split(",")]
    plain = [part for part in parts if not re.match(r"\w+\s*=", part)]
    named = [part for part in parts if re.match(r"\w+\s*=", part)]
    first, last = match.span(1)

    def with_arguments(arguments: str) -> str:
        return problem.with_line(problem.source[:first] + arguments + problem.source[last:])

    if not named or not plain:
        return
    at = next(n for n, part in enumerate(parts) if part in named)
    late = parts[at + 1 :]
    if all(re.fullmatch(r"-?\d+", part) for part in late):
        name, _, value = parts[at].partition("=")
        yield with_arguments(", ".join([*parts[:at], f"{name}=({', '.join([value, *late])})"]))
    if late in (["True"], ["False"]):
        yield with_arguments(", ".join([*parts[:-1], f"keepdim={late[0]}"]))
    yield with_arguments(", ".join([*plain, *named]))
    yield with_arguments(", ".join([*parts[:at], parts[at].partition("=")[2].strip(), *late]))


def _reserved(problem: Broken) -> Iterator[str]:
    """Python's own words as names: lambda = 0.1."""
    for word in dict.fromkeys(re.findall(r"\b[a-z]+\b", problem.source)):
        if keyword.iskeyword(word):
            yield re.sub(rf"\b{word}\b(?=\s*=(?!=)|\s*[-+*/)\],.]|\s*$)", f"{word}_", problem.text)
            yield re.sub(rf"\b{word}\b", f"{word}_", problem.text)


def _braces(problem: Broken) -> Iterator[str]:
    """C's blocks: if (x > 3) { y = 1; }."""
    text = problem.text
    if not re.search(r"\b(?:if|for|while|else|def)\b", text):
        return
    loop = re.sub(r"for\s*\(\s*(?:int\s+)?(\w+)\s*=\s*(\w+)\s*;\s*\w+\s*<\s*([^;]+?)\s*;[^)]*\)", _range, text)
    plain = re.sub(r";?\s*\}\s*", "\n", re.sub(r"\s*\{\s*", ": ", loop))
    yield re.sub(r"\n\s*else", "\nelse", plain).strip()
    yield re.sub(r"(?m)^(\s*(?:if|while)) \((.*)\):", r"\1 \2:", plain).strip()


def _range(match: re.Match[str]) -> str:
    return f"for {match[1]} in range({match[3] if match[2] == '0' else f'{match[2]}, {match[3]}'})"


def _without(problem: Broken) -> Iterator[str]:
    """The text without the word or sign at which Python stopped."""
    line, start = problem.source, problem.start
    if problem.end > start:
        yield problem.with_line((line[:start].rstrip() + " " + line[problem.end :].lstrip()).rstrip())
        yield problem.with_line(line[:start] + line[problem.end :])
    yield problem.with_line(line[:start] + line[start + 1 :])
    yield problem.with_line(line[:start].rstrip())
    match = re.search(r"\W+\s*$", line[:start])
    if match:
        yield problem.with_line(line[: match.start()] + line[start:])
    yield problem.with_line(re.sub(r"^\s*\w+\s+", "", line))


_REPAIRS: tuple[tuple[str, Callable[[Broken], Iterator[str]]], ...] = (
    (r"Missing parentheses", _print),
    (r"'with' is missing", _with),
    (r"invalid (?:character|non-printable)", _by_characters),
    (r"unterminated|f-string|EOL", _quotes),
    (r"indent|tabs|except", _indented),
    (r"positional argument", _order_of_arguments),
    (r"cannot assign|Maybe you meant '=='|assignment", _equals),
    (r"expected ':'", _colons),
    (r"comma", _gaps),
    (r"closed|unmatched|does not match", _brackets),
)
_ALWAYS = (
    _by_characters, _without_prompts, _print, _operators, _colons, _equals, _order_of_arguments, _reserved, _brackets,
    _gaps, _quotes, _braces, _indented, _without_output, _without,
)  # fmt: skip


def repairs(problem: Broken) -> Iterator[str]:
    """Texts that parse and might be meant, likeliest first."""
    if _unfinished(problem):
        return
    tried = {problem.text}
    likely = [repair for pattern, repair in _REPAIRS if re.search(pattern, problem.message)]
    if re.match(r"\s*(?:if|elif|else|for|while|def|with|try|except)\b[^:]*$", problem.source):
        likely.insert(0, _colons)
    if re.match(r"\s*torch(?:\.\w+)+(?:\(.*\))?:", problem.source):
        likely.insert(0, _with)
    if _misspelt(problem):
        likely = [_by_misspelt]
    if _PROMPT.match(problem.source):
        likely.insert(0, _without_prompts)
    twice: list[str] = []
    found = False
    for repair in dict.fromkeys([*likely, *_ALWAYS]):
        if found and ((likely and repair not in likely) or repair is _without):
            break
        for text in repair(problem):
            if text in tried or not text.strip() or (found and _loses(problem.text, text)):
                continue
            tried.add(text)
            if _parses(text):
                found = True
                yield text
            elif len(twice) < 6:
                twice.append(text)
    for text in () if found else twice:
        yield from _again(text, tried)


def _loses(before: str, after: str) -> bool:
    """Whether a repaired text leaves away words of the one before: that is proposed only where nothing else is."""
    words = Counter(re.findall(r"\w+", before.lower()))
    return bool(words - Counter(re.findall(r"\w+", after.lower())))


def _again(text: str, tried: set[str]) -> Iterator[str]:
    """Texts with a second repair, for lines with two mistakes of this sort."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError) as error:
        if not isinstance(error, SyntaxError):
            return
        problem = broken(text, error)
        likely = [repair for pattern, repair in _REPAIRS if re.search(pattern, problem.message)] or [_operators]
        for repair in likely:
            for other in islice(repair(problem), 20):
                if other not in tried and _parses(other):
                    tried.add(other)
                    yield other


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def explained(text: str, error: SyntaxError) -> tuple[str, Place, Iterator[str]]:
    """The sentence to say of a text that is no Python, the place in its line, and texts that may be meant."""
    problem = broken(text, error)
    return _title(problem), _place(problem), islice(repairs(problem), MAX_CANDIDATES)


# What only compiling finds


def uncompiled(failure: Failure) -> Finding | None:
    """A statement that reads as Python and does not compile: a return outside a function, an argument given twice."""
    error = failure.error
    if not isinstance(error, SyntaxError) or failure.statement is None:
        return None
    source = failure.statement.source
    return Finding(_title(broken(source, error)), (), _compilable(failure))


def _compilable(failure: Failure) -> Iterator[Edit]:
    statement = failure.statement
    assert statement is not None
    for node in ast.walk(statement.node):
        if isinstance(node, ast.Return) and node is statement.node:
            yield Edit(((statement, node, text_of(failure, node.value) if node.value else "None"),))
        if isinstance(node, ast.Call):
            named = [k.arg for k in node.keywords if k.arg]
            for twice in {name for name in named if named.count(name) > 1}:
                for dropped in (1, 0):
                    same = [k for k in node.keywords if k.arg == twice]
                    parts = [text_of(failure, part) for part in node.args]
                    parts += [f"{k.arg}={text_of(failure, k.value)}" for k in node.keywords if k is not same[dropped]]
                    yield Edit(((statement, node, f"{text_of(failure, node.func)}({', '.join(parts)})"),))


ENTRIES = (
    Entry(
        "syntax",
        "syntax",
        uncompiled,
        "torch.zeros(3, dtype=torch.int, dtype=torch.float)",
        "Python reads a statement whole before it runs: brackets and quotes come in pairs, arguments once.",
    ),
)
