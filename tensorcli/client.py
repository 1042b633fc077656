"""The ways to reach an engine: in this process, in a child process, or canned answers for tests."""

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tensorcli import child, wire
from tensorcli.exchange import Course, Emit, exchange
from tensorcli.past import Past
from tensorcli.report import (
    AnyReport,
    AnyRequest,
    Begin,
    Complete,
    Configure,
    Diagnosis,
    Document,
    Evaluate,
    Judge,
    Judged,
    Load,
    Notice,
    Outlook,
    Reset,
    Settings,
    Signature,
    Undo,
    Undone,
)
from tensorcli.signals import sigint_to

if TYPE_CHECKING:
    from tensorcli.engine.session import Session
    from tensorcli.journal import Journal

MOST_UNREACHED = 3  # engines in a row that end before they read a request
IDLE_SECONDS = 1.0  # after an answer: then there is time to keep the session
_REPLACED = "a fresh engine takes its place, and your session is brought back"
OnHello = Callable[[Settings], None]
OnEnd = Callable[[], None]


class Client(Protocol):
    """A way to reach an engine. `on_hello`, where set, is called when the engine is ready, from any thread.

    So is `on_end` when it has ended while nobody asked it anything. Where that is set, a fresh one starts at once.
    """

    on_hello: OnHello | None
    on_end: OnEnd | None
    start: Configure  # the settings that its session began with

    @property
    def past(self) -> Past:
        """What was typed."""

    @property
    def input(self) -> int:
        """The number of the last input; 0 before the first."""

    @property
    def settings(self) -> Settings | None:
        """The engine's settings as last reported; None until it is ready."""

    @property
    def ended(self) -> bool:
        """Whether there is no engine until something is asked."""

    @property
    def goes_on(self) -> bool:
        """Whether the next request finds an engine that has not the session yet, and brings it back first."""

    def take_news(self) -> Notice | None:
        """What became of the engine since it was last asked, to be told once: else the next request tells it."""

    def ask(self, request: AnyRequest, emit: Emit) -> None:
        """Ask, and return when the request is answered; never raises for anything a user typed."""

    def next_input(self) -> int:
        """Another input begins: what is asked from now on is taken back by itself. Its number."""

    def is_lasting(self) -> bool:
        """Whether another process can go on with the session, and it has come to something."""

    def close(self) -> None:
        """Let the engine go."""


class _Undying:
    """What a client's engine is that ends with this process."""

    on_hello: OnHello | None = None
    on_end: OnEnd | None = None
    ended = False
    goes_on = False

    def __init__(self) -> None:
        self.past = Past()
        self.input = 0

    def take_news(self) -> Notice | None:
        """There are none."""
        return None

    def next_input(self) -> int:
        """They are counted."""
        self.input += 1
        return self.input

    def is_lasting(self) -> bool:
        """It is not."""
        return False


class Canned(_Undying):
    """Answers prepared beforehand, and in `asked` every request that came."""

    def __init__(
        self,
        answers: Mapping[AnyRequest, Iterable[AnyReport]] | Callable[[AnyRequest], Iterable[AnyReport]],
        *,
        settings: Settings | None = None,
    ) -> None:
        super().__init__()
        self._answers = answers
        self.settings = settings
        self.start = Configure(seed=settings.seed) if settings else Configure(seed=0)
        self.asked: list[AnyRequest] = []
        self.closed = False

    def ask(self, request: AnyRequest, emit: Emit) -> None:
        """Give the answer prepared for this request, or none."""
        self.asked.append(request)
        found = self._answers(request) if callable(self._answers) else self._answers.get(request, ())
        for report in found:
            emit(report)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class Here(_Undying):
    """An engine in this process, imported when the first request needs it."""

    def __init__(
        self,
        *,
        seed: int,
        device: str = "cpu",
        dtype: str = "float32",
        trust: bool = False,
        pretend: str | None = None,
        warn: bool = False,
        max_memory: int | None = None,
    ) -> None:
        super().__init__()
        self._options: dict[str, Any] = {
            "seed": seed, "device": device, "dtype": dtype, "trust": trust, "pretend": pretend, "warn": warn,
            "max_memory": max_memory,
        }  # fmt: skip
        self.start = Configure(seed=seed, device=device, dtype=dtype)
        self._session: Session | None = None
        self._numbers = itertools.count(1)

    @property
    def settings(self) -> Settings | None:
        """The engine's settings; None until it is imported."""
        return self._session.settings() if self._session else None

    def ask(self, request: AnyRequest, emit: Emit) -> None:
        """Answer here. Ctrl-C interrupts the evaluation; a second one before that worked leaves the process."""
        session = self._session or self._load(emit)
        if session is None:
            return
        from tensorcli.engine import interrupts

        with interrupts.from_keyboard(), interrupts.answering(next(self._numbers)):
            session.ask(request, emit, typed=self.input or None)

    def close(self) -> None:
        """Forget the session and all it holds."""
        self._session = None

    def _load(self, emit: Emit) -> "Session | None":
        try:
            from tensorcli.engine.session import Session

            self._session = Session(**self._options)
        except KeyboardInterrupt:
            emit(Diagnosis(code="interrupted", category="interrupted", title="interrupted while torch was loading"))
            return None
        except Exception as error:
            emit(_cannot_start(f"{type(error).__name__}: {error}"))
            return None
        if self.on_hello:
            self.on_hello(self._session.settings())
        return self._session


