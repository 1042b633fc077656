"""Evaluating apart from the session: on copies of what is used, with everything global put back afterwards."""

import ast
import copy
import gc
import io
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

import numpy as np
import torch

from tensorcli import language
from tensorcli.engine import environment, gradients, interrupts, namespace, pretend, randomness

FILENAME = "<apart {}>"  # of the code that is run here, by the statement's position
MAX_NBYTES = 32 << 20  # of all that is copied
MAX_OBJECTS = 20_000  # looked at to find the tensors among them
TWINS = ".twins"  # the name, which no text can spell, of the pairs of a tensor of the session and its copy


class TooLarge(Exception):
    """What would have to be copied is too large."""


class NoCopy(Exception):
    """Something cannot be copied, or has no shapes to predict: a generator, for instance."""


_PRINT = torch._tensor_str.PRINT_OPTS
_PRINT_NAMES = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")

# What the library keeps for all, which a statement may change: how to get it, and how to put it back.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (lambda: str(environment.default_device()), environment.set_default_device),
    (lambda: {name: getattr(_PRINT, name) for name in _PRINT_NAMES}, vars(_PRINT).update),
    (np.get_printoptions, lambda options: np.set_printoptions(**options)),
)


def settings() -> list[Any]:
    """What the library keeps for all, as it is now."""
    return [get() for get, _ in _SETTINGS]


def put_settings(values: list[Any]) -> bool:
    """Make them what `settings` gave; whether any was another."""
    changed = [(put, value) for (get, put), value in zip(_SETTINGS, values, strict=True) if get() != value]
    for put, value in changed:
        put(value)
    return bool(changed)


