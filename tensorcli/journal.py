"""What an engine was asked that changed its session, so that another one can be brought to the same."""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from msgspec.structs import replace

from tensorcli.report import AnyRequest, Configure, Draw, Evaluate, GoOn, Inspect, Keep, Reset, Time, TimeIt

AGAIN_SECONDS = 1.0  # of requests that would be run again, after which the session is kept in a file
MAX_NBYTES = 1 << 28  # of such a file: the engine answers nothing while it writes it
FOLDERS = 3  # of earlier sessions that stay on disk

_decode = msgspec.json.Decoder(AnyRequest)


class Journal:
    """The requests that made a session what it is, and the file in which it was kept after some of them.

    In a `folder` it can be gone on with by another process, once this one is gone; it then begins with `start`, the
    settings of the first one. Without a folder it is this process's. Raises filelock.Timeout where another one has the
    folder, OSError where it cannot be written.
    """

    def __init__(self, folder: Path | None = None, start: Configure | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="tensorcli-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(self.folder / "lock", blocking=False)
        self._lock.acquire()
        self._start = start
        self._file: GoOn | None = None
        self._covered = 0  # requests before the file was written
        self._all: list[AnyRequest] = []
        self._read()
        self._seconds = 0.0
        self._number = self._tried = 0
        self.uncertain = False  # whether something happened that asking all of it again does not bring back

    def answered(self, request: AnyRequest, *, seconds: float, statement: int | None = None) -> None:
        """Take down a request that has been answered in so many seconds, or was broken off in a statement of it."""
        again = _again(request)
        if again is None:
            return
        if statement is not None or isinstance(request, TimeIt | Inspect):
            self.uncertain = True  # nobody knows how much of it was done
        self._add(replace(again, until=statement - 1) if isinstance(again, Evaluate) and statement else again)
        self._seconds += AGAIN_SECONDS if isinstance(request, Reset) else seconds  # little is left to keep

    def died(self, request: AnyRequest, statement: int, *, seconds: float) -> None:
        """Take down a request in a statement of which the engine died: what stands before it ran."""
        again = _again(request)
        if isinstance(again, Evaluate) and statement > 1:
            self._add(replace(again, until=statement - 1))
            self._seconds += seconds

    @property
    def worth_keeping(self) -> bool:
        """Whether a file would save time, or a doubt, and has not been tried for since the last request."""
        return self._number != self._tried and (self.uncertain or self._seconds >= AGAIN_SECONDS)

    def to_keep(self) -> tuple[Keep, int] | None:
        """A request that keeps the session in a file, where that is worth while, and its number for `kept`."""
        if not self.worth_keeping:
            return None
        self._tried = self._number
        one, other = (str(self.folder / f"session{number}") for number in range(2))
        path = other if self._file and self._file.path == one else one  # the one that is not in use
        return Keep(path=path, max_nbytes=MAX_NBYTES), self._number

    def kept(self, request: Keep, number: int) -> None:
        """The session was kept as it was when `to_keep` gave this."""
        if number != self._number:
            return
        before, self._file, self._covered = self._file, GoOn(path=request.path), len(self._all)
        self._seconds, self.uncertain = 0.0, False
        self._write(KEPT, msgspec.json.encode((Path(request.path).name, self._covered)))
        if before:
            with suppress(OSError):
                Path(before.path).unlink()

    def again(self) -> Sequence[AnyRequest]:
        """What to ask a new engine, in this order."""
        return [self._file, *self._all[self._covered :]] if self._file else list(self._all)

    def drop(self, request: AnyRequest) -> None:
        """Forget a request that ends every engine; of a file that cannot be read, the file alone."""
        if isinstance(request, GoOn):
            self._file, self._covered = None, 0
            with suppress(OSError):
                (self.folder / KEPT).unlink()
            return
        at = next((at for at, each in enumerate(self._all) if each is request), None)
        if at is not None:
            del self._all[at]
            self._write_inputs()

    def close(self) -> None:
        """Let another process have it; what is not worth that, or was never meant to last, is removed."""
        self._lock.release()
        if self._temporary:
            self._temporary.cleanup()
        elif not self._all:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _add(self, request: AnyRequest) -> None:
        fresh = [request] if self._all or not self._start else [self._start, request]
        self._all += fresh
        self._number += 1
        if not self._temporary:
            with suppress(OSError), (self.folder / INPUTS).open("ab") as file:
                file.write(b"".join(map(_line, fresh)))

    def _write_inputs(self) -> None:
        self._write(INPUTS, b"".join(map(_line, self._all)))

    def _write(self, name: str, content: bytes) -> None:
        """Write a file of the folder, all at once, where it is to last."""
        if not self._temporary:
            with suppress(OSError):
                fresh = self.folder / f"{name}.new"
                fresh.write_bytes(content)
                os.replace(fresh, self.folder / name)

    def _read(self) -> None:
        """Take up what an earlier process wrote; a line that was cut off is left out."""
        with suppress(OSError):
            written = (self.folder / INPUTS).read_bytes()
            for line in written.splitlines():
                with suppress(msgspec.MsgspecError):
                    self._all.append(_decode.decode(line))
            if not written.endswith(b"\n"):  # else the next one would stand behind half a line
                self._write_inputs()
        with suppress(OSError, msgspec.MsgspecError):
            name, covered = msgspec.json.decode((self.folder / KEPT).read_bytes(), type=tuple[str, int])
            if covered <= len(self._all) and (self.folder / name).is_file():
                self._file, self._covered = GoOn(path=str(self.folder / name)), covered


def _line(request: AnyRequest) -> bytes:
    return msgspec.json.encode(request) + b"\n"


INPUTS, KEPT = "inputs.jsonl", "kept.json"


def begun(root: Path, start: Configure) -> Journal:
    """A journal of a session with these settings, in a new folder under `root`.

    The oldest of those that nobody uses make room for it.
    """
    with suppress(OSError):
        for old in sorted(root.iterdir(), reverse=True)[FOLDERS - 1 :]:
            if found := _free(old):
                found.close()
                shutil.rmtree(old, ignore_errors=True)
    return Journal(root / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}", start)


def latest(root: Path) -> Journal | None:
    """The journal of the newest session under `root` that nobody uses and that has something in it."""
    with suppress(OSError):
        for folder in sorted(root.iterdir(), reverse=True):
            found = _free(folder) if (folder / INPUTS).is_file() else None
            if found and found.again():
                return found
            if found:
                found.close()
    return None


def _free(folder: Path) -> Journal | None:
    try:
        return Journal(folder)
    except (OSError, Timeout):
        return None


def _again(request: AnyRequest) -> AnyRequest | None:
    """What has the effects of a request, once; None where it has none."""
    match request:
        case Configure(seed=None, device=None, dtype=None, warn=None):
            return None
        case Evaluate() | Configure() | Reset():
            return request
        case Time() | Draw() | TimeIt():
            return Evaluate(text=request.text)
        case Inspect(dry_run=False):
            return Evaluate(text=f"{request.setup}\n{request.text}" if request.setup else request.text)
    return None
