"""The devices there are, and the session's settings."""

from collections.abc import Callable

from rich.text import Text

from tensorcli import report, units
from tensorcli.render import layout, theme
from tensorcli.render.layout import Column, Part
from tensorcli.render.safe import safe_line


def render_devices(devices: report.Devices, *, width: int) -> Text:
    """A row for each device, the default one marked, and why there is no CUDA where there is none."""
    columns = [
        Column("device"),
        Column("name", 1, least=22),
        Column("memory", 2, right=True),
        Column("free", 3, right=True),
        Column("use", 4, right=True),
        Column("temp", 6, right=True),
        Column("power", 7, right=True),
        Column("compute", 8),
        Column("driver", 9),
        Column("", 5),
    ]
    rows = [_row(device, default=devices.default) for device in devices.devices]
    lines = layout.table(columns, rows, width=width)
    if devices.no_cuda:
        wrapped = layout.wrap(f" no CUDA device: {safe_line(devices.no_cuda)}", width, indent=" ")
        lines += [Text(part) for part in wrapped]
    return layout.block(lines)


def render_settings(settings: report.Settings, *, width: int) -> Text:
    """One line: versions, device, dtype, threads, digits, seed."""
    parts = [
        (f"tensorcli {settings.version}", theme.NAME, 8),
        (f"torch {settings.torch}", theme.PLAIN, 7),
        (settings.device, theme.DEVICE, 0),
        (settings.dtype, theme.DTYPE, 1),
        (units.plural(settings.threads, "thread"), theme.PLAIN, 3),
        (units.plural(settings.precision, "digit"), theme.PLAIN, 4),
        (f"{settings.pretended} is pretended" if settings.pretended else "", theme.WARNING, 1),
        ("no CUDA" if settings.no_cuda else "", theme.FAINT, 5),
        (f"seed {settings.seed}", theme.PLAIN, 0),
        ("" if settings.torch_seed is None else f"torch's now {settings.torch_seed}", theme.PLAIN, 0),
        ("trusted: any Python may run" if settings.trust else "", theme.WARNING, 2),
    ]
    kept = [Part(safe_line(text), style, importance, before=" - ") for text, style, importance in parts if text]
    return layout.line(kept, width)


def _known(value: float | None, shown: Callable[[float], str]) -> Text:
    return Text("" if value is None else shown(value), theme.FAINT)


def _row(device: report.Device, *, default: str) -> list[Text]:
    return [
        Text(safe_line(device.device), theme.DEVICE),
        Text(safe_line(device.name or "")),
        _known(device.total_nbytes, units.nbytes),
        _known(device.free_nbytes, units.nbytes),
        _known(device.utilization, lambda value: f"{value:.0f} %"),
        _known(device.temperature, lambda value: f"{value:.0f} C"),
        _known(device.power_watts, lambda value: f"{value:.0f} W"),
        Text(safe_line(device.capability or "")),
        Text(safe_line(device.driver or "")),
        Text("default" if device.device in (default, f"{default}:0") else "", theme.ADVICE),
    ]
