"""The inputs of earlier sessions, on disk where that is possible."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import FileHistory


def own_folder() -> Path | None:
    """Where this user's inputs and sessions are kept; None where there is no place."""
    from platformdirs import user_state_path

    with suppress(OSError, RuntimeError):  # no home directory at all
        return user_state_path("tensorcli", appauthor=False)
    return None


def own_path() -> Path | None:
    """Where this user's inputs are kept; None where there is no place."""
    folder = own_folder()
    return folder and folder / "history"


class Inputs(FileHistory):
    """Inputs in a file that the first of them creates; one that cannot be read or written is done without."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(str(path or own_path() or ""))

    def append_string(self, string: str) -> None:
        """Add one, without the blank line that ended its block."""
        super().append_string(string.rstrip())

    def load_history_strings(self) -> Iterable[str]:
        """The inputs, latest first."""
        with suppress(OSError):
            return list(super().load_history_strings())
        return []

    def store_string(self, string: str) -> None:
        """Write one."""
        if not self.filename:
            return
        with suppress(OSError, UnicodeError):
            Path(str(self.filename)).parent.mkdir(parents=True, exist_ok=True)
            super().store_string(string)
