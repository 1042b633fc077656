"""Loops around what is timed: the text runs inside them, so that no call of ours comes between."""

import ast
import dis
import symtable
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorcli import language
from tensorcli.engine.instrument import LIBRARIES, is_path
from tensorcli.engine.measure import Loop
from tensorcli.language import Statement

_LOOP, _TURNS, _TURN = ".loop", ".turns", ".turn"  # names that no text can spell


def plain(text: str, names: dict[str, Any]) -> Loop:
    """A loop around a text of ours: its names are `names`, and what it assigns stays in there."""
    return _defined(compile(_loop(ast.parse(text).body, text, {}), "<bench>", "exec"), names)


def guarded(statements: Sequence[Statement], names: dict[str, Any], *, trust: bool, variables: Iterable[str]) -> Loop:
    """A loop around checked statements of a session's.

    A method is looked up through the gate in each turn (about 0.1 us); a function of a library's, once: `torch.dot` is
    the same in all of them, unless one of the session's `variables` is called torch.
    """
    fresh = [statement.again() for statement in statements]
    source = "\n".join(statement.source for statement in statements)
    libraries = LIBRARIES.difference(variables)
    paths: dict[str, ast.expr] = {}
    once = _Once(libraries.difference(_bound(symtable.symtable(source, "<timed>", "exec"))), paths)
    tree = _loop([once.visit(statement.node) for statement in fresh], source, paths)
    return _defined(language.compiled(fresh[0], filename="<timed>", trust=trust, tree=tree.body[0]), names)


def folded(statements: Sequence[Statement], name: str) -> list[str]:
    """A warning where what is timed loads a constant, for Python computes it when it compiles it: "2 + 2"."""
    node = statements[0].again().node
    if len(statements) > 1 or not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant):
        return []
    code = compile(ast.Expression(node.value), "<timed>", "eval")
    does = {each.opname for each in dis.get_instructions(code)} - {"RESUME", "RETURN_VALUE", "RETURN_CONST"}
    if any(not name.startswith(("LOAD_CONST", "LOAD_SMALL_INT")) for name in does):
        return []
    return [f'"{name}" is computed once, when it is compiled, and not in each call: name its parts in the setup']


def _loop(body: list[ast.stmt], source: str, paths: Mapping[str, ast.expr]) -> ast.Module:
    """A function of turns that first evaluates `paths`, each to a name of its own, and then the body in each turn."""
    assigned = sorted(_assigned(source))
    head: list[ast.stmt] = [ast.Global(assigned)] if assigned else []
    head += [ast.Assign([ast.Name(name, ast.Store())], path) for name, path in paths.items()]
    loop = ast.For(ast.Name(_TURN, ast.Store()), ast.Name(_TURNS, ast.Load()), body, [])
    arguments = ast.arguments(posonlyargs=[], args=[ast.arg(_TURNS)], kwonlyargs=[], kw_defaults=[], defaults=[])
    function = ast.FunctionDef(_LOOP, arguments, [*head, loop], [])
    return ast.fix_missing_locations(ast.Module([function], []))


def _defined(code: Any, names: dict[str, Any]) -> Loop:
    exec(code, names)
    loop: Loop = names.pop(_LOOP)
    return loop


def _assigned(source: str) -> set[str]:
    """The variables that a text assigns."""
    table = symtable.symtable(source, "<timed>", "exec")
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}


def _bound(table: symtable.SymbolTable) -> set[str]:
    """The names that a text binds anywhere, those of its comprehensions and functions too."""
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_local()}
    return own.union(*map(_bound, table.get_children()))


class _Once(ast.NodeTransformer):
    """Puts a name in the place of each dotted name of a library's; these are in `paths`."""

    def __init__(self, libraries: Iterable[str], paths: dict[str, ast.expr]) -> None:
        self._libraries, self._paths = frozenset(libraries), paths

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if not (is_path(node, self._libraries) and isinstance(node.ctx, ast.Load)):
            self.generic_visit(node)
            return node
        name = f".{ast.unparse(node)}"
        self._paths[name] = node
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return node  # its body may run elsewhere

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node
