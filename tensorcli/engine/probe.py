"""What every part of a statement gave: its value's facts, its own time and cost, and what is new memory."""

import ast
import inspect
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import msgspec
import torch

from tensorcli import __version__, language, report
from tensorcli.engine import apart, describe, environment, failure, gradients, interrupts, limits, relations
from tensorcli.engine.instrument import Instrument, bound
from tensorcli.engine.output import Sink
from tensorcli.engine.recorder import Record, Recorder, Timer, overhead
from tensorcli.engine.session import Gave, Session
from tensorcli.language import Statement


def trace(
    session: Session,
    statement: Statement,
    request: report.Inspect,
    *,
    number: int,
    emit: Callable[[report.AnyReport], None],
) -> Gave | None:
    """Run a statement, instrumented, and emit its Trace; where it fails, that of what worked, and its Diagnosis."""
    written = statement.again()
    seen = session.watch.before(written, session.names) if session.warn else None
    before = torch.get_rng_state()
    run = _run(session, written, request, number=number, emit=emit)
    try:
        return _told(session, run, written, request, number=number, emit=emit, seen=seen, random_state=before)
    finally:
        run.recorder.forget()


def _told(
    session: Session,
    run: "_Run",
    written: Statement,
    request: report.Inspect,
    *,
    number: int,
    emit: Callable[[report.AnyReport], None],
    seen: Any,
    random_state: torch.Tensor,
) -> Gave | None:
    """Emit what was recorded of a run."""
    recorder, seconds, before = run.recorder, run.seconds, random_state
    root = next(iter(recorder.root.children.values()), None)
    if root is not None and (run.error is None or any(not _is_leaf(part) for part in _all(root)[1:])):
        wants_grad = request.grad and run.error is None
        found, why = _gradients(session, recorder.value, root) if wants_grad else ((), None)
        emit(
            report.Trace(
                source=written.source,
                statement=number,
                seconds=seconds,
                root=_Builder(written, request, recorder.names).node(root, request.depth),
                total_seconds=seconds,
                peak_nbytes=recorder.account.peak_nbytes,
                kept_nbytes=None if run.error else recorder.account.live_nbytes,
                shared=relations.shared(written.node, session.variables()),
                all=request.all,
                probe_seconds=overhead().part + overhead().below,
                seed=None if torch.equal(before, torch.get_rng_state()) else session.seed,
                functions=gradients.functions(recorder.value) if wants_grad else (),
                gradients=found,
                environment={
                    "torch": str(torch.__version__),
                    "tensorcli": __version__,
                    "device": str(environment.default_device()),
                    "threads": torch.get_num_threads(),
                },
            )
        )
        if why:
            emit(report.Notice(source=written.source, statement=number, text=f"there are no gradients: {why}"))
    if run.error is not None:
        context = session.context(emit)
        emit(session.explained(run.error, written, number, context, seconds=seconds, random_state=before))
        failure.let_go(run.error)
        return None
    if seen is not None:
        options: dict[str, Any] = {"trust": session.trust, "random_state": before, "seconds": seconds}
        for note in session.watch.notes(seen, recorder.value, session.names, **options):
            emit(report.Notice(source=written.source, statement=number, text=note))
    return Gave(recorder.value)


@dataclass
class _Run:
    """A statement that ran: what was recorded, how long it took, and what it raised."""

    recorder: Recorder
    seconds: float
    error: BaseException | None = None


def _run(
    session: Session,
    written: Statement,
    request: report.Inspect,
    *,
    number: int,
    emit: Callable[[report.AnyReport], None],
) -> _Run:
    key = session.key(number)
    session.sources[key] = written
    instrument = Instrument(into_loops=request.all, variables=session.variables())
    recorder = Recorder(instrument.sites, session.variables(), key, own=overhead())
    sink = Sink(emit, source=written.source, statement=number)
    limits.limit_memory()
    start = time.perf_counter()
    with warnings.catch_warnings(), redirect_stdout(sink):
        warnings.simplefilter("ignore")
        try:
            code = _code(session, instrument, written, key)
            recorder.sites = instrument.sites
            with _opened(session, instrument) as functions:
                world = _copies(session, written)
                run_it = _bound(code, functions, recorder)
                with session.modes(), recorder.recording(), interrupts.interruptible():
                    start = time.perf_counter()
                    eval(run_it, session.names)
                run = _Run(recorder, time.perf_counter() - start)
            _time_again(run, code, world, set(functions.values()), key)
        except BaseException as error:  # --trust lets people raise anything
            run = _Run(recorder, time.perf_counter() - start, error)
    sink.finish()
    return run


def _code(session: Session, instrument: Instrument, statement: Statement, key: str) -> types.CodeType:
    """The statement's code, instrumented; of one that is nested too deeply for that, the whole alone."""
    try:
        return language.compiled(statement, filename=key, trust=session.trust, tree=instrument.wrapped(statement))
    except RecursionError:
        instrument.sites.clear()
        tree = instrument.wrapped(statement, whole_only=True)
        return language.compiled(statement, filename=key, trust=session.trust, tree=tree)


