"""The graph that autograd recorded behind a value, and the gradients that a backward would leave in its leaves."""

import gc
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch

from tensorcli import report
from tensorcli.engine import describe

MAX_FUNCTIONS = 200  # listed of a graph; the others are counted
MAX_ITEMS = 100  # of a list or dict in which tensors are looked for
_DEPTH = 3  # of lists in lists
_LEAF = "AccumulateGrad"


def functions(value: Any) -> tuple[report.GraphFunction, ...]:
    """The graph behind a value as a tree, each function before those it goes on to; equal ones in a row are one."""
    roots = _roots(_tensors(value))
    places = {node: place for place, node in enumerate(graph(roots))}
    uses = Counter(before for node in places for before in _next(node))
    waiting = [(0, root) for root in reversed(roots)]
    seen: set[Any] = set()
    rows: list[report.GraphFunction] = []
    while waiting and len(rows) < MAX_FUNCTIONS:
        depth, node = waiting.pop()
        name, place, count, on = _name(node), places[node], 1, [] if node in seen else _next(node)
        seen.add(node)
        while uses[node] < 2 and len(on) == 1 and _name(on[0]) == name and uses[on[0]] < 2:
            node = on[0]
            seen.add(node)
            count, on = count + 1, _next(node)
        rows.append(report.GraphFunction(name=name, count=count, depth=depth, place=place))
        waiting += [(depth + 1, one) for one in reversed(on)]
    others = sum(node not in seen and _name(node) != _LEAF for node in places)
    return (*rows, *([report.GraphFunction(name="others", count=others)] if others else []))


def gradients(value: Any, names: Mapping[str, Any], *, end: str | None = None) -> tuple[report.Gradient, ...]:
    """What a backward from the sum of a value would leave in each leaf, in the session's order; nothing is left there.

    Of what holds no tensor, what earlier backwards left in the leaves. Raises RuntimeError with the reason where there
    are none, or where a backward would call functions of the session's. `end` is a part that ended the graph.
    """
    tensors = list(_tensors(value))
    named = {id(leaf): (name, leaf) for name, leaf in reversed(list(_leaves(names)))}
    known = {key: named[key] for key in reversed(named)}
    results = [x for x in tensors if x.requires_grad]
    if not results:
        filled = [(name, leaf) for name, leaf in known.values() if leaf.grad is not None]
        if tensors or not filled:
            raise RuntimeError(_why(value, tensors, [name for name, _ in known.values()], end))
        return tuple(_gradient(name, leaf, leaf.grad, of=".grad") for name, leaf in filled)
    nodes = list(graph(_roots(results)))
    places = {id(node.variable): place for place, node in enumerate(nodes) if _name(node) == _LEAF}
    behind = {
        id(x): x for x in [*(x for x in results if x.is_leaf), *(nodes[place].variable for place in places.values())]
    }
    reason = _called(nodes, list(behind.values()))
    if reason:
        raise RuntimeError(reason)
    leaves = {**known, **{key: (None, leaf) for key, leaf in behind.items() if key not in known}}
    try:
        with torch.enable_grad():
            sums = [x if x.layout is torch.strided else x.sum() for x in results]
        found = torch.autograd.grad(
            sums, list(behind.values()), [_ones(x) for x in sums], retain_graph=True, allow_unused=True
        )
    except RuntimeError as error:
        raise RuntimeError(_plain(str(error))) from None
    grads = dict(zip(behind, found, strict=True))
    of = _whose(value, results)
    return tuple(
        _gradient(name, leaf, grads.get(key), of=of, place=places.get(key)) for key, (name, leaf) in leaves.items()
    )


def graph(roots: Iterable[Any]) -> Iterator[Any]:
    """Every function of autograd's graph behind some of them, these first."""
    seen: set[Any] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [before for before, _ in node.next_functions]


