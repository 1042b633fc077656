"""The inputs of earlier sessions, on disk where that is possible, and of all that run at the same time."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prompt_toolkit.history import History

MOST = 1 << 20  # bytes the file may have; half of them stay when it has more
READ = 1 << 18  # bytes of it that a session reads: a suggestion looks through all of them at every key
LONGEST = READ // 4  # bytes of an input that is kept: a longer one would push out all others
PATIENCE = 1.0  # seconds to wait for another session's hold on the file


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


class Inputs(History):
    """Inputs in a file that the first of them creates; one that cannot be read or written is done without.

    The file is prompt_toolkit's kind: a `+` before each line, and lines without one between inputs. Sessions that run
    at the same time write to the same file, each input at once; each session reads it when it begins, so that its own
    inputs come first.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path or own_path()

    def append_string(self, string: str) -> None:
        """Add one, without the blank line that ended its block."""
        super().append_string(string.rstrip())

    def load_history_strings(self) -> Iterable[str]:
        """The inputs, latest first."""
        data = b""
        with suppress(OSError):
            if self._path is not None:
                data = _end_of(self._path, READ)
        found: list[list[str]] = [[]]
        for line in data.decode("utf-8", "replace").split("\n"):
            if line.startswith("+"):
                found[-1].append(line[1:])
            elif found[-1]:
                found.append([])
        return ["\n".join(lines) for lines in reversed(found) if lines]

    def store_string(self, string: str) -> None:
        """Write one."""
        if self._path is None:
            return
        lines = [f"\n# {datetime.now()}", *(f"+{line}" for line in string.split("\n"))]
        with suppress(OSError, UnicodeError):
            entry = ("\n".join(lines) + "\n").encode()
            if len(entry) > LONGEST:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _append(self._path, entry)


def _append(path: Path, entry: bytes) -> None:
    """Add to the file by one write, while no other session shortens it; where there are no locks, all the same."""
    from filelock import FileLock, Timeout  # once the first input is there, the engine's start has imported it

    lock = FileLock(f"{path}.lock", timeout=PATIENCE)
    with suppress(OSError, NotImplementedError, Timeout):
        lock.acquire()
    try:
        with open(path, "ab", buffering=0, opener=_private) as file:
            file.write(entry)
            too_long = file.tell() > MOST
        if too_long and lock.is_locked:
            _shorten(path)
    finally:
        lock.release()


def _shorten(path: Path) -> None:
    """Leave the later half, from an input's beginning on."""
    from tensorcli.atomic import write

    write(path, _end_of(path, MOST // 2))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _end_of(path: Path, most: int) -> bytes:
    """The last bytes of a file, from an input's beginning on where there are more."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        data = file.read(most)
    return data if size <= most else data[data.find(b"\n#") + 1 :]
