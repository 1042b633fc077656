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


def sampled(clock, min_seconds=0.2, progress=lambda *_: None, max_seconds=10.0, **runs):
    """The samples of callables, by name."""
    tasks = {name: measure.Task(measure.loop_of(run)) for name, run in runs.items()}
    limits = {"min_seconds": min_seconds, "max_seconds": max_seconds}
    return measure.Interleaved(tasks, clock=clock, **limits).run(progress)


def test_calls_grow_until_a_sample_is_long_enough():
    clock = FakeClock()
    found = sampled(clock, fast=clock.taking(4e-6))["fast"]
    assert found.calls == 61  # 0.24 ms: 0.2 s in 1,000 samples are 0.2, and a fifth is added
    assert len(found.seconds) == 820
    assert found.seconds == pytest.approx([4e-6] * 820)


def test_a_slow_clock_makes_samples_longer():
    clock = FakeClock(overhead=1e-4)
    found = sampled(clock, fast=clock.taking(4e-6))["fast"]
    assert 4e-6 * found.calls > 1e-4 / measure.ERROR
    assert found.seconds[0] == pytest.approx(4e-6, rel=measure.ERROR)


def test_one_slow_reading_does_not_settle_the_calls():
    clock = FakeClock()
    assert sampled(clock, f=clock.taking(1e-6, 0.01, *[1e-6] * 5000))["f"].calls > 100


def test_a_cold_first_call_is_no_sample_but_is_told():
    clock = FakeClock()
    found = sampled(clock, f=clock.taking(0.1, 0.01))["f"]
    assert found.seconds == pytest.approx([0.01] * 20)
    assert found.first_seconds == pytest.approx(0.1)


def test_a_first_call_that_compiles_is_no_sample_however_long():
    clock = FakeClock()
    found = sampled(clock, f=clock.taking(5.0, 4e-6))["f"]
    assert max(found.seconds) == pytest.approx(4e-6)
    assert (found.calls > 10, found.first_seconds) == (True, 5.0)


def test_a_first_call_that_took_all_the_time_is_no_sample():
    clock = FakeClock()
    found = sampled(clock, f=clock.taking(12.0, 3.0), max_seconds=10.0)["f"]
    assert (set(found.seconds), found.first_seconds) == ({3.0}, 12.0)


def test_calls_that_become_faster_are_left_out_for_a_tenth_of_the_time():
    clock = FakeClock()
    found = sampled(clock, f=clock.taking(0.009, 0.007, 0.005, 0.003, 0.001), min_seconds=0.3)["f"]
    assert found.seconds[0] == pytest.approx(0.001)
    clock = FakeClock()
    slower = [0.01 * 0.8**k for k in range(40)]
    assert sampled(clock, f=clock.taking(*slower), min_seconds=0.2)["f"].seconds[0] == pytest.approx(slower[4])


def test_a_long_first_call_leaves_time_to_find_the_calls():
    clock = FakeClock()
    found = sampled(clock, f=clock.taking(0.15, 0.002, 15e-6))["f"]
    assert (found.calls, found.seconds[0]) == (17, pytest.approx(15e-6))


def test_what_beginning_costs_is_taken_off():
    clock = FakeClock()

    def loop(parts):
        return measure.loop_of(clock.taking(0.01 + parts * 0.001))

    task = measure.Task(loop(20), less=loop(10))
    found = measure.Interleaved({"f": task}, clock=clock, min_seconds=0.3, max_seconds=10.0).run()["f"]
    assert found.seconds == pytest.approx([0.01] * 6)  # of 0.05 s each, all in all


def test_a_difference_that_was_disturbed_is_above_zero_and_ends():
    clock = FakeClock()
    task = measure.Task(measure.loop_of(clock.taking(0.01)), less=measure.loop_of(clock.taking(0.09)))
    found = measure.Interleaved({"f": task}, clock=clock, min_seconds=1.0, max_seconds=10.0).run()["f"]
    assert set(found.seconds) == {measure.LEAST}
    assert 10 <= len(found.seconds) <= 11


