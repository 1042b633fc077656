"""What an engine was asked that changed its session, so that another one can be brought to the same."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from tensorcli.report import AnyRequest, Configure, Draw, Evaluate, GoOn, Inspect, Keep, Reset, Time, TimeIt

AGAIN_SECONDS = 1.0  # of requests that would be run again, after which the session is kept in a file
MAX_NBYTES = 1 << 30  # of such a file


class Journal:
    """The requests to make again, after what is in the file of the session, if it was kept in one."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tensorcli-")
        self._file = Path(self._folder.name, "session")
        self._kept = False
        self._since: list[AnyRequest] = []
        self._seconds = 0.0
        self._number = self._tried = 0
        self.uncertain = False  # whether something happened that running all of it again does not bring back

    def answered(self, request: AnyRequest, *, seconds: float, statement: int | None = None) -> None:
        """Take down a request that has been answered in so many seconds, or was broken off in a statement of it."""
        if isinstance(request, Reset):
            self._kept, self._since, self._seconds, self.uncertain = False, [request], 0.0, False
            return
        again = _again(request)
        if again is None:
            return
        if statement is not None or isinstance(request, TimeIt | Inspect):
            self.uncertain = True  # nobody knows how much of it was done
        if isinstance(again, Evaluate) and statement is not None:
            again = replace(again, until=statement - 1)
        if not isinstance(request, TimeIt | Inspect):
            self._since.append(again)
        self._number += 1
        self._seconds += seconds

    def died(self, request: AnyRequest, statement: int) -> None:
        """Take down a request in a statement of which the engine died: what stands before it ran."""
        again = _again(request)
        if isinstance(again, Evaluate) and statement > 1:
            self._since.append(replace(again, until=statement - 1))

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

    def again(self) -> Sequence[AnyRequest]:
        """What to ask a new engine, in this order."""
        return [*([GoOn(path=self._path)] if self._kept else []), *self._since]

    def drop(self, request: AnyRequest) -> None:
        """Forget a request that ends every engine."""
        self._since = [each for each in self._since if each is not request]
        if isinstance(request, GoOn):
            self._kept = False

    def close(self) -> None:
        """Remove its file."""
        self._folder.cleanup()


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
