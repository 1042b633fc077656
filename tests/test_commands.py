"""Texts to pieces and pieces to requests: prompts, commands, line numbers, and when Enter runs an input."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tensorcli import cells as files
from tensorcli import report
from tensorcli.client import Canned, Here
from tensorcli.commands import COMMANDS, HABITS
from tensorcli.inputs import submit
from tensorcli.past import Input, Past
from tensorcli.pieces import cells, clean, dedented, is_complete, split, statements, without_prompts
from tensorcli.report import AnyReport, AnyRequest, Diagnosis, Evaluate, Nothing, Notice


def asked(text: str, **options: Any) -> list[AnyRequest]:
    """What an input asks for, nothing failing."""
    client = Canned(lambda _: [])
    submit(text, client.ask, lambda _: None, **options)
    return client.asked


def said(text: str, *, history: Sequence[str] = ()) -> list[AnyReport]:
    """What an input answers without an engine."""
    found: list[AnyReport] = []
    past = Past()
    for number, each in enumerate(history, 1):
        past.begun(Input(each, number))
    submit(text, Canned(lambda _: []).ask, found.append, history=past)
    return found


def texts(text: str) -> list[tuple[int, str]]:
    """The line and text of each Evaluate."""
    return [(r.first_line, r.text) for r in asked(text) if isinstance(r, Evaluate)]


# The table.

LEFT_OUT = "-n 100 -r5 is left out: the time decides how many calls there are, and %bench --min-time 2 takes more"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("%time x @ x", report.Time(text="x @ x")),
        ("%time f(1,\n  2)", report.Time(text="f(1,\n  2)")),
        ("%timeit x", report.TimeIt(text="x")),
        ("%check x @ x", report.Inspect(text="x @ x", dry_run=True)),
        ("%bench x @ w, torch.mm(x, w)", report.Compare(texts=("x @ w", "torch.mm(x, w)"))),
        ("%bench matmul --size 8", report.Bench(workload="matmul", sizes=(8,))),
        ("%%bench --explain\nx @ w\nw, x", report.Compare(texts=("x @ w", "w", "x"), explain=True)),
        ("%timeit -n 100 -r5 x", report.TimeIt(text="x", notes=(LEFT_OUT,))),
        ("%timeit -x", report.TimeIt(text="-x")),
        ("%%time\ny = 1\nfor i in y:\n    z", report.Time(text="y = 1\nfor i in y:\n    z", first_line=2)),
        ("%%timeit x = 1\nx", report.TimeIt(text="x = 1\nx")),
        ("%plot x + 1", report.Draw(text="x + 1", plot_size=(80, 60))),
        ("%plot line x", report.Draw(text="x", plot="line", plot_size=(80, 60))),
        ("%plot histogram -x", report.Draw(text="-x", plot="histogram", plot_size=(80, 60))),
        ("%plot line [1, 2]", report.Draw(text="[1, 2]", plot="line", plot_size=(80, 60))),
        ("%plot image", report.Draw(text="image", plot_size=(80, 60))),
        ("%plot image / 2", report.Draw(text="image / 2", plot_size=(80, 60))),
        ("%plot line - x", report.Draw(text="line - x", plot_size=(80, 60))),
        ("%whos", report.ListNames()),
        ("%whos Tensor", report.ListNames(types=("Tensor",))),
        ("%who", report.ListNames(brief=True)),
        ("%who int float", report.ListNames(types=("int", "float"), brief=True)),
        ("%inspect x @ w", report.Inspect(text="x @ w")),
        ("%inspect --dry-run --depth 2 -x", report.Inspect(text="-x", dry_run=True, depth=2)),
        ("%inspect --grad --all --depth=1 x", report.Inspect(text="x", grad=True, all=True, depth=1)),
        ("%precision", report.Configure()),
        ("%precision 8", report.Configure(precision=8)),
        ("%precision %.2f", report.Configure(precision=2)),
        ("%precision reset", report.Configure(precision="default")),
        ("%threads", report.Configure()),
        ("%threads 2", report.Configure(threads=2)),
        ("%undo", report.Undo()),
        ("%load /none/a.npy", report.Load(path="/none/a.npy")),
        ("%load '/none/a b.npz' x, y", report.Load(path="/none/a b.npz", names=("x", "y"))),
        ("%load /none/a.csv as X", report.Load(path="/none/a.csv", name="X")),
        ("%save /tmp/a.npz x, y", report.Save(path="/tmp/a.npz", names=("x", "y"))),
        ("%save -f /tmp/a.npz", report.Save(path="/tmp/a.npz", force=True)),
        ("%reset", report.Reset()),
        ("%reset -f", report.Reset()),
        ("%devices", report.ListDevices()),
        ("!nvidia-smi", report.ListDevices()),
        ("! nvidia-smi -L", report.ListDevices()),
        ("%seed", report.Configure()),
        ("%seed 42", report.Configure(seed=42)),
        ("%device", report.Configure()),
        ("%device cuda:1", report.Configure(device="cuda:1")),
        ("%device 'cuda'", report.Configure(device="cuda")),
        ("%dtype torch.float64", report.Configure(dtype="float64")),
    ],
)
def test_a_command_asks(text: str, request_: AnyRequest) -> None:
    assert asked(text) == [request_]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_never_raises(name: str) -> None:
    command = COMMANDS[name]
    assert command.name == name
    assert command.usage.startswith(name)
    help_ = said(f"%help {name}")
    assert isinstance(help_[0], Notice)
    assert command.help in help_[0].text
    assert len(f"{command.usage}  {command.help}") <= 79
    for argument in ("", " x", " -1", " 9" * 30, " \0", " é", "\n", " %"):
        for answer in said(name + argument):
            assert isinstance(answer, Notice | Diagnosis)


def test_help_lists_every_command_once() -> None:
    answer = said("%help")[0]
    assert isinstance(answer, Notice)
    assert [line.split("  ")[0] for line in answer.text.splitlines()] == [c.usage for c in COMMANDS.values()]


def test_history_numbers_inputs() -> None:
    inputs = ["x = 1", "for i in x:\n    y"]
    assert said("%history", history=inputs) == [
        Notice(text="   1  x = 1\n   2  for i in x:\n          y\n   3  %history", source="%history", statement=1)
    ]
    assert [r.text for r in said("%history 1", history=inputs) if isinstance(r, Notice)] == ["   3  %history 1"]


@pytest.mark.parametrize(
    ("command", "numbers"),
    [
        ("%history -n", [1, 2, 3, 4]),
        ("%history -l 2", [3, 4]),
        ("%history -n 2", [3, 4]),
        ("%history 2-3", [2, 3]),
        ("%history 3 - 9", [3, 4]),
        ("%history -g SQRT", [1, 3]),
        ("%history 0", []),
        ("%history 7-9", []),
        ("%history -g nowhere", []),
    ],
)
def test_history_shows_those_that_are_asked_for(command: str, numbers: list[int]) -> None:
    (answer,) = said(command, history=["x.sqrt()", "y", "torch.sqrt(x)"])
    assert isinstance(answer, Notice)
    found = [int(line.split()[0]) for line in answer.text.splitlines() if line != "no input is like that"]
    assert found == numbers


def test_history_says_which_inputs_failed() -> None:
    client, history, found = failing_at("bad"), Past(), list[AnyReport]()
    for text in ("good", "bad", "%history"):
        submit(text, client.ask, found.append, history=history)
    assert isinstance(found[-1], Notice)
    assert [line.split("  ")[-2:] for line in found[-1].text.splitlines()][:2] == [[" 1", "good"], ["bad", "(failed)"]]


@pytest.mark.parametrize(
    ("text", "code", "title"),
    [
        ("%tiem x", "unknown-command", "there is no command %tiem: did you mean %time?"),
        ("%matplotlib inline", "unknown-command", "there is no %matplotlib here: %plot x draws in the terminal"),
        ("%", "unknown-command", "there is no command %: %help lists them"),
        ("%" + "a" * 500, "unknown-command", f"there is no command %{'a' * 36}...: %help lists them"),
        ("%help nothing", "unknown-command", "there is no command %nothing: %help lists them"),
        ("!ls", "refused", "!ls would start another program, and that is not tensor work: run it in a shell"),
        ("!pip -q", "refused", "!pip would start another program, and that is not tensor work: run it in a shell"),
        ("%seed x", "bad-argument", "a seed is a whole number from 0 to 2**63 - 1, not x: try %seed 42"),
        ("%seed -1", "bad-argument", "a seed is a whole number from 0 to 2**63 - 1, not -1: try %seed 42"),
        ("%seed 9223372036854775808", "bad-argument",
         "a seed is a whole number from 0 to 2**63 - 1, not 9223372036854775808: try %seed 42"),
        ("%history x", "bad-argument", "%history takes how many inputs to show, which ones or a text in them, "
         "not x: try %history 10, 2-5 or -g sqrt"),
        ("%cd /tmp", "unknown-command", "there is no %cd here: files are found from the folder in which tensorcli was "
         "started, and by their whole path"),
        ("%%writefile a.py\nx", "unknown-command", "there is no %%writefile here: code writes no files: "
         "%save notes.py writes what was typed"),
        ("%inspect", "bad-argument",
         "there is nothing to inspect: write an expression after it, as in %inspect x @ w + b"),
        ("%inspect --symbol B x", "bad-argument",
         "%inspect has no option --symbol: it has --dry-run, --grad, --all and --depth N"),
        ("%precision 18", "bad-argument",
         "%precision takes how many digits to print, from 0 to 17, or reset, not 18: try %precision 8"),
        ("%threads x", "bad-argument", "%threads takes a whole number, not x: try %threads 1"),
        ("%run", "bad-argument", "%run takes one file: try %run notes.md"),
        ("%run -", "bad-argument", "%run runs files that end in .py, .ipynb, .md, .markdown, not -"),
        ("%run /none/a.py", "no-file", "/none/a.py cannot be read: No such file or directory"),
        ("%load", "bad-argument", "%load takes a file: try %load data.csv, or %load photo.png as img"),
        ("%time", "bad-argument", "there is nothing to time: write a statement after it, as in %time x @ x.T"),
        ("%plot", "bad-argument",
         "there is nothing to draw: write an expression after it, as in %plot torch.randn(1000)"),
        ("%%timeit\n\n", "bad-argument", "there is nothing to time: write a statement after it, as in %timeit x @ x.T"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_is_a_diagnosis(text: str, code: str, title: str) -> None:
    (answer,) = said(text)
    assert isinstance(answer, Diagnosis)
    assert (answer.code, answer.title) == (code, title)
    assert answer.source
    if answer.span:
        assert answer.source[answer.span.column : answer.span.end_column] == answer.span.text


@pytest.mark.parametrize(
    ("text", "told"),
    [("%threads", "torch computes with 1 thread"), ("%precision", "values are printed with 6 digits")],
)
def test_a_setting_tells_itself(text: str, told: str) -> None:
    settings = report.Settings(version="0", torch="2", device="cpu", dtype="float32", seed=1, threads=1, precision=6)
    found: list[AnyReport] = []
    submit(text, Canned({report.Configure(): [settings]}).ask, found.append)
    assert [getattr(each, "text", None) for each in found] == [told]


@pytest.mark.parametrize("name", HABITS)
def test_what_other_shells_have_is_answered_in_one_sentence(name: str) -> None:
    (answer,) = said(f"{name} x")
    assert isinstance(answer, Diagnosis)
    assert answer.title == f"there is no {name} here: {HABITS[name]}"
    assert "\n" not in answer.title
    assert name not in COMMANDS
    for word in re.findall(r"%+\w+", HABITS[name]):
        assert word in COMMANDS


def test_the_quick_reference_fits_on_one_screen_and_has_every_command() -> None:
    (answer,) = said("%quickref")
    assert isinstance(answer, Notice)
    lines = answer.text.splitlines()
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 80
    words = set(" ".join(lines).replace(",", " ").replace(";", " ").split())
    assert {name for name in COMMANDS if not name.startswith("%%")} <= words
    assert {"F1", "Tab", "Ctrl-R", "Ctrl-X", "Ctrl-E", "vi"} <= words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"`{re.escape(name)}(?=[ `])", readme)


def test_a_command_of_several_lines_of_help_has_them_only_by_itself() -> None:
    (answer,) = said("%help %save")
    assert isinstance(answer, Notice)
    first, blank, *examples = answer.text.split("\n")
    assert (first, blank) == (f"{COMMANDS['%save'].usage}  {COMMANDS['%save'].help}", "")
    assert tuple(examples) == COMMANDS["%save"].examples
    assert max(map(len, examples)) <= 80


# Files in an input.


def test_a_file_runs_as_a_part_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text("# A\n\n```python\nx = 1\n%run b.py\n```\n")
    Path("b.py").write_text("\ny\n%whos\n")
    assert asked("z\n%run a.md\nw") == [
        Evaluate(text="z"),
        Evaluate(text="x = 1", filename="a.md", first_line=4),
        Evaluate(text="y", filename="b.py", first_line=2, echo="all"),
        report.ListNames(),
        Evaluate(text="w", first_line=3),
    ]


def test_a_file_that_runs_itself_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("x\n%run a.py\n")
    found = said("%run a.py")
    assert [(each.title, each.location) for each in found if isinstance(each, Diagnosis)] == [
        ("a.py would run itself again and again: it is left out", "a.py:2")
    ]


def test_what_fails_in_a_file_ends_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("bad\n%nothing\n")
    client, history = failing_at("bad"), Past()
    submit("%run a.py\ny", client.ask, lambda _: None, history=history)
    assert client.asked == [Evaluate(text="bad", filename="a.py", echo="all")]
    assert [(part.source, part.failed) for part in history.inputs[0].parts] == [("%run a.py", None), ("bad", 1)]


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no /dev/zero")
def test_what_has_no_end_is_no_file_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").symlink_to("/dev/zero")
    assert [getattr(each, "title", None) for each in said("%run a.py")] == [
        "a.py is a pipe or a device: %run runs files"
    ]
    monkeypatch.setattr(files, "MOST_NBYTES", 1 << 20)
    found = files.read("a.py")
    assert isinstance(found, Diagnosis)
    assert found.title == "a.py has more than 1 MiB: that is not code"


# Pieces.


def test_text_is_split_at_commands_and_keeps_its_line_numbers() -> None:
    text = "\nx = 1\n\n%whos\n# a comment\ny = 2\n!nvidia-smi\n\n\nz = 3\n"
    assert asked(text, first_line=10, filename="f.py", echo="all", width=40, max_values=5) == [
        Evaluate(text="x = 1", first_line=11, filename="f.py", echo="all", width=40, max_values=5),
        report.ListNames(),
        Evaluate(text="# a comment\ny = 2", first_line=14, filename="f.py", echo="all", width=40, max_values=5),
        report.ListDevices(),
        Evaluate(text="z = 3", first_line=19, filename="f.py", echo="all", width=40, max_values=5),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x = (5\n% 3)",
        "x = 5 \\\n% 3",
        "x = '''\n%whos\n!ls\n'''",
        'x = """a\\"""\n%whos\n"""',
        "x = [1, '(',  # (\n% 2]",
        "(a\n!= b)",
        "x = f'{y}'\nz = \"'\"",
    ],
)
def test_the_operator_and_strings_are_no_commands(text: str) -> None:
    assert texts(text) == [(1, text)]


