"""How a line is indented after Enter."""

from tensorcli.pieces import logical_lines, open_bracket, without_comments

INDENT = "    "
_LAST_IN_BLOCK = ("return", "pass", "break", "continue", "raise")


def after(text: str) -> str:
    """The indentation of the line that begins after this text.

    Within brackets it is that of the line before, or one step from where the bracket opened; elsewhere it goes by the
    statement that ends here, on whichever line that began.
    """
    lines = text.split("\n")
    bracket = open_bracket(text)
    if bracket is not None:
        opened = text.count("\n", 0, bracket)
        return _margin(lines[opened]) + INDENT if opened == len(lines) - 1 else _margin(lines[opened + 1])
    starts, in_string = logical_lines(text)
    if in_string:
        return _margin(lines[-1])
    margin = _margin(lines[starts[-1]])
    code = without_comments("\n".join(lines[starts[-1] :])).strip()
    if code.endswith((":", "\\")):
        return margin + INDENT
    return margin[: -len(INDENT)] if code.split(" ")[0] in _LAST_IN_BLOCK else margin


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]
