"""A plot, or what a benchmark measured, as a PNG or SVG file, by matplotlib: no display is needed."""

import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorcli import report, units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
INSTALL = 'matplotlib draws to files, and it is not installed: pip install "tensorcli[plot]"'
LARGEST = 1e300
PIXELS = 512  # columns and rows of a picture in a file, at most


def problem(path: Path) -> str | None:
    """Why no plot can be drawn to this file, if so."""
    if path.suffix.lower() not in SUFFIXES:
        return f"{path.name} is neither a .png nor an .svg file"
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return INSTALL
    return None


def save(plot: report.Plot, path: Path) -> None:
    """Draw a plot to a file, whose suffix says which kind. Raises OSError."""
    from tensorcli.render.safe import safe_line

    if plot.low is not None and plot.high is not None:
        most, distance = max(-plot.low, plot.high), plot.high / 2 - plot.low / 2
        if most > LARGEST or (plot.low < plot.high and distance < 1 / LARGEST):
            raise OSError(0, "matplotlib draws neither numbers above 1e300 nor differences below 1e-300", str(path))
    with _figure(8, 5) as figure:
        axes = figure.add_subplot()
        _draw(plot, axes)
        text = safe_line(" ".join(plot.text.split()))[:80]
        title = f"{text}\n{safe_line(plot.dtype)} {units.shape(plot.shape)} {safe_line(plot.device)}"
        lost = [f"{count:,} {name}" for count, name in ((plot.nan, "nan"), (plot.inf, "inf")) if count]
        figure.supxlabel("; ".join((*lost, *map(safe_line, plot.notes))), fontsize="small")
        axes.set_title(title, fontsize="medium", parse_math=False)
        figure.savefig(path, metadata=_metadata(path.suffix))


@contextmanager
def _figure(width: float, height: float) -> "Iterator[Figure]":
    """A figure of so many inches; the same drawing gives the same file."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches and fonts
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "tensorcli"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its font has not
        yield Figure(figsize=(width, height), layout="compressed")


def _metadata(suffix: str) -> dict[str, Any]:
    return {"Date": None} if suffix.lower() == ".svg" else {}


def _draw(plot: report.Plot, axes: "Axes") -> None:
    if plot.low is None or plot.high is None:
        from tensorcli.render.plot import nothing

        axes.axis("off")
        axes.text(0.5, 0.5, nothing(plot), ha="center")
        return
    match plot.drawn:
        case "line":
            lows, highs = (
                [math.nan if bound is None else bound for bound in bounds] for bounds in (plot.lows, plot.highs)
            )
            step = max(1, math.prod(plot.shape)) / max(1, len(lows))
            places = [i * step for i in range(len(lows))]
            axes.plot(places, lows, marker="." if len(lows) < 50 else None)
            if lows != highs:
                axes.plot(places, highs, color="C0")
                axes.fill_between(places, lows, highs, alpha=0.5)
        case "histogram":
            low, high, around = plot.low, plot.high, max(0.5, abs(plot.low) / 1000)
            low, high = (low, high) if low < high else (low - around, high + around)
            edges = [low + (high - low) * i / len(plot.counts) for i in range(len(plot.counts) + 1)]
            axes.stairs(plot.counts, edges, fill=True)
        case "heatmap":
            cells = [[math.nan if cell is None else cell for cell in row] for row in plot.cells]
            height, width = plot.shape[-2:]
            shown = axes.imshow(cells, interpolation="nearest", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
            if len(plot.shape) > 2:  # several beside each other, whose places are not their indices
                shown.set_extent((0, len(cells[0]), len(cells), 0))
                axes.set(xticks=[], yticks=[])
            else:
                axes.locator_params(integer=True)
                axes.set_aspect("auto" if max(height, width) > 8 * min(height, width) else "equal")
            axes.figure.colorbar(shown)
        case "image":
            rows = [bytes.fromhex(row) for row in plot.pixels]
            axes.imshow(
                [[tuple(row[i : i + 3]) for i in range(0, len(row), 3)] for row in rows], interpolation="nearest"
            )
            axes.axis("off")


# Benchmarks.


def of_benchmark(benchmark: report.Benchmark, suffix: str) -> bytes:
    """Time and rate against size, on logarithmic axes, as a file of this suffix.

    Each point is a median with its 95 % interval, an open one is extrapolated, a crossed one a wrong result. Dashed
    lines are what the devices could do at most, by what was measured in the same run: a roofline.
    """
    from tensorcli.render.safe import safe_line

    series = _series(benchmark)
    with _figure(11, 5) as figure:
        time, rate = figure.subplots(1, 2)
        name = _axis(benchmark)
        known = benchmark.environment
        facts = [f"torch {known.get('torch')}", known.get("cpu"), known.get("gpu")]
        title = benchmark.workload if benchmark.complete else f"{benchmark.workload} (incomplete)"
        figure.suptitle(safe_line(f"{title}: {', '.join(str(fact) for fact in facts if fact)}"), fontsize="medium")
        unit = _unit(benchmark)
        _curves(
            time,
            [(label, [(x, v, v.median, v.low, v.high) for x, v in points]) for label, points in series],
            "time (s)",
        )
        rates = [
            (label, [(x, v, *(_rate(v, each, unit) for each in (v.median, v.high, v.low))) for x, v in points])
            for label, points in series
        ]
        _curves(rate, rates, f"rate ({unit or 'calls/s'})")
        for label, points in _limits(benchmark).items():
            for axes, ys in (
                (time, [least for _, _, least in points]),
                (rate, [_rate(variant, least, unit) for _, variant, least in points]),
            ):
                marks = {"marker": "_", "markersize": 12, "linestyle": "--", "linewidth": 0.8, "color": "black"}
                axes.plot([x for x, _, _ in points], [y or math.nan for y in ys], label=safe_line(label), **marks)
        places = sorted({x for _, points in series for x, _ in points})
        for axes in (time, rate):
            axes.set(xscale="log", yscale="log", xlabel=safe_line(name))
            if len(places) <= MOST_TICKS:
                axes.set_xticks(places, [f"{x:,.15g}" for x in places])
                axes.set_xticks([], minor=True)
            axes.grid(alpha=0.3)
        if series:
            figure.legend(*time.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
        else:
            time.text(0.5, 0.5, "nothing was measured", ha="center", transform=time.transAxes)
        file = io.BytesIO()
        figure.savefig(file, format=suffix.removeprefix("."), metadata=_metadata(suffix))
    return file.getvalue()


MOST_TICKS = 12
_Points = list[tuple[float, report.Variant]]


def _axis(benchmark: report.Benchmark) -> str:
    """The name of the size that takes most values that are numbers."""
    values: dict[str, set[float]] = {}
    for case in benchmark.cases:
        for name, value in case.size.items():
            if isinstance(value, int | float) and value > 0:
                values.setdefault(name, set()).add(value)
    return max(values, key=lambda name: len(values[name]), default="")


def _series(benchmark: report.Benchmark) -> list[tuple[str, _Points]]:
    """The curves: what they are called, and their points by size; of those with several points at one, the last."""
    axis = _axis(benchmark)
    several = {
        name for name in ("device", "dtype", "threads") if len({getattr(case, name) for case in benchmark.cases}) > 1
    }
    found: dict[str, dict[float, report.Variant]] = {}
    for case in benchmark.cases:
        size = case.size.get(axis, 1)
        rest = [f"{name} = {value}" for name, value in case.size.items() if name != axis]
        threads = units.plural(case.threads, "thread") if "threads" in several and case.threads else ""
        facts = [case.device if "device" in several else "", case.dtype if "dtype" in several else "", threads, *rest]
        for variant in case.variants:
            if variant.median is not None and isinstance(size, int | float) and size > 0:
                label = ", ".join(filter(None, (variant.name, *facts)))
                found.setdefault(label, {})[size] = variant
    return [(label, sorted(points.items(), key=lambda point: point[0])) for label, points in found.items()]


def _unit(benchmark: report.Benchmark) -> str | None:
    """What its rates are in: operations where they are counted, else bytes."""
    variants = [variant for case in benchmark.cases for variant in case.variants]
    if any(variant.gflops_per_second for variant in variants):
        return "GFLOP/s"
    return "GB/s" if any(variant.gbytes_per_second for variant in variants) else None


def _rate(variant: report.Variant, seconds: float | None, unit: str | None) -> float | None:
    """The rate at which a variant's work is done in so much time; None where that is not known."""
    work = {"GFLOP/s": variant.flops, "GB/s": variant.nbytes, None: 10**9}[unit]
    return work / seconds / 1e9 if work and seconds else None


