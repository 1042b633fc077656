"""Whatever comes in, a whole process answers with a clear sentence or ends cleanly: no traceback, no escape code."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

COMMAND = [sys.executable, "-P", "-m", "tensorcli"]


def run(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A process of its own, with nothing on a terminal."""
    names = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, timeout=120, env={**names, **environment}
    )


STDIN = {
    "unbalanced": (b"x = (1\n", 1, "the bracket ( is never closed"),
    "null byte": (b"print('a\0b')\n", 1, "line 1 holds a null byte, which is no Python: delete it"),
    "invalid UTF-8": (b"1 + 1\n\xff\xfe\n", 1, "byte 6 (0xff, on line 2) is not UTF-8 text: nothing was run"),
    "10 MB line": (b"x = [" + b"1," * 5_000_000 + b"]\n", 1, "this input has 10,000,006 characters"),
    "deep nesting": (b"-" * 50_000 + b"1\n", 1, "this is nested too deeply to be read"),
    "endless recursion": (b"def f(): return f()\nf()\n", 1, "RecursionError: maximum recursion depth exceeded"),
    "nothing": (b"", 0, ""),
    "comments": (b"# nothing\n\n   \n# here\n", 0, ""),
    "a number beside a word": (b"1if True else 2\n", 0, ""),
    "a byte order mark": ("\ufeffx = 1\n".encode(), 0, ""),
    "carriage returns": (b"x = 1\r\nx + 1\r\n", 0, ""),
}


@pytest.mark.parametrize("name", STDIN)
def test_stdin(name: str):
    data, status, said = STDIN[name]
    done = run("repl", stdin=data)
    assert (done.returncode, b"Traceback" in done.stderr) == (status, False)
    assert said in done.stderr.decode().replace("\n  ", " ")
    assert bool(done.stderr) == bool(said)


def test_the_rest_goes_on_after_an_error():
    done = run("repl", stdin=b"x = 2\nx.nope\n1 +* 2\nx + 40\n")
    assert (done.returncode, done.stdout.decode().split("\n")[-2]) == (1, "42")
    assert done.stderr.decode().count("error: ") == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": "/proc", "XDG_STATE_HOME": "/proc/none"},
        {"COLUMNS": "20"},
    ],
)
def test_any_environment(environment: dict[str, str]):
    done = run("repl", stdin="torch.ones(30)\n'\\x1b[31m é'\nnope\n".encode(), **environment)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert b"\x1b" not in text
    assert b"Traceback" not in text
    assert b"\\x1b[31m" in done.stdout
    if environment.get("COLUMNS"):
        assert max(map(len, text.decode().split("\n"))) <= 20


def test_a_reader_that_leaves_is_no_error():
    source = b"for i in range(200000): print(i)\n"
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(source)
        process.stdin.close()
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


@pytest.mark.skipif(os.name == "nt", reason="only where a process can be sent SIGINT")
def test_an_endless_loop_is_interrupted():
    source = b"print('on')\nx = 1\nwhile True: x += 1\n"
    with subprocess.Popen(
        [*COMMAND, "run", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(source)
        process.stdin.close()
        assert process.stdout.readline() == b"on\n"
        assert process.stdout.readline() == b"x = int 1\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().startswith(b"interrupted\n")
        assert process.wait(timeout=60) == 130


def test_without_a_stdout():
    done = subprocess.run([*COMMAND, "devices"], stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1), timeout=120)
    assert b"Traceback" not in done.stderr


def test_files(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n```python\nx = 1\nx.nope\n```\n\n~~~py\nx + 1\n~~~\n```sh\nls\n```\n"
        "```pycon\n>>> x\n1\n>>> x + 2\n```\n"
    )
    done = run("run", str(page), "--keep-going", "--json")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [(r["kind"], r.get("text"), r.get("location")) for r in reports] == [
        ("value", "1", None),
        ("diagnosis", None, "page.md:4"),
        ("value", "2", None),
        ("value", "1", None),
        ("value", "3", None),
    ]
    assert len(run("run", str(page), "--json").stdout.splitlines()) == 2

    book = tmp_path / "book.ipynb"
    cells = [
        {"cell_type": "markdown", "source": ["x = 9"]},
        {"cell_type": "code", "source": ["x = torch.ones(2)\n", "x + 1"]},
        {"cell_type": "code", "source": "%%time\nx.sum().item()"},
    ]
    book.write_text(json.dumps({"cells": cells}))
    kinds = [json.loads(line)["kind"] for line in run("run", str(book), "--json").stdout.splitlines()]
    assert kinds == ["tensor", "tensor", "value", "timing"]

    for name, text, said in [
        ("none.py", None, "cannot be read: No such file or directory"),
        ("bad.py", b"\xff", "is not UTF-8 text: byte 0 is 0xff; save it as UTF-8"),
        ("bad.ipynb", b"{}", "is not a notebook: it has no cells"),
    ]:
        file = tmp_path / name
        if text is not None:
            file.write_bytes(text)
        done = run("run", str(file), "--width", "200")
        assert done.returncode == 2
        assert said in done.stderr.decode()


def test_json_lines_are_reports():
    from tensorcli import wire
    from tensorcli.report import Diagnosis, Output, Tensor

    done = run("repl", "--json", "--seed", "0", stdin=b"x = torch.ones(2)\nprint(1)\nx @ torch.ones(3)\n")
    found = [wire.report(line) for line in done.stdout.splitlines()]
    assert [type(report) for report in found] == [Tensor, Output, type(found[2]), Diagnosis]
    assert done.stderr == b""
    assert done.returncode == 1


def test_wrong_command_lines():
    for arguments in (["inspect"], ["inspect", "--nope", "x"], ["nope"], ["run"], ["inspect", "x", "--dtype", "int9"]):
        done = run(*arguments)
        assert (done.returncode, b"Traceback" in done.stderr) == (2, False)
        assert b"Error" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no CUDA device")
@pytest.mark.parametrize("arguments", [["inspect", "torch.rand(2)"], ["run", "-"], ["repl"]])
def test_a_device_that_is_not_there_runs_nothing_on_another(arguments: list[str]):
    done = run(*arguments, "--device", "cuda", stdin=b"torch.rand(2)")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no-cuda" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("bench", "list"), ("inspect", "1 + 1"), ("inspect", "1 + 1", "--json")]
)
def test_where_nothing_can_be_printed_one_sentence_says_so(arguments: tuple[str, ...]):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=120)
    said = b"error: what is printed cannot be written: No space left on device; make room, or send it elsewhere\n"
    assert (done.returncode, done.stderr) == (1, said)
