"""What every sub-expression gave, as a tree; how operands were stretched; what it took in all."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import diagrams, gradients, layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe_line
from tensorcli.render.tensor import short_text, type_parts

PICTURES = 4  # drawn below the tree, where not all were asked for
FACTS = 22  # cells: "float32 [64, 784] cpu"
NOTES_FROM = 60  # cells: narrower screens have no room for notes
WIDE = 1000  # cells: more than any screen
TEXT = 200  # characters of an expression that matter on any screen


def render_trace(trace: report.Trace, *, width: int) -> Text:
    """The tree, the alignments of what was broadcast, and a last line with the totals."""
    lines = _tree(trace.root, width, _home(trace))
    lines += _pictures(trace, width)
    lines += gradients.draw(trace, width=width)
    lines += _shared(trace.shared, width)
    totals = [layout.line(parts, width - 1) for parts in (_totals(trace), _remarks(trace)) if parts]
    return layout.block([*lines, Text(), *(Text(" ").append_text(line) for line in totals)])


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


def _tree(root: report.Node, width: int, home: str | None) -> list[Text]:
    """The tree as a table: notes in a column where they fit, else below their nodes; none on a narrow screen.

    The `home` device is that of the footer: where there is no room for all, it is left out of the results.
    """
    columns = [
        Column("expression", least=max(12, width * 3 // 8)),
        Column("result", least=max(FACTS, width * 3 // 10), after=2),
        Column("memory", 2, right=True),
        Column("time", 1, right=True),
        Column("FLOP", 3, right=True),
        Column("FLOP/B", 4, right=True),
    ]
    nodes = list(walk(root))
    rows = [_row(branch, node, width) for branch, _, node in nodes]
    notes = [Text("  ").join(_notes(node)) for _, _, node in nodes]
    whole = layout.table(
        [*columns, Column("")], [[*row, note] for row, note in zip(rows, notes, strict=True)], width=WIDE
    )
    if max(line.cell_len for line in whole) <= width:
        return whole
    if max(line.cell_len for line in layout.table(columns, rows, width=WIDE)) > width:
        rows = [_row(branch, node, width, home) for branch, _, node in nodes]
    head, *lines = layout.table(columns, rows, width=width)
    shown = [head]
    for line, note, (_, below, node) in zip(lines, notes, nodes, strict=True):
        shown.append(line)
        if note.plain and width >= NOTES_FROM:
            stem = f" {below}{'│ ' if node.children else '  '}  "
            shown.append(layout.crop_text(Text().append(stem, theme.FAINT).append_text(note), width))
    return shown


def _row(prefix: str, node: report.Node, width: int, home: str | None = None) -> list[Text]:
    memory, time = node.result.nbytes, node.seconds
    formula = node.result.nbytes_formula if isinstance(node.result, report.Tensor) else None
    text = Text(safe_line(layout.one_line(node.text[:TEXT])), theme.ERROR if node.failed else theme.PLAIN)
    raised = node.failed and not any(child.failed for child in node.children)
    room = max(FACTS, width // 2)
    result = Text("failed" if raised else "", theme.ERROR) if node.failed else _result(node.result)
    if home is not None and isinstance(node.result, report.Tensor) and node.result.device == home and not node.failed:
        result = _short_type(node.result)
    elif home is not None and isinstance(node.result, report.Value) and node.result.items and not node.failed:
        result = _short_items(node.result)
    return [
        Text().append(prefix, theme.FAINT).append_text(text),
        layout.crop_text(result, room),
        Text(formula or ("" if memory is None else units.nbytes(memory)), theme.FAINT),
        Text("" if time is None else units.seconds(time), theme.FAINT),
        Text("not counted" if node.uncounted else node.flops_formula or _count(node.flops), theme.FAINT),
        Text(_intensity(node.flops, node.moved_nbytes), theme.FAINT),
    ]


def _count(flops: int | None, unit: str = "") -> str:
    return units.count(flops, unit) if flops else ""


def _intensity(flops: int | None, moved: int | None) -> str:
    """Operations for each byte read or written, to two digits."""
    if not flops or not moved:
        return ""
    return f"{flops / moved:,.0f}" if flops >= 10 * moved else f"{flops / moved:.2g}"


def _result(result: report.Tensor | report.Value) -> Text:
    """A value's type; of a tuple of tensors those of its members, each with its name where it has one."""
    if isinstance(result, report.Value) and result.items:
        named = not all(item.key == str(place) for place, item in enumerate(result.items))
        kind = f"{result.type.rpartition('.')[2]}: " if named or result.length == 1 else ""
        return Text(kind, theme.TYPE).append_text(_short_items(result))
    text = Text(" ").join(Text(part.text, part.style) for part in type_parts(result))
    if isinstance(result, report.Value) and result.shape is None and result.type in ("int", "float", "bool", "str"):
        text.append(" ").append(short_text(result, 20))
    return text


