"""What each part of a statement gave, took and cost, noted while the statement runs."""

import ast
import re
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any, NamedTuple

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from tensorcli import language, report
from tensorcli.engine import costs, describe, diagrams, environment, relations
from tensorcli.engine.instrument import ENTER, LEAVE, STEP, Site, takes_inputs
from tensorcli.engine.work import Watching

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
    shortest: float | None = None  # of an evaluation or a step, with what is below it, without looking
    longest: float | None = None
    flops: int = 0
    moved_nbytes: int = 0
    uncounted: set[str] = field(default_factory=set)  # operators whose operations have no formula
    drew: bool = False
    changed: set[relations.Stretch] = field(default_factory=set)  # memory that was there before
    result: report.Tensor | report.Value | None = None  # None as long as it has not come to its end
    facts: relations.Facts = field(default_factory=relations.Facts)
    diagrams: tuple[report.AnyDiagram, ...] = ()
    varies: bool = False  # whether its results differ in more than their values
    children: dict[object, "Record"] = field(default_factory=dict)

    def no_slower_than(self, other: "Record") -> None:
        """Take over the shorter times of another run of the same."""
        if self.count == other.count:
            self.seconds = min(self.seconds, other.seconds)
            if self.longest is not None and other.longest is not None and other.longest < self.longest:
                self.shortest, self.longest = other.shortest, other.longest
        for mine, theirs in zip(self.children.values(), other.children.values(), strict=False):
            if mine.text == theirs.text:
                mine.no_slower_than(theirs)

    def took(self, seconds: float) -> None:
        """Note the time of one evaluation or step, less an estimate that may be more than all of it."""
        seconds = max(seconds, 0.0)
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
    looked: float = 0.0  # seconds spent on looking until it began, or until its step did
    handled: BaseException | None = None  # when it began
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
        self.sites, self.names, self._filename = sites, names, filename
        self._open: list[_Open] = [_Open(None, self.root)]
        self._modules = 0
        self._module_names: dict[int, dict[int, str]] = {}
        self._looked = 0.0  # seconds, in all
        self._done = False

    @property
    def methods(self) -> dict[str, Any]:
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
            self._done = True  # a generator that outlives the statement is looked at no more

    def _see_operators(self, stack: ExitStack) -> None:
        stack.enter_context(self.account)

    def forget(self) -> None:
        """Let go of all that was seen. What calls this may live on, such as a generator's code."""
        vars(self).clear()
        self._done = True

    # What the statement calls.

    def enter(self, number: int) -> int:
        """Called before a part is evaluated."""
        if not self._done:
            site = self.sites[number]
            self._begin(number, site, site.text, site.operation)
        return number

    def leave(self, number: int, value: Any) -> Any:
        """Called with a part's number and value; gives the value."""
        self._end(number, value)
        return value

    def step(self, number: int) -> None:
        """Called at the beginning of each step of a loop."""
        if self._done:
            return
        now = time.perf_counter()
        opened = next((opened for opened in reversed(self._open) if opened.key == number), None)
        if opened is None:
            if number in self._late:
                self._late[number].count += 1
            return
        opened.record.count += 1
        if opened.step is not None:
            opened.record.took(now - opened.step - (self._looked - opened.looked))
        opened.looked = self._looked
        opened.step = time.perf_counter()

    def _begin(self, key: object, site: Site | None, text: str, operation: str) -> None:
        children = self.current.record.children
        again = (opened.record for opened in self._open if opened.key == key)  # of a function that calls itself
        record = next(again, None) or children.get(key)
        if record is None:
            record = children[key] = Record(site, text, operation)
        opened = _Open(key, record, looked=self._looked, handled=sys.exception())
        self._open.append(opened)
        opened.started = time.perf_counter()

    def _end(self, key: object, value: Any) -> None:
        if self._done:
            return
        environment.synchronize()  # the statement itself may be the first to use CUDA
        now = time.perf_counter()
        if self.current.key != key and not any(opened.key == key for opened in self._open):
            return
        while self.current.key != key:  # it was left by an exception that the statement caught
            self._open.pop()
        opened = self._open.pop()
        record, own = opened.record, self._own
        elapsed = now - opened.started
        record.seconds += max(
            elapsed - opened.below - own.part - own.below * opened.probes - own.operator * opened.operators, 0.0
        )
        unlooked = self._looked - opened.looked
        if opened.step is not None:
            record.took(now - opened.step - unlooked)
        elif not (record.site and record.site.steps):
            record.count += 1
            record.took(elapsed - unlooked)
        elif isinstance(record.site.node, ast.GeneratorExp):
            self._late[record.site.number] = record
        above = self.current
        if sys.exception() is opened.handled:  # else it is being left by an error
            self._look(opened, value)
            if above.key is None:
                self.value = value
            if _is_input(record.site, above.record.site):
                above.inputs.append(relations.Input(record.site, value))
        above.probes += 1
        end = time.perf_counter()
        self._looked += end - now + own.part + own.below
        above.below += end - opened.started

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
        if not first:
            return
        names, made = self.names, self.account.made
        with suppress(Exception):  # a kind of tensor that is not known here: looking must not be what fails
            part = record.site, record.operation, value, opened.inputs, names
            record.facts = relations.facts(*part, made, record.changed)
            record.diagrams = diagrams.of(*part, opened.module)

    # What torch calls.

    def _enter_module(self, module: torch.nn.Module, arguments: Any) -> None:
        caller = sys._getframe(1)
        while caller.f_code.co_name in ("_call_impl", "_wrapped_call_impl", "inner"):
            assert caller.f_back
            caller = caller.f_back
        if caller.f_code.co_filename == self._filename:
            self.current.module = module  # the call itself is a part already
            return
        key = ("module", id(module))
        if key not in self.current.record.children:
            if self._modules >= MAX_MODULES:
                return
            self._modules += 1
        name = next((self._name_in(o.module, module) for o in reversed(self._open) if o.module), None)
        self._begin(
            key, None, f"{name}: {_title(module)}" if name else _title(module), f"module {type(module).__name__}"
        )
        self.current.module = module
        self.current.inputs += [relations.Input(None, item) for item in costs.tensors(arguments)]

    def _name_in(self, outer: torch.nn.Module, inner: torch.nn.Module) -> str | None:
        if id(outer) not in self._module_names:
            self._module_names[id(outer)] = {id(module): name for name, module in outer.named_modules()}
        return self._module_names[id(outer)].get(id(inner))

    def _leave_module(self, module: torch.nn.Module, arguments: Any, value: Any) -> None:
        if self.current.module is module and self.current.key == ("module", id(module)):
            self._end(("module", id(module)), value)

    def looked(self, seconds: float) -> None:
        """Note that an operator was looked at."""
        self.current.below += seconds
        self._looked += seconds + self._own.operator


