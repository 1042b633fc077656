"""An earlier benchmark to compare a new one with: what was written by `--json FILE`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tensorcli import stats, units, wire
from tensorcli.report import Benchmark, Case, Ceiling, Diagnosis, Ratio, Variant

# What two runs should share, and how it is called.
_SAME = {"torch": "torch", "cpu": "the processor", "gpu": "the GPU", "driver": "the driver", "python": "Python"}
_THEN = "then"
NAMED = 3  # rows that a sentence names
WITHIN = "intervals are of the noise within each run, not of what differs between runs"
OTHER = 1.1  # times as much at most: a machine that did that is in another state


def read(path: Path) -> Benchmark | str:
    """The benchmark in a file, or why there is none."""
    try:
        found = wire.report(path.read_bytes())
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except msgspec.MsgspecError:
        return f"{path} holds no benchmark: --json FILE writes one"
    if not isinstance(found, Benchmark):
        return f"{path} holds no benchmark: --json FILE writes one"
    return found


def since(now: Benchmark, then: Benchmark, share: float | None = None) -> Benchmark:
    """A benchmark whose variants say how many times faster they are than in the earlier one.

    Where it fails for what is slower by more than a share, it says which of them are not comparable.
    """
    earlier = {_key(case, variant): variant for case in _alike(now, then) for variant in case.variants}
    cases = tuple(
        msgspec.structs.replace(
            case,
            variants=tuple(
                msgspec.structs.replace(variant, then=_ratio(variant, earlier.get(_key(case, variant))))
                for variant in case.variants
            ),
        )
        for case in now.cases
    )
    found = msgspec.structs.replace(now, cases=cases)
    said = [*_differences(found, then), *(() if share is None else excused(found, then, share))]
    if any(variant.then for case in cases for variant in case.variants):
        found = msgspec.structs.replace(found, notes=(*found.notes, f"vs then: {WITHIN}"))
    return msgspec.structs.replace(found, warnings=(*now.warnings, *said))


def slower(now: Benchmark, then: Benchmark, share: float) -> Iterator[Diagnosis]:
    """A diagnosis for each variant that takes longer than then by more than `share`.

    And for what was not measured as it was then, or where nothing is compared. Where the machine itself varied, by
    the limits that both runs measured, a variant has to be slower than that.
    """
    compared = False
    limits = _limits(then)
    earlier = {_key(case, variant): variant for case in _alike(now, then) for variant in case.variants}
    for case in now.cases:
        for variant in case.variants:
            ratio = variant.then
            before = earlier.get(_key(case, variant))
            if before and before.status != variant.status and "measured" in (before.status, variant.status):
                why = f": {variant.reason}" if variant.reason else ""
                title = f'"{variant.name}" {place(case)} was {before.status} then and is {variant.status} now{why}'
                yield Diagnosis(code="not-measured-alike", category="value", title=title)
            compared |= ratio is not None
            if ratio is None or not _slower(ratio, share, _slowdown(case, variant, limits)):
                continue
            title = (
                f'"{variant.name}" {place(case)} takes {percent(1 / ratio.value)} longer than then '
                f"({percent(1 / ratio.high)} .. {percent(1 / ratio.low)} by the noise within each run)"
            )
            yield Diagnosis(code="slower-than-then", category="value", title=title)
    if not compared and now.complete:
        what = "size, dtype, device, threads and caches"
        title = f"nothing was compared: no variant was measured then and now at the same {what}"
        yield Diagnosis(code="nothing-to-compare", category="value", title=title)


def _slower(ratio: Ratio, share: float, machine: float) -> bool:
    """Whether it is slower by more than a share, on a machine that varied by a factor."""
    value, low, high = (each * machine for each in (ratio.value, ratio.low, ratio.high))
    return stats.differs(low, high) and value * (1 + share) < 1


def excused(now: Benchmark, then: Benchmark, share: float) -> Iterator[str]:
    """A sentence for each variant that is slower by more than a share, but by no more than the machine varied."""
    before = _limits(then)
    for case in now.cases:
        for variant in case.variants:
            ratio, machine = variant.then, _slowdown(case, variant, before)
            if ratio and _slower(ratio, share, 1.0) and not _slower(ratio, share, machine):
                longer = f"it takes {percent(1 / ratio.value)} longer than then"
                what = f"{longer}, and the machine itself varied by up to {percent(machine)}"
                yield f'"{variant.name}" {place(case)} is not comparable: {what}; run both again'


def _slowdown(case: Case, variant: Variant, before: Mapping[tuple[str, str, int | None], Ceiling]) -> float:
    """How many times as long the device took for the same at one moment of the two runs as at another.

    By what was measured of it in both. Memory counts unless something else is known to bound the variant.
    """
    now, then = case.ceiling, before.get(_place(case))
    if now is None or then is None:
        return 1.0
    kinds = [("gflops_per_second", "gflops_low"), ("call_seconds", "call_high")]
    if variant.bound in ("memory", None):
        kinds.append(("gbytes_per_second", "gbytes_low"))
    factor = 1.0
    for best, worst in kinds:
        if getattr(now, best) and getattr(then, best):
            known = [value for limit in (now, then) for name in (best, worst) if (value := getattr(limit, name))]
            factor = max(factor, max(known) / min(known))
    return factor


def _alike(now: Benchmark, then: Benchmark) -> tuple[Case, ...]:
    """The earlier cases, where these measured the same."""
    return then.cases if then.workload == now.workload and _setup(then) == _setup(now) else ()


def _setup(benchmark: Benchmark) -> str | None:
    """What ran before the expressions that were compared; None in a workload."""
    return getattr(benchmark.asked, "setup", None)


def percent(ratio: float) -> str:
    """How much more than 1 a ratio is: "12 %", "0.4 %", "-3 %"."""
    more = 100 * (ratio - 1)
    return f"{more:.{0 if abs(more) >= 10 else 1}f} %"


def place(case: Case) -> str:
    """Where and on what a case was measured: "on cpu at n = 64"."""
    size = ", ".join(
        f"{name} = {units.integer(value) if isinstance(value, int) else value}" for name, value in case.size.items()
    )
    return f"on {case.device}" + (f" at {size}" if size else "")


def _place(case: Case) -> tuple[str, str, int | None]:
    """What its limits depend on."""
    return case.device, case.dtype, case.threads


def _limits(benchmark: Benchmark) -> dict[tuple[str, str, int | None], Ceiling]:
    """The most that each device did."""
    return {_place(case): case.ceiling for case in benchmark.cases if case.ceiling}


def _key(case: Case, variant: Variant) -> tuple[object, ...]:
    return case.device, case.dtype, case.threads, case.cold, tuple(sorted(case.size.items())), variant.name


def _ratio(now: Variant, then: Variant | None) -> Ratio | None:
    """How many times faster it is now. A difference needs intervals that are apart.

    Its interval goes from the quotient of their nearest ends to that of their farthest, and so covers 1 where the two
    overlap.
    """
    if then is None or now.median is None or then.median is None or now.status != then.status:
        return None
    if now.unsteady or then.unsteady:
        return None
    (low, high), (then_low, then_high) = _interval(now), _interval(then)
    return Ratio(to=_THEN, value=then.median / now.median, low=then_low / high, high=then_high / low)


def _interval(variant: Variant) -> tuple[float, float]:
    """The interval of its median; of fewer samples than one takes, all that they spanned and may be off by."""
    low = min(variant.seconds) / stats.UNSURE if variant.low is None else variant.low
    high = max(variant.seconds) * stats.UNSURE if variant.high is None else variant.high
    return low, high


def _differences(now: Benchmark, then: Benchmark) -> Iterator[str]:
    for key, name in _SAME.items():
        before, after = then.environment.get(key), now.environment.get(key)
        if before != after:
            yield f"{name} was {before or 'none'} then, and is {after or 'none'} now: the difference may be theirs"
    before, after = _limits(then), _limits(now)
    for place in before.keys() & after.keys():
        did, does = before[place].gflops_per_second, after[place].gflops_per_second
        if did and does and max(did, does) > OTHER * min(did, does):
            yield (
                f"{place[0]} did {did:.3g} GFLOP/s at most then and {does:.3g} now: "
                "the machine was in another state, and what differs may be its doing"
            )
    if then.workload != now.workload:
        yield f"the earlier run was of {then.workload}, not of {now.workload}"
    elif _setup(then) != _setup(now):
        yield "the earlier run had another setup (-s), so that nothing is compared: run it again with this one"
    elif now.complete and (gone := [*_gone(now, then)]):
        more = f" and {len(gone) - NAMED:,} more" if len(gone) > NAMED else ""
        yield f"no longer measured: {'; '.join(gone[:NAMED])}{more}"
    if not then.complete:
        yield "the earlier run was interrupted"


def _gone(now: Benchmark, then: Benchmark) -> Iterator[str]:
    """What was measured then and is not now, by its name and place."""
    left = {_key(case, variant) for case in now.cases for variant in case.variants if variant.median is not None}
    for case in then.cases:
        threads = f", {units.plural(case.threads, 'thread')}" if case.threads else ""
        for variant in case.variants:
            if variant.median is not None and _key(case, variant) not in left:
                other = _key(msgspec.structs.replace(case, cold=not case.cold), variant) in left
                caches = f" with caches {'cold' if case.cold else 'warm'}" if other else ""
                yield f'"{variant.name}" {place(case)}, {case.dtype}{threads}{caches}'
