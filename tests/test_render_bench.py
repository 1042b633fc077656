"""Benchmarks and timings as people see them, exactly, at several widths."""

import io
import re

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.theme import Theme

from tensorcli import report
from tensorcli.render import render
from tensorcli.render.bench import markdown
from tensorcli.render.theme import STYLES
from tensorcli.report import Agreement, Benchmark, Case, Ratio, Timing, Variant

AGREES = Agreement(with_="float64 matmul", max_abs_error=1e-6, max_rel_error=3.1e-7, ok=True)
MACHINE = {"torch": "2.13.0", "threads": 2, "cpu": "Xeon", "gpu": "H100 80GB", "driver": "580"}


def variant(name, median, *, spread=0.01, ratio=None, agrees=AGREES, guessed=False, **more):
    seconds = [median * (1 + spread * step) for step in range(-4, 5)]
    return Variant(
        name=name,
        seconds=tuple(seconds),
        median=median,
        low=seconds[1],
        high=seconds[-2],
        ratio=ratio and Ratio(to="python loop", value=ratio, low=ratio * 0.98, high=ratio * 1.02, extrapolated=guessed),
        agrees=agrees,
        **{"status": "measured", "flops": 524_288, "gflops_per_second": 524_288 / median / 1e9} | more,
    )


CPU = Case(
    device="cpu",
    dtype="float32",
    size={"n": 64},
    variants=(
        variant("python loop", 1.31, ratio=1.0),
        variant("row times matrix", 0.21e-3, ratio=6240.1),
        variant("broadcast and sum", 0.16e-3, ratio=8190.0),
        variant("matmul", 4.0e-6, ratio=327_456.0),
    ),
    warnings=('the samples of "row times matrix" spread by 14 %: close other programs, or raise --min-time',),
)
CUDA = Case(
    device="cuda:0",
    dtype="float32",
    size={"n": 64},
    variants=(
        variant(
            "python loop", 6.1, agrees=None, status="extrapolated", reason="extrapolated from 4,096 of 262,144 steps"
        ),
        Variant(name="row times matrix", status="skipped", reason="needs 144 MiB, and 8 MiB are free"),
        Variant(name="broadcast and sum", status="failed", reason="CUDA out of memory"),
        variant("matmul", 9.8e-6, ratio=622_000.0, guessed=True),
    ),
)
ONE = Benchmark(workload="matmul", environment=MACHINE, cases=(CPU,))
BOTH = Benchmark(workload="matmul", environment=MACHINE, cases=(CPU, CUDA))


def shown(answer, width):
    lines = render(answer, width=width).plain.split("\n")
    assert max(map(cell_len, lines)) <= width
    return "\n".join(["", *lines, ""])


COPIES = Case(
    device="cpu",
    dtype="float32",
    size={"n": 1000},
    variants=(
        variant("clone", 1e-6, agrees=None, flops=None, gflops_per_second=None, gbytes_per_second=8.0, ratio=1.0),
        variant("into out", 2e-6, agrees=None, flops=None, gflops_per_second=None, gbytes_per_second=4.0, ratio=0.5),
    ),
)


def test_what_only_moves_bytes_has_their_rate():
    copies = Benchmark(workload="copy", environment={}, cases=(COPIES,))
    assert (
        shown(copies, 80)
        == """
 copy  float32  cpu

 n = 1,000
 variant    median  95 % interval   GB/s  vs python loop  95 % interval
 clone     1.00 us  0.970 .. 1.030  8.00   no difference  0.980 .. 1.02
 into out  2.00 us  1.94 .. 2.06    4.00   2.00 x slower  1.96 .. 2.04
"""
    )
    assert "| 95 % interval | GB/s |" in markdown(copies)
    assert "| 0.970 .. 1.030 | 8.00 |" in markdown(copies)


def test_both_devices_at_80_columns():
    assert (
        shown(BOTH, 80)
        == """
 matmul  float32            torch 2.13.0, 2 threads, Xeon, H100 80GB, driver 580

 n = 64
 variant            device   median      vs python loop  95 % interval
 python loop        cpu      1.31 s                   1
 row times matrix   cpu      210 us      6,240 x faster  6,120 .. 6,360
 broadcast and sum  cpu      160 us      8,190 x faster  8,030 .. 8,350
 matmul             cpu     4.00 us    327,000 x faster  321,000 .. 334,000
 python loop        cuda:0  ~ 6.1 s
   5.9 .. 6.3 s, extrapolated from 4,096 of 262,144 steps
 row times matrix   cuda:0  skipped: needs 144 MiB, and 8 MiB are free
 broadcast and sum  cuda:0  failed: CUDA out of memory
 matmul             cuda:0  9.80 us  ~ 620,000 x faster  610,000 .. 630,000
 all that ran in full agree with float64 matmul (largest relative error 3e-7)
 warning: cpu: the samples of "row times matrix" spread by 14 %: close other
   programs, or raise --min-time
 a wider screen also shows: 95 % interval, GFLOP/s
"""
    )


