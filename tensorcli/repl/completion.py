"""What Tab offers: % commands from the table, names and attributes from the engine."""

import re
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from tensorcli import report
from tensorcli.commands import COMMANDS

if TYPE_CHECKING:
    from tensorcli.client import Client

PATIENCE = 0.5  # seconds; the prompt cannot end while a completion is being waited for

_COMMAND = re.compile(r"[%!]\S*$")
_HELP = re.compile(r"%help\s+(\S*)$")


class EngineCompleter(Completer):
    """Completions of a client's engine; none while it is starting or has not answered the last time."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._asking = False

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What could stand at the cursor."""
        line = document.current_line_before_cursor
        wanted = _HELP.match(line)
        if wanted or _COMMAND.match(line):
            yield from _commands(wanted[1] if wanted else line)
            return
        for item in self._ask(document.text, document.cursor_position):
            yield Completion(item.text, item.start - document.cursor_position, display_meta=item.detail)

    def _ask(self, text: str, cursor: int) -> tuple[report.Completion, ...]:
        if self._client.settings is None or self._asking:
            return ()
        found: SimpleQueue[tuple[report.Completion, ...]] = SimpleQueue()
        self._asking = True
        threading.Thread(target=self._fetch, args=(text, cursor, found), daemon=True).start()
        try:
            return found.get(timeout=PATIENCE)
        except Empty:
            return ()

    def _fetch(self, text: str, cursor: int, found: "SimpleQueue[tuple[report.Completion, ...]]") -> None:
        answers: list[report.AnyReport] = []
        try:
            self._client.ask(report.Complete(text=text, cursor=cursor), answers.append)
        finally:
            self._asking = False
            found.put(tuple(item for a in answers if isinstance(a, report.Completions) for item in a.items))


def _commands(start: str) -> Iterator[Completion]:
    for command in COMMANDS.values():
        if command.name.startswith(start):
            yield Completion(command.name, -len(start), display_meta=command.help)
