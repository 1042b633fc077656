"""A benchmark: ways to do the same work, checked, measured side by side and compared, one case after the other."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import msgspec
import torch

from tensorcli import report, sense, stats, units
from tensorcli.engine import candidates, ceiling, counting, environment, interrupts, limits, pretend, work
from tensorcli.engine.candidates import Candidate, Job, Plan
from tensorcli.engine.measure import Clock, Interleaved, Progress, Samples, Task, elapsed

Emit = Callable[[report.AnyReport], None]

READ_SECONDS = 0.1
WORTH = 20  # times as long as limits take a run has to be for them to be measured at its end too
SURE = 0.05  # of the work, after which the time that is left can be said
PATIENCE = 10  # times --max-time; what takes longer is stopped, for it may never end
LEAST_PATIENCE = 5.0  # seconds
LONGEST_PATIENCE = 1e6
SHORT = 0.1  # seconds: of what takes longer the operators are not counted where its work is known
PART_SECONDS = 0.05  # a part that takes so long can be scaled to the whole
# What is wrong with one of several dtypes, sizes, threads or variants: the others are measured.
OF_ONE = ("unknown-dtype", "bad-size", "bad-threads", "unknown-variant")
INTERRUPTED = "interrupted before it was measured"


def usable(request: report.Measuring, emit: Emit, problems: Sequence[report.Diagnosis]) -> list[str]:
    """Say what is wrong with a request; the devices that can be measured on, none where all of it is wrong."""
    names = request.devices or (str(environment.default_device()),)
    lacks = {device: _pretended(device) or environment.problem_with(device) for device in names}
    found = [*problems, *_bad_times(request), *filter(None, lacks.values())]
    for problem in dict.fromkeys(found):  # once, however many devices of CUDA's are asked for
        emit(problem)
    if any(problem.category != "device" and problem.code not in OF_ONE for problem in found):
        return []
    return list(dict.fromkeys(_full_name(device) for device, lack in lacks.items() if lack is None))


def threads_of(request: report.Measuring) -> list[int]:
    """The numbers of threads to measure with: torch's own where none is asked for."""
    return [count for count in request.threads or (torch.get_num_threads(),) if count in sense.THREADS]


def _pretended(device: str) -> report.Diagnosis | None:
    """Why nothing can be measured on a device that is only pretended."""
    if not (pretend.active() and device.startswith("cuda")):
        return None
    title = (
        f"{device} is pretended, and what it takes here says nothing of a GPU: measure where there is one, or on cpu"
    )
    return report.Diagnosis(code="pretended-device", category="device", title=title)


