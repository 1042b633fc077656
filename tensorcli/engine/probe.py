"""What every sub-expression of a statement gave: its value's facts, its own time, and what is new memory."""

import ast
import copy
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from tensorcli import __version__, language, report
from tensorcli.engine import costs, describe, environment, failure, interrupts, limits
from tensorcli.engine.calls import OPERATIONS
from tensorcli.engine.output import Sink
from tensorcli.language import Statement

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

_TRACED = (
    ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Attribute, ast.Subscript, ast.Name, ast.BoolOp, ast.IfExp,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.List, ast.Tuple, ast.Dict, ast.NamedExpr,
    ast.JoinedStr, ast.Constant,
)  # fmt: skip
_CLOSED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.FunctionDef, ast.JoinedStr)


@dataclass
class _Record:
    """What one traced node gave when it was evaluated."""

    value: Any = None
    seconds: float = 0.0


@dataclass
class _Recorder:
    """Takes times and values while the instrumented statement runs. Its methods are what the statement calls."""

    records: dict[int, _Record] = field(default_factory=dict)
    _started: list[float] = field(default_factory=list)
    _inner: list[float] = field(default_factory=list)

    def enter(self, number: int) -> int:
        """Called before a node is evaluated."""
        self._inner.append(0.0)
        self._started.append(time.perf_counter())
        return number

    def leave(self, number: int, value: Any) -> Any:
        """Called with a node's number and value; gives the value."""
        environment.synchronize()  # the statement itself may be the first to use CUDA
        elapsed = time.perf_counter() - self._started.pop()
        inner = self._inner.pop()
        if self._inner:
            self._inner[-1] += elapsed
        self.records[number] = _Record(value, max(elapsed - inner, 0.0))
        return value


class _Instrument(ast.NodeTransformer):
    """Wraps every traced expression so that the recorder sees it. Evaluation order and values stay the same."""

    def __init__(self) -> None:
        self.nodes: dict[int, ast.expr] = {}

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, _CLOSED):
            return self._wrapped(node, node) if isinstance(node, _TRACED) else node
        if isinstance(node, ast.Call):
            original = copy.deepcopy(node)
            node.func = self._function(node.func)
            node.args = [self._visited(arg) for arg in node.args]
            for keyword in node.keywords:
                keyword.value = self._visited(keyword.value)
            return self._wrapped(node, original)
        if isinstance(node, ast.Slice):
            return self.generic_visit(node)
        if isinstance(node, ast.Tuple) and any(isinstance(part, ast.Slice) for part in node.elts):
            return self.generic_visit(node)  # an index of several parts is no value by itself
        if isinstance(node, _TRACED) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            written: ast.AST = copy.deepcopy(node)
            return self._wrapped(self.generic_visit(node), written)
        return self.generic_visit(node)

    def root(self, node: ast.expr) -> ast.expr:
        """The outermost expression, which is traced whatever it is."""
        return self._visited(node) if isinstance(node, _TRACED) else self._wrapped(node, node)

    def _visited(self, node: ast.expr) -> ast.expr:
        result = self.visit(node)
        assert isinstance(result, ast.expr)
        return result

    def _function(self, node: ast.expr) -> ast.expr:
        """A call's function is no node of its own, but the object of a method is."""
        if isinstance(node, ast.Attribute) and not _is_path(node):
            node.value = self._visited(node.value)
            return node
        return node if isinstance(node, ast.Name | ast.Attribute) else self._visited(node)

    def _wrapped(self, node: ast.AST, original: ast.AST) -> ast.expr:
        assert isinstance(node, ast.expr)
        assert isinstance(original, ast.expr)
        number = len(self.nodes)
        self.nodes[number] = original
        return _call(node, ".leave", _call(node, ".enter", ast.Constant(number)), node)


