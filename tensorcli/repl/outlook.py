"""What the input would give, said below it while it is written: asked for once the keys rest for a moment."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession

from tensorcli import report
from tensorcli.pieces import clean, split
from tensorcli.render.outlook import render_outlook
from tensorcli.repl.asking import Asker

if TYPE_CHECKING:
    from tensorcli.client import Client

IDLE_SECONDS = 0.15  # after the last key
LONGEST = 10_000  # characters
TIMED = re.compile(r"%time(it)? +(?=[^-\s])")  # what stands before code that is run as it is

Answers = Sequence[report.AnyReport]
Input = tuple[str, int]  # its text, and where the cursor stands


class Outlook:
    """A source of the line below the input. `wanted` says whether there is to be one at all."""

    def __init__(self, prompt: PromptSession[str], client: "Client", wanted: Callable[[], bool]) -> None:
        self._app, self._buffer, self._client, self._wanted = prompt.app, prompt.default_buffer, client, wanted
        self._asker = Asker(client)
        self._of: Input | None = None  # what was asked about last, or soon will be
        self._answers: Answers = ()  # to that, once they have come
        self._task: asyncio.Task[None] | None = None
        prompt.app.after_render += self._rendered  # which every key brings about, and the engine when it is ready

    def __call__(self, width: int) -> str:
        """What to draw in so many columns."""
        return render_outlook(self._answers if self._of == self._input() else (), width=width).plain

    def _input(self) -> Input:
        return self._buffer.text, self._buffer.cursor_position

    def _rendered(self, _sender: object) -> None:
        if self._app.is_done:  # what is said of the same text after this one has run may be another thing
            self._of = None
            return
        if self._of == self._input() or not self._client.settings or not self._wanted():
            return
        if self._task:
            self._task.cancel()
        self._of, self._answers = self._input(), ()
        self._task = self._app.create_background_task(self._ask(*self._of))

    async def _ask(self, text: str, cursor: int) -> None:
        """Have it answered, once the keys rest: what is typed next cancels this."""
        await asyncio.sleep(IDLE_SECONDS)
        start = timed.end() if (timed := TIMED.match(text)) else 0
        if _is_code(text[start:]):
            request = report.Outlook(text=text[start:], cursor=max(cursor - start, 0))
            self._answers = await self._asker.answers(request)
            self._app.invalidate()


def _is_code(text: str) -> bool:
    """Whether all of a text is for the engine to run: no command, nor a pasted prompt."""
    if not text.strip() or len(text) > LONGEST or clean(text) != text:
        return False
    return all(piece.command is None for piece in split(text))
