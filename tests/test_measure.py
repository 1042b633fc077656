"""Measuring under a clock that only moves when a fake callable moves it."""

import gc

import pytest
import torch

from tensorcli import stats
from tensorcli.engine import measure


class FakeClock:
    """A clock that stands still except where told; each reading costs `overhead` seconds."""

    def __init__(self, overhead=0.0):
        self.now = 0.0
        self.overhead = overhead

    def __call__(self):
        self.now += self.overhead
        return self.now

    def taking(self, *seconds, log=None, name=None):
        """A callable that takes each of `seconds` in turn, and the last of them from then on."""
        left = list(seconds)

        def run():
            self.now += left.pop(0) if len(left) > 1 else left[0]
            if log is not None:
                log.append(name)

        return run


def test_calls_grow_in_round_numbers_until_a_sample_is_long_enough():
    clock = FakeClock()
    found = measure.interleaved({"fast": clock.taking(4e-6)}, clock=clock, min_seconds=0.2)["fast"]
    assert found.calls == 2000  # 8 ms; 1,000 calls would be 4 ms, and 0.2 s in 40 samples are 5 ms
    assert len(found.seconds) == 25
    assert found.seconds == pytest.approx([4e-6] * 25)


def test_a_slow_clock_makes_samples_longer():
    clock = FakeClock(overhead=1e-4)
    found = measure.interleaved({"fast": clock.taking(4e-6)}, clock=clock, min_seconds=0.2)["fast"]
    assert found.calls == 5000  # 20 ms: 100 times the clock's own 0.1 ms are 10
    assert found.seconds[0] == pytest.approx(4e-6, rel=0.01)


def test_one_slow_reading_does_not_settle_the_calls():
    clock = FakeClock()
    found = measure.interleaved({"f": clock.taking(1e-6, 0.1, 1e-6)}, clock=clock, min_seconds=0.2)["f"]
    assert found.calls == 5000


def test_a_cold_first_call_is_no_sample():
    clock = FakeClock()
    found = measure.interleaved({"f": clock.taking(0.1, 0.01)}, clock=clock, min_seconds=0.2)["f"]
    assert found.seconds == pytest.approx([0.01] * 20)


def test_slow_callables_are_called_no_more_than_needed():
    clock, log = FakeClock(), []
    run = clock.taking(1.5, log=log, name="slow")
    found = measure.interleaved({"slow": run}, clock=clock, min_seconds=0.2)["slow"]
    assert found == measure.Samples((1.5,) * stats.FEWEST_SAMPLES, 1)
    assert len(log) == stats.FEWEST_SAMPLES


def test_patience_ends_before_there_are_enough_samples():
    clock = FakeClock()
    assert measure.interleaved({"f": clock.taking(4.0)}, clock=clock, min_seconds=0.2)["f"].seconds == (4.0,) * 3
    assert measure.interleaved({"f": clock.taking(99.0)}, clock=clock, min_seconds=0.2)["f"].seconds == (99.0,)
    assert measure.interleaved({"f": clock.taking(4.0)}, clock=clock, min_seconds=24.0)["f"].seconds == (4.0,) * 6


def test_equal_callables_are_sampled_in_rounds_of_changing_order():
    clock, log = FakeClock(), []
    names = ("a", "b", "c")
    runs = {name: clock.taking(0.01, log=log, name=name) for name in names}
    found = measure.interleaved(runs, clock=clock, min_seconds=0.2)
    assert [len(found[name].seconds) for name in names] == [20, 20, 20]
    rounds = [tuple(log[-60:][start : start + 3]) for start in range(0, 60, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 3


def test_the_samples_of_fast_and_slow_callables_are_spread_over_the_same_time():
    clock, log = FakeClock(), []
    runs = {"fast": clock.taking(1 / 64, log=log, name="f"), "slow": clock.taking(0.5, log=log, name="s")}
    found = measure.interleaved(runs, clock=clock, min_seconds=0.25)
    assert (len(found["fast"].seconds), len(found["slow"].seconds)) == (16, 6)
    runs_of_fast = [len(run) for run in "".join(log).lstrip("f").lstrip("s").split("s") if run]
    assert max(runs_of_fast) <= 5


def test_drift_does_not_make_equals_differ():
    """The machine slows down by half while two equal callables are measured."""
    clock = FakeClock()

    def run():
        clock.now += 0.01 * (1 + clock.now)

    found = measure.interleaved({"a": run, "b": run}, clock=clock, min_seconds=0.2)
    ratio = stats.ratio(found["a"].seconds, found["b"].seconds)
    assert ratio.low < 1 < ratio.high


def test_progress_rises_and_names_what_runs():
    clock, told = FakeClock(), []
    runs = {"a": clock.taking(0.01), "b": clock.taking(0.02)}
    measure.interleaved(runs, clock=clock, min_seconds=0.2, progress=lambda *each: told.append(each))
    done = [each[0] for each in told]
    assert done == sorted(done)
    assert done[0] == 0
    assert 80 < done[-1] <= 100
    assert {each[1:] for each in told} == {(100, "a"), (100, "b")}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_a_callable_raises_goes_through_and_the_collector_is_back(error):
    clock = FakeClock()

    def run():
        assert not gc.isenabled()
        clock.now += 0.01
        if clock.now > 0.1:
            raise error

    with pytest.raises(error):
        measure.interleaved({"f": run}, clock=clock, min_seconds=0.2)
    assert gc.isenabled()


def test_nothing_to_measure_is_no_trouble():
    assert measure.interleaved({}, clock=FakeClock(), min_seconds=0.2) == {}


def test_timeit_reports_every_sample():
    clock = FakeClock()
    timing = measure.timeit(clock.taking(4e-6), device="cpu", min_seconds=0.2, source="x @ x", clock=clock)
    assert (timing.source, timing.calls_per_sample, len(timing.samples)) == ("x @ x", 2000, 25)
    assert [timing.median, timing.low, timing.high] == pytest.approx([4e-6] * 3)
    assert timing.iqr == pytest.approx(0)
    assert timing.warnings == ()


def test_timeit_is_honest_about_few_samples():
    clock = FakeClock()
    timing = measure.timeit(clock.taking(20.0), device="cpu", min_seconds=0.2, source="slow()\n" * 9, clock=clock)
    assert (timing.samples, timing.median, timing.low, timing.high) == ((20.0,), 20.0, None, None)
    assert timing.warnings == ('only 1 sample of "slow()...", too few for a 95 % interval: allow it more time',)


def test_timeit_takes_any_time_to_spend():
    clock = FakeClock()
    assert measure.timeit(clock.taking(1e-3), device="cpu", min_seconds=-1.0, source="f()", clock=clock).samples


def test_a_real_clock_measures_a_real_operation():
    x = torch.rand(8, 8)
    timing = measure.timeit(lambda: x @ x, device="cpu", min_seconds=0.02, source="x @ x")
    assert timing.calls_per_sample >= 10
    assert 0 < timing.low <= timing.median <= timing.high
    assert min(timing.samples) * timing.calls_per_sample > 0


def test_the_clock_of_an_accelerator_waits_for_its_work(monkeypatch):
    waited = []
    monkeypatch.setitem(measure._SYNCHRONIZE, "cuda", waited.append)
    clock = measure.clock_of("cuda:1")
    assert measure.elapsed(lambda: None, calls=3, clock=clock) >= 0
    assert waited == [torch.device("cuda:1")] * 2
