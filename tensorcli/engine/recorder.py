"""What each part of a statement gave, took and cost, noted while the statement runs."""

import ast
import re
import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any, NamedTuple

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from tensorcli import language, report
from tensorcli.engine import costs, describe, diagrams, environment, relations
from tensorcli.engine.instrument import ENTER, LEAVE, STEP, Site

_LOOKS = 30
MAX_MODULES = 500  # opened in one statement


class Overhead(NamedTuple):
    """Seconds that looking adds: to a part's own time, to that of the part above it, and to each operator's."""

    part: float = 0.0
    below: float = 0.0
    operator: float = 0.0


NOTHING = Overhead()


@dataclass
class Record:
    """What one part gave, all its evaluations together. `seconds` is its own time, without that of what is below it."""

    site: Site | None  # None for a module that a library call went through
    text: str
    operation: str
    count: int = 0
    seconds: float = 0.0
    shortest: float | None = None  # of an evaluation or a step, with what is below it
    longest: float | None = None
    flops: int = 0
    moved_nbytes: int = 0
    uncounted: set[str] = field(default_factory=set)  # operators whose operations have no formula
    drew: bool = False
    result: report.Tensor | report.Value | None = None  # None as long as it has not come to its end
    facts: relations.Facts = field(default_factory=relations.Facts)
    diagrams: tuple[report.AnyDiagram, ...] = ()
    varies: bool = False  # whether its results differ in more than their values
    children: dict[object, "Record"] = field(default_factory=dict)

    def no_slower_than(self, other: "Record") -> None:
        """Take over the shorter times of another run of the same."""
        if self.count == other.count:
            self.seconds = min(self.seconds, other.seconds)
        for mine, theirs in zip(self.children.values(), other.children.values(), strict=False):
            if mine.text == theirs.text:
                mine.no_slower_than(theirs)

    def took(self, seconds: float) -> None:
        """Note the time of one evaluation or step."""
        self.shortest = seconds if self.shortest is None else min(self.shortest, seconds)
        self.longest = seconds if self.longest is None else max(self.longest, seconds)


@dataclass
class _Open:
    """A part that is being evaluated."""

    key: object
    record: Record
    module: torch.nn.Module | None = None
    inputs: list[relations.Input] = field(default_factory=list)
    below: float = 0.0  # seconds of what is below it, and of looking
    probes: int = 0  # parts directly below it
    operators: int = 0
    started: float = 0.0
    step: float | None = None


