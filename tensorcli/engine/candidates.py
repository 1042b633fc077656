"""What a benchmark measures: a workload's variants at one size, or expressions with one choice of parameters."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from tensorcli import report
from tensorcli.engine import agreement, timed
from tensorcli.engine.measure import Loop
from tensorcli.workloads import Variant, Workload

TF32 = "tf32"  # float32 whose products an NVIDIA GPU may round to 10 bits: asked for as if it were a dtype


@dataclass(frozen=True)
class Candidate:
    """One way to do the work. `value(parts)` does it once, and gives the result; `loop(parts)` does it in each turn."""

    name: str
    text: str
    value: Callable[[int | None], Any]
    loop: Callable[[int | None], Loop]
    parts: int = 1  # into which the whole can be cut
    steps: int = 1  # of each part
    scratch_nbytes: int = 0
    lack: str | None = None
    setup: str = ""


@dataclass(frozen=True)
class Plan:
    """Candidates that give the same, ready to run; `check` says whether a result is right."""

    candidates: tuple[Candidate, ...]
    check: Callable[[Any], report.Agreement | None]
    bound: float = 0.0  # the relative error that rounding explains
    flops: int | None = None
    nbytes: int | None = None


def dtype_of(name: str) -> torch.dtype:
    """The dtype of a row: that of tf32 is float32."""
    found: torch.dtype = torch.float32 if name == TF32 else getattr(torch, name)
    return found


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Within it float32 products keep all their bits, or with tf32 need not."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if dtype == TF32 else "highest")
    torch.backends.cudnn.allow_tf32 = dtype == TF32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def of_workload(workload: Workload, variants: Sequence[Variant], *, n: int, device: str, dtype: str, seed: int) -> Plan:
    """Some of a workload's variants, on inputs that are made now. Raises what making them raises."""
    itemsize = dtype_of(dtype).itemsize
    inputs = workload.inputs(n, device=device, dtype=str(dtype_of(dtype)).removeprefix("torch."), seed=seed)
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, **workload.functions}
    where = "cpu" if device == "mps" else device  # which has no float64
    exact = {name: x.to(where, torch.float64) for name, x in inputs.items() if isinstance(x, torch.Tensor)}
    reference = eval(workload.reference, {**names, **inputs, **exact})
    bound = agreement.tolerance(dtype_of(dtype), terms=workload.terms(n))
    return Plan(
        candidates=tuple(
            _variant(variant, {**names, **inputs}, n=n, device=device, itemsize=itemsize) for variant in variants
        ),
        check=partial(agreement.compare, reference=reference, name=f"float64 {workload.name}", bound=bound),
        bound=bound,
        flops=workload.flops(n) or None,
        nbytes=workload.nbytes(n, itemsize),
    )


def needed_nbytes(workload: Workload, n: int, dtype: str) -> int:
    """What a workload's inputs and result take, with the same in float64 for the reference."""
    return workload.nbytes(n, dtype_of(dtype).itemsize) + workload.nbytes(n, 8)


def _variant(variant: Variant, names: dict[str, Any], *, n: int, device: str, itemsize: int) -> Candidate:
    own = dict(names)
    prepared = False
    # Not texts: a KeyboardInterrupt out of a text that is evaluated makes Python end with 130, whoever catches it.
    setup, work = compile(variant.setup, "<bench>", "exec"), compile(variant.text, "<bench>", "eval")

    def value(parts: int | None) -> Any:
        nonlocal prepared
        if not prepared:
            exec(setup, own)
            prepared = True
        return eval(work, own | {"parts": parts})

    return Candidate(
        name=variant.name,
        text=variant.text,
        value=value,
        loop=lambda parts: timed.plain(variant.text, own | {"parts": parts}),
        parts=variant.parts.count(n) if variant.parts else 1,
        steps=variant.parts.steps(n) if variant.parts else 1,
        scratch_nbytes=variant.scratch_nbytes(n, itemsize) if variant.scratch_nbytes else 0,
        lack=variant.lacking(device) if variant.lacking else None,
        setup=variant.setup,
    )
