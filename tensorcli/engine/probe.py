"""What every part of a statement gave: its value's facts, its own time and cost, and what is new memory."""

import ast
import time
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from tensorcli import __version__, language, report
from tensorcli.engine import apart, describe, environment, failure, gradients, interrupts, limits, relations
from tensorcli.engine.instrument import Instrument
from tensorcli.engine.output import Sink
from tensorcli.engine.recorder import Record, Recorder, Timer, overhead
from tensorcli.language import Statement

if TYPE_CHECKING:
    from tensorcli.engine.session import Session


def trace(
    session: "Session",
    statement: Statement,
    *,
    number: int,
    emit: Callable[[report.AnyReport], None],
    depth: int | None = None,
    whole: bool = False,
    grad: bool = False,
) -> None:
    """Run a statement once, instrumented, and emit its Trace; where it fails, of what worked, and its Diagnosis.

    `depth`, `whole` and `grad` are as in report.Inspect.
    """
    written = statement.again()
    instrument = Instrument(into_loops=whole)
    tree = instrument.wrapped(written)
    names = session.names
    seen = session.watch.before(written, names) if session.warn else None
    before = torch.get_rng_state()
    key = f"<input {session.inputs}.{number}>"
    session.sources[key] = written
    recorder = Recorder(instrument.sites, session.variables(), key, own=overhead())
    sink = Sink(emit, source=statement.source, statement=number)
    limits.limit_memory()
    error: BaseException | None = None
    world: dict[str, Any] = {}
    seconds = 0.0
    start = time.perf_counter()
    with warnings.catch_warnings(), redirect_stdout(sink):
        warnings.simplefilter("ignore")
        try:
            code = language.compiled(written, filename=key, trust=session.trust, tree=tree)
            with _functions_open(session, instrument):
                world = _copies(session, written)
                names.update(recorder.scope)
                with session.modes(), recorder.recording(), interrupts.interruptible():
                    start = time.perf_counter()
                    eval(code, names)
                seconds = time.perf_counter() - start
        except BaseException as caught:
            error = caught
        finally:
            for name in recorder.scope:
                names.pop(name, None)
    seconds = seconds or time.perf_counter() - start
    sink.finish()
    end = time.perf_counter() + ENOUGH
    again = AGAIN if world and error is None and seconds < QUICK else 0
    while again and (again == AGAIN or time.perf_counter() < end):
        again -= 1
        other = Timer(instrument.sites, {}, key, own=overhead())
        if not _ran_again(code, world, other):
            break
        recorder.root.no_slower_than(other.root)
    drew = not torch.equal(before, torch.get_rng_state())
    root = next(iter(recorder.root.children.values()), None)
    if root is not None and (error is None or any(not _is_leaf(part) for part in _all(root)[1:])):
        builder = _Builder(written, whole=whole, grad=grad)
        emit(
            report.Trace(
                source=statement.source,
                statement=number,
                seconds=seconds,
                root=builder.node(root, depth),
                total_seconds=seconds,
                peak_nbytes=recorder.account.peak_nbytes,
                kept_nbytes=recorder.account.live_nbytes if error is None else None,
                shared=relations.shared(written.node, session.variables()),
                all=whole,
                probe_seconds=overhead().part + overhead().below,
                seed=session.seed if drew else None,
                functions=gradients.functions(recorder.value) if grad else (),
                gradients=_gradients(session, recorder.value, emit) if grad and error is None else (),
                environment={
                    "torch": str(torch.__version__),
                    "tensorcli": __version__,
                    "device": str(environment.default_device()),
                    "threads": torch.get_num_threads(),
                },
            )
        )
    if error is not None:
        context = session.context(emit)
        emit(session.explained(error, written, number, context, seconds=seconds, random_state=before))
        failure.let_go(error)
    elif seen is not None:
        options: dict[str, Any] = {"trust": session.trust, "random_state": before, "seconds": seconds}
        for note in session.watch.notes(seen, recorder.value, names, **options):
            emit(report.Notice(source=statement.source, statement=number, text=note))


# The first time an operator runs costs many times what the others do: what is quick runs again, on copies made before.


def _copies(session: "Session", statement: Statement) -> dict[str, Any]:
    """Copies of what a statement uses; empty where they would be large, cannot be made, or have no times."""
    if session.predicts:
        return {}
    try:
        return apart.world_of(session.names, [statement.node], trust=session.trust, kind=_Little)
    except (apart.TooLarge, apart.NoCopy):
        return {}


class _Little(apart.Copier):
    """Copies of what is little."""

    limit = 1 << 20


def _ran_again(code: types.CodeType, world: dict[str, Any], recorder: Recorder) -> bool:
    """Whether a statement ran again, on copies, with nothing of it left behind."""
    world.update(recorder.scope)
    try:
        with apart.apart(seconds=QUICK), apart.closed(), interrupts.may_raise(), recorder.recording():
            eval(code, world)
    except Exception:  # it changed what it is made of, or takes long now
        return False
    return True