class Timer(Recorder):
    """Takes down times and nothing else."""

    def _see_operators(self, stack: ExitStack) -> None:
        """Not at all."""

    def _look(self, opened: _Open, value: Any) -> None:
        """Not at all."""


def _is_input(site: Site | None, above: Site | None) -> bool:
    """Whether a part's value is to be kept for the part above it, in the same statement."""
    return bool(site and above and site.statement is above.statement and takes_inputs(above.node))


def _kind(result: report.Tensor | report.Value | None) -> tuple[object, ...]:
    if isinstance(result, report.Tensor):
        return result.shape, result.dtype, result.device
    return (result and result.type,)


def _title(module: torch.nn.Module) -> str:
    """A module as it prints itself, less what says nothing: "Linear(784, 10)"."""
    kind = type(module).__name__
    try:
        facts = re.sub(r"\b(in|out)_features=|, bias=True\b", "", module.extra_repr())
    except Exception:  # the user's own
        return kind
    return kind if list(module.children()) else f"{kind}({facts})"


class Account(Watching):
    """Adds up what the operators cost that are called while it is on, and the memory that tensors take."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_nbytes = 0
        self.allocations = 0
        self.allocated_nbytes = 0
        self._recorder = recorder
        self._live: dict[int, int] = {}  # bytes by storage
        self._references: dict[int, weakref.KeyedRef[int, torch.UntypedStorage]] = {}
        # Told of here, not by a function of ours: an interrupt in that would be lost.
        self._dead: deque[weakref.KeyedRef[int, torch.UntypedStorage]] = deque()
        self._live_nbytes = 0

    @property
    def live_nbytes(self) -> int:
        """The bytes that tensors take that were made and are still there."""
        self._forget()
        return self._live_nbytes

    def made(self, x: torch.Tensor) -> bool:
        """Whether a tensor's memory is new."""
        self._forget()
        storage = _storage(x)
        return storage is None or storage._cdata in self._live

    def _forget(self) -> None:
        """Take off what died, before its place is given to another."""
        while self._dead:
            key = self._dead.popleft().key
            self._live_nbytes -= self._live.pop(key, 0)
            del self._references[key]

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        options = options or {}
        start = time.perf_counter()
        changed = _written(operator, arguments, options)
        sizes = {storage: _nbytes(storage) for x in changed if (storage := _storage(x)) is not None}
        before = time.perf_counter()
        result = operator(*arguments, **options)
        after = time.perf_counter()
        opened = self._recorder.current
        try:
            self._count(opened.record, operator, arguments, options, result)
            for storage, nbytes in sizes.items():
                self._note_memory(storage, _nbytes(storage) - nbytes)
            opened.record.changed.update(relations.stretch(x) for x in changed if not self.made(x))
        except Exception:  # a kind of tensor that is not known here: looking must not be what fails
            opened.record.uncounted.add(_name(operator))
        opened.operators += 1
        self._recorder.looked(before - start + time.perf_counter() - after)
        return result

    def _count(
        self, record: Record, operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any], result: Any
    ) -> None:
        record.drew |= _draws(operator, arguments, options)
        spent = costs.cost(operator, arguments, options, result)
        record.moved_nbytes += spent.nbytes
        if spent.flops is None:
            record.uncounted.add(_name(operator))
        else:
            record.flops += spent.flops
        fresh = operator.overloadpacket is torch.ops.aten.lift_fresh  # `torch.tensor` passes on what it made
        if operator.is_view and not fresh:
            return
        taken = {_storage(x) for x in costs.tensors((*arguments, *options.values())) if not fresh}
        for tensor in costs.tensors((result,)):
            storage = _storage(tensor)
            if storage is not None and storage not in taken and not self.made(tensor):
                self._live[storage._cdata] = 0
                reference = weakref.KeyedRef(storage, self._dead.append, storage._cdata)
                self._references[storage._cdata] = reference
                self.allocations += 1
                self.allocated_nbytes += _nbytes(storage)
                self._note_memory(storage, _nbytes(storage))

    def _note_memory(self, storage: torch.UntypedStorage, nbytes: int) -> None:
        if storage._cdata in self._live:
            self._live[storage._cdata] += nbytes
        self._live_nbytes += nbytes
        self.peak_nbytes = max(self.peak_nbytes, self.live_nbytes)


