"""A benchmark: one workload's variants, checked, measured side by side and compared, on each device asked for."""

import difflib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal

import torch

from tensorcli import report, stats, units
from tensorcli.engine import agreement, environment, interrupts, limits
from tensorcli.engine.measure import (
    Clock,
    Progress,
    Run,
    Samples,
    clock_of,
    elapsed,
    interleaved,
)
from tensorcli.workloads import Variant, Workload, table

Emit = Callable[[report.AnyReport], None]

LOOP_SECONDS = 10.0  # a loop whose fewest samples would take longer than this is measured in part
PART_SECONDS = 0.05  # a part that takes so long can be scaled to the whole


def bench(request: report.Bench, emit: Emit, *, clock: Clock | None = None) -> None:
    """Measure a workload: progress, a diagnosis for each thing asked for that cannot be had, then one report.

    `clock` stands in for every device's own.
    """
    workload = table().get(request.workload)
    if workload is None:
        return emit(_unknown(request.workload))
    found = [*_problems(request, workload), *filter(None, map(environment.problem_with, request.devices))]
    problems = dict.fromkeys(found)  # that there is no CUDA is said once, however many of its devices are asked for
    for problem in problems:
        emit(problem)
    devices = dict.fromkeys(map(_full_name, (d for d in request.devices if not environment.problem_with(d))))
    if not devices or any(problem.category != "device" for problem in problems):
        return None
    places = list(product(request.dtypes, request.sizes or workload.sizes, devices))
    if list(devices) == ["cpu"]:
        limits.limit_memory()
    cases = []
    with interrupts.interruptible():
        for number, (dtype, n, device) in enumerate(places):
            case = _Case(
                workload=workload,
                device=device,
                dtype=dtype,
                n=n,
                seed=request.seed,
                min_seconds=request.min_seconds,
                clock=clock or clock_of(device),
            )
            cases.append(case.measured(_progress(emit, case, number, len(places))))
        answer = report.Benchmark(
            workload=workload.name,
            environment=environment.environment(),
            cases=tuple(cases),
        )
    return emit(answer)


def _progress(emit: Emit, case: "_Case", number: int, count: int) -> Progress:
    def tell(done: int, total: int, label: str) -> None:
        with interrupts.shielded():
            label = f"{case.workload.name} n = {case.n:,} {case.device}: {label}"
            emit(report.Progress(done=number * total + done, total=count * total, label=label))

    return tell


def _full_name(device: str) -> str:
    place = torch.device(device)
    return f"cuda:{place.index or 0}" if place.type == "cuda" else place.type


