"""What an operation did to its operands' axes and elements, drawn; nothing where it does not fit."""

import math
from collections.abc import Sequence
from itertools import pairwise, zip_longest

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column
from tensorcli.render.safe import safe_line

CHOSEN, OTHER = "■", "·"
TEXT = 32  # cells of the expression beside a picture
INDENT = 3  # of a picture below its expression


def draw(node: report.Node, diagram: report.AnyDiagram | report.Broadcast, *, width: int) -> list[Text]:
    """The lines of a picture, what it is of at their left, or above them; none where they are wider than `width`."""
    title = Text(_title(node, diagram, max(min(TEXT, width // 3), 12)), theme.TITLE)
    lines = _lines(diagram, node.flops)
    widest = max(line.cell_len for line in lines)
    if 1 + title.cell_len + 2 + widest > width:
        lines, margin = [Text(), *lines], INDENT
    else:
        margin = title.cell_len + 2
    head, *rest = lines
    drawn = [
        Text(" ").append_text(title).append(" " * (margin - title.cell_len)).append_text(head),
        *(Text(" " * (1 + margin)).append_text(line) for line in rest),
    ]
    for line in drawn:
        line.rstrip()
    return drawn if all(line.cell_len <= width for line in drawn) else []


def _title(node: report.Node, diagram: report.AnyDiagram | report.Broadcast, width: int) -> str:
    """The expression; what a chain of methods does last stands at its end."""
    if isinstance(diagram, report.Broadcast):
        return "broadcast"
    text = layout.one_line(safe_line(node.text[:1000]))
    if node.operation.startswith(("method", "attribute", "index")):
        return layout.crop(text[::-1], width)[::-1]
    return layout.crop(text, width)


def _lines(diagram: report.AnyDiagram | report.Broadcast, flops: int | None) -> list[Text]:
    match diagram:
        case report.Broadcast(operands=operands, result=result):
            rank = len(result)
            padded = [(name, _padded(sizes, rank)) for name, sizes in operands]
            return _alignment(None, [*padded, ("", result)])
        case report.Einsum(letters=letters, operands=operands, result=result):
            scalar = all(size is None for size in result)
            return _alignment(letters, [*operands, ("()" if scalar else "", result)])
        case report.Product():
            return _product(diagram, flops)
        case report.Axes():
            return _axes(diagram)
        case report.Selection():
            return _selection(diagram)
        case report.Strides():
            return _strides(diagram)


def _alignment(heads: Sequence[str] | None, rows: Sequence[tuple[str, Sequence[int | None]]]) -> list[Text]:
    """Operands' sizes below each other."""
    table = [
        [
            Text(layout.crop(safe_line(name), TEXT)),
            *(Text("" if size is None else str(size), theme.SHAPE) for size in sizes),
        ]
        for name, sizes in rows
    ]
    if heads is not None:
        table.insert(0, [Text(), *(Text(safe_line(letter), theme.FAINT) for letter in heads)])
    columns = [Column(""), *(Column("", right=True) for _ in table[0][1:])]
    return [line[1:] for line in layout.table(columns, table, width=1000, heads=False)]


def _padded(sizes: tuple[int | None, ...], rank: int) -> tuple[int | None, ...]:
    return ((None,) * (rank - len(sizes)) + sizes)[:rank]


def _product(product: report.Product, flops: int | None) -> list[Text]:
    """`(64, 784) @ (784, 10) -> (64, 10)`, batch axes before a bar, and a line from one inner size to the other."""
    inner = -1 if product.transposed or len(product.right) == 1 else -2
    left, joins = _sizes(product.left, -1)
    line = Text().append_text(left).append(" @ ")
    right, other = _sizes(product.right, inner)
    start, end = joins, line.cell_len + other
    line.append_text(right).append(".T" if product.transposed else "").append(" -> ")
    line.append_text(_sizes(product.result, -1)[0])
    line.append(f"   {units.count(flops, 'FLOP')}" if flops else "", theme.FAINT)
    return [line, Text(f"{' ' * start}╰{'─' * (end - start - 1)}╯", theme.FAINT)]


def _sizes(shape: tuple[int, ...], place: int) -> tuple[Text, int]:
    """A shape with its batch axes apart, and where the middle of the size at `place` stands."""
    parts = [str(size) for size in shape]
    if not parts:
        return Text("()", theme.SHAPE), 1
    place %= len(parts)
    text, at = "(", 0
    for i, part in enumerate(parts):
        at = len(text) + (len(part) - 1) // 2 if i == place else at
        text += part + ("" if i == len(parts) - 1 else " | " if i == len(parts) - 3 else ", ")
    return Text(text + (",)" if len(parts) == 1 else ")"), theme.SHAPE), at


def _axes(axes: report.Axes) -> list[Text]:
    """The sizes before and after, below each the letters of its axes."""
    shapes, letters = Text(), Text()
    for side, parts in enumerate((axes.before, axes.after)):
        for place, part in enumerate(parts):
            before = " -> " if side and not place else ", " if place else ""
            before += f"{part.times} of (" if part.times > 1 else "("
            for i, (size, letter) in enumerate(zip_longest(part.shape, part.letters, fillvalue="")):
                end = shapes.cell_len + len(before if i == 0 else ", ") + len(str(size))
                short = max(0, letters.cell_len + 1 + len(letter) - end)  # of the room that the letters need
                shapes.append(" " * short + before if i == 0 else f", {' ' * short}").append(str(size), theme.SHAPE)
                letters.append(safe_line(letter).rjust(shapes.cell_len - letters.cell_len), theme.NAME)
            shapes.append((",)" if len(part.shape) == 1 else ")") if part.shape else f"{before})")
    return [shapes, Text(safe_line(axes.note), theme.FAINT) if axes.note else letters]


def _selection(selection: report.Selection) -> list[Text]:
    """The last two axes with what was chosen marked; rows and columns that are left out are an ellipsis."""
    said = f"{selection.chosen:,} of {units.plural(math.prod(selection.shape), 'element')}"
    said += " changed" if selection.changed else ""
    said += f", {selection.taken:,} with repeats" if selection.taken > selection.chosen else ""
    said += f"; here [{', '.join(map(str, selection.plane))}]" if selection.plane else ""
    said += f", 1 of {selection.planes:,} such planes" if selection.planes > 1 else ""
    rows, columns = selection.rows, selection.columns
    wide = max((len(str(column)) for column in columns), default=1)
    margin = max((len(str(row)) for row in rows), default=0)
    lines = [Text(said, theme.FAINT), _grid_row("", [str(column) for column in columns], selection, wide, margin)]
    for place, marked in enumerate(selection.cells):
        if rows and place and rows[place] > rows[place - 1] + 1:
            lines.append(Text(layout.ELLIPSIS.rjust(margin), theme.FAINT))
        marks = [CHOSEN if cell == "#" else OTHER for cell in marked]
        lines.append(_grid_row(str(rows[place]) if rows else "", marks, selection, wide, margin))
    return lines


def _grid_row(head: str, cells: list[str], selection: report.Selection, wide: int, margin: int) -> Text:
    text = Text(head.rjust(margin), theme.FAINT)
    columns = selection.columns
    gaps = {0, *(place for place, (one, other) in enumerate(pairwise(columns), 1) if other > one + 1)}
    for place, cell in enumerate(cells):
        text.append(f" {layout.ELLIPSIS}" if place in gaps and place else "", theme.FAINT)
        style = theme.FLAG if cell == CHOSEN else theme.FAINT
        text.append(" " if place or margin else "").append(cell.rjust(wide), style)
    return text


def _strides(strides: report.Strides) -> list[Text]:
    """Sizes, strides and offset; of a small storage the cells that are in the view."""
    said = f"sizes {units.shape(strides.sizes)}  strides {units.shape(strides.strides)}  offset {strides.offset:,}"
    lines = [Text(f"{said}  storage {strides.storage:,}", theme.FAINT)]
    if strides.cells and "." in strides.cells:
        marks = ((CHOSEN, theme.FLAG) if cell == "#" else (OTHER, theme.FAINT) for cell in strides.cells)
        lines.append(Text(" ").join(Text(mark, style) for mark, style in marks))
    return lines
