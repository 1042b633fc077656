"""Text in the user's pager."""

import os
import shutil
import subprocess
from contextlib import suppress

from tensorcli import programs
from tensorcli.signals import sigint_to

_USUAL = ("less",)
_PROMPT = "?eThe end\\: q leaves:Space goes on, q leaves."  # as less writes it: at the end, and before
_USUALLY = {  # colours as they are, and what was read stays on the screen
    "LESS": f"FRXPs{_PROMPT}$",
    "LESSCHARSET": "utf-8",
}
_ALWAYS = {"LESSSECURE": "1"}  # keys typed ahead, or a slow paste, must start no program and write no file


def command() -> list[str]:
    """The user's pager; empty where there is none, or PAGER says that none is wanted."""
    wanted = os.environ.get("PAGER")
    if wanted is None:
        return next(([each] for each in _USUAL if shutil.which(each)), [])
    return [] if wanted.strip() in ("", "cat") else programs.command(wanted)


def environment() -> dict[str, str]:
    """What the pager is started with: less as the user has set it up, but for what reaches beyond the text."""
    return {**_USUALLY, **os.environ, **_ALWAYS}


def page(text: str, command: list[str]) -> bool:
    """Show a text until the user has seen it; whether that could be done. Ctrl-C is the pager's meanwhile."""
    with sigint_to(lambda _number, _frame: None):
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment())
        except OSError:
            return False
        with suppress(OSError):  # whoever has seen enough leaves before the end
            process.communicate(text.encode("utf-8", "replace"))
        return process.wait() <= 0  # less than zero: a signal ended it, of which the user knows