@contextmanager
def put_back(values: Iterable[Any]) -> Iterator[None]:
    """Within it gradients may be added up; at its end leaves among and behind some values have those that they had.

    Leaves are tensors that autograd did not make, and modules' parameters.
    """
    values = list(values)
    tensors = [x for x in values if isinstance(x, torch.Tensor)]
    leaves = [x for x in tensors if x.is_leaf and x.requires_grad]
    leaves += [x for module in values if isinstance(module, torch.nn.Module) for x in module.parameters()]
    leaves += [node.variable for node in graph(_roots(tensors)) if hasattr(node, "variable")]
    before = [(leaf, leaf.grad, None if leaf.grad is None else leaf.grad.clone()) for leaf in leaves]
    try:
        yield
    finally:
        for leaf, grad, numbers in before:
            leaf.grad = grad
            if grad is not None and numbers is not None:
                grad.detach().copy_(numbers)


def _roots(tensors: Iterable[torch.Tensor]) -> list[Any]:
    return list(dict.fromkeys(x.grad_fn for x in tensors if x.grad_fn is not None))


def _next(node: Any) -> list[Any]:
    return [before for before, _ in node.next_functions if before is not None]


def _name(node: Any) -> str:
    return type(node).__name__


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a value: itself, or those in its lists and dicts."""
    return (x for _, x in _parts("", value) if isinstance(x, torch.Tensor))


def _parts(name: str, value: Any, depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    """A value, or what its lists and dicts hold, each with the text that gives it."""
    if depth and isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in islice(items, MAX_ITEMS):
            yield from _parts(f"{name}[{key!r}]" if isinstance(key, str | int) else name, item, depth - 1)
    else:
        yield name, value


def _leaves(names: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """The session's leaves that require gradients, each with its name: variables, and parameters of models."""
    for first, whole in names.items():
        for name, value in _parts(first, whole) if first[0] not in "_." else ():
            inside = value.named_parameters() if isinstance(value, torch.nn.Module) else [("", value)]
            for path, x in inside:
                if isinstance(x, torch.Tensor) and x.requires_grad and x.is_leaf:
                    yield (f"{name}.{path}" if path else name), x


def _ones(x: torch.Tensor) -> torch.Tensor:
    """The gradient of a tensor's sum; it takes no memory."""
    if x.is_nested:
        return torch.ones_like(x)
    return torch.ones((), dtype=x.dtype, device=x.device).expand(x.shape)


def _whose(value: Any, results: Sequence[torch.Tensor]) -> str:
    whole = "all results" if len(results) > 1 else "the result"
    if any(x.is_complex() for x in results):
        return f"the sum of the real part of {whole}"
    return whole if len(results) == 1 and not results[0].dim() else f"the sum of {whole}"


def _gradient(
    name: str | None, leaf: torch.Tensor, grad: torch.Tensor | None, *, of: str, place: int | None = None
) -> report.Gradient:
    values = grad.coalesce().values() if grad is not None and grad.is_sparse else grad
    return report.Gradient(
        name=name,
        shape=describe.shape_of(leaf),
        dtype=describe.dtype_name(leaf.dtype),
        device=str(leaf.device),
        norm=None if values is None else _norm(values),
        reached=grad is not None,
        of=of,
        nan=0 if values is None else _count(torch.isnan, values),
        inf=0 if values is None else _count(torch.isinf, values),
        place=place,
    )


def _count(test: Any, values: torch.Tensor) -> int:
    try:
        return int(test(values).sum())
    except Exception:  # of some kinds of tensors torch cannot say
        return 0


def _norm(values: torch.Tensor) -> report.Number:
    """The 2-norm, in numbers wide enough for it; None of what has no elements."""
    wide = torch.complex128 if values.is_complex() else torch.float64
    try:
        return report.number(float(torch.linalg.vector_norm(values, dtype=wide)))  # type: ignore[no-any-return]
    except Exception:  # torch's own words for it depend on what kind of tensor that is
        return None


# Why there are none.


