"""Imports that give way to keys: a module takes longer than a key should."""

import importlib
import sys
import threading
import time

from prompt_toolkit.application import Application

SWITCH_SECONDS = 0.0005  # that a thread which imports keeps the interpreter from the prompt
PAUSE_SECONDS = 0.05  # without a key: then there is time for a module
MOST_SECONDS = 0.15  # that one module waits for it

# What others import, before them: in pieces that take milliseconds.
ENGINE = (
    "msgspec", "tensorcli.report", "tensorcli.wire", "tensorcli.child", "tensorcli.journal", "tensorcli.client",
)  # fmt: skip
ANSWERS = (
    "rich.console", "tensorcli.show", "tensorcli.commands", "tensorcli.inputs", "tensorcli.render.diagnosis",
    "tensorcli.render.tensor", "tensorcli.render",
)  # fmt: skip


def gently(app: Application[str], needed: threading.Event, names: tuple[str, ...]) -> None:
    """Import modules, each in a pause between keys, until they are needed at once."""
    sys.setswitchinterval(SWITCH_SECONDS)
    pressed = 0.0

    def press(_sender: object) -> None:
        nonlocal pressed
        pressed = time.monotonic()

    app.key_processor.before_key_press += press
    try:
        for name in names:
            latest = time.monotonic() + MOST_SECONDS
            while (left := min(latest, pressed + PAUSE_SECONDS) - time.monotonic()) > 0 and not needed.wait(left):
                pass
            importlib.import_module(name)
    finally:
        app.key_processor.before_key_press -= press
