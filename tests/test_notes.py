"""What was typed, saved as a script, a notebook and Markdown: each is really run, and gives the same bit for bit."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prompt_toolkit.output import DummyOutput
from safetensors.torch import load_file, save_file

from tensorcli import marked
from tensorcli.client import Canned, Pipe
from tensorcli.inputs import submit
from tensorcli.past import Past
from tensorcli.repl.answer import Answers
from tensorcli.repl.typeahead import Waiting
from tensorcli.report import AnyReport, Configure, Diagnosis, Judge, Judged, Notice, Value
from tensorcli.show import Screen

ROOT = Path(__file__).resolve().parent.parent

INPUTS = (
    ">>> x = torch.rand(3, 4)\n>>> y = torch.rand(3, 4)  # how it was pasted",
    "a = torch.rand(4); b = torch.rand(4) @ torch.rand(3); c = 3",  # fails after it drew
    "x @ x",
    "undefined_name",
    "x = = 3",
    "import os",
    "x.sum()",
    "first = _ * Out[7]",
    "%seed 7",
    "n = torch.from_numpy(np.random.rand(2))",
    "%dtype float64",
    "w = torch.randn(3, requires_grad=True)",
    "def f(v, by=2):\n    '''Twice\nas much.'''\n    return v * by",
    "f(w).sum().backward(); g = w.grad",
    "for i in range(3):\n    x[i] += i\n    x[0, 9 - 3 * i]",  # fails in its third round
    "é = 'ü'; x[7] = 1; later = 2",
    "%load photo.png as img",
    "%load data.csv",
    "%timeit x + 1",
    "%time q = torch.rand(2)",
    "%%time\nr = torch.rand(2)\n\nr.mul_(2)",
    "%plot torch.rand(10)",
    "%inspect --depth 1 torch.rand(3)",
    "%inspect --dry-run torch.rand(3)",
    "%check x @ x.T",
    "%whos",
    "%nothing",
    "%run more.py",
    "%precision 8",
    "%threads 1",
    "model = nn.Linear(4, 2); out = model(x.double()).detach()",
    "h = F.softmax(torch.randn(3), -1) * math.pi",
    "%reset",
    "u = torch.rand(3)",
    "%load kept.safetensors",
    "state = torch.get_rng_state()",
)
DUMP = """
import sys
from safetensors.torch import save_file
found = {name: x for name, x in globals().items() if isinstance(x, torch.Tensor) and name[0] != "_"}
save_file({name: x.detach().contiguous().clone() for name, x in found.items()}, sys.argv[1])
"""


def played(client: Pipe | Canned, *texts: str, history: Past) -> list[AnyReport]:
    said: list[AnyReport] = []
    for text in texts:
        submit(text, client.ask, said.append, history=history, start=client.start, number=client.next_input())
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the notes of a session, and the tensors that it had at its end but for those before %reset."""
    made = tmp_path_factory.mktemp("notes")
    before = Path.cwd()
    os.chdir(made)
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save("photo.png")
    Path("data.csv").write_text("a,b,c\n1,2,x\n3.1,,y\n")
    Path("more.py").write_text("from_file = torch.randn(2)\nfrom_file @ torch.ones(3)\nnot_run = 1\n")
    client, history = Pipe(seed=11), Past()
    save_file({"kept": torch.arange(3.0)}, "kept.safetensors")
    try:
        played(client, *INPUTS[: INPUTS.index("%reset")], history=history)
        assert not any(
            isinstance(each, Diagnosis) for each in played(client, "%save before.safetensors", history=Past())
        )
        played(client, *INPUTS[INPUTS.index("%reset") :], history=history)
        for name in ("notes.py", "notes.ipynb", "notes.md"):
            (answer,) = played(client, f"%save {name}", history=history)
            assert isinstance(answer, Notice)
            failed = "2, 3, 4, 5, 6, 15, 16, 28"
            assert answer.text == (
                f"{name} holds 35 inputs\n"
                f"what failed is a comment, or in a try where it may have changed something: {failed}"
            )
        played(client, "%save values.safetensors", history=Past())
        yield made
    finally:
        os.chdir(before)
        client.close()