class Pipe:
    """An engine in a child process, started at once and not waited for; a fresh one follows one that died.

    Without `command` the child is this Python's own engine; "ssh HOST tensorcli engine" would do as well.
    Threads may ask at the same time, but only one of them anything else than what is asked while somebody types
    (`_is_aside`). With a `journal` of an earlier session the first request finds that one.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
        trust: bool = False,
        pretend: str | None = None,
        warn: bool = False,
        max_memory: int | None = None,
        command: list[str] | None = None,
        on_hello: OnHello | None = None,
        journal: "Journal | None" = None,
    ) -> None:
        from tensorcli.journal import Journal  # whose lock takes a while to import, and only a Pipe has one

        self._command = command or engine_command(
            seed=seed, device=device, dtype=dtype, trust=trust, pretend=pretend, warn=warn, max_memory=max_memory
        )
        self._journal = journal or Journal()
        self.start = self._journal.start or Configure(seed=seed, device=device, dtype=dtype)
        self._numbers = itertools.count(1)
        self.on_hello = on_hello
        self._restarting = threading.Lock()
        self._to_go_on = bool(self._journal.again())  # whether there is a session to be brought back first
        self._trust = trust
        self._asked = 0  # requests, those left aside that are asked while one types
        self._looking: int | None = None  # the number of the last outlook, which may be answered already
        self._course = Course()  # of the last of them
        self.on_end: OnEnd | None = None
        self._news: Notice | None = None
        self._is_asked = self._is_closed = False
        self._is_replaced = False  # whether the engine has ended unasked, since the last input
        self._engine = self._fresh()

    @property
    def settings(self) -> Settings | None:
        """The engine's settings as last reported; None until it has said hello."""
        return None if self._engine.ended else self._engine.settings

    @property
    def ended(self) -> bool:
        """Whether there is no engine until something is asked."""
        return self._engine.ended

    @property
    def goes_on(self) -> bool:
        """Whether the next request brings the session back first."""
        return self._to_go_on

    def take_news(self) -> Notice | None:
        """What became of the engine since it was last asked, to be told once."""
        with self._restarting:
            news, self._news = self._news, None
        return news

    def ask(self, request: AnyRequest, emit: Emit) -> None:
        """Send the request and pass on each report as it comes.

        While the answer is due Ctrl-C raises nothing here: it travels to the engine. One after it was said that this
        does not help ends it.
        """
        engine = self._engine
        self._cut_short(engine)
        if _is_aside(request):
            # A death is told to, and mended for, the next real request: nobody reads the answer to this one.
            if not engine.ended:
                self._ask_aside(engine, request, emit)
            return
        self._asked += 1
        self._is_asked = True
        try:
            self._ask(request, emit, times=MOST_UNREACHED)
        finally:
            self._is_asked = False

    def _ask(self, request: AnyRequest, emit: Emit, *, times: int) -> None:
        """Ask, so many times at most where engines end before they read it."""
        engine = self._engine
        if engine.ended:
            self._restart(engine, unasked=True)
        if news := self.take_news():
            emit(news)
        if isinstance(request, Undo):
            return self._undo(request.count, emit)
        if isinstance(request, Reset):
            self._to_go_on = False
        if self._to_go_on and not self._bring_back(emit):
            return
        engine, broken, failed = self._engine, None, False
        request = self._journal.with_copy(request)

        def pass_on(report: AnyReport) -> None:
            nonlocal broken, failed
            failed |= isinstance(report, Diagnosis)
            if isinstance(report, Diagnosis) and report.category == "interrupted":
                broken = report.statement or self._course.begun
            emit(report)

        if self._exchange(engine, request, pass_on):
            self._journal.answered(request, seconds=self._seconds(), statement=broken, failed=failed)
            return self._keep(engine)
        if engine.settings and not self._course.reached and not engine.killed and times > 1:
            return self._ask(request, emit, times=times - 1)
        emit(self._obituary(request))
        if engine.settings:  # one that never came up would not come up now: wait until something is asked
            self._journal.died(request, self._course.begun, seconds=self._seconds())
            self._restart(engine)
            if self._to_go_on:
                self._bring_back(emit)

    @property
    def past(self) -> Past:
        """What was typed, in earlier processes too."""
        return self._journal.past

    @property
    def input(self) -> int:
        """The number of the last input; 0 before the first."""
        return self._journal.input

    def next_input(self) -> int:
        """Another input begins, as the journal counts them."""
        self._is_replaced = False
        return self._journal.next_input()

    def is_lasting(self) -> bool:
        """Whether an input changed the session, and its journal is on disk."""
        if self.settings is None:  # nobody to ask what changes something
            return self._journal.is_lasting
        return self._journal.is_lasting and bool(self._journal.to_take_back(self._may_change, 1)[0])

    def close(self) -> None:
        """End the child process."""
        with self._restarting:
            self._is_closed = True
        self._engine.close()
        self._journal.close()

    def _ask_aside(self, engine: child.Engine, request: AnyRequest, emit: Emit) -> None:
        number = next(self._numbers)
        self._looking = number if isinstance(request, Outlook) else self._looking
        exchange(engine, number, request, emit, course=Course())
        self._looking = None if self._looking == number else self._looking

    def _cut_short(self, engine: child.Engine) -> None:
        """Let an outlook that is still looked for be given up: something else is asked."""
        number, self._looking = self._looking, None
        if number is not None:
            engine.send(wire.Interrupt(number=number))

    def _keep(self, engine: child.Engine) -> None:
        """Have the session kept where that is worth while, once nothing has been asked for a moment."""
        if not self._journal.worth_keeping:
            return
        asked = self._asked

        def keep() -> None:
            if asked != self._asked or engine.ended or (found := self._journal.to_keep()) is None:
                return
            request, count = found
            answers: list[AnyReport] = []
            lived = exchange(engine, next(self._numbers), request, answers.append, course=Course())
            if any(isinstance(each, Diagnosis) and each.code == "put-off" for each in answers):
                self._journal.put_off()
                self._keep(engine)
            elif lived and asked == self._asked and any(isinstance(each, Notice) for each in answers):
                self._journal.kept(request, count)  # else it may hold what the journal does not know to be answered

        timer = threading.Timer(IDLE_SECONDS, keep)
        timer.daemon = True
        timer.start()

    def _hello(self, settings: Settings) -> None:
        if self.on_hello:
            self.on_hello(settings)

    def _ended(self, engine: child.Engine) -> None:
        """An engine has ended: where nobody asks it anything another one starts, once until an input comes."""
        if self.on_end is None or self._is_asked or self._is_closed or engine is not self._engine:
            return
        if engine.settings and not self._is_replaced:
            self._is_replaced = True
            self._restart(engine, unasked=True)
        self.on_end()

    def _restart(self, dead: child.Engine, *, unasked: bool = False) -> None:
        """Put a fresh engine in the place of `dead`, unless another thread has. What ended `unasked` is news."""
        with self._restarting:
            if self._engine is not dead or self._is_closed:
                return
            if unasked and dead.settings:
                self._news = Notice(text=f"the engine {dead.reason}: {_REPLACED}")
            dead.close()
            self._fresh()
            self._to_go_on = bool(self._journal.again())

    def _bring_back(self, emit: Emit, undone: Undone | None = None) -> bool:
        """Make a fresh engine's session what the last one's was, and say whether that is done.

        `undone` is what the last one's had besides.
        """
        from tensorcli.restore import Restoring

        pressed = threading.Event()  # between two requests: raised there, it would leave half a session to go on from
        with sigint_to(lambda _number, _frame: pressed.set()):
            known = self._journal, self._engine, self._fresh, self._numbers, emit, self._trust, undone
            came_of_it = Restoring(*known, was_pressed=pressed.is_set).run()
            if came_of_it == "no engine":
                emit(self._obituary(None))
            self._to_go_on = came_of_it != "done"
        return not self._to_go_on

    def _fresh(self) -> child.Engine:
        self._engine = child.Engine(self._command, self._hello, self._ended)
        return self._engine

    def _undo(self, count: int, emit: Emit) -> None:
        """Make the session what it was before the last inputs that changed it: it begins anew, without them."""
        entries, changing = self._journal.to_take_back(self._may_change, count)
        if not entries:
            title = "there is nothing to take back: no input has changed the session"
            return emit(Diagnosis(code="nothing-to-undo", category="value", title=title))
        self._journal.take_back(entries)
        engine = self._engine
        if self._to_go_on:  # it has just begun
            self._to_go_on = bool(self._journal.again())
        elif self._trust or not self._exchange(engine, Begin(), lambda _: None):  # what it imported may keep anything
            engine.close()
            self._restart(engine)
        else:
            self._to_go_on = bool(self._journal.again())
        typed = tuple(_as_typed(entry.request) for entry in entries if entry.input in changing)
        undone = Undone(texts=typed, inputs=tuple(dict.fromkeys(entry.input for entry in entries)))
        if not self._to_go_on:
            emit(msgspec.structs.replace(undone, text="the session is as it began"))
        elif not self._bring_back(emit, undone):
            emit(undone)

    def _may_change(self, request: AnyRequest) -> bool:
        """Whether a request may have changed the session: of a text the engine is asked."""
        if not isinstance(request, Evaluate):
            return True
        answers: list[AnyReport] = []
        self._exchange(self._engine, Judge(texts=(request.text,)), answers.append)
        return all(any(each.may_change) for each in answers if isinstance(each, Judged))

    def _obituary(self, request: AnyRequest | None) -> Diagnosis:
        engine = self._engine
        if not engine.settings:
            return _cannot_start(engine.last_words() or f"it {engine.reason}")
        where = f"statement {self._course.begun} of this input" if self._course.begun > 1 else "this input"
        notes = [f"that happened in {where}, which is not run again"] if request else []
        notes.append(_REPLACED)
        if words := engine.last_words():
            notes.append(f"its last words: {words}")
        found = Diagnosis(
            code="engine-died", category="engine", title=f"the engine {engine.reason}", notes=tuple(notes)
        )
        if request is None or self._course.begun == 1:
            return found
        return msgspec.structs.replace(found, statement=self._course.begun, seconds=self._seconds())  # others ran

    def _exchange(self, engine: child.Engine, request: AnyRequest, emit: Emit, *, tell: Emit | None = None) -> bool:
        """Ask `engine`, and say whether it lived to answer."""
        self._course = Course()
        told: dict[str, Any] = {"tell": tell, "course": self._course, "typed": self.input or None}
        return exchange(engine, next(self._numbers), request, emit, **told)

    def _seconds(self) -> float:
        return time.monotonic() - self._course.sent_at


