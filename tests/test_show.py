"""Where reports go and how: two streams, colour or none, lines of JSON, narrow encodings, progress."""

import io
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from samples import INTERRUPTED, LARGE, NASTY, SAMPLES, SIZES, TRACE, VIEW, A

from tensorcli import report as r
from tensorcli import wire
from tensorcli.show import Screen


class Stream(io.TextIOWrapper):
    """A text stream over bytes that may pass for a terminal."""

    def __init__(self, *, terminal: bool = False, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        self.terminal = terminal
        super().__init__(self.bytes, encoding=encoding, newline="\n")

    def isatty(self) -> bool:
        """Whether it passes for a terminal."""
        return self.terminal

    @property
    def text(self) -> str:
        """What was written and flushed."""
        return self.bytes.getvalue().decode(self.encoding)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown(*reports: r.AnyReport, terminal: bool = False, **options: object) -> tuple[str, str, Screen]:
    """What reports leave on stdout and stderr."""
    out, err = Stream(terminal=terminal), Stream(terminal=terminal)
    screen = Screen(stdout=out, stderr=err, **options)  # type: ignore[arg-type]
    for report in reports:
        screen.show(report)
    return out.text, err.text, screen


def test_results_are_on_stdout_and_diagnoses_on_stderr() -> None:
    out, err, screen = shown(A, SIZES, r.Nothing(), r.Notice(text="by the way"))
    assert out == "A = int64 [3, 2] cpu  48 B\nby the way\n"
    assert err.startswith("error: the inner sizes differ")
    assert err.endswith("lesson: matmul\n")
    assert screen.exit_code == 1


def test_exit_codes() -> None:
    assert shown(A)[2].exit_code == 0
    assert shown(SIZES, A)[2].exit_code == 1
    assert shown(INTERRUPTED, SIZES)[2].exit_code == 130
    assert shown(SIZES, json=True)[2].exit_code == 1


def test_everything_is_written_at_once() -> None:
    out = Stream()
    screen = Screen(stdout=out, stderr=Stream())
    screen.show(r.Output(text="half a li"))
    assert out.text == "half a li"
    screen.show(r.Output(text="ne\nand"))
    assert out.text == "half a line\nand"
    screen.show(A)
    assert out.text == "half a line\nand\nA = int64 [3, 2] cpu  48 B\n"


def test_a_prompt_can_begin_on_a_new_line() -> None:
    out = Stream()
    screen = Screen(stdout=out, stderr=Stream())
    screen.show(r.Output(text="no newline"))
    screen.show(r.Nothing())
    screen.end_line()
    screen.end_line()
    assert out.text == "no newline\n"


def test_output_is_exact_but_for_what_would_steer_the_terminal() -> None:
    long = "x" * 500 + "\n\tand a tab\n"
    assert shown(r.Output(text=long), width=20)[0] == long
    assert shown(r.Output(text="a\x1b[2Jb\rc"))[0] == "a\\x1b[2Jb\\x0dc"


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith("progress")])
def test_json_is_one_exact_line_on_stdout(name: str) -> None:
    out, err, _ = shown(SAMPLES[name], json=True)
    assert out.encode() == wire.encode(SAMPLES[name])
    assert out.count("\n") == 1
    assert wire.report(out.encode()) == SAMPLES[name]
    assert err == ""


def test_json_is_utf8_whatever_the_stream_is() -> None:
    out = Stream(encoding="ascii")
    Screen(json=True, stdout=out, stderr=Stream()).show(r.Output(text="日本"))
    assert "日本".encode() in out.bytes.getvalue()


def test_progress_is_never_in_json_nor_in_a_file() -> None:
    assert shown(SAMPLES["progress"], json=True, terminal=True)[:2] == ("", "")
    assert shown(SAMPLES["progress"])[:2] == ("", "")


def test_progress_is_one_line_that_is_gone_before_anything_else() -> None:
    out, err, _ = shown(
        r.Progress(done=1, total=2), r.Progress(done=2, total=2), A, terminal=True, width=20, color=False
    )
    assert err == "\r\r 50 %\r" + " " * 19 + "\r"
    assert out == "A = int64 [3, 2] cpu\n"
    _, err, _ = shown(r.Progress(done=1, total=2), A, terminal=True, width=20, color=False)
    assert err.endswith("\r" + " " * 19 + "\r")