def measure(jobs: Sequence[Job], request: report.Measuring, emit: Emit, *, name: str, clock: Clock | None) -> None:
    """Measure cases one after the other and report them all; what there is when an interrupt comes, too.

    One that is asked for twice is measured once.
    """
    if not jobs:
        return
    jobs = list({(each.device, each.dtype, each.threads, str(each.size)): each for each in jobs}.values())
    if all(job.device == "cpu" for job in jobs):
        limits.limit_memory()
    devices = tuple(dict.fromkeys(job.device for job in jobs))
    noted = [*environment.busy(devices, max(job.threads for job in jobs))]
    slowing, began = environment.Slowing(devices), time.perf_counter()
    if pretend.active():
        noted.append("a device is pretended, and every operator pays for that: measure without --pretend")
    cases: list[_Case] = []
    limits_of: dict[tuple[str, str, int], _Limit] = {}
    flush = cache(environment.cache_flush)  # which keeps its memory: once for each device, until the end

    def tell(complete: bool) -> None:
        for case in cases:
            limit = limits_of[case.job.place]
            limit.found = case.raised(limit.found)
        ran = [case.job for case in cases]
        tf32 = [job.dtype == candidates.TF32 for job in ran if job.device.startswith("cuda")]
        left = [_Case(job, request, time.perf_counter, flush) for job in jobs[len(cases) :]]
        doubts = [case.doubts() for case in cases]
        own, shared = stats.told(doubts)
        emit(
            report.Benchmark(
                workload=name,
                asked=request if isinstance(request, report.Bench | report.Compare) else None,
                environment=environment.environment(devices, threads=[job.threads for job in ran], tf32=tf32),
                cases=(
                    *(
                        case.so_far(limits_of[case.job.place].found, told)
                        for case, told in zip(cases, own, strict=True)
                    ),
                    *(case.so_far(report.Ceiling()) for case in left),
                ),
                complete=complete,
                notes=tuple(stats.first_calls(doubts)),
                warnings=(*shared, *noted, *slowing.told()),
            )
        )

    try:
        with interrupts.interruptible():
            for number, job in enumerate(jobs):
                own = clock or job.clock_of(job.device)
                with _threads(job.threads), candidates.precision(job.dtype), job.around():
                    if job.place not in limits_of:
                        limits_of[job.place] = _Limit(job, own, request.min_seconds)
                    cases.append(_Case(job, request, own, flush))
                    progress = _progress(emit, job, number, len(jobs), began)
                    try:
                        cases[-1].run(progress)
                    finally:
                        slowing.look()
                    if job.place not in {later.place for later in jobs[number + 1 :]}:
                        limits_of[job.place].again()
                    progress(1, 1, "done")
    except KeyboardInterrupt:
        tell(complete=False)
        raise
    tell(complete=True)
    if not any(case.samples for case in cases):
        title = "nothing was measured: the rows say why"
        emit(report.Diagnosis(code="nothing-measured", category="value", title=title))
        return
    missed = [case.not_measured for case in cases if not case.samples and case.job.dtype != candidates.TF32]
    for title in (*missed, *(title for case in cases for title in case.stopped)):
        emit(report.Diagnosis(code="not-measured", category="value", title=title))
    for problem in _wrong([trial for case in cases for trial in case.trials]):
        emit(problem)


def _wrong(trials: "Sequence[_Trial]") -> Iterator[report.Diagnosis]:
    """Which did not do the work that was asked for, once for all sizes."""
    wrong = {trial.name: trial.agrees for trial in trials if trial.agrees and not trial.agrees.ok}
    for name, agrees in wrong.items():
        title = f'"{name}" does not agree with {agrees.with_}: its result is wrong, and its time that of other work'
        yield report.Diagnosis(code="wrong-result", category="value", title=title)
    for name in dict.fromkeys(trial.name for trial in trials if trial.gives_nothing):
        title = f'"{name}" gives nothing, so it was not compared: write an expression that gives what the others give'
        yield report.Diagnosis(code="gives-nothing", category="value", title=title)


class _Limit:
    """What the device of a job can do; nothing is known where it has no product of matrices in this dtype."""

    def __init__(self, job: Job, clock: Clock, min_seconds: float) -> None:
        self._job, self._clock, self._min_seconds = job, clock, min_seconds
        began = time.perf_counter()
        self.found = self._measured()
        self._since = time.perf_counter()
        self._took = self._since - began

    def again(self) -> None:
        """Measure it once more, where that takes little of the time that has passed since."""
        if time.perf_counter() - self._since > WORTH * self._took:
            self.found = ceiling.both(self.found, self._measured())

    def _measured(self) -> report.Ceiling:
        try:
            return ceiling.of(self._job.device, self._job.dtype, clock=self._clock, min_seconds=self._min_seconds)
        except Exception:
            return report.Ceiling()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


def _progress(emit: Emit, job: Job, number: int, count: int, began: float) -> Progress:
    """Says how far all the jobs are, not more often than anyone reads."""
    told, last = -math.inf, ""

    def tell(done: float, total: float, label: str) -> None:
        nonlocal told, last
        now, ended = time.perf_counter(), done >= total
        begins = done == 0 and label != last  # and may take long: nobody should read the name of the one before
        if now - told < READ_SECONDS and not (ended or begins):
            return
        told, last = now, label
        share = (number + done / total) / count
        left = (now - began) * (1 / share - 1) if share > SURE else None
        label = f"{job.name} {job.device}: {label}"
        with interrupts.shielded():
            emit(report.Progress(done=round(1000 * count * share), total=1000 * count, label=label, left=left))

    return tell


