"""Text in the user's pager: whichever it is, nothing is lost."""

import shlex
import sys
from pathlib import Path

import pytest

from tensorcli.pager import command, page


def python(code: str) -> list[str]:
    """A pager that runs this code."""
    return [sys.executable, "-c", f"import pathlib, sys\n{code}"]


@pytest.mark.parametrize(
    ("pager", "found"),
    [
        ("most -s", ["most", "-s"]),
        ("'a pager' -x", ["a pager", "-x"]),
        ("less 'x", ["less 'x"]),
        ("", []),
        (" ", []),
        ("cat", []),
    ],
)
def test_which_pager(monkeypatch: pytest.MonkeyPatch, pager: str, found: list[str]) -> None:
    monkeypatch.setenv("PAGER", pager)
    assert command() == found


def test_less_is_taken_where_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PAGER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command() == []
    (tmp_path / "less").write_text("#!/bin/sh\n")
    (tmp_path / "less").chmod(0o755)
    assert command() == ["less"]


def test_the_pager_gets_all_of_it(tmp_path: Path) -> None:
    text = "\x1b[1mé\x1b[0m\n" * 50_000
    code = f"pathlib.Path({str(tmp_path / 'read')!r}).write_bytes(sys.stdin.buffer.read())"
    assert page(text, python(code))
    assert (tmp_path / "read").read_bytes() == text.encode()


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("sys.stdin.readline()", True),  # and no more than that
        ("import os; os.kill(os.getpid(), 9)", True),
        ("sys.exit(1)", False),
    ],
)
def test_a_pager_that_fails_is_told_from_one_that_is_left(code: str, seen: bool) -> None:
    assert page("line\n" * 100_000, python(code)) is seen


def test_a_pager_that_is_not_there() -> None:
    assert not page("line\n", shlex.split("/nothing/here -R"))


def given(name: str, tmp_path: Path) -> str:
    """A variable of the environment that a pager is started with."""
    page("", python(f"import os; pathlib.Path({str(tmp_path / 'read')!r}).write_text(os.environ[{name!r}])"))
    return (tmp_path / "read").read_text()


def test_less_keeps_colours_and_says_how_to_leave_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LESS", raising=False)
    assert given("LESS", tmp_path) == "FRXPs?eThe end\\: q leaves:Space goes on, q leaves.$"
    monkeypatch.setenv("LESS", "-R")
    assert given("LESS", tmp_path) == "-R"


@pytest.mark.parametrize("before", [None, "0", ""])
def test_less_starts_no_programs_and_writes_no_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str | None
) -> None:
    monkeypatch.delenv("LESSSECURE", raising=False)
    if before is not None:
        monkeypatch.setenv("LESSSECURE", before)
    assert given("LESSSECURE", tmp_path) == "1"
