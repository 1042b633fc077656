"""A session: its names, its seed and its results, and the answer to every request."""

import ast
import gc
import itertools
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tensorcli import __version__, language, report
from tensorcli.engine import apart, describe, environment, failure, interrupts, limits, namespace, randomness
from tensorcli.engine import pretend as pretended
from tensorcli.engine.output import Sink
from tensorcli.engine.peek import Scope
from tensorcli.engine.surprises import Watch
from tensorcli.language import Statement

Emit = Callable[[report.AnyReport], None]

MAX_HELD_NBYTES = 1 << 30  # of results kept alive by Out alone
DTYPES = ("float32", "float64", "float16", "bfloat16")


@dataclass(frozen=True)
class _Context:
    """What a request says of all its statements."""

    emit: Emit
    number: int  # of the input
    filename: str | None = None
    first_line: int = 1
    width: int = 80
    max_values: int = 1000
    statements: tuple[Statement, ...] = ()
    silent: bool = False
    bind: bool = True


@dataclass(frozen=True)
class Gave:
    """What a statement that did not fail gave."""

    value: Any


class Session:
    """One person's names and settings. `ask` answers requests one at a time and never raises."""

    predicts = False  # whether statements compute nothing
    advises = True  # whether what would mend a failure is tried

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
        limits.set_most(max_memory)
        if pretend is not None and not torch.cuda.is_available():
            pretended.start()
        self.trust = trust
        self.warn = warn
        self.seed = seed
        self.inputs = 0
        self.names: dict[str, Any] = {}
        self.sources: dict[str, Statement] = {}
        self.watch = Watch()
        self.on_statement: Callable[[int], None] = lambda number: None  # called before all of an input but the first
        self.is_wanted: Callable[[], bool] = lambda: False  # whether another request waits
        self.poisoned = False  # whether CUDA computes nothing more in this process
        self.start: dict[str, Any] = {}
        self.held: dict[int, int] = {}
        self._keys = itertools.count(1)
        self._spent = (0.0, 0.0)  # wall and CPU seconds of evaluation alone, since %time began
        self._pending: list[report.AnyReport] = []
        self._options = report.Configure(seed=seed, device=device, dtype=dtype, warn=warn)
        self._library = apart.settings()
        self._reset()
        self._configure(self._options, self._pending.append)
        self._pending = [answer for answer in self._pending if isinstance(answer, report.Diagnosis)]

    def ask(self, request: report.AnyRequest, emit: Emit, *, typed: int | None = None) -> None:
        """Answer a request: every report goes to `emit` as it comes. Never raises for what was asked.

        `typed` is the number of the input that it is of; without one, each that runs statements is another.
        """
        if typed is not None:
            self.inputs = typed
        elif isinstance(request, report.Evaluate | report.Time | report.TimeIt | report.Inspect | report.Draw):
            self.inputs += 1
        while self._pending:
            emit(self._pending.pop(0))
        try:
            self._answer(request, emit)
        except KeyboardInterrupt:
            emit(report.Diagnosis(code="interrupted", category="interrupted", title="interrupted"))
        except OSError:  # of emit's: nobody can be told
            raise
        except Exception as error:  # a mistake of ours: the session goes on, and the report says where it was
            where = traceback.extract_tb(error.__traceback__)[-1]
            emit(
                report.Diagnosis(
                    code="engine-fault",
                    category="engine",
                    title=f"tensorcli made a mistake of its own: {type(error).__name__}: {error}"[:500],
                    notes=(f"at {where.name}, line {where.lineno}; the session goes on, please report it",),
                )
            )

    def _answer(self, request: report.AnyRequest, emit: Emit) -> None:
        match request:
            case report.Evaluate():
                self._evaluate(request, emit)
            case report.Time():
                self._time(request, emit)
            case report.TimeIt():
                self._timeit(request, emit)
            case report.Inspect():
                self._inspect(request, emit)
            case report.Draw():
                self._draw(request, emit)
            case report.Bench():
                from tensorcli.engine.workload import bench

                bench(request, emit)
            case report.Compare():
                from tensorcli.engine.compare import compare, workload_of
                from tensorcli.engine.workload import bench

                if workload := workload_of(request, self.names):
                    bench(workload, emit)
                else:
                    compare(self, request, emit)
            case report.ListDevices():
                emit(environment.devices(self._device))
            case report.ListNames():
                emit(self._listed(request))
            case report.Configure():
                self._configure(request, emit)
            case report.Load():
                from tensorcli.engine import files

                files.load(self, request, emit)
            case report.Save():
                from tensorcli.engine import files

                files.save(self, request, emit)
            case report.Undo():
                title = "inputs are taken back at the prompt of tensorcli repl only: here, run it all without that one"
                emit(report.Diagnosis(code="prompt-only", category="value", title=title))
            case report.Begin():
                self._begin()
            case report.Judge():
                from tensorcli.engine.pure import may_change

                emit(
                    report.Judged(may_change=tuple(may_change(text, self.names, self.start) for text in request.texts))
                )
            case report.Keep():
                self._save(request, emit)
            case report.GoOn():
                self._load(request, emit)
            case report.Reset():
                self._reset()
                gc.collect()  # a module's parameters and hooks may be cycles
                randomness.seed(self.seed)
                emit(report.Notice(text=f"all names are forgotten; the seed is {self.seed} again"))
            case report.Explain():
                from tensorcli.engine.pages import explain

                explain(request.code, emit)
            case report.Outlook():
                from tensorcli.engine.outlook import outlook

                outlook(self, request, emit)
            case report.Complete():
                from tensorcli.engine.complete import completions

                with _unwarned():
                    emit(completions(request, Scope(self.names, self.trust)))
            case report.Signature():
                from tensorcli.engine.document import called

                with _unwarned():
                    emit(called(request, Scope(self.names, self.trust)))
            case report.Document():
                self._document(request, emit)

    # Evaluating

    def _evaluate(self, request: report.Evaluate, emit: Emit) -> Gave | None:
        """Run an input; what its last statement gave, or None where one failed."""
        context = _Context(
            emit,
            self.inputs,
            request.filename,
            request.first_line,
            request.width,
            request.max_values,
            silent=request.silent,
            bind=request.bind,
        )
        statements = self._parse(request.text, context)
        if statements is None:
            return None
        context = replace(context, statements=tuple(statements))
        gave: Gave | None = Gave(None)
        for number, statement in enumerate(statements[: request.until], 1):
            if number > 1:
                self.on_statement(number)
            shown = request.echo == "all" or number == len(statements)
            shown &= not (number == 1 and _is_documentation(statement, request))
            gave = self._run(statement, number, context, shown=shown)
            if gave is None:
                break
        return gave

    def _parse(self, text: str, context: _Context) -> list[Statement] | None:
        try:
            return language.parse(text, trust=self.trust)
        except language.Problem as problem:
            if context.silent:
                context.emit(report.Diagnosis(code=problem.code, category=problem.code, title=problem.title))
                return None
            known = failure.Known(self.names, self.sources, self.trust, torch.get_rng_state())
            where = context.filename, context.first_line
            context.emit(failure.of_problem(problem, known, filename=where[0], first_line=where[1]))
            return None

    def parsed(self, text: str, emit: Emit) -> list[Statement] | None:
        """The statements of a text, or None where the gate, or Python, does not take it, which is then said."""
        return self._parse(text, self.context(emit))

    def run(self, text: str, emit: Emit) -> None:
        """Run statements; only what is wrong, printed or warned of goes to `emit`."""
        self._evaluate(report.Evaluate(text=text), _without_results(emit))

    def gave(self, text: str, emit: Emit) -> Gave | None:
        """What statements give, not bound to `_`; None where one fails, which is then said."""
        return self._evaluate(report.Evaluate(text=text, bind=False), _without_results(emit))

    def value(self, statements: Sequence[Statement], names: dict[str, Any], emit: Emit) -> Any:
        """What the last of some statements gives, run with other names; None where one fails, which is then said."""
        context, gave = self.context(emit), None
        for number, statement in enumerate(statements, 1):
            before, statement = torch.get_rng_state(), statement.again()  # compiling would rewrite its tree
            code = self.compile(statement, f"<compared {next(self._keys)}.{number}>")
            try:
                gave = eval(code, names)
            except (KeyboardInterrupt, interrupts.Late):
                raise
            except BaseException as error:  # --trust lets people raise anything
                said = self.explained(error, statement, number, context, seconds=0.0, random_state=before)
                failure.let_go(error)
                emit(said)
                return None
        return gave

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within it names may be assigned and results kept that are forgotten afterwards."""
        kept, out = (self.names, self.held), self.names.get("Out")
        self.names = {**self.names, "Out": dict(out) if isinstance(out, dict) else out}
        self.held = dict(self.held)
        try:
            yield
        finally:
            self.names, self.held = kept

    def key(self, number: int) -> str:
        """A filename for the code of a statement that no other has, however often an input runs statements."""
        return f"<input {self.inputs}.{next(self._keys)}.{number}>"

    def compile(self, statement: Statement, key: str) -> Any:
        """Code for a statement whose frames will be found again under `key`."""
        self.sources[key] = statement
        while len(self.sources) > 2000:
            del self.sources[next(iter(self.sources))]
        return language.compiled(statement, filename=key, trust=self.trust)

    def _run(self, statement: Statement, number: int, context: _Context, *, shown: bool) -> Gave | None:
        key = self.key(number)
        before = torch.get_rng_state()
        sink = Sink(context.emit, source=statement.source, statement=number)
        value, error = None, None
        seen = self.watch.before(statement, self.names) if self.warn and not context.silent else None
        limits.limit_memory()
        start, cpu, own, modules = time.perf_counter(), time.process_time(), time.thread_time(), len(sys.modules)
        with warnings.catch_warnings(record=True) as raised, redirect_stdout(sink):
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", ResourceWarning)  # of what is collected just now, whoever left it
            try:
                code = self.compile(statement, key)
                with self.modes(), interrupts.interruptible():
                    start, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
                    value = eval(code, self.names)  # the gate is language.parse, above
                    environment.synchronize()
            except BaseException as caught:  # --trust lets people raise anything
                error = caught
            seconds, own = time.perf_counter() - start, time.thread_time() - own
            self._spent = (self._spent[0] + seconds, self._spent[1] + time.process_time() - cpu)
        limits.make_room()
        sink.finish()
        if context.silent:
            return self._ended(statement, number, context, value, error, shown=shown)
        drew = not torch.equal(before, torch.get_rng_state())
        frames = traceback.walk_tb(error.__traceback__ if error is not None else None)
        failed = {(frame.f_code.co_filename, line) for frame, line in frames}
        told = [entry for entry in raised if (entry.filename, entry.lineno) not in failed]  # the error says the same
        notes = list(dict.fromkeys(map(_advice, told)))
        if seen is not None and error is None:
            again = own / 10 if len(sys.modules) > modules else own  # what it imported it does not import twice
            known = {"trust": self.trust, "random_state": before, "seconds": again}
            notes += self.watch.notes(seen, value, self.names, **known)
        for text in notes:
            context.emit(report.Notice(source=statement.source, statement=number, text=text))
        if error is not None:
            context.emit(self.explained(error, statement, number, context, seconds=seconds, random_state=before))
            failure.let_go(error)
            return None
        for answer in self._answers(statement, value, context, shown=shown, drew_random=drew):
            context.emit(msgspec.structs.replace(answer, source=statement.source, statement=number, seconds=seconds))
        return Gave(value)

    def _ended(
        self,
        statement: Statement,
        number: int,
        context: _Context,
        value: Any,
        error: BaseException | None,
        *,
        shown: bool,
    ) -> Gave | None:
        """What a statement leaves behind of which nothing is to be said but that it failed."""
        if error is not None:
            self.poisoned |= failure.poisons(error)
            context.emit(failure.unexplained(error, statement, number))
            failure.let_go(error)
            return None
        self._set_width(context.width)
        if isinstance(statement.node, ast.Expr) and value is not None and shown and context.bind:
            self._keep(value, context.number)
        return Gave(value)

    def modes(self) -> AbstractContextManager[None]:
        """What is around every statement that runs."""
        return nullcontext()

    def context(self, emit: Emit) -> _Context:
        """The context of a statement that came without one."""
        return _Context(emit, self.inputs)

    def explained(
        self,
        error: BaseException,
        statement: Statement,
        number: int,
        context: _Context,
        *,
        seconds: float,
        random_state: torch.Tensor,
    ) -> report.Diagnosis:
        """The diagnosis of what a statement raised."""
        self.poisoned |= failure.poisons(error)
        limits.make_room()
        known = failure.Known(self.names, self.sources, self.trust, random_state, seconds, self.advises)
        not_run = "\n".join(later.source for later in context.statements[number:])
        try:
            return failure.of_error(
                error,
                statement,
                known,
                number=number,
                seconds=seconds,
                filename=context.filename,
                first_line=context.first_line,
                not_run=not_run,
            )
        except MemoryError:
            return failure.out_of_memory(statement, number, not_run)

    def _answers(
        self, statement: Statement, value: Any, context: _Context, *, shown: bool, drew_random: bool
    ) -> list[report.AnyReport]:
        """What a statement that succeeded has to say: its value, or the variables it assigned."""
        self._set_width(context.width)
        if isinstance(statement.node, ast.Expr):
            if value is None or not shown:
                return [report.Nothing()]
            if context.bind:
                self._keep(value, context.number)
            if statement.is_silenced:
                return [report.Nothing(unsaid=True)]
            return [self.described(value, max_values=context.max_values, drew_random=drew_random)]
        bound = [name for name in statement.bound if name in self.names]
        answers: list[report.AnyReport] = [
            self.described(
                self.names[name],
                name=name,
                max_values=context.max_values,
                drew_random=drew_random,
                brief=_is_large(self.names[name]),
            )
            for name in bound
        ]
        return answers or [report.Nothing()]

    def described(self, value: Any, **options: Any) -> report.Tensor | report.Value:
        """The report of a value, with the variables that share its memory."""
        return describe.describe(value, names=self.variables(), **options)

    def _keep(self, value: Any, number: int) -> None:
        """Bind `_` and `Out[n]`; the oldest large results go when Out alone holds too much memory."""
        out = self.names["Out"] if isinstance(self.names.get("Out"), dict) else {}
        self.names["_"] = value
        if value is out:  # it would hold itself
            return
        out[number] = value
        if _is_large(value):
            self.held[number] = value.untyped_storage().nbytes()
            while sum(self.held.values()) > MAX_HELD_NBYTES and len(self.held) > 1:
                oldest = next(iter(self.held))
                del self.held[oldest]
                out.pop(oldest, None)

    def variables(self) -> dict[str, Any]:
        """The user's own variables, in the order they were first assigned."""
        return {
            name: value
            for name, value in self.names.items()
            if name[0] != "_" and name != "Out" and self.start.get(name, self) is not value
            and not isinstance(value, namespace.Namespace)
        }  # fmt: skip

    def _listed(self, request: report.ListNames) -> report.Names:
        """The variables, of the types that were asked for, and what these hold."""
        items = [self.described(value, name=name, brief=True, stats=False) for name, value in self.variables().items()]
        wanted = tuple(item for item in items if not request.types or set(request.types) & _kinds(item))
        names = report.Names(items=wanted, types=request.types, brief=request.brief)
        if request.brief:
            return names
        from tensorcli.engine import holdings

        held = holdings.stretches(self.names[item.name] for item in wanted if item.name)
        results = holdings.stretches([self.names.get("Out"), self.names.get("_")])
        return msgspec.structs.replace(
            names,
            nbytes=holdings.nbytes(held),
            storages=len(held),
            results_nbytes=0 if request.types else holdings.nbytes(held | results) - holdings.nbytes(held),
            process_nbytes=None if request.types else limits.process_nbytes(),
        )

    # Timing and inspecting

    def _time(self, request: report.Time, emit: Emit) -> None:
        self._spent = (0.0, 0.0)
        evaluate = report.Evaluate(
            text=request.text,
            filename=request.filename,
            first_line=request.first_line,
            width=request.width,
            max_values=request.max_values,
        )

        def untimed(each: report.AnyReport) -> None:
            if isinstance(each, report.Tensor | report.Value):
                each = msgspec.structs.replace(each, seconds=None)  # the last line says it
            emit(each)

        if self._evaluate(evaluate, untimed):
            wall, cpu = self._spent
            emit(report.Timing(source=request.text, seconds=wall, cpu_seconds=cpu))

    def _timeit(self, request: report.TimeIt, emit: Emit) -> None:
        from tensorcli.engine import timed
        from tensorcli.engine.expression import Watch
        from tensorcli.engine.measure import timeit

        context = _Context(emit, self.inputs, request.filename, request.first_line)
        statements = self._parse(request.text, context)
        if not statements:
            return
        names = self.names
        before = torch.get_rng_state()
        sink = Sink(lambda _: None, source=None, statement=None)
        try:
            codes = [self.compile(s, f"<timed {next(self._keys)}.{n}>") for n, s in enumerate(statements, 1)]
            watch = Watch(self, statements)
            with warnings.catch_warnings(), redirect_stdout(sink), interrupts.interruptible():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                for code in codes:  # once by themselves: a mistake is explained where it is
                    eval(code, names)
                environment.synchronize()
                first = time.perf_counter() - start
                loop = timed.guarded(statements, names, trust=self.trust, variables=self.variables())
                timing = timeit(
                    loop, device=self._device, min_seconds=request.min_seconds, source=request.text, first_seconds=first
                )
            name = timing.source or ""
            notes = (*request.notes, *timed.folded(statements, name), *watch.told(name))
            emit(msgspec.structs.replace(timing, warnings=(*notes, *timing.warnings)))
        except BaseException as error:
            emit(self.explained(error, statements[-1], 1, context, seconds=0.0, random_state=before))
            failure.let_go(error)

    def _inspect(self, request: report.Inspect, emit: Emit) -> None:
        from tensorcli.engine.probe import trace

        if request.dry_run:
            from tensorcli.engine import dryrun

            return dryrun.inspect(self, request, emit)

        problems_only = _without_results(emit)
        if request.setup and not self._evaluate(report.Evaluate(text=request.setup), problems_only):
            return
        context = self.context(emit)
        statements = self._parse(request.text, context)
        if not statements:
            if statements is not None:
                title = "there is nothing to inspect: write an expression, such as torch.rand(3, 4)"
                emit(report.Diagnosis(source=request.text[:200], code="syntax", category="syntax", title=title))
            return
        for number, statement in enumerate(statements[:-1], 1):
            if not self._run(statement, number, replace(context, emit=problems_only), shown=False):
                return
        gave = trace(self, statements[-1], request, number=len(statements), emit=emit)
        if request.plot and gave and not self.predicts:
            self._emit_plot(statements[-1], len(statements), gave.value, request, emit)

    def _draw(self, request: report.Draw, emit: Emit) -> None:
        statements = self.parsed(request.text, emit)
        if not statements:
            return
        gave = self._evaluate(report.Evaluate(text=request.text, max_values=0), _without_results(emit))
        if gave:
            self._emit_plot(statements[-1], len(statements), gave.value, request, emit)

    def _emit_plot(
        self, statement: Statement, number: int, value: Any, request: report.Inspect | report.Draw, emit: Emit
    ) -> None:
        """Draw what a statement gave, or the last variable that it assigned."""
        from tensorcli.engine import pixels

        if value is None and statement.bound:
            value = self.names.get(statement.bound[-1])
        answer: report.AnyReport
        try:
            answer = pixels.plot(value, text=statement.source, drawn=request.plot or "auto", size=request.plot_size)
        except pixels.Unsuited as problem:
            answer = report.Diagnosis(code="cannot-draw", category="value", title=str(problem))
        emit(msgspec.structs.replace(answer, source=statement.source, statement=number))

    def _document(self, request: report.Document, emit: Emit) -> None:
        from tensorcli.engine.document import document

        with _unwarned():
            answer = document(request, Scope(self.names, self.trust), self.variables(), self.sources)
        if isinstance(answer, report.Diagnosis) and request.cursor is None and _is_name(request.text):
            with self.apart():  # which says what is wrong with a name, and what may be meant
                if self._evaluate(report.Evaluate(text=request.text), _without_results(emit)) is None:
                    return
        emit(answer)

    # Settings

    @property
    def _device(self) -> str:
        return str(environment.default_device())

    def settings(self) -> report.Settings:
        """The settings as they are now."""
        from tensorcli.engine import holdings

        return report.Settings(
            version=__version__,
            torch=str(torch.__version__),
            device=self._device,
            dtype=describe.dtype_name(torch.get_default_dtype()),
            seed=self.seed,
            torch_seed=None if (now := torch.initial_seed()) == self.seed else now,
            threads=torch.get_num_threads(),
            trust=self.trust,
            no_cuda=environment.no_cuda_reason(),
            warn=self.warn,
            pretended=str(pretended.DEVICE) if pretended.active() else None,
            memory_nbytes=holdings.nbytes(holdings.stretches(self.variables().values())),
            inputs=self.inputs,
            precision=torch._tensor_str.PRINT_OPTS.precision,
        )

    def _configure(self, request: report.Configure, emit: Emit) -> None:
        if problem := _problem_with(request):  # then nothing is changed
            return emit(problem)
        if request.device is not None:
            environment.set_default_device(request.device)
        if request.dtype is not None:
            torch.set_default_dtype(getattr(torch, request.dtype))
        if request.threads is not None:
            torch.set_num_threads(request.threads)
        if request.precision is not None:
            for library, usual in ((torch, 4), (np, 8)):
                library.set_printoptions(precision=usual if request.precision == "default" else request.precision)
        if request.warn is not None:
            self.warn = request.warn
        if request.seed is not None:
            self.seed = request.seed
            randomness.seed(request.seed)
        emit(self.settings())

    def _save(self, request: report.Keep, emit: Emit) -> None:
        from tensorcli.engine import keep

        try:
            path = Path(request.path)
            nbytes = keep.save(self, path, max_nbytes=request.max_nbytes, give_up=lambda: self.is_wanted())
        except keep.PutOff:
            return emit(report.Diagnosis(code="put-off", category="memory", title="there is something to answer first"))
        except keep.NotKept as error:
            return emit(report.Diagnosis(code="not-kept", category="memory", title=f"the session is not kept: {error}"))
        emit(report.Notice(text=f"{nbytes:,} bytes are kept"))

    def _load(self, request: report.GoOn, emit: Emit) -> None:
        from tensorcli.engine import keep

        self._reset()
        try:
            keep.load(self, Path(request.path))
        except keep.NotKept as error:
            return emit(report.Diagnosis(code="not-kept", category="memory", title=f"the session is lost: {error}"))
        emit(report.Notice(text=f"{len(self.variables()):,} variables are back"))

    def restore_settings(self, settings: report.Settings) -> None:
        """Make the settings what they were; the generators stay as they are."""
        self._configure(report.Configure(device=settings.device, dtype=settings.dtype), lambda _: None)
        self.seed, self.warn = settings.seed, settings.warn

    def _begin(self) -> None:
        """Be as a session that has just been made."""
        self._reset()
        gc.collect()  # what is in cycles may have hooks that are told of later statements
        self.inputs = 0
        apart.put_settings(self._library)
        self._configure(self._options, lambda _: None)

    def _reset(self) -> None:
        self.names.clear()
        self.start = namespace.start_names(trust=self.trust)
        self.names.update(self.start, Out={})
        self.sources.clear()
        self.held.clear()
        self.watch = Watch()

    def _set_width(self, width: int) -> None:
        torch.set_printoptions(linewidth=max(width, 20))
        np.set_printoptions(linewidth=max(width, 20))


