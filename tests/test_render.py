"""What reports look like: within every width, harmless whatever they hold, and with the facts people rely on."""

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from samples import (
    ARRAY,
    DEVICES,
    INTERRUPTED,
    LARGE,
    LONG_LINE,
    MANY_LINES,
    NAMED_TENSORS,
    NAMED_VALUES,
    NASTY,
    NO_CUDA,
    PAIR,
    SAMPLED,
    SAMPLES,
    SETTINGS,
    SIZES,
    TRACE,
    VIEW,
    WITHIN,
    A,
)

from tensorcli import report as r
from tensorcli import units, wire
from tensorcli.render import render
from tensorcli.render.layout import crop, fold, listed, wrap
from tensorcli.render.safe import safe, safe_line
from tensorcli.render.tensor import sparkline

WIDTHS = (20, 40, 80, 200)


def drawn(report: r.AnyReport, *, width: int = 80) -> str:
    """A report as plain text."""
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False, _environ={})
    drawing = render(report, width=width)
    with console.capture() as capture:
        console.print(drawing, soft_wrap=isinstance(drawing, Text), end="")
    return capture.get()


def lines(report: r.AnyReport, *, width: int = 80) -> list[str]:
    return drawn(report, width=width).rstrip("\n").split("\n")


def test_every_kind_of_report_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES.values()} == set(r.AnyReport.__args__)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SAMPLES)
def test_no_line_is_wider_than_the_screen(name: str, width: int) -> None:
    assert [line for line in lines(SAMPLES[name], width=width) if cell_len(line) > width] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_in_a_report_steers_the_terminal(name: str) -> None:
    shown = drawn(SAMPLES[name], width=200)
    assert safe(shown) == shown
    assert "\r" not in shown


@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_that_travelled_is_drawn_the_same(name: str) -> None:
    there = SAMPLES[name]
    assert drawn(wire.report(wire.encode(there))) == drawn(there)


def test_a_code_that_stands_for_the_title_is_harmless() -> None:
    assert drawn(r.Diagnosis(code="\x1b[2J", category="other", title="")) == r"error: \x1b[2J"


def test_markup_is_text() -> None:
    for report in (r.Notice(text="[bold]x[/bold]"), r.Value(type="str", text="[bold]x[/bold]")):
        assert drawn(report) == "[bold]x[/bold]"


# Tensors and other values.


def test_an_assignment_is_one_line() -> None:
    assert drawn(A) == "A = int64 [3, 2] cpu  48 B"
    assert drawn(msgspec.structs.replace(LARGE, name="x")) == "x = float32 [4096, 4096] cpu  64 MiB  random"
    assert [drawn(value) for value in NAMED_VALUES] == [
        "n = int 5",
        "s = str 'abc'",
        "none = None",
        "model = Linear(in_features=3, out_features=2, bias=True)",
        "f = <function f>",
        "a = numpy.ndarray float64 [3]  24 B",
    ]


def test_an_assignment_of_much_text_is_still_one_line() -> None:
    shown = drawn(r.Value(name="s", type="str", text="'" + "word\n" * 5000 + "'"))
    assert shown.startswith("s = str 'word word word")
    assert shown.endswith("…")
    assert len(shown) == 80


def test_a_tensor_has_its_header_with_the_time_at_the_right_edge_then_its_values() -> None:
    assert lines(VIEW) == [
        "int64 [2, 3] cpu  48 B  view of A  not contiguous" + " " * 27 + "6 us",
        "tensor([[1, 3, 5],",
        "        [2, 4, 6]])",
    ]


def test_a_large_tensor_has_its_statistics() -> None:
    header, stats, *values = lines(LARGE)
    assert header == "float32 [4096, 4096] cpu  64 MiB  random" + " " * 36 + "9 ms"
    assert stats == "min -5.41  max 5.37  mean -1.2e-04  std 1.00  zeros 0  nan 0  inf 0   ▁▁▃██▃▁▁"
    assert "\n".join(values) == LARGE.text


def test_a_sample_is_said_to_be_one_and_nan_is_never_dropped() -> None:
    header, stats, sample, _ = lines(SAMPLED)
    assert header == "float32 [200000000] cpu  763 MiB  requires grad  1,234,567 nan  3 inf     1.31 s"
    assert stats == "min -inf  max 1.50  mean 0.250  std nan  zeros 17  nan 1,234,567  inf 3"
    assert sample == "of a sample of 1,000,000 elements"
    assert lines(SAMPLED, width=40)[0] == "float32 [200000000] cpu  1,234,567 nan"


