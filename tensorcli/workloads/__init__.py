"""The table of benchmarks: each module here holds one `WORKLOAD`, and none imports torch before it is run."""

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tensorcli import report

FLOATS = ("float32", "float64", "float16", "bfloat16", "tf32")
INTEGERS = ("int64", "int32")


@dataclass(frozen=True)
class Parts:
    """How a loop over a size n can be cut: into `count(n)` equal parts of `steps(n)` steps each."""

    count: Callable[[int], int]
    steps: Callable[[int], int]


@dataclass(frozen=True)
class Variant:
    """One way to do a workload: an expression of its inputs and functions, as one would type it.

    An expression of a variant with `parts` names them too, and then does only the first so many of them.
    `setup` runs once before. `scratch_nbytes(n, itemsize)` is what it needs beside inputs and result, where that is
    more than they. `lacking(device)` says why it cannot run there: a sentence, or None.
    """

    name: str
    text: str
    parts: Parts | None = None
    setup: str = ""
    scratch_nbytes: Callable[[int, int], int] | None = None
    lacking: Callable[[str], str | None] | None = None


@dataclass(frozen=True)
class Workload:
    """A benchmark at sizes n. Its first variant is the one that the others are compared with.

    `inputs(n, device=, dtype=, seed=)` gives the tensors by name; `reference` of float64 ones is what every variant's
    result must agree with; `terms(n)` is how many products each element of it sums, and `roundings` how often one
    that no loop sums is rounded to the dtype, at most; `flops(n)` and `nbytes(n, itemsize)` are the work and the least
    traffic of one call. `functions` are named in expressions.
    """

    name: str
    title: str
    sizes: tuple[int, ...]
    dtypes: tuple[str, ...]
    inputs: Callable[..., dict[str, Any]]
    variants: tuple[Variant, ...]
    reference: str
    terms: Callable[[int], int]
    roundings: int
    flops: Callable[[int], int]
    nbytes: Callable[[int, int], int]
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


def table() -> dict[str, Workload]:
    """Every workload by its name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found: list[Workload] = [module.WORKLOAD for module in modules]
    return {workload.name: workload for workload in found}


def listing() -> Iterator[report.Output]:
    """What there is to measure, one paragraph a workload: each variant with its expression."""
    for workload in table().values():
        width = max(len(variant.name) for variant in workload.variants)
        lines = (
            f"{workload.name}  {workload.title}",
            f"  sizes   {', '.join(f'{size:,}' for size in workload.sizes)}",
            f"  dtypes  {', '.join(workload.dtypes)}",
            *(f"  {variant.name:{width}}  {variant.text}" for variant in workload.variants),
        )
        yield report.Output(text="\n".join(lines) + "\n")


def bounded(terms: int, *, factors: int = 1) -> float:
    """What to scale inputs by so that a sum of so many products of them is below float16's 65,504: a power of two."""
    return 0.5 ** -(-max(0, (terms - 1).bit_length() - 16) // factors)


def uniform(count: int, *shape: int, device: str, dtype: str, seed: int, scale: float = 1.0) -> tuple[Any, ...]:
    """`count` tensors of numbers from [0, `scale`), of integers from 0 to 9, the same ones on every device.

    None is negative: sums of their products cannot cancel, so that relative errors mean something. The generators
    of the session are left alone.
    """
    import torch

    kind = getattr(torch, dtype)
    draw = torch.Generator(device="cpu").manual_seed(seed)
    drawn_as = torch.float64 if dtype == "float64" else torch.float32

    def one() -> torch.Tensor:
        if kind.is_floating_point:
            return torch.rand(shape, generator=draw, dtype=drawn_as, device="cpu").mul_(scale)
        return torch.randint(10, shape, generator=draw, dtype=kind, device="cpu")

    return tuple(one().to(device=device, dtype=kind) for _ in range(count))


def no_compiler(device: str) -> str | None:
    """Why torch.compile cannot make code for a device, as far as that can be told without trying."""
    import importlib.util
    import os
    import shutil

    if device == "cpu":
        compilers = (os.environ.get("CXX", ""), "c++", "g++", "clang++", "cl")
        return None if any(name and shutil.which(name) for name in compilers) else "there is no C++ compiler"
    return None if importlib.util.find_spec("triton") else "Triton is not installed"
