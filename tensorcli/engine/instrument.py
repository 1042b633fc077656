"""A statement rewritten so that a recorder sees all its parts: order of evaluation, values and names stay the same."""

import ast
import secrets
import types
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from tensorcli.engine.calls import OPERATIONS
from tensorcli.language import Statement

_EXPRESSIONS = (
    ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Attribute, ast.Subscript, ast.Name, ast.BoolOp, ast.IfExp,
    ast.List, ast.Tuple, ast.Set, ast.Dict, ast.NamedExpr,
)  # fmt: skip
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# What runs elsewhere, and patterns: these are no expressions.
_CLOSED = (ast.Lambda, ast.JoinedStr, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.pattern)
LIBRARIES = frozenset(("torch", "np", "nn", "F", "math"))

# Constants in the code that stand for a recorder's methods until `bound` puts those there: it needs no names for them.
ENTER, LEAVE, STEP = (f"{name} {secrets.token_hex(8)}" for name in ("enter", "leave", "step"))


@dataclass(frozen=True)
class Site:
    """A part of a statement that is recorded: its number, its node as written, and what it does in torch's words."""

    number: int
    statement: Statement
    node: ast.expr | ast.stmt
    operation: str

    @property
    def text(self) -> str:
        """The part as written, on one line."""
        return " ".join(self.statement.place_of(self.node).text.split())

    @property
    def steps(self) -> bool:
        """Whether it takes steps, which are counted in place of its evaluations."""
        return isinstance(self.node, ast.For | ast.While | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)


class Instrument(ast.NodeTransformer):
    """Wraps the parts of statements and numbers them.

    The parts inside loops and comprehensions are wrapped only with `into_loops`; else their steps are counted.
    `variables` are the session's: a library's name among them is no library.
    """

    def __init__(self, *, into_loops: bool = False, variables: Iterable[str] = ()) -> None:
        self.sites: list[Site] = []
        self._into_loops = into_loops
        self._libraries = LIBRARIES.difference(variables)
        self._whole_only = False
        self._statement: Statement
        self._written: dict[int, ast.AST]

    def wrapped(self, statement: Statement, *, whole_only: bool = False) -> ast.stmt:
        """A statement's tree with everything in it recorded below one part: its expression, or else itself.

        With `whole_only` that part is the only one.
        """
        self._whole_only = whole_only
        return self._whole(self._tree(statement))

    def wrapped_function(self, statement: Statement) -> ast.stmt:
        """The tree of a function's definition, with what its body does recorded when it is called."""
        self._whole_only = False
        return self.generic_visit(self._tree(statement))  # type: ignore[return-value]

    def _tree(self, statement: Statement) -> ast.stmt:
        self._statement = statement
        tree = statement.again().node
        self._written = dict(zip(map(id, ast.walk(tree)), ast.walk(statement.node), strict=True))
        return tree

    def _whole(self, node: ast.stmt) -> ast.stmt:
        if _is_change(node):
            return self._change(node)
        match node:
            case ast.Expr() | ast.Assign() | ast.AnnAssign(value=ast.expr()):
                node.value = self._expression(node.value)  # type: ignore[arg-type]
                return node
            case ast.For() | ast.While():
                return self._loop(node)
        site = self._site(node)
        inside = node if isinstance(node, _CLOSED) else self.generic_visit(node)
        assert isinstance(inside, ast.stmt)
        return _block(node, [_enter(node, site), inside, _leave(node, site)])

    def visit(self, node: ast.AST) -> ast.AST:
        """The part, wrapped where it is one that is recorded."""
        if self._whole_only or isinstance(node, _CLOSED):
            return node
        if isinstance(node, ast.For | ast.While):
            return self._loop(node)
        if _is_change(node):
            return self._change(node)
        if isinstance(node, _COMPREHENSIONS):
            return self._comprehension(node)
        if isinstance(node, ast.Call):
            site = self._site(node)
            node.func = self._function(node.func)
            node.args = [self._visited(argument) for argument in node.args]
            for keyword in node.keywords:
                keyword.value = self._visited(keyword.value)
            return _recorded(node, site)
        if isinstance(node, ast.Tuple) and any(isinstance(part, ast.Slice) for part in node.elts):
            return self.generic_visit(node)  # an index of several parts is no value by itself
        if isinstance(node, _EXPRESSIONS) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            if is_path(node, self._libraries):
                return node
            site = self._site(node)
            inside = self.generic_visit(node)
            assert isinstance(inside, ast.expr)
            return _recorded(inside, site)
        return self.generic_visit(node)

    def _loop(self, node: ast.For | ast.While) -> ast.stmt:
        """A loop counts its steps. It may be left by `return` too, or by an error."""
        site = self._site(node)
        if self._into_loops:
            self.generic_visit(node)
        elif isinstance(node, ast.For):
            node.iter = self._visited(node.iter)
        node.body.insert(0, _statement(node, STEP, ast.Constant(site.number)))
        left = ast.copy_location(ast.Try([node], [], [], [_leave(node, site)]), node)
        return _block(node, [_enter(node, site), left])

    def _comprehension(self, node: ast.AST) -> ast.expr:
        assert isinstance(node, _COMPREHENSIONS)
        site = self._site(node)
        if self._into_loops:
            self.generic_visit(node)
        else:
            node.generators[0].iter = self._visited(node.generators[0].iter)
        part = "value" if isinstance(node, ast.DictComp) else "elt"
        element = getattr(node, part)
        pair = ast.Tuple([_call(element, STEP, ast.Constant(site.number)), element], ast.Load())
        setattr(node, part, ast.copy_location(ast.Subscript(pair, ast.Constant(1), ast.Load()), element))
        return _recorded(node, site)

    def _change(self, node: ast.AugAssign | ast.Assign) -> ast.stmt:
        """`x += y`, `x[0] = y`: what is changed is looked at before and after."""
        site = self._site(node)
        before: list[ast.stmt] = []
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            loaded = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            self._written[id(loaded)] = self._written[id(node.target)]
            before = [ast.copy_location(ast.Expr(self._visited(loaded)), node)]
        self.generic_visit(node)
        name = root_name(site.node)
        after = ast.copy_location(ast.Name(name, ast.Load()), node) if name else None
        return _block(node, [_enter(node, site), *before, node, _leave(node, site, after)])

    def _expression(self, node: ast.expr) -> ast.expr:
        """An expression, recorded whatever it is."""
        count, written = len(self.sites), self._written[id(node)]
        visited = self._visited(node)
        if len(self.sites) > count and self.sites[count].node is written:
            return visited
        return _recorded(visited, self._site(node))

    def _function(self, node: ast.expr) -> ast.expr:
        """A call's function is no part of its own, but the object of a method is."""
        if isinstance(node, ast.Attribute) and not is_path(node, self._libraries):
            node.value = self._visited(node.value)
            return node
        return node if isinstance(node, ast.Name | ast.Attribute) else self._visited(node)

    def _visited(self, node: ast.expr) -> ast.expr:
        result = self.visit(node)
        assert isinstance(result, ast.expr)
        return result

    def _site(self, node: ast.AST) -> Site:
        written = self._written[id(node)]
        assert isinstance(written, ast.expr | ast.stmt)
        site = Site(len(self.sites), self._statement, written, operation(written, self._libraries))
        self.sites.append(site)
        return site


