"""config.toml: what is wrong in it is said and left out, and nothing breaks."""

from pathlib import Path

import pytest

from tensorcli.config import Config, background, read
from tensorcli.repl.toolbar import banner


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_without_a_file_every_default_holds(tmp_path):
    assert read(tmp_path / "config.toml") == read(None) == (Config(), [])


def test_what_stands_there_holds(tmp_path):
    assert read(written(tmp_path, 'keys = "vi"\noutlook = false\n')) == (Config(keys="vi", outlook=False), [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keys =", "is not TOML: Invalid value (at end of document)"),
        ('kyes = "vi"', "has kyes, which is none of keys, theme, complete_while_typing, outlook, pager, max_memory"),
        ('keys = "vim"', "has keys = 'vim': Invalid enum value 'vim'"),
        ("outlook = 1", "has outlook = 1: Expected bool, got int"),
    ],
)
def test_what_is_wrong_is_said_and_the_rest_holds(tmp_path, text, problem):
    path = written(tmp_path, text)
    assert read(path) == (Config(), [f"{path} {problem}"])


def test_a_wrong_key_spoils_no_other(tmp_path):
    config, problems = read(written(tmp_path, 'keys = "vi"\ntheme = "pink"\n'))
    assert config == Config(keys="vi")
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("theme", "told", "found"),
    [
        ("auto", None, "dark"),
        ("auto", "15;0", "dark"),
        ("auto", "0;15", "light"),
        ("auto", "0;default;7", "light"),
        ("auto", "12;8", "dark"),
        ("auto", "nonsense", "dark"),
        ("dark", "0;15", "dark"),
        ("light", "15;0", "light"),
    ],
)
def test_the_background_is_as_said_or_as_the_terminal_tells(theme, told, found):
    assert background(theme, {"COLORFGBG": told} if told else {}) == found


def test_the_prompt_says_what_is_wrong_below_its_banner(tmp_path):
    _, problems = read(written(tmp_path, 'keys = "vim"\n'))
    assert banner(7, problems=problems).split("\n")[2:] == [f"warning: {problems[0]}", ""]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    config, problems = read(tmp_path)
    assert config == Config()
    assert problems[0].startswith(f"{tmp_path} cannot be read: ")
