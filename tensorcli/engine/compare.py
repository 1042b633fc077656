"""Expressions of the user's as jobs to measure: through the gate, with the session's names, for each parameter."""

import ast
import builtins
import difflib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import partial
from itertools import product
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch.utils._pytree import tree_map_only

from tensorcli import report, sense
from tensorcli.engine import agreement, apart, describe, environment, gradients, randomness, shaking, timed
from tensorcli.engine.bench import Emit, measure, threads_of, usable
from tensorcli.engine.candidates import Candidate, Job, Plan, dtype_of
from tensorcli.engine.expression import Expression
from tensorcli.engine.measure import Clock, clock_of_session
from tensorcli.engine.output import Sink
from tensorcli.engine.rounding import Rounding
from tensorcli.engine.work import Work
from tensorcli.language import Statement
from tensorcli.workloads import FLOATS, table

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

MOST_CASES = 1000
MOVING_SECONDS = 1.0  # spent on finding out what rounding does to an expression

_Node = TypeVar("_Node", bound=ast.AST)


def compare(session: "Session", request: report.Compare, emit: Emit, *, clock: Clock | None = None) -> None:
    """Measure expressions: progress, a diagnosis for each that cannot be read or run, then one report.

    `clock` stands in for every device's own.
    """
    dtypes = request.dtypes or (describe.dtype_name(torch.get_default_dtype()),)
    devices = usable(request, emit, [*_problems(request, session.names)])
    said: set[tuple[str | None, str]] = set()

    def once(answer: report.AnyReport) -> None:
        """Emit it, but a mistake that each size makes only for the first."""
        if isinstance(answer, report.Diagnosis) and answer.category != "interrupted":
            if (kind := (answer.code, answer.title)) in said:
                return
            said.add(kind)
        emit(answer)

    if not devices:
        return
    sizes = [dict(zip(request.parameters, values, strict=True)) for values in product(*request.parameters.values())]
    readable = [_readable(session, request, size, once) for size in sizes]  # all of them are told of
    if not any(readable):
        return
    jobs = [
        _Choice(session, request, size, device, dtype, once).job(count)
        for dtype, size, count, device in product(dtypes, sizes, threads_of(request), devices)
        if dtype in FLOATS
    ]
    measure(jobs, request, emit, name="compare", clock=clock)


def workload_of(request: report.Compare, names: Mapping[str, Any]) -> report.Bench | None:
    """The benchmark that is meant by a single name that is no variable's but a workload's, or nearly one."""
    name = request.texts[0] if len(request.texts) == 1 else ""
    if name in names or request.setup or request.parameters or not name.isidentifier():
        return None
    if not difflib.get_close_matches(name, table(), n=1):
        return None
    shared = {field: getattr(request, field) for field in report.Measuring.__struct_fields__}
    return report.Bench(workload=name, **shared)


def _problems(request: report.Compare, names: Mapping[str, Any]) -> Iterator[report.Diagnosis]:
    """What in a request cannot be measured anywhere."""

    def problem(code: str, title: str) -> report.Diagnosis:
        return report.Diagnosis(code=code, category="value", title=title)

    if not request.texts or not all(map(str.strip, request.texts)):
        yield sense.nothing_to_compare()
    yield from sense.dtype_problems(request.dtypes, FLOATS, "{} cannot be the default dtype")
    written = "\n".join((request.setup, *request.texts))
    for name, values in request.parameters.items():
        if not values:
            yield problem("bad-parameter", f"{name} has no values: write --param {name}=64,256")
        if f"{{{name}}}" not in written:
            yield problem("bad-parameter", f"nothing depends on {name}: write {{{name}}} where its values are to stand")
    for name in dict.fromkeys(re.findall(r"\{([^\W\d]\w*)\}", written)):
        unknown = name not in request.parameters and name not in names and not iskeyword(name)
        # A set of one, {n}, is Python too: of a name that is written elsewhere, or of Python's own.
        if unknown and not re.search(rf"(?<!\{{)\b{name}\b|\b{name}\b(?!\}})", written) and not hasattr(builtins, name):
            yield problem("bad-parameter", f"{{{name}}} has no values: write --param {name}=64,256")
    count = 1
    for values in request.parameters.values():
        count *= len(values)
    if count > MOST_CASES:
        yield problem("bad-parameter", f"these parameters make {count:,} cases, and {MOST_CASES:,} are the most")


def _with(text: str, size: Mapping[str, object]) -> str:
    for name, value in size.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


class Failed(Exception):
    """What a text raised has been explained."""


def _readable(session: "Session", request: report.Compare, size: Mapping[str, object], emit: Emit) -> bool:
    """Whether the setup and one of the expressions pass the gate; says what does not."""
    found = [_reads(session, _with(text, size), emit) for text in request.texts]
    return session.parsed(_with(request.setup, size), emit) is not None and any(found)


def _reads(session: "Session", text: str, emit: Emit) -> bool:
    try:
        return bool(_statements(session, text, emit))
    except Failed:
        return False


def _statements(session: "Session", text: str, emit: Emit) -> list[Statement]:
    """Those of an expression. Says what does not pass the gate, and raises Failed."""
    said: list[str] = []

    def tell(answer: report.AnyReport) -> None:
        emit(answer)
        if isinstance(answer, report.Diagnosis):
            said.append(answer.title)

    found = session.parsed(text, tell)
    if found == []:
        title = f"there is nothing to measure in {text[:100]}: write an expression, such as x @ x.T"
        tell(report.Diagnosis(code="nothing-to-compare", category="value", title=title))
    if not found:
        raise Failed(said[-1])
    return found


