"""What every sub-expression gave, as a tree; how operands were stretched; what it took in all."""

from collections.abc import Iterator

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe_line
from tensorcli.render.tensor import short_text, type_parts

BROADCASTS = 8  # shown at most
FACTS = 22  # cells: "float32 [64, 784] cpu"
NOTES_FROM = 60  # cells: narrower screens have no room for notes
WIDE = 1000  # cells: more than any screen
TEXT = 200  # characters of an expression that matter on any screen


def render_trace(trace: report.Trace, *, width: int) -> Text:
    """The tree, the alignments of what was broadcast, and a last line with the totals."""
    lines = _tree(trace.root, width)
    lines += _broadcasts(trace.root, width)
    return layout.block([*lines, Text(), Text(" ").append_text(layout.line(_totals(trace), width - 1))])


def walk(root: report.Node) -> Iterator[tuple[str, str, report.Node]]:
    """Every node from the root down, with the lines of the tree that stand before it, and before what is below it."""
    waiting = [("", "", root)]
    while waiting:
        branch, below, node = waiting.pop()
        yield branch, below, node
        last = len(node.children) - 1
        children = [
            (below + ("└ " if i == last else "├ "), below + ("  " if i == last else "│ "), child)
            for i, child in enumerate(node.children)
        ]
        waiting += reversed(children)


def _tree(root: report.Node, width: int) -> list[Text]:
    """The tree as a table: notes in a column where they fit, else below their nodes; none on a narrow screen."""
    columns = [
        Column("expression", least=12),
        Column("result", least=FACTS),
        Column("memory", 2, right=True),
        Column("time", 1, right=True),
    ]
    nodes = list(walk(root))
    rows = [_row(branch, node, width) for branch, _, node in nodes]
    notes = [Text("  ").join(_notes(node)) for _, _, node in nodes]
    whole = layout.table(
        [*columns, Column("")], [[*row, note] for row, note in zip(rows, notes, strict=True)], width=WIDE
    )
    if max(line.cell_len for line in whole) <= width:
        return whole
    head, *lines = layout.table(columns, rows, width=width)
    shown = [head]
    for line, note, (_, below, node) in zip(lines, notes, nodes, strict=True):
        shown.append(line)
        if note.plain and width >= NOTES_FROM:
            stem = f" {below}{'│ ' if node.children else '  '}  "
            shown.append(layout.crop_text(Text().append(stem, theme.FAINT).append_text(note), width))
    return shown


def _row(prefix: str, node: report.Node, width: int) -> list[Text]:
    memory, time = node.result.nbytes, node.seconds
    formula = node.result.nbytes_formula if isinstance(node.result, report.Tensor) else None
    return [
        Text().append(prefix, theme.FAINT).append(safe_line(layout.one_line(node.text[:TEXT])), theme.PLAIN),
        layout.crop_text(_result(node.result), max(FACTS, width * 3 // 8)),
        Text(formula or ("" if memory is None else units.nbytes(memory)), theme.FAINT),
        Text("" if time is None else units.seconds(time), theme.FAINT),
    ]


def _result(result: report.Tensor | report.Value) -> Text:
    parts = type_parts(result)
    text = Text(" ").join(Text(part.text, part.style) for part in parts)
    if isinstance(result, report.Value) and result.shape is None and result.type in ("int", "float", "bool", "str"):
        text.append(" ").append(short_text(result, 20))
    return text


def _notes(node: report.Node) -> list[Text]:
    """What is worth saying of a node: an alias, a stretched operand, the sizes of a product, its operations."""
    notes = []
    if node.relation not in (None, "new"):
        notes.append(Text(safe_line(node.relation or ""), theme.FLAG))
    if node.broadcast is not None:
        wide = units.shape(node.broadcast.result)
        notes += [
            Text(f"{layout.crop(safe_line(name), 24)}: {_plain(sizes)} stretched to {wide}", theme.FAINT)
            for name, sizes in node.broadcast.operands
            if tuple(size for size in sizes if size is not None) != node.broadcast.result
        ]
    if node.flops_formula:
        notes.append(Text(f"{node.flops_formula} FLOP", theme.FAINT))
    if node.flops:
        notes.append(Text(units.count(node.flops, "FLOP"), theme.FAINT))
    tensors = [child.result for child in node.children if isinstance(child.result, report.Tensor)]
    shapes = [f"({', '.join(map(str, x.sizes))})" if x.sizes else str(x.shape) for x in tensors]
    if node.operation == "matmul" and len(shapes) == 2:
        notes.append(Text(" @ ".join(shapes), theme.FAINT))
    return notes + [Text(safe_line(note)) for note in node.notes]


def _plain(sizes: tuple[int | None, ...]) -> str:
    return units.shape(tuple(size for size in sizes if size is not None))


def _broadcasts(root: report.Node, width: int) -> list[Text]:
    found = [node.broadcast for _, _, node in walk(root) if node.broadcast is not None]
    lines: list[Text] = []
    for broadcast in found[:BROADCASTS]:
        lines += [Text(), *_alignment(broadcast, width)]
    if len(found) > BROADCASTS:
        lines.append(layout.line([Part(f" and {len(found) - BROADCASTS:,} more", theme.FAINT)], width))
    return lines


def _alignment(broadcast: report.Broadcast, width: int) -> list[Text]:
    """Operands' sizes below each other, aligned at the right as broadcasting aligns them."""
    rank = len(broadcast.result)
    columns = [Column("", 1), Column("", 0, least=8), *(Column("", right=True) for _ in range(rank))]
    operands = [*broadcast.operands, ("", broadcast.result)]
    rows = [
        [
            Text("broadcast" if i == 0 else "", theme.TITLE),
            Text(layout.crop(safe_line(name), 32)),
            *(Text("" if size is None else str(size), theme.SHAPE) for size in _padded(sizes, rank)),
        ]
        for i, (name, sizes) in enumerate(operands)
    ]
    return layout.table(columns, rows, width=width, heads=False)


def _padded(sizes: tuple[int | None, ...], rank: int) -> tuple[int | None, ...]:
    return ((None,) * (rank - len(sizes)) + sizes)[:rank]


def _needed(trace: report.Trace) -> str:
    if trace.needed_nbytes is None:
        return ""
    free = "" if trace.free_nbytes is None else f", {units.nbytes(trace.free_nbytes)} free"
    return f"needs {units.nbytes(trace.needed_nbytes)}{free}"


def _totals(trace: report.Trace) -> list[Part]:
    flops = sum(node.flops or 0 for _, _, node in walk(trace.root))
    device = trace.environment.get("device") or getattr(trace.root.result, "device", None)
    peak, torch = trace.peak_nbytes, trace.environment.get("torch")
    parts = [
        ("nothing was computed" if trace.predicted else "", 3, "; "),
        (_needed(trace), 0, "; "),
        ("" if peak is None else f"peak {units.nbytes(peak)} above the inputs", 0, "; "),
        (units.count(flops, "FLOP") if flops else "", 1, "; "),
        (f"{device}" if device else "", 2, "; "),
        (f"torch {torch}" if torch else "", 4, ", "),
    ]
    return [Part(safe_line(text), theme.FAINT, importance, before) for text, importance, before in parts if text]
