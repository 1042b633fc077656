"""A look at a statement that succeeded: the operations in its text, and their operands, had without effects.

What can be known of a statement from its text alone is a Plan, made once. A Look adds the values.
"""

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from tensorcli.engine import calls, pure
from tensorcli.language import Statement

SMALL = 10_000  # elements of operands that may be computed again
QUICK = 0.5  # seconds: of a statement that took longer nothing is computed again

_LIBRARIES = ("torch", "F", "nn")
_VIEWS = frozenset("T mT H mH t squeeze unsqueeze view detach transpose permute expand data diagonal".split())
_SAME = {"subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg"}
_UNSURE = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp, ast.Try, ast.Match,
)  # fmt: skip  # their parts run with other values, or not at all
_REPEATED = (ast.For, ast.While, ast.With)


@dataclass(frozen=True)
class Operation:
    """An operation with operands, whatever its spelling: `a - b`, `a -= b`, `torch.sub(a, b)`, `a.sub_(b)`."""

    node: ast.AST
    name: str  # torch's, as "sub"; "call" of what is not; "truth" of conditions; "statement" for all of it
    operands: tuple[ast.expr, ...] = ()
    keywords: tuple[ast.keyword, ...] = ()
    in_place: bool = False
    sure: bool = True  # it ran whatever the values were
    settled: bool = True  # its variables are not changed by a later round of a loop


@dataclass
class Plan:
    """What a statement's text says of it."""

    statement: Statement  # read anew: its nodes stay as written
    operations: tuple[Operation, ...]  # inner ones first, and the whole statement last
    names: tuple[str, ...]
    stored: tuple[str, ...]  # the variables that it assigns
    changed: frozenset[str]  # those whose tensors it may change in place
    repeated: bool  # a loop or a block: its variables change while it runs

    @classmethod
    def of(cls, statement: Statement) -> "Plan":
        """The plan of a statement."""
        fresh = statement.again()
        nodes = list(_nodes(fresh.node, sure=True))
        named = [node for node, _ in nodes if isinstance(node, ast.Name)]
        stored = tuple({node.id: None for node in named if isinstance(node.ctx, ast.Store)})
        changed = frozenset(name for node, sure in nodes if sure and (name := _changed(node)))
        repeated = isinstance(fresh.node, _REPEATED)
        moved = changed.union(stored) if repeated else ()
        found = [
            replace(operation, sure=sure, settled=not any(name in moved for name in _names(node)))
            for node, sure in nodes
            if (operation := _operation(node))
        ]
        found += [Operation(fresh.node, "statement")] if any(operation.sure for operation in found) else []
        return cls(fresh, tuple(found), tuple({node.id: None for node in named}), stored, changed, repeated)


def _nodes(node: ast.AST, *, sure: bool) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes below one and itself, inner ones first, each with whether it is evaluated whatever the values are."""
    surely = _surely(node)
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child, sure=sure and (surely is None or child in surely))
    yield node, sure


def _surely(node: ast.AST) -> list[ast.expr] | None:
    """The parts that are evaluated whatever the values are; None where these are all parts."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
            return [test]
        case ast.BoolOp(values=values):
            return values[:1]
    return [] if isinstance(node, _UNSURE) else None


def _changed(node: ast.AST) -> str | None:
    """The variable whose tensor a node may change in place."""
    match node:
        case ast.AugAssign(target=target):
            owner: ast.expr = target
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name.endswith("_"):
            pass
        case _:
            return None
    while isinstance(owner, ast.Attribute | ast.Subscript | ast.Call):
        owner = owner.func if isinstance(owner, ast.Call) else owner.value
    return owner.id if isinstance(owner, ast.Name) else None


def _operation(node: ast.AST) -> Operation | None:
    """The operation at a node. A method's owner is an operand of it."""
    match node:
        case ast.BinOp(left=left, op=operator, right=right):
            return Operation(node, calls.OPERATIONS[type(operator)], (left, right))
        case ast.AugAssign(target=left, op=operator, value=right):
            return Operation(node, calls.OPERATIONS[type(operator)], (left, right), in_place=True)
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return Operation(node, calls.OPERATIONS.get(type(operator), "in"), (left, right))
        case ast.Call(func=ast.Attribute(value=owner, attr=attribute), args=args, keywords=keywords):
            name = attribute.rstrip("_")
            inside = tuple(args) if is_library(owner) else (owner, *args)
            return Operation(node, _SAME.get(name, name), inside, tuple(keywords), attribute.endswith("_"))
        case ast.Call(args=args, keywords=keywords):
            return Operation(node, "call", tuple(args), tuple(keywords))
        case ast.Assign(targets=[ast.Subscript(value=owner)], value=value):
            return Operation(node, "assigned", (owner, value))
        case ast.Expr(value=ast.Attribute(value=owner)):
            return Operation(node, "named", (owner,))
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return Operation(node, "truth", (test,))
        case ast.BoolOp(values=values):
            return Operation(node, "truth", tuple(values))
        case ast.UnaryOp(op=operator, operand=inner):
            name = "truth" if isinstance(operator, ast.Not) else calls.OPERATIONS[type(operator)]
            return Operation(node, name, (inner,))
    return None


