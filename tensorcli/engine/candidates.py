"""What a benchmark measures: jobs, each of candidates that do the same work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from tensorcli import report
from tensorcli.engine.measure import Clock, Loop, clock_of
from tensorcli.engine.work import Work

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
    compiled: bool = False  # by torch.compile
    hidden: bool = False  # whether it computes what torch's operators do not show


@dataclass(frozen=True)
class Plan:
    """Candidates that give the same, ready to run; `check` says whether a result is right.

    `flops` and `nbytes` are the work and the least traffic of one call. Where neither is known, those of each candidate
    are counted in its first call, and `check` is told of them.
    """

    candidates: tuple[Candidate, ...]
    check: Callable[[str, Any, Work | None], report.Agreement | None]  # of the candidate with this name
    flops: int | None = None
    nbytes: int | None = None
    notes: Sequence[str] = ()  # to be told of the case

    @property
    def counted(self) -> bool:
        """Whether somebody has a formula for the work."""
        return self.flops is not None or self.nbytes is not None


@dataclass(frozen=True)
class Job:
    """A case to be measured, `around` which something holds: `plan` makes its candidates, which takes `needed_nbytes`.

    `texts` are those of the candidates, by their names; `clock_of` gives the clock for its device.
    """

    name: str
    device: str
    dtype: str
    size: Mapping[str, int | float | str]
    threads: int
    texts: Mapping[str, str]
    plan: Callable[[], Plan]
    needed_nbytes: int = 0
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    clock_of: Callable[[str], Clock] = clock_of

    @property
    def place(self) -> tuple[str, str, int]:
        """What its limits depend on: the device, the dtype and the threads."""
        return self.device, self.dtype, self.threads


def dtype_of(name: str) -> torch.dtype:
    """The dtype of a row: that of tf32 is float32."""
    found: torch.dtype = torch.float32 if name == TF32 else getattr(torch, name)
    return found


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Within it float32 products keep all their bits, or with tf32 need not."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("high" if dtype == TF32 else "highest")
        torch.backends.cudnn.allow_tf32 = dtype == TF32
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
