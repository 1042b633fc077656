"""A look at a statement that succeeded: what its tree holds, and what its operands were, had without effects.

What can be known of a statement from its text alone is a Plan, made once. A Look adds the values.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tensorcli.engine import calls, pure
from tensorcli.language import Statement

SMALL = 10_000  # elements of operands that may be computed again
VIEWS = frozenset("T mT H mH t squeeze unsqueeze view detach transpose permute expand data diagonal".split())

_LIBRARIES = ("torch", "F", "nn")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_UNSURE = (*_FUNCTIONS, *_COMPREHENSIONS, ast.Try, ast.Match)  # their parts run with other values, or not at all
_REPEATED = (ast.For, ast.While, ast.With)


@dataclass(frozen=True)
class Operation:
    """An operation with operands, whatever its spelling: `a - b`, `a -= b`, `torch.sub(a, b)`, `a.sub_(b)`."""

    name: str
    operands: tuple[ast.expr, ...]
    in_place: bool = False
    keywords: tuple[ast.keyword, ...] = ()


@dataclass
class Plan:
    """What a statement's text says of it."""

    statement: Statement  # read anew: its nodes stay as written
    certain: list[ast.AST] = field(default_factory=list)  # expressions that surely ran, inner ones first
    unsure: list[ast.AST] = field(default_factory=list)  # those in functions, and in branches that may not have run
    names: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()  # the variables that it assigns
    changed: frozenset[str] = frozenset()  # those whose tensors it may change in place
    repeated: bool = False  # a loop or a block: its variables change while it runs

    @classmethod
    def of(cls, statement: Statement) -> "Plan":
        """The plan of a statement."""
        plan = cls(statement.again())
        root = plan.statement.node
        _collect(root, plan.certain, plan.unsure)
        named = [node for node in (*plan.certain, *plan.unsure) if isinstance(node, ast.Name)]
        plan.names = tuple({node.id: None for node in named})
        plan.stored = tuple({node.id: None for node in named if isinstance(node.ctx, ast.Store)})
        plan.changed = frozenset(name for node in plan.certain if (name := _changed(node)))
        plan.repeated = isinstance(root, _REPEATED)
        return plan


def _collect(node: ast.AST, certain: list[ast.AST], unsure: list[ast.AST]) -> None:
    surely = _surely(node)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr_context | ast.operator):
            _collect(child, certain if surely is None or child in surely else unsure, unsure)
    if isinstance(node, ast.expr | ast.stmt):
        certain.append(node)


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


@dataclass
class Look:
    """A statement that succeeded, with what its variables held before and after it ran."""

    plan: Plan
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    value: Any
    trust: bool = False
    random_state: torch.Tensor | None = None  # of torch's generator, before the statement
    _found: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        moving = {name: self.after[name] for name in self.plan.stored if name in self.after}
        self.scope = {**self.before, **moving} if self.plan.repeated else self.before

    def text(self, node: ast.AST) -> str:
        """The text of a node, on one line and not too long."""
        text = " ".join(self.plan.statement.place_of(node).text.split())
        return text if len(text) <= 60 else text[:57] + "..."

    def is_sure(self, node: ast.AST) -> bool:
        """Whether the values of this node's variables are those that it ran with, and not a later round's."""
        if not self.plan.repeated:
            return True
        moved = self.plan.changed.union(self.plan.stored)
        return not any(isinstance(part, ast.Name) and part.id in moved for part in ast.walk(node))

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
        if not _is_view(node) and any(_is_large(self.scope.get(name)) for name in _names(node)):
            return None
        state = torch.get_rng_state()
        try:
            if self.random_state is not None:
                torch.set_rng_state(self.random_state)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                return pure.value_of(node, self.scope)
        except Exception:
            return None
        finally:
            torch.set_rng_state(state)

    def operation(self, node: ast.AST) -> Operation | None:
        """The operation at a node. A call's owner is an operand of it, unless that is a library."""
        match node:
            case ast.BinOp(left=left, op=operator, right=right):
                return Operation(calls.OPERATIONS[type(operator)], (left, right))
            case ast.AugAssign(target=left, op=operator, value=right):
                return Operation(calls.OPERATIONS[type(operator)], (left, right), in_place=True)
            case ast.UnaryOp(op=operator, operand=inner):
                return Operation(calls.OPERATIONS[type(operator)], (inner,))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return Operation(calls.OPERATIONS.get(type(operator), "in"), (left, right))
            case ast.Call(func=ast.Attribute(value=owner, attr=name), args=args, keywords=keywords):
                inside = tuple(args) if is_library(owner) else (owner, *args)
                return Operation(name.rstrip("_"), inside, name.endswith("_"), tuple(keywords))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                loss = isinstance(self.scope.get(name), torch.nn.modules.loss._Loss)
                return Operation("loss" if loss else name, tuple(args), False, tuple(keywords))
        return None

    def tensors(self, node: ast.AST) -> tuple[Operation, torch.Tensor, torch.Tensor] | None:
        """An operation on two tensors, with their values. The second is not looked for where the first is none."""
        operation = self.operation(node)
        if operation is None or len(operation.operands) != 2:
            return None
        values: list[Any] = [None, None]
        for index in sorted((0, 1), key=lambda i: not isinstance(operation.operands[i], ast.Name | ast.Constant)):
            values[index] = self.operand(operation.operands[index])
            if not isinstance(values[index], torch.Tensor):
                return None
        return operation, values[0], values[1]

    def mentions(self, wanted: Any, *words: str) -> bool:
        """Whether a value that the statement mentions is wanted, or a word stands in its text."""
        source = self.plan.statement.source
        return any(word in source for word in words) or any(wanted(value) for value in self.scope.values())

    def whole(self) -> ast.expr | None:
        """The expression whose value the statement gave, or assigned to one variable."""
        node = self.plan.statement.node
        if isinstance(node, ast.Expr):
            return node.value
        single = isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        return node.value if isinstance(node, ast.Assign) and single else None

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


def _is_view(node: ast.expr) -> bool:
    """Whether this is an attribute, a constant index or another cheap view of a variable, however large that is."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=owner):
            return _is_view(owner)
        case ast.Subscript(value=owner, slice=index):
            return _is_view(owner) and all(
                isinstance(part, ast.Constant | ast.Slice | ast.Tuple | ast.UnaryOp | ast.USub | ast.Load)
                for part in ast.walk(index)
            )
        case ast.Call(func=ast.Attribute(value=owner, attr=name)):
            return name in VIEWS and _is_view(owner)
    return False


def _is_large(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.numel() > SMALL
