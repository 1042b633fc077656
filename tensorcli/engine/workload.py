"""A workload's variants as jobs to measure: on inputs made for each device, dtype and size."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch

from tensorcli import report, sense
from tensorcli.engine import agreement, describe, timed
from tensorcli.engine.bench import Emit, measure, threads_of, usable
from tensorcli.engine.candidates import Candidate, Job, Plan, dtype_of
from tensorcli.engine.measure import Clock
from tensorcli.workloads import Variant, Workload, table


def bench(request: report.Bench, emit: Emit, *, clock: Clock | None = None) -> None:
    """Measure a workload: progress, a diagnosis for each thing asked for that cannot be had, then one report.

    `clock` stands in for every device's own.
    """
    workload = table().get(request.workload)
    if workload is None:
        return emit(sense.unknown("workload", request.workload, [*table()]))
    dtypes = request.dtypes or (describe.dtype_name(torch.get_default_dtype()),)
    known = {variant.name: variant for variant in workload.variants}
    chosen = [known[name] for name in dict.fromkeys(request.variants or known) if name in known]  # the first leads
    devices = []
    for device in usable(request, emit, [*sense.problems(request, workload)]):
        if problem := _unfit(workload, chosen, device):
            emit(problem)
        else:
            devices.append(device)

    def job(dtype: str, n: int, count: int, device: str) -> Job:
        options: dict[str, Any] = {"n": n, "device": device, "dtype": dtype, "seed": request.seed}
        return Job(
            name=f"{workload.name} n = {n:,}",
            device=device,
            dtype=dtype,
            size={"n": n},
            threads=count,
            texts={variant.name: variant.text for variant in chosen},
            plan=lambda: of_workload(workload, chosen, **options),
            needed_nbytes=needed_nbytes(workload, n, dtype),
        )

    good = [dtype for dtype in dtypes if dtype in workload.dtypes]
    sizes = [size for size in request.sizes or workload.sizes if size >= 1]
    places = product(good, sizes, threads_of(request), devices if chosen else ())
    measure([job(*place) for place in places], request, emit, name=workload.name, clock=clock)


def _unfit(workload: Workload, variants: Sequence[Variant], device: str) -> report.Diagnosis | None:
    """Why no variant can be measured on a device, at any size, where all lack the same; said once, not in each row."""
    lacks = {variant.lacking(device) if variant.lacking else None for variant in variants}
    if len(lacks) != 1 or None in lacks:
        return None
    title = f"{workload.name} cannot be measured on {device}, since {lacks.pop()}"
    return report.Diagnosis(code="unfit-device", category="device", title=title)


def of_workload(workload: Workload, variants: Sequence[Variant], *, n: int, device: str, dtype: str, seed: int) -> Plan:
    """Some of a workload's variants, on inputs that are made now. Raises what making them raises."""
    itemsize = dtype_of(dtype).itemsize
    inputs = workload.inputs(n, device=device, dtype=str(dtype_of(dtype)).removeprefix("torch."), seed=seed)
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, **workload.functions}
    where = "cpu" if device == "mps" else device  # which has no float64
    # Not a text, here as below: a KeyboardInterrupt out of a text that is evaluated makes Python end with 130, whoever
    # catches it.
    exactly = compile(workload.reference, "<bench>", "eval")
    used = {name: inputs[name] for name in exactly.co_names if isinstance(inputs.get(name), torch.Tensor)}
    exact = {name: x.to(where, torch.float64) for name, x in used.items()}
    reference = eval(exactly, {**names, **inputs, **exact})
    loops = {variant.name for variant in variants if variant.parts}

    def check(name: str, result: torch.Tensor, _: object) -> report.Agreement:
        terms, roundings = workload.terms(n), workload.roundings
        if name in loops:  # in which each step is rounded to the dtype
            terms, roundings = 1, roundings + terms
        bound = agreement.tolerance(dtype_of(dtype), terms=terms, roundings=roundings)
        return agreement.compare(result, reference, name=f"float64 {workload.name}", bound=bound)

    return Plan(
        candidates=tuple(
            _variant(variant, {**names, **inputs}, n=n, device=device, itemsize=itemsize) for variant in variants
        ),
        check=check,
        flops=workload.flops(n),
        nbytes=workload.nbytes(n, itemsize),
    )


def needed_nbytes(workload: Workload, n: int, dtype: str) -> int:
    """What a workload's inputs and result take, with those of the reference in float64."""
    return workload.nbytes(n, dtype_of(dtype).itemsize) + workload.nbytes(n, 8)


def _variant(variant: Variant, names: dict[str, Any], *, n: int, device: str, itemsize: int) -> Candidate:
    own = dict(names)
    prepared = False
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
        compiled="torch.compile" in variant.setup,
    )
