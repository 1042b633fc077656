"""What an engine was asked that changed its session, so that another one can be brought to the same."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from msgspec.structs import replace

from tensorcli.report import AnyRequest, Configure, Draw, Evaluate, GoOn, Inspect, Keep, Reset, Time, TimeIt

AGAIN_SECONDS = 1.0  # of requests that would be run again, after which the session is kept in a file
MAX_NBYTES = 1 << 30  # of such a file
FOLDERS = 3  # of earlier sessions that stay on disk

_decode = msgspec.json.Decoder(AnyRequest)


class Journal:
    """The requests to make again, after what is in the file of the session, if it was kept in one.

    In a `folder` it can be gone on with by another process, once this one is gone; it then begins with `start`, the
    settings of the first one. Without a folder it is this process's.
    Raises filelock.Timeout where another one has the folder, OSError where it cannot be written.
    """

    def __init__(self, folder: Path | None = None, start: Configure | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="tensorcli-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(self.folder / "lock", blocking=False)
        self._lock.acquire()
        self._file, self._start = self.folder / "session", start
        self._kept = False
        self._since: list[AnyRequest] = list(self._read())
        if self._since and isinstance(first := self._since[0], GoOn):
            self._kept, self._path, self._since = True, first.path, self._since[1:]
        self._seconds = 0.0
        self._number = self._tried = 0
        self.uncertain = False  # whether something happened that running all of it again does not bring back

    def answered(self, request: AnyRequest, *, seconds: float, statement: int | None = None) -> None:
        """Take down a request that has been answered in so many seconds, or was broken off in a statement of it."""
        if isinstance(request, Reset):
            self._kept, self._since, self._seconds, self.uncertain = False, [request], 0.0, False
            return self._write_all()
        again = _again(request)
        if again is None:
            return
        if statement is not None or isinstance(request, TimeIt | Inspect):
            self.uncertain = True  # nobody knows how much of it was done
        if isinstance(again, Evaluate) and statement is not None:
            again = replace(again, until=statement - 1)
        if not isinstance(request, TimeIt | Inspect):
            self._add(again)
        self._number += 1
        self._seconds += seconds

    def died(self, request: AnyRequest, statement: int) -> None:
        """Take down a request in a statement of which the engine died: what stands before it ran."""
        again = _again(request)
        if isinstance(again, Evaluate) and statement > 1:
            self._add(replace(again, until=statement - 1))

    def to_keep(self) -> tuple[Keep, int] | None:
        """A request that keeps the session in a file, where that is worth while, and its number for `kept`."""
        if self._number == self._tried or not (self.uncertain or self._seconds >= AGAIN_SECONDS):
            return None
        self._tried = self._number
        return Keep(path=f"{self._file}{self._number % 2}", max_nbytes=MAX_NBYTES), self._number

    def kept(self, request: Keep, number: int) -> None:
        """The session was kept as it was when `to_keep` gave this."""
        if number == self._number:
            self._kept, self._since, self._seconds, self.uncertain = True, [], 0.0, False
            self._path = request.path
            self._write_all()

    def again(self) -> Sequence[AnyRequest]:
        """What to ask a new engine, in this order."""
        return [*([GoOn(path=self._path)] if self._kept else []), *self._since]

    def drop(self, request: AnyRequest) -> None:
        """Forget a request that ends every engine."""
        self._since = [each for each in self._since if each is not request]
        if isinstance(request, GoOn):
            self._kept = False
        self._write_all()

    def close(self) -> None:
        """Let another process have it; what is not worth that, or was never meant to last, is removed."""
        self._lock.release()
        if self._temporary:
            self._temporary.cleanup()
        elif not self.again():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _add(self, request: AnyRequest) -> None:
        fresh = [request] if self.again() or not self._start else [self._start, request]
        self._since += fresh
        if not self._temporary:
            with suppress(OSError), (self.folder / INPUTS).open("ab") as file:
                file.write(b"".join(msgspec.json.encode(each) + b"\n" for each in fresh))

    def _write_all(self) -> None:
        """Write what is to be asked again to its file, all at once."""
        if self._temporary:
            return
        with suppress(OSError):
            fresh = self.folder / f"{INPUTS}.new"
            fresh.write_bytes(b"".join(msgspec.json.encode(request) + b"\n" for request in self.again()))
            os.replace(fresh, self.folder / INPUTS)

    def _read(self) -> Iterator[AnyRequest]:
        """What an earlier process wrote; a line that was cut off is left out."""
        with suppress(OSError):
            for line in (self.folder / INPUTS).read_bytes().splitlines():
                with suppress(msgspec.MsgspecError):
                    yield _decode.decode(line)


INPUTS = "inputs.jsonl"


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
    """What has the effects of a request; None where it has none."""
    match request:
        case Evaluate():
            return request
        case Time() | Draw():
            return Evaluate(text=request.text)
        case TimeIt():
            return request
        case Inspect(dry_run=False):
            return request
        case Configure(seed=None, device=None, dtype=None, warn=None):
            return None
        case Configure():
            return request
    return None