@pytest.mark.parametrize("text", ["", "\n\n", "   ", "# only a comment", "\n# a\n\n    # b\n", ">>> ", ">>> # c"])
def test_nothing_to_run_asks_nothing(text: str) -> None:
    assert asked(text) == []


def test_a_timed_cell_ends_at_the_next_one() -> None:
    assert asked("x\n%%time\na\n\nb\n%%time\nc\n") == [
        Evaluate(text="x"),
        report.Time(text="a\n\nb", first_line=3),
        report.Time(text="c\n", first_line=7),
    ]


def test_a_quote_in_a_shell_line_opens_nothing() -> None:
    assert [type(r).__name__ for r in asked('!nvidia-smi \'( """\n%whos')] == ["ListDevices", "ListNames"]


def failing_at(*bad: str) -> Canned:
    """An engine on which these texts fail, and others have two statements."""
    wrong = Diagnosis(code="c", category="other", title="t", statement=1)
    return Canned(lambda r: [wrong] if getattr(r, "text", "") in bad else [Nothing(statement=1), Nothing(statement=2)])


def test_a_diagnosis_stops_the_rest_unless_it_should_go_on() -> None:
    text = "%time x\ny\n%wh\n%whos\nz"
    requests = [report.Time(text="x"), Evaluate(text="y", first_line=2)]
    client = failing_at("y")
    submit(text, client.ask, lambda _: None)
    assert client.asked == requests
    client = failing_at("y")
    submit(text, client.ask, lambda _: None, keep_going=True)
    assert client.asked == [*requests, report.ListNames(), Evaluate(text="z", first_line=5)]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("whos", "commands begin with %: %whos"),
        ("timeit 1 + 1", "commands begin with %: %timeit 1 + 1"),
        ("In[1]", "%history shows what was typed, Out what it gave"),
        ("_2 + 1", "Out[2] is what input 2 gave"),
        ("x = whos", None),
        ("whoso", None),
        ("time.perf_counter()", None),
        ("time = 5 5", None),
        ("plot(torch.ones(3))", None),
        ("x2", None),
    ],
)
def test_what_another_shell_knows_is_told(text: str, hint: str | None) -> None:
    found: list[AnyReport] = []
    submit(text, Here(seed=0).ask, found.append)
    (problem,) = found
    assert isinstance(problem, report.Diagnosis)
    assert (problem.notes[-1] if problem.notes else None) == hint