def _why(value: Any, tensors: Sequence[torch.Tensor], leaves: Sequence[str], end: str | None) -> str:
    """Why nothing of a value requires gradients."""
    if not tensors:
        left = "the statement gives no result" if value is None else f"the result is no tensor, it is {_kind(value)}"
        return f"{left}, and no leaf has one in .grad"
    x = tensors[0]
    if not (x.is_floating_point() or x.is_complex()):
        return f"the result is {describe.dtype_name(x.dtype)}; only floating and complex numbers have gradients"
    if x.is_inference():
        return "the result was computed in inference mode; torch.no_grad() or nothing in its place allows them"
    if not torch.is_grad_enabled():
        return "they are turned off; torch.set_grad_enabled(True) turns them on"
    if not leaves:
        return "no tensor of the session requires them; w.requires_grad_() makes w require them"
    if end:
        return f"the graph ends at {end}"
    shown = ", ".join(leaves[:3]) + (f" and {len(leaves) - 3:,} more" if len(leaves) > 3 else "")
    return f"the result was made without {shown}, or it was detached, or computed under no_grad"


def _kind(value: Any) -> str:
    name = describe.type_name(type(value))
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _called(nodes: Sequence[Any], leaves: Sequence[torch.Tensor]) -> str | None:
    """What of the session's a backward through a graph would call."""
    if any(_name(node) == "BackwardHookFunctionBackward" for node in nodes):
        return "a module has backward hooks, which a backward would call"
    for node in nodes:
        own = getattr(type(node), "_forward_cls", None)
        if own is not None and not own.__module__.startswith("torch."):
            return f"{own.__name__} is a function of the session's own, whose backward would be called"
    known = set(nodes)
    with torch._C.DisableTorchFunction():
        alive = (x for x in gc.get_objects() if issubclass(type(x), torch.Tensor) and x.grad_fn in known)
        for x in (*leaves, *alive):
            if x._backward_hooks:
                return f"a tensor {_facts(x)} has hooks, which a backward would call"
            if not x.is_leaf and x.retains_grad:
                return f"a tensor {_facts(x)} retains its gradient, which a backward would change"
    if _lone_hooks() and gc.collect() >= 0:
        lone = _lone_hooks()
        if lone and any(_name(node) != _LEAF and _has_hooks(node) for node in nodes):
            return "a function of the graph has hooks, which a backward would call"
        if not all(_is_of_module(hook) for hooks in lone for hook in hooks.values()):
            return "a tensor that has no name any more has hooks, which a backward would call"
    return None


def _facts(x: torch.Tensor) -> str:
    return f"{describe.dtype_name(x.dtype)} {list(describe.shape_of(x))}"


def _lone_hooks() -> list[Any]:
    """The hooks that nothing in Python holds: of graphs' functions, and of tensors that are gone; torch hides which."""
    hooks = [x for x in gc.get_objects() if type(x) is OrderedDict and x and _is_hook(*next(iter(x.items())))]
    held = {id(x) for holder in gc.get_referrers(*hooks) if holder is not hooks for x in gc.get_referents(holder)}
    return [x for x in hooks if id(x) not in held]


def _is_hook(key: Any, value: Any) -> bool:
    """Whether a dict's item is a hook, other than those that stand in the graph as BackwardHookFunctionBackward."""
    return type(key) is int and callable(value) and not getattr(value, "__qualname__", "").startswith("BackwardHook.")


def _is_of_module(hook: Any) -> bool:
    """Whether torch put this on the function that gave a module's result."""
    return type(hook).__name__ == "_WrappedHook"


def _has_hooks(node: Any) -> bool:
    """Whether a function has hooks: torch shows them to one that is added."""
    for register in (node.register_hook, node.register_prehook):
        handle = register(lambda *_: None)
        hooks = handle.hooks_dict_ref()
        handle.remove()
        if hooks:
            return True
    return False


def _plain(words: str) -> str:
    """What torch says of a graph that cannot be gone through, in short."""
    if "a second time" in words:
        return "an earlier backward freed the graph; compute it again, or call that .backward(retain_graph=True)"
    changed = re.search(
        r"modified by an inplace operation: \[\S+ (\[.*?\])\](?:, which is output \d+ of (\w+))?", words
    )
    if changed:
        maker = f", the result of {changed[2]}," if changed[2] else ""
        return f"a tensor {changed[1]}{maker} was changed in place, and the backward needs it as it was; change a clone"
    return words.partition(". ")[0].removesuffix(".")
