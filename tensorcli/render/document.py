"""Documentation, and the ways to call a function."""

from rich.text import Text

from tensorcli import report
from tensorcli.render import layout, theme
from tensorcli.render.layout import Part
from tensorcli.render.safe import safe, safe_line
from tensorcli.render.tensor import render_tensor, render_value


def render_documentation(found: report.Documentation, *, width: int) -> Text:
    """What it is and how it is called, its value, then its documentation and its source."""
    name, type_ = safe_line(found.name), safe_line(found.type)
    lines = [layout.line([Part(name, theme.NAME), Part(type_, theme.TYPE, 1, before="  ")], width)]
    if isinstance(found.value, report.Tensor):
        lines.append(render_tensor(found.value, width=width))
    elif found.value is not None:
        lines.append(render_value(found.value, width=width))
    for way in found.signatures:
        lines += [_styled(line, way.function) for line in layout.wrap(written(way), width, indent="    ")]
    for text in filter(None, (found.text, found.definition)):
        lines += [Text(), *(Text(line) for part in safe(text).rstrip().split("\n") for line in _kept(part, width))]
    return layout.block(lines)


def render_signatures(found: report.Signatures, *, width: int) -> Text:
    """A line for each way to call it."""
    return layout.block(Text(line) for way in found.items for line in layout.wrap(written(way), width, indent="    "))


def written(way: report.Overload) -> str:
    """A signature as one line: `sum(input, *, dtype=None) -> Tensor`."""
    returns = f" -> {way.returns}" if way.returns else ""
    return safe_line(f"{way.function}({', '.join(way.parameters)}){returns}")


def _styled(line: str, function: str) -> Text:
    text = Text(line)
    if line.startswith(function):
        text.stylize(theme.NAME, 0, len(function))
    return text


def _kept(line: str, width: int) -> list[str]:
    """A line broken between words, with its margin."""
    line = line.expandtabs(4)
    margin = line[: len(line) - len(line.lstrip())][: width // 2]
    return [margin + part for part in layout.wrap(line.strip(), width - len(margin))]