def _limits(benchmark: report.Benchmark) -> dict[str, list[tuple[float, report.Variant, float]]]:
    """For each device and dtype the least seconds in which the work could be done, by size: a roofline.

    None is known of what is in cache or no longer than a call; nor is one drawn where variants do other work than
    others, for it would be no limit of them all.
    """
    found: dict[str, dict[float, list[report.Variant]]] = {}
    for label, points in _series(benchmark):
        for x, variant in points:
            if (variant.flops or variant.nbytes) and not variant.wrong:
                place = label.removeprefix(variant.name).removeprefix(", ")
                found.setdefault(f"limit {place}".strip(), {}).setdefault(x, []).append(variant)
    limits: dict[str, list[tuple[float, report.Variant, float]]] = {}
    for label, variants in found.items():
        for x, each in sorted(variants.items()):
            known = [one for one in each if one.share and one.median]
            if known and len({(one.flops, one.nbytes) for one in each}) == 1:
                limits.setdefault(label, []).append((x, known[0], (known[0].share or 0) * (known[0].median or 0)))
    return limits


def _curves(axes: "Axes", series: Sequence[tuple[str, Sequence[tuple[Any, ...]]]], title: str) -> None:
    """Draw points with their intervals, and a line through those of one series."""
    from tensorcli.render.safe import safe_line

    for number, (label, all_points) in enumerate(series):
        points = [point for point in all_points if point[2] is not None]
        if not points:
            continue
        xs, variants, middles, lows, highs = zip(*points, strict=True)
        below = [m - low if low is not None else 0.0 for m, low in zip(middles, lows, strict=True)]
        above = [high - m if high is not None else 0.0 for m, high in zip(middles, highs, strict=True)]
        color, marker = f"C{number % 10}", "os^vD*"[number // 10 % 6]
        axes.errorbar(
            xs,
            middles,
            yerr=(below, above),
            color=color,
            marker=marker,
            markersize=4,
            capsize=3,
            label=safe_line(label)[:50].replace("$", r"\$"),
        )
        guessed = [(x, m) for x, v, m in zip(xs, variants, middles, strict=True) if v.status == "extrapolated"]
        wrong = [(x, m) for x, v, m in zip(xs, variants, middles, strict=True) if v.wrong]
        looks: list[tuple[list[tuple[Any, Any]], dict[str, Any]]] = [
            (guessed, {"marker": marker, "color": color, "markersize": 6, "markerfacecolor": "white"}),
            (wrong, {"marker": "x", "color": "red", "markersize": 10, "markeredgewidth": 2}),
        ]
        for marked, look in looks:
            if marked:
                axes.plot(*zip(*marked, strict=True), linestyle="none", zorder=5, **look)
    axes.set_ylabel(title)