def is_path(node: ast.AST, libraries: Container[str] = LIBRARIES) -> bool:
    """Whether this is a library or a dotted name in one: `torch.nn.functional.relu`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in libraries


def bound(code: types.CodeType, methods: Mapping[str, Any]) -> types.CodeType:
    """Instrumented code that calls a recorder's methods: {ENTER: .., LEAVE: .., STEP: ..}."""
    return code.replace(
        co_consts=tuple(
            bound(constant, methods)
            if isinstance(constant, types.CodeType)
            else methods.get(constant, constant)
            if isinstance(constant, str)
            else constant
            for constant in code.co_consts
        )
    )


def targets(node: ast.AST) -> list[ast.expr]:
    """What an assignment assigns to."""
    return [node.target] if isinstance(node, ast.AugAssign) else node.targets if isinstance(node, ast.Assign) else []


def base_of(node: ast.AST) -> ast.expr | None:
    """What `x += y` or `x[0] = y` changes, as written: `x`."""
    parts = (part for target in targets(node) for part in ast.walk(target))
    found = next((part.value for part in parts if isinstance(part, ast.Subscript | ast.Attribute)), None)
    return found or (node.target if isinstance(node, ast.AugAssign) else None)


def root_name(node: ast.AST) -> str | None:
    """The variable in which a change shows: the `x` of `x.data[0] = y`."""
    base = base_of(node)
    while isinstance(base, ast.Subscript | ast.Attribute):
        base = base.value
    return base.id if isinstance(base, ast.Name) else None


def takes_inputs(node: ast.AST) -> bool:
    """Whether the parts directly below one are what its value is made of. Those of a loop would be kept alive."""
    return isinstance(node, (*_EXPRESSIONS, ast.AugAssign, ast.Assign))


def _is_change(node: ast.AST) -> TypeGuard[ast.AugAssign | ast.Assign]:
    return isinstance(node, ast.AugAssign | ast.Assign) and base_of(node) is not None


def operation(node: ast.AST, libraries: Container[str] = LIBRARIES) -> str:
    """What a node does, in torch's words: "matmul", "method mean", "index", "name"."""
    match node:
        case ast.BinOp(op=operator) | ast.UnaryOp(op=operator):
            return OPERATIONS[type(operator)]
        case ast.AugAssign(op=operator):
            return f"{OPERATIONS[type(operator)]}_"
        case ast.Compare(ops=[operator]):
            return OPERATIONS.get(type(operator), "compare")
        case ast.Call(func=ast.Attribute(attr=name) as function):
            return name if is_path(function, libraries) else f"method {name}"
        case ast.Attribute(attr=name):
            return f"attribute {name}"
        case ast.Subscript():
            return "index"
    return type(node).__name__.lower()


def _block(at: ast.AST, body: list[ast.stmt]) -> ast.stmt:
    return ast.copy_location(ast.If(ast.Constant(True), body, []), at)


def _recorded(node: ast.expr, site: Site) -> ast.expr:
    return _call(node, LEAVE, _call(node, ENTER, ast.Constant(site.number)), node)


def _enter(at: ast.stmt, site: Site) -> ast.stmt:
    return _statement(at, ENTER, ast.Constant(site.number))


def _leave(at: ast.stmt, site: Site, value: ast.expr | None = None) -> ast.stmt:
    return _statement(at, LEAVE, ast.Constant(site.number), value or ast.Constant(None))


def _statement(at: ast.stmt, name: str, *arguments: ast.expr) -> ast.stmt:
    return ast.copy_location(ast.Expr(_call(at, name, *arguments)), at)


def _call(at: ast.AST, name: str, *arguments: ast.expr) -> ast.expr:
    call = ast.Call(ast.Constant(name), list(arguments), [])
    for node in (call, call.func, *arguments):
        if not hasattr(node, "lineno"):
            ast.copy_location(node, at)
    return call