def test_whole_numbers_have_no_nan_to_count() -> None:
    shown = r.Tensor(dtype="int64", shape=(30,), stats=r.Stats(min=0, max=12345, mean=2.5, std=1.0, zeros=3))
    assert lines(shown)[1] == "min 0  max 12,345  mean 2.50  std 1.00  zeros 3"


def test_flags_say_what_is_unusual() -> None:
    assert drawn(SAMPLES["tensor slice of much"]) == (
        "float32 [2] cpu  8 B  shares memory with a, b and 7 more  on a storage of 1 GiB"
    )
    assert drawn(SAMPLES["tensor nested"]) == "float32 [2, ?] cpu  60 B  jagged  requires grad"
    assert lines(SAMPLES["tensor sparse"])[0] == "float32 [3, 3] cpu  60 B  sparse_coo"
    shared = r.Tensor(shape=(2,), nbytes=8, shares_memory_with=("a", "b"), view_of="b")
    assert drawn(shared) == "float32 [2] cpu  8 B  view of b  shares memory with a"


def test_long_lines_of_values_lose_none() -> None:
    tensor = SAMPLES["tensor long line"]
    assert isinstance(tensor, r.Tensor)
    for width in WIDTHS:
        folded = render(tensor, width=width)
        assert isinstance(folded, Text)
        _, *values = folded.plain.split("\n")
        assert "".join(values) == tensor.text
        assert len(values) > 300 * 3 // width


def test_other_values_are_as_python_shows_them() -> None:
    assert drawn(SAMPLES["value int"]) == "5"
    assert lines(SAMPLES["value module"]) == [
        "Sequential(",
        "  (0): Linear(in_features=3)",
        "  (1): ReLU()",
        ")",
    ]


def test_arrays_and_named_results_have_headers() -> None:
    assert lines(ARRAY) == [
        "numpy.ndarray float64 [3]  24 B  shares memory with t" + " " * 23 + "2 us",
        "array([1., 2., 3.])",
    ]
    assert lines(PAIR) == [
        "torch.return_types.max" + " " * 54 + "8 us",
        "  values float32 [3] cpu  12 B",
        "  tensor([1., 2., 3.])",
        "  indices int64 [3] cpu  24 B",
        "  tensor([0, 1, 2])",
    ]


def test_names_are_a_table_whose_least_important_columns_go_first() -> None:
    names = r.Names(items=(*NAMED_TENSORS, *NAMED_VALUES[:1], *NAMED_VALUES[-1:]))
    assert lines(names) == [
        " name  type                   shape         device  memory",
        " A     int64                  [3, 2]        cpu       48 B",
        " x     float32                [4096, 4096]  cpu     64 MiB",
        " y     float32                [64, 4096]    cpu      1 MiB  shares with x",
        " n     int                                                  = 5",
        " a     numpy.ndarray float64  [3]                     24 B",
        " 5 variables, 64 MiB",
    ]
    assert lines(names, width=40)[:3] == [
        " name  type                 shape",
        " A     int64                [3, 2]",
        " x     float32              [4096, 4096]",
    ]
    assert drawn(r.Names(items=())) == "no names yet"


def test_what_all_names_hold_is_said_below_them() -> None:
    names = r.Names(items=NAMED_TENSORS, nbytes=3 << 29, storages=2, results_nbytes=1 << 20, process_nbytes=1 << 31)
    total = " 3 variables, 1.5 GiB in 2 storages"
    assert lines(names)[-1] == f"{total}, 1 MiB more in Out; the process holds 2 GiB"
    assert lines(names, width=60)[-1] == f"{total}; the process holds 2 GiB"
    assert lines(names, width=40)[-1] == total


def test_shared_memory_is_counted_once() -> None:
    whole = r.Tensor(name="x", shape=(1024,), nbytes=4096, storage_nbytes=4096, shares_memory_with=("y", "z"))
    half = msgspec.structs.replace(whole, name="y", nbytes=2048, shares_memory_with=("x", "z"))
    array = r.Value(name="z", type="numpy.ndarray", shape=(9,), nbytes=36, shares_memory_with=("x", "y"))
    assert lines(r.Names(items=(half, whole, array)))[-1] == " 3 variables, 4 KiB"


# Diagnoses.


