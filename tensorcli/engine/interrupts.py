"""When an interrupt may raise: inside the evaluation it was meant for, in the main thread, and nowhere else.

An interrupt is meant for one request, by number. It raises KeyboardInterrupt at once while that request evaluates,
waits while the request does something that must not be cut in two, and means nothing once the request is answered.
All of that is decided in the main thread, by the signal's handler: anywhere else the request could end meanwhile.
"""

import _thread
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INSIST_SECONDS = 0.05
INSISTENCE = 20  # times
TYPED = ("<input ", "<apart ")  # how the filenames begin of code that a user typed


class Late(BaseException):
    """The deadline has passed. No `except Exception` of the code that is cut short keeps it."""


class Passed(TimeoutError):
    """A deadline of ours has passed, and not one that the code itself keeps."""


class _State:
    """What the handlers decide by. Only the main thread writes it, but for `wanted` and `presses`."""

    current: int | None = None  # the request being answered
    wanted: int | None = None  # the request to interrupt, until that is done; it may still have to begin
    open = False  # user code is running: an interrupt may be raised now
    timed = False  # a deadline may raise now
    gentle = False  # ... but only in code that was typed, and where `may_stop` is called
    late = False  # the deadline has passed
    presses = 0  # how often Ctrl-C was pressed since the request began
    alarm: socket.socket | None = None  # where the system announces signals to `_watch`


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


# For who evaluates.


@contextmanager
def interruptible() -> Iterator[None]:
    """Around user code: Ctrl-C raises KeyboardInterrupt, one that waited too. Off the main thread it does nothing."""
    if not _on_main_thread():
        yield
        return
    was, _State.open = _State.open, True
    try:
        _deliver()
        yield
    except KeyboardInterrupt:
        was = False
        raise
    finally:
        _State.open = was


@contextmanager
def shielded() -> Iterator[None]:
    """Within user code, around what must not be cut in two, such as a line on the wire: Ctrl-C and deadlines wait.

    Off the main thread it does nothing.
    """
    if not _on_main_thread():
        yield
        return
    was, timed = _State.open, _State.timed
    _State.open = _State.timed = False
    try:
        yield
    finally:
        _State.open, _State.timed = was, timed
    if was:
        _deliver()
    if timed and _State.late:
        _cut(None)


def _deliver() -> None:
    if _State.open and _State.current is not None and _State.wanted == _State.current:
        # Closed first: an interrupt that comes while this one travels up must find nothing left to cut.
        _State.open, _State.wanted = False, None
        raise KeyboardInterrupt


@contextmanager
def deadline(seconds: float, *, gently: bool = False) -> Iterator[None]:
    """Around what may be given up: `may_raise` within it raises `Passed` after `seconds`.

    One within another ends no later than that. `gently` cuts short only code that was typed, and what calls
    `may_stop`: what torch does in Python keeps states of its own, of which an exception at any moment may leave half.
    Where the system has no such timer (Windows), or off the main thread, nothing is cut short.
    """
    if not _on_main_thread() or not has_timer():
        yield
        return
    previous, unraisable = signal.signal(signal.SIGALRM, _on_alarm), sys.unraisablehook
    sys.unraisablehook = lambda args: None if args.exc_type is Late else unraisable(args)  # in a finalizer: told again
    was = _State.late, _State.gentle
    _State.late, _State.gentle = False, gently or _State.gentle
    start, (around, _) = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, max(min(seconds, around or seconds), 1e-6))
    try:
        yield
    finally:
        _State.late, _State.gentle = was
        left = max(around - (time.monotonic() - start), 1e-6) if around else 0.0
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, previous)
        sys.unraisablehook = unraisable


def has_timer() -> bool:
    """Whether a deadline can end what would not end by itself."""
    return hasattr(signal, "setitimer")


@contextmanager
def may_raise() -> Iterator[None]:
    """Around user code that a deadline may cut short, and Ctrl-C too."""
    if _State.late:
        raise Passed
    was = _State.timed
    try:
        _State.timed = True
        try:
            with interruptible():
                yield
        finally:
            _State.timed = was
    except Late:
        raise Passed from None


def may_stop(*, at_once: bool = False) -> None:
    """A place where what is done gently may be cut short; `at_once`, for there is no other for long."""
    if (_State.late or at_once) and _State.gentle and _State.timed and not _is_importing(sys._getframe()):
        _State.late = False  # what cleans up behind it is not cut, until it is told again
        raise Late


def _on_alarm(_signum: int, frame: FrameType | None) -> None:
    _State.late = True
    _cut(frame)


def _cut(frame: FrameType | None) -> None:
    """Raise Late where that is possible, else try again soon."""
    typed = frame is not None and frame.f_code.co_filename.startswith(TYPED)
    if _is_importing(frame) or (_State.gentle and not typed):
        # Libraries import more when first used; half a module would stay behind for good.
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    elif _State.timed:
        signal.setitimer(signal.ITIMER_REAL, INSIST_SECONDS)  # code that keeps it all the same is told again
        raise Late


def is_answering() -> bool:
    """Whether a request is being answered now."""
    return _State.current is not None


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


# For who answers requests.


@contextmanager
def answering(number: int) -> Iterator[None]:
    """Around the answer to request `number`: it is the one that can be interrupted."""
    _State.presses = 0
    _State.current = number
    try:
        yield
    finally:
        _State.current = None


@contextmanager
def from_keyboard() -> Iterator[None]:
    """Take interrupts from the terminal. A second one before the request has ended ends the process with 130.

    Nothing else helps against a native call that does not return: Python runs no handler until it does, so a thread
    waits for the system's own word of the signal. A call that also keeps the interpreter's lock outlasts even that.
    """
    if not _on_main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, _on_key)
    wakeup = signal.set_wakeup_fd(_alarm().fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, previous)


def _on_key(_signum: int, _frame: FrameType | None) -> None:
    _State.wanted = _State.current
    _deliver()


def _alarm() -> socket.socket:
    if _State.alarm is None:
        _State.alarm, heard = socket.socketpair()
        _State.alarm.setblocking(False)
        threading.Thread(target=_watch, args=(heard,), daemon=True).start()
    return _State.alarm


def _watch(heard: socket.socket) -> None:
    while signals := heard.recv(1):
        if signals[0] == signal.SIGINT and _State.current is not None:
            _State.presses += 1
            if _State.presses > 1:
                os._exit(130)


def from_wire() -> None:
    """Take interrupts as messages: from now on a SIGINT only carries what `interrupt` asks for."""
    signal.signal(signal.SIGINT, _on_wire)


def _on_wire(_signum: int, frame: FrameType | None) -> None:
    if _State.gentle and _State.wanted == _State.current:
        _on_alarm(_signum, frame)
    else:
        _deliver()


def interrupt(number: int) -> None:
    """Interrupt request `number`, from any thread: one still to begin ends at once, one answered is left alone."""
    _State.wanted = number
    _tell()
    if _State.current == number:
        threading.Thread(target=_insist, args=(number,), daemon=True).start()


def _insist(number: int) -> None:
    """Tell it again: a signal that comes just before a system call that waits does not end that wait."""
    for _ in range(INSISTENCE):
        time.sleep(INSIST_SECONDS)
        if not number == _State.wanted == _State.current:
            return
        _tell()


def _tell() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # it also ends a wait of the main thread's
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
