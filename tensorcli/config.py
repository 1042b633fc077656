"""What a user may settle in config.toml, what is wrong with what stands there, and how %config changes it."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

Keys = Literal["emacs", "vi"]
Theme = Literal["auto", "dark", "light"]
Background = Literal["dark", "light"]


@dataclass(frozen=True)
class Config:
    """One field for each key of config.toml; its default is what holds without one."""

    keys: Keys = field(default="emacs", metadata={"help": "the keys of the prompt: emacs or vi"})
    theme: Theme = field(default="auto", metadata={"help": "the terminal's background: dark, light, or auto"})
    complete_while_typing: bool = field(default=False, metadata={"help": "offer completions without Tab"})
    outlook: bool = field(default=True, metadata={"help": "say below a line what it would give, while it is written"})
    pager: bool = field(
        default=True, metadata={"help": "show in a pager what commands answer and the screen does not fit"}
    )
    max_memory: str = field(default="", metadata={"help": "the most memory the engine may take, such as 8 GiB"})


AT_START = {"max_memory"}  # what an engine is told when it starts, and never again
HELP: dict[str, str] = {each.name: each.metadata["help"] for each in fields(Config)}
_KINDS: dict[str, Any] = {each.name: each.type for each in fields(Config)}
_WORDS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


class Problem(ValueError):
    """A sentence about what cannot be settled so."""


@dataclass
class Preferences:
    """What holds now: what the file said, but for what %config changed since. `problems` are the file's."""

    config: Config = field(default_factory=Config)
    path: Path | None = None
    problems: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._saved = self.config

    @property
    def changed(self) -> dict[str, Any]:
        """What was changed and is not in the file."""
        return {name: now for name in HELP if (now := getattr(self.config, name)) != getattr(self._saved, name)}

    def line(self, name: str) -> str:
        """What holds of one option, and its help. Raises Problem."""
        return f"{_line(name, self._value(name)):<30}  {HELP[name]}"

    def _value(self, name: str) -> Any:
        if name not in HELP:
            raise Problem(f"there is no option {name:.40}: %config shows all")
        return getattr(self.config, name)

    def described(self) -> str:
        """All that holds, and where it is read from."""
        place = (
            f"{self.path}{'' if self.path.exists() else ' is not there yet'}" if self.path else "no folder for a file"
        )
        unsaved = f"not saved: {', '.join(self.changed)}" if self.changed else ""
        return "\n".join(filter(None, [*map(self.line, HELP), unsaved, place]))

    def change(self, name: str, written: str) -> None:
        """Have another value hold, given as it is written in a file or typed. Raises Problem."""
        word = written.strip().strip("\"'")
        value: Any = _WORDS.get(word.lower(), word) if _KINDS.get(name) is bool else word
        self._value(name)
        if problem := _wrong(name, value):
            raise Problem(f"{problem}: try %config {name} {next(iter(choices(name)), '8 GiB')}")
        self.config = replace(self.config, **{name: value})

    def save(self, names: Sequence[str]) -> None:
        """Have what holds of these hold in later sessions too; other lines of the file stay. Raises Problem."""
        if self.path is None:
            raise Problem("there is no folder for config.toml")
        values = {name: self._value(name) for name in names}
        try:
            before = self.path.read_bytes().decode("utf-8-sig") if self.path.exists() else ""
            after = _edited(before, values)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            from tensorcli.atomic import write

            write(self.path, after.encode())
        except OSError as error:
            raise Problem(f"{self.path} cannot be written: {error.strerror}") from error
        except (Problem, UnicodeDecodeError):
            lines = "; ".join(_line(name, value) for name, value in values.items())
            raise Problem(f"{self.path} cannot be changed without care: write {lines} into it yourself") from None
        self._saved = replace(self._saved, **values)


def own() -> Preferences:
    """What this user's file says."""
    path = own_path()
    config, problems = read(path)
    return Preferences(config, path, problems)


def own_path() -> Path | None:
    """The user's config.toml; None where there is no place for one."""
    from platformdirs import user_config_path

    try:
        return user_config_path("tensorcli", appauthor=False) / "config.toml"
    except (OSError, RuntimeError):  # no home directory at all
        return None