def test_a_diagnosis_underlines_and_explains() -> None:
    assert lines(SIZES) == [
        "error: the inner sizes differ: 2 and 3                        matmul-inner-sizes",
        "",
        "    B = torch.relu(A @ A) + 1",
        "                   ^^^^^",
        "    A  int64 [3, 2] cpu  2 columns",
        "    A  int64 [3, 2] cpu  3 rows",
        "",
        "  message: mat1 and mat2 shapes cannot be multiplied (3x2 and 3x2)",
        "",
        "  try  1  B = torch.relu(A @ A.T) + 1  int64 [3, 3] cpu  transpose the second",
        "       2  B = torch.relu(A.T @ A) + 1  int64 [2, 2] cpu  transpose the first",
        "",
        "  note: the size that both share is summed over: it must be the same in both",
        "  lesson: matmul",
    ]


def test_of_much_that_was_not_run_the_first_line_and_a_count_are_shown() -> None:
    def told(*statements: str) -> list[str]:
        found = r.Diagnosis(code="c", category="value", title="t", not_run="\n".join(statements))
        return [line for line in lines(found) if "not run" in line]

    assert told("y = 2", "z = 3") == ["  not run: y = 2; z = 3"]
    assert told("y = 2", *1200 * ["z = 3"]) == ["  not run: y = 2; and 1,200 more lines"]


