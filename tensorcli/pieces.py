"""Typed or pasted text to the pieces that are asked one by one: statements, and lines that are commands."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from typing import NamedTuple

from tensorcli import markup

LONGEST = 1_000_000  # characters; a longer text stays whole: the engine refuses it anyway, in one sentence


class Piece(NamedTuple):
    """A stretch of a text: statements, or a command with its argument. `line` counts from 1 in the whole text.

    `body` is the text of the statements, or the lines below a `%%` command.
    """

    line: int
    body: str
    command: str | None = None
    argument: str = ""


_COMMAND = re.compile(r"(%%?\w*|!\s*\S*)\s*(.*)", re.DOTALL)


def split(text: str) -> list[Piece]:
    """The pieces of a text. A command begins with % or !, at the margin, where a statement could begin.

    Inside brackets or a string, or after a backslash, % is the operator. A `%%` command takes all lines below it,
    up to the next one. A line that begins or ends with ? or ?? is a command of that name.
    """
    lines = text.split("\n")
    starts, _ = logical_lines(text)
    found: list[Piece] = []
    cell: Piece | None = None
    first = 0  # of the statements, or the cell's lines, not yet in a piece

    def finish(end: int) -> None:
        body = "\n".join(lines[first:end])
        if cell is not None:
            found.append(cell._replace(body=body))
        elif _has_code(body):
            blank = next(i for i in range(first, end) if lines[i].strip()) - first
            found.append(Piece(first + blank + 1, "\n".join(lines[first + blank : end]).rstrip()))

    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        mark = lines[start][:2]
        asked = None if cell is not None else _question("\n".join(lines[start:end]))
        if asked is None and (mark[:1] not in ("%", "!") or (cell is not None and mark != "%%")):
            continue
        finish(start)
        match = _COMMAND.match("\n".join(lines[start:end]).rstrip())
        command, argument = asked or ((re.sub(r"\s", "", match[1]), match[2]) if match else (mark, ""))
        piece = Piece(start + 1, "", command, argument)
        cell, first = (piece, end) if mark == "%%" else (None, end)
        if cell is None:
            found.append(piece)
    finish(len(lines))
    return found


_QUESTION = re.compile(r"(\?\??)\s*([^?]*)|([^\s?%!][^?]*?|%%?\w+(?=\?))\s*(\?\??)", re.DOTALL)


def _question(line: str) -> tuple[str, str] | None:
    """The command and argument of a line such as `x.reshape?`, `??f`. In a string or a comment ? asks nothing."""
    line = line.strip(" ;\n") if not line[:1].isspace() else ""
    if "?" not in line or any(each.lastgroup in ("comment", "endless") for each in _TOKEN.finditer(line)):
        return None
    match = _QUESTION.fullmatch(line)
    rest = _TOKEN.sub(lambda each: "" if each.lastgroup == "text" else each[0], line)
    if match is None or "'" in rest or '"' in rest:
        return None
    return match[1] or match[4], (match[2] or match[3] or "").strip()


def _has_code(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n"))


_TOKEN = re.compile(
    r'(?P<text>"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?!"")(?:\\.|[^"\\\n])*"|\'(?!\'\')(?:\\.|[^\'\\\n])*\')'
    r'|(?P<endless>"""|\'\'\')|(?P<joined>\\\n)|(?P<comment>#[^\n]*|(?m:^)!(?!=)[^\n]*)'
    r"|(?P<open>[\[({])|(?P<close>[\])}])|(?P<line>\n)",
    re.DOTALL,
)


def logical_lines(text: str) -> tuple[list[int], bool]:
    """The lines (from 0) on which a statement may begin, and whether the text ends within brackets or a string."""
    starts, line, depth = [0], 0, 0
    if len(text) > LONGEST:
        return starts, False
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "endless":
                return starts, True
            case "open":
                depth += 1
            case "close":
                depth = max(depth - 1, 0)
            case _:
                line += token[0].count("\n")
                if token.lastgroup == "line" and depth == 0:
                    starts.append(line)
    return starts, depth > 0 or text.endswith("\\\n")


def open_bracket(text: str) -> int | None:
    """Where the innermost bracket stands that this text opens and leaves open; None too where it ends in a string."""
    opened: list[int] = []
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "endless":
                return None
            case "open":
                opened.append(token.start())
            case "close":
                del opened[-1:]
    return opened[-1] if opened else None


def without_comments(text: str) -> str:
    """The text with nothing where its comments are."""
    return _TOKEN.sub(lambda token: "" if token.lastgroup == "comment" else token[0], text)


