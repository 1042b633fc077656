"""The input in an editor of the user's: whichever it is, nothing is lost."""

import shlex
import sys
from pathlib import Path

import pytest

from tensorcli.repl.editor import edited, editor


def python(folder: Path, code: str) -> str:
    """An editor that runs this code with the file's Path as `path`."""
    script = folder / "the editor.py"
    script.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{code}\n")
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"


def through(monkeypatch: pytest.MonkeyPatch, command: str, text: str = "x = 1\ny") -> tuple[str | None, list[str]]:
    """What an editor makes of a text, and what is told."""
    told: list[str] = []
    monkeypatch.setenv("VISUAL", command)
    return edited(text, told.append), told


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "x = 1\ny"),
        ("path.write_text(path.read_text().upper())", "X = 1\nY"),
        ("assert path.suffix == '.py'; path.write_bytes(b'z\\r\\n  w\\r\\n\\r\\n')", "z\n  w"),
        ("path.write_bytes(b'\\xff')", "\ufffd"),
        ("path.write_bytes(b'')", ""),
    ],
)
def test_what_the_editor_leaves_is_the_input(monkeypatch, tmp_path, code, text):
    assert through(monkeypatch, python(tmp_path, code)) == (text, [])


def test_an_editor_that_fails_changes_nothing(monkeypatch, tmp_path):
    text, told = through(monkeypatch, python(tmp_path, "path.write_text('no'); sys.exit(3)"))
    assert text is None
    assert told == [f"{sys.executable} ended with exit code 3: the input is as it was"]


def test_an_editor_that_is_not_there_is_told(monkeypatch, tmp_path):
    text, told = through(monkeypatch, str(tmp_path / "none"))
    assert text is None
    advice = "set the environment variable EDITOR to the name of one that is there"
    assert told == [f"{tmp_path / 'none'} cannot edit the input: No such file or directory; {advice}"]


def test_no_editor_at_all_is_told(monkeypatch):
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("PATH", "")
    text, told = through(monkeypatch, " ")
    assert text is None
    assert told == ["there is no editor: set the environment variable EDITOR to the name of one"]


def test_which_editor(monkeypatch, tmp_path):
    blank = tmp_path / "an editor"
    blank.write_text("#!/bin/sh\n")
    blank.chmod(0o755)
    for visual, edits, command in [
        ("code --wait", "vi", ["code", "--wait"]),
        ("", "ed -s", ["ed", "-s"]),
        (str(blank), "", [str(blank)]),
        (f"'{blank}' -x", "", [str(blank), "-x"]),
        ("vim 'x", "", ["vim 'x"]),
    ]:
        monkeypatch.setenv("VISUAL", visual)
        monkeypatch.setenv("EDITOR", edits)
        assert editor() == command
