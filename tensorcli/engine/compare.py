"""Expressions of the user's as jobs to measure: through the gate, with the session's names, for each parameter."""

import ast
import builtins
import difflib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from itertools import product
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from tensorcli import report
from tensorcli.engine import agreement, apart, describe, environment, gradients, pure, randomness, timed
from tensorcli.engine.bench import Emit, meant, measure, threads_of, usable
from tensorcli.engine.candidates import TF32, Candidate, Job, Plan, dtype_of
from tensorcli.engine.measure import Clock, Loop, clock_of_session
from tensorcli.engine.output import Sink
from tensorcli.engine.work import Work
from tensorcli.language import Statement
from tensorcli.workloads import table

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

MOST_CASES = 1000
DTYPES = ("float32", "float64", "float16", "bfloat16", TF32)

_Node = TypeVar("_Node", bound=ast.AST)


def compare(session: "Session", request: report.Compare, emit: Emit, *, clock: Clock | None = None) -> None:
    """Measure expressions: progress, a diagnosis for each that cannot be read or run, then one report.

    `clock` stands in for every device's own.
    """
    dtypes = request.dtypes or (describe.dtype_name(torch.get_default_dtype()),)
    devices = usable(request, emit, [*_problems(request, session.names)])
    sizes = [dict(zip(request.parameters, values, strict=True)) for values in product(*request.parameters.values())]
    said: set[tuple[str | None, str]] = set()

    def once(answer: report.AnyReport) -> None:
        """Emit it, but a mistake that each size makes only for the first."""
        if isinstance(answer, report.Diagnosis) and answer.category != "interrupted":
            if (kind := (answer.code, answer.title)) in said:
                return
            said.add(kind)
        emit(answer)

    readable = [devices and _readable(session, request, size, once) for size in sizes]  # all of them are told of
    if not any(readable):
        return
    jobs = [
        _Case(session, request, size, device, dtype, once).job(count)
        for dtype, size, count, device in product(dtypes, sizes, threads_of(request), devices)
        if dtype in DTYPES
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
        yield problem("nothing-to-compare", "there is nothing to measure: write an expression, such as x @ x.T")
    for dtype in request.dtypes:
        if dtype not in DTYPES:
            title = f"{dtype[:100]} cannot be the default dtype: {meant(dtype, DTYPES)}"
            yield report.Diagnosis(code="unknown-dtype", category="dtype", title=title)
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


class _Case:
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
        self._first: tuple[str, Any, int, float] | None = None  # that gave a result, that, and its rounding
        self._elements = 1  # of the largest variable
        self._by_numpy: set[str] = set()  # expressions in which NumPy computes, which nobody sees
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
        device, dtype = str(environment.default_device()), torch.get_default_dtype()
        sink = Sink(lambda _: None, source=None, statement=None)
        environment.set_default_device(self._device)
        torch.set_default_dtype(dtype_of(self._dtype))
        try:
            with randomness.put_back(), self._session.apart(), warnings.catch_warnings(), redirect_stdout(sink):
                warnings.simplefilter("ignore")
                with gradients.put_back(_tensors(self._session.names).values()):
                    yield
        finally:
            self._first = None
            environment.set_default_device(device)
            torch.set_default_dtype(dtype)

    def _plan(self) -> Plan:
        session = self._session
        randomness.seed(self._request.seed)
        if setup := _with(self._request.setup, self._size):
            session.run(setup, self._problem)
        self._elements = max((x.numel() for x in _tensors(session.variables()).values()), default=1)
        candidates = tuple(self._candidate(name, text) for name, text in self._texts.items())
        return Plan(candidates=candidates, check=self._check, notes=self._notes)

    def _problem(self, answer: report.AnyReport) -> None:
        """Pass on what is said of a text that runs; of one that failed it is the end."""
        if isinstance(answer, report.Diagnosis) and answer.category == "interrupted":
            raise KeyboardInterrupt
        self._emit(answer)
        if isinstance(answer, report.Diagnosis):
            raise Failed(answer.title)

    def _candidate(self, name: str, text: str) -> Candidate:
        """An expression with names of its own: what it assigns or changes is not seen by the others."""
        session = self._session
        try:
            statements = _statements(session, text, self._emit)
        except Failed as problem:
            return Candidate(name=name, text=text, value=partial(_fail, problem), loop=partial(_fail, problem))
        trees: list[ast.AST] = [statement.node for statement in statements]
        compiled = any(_is_compiled(session.names[each]) for each in apart.used(trees, session.names))
        own = None if compiled or all(map(pure.changes_nothing, trees)) else self._copies(trees)
        names = dict(session.names) if own is None else own
        if _by_numpy(trees):
            self._by_numpy.add(name)
        counters = [node.target.id for node in _nodes(trees, ast.AugAssign) if isinstance(node.target, ast.Name)]

        def value(_: int | None) -> Any:
            randomness.seed(self._request.seed)  # the same random numbers for all
            before = {each: x._version for each, x in _tensors(names).items()}
            result = session.value(statements, names, self._problem)
            changed = [each for each, x in _tensors(names).items() if before.get(each, x._version) != x._version]
            if changed := list(dict.fromkeys((*changed, *counters))):
                whose = "" if own is not None else ", the session's own"
                what = ", ".join(changed[:3])
                note = f'"{name}" changes {what}{whose}: each call works on what the last one left'
                self._notes[:] = dict.fromkeys((*self._notes, note))
            return result

        def loop(_: int | None) -> Loop:
            return timed.guarded(statements, names, trust=session.trust, variables=session.variables())

        return Candidate(name=name, text=text, value=value, loop=loop, compiled=compiled)

    def _copies(self, trees: list[ast.AST]) -> dict[str, Any] | None:
        """Names with copies of what some code mentions; None where that cannot be copied."""
        try:
            names = apart.world_of(self._session.names, trees, trust=self._session.trust, kind=_Copier)
        except (apart.TooLarge, apart.NoCopy):
            return None
        del names[apart.TWINS]
        return names

    def _check(self, name: str, result: Any, seen: Work | None) -> report.Agreement | None:
        """Compare a result with the first one, which nothing can change any more."""
        terms, roundoff = self._rounding(name, result, seen)
        if self._first is None:
            kept = tree_map_only(torch.Tensor, lambda x: x.detach().clone(), result)
            self._first = name, kept, terms, roundoff
            return None
        first, kept, other_terms, other_roundoff = self._first
        terms, roundoff = max(terms, other_terms), max(roundoff, other_roundoff)
        return agreement.alike(result, kept, name=first, terms=terms, roundoff=roundoff)

    def _rounding(self, name: str, result: Any, seen: Work | None) -> tuple[int, float]:
        """How many terms a result may be summed from, and the coarsest roundoff on the way.

        What torch's operators do not show may sum all the elements of a variable.
        """
        shown = seen is not None and name not in self._by_numpy
        tensors = all(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(result))
        terms = 1 if shown and tensors else self._elements
        return max(terms, seen.terms if seen else 0), seen.roundoff if seen else 0.0


class _Copier(apart.Copier):
    """Copies as much as there is memory for, with as much left."""

    def check_size(self, values: list[Any]) -> None:
        self.limit = (environment.available_nbytes() or sys.maxsize) // 2
        super().check_size(values)


def _is_compiled(value: Any) -> bool:
    """Whether this is what torch.compile made."""
    return hasattr(value, "_torchdynamo_orig_callable") or hasattr(value, "_orig_mod")


def _nodes(trees: Iterable[ast.AST], kind: type[_Node]) -> Iterator[_Node]:
    return (node for tree in trees for node in ast.walk(tree) if isinstance(node, kind))


def _by_numpy(trees: Sequence[ast.AST]) -> bool:
    """Whether some of this is computed by NumPy."""
    named = any(node.id == "np" for node in _nodes(trees, ast.Name))
    return named or any(node.attr == "numpy" for node in _nodes(trees, ast.Attribute))


def _fail(problem: Failed, _: int | None) -> Any:
    raise problem


def _tensors(names: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Those that count how often they were changed."""
    return {
        name: value for name, value in names.items() if isinstance(value, torch.Tensor) and not value.is_inference()
    }
