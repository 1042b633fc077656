"""What a benchmark measured: a table for each size, what is right about it and what is doubtful; and single timings."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from tensorcli import report, stats, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe_line

MOST_BAR = 20  # cells
LEAST_BAR = 8
NEAR = 0.5  # of a limit, below which something else may be one
NAMED = 3  # variants that a sentence names
UNSTEADY = "too unsteady to compare"
INCOMPLETE = "this is incomplete: it was interrupted"
LINE = 200  # characters of a reason or a name that matter on any screen


def render_bench(benchmark: report.Benchmark, *, width: int) -> Text:
    """A heading, then a table for each dtype and size with every device's variants in it."""
    lines = [_heading(benchmark, width)]
    several = {
        "dtype": len({case.dtype for case in benchmark.cases}) > 1,
        "threads": len({case.threads for case in benchmark.cases}) > 1,
        "device": len({case.device for case in benchmark.cases}) > 1,
    }
    gone: dict[str, None] = {}
    for _, cases in _tables(benchmark):
        lines += _group(cases, width, several, gone)
    if gone:
        lines += [Text(part, theme.FAINT) for part in layout.wrap(_wider(gone), width, indent=" ")]
    for note in (*map(safe_line, benchmark.notes), *_setting(benchmark)):
        lines += [Text(part, theme.FAINT) for part in layout.wrap(f" {note}", width, indent=" ")]
    stopped = () if benchmark.complete else (INCOMPLETE,)
    return layout.block([*lines, *_warnings((*stopped, *benchmark.warnings), width, left=" ")])


def _setting(benchmark: report.Benchmark) -> Iterator[str]:
    """What makes a run repeatable that its heading has no room for."""
    known = benchmark.environment
    facts = [f"seed {benchmark.asked.seed}" if benchmark.asked else ""]
    facts += [str(known["blas"]) if known.get("blas") else ""]
    facts += [f"torch commit {str(known['torch_commit'])[:10]}" if known.get("torch_commit") else ""]
    if any(facts):
        yield safe_line(", ".join(filter(None, facts)))


def _tables(benchmark: report.Benchmark) -> Iterator[tuple[tuple[str, dict[str, Any], int | None], list[report.Case]]]:
    """The cases that share a table, and what they have in common: all but the device."""
    for shared, cases in groupby(benchmark.cases, key=lambda case: (case.dtype, case.size, case.threads)):
        yield shared, list(cases)


