"""An engine that ends while nobody asks it anything: said above the prompt, the session brought back before Enter."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.enums import DEFAULT_BUFFER

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.show import Screen


class BringBack(Exception):
    """The prompt has been left, with nothing typed, for the session to be brought back."""


class Watch:
    """Hears of the ends of a client's engines, and of those that take their place, from any thread."""

    def __init__(self, prompt: PromptSession[str], client: "Client", screen: "Screen") -> None:
        self._prompt, self._client, self._screen = prompt, client, screen
        self._has_ended = False
        client.on_end = self._ended

    def hello(self) -> None:
        """An engine is ready: where it is another one, it gets the session, unless something is being typed."""
        has_ended, self._has_ended = self._has_ended, False
        if has_ended:
            self._in_prompt(self._leave)

    def _ended(self) -> None:
        self._has_ended = True
        self._in_prompt(self._say)

    def _in_prompt(self, action: Callable[[], object]) -> None:
        """Have the prompt do something between two keys; where there is none, what comes next is an input."""
        app = self._prompt.app
        if app.is_running and app.loop:
            with suppress(RuntimeError):  # it has just ended, and its loop with it
                app.loop.call_soon_threadsafe(lambda: app.is_done or action(), context=app.context)

    def _say(self) -> None:
        self._prompt.app.invalidate()  # the bar says it too

        async def say() -> None:
            await run_in_terminal(self._show)

        self._prompt.app.create_background_task(say())

    def _show(self) -> None:
        if news := self._client.take_news():
            self._screen.show(news)
            self._screen.end_line()

    def _leave(self) -> None:
        app = self._prompt.app
        if app._running_in_terminal:  # an editor, whose text would be lost: the next input brings the session back
            return
        if self._client.goes_on and app.layout.has_focus(DEFAULT_BUFFER) and not self._prompt.default_buffer.text:
            app.erase_when_done = True
            app.exit(exception=BringBack())
