"""Text laid out in a given width: cropping, folding, wrapping, and tables whose least important columns go first."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from tensorcli.render import theme

TAB = 8
ELLIPSIS = "…"


def block(lines: Iterable[Text]) -> Text:
    """Lines as one text."""
    return Text("\n").join(lines)


def crop(text: str, width: int) -> str:
    """The text in at most `width` cells; an ellipsis stands for what was cut."""
    if cell_len(text[: width + 1]) <= width and len(text) <= width:
        return text
    if width < 1:
        return ""
    if cell_len(text[: 2 * width + 2]) <= width and len(text) <= 2 * width + 2:  # zero-width characters
        return text
    return text[: _fitting(text, width - 1)] + ELLIPSIS


def crop_text(text: Text, width: int) -> Text:
    """As `crop`, of styled text."""
    if text.cell_len <= width:
        return text
    cropped = text[: _fitting(text.plain, max(0, width - 1))]
    return cropped.append(ELLIPSIS) if width > 0 else cropped


def fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken after a space where there is one; nothing is lost. Tabs become spaces."""
    lines = []
    for line in text.split("\n"):
        line = line.expandtabs(TAB)
        while len(line) > width or cell_len(line) > width:
            end = max(1, _fitting(line, width))
            if end >= len(line):
                break
            end = line.rfind(" ", 0, end) + 1 or end
            lines.append(line[:end])
            line = line[end:]
        lines.append(line)
    return lines


def wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """Lines of at most `width` cells, broken between words; every line after the first begins with `indent`."""
    lines: list[str] = []
    for line in text.split("\n"):
        line = (indent if lines else "") + line.expandtabs(TAB).rstrip()
        while len(line) > width or cell_len(line) > width:
            end = max(1, _fitting(line, width))
            if end >= len(line):
                break
            start = len(line) - len(line.lstrip())
            space = line.rfind(" ", start, end + 1)
            cut = space if space > 0 else end
            rest = line[cut:].lstrip()
            if not rest:
                break
            lines.append(line[:cut].rstrip())
            line = (indent if len(indent) < width - 1 else "") + rest
        lines.append(line)
    return lines


def one_line(text: str) -> str:
    """The text with every run of white space made one space."""
    return re.sub(r"\s+", " ", text).strip()


def listed(names: Sequence[str], *, most: int = 3, width: int = 24) -> str:
    """Names in a row, each cropped, a long list cut: "a, b and 7 more"."""
    if len(names) > most:
        return f"{', '.join(crop(name, width) for name in names[: most - 1])} and {len(names) - most + 1:,} more"
    return ", ".join(crop(name, width) for name in names)


@dataclass(frozen=True)
class Part:
    """A piece of a line. The least important goes first where a line is too long; importance 0 never goes."""

    text: str
    style: str = theme.PLAIN
    importance: int = 0
    before: str = " "  # what parts it from the one before


def line(parts: Sequence[Part], width: int, *, right: str = "") -> Text:
    """Parts in a row, as many as `width` allows; `right` stands at the right edge where there is room."""
    kept = [part for part in parts if part.text]
    while len(kept) > 1 and _row_width(kept) > width:
        spare = max(reversed(kept), key=lambda part: part.importance)
        if spare.importance == 0:
            break
        kept.remove(spare)
    text = Text()
    for place, part in enumerate(kept):
        text.append(part.before if place else "", theme.FAINT if part.before.strip() else theme.PLAIN)
        text.append(part.text, part.style)
    text = crop_text(text, width)
    free = width - text.cell_len - cell_len(right)
    if right and free >= 2:
        text.append(" " * free).append(right, theme.FAINT)
    return text


def _row_width(parts: Sequence[Part]) -> int:
    return sum(cell_len(part.text) + len(part.before) for part in parts) - len(parts[0].before)


def _fitting(text: str, width: int) -> int:
    """How many characters of the text fit in `width` cells."""
    if text[:width].isascii():
        return min(width, len(text))
    used, end = 0, len(text)
    for place, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            end = place
            break
    # A variation selector can make the character before it wider than it is by itself.
    while end > 0 and cell_len(text[:end]) > width:
        end -= 1
    return end


@dataclass(frozen=True)
class Column:
    """A column of a table. Narrow tables lose the least important columns; `least` is how far one may shrink."""

    title: str
    importance: int = 0  # 0 never goes; the largest goes first
    right: bool = False
    least: int | None = None  # cells; None cannot shrink
    after: int = 99  # it shrinks once the columns of a greater importance are gone; the largest shrinks first


def table(columns: Sequence[Column], rows: Sequence[Sequence[Text]], *, width: int, heads: bool = True) -> list[Text]:
    """Rows aligned in columns in at most `width` cells; a column without any text is left out."""
    shown = [i for i in range(len(columns)) if any(row[i].plain for row in rows)]
    natural = {i: max([cell_len(columns[i].title) if heads else 0, *(row[i].cell_len for row in rows)]) for i in shown}
    widths = _shrunk(columns, natural, width - 1)
    lines = [_row(columns, [Text(column.title, theme.TITLE) for column in columns], widths, width)] if heads else []
    return lines + [_row(columns, row, widths, width) for row in rows]


def _shrunk(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int]:
    """The columns that stay and their widths: first the least important ones shrink, then they go."""
    kept = sorted(natural, key=lambda i: columns[i].importance)
    while True:
        widths = {i: natural[i] for i in kept}
        for i in sorted(kept, key=lambda i: (columns[i].after, columns[i].importance, i), reverse=True):
            least, waits = columns[i].least, columns[kept[-1]].importance > columns[i].after
            over = sum(widths.values()) + 2 * (len(kept) - 1) - width
            if least is not None and over > 0 and not waits:
                widths[i] = max(min(least, widths[i]), widths[i] - over)
        over = sum(widths.values()) + 2 * (len(kept) - 1) - width
        if over <= 0 or not kept or columns[kept[-1]].importance == 0:
            return dict(sorted(widths.items()))
        kept.pop()


def _row(columns: Sequence[Column], cells: Sequence[Text], widths: dict[int, int], width: int) -> Text:
    text = Text(" ")
    for place, (i, size) in enumerate(widths.items()):
        cell = crop_text(cells[i], size)
        padding = " " * (size - cell.cell_len)
        text.append("  " if place else "")
        if columns[i].right:
            text.append(padding).append_text(cell)
        else:
            text.append_text(cell).append(padding)
    text.rstrip()
    return crop_text(text, width)
