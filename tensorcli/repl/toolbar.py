"""The lines about the session: the banner above the first prompt and the bar below each one."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tensorcli import __version__

if TYPE_CHECKING:
    from tensorcli.report import Settings

STARTING = "starting torch ..."
ENDED = "the engine has ended: the next input starts another"
AWAY = "the next input brings the session back"
HINT = "Type an expression. %help for commands, Ctrl-D to leave."


def banner(seed: int, *, pretend: str | None = None, problems: Sequence[str] = ()) -> str:
    """The first two lines, known before any engine is up, and one for each of the `problems` of the configuration."""
    device = f" - a {pretend} device is pretended" if pretend else ""
    lines = [f"tensorcli {__version__} - {_torch()} - seed {seed}{device}", HINT, *(f"warning: {p}" for p in problems)]
    return "\n".join(lines) + "\n"


def _torch() -> str:
    """The torch that an engine would import, read rather than imported; its metadata takes longer to read than this."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return "torch is not installed"
    try:
        found = re.search(r"__version__ = '([^']+)'", Path(spec.origin).with_name("version.py").read_text())
    except OSError:
        found = None
    return f"torch {found[1]}" if found else "torch"


def toolbar(
    settings: "Settings | None",
    *,
    width: int,
    number: int = 1,
    seconds: float | None = None,
    mode: str = "",
    state: str = "",
) -> str:
    """What fits of: vi's mode, device, the session's state, dtype, seed, input, last time, memory, threads, no CUDA.

    What matters least goes first: the greatest of the numbers below.
    """
    if settings is None:
        return " - ".join(filter(None, (mode, state if state == ENDED else STARTING)))[:width]
    from tensorcli import units

    parts = [
        (1, mode),
        (0, settings.device),
        (1, state),
        (2, f"{settings.pretended} pretended" if settings.pretended else ""),
        (4, settings.dtype),
        (5, f"seed {settings.seed if settings.torch_seed is None else settings.torch_seed}"),
        (8, f"input {number}"),
        (7, f"last {units.seconds(seconds)}" if seconds is not None else ""),
        (6, f"{units.nbytes(settings.memory_nbytes)} held" if settings.memory_nbytes else ""),
        (9, units.plural(settings.threads, "thread")),
        (10, "no CUDA device" if settings.no_cuda else ""),
        (3, "--trust" if settings.trust else ""),
    ]
    shown = [part for part in parts if part[1]]
    while len(line := " - ".join(text for _, text in shown)) > width and len(shown) > 1:
        shown.remove(max(shown))
    return line[:width]