class Recorder:
    """Takes down what an instrumented statement's parts give.

    `names` are the session's, to say whose memory a value shares. `filename` is that of the statement's code.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        names: Mapping[str, Any],
        filename: str,
        *,
        own: Overhead = NOTHING,
    ) -> None:
        self.root = Record(None, "", "")
        self.value: Any = None  # of the outermost part
        self.account = Account(self)
        self._own = own
        self._late: dict[int, Record] = {}  # of generators, which run when they are asked
        self.sites, self._names, self._filename = sites, names, filename
        self._open: list[_Open] = [_Open(None, self.root)]
        self._modules = 0

    @property
    def scope(self) -> dict[str, Any]:
        """What the instrumented statement calls."""
        return {ENTER: self.enter, LEAVE: self.leave, STEP: self.step}

    @property
    def current(self) -> _Open:
        """The innermost part that is being evaluated."""
        return self._open[-1]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within it operators and modules are seen."""
        with ExitStack() as stack:
            stack.callback(register_module_forward_pre_hook(self._enter_module).remove)
            stack.callback(register_module_forward_hook(self._leave_module).remove)
            self._see_operators(stack)
            yield

    def _see_operators(self, stack: ExitStack) -> None:
        stack.enter_context(self.account)

    # What the statement calls.

    def enter(self, number: int) -> int:
        """Called before a part is evaluated."""
        site = self.sites[number]
        self._begin(number, site, site.text, site.operation)
        return number

    def leave(self, number: int, value: Any) -> Any:
        """Called with a part's number and value; gives the value."""
        self._end(number, value)
        return value

    def step(self, number: int) -> None:
        """Called at the beginning of each step of a loop."""
        now = time.perf_counter()
        opened = next((opened for opened in reversed(self._open) if opened.key == number), None)
        if opened is None:
            self._late[number].count += 1
            return
        opened.record.count += 1
        if opened.step is not None:
            opened.record.took(now - opened.step)
        opened.step = time.perf_counter()

    def _begin(self, key: object, site: Site | None, text: str, operation: str) -> None:
        children = self.current.record.children
        again = (opened.record for opened in self._open if opened.key == key)  # of a function that calls itself
        record = next(again, None) or children.get(key)
        if record is None:
            record = children[key] = Record(site, text, operation)
        opened = _Open(key, record)
        self._open.append(opened)
        opened.started = time.perf_counter()

    def _end(self, key: object, value: Any) -> None:
        environment.synchronize()  # the statement itself may be the first to use CUDA
        now = time.perf_counter()
        if not any(opened.key == key for opened in self._open):
            return
        while self._open[-1].key != key:  # it was left by an exception that the statement caught
            self._open.pop()
        opened = self._open.pop()
        record, own = opened.record, self._own
        elapsed = now - opened.started
        record.seconds += max(
            elapsed - opened.below - own.part - own.below * opened.probes - own.operator * opened.operators, 0.0
        )
        if opened.step is not None:
            record.took(now - opened.step)
        elif not (record.site and record.site.steps):
            record.count += 1
            record.took(elapsed)
        elif isinstance(record.site.node, ast.GeneratorExp):
            self._late[record.site.number] = record
        self._look(opened, value)
        above = self.current
        if above.key is None:
            self.value = value
        if record.site and above.record.site and record.site.statement is above.record.site.statement:
            above.inputs.append(relations.taken(record.site, value))
        above.probes += 1
        above.below += time.perf_counter() - opened.started

    def _look(self, opened: _Open, value: Any) -> None:
        """Take down what a value is. What it shares with others is looked at the first time alone."""
        record = opened.record
        first = record.result is None
        if value is None and record.site and isinstance(record.site.node, ast.stmt):
            result: report.Tensor | report.Value = report.Value(type="")
        else:
            result = describe.describe(value, brief=True, max_values=0, stats=False)
        if not first and _kind(result) != _kind(record.result):
            record.varies = True
        record.result = result
        if first:
            record.facts = relations.facts(record.site, record.operation, value, opened.inputs, self._names)
            record.diagrams = diagrams.of(
                record.site, record.operation, value, opened.inputs, self._names, opened.module
            )

    # What torch calls.

    def _enter_module(self, module: torch.nn.Module, arguments: Any) -> None:
        if self._modules >= MAX_MODULES:
            return
        caller = sys._getframe(1)
        while caller.f_code.co_name in ("_call_impl", "_wrapped_call_impl", "inner"):
            assert caller.f_back
            caller = caller.f_back
        if caller.f_code.co_filename == self._filename:
            self.current.module = module  # the call itself is a part already
            return
        self._modules += 1
        name = next((o.module and _name_in(o.module, module) for o in reversed(self._open) if o.module), None)
        text = f"{name}: {_title(module)}" if name else _title(module)
        self._begin(("module", id(module)), None, text, f"module {type(module).__name__}")
        self.current.module = module
        self.current.inputs += [relations.taken(None, item) for item in costs.tensors(arguments)]

    def _leave_module(self, module: torch.nn.Module, arguments: Any, value: Any) -> None:
        if self.current.module is module and self.current.key == ("module", id(module)):
            self._end(("module", id(module)), value)


class Timer(Recorder):
    """Takes down times and nothing else."""

    def _see_operators(self, stack: ExitStack) -> None:
        """Not at all."""

    def _look(self, opened: _Open, value: Any) -> None:
        """Not at all."""


