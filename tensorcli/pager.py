"""Text in the user's pager."""

import os
import shutil
import subprocess
from contextlib import suppress

from tensorcli import programs
from tensorcli.signals import sigint_to

_USUAL = ("less",)
_ENVIRONMENT = {"LESS": "FRX", "LESSCHARSET": "utf-8"}  # colours as they are, and what was read stays on the screen


def command() -> list[str]:
    """The user's pager; empty where there is none, or PAGER says that none is wanted."""
    wanted = os.environ.get("PAGER")
    if wanted is None:
        return next(([each] for each in _USUAL if shutil.which(each)), [])
    return [] if wanted.strip() in ("", "cat") else programs.command(wanted)


def page(text: str, command: list[str]) -> bool:
    """Show a text until the user has seen it; whether that could be done. Ctrl-C is the pager's meanwhile."""
    with sigint_to(lambda _number, _frame: None):
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**_ENVIRONMENT, **os.environ})
        except OSError:
            return False
        with suppress(OSError):  # whoever has seen enough leaves before the end
            process.communicate(text.encode("utf-8", "replace"))
        return process.wait() <= 0  # less than zero: a signal ended it, of which the user knows