class _Choice:
    """One choice of parameters on one device, in one dtype."""

    def __init__(
        self,
        session: "Session",
        request: report.Compare,
        size: dict[str, int | float | str],
        device: str,
        dtype: str,
        emit: Emit,
    ) -> None:
        self._session, self._request, self._emit = session, request, emit
        self._size, self._device, self._dtype = size, device, dtype
        self._texts: dict[str, str] = {}
        for text in request.texts:
            name, times = text, 1
            while name in self._texts:
                times += 1
                name = f"{text} ({times})"
            self._texts[name] = _with(text, size)
        self._expressions: dict[str, Expression] = {}
        self._statements: dict[str, list[Statement]] = {}
        self._first: tuple[str, Any, Rounding] | None = None  # that gave a result, that, and its way
        self._graphs: set[Any] = set()  # autograd's functions that the session has
        self._notes: list[str] = []

    def job(self, threads: int) -> Job:
        """All of it, to be measured with so many threads."""
        size = [
            f"{name} = {value:,}" if isinstance(value, int) else f"{name} = {value}"
            for name, value in self._size.items()
        ]
        return Job(
            name=", ".join(size) or "compare",
            device=self._device,
            dtype=self._dtype,
            size=self._size,
            threads=threads,
            texts=self._texts,
            plan=self._plan,
            around=self._around,
            clock_of=clock_of_session,
        )

    @contextmanager
    def _around(self) -> Iterator[None]:
        """The device, the dtype and names of this case's own; afterwards all is as it was, random numbers included."""
        sink = Sink(lambda _: None, source=None, statement=None)
        values = list(self._session.variables().values())
        with apart.apart(seconds=None), redirect_stdout(sink), self._session.apart(), gradients.put_back(values):
            environment.set_default_device(self._device)
            torch.set_default_dtype(dtype_of(self._dtype))
            roots = [x.grad_fn for x in values if isinstance(x, torch.Tensor)]
            self._graphs = {node for node in gradients.graph(roots) if not hasattr(node, "variable")}
            try:
                yield
            finally:
                self._first = None
                self._expressions.clear()
                self._statements.clear()
                self._graphs.clear()

    def _plan(self) -> Plan:
        randomness.seed(self._request.seed)
        if setup := _with(self._request.setup, self._size):
            self._set_up(setup)
        candidates = tuple(self._candidate(name, text) for name, text in self._texts.items())
        return Plan(candidates=candidates, check=self._check, notes=self._notes)

    def _set_up(self, text: str) -> None:
        """Run the setup, on copies of what it may change: each case begins with what the session has."""
        session = self._session
        setup = Expression(session, "the setup", _statements(session, text, self._emit), self._graphs, seed=0)
        session.names = {**session.names, **setup.names}
        with setup.kept():
            session.run(text, self._problem)
        self._notes += setup.notes

    def _problem(self, answer: report.AnyReport) -> None:
        """Pass on what is said of a text that runs; of one that failed it is the end."""
        if isinstance(answer, report.Diagnosis) and answer.category == "interrupted":
            raise KeyboardInterrupt
        self._emit(answer)
        if isinstance(answer, report.Diagnosis):
            raise Failed(answer.title)

    def _candidate(self, name: str, text: str) -> Candidate:
        try:
            statements = _statements(self._session, text, self._emit)
        except Failed as problem:
            return Candidate(name=name, text=text, value=partial(_fail, problem), loop=partial(_fail, problem))
        self._statements[name] = statements
        self._notes += timed.folded(statements, name)
        expression = self._expressions[name] = self._expression(name, statements)

        def value(_: int | None) -> Any:
            try:
                return expression.value(self._problem)
            finally:
                self._notes[:] = dict.fromkeys((*self._notes, *expression.notes))

        return Candidate(
            name=name,
            text=text,
            value=value,
            loop=lambda _: expression.loop(),
            compiled=expression.compiled,
            hidden=expression.by_numpy,
        )

    def _expression(self, name: str, statements: list[Statement]) -> Expression:
        return Expression(self._session, name, statements, self._graphs, seed=self._request.seed)

    def _check(self, name: str, result: Any, seen: Work | None) -> report.Agreement | None:
        """Compare a result with the first one, which nothing can change any more."""
        way = self._expressions[name].way(result, seen)
        if result is None:  # a backward, say: there is nothing to hold the others to
            return None
        if self._first is None:
            kept = tree_map_only(torch.Tensor, lambda x: x.detach().clone(), result)
            self._first = name, tree_map_only(np.ndarray, np.copy, kept), way
            return None
        first, kept, other = self._first
        found = agreement.alike(result, kept, name=first, way=way.or_more(other))
        if found is None or found.ok or not isinstance(found.max_abs_error, float):
            return found
        moved = [max(pair) for pair in zip(self._moved(first, kept), self._moved(name, result), strict=False)]
        return agreement.alike(result, kept, name=first, way=way.or_more(other), moved=moved)

    def _moved(self, name: str, result: Any) -> list[float]:
        """How far rounding usually moves an expression's result, each tensor in it; nothing where that is unknown.

        It is run again from where it began, a few times or for `MOVING_SECONDS`.
        """
        found, start = [], time.perf_counter()
        for seed in range(shaking.RUNS):
            again = self._expression(name, self._statements[name])
            if not again.can_repeat:
                return []
            try:
                found.append(agreement.distances(again.moved(lambda _: None, seed), result))
            except Exception:
                return []
            if time.perf_counter() - start > MOVING_SECONDS:
                break
        return [max(runs) for runs in zip(*found, strict=False)]


def _fail(problem: Failed, _: int | None) -> Any:
    raise problem