def test_one_device_at_40_columns():
    assert (
        shown(ONE, 40)
        == """
 matmul  float32  cpu       torch 2.13.0

 n = 64
 variant        median    vs python loop
 python loop    1.31 s                 1
 row times m…   210 us    6,240 x faster
 broadcast a…   160 us    8,190 x faster
 matmul        4.00 us  327,000 x faster
 every variant agrees with float64
 matmul (largest relative error 3e-7)
 warning: the samples of "row times
   matrix" spread by 14 %: close other
   programs, or raise --min-time
 a wider screen also shows: 95 %
 interval, GFLOP/s
"""
    )


def test_both_devices_at_40_columns():
    assert (
        shown(BOTH, 40)
        == """
 matmul  float32            torch 2.13.0

 n = 64
 variant            device   median
 python loop        cpu      1.31 s
 row times matrix   cpu      210 us
 broadcast and sum  cpu      160 us
 matmul             cpu     4.00 us
 python loop        cuda:0  ~ 6.1 s
   5.9 .. 6.3 s, extrapolated from 4,096
   of 262,144 steps
 row times matrix   cuda:0
   skipped: needs 144 MiB, and 8 MiB are
   free
 broadcast and sum  cuda:0
   failed: CUDA out of memory
 matmul             cuda:0  9.80 us
 all that ran in full agree with float64
 matmul (largest relative error 3e-7)
 warning: cpu: the samples of "row times
   matrix" spread by 14 %: close other
   programs, or raise --min-time
 a wider screen also shows: 95 %
 interval, GFLOP/s, vs python loop
"""
    )


def test_bars_where_there_is_room():
    assert (
        shown(ONE, 110)
        == """
 matmul  float32  cpu                                     torch 2.13.0, 2 threads, Xeon, H100 80GB, driver 580

 n = 64
 variant             median  95 % interval  GFLOP/s    vs python loop  95 % interval       █ = 2 x
 python loop         1.31 s  1.27 .. 1.35   0.00040                 1
 row times matrix    210 us  204 .. 216        2.50    6,240 x faster  6,120 .. 6,360      █████████████
 broadcast and sum   160 us  155 .. 165        3.28    8,190 x faster  8,030 .. 8,350      █████████████
 matmul             4.00 us  3.88 .. 4.12       131  327,000 x faster  321,000 .. 334,000  ██████████████████
 every variant agrees with float64 matmul (largest relative error 3e-7)
 warning: the samples of "row times matrix" spread by 14 %: close other programs, or raise --min-time
"""
    )


@pytest.mark.parametrize("width", [16, 20, 30, 60, 200])
@pytest.mark.parametrize("answer", [ONE, BOTH], ids=["one", "both"])
def test_every_variant_and_its_median_are_on_every_screen(answer, width):
    text = shown(answer, width)
    for each in ("matmul", "4.00 us"):
        assert each in text


def test_several_dtypes_are_named_at_each_table():
    half = Case(device="cpu", dtype="float16", size={"n": 64}, variants=CPU.variants)
    text = shown(Benchmark(workload="matmul", environment={}, cases=(CPU, half)), 80)
    assert " matmul  cpu\n" in text
    assert " n = 64  float32\n" in text
    assert " n = 64  float16\n" in text


def lines_of(*variants, width=80):
    case = Case(device="cpu", dtype="float32", size={"n": 1_000_000}, variants=variants)
    return shown(Benchmark(workload="dot", environment={}, cases=(case,)), width).split("\n")


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.004, "no difference"),
        (1.5, "1.50 x faster"),
        (45.67, "45.7 x faster"),
        (0.25, "4.00 x slower"),
        (999.9, "1,000 x faster"),
        (1_234_567.0, "1,230,000 x faster"),
    ],
)
def test_a_ratio_says_faster_slower_or_neither(ratio, said):
    lines = lines_of(variant("python loop", 1.0, ratio=1.0), variant("f", 1.0, ratio=ratio), width=42)
    assert lines[6].endswith(f"  {said}")