def test_statements_are_numbered_through_the_input() -> None:
    found: list[AnyReport] = []
    submit("x\n%help %whos\ny\n%nothing", failing_at().ask, found.append)
    assert [r.statement for r in found] == [1, 2, 3, 4, 5, 6]


def test_a_commands_diagnosis_says_where_it_stands_in_a_file() -> None:
    found: list[AnyReport] = []
    submit("x = 1\n\n%nothing", Canned({}).ask, found.append, filename="a.md", first_line=10)
    assert [r.location for r in found if isinstance(r, Diagnosis)] == ["a.md:12"]


# Prompts and margins.


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        (">>> x = 1\n>>> x\n1\n>>> y", "x = 1\nx\n\ny"),
        (">>> for i in x:\n...     y\n...\n0\n... no\n>>> z", "for i in x:\n    y\n\n\n\nz"),
        ("    >>> x = '''\n    ... a'''", "x = '''\na'''"),
        ("In [3]: x = 1\n   ...: y\nOut[3]: 5\n\nIn [12]: %whos", "x = 1\ny\n\n\n%whos"),
        ("In [ ]: x", "x"),
        ("x = 1\n>>> x\n1", "x = 1\nx\n"),
        ("x = '''\n>>> y\n'''", "x = '''\n>>> y\n'''"),
        ("x = 1\r\ny\r\n", "x = 1\ny\n"),
        ("x[...,\n... ]", "x[...,\n... ]"),
        (">>> %time x\r\nWall time", "%time x\n"),
    ],
)
def test_pasted_prompts_come_off(pasted: str, meant: str) -> None:
    assert without_prompts(pasted) == meant


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("    x = 1\n    y = 2", "x = 1\ny = 2"),
        ("    x = '''\n    a'''\n    f(\n  1)", "x = '''\n    a'''\nf(\n  1)"),
        ("x\n    y", "x\n    y"),
        ("    x\ny", "    x\ny"),
        ("  %whos", "%whos"),
    ],
)
def test_copied_blocks_move_to_the_margin(text: str, moved: str) -> None:
    assert dedented(text) == moved


