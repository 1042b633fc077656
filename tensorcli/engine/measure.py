"""Measuring: a clock per device, samples long enough for it, and several tasks sampled in turn."""

import gc
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, repeat

import torch

from tensorcli import report, stats

# Reads seconds, once all work that was handed to the device is done.
Clock = Callable[[], float]
# done and total in seconds, label
Progress = Callable[[float, float, str], None]

PATIENCE = 10.0  # seconds after which a statement has been sampled enough, however few the samples
ERROR = stats.CLOCK_ERROR  # of a sample
SAMPLES_WANTED = 1000
WARM_SHARE = 0.1  # of the time of a task: what calls that are slower than those after them may take at most
LEAST = 1e-9  # seconds, that a difference of two times is taken for where the second was disturbed
UNSTEADY = 1.1  # times as slow as the next one: the first samples are left out as long as they are

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


def clock_of_session(device: str) -> Clock:
    """The clock for a session's own statements: tensors may live on a GPU although the default device is the CPU."""
    return clock_of("cuda" if device == "cpu" and torch.cuda.is_available() else device)


# Calls what is timed once for each turn.
Loop = Callable[[Iterable[None]], None]


def loop_of(run: Callable[[], object]) -> Loop:
    """A loop that calls a function."""

    def loop(turns: Iterable[None]) -> None:
        for _ in turns:
            run()

    return loop


@dataclass(frozen=True)
class Task:
    """What is timed.

    `before` runs ahead of each sample, which is then a single call, and is not timed. `first_seconds` are those of the
    very first call where that has been made. `less` does half of what `loop` does: its time is taken off, and with it
    what both spend on beginning.
    """

    loop: Loop
    before: Callable[[], object] | None = None
    first_seconds: float | None = None
    less: Loop | None = None

    @property
    def single(self) -> bool:
        """Whether a sample is a single call, however short."""
        return self.before is not None or self.less is not None


@dataclass(frozen=True)
class Samples:
    """Seconds per call, one number a sample in the order taken, the calls of each, and the very first call's seconds.

    `rounds` are those in which they were taken, ascending: samples of one round are neighbours.
    """

    seconds: tuple[float, ...]
    calls: int
    first_seconds: float
    rounds: tuple[int, ...] = ()
    before_seconds: float = 0.0  # spent ahead of all of them

    def pairs(self, other: "Samples") -> list[tuple[float, float]]:
        """The samples of both that are neighbours; none where there are few, since one was sampled far more often."""
        mine, theirs = (
            dict(zip(self.rounds, self.seconds, strict=True)),
            dict(zip(other.rounds, other.seconds, strict=True)),
        )
        found = [(mine[number], theirs[number]) for number in mine if number in theirs]
        return found if 2 * len(found) >= max(len(mine), len(theirs)) else []


def elapsed(task: Task, *, calls: int = 1, clock: Clock) -> float:
    """The seconds that `calls` calls take together."""
    if task.before:
        task.before()
    turns = repeat(None, calls)
    start = clock()
    task.loop(turns)
    return clock() - start


def reading_seconds(clock: Clock) -> float:
    """What reading a clock twice takes, or its smallest step where that is longer."""
    nothing = Task(lambda turns: None)
    read = sorted(elapsed(nothing, calls=0, clock=clock) for _ in range(21))
    steps = [each for each in read if each > 0]
    return max(stats.median(read), min(steps, default=0.0))