def _full_name(device: str) -> str:
    place = torch.device(device)
    return f"cuda:{place.index or 0}" if place.type == "cuda" else place.type


def _bad_times(request: report.Measuring) -> Iterator[report.Diagnosis]:
    for seconds, endless in ((request.min_seconds, False), (request.max_seconds, True)):
        if not (seconds > 0 and (math.isfinite(seconds) or endless)):
            title = f"{seconds:g} s cannot be spent on a variant: the time must be a number above 0"
            yield report.Diagnosis(code="bad-time", category="value", title=title)
    yield from sense.threads_problems(request.threads)


@dataclass(frozen=True)
class _Trial:
    """A candidate after its first run, with the work of a call.

    `task` is what to sample, null where it cannot be; `scale` makes it whole.
    """

    name: str
    text: str
    status: Literal["measured", "extrapolated", "skipped", "failed"]
    reason: str | None = None
    task: Task | None = None
    scale: float = 1.0
    agrees: report.Agreement | None = None
    counts: report.Counts | None = None
    flops: int | None = None
    nbytes: int | None = None
    held_nbytes: int | None = None
    operators: int = 0
    unseen: bool = False  # whether nobody knows its work
    gives_nothing: bool = False  # where others give something

    @property
    def wrong(self) -> bool:
        """Whether its result disagrees, or is missing: what it did is not the work that was asked for."""
        return self.gives_nothing or (self.agrees is not None and not self.agrees.ok)