MARKDOWN = """\
# Don't (read

```python
>>> x = 1
1
```
1. and
   ```py
   y
   ```

```bash
rm
```
"""
NOTEBOOK = """{"cells": [
 {"cell_type": "markdown", "source": ["# a"]},
 {"cell_type": "code", "source": ["%%time\\n", "x"], "outputs": [], "execution_count": null},
 {"cell_type": "code", "source": "y"}], "metadata": {}}"""


@pytest.mark.parametrize(
    ("pasted", "found"),
    [
        (MARKDOWN, [(4, "x = 1\n"), (9, "y")]),
        (MARKDOWN.replace("\n", "\r\n"), [(4, "x = 1\n"), (9, "y")]),
        (NOTEBOOK, [(1, "%%time\nx"), (3, "y")]),
        ("```\nx\n```", [(2, "x")]),
        ("~~~python\nx", [(2, "x")]),
        ("```y``` is code\n```python\nx\n```\n", [(3, "x")]),
        ("x = 1\ny\n```\n", [(1, "x = 1\ny\n")]),
        ("x = '''\n```python\ny\n```\n'''", [(1, "x = '''\n```python\ny\n```\n'''")]),
        ("```bash\nls\n```", [(1, "```bash\nls\n```")]),
        ('{"cells": 1}', [(1, '{"cells": 1}')]),
        ("{" * 100_000 + '"cells"', [(1, "{" * 100_000 + '"cells"')]),
    ],
)
def test_code_is_taken_out_of_what_it_was_pasted_in(pasted: str, found: list[tuple[int, str]]) -> None:
    assert [each[:2] for each in cells(pasted)] == found