@contextmanager
def _functions_open(session: "Session", instrument: Instrument) -> Iterator[None]:
    """Within it the session's functions are instrumented too: a call of one opens into what its body does."""
    plain: list[tuple[types.FunctionType, types.CodeType]] = []
    for function in session.names.values():
        code = _instrumented(function, session, instrument)
        if code is not None:
            plain.append((function, function.__code__))
            function.__code__ = code
    try:
        yield
    finally:
        for function, code in plain:
            function.__code__ = code


def _instrumented(function: Any, session: "Session", instrument: Instrument) -> types.CodeType | None:
    """The code of a function that a statement of the session defined, instrumented; None for any other value."""
    if not isinstance(function, types.FunctionType) or function.__closure__:
        return None
    key, name = function.__code__.co_filename, function.__name__
    statement = session.sources.get(key)
    if statement is None or not isinstance(statement.node, ast.FunctionDef) or statement.node.name != name:
        return None
    fresh = statement.again()
    tree = instrument.wrapped_function(fresh)
    module = language.compiled(fresh, filename=key, trust=session.trust, tree=tree)
    codes = [code for code in module.co_consts if isinstance(code, types.CodeType) and code.co_name == name]
    return codes[-1] if codes else None


def _gradients(session: "Session", value: Any, emit: Callable[[report.AnyReport], None]) -> tuple[report.Gradient, ...]:
    try:
        with session.modes(), interrupts.interruptible():
            return gradients.gradients(value, session.names)
    except Exception as error:
        emit(report.Notice(text=f"there are no gradients: {describe.cut(str(error), limit=300)}"))
        return ()


QUICK = 0.1  # seconds: a statement that took less runs again for its times,
AGAIN = 3  # so often at most,
ENOUGH = 0.01  # or until so much time went by


class _Builder:
    """Records to a tree of report nodes."""

    def __init__(self, statement: Statement, *, whole: bool, grad: bool) -> None:
        self._statement, self._whole, self._grad = statement, whole, grad

    def node(self, record: Record, depth: int | None) -> report.Node:
        """The report of one part and of those below it, `depth` levels of them."""
        below = [child for each in record.children.values() for child in self._shown(each)]
        hidden = below if depth == 0 else []
        parts = [record, *(part for one in hidden for part in _all(one))]
        uncounted = sorted(set().union(*(part.uncounted for part in parts)))
        operators = any(part.moved_nbytes or part.flops for part in parts)
        result = record.result or report.Value(type="failed")
        if isinstance(result, report.Tensor) and any(part.drew for part in parts):
            result = msgspec.structs.replace(result, drew_random=True)
        site = record.site
        place = site.statement.place_of(site.node) if site and site.statement is self._statement else None
        leaf = _is_leaf(record)
        return report.Node(
            text=record.text,
            span=report.Span(**place._asdict()) if place else None,
            operation=record.operation,
            result=result,
            seconds=None if leaf else sum(part.seconds for part in parts),
            count=record.count,
            shortest_seconds=record.shortest if record.count > 1 else None,
            longest_seconds=record.longest if record.count > 1 else None,
            flops=None if leaf or uncounted else sum(part.flops for part in parts),
            moved_nbytes=sum(part.moved_nbytes for part in parts) if operators else None,
            uncounted=tuple(uncounted),
            failed=record.result is None,
            new_nbytes=record.facts.new_nbytes,
            relation=record.facts.relation,
            broadcast=record.facts.broadcast,
            diagrams=record.diagrams,
            notes=tuple(self._notes(record, parts)),
            children=tuple(self.node(child, None if depth is None else depth - 1) for child in below if depth != 0),
        )

    def _notes(self, record: Record, parts: list[Record]) -> Iterator[str]:
        if any(part.drew for part in parts) and not isinstance(record.result, report.Tensor):
            yield "random"
        yield from record.facts.notes
        if record.varies:
            yield "its results differ in shape"
        if self._grad and isinstance(record.result, report.Tensor) and record.result.requires_grad:
            yield f"requires grad: {record.result.grad_fn or 'a leaf'}"

    def _shown(self, record: Record) -> list[Record]:
        """The part itself, or where it is of no interest those below it that are."""
        if self._whole or record.facts.matters or record.result is None:
            return [record]
        return [below for child in record.children.values() for below in self._shown(child)]


def _is_leaf(record: Record) -> bool:
    """Whether it is a name or a constant, or never came to its end."""
    return record.operation in ("name", "constant") or record.result is None


def _all(record: Record) -> list[Record]:
    return [record, *(below for child in record.children.values() for below in _all(child))]
