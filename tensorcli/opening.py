"""A session at the terminal, from its options, and how the process ends.

The command without options comes here straight: the first prompt waits for no parser of arguments.
"""

import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.config import Preferences
    from tensorcli.journal import Journal
    from tensorcli.show import Screen


def at_terminal(
    *,
    seed: int,
    device: str = "cpu",
    dtype: str = "float32",
    trust: bool = False,
    pretend: str | None = None,
    warn: bool = True,
    max_memory: int | None = None,
    last: "Journal | None" = None,
    no_color: bool = False,
    width: int | None = None,
) -> int:
    """Prompt until the user leaves; the exit code. The session goes on from `last`, where that is given."""
    from tensorcli import repl

    own = preferences()

    def engine() -> "Client":
        from tensorcli.client import Pipe
        from tensorcli.config import nbytes_of

        most = max_memory or nbytes_of(own.config.max_memory)
        options: dict[str, Any] = {"device": device, "dtype": dtype, "trust": trust, "warn": warn}
        journal = last or _new_session(seed=seed, device=device, dtype=dtype, warn=warn)
        return Pipe(seed=seed, **options, pretend=pretend, max_memory=most, journal=journal)

    def shown() -> "Screen":
        return screen(no_color=no_color, width=width)

    color = False if no_color else None
    about: dict[str, Any] = {"seed": seed, "pretend": pretend, "resume": last is not None}
    return repl.repl(engine, shown, **about, color=color, preferences=own)


def seed_or_any(seed: int | None = None) -> int:
    """The seed given, else one by chance."""
    return random.SystemRandom().randrange(1, 10_000_000) if seed is None else seed


def screen(
    *,
    json: bool = False,
    no_color: bool = False,
    width: int | None = None,
    svg: Path | None = None,
    html: Path | None = None,
) -> "Screen":
    """A screen as the options have it."""
    from tensorcli.config import background
    from tensorcli.show import Screen

    return Screen(
        json=json,
        color=False if no_color else None,
        width=width,
        background=lambda: background(preferences().config.theme),
        svg=svg,
        html=html,
    )


@cache
def preferences() -> "Preferences":
    """The user's, read once."""
    from tensorcli import config

    return config.own()


def sessions() -> Path | None:
    """Where this user's sessions are kept; None where there is no place."""
    from tensorcli.repl.history import own_folder

    folder = own_folder()
    return folder and folder / "sessions"


def _new_session(**settings: Any) -> "Journal | None":
    """A journal on disk; None where there is no place for it."""
    from tensorcli import journal
    from tensorcli.report import Configure

    root = sessions()
    try:
        return journal.begun(root, Configure(**settings)) if root else None
    except OSError:
        return None


def ended(action: Callable[[], int]) -> int:
    """Do what was asked; the exit code. One that has torch ends the process at once, without taking it apart first."""
    try:
        code = action()
        _flush()
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        code = unwritten(error)
    if "torch" in sys.modules:
        os._exit(code)
    return code


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a process may be started without one
            stream.flush()


def unwritten(error: OSError) -> int:
    """Say that something cannot be written; the exit code. What was left to be printed is dropped."""
    if error.filename is None and sys.stdout is not None:
        with suppress(OSError):  # it may be no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # the reader left: `| head`
        return 0
    what = error.filename or "what is printed cannot be written"
    advice = "" if error.filename else "; make room, or send it elsewhere"
    with suppress(OSError):  # stderr may go the same way
        sys.stderr.write(f"error: {what}: {error.strerror}{advice}\n")
    return 1
