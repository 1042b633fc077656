"""An expression that is timed, on copies of what it may change: the session and the others find all as it was."""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from tensorcli.engine import apart, environment, gradients, namespace, pure, randomness, rounding, shaking, timed
from tensorcli.engine.measure import Loop
from tensorcli.engine.rounding import EXACT, Rounding
from tensorcli.engine.work import Work
from tensorcli.language import Statement
from tensorcli.report import AnyReport

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

DEEPEST, LONGEST = 4, 10_000  # levels and items of what is looked at for changes
_Node = TypeVar("_Node", bound=ast.AST)


class Unfit(Exception):
    """Why an expression cannot be timed, in a sentence."""


class Expression:
    """Statements of a session's, with names of their own.

    `graphs` are autograd's functions that no expression may use up. `notes` are sentences about what it changes.
    """

    def __init__(
        self, session: "Session", name: str, statements: Sequence[Statement], graphs: set[Any], *, seed: int
    ) -> None:
        self._session, self._name, self._statements, self._seed = session, name, statements, seed
        trees: list[ast.AST] = [statement.node for statement in statements]
        start = namespace.start_names(trust=session.trust)
        self._used = sorted(each for each in apart.used(trees, session.names) if each not in start)
        used = [session.names[each] for each in self._used]
        self.notes: list[str] = []
        self.compiled = any(map(_is_compiled, used))
        self.by_numpy = any(isinstance(value, np.ndarray) for value in used) or _calls_numpy(trees)
        self._elements = max(map(_elements, used), default=1)
        self._carried = _carried(trees, session.names)
        self._world: Mapping[str, Any] = {}
        self._guards = False  # whether there is a graph of the session's to be kept
        self.names = dict(session.names)
        self._impure = not pure.changes_nothing(trees, session.names, start)
        if self._impure:
            self._separate(trees, graphs)

    def _separate(self, trees: Sequence[ast.AST], graphs: set[Any]) -> None:
        """Make the names those of copies, if these can be had."""
        session = self._session
        try:
            if self.compiled:
                raise apart.NoCopy("compiled code")
            world = apart.world_of(session.names, list(trees), trust=session.trust, kind=_Copier)
        except (apart.NoCopy, apart.TooLarge) as error:
            why = "it is too large" if isinstance(error, apart.TooLarge) else str(error).split("\n")[0][:100]
            self.notes.append(f'"{self._name}" works on the session\'s own, which cannot be copied ({why})')
            return
        roots = [value.grad_fn for value, _ in world[apart.TWINS] if value.grad_fn is not None]
        self._guards = any(node in graphs for node in gradients.graph(roots))
        if roots and not self._guards:  # graphs that the setup made: a copy would be another graph
            return
        self._world = world
        self.names = {name: value for name, value in world.items() if name != apart.TWINS}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within it no graph of the session's is used up. Raises Unfit at its end where one would have been."""
        with apart.autograd_kept(self._world if self._guards else {}, self._session.names) as keeping:
            yield
        if keeping and keeping.reached:
            raise Unfit(
                "it goes backward through a graph that stands in the session: make that in the setup, as in "
                '-s "y = (x * x).sum()"'
            )

    def value(self, emit: Callable[[AnyReport], None]) -> Any:
        """What it gives. Says what it changes in its notes. Raises Unfit."""
        randomness.seed(self._seed)  # the same random numbers for all
        before = self._states()
        settings = apart.settings()
        try:
            with self.kept():
                result = self._session.value(self._statements, self.names, emit)
        finally:
            changes_settings = apart.put_settings(settings)
        if changes_settings:
            raise Unfit("it changes a setting of torch's, which holds for the others too: write it in the setup")
        after = self._states()
        if changed := list(dict.fromkeys((*_changed(before, after), *self._carried))):
            note = f'"{self._name}" changes {", ".join(changed[:3])}: each call works on what the last one left'
            self.notes = list(dict.fromkeys((*self.notes, note)))
        return result

    def _states(self) -> dict[str, Any]:
        """What shows of each variable that it was changed in place; nothing where it is sure to change none."""
        return _states(self.names, self._used) if self._impure else {}

    def loop(self) -> Loop:
        """A loop around it."""
        session = self._session
        return timed.guarded(self._statements, self.names, trust=session.trust, variables=session.variables())

    def way(self, result: Any, seen: Work | None) -> Rounding:
        """The roundings behind a result: what torch's operators do not show may sum all elements of a variable."""
        shown, leaves = seen.way if seen else EXACT, tree_leaves(result)
        hidden = seen is None or self.by_numpy
        if not hidden and all(isinstance(leaf, torch.Tensor) for leaf in leaves):
            return shown
        values = [*map(self.names.get, self._used), *leaves] if hidden else []
        found = {torch.float64, *map(_dtype, values)}  # in which Python computes
        return reduce(Rounding.or_more, (rounding.of(dtype, terms=self._elements) for dtype in found), shown)

    @property
    def can_repeat(self) -> bool:
        """Whether it finds all as it was when it is made and run once more."""
        return not self._impure or bool(self._world)

    def moved(self, emit: Callable[[AnyReport], None], seed: int) -> Any:
        """What it gives where all that it rounds falls another way, chosen by a seed. Raises what it raises."""
        randomness.seed(self._seed)
        draw = shaking.Shaking(seed)
        if self.compiled or self.by_numpy:  # whose roundings nobody sees: as if the variables had them
            values = {name: self.names[name] for name in self._used if name in self.names}
            ways = {name: rounding.of(_dtype(value), terms=self._elements) for name, value in values.items()}
            self.names |= {name: draw.shaken(value, ways[name].usual) for name, value in values.items()}
        with nullcontext() if self.compiled else draw:
            return self._session.value(self._statements, self.names, emit)


