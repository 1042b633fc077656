"""What an engine was asked that changed its session, so that another one can be brought to the same."""

import atexit
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from msgspec.structs import replace

from tensorcli import wire
from tensorcli.past import Past
from tensorcli.report import (
    AnyRequest,
    Configure,
    Data,
    Draw,
    Evaluate,
    GoOn,
    Inspect,
    Keep,
    Load,
    Reset,
    Save,
    Time,
    TimeIt,
)

AGAIN_SECONDS = 1.0  # of requests that would be run again, after which the session is kept in a file
MAX_NBYTES = 1 << 28  # of such a file, and of all copies: the engine answers nothing while it writes them
FILES = 2  # that stay of a session: the newest holds what is taken back
TEMPORARY = "tensorcli-"  # with which the names of temporary folders begin
SETTLED_SECONDS = 60.0  # after which such a folder has its lock, if a process uses it
FOLDERS = 3  # of earlier sessions that stay on disk


class Line(Data, frozen=True, kw_only=True):
    """A request as it stands in a file, which input it is of, and whether it failed, where that is known."""

    request: AnyRequest
    input: int = 0
    failed: bool | None = None


_decode = msgspec.json.Decoder(Line)


@dataclass(frozen=True)
class Entry:
    """A request that changed the session, how long it took, and which input it is of.

    `doubtful` says that asking it again may give something else: nobody knows how much of it was done. `failed` is
    whether it did, where that is known.
    """

    request: AnyRequest
    input: int
    seconds: float = 0.0
    doubtful: bool = False
    failed: bool | None = None