@dataclass
class Look:
    """A statement that succeeded, with what its variables held before and after it ran."""

    plan: Plan
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    value: Any
    trust: bool = False
    random_state: torch.Tensor | None = None  # of torch's generator, before the statement
    seconds: float = 0.0  # that the statement would take again, of this thread's own: others may hold it up
    stretched: frozenset[str] = frozenset()  # the variables that were given a dimension where they were made
    _found: dict[int, Any] = field(default_factory=dict)
    _kept: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.scope = dict(self.before)
        for name in self.plan.stored if self.plan.repeated else ():
            if name in self.after:
                alike = name not in self.before or _kind(self.before[name]) == _kind(self.after[name])
                self.scope[name] = self.after[name] if alike else None

    def __enter__(self) -> "Look":
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def text(self, node: ast.AST) -> str:
        """The text of a node, on one line and not too long."""
        text = " ".join(self.plan.statement.place_of(node).text.split())
        return text if len(text) <= 60 else text[:57] + "..."

    def atom(self, node: ast.expr) -> str:
        """The text of a node as an operand or the owner of a method: in brackets where it is an operation."""
        whole = isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript | ast.Constant | ast.List)
        return self.text(node) if whole else f"({self.text(node)})"

    def operand(self, node: ast.expr) -> Any:
        """The value of an operand, where having it again is cheap and free of effects; else None."""
        if isinstance(node, ast.Name):
            return self.scope.get(node.id)
        if isinstance(node, ast.Constant):
            return node.value
        if id(node) not in self._found:
            self._found[id(node)] = self._again(node)
        return self._found[id(node)]

    def _again(self, node: ast.expr) -> Any:
        slow = self.seconds > QUICK or any(_is_large(self.scope.get(name)) for name in _names(node))
        if slow and not _is_view(node):
            return None
        if not self._found:
            self._quiet()
        try:
            return pure.value_of(node, self.scope)
        except Exception:
            return None

    def _quiet(self) -> None:
        """Until the end of the look: no warnings, nothing for autograd, and the random state of before."""
        self._kept.callback(torch.set_rng_state, torch.get_rng_state())
        if self.random_state is not None:
            torch.set_rng_state(self.random_state)
        self._kept.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self._kept.enter_context(torch.no_grad())

    def tensors(self, operation: Operation) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The operands of an operation on two tensors. No other is computed where one is none."""
        values: list[Any] = [None, None]
        for index in sorted((0, 1), key=lambda i: not isinstance(operation.operands[i], ast.Name | ast.Constant)):
            values[index] = self.operand(operation.operands[index])
            if not isinstance(values[index], torch.Tensor):
                return None
        return values[0], values[1]

    def mentions(self, wanted: Callable[[Any], bool], *words: str) -> bool:
        """Whether a value that the statement mentions is wanted, or a word stands in its text."""
        source = self.plan.statement.source
        return any(word in source for word in words) or any(wanted(value) for value in self.scope.values())

    def whole(self) -> ast.expr | None:
        """The expression whose value the statement gave, or assigned to one variable."""
        match self.plan.statement.node:
            case ast.Expr(value=value) | ast.Assign(targets=[ast.Name()], value=value):
                return value
        return None

    def results(self) -> Iterator[tuple[str, Any]]:
        """What the statement gave: its value, or the variables it assigned, by name."""
        if isinstance(self.plan.statement.node, ast.Expr):
            yield self.text(self.plan.statement.node), self.value
        for name in self.plan.stored or self.plan.statement.bound:
            if name in self.after:
                yield name, self.after[name]


def is_library(node: ast.expr) -> bool:
    """Whether this is a dotted name in torch: `torch.nn.functional`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in _LIBRARIES


def _names(node: ast.AST) -> Iterator[str]:
    return (part.id for part in ast.walk(node) if isinstance(part, ast.Name))


def _kind(value: Any) -> tuple[Any, ...]:
    return type(value), getattr(value, "shape", None), getattr(value, "dtype", None)


def _is_view(node: ast.expr) -> bool:
    """Whether this is an attribute, a constant index or another cheap view of a variable, however large that is."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=owner):
            return _is_view(owner)
        case ast.Subscript(value=owner, slice=index):
            return _is_view(owner) and not any(
                isinstance(part, ast.Name | ast.Call | ast.List) for part in ast.walk(index)
            )
        case ast.Call(func=ast.Attribute(value=owner, attr=name)):
            return name in _VIEWS and _is_view(owner)
    return False


def _is_large(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.numel() > SMALL
