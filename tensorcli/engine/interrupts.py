"""When Ctrl-C may raise: inside an evaluation, in the main thread, and nowhere else."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _State:
    """What the signal handler decides by. Only the main thread writes it."""

    open = False  # an evaluation may be interrupted now
    waiting = False  # an interrupt came while it could not be raised
    raised = False  # this evaluation has been interrupted once and has not ended yet


def _on_signal(_signum: int, _frame: FrameType | None) -> None:
    if not _State.open:
        _State.waiting = True
        return
    _State.raised = True
    raise KeyboardInterrupt


def on_main_thread() -> bool:
    """Whether signals can be handled here."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it Ctrl-C raises KeyboardInterrupt; does nothing off the main thread, where no signal arrives."""
    if not on_main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, _on_signal)
    _State.waiting = _State.raised = False
    try:
        _State.open = True
        try:
            yield
        finally:
            _State.open = False
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def shielded() -> Iterator[None]:
    """Within it Ctrl-C waits: for what must not be cut in two, such as a line on the wire."""
    was, _State.open = _State.open, False
    try:
        yield
    finally:
        _State.open = was
    if was and _State.waiting:
        _State.waiting = False
        raise KeyboardInterrupt