def test_a_pasted_notebook_runs_cell_by_cell() -> None:
    assert asked(NOTEBOOK) == [report.Time(text="x", first_line=2), Evaluate(text="y", first_line=3)]


def test_statements_are_taken_apart() -> None:
    parts = [
        (1, "x = 1\n"),
        (3, "for i in x:\n  y\n\n  z\nelse:\n  k\n# c"),
        (10, "q = [1,\n2\n]"),
        (13, "@a\ndef f():\n  pass"),
        (16, "%whos"),
        (17, "%%time\nx\n%whos"),
        (20, "%%time\ny"),
    ]
    assert list(statements("\n".join(text for _, text in parts))) == parts


# Enter.


@pytest.mark.parametrize(
    "text",
    ["", "x", "f(1)", "for i in x: y", "for i in x:\n    y\n", "if x:\n    y\nelse:\n    z\n    ", '"""a\nb"""', '"abc',
     "x = = (1,", "x = (1]", "}", "1 +", "x = [\n  1,\n  2]", "%whos", "%time f(1)", "!ls (", "%%time\nx\n", "# for x:",
     "\0", "(" * 300, "-" * 20_000 + "x", "x" * 2_000_000, "@a\ndef f():\n    y\n", ">>> for i in x:\n...     y\n... ",
     "x = 1\n%whos", "    x = 1", "\udcff", "def f():\n    '''\n    a\n    '''\n",
     MARKDOWN, NOTEBOOK, "```\nfor i in x:\n    y\n```", "x\n```"],
)  # fmt: skip
def test_enter_runs_what_is_complete(text: str) -> None:
    assert is_complete(text)


