"""Tensors as pictures: lines and histograms in dots, heatmaps and images in half blocks, or shades without colours."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Part
from tensorcli.render.safe import safe, safe_line

if TYPE_CHECKING:
    from rich.console import RenderableType

CHART_ROWS = 12
TALLEST = 64  # pixels, two in a row of the screen
SMALLEST = 24  # pixels of the longer side: smaller pictures are enlarged
BLANK = "\u2800"

Pixel = TypeVar("Pixel")
RGB = tuple[int, ...]


def render_plot(plot: report.Plot, *, width: int) -> "RenderableType":
    """What is drawn, the picture, and what was left out of it."""
    head, foot = _head(plot, width), _foot(plot, width)
    if plot.low is None or plot.high is None:
        return layout.block([head, *map(Text, layout.wrap(nothing(plot), width)), *foot])
    match plot.drawn:
        case "line":
            return layout.block([head, *_line(plot, width), *foot])
        case "histogram":
            return layout.block([head, *_histogram(plot, width), *foot])
        case "heatmap":
            colors = [[None if cell is None else _heat(_share(cell, plot)) for cell in row] for row in plot.cells]
            shades = [[None if cell is None else _share(cell, plot) for cell in row] for row in plot.cells]
            return Picture(head, colors, shades, foot, width, scale=_ends(plot))
        case "image":
            pixels = [_pixels(row) for row in plot.pixels]
            greys = [[_brightness(pixel) for pixel in row] for row in pixels]
            return Picture(head, pixels, greys, foot, width)


def nothing(plot: report.Plot) -> str:
    """Why there is no picture, of a plot without a range."""
    return f"nothing to draw: {'no element is finite' if math.prod(plot.shape) else 'there are no elements'}"


def _head(plot: report.Plot, width: int) -> Text:
    parts = [
        Part(layout.crop(layout.one_line(safe_line(plot.text)), width // 2), importance=1),
        Part(safe_line(plot.dtype), theme.DTYPE, before="  "),
        Part(units.shape(plot.shape), theme.SHAPE),
        Part(safe_line(plot.device), theme.DEVICE, 2),
        Part(plot.drawn, theme.FAINT, 3, before="  "),
        Part(f"{plot.nan:,} nan" if plot.nan else "", theme.FLAG, 1, before="  "),
        Part(f"{plot.inf:,} inf" if plot.inf else "", theme.FLAG, 1, before="  "),
    ]
    return layout.line(parts, width)


def _foot(plot: report.Plot, width: int) -> list[Text]:
    return [Text(line, theme.FAINT) for line in layout.wrap(safe("; ".join(plot.notes)), width)] if plot.notes else []


def _share(value: float, plot: report.Plot) -> float:
    """How far a value is on the way from the least to the greatest, whose distance may be larger than any number."""
    low, high = plot.low or 0.0, plot.high or 0.0
    if high == low:
        return 0.5
    distance = high - low
    return (value - low) / distance if math.isfinite(distance) else (value / 2 - low / 2) / (high / 2 - low / 2)


def _ends(plot: report.Plot) -> tuple[str, str]:
    """The least and the greatest as they read, with as many digits as tell them apart."""
    low, high = plot.low or 0.0, plot.high or 0.0
    whole = plot.dtype.startswith(("int", "uint", "bool")) and low.is_integer() and high.is_integer()
    first, last = (units.number(int(end) if whole else end) for end in (low, high))
    digits = 3
    while first == last and low != high:
        digits += 1
        first, last = f"{low:.{digits}g}", f"{high:.{digits}g}"
    return first, last


# Charts.


def _line(plot: report.Plot, width: int) -> list[Text]:
    labels = _labels(plot)
    cells = _cells(labels, width)
    last, top = 2 * cells - 1, 4 * CHART_ROWS - 1
    from plotille import Canvas

    canvas = Canvas(cells, CHART_ROWS, xmin=0, ymin=0, xmax=2 * cells, ymax=4 * CHART_ROWS)
    before: tuple[int, int] | None = None
    for i, (low, high) in enumerate(zip(plot.lows, plot.highs, strict=True)):
        if low is None or high is None:
            before = None
            continue
        x = round(i * last / (len(plot.lows) - 1)) if len(plot.lows) > 1 else 0
        bottom, upper = (round(_share(bound, plot) * top) for bound in (low, high))
        canvas.line(x, bottom, x, upper)
        if before:
            canvas.line(*before, x, (bottom + upper) // 2)
        before = x, (bottom + upper) // 2
    return _chart(canvas.plot(), labels, ("0", f"{math.prod(plot.shape) - 1:,}"), cells)


def _histogram(plot: report.Plot, width: int) -> list[Text]:
    from plotille import Canvas

    counts = _pooled([plot.counts], 1, min(len(plot.counts), width // 2), sum)[0]
    labels = [units.count(max(counts)), *[""] * (CHART_ROWS - 2), "0"]
    cells = _cells(labels, width)
    each = cells // len(counts)
    canvas = Canvas(each * len(counts), CHART_ROWS, xmin=0, ymin=0, xmax=2 * each * len(counts), ymax=4 * CHART_ROWS)
    for i, count in enumerate(counts):
        height = max(1, round(count / max(counts) * 4 * CHART_ROWS)) if count else 0
        for x in range(2 * each * i, 2 * each * (i + 1)):
            if height:
                canvas.line(x, 0, x, height - 1)
    return _chart(canvas.plot(), labels, _ends(plot), each * len(counts))


def _labels(plot: report.Plot) -> list[str]:
    """What stands at the left of a chart's rows: the greatest value at the top and the least at the bottom."""
    labels = [""] * CHART_ROWS
    low, high = _ends(plot)
    if low == high:
        labels[CHART_ROWS // 2] = low
    else:
        labels[0], labels[-1] = high, low
    return labels


def _cells(labels: Sequence[str], width: int) -> int:
    return max(1, width - max(map(len, labels)) - 3)


def _chart(drawn: str, labels: Sequence[str], ends: tuple[str, str], cells: int) -> list[Text]:
    """Rows of dots with their axes."""
    margin = max(map(len, labels)) + 1
    lines = [
        Text()
        .append(f"{label:>{margin}} {'┤' if label else '│'}", theme.FAINT)
        .append(row.replace(BLANK, " ").rstrip(), theme.BAR)
        for label, row in zip(labels, drawn.splitlines(), strict=True)
    ]
    space = " " * (margin + 2)
    lines.append(Text(f"{space[:-1]}└{'─' * cells}", theme.FAINT))
    first, last = (end if len(end) <= cells else "" for end in ends)
    fits = len(first) + len(last) < cells and first != last
    lines.append(Text(f"{space}{first}{last:>{cells - len(first)}}" if fits else f"{space}{first}", theme.FAINT))
    return lines


# Pictures.


@dataclass(frozen=True)
class Picture:
    """Pixels in half blocks of their colours, two in a cell; where colours are few or none, a shade for each cell."""

    head: Text
    colors: Sequence[Sequence[RGB | None]]
    shades: Sequence[Sequence[float | None]]
    foot: Sequence[Text]
    width: int
    scale: tuple[str, str] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, for a console with or without colours."""
        colored = console.color_system in ("256", "truecolor", "windows") and not console.no_color
        yield self.head
        size = _size if self.scale is None else _size_of_map
        rows, columns = size(len(self.colors), len(self.colors[0]), self.width)
        if colored:
            yield from _blocks(_pooled(self.colors, rows, columns, _mean_color))
        else:
            for row in _pooled(self.shades, (rows + 1) // 2, columns, _mean):
                yield Text("".join(" " if share is None else _shade(share) for share in row).rstrip())
        if self.scale:
            yield self._ramp(colored)
        yield from self.foot

    def _ramp(self, colored: bool) -> Text:
        low, high = self.scale or ("", "")
        if low == high:
            return Text(f"all are {low}", theme.FAINT)
        ramp = Text(theme.SHADES)
        if colored:
            steps = [_heat(i / 9) for i in range(10)]
            ramp = Text().join(Text(" ", Style(bgcolor=_color(step))) for step in steps)
        room = self.width - len(low) - len(high) - 2
        ramp = ramp if room >= ramp.cell_len else Text("..", theme.FAINT)  # the numbers matter more
        return layout.crop_text(
            Text(f"{low} ", theme.FAINT).append_text(ramp).append(f" {high}", theme.FAINT), self.width
        )


def _size(rows: int, columns: int, width: int) -> tuple[int, int]:
    """The size to draw in: whole where it fits, a small one enlarged."""
    scale = min(width / columns, min(width, TALLEST) / rows)
    if scale < 1:
        return max(1, int(rows * scale)), max(1, int(columns * scale))
    times = max(1, min(int(scale), SMALLEST // max(rows, columns)))
    return rows * times, columns * times


def _size_of_map(rows: int, columns: int, width: int) -> tuple[int, int]:
    """The same for what is no photograph: a long or a wide one keeps the few columns, or rows, that it has apart."""
    tallest = min(width, TALLEST)
    if rows <= tallest and columns <= width:
        return _size(rows, columns, width)
    height, breadth = min(rows, tallest), min(columns, width)
    if columns < rows:
        return height, breadth * max(1, min(width, height) // breadth)
    return height * max(1, min(tallest, breadth) // height), breadth


def _pooled(
    rows: Sequence[Sequence[Pixel]], height: int, width: int, mean: Callable[[list[Pixel]], Pixel]
) -> list[list[Pixel]]:
    """A picture in another size: each pixel is the mean of those that it covers."""
    if not rows or (height, width) == (len(rows), len(rows[0])):
        return [list(row) for row in rows]
    down, across = (
        [(i * old // new, max(i * old // new + 1, (i + 1) * old // new)) for i in range(new)]
        for old, new in ((len(rows), height), (len(rows[0]), width))
    )
    return [
        [mean([pixel for row in rows[top:bottom] for pixel in row[left:right]]) for left, right in across]
        for top, bottom in down
    ]


def _mean(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _mean_color(colors: list[RGB | None]) -> RGB | None:
    known = [color for color in colors if color is not None]
    return tuple(sum(color[i] for color in known) // len(known) for i in range(3)) if known else None


def _blocks(pixels: list[list[RGB | None]]) -> list[Text]:
    """Two rows of pixels as one of text: the upper in the colour of a half block, the lower in that behind it."""
    lines = []
    for i in range(0, len(pixels), 2):
        upper, lower = pixels[i], pixels[i + 1] if i + 1 < len(pixels) else [None] * len(pixels[i])
        line = Text()
        for (above, below), alike in groupby(zip(upper, lower, strict=True)):
            cells = len(list(alike))
            if above == below:
                line.append(" " * cells, Style(bgcolor=_color(above)))
            elif above is None:
                line.append("▄" * cells, Style(color=_color(below)))
            else:
                line.append("▀" * cells, Style(color=_color(above), bgcolor=_color(below)))
        lines.append(line)
    return lines


def _color(rgb: RGB | None) -> Color | None:
    return None if rgb is None else Color.from_triplet(ColorTriplet(*rgb))


def _heat(share: float) -> RGB:
    """The colour of a place between the least value and the greatest."""
    place = share * (len(theme.HEAT) - 1)
    below, above = theme.HEAT[math.floor(place)], theme.HEAT[math.ceil(place)]
    part = place - math.floor(place)
    return tuple(round(a + (b - a) * part) for a, b in zip(below, above, strict=True))


def _shade(share: float) -> str:
    return theme.SHADES[round(share * (len(theme.SHADES) - 1))]


def _pixels(row: str) -> list[RGB]:
    data = bytes.fromhex(row)
    return [tuple(data[i : i + 3]) for i in range(0, len(data), 3)]


def _brightness(rgb: RGB) -> float:
    """How bright a colour looks, from 0 to 1 (ITU-R BT.601)."""
    red, green, blue = rgb
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
