"""What a device can do at most, measured: large products of matrices, large copies, and operators on one element."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
import torch

from tensorcli import report, stats
from tensorcli.engine import environment, timed
from tensorcli.engine.candidates import dtype_of
from tensorcli.engine.measure import Clock, Interleaved, Samples, Task

SECONDS = 0.02  # on products and on copies, at most
CALL_SECONDS = 0.002  # on what takes about a microsecond
FEW = 4.0  # times the fixed cost of its operators: what takes no longer is bounded by that
GAIN = 10.0  # times as fast as memory: about the most that caches are
SURE = 1 << 26  # bytes: more than most caches hold, where nobody says how much this one does
BLOCK = 1 << 20  # bytes
LARGE = {"cpu": (768, 1 << 26), "cuda": (4096, 1 << 29), "mps": (2048, 1 << 27)}  # rows, bytes


def of(device: str, dtype: str, *, clock: Clock, min_seconds: float) -> report.Ceiling:
    """What large products (2 n^3 operations each) and copies (each byte read and written) do at their fastest.

    And what an operator takes that has one element to work on. Their time is the one that a quarter of the samples do
    not exceed, the 25 % quantile: the least is an outlier's.
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
    names = {"torch": torch, "a": a, "b": b, "x": x, "y": torch.zeros_like(x), "one": a[0, :1].clone()}
    texts = {"arithmetic": "a @ b", "memory": "y.copy_(x)", "call": "one + one"}
    tasks = {name: Task(timed.plain(text, names)) for name, text in texts.items()}
    calls = {"call": tasks.pop("call")}
    found: dict[str, Samples] = {}
    for some, seconds in ((tasks, SECONDS), (calls, CALL_SECONDS)):
        found |= Interleaved(some, clock=clock, min_seconds=min(seconds, min_seconds), max_seconds=seconds).run()
    (product, longer), (copy, slower), (call, high) = (stats.quartiles(found[name].seconds) for name in texts)
    cached, work = environment.cache_nbytes(device), 2 * rows**3 / 1e9
    return report.Ceiling(
        gflops_per_second=work / product,
        gflops_low=work / longer,
        gbytes_per_second=2 * x.nbytes / copy / 1e9,
        gbytes_low=2 * x.nbytes / slower / 1e9,
        call_seconds=call,
        call_high=high,
        # No more than was copied: what is larger has no better caches than the copy had.
        cache_nbytes=min(cached, 2 * x.nbytes) if cached else None,
    )


def both(one: report.Ceiling, other: report.Ceiling) -> report.Ceiling:
    """What was measured at two moments of a run: the best of either, and the worst."""

    def of_both(name: str, choose: Callable[[float, float], float]) -> float | None:
        first, second = getattr(one, name), getattr(other, name)
        return choose(first, second) if first is not None and second is not None else first

    return msgspec.structs.replace(
        one,
        gflops_per_second=of_both("gflops_per_second", max),
        gflops_low=of_both("gflops_low", min),
        gbytes_per_second=of_both("gbytes_per_second", max),
        gbytes_low=of_both("gbytes_low", min),
        call_seconds=of_both("call_seconds", min),
        call_high=of_both("call_high", max),
    )


def _drawn(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Filled with numbers from [0, 1), of integers from 0 to 9."""
    return x.uniform_(generator=draw) if x.is_floating_point() else x.random_(10, generator=draw)


@dataclass(frozen=True)
class Spent:
    """What a call does: operations, the least traffic, the bytes that it works on, and operators, as far as known."""

    flops: int | None = None
    nbytes: int | None = None
    held_nbytes: int | None = None
    operators: int = 0


def share(
    spent: Spent, seconds: float, limit: report.Ceiling, *, cold: bool = False
) -> tuple[float | None, Literal["arithmetic", "memory", "call", "in cache"] | None]:
    """How much of what is possible so much work in so much time is, and what bounds it.

    The least time is the longer one of that for the arithmetic and that for the memory: the roofline model (Williams,
    Waterman and Patterson, Roofline, Communications of the ACM 52, 2009). No share is known of what a cache holds,
    unless arithmetic takes longer than any cache would, nor of what takes about as long as its operators do on one
    element.
    """
    if limit.gflops_per_second is None or limit.gbytes_per_second is None or not (spent.flops or spent.nbytes):
        return None, None
    arithmetic = (spent.flops or 0) / limit.gflops_per_second / 1e9
    memory = (spent.nbytes or 0) / limit.gbytes_per_second / 1e9
    cached = _cached(spent, limit) and not cold
    calls = spent.operators * (limit.call_seconds or 0.0)
    if seconds <= FEW * calls and calls >= (arithmetic if cached is not False else max(arithmetic, memory)):
        return None, "call"
    if arithmetic > (memory if cached is False else memory / GAIN):
        return arithmetic / seconds, "arithmetic"
    if cached is not False:
        return None, "in cache" if cached else None
    return memory / seconds, "memory"


def _cached(spent: Spent, limit: report.Ceiling) -> bool | None:
    """Whether the caches hold all that a call works on; None where that is not known."""
    held = spent.held_nbytes or spent.nbytes or 0
    if limit.cache_nbytes is None:
        return None if held < SURE else False
    return held <= limit.cache_nbytes