@pytest.mark.parametrize(
    "text",
    ["f(", "f(1,", "for i in x:", "for i in x:\n    y", "if x:\n    y\nelse:", "if x:\n    y\nelse:\n    z", "'''a",
     "x = \\", "{", "x = [\n  1,\n", "@a", "@a\ndef f():\n    y", "try:\n    x\n", "%time f(", "%%time", "%%time\nx",
     ">>> for i in x:\n...     y", "with a:\n    x = '''\n", "def f():\n    return (1,\n", "x = 1\nfor i in x:\n    y",
     "```python", "a\n```\nx"],
)  # fmt: skip
def test_enter_goes_on_where_more_is_needed(text: str) -> None:
    assert not is_complete(text)


@pytest.mark.parametrize(
    "text", ["'" * 7, '"""' * 3, "\\", "(\n" * 9, "%%", "%\n%", "!", ">>>", "...", "In [1]:", "\n@"]
)
def test_odd_texts_raise_nothing(text: str) -> None:
    split(clean(text))
    list(statements(clean(text)))
    is_complete(text)


@pytest.mark.parametrize("pasted", [">>> 1\n1\n>>> x = 2\n>>> x\n2", "```python\n>>> 1\n>>> x\n```"])
def test_each_line_pasted_with_a_prompt_answers(pasted: str) -> None:
    client = Canned(lambda _: [])
    submit(pasted, client.ask, lambda _: None)
    (request,) = client.asked
    assert isinstance(request, Evaluate)
    assert request.echo == "all"
