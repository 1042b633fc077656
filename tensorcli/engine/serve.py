"""The engine at the far end of a pipe: lines of JSON in, lines of JSON out, one request at a time."""

import argparse
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from tensorcli import __version__, wire
from tensorcli.child import POISONED
from tensorcli.engine import interrupts
from tensorcli.report import AnyReport, Diagnosis, Outlook

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

IDLE_SECONDS = 1.0  # without a request: then there is time for what is not needed yet
PROMPT_SECONDS = 0.0002  # that a statement waits for what is loaded behind its back
CANNOT_START = 3  # the exit code; the reason is the last line on stderr


class _Unreadable(msgspec.Struct):
    """A request of which only the number can be read, as of another version's, and what is wrong with it."""

    number: int
    problem: str = ""


_Waiting = SimpleQueue[wire.Ask | _Unreadable | None]  # None: all is loaded now


def main(arguments: list[str] | None = None) -> None:
    """`python -m tensorcli.engine.serve`."""
    parser = argparse.ArgumentParser(prog="tensorcli engine", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--pretend", choices=["cuda"])
    parser.add_argument("--warn", action="store_true")
    parser.add_argument("--max-memory", type=int)
    options = parser.parse_args(arguments)
    serve(**vars(options))


def serve(*, seed: int, **options: Any) -> None:
    """Answer requests from stdin on stdout until stdin closes, then end the process. `options` are a Session's."""
    warnings.simplefilter("ignore", SyntaxWarning)  # of what is only read: what runs tells its own
    requests, answers = _take_the_wire()
    interrupts.from_wire()
    waiting: _Waiting = SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    session = _load(seed=seed, **options)
    send = _sender(answers)
    send(wire.Hello(settings=session.settings()))
    _warm_up()
    threading.Thread(target=_warm_up_more, args=(waiting,), daemon=True).start()
    session.is_wanted = lambda: not waiting.empty()
    for ask in _to_answer(waiting, send):
        session.on_statement = _beginner(ask.number, send)
        session.on_statement(1)
        with interrupts.answering(ask.number):
            session.ask(ask.request, _emitter(ask.number, send), typed=ask.input)
        if session.poisoned:  # without a word that it is done: the client brings the session back without it
            os._exit(POISONED)
        send(wire.Done(number=ask.number))


def _to_answer(waiting: _Waiting, send: Callable[[wire.Message], None]) -> Iterator[wire.Ask]:
    """The requests in order. An outlook waits for what it needs to be loaded, and gives way to what comes after it."""
    warm, held = False, None
    while True:
        ask = waiting.get()
        if ask is None:
            warm, ask = True, held
        elif held is not None:
            send(wire.Done(number=held.number))
        held = None
        match ask:
            case None:
                pass
            case _Unreadable():
                _refuse(ask, send)
            case wire.Ask(request=Outlook()) if not waiting.empty():
                send(wire.Done(number=ask.number))
            case wire.Ask(request=Outlook()) if not warm:
                held = ask
            case _:
                yield ask


def _refuse(ask: _Unreadable, send: Callable[[wire.Message], None]) -> None:
    title = f"the engine, tensorcli {__version__}, cannot read this request: {ask.problem}"
    problem = Diagnosis(code="unreadable", category="engine", title=title)
    send(wire.Answer(number=ask.number, report=problem))
    send(wire.Done(number=ask.number))


def _take_the_wire() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for the protocol, and leave nothing, and stderr, in their places.

    User code and native libraries may write to file descriptor 1 or read from 0 whenever they like.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _read(requests: BinaryIO, waiting: _Waiting) -> None:
    for line in requests:
        try:
            message = wire.to_engine(line)
        except msgspec.MsgspecError as error:
            with suppress(msgspec.MsgspecError):  # what has no number nobody waits for
                waiting.put(_Unreadable(msgspec.json.decode(line, type=_Unreadable).number, str(error)))
            continue
        match message:
            case wire.Ask():
                waiting.put(message)
            case wire.Interrupt(number=number):
                interrupts.interrupt(number)
    # The client has gone, perhaps in the middle of a long evaluation: nobody is left to answer.
    os._exit(0)


def _load(*, seed: int, **options: Any) -> "Session":
    """Import torch and make the session, or say in one line on stderr why not and end."""
    try:
        from tensorcli.engine.session import Session

        return Session(seed=seed, **options)
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(CANNOT_START)


def _warm_up() -> None:
    """Pay for what the first answer would wait for, while nobody waits: the first formatting of a tensor."""
    import torch

    from tensorcli.engine import describe

    state = torch.get_rng_state()
    describe.describe(torch.ones(3, 3))
    describe.describe(torch.ones(100))
    torch.set_rng_state(state)


def _warm_up_more(waiting: _Waiting) -> None:
    """Load what only explanations and outlooks need, two seconds' worth, once nothing has been asked for a moment.

    A statement that comes meanwhile gets the interpreter at once: the interval is that of `sys.setswitchinterval`.
    """
    from tensorcli import diagnoses
    from tensorcli.engine import complete, predict

    while interrupts.is_answering() or not waiting.empty():
        time.sleep(IDLE_SECONDS)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(PROMPT_SECONDS)
    complete.warm_up()
    diagnoses.entries()
    time.sleep(IDLE_SECONDS)
    while interrupts.is_answering():
        time.sleep(IDLE_SECONDS)
    predict.warm_up()
    sys.setswitchinterval(interval)
    waiting.put(None)


def _sender(answers: BinaryIO) -> Callable[[wire.Message], None]:
    def send(message: wire.Message) -> None:
        line = wire.encode(message)
        try:
            with interrupts.shielded():
                answers.write(line)
                answers.flush()
        except OSError:
            os._exit(0)

    return send


def _beginner(number: int, send: Callable[[wire.Message], None]) -> Callable[[int], None]:
    return lambda statement: send(wire.Begun(number=number, statement=statement))


def _emitter(number: int, send: Callable[[wire.Message], None]) -> Callable[[AnyReport], None]:
    def emit(report: AnyReport) -> None:
        try:
            send(wire.Answer(number=number, report=report))
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            title = f"the answer cannot be sent as JSON: {error}"
            problem = Diagnosis(code="unsendable", category="engine", title=title, statement=report.statement)
            send(wire.Answer(number=number, report=problem))

    return emit


if __name__ == "__main__":
    main()