def test_a_span_in_an_earlier_function_is_aligned_under_tabs_and_wide_characters() -> None:
    assert lines(WITHIN) == [
        "error: there is no name wieght: did you mean weight?                name-unknown",
        "",
        "  line 3: train( model)",
        "  ... 1,200 more calls",
        "  in train, line 7: model(x), 3 times",
        "  in call: forward(x)",
        "  train.py:17: in Net.forward, line 3",
        "    def forward(x):",
        "        y = x @ weight",
        "        return 日本 + (wieght *",
        "                       ^^^^^^^^",
        "            y)",
        "            ^",
        "    y  float32 [2, 3] cpu",
        "    n                      int 3",
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_line_is_cut_around_the_span(width: int) -> None:
    shown = lines(LONG_LINE, width=width)
    carets = next(i for i, line in enumerate(shown) if line.strip() == "^^^")
    column = shown[carets].index("^")
    assert shown[carets - 1][column : column + 3] == "bad"
    assert shown[carets - 1].strip().startswith("…")
    assert shown[carets - 1].endswith("…")


def test_a_span_of_thousands_of_lines_shows_its_ends() -> None:
    shown = lines(MANY_LINES)
    assert shown[2:4] == ["    f(", "     ^"]
    assert "    ... 2,994 more lines" in shown
    assert len(shown) < 20


def test_a_span_at_the_very_end_has_a_caret() -> None:
    span = r.Span(line=1, column=4, end_line=1, end_column=4, text="")
    shown = lines(r.Diagnosis(code="syntax", category="syntax", title="it ends early", source="x = ", span=span))
    assert shown[2:] == ["    x =", "        ^"]


def test_a_span_that_is_not_in_the_source_does_no_harm() -> None:
    assert lines(SAMPLES["diagnosis span outside"])[2:] == ["    a"]


def test_an_escaped_character_is_underlined_as_wide_as_it_is_shown() -> None:
    span = r.Span(line=1, column=0, end_line=1, end_column=3, text="'\x1b'")
    shown = lines(r.Diagnosis(code="x", category="other", title="t", source="'\x1b' + 1", span=span))
    assert shown[2:] == [r"    '\x1b' + 1", "    ^^^^^^"]


def test_a_message_that_says_no_more_than_the_title_is_left_out() -> None:
    said = r.Diagnosis(code="value", category="value", title="it failed: Bad Value.", torch="bad value")
    assert "message" not in drawn(said)
    assert "message: other" in drawn(msgspec.structs.replace(said, torch="other"))


def test_a_short_screen_keeps_the_code_and_an_interruption_is_no_error() -> None:
    assert lines(SIZES, width=40)[:2] == [
        "error: the inner sizes differ: 2 and 3",
        "                      matmul-inner-sizes",
    ]
    assert lines(INTERRUPTED)[0] == "interrupted"


# inspect, devices, the rest.


def test_a_trace_is_a_tree_with_its_alignment_and_totals() -> None:
    assert lines(TRACE, width=120) == [
        " expression                         result                   memory   time   FLOP",
        " torch.relu(x @ w + b).mean(dim=0)  float32 [10] cpu           40 B   9 us",
        " └ torch.relu(x @ w + b)            float32 [64, 10] cpu    2.5 KiB   4 us",
        "   └ x @ w + b                      float32 [64, 10] cpu    2.5 KiB   3 us         b: [10] stretched to [64, 10]",  # noqa: E501
        "     ├ x @ w                        float32 [64, 10] cpu    2.5 KiB  21 us  1.0 M",
        "     │ ├ x                          float32 [64, 784] cpu   196 KiB",
        "     │ └ w                          float32 [784, 10] cpu  30.6 KiB",
        "     └ b                            float32 [10] cpu           40 B",
        "",
        " broadcast  x @ w  64  10",
        "            b          10",
        "                   64  10",
        "",
        " peak 7.5 KiB above the inputs; 37 us in all; 1.0 MFLOP; cpu, torch 2.13.0",
    ]


def test_notes_go_below_where_they_do_not_fit_beside() -> None:
    assert lines(TRACE)[3:6] == [
        "   └ x @ w + b                      float32 [64, 10]    2.5 KiB   3 us",
        "     │   b: [10] stretched to [64, 10]",
        "     ├ x @ w                        float32 [64, 10]    2.5 KiB  21 us  1.0 M",
    ]


def test_a_narrow_trace_keeps_expressions_and_results() -> None:
    assert lines(TRACE, width=40)[:3] == [
        " expression            result",
        " torch.relu(x @ w + …  float32 [10]",
        " └ torch.relu(x @ w …  float32 [64, 10]",
    ]


def test_a_result_is_cut_only_when_the_least_important_columns_are_gone() -> None:
    inner = r.Tensor(dtype="float32", shape=(16, 64, 112, 112), device="cpu", nbytes=51380224)
    text = "torch.relu(torch.nn.functional.conv2d(x, w))"
    node = r.Node(text=text, span=None, operation="relu", result=inner, seconds=0.1, flops=10**6, moved_nbytes=10**6)
    trace = r.Trace(root=node, total_seconds=0.1, source=text)
    assert lines(trace)[:2] == [
        " expression                           result                      memory    time",
        " torch.relu(torch.nn.functional.con…  float32 [16, 64, 112, 112]  49 MiB  100 ms",
    ]
    assert lines(trace, width=100)[0].endswith("memory    time   FLOP  FLOP/B")


def test_devices_are_a_table_and_no_cuda_has_its_reason() -> None:
    assert lines(DEVICES, width=200) == [
        " device  name                                           memory    free  use  temp  power  compute  driver",
        " cpu     Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz  32 GiB  22 GiB",
        " cuda:0  NVIDIA H100 80GB HBM3                          79 GiB  78 GiB  3 %  34 C   71 W"
        "  9.0      580.65.06  default",
    ]
    assert lines(SAMPLES["devices no cuda"])[2:] == [
        " no CUDA device: torch 2.13.0+cpu was built without CUDA: install a CUDA build",
        " from pytorch.org to use a GPU",
    ]


def test_settings_are_one_line() -> None:
    assert drawn(SETTINGS, width=200) == (
        "tensorcli 0.1.0 - torch 2.13.0+cpu - cpu - float32 - 2 threads - 4 digits - no CUDA - seed 8241137"
    )
    assert drawn(SETTINGS) == ("torch 2.13.0+cpu - cpu - float32 - 2 threads - 4 digits - no CUDA - seed 8241137")
    assert drawn(SETTINGS, width=40) == "cpu - float32 - 2 threads - seed 8241137"
    assert drawn(msgspec.structs.replace(SETTINGS, trust=True, no_cuda=None)).endswith("trusted: any Python may run")


def test_the_rest_is_plain_text() -> None:
    assert drawn(SAMPLES["output"]) == "hello\n        world"
    assert drawn(SAMPLES["nothing"]) == ""
    assert lines(SAMPLES["notice"]) == [
        "UserWarning: something will change in a later release, which takes more than one",
        "line to say",
    ]
    assert drawn(SAMPLES["progress"]) == f" 25 %  {'█' * 5}{'░' * 15}  matmul on cpu, n = 64"


@pytest.mark.parametrize(
    ("left", "said"),
    [(0.2, "1 s"), (44.6, "45 s"), (89.0, "89 s"), (91.0, "2 min"), (5000.0, "83 min"), (9000.0, "2 h")],
)
def test_the_time_that_is_left_has_the_digits_of_an_estimate(left, said) -> None:
    assert f"  about {said} left  x" in drawn(r.Progress(done=1, total=2, label="x", left=left))
    assert lines(SAMPLES["completions"]) == [" torch.rand  (*size, dtype=None)", " randn"]


# Units and text.


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.nbytes(0), "0 B"),
        (units.nbytes(1023), "1,023 B"),
        (units.nbytes(2560), "2.5 KiB"),
        (units.nbytes(31_360), "30.6 KiB"),
        (units.nbytes(64 << 20), "64 MiB"),
        (units.nbytes((1 << 20) - 1), "1 MiB"),
        (units.nbytes(40e9), "37.3 GiB"),
        (units.count(640, "FLOP"), "640 FLOP"),
        (units.count(1_003_520, "FLOP"), "1.0 MFLOP"),
        (units.count(131e9, "FLOP/s"), "131 GFLOP/s"),
        (units.seconds(0), "0 s"),
        (units.seconds(6e-6), "6 us"),
        (units.seconds(4.04e-6, digits=3), "4.04 us"),
        (units.seconds(213e-6), "213 us"),
        (units.seconds(999.7e-6), "1 ms"),
        (units.seconds(1.312), "1.31 s"),
        (units.seconds(3e-10), "0.3 ns"),
        (units.seconds(125), "2 min 5 s"),
        (units.seconds(12_000), "3 h 20 min"),
        (units.seconds(float("nan")), "nan"),
        (units.seconds(-6e-6), "-6 us"),
        (units.shape(()), "[]"),
        (units.shape((2, -1)), "[2, ?]"),
        (units.number(None), "?"),
        (units.number(-5.414), "-5.41"),
        (units.number(-1.2e-4), "-1.2e-04"),
        (units.number(1234.5), "1,234"),
        (units.number(99.99), "100"),
        (units.number(3.4e38), "3.4e+38"),
        (units.number("nan"), "nan"),
        (units.number(10**400), "1" + "0" * 400),
        (units.plural(1, "name"), "1 name"),
        (units.integer(1_234_567), "1,234,567"),
    ],
)
def test_units(shown: str, expected: str) -> None:
    assert shown == expected


