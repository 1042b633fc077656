"""What a benchmark does with a request, and the work that its rates are of, against what torch counts."""

import pytest
import torch

from tensorcli import report
from tensorcli.engine import bench as bench_module
from tensorcli.engine.workload import bench

TICK = 2.0**-10  # seconds, and exact in sums


@pytest.fixture(autouse=True)
def no_ceilings(monkeypatch):
    monkeypatch.setattr(bench_module.ceiling, "of", lambda *_, **__: report.Ceiling())


class Ticking:
    """A clock that moves at each reading, and at one of them is interrupted."""

    def __init__(self, interrupted_at=None):
        self.readings, self.interrupted_at = 0, interrupted_at

    def __call__(self):
        self.readings += 1
        if self.readings == self.interrupted_at:
            raise KeyboardInterrupt
        return self.readings * TICK


def asked(clock=None, **fields):
    """Every report of a benchmark but progress."""
    reports = []
    bench(report.Bench(**{"min_seconds": TICK} | fields), reports.append, clock=clock or Ticking())
    return [each for each in reports if not isinstance(each, report.Progress)]


def test_an_interrupt_leaves_a_row_for_all_that_was_not_measured():
    reports = []
    request = report.Bench(workload="dot", sizes=(2, 3), variants=("dot", "matmul"), min_seconds=TICK)
    with pytest.raises(KeyboardInterrupt):
        # The first variant's first call takes two readings; the interrupt comes in that of the second.
        bench(request, reports.append, clock=Ticking(interrupted_at=3))
    answer = reports[-1]
    assert not answer.complete
    assert [
        (case.size["n"], each.name, each.status, each.reason) for case in answer.cases for each in case.variants
    ] == [(n, name, "skipped", "interrupted before it was measured") for n in (2, 3) for name in ("dot", "matmul")]
