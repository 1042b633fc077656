"""Values on the screen: a header of facts, statistics, and the value's own text."""

from collections.abc import Sequence

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe, safe_line

BARS = "▁▂▃▄▅▆▇█"
MUCH_LARGER = 10  # times: a storage this much larger than the tensor on it is worth a word ...
MUCH_MEMORY = 1 << 20  # ... where it holds at least a mebibyte
INDENT = 2  # of what stands in a container


def render_tensor(tensor: report.Tensor, *, width: int) -> Text:
    """An assignment's one line; else header, statistics and values."""
    if tensor.name is not None:
        return layout.line([*_name(tensor.name, width), *_facts(tensor)], width)
    return layout.block(_whole(tensor, width))


def render_value(value: report.Value, *, width: int) -> Text:
    """An assignment's one line; else the value as Python's prompt has it, and below it the tensors that it holds."""
    if value.name is None:
        return layout.block(_whole(value, width))
    facts = _facts(value) if value.shape is not None else _type_and_text(value, width)
    return layout.line([*_name(value.name, width), *facts], width)


def headline(item: report.Tensor | report.Value, *, width: int) -> Text:
    """One line: the name, where there is one, and what the value is."""
    if item.name is not None:
        return render_tensor(item, width=width) if isinstance(item, report.Tensor) else render_value(item, width=width)
    if isinstance(item, report.Tensor) or item.shape is not None:
        return layout.line(_facts(item), width)
    return layout.line(_type_and_text(item, width), width)


def render_names(names: report.Names, *, width: int) -> Text:
    """The table of variables, and what they take in all."""
    if not names.items:
        kinds = safe_line(" or ".join(names.types))
        return layout.block(map(Text, layout.wrap(f"no names of type {kinds}" if kinds else "no names yet", width)))
    if names.brief:
        line = "  ".join(safe_line(item.name or "") for item in names.items)
        return layout.block(Text(part, theme.NAME) for part in layout.wrap(line, width, indent=""))
    columns = [
        Column("name", least=8),
        Column("type", 1, least=12),
        Column("shape", 2, least=12),
        Column("device", 5),
        Column("memory", 4, right=True),
        Column("", 6, least=12),
    ]
    rows = [_name_row(item, width) for item in names.items]
    return layout.block([*layout.table(columns, rows, width=width), layout.line(_total(names), width)])


def _total(names: report.Names) -> list[Part]:
    """What all of them take, and what else is taken."""
    held = units.nbytes(_memory(names.items) if names.nbytes is None else names.nbytes)
    storages = f" in {units.plural(names.storages, 'storage')}" if names.storages is not None else ""
    results = f", {units.nbytes(names.results_nbytes)} more in Out" if names.results_nbytes else ""
    process = f"; the process holds {units.nbytes(names.process_nbytes)}" if names.process_nbytes else ""
    return [
        Part(f" {units.plural(len(names.items), 'variable')}, {held}", theme.FAINT),
        Part(storages, theme.FAINT, 1, before=""),
        Part(results, theme.FAINT, 3, before=""),
        Part(process, theme.FAINT, 2, before=""),
    ]


def type_parts(item: report.Tensor | report.Value) -> list[Part]:
    """What a value is: a tensor's dtype, shape and device; anything else's type, and what an array has of these."""
    match item:
        case report.Tensor():
            return [
                Part(safe_line(item.dtype), theme.DTYPE),
                Part(units.shape(item.sizes or item.shape), theme.SHAPE),
                Part(safe_line(item.device), theme.DEVICE),
            ]
        case report.Value(shape=None):
            return [Part(safe_line(item.type), theme.TYPE)]
        case report.Value(shape=shape):
            return [
                Part(safe_line(item.type), theme.TYPE),
                Part(safe_line(item.dtype or ""), theme.DTYPE),
                Part(units.shape(shape or ()), theme.SHAPE),
            ]


def short_text(value: report.Value, width: int) -> str:
    """The beginning of a value's text, as one line."""
    return layout.crop(layout.one_line(safe(value.text[: 4 * width])), width)