def markdown(benchmark: report.Benchmark) -> str:
    """The same as tables of Markdown's, with the environment below them."""
    lines = [f"# {_escaped(benchmark.workload)}"]
    for (dtype, size, threads), cases in _tables(benchmark):
        named = ", ".join(f"{name} = {_value(value)}" for name, value in size.items())
        facts = [named, dtype, units.plural(threads, "thread") if threads else ""]
        first = next((v.ratio.to for case in cases for v in case.variants if v.ratio), "the first")
        then = any(variant.then for case in cases for variant in case.variants)
        rate = _rate_of(variant for case in cases for variant in case.variants)
        heads = ["variant", "device", "median", "95 % interval", rate, "of limit", f"vs {first}"]
        heads += ["vs then"] if then else []
        lines += ["", f"## {_escaped(', '.join(filter(None, facts)))}", "", _cells(heads)]
        lines += [_cells([":--", ":--", *["--:"] * (len(heads) - 2)])]
        for case in cases:
            for variant in case.variants:
                row = [cell.plain for cell in _row(case, variant, rate)]
                row[3] = variant.reason or row[3]
                row[6:8] = [f"{row[6]} ({row[7]})" if row[7] else row[6]]
                lines.append(_cells(row[: len(heads)]))
        said = [*_agreement([variant for case in cases for variant in case.variants])]
        said += [f"warning: {warning}" for case in cases for warning in case.warnings]
        lines += ["", *(f"- {_escaped(each)}" for each in said)] if said else []
    stopped = () if benchmark.complete else (INCOMPLETE,)
    seed = [f"seed {benchmark.asked.seed}"] if benchmark.asked else []
    lines += ["", *(f"- {_escaped(each)}" for each in (*seed, *benchmark.notes))]
    lines += ["", *(f"- warning: {_escaped(each)}" for each in (*stopped, *benchmark.warnings))]
    known = {name: value for name, value in benchmark.environment.items() if value is not None}
    lines += ["", *(f"- {_escaped(name)}: {_escaped(str(value))}" for name, value in known.items())]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """One line that Markdown takes as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", safe_line(text))


def render_timing(timing: report.Timing, *, width: int) -> Text:
    """One line: the wall and CPU time of one run, or the median of many with its interval; then the warnings."""
    lines = layout.wrap(_once(timing) if timing.median is None else _often(timing), width, indent="  ")
    return layout.block([*(Text(line) for line in lines), *_warnings(timing.warnings, width, left="")])


def _once(timing: report.Timing) -> str:
    wall = "" if timing.seconds is None else f"wall {units.seconds(timing.seconds, digits=3)}"
    cpu = "" if timing.cpu_seconds is None else f"cpu {units.seconds(timing.cpu_seconds, digits=3)}"
    return ", ".join(filter(None, (wall, cpu)))


def _often(timing: report.Timing) -> str:
    median = timing.median or 0.0
    interval = _interval(median, timing.low, timing.high)
    known = f" (95 % interval {interval})" if interval else ""
    samples, calls = units.plural(len(timing.samples), "sample"), units.plural(timing.calls_per_sample, "call")
    return f"median {units.seconds(median, digits=3)}{known}, {samples} of {calls}"


def _heading(benchmark: report.Benchmark, width: int) -> Text:
    """The workload and its dtype, and at the right as much of the machine as there is room for."""
    dtypes = {case.dtype for case in benchmark.cases}
    devices = {case.device for case in benchmark.cases}
    parts = [
        Part(f" {safe_line(benchmark.workload)}", theme.NAME),
        Part(_dtype(benchmark, next(iter(dtypes))) if len(dtypes) == 1 else "", theme.DTYPE, before="  "),
        Part(safe_line(next(iter(devices))) if len(devices) == 1 else "", theme.DEVICE, 1, "  "),
    ]
    left = layout.line(parts, width)
    known = benchmark.environment
    software = [f"torch {known['torch']}" if known.get("torch") else ""]
    software.append(units.plural(known["threads"], "thread") if isinstance(known.get("threads"), int) else "")
    hardware = [known.get("cpu"), known.get("gpu"), f"driver {known['driver']}" if known.get("driver") else ""]
    for facts in ([*software, *hardware], [*software, *hardware[1:]], software, software[:1]):
        right = safe_line(", ".join(str(fact) for fact in facts if fact))
        if len(right) + 2 <= width - left.cell_len:
            return layout.line(parts, width, right=right)
    return left


def _dtype(benchmark: report.Benchmark, dtype: str) -> str:
    """That of the numbers; for expressions of one's own only the default, told where it was asked for."""
    if not isinstance(asked := benchmark.asked, report.Compare):
        return safe_line(dtype)
    return f"default {safe_line(dtype)}" if asked.dtypes else ""


def _group(cases: Sequence[report.Case], width: int, several: Mapping[str, bool], gone: dict[str, None]) -> list[Text]:
    """The table of one dtype and size, and what is to be said of it; `gone` gets the columns without room."""
    first = cases[0]
    parts = [
        Part(
            f" {', '.join(f'{safe_line(name)} = {_value(value)}' for name, value in first.size.items())}", theme.TITLE
        ),
        Part(safe_line(first.dtype) if several["dtype"] else "", theme.DTYPE, 1, "  "),
        Part(
            units.plural(first.threads, "thread") if several["threads"] and first.threads else "", theme.PLAIN, 1, "  "
        ),
        Part("caches flushed before each call" if first.cold else "", theme.FLAG, 2, "  "),
    ]
    title = layout.line(parts, width)
    lines = [Text(), title] if title.plain.strip() else [Text()]
    measured = [(case, variant) for case in cases for variant in case.variants]
    lines += _table(measured, width, gone, devices=several["device"])
    lines += _counts([variant for _, variant in measured if variant.counts], width)
    for case in cases:
        for limit in _ceiling(case):
            where = f"{case.device}: " if len(cases) > 1 else ""
            lines += [Text(part, theme.FAINT) for part in layout.wrap(f" {where}{limit}", width, indent=" ")]
    for line in _agreement([variant for _, variant in measured]):
        lines += [Text(part, theme.FAINT) for part in layout.wrap(f" {line}", width, indent=" ")]
    for case in cases:
        where = f"{case.device}: " if len(cases) > 1 else ""
        lines += _warnings((f"{where}{warning}" for warning in case.warnings), width, left=" ")
    return lines


