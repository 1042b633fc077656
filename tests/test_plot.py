"""Tensors as pictures: which one, its numbers against torch's own, how it is drawn, and the files of it."""

import io
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import NASTY, SAMPLES
from test_render import drawn, lines

from tensorcli import figure, wire
from tensorcli import report as r
from tensorcli.client import Here
from tensorcli.engine import pixels
from tensorcli.engine.pixels import Unsuited, plot
from tensorcli.expect import DTYPES
from tensorcli.show import Screen

# Which picture.


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (torch.rand(5), "line"),
        (torch.rand(5, 6), "heatmap"),
        (torch.randint(256, (28, 28), dtype=torch.uint8), "image"),
        (torch.randint(256, (2, 3), dtype=torch.uint8), "heatmap"),
        (torch.rand(3, 32, 32), "image"),
        (torch.rand(32, 32, 3), "image"),
        (torch.rand(1, 28, 28), "image"),
        (torch.rand(5, 1, 32, 32), "image"),
        (torch.rand(32, 32, 4), "image"),
        (torch.rand(4, 32, 32), "heatmap"),
        (torch.rand(5, 32, 32, 3), "image"),
        (torch.rand(12, 32, 32), "heatmap"),
        (torch.rand(3, 4, 5), "heatmap"),
        (torch.rand(64, 32, 3, 3), "histogram"),
        (torch.rand(2, 2, 2, 2, 2), "histogram"),
        ([1, 2, 3], "line"),
        (torch.rand(5, 6).numpy(), "heatmap"),
    ],
)
def test_the_picture_is_chosen_by_shape_and_dtype(x, kind):
    assert plot(x).drawn == kind


