"""A session in a file: all its names with what they share, its random numbers and settings, bit for bit."""

import importlib
import io
import marshal
import os
import pickle
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tensorcli.engine import apart, randomness

if TYPE_CHECKING:
    from tensorcli.engine.session import Session

OWN = ("tensorcli", "__main__")  # the modules of functions that were typed


class NotKept(Exception):
    """Why a session has no place in a file, in a few words."""


def save(session: "Session", path: Path, *, max_nbytes: int) -> int:
    """Write a session to a file, which is there whole or not at all; its bytes.

    Raises NotKept: for autograd's graphs, hooks and generators, for what is too large, and for an OSError.
    """
    names = {name: value for name, value in session.names.items() if session.start.get(name, session) is not value}
    try:
        state = {
            "names": names,
            "grads": _checked(list(names.values()), max_nbytes),
            "random": randomness.state(),
            "settings": session.settings(),
            "inputs": session.inputs,
            "held": session.held,
            "sources": session.sources,
        }
        written = io.BytesIO()
        torch.save(state, written, pickle_module=_pickling(session.start))
        fresh = path.with_suffix(".new")
        fresh.write_bytes(written.getbuffer())
        os.replace(fresh, path)
    except (apart.NoCopy, NotKept) as error:
        raise NotKept(str(error)) from None
    except Exception as error:  # pickle raises whatever a value's own methods do
        raise NotKept(f"{type(error).__name__}: {error}".split("\n")[0][:200]) from None
    return written.getbuffer().nbytes


def load(session: "Session", path: Path) -> None:
    """Make a session what it was when it was saved. Raises NotKept where the file cannot be read."""
    _World.names, _World.start = session.names, session.start
    try:
        state = torch.load(path, weights_only=False, pickle_module=_pickling(session.start))
    except Exception as error:
        raise NotKept(f"{type(error).__name__}: {error}".split("\n")[0][:200]) from None
    finally:
        _World.names, _World.start = {}, {}
    session.names.update(state["names"])
    for x, grad in state["grads"]:
        x.grad = grad
    session.inputs, session.held = state["inputs"], state["held"]
    session.sources.update(state["sources"])
    session.restore_settings(state["settings"])
    randomness.restore(state["random"])


def _checked(values: list[Any], max_nbytes: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The tensors that have gradients, and these. Raises NotKept for what a file could not give back as it is."""
    storages: dict[int, int] = {}
    grads = []
    for value in apart.reachable(values):
        if isinstance(value, torch.Tensor):
            if value.grad_fn is not None:
                raise NotKept("a tensor with autograd's graph behind it")
            if value._backward_hooks or getattr(value, "_post_accumulate_grad_hooks", None):
                raise NotKept("a tensor with hooks")
            if value.grad is not None:
                grads.append((value, value.grad))
            if value.layout is torch.strided:
                storages[value.untyped_storage()._cdata] = value.untyped_storage().nbytes()
    if (nbytes := sum(storages.values())) > max_nbytes:
        raise NotKept(f"{nbytes:,} bytes of tensors, and {max_nbytes:,} are the most")
    return grads


class _World:
    """Where functions that are being loaded find their globals."""

    names: ClassVar[dict[str, Any]] = {}
    start: ClassVar[dict[str, Any]] = {}


def _pickling(start: dict[str, Any]) -> Any:
    """A module like pickle for a session that began with these names."""
    own = {id(value): name for name, value in start.items() if not isinstance(value, str)}

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if id(value) in own:
                return _started, (own[id(value)],)
            if isinstance(value, types.FunctionType) and value.__module__ in OWN:
                return _reduced(value)
            if isinstance(value, types.ModuleType):
                return importlib.import_module, (value.__name__,)
            return NotImplemented

    found = types.ModuleType("pickling")
    vars(found).update(vars(pickle), Pickler=Pickler)
    return found


def _started(name: str) -> Any:
    return _World.start[name]


def _reduced(function: types.FunctionType) -> tuple[Any, ...]:
    """How a function of the session's is made again: from its code, over the session's names."""
    cells = [_content(cell) for cell in function.__closure__ or ()]
    state = (function.__defaults__, function.__kwdefaults__, cells, vars(function), function.__qualname__)
    made = marshal.dumps(function.__code__), function.__name__, function.__module__
    return _function, made, state, None, None, _fill


_EMPTY = "nothing in a cell"


def _content(cell: types.CellType) -> Any:
    try:
        return [cell.cell_contents]
    except ValueError:
        return _EMPTY


def _function(code: bytes, name: str, module: str) -> types.FunctionType:
    found = marshal.loads(code)
    cells = tuple(types.CellType() for _ in found.co_freevars)
    made = types.FunctionType(found, _World.names, name, None, cells or None)
    made.__module__ = module
    return made


def _fill(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Give a function what may hold the function itself."""
    function.__defaults__, function.__kwdefaults__, cells, attributes, function.__qualname__ = state
    for cell, content in zip(function.__closure__ or (), cells, strict=True):
        if content != _EMPTY:
            (cell.cell_contents,) = content
    vars(function).update(attributes)
