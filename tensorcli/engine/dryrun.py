"""A dry run: a session's double whose tensors have no elements, so that nothing is computed and nothing allocated."""

import contextlib
import keyword
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import torch

from tensorcli import language, report, units
from tensorcli.engine import apart, describe, environment, namespace, origins, predict, pretend
from tensorcli.engine.session import Session
from tensorcli.language import Statement

if TYPE_CHECKING:
    from tensorcli.engine.formulas import Condition

Emit = Callable[[report.AnyReport], None]


def inspect(session: Session, request: report.Inspect, emit: Emit) -> None:
    """Answer an Inspect with what it would give. The session stays as it is."""
    try:
        with untouched(seconds=None):
            if request.symbols:
                _with_symbols(session, request, emit)
            else:
                DrySession(session, _text(request)).inspect(request, emit)
    except apart.NoCopy as error:
        title = f"a dry run of this is not possible: {error}"
        emit(report.Diagnosis(source=request.text[:200], code="not-predicted", category="other", title=title))


@contextlib.contextmanager
def untouched(*, seconds: float | None, gently: bool = False) -> Iterator[None]:
    """Within it a session's double may run; `apart.apart`, and the default device is put back too."""
    device = str(environment.default_device())
    with apart.apart(seconds=seconds, gently=gently):
        try:
            torch.set_num_threads(1)  # small twins: waking others takes longer
            yield
        finally:
            if str(environment.default_device()) != device:
                environment.set_default_device(device)


def _text(request: report.Inspect) -> str:
    return f"{request.setup}\n{request.text}"


def _with_symbols(session: Session, request: report.Inspect, emit: Emit) -> None:
    """Inspect with sizes that are not known; where that fails, with such as its conditions ask for."""
    for name in request.symbols:
        if not name.isidentifier() or keyword.iskeyword(name):
            title = f"a symbol is a name, such as B, and {name[:40]} is none"
            return emit(report.Diagnosis(code="bad-argument", category="value", title=title))
    numbers = dict(zip(request.symbols, _NUMBERS, strict=False))
    answers: list[report.AnyReport] = []
    dry = DrySession(session, _text(request), numbers)
    dry.inspect(request, answers.append)
    failed = _problem(answers)
    if failed is not None and failed.code not in ("depends-on-values", "not-predicted"):
        answers = _where_it_works(session, request, numbers, most=MOST_CONDITIONS) or [
            *(answer for answer in answers if answer is not failed),
            msgspec.structs.replace(failed, notes=(*failed.notes, *_stand_ins(numbers, failed))),
        ]
    elif failed is None and (fixed := dry.fixed()):
        taken = ", ".join(f"{name} = {number}" for name, number in fixed.items())
        answers.append(
            report.Notice(
                source=request.text, text=f"this is shown for {taken}: what it does depends on the number itself"
            )
        )
    for answer in answers:
        emit(answer)


def _where_it_works(
    session: Session, request: report.Inspect, numbers: dict[str, int], *, most: int
) -> list[report.AnyReport] | None:
    """The answers with numbers for which a text does not fail, and what these have to fulfil; None where none help."""
    dry = DrySession(session, _text(request), numbers)
    answers: list[report.AnyReport] = []
    dry.inspect(request, answers.append)
    failed = _problem(answers)
    if failed is None:
        return answers
    why = f", because of {' '.join(failed.span.text.split())}" if failed.span else ""
    for condition in dry.refused() if most else ():
        fewer = numbers | {condition.name: condition.number}
        if found := _where_it_works(session, request, fewer, most=most - 1):
            return [*found, report.Notice(source=request.text, text=f"only {condition.words}{why}")]
    return None


def _stand_ins(numbers: dict[str, int], failed: report.Diagnosis) -> list[str]:
    """What the numbers mean that an error names, which nobody typed."""
    said = f"{failed.title} {failed.torch} {failed.operands}"
    return [f"{number} stands for {name}" for name, number in numbers.items() if re.search(rf"\b{number}\b", said)]


MOST_CONDITIONS = 3  # on sizes that are not known, each found by another run


def _problem(answers: list[report.AnyReport]) -> report.Diagnosis | None:
    return next((answer for answer in answers if isinstance(answer, report.Diagnosis)), None)


_NUMBERS = (23, 29, 31, 37, 41, 43, 47, 53)  # what unknown sizes stand for: such as nobody types


