"""A benchmark: ways to do the same work, checked, measured side by side and compared, on each device asked for."""

import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import msgspec
import torch

from tensorcli import report, stats, units
from tensorcli.engine import candidates, ceiling, counting, environment, interrupts, limits
from tensorcli.engine.candidates import Candidate, Plan
from tensorcli.engine.measure import Clock, Interleaved, Progress, Samples, Task, clock_of, elapsed
from tensorcli.workloads import Workload, table

Emit = Callable[[report.AnyReport], None]

PART_SECONDS = 0.05  # a part that takes so long can be scaled to the whole


@dataclass(frozen=True)
class Job:
    """A case to be measured: `plan` makes its candidates, which takes `needed_nbytes`."""

    name: str
    device: str
    dtype: str
    size: dict[str, Any]
    threads: int
    texts: dict[str, str]  # by the names of the candidates
    plan: Callable[[], Plan]
    needed_nbytes: int = 0

    @property
    def lack(self) -> str | None:
        """Why it cannot be measured at all; None where nothing is known to be in the way."""
        if self.dtype == candidates.TF32 and not self.device.startswith("cuda"):
            return "tf32 is a mode of NVIDIA GPUs: ask for float32 elsewhere"
        return _lack(self.needed_nbytes, self.device)


def bench(request: report.Bench, emit: Emit, *, clock: Clock | None = None) -> None:
    """Measure a workload: progress, a diagnosis for each thing asked for that cannot be had, then one report.

    `clock` stands in for every device's own.
    """
    workload = table().get(request.workload)
    if workload is None:
        return emit(_unknown("workload", request.workload, table()))
    devices = usable(request, emit, [*_problems(request, workload)])
    threads = request.threads or (torch.get_num_threads(),)
    chosen = [variant for variant in workload.variants if not request.variants or variant.name in request.variants]

    def job(dtype: str, n: int, count: int, device: str) -> Job:
        options: dict[str, Any] = {"n": n, "device": device, "dtype": dtype, "seed": request.seed}
        return Job(
            name=f"{workload.name} n = {n:,}",
            device=device,
            dtype=dtype,
            size={"n": n},
            threads=count,
            texts={variant.name: variant.text for variant in chosen},
            plan=lambda: candidates.of_workload(workload, chosen, **options),
            needed_nbytes=candidates.needed_nbytes(workload, n, dtype),
        )

    places = product(request.dtypes, request.sizes or workload.sizes, threads, devices)
    measure([job(*place) for place in places], request, emit, name=workload.name, clock=clock)


def usable(request: report.Bench, emit: Emit, problems: Sequence[report.Diagnosis]) -> list[str]:
    """Say what is wrong with a request; the devices that can be measured on, none where something else is wrong."""
    found = [*problems, *_bad_times(request), *filter(None, map(environment.problem_with, request.devices))]
    for problem in dict.fromkeys(
        found
    ):  # that there is no CUDA is said once, however many of its devices are asked for
        emit(problem)
    if any(problem.category != "device" for problem in found):
        return []
    return list(dict.fromkeys(_full_name(device) for device in request.devices if not environment.problem_with(device)))


def measure(jobs: Sequence[Job], request: report.Bench, emit: Emit, *, name: str, clock: Clock | None) -> None:
    """Measure cases one after the other and report them all; what there is when an interrupt comes, too."""
    if not jobs:
        return
    if all(job.device == "cpu" for job in jobs):
        limits.limit_memory()
    noted = environment.busy()
    cases: list[_Case] = []
    ceilings: dict[tuple[str, str, int], report.Ceiling] = {}

    def tell(complete: bool) -> None:
        emit(
            report.Benchmark(
                workload=name,
                environment=environment.environment(),
                cases=tuple(case.so_far() for case in cases),
                complete=complete,
                warnings=noted,
            )
        )

    try:
        with interrupts.interruptible():
            for number, job in enumerate(jobs):
                own = clock or clock_of(job.device)
                with _threads(job.threads), candidates.precision(job.dtype):
                    place = job.device, job.dtype, job.threads
                    if place not in ceilings:
                        ceilings[place] = ceiling.of(job.device, job.dtype, clock=own, min_seconds=request.min_seconds)
                    cases.append(_Case(job, request, own, ceilings[place]))
                    cases[-1].run(_progress(emit, job, number, len(jobs)))
    except KeyboardInterrupt:
        tell(complete=False)
        raise
    tell(complete=True)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _progress(emit: Emit, job: Job, number: int, count: int) -> Progress:
    def tell(done: float, total: float, label: str) -> None:
        with interrupts.shielded():
            share = done / total if total else 0.0
            label = f"{job.name} {job.device}: {label}"
            emit(report.Progress(done=round(1000 * (number + share)), total=1000 * count, label=label))

    return tell


