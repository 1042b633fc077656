"""config.toml: what is wrong in it is said and left out, and nothing breaks."""

import tomllib
from pathlib import Path

import pytest

from tensorcli.client import Canned
from tensorcli.config import HELP, Config, Preferences, Problem, background, own, read, toml
from tensorcli.inputs import submit
from tensorcli.repl.toolbar import banner
from tensorcli.report import AnyReport, Diagnosis


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
        ('kyes = "vi"', f"there is no 'kyes', only {', '.join(HELP)}"),
        ('keys = "vim"', 'keys is emacs or vi, not "vim"'),
        ("keys = [1]", "keys is emacs or vi, not [1]"),
        ("outlook = 1", "outlook is true or false, not 1"),
        ('outlook = "true"', 'outlook is true or false, not "true"'),
        ("max_memory = true", "max_memory is text in quotes, not true"),
        ("max_memory = 8", "max_memory is text in quotes, not 8"),
        ('max_memory = "lots"', "max_memory: lots is no amount of memory: write 8 GiB, 500M or 8000000000"),
        ("[keys]\na = 1", "keys is emacs or vi, not {'a': 1}"),
        ("a = " + "[" * 100_000, "is not TOML: maximum recursion depth exceeded"),
    ],
)
def test_what_is_wrong_is_said_and_the_rest_holds(tmp_path, text, problem):
    path = written(tmp_path, text)
    config, problems = read(path)
    assert config == Config()
    assert [each.removeprefix(str(path)).lstrip(": ")[: len(problem)] for each in problems] == [problem]


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
    assert problems == [f"{tmp_path} cannot be read: Is a directory"]


def test_what_is_said_of_a_file_steers_no_terminal(tmp_path):
    _, problems = read(written(tmp_path, 'keys = "\\u001b[2J"\n"\\u001b[31m" = 1\n'))
    assert all(problem.isprintable() for problem in problems)


# Changes.

FILE = """\
# mine
keys = 'emacs'  # as ever
"outlook"=true

[other]
pager = 1
"""


def preferences(folder: Path, text: str | None = None) -> Preferences:
    path = folder / "deeper" / "config.toml"
    if text is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    return Preferences(read(path)[0], path)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("keys", "vi", "vi"),
        ("keys", ' "vi" ', "vi"),
        ("outlook", "false", False),
        ("outlook", "off", False),
        ("pager", "True", True),
        ("max_memory", "8 GiB", "8 GiB"),
        ("max_memory", '""', ""),
    ],
)
def test_a_change_holds_at_once(tmp_path, name, text, value):
    mine = preferences(tmp_path)
    mine.change(name, text)
    assert getattr(mine.config, name) == value
    assert mine.changed == ({} if value == getattr(Config(), name) else {name: value})
    assert not mine.path.exists()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("keys", "vim", 'keys is emacs or vi, not "vim": try %config keys emacs'),
        ("pager", "3", 'pager is true or false, not "3": try %config pager true'),
        ("kyes", "vi", "there is no option kyes: %config shows all"),
    ],
)
def test_what_cannot_be_settled_changes_nothing(tmp_path, name, text, problem):
    mine = preferences(tmp_path)
    with pytest.raises(Problem) as raised:
        mine.change(name, text)
    assert str(raised.value) == problem
    assert mine.config == Config()


def test_a_text_is_quoted_as_toml_has_it():
    text = 'a \\ "b" c\nd\x1b ü'
    assert tomllib.loads(f"x = {toml(text)}") == {"x": text}
    assert "\n" not in toml(text)


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        (None, {"keys": "vi"}, 'keys = "vi"\n'),
        ("", {"keys": "vi", "pager": "off"}, 'keys = "vi"\npager = false\n'),
        (FILE, {"keys": "vi"}, FILE.replace("keys = 'emacs'", 'keys = "vi"')),
        (FILE, {"outlook": "false"}, FILE.replace('"outlook"=true', "outlook = false")),
        (FILE, {"theme": "light"}, FILE.replace("[other]", 'theme = "light"\n[other]')),
        ("# a\n[b]\nkeys = 'x'\n", {"keys": "vi"}, "# a\nkeys = \"vi\"\n[b]\nkeys = 'x'\n"),
        ("keys = 'vi'", {"pager": "no"}, "keys = 'vi'\npager = false\n"),
        ("# a\r\nkeys = 'vi'\r\n", {"pager": "no"}, "# a\r\nkeys = 'vi'\r\npager = false\r\n"),
        ("pager = 'what'  # ?\n", {"pager": "no"}, "pager = false  # ?\n"),
        ("", {"max_memory": "8 GiB"}, 'max_memory = "8 GiB"\n'),
    ],
)
def test_what_is_saved_leaves_the_other_lines(tmp_path, before, changes, after):
    mine = preferences(tmp_path, before)
    for name, text in changes.items():
        mine.change(name, text)
    mine.save(list(mine.changed))
    assert mine.path.read_bytes().decode() == after
    assert mine.changed == {}
    assert {name: getattr(read(mine.path)[0], name) for name in changes} == {
        name: getattr(mine.config, name) for name in changes
    }