class DrySession(Session):
    """A session with copies of another one's names that have no elements. What it runs computes nothing."""

    predicts = True
    faker = predict.Faker

    def __init__(self, session: Session, text: str, numbers: Mapping[str, int] | None = None) -> None:
        vars(self).update(vars(session))
        self.sources = dict(session.sources)
        self.warn = False
        self._shapes = predict.unknown_sizes(numbers) if numbers else None
        self._mode = predict.mode(self._shapes)
        self._inputs: dict[str, int] = {}
        self._doubtful: dict[str, None] = {}
        self.names = self._copied(session.names, _names_in(text, session), self.faker)
        if self._shapes is not None:
            self.names |= self._shapes.sizes

    def refused(self) -> "list[Condition]":
        """What would have to hold for the conditions on unknown sizes that did not."""
        return predict.refused(self._shapes)

    def fixed(self) -> dict[str, int]:
        """The unknown sizes whose numbers were asked for."""
        sizes = self._shapes.sizes if self._shapes is not None else {}
        return {name: found for name, size in sizes.items() if isinstance(found := describe.formula(size), int)}

    def inspect(self, request: report.Inspect, emit: Emit) -> None:
        """Run setup and text on what has no elements, and emit what it would give."""
        self._inspect(msgspec.structs.replace(request, dry_run=False), lambda answer: self._pass_on(answer, emit))

    def _pass_on(self, answer: report.AnyReport, emit: Emit) -> None:
        if not isinstance(answer, report.Trace):
            return emit(answer)
        device = _device_of(answer.root) or next(iter(self._inputs), str(environment.default_device()))
        needed = None if self._shapes else self._inputs.get(device, 0) + (answer.peak_nbytes or 0)
        free = None if self._shapes else environment.free_nbytes(device)
        emit(
            msgspec.structs.replace(
                answer,
                root=_predicted(answer.root, dict(self._doubtful), outermost=True),
                seconds=None,
                total_seconds=0.0,
                probe_seconds=None,
                flops_formula=_total(answer.root),
                seed=None,
                predicted=True,
                peak_nbytes=None if self._shapes else answer.peak_nbytes,
                kept_nbytes=None if self._shapes else answer.kept_nbytes,
                needed_nbytes=needed,
                free_nbytes=free,
            )
        )
        if free is not None and needed is not None and needed > free:
            emit(
                report.Diagnosis(
                    source=answer.source,
                    statement=answer.statement,
                    code="out-of-memory",
                    category="memory",
                    title=f"this needs {units.nbytes(needed)} of {device} memory, and {units.nbytes(free)} are free",
                )
            )

    @contextlib.contextmanager
    def modes(self) -> Iterator[None]:
        """Within it nothing is computed."""
        self._inputs = _taken(self.variables())
        with predict.predicting(self._mode) as self._doubtful:
            yield

    def explained(self, error: BaseException, statement: Statement, *arguments: Any, **options: Any) -> Any:
        """The diagnosis of what a statement raised. It looks at real tensors of the same metadata."""
        if isinstance(error, predict.DependsOnValues):
            return self._depends(error, statement, *arguments)
        if why := next((why for words, why in _NOT_PREDICTED.items() if words in str(error)), None):
            return self._cannot(why, error, statement, *arguments)
        if "FakeTensor" in str(error) and error.args:
            error.args = (str(error).replace("FakeTensor", "Tensor"),)
        if isinstance(error, AttributeError) and predict.is_fake(error.obj):
            error.obj = predict.made_real(error.obj)
        fakes = dict(self.names)
        with contextlib.suppress(apart.NoCopy):
            self.names.update(self._copied(fakes, set(self.variables()), predict.Realer))
        _make_real(error)
        found = super().explained(error, statement, *arguments, **options)
        return msgspec.structs.replace(found, notes=(*found.notes, *map(_doubt, self._doubtful)))

    def _depends(self, error: predict.DependsOnValues, statement: Statement, number: int, *_: Any) -> report.Diagnosis:
        """What cannot be said without values."""
        place = origins.place_of(error, statement, self.sources)
        text = " ".join(place.text.split()) if place else statement.source
        bound = "" if error.bound is None else f": it has between 0 and {error.bound:,} rows"
        return report.Diagnosis(
            source=statement.source,
            statement=number,
            code="depends-on-values",
            category="value",
            title=f"the {error.what} of {text} depends on values, and a dry run has none{bound}",
            span=report.Span(**place._asdict()) if place else None,
        )

    def _cannot(self, why: str, error: BaseException, statement: Statement, number: int, *_: Any) -> report.Diagnosis:
        """What torch itself does not predict."""
        place = origins.place_of(error, statement, self.sources)
        return report.Diagnosis(
            source=statement.source,
            statement=number,
            code="not-predicted",
            category="other",
            title=why,
            span=report.Span(**place._asdict()) if place else None,
        )

    def _answers(self, *_: Any, **__: Any) -> list[report.AnyReport]:
        return []  # only traces are shown

    def start_names(self) -> dict[str, Any]:
        """What a session starts with, for what is run here."""
        return namespace.start_names(trust=self.trust)

    def _copied(self, names: dict[str, Any], used: set[str], kind: type[apart.Copier]) -> dict[str, Any]:
        """Those names' values copied; the others are what a session starts with."""
        own = {name for name in used if self.start.get(name, self) is not names.get(name)}
        with contextlib.nullcontext() if kind is predict.Realer else predict.predicting(self._mode):
            world = apart.copies(names, own, start=self.start_names(), kind=kind)
        del world[apart.TWINS]
        return {"Out": {}, **world}