@pytest.mark.parametrize(
    ("ratio", "low", "high", "said"),
    [
        (1.05, 1.02, 1.084, "1.05 x faster  1.02 .. 1.08"),
        (0.5, 0.4, 0.8, "2.00 x slower  1.25 .. 2.50"),
        (0.97, 0.9, 1.1, "no difference  0.900 .. 1.10"),
    ],
)
def test_a_ratio_stands_with_its_interval(ratio, low, high, said):
    second = variant("f", 1.0, ratio=1.0)
    second = msgspec.structs.replace(second, ratio=Ratio(to="python loop", value=ratio, low=low, high=high))
    variants = (variant("python loop", 1.0, ratio=1.0), second)
    assert lines_of(*variants)[6].endswith(f"  {said}")
    case = Case(device="cpu", dtype="float32", size={}, variants=variants)
    answer = Benchmark(workload="dot", environment={}, cases=(case,))
    assert f"{said.replace('  ', ' (')}) |" in markdown(answer)
    narrow = shown(answer, 60)
    for part in said.split("  "):  # the median's interval goes first
        assert part in narrow
    assert " a wider screen also shows: 95 % interval, GFLOP/s\n" in narrow


@pytest.mark.parametrize(
    ("median", "said"),
    [
        (3.8e-6, "3.80 us"),
        (99.9, "99.9 s"),
        (99.97, "1.67 min"),
        (298.0, "4.97 min"),
        (3600.0, "1.00 h"),
        (1e7, "2,780 h"),
    ],
)
def test_a_median_is_three_digits_and_one_unit(median, said):
    row = lines_of(Variant(name="f", status="measured", median=median))[5]
    assert row.split(maxsplit=1)[1] == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ((3.84e-6,), "~ 3.8 us  in part"),
        ((9.94, 9.96, 12.3), "~ 10 s  9.9 .. 12 s, in part"),
        ((0.5, 1.24, 140.0), "~ 1.2 s  500 ms .. 2.3 min, in part"),
        ((99.0, 99.6, 100.0), "~ 1.7 min  99 s .. 1.7 min, in part"),
        ((3600.0,), "~ 1.0 h  in part"),
        ((1e7,), "~ 2,800 h  in part"),
    ],
)
def test_what_is_measured_in_part_has_two_digits_and_the_range_of_its_samples(seconds, said):
    median = seconds[len(seconds) // 2]
    row = lines_of(Variant(name="f", status="extrapolated", median=median, seconds=seconds, reason="in part"))[5]
    assert row.split(maxsplit=1)[1] == said


@pytest.mark.parametrize(
    ("ratio", "said"), [(315_678.0, "~ 320,000 x faster"), (45.67, "~ 46 x faster"), (0.3, "~ 3.3 x slower")]
)
def test_a_ratio_to_what_is_measured_in_part_has_two_digits(ratio, said):
    lines = lines_of(variant("python loop", 1.0, ratio=1.0), variant("f", 1.0, ratio=ratio, guessed=True), width=42)
    assert lines[6].endswith(f"  {said}")


def test_a_bar_has_a_cell_for_each_doubling():
    ratios = [1.0, 1.03, 1.3, 1.5, 2.0, 10.0, 1000.0, 2.0**20]

    def bars(*ratios, width=120):
        head, *rows = lines_of(*(variant(f"v{r}", 1.0, ratio=r) for r in ratios), width=width)[4 : 5 + len(ratios)]
        return head.partition("loop")[2].replace("95 % interval", "").strip(), [row.count("█") for row in rows]

    assert bars(*ratios) == ("█ = 2 x", [0, 0, 0, 1, 1, 3, 10, 20])
    assert bars(*ratios[:3]) == ("", [0, 0, 0])
    assert bars(*ratios, 2.0**30) == ("█ = 4 x", [0, 0, 0, 0, 0, 2, 5, 10, 15])


def test_samples_too_far_apart_have_no_ratio_and_no_bar():
    wild = Variant(
        name="f", status="measured", seconds=(0.0157e-3, 3.16e-3, 9.98e-3), median=3.16e-3, low=0.0157e-3,
        high=9.98e-3, unsteady=True,
    )  # fmt: skip
    lines = lines_of(variant("python loop", 1.0, ratio=1.0), variant("g", 0.1, ratio=10.0), wild, width=120)
    assert re.search(r" f +3.16 ms  0.0157 .. 9.9800 +too unsteady to compare$", lines[7])
    assert lines[6].endswith("  10.0 x faster  9.80 .. 10.2   ███")


def test_the_size_is_written_as_people_write_it():
    assert lines_of(variant("f", 1.0))[3] == " n = 1,000,000"


@pytest.mark.parametrize(
    ("agreements", "said"),
    [
        ([AGREES, AGREES], " every variant agrees with float64 matmul (largest relative error 3e-7)"),
        ([AGREES, None], " all that ran in full agree with float64 matmul (largest relative error 3e-7)"),
        (
            [Agreement(with_="float64 dot", max_abs_error=0.0, max_rel_error=0.0, ok=True)],
            " every variant agrees with float64 dot (exactly)",
        ),
        (
            [AGREES, Agreement(with_="float64 matmul", max_abs_error="nan", max_rel_error="nan", ok=False)],
            " 1 of 2 variants agree with float64 matmul",
        ),
    ],
)
def test_agreement_is_said_in_one_sentence(agreements, said):
    variants = [variant(f"v{n}", 1.0, agrees=agrees) for n, agrees in enumerate(agreements)]
    assert lines_of(*variants, width=100)[-2] == said


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (Timing(seconds=1.31, cpu_seconds=1.3), "wall 1.31 s, cpu 1.30 s"),
        (Timing(seconds=6.2e-6, cpu_seconds=6e-6), "wall 6.20 us, cpu 6.00 us"),
        (Timing(seconds=125.0, cpu_seconds=250.0), "wall 2 min 5 s, cpu 4 min 10 s"),
        (
            Timing(samples=(3.8e-6,) * 40, calls_per_sample=1000, median=3.8e-6, iqr=0.0, low=3.71e-6, high=3.93e-6),
            "median 3.80 us (95 % interval 3.71 .. 3.93), 40 samples of 1,000 calls",
        ),
        (
            Timing(samples=(0.9998e-3,) * 6, median=0.9998e-3, iqr=0.0, low=0.98e-3, high=1.02e-3),
            "median 1.00 ms (95 % interval 0.980 .. 1.020), 6 samples of 1 call",
        ),
        (
            Timing(samples=(150.0,) * 6, median=150.0, iqr=0.0, low=99.0, high=4000.0),
            "median 2 min 30 s (95 % interval 99.0 s .. 1 h 6 min), 6 samples of 1 call",
        ),
        (
            Timing(samples=(20.0,), median=20.0, iqr=0.0, warnings=('only 1 sample of "f()", too few',)),
            'median 20.0 s, 1 sample of 1 call\nwarning: only 1 sample of "f()", too few',
        ),
    ],
)
def test_timings(timing, said):
    assert render(timing, width=80).plain == said


