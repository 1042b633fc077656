"""Measuring: a clock per device, samples long enough for it, and several callables sampled in turn."""

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, repeat

import torch

from tensorcli import report, stats

# Reads seconds, once all work that was handed to the device is done.
Clock = Callable[[], float]
Run = Callable[[], object]
# done, total, label
Progress = Callable[[int, int, str], None]

SAMPLES_WANTED = 40  # min_seconds are divided into so many samples, where calls are short enough
TIMES_OVERHEAD = 100  # a sample is at least so many times as long as reading the clock twice
READINGS = 3  # that must be long enough before the calls per sample are settled
PATIENCE = 10.0  # seconds after which a callable has been sampled enough, however few the samples

_SYNCHRONIZE: Mapping[str, Callable[[torch.device], None]] = {
    "cuda": lambda device: torch.cuda.synchronize(device),  # looked up when called: a device may be pretended
    "mps": lambda device: torch.mps.synchronize(),
}


def clock_of(device: str) -> Clock:
    """The clock for work on a device.

    Work on an accelerator is queued: its clock waits for the queue, before a sample and after it.
    """
    place = torch.device(device)
    synchronize = _SYNCHRONIZE.get(place.type)
    if synchronize is None:
        return time.perf_counter

    def now() -> float:
        synchronize(place)
        return time.perf_counter()

    return now


@dataclass(frozen=True)
class Samples:
    """Seconds per call, one number a sample in the order taken, and the calls of each sample."""

    seconds: tuple[float, ...]
    calls: int


def elapsed(run: Run, *, calls: int = 1, clock: Clock) -> float:
    """The seconds that `calls` calls take together."""
    turns = repeat(None, calls)
    start = clock()
    for _ in turns:
        run()
    return clock() - start


def sample_seconds(clock: Clock, *, min_seconds: float) -> float:
    """How long a sample should be: long against reading the clock, short enough to get many."""
    overhead = stats.median([elapsed(lambda: None, calls=0, clock=clock) for _ in range(11)])
    return min(max(min_seconds / SAMPLES_WANTED, TIMES_OVERHEAD * overhead), min_seconds)


def _round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    return (digit * 10**power for power in count() for digit in (1, 2, 5))


@dataclass
class _Series:
    """One callable's samples as they grow."""

    name: str
    run: Run
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    def calibrate(self, clock: Clock, *, long_enough: float, too_long_to_waste: float) -> None:
        """Warm up and find the calls per sample. A first call that is too long to waste is the first sample."""
        first = elapsed(self.run, clock=clock)
        if first >= too_long_to_waste:
            self.seconds.append(first)
            return
        for self.calls in _round_numbers():
            # More than once: one slow reading on a busy machine must not settle for too few calls.
            if all(elapsed(self.run, calls=self.calls, clock=clock) >= long_enough for _ in range(READINGS)):
                return

    def take(self, clock: Clock) -> None:
        """Take one sample."""
        self.seconds.append(elapsed(self.run, calls=self.calls, clock=clock) / self.calls)

    def share(self, *, min_seconds: float) -> float:
        """How much of what is wanted has been sampled; 1 is enough."""
        spent = sum(self.seconds) * self.calls
        wanted = min(spent / min_seconds, len(self.seconds) / stats.FEWEST_SAMPLES)
        return max(wanted, spent / max(PATIENCE, min_seconds))


def interleaved(
    runs: Mapping[str, Run],
    *,
    clock: Clock,
    min_seconds: float,
    seed: int = 0,
    progress: Progress = lambda done, total, label: None,
) -> dict[str, Samples]:
    """Sample callables in rounds: in each, one sample of every one that is furthest behind, in an order drawn anew.

    Whatever disturbs the machine for a while then disturbs all of them alike, and none always follows the same other
    one. Callables that need fewer samples than others skip rounds, so that all are done together. Enough is
    `min_seconds` and `stats.FEWEST_SAMPLES`, or `PATIENCE`. What a callable raises goes through.
    """
    series = [_Series(name, run) for name, run in runs.items()]
    order = random.Random(seed)

    def shares() -> list[float]:
        return [each.share(min_seconds=min_seconds) for each in series]

    with _collector_off():
        long_enough = sample_seconds(clock, min_seconds=min_seconds)
        for each in series:
            each.calibrate(clock, long_enough=long_enough, too_long_to_waste=min_seconds)
        while (least := min(shares(), default=1.0)) < 1:
            line = min(1.0, least + 1 / SAMPLES_WANTED)
            behind = [each for each, share in zip(series, shares(), strict=True) if share < line]
            order.shuffle(behind)
            for each in behind:
                progress(int(100 * least), 100, each.name)
                each.take(clock)
    return {each.name: Samples(tuple(each.seconds), each.calls) for each in series}


@contextmanager
def _collector_off() -> Iterator[None]:
    """Without garbage collection, which would land in some samples and not in others."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def timeit(
    run: Run,
    *,
    device: str,
    min_seconds: float,
    source: str,
    progress: Progress = lambda done, total, label: None,
    clock: Clock | None = None,
) -> report.Timing:
    """Call `run` again and again for `min_seconds` and report every sample. What it raises goes through."""
    if clock is None:  # tensors may live on a GPU although the default device is the CPU
        clock = clock_of("cuda" if device == "cpu" and torch.cuda.is_available() else device)
    label = source if len(source) <= 40 and "\n" not in source else source.split("\n")[0][:37] + "..."
    samples = interleaved({label: run}, clock=clock, min_seconds=max(min_seconds, 1e-3), progress=progress)[label]
    found = stats.summary(samples.seconds)
    return report.Timing(
        source=source,
        samples=samples.seconds,
        calls_per_sample=samples.calls,
        median=found.median,
        iqr=found.iqr,
        low=found.low,
        high=found.high,
        warnings=stats.warnings(samples.seconds, name=label, more="allow it more time"),
    )