@dataclass
class _Case:
    """A job being measured."""

    job: Job
    request: report.Measuring
    clock: Clock
    flush: Callable[[str], Callable[[], object]]  # of a device's caches
    plan: Plan = field(default_factory=lambda: Plan((), lambda name, value, seen: None))
    trials: list[_Trial] = field(default_factory=list)
    samples: dict[str, Samples] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)  # sentences about what would not end
    ended: bool = False  # where it is not, samples are few for no fault of anyone's

    def run(self, progress: Progress) -> None:
        """Check every candidate once, and sample those that can be."""
        if lack := _lack_of(self.job):
            self.trials = [_Trial(name, text, "skipped", lack) for name, text in self.job.texts.items()]
            return
        try:
            self.plan = self.job.plan()
        except Exception as error:
            why = _first_line(error)
            self.trials = [_Trial(name, text, "failed", why) for name, text in self.job.texts.items()]
            return
        compiler = sys.modules.get("torch._dynamo")
        if compiler and any(candidate.compiled for candidate in self.plan.candidates):
            compiler.reset()  # it compiles for any size what it has seen at two, and that is slower
        for candidate in self.plan.candidates:
            limit = None if candidate.compiled else self._patience()
            until = f" (at most {limit:,.3g} s, then the others)" if limit else ""
            progress(0, 1, f"trying {candidate.name}{until}")
            try:
                with nullcontext() if candidate.compiled else self._patient():  # half compiled is worse than late
                    trial = self._trial(candidate)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # --trust lets people raise anything
                trial = self._failed(_Trial(candidate.name, candidate.text, "failed"), error)
            self.trials.append(trial)
        some = any(trial.task and not trial.gives_nothing for trial in self.trials)
        self.trials = [replace(trial, gives_nothing=some and trial.gives_nothing) for trial in self.trials]
        tasks = {trial.name: trial.task for trial in self.trials if trial.task}
        while tasks:
            sampling = Interleaved(
                tasks,
                clock=self.clock,
                min_seconds=self.request.min_seconds,
                max_seconds=max(self.request.max_seconds, self.request.min_seconds),
                seed=self.request.seed,
            )
            try:
                with self._patient(len(tasks)):
                    sampling.run(progress)
                break
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # once it ran: memory went elsewhere, or a device was lost
                lost = sampling.current
                del tasks[lost]
                self.trials = [self._failed(trial, error) if trial.name == lost else trial for trial in self.trials]
            finally:
                self.samples = {name: each for name, each in sampling.samples.items() if name in tasks}
        self.ended = True
        self._let_go()

    def _let_go(self) -> None:
        """Forget inputs and results: the next case may need the memory."""
        self.plan = replace(self.plan, candidates=(), check=lambda name, value, seen: None)
        self.trials = [replace(trial, task=None) for trial in self.trials]

    def _trial(self, candidate: Candidate) -> _Trial:
        """A candidate's first run. Raises what that raises."""
        this = candidate.name, candidate.text
        if lack := candidate.lack or _lack(candidate.scratch_nbytes, self.job.device):
            return _Trial(*this, "skipped", lack)
        if trial := self._in_part(candidate):
            return trial
        start = self.clock()
        if candidate.compiled or self.plan.counted:
            result, seen = candidate.value(None), None
        else:
            result, seen = work.observed(lambda: candidate.value(None))
        first = self.clock() - start - (seen.looked if seen else 0.0)
        known = seen if seen and not candidate.hidden else self.plan
        own = counting.looked_at(candidate) if self.plan.counted and first < SHORT else seen
        return _Trial(
            *this,
            "measured",
            agrees=self.plan.check(candidate.name, result, seen),
            counts=self._counts(candidate),
            task=self._task(candidate, None, first),
            flops=known.flops or None,
            nbytes=known.nbytes or None,
            held_nbytes=own.held_nbytes if own else None,
            operators=own.operators if own else 1,
            unseen=seen is None and not self.plan.counted,
            gives_nothing=result is None,
        )

    def _failed(self, trial: _Trial, error: BaseException) -> _Trial:
        why = _first_line(error)
        if isinstance(error, interrupts.Passed):
            self.stopped.append(f'"{trial.name}" was {why}')
        return replace(trial, status="failed", reason=why, task=None, gives_nothing=False)

    def _patience(self, count: int = 1) -> float | None:
        """The seconds after which what goes on for `count` variants is stopped; None where it may go on."""
        limit = count * max(PATIENCE * self.request.max_seconds, LEAST_PATIENCE)
        return None if self.request.full or limit > LONGEST_PATIENCE else limit

    @contextmanager
    def _patient(self, count: int = 1) -> Iterator[None]:
        """Within it what goes on for far longer than `count` variants may is stopped: it raises interrupts.Passed."""
        limit = self._patience(count)
        if limit is None:
            yield
            return
        try:
            with interrupts.deadline(limit), interrupts.may_raise():
                yield
        except interrupts.Passed:
            why = f"stopped after {limit:,.3g} s, for it may never end: raise --max-time, or --full lets it run"
            raise interrupts.Passed(why) from None

    def _counts(self, candidate: Candidate) -> report.Counts | None:
        """What it makes torch do, where that is asked for; says of what cannot be looked into that it cannot."""
        if not self.request.explain:
            return None
        if (found := counting.counts(candidate)) is None:
            why = "compiled code would be compiled anew for it" if candidate.compiled else "it fails when watched"
            self.notes.append(f'the operators of "{candidate.name}" are not counted: {why}')
        return found

    def _in_part(self, candidate: Candidate) -> _Trial | None:
        """A trial of part of a loop that would take too long; None where the whole can be measured."""
        whole, parts = candidate.parts, 1
        while parts < whole and not self.request.full:
            task = self._task(candidate, parts)
            seconds = elapsed(task, clock=self.clock)
            if seconds >= PART_SECONDS:  # or was it the first of its kind?
                seconds = min(seconds, elapsed(task, clock=self.clock))
            if seconds < PART_SECONDS:
                parts *= 2
            elif seconds * whole / parts * stats.FEWEST_SAMPLES <= self.request.max_seconds:
                return None
            else:
                most = parts
                if 2 * parts < whole:
                    most = 2 * parts
                    task = replace(self._task(candidate, most), less=task.loop)
                reason = f"extrapolated from {most * candidate.steps:,} of {whole * candidate.steps:,} steps"
                return _Trial(
                    candidate.name,
                    candidate.text,
                    "extrapolated",
                    reason,
                    task=task,
                    scale=whole / parts,
                    counts=self._counts(candidate),
                    flops=self.plan.flops or None,
                    nbytes=self.plan.nbytes or None,
                )
        return None

    def _task(self, candidate: Candidate, parts: int | None, first_seconds: float | None = None) -> Task:
        before = self.flush(self.job.device) if self.request.cold else None
        return Task(candidate.loop(parts), before, None if before else first_seconds)

    def _seconds(self) -> dict[str, tuple[float, ...]]:
        """The samples of each variant, made whole."""
        return {
            trial.name: tuple(each * trial.scale for each in self.samples[trial.name].seconds)
            for trial in self.trials
            if trial.name in self.samples
        }

    def so_far(self, limit: report.Ceiling, told: Sequence[str] = ()) -> report.Case:
        """What there is to say of the case, up to now, on a device that can do so much; `told` is of its samples."""
        seconds = self._seconds()
        tried = {trial.name for trial in self.trials}
        left = [_Trial(*each, "skipped", INTERRUPTED) for each in self.job.texts.items() if each[0] not in tried]
        return report.Case(
            device=self.job.device,
            dtype=self.job.dtype,
            size=dict(self.job.size),
            threads=self.job.threads,
            cold=self.request.cold,
            ceiling=limit,
            variants=tuple(self._variant(trial, seconds, limit) for trial in (*self.trials, *left)),
            warnings=(*self._warnings(seconds), *told),
        )

    def _variant(self, trial: _Trial, seconds: dict[str, tuple[float, ...]], limit: report.Ceiling) -> report.Variant:
        name, text = trial.name, trial.text
        if name not in seconds:
            status, reason = ("skipped", INTERRUPTED) if trial.task else (trial.status, trial.reason)
            return report.Variant(name=name, text=text, status=status, reason=reason, agrees=trial.agrees)
        own, samples = seconds[name], self.samples[name]
        found = stats.summary(own)
        spent = self._spent(trial)
        flops, nbytes = spent.flops, spent.nbytes
        gflops, gbytes = (None if each is None else each / found.median / 1e9 for each in (flops, nbytes))
        share, bound = ceiling.share(spent, found.median, limit, cold=self.request.cold)
        first = next((each.name for each in self.trials if each.name in seconds and not each.gives_nothing), name)
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
            unsteady=_unsteady(own),
            ratio=None if trial.gives_nothing else self._ratio(first, name, seconds),
            agrees=trial.agrees,
            counts=trial.counts,
            gives_nothing=trial.gives_nothing,
        )

    def _spent(self, trial: _Trial) -> ceiling.Spent:
        return ceiling.Spent(*self._work(trial), trial.held_nbytes, trial.operators)

    def _work(self, trial: _Trial) -> tuple[int | None, int | None]:
        """The operations and bytes of a variant: none of a wrong one, which did something else.

        Of one that could not be looked at they are the least that any other needed for the same.
        """
        if trial.wrong:
            return None, None
        if trial.flops or trial.nbytes:
            return trial.flops, trial.nbytes
        others = [each for each in self.trials if not each.wrong]
        flops = min((each.flops for each in others if each.flops), default=None)
        nbytes = min((each.nbytes for each in others if each.nbytes), default=None)
        return (flops, nbytes) if trial.unseen else (None, None)

    @property
    def not_measured(self) -> str:
        """That nothing of it was, and why."""
        why = next((f": {trial.reason}" for trial in self.trials if trial.reason), "")
        return f"{self.job.name} was not measured on {self.job.device} in {self.job.dtype}{why}"

    def raised(self, limit: report.Ceiling) -> report.Ceiling:
        """The most that the device did: a variant may have done more than what looked for the limit."""
        arithmetic, memory = limit.gflops_per_second, limit.gbytes_per_second
        if arithmetic is None or memory is None:
            return limit
        seconds = self._seconds()
        for trial in self.trials:
            if trial.status != "measured" or trial.name not in seconds or _unsteady(seconds[trial.name]):
                continue
            spent, taken = self._spent(trial), stats.median(seconds[trial.name])
            arithmetic = max(arithmetic, (spent.flops or 0) / taken / 1e9)
            if ceiling.share(spent, taken, limit, cold=self.request.cold)[1] == "memory":  # and no cache
                memory = max(memory, (spent.nbytes or 0) / taken / 1e9)
        return msgspec.structs.replace(limit, gflops_per_second=arithmetic, gbytes_per_second=memory)

    def _ratio(self, first: str, name: str, seconds: dict[str, tuple[float, ...]]) -> report.Ratio | None:
        if name == first:
            return report.Ratio(to=first, value=1.0, low=1.0, high=1.0)
        if _unsteady(seconds[first]) or _unsteady(seconds[name]):
            return None
        whole = {trial.name: trial.scale for trial in self.trials}
        guessed = "extrapolated" in {trial.status for trial in self.trials if trial.name in (first, name)}
        pairs = [(a * whole[first], b * whole[name]) for a, b in self.samples[first].pairs(self.samples[name])]
        found = stats.ratio(seconds[first], seconds[name], pairs=pairs)
        return report.Ratio(to=first, value=found.value, low=found.low, high=found.high, extrapolated=guessed)

    def _warnings(self, seconds: dict[str, tuple[float, ...]]) -> Iterator[str]:
        yield from (*self.plan.notes, *self.notes)
        fewest = min(map(len, seconds.values()), default=0)
        if self.ended and self.request.cold and 0 < fewest < stats.FEW_PAIRS:
            flushing = sum(self.samples[name].before_seconds for name in seconds)
            counted = f"only {units.plural(fewest, 'sample')} of a variant"
            yield f"flushing the caches took {units.seconds(flushing)}, and left time for {counted}: raise --min-time"
        for trial in self.trials:
            if (agrees := trial.agrees) and not agrees.ok:
                yield f'"{trial.name}" does not agree with {agrees.with_}: {agrees.reason}'

    def doubts(self) -> list[stats.Doubt]:
        """What makes its samples hard to trust."""
        seconds = self._seconds()
        return [
            doubt
            for trial in self.trials
            if trial.name in seconds
            for doubt in stats.doubts(
                seconds[trial.name],
                name=trial.name,
                longer="raise --max-time",
                first=self.samples[trial.name].first_seconds * trial.scale,
            )
            if self.ended or doubt.kind != "few"
        ]


def _unsteady(seconds: Sequence[float]) -> bool:
    """Whether samples are too far apart for their median to be compared with another's."""
    return stats.unsteady(*(stats.median_interval(seconds) or (min(seconds), max(seconds))))


def _lack_of(job: Job) -> str | None:
    """Why a job cannot be done at all; None where nothing is known to be in the way."""
    if job.dtype == candidates.TF32 and (reason := environment.no_tf32_reason(job.device)):
        return reason
    return _lack(job.needed_nbytes, job.device, " with the check against float64")


def _lack(nbytes: int, device: str, what: str = "") -> str | None:
    """Why so many bytes cannot be had on a device now; None where they can, or nobody knows."""
    free = environment.free_nbytes(device)
    if free is None or nbytes <= free:
        return None
    return f"needs {units.nbytes(nbytes)}{what}, and {units.nbytes(free)} are free"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]
