"""An engine's process: started without waiting, written to, listened to, and what it ended of."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec

from tensorcli import wire
from tensorcli.report import Settings


class Ended:
    """The engine will say no more."""


class Pressed:
    """Ctrl-C, before the request was sent."""


class Quiet:
    """Nothing was said for a moment."""


Said = wire.Hello | wire.Answer | wire.Begun | wire.Done | Ended | Pressed


POISONED = 86  # the exit code of an engine whose CUDA context is of no use any more

# Waiting looks up now and then to let Ctrl-C in: on Windows a lock's wait cannot be interrupted, and elsewhere a signal
# that comes just before the wait begins does not end it.
_PATIENCE = 0.2
_ROOM = 16  # answers that may wait to be shown before the engine has to: Ctrl-C must not queue behind a flood


class Inbox:
    """What an engine says to one request. Reading makes room; `post` never waits, a signal handler may call it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Said] = SimpleQueue()
        self._room = threading.Semaphore(_ROOM)
        self._closed = False

    def put(self, message: Said) -> None:
        self._room.acquire()
        if self._closed:
            self._room.release()
        else:
            self._queue.put(message)

    def post(self, message: Said) -> None:
        self._queue.put(message)

    def get(self) -> Said | Quiet:
        try:
            message = self._queue.get(timeout=_PATIENCE)
        except Empty:
            return Quiet()
        self._room.release()
        return message

    def close(self) -> None:
        self._closed = True
        self._room.release()


class Engine:
    """One child process, from its start to its end."""

    def __init__(
        self, command: list[str], on_hello: Callable[[Settings], None], on_end: "Callable[[Engine], None]"
    ) -> None:
        self.settings: Settings | None = None
        self.ended = False
        self.reason = ""
        self.killed = ""
        self._on_hello, self._on_end = on_hello, on_end
        self._inboxes: dict[int, Inbox] = {}
        self._lock = threading.Lock()  # of the three fields above
        self._writing = threading.Lock()
        self._stderr = b""
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = _start(command)
        except OSError as error:
            self.ended, self.reason = True, f"could not be run: {command[0]}: {error.strerror}"
            return
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: wire.Message, *, wait: bool = True) -> bool:
        """Write one message, and say whether: not, without `wait`, while another one is being written.

        To an engine that has ended it goes nowhere: whoever waits hears of the end.
        """
        if not self._writing.acquire(blocking=wait):
            return False
        try:
            if self._process and self._process.stdin:
                with suppress(OSError, ValueError):
                    self._process.stdin.write(wire.encode(message))
                    self._process.stdin.flush()
        finally:
            self._writing.release()
        return True

    @contextmanager
    def subscribed(self, number: int, inbox: Inbox) -> Iterator[None]:
        """Within it `inbox` gets hello, then the answers to request `number`, or word of the end."""
        with self._lock:
            self._inboxes[number] = inbox
            if self.ended:
                inbox.post(Ended())
            elif self.settings:
                inbox.post(wire.Hello(settings=self.settings))
        try:
            yield
        finally:
            with self._lock:
                del self._inboxes[number]
            inbox.close()

    def kill(self, reason: str) -> None:
        """End the process now."""
        self.killed = reason
        if self._process:
            self._process.kill()

    def close(self) -> None:
        """Let the process end by itself, which it does when its stdin closes; kill one that does not."""
        process = self._process
        if process is None:
            return
        if process.stdin:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self) -> str:
        """The last line it wrote to stderr."""
        lines = self._stderr.decode(errors="replace").strip().splitlines()
        return lines[-1].strip()[:500] if lines else ""

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        try:
            for line in process.stdout:
                with suppress(
                    msgspec.MsgspecError
                ):  # what a login shell on another host prints before the engine speaks
                    self._take(wire.from_engine(line))
        finally:  # whatever happened, nobody must wait for more
            self._end(process)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.kill()  # one that closed its stdout is of no use
        code = process.wait()
        self._listening.join(timeout=1)
        with self._lock:
            self.reason = self.killed or _end_in_words(code)
            self.ended = True
            for inbox in self._inboxes.values():
                inbox.post(Ended())
        self._on_end(self)

    def _take(self, message: wire.Hello | wire.Answer | wire.Begun | wire.Done) -> None:
        match message:
            case wire.Hello(settings=settings):
                self.settings = settings
                self._on_hello(settings)  # before anyone is woken up: what it draws must not meet their answers
                with self._lock:
                    for inbox in self._inboxes.values():
                        inbox.post(message)
            case wire.Answer(number=number) | wire.Begun(number=number) | wire.Done(number=number):
                if isinstance(message, wire.Answer) and isinstance(message.report, Settings):
                    self.settings = message.report
                with self._lock:
                    waiting = self._inboxes.get(number)
                if waiting:  # else nobody wants this answer any more
                    waiting.put(message)

    def _listen(self) -> None:
        """Keep the end of what the process writes to stderr: on the terminal it would garble the prompt."""
        stderr = self._process.stderr if self._process else None
        while stderr and (written := stderr.read1(65536)):  # type: ignore[attr-defined]
            self._stderr = (self._stderr + written)[-8192:]


def _start(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a process that no Ctrl-C at this terminal reaches: interrupts travel as messages."""
    pipe = subprocess.PIPE
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(), creationflags=flags)
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(), start_new_session=True)


def _environment() -> dict[str, str]:
    """This environment, where a package that is not installed is found as this process found it."""
    root = Path(__file__).parents[1]
    same = {"PYTHONHASHSEED": "0", **os.environ}  # sets have one order in every engine that runs the same again
    if root.name in ("site-packages", "dist-packages"):
        return same
    known = os.environ.get("PYTHONPATH")
    return {**same, "PYTHONPATH": os.pathsep.join([str(root), *([known] if known else [])])}


def _end_in_words(code: int) -> str:
    if code == POISONED:
        return "had to end: after that error CUDA computes nothing more in the same process"
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (" (memory ran out, or somebody did it)" if name == "SIGKILL" else "")
