"""The line that says how the function at the cursor is called, and F1, which shows its documentation."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, emacs_mode, has_focus, vi_mode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.utils import get_cwidth

from tensorcli import report
from tensorcli.cursor import near
from tensorcli.render.safe import safe_line
from tensorcli.repl.asking import Asker

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.show import Screen

CURRENT = "bold underline"  # the style of the argument that the cursor is in


class SignatureLine:
    """The signatures of the call at the cursor, asked for in the background whenever the text or the cursor changes.

    Called with a width, it gives the line to draw. `keys` turn to the other signatures, and show documentation.
    """

    def __init__(self, prompt: PromptSession[str], client: "Client", screen: "Screen") -> None:
        self._asker, self._helper = Asker(client), Asker(client)
        self._app, self._screen = prompt.app, screen
        self._wanted: report.Signature | None = None
        self._found = report.Signatures()
        self._chosen: tuple[str, int] = ("", 0)  # the function's name, and which of its signatures
        self.keys = _keys(self)
        prompt.default_buffer.on_text_changed += self._changed
        prompt.default_buffer.on_cursor_position_changed += self._changed
        prompt.app.on_reset += lambda _: self._changed(prompt.default_buffer)  # the next input has begun

    def __call__(self, width: int) -> StyleAndTextTuples:
        """The line, at most so wide; empty where there is none."""
        if not self._found.items:
            return []
        several = f"  {self._at() + 1} of {len(self._found.items)}" if self.several else ""
        return [*fitted(self._found.items[self._at()], width - len(several)), ("", several)]

    def _changed(self, buffer: Buffer) -> None:
        before = near(buffer.document.text_before_cursor)
        self._wanted = report.Signature(text=before, cursor=len(before))
        if "(" in before:
            self._asker.ask(self._wanted, partial(self._take, self._wanted))
        else:
            self._found = report.Signatures()

    def _take(self, request: report.Signature, answers: Sequence[report.AnyReport]) -> None:
        if request is not self._wanted:
            return
        found = next((each for each in answers if isinstance(each, report.Signatures)), report.Signatures())
        if found != self._found:
            self._found = found
            self._app.invalidate()

    @property
    def several(self) -> bool:
        """Whether there are several to choose from."""
        return len(self._found.items) > 1

    def turn(self, step: int) -> None:
        """Show the next one, or the one before."""
        items = self._found.items
        self._chosen = items[0].function, (self._at() + step) % len(items)

    def _at(self) -> int:
        function, chosen = self._chosen
        items = self._found.items
        return chosen if items[0].function == function and chosen < len(items) else self._found.best

    def document(self, buffer: Buffer) -> None:
        """Show the documentation of what stands at the cursor, above the prompt, once it is there."""
        before = near(buffer.document.text_before_cursor)
        request = report.Document(text=before + buffer.document.text_after_cursor, cursor=len(before))
        self._app.create_background_task(self._document(request))

    async def _document(self, request: report.Document) -> None:
        answers = await self._helper.answers(request)
        await run_in_terminal(lambda: self._show(answers))

    def _show(self, answers: Sequence[report.AnyReport]) -> None:
        for answer in answers:
            self._screen.show(answer)
        self._screen.end_line()


def _keys(line: SignatureLine) -> KeyBindings:
    """F1 for documentation; Alt-Up and Alt-Down, with vi keys Ctrl-Up and Ctrl-Down, for other ways to call."""
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    several = typing & Condition(lambda: line.several)

    @keys.add("escape", "up", filter=several & emacs_mode)
    @keys.add("c-up", filter=several & vi_mode)
    def _(_event: KeyPressEvent) -> None:
        line.turn(-1)

    @keys.add("escape", "down", filter=several & emacs_mode)
    @keys.add("c-down", filter=several & vi_mode)
    def _(_event: KeyPressEvent) -> None:
        line.turn(1)

    @keys.add("f1", filter=typing)
    def _(event: KeyPressEvent) -> None:
        line.document(event.current_buffer)

    return keys


def fitted(way: report.Overload, width: int) -> StyleAndTextTuples:
    """A signature in so many cells: parameters far from the current one give way to dots, then what it returns."""
    parameters = [safe_line(each) for each in way.parameters]
    function = safe_line(way.function).rpartition(".")[2] if len(way.function) > width // 2 else safe_line(way.function)
    end = ")" + (f" -> {safe_line(way.returns)}" if way.returns else "")
    first, last = _part(function, parameters, way.current or 0, end, width)
    if _width(function, parameters, first, last, end) > width:
        end = ")"
        first, last = _part(function, parameters, way.current or 0, end, width)
    parts: StyleAndTextTuples = [("", function + "(" + ("..., " if first else ""))]
    for at in range(first, last):
        parts += [("", ", ")] if at > first else []
        parts.append((CURRENT if at == way.current else "", parameters[at]))
    parts.append(("", (", ..." if last < len(parameters) else "") + end))
    return _cropped(parts, width)


def _part(function: str, parameters: list[str], now: int, end: str, width: int) -> tuple[int, int]:
    """From which of the parameters to which there is room, the current one among them in any case."""
    first, last = 0, len(parameters)
    while last - first > 1 and _width(function, parameters, first, last, end) > width:
        if last - 1 > now:
            last -= 1
        else:
            first += 1
    return first, last


def _width(function: str, parameters: list[str], first: int, last: int, end: str) -> int:
    dots = 5 * ((first > 0) + (last < len(parameters)))
    return get_cwidth(function + "(" + ", ".join(parameters[first:last]) + end) + dots


def _cropped(parts: StyleAndTextTuples, width: int) -> StyleAndTextTuples:
    kept: StyleAndTextTuples = []
    for style, text, *_ in parts:
        while text and get_cwidth(text) > width:
            text = text[:-1]
        width -= get_cwidth(text)
        kept.append((style, text))
    return kept