def _is_documentation(statement: Statement, request: report.Evaluate) -> bool:
    """Whether a script's first statement says what it is for, and gives nothing."""
    begins = request.echo == "all" and request.filename is not None and request.first_line == 1
    return begins and ast.get_docstring(ast.Module([statement.node], []), clean=False) is not None


def _is_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


@contextmanager
def _unwarned() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_results(emit: Emit) -> Emit:
    """What passes on all that is said of a statement but its results."""

    def problems_only(answer: report.AnyReport) -> None:
        if isinstance(answer, report.Diagnosis | report.Output | report.Notice):
            emit(answer)

    return problems_only


def _kinds(item: report.Tensor | report.Value) -> set[str]:
    """What the type of a variable may be called."""
    if isinstance(item, report.Tensor):
        return {"Tensor", "tensor", "torch.Tensor", item.dtype}
    return {item.type, item.type.rpartition(".")[2], *([item.dtype] if item.dtype else [])}


def _is_large(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and value.numel() > 1_000_000


def _advice(entry: warnings.WarningMessage) -> str:
    """A warning's own words, without where in torch's sources it was triggered."""
    text = str(entry.message).split(" (Triggered internally")[0].strip()
    return f"{entry.category.__name__}: {describe.cut(text, limit=1000)}"


def _problem_with(request: report.Configure) -> report.Diagnosis | None:
    """What cannot be of these settings. The device may be meta: there are shapes and dtypes without values on it."""
    if request.device not in (None, "meta") and (problem := environment.problem_with(request.device)):
        return problem
    if request.dtype not in (None, *DTYPES):
        title = f"{request.dtype} cannot be the default dtype: choose one of {', '.join(DTYPES)}"
        return report.Diagnosis(code="unknown-dtype", category="dtype", title=title)
    cores = os.cpu_count() or 1
    if request.threads is not None and not 1 <= request.threads <= cores:
        title = f"{request.threads} threads cannot be: this machine has {cores} cores, so choose from 1 to {cores}"
        return report.Diagnosis(code="bad-argument", category="value", title=title)
    return None