def test_controls_are_written_out() -> None:
    assert safe("a\x1b[31m\x07\x7f\x9b\r\u202e\u2066\ud800\n\tb") == (
        "a\\x1b[31m\\x07\\x7f\\x9b\\x0d\\u202e\\u2066\\ud800\n\tb"
    )
    assert safe_line("a\n\tb\x00") == "a\\n\\tb\\x00"
    assert safe("日本語 é") == "日本語 é"
    assert safe_line(NASTY) != NASTY


def test_cropping_folding_and_wrapping_count_cells() -> None:
    assert crop("日本語", 6) == "日本語"
    assert crop("日本語", 5) == "日本…"
    assert crop("abc", 0) == ""
    assert crop("e\u0301" * 5, 5) == "e\u0301" * 5
    assert fold("日本語", 4) == ["日本", "語"]
    assert fold("a\tb", 20) == ["a       b"]
    assert fold("", 4) == [""]
    assert wrap("one two  three", 9, indent="  ") == ["one two", "  three"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b and 2 more"


def test_characters_that_join_the_one_before_are_counted_with_it() -> None:
    heart = "\u2764\ufe0f"  # a narrow character that its variation selector makes wide
    for width in range(2, 12):
        for text in (heart * 9, f"a{heart}" * 9, f"1\ufe0f\u20e3{heart} " * 9, "\U0001f468\u200d\U0001f469" * 9):
            for part in (*fold(text, width), *wrap(text, width), crop(text, width)):
                assert cell_len(part) <= width
            assert "".join(fold(text, width)) == text
    span = r.Span(line=1, column=3, end_line=1, end_column=4, text="x")
    shown = lines(r.Diagnosis(code="c", category="other", title="t", source=f"{heart}+x", span=span))
    assert cell_len(shown[-2].partition("x")[0]) == shown[-1].index("^")


def test_a_sparkline_has_a_bar_for_each_count() -> None:
    assert sparkline((0, 7, 14)) == "▁▅█"
    assert sparkline((0, 0)) == ""
    assert sparkline(()) == ""


def test_why_there_is_no_cuda_is_whole_on_a_narrow_screen() -> None:
    shown = lines(r.Devices(devices=(), default="cpu", no_cuda=NO_CUDA), width=20)
    assert " ".join(part.strip() for part in shown if part.strip()) == f"no CUDA device: {NO_CUDA}"
