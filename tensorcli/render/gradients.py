"""Autograd's graph behind a result as a tree, and what a backward leaves in its leaves."""

from collections import Counter
from dataclasses import dataclass, field

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column
from tensorcli.render.safe import safe_line

LINES = 20  # of the graph and of the leaves, where not all were asked for
NAME = 40  # cells of a leaf's name in the graph
_LEAF = "AccumulateGrad"
_UNNAMED = "a leaf without a name"


def draw(trace: report.Trace, *, width: int) -> list[Text]:
    """The graph down to its leaves, and a line for each leaf: its gradient's norm."""
    lines: list[Text] = []
    if trace.functions:
        lines += [Text(), *_head("graph, from the result down to its leaves", width), *_graph(trace, width)]
    if trace.gradients:
        of = trace.gradients[0].of
        lines += [Text(), *_head(f"gradients {'in .grad' if of == '.grad' else f'of {of}'}", width)]
        lines += _leaves(trace, width)
    return lines


def _head(text: str, width: int) -> list[Text]:
    return [Text(line, theme.TITLE) for line in layout.wrap(f" {safe_line(text)}", width, indent=" ")]


def _more(count: int, noun: str, width: int) -> list[Text]:
    text = Text(f" {layout.ELLIPSIS} and {count:,} more {noun}{'' if count == 1 else 's'}", theme.FAINT)
    return [layout.crop_text(text, width)] if count > 0 else []


def _leaves(trace: report.Trace, width: int) -> list[Text]:
    """A table of those that got one, and a sentence of the others."""
    columns = [Column("leaf", least=24), Column("tensor", 2), Column("norm", 0, right=True), Column("", 1, least=8)]
    reached = [leaf for leaf in trace.gradients if leaf.reached]
    others = [leaf.name or _UNNAMED for leaf in trace.gradients if not leaf.reached]
    most = len(reached) if trace.all else LINES
    rows = [
        [
            Text(safe_line(leaf.name or _UNNAMED)),
            Text(f"{leaf.dtype} {units.shape(leaf.shape)} {leaf.device}", theme.SHAPE),
            Text("" if leaf.norm is None else f"{float(leaf.norm):.4g}"),
            Text(_said(leaf), theme.FLAG),
        ]
        for leaf in reached[:most]
    ]
    lines = [
        *(layout.table(columns, rows, width=width) if rows else []),
        *_more(len(reached) - most, "gradient", width),
    ]
    if others:
        names = layout.listed([safe_line(name) for name in others], most=len(others) if trace.all else 8, width=NAME)
        lines += map(Text, layout.wrap(f" no gradient: the result does not depend on {names}", width, indent=" "))
    return lines


def _said(leaf: report.Gradient) -> str:
    """What is remarkable in a gradient."""
    counts = [f"{count:,} {name}" for count, name in ((leaf.nan, "nan"), (leaf.inf, "inf")) if count]
    return ", ".join(counts) or ("all 0" if leaf.norm == 0 else "")


@dataclass
class _Function:
    """One of the graph's, or several in a row, and what these go on to."""

    text: str
    depth: int
    count: int
    below: list["_Function"] = field(default_factory=list)


def _graph(trace: report.Trace, width: int) -> list[Text]:
    """A tree; a function that goes on to a single one has it at its right where there is room."""
    waiting = [("", "", root) for root in reversed(_tree(trace, width))]
    lines: list[Text] = []
    shown = 0
    while waiting:
        branch, stem, function = waiting.pop()
        if (len(lines) >= LINES and not trace.all) or len(branch) > width // 2:
            continue
        lines.append(layout.crop_text(Text(f" {branch}", theme.FAINT).append(function.text, theme.PLAIN), width))
        shown += function.count
        last = len(function.below) - 1
        waiting += [
            (stem + ("└ " if i == last else "├ "), stem + ("  " if i == last else "│ "), function.below[i])
            for i in range(last, -1, -1)
        ]
    return lines + _more(sum(_counted(trace.functions)) - shown, "function", width)


def _counted(functions: tuple[report.GraphFunction, ...]) -> list[int]:
    """How many functions each stands for: none for a leaf, and for what stood above already."""
    seen: set[int] = set()
    counts = []
    for each in functions:
        counts.append(0 if each.name == _LEAF or each.place in seen else each.count)
        seen |= {each.place} if each.place is not None else set()
    return counts


def _tree(trace: report.Trace, width: int) -> list[_Function]:
    names = {leaf.place: leaf.name for leaf in trace.gradients}
    uses = Counter(each.place for each in trace.functions if each.name != _LEAF)
    shared = [place for place, count in uses.items() if count > 1]
    functions = []
    for each, count in zip(trace.functions, _counted(trace.functions), strict=True):
        text = layout.crop(safe_line(names.get(each.place) or "a leaf"), NAME) if each.name == _LEAF else each.name
        text += f" x {each.count:,}" if each.count > 1 else ""
        if each.place in shared:
            text += f" ({shared.index(each.place) + 1}{'' if count else ', see above'})"
        functions.append((each.place, _Function(safe_line(text), each.depth, count)))
    tree = [function for place, function in functions if place is not None]
    above: list[_Function] = []
    for function in tree:
        del above[function.depth :]
        if above:
            above[-1].below.append(function)
        above.append(function)
    for function in reversed(tree):
        if len(function.below) == 1:
            (next_,) = function.below
            text = f"{function.text} ─ {next_.text}"
            if 1 + 2 * function.depth + len(text) <= width:
                function.text, function.count, function.below = text, function.count + next_.count, next_.below
    return [function for function in tree if function.depth == 0]