_GOES_ON = re.compile(r"\s|#|$|(?:else|elif|except|finally)\b|[\])}]")


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Each top-level statement with the line (from 1) it begins on, so that a mistake in one leaves the others whole.

    A compound statement goes on over indented lines, `else` and the like; a `%%` command over all lines below it.
    """
    lines = text.split("\n")
    begins = [0]
    cell = after_decorator = False
    for start in logical_lines(text)[0]:
        line = lines[start]
        if start and (line.startswith("%%") or not (cell or after_decorator or _GOES_ON.match(line))):
            begins.append(start)
        cell = cell or line.startswith("%%")
        after_decorator = line.startswith("@")
    for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
        yield begin + 1, "\n".join(lines[begin:end])


_FIRST = re.compile(r"\s*(?:>>>(?: |$)|In \[[\d ]*\]: ?)")
_NEXT = re.compile(r"\s*(?:\.\.\.(?: |$)|\.{3,}: ?)")


def without_prompts(text: str) -> str:
    """Pasted `>>> ` and `In [3]: ` prompts taken off; every line keeps its number.

    In a text that has prompts, lines without one are output and become blank, but for a first line that lost its own
    because copying began after it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not _has_prompts(text):
        return text
    lines = text.split("\n")
    kept: list[str] = []
    code = True
    for line in lines:
        first, further = _FIRST.match(line), code and _NEXT.match(line)
        prompt = first or further
        code = bool(prompt)
        kept.append(line[prompt.end() :] if prompt else "" if any(kept) else line.lstrip())
    return "\n".join(kept)


def _has_prompts(text: str) -> bool:
    lines = text.split("\n")
    return any(_FIRST.match(lines[start]) for start in logical_lines(text)[0])


def dedented(text: str) -> str:
    """Text copied from inside a block, moved to the margin. Strings and lines within brackets stay as they are."""
    lines = text.split("\n")
    starts = [start for start in logical_lines(text)[0] if lines[start].strip()]
    margin = lines[starts[0]][: -len(lines[starts[0]].lstrip())] if starts and lines[starts[0]][:1].isspace() else ""
    if not margin or not all(lines[start].startswith(margin) for start in starts):
        return text
    for start in starts:
        lines[start] = lines[start].removeprefix(margin)
    return "\n".join(lines)


def clean(text: str) -> str:
    """Text as pasted to text as meant: without prompts, at the margin."""
    return dedented(without_prompts(text))


class Stretch(NamedTuple):
    """A cell of a pasted text, clean: its first line in that, from 1, and whether it had prompts."""

    line: int
    text: str
    prompted: bool


def cells(text: str) -> list[Stretch]:
    """The cells of a pasted notebook, the fences of pasted Markdown, or the whole text.

    The lines of a notebook are counted in its cells one below the other.
    """
    codes = _notebook(text)
    if codes is not None:
        firsts = accumulate([1, *(code.count("\n") + 1 for code in codes)])
        return [_stretch(first, code) for first, code in zip(firsts, codes, strict=False)]
    return [_stretch(fence.line, fence.text) for fence in _fences(text)] or [_stretch(1, text)]


def _stretch(line: int, text: str) -> Stretch:
    return Stretch(line, clean(text), prompted=_has_prompts(text))


def _notebook(text: str) -> list[str] | None:
    if text.lstrip()[:1] == "{" and '"cells"' in text:
        with suppress(ValueError, KeyError):
            return markup.notebook(text)
    return None


_MARK = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


def _fences(text: str) -> list[markup.Fence]:
    """The Python fences of a text that is Markdown: it has such a mark, outside of strings, where Python has none.

    Without any that says it is Python, those that say nothing. A last one with nothing in it is the end of one that
    lost its beginning: what stands before it is the code.
    """
    mark = _MARK.search(text)
    if (
        not mark
        or len(text) > LONGEST
        or any(token.lastgroup == "endless" for token in _TOKEN.finditer(text[: mark.start()]))
    ):
        return []
    found = list(markup.fences(text))
    if len(found) == 1 and not found[0].text.strip() and not found[0].language and text[: mark.start()].strip():
        return [markup.Fence(1, text[: mark.start()], "", closed=True)]
    return [each for each in found if each.is_python] or [each for each in found if not each.language]


_ALLOW_INCOMPLETE = 0x4000  # Python's own codeop module compiles with it: input that stops early says so
_ONLY_TREE = 0x400


def is_complete(text: str) -> bool:
    """Whether Enter should run this input rather than begin another line of it.

    Open brackets and strings go on; a block, and a `%%` command's lines, go on until a blank line. What is no Python
    is complete: its diagnosis says so.
    """
    found = _fences(text)
    if found or _notebook(text) is not None:
        return not found or found[-1].closed
    text = clean(text)
    if not text.strip() or len(text) > LONGEST // 10:  # reading more would be felt at the key
        return True
    last = text.rpartition("\n")[2]
    piece = split(text)[-1:] or [Piece(1, "")]
    command, body = piece[0].command or "", piece[0].body
    if command.startswith("%%"):
        return "\n" in text and not last.strip()
    if command:
        return command[0] == "!" or not logical_lines(piece[0].argument)[1]
    starts, goes_on = logical_lines(body)
    in_block = body.split("\n")[starts[-1]][:1] in (" ", "\t", "@")
    if in_block and last.strip() and not goes_on:
        return False
    return _is_whole(body + "\n" if not last.strip() else body)


def _is_whole(text: str) -> bool:
    try:
        compile(text, "<input>", "exec", _ALLOW_INCOMPLETE | _ONLY_TREE, dont_inherit=True)
    except SyntaxError as error:
        return error.msg != "incomplete input"
    except (ValueError, OverflowError, MemoryError, RecursionError):
        return True
    return True