class Journal:
    """The requests that made a session what it is, and the files in which it was kept after some of them.

    In a `folder` it can be gone on with by another process, once this one is gone; it then begins with `start`, the
    settings of the first one. Without a folder it is this process's. Raises filelock.Timeout where another one has the
    folder, OSError where it cannot be written.
    """

    def __init__(self, folder: Path | None = None, start: Configure | None = None) -> None:
        self._temporary, self._folder, self._lock = folder is None, folder, FileLock("")
        if folder:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(folder)
        self.start = start
        self._files: list[tuple[GoOn, int]] = []  # each with the number of requests before it was written, newest last
        self._all: list[Entry] = []
        self.past = Past(folder / TYPED if folder else None)
        self.input = self.past.latest  # the number of the input that requests are of
        self._read()
        self._number = self._tried = 0
        self._copies = itertools.count()  # each number once: the engine that asks for a copy may make none

    @property
    def folder(self) -> Path:
        """Where its files are. A temporary one is made for the first of them, and those left by killed processes go.

        Raises OSError where none can be made.
        """
        if self._folder is None:
            _sweep()
            fresh = Path(tempfile.mkdtemp(prefix=TEMPORARY))
            atexit.register(shutil.rmtree, fresh, ignore_errors=True)
            self._lock = _locked(fresh)
            self._folder = fresh  # from here on `close` in another thread removes it
        return self._folder

    def next_input(self) -> int:
        """What is taken down from now on is of another input: they are taken back one by one. Its number."""
        self.input += 1
        return self.input

    def answered(
        self, request: AnyRequest, *, seconds: float, statement: int | None = None, failed: bool = False
    ) -> None:
        """Take down a request that has been answered in so many seconds, or was broken off in a statement of it."""
        again = effect(request)
        if again is None or (failed and isinstance(request, Configure)):  # which changes all or nothing
            return
        doubtful = statement is not None or isinstance(request, TimeIt | Inspect)
        if isinstance(again, Evaluate) and statement:
            again, failed = replace(again, until=statement - 1), False
        known = isinstance(request, Evaluate | Time | Configure | Load)  # others fail of more than is asked again
        if isinstance(again, Load) and not (again.copy and Path(again.copy).is_file()):  # none was made
            again = replace(again, copy=None, copy_nbytes=0)
        copied = isinstance(again, Load) and again.copy
        if isinstance(again, Reset | Load) and not copied:  # little is left to keep; a file may be gone by then
            seconds = max(seconds, AGAIN_SECONDS)
        self._add(again, seconds, doubtful=doubtful, failed=failed if known else None)

    def with_copy(self, request: AnyRequest) -> AnyRequest:
        """A request as it is asked: what it loads is copied here at once, for the file may change or go.

        Where nothing can be written, it is loaded all the same.
        """
        if not isinstance(request, Load):
            return request
        try:
            there = {str(path): path.stat().st_size for path in self.folder.glob(f"{COPY}*")}
        except OSError:
            return request
        used = {*there, *self._copied()}
        paths = (str(self.folder / f"{COPY}{number}") for number in self._copies)
        path = next(path for path in paths if path not in used)
        return replace(request, copy=path, copy_nbytes=max(0, MAX_NBYTES - sum(there.values())))

    def died(self, request: AnyRequest, statement: int, *, seconds: float) -> None:
        """Take down a request in a statement of which the engine died: what stands before it ran."""
        again = effect(request)
        if isinstance(again, Evaluate) and statement > 1:
            self._add(replace(again, until=statement - 1), seconds, failed=False)

    @property
    def is_lasting(self) -> bool:
        """Whether another process can go on with it."""
        return not self._temporary and (self.folder / INPUTS).is_file()

    @property
    def seed(self) -> int | None:
        """The seed that the session has; None where nobody wrote it down."""
        given = [entry.request.seed for entry in self._all if isinstance(entry.request, Configure) and not entry.failed]
        return next((seed for seed in reversed(given) if seed is not None), None)

    @property
    def uncertain(self) -> bool:
        """Whether something happened that asking all of it again may not bring back."""
        return any(entry.doubtful for entry in self._all[self._covered :])

    @property
    def worth_keeping(self) -> bool:
        """Whether a file would save time, or a doubt, and has not been tried for since the last request."""
        if self._number == self._tried:
            return False
        return self.uncertain or sum(entry.seconds for entry in self._all[self._covered :]) >= AGAIN_SECONDS

    @property
    def _file(self) -> GoOn | None:
        """The newest file."""
        return self._files[-1][0] if self._files else None

    @property
    def _covered(self) -> int:
        """How many requests came before the newest file."""
        return self._files[-1][1] if self._files else 0

    def to_keep(self) -> tuple[Keep, int] | None:
        """A request that keeps the session in a file, where that is worth while and possible, and its number."""
        if not self.worth_keeping:
            return None
        self._tried = self._number
        used = {file.path for file, _ in self._files}
        try:
            paths = [str(self.folder / f"session{number}") for number in range(FILES + 1)]
        except OSError:
            return None
        return Keep(path=next(path for path in paths if path not in used), max_nbytes=MAX_NBYTES), self._number

    def kept(self, request: Keep, number: int) -> None:
        """The session was kept as it was when `to_keep` gave this."""
        if number == self._number:
            fresh = (GoOn(path=request.path), len(self._all))
            self._have([*self._files, fresh][-FILES:])

    def put_off(self) -> None:
        """What `to_keep` gave came to nothing, for now."""
        self._tried = 0

    def to_ask(self) -> Sequence[Entry]:
        """What to ask a new engine, in this order."""
        return [*([Entry(self._file, 0)] if self._file else []), *self._all[self._covered :]]

    def again(self) -> Sequence[AnyRequest]:
        """The requests alone of what to ask."""
        return [entry.request for entry in self.to_ask()]

    def typed(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that somebody typed: neither a file nor the settings with which the session began."""
        return [each for each in entries if each.request is not self.start and not isinstance(each.request, GoOn)]

    def drop(self, request: AnyRequest) -> None:
        """Forget a request that ends every engine; of a file that cannot be read, the file alone."""
        if isinstance(request, GoOn):
            return self._have(self._files[:-1])
        at = next((at for at, entry in enumerate(self._all) if entry.request is request), None)
        if at is not None:
            del self._all[at]
            self._write_inputs()
            self._drop_copies()

    def to_take_back(
        self, may_change: Callable[[AnyRequest], bool], count: int
    ) -> tuple[Sequence[Entry], Collection[int]]:
        """The requests since the last `count` inputs that may have changed something, and these inputs' numbers.

        There are fewer of them, or none, where there were.
        """

        def changed(entry: Entry) -> bool:
            return not (entry.failed and isinstance(entry.request, Load | Configure)) and may_change(entry.request)

        own = [each for each in self._all if each.request is not self.start]
        found: list[int] = []
        for each in reversed(own):
            if each.input not in found and changed(each):
                found.append(each.input)
                if len(found) == count:
                    break
        return [each for each in own if found and each.input >= found[-1]], found

    def take_back(self, entries: Sequence[Entry]) -> None:
        """Forget requests, the last ones, and the files that hold what they did."""
        self._all = self._all[: len(self._all) - len(entries)]
        self._number += 1
        self._have([(file, covered) for file, covered in self._files if covered <= len(self._all)])
        self._write_inputs()
        self._drop_copies()

    def close(self) -> None:
        """Let another process have it; what is not worth that, or was never meant to last, is removed."""
        self._lock.release()
        if self._folder and (self._temporary or not self._all):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _copied(self) -> Collection[str]:
        """The copies that requests are answered from."""
        return {each.request.copy for each in self._all if isinstance(each.request, Load) and each.request.copy}

    def _drop_copies(self) -> None:
        """Those of files whose loading is forgotten go."""
        used = self._copied()
        for path in self._folder.glob(f"{COPY}*") if self._folder else ():
            if str(path) not in used:
                with suppress(OSError):
                    path.unlink()

    def _have(self, files: list[tuple[GoOn, int]]) -> None:
        """These files are the session's from now on; the others go."""
        gone, self._files = [file for file, _ in self._files if file not in [each for each, _ in files]], files
        self._write(KEPT, msgspec.json.encode([(Path(file.path).name, covered) for file, covered in files]))
        for file in gone:
            with suppress(OSError):
                Path(file.path).unlink()

    def _add(self, request: AnyRequest, seconds: float, *, doubtful: bool = False, failed: bool | None = None) -> None:
        fresh = [Entry(request, self.input, seconds, doubtful, failed)]
        if self.start and not self._all:
            fresh.insert(0, Entry(self.start, 0))
        self._all += fresh
        self._number += 1
        if not self._temporary:
            with suppress(OSError), (self.folder / INPUTS).open("ab") as file:
                file.write(_lines(fresh))

    def _write_inputs(self) -> None:
        self._write(INPUTS, _lines(self._all))

    def _write(self, name: str, content: bytes) -> None:
        """Write a file of the folder, all at once, where it is to last."""
        if not self._temporary:
            with suppress(OSError):
                fresh = self.folder / f"{name}.new"
                fresh.write_bytes(content)
                os.replace(fresh, self.folder / name)

    def _read(self) -> None:
        """Take up what an earlier process wrote; a line that was cut off is left out."""
        if self._temporary:
            return
        with suppress(OSError):
            written = (self.folder / INPUTS).read_bytes()
            for line in written.splitlines():
                with suppress(msgspec.MsgspecError):
                    read = _decode.decode(line)
                    self._all.append(Entry(read.request, read.input, failed=read.failed))
                    self.input = max(self.input, read.input)
            if self._all and isinstance(self._all[0].request, Configure):
                self.start = self._all[0].request
            if not written.endswith(b"\n"):  # else the next one would stand behind half a line
                self._write_inputs()
        with suppress(OSError, msgspec.MsgspecError):
            kept = msgspec.json.decode((self.folder / KEPT).read_bytes(), type=list[tuple[str, int]])
            self._files = [
                (GoOn(path=str(self.folder / name)), covered)
                for name, covered in kept
                if covered <= len(self._all) and (self.folder / name).is_file()
            ]


def _lines(entries: Sequence[Entry]) -> bytes:
    """A line for each."""
    return b"".join(wire.encode(Line(request=e.request, input=e.input, failed=e.failed)) for e in entries)


INPUTS, KEPT, TYPED, COPY = "inputs.jsonl", "kept.json", "typed.jsonl", "loaded"


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


def _locked(folder: Path) -> FileLock:
    lock = FileLock(folder / "lock", blocking=False, thread_local=False)  # one thread takes it, another may let it go
    lock.acquire()
    return lock


def _sweep() -> None:
    """Remove the temporary folders that this user's killed processes left."""
    mine, begun = getattr(os, "geteuid", lambda: 0)(), time.time() - SETTLED_SECONDS
    for old in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
        with suppress(OSError, Timeout):
            about = old.lstat()
            if about.st_uid == mine and about.st_mtime < begun and (old / "lock").is_file() and not old.is_symlink():
                _locked(old).release()
                shutil.rmtree(old, ignore_errors=True)


def _free(folder: Path) -> Journal | None:
    try:
        return Journal(folder)
    except (OSError, Timeout):
        return None


def effect(request: AnyRequest) -> AnyRequest | None:
    """What has the effects of a request, once; None where it has none."""
    match request:
        case Configure() if request == Configure():
            return None
        case Evaluate() | Configure() | Reset() | Load():
            return request
        case Time() | Draw():
            return Evaluate(text=request.text)
        case Save() if request.text:
            return Evaluate(text=request.text, bind=False)
        case TimeIt():
            return Evaluate(text=request.text, bind=False)
        case Inspect(dry_run=False):
            return Evaluate(text=f"{request.setup}\n{request.text}" if request.setup else request.text, bind=False)
    return None
