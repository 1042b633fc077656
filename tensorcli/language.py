"""Text to checked syntax tree: what may be written, and where each piece stands in the text.

The language is Python. Without `trust`, a line may hold the nodes of `ALLOWED` and no name that begins with an
underscore (but `_`, `_1`, `__version__` and, to read, `__name__`), and the tree is rewritten so that attribute lookups,
imports and the few operators that can explode pass through guard functions. Their names begin with a dot: no source
text can spell or shadow them.
"""

import ast
import builtins
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, TypeVar

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 200
MAX_WIDTH = 10_000  # of a formatted field
SMALL_EXPONENT = 64
SMALL_SHIFT = 1024

TRUST = "start tensorcli with --trust to run your own code without this check"


class Place(NamedTuple):
    """A stretch of a text: lines from 1, columns from 0 in characters, the end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Problem(Exception):
    """Text that will not run: `code` is "syntax" or "refused", `place` lies in `source`, which starts on `line`.

    Where Python itself could not read it, `error` is what Python said, and `text` all that it read.
    """

    error: SyntaxError | None = None
    text: str = ""

    def __init__(self, title: str, *, code: str, source: str, line: int, place: Place, notes: tuple[str, ...] = ()):
        super().__init__(title)
        self.title, self.code, self.source, self.line, self.place, self.notes = title, code, source, line, place, notes


class Text:
    """A text and its lines, with Python's positions (UTF-8 byte columns) turned into places."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")

    def column(self, line: int, offset: int) -> int:
        """The column in characters of byte `offset` in line number `line`."""
        text = self.lines[line - 1]
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="replace"))

    def cut(self, line: int, column: int, end_line: int, end_column: int) -> str:
        """The text between two positions, columns in characters."""
        if line == end_line:
            return self.lines[line - 1][column:end_column]
        first, *middle, last = self.lines[line - 1 : end_line]
        return "\n".join([first[column:], *middle, last[:end_column]])

    def place(self, line: int, offset: int, end_line: int, end_offset: int) -> Place:
        """The place of a node or an instruction, from its Python positions."""
        column, end_column = self.column(line, offset), self.column(end_line, end_offset)
        return Place(line, column, end_line, end_column, self.cut(line, column, end_line, end_column))


@dataclass(frozen=True)
class Statement:
    """One checked statement: its tree, its own text, and where that begins in the whole text."""

    node: ast.stmt
    whole: Text
    source: str
    line: int
    column: int
    bound: tuple[str, ...]  # the variables it assigns or changes, in order of appearance

    def place(self, line: int, offset: int, end_line: int, end_offset: int) -> Place:
        """A place in this statement's own source, from Python positions in the whole text."""
        place = self.whole.place(line, offset, end_line, end_offset)
        return Place(
            place.line - self.line + 1,
            place.column - (self.column if place.line == self.line else 0),
            place.end_line - self.line + 1,
            place.end_column - (self.column if place.end_line == self.line else 0),
            place.text,
        )

    @property
    def is_silenced(self) -> bool:
        """Whether a ; stands behind it, and nothing more on its line."""
        _, _, line, offset = position(self.node)
        rest = self.whole.lines[line - 1][self.whole.column(line, offset) :]
        return re.fullmatch(r"[\s)]*;\s*(#.*)?", rest) is not None

    def again(self) -> "Statement":
        """This statement read anew: its tree as written, for compiling rewrites the one in `node`."""
        return _statement(ast.parse(self.source).body[0], Text(self.source))

    def place_of(self, node: ast.AST) -> Place:
        """A node's place in this statement's own source."""
        return self.place(*position(node))


def position(node: ast.AST) -> tuple[int, int, int, int]:
    """A node's Python positions: line, byte offset, end line, end byte offset."""
    line: int = node.lineno  # type: ignore[attr-defined]
    offset: int = node.col_offset  # type: ignore[attr-defined]
    return line, offset, node.end_lineno or line, node.end_col_offset or offset  # type: ignore[attr-defined]