def run(folder: Path, *command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-P", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_same(found: Path, expected: Path) -> None:
    """Each tensor of the one is in the other, bit for bit."""
    there = load_file(found)
    for name, x in load_file(expected).items():
        assert there[name].dtype == x.dtype, name
        assert there[name].shape == x.shape, name
        assert torch.equal(there[name].reshape(-1).view(torch.uint8), x.reshape(-1).view(torch.uint8)), name


def test_the_script_is_plain_python_and_gives_the_same(folder: Path) -> None:
    text = (folder / "notes.py").read_text(encoding="utf-8")
    assert "tensorcli." not in text
    (folder / "script.py").write_text(text + DUMP, encoding="utf-8")
    run(folder, "script.py", "script.safetensors")
    for expected in (
        "before.safetensors",
        "values.safetensors",
    ):  # a name from before %reset is only rarely assigned again
        assert_same(folder / "script.safetensors", folder / expected)


def test_the_notebook_is_plain_python_and_gives_the_same(folder: Path) -> None:
    notebook = json.loads((folder / "notes.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"]) == 36
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    (folder / "cells.py").write_text(text + DUMP, encoding="utf-8")
    run(folder, "cells.py", "cells.safetensors")
    assert_same(folder / "cells.safetensors", folder / "values.safetensors")
    assert_same(folder / "cells.safetensors", folder / "before.safetensors")


def test_tensorcli_runs_the_markdown_and_gives_the_same(folder: Path) -> None:
    text = (folder / "notes.md").read_text(encoding="utf-8")
    fence = "\n```python\n%save again.safetensors\n```\n"
    (folder / "again.md").write_text(text + fence, encoding="utf-8")
    run(folder, "-m", "tensorcli", "run", "again.md")
    assert_same(folder / "again.safetensors", folder / "values.safetensors")


@pytest.mark.parametrize("name", ["notes.py", "notes.ipynb"])
def test_tensorcli_runs_the_plain_python_behind_its_gate_and_gives_the_same(folder: Path, name: str) -> None:
    (folder / "played.md").write_text(f"```python\n%run {name}\n%save -f played.safetensors\n```\n", encoding="utf-8")
    run(folder, "-m", "tensorcli", "run", "played.md")
    for expected in ("before.safetensors", "values.safetensors"):
        assert_same(folder / "played.safetensors", folder / expected)


def test_only_what_was_written_for_a_load_stands_for_it() -> None:
    lines = ["import csv", "x = torch.tensor(list(csv.reader(open('a.csv'))))"]
    text = marked.written("%load a.csv as x", lines)
    assert text.splitlines()[1:] == lines
    assert marked.as_commands(f"a = 1\n{text}\nx + 1\n") == "a = 1\n%load a.csv as x\n\n\nx + 1\n"
    assert marked.as_commands(f"{text}\n{text}") == "%load a.csv as x\n\n\n%load a.csv as x\n\n"
    assert marked.as_commands(text.replace("\n", "\r\n")) == "%load a.csv as x\n\n"
    for changed in (
        text.replace("open('a.csv')", "open('b.csv')"),
        text.replace("as x", "as y"),
        text.replace("%load", "%run"),
        text.replace("2 lines", "1 line"),
        text.rpartition("\n")[0],
        "\n".join(f"    {line}" for line in text.split("\n")),
    ):
        assert marked.as_commands(changed) == changed


def test_the_script_reads_as_it_was_typed(folder: Path) -> None:
    text = (folder / "notes.py").read_text(encoding="utf-8")
    for part in (
        "torch.manual_seed(11)\nnp.random.seed(11)\n\nOut = {}\n\nx = torch.rand(3, 4)\n",
        "y = torch.rand(3, 4)  # how it was pasted\n",
        "a = torch.rand(4)\ntry:  # it failed\n    b = torch.rand(4) @ torch.rand(3)\n"
        "except Exception:\n    pass\n# c = 3\n",
        "\n# x @ x\n\n# undefined_name\n\n# x = = 3\n\n# import os\n\n_ = Out[7] = x.sum()\n\nfirst = _ * Out[7]\n",
        "\ntorch.manual_seed(7)\nnp.random.seed(7)\n",
        "\ntorch.set_default_dtype(torch.float64)\n",
        "\né = 'ü'\n# x[7] = 1; later = 2\n",
        "\n# %timeit x + 1\n\nq = torch.rand(2)\n\nr = torch.rand(2)\n\n",
        "\n# %check x @ x.T\n\n# %whos\n\nfrom_file = torch.randn(2)\n# from_file @ torch.ones(3)\n# not_run = 1\n",
        "\ntorch.set_printoptions(precision=8)\nnp.set_printoptions(precision=8)\n\ntorch.set_num_threads(1)\n",
        "\nkept = load_file('kept.safetensors')['kept']\n",
    ):
        assert part in text, part


def test_what_came_before_a_death_is_there_and_pythons_generator_is_seeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers, client = Answers(), Pipe(seed=2, trust=True)
    screen = Screen(stdout=io.StringIO(), stderr=io.StringIO())
    for text in (
        "import os, random",
        "a = torch.tensor(random.random())",
        "%seed 4",
        "b = torch.rand(1); c = torch.rand(1); os.kill(os.getpid(), 9); never = 1",
        "d = torch.tensor(random.random())",
        "b + c",
        "y = torch.rand(2) + Out[6]",
        "%time torch.rand(2) @ torch.rand(3)",
        "%timeit x = torch.rand(2)",
        "%seed 5",
        "z = torch.rand(2)",
        "%save notes.py",
        "%save notes.md",
        "%save values.safetensors b c d y z",
    ):
        answers.answer(text, client, screen, Waiting(DummyOutput()))
    client.close()
    text = Path("notes.py").read_text()
    assert "\nb = torch.rand(1); c = torch.rand(1)\n# os.kill(os.getpid(), 9); never = 1\n" in text
    Path("script.py").write_text(text + DUMP)
    run(tmp_path, "script.py", "script.safetensors")
    assert_same(tmp_path / "script.safetensors", tmp_path / "values.safetensors")
    Path("again.md").write_text(Path("notes.md").read_text() + "\n```python\n%save again.safetensors\n```\n")
    run(tmp_path, "-m", "tensorcli", "run", "--trust", "again.md")
    assert_same(tmp_path / "again.safetensors", tmp_path / "values.safetensors")


# What is left out, and what is refused.


def saved(tmp_path: Path, *texts: str, argument: str = "notes.py") -> tuple[str, list[AnyReport]]:
    """The text of the file, and what was said, of an engine on which `bad` fails and of which nothing may change."""

    def answers(request: object) -> list[AnyReport]:
        if isinstance(request, Judge):
            return [Judged(may_change=tuple("rand" in text for text in request.texts))]
        wrong = Diagnosis(code="c", category="shape", title="t", statement=1)
        return [wrong] if "bad" in (getattr(request, "text", None) or "") else []

    client, history = Canned(answers), Past()
    client.start = Configure(seed=3, device="cuda", dtype="float64")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        played(client, *texts, history=history)
        said = played(client, f"%save {argument}", history=history)
    finally:
        os.chdir(before)
    path = tmp_path / "notes.py"
    return path.read_text() if path.exists() else "", said


HEAD = (
    'PyTorch."""\n\nimport torch\n\ntorch.set_default_device(\'cuda\')\ntorch.set_default_dtype(torch.float64)\n'
    "torch.manual_seed(3)\n\n"
)


def test_only_some_inputs_are_saved(tmp_path: Path) -> None:
    text, said = saved(tmp_path, "a = 1", "%seed 5", "bad", "d = 4", argument="notes.py 1 3-4")
    assert text.partition("with ")[2] == HEAD + "a = 1\n\n# bad\n\nd = 4\n"
    assert [getattr(each, "text", None) for each in said] == [
        "notes.py holds 3 inputs\nwhat failed is a comment, or in a try where it may have changed something: 3"
    ]


REFUSED = ["return 3", "break", "continue", "%time return 5", "for i in range(2): return 5", "def q(a, a): pass",
           "x = 1; return 4", "nonlocal x", "from __future__ import annotations", "while x:\n    def g(): break",
           "x = [1\n,2]; f'{(yield)}'", "import math; *a, *b = 3"]  # fmt: skip


def test_what_does_not_compile_is_a_comment_and_the_script_runs(tmp_path: Path) -> None:
    client, path = Pipe(seed=0, trust=True), tmp_path / "notes.py"
    played(client, *REFUSED, "y = 5", f"%save {path}", history=Past())
    client.close()
    run(tmp_path, str(path))
    lines = path.read_text().partition("manual_seed(0)\n\n")[2].replace("\n\n", "\n").splitlines()
    assert [line for line in lines if line[0] != "#"] == ["x = 1", "x = [1", ",2]", "import math", "y = 5"]


def test_a_silenced_value_is_bound_as_it_was(tmp_path: Path) -> None:
    client = Pipe(seed=0)
    played(client, "torch.ones(2);", "_ + 1", f"%save {tmp_path / 'notes.py'}", history=Past())
    client.close()
    assert "\n_ = torch.ones(2);\n\n_ = _ + 1\n" in (tmp_path / "notes.py").read_text()


def test_what_timeit_changed_is_said_to_be_missing(tmp_path: Path) -> None:
    text, said = saved(tmp_path, "%timeit torch.rand(2)", "%timeit 3", "a = 1")
    assert text.partition("with ")[2] == HEAD + "# %timeit torch.rand(2)\n\n# %timeit 3\n\na = 1\n"
    assert [getattr(each, "text", None) for each in said] == [
        "notes.py holds 3 inputs\nwhat %timeit changed, such as random numbers, is not in it: 1"
    ]


LOOKS = ["? torch.sum", "?? nn.Linear", "%who", "%whos Tensor", "%devices", "%explain", "%seed", "%device"]


@pytest.mark.parametrize("name", ["notes.py", "notes.md"])
def test_what_was_looked_up_is_a_comment(tmp_path: Path, name: str) -> None:
    saved(tmp_path, *LOOKS, "a = 1", "%dtype float32", argument=name)
    lines = (tmp_path / name).read_text().splitlines()
    assert [line for line in lines if line.removeprefix("# ") in LOOKS] == [f"# {each}" for each in LOOKS]
    assert "a = 1" in lines


def test_what_an_expression_that_was_saved_changed_is_there(tmp_path: Path) -> None:
    text, _ = saved(tmp_path, "%save x.npy torch.rand(3)", "%save y.npy a + 1", "a = 1")
    assert text.partition("with ")[2] == HEAD + "torch.rand(3)\n\na = 1\n"


def test_a_script_is_run_without_what_it_says_of_itself(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text('# by me\n"""What\nit does."""\n"a value"\n')
    client = Pipe(seed=0)
    said = played(client, f"%run {tmp_path / 's.py'}", "'typed'", history=Past())
    client.close()
    assert [each.text for each in said if isinstance(each, Value)] == ["'a value'", "'typed'"]


def test_what_was_taken_back_and_what_asks_nothing_is_left_out(tmp_path: Path) -> None:
    text, _ = saved(tmp_path, "a = 1", "%help", "%history", "%quickref", "%save x.npy a", "%undo", "d = 4")
    assert text.partition("with ")[2] == HEAD + "a = 1\n\nd = 4\n"


ENDINGS = "%save writes by the file's ending, one of .py, .ipynb, .md, .markdown, .safetensors, .npy, .npz"


@pytest.mark.parametrize(
    ("argument", "title"),
    [
        ("notes.py 9", "there is no input 9: %history has 2"),
        ("notes.py 2-1", "there is no input 2-1: %history has 2"),
        ("notes.py x", "x is no number of an input: %save notes.py 1-4 7 takes these of %history"),
        (f"{300 * 'n'}/notes.py", f"there is no folder {{}}/{300 * 'n'}"),
        (f"{300 * 'n'}.py", f"{300 * 'n'}.py cannot be written: File name too long"),
        ("none/notes.py", "there is no folder {}/none"),
        ("notes.pt x", ".pt files are pickles, which can run code when they are loaded: "
         "%save notes.safetensors holds the same tensors"),
        ("notes.txt", f"{ENDINGS}, not .txt"),
        ("notes", f"{ENDINGS}, not none"),
        ("'notes.py", "a quote is opened and never closed"),
        ("", "%save takes a file: try %save notes.py, or %save x.safetensors x"),
        ("-f", "%save takes a file: try %save notes.py, or %save x.safetensors x"),
        ("notes.py 2", "nothing has been typed that could be saved"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_said_in_one_sentence(tmp_path: Path, argument: str, title: str) -> None:
    _, said = saved(tmp_path, "a = 1", argument=argument)
    assert [each.title for each in said if isinstance(each, Diagnosis)] == [title.format(tmp_path)]
    assert os.listdir(tmp_path) == []


def test_nothing_is_written_over_unless_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text("mine")
    text, said = saved(tmp_path, "a = 1")
    assert text == "mine"
    assert [getattr(each, "title", None) for each in said] == [
        "notes.py is there already: %save -f notes.py writes over it"
    ]
    text, _ = saved(tmp_path, "a = 1", argument="-f notes.py")
    assert text.endswith("a = 1\n")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.py").write_text("mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    text, said = saved(tmp_path, "a = 1", argument="-f notes.py")
    assert text == "mine"
    assert [getattr(each, "title", None) for each in said] == ["notes.py cannot be written: No space left on device"]
    assert os.listdir(tmp_path) == ["notes.py"]
