"""The only printing: reports to a terminal or a file, drawn, or as lines of JSON."""

import io
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tensorcli import wire
from tensorcli.config import Background
from tensorcli.report import AnyReport, Diagnosis, Nothing, Output, Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

DEFAULT_WIDTH = 80
BELOW = 3  # lines of a terminal that an answer leaves to the prompt and its toolbar

# What stands for our own drawing on a stream that cannot encode it; sparklines are left out.
_ASCII = str.maketrans("│─└├┌┐┘┤┬┴┼╭╮╰╯█…", "|-`|..'|--+..''#~")
_DOTS = re.compile("[\u2800-\u28ff]")  # of plots: each is eight, and a star stands for any
_STYLE = re.compile(r"\x1b\[[\d;]*m")
_SPARKLINE = re.compile(r"(?:^| {3})(\x1b\[[\d;]*m)?[▁-█]*[▁-▇][▁-█]*(\x1b\[0m)?$", re.MULTILINE)


class Screen:
    """Where reports are shown: results on stdout, diagnoses and progress on stderr, or JSON lines on stdout.

    `color` None means: where the stream is a terminal that wants it. `width` None follows the terminal, as it is
    at each report. `background` says what colours are drawn on. BrokenPipeError and other errors of the streams are the
    caller's. `svg` and `html` are files that `close` writes.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        color: bool | None = None,
        width: int | None = None,
        background: Callable[[], Background] = lambda: "dark",
        svg: Path | None = None,
        html: Path | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self._json, self._color, self._given_width = json, color, width
        self._out: TextIO = stdout or sys.stdout or io.StringIO()
        self._err: TextIO = stderr or sys.stderr or io.StringIO()
        self._background = background
        self._consoles: dict[Background | None, Console] = {}
        self._line_is_open = False  # the last output ended within a line
        self._progress_cells = 0
        self._exit_code = 0
        self._svg, self._html = svg, html
        self._shown: list[AnyReport] = []  # what there is to save

    @property
    def exit_code(self) -> int:
        """0; 1 once a diagnosis was shown; 130 once one of an interruption was."""
        return self._exit_code

    @property
    def width(self) -> int:
        """The width to draw in: as given, else COLUMNS, else the terminal's, else 80."""
        return self._given_width or _columns() or _terminal_width(self._out) or DEFAULT_WIDTH

    @property
    def at_line_start(self) -> bool:
        """Whether the next output begins a line: the last one ended its own."""
        return not self._line_is_open

    def show(self, report: AnyReport, *, paged: bool = False) -> None:
        """Print a report, at once; one that may be `paged`, in the user's pager where it does not fit on the terminal.

        Raises BrokenPipeError where the reader has left.
        """
        if isinstance(report, Diagnosis):
            code = 130 if report.category == "interrupted" else 1
            self._exit_code = max(self._exit_code, code)
        if (self._svg or self._html) and not isinstance(report, Progress):
            last = self._shown[-1] if self._shown else None
            if isinstance(report, Output) and isinstance(last, Output):  # a line may come in pieces
                self._shown[-1] = Output(text=last.text + report.text)
            else:
                self._shown.append(report)
        if self._json:
            self._show_json(report)
        elif isinstance(report, Progress):
            self._show_progress(report)
        else:
            self._erase_progress()
            self._show_drawn(report, paged=paged)

    def progress(self, progress: Progress) -> str:
        """A line that says how far something is, for who draws it; empty once it is over."""
        if progress.done >= progress.total:
            return ""
        from tensorcli.render import render

        # One column less: a full line would make some terminals begin another.
        return self._drawn(render(progress, width=self.width - 1), self._err)

    def end_line(self) -> None:
        """Begin a new line where the last output ended within one: a prompt may follow."""
        self._erase_progress()
        if self._line_is_open:
            self._write(self._out, "\n")
        self._line_is_open = False

    def close(self) -> int:
        """Write the files asked for, each with all that was shown; the exit code. Raises OSError."""
        if self._svg:
            # Without Rich's reference to a font on the internet: a saved screen asks nobody for anything.
            text = self._recorded("dark").export_svg(title="tensorcli", code_format=_without_fonts())
            self._svg.write_text(text, encoding="utf-8")
        if self._html:
            self._html.write_text(self._recorded("light").export_html(inline_styles=True), encoding="utf-8")
        return self.exit_code

    def _recorded(self, background: Background) -> "Console":
        """A console on which all stands that was shown, as in a terminal of this width and background."""
        from rich.console import Console

        from tensorcli.render import render

        colors = {"color_system": "truecolor"} if self._color is not False else {}
        options = self._options(None if self._color is False else background) | colors
        console = Console(record=True, **options, file=io.StringIO())
        for report in self._shown:
            if not isinstance(report, Nothing):
                console.print(render(report, width=self.width), overflow="fold")
        return console

    def _show_json(self, report: AnyReport) -> None:
        if isinstance(report, Progress):
            return
        line = wire.encode(report)
        binary = getattr(self._out, "buffer", None)
        if binary is None:
            self._out.write(line.decode())
        else:
            self._out.flush()
            binary.write(line)
        self._out.flush()

    def _show_drawn(self, report: AnyReport, *, paged: bool) -> None:
        from tensorcli.render import render
        from tensorcli.render.safe import safe

        match report:
            case Output():  # as it was printed, in pieces that may end anywhere
                text = safe(report.text)
                if text:
                    self._write(self._out, text)
                    self._line_is_open = not text.endswith("\n")
                return
            case Nothing():
                return
        self.end_line()
        stream = self._err if isinstance(report, Diagnosis) else self._out
        text = self._drawn(render(report, width=self.width), stream)
        if text and not (paged and stream is self._out and self._page(text + "\n")):
            self._write(stream, text + "\n")

    def _page(self, text: str) -> bool:
        """Show a text in the user's pager; False where that cannot be, or need not."""
        if _lines(text, self.width) <= _terminal_height(self._out) - BELOW:
            return False
        from tensorcli import pager

        command = pager.command()
        return bool(command) and pager.page(text, command)

    def _drawn(self, drawing: "RenderableType", stream: TextIO) -> str:
        """A drawing as text, with escape codes where the stream takes colour."""
        from rich.text import Text

        color = wants_color(stream) if self._color is None else self._color
        if isinstance(drawing, str):
            return drawing
        if isinstance(drawing, Text) and not color:
            text = drawing.plain
        else:
            console = self._console(color=color)
            with console.capture() as capture:
                console.print(drawing, soft_wrap=isinstance(drawing, Text), width=self.width, end="")
            text = capture.get()
        return _drawn_for(stream, text.removesuffix("\n"))

    def _console(self, *, color: bool) -> "Console":
        background = self._background() if color else None
        if background not in self._consoles:
            from rich.console import Console

            self._consoles[background] = Console(**self._options(background), file=io.StringIO())
        return self._consoles[background]

    def _options(self, background: Background | None) -> dict[str, Any]:
        """What every console of ours is made with. Without a background there are no colours."""
        from rich.theme import Theme

        from tensorcli.render.theme import STYLES

        color = background is not None
        return {
            "theme": Theme(STYLES[background or "dark"]),
            "force_terminal": color,
            "color_system": _color_system() if color else None,
            "no_color": not color,
            "legacy_windows": False,
            "markup": False,
            "emoji": False,
            "highlight": False,
            "width": self.width,
            "_environ": {},
        }

    def _write(self, stream: TextIO, text: str) -> None:
        if not _can_encode(stream, text):
            text = text.encode(_encoding(stream), "backslashreplace").decode(_encoding(stream))
        if stream is self._err:
            self._out.flush()
        stream.write(text)
        stream.flush()

    # One line on a terminal's stderr, written over itself and gone before anything else is shown.

    def _show_progress(self, progress: Progress) -> None:
        if not _is_terminal(self._err):
            return
        if self._line_is_open or progress.done >= progress.total:
            self.end_line()
        if text := self.progress(progress):
            self._write(self._err, "\r" + " " * self._progress_cells + "\r" + text)
            self._progress_cells = self.width - 1

    def _erase_progress(self) -> None:
        if self._progress_cells:
            self._write(self._err, "\r" + " " * self._progress_cells + "\r")
            self._progress_cells = 0