# Why torch fails in a dry run where it would not in a real one, by words of its message.
_NOT_PREDICTED = {
    "allow_non_fake_inputs": "torch does not predict this for sizes that are not known: name numbers in their place",
    "ninitialized": "a lazy layer gets its parameters from its first input, and a dry run has none: name their sizes, "
    "as in nn.Linear(784, 10)",
}


def _make_real(error: BaseException) -> None:
    """Give real parameters to the modules that an exception came through: its explanation looks at them."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if not isinstance(owner, torch.nn.Module) or "_modules" not in vars(owner):  # one that is being made
            continue
        for module in owner.modules():
            tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
            for table in tables:
                table.update((name, predict.made_real(x)) for name, x in table.items() if predict.is_fake(x))


def _names_in(text: str, session: Session) -> set[str]:
    """The names that a text mentions, and those that the functions among them mention."""
    try:
        statements = language.parse(text, trust=session.trust)
    except language.Problem:  # told of when it is run
        return set()
    return apart.used([statement.node for statement in statements], session.names)


def _taken(names: dict[str, Any]) -> dict[str, int]:
    """The bytes of the storages behind variables, by device."""
    storages = {}
    for value in apart.reachable(names.values()):
        if isinstance(value, torch.Tensor) and value.layout is torch.strided:
            storage = value.untyped_storage()
            storages[storage._cdata] = str(pretend.device_of(value)), describe.known(storage.nbytes())
    found: dict[str, int] = {}
    for device, nbytes in storages.values():
        found[device] = found.get(device, 0) + nbytes
    return found


def _device_of(node: report.Node) -> str | None:
    """The device that a part's tensors are on."""
    if isinstance(node.result, report.Tensor):
        return node.result.device
    return next((device for child in node.children if (device := _device_of(child))), None)


def _total(node: report.Node) -> str | None:
    """The formula of all operations together, where one is needed."""
    flops = sum(each.flops or 0 for each in _nodes(node))
    return str(describe.formula(flops)) if isinstance(flops, torch.SymInt) else None


def _nodes(node: report.Node) -> Iterator[report.Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _predicted(node: report.Node, doubtful: dict[str, None], *, outermost: bool = False) -> report.Node:
    """A part without times. It says what fails for some values: the part that did it, or else the whole."""
    children = tuple(_predicted(child, doubtful) for child in node.children)
    name = {"index": "__getitem__", "floor_divide": "__floordiv__"}.get(node.operation, node.operation.split()[-1])
    found = [one for one in doubtful if outermost or one.strip("_") == name.strip("_")]
    for one in found:
        del doubtful[one]
    unknown = isinstance(node.flops, torch.SymInt)
    notes = tuple(map(_doubt, found))
    return msgspec.structs.replace(
        node,
        seconds=None,
        shortest_seconds=None,
        longest_seconds=None,
        flops=None if unknown else node.flops,
        flops_formula=str(describe.formula(node.flops)) if unknown else None,
        moved_nbytes=None if isinstance(node.moved_nbytes, torch.SymInt) else node.moved_nbytes,
        broadcast=None if getattr(node.result, "sizes", None) else node.broadcast,
        children=children,
        notes=(*node.notes, *notes),
    )


def _doubt(name: str) -> str:
    return f"{_WORDS.get(name, name)} fails for some values"


_WORDS = {"__getitem__": "indexing", "__floordiv__": "//", "__mod__": "%", "remainder": "%", "floor_divide": "//"}
