"""Imports that give way to keys: a module takes longer than a key should."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prompt_toolkit.application import Application

SWITCH_SECONDS = 0.0005  # that a thread which imports keeps the interpreter from the prompt
PAUSE_SECONDS = 0.05  # without a key: then there is time for a module
MOST_SECONDS = 0.15  # that one module waits for it


@contextmanager
def gently(app: Application[str], needed: threading.Event) -> Iterator[None]:
    """Within it each module that this thread imports waits for a pause between keys, until all are needed."""
    sys.setswitchinterval(SWITCH_SECONDS)
    finder = _Waits(needed)
    app.key_processor.before_key_press += finder.press
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        app.key_processor.before_key_press -= finder.press


class _Waits:
    """Finds no module, and takes its time for it."""

    def __init__(self, needed: threading.Event) -> None:
        self._needed, self._thread, self._pressed = needed, threading.current_thread(), 0.0

    def press(self, _sender: object) -> None:
        self._pressed = time.monotonic()

    def find_spec(self, _name: str, _path: object = None, _target: object = None) -> None:
        """Wait, if it is this thread that imports."""
        if threading.current_thread() is not self._thread:
            return
        latest = time.monotonic() + MOST_SECONDS
        while (left := min(latest, self._pressed + PAUSE_SECONDS) - time.monotonic()) > 0:
            if self._needed.wait(left):
                return