def test_a_long_timing_wraps_between_words_on_a_narrow_screen():
    timing = Timing(samples=(3.8e-6,) * 40, calls_per_sample=1000, median=3.8e-6, low=3.71e-6, high=3.93e-6)
    assert render(timing, width=40).plain == (
        "median 3.80 us (95 % interval 3.71 ..\n  3.93), 40 samples of 1,000 calls"
    )


def test_names_and_reasons_cannot_steer_the_terminal():
    evil = "\x1b[31m[bold]x\n\u202e" * 50
    case = Case(
        device=evil,
        dtype=evil,
        size={evil: 1},
        variants=(
            variant(evil, 1.0, agrees=Agreement(with_=evil, max_abs_error=None, max_rel_error=None, ok=True)),
            Variant(name="f", status="failed", reason=evil),
        ),
        warnings=(evil,),
    )
    text = shown(Benchmark(workload=evil, environment={"torch": evil}, cases=(case,)), 60)
    assert not {"\x1b", "\u202e"} & set(text)
    assert "[bold]" in text


def test_nothing_measured_is_no_trouble():
    assert render(Benchmark(workload="dot", environment={}, cases=()), width=80).plain == " dot"
    assert render(report.Timing(), width=80).plain == ""


def test_shares_of_the_limit_and_counts_are_shown():
    limit = report.Ceiling(gflops_per_second=100.0, gbytes_per_second=10.0)
    counts = report.Counts(operators=4000, allocations=2000, allocated_nbytes=4096, extrapolated=True)
    slow = report.Variant(
        name="loop", status="extrapolated", reason="extrapolated from 8 of 64 steps", median=1.0, counts=counts
    )
    fast = report.Variant(
        name="dot", status="measured", median=1e-6, low=9e-7, high=1.1e-6, share=0.25, bound="memory",
        gflops_per_second=2.0, counts=report.Counts(operators=1, allocations=1, allocated_nbytes=4),
    )  # fmt: skip
    case = report.Case(
        device="cpu", dtype="float32", size={"n": 64}, threads=2, cold=True, ceiling=limit, variants=(slow, fast)
    )
    stopped = report.Benchmark(workload="dot", environment={}, cases=(case,), complete=False)
    lines = render(stopped, width=100).plain.splitlines()
    assert " n = 64  caches flushed before each call" in lines
    assert [line.split() for line in lines if line.startswith((" loop  ", " dot   "))][2:] == [
        ["loop", "~", "4,000", "~", "2,000", "~", "4", "KiB"],
        ["dot", "1", "1", "4", "B"],
    ]
    assert " limit: 100 GFLOP/s, 10.0 GB/s, measured" in lines  # a quarter of it is far from being it
    assert any("25 %" in line for line in lines)
    assert lines[-1] == " warning: this is incomplete: it was interrupted"


