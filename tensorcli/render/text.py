"""What is only text: printed output, notices, completions, progress."""

import re

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe, safe_line


def render_output(output: report.Output, *, width: int) -> Text:
    """What was printed, folded at the width; the last newline is left out."""
    return layout.block(Text(part) for part in layout.fold(safe(output.text).removesuffix("\n"), width))


def render_notice(notice: report.Notice, *, width: int) -> Text:
    """A notice's sentences, wrapped between words; what stands in a column of its own keeps it."""
    lines = []
    for line in safe(notice.text).split("\n"):
        column = re.match(r"\S+  +", line)
        indent = " " * len(column[0]) if column and len(column[0]) < width // 2 else "  " if column else ""
        lines += layout.wrap(line, width, indent=indent)
    return layout.block(map(Text, lines))


def render_completions(completions: report.Completions, *, width: int) -> Text:
    """One completion a line, with what is known of it."""
    rows = [
        [Text(safe_line(item.text), theme.NAME), Text(safe_line(item.detail), theme.FAINT)]
        for item in completions.items
    ]
    columns = [Column("", least=8), Column("", 1, least=10)]
    return layout.block(layout.table(columns, rows, width=width, heads=False))


def render_progress(progress: report.Progress, *, width: int) -> Text:
    """How far it is, as one line."""
    share = f"{100 * progress.done // progress.total} %" if progress.total > 0 else ""
    steps = f"{units.integer(progress.done)}/{units.integer(progress.total)}"
    parts = [
        Part(share.rjust(5), theme.BAR),
        Part(steps, theme.FAINT, 1, before="  "),
        Part(safe_line(progress.label), importance=2, before="  "),
    ]
    return layout.line(parts, width)
