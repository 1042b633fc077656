"""What is only text: printed output, notices, completions, progress."""

import re

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe, safe_line

BAR = 20  # cells


def render_output(output: report.Output, *, width: int) -> Text:
    """What was printed, folded at the width; the last newline is left out."""
    return layout.block(Text(part) for part in layout.fold(safe(output.text).removesuffix("\n"), width))


def render_undone(undone: report.Undone, *, width: int) -> Text:
    """What was taken back, a line for each of its statements, and what that took."""
    lines = [line for text in undone.texts for line in text.split("\n")]
    shown = [f"taken back: {lines[0]}", *(f"            {line}" for line in lines[1:5])] if lines else []
    more = [f"            and {units.plural(len(lines) - 5, 'more line')}"] if len(lines) > 5 else []
    text = "\n".join([*shown, *more, *filter(None, [undone.text])])
    return layout.block(Text(part) for line in safe(text).split("\n") for part in layout.fold(line, width))


def render_notice(notice: report.Notice | report.Loaded, *, width: int) -> Text:
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


def render_judged(judged: report.Judged, *, width: int) -> Text:
    """One word for each text."""
    words = ("may change something" if each else "changes nothing" for each in judged.may_change)
    return layout.block(Text(part) for word in words for part in layout.wrap(word, width, indent=""))


def render_progress(progress: report.Progress, *, width: int) -> Text:
    """How far it is, as one line: a bar, and the time that is left where that is known."""
    share = min(1.0, progress.done / progress.total) if progress.total > 0 else 0.0
    full = round(BAR * share)
    left = "" if progress.left is None else f"about {_left(progress.left)} left"
    parts = [
        Part(f"{100 * share:3.0f} %".rjust(5), theme.BAR),
        Part("█" * full + "░" * (BAR - full), theme.BAR, 2, before="  "),
        Part(left, importance=1, before="  "),
        Part(safe_line(progress.label), theme.FAINT, importance=3, before="  "),
    ]
    return layout.line(parts, width)


def _left(seconds: float) -> str:
    """ "45 s", "3 min", "2 h": no more digits than an estimate has."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(1.0, seconds):.0f} s"