def _table(
    measured: Sequence[tuple[report.Case, report.Variant]], width: int, gone: dict[str, None], *, devices: bool
) -> list[Text]:
    """A row for each variant; the device of each only where there are several."""
    first = next((variant.ratio.to for _, variant in measured if variant.ratio), "the first")
    rate = _rate_of(variant for _, variant in measured)
    columns = [
        Column("variant", least=width // 4),
        Column("device", 1),
        Column("median", right=True),
        Column("95 % interval", 4),
        Column(rate, 5, right=True),
        Column("of limit", 6, right=True),
        Column(layout.crop(f"vs {safe_line(first)}", 20), 2, right=True),
        Column("95 % interval", 3),
        Column("vs then", 1, right=True),
    ]
    rows = [_row(case, variant, rate) for case, variant in measured]
    if not devices:
        columns, rows = [columns[0], *columns[2:]], [[row[0], *row[2:]] for row in rows]
    lines = layout.table(columns, rows, width=width)
    had = [column.title for i, column in enumerate(columns) if column.importance and any(row[i].plain for row in rows)]
    gone |= dict.fromkeys(title for title in had if lines[0].plain.count(title) < had.count(title))
    _append_bars(lines, [variant for _, variant in measured], width)
    shown = lines[:1]
    for line, (_, variant) in zip(lines[1:], measured, strict=True):
        shown += _with_reason(line, variant, width)
    return shown


def _wider(gone: Iterable[str]) -> str:
    """What there was no room for."""
    return f" a wider screen also shows: {', '.join(gone)}"


def _rate_of(variants: Iterable[report.Variant]) -> str:
    """What a table's rate counts: arithmetic, but bytes where there is none to count."""
    known = [(each.gflops_per_second, each.gbytes_per_second) for each in variants]
    only_bytes = any(gbytes is not None for _, gbytes in known) and all(gflops is None for gflops, _ in known)
    return "GB/s" if only_bytes else "GFLOP/s"


def _row(case: report.Case, variant: report.Variant, rate: str) -> list[Text]:
    """A variant's cells; of one with a reason the last are empty, for the reason to stand there."""
    median = variant.median
    guessed = variant.status == "extrapolated"
    wrong = variant.wrong
    reached = variant.gbytes_per_second if rate == "GB/s" else variant.gflops_per_second
    cells = [
        Text(safe_line(variant.name[:LINE]), theme.ERROR if wrong else ""),
        Text(safe_line(case.device), theme.DEVICE),
        Text("" if median is None else _about(median) if guessed else _duration(median), theme.NAME),
    ]
    if variant.reason or median is None:
        return [*cells, *(Text() for _ in range(6))]
    return [
        *cells,
        Text(_interval(median, variant.low, variant.high), theme.FAINT),
        Text("" if reached is None else _rate(reached)),
        Text(_share(variant), theme.FAINT),
        Text(_WRONG[variant.gives_nothing], theme.ERROR) if wrong else _against_first(variant),
        Text("" if wrong else _ends(variant.ratio, to=variant.name), theme.FAINT),
        _ratio(variant.then, interval=True),
    ]


def _about(seconds: float) -> str:
    """Two digits: what was measured in part is not known to more."""
    return f"~ {_two_digits(seconds)}"


def _rounded(value: float) -> float:
    return float(f"{value:.1e}")


_WRONG = {False: "wrong result", True: "gives nothing: not compared"}


def _against_first(variant: report.Variant) -> Text:
    """How it compares with the first, which is 1 itself."""
    if variant.unsteady:
        return Text(UNSTEADY, theme.WARNING)
    if variant.ratio and variant.ratio.to == variant.name:
        return Text("1")
    return _ratio(variant.ratio)


def _with_reason(line: Text, variant: report.Variant, width: int) -> list[Text]:
    """A row, and why it has no more cells: behind it where there is room, else below it."""
    if not variant.reason:
        return [line]
    style = theme.ERROR if variant.status == "failed" else theme.FAINT
    said = _spread(variant) if variant.status == "extrapolated" else f"{variant.status}: "
    reason = f"{said}{safe_line(variant.reason[:LINE])}"
    if line.cell_len + 2 + cell_len(reason) <= width:
        return [line.append("  ").append(reason, style)]
    return [line, *(Text(part, style) for part in layout.wrap(f"   {reason}", width, indent="   "))]


def _spread(variant: report.Variant) -> str:
    """How far the samples of a part lie apart, made whole: "9.6 .. 14 s, "."""
    if len(variant.seconds) < 2:
        return ""
    low, high = (_two_digits(end) for end in (min(variant.seconds), max(variant.seconds)))
    number, unit = low.split()
    return f"{number if high.endswith(f' {unit}') else low} .. {high}, "


def _ratio(ratio: report.Ratio | None, *, interval: bool = False) -> Text:
    """How many times faster or slower; the interval decides whether there is a difference at all."""
    if ratio is None:
        return Text()
    if not stats.differs(ratio.low, ratio.high):
        return Text("no difference", theme.FAINT)
    faster = ratio.value > 1
    ends = f" ({_ends(ratio)})" if interval else ""
    style = theme.ADVICE if faster else theme.WARNING
    value = ratio.value if faster else 1 / ratio.value
    said = f"~ {_few_digits(value)}" if ratio.extrapolated else _three_digits(value)
    return Text(f"{said} x {'faster' if faster else 'slower'}{ends}", style)


def _ends(ratio: report.Ratio | None, *, to: str = "") -> str:
    """ "1.02 .. 1.08": a ratio's interval, of how many times slower where it is slower; none of what it is `to`."""
    if ratio is None or ratio.to == to:
        return ""
    slower = ratio.value < 1 and stats.differs(ratio.low, ratio.high)
    low, high = (1 / ratio.high, 1 / ratio.low) if slower else (ratio.low, ratio.high)
    digits = _few_digits if ratio.extrapolated else _three_digits
    return f"{digits(low)} .. {digits(high)}"


def _few_digits(value: float) -> str:
    """ "1.2", "46", "6,200": what was measured in part is not known to more."""
    return f"{_rounded(value):,.{0 if value >= 9.95 else 1}f}" if value >= 0.95 else f"{_rounded(value):.2g}"


def _share(variant: report.Variant) -> str:
    """How much of what the device can do it reaches, or why nobody knows."""
    if variant.share is None:
        return variant.bound or ""
    return f"{100 * variant.share:.{0 if variant.share >= 0.1 else 1}f} %"


def _ceiling(case: report.Case) -> list[str]:
    """What the shares are of, the most that was measured on the device in the same run; and the limit of which rows."""
    limits = case.ceiling
    if limits is None or limits.gflops_per_second is None or limits.gbytes_per_second is None:
        return []
    shown = [each for each in case.variants if each.bound and not each.reason and not each.wrong]
    if not shown:
        return []
    rates = [
        f"{_rate(limits.gflops_per_second)} GFLOP/s{_unsure(limits.gflops_per_second, limits.gflops_low)}",
        f"{_rate(limits.gbytes_per_second)} GB/s{_unsure(limits.gbytes_per_second, limits.gbytes_low)}",
    ]
    if limits.call_seconds:
        rates.append(f"{units.seconds(limits.call_seconds)} a call")
    bounded = "; ".join(_bounded(shown))
    return [f"limit: {', '.join(rates)}, measured", *([bounded] if bounded else [])]


def _unsure(rate: float, low: float | None) -> str:
    """How much less was measured at other moments, where that is a lot less."""
    return f" (down to {_rate(low)})" if low and rate > (1 + stats.WIDE_SPREAD) * low else ""


def _bounded(variants: Sequence[report.Variant]) -> Iterator[str]:
    """What is the limit of which variants, as far as that is known of them."""
    for bound, what in (("arithmetic", "arithmetic"), ("memory", "memory"), ("call", "the call itself")):
        found = [each for each in variants if each.bound == bound and (each.share is None or each.share > NEAR)]
        if found:
            yield f"{what} is the limit of {_named(found, len(variants))}"


def _named(variants: Sequence[report.Variant], count: int) -> str:
    """Some of so many variants: "all rows", "3 of 5 rows", or their names."""
    if len(variants) == count > 1:
        return "all rows"
    if len(variants) > NAMED:
        return f"{len(variants)} of {count} rows"
    return " and ".join(f'"{layout.crop(safe_line(each.name), 40)}"' for each in variants)


def _counts(variants: Sequence[report.Variant], width: int) -> list[Text]:
    """Why: what each variant makes torch do in one call."""
    if not variants:
        return []
    columns = [
        Column("one call of", least=min(10, width // 4)),
        Column("operators", right=True),
        Column("allocations", 1, right=True),
        Column("memory", 2, right=True),
        Column("kernels", 3, right=True),
        Column("waits", 4, right=True),
    ]
    rows = []
    for variant in variants:
        counts = variant.counts
        assert counts is not None
        about = "~ " if counts.extrapolated else ""
        numbers = [counts.operators, counts.allocations, None, counts.kernels, counts.synchronizations]
        cells = [Text("" if number is None else f"{about}{number:,}") for number in numbers]
        cells[2] = Text(f"{about}{units.nbytes(counts.allocated_nbytes)}")
        rows.append([Text(safe_line(variant.name[:LINE])), *cells])
    return [Text(), *layout.table(columns, rows, width=width)]


def _value(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else safe_line(str(value))


def _append_bars(lines: list[Text], variants: Sequence[report.Variant], width: int) -> None:
    """Behind each row a bar for how much faster it is, where there is room for bars: a cell for each doubling.

    Where they would be too long a cell is for two doublings, or for four.
    """
    start = max(line.cell_len for line in lines) + 2
    room = min(width - start, MOST_BAR)
    gains = [
        max(0.0, math.log2(each.ratio.value))
        if each.ratio and not each.reason and not each.wrong and stats.differs(each.ratio.low, each.ratio.high)
        else 0.0
        for each in variants
    ]
    if room < LEAST_BAR or round(max(gains, default=0.0)) == 0:
        return
    doublings = 1
    while max(gains) > room * doublings:
        doublings *= 2
    lines[0].append(" " * (start - lines[0].cell_len)).append(f"█ = {2**doublings} x"[:room], theme.FAINT)
    for line, gain in zip(lines[1:], gains, strict=True):
        if bar := "█" * round(gain / doublings):
            line.append(" " * (start - line.cell_len)).append(bar, theme.BAR)


def _agreement(variants: Sequence[report.Variant]) -> list[str]:
    """One sentence on which variants agree with the reference, and how well."""
    checked = [variant.agrees for variant in variants if variant.agrees]
    if not checked:
        return []
    good = [agrees for agrees in checked if agrees.ok]
    if not good:
        return [f"no other variant agrees with {layout.crop(safe_line(checked[0].with_), 60)}"]
    reference = layout.crop(safe_line(checked[0].with_), 60)
    if len(good) < len(checked):
        return [f"{len(good)} of {units.plural(len(checked), 'variant')} agree with {reference}"]
    others = [variant for variant in variants if variant.agrees or variant.name != checked[0].with_]
    who = "every variant agrees" if len(checked) == len(others) else "all that ran in full agree"
    worst = max((agrees.max_rel_error for agrees in good if isinstance(agrees.max_rel_error, int | float)), default=0)
    how = f"largest relative error {worst:.0e}".replace("e-0", "e-") if worst else "exactly"
    return [f"{who} with {reference} ({how})"]


def _warnings(sentences: Iterable[str], width: int, *, left: str) -> list[Text]:
    lines = []
    for sentence in sentences:
        for number, line in enumerate(layout.wrap(f"{left}warning: {safe_line(sentence)}", width, indent=f"{left}  ")):
            text = Text(line)
            if number == 0:
                text.stylize(theme.WARNING, 0, len(left) + len("warning:"))
            lines.append(text)
    return lines


def _duration(seconds: float) -> str:
    """ "4.00 us", "1.31 s", "4.97 min", "20.5 h": three digits and one unit, so that a column stays narrow."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= max(unit, 99.95):
            return f"{_three_digits(seconds / unit)} {name}"
    return units.seconds(seconds, digits=3)


def _two_digits(seconds: float) -> str:
    """ "9.6 s", "14 s", "6.7 min"."""
    for unit, name in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if seconds >= max(unit, 99.5 if unit == 60 else 0) or unit == 1e-9:
            value = _rounded(seconds / unit)
            return f"{value:,.{0 if value >= 10 else 1}f} {name}"
    raise AssertionError


def _interval(median: float, low: float | None, high: float | None) -> str:
    """ "3.71 .. 3.93", in the unit in which the median is shown; "" where it is not known."""
    if low is None or high is None:
        return ""
    unit = units.seconds(median, digits=3).rpartition(" ")[2]
    scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}.get(unit)
    if scale is None or median >= 100 or low <= 0:
        return f"{units.seconds(low, digits=3)} .. {units.seconds(high, digits=3)}"
    places = max(0, 2 - math.floor(math.log10(low / scale)))
    return f"{low / scale:.{places}f} .. {high / scale:.{places}f}"


def _three_digits(value: float) -> str:
    """ "1.23", "45.6", "789", "6,240", "327,000"."""
    places = 2 - math.floor(math.log10(value))
    return f"{round(value, places):,.{max(0, places)}f}"


def _rate(value: float) -> str:
    """ "131", "2.50", "0.0004"."""
    if value >= 1 or value <= 0:
        return _three_digits(value) if value > 0 else "0"
    return f"{value:.{1 - math.floor(math.log10(value))}f}" if value >= 1e-6 else f"{value:.0e}"