def _full_name(device: str) -> str:
    place = torch.device(device)
    return f"cuda:{place.index or 0}" if place.type == "cuda" else place.type


def _unknown(kind: str, name: str, known: Sequence[str] | dict[str, Any]) -> report.Diagnosis:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
    return report.Diagnosis(
        code=f"unknown-{kind}",
        category="name",
        title=f"there is no {kind} called {name[:100]}: {advice}",
    )


def _problems(request: report.Bench, workload: Workload) -> Iterator[report.Diagnosis]:
    """What in a request cannot be measured anywhere."""
    for dtype in request.dtypes:
        if dtype not in workload.dtypes:
            title = f"{workload.name} is not measured in {dtype[:100]}: choose from {', '.join(workload.dtypes)}"
            yield report.Diagnosis(code="unknown-dtype", category="dtype", title=title)
    for size in request.sizes:
        if size < 1:
            title = f"a size of {size} cannot be measured: n must be at least 1"
            yield report.Diagnosis(code="bad-size", category="value", title=title)
    names = [variant.name for variant in workload.variants]
    yield from (_unknown("variant", name, names) for name in request.variants if name not in names)


def _bad_times(request: report.Bench) -> Iterator[report.Diagnosis]:
    for seconds in (request.min_seconds, request.max_seconds):
        if not (seconds > 0 and (math.isfinite(seconds) or seconds is request.max_seconds)):
            title = f"{seconds:g} s cannot be spent on a variant: the time must be above 0"
            yield report.Diagnosis(code="bad-time", category="value", title=title)
    for count in request.threads:
        if count < 1:
            title = f"{count} threads cannot compute anything: there must be at least 1"
            yield report.Diagnosis(code="bad-threads", category="value", title=title)


@dataclass(frozen=True)
class _Trial:
    """A candidate after its first run: `task` is what to sample, null where it cannot be; `scale` makes it whole."""

    name: str
    text: str
    status: Literal["measured", "extrapolated", "skipped", "failed"]
    reason: str | None = None
    task: Task | None = None
    scale: float = 1.0
    agrees: report.Agreement | None = None
    counts: report.Counts | None = None


