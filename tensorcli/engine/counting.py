"""Why one way is faster than another: the operators, kernels, waits and allocations of one call."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch._C._autograd import DeviceType

from tensorcli import report
from tensorcli.engine import work
from tensorcli.engine.candidates import Candidate
from tensorcli.engine.recorder import Recorder
from tensorcli.engine.work import Work

MARK = "tensorcli: one call"  # what the profiler calls the part of its time that is ours


def counts(candidate: Candidate) -> report.Counts | None:
    """What a call makes torch do; None where that is not known.

    A loop is never looked at as a whole, which takes many times as long as running it: its first part and its first
    two lie on a straight line, on which all of its parts do, as long as each does the same.
    """
    if candidate.parts <= 2:
        whole = _counted(candidate, None)
        return None if whole is None else report.Counts(**whole)
    one, two = _counted(candidate, 1), _counted(candidate, 2)
    if one is None or two is None:
        return None
    line = {name: _along(one[name], two[name], candidate.parts) for name in one}
    return report.Counts(**line, extrapolated=True)


def looked_at(candidate: Candidate) -> Work | None:
    """The work of one more call, of a loop as far as its parts tell; None where nobody can look."""
    if candidate.compiled:
        return None
    if candidate.parts <= 2:
        return work.observed(lambda: candidate.value(None))[1]
    one, two = (work.observed(partial(candidate.value, parts))[1] for parts in (1, 2))
    if one is None or two is None:
        return None
    line = {name: _along(getattr(one, name), getattr(two, name), candidate.parts) for name in _ALONG}
    return replace(two, **line)


_ALONG = ("flops", "nbytes", "operators")  # what each part adds to


def _along(one: Any, two: Any, parts: int) -> Any:
    """What so many parts do, going by one and two of them; None where these are."""
    return None if one is None or two is None else one + (parts - 1) * (two - one)


def _counted(candidate: Candidate, parts: int | None) -> dict[str, Any] | None:
    """The counts of some parts of a call by name, or of all; None where they are not known."""
    with _kernels() as seen:
        recorder = _recorded(candidate, parts)
    if recorder is None:
        return None
    kernels, waits = seen()
    return {
        "operators": recorder.current.operators,
        "allocations": recorder.account.allocations,
        "allocated_nbytes": recorder.account.allocated_nbytes,
        "kernels": kernels,
        "synchronizations": waits,
    }


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
    from torch.profiler import ProfilerActivity, profile, record_function

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        with record_function(MARK):
            yield lambda: called(seen.events() or ())
        torch.cuda.synchronize()


def called(events: Iterable[Any]) -> tuple[int, int]:
    """How often the host launched kernels and waited within what is marked, of all that torch's profiler saw.

    Outside it the profiler itself waits, at its end. A mark has an event on the device, too, which is later.
    """
    seen = list(events)
    marked = [each.time_range for each in seen if each.name == MARK and each.device_type == DeviceType.CPU]
    names = [
        each.name
        for each in seen
        if each.name.startswith("cu")  # functions of CUDA's runtime, cuda..., and of its driver, cu...
        and any(mark.start <= each.time_range.start and each.time_range.end <= mark.end for mark in marked)
    ]
    return sum("LaunchKernel" in name for name in names), sum("Synchronize" in name for name in names)