def _short_items(held: report.Value) -> Text:
    """The types of what is held, equal ones in a row together: "60 x float32 [4]"."""
    items, more = held.items or (), (held.length or 0) - len(held.items or ())
    keys = held.type == "dict"
    texts = [
        (Text(f"{safe_line(item.key or '')} ") if keys else Text()).append_text(_short_type(item)) for item in items
    ]
    runs = [list(run) for _, run in groupby(texts, key=lambda text: text.plain)]
    counts = [len(run) for run in runs]
    if more and len(runs) == 1:  # then all are taken to be so
        counts, more = [counts[0] + more], 0
    shown = [
        Text(f"{count:,} x ").append_text(run[0]) if count > 2 else Text(", ").join(run)
        for run, count in zip(runs, counts, strict=True)
    ]
    return Text(", ").join([*shown, *([Text(layout.ELLIPSIS)] if more else [])])


def _short_type(item: report.Tensor | report.Value) -> Text:
    if isinstance(item, report.Value) and item.items:
        return Text("(").append_text(_short_items(item)).append(")")
    parts = type_parts(item)[:2] if isinstance(item, report.Tensor) else type_parts(item)
    return Text(" ").join(Text(part.text, part.style) for part in parts)


def _notes(node: report.Node) -> list[Text]:
    """What is worth saying of a node: an alias, random numbers, a stretched operand, how often it was evaluated."""
    notes = []
    if node.relation not in (None, "new"):
        notes.append(Text(safe_line(node.relation or ""), theme.FLAG))
    if isinstance(node.result, report.Tensor) and node.result.drew_random:
        notes.append(Text("random", theme.FLAG))
    notes += [
        Text(f"{layout.crop(safe_line(name), 24)}: {units.shape(sizes)} stretched to {units.shape(wide)}", theme.FAINT)
        for name, sizes, wide in _stretched(node.broadcast)
    ]
    if node.count > 1:
        each = [time for time in (node.shortest_seconds, node.longest_seconds) if time is not None]
        notes.append(Text(f"{node.count:,} times{f', {_range(*each)} each' if len(each) == 2 else ''}", theme.FAINT))
    return notes + [Text(safe_line(note)) for note in node.notes]


def _range(low: float, high: float) -> str:
    """Two times, their unit once where it is the same: "12 .. 15 us"."""
    first, last = units.seconds(low), units.seconds(high)
    return f"{first.removesuffix(last[last.rfind(' ') :])} .. {last}"


def _stretched(broadcast: report.Broadcast | None) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """The operands that were stretched: name, sizes, and the sizes that they were stretched to."""
    if broadcast is None:
        return []
    plain = [(name, tuple(size for size in sizes if size is not None)) for name, sizes in broadcast.operands]
    return [(name, sizes, broadcast.result) for name, sizes in plain if sizes != broadcast.result]


def _pictures(trace: report.Trace, width: int) -> list[Text]:
    """The pictures that fit, those of the outermost parts first; of each part the one that says most."""
    drawn = [lines for node, picture in _chosen(trace) if (lines := diagrams.draw(node, picture, width=width))]
    most = len(drawn) if trace.all else PICTURES
    lines = [line for each in drawn[:most] for line in (Text(), *each)]
    if len(drawn) > most:
        more = f" and {units.plural(len(drawn) - most, 'more picture')} with --all"
        lines += [Text(), layout.line([Part(more, theme.FAINT)], width)]
    return lines


