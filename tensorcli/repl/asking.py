"""Questions asked of the engine while somebody types: in the background, and only the last one counts."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.report import AnyReport, AnyRequest

SWITCH_SECONDS = 0.0005  # that a question, or its answer, waits for the prompt while that draws itself

Then = Callable[[list["AnyReport"]], None]
T = TypeVar("T")


class Asker:
    """Asks a client one question at a time, from a thread of its own. One that waits gives way to the next."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._waiting: SimpleQueue[tuple[AnyRequest, Then]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        sys.setswitchinterval(SWITCH_SECONDS)

    def ask(self, request: "AnyRequest", then: Then) -> None:
        """Ask, and return at once; `then` gets the answers in the thread, unless another question comes first.

        Nothing is asked of an engine that is not up.
        """
        if self._client.settings is None:
            return
        if self._thread is None:  # one for all questions: to start one takes a while
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._waiting.put((request, then))

    def answers(self, request: "AnyRequest") -> "asyncio.Future[list[AnyReport]]":
        """Ask, and give the answers to the prompt, which awaits them; they never come if another question does."""
        return future(lambda then: self.ask(request, then))

    def _work(self) -> None:
        while True:
            request, then = self._waiting.get()
            while not self._waiting.empty():
                request, then = self._waiting.get()
            answers: list[AnyReport] = []
            with suppress(Exception):  # nobody is there to be told, and the next question may fare better
                self._client.ask(request, answers.append)
            with suppress(Exception):  # as of a prompt that has just ended
                then(answers)


def future(start: Callable[[Callable[[T], None]], None]) -> "asyncio.Future[T]":
    """What is started, and gives its result in a thread, as something that the prompt can await."""
    loop = asyncio.get_running_loop()
    given: asyncio.Future[T] = loop.create_future()

    def tell(found: T) -> None:
        if not given.done():
            given.set_result(found)

    def then(found: T) -> None:
        with suppress(RuntimeError):  # the prompt has ended, and its loop with it
            loop.call_soon_threadsafe(tell, found)

    start(then)
    return given