def _name(name: str, width: int) -> list[Part]:
    return [Part(layout.crop(safe_line(name), width // 3), theme.NAME), Part("=")]


def _facts(item: report.Tensor | report.Value) -> list[Part]:
    """The header of a tensor or an array."""
    memory = "" if item.nbytes is None else units.nbytes(item.nbytes)
    return [*type_parts(item), Part(memory, theme.FAINT, 5, before="  "), *_flags(item)]


def _flags(item: report.Tensor | report.Value) -> list[Part]:
    """What is unusual about a value, in the order it is shown; the least telling have the largest importance."""
    shared = item.shares_memory_with
    if not isinstance(item, report.Tensor):
        return [_flag(_sharing(shared), 4)]
    base, stats = item.view_of, item.stats or report.Stats()
    held = item.storage_nbytes
    much = held >= MUCH_MEMORY and held >= MUCH_LARGER * item.nbytes
    strided = item.layout == "strided"
    return [
        _flag("" if strided else safe_line(item.layout), 2),
        _flag(f"view of {layout.crop(safe_line(base), 24)}" if base else "", 2),
        _flag(_sharing([name for name in shared if name != base]), 4),
        _flag("random" if item.drew_random else "", 6),
        _flag("requires grad" if item.requires_grad else "", 3),
        _flag("not contiguous" if strided and not item.contiguous else "", 7),
        _flag(f"on a storage of {units.nbytes(held)}" if much else "", 8),
        _flag(f"{stats.nan:,} nan" if stats.nan else "", 1),
        _flag(f"{stats.inf:,} inf" if stats.inf else "", 1),
    ]


def _flag(text: str, importance: int) -> Part:
    return Part(text, theme.FLAG, importance, before="  ")


def _sharing(names: Sequence[str]) -> str:
    return f"shares memory with {layout.listed([safe_line(name) for name in names])}" if names else ""


def _type_and_text(value: report.Value, width: int) -> list[Part]:
    """Type and text, or the text alone where it begins with the type: "int 5", "Linear(...)", "<function f>"."""
    text = short_text(value, width)
    short = value.type.rpartition(".")[2]
    speaks = text.removeprefix("<").startswith((f"{value.type}(", f"{short}(", f"{value.type} "))
    kind = [] if speaks or value.type == "NoneType" else type_parts(value)
    return [*kind, Part(text)]


def _whole(item: report.Tensor | report.Value, width: int) -> list[Text]:
    key = [Part(layout.crop(safe_line(item.key), width // 3), theme.NAME)] if item.key is not None else []
    time = "" if item.seconds is None else units.seconds(item.seconds)
    match item:
        case report.Tensor():
            header = layout.line([*key, *_facts(item)], width, right=time)
            return [header, *_statistics(item, width), *_text(item.text, width)]
        case report.Value(shape=None, items=None) if not key:
            return _text(item.text or item.type, width)
        case report.Value(shape=None, items=None):
            return [layout.line([*key, *_type_and_text(item, width)], width)]
        case report.Value(items=None):
            return [layout.line([*key, *_facts(item)], width, right=time), *_text(item.text, width)]
        case report.Value():
            header = layout.line([*key, *type_parts(item)], width, right=time)
            return [header, *_items(item.items or (), width)]


def _items(items: Sequence[report.Tensor | report.Value], width: int) -> list[Text]:
    inner = width - INDENT
    if inner < 12:
        return []
    return [Text(" " * INDENT).append_text(text) for item in items for text in _whole(item, inner)]


def _text(text: str, width: int) -> list[Text]:
    return [Text(part) for part in layout.fold(safe(text), width)] if text else []


def _statistics(tensor: report.Tensor, width: int) -> list[Text]:
    stats = tensor.stats
    if stats is None:
        return []
    whole = tensor.dtype.startswith(("int", "uint", "bool"))
    facts = [
        *((name, getattr(stats, name), place) for place, name in enumerate(("min", "max", "mean", "std"), 1)),
        ("zeros", stats.zeros, 6),
        *(
            ()
            if whole
            else (("nan", stats.nan, 5 if not stats.nan else 1), ("inf", stats.inf, 5 if not stats.inf else 1))
        ),
    ]
    parts = [
        Part(f"{name} {safe_line(units.number(value))}", importance=importance, before="  ")
        for name, value, importance in facts
        if value is not None
    ]
    parts.append(Part(sparkline(stats.histogram or ()), theme.BAR, 7, before="   "))
    lines = [layout.line(parts, width)]
    if stats.sampled is not None:
        sample = f"of a sample of {units.plural(stats.sampled, 'element')}"
        lines.append(layout.line([Part(sample, theme.FAINT)], width))
    return lines


def sparkline(counts: Sequence[int]) -> str:
    """Counts as a row of small bars; the largest is full height."""
    top = max(counts, default=0)
    return "".join(BARS[round(count / top * (len(BARS) - 1))] for count in counts) if top else ""


def _name_row(item: report.Tensor | report.Value, width: int) -> list[Text]:
    name = Text(safe_line(item.name or ""), theme.NAME)
    memory = Text("" if item.nbytes is None else units.nbytes(item.nbytes), theme.FAINT)
    shared = Text(_sharing(item.shares_memory_with).replace("memory ", "", 1), theme.FLAG)
    match item:
        case report.Tensor():
            dtype, shape, device = (Text(part.text, part.style) for part in type_parts(item))
            return [name, dtype, shape, device, memory, shared]
        case report.Value(shape=None):
            kind = Text(safe_line(item.type), theme.TYPE)
            return [name, kind, Text(), Text(), memory, Text(f"= {short_text(item, width)}")]
        case report.Value():
            kind = Text(f"{safe_line(item.type)} {safe_line(item.dtype or '')}".strip(), theme.TYPE)
            return [name, kind, Text(units.shape(item.shape or ()), theme.SHAPE), Text(), memory, shared]


def _memory(items: Sequence[report.Tensor | report.Value]) -> int:
    """The bytes that variables hold, what several share counted once."""
    counted: dict[str, int] = {}
    for item in items:
        if isinstance(item, report.Value) and item.items:
            continue  # what it holds may have names of its own
        held = (item.storage_nbytes if isinstance(item, report.Tensor) else 0) or item.nbytes or 0
        group = next((name for name in item.shares_memory_with if name in counted), item.name or "")
        counted[group] = max(counted.get(group, 0), held)
    return sum(counted.values())
