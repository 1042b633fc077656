"""A failure on the screen: what happened, where in the text, with which operands, and what to do."""

import difflib
from dataclasses import dataclass
from itertools import accumulate, takewhile

from rich.cells import cell_len
from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column
from tensorcli.render.safe import safe, safe_line

MARGIN = "    "
TAB = 4
BEFORE, AFTER = 2, 1  # lines of the source shown around the span
HEAD, TAIL = 4, 2  # lines of a long span shown at its beginning and end
MOST_LINES = 4  # of a suggestion
LONGEST = 500  # characters of a suggestion's line
WIDE = 2000  # cells: more than any screen
MESSAGE_LINES = 8  # of torch's message
NOT_RUN_LINES = 3
WITHOUT_MESSAGE = {"name", "syntax", "refused", "interrupted"}  # the title says all that Python's message does


def render_diagnosis(diagnosis: report.Diagnosis, *, width: int) -> Text:
    """Title and code, the source with the span underlined, operands, torch's message, suggestions, notes."""
    parts = [
        _source(diagnosis, width),
        _operands(diagnosis.operands, width) or _operands(diagnosis.variables, width),
        _message(diagnosis, width),
        _suggestions(diagnosis, width),
        _notes(diagnosis, width),
    ]
    lines = _title(diagnosis, width)
    for part in parts:
        if part:
            # Operands belong to the source above them; everything else stands apart.
            lines += part if part is parts[1] and parts[0] else [Text(), *part]
    return layout.block(lines)


def render_explanation(page: report.Explanation, *, width: int) -> Text:
    """The rule, an example as it is typed, and what is said of it."""
    head = [Text(part) for part in layout.wrap(f"{safe_line(page.code)}: {safe(page.rule)}", width, indent="  ")]
    head[0].stylize(theme.NAME, 0, len(safe_line(page.code)))
    typed = []
    for line in safe(page.example).split("\n"):
        prompt = "... " if line.startswith((" ", "\t")) else ">>> "
        typed.append(layout.crop_text(Text(prompt + line), width))
    lines = [*head, Text(), *typed]
    if page.diagnosis is not None:
        lines.append(render_diagnosis(page.diagnosis, width=width))
    return layout.block(lines)


def _title(diagnosis: report.Diagnosis, width: int) -> list[Text]:
    label = "" if diagnosis.category == "interrupted" else "error: "
    code = safe_line(diagnosis.code)
    title = safe(diagnosis.title).strip() or code
    lines = [Text(part) for part in layout.wrap(label + title, width, indent="  ")]
    lines[0].stylize(theme.ERROR, 0, len(label) or len(lines[0]))
    if code in (title, "") or cell_len(code) > width:
        return lines
    if lines[-1].cell_len + 2 + cell_len(code) > width:
        lines.append(Text())
    lines[-1].append(" " * (width - lines[-1].cell_len - cell_len(code))).append(code, theme.FAINT)
    return lines


# The source.


def _source(diagnosis: report.Diagnosis, width: int) -> list[Text]:
    source, span = diagnosis.within or diagnosis.source, diagnosis.span
    lines = []
    place = safe_line(diagnosis.location or "")
    if diagnosis.within:
        place = f"{place}: " if place else ""
        place += f"in {safe_line(diagnosis.function)}" if diagnosis.function else "in a function of an earlier input"
        place += f", line {span.line}" if span and "\n" in diagnosis.within else ""
    lines += _calls(diagnosis, width)
    if place:
        lines += [Text(part, theme.FAINT) for part in layout.wrap(f"  {place}", width, indent="    ")]
    if not source or not source.strip():
        return lines
    # Only \n ends a line, as in Python's own count of them; \r is shown as what it is.
    written = source.rstrip("\n").split("\n")
    if span is None:
        shown = [i for i in range(len(written)) if i < HEAD or i >= len(written) - 1]
        span = report.Span(line=0, column=0, end_line=0, end_column=0, text="")
    else:
        shown = _shown(span, len(written))
    previous = shown[0]
    for i in shown:
        if i > previous + 1:
            left_out = f"{MARGIN}... {units.plural(i - previous - 1, 'more line')}"
            lines.append(layout.crop_text(Text(left_out, theme.FAINT), width))
        lines += _underlined(written[i], _columns(span, i + 1, written[i]), width)
        previous = i
    return lines


def _calls(diagnosis: report.Diagnosis, width: int) -> list[Text]:
    """What led to the failure, a line for each call; nothing where it is the call that was typed, and no other."""
    if len(diagnosis.calls) < 2:
        return []
    lines = []
    for call in diagnosis.calls:
        text = "  " + (f"in {safe_line(call.function)}" if call.function else "")
        text += f", line {call.line}" if call.line and call.function else f"line {call.line}" if call.line else ""
        text += (": " if text.strip() else "") + _written(call.text)
        if not call.text:
            text = f"  ... {units.plural(call.times, 'more call')}"
        elif call.times > 1:
            text += f", {call.times:,} times"
        lines.append(layout.crop_text(Text(text, theme.FAINT), width))
    return lines


