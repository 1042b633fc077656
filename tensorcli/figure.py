"""A plot as a PNG or SVG file, by matplotlib: no display is needed."""

import logging
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tensorcli import report, units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches and fonts
    import matplotlib
    from matplotlib.figure import Figure

    from tensorcli.render.safe import safe_line

    if plot.low is not None and plot.high is not None:
        most, distance = max(-plot.low, plot.high), plot.high / 2 - plot.low / 2
        if most > LARGEST or (plot.low < plot.high and distance < 1 / LARGEST):
            raise OSError(0, "matplotlib draws neither numbers above 1e300 nor differences below 1e-300", str(path))
    # The same plot gives the same file.
    with matplotlib.rc_context({"svg.hashsalt": "tensorcli"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its font has not
        figure = Figure(figsize=(8, 5), layout="compressed")
        axes = figure.add_subplot()
        _draw(plot, axes)
        text = safe_line(" ".join(plot.text.split()))[:80]
        title = f"{text}\n{safe_line(plot.dtype)} {units.shape(plot.shape)} {safe_line(plot.device)}"
        lost = [f"{count:,} {name}" for count, name in ((plot.nan, "nan"), (plot.inf, "inf")) if count]
        figure.supxlabel("; ".join((*lost, *map(safe_line, plot.notes))), fontsize="small")
        axes.set_title(title, fontsize="medium", parse_math=False)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else {})


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
