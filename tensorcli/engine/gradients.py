"""The graph that autograd recorded behind a value, and the gradients that a backward would leave in its leaves."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from tensorcli import report
from tensorcli.engine import describe

_LEAF = "AccumulateGrad"


def functions(value: Any) -> tuple[report.GraphFunction, ...]:
    """The kinds of functions in the graph behind a value, from the value to its leaves, and how many there are."""
    if not isinstance(value, torch.Tensor) or value.grad_fn is None:
        return ()
    names = Counter(type(node).__name__ for node in graph([value.grad_fn]) if type(node).__name__ != _LEAF)
    return tuple(report.GraphFunction(name=name, count=count) for name, count in names.items())


def gradients(value: Any, names: Mapping[str, Any]) -> tuple[report.Gradient, ...]:
    """What `value.sum().backward()` would leave in each leaf; nothing is left there.

    Raises what torch raises, and RuntimeError where hooks of the session's would be called.
    """
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return ()
    leaves = _leaves(value)
    if any(getattr(leaf, "_backward_hooks", None) for leaf in leaves):
        raise RuntimeError("its leaves have hooks, which a backward would call")
    total = value.real.sum() if value.is_complex() else value.sum()
    found = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
    known = dict(_named(names))
    return tuple(
        report.Gradient(
            name=known.get(id(leaf)),
            shape=describe.shape_of(leaf),
            dtype=describe.dtype_name(leaf.dtype),
            device=str(leaf.device),
            norm=None if grad is None else _norm(grad),
            reached=grad is not None,
        )
        for leaf, grad in zip(leaves, found, strict=True)
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


def _leaves(value: torch.Tensor) -> list[torch.Tensor]:
    if value.grad_fn is None:
        return [value]
    return [node.variable for node in graph([value.grad_fn]) if hasattr(node, "variable")]


def _norm(grad: torch.Tensor) -> report.Number:
    """The 2-norm; None of what has no elements."""
    values = grad.coalesce().values() if grad.is_sparse else grad
    try:
        return report.number(float(torch.linalg.vector_norm(values)))  # type: ignore[no-any-return]
    except Exception:  # torch's own words for it depend on what kind of tensor that is
        return None


def _named(names: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """The tensors that have a name: variables, and the parameters of models."""
    for name, value in names.items():
        if isinstance(value, torch.Tensor):
            yield id(value), name
        elif isinstance(value, torch.nn.Module):
            yield from ((id(part), f"{name}.{path}") for path, part in value.named_parameters())