def _shown(span: report.Span, count: int) -> list[int]:
    """The numbers, from 0, of the lines to show: the span's, or the ends of a long one, and some around it."""
    first = min(max(span.line - 1, 0), count - 1)
    last = min(max(span.end_line - 1, first), count - 1)
    lines = range(max(0, first - BEFORE), min(count, last + 1 + AFTER))
    return [i for i in lines if i < first + HEAD or i > last - TAIL]


def _columns(span: report.Span, number: int, text: str) -> tuple[int, int] | None:
    """Which characters of a line lie in the span; None on lines outside it. At least one, even past the end."""
    if not span.line <= number <= max(span.line, span.end_line):
        return None
    indent = len(text) - len(text.lstrip())
    start = span.column if number == span.line else indent
    end = span.end_column if number == span.end_line else len(text.rstrip())
    start = min(max(start, 0), len(text))
    return start, max(min(end, len(text)), start + 1)


@dataclass(frozen=True)
class _Cell:
    """One character of a line as it is shown, and how wide that is."""

    text: str
    size: int
    marked: bool


def _underlined(text: str, columns: tuple[int, int] | None, width: int) -> list[Text]:
    """A line of source, cut around its marked columns, and the carets below them."""
    room = max(8, width - len(MARGIN))
    start, end = columns or (0, 0)
    first = max(0, start - room) if len(text) > 4 * room else 0
    cells = _cells(text, first, min(max(len(text), end), first + 4 * room), start, end)
    cells, cut_left, cut_right = _window(cells, room)
    cut_left, cut_right = cut_left or first > 0, cut_right or first + 4 * room < len(text)
    shown, carets = Text(MARGIN), MARGIN
    if cut_left:
        shown.append(layout.ELLIPSIS, theme.FAINT)
        carets += " "
    for cell in cells:
        shown.append(cell.text, theme.SPAN if cell.marked and cell.text.strip() else theme.PLAIN)
        carets += ("^" if cell.marked else " ") * cell.size
    shown.rstrip()
    if cut_right:
        shown.append(layout.ELLIPSIS, theme.FAINT)
    lines = [layout.crop_text(shown, width)]
    return [*lines, Text(carets.rstrip()[:width], theme.SPAN)] if columns else lines


def _cells(text: str, first: int, last: int, start: int, end: int) -> list[_Cell]:
    cells: list[_Cell] = []
    used = 0
    for i in range(first, last):
        character = text[i] if i < len(text) else " "
        shown = " " * (TAB - used % TAB) if character == "\t" else safe_line(character)
        before = "".join(cell.text for cell in cells[-2:])  # what this one may join, or make wider
        size = cell_len(before + shown) - cell_len(before)
        cells.append(_Cell(shown, size, start <= i < end))
        used += size
    return cells


