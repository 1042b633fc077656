"""SIGINT for a while to a handler of one's own."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigint_to(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Within it SIGINT goes to `handler`; off the main thread, where none arrives, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
