"""Questions asked of the engine while somebody types: in the background, and only the last one counts."""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.report import AnyReport, AnyRequest

SWITCH_SECONDS = 0.0005  # that a question, or its answer, waits for the prompt while that draws itself

Then = Callable[[list["AnyReport"]], None]


class Asker:
    """Asks a client one question at a time, from a thread of its own. One that waits gives way to the next."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._next: tuple[AnyRequest, Then] | None = None
        self._waiting: SimpleQueue[None] = SimpleQueue()
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
        self._next = request, then
        self._waiting.put(None)

    def _work(self) -> None:
        while True:
            self._waiting.get()
            asked, self._next = self._next, None
            if asked is None:  # it was asked with an earlier one's turn
                continue
            answers: list[AnyReport] = []
            with suppress(Exception):  # nobody is there to be told, and the next question may fare better
                self._client.ask(asked[0], answers.append)
            asked[1](answers)