def test_a_steady_call_wastes_nothing():
    clock, log = FakeClock(), []
    found = sampled(clock, f=clock.taking(0.01, log=log, name="f"))["f"]
    assert len(log) == len(found.seconds) == 20


def test_a_first_call_that_was_made_is_not_made_again():
    clock, log = FakeClock(), []
    task = measure.Task(measure.loop_of(clock.taking(2.0, log=log, name="f")), first_seconds=2.0)
    found = measure.Interleaved({"f": task}, clock=clock, min_seconds=0.2, max_seconds=10.0).run()["f"]
    assert (len(found.seconds), len(log)) == (5, 4)


def test_slow_callables_are_called_no_more_than_needed():
    clock, log = FakeClock(), []
    found = sampled(clock, slow=clock.taking(1.5, log=log, name="slow"))["slow"]
    assert (found.seconds, found.calls) == ((1.5,) * stats.FEWEST_SAMPLES, 1)
    assert len(log) == stats.FEWEST_SAMPLES


def test_the_most_time_ends_before_there_are_enough_samples():
    clock = FakeClock()
    assert sampled(clock, f=clock.taking(4.0))["f"].seconds == (4.0,) * 3
    assert sampled(clock, f=clock.taking(99.0))["f"].seconds == (99.0,)
    assert sampled(clock, f=clock.taking(4.0), min_seconds=24.0, max_seconds=24.0)["f"].seconds == (4.0,) * 6


def test_what_runs_before_a_sample_is_not_in_it():
    clock, log = FakeClock(), []
    task = measure.Task(
        measure.loop_of(clock.taking(1e-3, log=log, name="f")), before=clock.taking(0.5, log=log, name="b")
    )
    found = measure.Interleaved({"f": task}, clock=clock, min_seconds=0.01, max_seconds=1.0).run()["f"]
    assert (found.calls, found.seconds) == (1, pytest.approx((1e-3,) * 6))
    assert "".join(log) == "bf" * 6


def test_samples_of_one_round_are_pairs():
    clock = FakeClock()
    found = sampled(clock, a=clock.taking(0.01), b=clock.taking(0.011))
    pairs = found["a"].pairs(found["b"])
    assert len(pairs) >= 18
    assert all(pair == pytest.approx((0.01, 0.011)) for pair in pairs)
    rare = sampled(clock, a=clock.taking(1e-4), b=clock.taking(0.1))
    assert rare["a"].pairs(rare["b"]) == []


def test_equal_callables_are_sampled_in_rounds_of_changing_order():
    clock, log = FakeClock(), []
    names = ("a", "b", "c")
    found = sampled(clock, **{name: clock.taking(0.01, log=log, name=name) for name in names})
    assert [len(found[name].seconds) for name in names] == [20, 20, 20]
    rounds = [tuple(log[6:][start : start + 3]) for start in range(0, 54, 3)]  # two of each are taken one by one
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 3


def test_the_samples_of_fast_and_slow_callables_are_spread_over_the_same_time():
    clock, log = FakeClock(), []
    runs = {"fast": clock.taking(1 / 64, log=log, name="f"), "slow": clock.taking(0.5, log=log, name="s")}
    found = sampled(clock, min_seconds=0.25, **runs)
    assert (len(found["fast"].seconds), len(found["slow"].seconds)) == (16, 6)
    runs_of_fast = [len(run) for run in "".join(log).lstrip("f").lstrip("s").split("s") if run]
    assert max(runs_of_fast) <= 5


def test_drift_does_not_make_equals_differ():
    """The machine slows down by half while two equal callables are measured."""
    clock = FakeClock()

    def run():
        clock.now += 0.01 * (1 + clock.now)

    found = sampled(clock, a=run, b=run)
    pairs = found["a"].pairs(found["b"])
    assert not stats.ratio(found["a"].seconds, found["b"].seconds, pairs=pairs).differs