@pytest.mark.parametrize(
    ("variables", "terminal", "color", "expected"),
    [
        ({}, True, None, True),
        ({}, False, None, False),
        ({"NO_COLOR": "1"}, True, None, False),
        ({"NO_COLOR": ""}, True, None, True),
        ({"TERM": "dumb"}, True, None, False),
        ({"TERM": "dumb", "NO_COLOR": "1"}, False, True, True),
        ({}, True, False, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], terminal: bool, color: bool | None, expected: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    out, err, _ = shown(VIEW, SIZES, TRACE, terminal=terminal, color=color)
    assert ("\x1b" in out, "\x1b" in err) == (expected, expected)


MADE_OF_COLOUR = {"plot heatmap", "plot image"}


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() - MADE_OF_COLOUR))
def test_colour_adds_only_colour(name: str) -> None:
    plain, bright = shown(SAMPLES[name], color=False), shown(SAMPLES[name], color=True)
    for without, coloured in zip(plain[:2], bright[:2], strict=True):
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == without
        assert "\x1b" not in without


def test_the_width_is_the_given_one_else_columns_else_eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Screen(stdout=Stream(), stderr=Stream()).width == 80
    monkeypatch.setenv("COLUMNS", "120")
    assert Screen(stdout=Stream(), stderr=Stream()).width == 120
    assert Screen(stdout=Stream(), stderr=Stream(), width=40).width == 40
    monkeypatch.setenv("COLUMNS", "wide")
    assert Screen(stdout=Stream(), stderr=Stream()).width == 80


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_that_cannot_encode_it_is_no_error(name: str, encoding: str) -> None:
    out, err = Stream(encoding=encoding), Stream(encoding=encoding)
    Screen(stdout=out, stderr=err, color=False).show(SAMPLES[name])
    assert all(character not in out.text + err.text for character in "│└├▁█⣿")


def test_our_drawing_falls_back_to_ascii() -> None:
    out = Stream(encoding="ascii")
    screen = Screen(stdout=out, stderr=Stream(), width=80)
    screen.show(TRACE)
    assert out.text.split("\n")[2].startswith(" ` torch.relu(x @ w + b)")
    screen.show(LARGE)
    assert out.text.split("\n")[-5] == "min -5.41  max 5.37  mean -1.2e-04  std 1.00  zeros 0  nan 0  inf 0"
    bright = Stream(encoding="ascii")
    Screen(stdout=bright, stderr=Stream(), color=True, width=80).show(LARGE)
    assert bright.text.split("\n")[1] == out.text.split("\n")[-5]
    screen.show(r.Value(type="str", text="'é日'"))
    assert out.text.endswith("'\\xe9\\u65e5'\n")


def test_what_was_printed_loses_nothing_on_a_stream_that_cannot_encode_it() -> None:
    out = Stream(encoding="ascii")
    Screen(stdout=out, stderr=Stream()).show(r.Output(text="▁▃ │ and a space at the end "))
    assert out.text == r"\u2581\u2583 \u2502 and a space at the end "


def test_a_value_is_not_taken_for_a_sparkline() -> None:
    out = Stream(encoding="ascii")
    Screen(stdout=out, stderr=Stream()).show(r.Value(type="str", text="'▁▃'"))
    assert out.text == "'\\u2581\\u2583'\n"


def test_a_reader_that_left_is_the_callers_to_handle() -> None:
    class Closed(Stream):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Screen(stdout=Closed(), stderr=Stream()).show(A)


def test_a_process_without_streams_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    screen = Screen()
    screen.show(SIZES)
    assert screen.exit_code == 1


def test_json_never_imports_rich_and_nothing_here_imports_torch() -> None:
    code = (
        "import sys, tensorcli.show as show, tensorcli.report as r\n"
        "show.Screen(json=True).show(r.Output(text='x'))\n"
        "assert not any(name.partition('.')[0] == 'rich' for name in sys.modules)\n"
        "show.Screen().show(r.Notice(text='x'))\n"
        "assert 'rich.text' in sys.modules and 'rich.console' not in sys.modules\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (
        done.stdout.replace(b"\r\n", b"\n")
        == b'{"kind":"output","source":null,"statement":null,"seconds":null,"text":"x"}\nx\n'
    )


def test_names_and_values_reach_the_terminal_harmless() -> None:
    out, err, _ = shown(*(SAMPLES[name] for name in SAMPLES if "nasty" in name), color=False)
    assert "\x1b" not in out + err
    assert "\x9b" not in out + err
    assert "\u202e" not in out + err
    assert "\\x1b[31mred" in out
    assert NASTY not in out


# What is saved.


