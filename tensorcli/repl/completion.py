"""What Tab offers: % commands and their arguments from the table, files, and the rest from the engine."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.utils import get_cwidth

from tensorcli import report
from tensorcli.commands import COMMANDS, Command
from tensorcli.cursor import near
from tensorcli.pieces import logical_lines
from tensorcli.render.safe import safe_line
from tensorcli.repl.asking import Asker, future

if TYPE_CHECKING:
    from tensorcli.client import Client

PATIENCE = 0.5  # seconds; then nothing is offered
MAX_FILES = 1000

_COMMAND = re.compile(r"(%%?\w*|!\S*)(\s+)?(.*)", re.DOTALL)
_LAST_WORD = re.compile(r"(?:^|(?<=\s))(\"[^\"]*|'[^']*|\S*)$")
_BEGUN = re.compile(r"[\w.%!/~]$")

Then = Callable[[list[Completion]], None]
Start = Callable[[Then], None]


class EngineCompleter(Completer):
    """Completions of a client's engine; none of these while it is starting, or is busy for longer than PATIENCE.

    They are for a screen of this `width`.
    """

    def __init__(self, client: "Client", width: Callable[[], int] = lambda: 80) -> None:
        self._client, self._width = client, width
        self._asker = Asker(client)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What could stand at the cursor; waits for it."""
        found: SimpleQueue[list[Completion]] = SimpleQueue()
        for part in self._parts(document, complete_event):
            if isinstance(part, list):
                yield from part
            else:
                part(found.put)
                with suppress(Empty):
                    yield from found.get(timeout=PATIENCE)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """As `get_completions`, while the prompt goes on."""
        for part in self._parts(document, complete_event):
            with suppress(asyncio.TimeoutError):
                for each in part if isinstance(part, list) else await asyncio.wait_for(future(part), PATIENCE):
                    yield each

    def _parts(self, document: Document, event: CompleteEvent) -> "Iterator[list[Completion] | Start]":
        """What is offered: lists, and what gives one later."""
        before = near(document.text_before_cursor)
        if event.text_inserted and not _BEGUN.search(before):  # nobody has asked yet
            return
        lines = before.split("\n")
        match = _COMMAND.fullmatch("\n".join(lines[logical_lines(before)[0][-1] :]))
        if match is None:
            yield from self._asked(before)
        elif match[2] is None:
            yield list(_commands(match[1]))
        elif match[1] in COMMANDS:
            yield from self._arguments(COMMANDS[match[1]], match[3])

    def _arguments(self, command: Command, written: str) -> "Iterator[list[Completion] | Start]":
        """What could go on behind a command."""
        match = _LAST_WORD.search(written)
        word = match[1] if match else ""
        first = written[: len(written) - len(word)].isspace() or word == written
        if first:
            yield _words(word, command.first)
        match command.argument:
            case "code":
                yield from self._asked(written)
            case "names" | "mistakes" as kind:
                yield from self._asked(written, of=kind)
            case "commands":
                yield list(_commands(word))
            case "files":
                yield _in_background(lambda: _files(word))
                if not first:
                    yield from self._asked(written, of="names")
            case tuple(words):
                yield _words(word, words)
            case follow if callable(follow):
                yield _words(word, follow(written[: len(written) - len(word)].split()))

    def _asked(self, text: str, of: Literal["code", "names", "mistakes"] = "code") -> Iterator[Start]:
        if self._client.settings is None:
            return
        request = report.Complete(text=text, cursor=len(text), of=of)
        yield lambda then: self._asker.ask(
            request, lambda answers: then(_completions(answers, len(text), self._width()))
        )


def _completions(answers: Iterable[report.AnyReport], cursor: int, width: int) -> list[Completion]:
    """What the engine offers. A long name is cut where the others' help would have no room: all have one column."""
    room = max(width // 2, 8)
    items = [item for answer in answers if isinstance(answer, report.Completions) for item in answer.items]
    return [
        Completion(
            item.text, item.start - cursor, _cut(safe_line(item.label or item.text), room), safe_line(item.detail)
        )
        for item in items
    ]


def _cut(text: str, room: int) -> str:
    """As much of a name as a column of a menu shows, which has a blank on each side."""
    if get_cwidth(text) <= room - 2:
        return text
    while get_cwidth(text) > room - 4:
        text = text[:-1]
    return f"{text}.."


def _commands(start: str) -> Iterator[Completion]:
    for command in COMMANDS.values():
        if command.name.startswith(start):
            yield Completion(command.name, -len(start), display_meta=command.help)


def _words(start: str, words: Iterable[str]) -> list[Completion]:
    return [Completion(word, -len(start)) for word in words if word.startswith(start)]


def _files(start: str) -> list[Completion]:
    """Files and folders whose path goes on with this; a path with blanks in it goes into quotes."""
    quote = start[:1] if start[:1] in ("'", '"') else ""
    path = start.removeprefix(quote)
    folder, begun = os.path.split(path)
    found = []
    with suppress(OSError, ValueError):
        for each in sorted(os.scandir(Path(folder or ".").expanduser()), key=lambda each: each.name):
            if each.name.startswith(begun) and (begun[:1] == "." or each.name[0] != "."):
                name = os.path.join(folder, each.name) + (os.sep if each.is_dir() else "")
                around = quote or ('"' if " " in name else "")
                found.append(
                    Completion(around + name + ("" if each.is_dir() else around), -len(start), safe_line(each.name))
                )
    return found[:MAX_FILES]


def _in_background(function: Callable[[], list[Completion]]) -> Start:
    """What has a thread do it: a folder may be at the other end of a network."""
    return lambda then: threading.Thread(target=lambda: then(function()), daemon=True).start()