def test_progress_rises_and_names_what_runs():
    clock, told = FakeClock(), []
    sampled(clock, a=clock.taking(0.01), b=clock.taking(0.02), progress=lambda *each: told.append(each))
    done = [each[0] for each in told]
    assert done == sorted(done)
    assert done[0] == 0
    assert 0.32 < done[-1] <= 0.4
    assert {each[1:] for each in told} == {(0.4, "a"), (0.4, "b")}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_a_callable_raises_goes_through_and_the_collector_is_back(error):
    clock = FakeClock()

    def run():
        assert not gc.isenabled()
        clock.now += 0.01
        if clock.now > 0.1:
            raise error

    sampling = measure.Interleaved({"f": measure.Task(measure.loop_of(run))}, clock=clock, min_seconds=0.2)
    with pytest.raises(error):
        sampling.run()
    assert gc.isenabled()
    assert len(sampling.samples["f"].seconds) == 10
    assert sampling.current == "f"


def test_nothing_to_measure_is_no_trouble():
    assert sampled(FakeClock()) == {}


def test_timeit_reports_every_sample():
    clock = FakeClock()
    timing = measure.timeit(
        measure.loop_of(clock.taking(4e-6)), device="cpu", min_seconds=0.2, source="x @ x", clock=clock
    )
    assert (timing.source, timing.calls_per_sample, len(timing.samples)) == ("x @ x", 61, 820)
    assert [timing.median, timing.low, timing.high] == pytest.approx([4e-6] * 3)
    assert timing.iqr == pytest.approx(0)
    assert timing.warnings == ()


def test_timeit_is_honest_about_few_samples():
    clock = FakeClock()
    timing = measure.timeit(
        measure.loop_of(clock.taking(20.0)), device="cpu", min_seconds=0.2, source="slow()\n" * 9, clock=clock
    )
    assert (timing.samples, timing.median, timing.low, timing.high) == ((20.0,), 20.0, None, None)
    assert timing.warnings == ('only 1 sample of "slow()...", too few for a 95 % interval: allow it more time',)


def test_timeit_takes_any_time_to_spend():
    clock = FakeClock()
    loop = measure.loop_of(clock.taking(1e-3))
    assert measure.timeit(loop, device="cpu", min_seconds=-1.0, source="f()", clock=clock).samples


def test_a_real_clock_measures_a_real_operation():
    x = torch.rand(8, 8)
    timing = measure.timeit(measure.loop_of(lambda: x @ x), device="cpu", min_seconds=0.02, source="x @ x")
    assert 0 < min(timing.samples) <= timing.median <= max(timing.samples)
    assert timing.calls_per_sample >= 1


def test_the_clock_of_an_accelerator_waits_for_its_work(monkeypatch):
    waited = []
    monkeypatch.setitem(measure._SYNCHRONIZE, "cuda", waited.append)
    clock = measure.clock_of("cuda:1")
    assert measure.elapsed(measure.Task(measure.loop_of(lambda: None)), calls=3, clock=clock) >= 0
    assert waited == [torch.device("cuda:1")] * 2


def test_a_sessions_clock_waits_for_the_gpu_where_its_tensors_may_be(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    measure.clock_of_session("cpu")()
    assert waited == [torch.device("cuda")] * torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    waited.clear()
    measure.clock_of_session("cpu")()
    assert waited == [torch.device("cuda")]
    measure.clock_of("cpu")()
    assert waited == [torch.device("cuda")]


def test_what_runs_ahead_of_samples_takes_of_the_time():
    def cold(flush, **limits):
        clock = FakeClock()
        task = measure.Task(measure.loop_of(clock.taking(1e-3)), before=clock.taking(flush))
        return measure.Interleaved({"f": task}, clock=clock, **limits).run()["f"], clock.now

    found, spent = cold(0.05, min_seconds=1.0, max_seconds=10.0)
    assert (len(found.seconds), found.before_seconds) == (20, pytest.approx(20 * 0.05, abs=0.06))
    assert spent == pytest.approx(1.07, abs=0.05)
    found, _ = cold(0.05, min_seconds=0.1, max_seconds=10.0)
    assert len(found.seconds) == stats.FEWEST_SAMPLES
