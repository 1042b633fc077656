"""Sizes, parameters and %bench as they are written."""

import pytest
from typer.main import get_command

from tensorcli import cli, ranges
from tensorcli.measuring import OPTIONS, of_line, request
from tensorcli.report import Bench, Compare


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("512", [512]), ("64..512*2", [64, 128, 256, 512]), ("100..350+100", [100, 200, 300]), ("1_000", [1000]),
        ("0", [0]), ("-3", [-3]), ("7..7*2", [7]), ("1..100+1", list(range(1, 101))),
    ],
)  # fmt: skip
def test_ranges_of_sizes(text, sizes):
    assert ranges.integers(text) == sizes


@pytest.mark.parametrize("text", ["", "x", "64..", "64..128*1", "64..128+0", "0..64*2", "1.5"])
def test_what_is_no_range_of_sizes_is_told(text):
    with pytest.raises(ValueError, match=r"is no size|has no end"):
        ranges.integers(text)


def test_a_range_without_a_step_is_told_how_to_have_one():
    with pytest.raises(ValueError, match=r"^20\.\.10 has no step: write 10\.\.20\*2 or 10\.\.20\+2$"):
        ranges.integers("20..10")


def test_a_range_downwards_and_a_number_of_many_digits_are_told():
    with pytest.raises(ValueError, match=r"^4096\.\.64\*2 goes downwards: begin with the smaller, 64\.\.4096\*2$"):
        ranges.integers("4096..64*2")
    for text in ("1" * 23, "1.." + "1" * 23 + "*2", "1_" + "1" * 22):
        with pytest.raises(ValueError, match=r"^a size of 23 digits is larger than any tensor: the most are 18$"):
            ranges.integers(text)


def test_a_range_is_whole_or_told():
    with pytest.raises(ValueError, match=r"^1\.\.1000000\+1 has more than 100 numbers: take larger steps"):
        ranges.integers("1..1000000+1")


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("n=64,256", "n", (64, 256)),
        ("n=16..64*2,100", "n", (16, 32, 64, 100)),
        ("p=0.5, 1e-3,007", "p", (0.5, "1e-3", "007")),  # what would be written in another way stays as it was
        ("p=nan,inf,2", "p", ("nan", "inf", 2)),  # JSON has no number for them
        ("dtype=torch.float32,torch.float64", "dtype", ("torch.float32", "torch.float64")),
        ("shape=(3, 4),[5, 6],7", "shape", ("(3, 4)", "[5, 6]", 7)),
    ],
)
def test_parameters(text, name, values):
    assert ranges.parameter(text) == (name, values)


@pytest.mark.parametrize("text", ["n", "n=", "=3", "2=3", "n=1,", "n=1..3*1"])
def test_what_is_no_parameter_is_told(text):
    with pytest.raises(ValueError, match=r"is no parameter: write n=64,256|has no end"):
        ranges.parameter(text)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("x @ w, torch.mm(x, w)", ("x @ w", "torch.mm(x, w)")),
        ("x.sum()", ("x.sum()",)),
        ("(x, w)", ("(x, w)",)),
        ("f(1, 2), {1, 2}, 'a, b'", ("f(1, 2)", "{1, 2}", "'a, b'")),
        ("x @", ("x @",)),
        ("x @ w\n\ntorch.mm(x, w)", ("x @ w", "torch.mm(x, w)")),
        ('"x @ w" "torch.mm(x, w)"', ("x @ w", "torch.mm(x, w)")),
        ("compare 'x - -y'", ("x - -y",)),
    ],
)
def test_expressions_behind_bench(line, texts):
    assert of_line(line) == Compare(texts=texts)


def test_options_behind_bench():
    assert of_line('"x" "y" -s "x = 1" --param n=2,3 --param n=4 --min-time 2 --device cuda --threads 1 --explain') == (
        Compare(
            texts=("x", "y"),
            setup="x = 1",
            parameters={"n": (2, 3, 4)},
            min_seconds=2.0,
            devices=("cuda",),
            threads=(1,),
            explain=True,
        )
    )
    assert of_line("--min-time 2\nx, y\nz") == Compare(texts=("x", "y", "z"), min_seconds=2.0)
    measured = Compare(texts=("x @ w", "x"), min_seconds=0.01)
    for line in (
        "--min-time 0.01 x @ w, x",
        "--min-time=0.01 x @ w, x",
        "x @ w, x --min-time 0.01",
        "--min-time 0.01\nx @ w\nx",
    ):
        assert of_line(line) == measured
    assert of_line('-s "a = 2" --explain a * {n}, [a, {n}] --param "n=1, 2" --dtype float64') == Compare(
        texts=("a * {n}", "[a, {n}]"), setup="a = 2", parameters={"n": (1, 2)}, dtypes=("float64",), explain=True
    )
    assert of_line("x --min-time 2") == Compare(texts=("x",), min_seconds=2.0)  # or a workload's: the engine knows
    assert of_line("-x, x - -y") == Compare(texts=("-x", "x - -y"))
    assert of_line("--size 4 matmul") == Bench(workload="matmul", sizes=(4,))
    assert of_line("matmul --size 2..8*2 --variant einsum --dtype float64") == Bench(
        workload="matmul", sizes=(2, 4, 8), variants=("einsum",), dtypes=("float64",)
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"x', "No closing quotation"),
        ("'x' --min-time soon", "argument --min-time: invalid float value: 'soon'"),
        ("'x' --size 3", "--size is for workloads: write --param n=64,256, and {n} where it is to stand"),
        ("'x' --variant y", "--variant is for workloads"),
        ("'x' --colour", "%bench has no option --colour: did you mean --cold"),
        ("matmul --size 3 'x'", "matmul takes no expressions: did you mean bench compare?"),
        ("--min-time", "argument --min-time: expected one argument"),
        ("x, y --min-time nan", "nan s cannot be spent on a variant: write a number above 0, as in --min-time 2"),
        ("x --max-time inf", "inf s cannot be spent on a variant: write a number above 0, as in --max-time 2"),
        ("x --seed -1", r"a seed is a whole number from 0 to 2\*\*63 - 1, not -1: write --seed 42"),
        ("--colour x @ w", "%bench has no option --colour: did you mean --cold"),
        ("x @ w --json /tmp/r.json --min-time 1", "%bench has no option --json: tensorcli bench --json has it"),
    ],
)
def test_what_makes_no_sense_behind_bench_is_told(line, said):
    with pytest.raises(ValueError, match="^" + said.replace("{", r"\{").replace("?", r"\?")):
        of_line(line)


def test_the_options_behind_bench_are_those_of_the_command():
    command = get_command(cli.app).commands["bench"]
    of_command = {name: each.is_flag for each in command.params for name in each.opts if name.startswith("--")}
    of_files = {"--json", "--csv", "--markdown", "--plot", "--baseline", "--fail-if-slower"}
    assert {name: "action" in kind and "default" not in kind for name, kind in OPTIONS.items()} == {
        name: flag
        for name, flag in of_command.items()
        if name not in {*of_files, "--trust", "--max-memory", "--no-color", "--width", "--help"}
    }


def test_nothing_to_compare_is_the_engines_to_tell():
    assert request(("compare",)) == Compare(texts=())