@dataclass
class _Case:
    """A job being measured."""

    job: Job
    request: report.Bench
    clock: Clock
    ceiling: report.Ceiling
    plan: Plan = field(default_factory=lambda: Plan((), lambda value: None))
    trials: list[_Trial] = field(default_factory=list)
    samples: dict[str, Samples] = field(default_factory=dict)

    def run(self, progress: Progress) -> None:
        """Check every candidate once, and sample those that can be."""
        if lack := self.job.lack:
            self.trials = [_Trial(name, text, "skipped", lack) for name, text in self.job.texts.items()]
            return
        try:
            self.plan = self.job.plan()
        except Exception as error:
            why = _first_line(error)
            self.trials = [_Trial(name, text, "failed", why) for name, text in self.job.texts.items()]
            return
        for candidate in self.plan.candidates:
            progress(0, 1, f"trying {candidate.name}")
            self.trials.append(self._trial(candidate))
        tasks = {trial.name: trial.task for trial in self.trials if trial.task}
        sampling = Interleaved(
            tasks,
            clock=self.clock,
            min_seconds=self.request.min_seconds,
            max_seconds=max(self.request.max_seconds, self.request.min_seconds),
            seed=self.request.seed,
        )
        try:
            sampling.run(progress)
        except Exception as error:  # it ran once, but not again: a device that was lost, memory that went elsewhere
            self.trials = [_failed(trial, error, sampling) for trial in self.trials]
        finally:
            self.samples = sampling.samples

    def _trial(self, candidate: Candidate) -> _Trial:
        this = candidate.name, candidate.text
        if lack := candidate.lack or _lack(candidate.scratch_nbytes, self.job.device):
            return _Trial(*this, "skipped", lack)
        try:
            if trial := self._in_part(candidate):
                return trial
            start = self.clock()
            result = candidate.value(None)
            first = self.clock() - start
            agrees = self.plan.check(result)
            counts = counting.counts(candidate, None) if self.request.explain else None
            return _Trial(*this, "measured", task=self._task(candidate, None, first), agrees=agrees, counts=counts)
        except Exception as error:
            return _Trial(*this, "failed", _first_line(error))

    def _in_part(self, candidate: Candidate) -> _Trial | None:
        """A trial of part of a loop that would take too long; None where the whole can be measured."""
        whole, parts = candidate.parts, 1
        while parts < whole and not self.request.full:
            task = self._task(candidate, parts)
            seconds = elapsed(task, clock=self.clock)
            if seconds < PART_SECONDS:
                parts *= 2
            elif seconds * whole / parts * stats.FEWEST_SAMPLES <= self.request.max_seconds:
                return None
            else:
                reason = f"extrapolated from {parts * candidate.steps:,} of {whole * candidate.steps:,} steps"
                counts = counting.counts(candidate, parts) if self.request.explain else None
                this = candidate.name, candidate.text
                return _Trial(*this, "extrapolated", reason, task, whole / parts, counts=counts)
        return None

    def _task(self, candidate: Candidate, parts: int | None, first_seconds: float | None = None) -> Task:
        before = environment.cache_flush(self.job.device) if self.request.cold else None
        return Task(candidate.loop(parts), before, None if before else first_seconds)

    def so_far(self) -> report.Case:
        """What there is to say of the case, up to now."""
        seconds = {
            trial.name: tuple(each * trial.scale for each in self.samples[trial.name].seconds)
            for trial in self.trials
            if trial.name in self.samples
        }
        return report.Case(
            device=self.job.device,
            dtype=self.job.dtype,
            size=self.job.size,
            threads=self.job.threads,
            cold=self.request.cold,
            ceiling=self._ceiling(seconds),
            variants=tuple(self._variant(trial, seconds) for trial in self.trials),
            warnings=tuple(self._warnings(seconds)),
        )

    def _variant(self, trial: _Trial, seconds: dict[str, tuple[float, ...]]) -> report.Variant:
        name, text = trial.name, trial.text
        if name not in seconds:
            return report.Variant(name=name, text=text, status=trial.status, reason=trial.reason)
        own, samples = seconds[name], self.samples[name]
        found = stats.summary(own)
        flops, nbytes = self.plan.flops, self.plan.nbytes
        gflops, gbytes = (None if each is None else each / found.median / 1e9 for each in (flops, nbytes))
        share, bound = ceiling.share(flops, nbytes, found.median, self._ceiling(seconds))
        first = next(iter(seconds))
        return report.Variant(
            name=name,
            text=text,
            status=trial.status,
            reason=trial.reason,
            seconds=own,
            calls_per_sample=samples.calls,
            first_seconds=samples.first_seconds * trial.scale,
            median=found.median,
            iqr=found.iqr,
            low=found.low,
            high=found.high,
            flops=flops,
            nbytes=nbytes,
            gflops_per_second=gflops,
            gbytes_per_second=gbytes,
            share=share,
            bound=bound,
            ratio=self._ratio(first, name, seconds),
            agrees=trial.agrees,
            counts=trial.counts,
        )

    def _ceiling(self, seconds: dict[str, tuple[float, ...]]) -> report.Ceiling:
        """The most that the device did in this run: a variant may have done more arithmetic than what looked for it."""
        known, flops = self.ceiling.gflops_per_second, self.plan.flops
        if known is None or not flops or not seconds:
            return self.ceiling
        fastest = min(map(stats.median, seconds.values()))
        return msgspec.structs.replace(self.ceiling, gflops_per_second=max(known, flops / fastest / 1e9))

    def _ratio(self, first: str, name: str, seconds: dict[str, tuple[float, ...]]) -> report.Ratio:
        if name == first:
            return report.Ratio(to=first, value=1.0, low=1.0, high=1.0)
        whole = {trial.name: trial.scale for trial in self.trials}
        pairs = [(a * whole[first], b * whole[name]) for a, b in self.samples[first].pairs(self.samples[name])]
        found = stats.ratio(seconds[first], seconds[name], pairs=pairs)
        return report.Ratio(to=first, value=found.value, low=found.low, high=found.high)

    def _warnings(self, seconds: dict[str, tuple[float, ...]]) -> Iterator[str]:
        for trial in self.trials:
            name, agrees = trial.name, trial.agrees
            if agrees and not agrees.ok:
                yield (
                    f'"{name}" does not agree with {agrees.with_}: its largest relative error is '
                    f"{_short(agrees.max_rel_error)}, and rounding in {self.job.dtype} explains {self.plan.bound:.1g}"
                )
        yield from stats.told(
            [
                doubt
                for trial in self.trials
                if trial.name in seconds
                for doubt in stats.doubts(
                    seconds[trial.name],
                    name=trial.name,
                    first=self.samples[trial.name].first_seconds * trial.scale,
                )
            ]
        )


def _failed(trial: _Trial, error: Exception, sampling: Interleaved) -> _Trial:
    """A trial after sampling failed: of the one that did it, or of one that has no samples for it."""
    name = trial.name
    if not trial.task or (name in sampling.samples and name != sampling.current):
        return trial
    return _Trial(trial.name, trial.text, "failed", _first_line(error))


def _short(error: report.Number) -> str:
    return f"{error:.1g}" if isinstance(error, float) else str(error)


def _lack(nbytes: int, device: str) -> str | None:
    """Why so many bytes cannot be had on a device now; None where they can, or nobody knows."""
    free = environment.free_nbytes(device)
    if free is None or nbytes <= free:
        return None
    return f"needs {units.nbytes(nbytes)}, and {units.nbytes(free)} are free"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]
