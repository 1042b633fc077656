"""The playground at a terminal, or fed from a pipe: texts to requests, reports to the screen."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.config import Preferences
    from tensorcli.show import Screen


def repl(
    client: "Client | Callable[[], Client]",
    screen: "Screen | Callable[[], Screen]",
    *,
    seed: int,
    pretend: str | None = None,
    resume: bool = False,
    color: bool | None = None,
    history: Path | None = None,
    preferences: "Preferences | None" = None,
) -> int:
    """Prompt, ask and show until the user leaves; the exit code is 0, or 1 where the terminal went away.

    A function in place of the client or the screen is called once the first prompt is drawn, so that what it imports
    keeps nobody waiting. `seed` and `pretend` are for the banner. To `resume`, the client's
    earlier session is brought back before the first prompt. `color` False draws the prompt without colours; None
    leaves that to the terminal and NO_COLOR. `history` is the file of inputs, else the user's own. `preferences` are
    the user's, which %config changes. The client is closed at the end.
    """
    gc.disable()  # until all is imported: a look through all that there is would hold keys up
    from tensorcli.repl.loop import run, terminal

    make_client = client if callable(client) else lambda: client
    make_screen = screen if callable(screen) else lambda: screen
    try:
        with terminal():
            return run(
                make_client,
                make_screen,
                seed=seed,
                pretend=pretend,
                resume=resume,
                color=color,
                history=history,
                preferences=preferences,
            )
    except OSError:  # the terminal is gone, or its stdout closed: there is nobody to tell
        return 1
    finally:
        gc.enable()


def batch(client: "Client", screen: "Screen", stream: BinaryIO | None, *, max_values: int = 1000) -> int:
    """Run the statements in `stream` as if each had been typed; the exit code: 0, 1 after a diagnosis, 130 interrupted.

    A statement that fails leaves the others to run; an interrupt ends them all. No stream is an empty one. Raises
    BrokenPipeError where the screen does.
    """
    from tensorcli.repl.batch import run

    return run(client, screen, stream, max_values=max_values)
