"""What a text would give, as one line for the prompt."""

from collections.abc import Sequence

from rich.text import Text

from tensorcli import report
from tensorcli.render import layout
from tensorcli.render.layout import Part
from tensorcli.render.safe import safe_line
from tensorcli.render.tensor import headline

PARTED = "; "
LEAST = 16  # cells for one more result


def render_outlook(answers: Sequence[report.AnyReport], *, width: int) -> Text:
    """The results one after the other, as many as there is room for, or what would fail; "" where nothing is said."""
    for answer in answers:
        if isinstance(answer, report.Diagnosis):
            return layout.line([Part(layout.one_line(safe_line(answer.title)))], width)
    results = [answer for answer in answers if isinstance(answer, report.Tensor | report.Value)]
    text = Text()
    for place, result in enumerate(results):
        room = width - text.cell_len - len(PARTED)
        if place and room < LEAST:
            return layout.crop_text(text.append(PARTED + layout.ELLIPSIS), width)
        if place:
            text.append(PARTED)
        text.append_text(headline(result, width=room if place else width))
    return text