@pytest.mark.parametrize(
    ("x", "kind", "sentence"),
    [
        (
            torch.eye(3).to_sparse(),
            "auto",
            "a tensor of layout sparse_coo has no picture: make it dense with .to_dense",
        ),
        (torch.rand(3, device="meta"), "auto", "a tensor on meta has no elements to draw"),
        (torch.rand(3), "image", r"an image has rows and columns, and this has shape \[3\]: draw a line of it"),
        (torch.tensor(3.0), "auto", "a single number has no picture: it is 3"),
        (5, "auto", "a picture is made of a tensor, and this is of type int"),
        (None, "auto", "a picture is made of a tensor, and this is None"),
        ([1, "a"], "auto", "a list is drawn where it holds numbers alone, and this does not"),
        (torch.nested.nested_tensor([torch.rand(2), torch.rand(3)]), "auto", "a nested tensor has no picture"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(x, kind, sentence):
    with pytest.raises(Unsuited, match=f"^{sentence}"):
        plot(x, drawn=kind)


@pytest.mark.parametrize("dtype", [name for name in DTYPES if not name.startswith(("q", "float4"))])
@pytest.mark.parametrize("kind", ["line", "histogram", "heatmap", "image"])
def test_every_dtype_can_be_drawn(dtype, kind):
    x = torch.ones(4, 4).to(getattr(torch, dtype))
    found = plot(x, drawn=kind)
    assert (found.dtype, found.low, found.high) == (dtype, 1.0, 1.0)
    assert drawn(found)


def test_complex_numbers_are_drawn_by_magnitude():
    found = plot(torch.tensor([3 + 4j, 0j]))
    assert (found.lows, found.notes) == ((5.0, 0.0), ("magnitudes of complex numbers",))


def test_quantised_tensors_and_those_with_gradients_can_be_drawn():
    assert plot(torch.quantize_per_tensor(torch.ones(3), 0.5, 0, torch.qint8)).lows == (1.0, 1.0, 1.0)
    assert plot(torch.ones(3, requires_grad=True)).lows == (1.0, 1.0, 1.0)
    assert plot(torch.ones(3, 2).T.conj()).cells == ((1.0,) * 3,) * 2


@pytest.mark.parametrize("kind", ["line", "histogram", "heatmap", "image"])
def test_the_default_device_does_not_matter(kind):
    x = torch.rand(2, 8, 8)
    expected = plot(x, drawn=kind)
    with torch.device("meta"):
        assert plot(x, drawn=kind) == expected


# Their numbers.

FLOATS = st.lists(st.floats(width=32), max_size=60)


@settings(deadline=None)
@given(FLOATS, st.integers(1, 40))
def test_a_line_has_the_least_and_the_greatest_of_each_stretch(values, columns):
    found = plot(torch.tensor(values), drawn="line", size=(columns, 1))
    finite = [value for value in values if math.isfinite(value)]
    assert (found.nan, found.inf) == (sum(map(math.isnan, values)), sum(map(math.isinf, values)))
    assert (found.low, found.high) == ((min(finite), max(finite)) if finite else (None, None))
    if not finite:
        return
    bins = min(len(values), 2 * columns)
    for i in range(bins):
        stretch = [v for j, v in enumerate(values) if j * bins // len(values) == i and math.isfinite(v)]
        assert (found.lows[i], found.highs[i]) == ((min(stretch), max(stretch)) if stretch else (None, None))


@settings(deadline=None)
@given(FLOATS)
def test_a_histogram_counts_every_finite_element(values):
    found = plot(torch.tensor(values, dtype=torch.float64), drawn="histogram")
    assert sum(found.counts) == sum(map(math.isfinite, values))
    assert len(found.counts) <= pixels.BINS


def test_a_histogram_is_torchs():
    x = torch.randn(1000, dtype=torch.float64)
    found = plot(x, drawn="histogram")
    assert found.counts == tuple(torch.histc(x, bins=20).int().tolist())


def test_few_integers_have_a_bin_each():
    assert plot(torch.tensor([0, 1, 1, 4]), drawn="histogram").counts == (1, 2, 0, 0, 1)
    assert plot(torch.tensor([True, False, True]), drawn="histogram").counts == (1, 2)
    assert plot(torch.full((9,), 7.0), drawn="histogram").counts == (9,)


def test_numbers_further_apart_than_any_number():
    x = torch.tensor([-1.7e308, 0, 1.7e308], dtype=torch.float64)
    assert plot(x, drawn="histogram").counts == (1, 1, 1)
    assert drawn(plot(x)).count("1.7e+308") == 2


def test_a_heatmap_is_reduced_to_means_without_what_is_not_finite():
    x = torch.arange(48.0).reshape(6, 8)
    assert plot(x).cells == tuple(map(tuple, x.tolist()))
    x[0, 0], x[0, 1], x[0, 2] = math.nan, math.inf, -math.inf
    x[4:, 6:] = math.nan
    found = plot(x, size=(4, 3))
    assert (found.nan, found.inf) == (5, 2)
    assert found.cells[0][:2] == (8.5, (3.0 + 10.0 + 11.0) / 3)
    assert found.cells[1] == tuple(x[2:4].reshape(2, 4, 2).mean((0, 2)).tolist())
    assert found.cells[2][3] is None
    assert found.notes == ("each cell is a mean of about 2 x 2 elements", "6 rows, 8 columns")


def test_arrays_in_any_order_of_bytes_and_elements_are_drawn():
    x = np.arange(5.0)
    assert plot(x[::-1], drawn="line").lows == (4.0, 3.0, 2.0, 1.0, 0.0)
    assert plot(x.astype(">f4"), drawn="line").lows == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert plot(torch.ones(2, 3), drawn="line").notes == ("its rows one after the other",)


@pytest.mark.parametrize("low", [5e-324, -1.7e308])
def test_ranges_that_are_very_small_or_large(low):
    x = torch.tensor([low, 0.0 if low > 0 else 1.7e308], dtype=torch.float64)
    assert plot(x, drawn="histogram").counts == (1, 0, 1)
    assert len(lines(plot(x.reshape(1, 2)), width=20)) > 3


def test_an_image_keeps_the_colours_it_has():
    red = torch.zeros(3, 9, 8)
    red[0] = 1
    assert plot(red).pixels == ("ff0000" * 8,) * 9
    assert plot(red.permute(1, 2, 0)).pixels == ("ff0000" * 8,) * 9
    assert plot((255 * red).byte().permute(1, 2, 0)).pixels == ("ff0000" * 8,) * 9
    assert plot((100 * red).byte()).pixels == ("640000" * 8,) * 9
    assert plot(torch.cat([red, red[:1]]).permute(1, 2, 0)).pixels == ("ff0000" * 8,) * 9
    far = plot(3 * red)
    assert far.pixels == ("ff0000" * 8,) * 9
    assert far.notes == ("black is the least and white the greatest element",)


def test_a_batch_is_a_grid():
    x = torch.stack([torch.full((1, 8, 8), i / 5) for i in range(5)])
    found = plot(x, size=(100, 100))
    grey = [bytes.fromhex(row)[::3] for row in found.pixels]
    assert grey[0:8] == [bytes([0] * 9 + [51] * 8)] * 8
    assert grey[8] == bytes(17)
    assert grey[9:17] == [bytes([102] * 8 + [0] + [153] * 8)] * 8
    assert grey[18:] == [bytes([204] * 8 + [0] * 9)] * 8


def test_a_line_of_rows_says_in_which_order():
    found = plot(torch.arange(8).reshape(2, 2, 2).permute(2, 0, 1), drawn="line")
    assert (found.lows, found.notes) == ((0, 2, 4, 6, 1, 3, 5, 7), ("its rows one after the other",))


def test_of_a_few_rows_all_stay():
    found = plot(torch.arange(2.0).reshape(2, 1).expand(2, 5000), size=(80, 60))
    assert found.cells == ((0.0,) * 80, (1.0,) * 80)


def test_whole_numbers_that_a_float64_has_not_are_said_to_be_rounded():
    assert plot(torch.tensor([-(2**63), 1])).notes == ("whole numbers beyond 2^53 are rounded",)
    assert plot(torch.tensor([2**53, 1])).notes == ()


def test_a_histogram_has_no_more_bars_than_there_is_room_for():
    assert len(plot(torch.rand(100_000), drawn="histogram", size=(24, 18)).counts) == 12
    assert len(plot(torch.arange(30), drawn="histogram", size=(24, 18)).counts) < 13
    whole = r.Plot(drawn="histogram", shape=(40,), low=0.0, high=1.0, counts=(1,) * 40)
    assert lines(whole, width=30)[1].startswith(" 3 ")  # 15 bars of two or three: no element is counted twice


def test_of_a_large_batch_the_first_are_drawn():
    found = plot(torch.rand(10, 10, 3, 8, 8), drawn="image", size=(400, 400))
    assert found.notes == ("the first 36 of 100",)
    assert {len(row) // 6 for row in found.pixels} == {6 * 9 - 1}


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 12), st.sampled_from([(20, 15), (80, 60)]))
def test_no_picture_is_larger_than_was_asked_for(height, width, tiles, size):
    found = plot(torch.zeros(tiles, 1, 1, 1).expand(tiles, 1, height, width), drawn="heatmap", size=size)
    assert len(found.cells) <= size[1]
    assert len(found.cells[0]) <= size[0]
    assert len({len(row) for row in found.cells}) == 1


def test_what_is_too_large_is_looked_at_in_part(monkeypatch):
    monkeypatch.setattr(pixels, "MOST", 100)
    monkeypatch.setattr(pixels, "PIECE", 7)
    found = plot(torch.arange(1000), size=(10, 10))
    places = [list(range(0, 1000, 16))[j] for j in range(63)]
    assert found.lows == tuple(min(p for j, p in enumerate(places) if j * 20 // 63 == i) for i in range(20))
    assert found.notes == ("one of 16 elements was looked at",)
    assert (found.low, found.high) == (0, 992)


def test_nothing_large_is_made():
    x = torch.zeros(1).expand(1 << 15, 1 << 15)  # 4 GiB, if it were copied
    assert plot(x).cells[0][0] == 0
    assert plot(x.reshape(-1)[:0]).low is None


# How they are drawn.


def test_a_line():
    assert lines(plot(torch.tensor([0.0, 1.0, 0.0]), text="x"), width=20) == [
        "x  float32 [3] cpu",
        " 1.00 ┤     ⢠⢣",
        "      │     ⡜⠘⡄",
        "      │    ⢠⠃ ⢣",
        "      │    ⡜  ⠈⡆",
        "      │   ⢠⠃   ⢱",
        "      │   ⡜     ⡇",
        "      │  ⢠⠃     ⢸",
        "      │  ⡜       ⢇",
        "      │ ⢠⠃       ⠸⡀",
        "      │ ⡜         ⢣",
        "      │⢠⠃         ⠘⡄",
        "    0 ┤⡜           ⢣",
        "      └─────────────",
        "       0           2",
    ]


def test_a_histogram():
    assert lines(plot(torch.tensor([0, 0, 1, 2, 2, 2, 2]), drawn="histogram", text="x"), width=20) == [
        "x  int64 [7] cpu",
        " 4 ┤          ⣿⣿⣿⣿⣿",
        *["   │          ⣿⣿⣿⣿⣿"] * 5,
        *["   │⣿⣿⣿⣿⣿     ⣿⣿⣿⣿⣿"] * 3,
        *["   │⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿"] * 2,
        " 0 ┤⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿",
        "   └───────────────",
        "    0             2",
    ]


def test_a_heatmap():
    x = torch.tensor([[0.0, 1.0], [math.nan, 0.5]])
    assert lines(plot(x, text="x"), width=40) == [
        "x  float32 [2, 2] cpu  heatmap  1 nan",
        *["............@@@@@@@@@@@@"] * 6,
        *["            ++++++++++++"] * 6,
        "0 .:-=+*#%@ 1.00",
        "2 rows, 2 columns",
    ]


def test_an_image_and_its_notes():
    x = torch.zeros(3, 8, 8)
    x[:, :4, :4] = 2
    assert lines(plot(x, text="x", drawn="image"), width=60) == [
        "x  float32 [3, 8, 8] cpu  image",
        *["@@@@@@@@@@@@............"] * 6,
        *["........................"] * 6,
        "black is the least and white the greatest element",
    ]


@pytest.mark.parametrize("kind", ["line", "histogram", "heatmap", "image"])
@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(0, 3), "nothing to draw: there are no elements"),
        (torch.full((3, 3), math.nan), "nothing to draw: no element is finite"),
    ],
)
def test_where_there_is_nothing_to_draw_it_is_said(x, says, kind):
    assert lines(plot(x, drawn=kind))[1] == says


def test_a_constant_is_drawn():
    assert lines(plot(torch.full((3, 3), 2.5)), width=40)[-2:] == ["all are 2.50", "3 rows, 3 columns"]
    assert [line for line in lines(plot(torch.full((9,), 2.5)), width=40) if "2.50 ┤" in line]


def test_on_a_stream_without_dots_there_are_stars():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    Screen(stdout=out, width=20).show(plot(torch.tensor([0.0, 1.0]), text="x"))
    shown = out.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined]
    assert shown[1] == " 1.00 |           **"
    assert shown[-2] == "      `-------------"


# In a session.


def asked(request: r.AnyRequest) -> list[r.AnyReport]:
    answers: list[r.AnyReport] = []
    Here(seed=0).ask(request, answers.append)
    return answers


def test_a_session_draws_the_last_result():
    (found,) = asked(r.Draw(text="x = torch.ones(3)\nx + 1"))
    assert isinstance(found, r.Plot)
    assert (found.text, found.statement, found.lows) == ("x + 1", 2, (2.0, 2.0, 2.0))
    (found,) = asked(r.Draw(text="x = torch.ones(3)"))
    assert isinstance(found, r.Plot)
    assert found.lows == (1.0, 1.0, 1.0)


def test_a_session_says_what_it_cannot_draw():
    printed, problem = asked(r.Draw(text="print(3)"))
    assert printed == r.Output(text="3\n", source="print(3)", statement=1)
    assert isinstance(problem, r.Diagnosis)
    assert (problem.code, problem.title) == ("cannot-draw", "a picture is made of a tensor, and this is None")
    (problem,) = asked(r.Draw(text="torch.rand(3) @ 3"))
    assert isinstance(problem, r.Diagnosis)


def test_inspect_draws_after_its_trace():
    trace, found = asked(r.Inspect(text="x.T", setup="x = torch.eye(2)", plot="auto"))
    assert isinstance(trace, r.Trace)
    assert isinstance(found, r.Plot)
    assert found.cells == ((1.0, 0.0), (0.0, 1.0))
    assert not [answer for answer in asked(r.Inspect(text="x.T", plot="auto")) if isinstance(answer, r.Plot)]


def test_the_ends_of_a_range_have_the_digits_that_tell_them_apart():
    assert lines(plot(torch.tensor([1e9, 1e9 + 1], dtype=torch.float64)))[1].startswith(" 1000000001 ")
    assert lines(plot(torch.tensor([[1e9, 1e9 + 1]], dtype=torch.float64)))[-2].endswith("1000000001")
    assert lines(plot(torch.tensor([[0.422, 0.587]])), width=16)[-2].endswith("0.422 .. 0.587")


# To files, and the command line.


@pytest.mark.parametrize("kind", ["line", "histogram", "heatmap", "image"])
@pytest.mark.parametrize("x", [torch.rand(40, 30), torch.full((3, 3), math.nan), torch.ones(2, 2)])
def test_files_are_valid_and_the_same_again(x, kind, tmp_path):
    found = plot(x, drawn=kind, text=f"$x$ {NASTY}")
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        assert figure.problem(tmp_path / name) is None
        figure.save(found, tmp_path / name)
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (800, 500)
    assert ElementTree.fromstring((tmp_path / "a.svg").read_bytes()).tag == "{http://www.w3.org/2000/svg}svg"
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_files_say_what_the_screen_says(tmp_path):
    path = tmp_path / "a.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.save(plot(torch.rand(2, 3, 4)), path)
        assert "3 rows, 4 columns each" in path.read_text()
        figure.save(plot(torch.tensor([math.nan])), path)
        assert "1 nan" in path.read_text()
        assert "nothing to draw: no element is finite" in path.read_text()
        figure.save(plot(torch.rand(500, 1000), size=(8, 8)), path)
        assert ">800<" in path.read_text()  # on its axis: the elements' places, not the cells'


@pytest.mark.parametrize("kind", ["line", "histogram", "heatmap"])
@pytest.mark.parametrize("ends", [(-1.7e308, 1.7e308), (0.0, 5e-324), (1.7e308, 1.79e308)])
def test_numbers_that_no_file_can_have_are_a_sentence(ends, kind, tmp_path):
    found = plot(torch.tensor([ends], dtype=torch.float64), drawn=kind)
    assert drawn(found)
    with pytest.raises(OSError, match="matplotlib draws neither numbers above 1e300 nor differences below 1e-300"):
        figure.save(found, tmp_path / "a.png")


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tensorcli", "inspect", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_without_matplotlib_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert figure.problem(tmp_path / "a.png") == (
        'matplotlib draws to files, and it is not installed: pip install "tensorcli[plot]"'
    )
    assert figure.problem(tmp_path / "a.jpg") == "a.jpg is neither a .png nor an .svg file"


