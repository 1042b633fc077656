"""What a user may settle in config.toml, and what is wrong with what stands there."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

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
    pager: bool = field(default=True, metadata={"help": "show what does not fit on the screen in a pager"})
    max_memory: str = field(default="", metadata={"help": "the most memory the engine may take, such as 8 GiB"})


@dataclass
class Preferences:
    """What holds now: what the file says, but for what %config changed since. `problems` are the file's."""

    config: Config = field(default_factory=Config)
    path: Path | None = None
    problems: Sequence[str] = ()


def background(theme: Theme, environ: Mapping[str, str] = os.environ) -> Background:
    """The terminal's background. Some terminals tell it in COLORFGBG, and without being told it is dark."""
    if theme != "auto":
        return theme
    return "light" if environ.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT else "dark"


_LIGHT = {"7", *map(str, range(9, 16))}  # of the sixteen ANSI colours


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


def read(path: Path | None) -> tuple[Config, list[str]]:
    """The configuration in a file, and a sentence for each thing in it that is wrong and so is left out."""
    try:
        written = path.read_text("utf-8-sig") if path else ""
    except (FileNotFoundError, NotADirectoryError):
        return Config(), []
    except (OSError, UnicodeDecodeError) as error:
        return Config(), [f"{path} cannot be read: {error}"]
    if not written.strip():
        return Config(), []
    import tomllib

    try:
        found = tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        return Config(), [f"{path} is not TOML: {error}"]
    return _checked(found, path)


def _checked(found: dict[str, Any], path: Path | None) -> tuple[Config, list[str]]:
    import msgspec

    good: dict[str, Any] = {}
    problems: list[str] = []
    kinds = {each.name: each.type for each in fields(Config)}
    for name, value in found.items():
        if name not in kinds:
            problems.append(f"{path} has {name}, which is none of {', '.join(kinds)}")
            continue
        try:
            good[name] = msgspec.convert(value, kinds[name])
        except msgspec.ValidationError as error:
            problems.append(f"{path} has {name} = {value!r}: {error}".replace("`", ""))
    return Config(**good), problems