def _kind(result: report.Tensor | report.Value | None) -> tuple[object, ...]:
    if isinstance(result, report.Tensor):
        return result.shape, result.dtype, result.device
    return (result and result.type,)


def _name_in(outer: torch.nn.Module, inner: torch.nn.Module) -> str | None:
    return next((name for name, module in outer.named_modules() if module is inner), None)


def _title(module: torch.nn.Module) -> str:
    """A module as it prints itself, less what says nothing: "Linear(784, 10)"."""
    facts = re.sub(r"\b(in|out)_features=|, bias=True\b", "", module.extra_repr())
    return f"{type(module).__name__}({facts})" if not list(module.children()) else type(module).__name__


class Account(TorchDispatchMode):
    """Adds up what the operators cost that are called while it is on, and the memory that tensors take."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_nbytes = 0
        self._recorder = recorder
        self._live: dict[int, int] = {}
        self.live_nbytes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler, more than a second's worth, to keep it from seeing this mode."""
        return False

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        result = operator(*arguments, **options)
        before = time.perf_counter()
        opened = self._recorder.current
        try:
            self._count(opened.record, operator, arguments, options, result)
        except Exception:  # a kind of tensor that is not known here: looking must not be what fails
            opened.record.uncounted.add(_name(operator))
        opened.operators += 1
        opened.below += time.perf_counter() - before
        return result

    def _count(
        self, record: Record, operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any], result: Any
    ) -> None:
        record.drew |= torch.Tag.nondeterministic_seeded in operator.tags
        spent = costs.cost(operator, arguments, options, result)
        record.moved_nbytes += spent.nbytes
        if spent.flops is None:
            record.uncounted.add(_name(operator))
        else:
            record.flops += spent.flops
        if not operator.is_view:
            self._note_memory((*arguments, *options.values()), result)

    def _note_memory(self, arguments: tuple[Any, ...], result: Any) -> None:
        taken = {_storage(x) for x in costs.tensors(arguments)}
        for tensor in costs.tensors((result,)):
            storage = _storage(tensor)
            if storage is None or storage in taken or storage._cdata in self._live:
                continue
            nbytes = describe.known(storage.nbytes())
            self._live[storage._cdata] = nbytes
            self.live_nbytes += nbytes
            self.peak_nbytes = max(self.peak_nbytes, self.live_nbytes)
            weakref.finalize(storage, self._free, storage._cdata).atexit = False

    def _free(self, key: int) -> None:
        self.live_nbytes -= self._live.pop(key, 0)


def _name(operator: Any) -> str:
    return str(operator.overloadpacket).split(".")[-1]


def _storage(x: torch.Tensor) -> torch.UntypedStorage | None:
    try:
        return x.untyped_storage()
    except Exception:  # sparse tensors have none
        return None


@cache
def overhead() -> Overhead:
    """What looking adds on this machine: the medians of a few hundred looks at next to nothing, about 5 ms once."""
    (statement,) = language.parse("None")
    sites = [Site(number, statement, statement.node, "constant") for number in (0, 1)]
    part, below, operator = [], [], []
    x = torch.zeros(1)
    for _ in range(_LOOKS):
        recorder = Recorder(sites, {}, "")
        recorder.enter(0)
        for _ in range(10):
            recorder.leave(1, recorder.enter(1))
        recorder.leave(0, None)
        (above,) = recorder.root.children.values()
        (each,) = above.children.values()
        part.append(each.seconds / 10)
        below.append(above.seconds / 10)
        recorder = Recorder(sites, {}, "")
        recorder.enter(0)
        with recorder.account:
            start = time.perf_counter()
            x.neg_()
            seen = time.perf_counter() - start - recorder.current.below
        start = time.perf_counter()
        x.neg_()
        operator.append(seen - (time.perf_counter() - start))
    return Overhead(*(max(median(one), 0.0) for one in (part, below, operator)))