def _without_fonts() -> str:
    from rich._export_format import CONSOLE_SVG_FORMAT

    return re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def _encoding(stream: TextIO) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _can_encode(stream: TextIO, text: str) -> bool:
    try:
        text.encode(_encoding(stream))
    except UnicodeEncodeError:
        return False
    return True


def _drawn_for(stream: TextIO, text: str) -> str:
    """A drawing as it is, or in ASCII where the stream has no boxes and bars."""
    if _can_encode(stream, text):
        return text
    lines = _DOTS.sub("*", _SPARKLINE.sub("", text)).translate(_ASCII).split("\n")
    return "\n".join(line.rstrip(" ") for line in lines)


def wants_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes colour: NO_COLOR is not set, TERM is not "dumb"."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not _is_terminal(stream):
        return False
    if sys.platform == "win32":
        from rich.console import detect_legacy_windows

        return not detect_legacy_windows()
    return True


def _color_system() -> str:
    """How many colours the terminal says it has: of pictures' colours it gets the nearest."""
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or sys.platform == "win32":
        return "truecolor"
    return "256" if "256" in os.environ.get("TERM", "") else "standard"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # no file, or a closed one
        return False


def _columns() -> int | None:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def _lines(text: str, width: int) -> int:
    """The lines that a text takes on a screen, about."""
    return sum(1 + max(0, len(_STYLE.sub("", line)) - 1) // width for line in text.splitlines())


def _terminal_height(stream: TextIO) -> float:
    """The lines of a terminal that can be drawn on; without end where there is none."""
    if os.environ.get("TERM") == "dumb" or not _is_terminal(stream):
        return math.inf
    try:
        return os.get_terminal_size(stream.fileno()).lines or math.inf
    except (OSError, ValueError, AttributeError):
        return math.inf


def _terminal_width(stream: TextIO) -> int | None:
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):  # not a terminal, closed, or no file
        return None