def test_the_command_line_draws_saves_and_expects(tmp_path):
    done = run(
        "--plot", "x.T", "-s", "x = torch.eye(2)", "--expect", "[2, 3]", "--json",
        "--plot-to", "p.png", "--svg", "s.svg", "--html", "s.html", cwd=tmp_path,
    )  # fmt: skip
    trace, picture, problem = (wire.report(line.encode()) for line in done.stdout.splitlines())
    assert isinstance(trace, r.Trace)
    assert isinstance(picture, r.Plot)
    assert isinstance(problem, r.Diagnosis)
    assert problem.title == "expected [2, 3], got [2, 2]: dimension 1 is 2, not 3"
    assert (done.returncode, done.stderr) == (1, "")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert "not-as-expected" in (tmp_path / "s.svg").read_text("utf-8")
    assert "not-as-expected" in (tmp_path / "s.html").read_text("utf-8")


def test_a_file_is_left_alone_where_there_is_nothing_for_it(tmp_path):
    done = run("torch.eye(2).to_sparse()", "--plot-to", "a.png", "--plot", "line", cwd=tmp_path)
    assert done.returncode == 1
    assert "make it dense with .to_dense() first" in done.stderr
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("x", "--svg", "missing/a.svg"), 1, "error: missing/a.svg cannot be written: No such file or directory\n"),
        (("x", "--plot-to", "a.jpg"), 2, "error: a.jpg is neither a .png nor an .svg file\n"),
        (("x", "--expect", ""), 2, "there is nothing to expect"),
        (("x", "--expect", "[3"), 2, "[ is no dtype, shape or device"),
        (("--plot", "bogus", "x"), 2, "bogus is no picture: choose from auto, line, histogram, heatmap, image"),
        (("x", "--plot", "bogus"), 2, "bogus is no picture: choose from auto, line, histogram, heatmap, image"),
        (("x", "--plot", "--dry-run"), 2, "a dry run computes nothing, so there is nothing to draw"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(arguments, code, says, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


# Benchmarks.


def benchmark_svg(benchmark: r.Benchmark) -> str:
    return figure.of_benchmark(benchmark, ".svg").decode()


def test_a_benchmark_is_drawn_against_size_with_its_limits() -> None:
    def case(n: int, **fields: object) -> r.Case:
        measured = {
            "status": "measured",
            "seconds": (1e-3 * n,),
            "median": 1e-3 * n,
            "low": 0.9e-3 * n,
            "high": 2e-3 * n,
        }
        work = {"flops": n**3, "nbytes": n**2, "share": 0.5, "bound": "arithmetic"}
        variants = (
            r.Variant(name="loop $x$", **{**measured, **work, "status": "extrapolated"}),
            r.Variant(name="matmul", **measured, **work, gflops_per_second=n**3 / 1e-3 / n / 1e9),
            r.Variant(name="none", status="failed", reason="no"),
        )
        return r.Case(
            **{"device": "cpu", "dtype": "float32", "size": {"n": n}, "threads": 2, "variants": variants} | fields
        )

    benchmark = r.Benchmark(workload="matmul", environment={"torch": "2", "cpu": "X"}, cases=(case(64), case(256)))
    svg = benchmark_svg(benchmark)
    assert svg == benchmark_svg(benchmark)
    ElementTree.fromstring(svg)
    for text in ("matmul: torch 2, X", "time (s)", "rate (GFLOP/s)", "loop $x$", "limit", "64", "256"):
        assert f"<!-- {text.replace('$', chr(92) + '$')} -->" in svg or f"<!-- {text} -->" in svg, text
    assert "<!-- none -->" not in svg
    assert figure.of_benchmark(benchmark, ".png").startswith(b"\x89PNG")

    both = r.Benchmark(
        workload="m", environment={}, cases=(case(64), case(64, device="cuda:0"), case(8, device="cuda:0"))
    )
    svg = benchmark_svg(both)
    assert all(f"<!-- {text} -->" in svg for text in ("matmul, cpu", "matmul, cuda:0", "limit cpu", "limit cuda:0"))


def test_a_limit_is_drawn_only_where_it_is_known_and_holds_for_all() -> None:
    def limits(*variants: dict[str, object]) -> list[tuple[float, float]]:
        same = {"status": "measured", "median": 1.0, "flops": 8, "nbytes": 8}
        rows = tuple(r.Variant(**{"name": f"v{i}", **same, **fields}) for i, fields in enumerate(variants))
        cases = tuple(r.Case(device="cpu", dtype="float32", size={"n": n}, variants=rows) for n in (1_000_000, 3))
        found = figure._limits(r.Benchmark(workload="m", environment={}, cases=cases)).get("limit", [])
        return [(x, seconds) for x, _, seconds in found]

    half, cached = {"share": 0.5, "bound": "memory"}, {"bound": "in cache"}
    assert limits(half, cached) == [(3, 0.5), (1_000_000, 0.5)]
    assert limits(cached, cached) == []
    assert limits(half, half | {"flops": 16}) == []  # other work has another limit


def test_sizes_are_written_as_people_write_them() -> None:
    row = r.Variant(name="v", status="measured", median=1.0)
    sizes = ({"n": 100_000}, {"n": 1_000_000})
    cases = tuple(r.Case(device="cpu", dtype="float32", size=size, variants=(row,)) for size in sizes)
    svg = benchmark_svg(r.Benchmark(workload="m", environment={}, cases=cases))
    assert "<!-- 100,000 -->" in svg
    assert "<!-- 1,000,000 -->" in svg


def test_a_wrong_result_is_crossed_out() -> None:
    def drawn(ok: bool) -> str:
        agrees = r.Agreement(with_="a", max_abs_error=1.0, max_rel_error=1.0, ok=ok)
        variant = r.Variant(name="b", status="measured", seconds=(1.0,), median=1.0, agrees=agrees)
        case = r.Case(device="cpu", dtype="float32", size={"n": 8}, threads=2, variants=(variant,))
        return benchmark_svg(r.Benchmark(workload="m", environment={}, cases=(case,)))

    assert ("#ff0000" in drawn(ok=False), "#ff0000" in drawn(ok=True)) == (True, False)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("bench")])
def test_any_benchmark_can_be_drawn(name: str) -> None:
    ElementTree.fromstring(benchmark_svg(SAMPLES[name]))


def test_the_columns_of_a_long_map_and_the_rows_of_a_wide_one_can_be_told_apart():
    x = torch.zeros(256, 20)
    x[:, ::2] = 1
    drawn = lines(plot(x, drawn="heatmap", size=(100, 120)), width=100)
    times = len(drawn[1]) // 19
    assert times > 1
    assert set(drawn[1:-2]) == {("@" * times + "." * times) * 10}
    wide = lines(plot(x.T, drawn="heatmap", size=(100, 120)), width=100)
    assert {len(line) for line in wide[1:-2]} == {100}
    assert {len({*line}) for line in wide[1:-2]} == {1}