@contextmanager
def apart(*, seconds: float | None, random_state: torch.Tensor | None = None, gently: bool = False) -> Iterator[None]:
    """Within it nothing is printed or warned of, and random states and torch's settings are put back at its end.

    Raises TimeoutError in the evaluation after `seconds`, `gently` as `interrupts.deadline` does. `random_state` is
    where torch's generator begins.
    """
    before = settings()
    with randomness.put_back(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if random_state is not None:
            torch.set_rng_state(random_state)
        try:
            with interrupts.deadline(seconds, gently=gently) if seconds is not None else nullcontext():
                yield
        finally:
            put_settings(before)


# Under --trust no gate keeps what is tried from the world outside: Python's audit events do.

_OUTSIDE = (
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "urllib.",
    "ftplib.",
    "smtplib.",
    "sqlite3.",
    "winreg.",
    "pty.",
    "ctypes.",
)
_LOOKS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.add_dll_directory")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Closed:
    """Whether the world outside is closed to this thread."""

    thread: int | None = None
    hooked = False


@contextmanager
def closed() -> Iterator[None]:
    """Within it this thread opens no file for writing, starts nothing and connects to nothing: PermissionError."""
    if not _Closed.hooked:
        sys.addaudithook(_audit)
        _Closed.hooked = True
    _Closed.thread = threading.get_ident()
    writer, start = torch._C.PyTorchFileWriter, threading.Thread.start  # these raise no events
    torch._C.PyTorchFileWriter = _no_file  # type: ignore[misc, assignment]
    threading.Thread.start = _no_thread  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        _Closed.thread = None
        torch._C.PyTorchFileWriter, threading.Thread.start = writer, start  # type: ignore[misc, method-assign]


def _no_file(*_arguments: Any, **_options: Any) -> Any:
    raise PermissionError("torch.save is out of reach while an edit is tried")


def _no_thread(_thread: threading.Thread) -> None:
    raise PermissionError("another thread is out of reach while an edit is tried")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _Closed.thread is None or _Closed.thread != threading.get_ident():
        return
    if event == "open":
        outside = bool(len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & _WRITES)
    else:
        outside = event.startswith(_OUTSIDE) and event not in _LOOKS
    if outside:  # an OSError: Python's own import goes on without its cache
        raise PermissionError(f"{event} is out of reach while an edit is tried")


# Copies.


def used(trees: Iterable[ast.AST], scope: Mapping[str, Any]) -> set[str]:
    """The names of `scope` that the trees mention, and those that the functions among them mention."""
    wanted = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found: set[str] = set()
    while fresh := (wanted & scope.keys()) - found:
        found |= fresh
        wanted = {name for key in fresh for name in mentioned(scope[key])}
    return found


def mentioned(value: Any) -> Iterator[str]:
    """The names in a function's code, and in the code within that; none of anything else."""
    codes = [value.__code__] if isinstance(value, types.FunctionType) else []
    while codes:
        code = codes.pop()
        yield from code.co_names
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def copies(
    scope: Mapping[str, Any], names: Iterable[str], *, start: Mapping[str, Any], kind: "type[Copier] | None" = None
) -> dict[str, Any]:
    """Copies of the named values that share with each other what the originals share, and nothing with these.

    A tensor that autograd made keeps its place in the graph. `start` are the names that any session starts with: what
    a function may call is bound when it is made. `kind` says how each is copied. Raises TooLarge, NoCopy.
    """
    chosen = {name: scope[name] for name in names}
    world = dict(start)
    copier = (kind or Copier)(world)
    reached = reachable(chosen.values())
    copier.check_size(reached)
    try:
        for value in sorted(reached, key=_is_method):  # a method's owner may hold what else is reached
            copier.prepare(value)
        world.update((name, copier.copied(value)) for name, value in chosen.items())
    except (TypeError, RuntimeError, ValueError, RecursionError, AttributeError) as error:
        raise NoCopy(str(error)) from None
    copier.fill()
    world[TWINS] = copier.twins
    return world


_PLAIN = (
    int, float, complex, str, bytes, bool, type(None), type, types.ModuleType, types.CodeType, namespace.Namespace,
    torch.dtype, torch.device, torch.Size, torch.SymInt, torch.SymBool, types.BuiltinFunctionType, range,
)  # fmt: skip


def reachable(values: Iterable[Any]) -> list[Any]:
    """The tensors, arrays, functions and generators that values hold, themselves among them."""
    seen: dict[int, Any] = {}
    waiting = list(values)
    found = []
    while waiting:
        interrupts.may_stop()
        value = waiting.pop()
        if id(value) in seen or (isinstance(value, _PLAIN) and not _is_method(value)):
            continue
        seen[id(value)] = value
        if len(seen) > MAX_OBJECTS:
            raise NoCopy(f"more than {MAX_OBJECTS:,} objects")
        if isinstance(value, torch.Tensor):
            found.append(value)
            waiting += [value.grad] if value.is_leaf and value.grad is not None else []
        elif isinstance(value, np.ndarray | types.FunctionType | torch.Generator) or _is_method(value):
            found.append(value)
            if _is_method(value):
                waiting.append(value.__self__)
            elif isinstance(value, types.FunctionType):
                waiting += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
                waiting += [*(cell.cell_contents for cell in value.__closure__ or ())]
        else:
            waiting += gc.get_referents(value)
    return found


def _refuse_hooks(value: torch.Tensor) -> None:
    """Raise NoCopy for a tensor of the session's graph with hooks: a backward through it would call them."""
    if _has_hooks(value):
        raise NoCopy("a tensor with hooks")


def _has_hooks(value: Any) -> bool:
    hooks = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return isinstance(value, torch.Tensor) and any(getattr(value, name, None) for name in hooks)


def _is_method(value: Any) -> bool:
    """Whether this is bound to a value: `log.append`, `x.add_`; and no function of a library."""
    return isinstance(value, types.BuiltinMethodType) and not isinstance(
        value.__self__, types.ModuleType | type | types.NoneType
    )


class Copier:
    """Makes each copy once. `world` will be the globals of the functions among them."""

    limit = MAX_NBYTES

    def __init__(self, world: dict[str, Any]) -> None:
        self._world = world
        self._memo: dict[int, Any] = {}
        self._storages: dict[int, torch.Tensor] = {}
        self.twins: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._kept: list[Any] = []  # the originals: their ids must stay theirs
        self._later: list[Callable[[], None]] = []

    def check_size(self, values: list[Any]) -> None:
        """Raise TooLarge where the storages behind the values take too much memory."""
        sizes: dict[int, int] = {}
        for value in values:
            if isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_nested:
                storage = value.untyped_storage()
                sizes[storage.data_ptr() or id(value)] = 0 if value.is_meta else storage.nbytes()
            elif isinstance(value, np.ndarray):
                sizes[id(value)] = value.nbytes
        if sum(sizes.values()) > self.limit:
            raise TooLarge(f"{sum(sizes.values()):,} bytes")

    def copied(self, value: Any) -> Any:
        """The copy of any value."""
        return value if isinstance(value, _PLAIN) and not _is_method(value) else copy.deepcopy(value, self._memo)

    def prepare(self, value: Any) -> None:
        """Make the copy of a tensor, array, function or generator, unless it is there."""
        interrupts.may_stop()
        if id(value) in self._memo:
            return
        self._kept.append(value)
        match value:
            case torch.Tensor():
                fresh: Any = self.tensor(value)
                self.twins.append((value, fresh))
            case np.ndarray():
                fresh = self.array(value)
            case types.FunctionType():
                fresh = self._function(value)
            case torch.Generator():
                fresh = torch.Generator(value.device).set_state(value.get_state())
            case _:
                fresh = getattr(self.copied(value.__self__), value.__name__)
        self._memo[id(value)] = fresh

    def array(self, value: np.ndarray) -> np.ndarray:
        """A copy with the same order of strides, negative ones included."""
        turned = tuple(axis for axis, stride in enumerate(value.strides) if stride < 0)
        return np.flip(np.flip(value, turned).copy(order="K"), turned)

    def tensor(self, value: torch.Tensor) -> torch.Tensor:
        """A copy on a copy of the storage; one that autograd made stays a node of its graph."""
        if value.grad_fn is not None:
            _refuse_hooks(value)
            return value.clone()
        with torch.no_grad():
            fresh = self._on_storage(value) if _has_plain_storage(value) else value.detach().clone()
        pretend.carry(value, fresh)
        if isinstance(value, torch.nn.Parameter):
            fresh = torch.nn.Parameter(fresh, value.requires_grad)
        elif value.requires_grad:
            fresh.requires_grad_()
        self.copy_grad(value, fresh)
        return fresh

    def copy_grad(self, value: torch.Tensor, fresh: torch.Tensor) -> None:
        """Give a leaf's copy the copy of its gradient."""
        if value.is_leaf and value.grad is not None:
            self.prepare(value.grad)
            fresh.grad = self._memo[id(value.grad)]

    def _on_storage(self, value: torch.Tensor) -> torch.Tensor:
        """The same view of a copy of its storage."""
        key = value.untyped_storage()._cdata
        if key not in self._storages:
            whole = torch.empty(0, dtype=torch.uint8, device="cpu").set_(value.untyped_storage())
            self._storages[key] = whole.clone()
        base = torch.empty(0, dtype=value.dtype, device="cpu").set_(
            self._storages[key].untyped_storage(), value.storage_offset(), value.shape, value.stride()
        )
        return base

    def _function(self, value: types.FunctionType) -> types.FunctionType:
        if value.__module__ != "__main__":  # a library's own
            return value
        cells = tuple(types.CellType() for _ in value.__closure__ or ())
        fresh = types.FunctionType(value.__code__, self._world, value.__name__, None, cells or None)

        def fill() -> None:
            fresh.__defaults__ = self.copied(value.__defaults__)
            fresh.__kwdefaults__ = self.copied(value.__kwdefaults__)
            for cell, original in zip(cells, value.__closure__ or (), strict=True):
                cell.cell_contents = self.copied(original.cell_contents)

        self._later.append(fill)
        return fresh

    def fill(self) -> None:
        """Give the functions their defaults and closures, now that everything else is there."""
        for fill in self._later:
            fill()


def _has_plain_storage(value: torch.Tensor) -> bool:
    plain = value.layout is torch.strided and not value.is_nested and not value.is_quantized and not value.is_meta
    return plain and value.device.type in ("cpu", "cuda" if pretend.active() else "cpu") and not value.is_neg()


# Evaluating.


@contextmanager
def _contained() -> Iterator[None]:
    """Within it what would end the process is an exception like others."""
    try:
        yield
    except (Exception, KeyboardInterrupt, interrupts.Late):
        raise
    except BaseException as error:
        raise NoCopy(f"{type(error).__name__} was raised") from None


def value_of(
    node: ast.expr,
    scope: Mapping[str, Any],
    *,
    trust: bool,
    kind: type[Copier] = Copier,
    start: Mapping[str, Any] | None = None,
) -> Any:
    """The value of an expression on copies of what it mentions. Raises TooLarge, NoCopy, what it raises itself.

    `start` are the names that it starts with, where they are not those of any session.
    """
    tree = ast.Expression(copy.deepcopy(node))
    world = world_of(scope, [tree], trust=trust, kind=kind, start=start)
    body: ast.Expression = tree if trust else language.Guarded().visit(tree)
    with interrupts.may_raise(), autograd_kept(world, scope), _contained(), closed() if trust else nullcontext():
        return eval(compile(ast.fix_missing_locations(body), FILENAME.format(0), "eval"), world)


def run(text: str, scope: Mapping[str, Any], *, trust: bool, kind: type[Copier] = Copier) -> Any:
    """Run statements on copies of what they mention; the value of the last one, or of the variable it assigns.

    Raises language.Problem, TooLarge, NoCopy, and whatever they raise themselves.
    """
    statements = language.parse(text, trust=trust)
    world = world_of(scope, [statement.node for statement in statements], trust=trust, kind=kind)
    value: Any = None
    with interrupts.may_raise(), autograd_kept(world, scope), _contained(), closed() if trust else nullcontext():
        for at, statement in enumerate(statements):
            value = eval(language.compiled(statement, filename=FILENAME.format(at), trust=trust), world)
    bound = statements[-1].bound if statements else ()
    return world[bound[0]] if bound and bound[0] in world else value


def world_of(
    scope: Mapping[str, Any],
    trees: list[Any],
    *,
    trust: bool,
    kind: type[Copier] = Copier,
    start: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The names that it starts with, and copies of those others that the trees use. Raises TooLarge, NoCopy."""
    start = namespace.start_names(trust=trust) if start is None else start
    names = {name for name in used(trees, scope) if start.get(name, Copier) is not scope[name]}
    return copies(scope, names, start=start, kind=kind)


# Autograd. The graph behind a copy is the session's own: nothing may free it, and gradients must not stay in it.


@contextmanager
def autograd_kept(world: Mapping[str, Any], scope: Mapping[str, Any]) -> Iterator["Keeping | None"]:
    """Within it backward keeps the session's graphs, and gives to copies what it would give to their originals.

    Gives what sees to that, None where the copies have no graphs. Raises NoCopy where a variable of the session's with
    hooks stands in these graphs.
    """
    twins = world.get(TWINS, [])
    roots = [value.grad_fn for value, _ in twins if value.grad_fn is not None]
    if not roots:
        yield None
        return
    hooked = {value.grad_fn for value in scope.values() if _has_hooks(value) and value.grad_fn is not None}
    if hooked and not hooked.isdisjoint(gradients.graph(roots)):
        raise NoCopy("a tensor with hooks")
    engine = torch.autograd._engine_run_backward  # type: ignore[attr-defined]
    keeping = Keeping(engine, twins, roots)
    torch.autograd._engine_run_backward = keeping  # type: ignore[attr-defined, assignment]
    try:
        yield keeping
    finally:
        torch.autograd._engine_run_backward = engine  # type: ignore[attr-defined]


class Keeping:
    """Autograd's engine, for graphs that begin in the session and go on in copies of its tensors.

    `reached` is whether anything went backward through the session's part of them.
    """

    def __init__(self, engine: Any, twins: list[tuple[torch.Tensor, torch.Tensor]], roots: list[Any]) -> None:
        self._engine = engine
        self._real = {id(node): node for node in gradients.graph(roots)}
        self._leaves = [node.variable for node in self._real.values() if hasattr(node, "variable")]
        for leaf in self._leaves:
            _refuse_hooks(leaf)
        self._copies = {id(original): twin for original, twin in twins}
        self._originals = {id(twin): original for original, twin in twins}
        self._gone: set[Any] = set()
        self.reached = False

    def __call__(
        self, tensors: Any, gradients: Any, retain: bool, create: bool, inputs: Any, *rest: Any, **options: Any
    ) -> Any:
        self._free(tensors, retain)
        both = [*inputs, *(self._originals[id(one)] for one in inputs if id(one) in self._originals)]
        if options.get("accumulate_grad"):
            return self._accumulated(
                lambda: self._engine(tensors, gradients, True, create, tuple(both), *rest, **options)
            )
        found = list(self._engine(tensors, gradients, True, create, tuple(both), True, **options))
        more = iter(found[len(inputs) :])
        sums = [
            _sum(grad, next(more)) if id(one) in self._originals else grad
            for one, grad in zip(inputs, found, strict=False)
        ]
        if any(grad is None for grad in sums) and not any(rest):
            raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph")
        return tuple(sums)

    def _free(self, tensors: Any, retain: bool) -> None:
        """Remember what a backward without retain_graph would free, and raise where it is gone already."""
        walked = set(gradients.graph([tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]))
        self.reached |= any(id(node) in self._real for node in walked)
        if walked & self._gone:
            raise RuntimeError("Trying to backward through the graph a second time")
        if not retain:
            self._gone.update(filter(_saves, walked))

    def _accumulated(self, run: Callable[[], Any]) -> Any:
        """Run backward; what the session's leaves get is their copies', and they are as they were."""
        before = [(leaf, leaf.grad) for leaf in self._leaves]
        try:
            for leaf, _ in before:
                leaf.grad = None
            result = run()
            for leaf, _ in before:
                twin = self._copies.get(id(leaf))
                if twin is not None and leaf.grad is not None:
                    twin.grad = _sum(twin.grad, leaf.grad)
            return result
        finally:
            for leaf, grad in before:
                leaf.grad = grad


def _sum(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    return b if a is None else a if b is None else a + b


def _saves(node: Any) -> bool:
    """Whether a node of a graph keeps tensors for backward: those are what backward frees."""
    return hasattr(node, "saved_tensors") or any(name.startswith("_raw_saved_") for name in dir(node))