def saved(tmp_path: Path, *reports: r.AnyReport, **options: object) -> tuple[str, str]:
    """What the reports leave in an SVG file, its text alone, and in an HTML file."""
    svg, html = tmp_path / "a.svg", tmp_path / "a.html"
    *_, screen = shown(*reports, svg=svg, html=html, **options)
    screen.close()
    lines: dict[str, str] = {}
    for text in ElementTree.fromstring(svg.read_text("utf-8")).iter("{http://www.w3.org/2000/svg}text"):
        lines[text.get("y", "")] = lines.get(text.get("y", ""), "") + "".join(text.itertext())
    return "\n".join(lines.values()).replace("\xa0", " "), html.read_text("utf-8")


def test_a_saved_screen_says_what_the_screen_says(tmp_path: Path) -> None:
    text, page = saved(tmp_path, r.Output(text="half a li"), r.Output(text="ne\n"), A, SIZES, r.Nothing(), width=60)
    out, err, _ = shown(r.Output(text="half a line\n"), A, SIZES, width=60)
    expected = ["".join(line.split()) for line in (out + err).splitlines() if line.strip()]
    assert ["".join(line.split()) for line in text.splitlines() if line.strip()] == ["tensorcli", *expected]
    body = unescape(re.sub(r"<[^>]*>", "", page[page.index("<pre") :]))
    assert ["".join(line.split()) for line in body.splitlines() if line.strip()] == expected


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith("progress")])
def test_every_report_can_be_saved_and_steers_nothing(name: str, tmp_path: Path) -> None:
    text, page = saved(tmp_path, SAMPLES[name], json=True)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text + page)
    assert "<script" not in page


def test_a_saved_screen_asks_nobody_for_anything(tmp_path: Path) -> None:
    saved(tmp_path, A)
    for name in ("a.svg", "a.html"):
        assert "url(" not in (tmp_path / name).read_text("utf-8").replace("url(#", "")
        assert "<script" not in (tmp_path / name).read_text("utf-8")


def test_a_saved_picture_has_its_colours_unless_these_were_refused(tmp_path: Path) -> None:
    saved(tmp_path, SAMPLES["plot image"])
    assert "#ff0000" in (tmp_path / "a.svg").read_text("utf-8")
    assert "#ff0000" in (tmp_path / "a.html").read_text("utf-8")
    text, page = saved(tmp_path, SAMPLES["plot image"], color=False)
    assert "#ff0000" not in (tmp_path / "a.svg").read_text("utf-8") + page
    assert "------------@@@@@@@@@@@@" in text


def test_names_that_no_xml_may_hold_are_written_out(tmp_path: Path) -> None:
    text, _ = saved(tmp_path, r.Value(type="str", text="'a\uffff<b>&\x00'"))
    assert "'a\\uffff<b>&\\x00'" in text


# Pictures.


@pytest.mark.parametrize(
    ("variables", "pixel", "code"),
    [
        ({"COLORTERM": "truecolor"}, "fe0102", "\x1b[48;2;254;1;2m"),
        ({"COLORTERM": "", "TERM": "xterm-256color"}, "00ff00", "\x1b[48;5;46m"),
    ],
)
def test_a_picture_has_the_colours_that_the_terminal_has(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], pixel: str, code: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    picture = r.Plot(drawn="image", shape=(3, 2, 24), low=0.0, high=1.0, pixels=(pixel * 24,) * 2)
    assert shown(picture, color=True)[0].splitlines()[1] == code + " " * 24 + "\x1b[0m"


def test_a_terminal_of_few_colours_has_shades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    _, *rows = shown(SAMPLES["plot image"], color=True)[0].splitlines()
    assert rows == ["-" * 12 + "@" * 12] * 6


def test_two_rows_of_pixels_are_one_of_half_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    rows = ["ff0000" * 24, "0000ff" * 24]
    picture = r.Plot(drawn="image", shape=(3, 2, 24), low=0.0, high=1.0, pixels=tuple(rows))
    assert "\x1b[38;2;255;0;0;48;2;0;0;255m▀" in shown(picture, color=True)[0]


# Backgrounds.


def test_colours_are_those_of_the_background() -> None:
    assert "\x1b[36mint64" in shown(A, color=True)[0]
    assert "\x1b[36mint64" in shown(A, color=True, background=lambda: "dark")[0]
    assert "int64" in (light := shown(A, color=True, background=lambda: "light")[0])
    assert "\x1b[36m" not in light
    assert shown(A, color=False, background=lambda: "light")[0] == shown(A)[0]


def test_a_background_that_changes_is_followed() -> None:
    backgrounds = iter(["dark", "light", "dark"])
    out = Stream()
    screen = Screen(stdout=out, stderr=Stream(), color=True, background=lambda: next(backgrounds))
    for _ in range(3):
        screen.show(A)
    first, second, third = out.text.splitlines()
    assert first == third != second