def _is_path(node: ast.expr) -> bool:
    """Whether this is a dotted name in a library: `torch.nn.functional.relu`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in ("torch", "np", "nn", "F", "math")


def _call(at: ast.AST, name: str, *arguments: ast.expr) -> ast.Call:
    call = ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
    for node in ast.walk(call):
        if not hasattr(node, "lineno") and isinstance(node, ast.expr):
            ast.copy_location(node, at)
    return call


def trace(session: "Session", statement: Statement, *, number: int, emit: Callable[[report.AnyReport], None]) -> None:
    """Run a statement once, instrumented, and emit its Trace, or the Diagnosis of its failure."""
    written = statement.again()
    instrument = _Instrument()
    tree = statement.again().node
    if getattr(tree, "value", None) is None:
        title = "only an expression or an assignment has sub-expressions to inspect"
        emit(report.Diagnosis(source=statement.source, code="not-an-expression", category="syntax", title=title))
        return
    tree.value = instrument.root(tree.value)  # type: ignore[attr-defined]
    recorder = _Recorder()
    names = session.names
    seen = session.watch.before(written, names) if session.warn else None
    before = torch.get_rng_state()
    key = f"<input {session.inputs}.{number}>"
    session.sources[key] = written
    sink = Sink(emit, source=statement.source, statement=number)
    limits.limit_memory()
    error: BaseException | None = None
    start = time.perf_counter()
    known = session.variables()
    scope = {**names, ".enter": recorder.enter, ".leave": recorder.leave}
    with warnings.catch_warnings(), redirect_stdout(sink):
        warnings.simplefilter("ignore")
        try:
            code = language.compiled(written, filename=key, trust=session.trust, tree=tree)
            with interrupts.interruptible():
                start = time.perf_counter()
                eval(code, scope)
        except BaseException as caught:
            error = caught
        seconds = time.perf_counter() - start
    sink.finish()
    names.update({name: value for name, value in scope.items() if name[0] not in "._"})
    if error is not None:
        context = session.context(emit)
        emit(session.explained(error, written, number, context, seconds=seconds, random_state=before))
        failure.let_go(error)
        return
    if seen is not None:
        value = recorder.records[len(instrument.nodes) - 1].value
        options: dict[str, Any] = {"trust": session.trust, "random_state": before, "seconds": seconds}
        for note in session.watch.notes(seen, value, names, **options):
            emit(report.Notice(source=statement.source, statement=number, text=note))
    builder = _Builder(recorder.records, instrument.nodes, written, known, names)
    root = builder.node(len(instrument.nodes) - 1)  # the outermost is numbered last
    if isinstance(written.node, ast.AugAssign) and isinstance(written.node.target, ast.Name):
        root = builder.in_place(written.node, written.node.target.id, root, seconds)
    emit(
        report.Trace(
            source=statement.source,
            statement=number,
            seconds=seconds,
            root=root,
            total_seconds=seconds,
            peak_nbytes=builder.new_nbytes,
            environment={
                "torch": str(torch.__version__),
                "tensorcli": __version__,
                "device": str(environment.default_device()),
                "threads": torch.get_num_threads(),
            },
        )
    )


class _Builder:
    """Records to a tree of report nodes."""

    def __init__(
        self,
        records: dict[int, _Record],
        nodes: dict[int, ast.expr],
        statement: Statement,
        names: dict[str, Any],
        after: dict[str, Any],
    ) -> None:
        self.records, self.nodes, self.statement = records, nodes, statement
        self.names, self.after = names, after  # the variables before and after the statement
        self.new_nbytes = 0

    def node(self, number: int) -> report.Node:
        """The report of one node and what it is made of."""
        written, record = self.nodes[number], self.records[number]
        inside = self._children(number)
        children = [self.node(child) for child in inside]
        inputs = [self.records[child].value for child in inside]
        relation = _relation(record.value, inputs, written, self.names)
        fresh = _new_nbytes(record.value, relation)
        self.new_nbytes += fresh or 0
        place = self.statement.place_of(written)
        leaf = isinstance(written, ast.Name | ast.Constant)
        return report.Node(
            text=" ".join(place.text.split()),
            span=report.Span(**place._asdict()),
            operation=operation(written),
            result=describe.describe(record.value, names=self.names, brief=True, max_values=0, stats=False),
            seconds=None if leaf else record.seconds,
            flops=costs.flops(operation(written), record.value, inputs),
            new_nbytes=fresh,
            relation=relation,
            broadcast=_broadcast(written, record.value, inside, self.records, self.nodes),
            children=tuple(children),
        )

    def in_place(self, node: ast.AugAssign, name: str, value: report.Node, seconds: float) -> report.Node:
        """The report of `name += value`: what the variable is afterwards, and whether it is still the same object."""
        before, after = self.names.get(name), self.after[name]
        relation = f"same object as {name}" if before is after else "new" if isinstance(after, torch.Tensor) else None
        operand = report.Node(
            text=name,
            span=report.Span(**self.statement.place_of(node.target)._asdict()),
            operation="name",
            result=describe.describe(before, names=self.names, brief=True, max_values=0, stats=False),
        )
        return report.Node(
            text=" ".join(self.statement.source.split()),
            span=report.Span(**self.statement.place_of(node)._asdict()),
            operation=f"{OPERATIONS[type(node.op)]}_",
            result=describe.describe(after, names=self.names, brief=True, max_values=0, stats=False),
            seconds=max(seconds - (value.seconds or 0.0), 0.0),
            new_nbytes=_new_nbytes(after, relation),
            relation=relation,
            children=tuple(part for part in (operand, value) if _is_tensor(part)),
        )

    def _children(self, number: int) -> list[int]:
        """The traced nodes directly within one, in order; constants and plain numbers are left out."""
        mine = self.nodes[number]
        inside = [n for n in range(number) if n in self.records and _within(self.nodes[n], mine)]
        direct = [n for n in inside if not any(_within(self.nodes[n], self.nodes[m]) for m in inside if m != n)]
        return [n for n in direct if _matters(self.nodes[n], self.records[n].value)]


def _is_tensor(node: report.Node) -> bool:
    return isinstance(node.result, report.Tensor)


def _within(inner: ast.expr, outer: ast.expr) -> bool:
    a, b = language.position(inner), language.position(outer)
    return inner is not outer and b[:2] <= a[:2] and a[2:] <= b[2:] and (a != b or type(inner) is not type(outer))


def _matters(node: ast.expr, value: Any) -> bool:
    if isinstance(node, ast.Constant):
        return False
    if isinstance(node, ast.Name | ast.Tuple | ast.List | ast.Attribute | ast.UnaryOp):
        return _holds_tensor(value) or isinstance(value, torch.nn.Module)
    return True


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_holds_tensor(item) for item in value)
    return isinstance(value, torch.Tensor)


def operation(node: ast.expr) -> str:
    """What a node does, in torch's words: "matmul", "method mean", "index", "name"."""
    match node:
        case ast.BinOp(op=operator) | ast.UnaryOp(op=operator):
            return OPERATIONS[type(operator)]
        case ast.Compare(ops=[operator]):
            return OPERATIONS.get(type(operator), "compare")
        case ast.Call(func=ast.Attribute(attr=name) as func):
            return name if _is_path(func) else f"method {name}"
        case ast.Call():
            return "call"
        case ast.Attribute(attr=name):
            return f"attribute {name}"
        case ast.Subscript():
            return "index"
    return type(node).__name__.lower()