def _name(operator: Any) -> str:
    return str(operator.overloadpacket).split(".")[-1]


def _draws(operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    """Whether an operator draws random numbers: one that leaves nothing out, and one that does not train, does not."""
    if torch.Tag.nondeterministic_seeded not in operator.tags:
        return False
    given = _given(operator, arguments, options)
    rate = given.get("dropout_p", given.get("dropout", given.get("p") if "dropout" in _name(operator) else None))
    return rate != 0 and given.get("train", given.get("training")) is not False


def _written(operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> list[torch.Tensor]:
    """The tensors that an operator changes in place: those that its schema names, and running statistics."""
    statistics = "batch_norm" in _name(operator)
    if not operator._schema.is_mutable and not statistics:
        return []
    names = {argument.name for argument in operator._schema.arguments if argument.is_write}
    given = _given(operator, arguments, options)
    if statistics and given.get("training", given.get("train")):
        names |= {"running_mean", "running_var"}
    return list(costs.tensors(value for name, value in given.items() if name in names))


def _given(operator: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """An operator's arguments by name."""
    schema = operator._schema.arguments
    defaults = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return {**defaults, **dict(zip((argument.name for argument in schema), arguments, strict=False)), **options}


def _nbytes(storage: torch.UntypedStorage) -> int:
    return describe.known(storage.nbytes())


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