def _is_aside(request: AnyRequest) -> bool:
    """Whether it is asked while a statement is written, behind the back of who writes it."""
    match request:
        case Complete() | Signature() | Outlook() | Document(cursor=int()):
            return True
    return False


def engine_command(
    *,
    seed: int,
    device: str,
    dtype: str,
    trust: bool,
    pretend: str | None = None,
    warn: bool = False,
    max_memory: int | None = None,
) -> list[str]:
    """The command line of this Python's own engine. -P: a torch.py in the current directory is not torch."""
    command = [sys.executable, "-P", "-m", "tensorcli.engine.serve", "--seed", str(seed), "--device", device]
    command += ["--dtype", dtype, *(["--trust"] if trust else []), *(["--warn"] if warn else [])]
    command += ["--pretend", pretend] if pretend else []
    return [*command, "--max-memory", str(max_memory)] if max_memory else command


def _as_typed(request: AnyRequest) -> str:
    """A request as people know it, for those that a journal holds."""
    match request:
        case Evaluate(text=text):
            return text
        case Load(path=path):
            return f"%load {Path(path).name}"
        case Configure():
            given = msgspec.to_builtins(request).items()
            return ", ".join(f"%{name} {value}" for name, value in given if value is not None and name != "request")
    return "%reset"


def _cannot_start(why: str) -> Diagnosis:
    return Diagnosis(code="engine-start", category="engine", title=f"the engine cannot start: {why}")