@dataclass
class _Series:
    """One task's samples as they grow."""

    task: Task
    calls: int = 1
    first: float = 0.0
    spent: float = 0.0  # seconds, in samples that are kept
    last: float = 0.0  # seconds, in the last sample
    before: float = 0.0  # seconds, spent ahead of samples
    seconds: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def warm_up(self, clock: Clock, *, long_enough: float, min_seconds: float, max_seconds: float) -> None:
        """Find the calls per sample, and go on until two in a row are about as fast, or a share of the time is spent.

        Those two are the first samples where they are long enough. After a first call that took all the time there is,
        the second is the first sample: the first may have compiled what it called.
        """
        taken = self.first = self._timed(clock) if self.task.first_seconds is None else self.task.first_seconds
        if taken >= max_seconds:
            return self._keep(self._timed(clock), 0)
        left = WARM_SHARE * min_seconds  # for what follows the first call: that may have compiled for longer
        while True:
            before, calls = taken, self.calls
            if before < long_enough and not self.task.single:
                self.calls = math.ceil(calls * min(1.2 * long_enough / max(before, 1e-9), 100.0))
            flushed = self.before
            taken = self._timed(clock)
            left -= taken + self.before - flushed
            change = (before / calls) / (taken / self.calls)
            steady = 1 / UNSTEADY <= change <= UNSTEADY
            if (taken >= long_enough or self.task.single) and (steady or left <= 0):
                if steady and calls == self.calls:
                    self._keep(before, -1)
                return self._keep(taken, 0)

    def take(self, clock: Clock, number: int) -> None:
        """Take one sample, in a round."""
        self._keep(self._timed(clock), number)

    def _timed(self, clock: Clock) -> float:
        taken = self.last = self._elapsed(self.task.loop, clock)
        if self.task.less is None:
            return taken
        less = self._elapsed(self.task.less, clock)
        self.last += less
        return max(taken - less, LEAST)

    def _elapsed(self, loop: Loop, clock: Clock) -> float:
        if self.task.before:
            start = clock()
            self.task.before()
            self.before += clock() - start
        return elapsed(Task(loop), calls=self.calls, clock=clock)

    def _keep(self, taken: float, number: int) -> None:
        self.spent += self.last if self.task.less else taken
        self.rounds.append(number)
        self.seconds.append(taken / self.calls)

    def step(self, min_seconds: float) -> float:
        """How much of what is wanted one more sample is, about."""
        return min((self.spent + self.before) / len(self.seconds) / min_seconds, 1 / stats.FEWEST_SAMPLES)

    def share(self, *, min_seconds: float, max_seconds: float) -> float:
        """How much of what is wanted has been sampled; 1 is enough."""
        wanted = min((self.spent + self.before) / min_seconds, len(self.seconds) / stats.FEWEST_SAMPLES)
        return max(wanted, self.spent / max_seconds)


class Interleaved:
    """Tasks that are sampled in rounds: in each, one sample of all that are not ahead of others, in a new order.

    Whatever disturbs the machine for a while then disturbs all of them alike, and none always follows the same other
    one. Tasks that need fewer samples than others skip rounds, so that all are done together. Enough is `min_seconds`,
    with what runs ahead of samples, and `stats.FEWEST_SAMPLES`; or `max_seconds` in samples.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        *,
        clock: Clock,
        min_seconds: float,
        max_seconds: float = math.inf,
        seed: int = 0,
    ) -> None:
        self._series = {name: _Series(task) for name, task in tasks.items()}
        self._clock, self._order = clock, random.Random(seed)
        self.current = ""  # what is being sampled
        self._limits = {"min_seconds": min_seconds, "max_seconds": max_seconds}

    @property
    def samples(self) -> dict[str, Samples]:
        """What has been sampled up to now."""
        return {
            name: Samples(tuple(each.seconds), each.calls, each.first, tuple(each.rounds), each.before)
            for name, each in self._series.items()
            if each.seconds
        }

    def run(self, progress: Progress = lambda done, total, label: None) -> dict[str, Samples]:
        """Take all samples. What a task raises goes through, and what was sampled until then stays."""
        min_seconds = self._limits["min_seconds"]
        wanted = max(min_seconds / SAMPLES_WANTED, reading_seconds(self._clock) / ERROR)
        with _collector_off():
            for name, each in self._series.items():
                self.current = name
                progress(0.0, min_seconds * len(self._series), name)
                each.warm_up(self._clock, long_enough=min(wanted, min_seconds), **self._limits)
            rounds = count(1)
            while (least := min((shares := self._shares()).values(), default=1.0)) < 1:
                number = next(rounds)
                line = min(1.0, least + max(each.step(min_seconds) for each in self._series.values()))
                behind = [name for name, share in shares.items() if share < line]
                self._order.shuffle(behind)
                for name in behind:
                    self.current = name
                    progress(least * min_seconds * len(self._series), min_seconds * len(self._series), name)
                    self._series[name].take(self._clock, number)
        return self.samples

    def _shares(self) -> dict[str, float]:
        return {name: each.share(**self._limits) for name, each in self._series.items()}


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
    loop: Loop,
    *,
    device: str,
    min_seconds: float,
    source: str,
    first_seconds: float | None = None,
    progress: Progress = lambda done, total, label: None,
    clock: Clock | None = None,
) -> report.Timing:
    """Run a loop's statement again and again for `min_seconds` and report every sample. What it raises goes through."""
    clock = clock or clock_of_session(device)
    label = source if len(source) <= 40 and "\n" not in source else source.split("\n")[0][:37] + "..."
    task = Task(loop, first_seconds=first_seconds)
    sampling = Interleaved({label: task}, clock=clock, min_seconds=max(min_seconds, 1e-3), max_seconds=PATIENCE)
    samples = sampling.run(progress)[label]
    found = stats.summary(samples.seconds)
    return report.Timing(
        source=source,
        samples=samples.seconds,
        calls_per_sample=samples.calls,
        median=found.median,
        iqr=found.iqr,
        low=found.low,
        high=found.high,
        warnings=tuple(
            doubt.sentence
            for doubt in stats.doubts(
                samples.seconds, name=label, more="allow it more time", first=samples.first_seconds
            )
        ),
    )
