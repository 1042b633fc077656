"""What every part of a statement gave: its value's facts, its own time and cost, and what is new memory."""

import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout

import msgspec
import torch

from tensorcli import __version__, language, report
from tensorcli.engine import environment, failure, interrupts, limits
from tensorcli.engine.instrument import Instrument
from tensorcli.engine.output import Sink
from tensorcli.engine.recorder import Record, Recorder, overhead
from tensorcli.engine.session import Gave, Session
from tensorcli.language import Statement


def trace(
    session: Session,
    statement: Statement,
    *,
    number: int,
    emit: Callable[[report.AnyReport], None],
    depth: int | None = None,
    whole: bool = False,
) -> Gave | None:
    """Run a statement once, instrumented, and emit its Trace; where it fails, of what worked, and its Diagnosis."""
    written = statement.again()
    instrument = Instrument(written.node, into_loops=whole)
    names = session.names
    seen = session.watch.before(written, names) if session.warn else None
    before = torch.get_rng_state()
    key = f"<input {session.inputs}.{number}>"
    session.sources[key] = written
    texts = [" ".join(written.place_of(site.node).text.split()) for site in instrument.sites]
    recorder = Recorder(instrument.sites, texts, session.variables(), key, own=overhead())
    sink = Sink(emit, source=statement.source, statement=number)
    limits.limit_memory()
    error: BaseException | None = None
    start = time.perf_counter()
    with warnings.catch_warnings(), redirect_stdout(sink):
        warnings.simplefilter("ignore")
        try:
            code = language.compiled(written, filename=key, trust=session.trust, tree=instrument.tree)
            names.update(recorder.scope)
            with recorder.recording(), interrupts.interruptible():
                start = time.perf_counter()
                eval(code, names)
        except BaseException as caught:
            error = caught
        finally:
            for name in recorder.scope:
                names.pop(name, None)
        seconds = time.perf_counter() - start
    sink.finish()
    drew = not torch.equal(before, torch.get_rng_state())
    root = next(iter(recorder.root.children.values()), None)
    if root is not None and (error is None or any(not _is_leaf(part) for part in _all(root)[1:])):
        builder = _Builder(written, whole=whole)
        emit(
            report.Trace(
                source=statement.source,
                statement=number,
                seconds=seconds,
                root=builder.node(root, depth),
                total_seconds=seconds,
                peak_nbytes=recorder.account.peak_nbytes,
                probe_seconds=overhead().part + overhead().below,
                seed=session.seed if drew else None,
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
        return None
    if seen is not None:
        for note in session.watch.notes(written, seen, recorder.value, names, trust=session.trust):
            emit(report.Notice(source=statement.source, statement=number, text=note))
    return Gave(recorder.value)


class _Builder:
    """Records to a tree of report nodes."""

    def __init__(self, statement: Statement, *, whole: bool) -> None:
        self._statement, self._whole = statement, whole

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
        place = self._statement.place_of(record.site.node) if record.site else None
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
            notes=(*record.facts.notes, *(["its results differ in shape"] if record.varies else [])),
            children=tuple(self.node(child, None if depth is None else depth - 1) for child in below if depth != 0),
        )

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
