"""Why one way is faster than another: the operators, kernels, waits and allocations of one call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tensorcli import report
from tensorcli.engine.candidates import Candidate
from tensorcli.engine.recorder import Recorder


def counts(candidate: Candidate, parts: int | None) -> report.Counts | None:
    """What a call makes torch do; of one that does only some parts, so much as all of them would. None: not known."""
    with _kernels() as seen:
        recorder = _recorded(candidate, parts)
    if recorder is None:
        return None
    scale = candidate.parts / parts if parts else 1
    kernels, waits = seen()
    found = (recorder.current.operators, recorder.account.allocations, recorder.account.allocated_nbytes)
    operators, allocations, nbytes = (round(scale * each) for each in found)
    return report.Counts(
        operators=operators,
        allocations=allocations,
        allocated_nbytes=nbytes,
        kernels=None if kernels is None else round(scale * kernels),
        synchronizations=None if waits is None else round(scale * waits),
        extrapolated=parts is not None,
    )


def _recorded(candidate: Candidate, parts: int | None) -> Recorder | None:
    """One call, its operators taken down; None where it cannot be looked at."""
    if candidate.compiled:  # it would be compiled anew, for being looked at
        return None
    recorder = Recorder((), {}, "")
    try:
        with recorder.account:
            candidate.value(parts)
    except Exception:  # compiled code does not like to be looked at
        return None
    return recorder


@contextmanager
def _kernels() -> Iterator[Callable[[], tuple[int | None, int | None]]]:
    """Within it the kernels that CUDA launches are noted, and the times that the host waits for it.

    Gives a function that says afterwards how many there were; null where no CUDA is in use.
    """
    if not torch.cuda.is_initialized():
        yield lambda: (None, None)
        return
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        yield lambda: (_called(seen, "LaunchKernel"), _called(seen, "Synchronize"))
        torch.cuda.synchronize()


def _called(seen: Any, name: str) -> int:
    """How often functions of CUDA's runtime with a name like this were called."""
    return sum(event.count for event in seen.key_averages() if event.key.startswith("cu") and name in event.key)