def parse(text: str, *, trust: bool = False) -> list[Statement]:
    """The statements of `text`, checked. Raises Problem where it may not, or cannot, run."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    whole = Text(text)
    _check_text(text, whole)
    try:
        tree = ast.parse(text)
        _check_blocks(tree)
    except SyntaxError as error:
        raise _syntax_problem(error, whole) from None
    except (MemoryError, RecursionError):
        raise _at_start(whole, "this is nested too deeply to be read: split it into several statements") from None
    except ValueError as error:
        raise _at_start(whole, f"this cannot be read: {error}") from None
    statements = [_statement(node, whole) for node in tree.body]
    for statement in statements:
        _check_depth(statement)
        if not trust:
            _check(statement)
    return statements


def compiled(
    statement: Statement, *, filename: str, trust: bool = False, tree: ast.stmt | None = None
) -> types.CodeType:
    """Code for a statement (or for `tree` in its stead): an expression's evaluates to its value."""
    node = statement.node if tree is None else tree
    if not trust:
        node = Guarded().visit(node)
    module: ast.Module | ast.Expression
    if isinstance(node, ast.Expr):
        module, mode = ast.Expression(node.value), "eval"
    else:
        module, mode = ast.Module([node], []), "exec"
    code: types.CodeType = compile(ast.fix_missing_locations(module), filename, mode, dont_inherit=True, optimize=0)
    return code


def _bound_names(node: ast.stmt) -> list[str]:
    match node:
        case ast.Assign(targets=targets):
            roots = targets
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            roots = [target]
        case _:
            return []
    return list(dict.fromkeys(name for target in roots for name in _target_names(target)))


def _target_names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _target_names(part)
        case ast.Starred(value=value) | ast.Subscript(value=value) | ast.Attribute(value=value):
            yield from _target_names(value)


# Layer 1: the text.


def _check_text(text: str, whole: Text) -> None:
    if len(text) > MAX_CHARACTERS:
        title = f"this input has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are read at once"
        raise _at_start(whole, f"{title}: make the data with torch, or split the input")
    for character, name in {"\0": "a null byte", "\x1a": "an end-of-file byte"}.items():
        if character in text:
            line = text[: text.index(character)].count("\n") + 1
            column = whole.lines[line - 1].index(character)
            raise Problem(
                f"line {line} holds {name}, which is no Python: delete it",
                code="syntax",
                source=whole.lines[line - 1],
                line=line,
                place=Place(1, column, 1, column + 1, character),
            )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        title = f"character {error.start + 1} is half of a surrogate pair, not text: delete it"
        raise _at_start(whole, title) from None


def _at_start(whole: Text, title: str) -> Problem:
    source = whole.lines[0][:200]
    return Problem(title, code="syntax", source=source, line=1, place=Place(1, 0, 1, len(source), source))