def _relation(value: Any, inputs: list[Any], node: ast.expr, names: dict[str, Any]) -> str | None:
    if not isinstance(value, torch.Tensor) or isinstance(node, ast.Name):
        return None
    same = next((name for name, other in names.items() if other is value), None)
    if same:
        return f"same object as {same}"
    if any(other is value for other in inputs):
        return "same object as its input"
    shared = describe.sharing(value, names, own=None)
    if shared:
        return f"view of {shared[0]}"
    mine = describe.extent(value)
    if mine and any(isinstance(other, torch.Tensor) and describe.extent(other) == mine for other in inputs):
        return "view of its input"
    return "new"


def _new_nbytes(value: Any, relation: str | None) -> int | None:
    if relation != "new":
        return 0 if relation else None
    place = describe.extent(value)
    return place[2] - place[1] if place else None


def _broadcast(
    node: ast.expr, value: Any, children: list[int], records: dict[int, _Record], nodes: dict[int, ast.expr]
) -> report.Broadcast | None:
    """The alignment of an element-wise operation that stretched an operand."""
    elementwise = isinstance(node, ast.BinOp | ast.Compare) and operation(node) != "matmul"
    if not elementwise or not isinstance(value, torch.Tensor):
        return None
    tensors = [(nodes[n], records[n].value) for n in children if isinstance(records[n].value, torch.Tensor)]
    shapes = [describe.shape_of(tensor) for _, tensor in tensors]
    result = describe.shape_of(value)
    if all(shape == result for shape in shapes):
        return None
    padded = [(None,) * (len(result) - len(shape)) + shape for shape in shapes]
    texts = [ast.unparse(written) for written, _ in tensors]
    return report.Broadcast(operands=tuple(zip(texts, padded, strict=True)), result=result)