def _window(cells: list[_Cell], room: int) -> tuple[list[_Cell], bool, bool]:
    """As many cells as fit in `room` with an ellipsis on each cut side, the marked ones' beginning among them."""
    if sum(cell.size for cell in cells) <= room:
        return cells, False, False
    room -= 2
    marked = [i for i, cell in enumerate(cells) if cell.marked]
    first, used = 0, 0
    if marked:
        # Begin early enough to have some text before the span, late enough to reach its end where that can be.
        to_end = sum(cell.size for cell in cells[: marked[-1] + 1])
        if to_end > room:
            first = marked[0]
            lead = max(room // 3, room - sum(cell.size for cell in cells[marked[0] : marked[-1] + 1]))
            while first > 0 and used + cells[first - 1].size <= min(lead, room * 2 // 3):
                first -= 1
                used += cells[first].size
    last, used = first, 0
    while last < len(cells) and used + cells[last].size <= room:
        used += cells[last].size
        last += 1
    return cells[first:last], first > 0, last < len(cells)


# What stands below it.


def _operands(operands: tuple[report.Operand, ...], width: int) -> list[Text]:
    columns = [Column("", least=6), Column("", 1), Column("", 2, least=12)]
    rows = [
        [Text(_written(operand.text)), _facts(operand), Text(safe_line(operand.note or ""), theme.FAINT)]
        for operand in operands
        if operand.shape is not None or operand.dtype or operand.device or operand.note
    ]
    return _indented(layout.table(columns, rows, width=width - len(MARGIN) + 1, heads=False))


def _suggestions(diagnosis: report.Diagnosis, width: int) -> list[Text]:
    """A line for each, where all fit; else each one's text first, whole, and below it what it gives and why."""
    rows = [_suggestion(number, each, diagnosis) for number, each in enumerate(diagnosis.suggestions, 1)]
    if all(len(text) == 1 for _, text, _, _ in rows):
        columns = [Column(""), Column(""), Column("", 1), Column("", 2)]
        table = layout.table(columns, [[head, *text, *rest] for head, text, *rest in rows], width=WIDE, heads=False)
        lines = [Text(" ").append_text(line) for line in table]
        if max((line.cell_len for line in lines), default=0) <= width:
            return lines
    lines = []
    for head, text, facts, title in rows:
        for i, line in enumerate(text):
            start = Text("  ").append_text(head if i == 0 else Text(" " * head.cell_len)).append("  ")
            lines += _wrapped(line, start, width)
        below = Text("  ").join(part for part in (facts, title) if part)
        lines += _wrapped(below, Text(" " * (head.cell_len + 4)), width) if below else []
    return lines


def _suggestion(
    number: int, suggestion: report.Suggestion, diagnosis: report.Diagnosis
) -> tuple[Text, list[Text], Text, Text]:
    """Its number, its lines with what is new in them marked, what it gives, and why."""
    head = Text(f"{'try' if number == 1 else '   '}  {number}", theme.ADVICE)
    before = [*diagnosis.source.split("\n"), *(diagnosis.within or "").split("\n")] if diagnosis.source else []
    whole = suggestion.source.split("\n")
    lines = [line for line in whole if line not in before][:MOST_LINES] or suggestion.edit.split("\n")[:MOST_LINES]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    shown = [_marked(line[margin:], [one.strip() for one in before]) for line in lines]
    facts = _facts(suggestion.result)
    if len(lines) < len(whole) and facts:
        facts = Text("gives ", theme.FAINT).append_text(facts)
    return head, shown, facts, Text(safe_line(suggestion.title), theme.FAINT)


def _marked(line: str, before: list[str]) -> Text:
    """A line with the piece marked in which it differs from the line that it is most like."""
    shown = safe_line(line[:LONGEST])
    like = difflib.get_close_matches(line.strip(), before, n=1)
    text = Text(shown, theme.ADVICE)
    if like:
        old = safe_line(like[0])
        start = _common(shown, old)
        end = _common(shown[start:][::-1], old[start:][::-1])
        text.stylize(theme.CHANGED, start, len(shown) - end)
    return text


def _common(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _wrapped(text: Text, start: Text, width: int) -> list[Text]:
    """A text behind a beginning, broken where it is longer than the width: nothing of it is lost."""
    pieces = layout.fold(text.plain, max(width - start.cell_len, 8))
    offsets = list(accumulate(len(piece) for piece in pieces))[:-1]
    margin = Text(" " * start.cell_len)
    lines = [(margin if i else start).copy().append_text(part) for i, part in enumerate(text.divide(offsets))]
    for line in lines:
        line.rstrip()
    return lines


def _indented(lines: list[Text]) -> list[Text]:
    return [Text(MARGIN[1:]).append_text(line) for line in lines if line.plain.strip()]


def _written(code: str) -> str:
    return safe_line(layout.one_line(code[:1000]))


def _facts(item: report.Operand | report.Result) -> Text:
    facts = [
        (safe_line(item.dtype or ""), theme.DTYPE),
        ("" if item.shape is None else units.shape(item.shape), theme.SHAPE),
        (safe_line(item.device or ""), theme.DEVICE),
    ]
    return Text(" ").join(Text(text, style) for text, style in facts if text)


def _message(diagnosis: report.Diagnosis, width: int) -> list[Text]:
    """torch's or Python's own message, where it says more than the title."""
    message, title = safe((diagnosis.torch or "").strip()), layout.one_line(diagnosis.title).lower()
    if not message or diagnosis.category in WITHOUT_MESSAGE or layout.one_line(message).lower().rstrip(".") in title:
        return []
    return [Text(line, theme.FAINT) for line in _bounded(layout.wrap(f"  message: {message}", width, indent="    "))]


def _bounded(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MESSAGE_LINES else [*lines[: MESSAGE_LINES - 1], "    ..."]


def _notes(diagnosis: report.Diagnosis, width: int) -> list[Text]:
    notes = [f"  note: {safe(note)}" for note in diagnosis.notes]
    notes += [f"  not run: {_not_run(diagnosis.not_run.splitlines())}"] if diagnosis.not_run else []
    notes += [f"  lesson: {safe_line(diagnosis.reference)}"] if diagnosis.reference else []
    return [Text(part, theme.ADVICE) for note in notes for part in layout.wrap(note, width, indent="    ")]


def _not_run(lines: list[str]) -> str:
    """The lines that were not run; of more than a few the first, and how many there are."""
    if len(lines) > NOT_RUN_LINES:
        lines = [lines[0], f"and {len(lines) - 1:,} more lines"]
    return safe_line("; ".join(lines))