def _dtype(value: Any) -> torch.dtype:
    """That of a tensor's or an array's numbers; of all else that of Python's."""
    if isinstance(value, torch.Tensor):
        return value.dtype
    try:
        return torch.from_numpy(np.empty(0, value.dtype)).dtype
    except (AttributeError, TypeError):
        return torch.float64


class Watch:
    """Sees which of a session's variables statements change that run there, in its own namespace."""

    def __init__(self, session: "Session", statements: Sequence[Statement]) -> None:
        trees: list[ast.AST] = [statement.node for statement in statements]
        start = namespace.start_names(trust=session.trust)
        used = [] if pure.changes_nothing(trees, session.names, start) else apart.used(trees, session.names)
        self._session, self._used = session, sorted(each for each in used if each not in start)
        self._carried, self._before = _carried(trees, session.names), _states(session.names, self._used)

    def told(self, name: str) -> list[str]:
        """A sentence where some are no longer what they were."""
        after = _states(self._session.names, self._used)
        changed = list(dict.fromkeys((*_changed(self._before, after), *self._carried)))
        which = f"{', '.join(changed[:3])}{' and more' if len(changed) > 3 else ''}"
        return [f'"{name}" has changed {which}, in every call: %bench works on copies'] if changed else []


class _Copier(apart.Copier):
    """Copies as much as there is memory for, with as much left."""

    def check_size(self, values: list[Any]) -> None:
        self.limit = (environment.available_nbytes() or sys.maxsize) // 2
        super().check_size(values)


def _is_compiled(value: Any) -> bool:
    """Whether this is what torch.compile made."""
    return hasattr(value, "_torchdynamo_orig_callable") or hasattr(value, "_orig_mod")


def _elements(value: Any) -> int:
    match value:
        case torch.Tensor():
            return value.numel()
        case np.ndarray():
            return value.size
        case list() | tuple():
            return len(value)
    return 1


def _nodes(trees: Iterable[ast.AST], kind: type[_Node]) -> Iterator[_Node]:
    return (node for tree in trees for node in ast.walk(tree) if isinstance(node, kind))


def _calls_numpy(trees: Sequence[ast.AST]) -> bool:
    """Whether some of this is computed by NumPy: a call of one of its functions, or of an array that it makes."""
    functions = (node.func for node in _nodes(trees, ast.Call) if isinstance(node.func, ast.Attribute))
    return any(f.attr == "numpy" or (isinstance(f.value, ast.Name) and f.value.id == "np") for f in functions)


def _carried(trees: Sequence[ast.AST], names: Mapping[str, Any]) -> list[str]:
    """The names that each run finds as the last one left them: read before they are bound, and bound."""
    read: dict[str, None] = {}
    bound: set[str] = set()
    for tree in trees:
        counters = [node.target.id for node in _nodes([tree], ast.AugAssign) if isinstance(node.target, ast.Name)]
        loads = [node.id for node in _nodes([tree], ast.Name) if isinstance(node.ctx, ast.Load)]
        read |= dict.fromkeys(name for name in (*counters, *loads) if name not in bound)
        bound |= {node.id for node in _nodes([tree], ast.Name) if isinstance(node.ctx, ast.Store)}
    return [name for name in read if name in bound and name in names]


def _states(names: Mapping[str, Any], used: Iterable[str]) -> dict[str, Any]:
    return {name: _state(names[name]) for name in used if name in names}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name, state in before.items() if after.get(name, state) != state]


def _state(value: Any) -> Any:
    """What changes when a value does: how often its tensors and their gradients were written to, and what it holds."""
    try:
        behind = apart.reachable([value])
    except apart.NoCopy:
        return None
    tensors = [x for x in behind if isinstance(x, torch.Tensor) and not x.is_inference()]
    return _contents(value, DEEPEST), [(id(x), x._version, x.grad is not None and x.grad._version) for x in tensors]


def _contents(value: Any, depth: int) -> Any:
    """What a list or dict holds, so many levels of them; of a long one its length alone."""
    if isinstance(value, _PLAIN):
        return value
    if not isinstance(value, list | tuple | dict | set | bytearray) or depth == 0:
        return id(value)
    if len(value) > LONGEST or isinstance(value, set | bytearray):
        return len(value)
    items = value.items() if type(value) is dict else value if type(value) in (list, tuple) else ()
    return len(value), [_contents(each, depth - 1) for each in items]


_PLAIN = (bool, int, float, complex, str, bytes, type(None))