def _unknown(name: str) -> report.Diagnosis:
    names = sorted(table())
    close = difflib.get_close_matches(name, names, n=1)
    advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
    return report.Diagnosis(
        code="unknown-workload",
        category="name",
        title=f"there is no workload called {name[:100]}: {advice}",
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
    if not (math.isfinite(request.min_seconds) and request.min_seconds > 0):
        title = f"{request.min_seconds:g} s cannot be spent on a variant: the time must be above 0"
        yield report.Diagnosis(code="bad-time", category="value", title=title)


@dataclass(frozen=True)
class _Trial:
    """A variant after its first run: `run` is what to sample, null where it cannot be, and `scale` makes it whole."""

    name: str
    status: Literal["measured", "extrapolated", "skipped", "failed"]
    reason: str | None = None
    run: Run | None = None
    scale: float = 1.0
    agrees: report.Agreement | None = None


@dataclass(frozen=True)
class _Case:
    """A workload on one device, in one dtype, at one size."""

    workload: Workload
    device: str
    dtype: str
    n: int
    seed: int
    min_seconds: float
    clock: Clock

    @property
    def _itemsize(self) -> int:
        return int(getattr(torch, self.dtype).itemsize)

    def measured(self, progress: Progress) -> report.Case:
        """Check every variant once, sample those that can be, and report them all."""
        trials = self._trials(progress)
        runs = {trial.name: trial.run for trial in trials if trial.run}
        try:
            samples = interleaved(runs, clock=self.clock, min_seconds=self.min_seconds, progress=progress)
        except Exception as error:  # it ran once, but not again: a device that was lost, memory that went elsewhere
            samples = {}
            trials = [_Trial(trial.name, "failed", trial.reason or _first_line(error)) for trial in trials]
        seconds = {
            trial.name: tuple(each * trial.scale for each in samples[trial.name].seconds)
            for trial in trials
            if trial.name in samples
        }
        return report.Case(
            device=self.device,
            dtype=self.dtype,
            size={"n": self.n},
            variants=tuple(self._variant(trial, seconds, samples) for trial in trials),
            warnings=tuple(self._warnings(trials, seconds)),
        )

    def _trials(self, progress: Progress) -> list[_Trial]:
        variants = self.workload.variants
        # The inputs and the result, then the same in float64 for the reference.
        needed = self.workload.nbytes(self.n, self._itemsize) + self.workload.nbytes(self.n, 8)
        if lack := _lack(needed, self.device):
            return [_Trial(variant.name, "skipped", lack) for variant in variants]
        try:
            inputs = self.workload.inputs(self.n, device=self.device, dtype=self.dtype, seed=self.seed)
            expected = self._expected(inputs)
        except Exception as error:
            return [_Trial(variant.name, "failed", _first_line(error)) for variant in variants]
        trials = []
        for variant in variants:
            progress(0, 100, f"trying {variant.name}")
            trials.append(self._trial(variant, inputs, expected))
        return trials

    def _expected(self, inputs: tuple[Any, ...]) -> torch.Tensor:
        where = "cpu" if self.device == "mps" else self.device  # which has no float64
        reference: torch.Tensor = self.workload.reference(*(each.to(where).to(torch.float64) for each in inputs))
        return reference

    def _trial(self, variant: Variant, inputs: tuple[Any, ...], expected: torch.Tensor) -> _Trial:
        scratch = variant.scratch_nbytes(self.n, self._itemsize) if variant.scratch_nbytes else 0
        if lack := _lack(scratch, self.device):
            return _Trial(variant.name, "skipped", lack)
        try:
            if trial := self._in_part(variant, inputs):
                return trial
            result = variant.run(*inputs)
            bound = self._bound()
            agrees = agreement.compare(result, expected, name=f"float64 {self.workload.name}", bound=bound)
        except Exception as error:
            return _Trial(variant.name, "failed", _first_line(error))
        return _Trial(variant.name, "measured", run=partial(variant.run, *inputs), agrees=agrees)

    def _in_part(self, variant: Variant, inputs: tuple[Any, ...]) -> _Trial | None:
        """A trial of part of a loop that would take too long; None where the whole can be measured."""
        if variant.parts is None:
            return None
        whole = variant.parts.count(self.n)
        parts = 1
        while parts < whole:
            run = partial(variant.run, *inputs, parts=parts)
            seconds = elapsed(run, clock=self.clock)
            if seconds < PART_SECONDS:
                parts *= 2
            elif seconds * whole / parts * stats.FEWEST_SAMPLES <= max(LOOP_SECONDS, self.min_seconds):
                return None
            else:
                steps = variant.parts.steps(self.n)
                reason = f"extrapolated from {parts * steps:,} of {whole * steps:,} steps"
                return _Trial(variant.name, "extrapolated", reason, run=run, scale=whole / parts)
        return None

    def _bound(self) -> float:
        return agreement.tolerance(getattr(torch, self.dtype), terms=self.workload.terms(self.n))

    def _variant(
        self,
        trial: _Trial,
        seconds: dict[str, tuple[float, ...]],
        samples: dict[str, Samples],
    ) -> report.Variant:
        if trial.name not in seconds:
            return report.Variant(name=trial.name, status=trial.status, reason=trial.reason)
        own = seconds[trial.name]
        found = stats.summary(own)
        flops, nbytes = (
            self.workload.flops(self.n),
            self.workload.nbytes(self.n, self._itemsize),
        )
        first = self.workload.variants[0].name
        return report.Variant(
            name=trial.name,
            status=trial.status,
            reason=trial.reason,
            seconds=own,
            calls_per_sample=samples[trial.name].calls,
            median=found.median,
            iqr=found.iqr,
            low=found.low,
            high=found.high,
            flops=flops,
            nbytes=nbytes,
            gflops_per_second=flops / found.median / 1e9,
            gbytes_per_second=nbytes / found.median / 1e9,
            ratio=_ratio(first, seconds[first], trial.name, own) if first in seconds else None,
            agrees=trial.agrees,
        )

    def _warnings(self, trials: list[_Trial], seconds: dict[str, tuple[float, ...]]) -> Iterator[str]:
        for trial in trials:
            if trial.agrees and not trial.agrees.ok:
                yield (
                    f'"{trial.name}" does not agree with {trial.agrees.with_}: its largest relative error is '
                    f"{_short(trial.agrees.max_rel_error)}, and rounding in {self.dtype} explains {self._bound():.1g}"
                )
            yield from stats.warnings(seconds.get(trial.name, ()), name=trial.name)


def _ratio(first: str, slow: tuple[float, ...], name: str, own: tuple[float, ...]) -> report.Ratio:
    if name == first:
        return report.Ratio(to=first, value=1.0, low=1.0, high=1.0)
    found = stats.ratio(slow, own)
    return report.Ratio(to=first, value=found.value, low=found.low, high=found.high)


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