def _chosen(trace: report.Trace) -> Iterator[tuple[report.Node, report.AnyDiagram | report.Broadcast]]:
    level = [trace.root]
    while level:
        for node in level:
            stretched = any(sizes for _, sizes, _ in _stretched(node.broadcast))  # a number alone is no picture
            pictures = [*([node.broadcast] if node.broadcast and stretched else []), *node.diagrams]
            if not trace.all:  # a name's own is that of the part that uses it
                pictures = [] if node.operation == "name" and node is not trace.root else pictures[:1]
            yield from ((node, picture) for picture in pictures)
        level = [child for node in level for child in node.children]


def _shared(shared: Sequence[report.Shared], width: int) -> list[Text]:
    """Whose memory is the same, and what that means."""
    lines = []
    for group in shared:
        names = [f"{layout.crop(safe_line(name), 24)}{f' ({kind})' if kind else ''}" for name, kind in group.names]
        said = f"{layout.listed(names, most=8, width=40)} share {units.nbytes(group.nbytes)}"
        said += "; a change in place of one changes the others"
        lines += layout.wrap(f" {said}", width, indent=" ")
    return [Text(line, theme.FLAG) for line in ["", *lines]] if lines else []


def _needed(trace: report.Trace) -> str:
    if trace.needed_nbytes is None:
        return ""
    free = "" if trace.free_nbytes is None else f", {units.nbytes(trace.free_nbytes)} free"
    return f"needs {units.nbytes(trace.needed_nbytes)}{free}"


def _home(trace: report.Trace) -> str | None:
    """The device of the result, or else the default one."""
    return getattr(trace.root.result, "device", None) or trace.environment.get("device")


def _totals(trace: report.Trace) -> list[Part]:
    nodes = [node for _, _, node in walk(trace.root)]
    flops = sum(node.flops or 0 for node in nodes)
    moved = sum(node.moved_nbytes or 0 for node in nodes if not node.uncounted)
    device = _home(trace)
    peak, kept, torch = trace.peak_nbytes, trace.kept_nbytes, trace.environment.get("torch")
    intensity, seconds = _intensity(flops, moved), sum(node.seconds or 0.0 for node in nodes)
    parts = [
        ("nothing was computed" if trace.predicted else "", 3, "; "),
        (f"{units.nbytes(kept)} new" if kept else "", 4, "; "),
        (_needed(trace), 0, "; "),
        ("" if peak is None else f"peak {units.nbytes(peak)} above the inputs" if peak else "no new memory", 0, "; "),
        (f"{units.seconds(seconds)} in all" if seconds else "", 2, "; "),
        (f"{trace.flops_formula} FLOP" if trace.flops_formula else _count(flops, "FLOP"), 1, "; "),
        (f"{intensity} FLOP/B" if intensity else "", 3, ", "),
        (f"{device}" if device else "", 2, "; "),
        (f"torch {torch}" if torch else "", 5, ", "),
    ]
    return _faint(parts)


def _remarks(trace: report.Trace) -> list[Part]:
    """How its random numbers come again, what was not counted, what looking cost."""
    uncounted = sorted({name for _, _, node in walk(trace.root) for name in node.uncounted})
    probe = trace.probe_seconds
    parts = [
        ("" if trace.seed is None else f"random: seed {trace.seed} gives it again", 0, "; "),
        (f"not counted: {layout.listed(uncounted)}" if uncounted else "", 1, "; "),
        (f"looking adds {units.seconds(probe)} a part, subtracted" if probe else "", 2, "; "),
    ]
    return _faint(parts)


def _faint(parts: Sequence[tuple[str, int, str]]) -> list[Part]:
    return [Part(safe_line(text), theme.FAINT, importance, before) for text, importance, before in parts if text]
