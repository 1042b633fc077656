"""`tensorcli bench` from end to end."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from terminal import Terminal

from tensorcli import baseline, cli, wire
from tensorcli.report import Bench, Benchmark, Case, Compare, Variant
from tensorcli.show import Screen

ROOT = Path(__file__).parent.parent
QUICK = ("--min-time", "0.001", "--width", "100")
LONG = ("--min-time", "100000", "--max-time", "100000")


def bench(*arguments, cwd=ROOT):
    """The exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "tensorcli", "bench", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_comparison_with_all_its_files_and_again_with_the_first_as_baseline(tmp_path):
    names = ("--json=b.json", "--csv=b.csv", "--markdown=b.md", "--plot=b.svg")
    what = ("compare", "x + x", "2 * x", "-s", "x = torch.ones({n})", "--param", "n=4,8", "--seed", "3", *QUICK)
    code, out, err = bench(*what, *names, cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "every variant agrees with x + x (exactly)" in out
    first = baseline.read(tmp_path / "b.json")
    assert first.complete
    assert first.asked == Compare(
        texts=("x + x", "2 * x"), setup="x = torch.ones({n})", parameters={"n": (4, 8)}, min_seconds=0.001, seed=3
    )
    assert [case.size for case in first.cases] == [{"n": 4}, {"n": 8}]
    assert all(variant.seconds and variant.calls_per_sample for case in first.cases for variant in case.variants)
    with open(tmp_path / "b.csv") as file:
        assert [(row["size_n"], row["variant"]) for row in csv.DictReader(file)] == [
            ("4", "x + x"), ("4", "2 * x"), ("8", "x + x"), ("8", "2 * x"),
        ]  # fmt: skip
    assert (tmp_path / "b.md").read_text().startswith("# compare\n\n## n = 4, float32")
    assert ElementTree.parse(tmp_path / "b.svg").getroot().tag.endswith("svg")
    assert len(list(tmp_path.iterdir())) == 4

    # A thousand times as long then: faster by far, and nothing to fail for.
    code, out, err = bench(*what, "--baseline=b.json", "--fail-if-slower=100000%", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "vs then" in out
    code, _, err = bench("compare", "x - x", *what[3:], "--baseline=b.json", "--fail-if-slower=10", cwd=tmp_path)
    assert code == 1
    assert "nothing was compared: no variant was measured then and now" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("matmul", "--size", "x"), "x is no size: write 512, 64..4096*2 or 100..500+100"),
        (("matmul", "--setup", "x = 1"), "--setup is for compare: matmul makes its own inputs"),
        (("list", "--size", "3", "--csv", "x"), "list shows every workload: leave out --size, --csv"),
        (("list", "--json", "x.json"), "list writes no file: --json - prints it as JSON"),
        (("list", "matmul"), "list shows every workload, and takes no more words: matmul"),
        (("matmul", "--size", "9" * 23), "a size of 23 digits is larger than any tensor: the most are 18"),
        (("matmul", "--threads", "x"), "x is not a whole number: write 4"),
        (
            ("matmul", "--seed", "9" * 23),
            f"{'9' * 23} is not a whole number from 0 to 9,223,372,036,854,775,807: write 42",
        ),
        (("matmul", "--min-time", "nan"), "nan is not a number of at least 0.001: write 2"),
        (("matmul", "--min-time", "5", "--max-time", "1"), "--max-time 1 is less than --min-time 5: raise it"),
        (("matmul", "--width", "10"), "10 is not a whole number of at least 20: write 100"),
        (("dot", "--size", "0", "--size", "-5"), "a size of 0 cannot be measured: n must be at least 1"),
        (("dot", "--threads", "0"), "0 threads cannot compute anything: there must be at least 1"),
        (("dot", "--dtype", "float8_e4m3fn"), "dot is not measured in float8_e4m3fn: choose from float32, float64"),
        (("compare", "x", "--dtype", "banana"), "banana cannot be the default dtype: choose from float32"),
        (("dot", "--variant", "dott"), "there is no variant called dott: did you mean dot?"),
        (("dot", "--device", "tpu"), "there is no device called tpu: try cpu, cuda or cuda:1"),
        (("matmull",), "there is no workload called matmull: did you mean matmul?"),
        (("compare", " "), "there is nothing to measure: write an expression, such as x @ x.T"),
        (("matmul", "a @ b"), "matmul takes no expressions: did you mean bench compare?"),
        (("compare", "a", "--size", "3"), "--size is for workloads: write --param n=64,256"),
        (("matmul", "--fail-if-slower", "10%"), "slower than what? --baseline FILE names an earlier run"),
        (("matmul", "--fail-if-slower", "much", "--baseline", "x"), "much is no share: write 10%"),
        (("matmul", "--baseline", "no.json"), "no.json cannot be read: No such file or directory"),
        (("matmul", "--plot", "x.pdf"), "x.pdf is neither a .png nor an .svg file"),
        (("matmul", "--csv", "no/x.csv"), "no/x.csv cannot be written: No such file or directory"),
        (("matmul", "--csv", "."), ". cannot be written: Is a directory"),
        (("matmul", "--csv", "x", "--json", "./x"), "--json and --csv both write to x: give each its own file"),
        (("matmul", "--json", "-", "--markdown", "-"), "--json and --markdown both write to stdout: give each"),
        (("matmul", "--plot", "-"), "- is neither a .png nor an .svg file"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_told_before_torch_is_loaded(arguments, said, tmp_path):
    code, out, err = bench(*arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_file_that_cannot_be_written_is_named_and_loses_no_other(tmp_path):
    names = ("--json=/dev/full", "--csv=b.csv", "--markdown=/dev/full/x")
    code, _, err = bench("dot", "--size=4", "--variant=dot", *QUICK, *names, cwd=tmp_path)
    assert (code, err) == (2, "error: /dev/full/x cannot be written: Not a directory\n")
    code, _, err = bench("dot", "--size=4", "--variant=dot", *QUICK, *names[:2], cwd=tmp_path)
    assert code == 1
    assert err.startswith("error: /dev/full cannot be written: No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_a_file_behind_a_link_that_is_not_there_yet(tmp_path):
    (tmp_path / "link").symlink_to("real")
    assert bench("dot", "--size=4", "--variant=dot", *QUICK, "--csv=link", cwd=tmp_path)[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text().startswith("workload,")


def test_a_file_on_stdout_stands_there_alone():
    what = ("dot", "--size=4", "--variant=dot", *QUICK)
    code, out, err = bench(*what, "--csv", "-")
    assert (code, err) == (0, "")
    assert [row["variant"] for row in csv.DictReader(out.splitlines())] == ["dot"]
    code, out, err = bench(*what, "--markdown", "-")
    assert (code, err) == (0, "")
    assert out.startswith("# dot\n\n## n = 4, float32")
    assert [line.split(" | ")[0] for line in out.splitlines() if "dot" in line][:2] == ["# dot", "| variant"]


def test_without_matplotlib_a_plot_says_what_to_install(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError")
    code, _, err = bench("matmul", "--plot", "x.svg", cwd=tmp_path)
    assert (code, err) == (
        2,
        'error: matplotlib draws to files, and it is not installed: pip install "tensorcli[plot]"\n',
    )


def test_what_cannot_be_measured_fails_and_the_rest_is_measured():
    code, out, err = bench("dot", "--size", "4", "--size", "100000000000", "--variant", "dot", *QUICK)
    assert code == 1
    told = "error: dot n = 100,000,000,000 was not measured on cpu in float32: needs 2.2 TiB with the check"
    assert " ".join(err.split()).startswith(told)
    assert "skipped: needs 2.2 TiB with the check against float64, and" in out
    assert " ns " in out or " us " in out


def test_a_size_that_cannot_be_read_fails_and_the_others_are_measured():
    code, out, err = bench("dot", "--size", "4,abc", "--size", "9..3*2", "--variant", "dot", *QUICK)
    assert code == 1
    assert [line.split(":")[1].strip() for line in err.splitlines() if line.startswith("error")] == [
        "abc is no size", "9..3*2 goes downwards",
    ]  # fmt: skip
    assert "n = 4" in out


def test_an_expression_that_is_refused_fails_and_the_others_are_measured():
    code, out, err = bench("compare", "x.__class__", "x + x", "-s", "x = 1", *QUICK)
    assert code == 1
    assert err.startswith("error: names that begin with an underscore, such as __class__, are Python's internals")
    failed, measured = (line for line in out.splitlines() if line.startswith((" x.__class__ ", " x + x ")))
    assert failed.startswith(" x.__class__  failed: names that begin")
    assert "failed: names that begin with an underscore, such as __class__, are Python's internals" in out
    assert measured.endswith(" 1")


def test_an_interrupt_before_anything_is_measured_names_what_is_not_written(tmp_path):
    path = tmp_path / "b.json"
    terminal = Terminal("bench", "dot", "--size", "4..5+1", *LONG, "--json", str(path), columns=200, rows=40)
    terminal.see(lambda lines: any("0 %" in line and "dot n = 4 cpu: " in line for line in lines))
    terminal.see(lambda lines: not any("trying" in line or "left" in line for line in lines))
    terminal.type("\x03")
    assert terminal.end() == 130
    assert " warning: this is incomplete: it was interrupted" in terminal.lines
    rows = [line for line in terminal.lines if line.endswith("  skipped: interrupted before it was measured")]
    assert [row.split("  ")[0].strip() for row in rows[-4:]] == ["python loop", "multiply and sum", "dot", "matmul"]
    assert len(rows) > 4  # n = 5 was not begun, and n = 4 came to no end
    assert f"{path} is not written: nothing was measured" in terminal.lines
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_writes_what_was_measured_and_says_that_it_is_incomplete(tmp_path):
    files = [f"--json={tmp_path / 'b.json'}", f"--csv={tmp_path / 'b.csv'}", f"--markdown={tmp_path / 'b.md'}"]
    what = ("bench", "dot", "--size", "4,5", "--variant", "dot", "--min-time", "60", "--max-time", "60")
    terminal = Terminal(*what, *files, columns=200, rows=40)
    terminal.see(lambda lines: any("n = 4 cpu: dot" in line and re.search("[1-9] %", line) for line in lines))
    terminal.type("\x03")
    assert terminal.end() == 130
    found = wire.report((tmp_path / "b.json").read_bytes())
    assert (found.complete, bool(found.cases[0].variants[0].seconds), found.cases[1].variants[0].seconds) == (
        False, True, (),
    )  # fmt: skip
    assert [row["complete"] for row in csv.DictReader((tmp_path / "b.csv").open())] == ["False", "False"]
    assert "this is incomplete: it was interrupted" in (tmp_path / "b.md").read_text()


def test_an_interrupt_while_files_are_written_names_those_that_are_not(tmp_path, monkeypatch, capsys):
    def interrupted(benchmark, option, suffix):
        if option == "--csv":
            raise KeyboardInterrupt
        return b"{}"

    monkeypatch.setattr(cli, "_contents", interrupted)
    measured = Variant(name="dot", status="measured", seconds=(1.0,))
    case = Case(device="cpu", dtype="float32", size={"n": 4}, variants=(measured,))
    names = {"--json": "a.json", "--csv": "a.csv", "--plot": "a.svg"}
    files = {option: tmp_path / name for option, name in names.items()}
    with pytest.raises(KeyboardInterrupt):
        cli._write_bench(Benchmark(workload="dot", environment={}, cases=(case,)), files, Screen())
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    why = "is not written: it was interrupted"
    assert capsys.readouterr().err == f"{files['--csv']} {why}\n{files['--plot']} {why}\n"


def test_what_is_asked_for_reaches_the_engine():
    options = ("--cold", "--full", "--explain", "--threads=1", "--max-time=0.002", "--dtype=float64", "--seed=5")
    code, out, _ = bench("dot", "--size=4", "--variant=dot", *options, "--min-time=0.001", "--json", "-")
    assert code == 0
    assert wire.report(out.encode()).asked == Bench(
        workload="dot", sizes=(4,), variants=("dot",), cold=True, full=True, explain=True, threads=(1,),
        min_seconds=0.001, max_seconds=0.002, dtypes=("float64",), seed=5,
    )  # fmt: skip