def test_what_is_the_limit_of_which_rows_is_said():
    wild = {"gflops_low": 40.0, "gbytes_low": 9.8, "call_seconds": 1.26e-6}
    limit = report.Ceiling(gflops_per_second=100.0, gbytes_per_second=10.0, **wild)
    near, far = {"bound": "memory", "share": 0.8}, {"bound": "memory", "share": 0.2}
    call, cached = {"bound": "call"}, {"bound": "in cache"}

    def said(*bounds):
        rows = tuple(
            Variant(name=f"v{number}", status="measured", median=1e-6, **bound) for number, bound in enumerate(bounds)
        )
        case = Case(device="cpu", dtype="float32", size={}, ceiling=limit, variants=rows)
        lines = render(Benchmark(workload="dot", environment={}, cases=(case,)), width=150).plain.splitlines()
        shares = [line.split()[3:] for line in lines if line.startswith(" v") and " us" in line]
        return shares, next((line for line in lines if " is the limit of " in line), "")

    assert said(near, near) == ([["80", "%"]] * 2, " memory is the limit of all rows")
    assert said(near, far, call, cached) == (
        [["80", "%"], ["20", "%"], ["call"], ["in", "cache"]],
        ' memory is the limit of "v0"; the call itself is the limit of "v2"',
    )
    assert said(call, call, cached)[1] == ' the call itself is the limit of "v0" and "v1"'
    assert said(*[call] * 4, cached)[1] == " the call itself is the limit of 4 of 5 rows"
    assert said(far, cached)[1] == ""
    case = Case(
        device="cpu", dtype="float32", size={}, ceiling=limit,
        variants=(Variant(name="v", status="measured", median=1.0, **near),),
    )  # fmt: skip
    lines = render(Benchmark(workload="dot", environment={}, cases=(case,)), width=150).plain.splitlines()
    assert lines[-2:] == [
        " limit: 100 GFLOP/s (down to 40.0), 10.0 GB/s, 1.3 us a call, measured",
        ' memory is the limit of "v"',
    ]


def test_a_wrong_answer_is_red_and_not_a_fast_one():
    wrong = Agreement(with_="float64", max_abs_error=1.0, max_rel_error=1.0, ok=False, reason="largest error 1")
    fast = variant("fast", 1e-6, ratio=50.0, agrees=wrong)
    loop = variant("python loop", 5e-5, ratio=1.0)
    case = Case(device="cpu", dtype="float32", size={"n": 8}, variants=(loop, fast))
    drawn = io.StringIO()
    console = Console(
        file=drawn, width=120, force_terminal=True, color_system="standard", _environ={}, theme=Theme(STYLES["dark"])
    )
    console.print(render(Benchmark(workload="dot", environment={}, cases=(case,)), width=120))
    (line,) = [line for line in drawn.getvalue().split("\n") if "wrong result" in line]
    assert "x faster" not in line
    assert "█" not in line
    assert re.search(r"\x1b\[[\d;]*31m *fast", line)
    assert re.search(r"\x1b\[[\d;]*31m *wrong result", line)


def test_counts_at_20_columns_are_still_counts():
    counts = report.Counts(operators=1_234_567, allocations=2000, allocated_nbytes=4096, extrapolated=True)
    case = Case(device="cpu", dtype="float32", size={}, variants=(variant("multiply and sum", 1.0, counts=counts),))
    lines = shown(Benchmark(workload="dot", environment={}, cases=(case,)), 20).split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(" one"))
    assert lines[start : start + 2] == [" one c…    operators", " multi…  ~ 1,234,567"]
