"""A session in a file: all its names with what they share, its random numbers and settings, bit for bit."""

import importlib
import io
import marshal
import os
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from tensorcli.engine import apart, randomness

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

OWN = "__main__"  # the module of functions that were typed


class NotKept(Exception):
    """Why a session has no place in a file, in a few words."""


class PutOff(Exception):
    """There is something to answer first."""


def save(session: "Session", path: Path, *, max_nbytes: int, give_up: Callable[[], bool] = lambda: False) -> int:
    """Write a session to a file, which is there whole or not at all; its bytes.

    Raises NotKept: for autograd's graphs, hooks and generators, for what is too large, and for an OSError. Raises
    PutOff soon after `give_up` says so.
    """
    names = {name: value for name, value in session.names.items() if session.start.get(name, session) is not value}
    grads: list[tuple[torch.Tensor, torch.Tensor]] = []  # which pickle leaves out: found while it takes the names
    try:
        _check(list(names.values()), max_nbytes)
        state = {
            "names": names,
            "grads": grads,
            "gone": [name for name in session.start if name not in session.names],
            "random": randomness.state(),
            "settings": session.settings(),
            "library": apart.settings(),
            "inputs": session.inputs,
            "held": session.held,
            "sources": session.sources,
        }
        fresh = path.with_suffix(".new")
        with _File(fresh, give_up) as file:
            torch.save(state, file, pickle_module=_pickling(session.start, grads, give_up))
        if file.given_up:
            raise PutOff
        os.replace(fresh, path)
    except PutOff:
        raise
    except (apart.NoCopy, NotKept) as error:
        raise NotKept(str(error)) from None
    except Exception as error:  # pickle raises whatever a value's own methods do
        raise NotKept(f"{type(error).__name__}: {error}".split("\n")[0][:200]) from None
    finally:
        path.with_suffix(".new").unlink(missing_ok=True)
    return path.stat().st_size


def copy(values: dict[str, Any], path: Path, *, max_nbytes: int) -> None:
    """Write what was loaded to a file of our own, whole or not at all: then only the file it came from has it."""
    fresh = path.with_suffix(".new")
    try:
        _check(list(values.values()), max_nbytes)
        with _File(fresh, lambda: file.tell() > max_nbytes) as file:
            torch.save(values, file)
        if not file.given_up:
            os.replace(fresh, path)
    except Exception:  # not kept, as a tensor that is pretended, or a full disk: nothing was promised
        pass
    finally:
        fresh.unlink(missing_ok=True)


def copied(path: Path) -> dict[str, Any] | None:
    """What was loaded, from the file to which it was copied; None without one that can be read."""
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception:
        return None
    return found


class _File(io.FileIO):
    """A file to write that may be given up between two pieces: then it takes the rest and writes nothing.

    An exception in the middle of torch's own writing would leave a file that is half closed.
    """

    PIECE = 1 << 23

    def __init__(self, path: Path, give_up: Callable[[], bool]) -> None:
        super().__init__(path, "w")
        self.given_up, self._give_up = False, give_up

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        while left and not self.given_up:
            self.given_up = self._give_up()
            left = left[super().write(left[: self.PIECE]) :]
        return memoryview(data).nbytes


def load(session: "Session", path: Path) -> None:
    """Make a session what it was when it was saved. Raises NotKept where the file cannot be read."""
    _World.names, _World.start = session.names, session.start
    try:
        state = torch.load(path, weights_only=False, pickle_module=_pickling(session.start, [], lambda: False))
    except Exception as error:
        raise NotKept(f"{type(error).__name__}: {error}".split("\n")[0][:200]) from None
    finally:
        _World.names, _World.start = {}, {}
    session.names.update(state["names"])
    for name in state["gone"]:
        session.names.pop(name, None)
    for x, grad in state["grads"]:
        x.grad = grad
    session.inputs, session.held = state["inputs"], state["held"]
    session.sources.update(state["sources"])
    session.restore_settings(state["settings"])
    apart.put_settings(state["library"])
    randomness.restore(state["random"])


