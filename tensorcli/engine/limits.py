"""The bound that makes an allocation too large for this machine an error instead of the end of the process."""

import math
import time

import torch

from tensorcli.engine import environment, pretend

KEEP_FREE = 256 << 20  # bytes left to the rest of the machine
REFRESH_SECONDS = 0.5  # asking the system takes 0.1 ms, which a loop of small statements would feel


class _Limit:
    """When the limit was last set."""

    set_at = -math.inf


def limit_memory() -> None:
    """Let this process's data grow by what is free now, and no further. Does nothing where that cannot be said.

    Not where there is CUDA, whose driver reserves address space far beyond the memory there is.
    """
    now = time.monotonic()
    if now - _Limit.set_at < REFRESH_SECONDS:
        return
    _Limit.set_at = now
    try:
        import resource
    except ImportError:  # Windows
        return
    free = environment.available_nbytes()
    used = _data_nbytes(resource.getpagesize())
    if free is None or used is None or _has_cuda():
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + max(free - KEEP_FREE, KEEP_FREE)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def _has_cuda() -> bool:
    return torch.cuda.is_available() and not pretend.active()


def _data_nbytes(page: int) -> int | None:
    """The size of this process's writable private memory, as RLIMIT_DATA counts it."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[5]) * page
    except (OSError, IndexError, ValueError):
        return None
