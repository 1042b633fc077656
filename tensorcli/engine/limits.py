"""The bound that makes an allocation too large for this machine an error instead of the end of the process.

Linux counts what a process has asked for (RLIMIT_DATA), touched or not, so that `torch.empty` fails where it is written
and not later, where it is filled. Elsewhere an allocation fails when the system says so.
"""

import ctypes
import math
import time
from typing import ClassVar

import torch

from tensorcli.engine import environment, pretend

KEEP_FREE = 256 << 20  # bytes left to the rest of the machine
ROOM = 192 << 20  # beyond the limit, for what has to be said of a statement that met it: it is imported then
LEAST = 4 << 20  # what a statement gets at any rate: to delete something takes memory too
REFRESH_SECONDS = 0.5  # asking the system takes 0.1 ms, which a loop of small statements would feel


class _Limit:
    """What is known of the limit: when it was last worked out, as how many bytes of data."""

    set_at = -math.inf
    nbytes: int | None = None
    most: int | None = None  # as the user wants it, of memory that is used
    spare: int | None = None  # bytes of data that nothing had touched when the limit was first set, as threads' stacks


def set_most(nbytes: int | None) -> None:
    """Let this process never have more memory than this, however much is free."""
    _Limit.most, _Limit.set_at = nbytes, -math.inf


def most_nbytes() -> int | None:
    """The most memory this process may have, where the user has set that."""
    return _Limit.most


def limit_memory() -> None:
    """Let this process's data grow by what is free now, and no further. Does nothing where that cannot be said.

    Not where there is CUDA, whose driver reserves address space far beyond the memory there is.
    """
    now = time.monotonic()
    if now - _Limit.set_at >= REFRESH_SECONDS:
        _Limit.nbytes, scarce = _worked_out()
        _Limit.set_at = -math.inf if scarce else now
    _set(0)


def make_room() -> None:
    """Let what is said of a statement take a little more than the statement could; the next one's limit is new."""
    _set(ROOM)


def left_nbytes() -> int | None:
    """What may still be allocated; None where that cannot be said."""
    used = _used()
    if used is None or _Limit.nbytes is None:
        return environment.available_nbytes()
    return max(0, _Limit.nbytes - used[0])


def process_nbytes() -> int | None:
    """The memory that this process has to itself; None where the system does not say."""
    used = _used()
    return used[1] if used else None


def met() -> None:
    """Have the limit worked out anew before the next statement: this one met it."""
    _Limit.set_at = -math.inf


def _worked_out() -> tuple[int | None, bool]:
    """How many bytes of data this process may have, None where that cannot be said; and whether few are left."""
    if (used := _used()) is None or _has_cuda():
        return None, False
    if _Limit.spare is None:
        _Limit.spare = used[0] - used[1]
    limit = _bound(*used, unused=0)
    if limit is None or limit - used[0] >= KEEP_FREE:
        return limit, False
    unused = _given_back()  # what was deleted is not lost to it
    used = _used() or used
    limit = _bound(*used, unused=unused) or 0
    return max(limit, used[0] + LEAST), True


def _bound(data: int, touched: int, *, unused: int) -> int | None:
    """What it has touched and what is free, less what others need to have.

    What it has asked for and not touched yet is part of what is free, and so does not count twice; but of what its
    allocator keeps for later, `unused`, it will be given again without asking.
    """
    spare = _Limit.spare or 0
    kept = min(unused, max(0, data - touched - spare))
    free = environment.available_nbytes()
    bounds = [] if free is None else [min(data, touched + spare + kept) + free - min(KEEP_FREE, free - free // 8)]
    bounds += [] if _Limit.most is None else [spare + kept + max(0, _Limit.most - ROOM)]
    return min(bounds, default=None)


class _Allocated(ctypes.Structure):
    """The GNU C library's `struct mallinfo2`."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def _given_back() -> int:
    """Have the allocator give what it does not use back to the system; the bytes that it may use again."""
    try:
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        library.mallinfo2.restype = _Allocated
        return int(library.mallinfo2().fordblks)
    except (OSError, TypeError, AttributeError):  # another C library
        return 0


def _set(room: int) -> None:
    if _Limit.nbytes is None:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _Limit.nbytes + room
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def _has_cuda() -> bool:
    return torch.cuda.is_available() and not pretend.active()


def _used() -> tuple[int, int] | None:
    """This process's writable private memory as RLIMIT_DATA counts it, and what of its own it has touched."""
    try:
        import resource

        with open("/proc/self/statm") as statm:
            _, resident, shared, _, _, data, _ = map(int, statm.read().split())
    except (ImportError, OSError, ValueError):  # Windows; macOS
        return None
    page = resource.getpagesize()
    return data * page, (resident - shared) * page
