"""Keys that nothing has read yet, as the text that they would make: what is seen of them, and what is kept of them."""

from collections.abc import Iterable

from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from tensorcli.pieces import is_complete
from tensorcli.repl.indent import INDENT, after

PROMPT, CONTINUATION = ">>> ", "... "
_ENTER = (Keys.ControlM, Keys.ControlJ)


class Typed:
    """Keys as a plain terminal would show them: characters, Enter, Backspace and Ctrl-U. Others are not seen.

    They come behind a text that stands in the next prompt already.
    """

    def __init__(self, text: str = "") -> None:
        self._lines = text.split("\n")
        self._first = len(self._lines) - 1  # of the lines that are to run

    def press(self, key: KeyPress) -> None:
        """Take one key."""
        if key.key in _ENTER:
            self._lines.append("")
        elif key.key == Keys.ControlH:
            self._lines[-1] = self._lines[-1][:-1]
        elif key.key == Keys.ControlU:
            self._lines[-1] = ""
        elif text := _written(key):
            first, *rest = text.split("\n")
            self._lines[-1] += _printable(first)
            self._lines += map(_printable, rest)

    def __str__(self) -> str:
        """The last line, and how many come before it. One that Enter ended is seen until the next one begins."""
        last = len(self._lines) - 1
        if last > self._first and not self._lines[last]:
            last -= 1
        count = sum(bool(line.strip()) for line in self._lines[self._first : last])
        queued = f"({count} queued) " if count else ""
        prompt = CONTINUATION if last == self._first > 0 else PROMPT
        return f"{queued}{prompt}{self._lines[last]}" if count or self._lines[last] else ""


def as_text(keys: Iterable[KeyPress], text: str = "") -> str:
    """What keys write behind a text, where none of it runs: the inputs that Enter ends stand one below the other.

    Lines are indented as the prompt indents them.
    """
    whole: list[str] = []
    was_enter = False
    for key in keys:
        line = text.rpartition("\n")[2]
        if key.key in _ENTER and is_complete(text):
            whole.append(text.rstrip())
            text = ""
        elif key.key in _ENTER:
            text += "\n" + after(text)
        elif key.key == Keys.ControlH and line:
            text = text[:-1] if line.strip(" ") else text[: -((len(line) - 1) % len(INDENT) + 1)]
        elif key.key == Keys.ControlU:
            text = text.removesuffix(line)
        elif written := _written(key):  # lines that come with their indentation bring all of it
            text = (text.removesuffix(line) if was_enter and written[0] == " " else text) + written
        was_enter = key.key in _ENTER
    return "\n".join(filter(None, [*whole, text])).rstrip()


def _written(key: KeyPress) -> str:
    """The characters that a key writes."""
    if len(key.key) == 1 or key.key == Keys.BracketedPaste:
        return key.data.replace("\r\n", "\n").replace("\r", "\n")
    return ""


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " if each == "\t" else "" for each in text)