def background(theme: Theme, environ: Mapping[str, str] = os.environ) -> Background:
    """The terminal's background. Some terminals tell it in COLORFGBG, and without being told it is dark."""
    if theme != "auto":
        return theme
    return "light" if environ.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT else "dark"


_LIGHT = {"7", *map(str, range(9, 16))}  # of the sixteen ANSI colours


def read(path: Path | None) -> tuple[Config, list[str]]:
    """The configuration in a file, and a sentence for each thing in it that is wrong and so is left out."""
    try:
        written = path.read_text("utf-8-sig") if path else ""
    except (FileNotFoundError, NotADirectoryError):
        return Config(), []
    except (OSError, UnicodeDecodeError) as error:
        return Config(), [f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"]
    if not written.strip():
        return Config(), []
    import tomllib

    try:
        found = tomllib.loads(written)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Config(), [f"{path} is not TOML: {error}"]
    wrong = {name: problem for name, value in found.items() if (problem := _wrong(name, value))}
    good = {name: value for name, value in found.items() if name not in wrong}
    return Config(**good), [f"{path}: {problem}" for problem in wrong.values()]


def nbytes_of(text: str) -> int | None:
    """The most memory that `--max-memory` or max_memory asks for; None for no text. Raises ValueError."""
    from tensorcli import units

    if not text:
        return None
    if (nbytes := units.read_nbytes(text)) < LEAST_MEMORY:
        raise ValueError(f"{text!s:.40} is too little for torch itself: write {units.nbytes(LEAST_MEMORY)} or more")
    return nbytes


LEAST_MEMORY = 1 << 29


def _wrong(name: str, value: Any) -> str | None:
    """What is wrong with a value of this name, if anything is."""
    if name not in HELP:
        return f"there is no {name!r:.40}, only {', '.join(HELP)}"
    known, kind = choices(name), _KINDS[name]
    good = isinstance(value, kind) if isinstance(kind, type) else value in known
    if good and name == "max_memory":
        try:
            nbytes_of(value)
        except ValueError as problem:
            return f"{name}: {problem}"
    if good:
        return None
    shown = toml(value) if isinstance(value, bool | str) else repr(value)
    return f"{name} is {' or '.join(known) or 'text in quotes'}, not {shown:.40}"


def choices(name: str) -> tuple[str, ...]:
    """The values that an option can have, where these are so many words; none for an option that is not there."""
    return ("true", "false") if _KINDS.get(name) is bool else get_args(_KINDS.get(name))


def _edited(text: str, values: dict[str, Any]) -> str:
    """The text of a config.toml with these values. Raises Problem where it cannot be had line by line."""
    import tomllib

    try:
        wanted = tomllib.loads(text) | values
        for name, value in values.items():
            text = _with_line(text, name, _line(name, value))
        if tomllib.loads(text) == wanted:
            return text
    except (tomllib.TOMLDecodeError, RecursionError):
        pass
    raise Problem


def _with_line(text: str, name: str, line: str) -> str:
    """The text with this line in place of the one that has the name; else above the first table, or at the end."""
    table = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    end = table.start() if table else len(text)
    above, found = re.subn(_ASSIGNED.replace("NAME", name), lambda _: line, text[:end], count=1)
    if found:
        return above + text[end:]
    newline = "\r\n" if "\r\n" in text else "\n"
    before = text[:end] + (newline if end and text[end - 1] != "\n" else "")
    return before + line + newline + text[end:]


_ASSIGNED = r"""(?m)^[ \t]*["']?NAME["']?[ \t]*=[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^\s#"'\[{]+)"""


def _line(name: str, value: Any) -> str:
    """A line of TOML."""
    return f"{name} = {toml(value)}"


def toml(value: bool | str) -> str:
    """A value as TOML has it, in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    return (
        '"'
        + "".join(_ESCAPED.get(each) or (each if each.isprintable() else f"\\U{ord(each):08x}") for each in value)
        + '"'
    )


_ESCAPED = {"\\": "\\\\", '"': '\\"'}
