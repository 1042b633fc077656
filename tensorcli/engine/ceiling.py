"""What a device can do at most, measured: large products of matrices for arithmetic, large copies for memory."""

from typing import Literal

import torch

from tensorcli import report, stats
from tensorcli.engine import environment, timed
from tensorcli.engine.candidates import dtype_of
from tensorcli.engine.measure import Clock, Interleaved, Task

SECONDS = 0.02  # on each of the two, at most
BLOCK = 1 << 20  # bytes
LARGE = {"cpu": (768, 1 << 26), "cuda": (4096, 1 << 29), "mps": (2048, 1 << 27)}  # rows, bytes


def of(device: str, dtype: str, *, clock: Clock, min_seconds: float) -> report.Ceiling:
    """What large products (2 n^3 operations each) and copies (each byte read and written) do at their fastest.

    Their time is the one that a quarter of the samples do not exceed, the 25 % quantile: the least is an outlier's.
    Numbers are drawn, as a workload's are: a GPU that switches fewer bits takes less power, and with ones alone is
    faster than it ever is with data. The session's generators are left alone.
    """
    rows, nbytes = LARGE.get(torch.device(device).type, LARGE["cpu"])
    kind = dtype_of(dtype)
    if not kind.is_floating_point:
        rows = 256  # without a library behind it
    free = environment.free_nbytes(device)
    if free is not None and free < 4 * nbytes:
        return report.Ceiling()
    draw = torch.Generator(device).manual_seed(0)
    a, b = (_drawn(torch.empty(rows, rows, dtype=kind, device=device), draw) for _ in range(2))
    block = torch.empty(BLOCK // 8, dtype=torch.int64, device=device).random_(generator=draw)
    x = block.repeat(nbytes // 2 // BLOCK)  # to draw all of it would take longer than to measure
    names = {"torch": torch, "a": a, "b": b, "x": x, "y": torch.zeros_like(x)}
    tasks = {"arithmetic": Task(timed.plain("a @ b", names)), "memory": Task(timed.plain("y.copy_(x)", names))}
    found = Interleaved(tasks, clock=clock, min_seconds=min(SECONDS, min_seconds), max_seconds=SECONDS).run()
    product, copy = (stats.quantile(found[name].seconds, 0.25) for name in ("arithmetic", "memory"))
    return report.Ceiling(gflops_per_second=2 * rows**3 / product / 1e9, gbytes_per_second=2 * x.nbytes / copy / 1e9)


def _drawn(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Filled with numbers from [0, 1), of integers from 0 to 9."""
    return x.uniform_(generator=draw) if x.is_floating_point() else x.random_(10, generator=draw)


def share(
    flops: int | None, nbytes: int | None, seconds: float, ceiling: report.Ceiling
) -> tuple[float | None, Literal["arithmetic", "memory"] | None]:
    """How much of what is possible so much work in so much time is, and what bounds it.

    The least time is the longer one of that for the arithmetic and that for the memory: the roofline model (Williams,
    Waterman and Patterson, Roofline, Communications of the ACM 52, 2009). What fits a cache may exceed 1.
    """
    if ceiling.gflops_per_second is None or ceiling.gbytes_per_second is None or not (flops or nbytes):
        return None, None
    arithmetic, memory = (flops or 0) / ceiling.gflops_per_second / 1e9, (nbytes or 0) / ceiling.gbytes_per_second / 1e9
    return max(arithmetic, memory) / seconds, "arithmetic" if arithmetic > memory else "memory"