def _check_blocks(tree: ast.Module) -> None:
    """`torch.no_grad: x + 1` reads as the annotation of an attribute: a block was meant."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute) and node.value is None:
            line, offset, end_line, end_offset = position(node.target)
            raise SyntaxError("'with' is missing", ("", line, offset + 1, "", end_line, end_offset + 1))


def _syntax_problem(error: SyntaxError, whole: Text) -> Problem:
    line = min(max(error.lineno or 1, 1), len(whole.lines))
    source = whole.lines[line - 1]
    start = min(max((error.offset or 1) - 1, 0), len(source))
    end = len(source) if error.end_lineno and error.end_lineno > line else max((error.end_offset or 0) - 1, start)
    place = Place(1, start, 1, end, source[start:end])
    title = f"this is not Python: {error.msg.removeprefix('invalid syntax. ')}"
    problem = Problem(title, code="syntax", source=source, line=line, place=place)
    problem.error, problem.text = error, "\n".join(whole.lines)
    return problem


def _statement(node: ast.stmt, whole: Text) -> Statement:
    decorators = getattr(node, "decorator_list", [])
    line, offset, end_line, end_offset = position(node)
    if decorators:
        line, offset = decorators[0].lineno, max(decorators[0].col_offset - 1, 0)
    place = whole.place(line, offset, end_line, end_offset)
    return Statement(node, whole, place.text, place.line, place.column, tuple(_bound_names(node)))


def _check_depth(statement: Statement) -> None:
    level: list[ast.AST] = [statement.node]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    title = f"this is nested more than {MAX_DEPTH} levels deep: split it into several statements"
    raise Problem(
        title,
        code="syntax",
        source=statement.source,
        line=statement.line,
        place=statement.place_of(statement.node),
    )


# Layer 2: the syntax.

EXCEPTIONS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
)

ALLOWED = {
    # statements
    ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.For, ast.While, ast.If, ast.With,
    ast.FunctionDef, ast.Return, ast.Assert, ast.Try, ast.ExceptHandler, ast.Raise, ast.Pass, ast.Break, ast.Continue,
    ast.Import, ast.ImportFrom, ast.alias, ast.withitem, ast.arguments, ast.arg,
    # expressions
    ast.BoolOp, ast.NamedExpr, ast.BinOp, ast.UnaryOp, ast.Lambda, ast.IfExp, ast.Dict, ast.Set, ast.ListComp,
    ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Compare, ast.Call, ast.keyword, ast.JoinedStr,
    ast.FormattedValue, ast.Constant, ast.Attribute, ast.Subscript, ast.Starred, ast.Name, ast.List, ast.Tuple,
    ast.Slice,
    # operators and contexts
    ast.And, ast.Or, ast.Add, ast.Sub, ast.Mult, ast.MatMult, ast.Div, ast.Mod, ast.Pow, ast.LShift, ast.RShift,
    ast.BitOr, ast.BitXor, ast.BitAnd, ast.FloorDiv, ast.Invert, ast.Not, ast.UAdd, ast.USub, ast.Eq, ast.NotEq, ast.Lt,
    ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.Load, ast.Store, ast.Del,
}  # fmt: skip

IN_WORDS = {
    ast.ClassDef: "a class definition",
    ast.AsyncFunctionDef: "an async function",
    ast.AsyncFor: "an async loop",
    ast.AsyncWith: "an async with",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Match: "a match statement",
    ast.TryStar: "except*",
}

_PLAIN_UNDERSCORE = re.compile(r"_\d*")


def _check(statement: Statement) -> None:
    """Raise Problem at the first node, in order of the text, that the language does not have."""
    _check_node(statement.node, statement)


def _check_node(node: ast.AST, statement: Statement) -> None:
    if type(node) not in ALLOWED:
        _refuse(statement, node, f"{IN_WORDS.get(type(node), type(node).__name__)} is not tensor work")
    match node:
        case ast.Name(id="__name__", ctx=ast.Load()):
            pass  # "__main__", for the scripts that ask
        case ast.Name(id=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)) | ast.ExceptHandler(name=str(name)):
            _check_name(name, node, statement)
        case ast.Attribute(attr=name):
            if name != "__version__":
                _check_name(name, node, statement)
        case ast.FunctionDef(name=name):
            _check_name(name, node, statement)
            if node.decorator_list:
                _refuse(statement, node.decorator_list[0], "a decorator is not tensor work")
            if getattr(node, "type_params", None):
                _refuse(statement, node, "type parameters are not tensor work")
        case ast.ImportFrom():
            if node.level or any(alias.name == "*" for alias in node.names):
                _refuse(statement, node, "star imports and relative imports are out: name what you need")
        case ast.Raise(exc=exc, cause=cause):
            raised = exc.func if isinstance(exc, ast.Call) else exc
            if cause or (raised and not (isinstance(raised, ast.Name) and raised.id in EXCEPTIONS)):
                _refuse(statement, node, _not_raised(raised, cause))
    match node:
        case ast.alias(name=name, asname=asname):
            for part in [*name.split("."), asname or "x"]:
                _check_name(part, node, statement)
        case ast.ExceptHandler(type=kind) if kind:
            for caught in kind.elts if isinstance(kind, ast.Tuple) else [kind]:
                if not (isinstance(caught, ast.Name) and caught.id in EXCEPTIONS):
                    _refuse(statement, caught, "except can name Python's built-in exceptions only")
        case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value=str(spec))])):
            if width_of(spec) > MAX_WIDTH:
                _refuse(statement, node, f"a field of {width_of(spec):,} characters is wider than {MAX_WIDTH:,}")
    for child in ast.iter_child_nodes(node):
        _check_node(child, statement)


def _not_raised(raised: ast.expr | None, cause: ast.expr | None) -> str:
    """Why something cannot be raised."""
    name = ast.unparse(raised) if isinstance(raised, ast.Name) else ""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException) and name not in EXCEPTIONS:
        what = "a warning" if issubclass(kind, Warning) else "what ends a program, no error"
        return f"{name} is {what}: Python's built-in errors, such as ValueError, can be raised"
    if cause and name in EXCEPTIONS:
        return "raise with from is not tensor work: leave the from out"
    return "only Python's built-in errors, such as ValueError, can be raised"


def _check_name(name: str, node: ast.AST, statement: Statement) -> None:
    if name.startswith("_") and not _PLAIN_UNDERSCORE.fullmatch(name):
        _refuse(statement, node, f"names that begin with an underscore, such as {name}, are Python's internals")


def _refuse(statement: Statement, node: ast.AST, title: str) -> NoReturn:
    place = statement.place_of(node) if hasattr(node, "lineno") else statement.place_of(statement.node)
    raise Problem(title, code="refused", source=statement.source, line=statement.line, place=place, notes=(TRUST,))


def width_of(spec: str) -> int:
    """The largest number in a format specification: a bound of the width of what it makes."""
    return max((int(digits[:9]) for digits in re.findall(r"\d+", spec)), default=0)


# The rewriting: what passes through a guard. Everything else stays native Python.

_N = TypeVar("_N", bound=ast.AST)


class Guarded(ast.NodeTransformer):
    """Rewrites a checked tree. The guards are the functions of `engine.namespace.guards`."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.visit(node.value)
        name = ast.copy_location(ast.Constant(node.attr), node)
        if isinstance(node.ctx, ast.Load):
            return _call(node, ".attribute", value, name)
        node.value = _call(node, ".settable", value, name)
        return node

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        parts = []
        for alias in node.names:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            check = _call(node, ".module", ast.Constant(alias.name), ast.Constant(module))
            parts.append(_assign(node, alias.asname or module, check))
        return _block(node, parts)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return _block(
            node,
            [
                _assign(
                    node, a.asname or a.name, _call(node, ".member", ast.Constant(node.module), ast.Constant(a.name))
                )
                for a in node.names
            ],
        )

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.type = node.type or ast.copy_location(ast.Name("Exception", ast.Load()), node)  # never Ctrl-C
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        guard = _guard_of(node.op, node.left, node.right)
        if guard:
            return _call(node, guard, left, right)
        node.left, node.right = left, right
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        guard = _guard_of(node.op, node.target, node.value)
        self.generic_visit(node)
        if guard:  # x **= n stays in place; only the right side is looked at, together with the left
            if isinstance(node.target, ast.Name):
                left: ast.expr = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
                node.value = _call(node.value, guard + "=", left, node.value)
            else:
                node.value = _call(node.value, guard + "=", ast.Constant(2), node.value)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        if node.format_spec and not all(isinstance(p, ast.Constant) for p in node.format_spec.values):  # type: ignore[attr-defined]
            convert = {115: "str", 114: "repr", 97: "ascii"}.get(node.conversion)
            value = _call(node, "." + convert, node.value) if convert else node.value
            return ast.copy_location(
                ast.FormattedValue(_call(node, ".format", value, node.format_spec), -1, None), node
            )
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(func=ast.Name(id="list" | "tuple" | "set" | "sorted"), args=[inner, *_]):
                _bound_range(inner)
        return self._generic(node)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        _bound_range(node.value)
        return self._generic(node)

    def _generic(self, node: _N) -> _N:
        self.generic_visit(node)
        return node


