"""A report to what Rich draws of it, one module for each kind; no input or output, no clock."""

from typing import TYPE_CHECKING, assert_never

from tensorcli import report as reports
from tensorcli.render.devices import render_devices, render_settings
from tensorcli.render.diagnosis import render_diagnosis, render_explanation
from tensorcli.render.document import render_documentation, render_signatures
from tensorcli.render.tensor import render_names, render_tensor, render_value
from tensorcli.render.text import (
    render_completions,
    render_judged,
    render_notice,
    render_output,
    render_progress,
    render_undone,
)
from tensorcli.render.trace import render_trace
from tensorcli.report import AnyReport

if TYPE_CHECKING:
    from rich.console import RenderableType

LEAST_WIDTH = 16


def render(report: AnyReport, *, width: int) -> "RenderableType":
    """What to draw of a report, no line of it wider than `width` cells (16 at least); "" where there is nothing."""
    width = max(width, LEAST_WIDTH)
    match report:
        case reports.Tensor():
            return render_tensor(report, width=width)
        case reports.Value():
            return render_value(report, width=width)
        case reports.Names():
            return render_names(report, width=width)
        case reports.Output():
            return render_output(report, width=width)
        case reports.Loaded(text=""):
            return ""
        case reports.Notice() | reports.Loaded():
            return render_notice(report, width=width)
        case reports.Undone():
            return render_undone(report, width=width)
        case reports.Judged():
            return render_judged(report, width=width)
        case reports.Nothing():
            return ""
        case reports.Diagnosis():
            return render_diagnosis(report, width=width)
        case reports.Explanation():
            return render_explanation(report, width=width)
        case reports.Trace():
            return render_trace(report, width=width)
        case reports.Plot():
            from tensorcli.render.plot import render_plot  # rarely needed

            return render_plot(report, width=width)
        case reports.Benchmark() | reports.Timing():
            from tensorcli.render import bench  # rarely needed

            if isinstance(report, reports.Timing):
                return bench.render_timing(report, width=width)
            return bench.render_bench(report, width=width)
        case reports.Devices():
            return render_devices(report, width=width)
        case reports.Settings():
            return render_settings(report, width=width)
        case reports.Completions():
            return render_completions(report, width=width)
        case reports.Signatures():
            return render_signatures(report, width=width)
        case reports.Documentation():
            return render_documentation(report, width=width)
        case reports.Progress():
            return render_progress(report, width=width)
        case _:
            assert_never(report)