def _check(values: list[Any], max_nbytes: int) -> None:
    """Raise NotKept for what a file would take too much of, or could not share as it is shared now."""
    behind = apart.reachable(values)
    storages = {
        x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
        for x in behind
        if isinstance(x, torch.Tensor) and x.layout is torch.strided
    }
    arrays = [x for x in behind if isinstance(x, np.ndarray)]
    if any(x.base is not None for x in arrays) or any(x.nbytes and x.ctypes.data in storages for x in arrays):
        raise NotKept("an array that shares its memory")
    nbytes = sum(storages.values()) + sum(x.nbytes for x in arrays)
    if nbytes > max_nbytes:
        raise NotKept(f"{nbytes:,} bytes of tensors, and {max_nbytes:,} are the most")


def _whole(value: Any, grads: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Note a tensor's gradient. Raises NotKept for what pickle would take something away from."""
    match value:
        case torch.Tensor():
            if value.grad_fn is not None:
                raise NotKept("a tensor with autograd's graph behind it")
            if value._backward_hooks or getattr(value, "_post_accumulate_grad_hooks", None) or value.is_inference():
                raise NotKept("a tensor with hooks, or of inference mode")
            if value.grad is not None:
                grads.append((value, value.grad))
        case torch.nn.Module() | torch.optim.Optimizer():
            hooked = any(held and "hook" in name for name, held in vars(value).items() if isinstance(held, dict))
            if hooked or isinstance(value, torch.optim.LBFGS):
                raise NotKept("a model or optimizer with hooks")


class _World:
    """Where functions that are being loaded find their globals."""

    names: ClassVar[dict[str, Any]] = {}
    start: ClassVar[dict[str, Any]] = {}


def _pickling(
    start: dict[str, Any], grads: list[tuple[torch.Tensor, torch.Tensor]], give_up: Callable[[], bool]
) -> Any:
    """A module like pickle for a session that began with these names; `grads` takes the gradients that it comes by.

    Raises PutOff as soon as `give_up` says so.
    """
    own = {id(value): name for name, value in start.items() if not isinstance(value, str)}

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if give_up():
                raise PutOff
            if id(value) in own:
                return _started, (own[id(value)],)
            if isinstance(value, types.FunctionType) and value.__module__ == OWN:
                return _reduced(value)
            if isinstance(value, types.ModuleType):
                return importlib.import_module, (value.__name__,)
            if isinstance(value, types.CellType):
                return _cell, ()
            _whole(value, grads)
            return NotImplemented

    found = types.ModuleType("pickling")
    vars(found).update(vars(pickle), Pickler=Pickler)
    return found


def _cell() -> types.CellType:
    return types.CellType()


def _started(name: str) -> Any:
    return _World.start[name]


def _reduced(function: types.FunctionType) -> tuple[Any, ...]:
    """How a function of the session's is made again: from its code, over the session's names."""
    cells = [_content(cell) for cell in function.__closure__ or ()]
    facts = {name: getattr(function, name) for name in _FACTS}
    state = facts, cells, vars(function)
    made = marshal.dumps(function.__code__), function.__name__, function.__module__, function.__closure__
    return _function, made, state, None, None, _fill


_EMPTY = "nothing in a cell"


def _content(cell: types.CellType) -> Any:
    try:
        return [cell.cell_contents]
    except ValueError:
        return _EMPTY


_FACTS = ("__defaults__", "__kwdefaults__", "__qualname__", "__annotations__", "__doc__")


def _function(code: bytes, name: str, module: str, cells: tuple[types.CellType, ...] | None) -> types.FunctionType:
    made = types.FunctionType(marshal.loads(code), _World.names, name, None, cells)
    made.__module__ = module
    return made


def _fill(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Give a function, and the cells that it may share with others, what may hold the function itself."""
    facts, cells, attributes = state
    for name, value in facts.items():
        setattr(function, name, value)
    for cell, content in zip(function.__closure__ or (), cells, strict=True):
        if content != _EMPTY:
            (cell.cell_contents,) = content
    vars(function).update(attributes)