def _bound_range(node: ast.expr) -> None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        node.func = ast.copy_location(ast.Name(".range", ast.Load()), node.func)


_SEQUENCES = (ast.List, ast.Tuple, ast.ListComp, ast.JoinedStr)


def _guard_of(operator: ast.operator, left: ast.expr, right: ast.expr) -> str | None:
    """The guard for an operation that could explode, judged by what is written. Tensor arithmetic stays native."""
    match operator:
        case ast.Pow():
            small = isinstance(right, ast.Constant) and _is_small(right.value, SMALL_EXPONENT)
            nested = isinstance(left, ast.BinOp) and isinstance(left.op, ast.Pow)
            return None if small and not nested else ".power"
        case ast.LShift():
            small = isinstance(right, ast.Constant) and _is_small(right.value, SMALL_SHIFT)
            return None if small else ".shift"
        case ast.Mult():
            return ".repeat" if _is_sequence(left) or _is_sequence(right) else None
        case ast.Mod():
            return ".percent" if _is_text(left) else None
    return None


def _is_small(value: object, bound: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= bound


def _is_sequence(node: ast.expr) -> bool:
    return isinstance(node, _SEQUENCES) or _is_text(node)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _call(at: ast.AST, guard: str, *arguments: ast.expr) -> ast.Call:
    return ast.copy_location(ast.Call(ast.copy_location(ast.Name(guard, ast.Load()), at), list(arguments), []), at)


def _assign(at: ast.AST, name: str, value: ast.expr) -> ast.stmt:
    return ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), at)


def _block(at: ast.AST, body: list[ast.stmt]) -> ast.stmt:
    return ast.copy_location(ast.If(ast.Constant(True), body, []), at)