@pytest.mark.parametrize("before", ["keys =", 'a = """\nkeys = 1\n"""\n', "keys = [\n1]", f"a = {5000 * '['}"])
def test_a_file_that_cannot_be_edited_line_by_line_stays(tmp_path, before):
    mine = preferences(tmp_path, before)
    mine.change("keys", "vi")
    with pytest.raises(Problem, match='cannot be changed without care: write keys = "vi" into it yourself'):
        mine.save(["keys"])
    assert mine.path.read_text() == before
    assert mine.changed == {"keys": "vi"}


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    mine = Preferences(path=tmp_path / "file" / "config.toml")
    mine.change("keys", "vi")
    with pytest.raises(Problem, match=r"config\.toml cannot be written: "):
        mine.save(["keys"])
    with pytest.raises(Problem, match=r"there is no folder for config\.toml"):
        Preferences().save(["keys"])


def test_a_linked_file_stays_a_link(tmp_path):
    (tmp_path / "dotfiles").write_text("# mine\n")
    (tmp_path / "config.toml").symlink_to(tmp_path / "dotfiles")
    mine = Preferences(path=tmp_path / "config.toml")
    mine.change("keys", "vi")
    mine.save(["keys"])
    assert (tmp_path / "config.toml").is_symlink()
    assert tomllib.loads((tmp_path / "dotfiles").read_text()) == {"keys": "vi"}


# %config.


def said(text: str, mine: Preferences | None) -> str:
    """What an input answers without an engine."""
    found: list[AnyReport] = []
    submit(text, Canned({}).ask, found.append, preferences=mine)
    (answer,) = found
    return answer.title if isinstance(answer, Diagnosis) else answer.text


def test_config_shows_and_changes_and_saves(tmp_path):
    mine = preferences(tmp_path)
    shown = said("%config", mine).split("\n")
    assert shown[0] == 'keys = "emacs"                  the keys of the prompt: emacs or vi'
    assert [line.split(" ")[0] for line in shown[:-1]] == list(HELP)
    assert shown[-1] == f"{mine.path} is not there yet"

    for text in ("%config keys vi", '%config keys = "vi"', "%config keys=vi"):
        assert said(text, mine).split("\n") == [
            'keys = "vi"                     the keys of the prompt: emacs or vi',
            "for this session; %config --save has it hold for later ones too",
        ]
    assert said("%config keys", mine).startswith('keys = "vi" ')
    assert said("%config max_memory 8 GiB", mine).split("\n")[1:] == [
        "not for the engine that runs; %config --save has it hold for later sessions"
    ]
    mine.change("max_memory", "")
    assert said("%config", mine).split("\n")[-2:] == ["not saved: keys", f"{mine.path} is not there yet"]
    assert said("%config --save", mine) == f"{mine.path} has keys"
    assert said("%config --save", mine) == "nothing has been changed"
    assert said("%config outlook off --save", mine) == f"{mine.path} has outlook"
    assert mine.path.read_text() == 'keys = "vi"\noutlook = false\n'
    assert said("%config", mine).split("\n")[-1] == str(mine.path)


def test_config_says_what_is_wrong(tmp_path):
    mine = preferences(tmp_path)
    assert said("%config keys vim", mine) == 'keys is emacs or vi, not "vim": try %config keys emacs'
    assert said("%config kyes", mine) == "there is no option kyes: %config shows all"
    assert said("%config kyes --save", mine) == "there is no option kyes: %config shows all"
    assert said("%config", None) == "%config is for the prompt: run tensorcli repl in a terminal"


def test_the_file_is_in_the_platforms_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tensorcli").mkdir()
    (tmp_path / "tensorcli" / "config.toml").write_text('theme = "light"\nkeys = 1\n')
    mine = own()
    assert mine.config == Config(theme="light")
    assert mine.problems == [f"{mine.path}: keys is emacs or vi, not 1"]