_Functions = dict[types.FunctionType, types.CodeType]


@contextmanager
def _opened(session: Session, instrument: Instrument) -> Iterator[_Functions]:
    """Within it the session's functions have instrumented code: these."""
    functions = {value: None for value in session.names.values() if isinstance(value, types.FunctionType)}
    inside = {function: code for function in functions if (code := _inside(function, session, instrument))}
    plain = {function: function.__code__ for function in inside}
    try:
        _exchange(inside)
        yield inside
    finally:
        _exchange(plain)


def _exchange(codes: _Functions) -> None:
    for function, code in codes.items():
        function.__code__ = code


def _bound(code: types.CodeType, functions: _Functions, recorder: Recorder) -> types.CodeType:
    """A statement's code that calls this recorder; the functions call it from now on too."""
    _exchange({function: bound(inside, recorder.methods) for function, inside in functions.items()})
    return bound(code, recorder.methods)


# The first time an operator runs costs many times what the others do: what is quick runs again, on copies made before.


def _copies(session: Session, statement: Statement) -> dict[str, Any]:
    """Copies of what a statement uses; empty where they would be large, cannot be made, or have no times.

    None are made where running again could reach what is not copied: an autograd graph, or what --trust lets in.
    """
    if session.predicts or session.trust:
        return {}
    try:
        world = apart.world_of(session.names, [statement.node], trust=False, kind=_Little)
    except (apart.TooLarge, apart.NoCopy):
        return {}
    return {} if any(original.grad_fn is not None for original, _ in world[apart.TWINS]) else world


class _Little(apart.Copier):
    """Copies of what is little."""

    limit = 1 << 20


def _time_again(run: _Run, code: types.CodeType, world: dict[str, Any], inside: set[types.CodeType], key: str) -> None:
    """Take the shortest of some more times, where the statement was quick. Nothing of these runs is left behind."""
    functions = {f: f.__code__ for f in world.values() if isinstance(f, types.FunctionType) and f.__code__ in inside}
    end = time.perf_counter() + ENOUGH
    for _ in range(AGAIN if world and run.seconds < QUICK else 0):
        timer = Timer(run.recorder.sites, {}, key, own=overhead())
        once = _bound(code, functions, timer)
        try:
            with apart.apart(seconds=QUICK), apart.closed(), timer.recording(), interrupts.may_raise():
                eval(once, world)
        except (Exception, KeyboardInterrupt):  # it changed what it is made of, or takes long now
            return
        run.recorder.root.no_slower_than(timer.root)
        timer.forget()
        if time.perf_counter() > end:
            return


def _inside(function: types.FunctionType, session: Session, instrument: Instrument) -> types.CodeType | None:
    """The code of a function that a statement of the session defined, instrumented; None for any other.

    A generator's runs when others are open, and a closure's needs its cells: they stay as they are.
    """
    key, name = function.__code__.co_filename, function.__name__
    statement = session.sources.get(key)
    if function.__closure__ or function.__code__.co_flags & _PAUSES or statement is None:
        return None
    if not isinstance(statement.node, ast.FunctionDef) or statement.node.name != name:
        return None
    count = len(instrument.sites)
    try:
        fresh = statement.again()
        tree = instrument.wrapped_function(fresh)
        module = language.compiled(fresh, filename=key, trust=session.trust, tree=tree)
    except RecursionError:
        del instrument.sites[count:]
        return None
    codes = [code for code in module.co_consts if isinstance(code, types.CodeType) and code.co_name == name]
    return codes[-1] if codes else None


_PAUSES = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _gradients(session: Session, value: Any, root: Record) -> tuple[tuple[report.Gradient, ...], str | None]:
    """The gradients of a value, or none and why."""
    end = next((part.text for part in _all(root) if _ends_graph(part)), None)
    try:
        with session.modes(), interrupts.interruptible():
            return gradients.gradients(value, session.names, end=end), None
    except Exception as error:
        return (), describe.cut(str(error), limit=300)


def _ends_graph(record: Record) -> bool:
    """Whether a part gives a tensor without a graph, though what it was made of has one."""
    given = [child.result for child in record.children.values()]
    requires = [isinstance(result, report.Tensor) and result.requires_grad for result in (record.result, *given)]
    return isinstance(record.result, report.Tensor) and not requires[0] and any(requires[1:])


QUICK = 0.1  # seconds: a statement that took less runs again for its times,
AGAIN = 3  # so often at most,
ENOUGH = 0.01  # or until so much time went by


class _Builder:
    """Records to a tree of report nodes."""

    def __init__(self, statement: Statement, request: report.Inspect, names: Mapping[str, Any]) -> None:
        self._statement, self._names = statement, names
        self._whole, self._grad = request.all, request.grad

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
        changed = relations.changed(set().union(*(part.changed for part in parts)), self._names)
        if changed:
            yield f"changes {_listed(changed)} in place"
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


def _listed(names: Sequence[str]) -> str:
    """The first of some names, and how many others there are."""
    most = 4
    more = f" and {len(names) - most:,} more" if len(names) > most + 1 else ""
    return ", ".join(names[: most if more else None]) + more
