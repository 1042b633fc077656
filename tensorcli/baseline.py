"""An earlier benchmark to compare a new one with: what was written by `--json FILE`."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tensorcli import stats, units, wire
from tensorcli.report import Benchmark, Case, Diagnosis, Ratio, Variant

# What two runs should share, and how it is called.
_SAME = {"torch": "torch", "cpu": "the processor", "gpu": "the GPU", "driver": "the driver", "python": "Python"}
_THEN = "then"
NAMED = 3  # rows that a sentence names
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


def since(now: Benchmark, then: Benchmark) -> Benchmark:
    """A benchmark whose variants say how many times faster they are than in the earlier one."""
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
    return msgspec.structs.replace(now, cases=cases, warnings=(*now.warnings, *_differences(now, then)))


def slower(now: Benchmark, then: Benchmark, share: float) -> Iterator[Diagnosis]:
    """A diagnosis for each variant that is wrong, or takes longer than then by more than `share`.

    And for what was not measured as it was then, or where nothing is compared.
    """
    compared = False
    earlier = {_key(case, variant): variant for case in _alike(now, then) for variant in case.variants}
    for case in now.cases:
        for variant in case.variants:
            ratio = variant.then
            if (agrees := variant.agrees) and not agrees.ok:
                title = f'"{variant.name}" {place(case)} does not agree with {agrees.with_}'
                yield Diagnosis(code="wrong-result", category="value", title=title)
            before = earlier.get(_key(case, variant))
            if before and before.status != variant.status and "measured" in (before.status, variant.status):
                why = f": {variant.reason}" if variant.reason else ""
                title = f'"{variant.name}" {place(case)} was {before.status} then and is {variant.status} now{why}'
                yield Diagnosis(code="not-measured-alike", category="value", title=title)
            compared |= ratio is not None
            if ratio is None or not stats.differs(ratio.low, ratio.high) or ratio.value * (1 + share) >= 1:
                continue
            title = (
                f'"{variant.name}" {place(case)} takes {percent(1 / ratio.value)} longer than then '
                f"(95 % interval {percent(1 / ratio.high)} .. {percent(1 / ratio.low)})"
            )
            yield Diagnosis(code="slower-than-then", category="value", title=title)
    if not compared and now.complete:
        what = "size, dtype, device, threads and caches"
        title = f"nothing was compared: no variant was measured then and now at the same {what}"
        yield Diagnosis(code="nothing-to-compare", category="value", title=title)


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


def _limits(benchmark: Benchmark) -> dict[tuple[str, str, int | None], float]:
    """The most arithmetic that each device did."""
    return {
        (case.device, case.dtype, case.threads): case.ceiling.gflops_per_second
        for case in benchmark.cases
        if case.ceiling and case.ceiling.gflops_per_second
    }


def _key(case: Case, variant: Variant) -> tuple[object, ...]:
    return case.device, case.dtype, case.threads, case.cold, tuple(sorted(case.size.items())), variant.name


def _ratio(now: Variant, then: Variant | None) -> Ratio | None:
    """How many times faster it is now. A difference needs intervals that are apart.

    Its interval goes from the quotient of their nearest ends to that of their farthest, and so covers 1 where the two
    overlap.
    """
    if then is None or now.median is None or then.median is None or now.status != then.status:
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
        if max(before[place], after[place]) > OTHER * min(before[place], after[place]):
            yield (
                f"{place[0]} did {before[place]:.3g} GFLOP/s at most then and {after[place]:.3g} now: "
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
