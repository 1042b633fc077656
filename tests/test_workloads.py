"""The table of workloads, and benchmarks of it under a clock that ticks at each reading."""

import subprocess
import sys
import weakref
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import torch
from torch._C._autograd import DeviceType

from tensorcli import report, wire
from tensorcli import workloads as table_module
from tensorcli.engine import agreement, ceiling, counting, environment, rounding, work
from tensorcli.engine import bench as bench_module
from tensorcli.engine import workload as workload_module
from tensorcli.engine.workload import bench
from tensorcli.workloads import Parts, Variant, bounded, no_compiler, table

ROOT = Path(__file__).parent.parent
WORKLOADS = list(table().values())
NO_CUDA = not torch.cuda.is_available()
TICK = 2.0**-10  # seconds, and exact in sums


@pytest.fixture(autouse=True)
def no_ceilings(monkeypatch, request):
    """The largest product of a device takes long, and only the tests of ceilings need it."""
    if "ceiling" not in request.node.name:
        monkeypatch.setattr(bench_module.ceiling, "of", lambda *_, **__: report.Ceiling())


class Ticking:
    """A clock that moves by `tick` seconds at each reading."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


def asked(*, tick=TICK, **fields):
    """Every report of a benchmark, progress left out; the time to spend is one tick."""
    reports = []
    bench(report.Bench(**{"min_seconds": TICK} | fields), reports.append, clock=Ticking(tick))
    for each in reports:
        assert wire.report(wire.encode(each)) == each
    return [each for each in reports if not isinstance(each, report.Progress)]


def test_the_list_imports_no_torch():
    code = (
        "import sys; from tensorcli.workloads import listing;"
        "print(*(each.text for each in listing()), sep='', end='');"
        "sys.exit(any(name.split('.')[0] in ('torch', 'numpy') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        "attention", "conv2d", "copy", "dot", "elementwise", "launch", "matmul", "softmax", "sum", "transfer",
    ]  # fmt: skip
    assert (
        "dot  the dot product of two vectors of n elements\n"
        "  sizes   1,000, 100,000\n"
        "  dtypes  float32, float64, float16, bfloat16, tf32, int64, int32\n"
        "  python loop       python_loop(a, b, parts)\n"
        "  multiply and sum  (a * b).sum()\n"
        "  dot               torch.dot(a, b)\n"
        "  matmul            a @ b\n"
    ) in done.stdout


def plain(workload):
    """The variants that need no compiler."""
    return tuple(variant.name for variant in workload.variants if not variant.setup)


HERE = [workload for workload in WORKLOADS if workload.name != "transfer"]  # which needs a device beside the CPU


@pytest.mark.parametrize("workload", HERE, ids=lambda workload: workload.name)
def test_every_variant_agrees_in_every_dtype(workload):
    dtypes = tuple(dtype for dtype in workload.dtypes if dtype != "tf32")
    found = asked(workload=workload.name, sizes=(1, 2, 9), dtypes=dtypes, variants=plain(workload))
    assert [type(each) for each in found] == [report.Benchmark]
    assert len(found[0].cases) == 3 * len(dtypes)
    for case in found[0].cases:
        assert tuple(variant.name for variant in case.variants) == plain(workload)
        for variant in case.variants:
            assert (variant.status, variant.reason, variant.agrees.ok) == ("measured", None, True), (case, variant)
            if case.dtype.startswith("int"):
                assert variant.agrees.max_abs_error == 0


def test_a_compiled_variant_agrees_or_says_what_it_lacks():
    (answer,) = asked(workload="elementwise", sizes=(9,), variants=("operators", "compiled"))
    compiled = answer.cases[0].variants[1]
    assert compiled.agrees.ok if no_compiler("cpu") is None else compiled.reason == "there is no C++ compiler"


def test_each_size_is_compiled_for_itself(monkeypatch):
    seen = []

    def backend(module, inputs):
        seen.append([tuple(x.shape) if isinstance(x, torch.Tensor) else "a size that varies" for x in inputs])
        return module.forward

    setup = "product = torch.compile(lambda a, b: a @ b, backend=backend)"
    variants = (Variant("compiled", "product(a, b)", setup=setup),)
    odd = replace(table()["dot"], variants=variants, functions={"backend": backend})
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": odd})
    (answer,) = asked(workload="dot", sizes=(3, 4, 5))
    assert [case.variants[0].status for case in answer.cases] == ["measured"] * 3
    assert seen == [[(3,), (3,)], [(4,), (4,)], [(5,), (5,)]]


def test_what_all_variants_lack_on_a_device_is_said_once(monkeypatch):
    said = "transfer cannot be measured on cpu, since the CPU has its data at hand: name another device"
    assert diagnosis(workload="transfer") == ("unfit-device", "device", said)
    dot = table()["dot"]
    lacking = [replace(variant, lacking=lambda device: "nothing is there") for variant in dot.variants]
    monkeypatch.setattr(
        workload_module, "table", lambda: {"dot": replace(dot, variants=(*lacking[1:], dot.variants[0]))}
    )
    (answer,) = asked(workload="dot", sizes=(3,))  # one can be measured
    assert [variant.reason for variant in answer.cases[0].variants] == ["nothing is there"] * 3 + [None]


def test_what_a_cpu_does_not_have_is_skipped():
    answer, nothing = asked(workload="dot", sizes=(9,), dtypes=("tf32",))
    assert nothing.title == "nothing was measured: the rows say why"
    assert {(each.status, each.reason) for each in answer.cases[0].variants} == {
        ("skipped", "tf32 is a mode of NVIDIA GPUs: ask for float32 elsewhere")
    }


@pytest.mark.parametrize(
    ("capability", "reason"),
    [
        ((7, 5), "tf32 needs compute capability 8.0, and cuda:1 has 7.5: ask for float32"),
        ((8, 0), None),
        ((12, 0), None),
    ],
)
def test_tf32_is_skipped_on_a_gpu_that_has_none(monkeypatch, capability, reason):
    """Where the rest of a GPU is missing, which a row that is not skipped comes upon."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setattr(environment, "problem_with", lambda device: None)
    monkeypatch.setattr(environment, "free_nbytes", lambda device: None)
    monkeypatch.setattr(environment, "_nvml", lambda: None)

    def lost(*_, **__):
        raise RuntimeError("there is no GPU at all")

    none = replace(table()["dot"], inputs=lost)
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": none})
    (answer, _) = asked(workload="dot", sizes=(3,), devices=("cuda:1",), dtypes=("tf32",), variants=("dot",))
    (variant,) = answer.cases[0].variants
    said = ("failed", "there is no GPU at all") if reason is None else ("skipped", reason)
    assert (variant.status, variant.reason) == said


@pytest.mark.parametrize("workload", HERE, ids=lambda workload: workload.name)
def test_parts_of_a_loop_are_the_loop(workload):
    inputs = workload.inputs(4, device="cpu", dtype=workload.dtypes[-1].replace("tf32", "float32"), seed=0)
    for variant in workload.variants:
        if variant.parts:
            names = {"torch": torch, **workload.functions, **inputs}
            count = variant.parts.count(4)
            whole, parts, half = (eval(variant.text, names | {"parts": each}) for each in (None, count, count // 2))
            assert torch.equal(whole, parts)
            assert not torch.equal(whole, half)


def test_work_and_traffic_are_counted():
    assert (table()["matmul"].flops(64), table()["matmul"].nbytes(64, 4)) == (524_288, 49_152)
    assert (table()["dot"].flops(1000), table()["dot"].nbytes(1000, 8)) == (2000, 16_008)


def test_inputs_are_the_same_each_time_and_leave_the_sessions_generator_alone():
    before = torch.get_rng_state()
    first, second = (table()["dot"].inputs(5, device="cpu", dtype="float32", seed=7) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in ("a", "b"))
    assert not torch.equal(first["a"], first["b"])
    assert torch.equal(before, torch.get_rng_state())


def test_a_measured_case_in_full():
    (answer,) = asked(workload="matmul", sizes=(4,), variants=plain(table()["matmul"]))
    (case,) = answer.cases
    assert (answer.workload, case.device, case.dtype, case.size) == ("matmul", "cpu", "float32", {"n": 4})
    assert answer.environment["torch"] == torch.__version__
    assert case.warnings == ()
    for variant in case.variants:
        assert variant.seconds == pytest.approx([TICK] * len(variant.seconds))
        assert len(variant.seconds) >= 6
        assert (variant.calls_per_sample, variant.flops, variant.nbytes) == (1, 128, 192)
        assert [variant.median, variant.low, variant.high] == pytest.approx([TICK] * 3)
        assert variant.gflops_per_second == pytest.approx(128 / TICK / 1e9)
        assert variant.gbytes_per_second == pytest.approx(192 / TICK / 1e9)
        assert variant.ratio.to == "python loop"
        assert [variant.ratio.value, variant.ratio.low, variant.ratio.high] == pytest.approx([1.0] * 3)


def test_ceilings_are_measured_and_bound_what_is_short(monkeypatch):
    monkeypatch.setattr(environment, "cache_nbytes", lambda device: 1 << 20)
    (answer,) = asked(workload="dot", sizes=(1000,), variants=("dot", "matmul"))
    (case,) = answer.cases
    assert case.ceiling.gflops_per_second == pytest.approx(2 * 768**3 / TICK / 1e9)
    assert case.ceiling.gbytes_per_second == pytest.approx(2**26 / TICK / 1e9)
    assert (case.ceiling.call_seconds, case.ceiling.cache_nbytes) == (pytest.approx(TICK), 1 << 20)
    assert [(variant.bound, variant.share) for variant in case.variants] == [("call", None)] * 2
    for cached, known in ((1 << 30, 1 << 26), (0, None)):  # what is larger than the copy had no better caches
        monkeypatch.setattr(environment, "cache_nbytes", lambda device, cached=cached: cached)
        assert ceiling.of("cpu", "float32", clock=Ticking(TICK), min_seconds=TICK).cache_nbytes == known


LIMITS = report.Ceiling(gflops_per_second=100.0, gbytes_per_second=10.0, call_seconds=1e-6, cache_nbytes=10**6)


@pytest.mark.parametrize(
    ("spent", "seconds", "found"),
    [
        ((10**9, 10**7), 0.1, (0.1, "arithmetic")),
        ((None, 10**9), 0.2, (0.5, "memory")),
        ((None, None), 0.2, (None, None)),
        # 8 KB: 0.02 us of arithmetic, 0.8 us of memory if it were there
        ((2000, 8000, 8000, 1), 2.8e-6, (None, "call")),
        ((2000, 8000, 8000, 1), 4.1e-6, (None, "in cache")),
        ((2000, 8000, 8000, 4000), 15e-3, (None, "call")),
        ((2000, 8000, 8000, 0), 2.8e-6, (None, "in cache")),  # nobody knows how many operators
        # 800 KB are in cache however fast it is
        ((200_000, 800_000, 800_000, 1), 8e-6, (None, "in cache")),
        ((200_000, 800_000, 800_000, 1), 1e-3, (None, "in cache")),
        ((200_000, 800_000, 1_200_000, 2), 1e-3, (0.08, "memory")),  # it holds more than it has to
        # 2.6 us of arithmetic for 31 us of memory, and of 3 at least of a cache
        ((260_000, 310_000, 310_000, 0), 9e-6, (None, "in cache")),
        ((320_000, 310_000, 310_000, 0), 9e-6, (0.356, "arithmetic")),
        # arithmetic is a limit wherever the data are
        ((2 * 64**3, 3 * 64 * 64 * 4, 3 * 64 * 64 * 4, 1), 8e-6, (0.655, "arithmetic")),
        ((2 * 64**3, 3 * 64 * 64 * 4, 3 * 64 * 64 * 4, 1), 3.9e-6, (1.344, "arithmetic")),  # longer than a call
    ],
)
def test_a_verdict_follows_from_what_is_worked_on_and_what_calls_take(spent, seconds, found):
    share, bound = ceiling.share(ceiling.Spent(*spent), seconds, LIMITS)
    assert (share, bound) == (found[0] and pytest.approx(found[0], abs=1e-3), found[1])


def test_memory_is_a_limit_to_what_was_flushed_from_the_caches_and_unknown_without_their_size():
    small, large = (ceiling.Spent(None, nbytes, nbytes, 1) for nbytes in (10**6, 10**8))
    unknown = msgspec.structs.replace(LIMITS, cache_nbytes=None)
    assert ceiling.share(small, 1e-3, LIMITS, cold=True) == (pytest.approx(0.1), "memory")
    assert ceiling.share(small, 1e-3, unknown) == (None, None)
    assert ceiling.share(large, 0.1, unknown) == (pytest.approx(0.1), "memory")
    assert ceiling.share(small, 1e-3, report.Ceiling()) == (None, None)


def test_a_ceiling_is_the_best_of_two_moments_and_knows_the_worst():
    low = {"gflops_low": 90.0, "gbytes_low": 8.0, "call_high": 2e-6}
    one = msgspec.structs.replace(LIMITS, **low)
    other = report.Ceiling(
        gflops_per_second=50.0, gflops_low=40.0, gbytes_per_second=12.0, gbytes_low=11.0, call_seconds=3e-6,
        call_high=4e-6, cache_nbytes=10**6,
    )  # fmt: skip
    assert ceiling.both(one, other) == ceiling.both(other, one) == report.Ceiling(
        gflops_per_second=100.0, gflops_low=40.0, gbytes_per_second=12.0, gbytes_low=8.0, call_seconds=1e-6,
        call_high=4e-6, cache_nbytes=10**6,
    )  # fmt: skip
    assert ceiling.both(one, report.Ceiling()) == one


def test_what_does_more_than_the_limit_is_the_limit(monkeypatch):
    limit = report.Ceiling(gflops_per_second=1e9, gbytes_per_second=1e-9, call_seconds=1e-12, cache_nbytes=64)
    monkeypatch.setattr(ceiling, "of", lambda *_, **__: limit)
    (answer,) = asked(workload="copy", sizes=(4, 16), variants=("clone", "into out"))
    small, large = answer.cases
    assert [(each.bound, each.share) for each in small.variants] == [("in cache", None)] * 2
    fastest = max(each.gbytes_per_second for each in large.variants)
    assert large.ceiling.gbytes_per_second == small.ceiling.gbytes_per_second == fastest
    assert [each.bound for each in large.variants] == ["memory"] * 2
    assert max(each.share for each in large.variants) == pytest.approx(1.0)


def test_a_loops_operators_are_those_of_its_parts():
    plan = workload_module.of_workload(
        table()["dot"], table()["dot"].variants, n=1000, device="cpu", dtype="float32", seed=0
    )
    loop, product, dot, _ = (counting.looked_at(each) for each in plan.candidates)
    assert loop.operators == counting.counts(plan.candidates[0]).operators == 4000
    assert (product.operators, dot.operators) == (2, 1)
    assert dot.held_nbytes == 2 * 4000 + 4
    assert product.held_nbytes in (3 * 4000 + 4, 3 * 4000)  # the sum may lie where the product was


def test_samples_too_far_apart_are_compared_with_nothing(monkeypatch):
    wild = (1e-6, 2e-5) * 10

    def recorded(tasks, **_):
        found = {
            name: bench_module.Samples(seconds if isinstance(seconds, tuple) else (seconds,) * 20, 1, 0.0, range(20))
            for name, seconds in zip(tasks, times, strict=True)
        }
        return SimpleNamespace(current="", samples=found, run=lambda progress: None)

    monkeypatch.setattr(bench_module, "Interleaved", recorded)
    for times, expected in (((1e-5, wild, 2e-5), [1.0, None, 0.5]), ((wild, 1e-5, 2e-5), [1.0, None, None])):
        (answer,) = asked(workload="dot", sizes=(8,), variants=("dot", "matmul", "multiply and sum"))
        rows = answer.cases[0].variants
        assert [row.ratio and row.ratio.value for row in rows] == [each and pytest.approx(each) for each in expected]
        assert [row.unsteady for row in rows] == [seconds is wild for seconds in times]


def test_a_launch_has_a_time_and_no_rate(monkeypatch):
    monkeypatch.setattr(ceiling, "of", lambda *_, **__: LIMITS)
    (answer,) = asked(workload="launch")
    for row in answer.cases[0].variants:
        work = (row.flops, row.nbytes, row.gflops_per_second, row.gbytes_per_second, row.share, row.bound)
        assert work == (None,) * 6
        assert row.ratio.to == "operator"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
def test_a_ceiling_is_that_of_random_numbers_and_leaves_the_sessions_generator_alone(monkeypatch, dtype):
    used, before = {}, torch.get_rng_state()
    plain = ceiling.timed.plain
    monkeypatch.setattr(ceiling.timed, "plain", lambda text, names: used.update(names) or plain(text, names))
    ceiling.of("cpu", dtype, clock=Ticking(TICK), min_seconds=TICK)
    assert torch.equal(before, torch.get_rng_state())
    for name in "abx":
        values, counts = used[name].flatten()[:10_000].unique(return_counts=True)
        assert len(values) >= 10
        assert counts.max() < 0.2 * 10_000, name
    assert not torch.equal(used["a"], used["b"])


def test_explaining_counts_what_a_call_makes_torch_do():
    (answer,) = asked(workload="dot", sizes=(50,), explain=True, variants=("python loop", "multiply and sum", "dot"))
    loop, product, dot = (variant.counts for variant in answer.cases[0].variants)
    assert (loop.operators, product.operators, dot.operators) == (200, 2, 1)  # two lookups, a product and a sum each
    assert (product.allocations, product.allocated_nbytes) == (2, 204)
    assert (dot.kernels, dot.synchronizations, dot.extrapolated) == (None, None, False)
    assert (loop.kernels, loop.synchronizations, loop.extrapolated) == (None, None, True)


LOOPS = [workload for workload in WORKLOADS if any(variant.parts for variant in workload.variants)]


@pytest.mark.parametrize("workload", LOOPS, ids=lambda workload: workload.name)
def test_the_counts_of_a_loop_are_those_of_two_of_its_parts_and_of_the_whole(workload):
    loops = [variant for variant in workload.variants if variant.parts]
    plan = workload_module.of_workload(workload, loops, n=7, device="cpu", dtype="float32", seed=0)
    for candidate in plan.candidates:
        ran = []
        looked = replace(
            candidate, value=lambda parts, value=candidate.value, ran=ran: ran.append(parts) or value(parts)
        )
        line, whole = counting.counts(looked), counting.counts(replace(candidate, parts=1))
        assert line == msgspec.structs.replace(whole, extrapolated=True)
        assert ran == [1, 2]


def test_only_the_waits_of_the_call_itself_are_counted():
    """With events as torch's profiler gives them, in microseconds: it waits before and after the call, too."""

    def event(name, start, end, device=DeviceType.CPU):
        return SimpleNamespace(name=name, time_range=SimpleNamespace(start=start, end=end), device_type=device)

    call = [
        event(counting.MARK, 10.0, 20.0),
        event("aten::sum", 11.0, 13.0),
        event("cudaLaunchKernel", 12.0, 12.5),
        event("cuLaunchKernelEx", 13.0, 13.5),
        event("aten::item", 14.0, 19.0),
        event("cudaMemcpyAsync", 15.0, 15.5),
        event("cudaStreamSynchronize", 16.0, 19.0),
        event("reduce_kernel", 13.0, 30.0, DeviceType.CUDA),
    ]
    others = [
        event(counting.MARK, 12.0, 50.0, DeviceType.CUDA),
        event("cudaDeviceSynchronize", 1.0, 2.0),
        event("cudaLaunchKernel", 3.0, 4.0),
        event("cudaDeviceSynchronize", 21.0, 22.0),
        event("cudaDeviceSynchronize", 23.0, 24.0),
    ]
    assert counting.called([*call, *others]) == (2, 1)
    assert counting.called(others) == (0, 0)


def test_threads_have_cases_of_their_own_and_are_put_back():
    before = torch.get_num_threads()
    (answer,) = asked(workload="dot", sizes=(3,), threads=(1, 2))
    assert [case.threads for case in answer.cases] == [1, 2]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("threads", "told"), [((1,), 1), ((2,), 2), ((1, 2), None)])
def test_the_environment_has_the_threads_of_the_cases(threads, told):
    (answer,) = asked(workload="dot", sizes=(3,), threads=threads)
    assert answer.environment["threads"] == told


def test_the_seed_decides_the_inputs(monkeypatch):
    seen = []
    with_variant(monkeypatch, lambda a, b: seen.append(a) or a @ b)
    for seed in (1, 1, 2):
        asked(workload="dot", sizes=(3,), seed=seed)
    first, again, other = {id(each): each for each in seen}.values()  # one tensor a benchmark
    assert len(seen) > 3
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_own_sizes_are_measured_where_none_are_asked_for(monkeypatch):
    small = replace(table()["dot"], sizes=(2, 3))
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": small})
    (answer,) = asked(workload="dot")
    assert [case.size for case in answer.cases] == [{"n": 2}, {"n": 3}]


class Worked:
    """A clock that moves by what was worked, and by a tick for each reading."""

    def __init__(self):
        self.now, self.called = 0.0, 0

    def __call__(self):
        self.now += TICK
        return self.now

    def work(self, parts, *, beginning=0.0, first=0.0):
        """A tenth of a second for each part, of which there are four, after a beginning; the first time more."""
        self.now += beginning + (4 if parts is None else parts) / 10 + (0 if self.called else first)
        self.called += 1


def looped(monkeypatch, clock, n=512, max_seconds=10.0, **costs):
    """The only variant, a loop of n parts, measured for a second."""
    variant = Variant("loop", "(work(parts), torch.dot(a, b))[1]", parts=Parts(lambda n: n, steps=lambda n: 2))
    loops = replace(table()["dot"], variants=(variant,), functions={"work": lambda parts: clock.work(parts, **costs)})
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": loops})
    reports = []
    limits = {"min_seconds": min(1.0, max_seconds), "max_seconds": max_seconds}
    bench(report.Bench(workload="dot", sizes=(n,), **limits), reports.append, clock=clock)
    return reports[-1].cases[0].variants[0]


def test_a_long_loop_is_extrapolated(monkeypatch):
    loop = looped(monkeypatch, Worked())
    assert (loop.status, loop.reason, loop.agrees) == ("extrapolated", "extrapolated from 4 of 1,024 steps", None)
    assert loop.seconds == pytest.approx([51.2] * 6)
    assert (loop.median, loop.flops) == (pytest.approx(51.2), 1024)


def test_a_ratio_to_what_is_extrapolated_says_so():
    (answer,) = asked(workload="matmul", sizes=(8,), tick=1.0, min_seconds=1.0)
    marked = {each.name: each.ratio.extrapolated for each in answer.cases[0].variants if each.ratio}
    assert marked["matmul"]  # to the python loop
    (answer,) = asked(workload="dot", sizes=(8,))
    assert not any(each.ratio.extrapolated for each in answer.cases[0].variants)


def test_what_a_loop_spends_on_beginning_is_not_scaled(monkeypatch):
    loop = looped(monkeypatch, Worked(), beginning=0.2)
    assert loop.median == pytest.approx(51.2)


def test_of_a_loop_of_few_parts_one_is_scaled(monkeypatch):
    loop = looped(monkeypatch, Worked(), n=2, beginning=0.2, max_seconds=0.5)
    assert (loop.reason, loop.median) == ("extrapolated from 2 of 4 steps", pytest.approx(0.6, abs=0.01))
    loop = looped(monkeypatch, Worked(), n=3, max_seconds=0.5)
    assert (loop.reason, loop.first_seconds) == ("extrapolated from 4 of 6 steps", pytest.approx(0.3, abs=0.01))


def test_a_first_part_that_was_cold_does_not_make_a_loop_long(monkeypatch):
    assert looped(monkeypatch, Worked(), n=4, first=30.0).status == "measured"


def test_progress_rises_to_the_end_of_the_last_case():
    reports = []
    bench(report.Bench(workload="dot", sizes=(2, 3), min_seconds=TICK), reports.append, clock=Ticking(TICK))
    told = [each for each in reports if isinstance(each, report.Progress)]
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert {each.total for each in told} == {2000}
    assert told[0].label == "dot n = 2 cpu: trying python loop (at most 100 s, then the others)"
    assert told[0].left is None  # nobody knows yet
    assert (told[-1].done, told[-1].left) == (2000, 0.0)


def test_what_is_too_large_is_skipped_with_both_numbers(monkeypatch):
    monkeypatch.setattr(environment, "free_nbytes", lambda device: 8 << 20)
    some = ("python loop", "broadcast and sum", "matmul")
    answer, problem = asked(workload="matmul", sizes=(4, 2048), variants=some)
    lack = "needs 144 MiB with the check against float64, and 8 MiB are free"
    assert problem.title == f"matmul n = 2,048 was not measured on cpu in float32: {lack}"
    small, large = answer.cases
    assert [variant.status for variant in large.variants] == ["skipped"] * 3
    assert {variant.reason for variant in large.variants} == {lack}
    assert [variant.status for variant in small.variants] == ["measured"] * 3
    monkeypatch.setattr(environment, "free_nbytes", lambda device: 2 << 20)
    (answer,) = asked(workload="matmul", sizes=(96,), tick=1.0, min_seconds=1.0, variants=some)
    assert [variant.status for variant in answer.cases[0].variants] == ["extrapolated", "skipped", "measured"]
    assert answer.cases[0].variants[1].reason == "needs 3.4 MiB, and 2 MiB are free"


def test_only_what_the_reference_uses_is_copied_for_it(monkeypatch):
    dot = table()["dot"]

    class Unused(torch.Tensor):
        def to(self, *_, **__):
            raise AssertionError("copied")

    def inputs(n, **options):
        return dot.inputs(n, **options) | {"out": torch.ones(n).as_subclass(Unused)}

    spare = replace(dot, inputs=inputs)
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": spare})
    (answer,) = asked(workload="dot", sizes=(3,), variants=("dot",))
    (variant,) = answer.cases[0].variants
    assert (variant.status, variant.agrees.ok, variant.agrees.max_rel_error < 1e-6) == ("measured", True, True)


def with_variant(monkeypatch, run, *, first=False):
    """A workload of two variants, one of them `run`."""
    dot = table()["dot"]
    variants = (Variant("odd", "odd(a, b)"), dot.variants[2])
    odd = replace(dot, variants=variants if first else variants[::-1], functions={"odd": run})
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": odd})


def test_a_variant_that_fails_leaves_the_others_alone(monkeypatch):
    def run(a, b):
        raise RuntimeError("no such kernel\nand much more")

    with_variant(monkeypatch, run)
    (answer,) = asked(workload="dot", sizes=(3,))
    good, odd = answer.cases[0].variants
    assert good.status == "measured"
    assert odd == report.Variant(name="odd", text="odd(a, b)", status="failed", reason="no such kernel")


def test_the_ratio_is_to_the_first_that_could_be_measured(monkeypatch):
    with_variant(monkeypatch, lambda a, b: a @ torch.ones(99), first=True)
    (answer,) = asked(workload="dot", sizes=(3,))
    odd, good = answer.cases[0].variants
    assert (odd.status, good.status, good.ratio.to) == ("failed", "measured", "dot")


def test_a_variant_that_fails_only_later_is_reported(monkeypatch):
    calls = []

    def run(a, b):
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("the device was lost")
        return a @ b

    with_variant(monkeypatch, run)
    (answer,) = asked(workload="dot", sizes=(3,))
    good, odd = answer.cases[0].variants
    assert (odd.status, odd.reason, odd.seconds) == ("failed", "the device was lost", ())
    assert good.status == "measured"
    with_variant(monkeypatch, run, first=True)
    calls.clear()
    (answer,) = asked(workload="dot", sizes=(3,))
    odd, good = answer.cases[0].variants
    assert (odd.status, odd.reason) == ("failed", "the device was lost")
    assert (good.status, len(good.seconds) >= 6, good.ratio.to) == ("measured", True, "dot")


def test_a_case_lets_its_tensors_go_before_the_next(monkeypatch):
    alive, seen = [], []

    def run(a, b):
        if not seen or seen[-1]() is not a:
            alive.append(sum(each() is not None for each in seen))
            seen.append(weakref.ref(a))
        return a @ b

    with_variant(monkeypatch, run)
    asked(workload="dot", sizes=(3, 4, 5))
    assert alive == [0, 0, 0]


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda a, b: a @ b * 1.01, 0.01, "0.01"),
        (lambda a, b: a @ b * float("nan"), "nan", "nan"),
        (lambda a, b: a @ b * float("inf"), "inf", "inf"),
        (lambda a, b: a * b, None, "None"),
    ],
)
def test_a_wrong_result_is_said_to_be_wrong(monkeypatch, run, error, words):
    with_variant(monkeypatch, run)
    answer, problem = asked(workload="dot", sizes=(3,))
    assert (problem.code, problem.title.partition(":")[0]) == ("wrong-result", '"odd" does not agree with float64 dot')
    odd = answer.cases[0].variants[1]
    assert (odd.status, odd.agrees.ok, odd.agrees.with_) == ("measured", False, "float64 dot")
    assert odd.agrees.max_rel_error == (pytest.approx(error, rel=1e-3) if isinstance(error, float) else error)
    assert answer.cases[0].warnings[0].startswith('"odd" does not agree with float64 dot: ')
    assert words in answer.cases[0].warnings[0] or words == "None"


def test_the_bound_of_agreement_is_what_rounding_explains(monkeypatch):
    def bound(dtype, terms, roundings=1):
        return agreement.tolerance(dtype, terms=terms, roundings=roundings)

    assert bound(torch.float32, 100) == pytest.approx(100 * 2.0**-24, rel=1e-6)
    assert bound(torch.float16, 9) == pytest.approx(2.0**-11 + 8 * 2.0**-24)  # summed as float32
    assert bound(torch.bfloat16, 1, roundings=3) == pytest.approx(3 * 2.0**-8)
    assert bound(torch.bfloat16, 1, roundings=10**6) == rounding.LARGEST_ACCEPTED
    assert bound(torch.int64, 100) == 0.0
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert bound(torch.float32, 2) == pytest.approx(2 * 2.0**-11, rel=1e-3)


def test_a_loop_that_rounds_each_step_is_excused_and_nothing_else_is(monkeypatch):
    with_variant(monkeypatch, lambda a, b: a @ b * 1.02)
    found = asked(workload="dot", sizes=(30,), dtypes=("bfloat16",))[0].cases[0].variants
    assert {each.name: each.agrees.ok for each in found} == {"dot": True, "odd": False}
    assert "rounding explains 0.008" in found[1].agrees.reason
    monkeypatch.undo()
    (loop,) = asked(workload="dot", sizes=(30,), dtypes=("bfloat16",), variants=("python loop",))[0].cases[0].variants
    assert 0.002 < loop.agrees.max_rel_error < 30 * 2.0**-8
    assert loop.agrees.ok


def diagnosis(**fields):
    (found,) = asked(**fields)
    assert isinstance(found, report.Diagnosis)
    return found.code, found.category, found.title


def test_an_unknown_workload_is_answered_with_the_known_ones():
    assert diagnosis(workload="matmull") == (
        "unknown-workload",
        "name",
        "there is no workload called matmull: did you mean matmul?",
    )
    assert diagnosis(workload="conv")[2] == "there is no workload called conv: did you mean conv2d?"


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_cannot_be_measured(size):
    said = ("bad-size", "value", f"a size of {size} cannot be measured: n must be at least 1")
    assert diagnosis(workload="dot", sizes=(size,)) == said


def test_other_requests_that_make_no_sense():
    assert diagnosis(workload="dot", dtypes=("complex64",)) == (
        "unknown-dtype",
        "dtype",
        "dot is not measured in complex64: choose from float32, float64, float16, bfloat16, tf32, int64, int32",
    )
    assert diagnosis(workload="dot", threads=(0,))[0] == "bad-threads"
    assert diagnosis(workload="dot", variants=("dto",))[2] == "there is no variant called dto: did you mean dot?"
    assert diagnosis(workload="dot", min_seconds=0.0)[0] == "bad-time"
    assert diagnosis(workload="dot", devices=("gpu",))[::2] == (
        "unknown-device",
        "there is no device called gpu: try cpu, cuda or cuda:1",
    )
    assert diagnosis(workload="dot", devices=("meta",))[0] == "unknown-device"


@pytest.mark.parametrize(
    ("available", "built_for", "driver", "count", "said"),
    [
        (False, None, None, 0, "was built without CUDA: install a CUDA build from pytorch.org"),
        (False, "13.0", None, 0, "but found no NVIDIA driver: install one"),
        (False, "13.0", "580.1", 0, "the NVIDIA driver reports no device"),
        (True, "13.0", "580.1", 1, "there is no cuda:3: the CUDA devices here are numbered 0 to 0"),
    ],
)
def test_why_there_is_no_cuda_is_said_in_one_sentence_and_the_cpu_is_measured(
    monkeypatch, available, built_for, driver, count, said
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(environment, "_driver", lambda: driver)
    assert diagnosis(workload="dot", sizes=(2,), devices=("cuda:3",))[:2] == ("no-cuda", "device")
    problem, answer = asked(workload="dot", sizes=(2,), devices=("cuda:3", "cpu", "cuda:3"))
    assert said in problem.title
    assert problem.title.count(". ") == 0
    assert [case.device for case in answer.cases] == ["cpu"]
    assert answer.cases[0].variants[0].status == "measured"


def test_a_device_asked_for_twice_is_measured_once():
    (answer,) = asked(workload="dot", sizes=(2,), devices=("cpu", "cpu:0", "cpu"))
    assert [case.device for case in answer.cases] == ["cpu"]


def test_what_is_asked_for_twice_is_measured_once():
    twice = {"sizes": (2, 3, 2), "threads": (2, 1, 2), "dtypes": ("float64", "float32", "float64")}
    (answer,) = asked(workload="dot", variants=("dot",), **twice)
    assert [(case.dtype, case.size["n"], case.threads) for case in answer.cases] == [
        (dtype, n, threads) for dtype in ("float64", "float32") for n in (2, 3) for threads in (2, 1)
    ]


def test_an_interrupt_goes_through(monkeypatch):
    def run(a, b):
        raise KeyboardInterrupt

    with_variant(monkeypatch, run)
    reports = []
    with pytest.raises(KeyboardInterrupt):
        bench(report.Bench(workload="dot", sizes=(2,), min_seconds=TICK), reports.append, clock=Ticking(TICK))
    assert (reports[-1].complete, len(reports[-1].cases)) == (False, 1)


def test_workload_modules_are_found_by_being_there(monkeypatch, tmp_path):
    (tmp_path / "nothing.py").write_text(
        "from tensorcli.workloads.dot import WORKLOAD as dot\n"
        "from dataclasses import replace\n"
        "WORKLOAD = replace(dot, name='nothing')\n"
    )
    monkeypatch.setattr(table_module, "__path__", [*table_module.__path__, str(tmp_path)])
    assert "nothing" in table()


def test_what_torch_keeps_for_its_next_tensors_is_free_on_a_gpu(monkeypatch):
    answers = {"mem_get_info": (1000, 8000), "memory_reserved": 600, "memory_allocated": 250}
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)
    assert environment.free_nbytes("cuda:1") == 1350


def test_devices_report_what_is_known_here():
    found = environment.devices("cpu")
    assert (found.default, found.devices[0].device) == ("cpu", "cpu")
    assert (found.no_cuda is None) == (not NO_CUDA)
    assert msgspec.json.decode(wire.encode(found))["kind"] == "devices"


@pytest.mark.skipif(not NO_CUDA, reason="only where there is no CUDA device")
def test_a_check_of_a_gpu_that_is_not_there_says_so_and_writes_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "gpu_check.py", "--out", tmp_path / "data"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("no CUDA device here: ")
    assert done.stdout.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_nothing_is_measured_on_a_device_that_is_pretended(monkeypatch):
    monkeypatch.setattr(bench_module.pretend, "active", lambda: True)
    problem, answer = asked(workload="dot", sizes=(2,), devices=("cuda", "cpu"))
    assert problem.title.startswith("cuda is pretended, and what it takes here says nothing of a GPU: ")
    assert [case.device for case in answer.cases] == ["cpu"]
    assert "a device is pretended, and every operator pays for that: measure without --pretend" in answer.warnings


# What times suffer from.


def test_a_busy_machine_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (1.9, 0.0, 0.0))
    assert environment.busy(["cpu"], 4) == ()
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (2.1, 0.0, 0.0))
    said = "the load average is 2.1 on 4 cores: close other programs"
    assert environment.busy(["cpu"], 4) == (f"{said}, or leave them a core with --threads 3",)
    assert environment.busy(["cpu"], 3) == (said,)


def test_more_threads_than_cores_are_told(monkeypatch):
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(environment.os, "cpu_count", lambda: 2)
    (answer,) = asked(workload="dot", sizes=(3,), threads=(1, 2), variants=("dot",))
    assert answer.warnings == ()
    (answer,) = asked(workload="dot", sizes=(3,), threads=(1, 64), variants=("dot",))
    assert answer.warnings == ("64 threads share 2 cores: ask for at most --threads 2",)


def test_all_the_last_caches_are_counted(monkeypatch, tmp_path):
    """Two processors, of two cores each that share what is on level 3."""
    monkeypatch.setattr(environment, "_CPUS", tmp_path)
    assert environment.cache_nbytes("cpu") == 0
    for core, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        for index, (level, size, cores) in enumerate((("1", "48K", str(core)), ("3", "32768K", shared))):
            folder = tmp_path / f"cpu{core}" / "cache" / f"index{index}"
            folder.mkdir(parents=True)
            for name, text in (("level", level), ("size", size), ("shared_cpu_list", cores)):
                (folder / name).write_text(f"{text}\n")
    assert environment.cache_nbytes("cpu") == 2 * 32 * 2**20
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(L2_cache_size=50 << 20))
    assert environment.cache_nbytes("cuda:0") == 50 << 20


@pytest.mark.parametrize(("cached", "flushed"), [(0, 1000), (499, 1000), (700, 1400)])
def test_what_flushes_caches_is_twice_as_large_and_made_once_a_run(monkeypatch, cached, flushed):
    monkeypatch.setattr(environment, "LEAST_FLUSHED", 1000)
    monkeypatch.setattr(environment, "cache_nbytes", lambda device: cached)
    made, empty = [], torch.empty

    def noted(*shape, **options):
        x = empty(*shape, **options)
        if options.get("dtype") is torch.int8:
            made.append((x.nbytes, weakref.ref(x)))
        return x

    monkeypatch.setattr(torch, "empty", noted)
    (answer,) = asked(workload="dot", sizes=(4, 5), cold=True)
    assert {variant.status for case in answer.cases for variant in case.variants} == {"measured"}
    assert answer.cases[0].warnings[-1].startswith("flushing the caches took ")
    assert answer.cases[0].warnings[-1].endswith("only 6 samples of a variant: raise --min-time")
    ((nbytes, buffer),) = made
    assert (nbytes, buffer()) == (flushed, None)


def test_a_debug_build_and_a_coarse_clock_are_told(monkeypatch):
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(torch.version, "debug", True)
    monkeypatch.setattr(environment.time, "get_clock_info", lambda _: SimpleNamespace(resolution=0.015))
    assert environment.busy(["cpu"], 1) == (
        "this torch is a debug build, which is slow: install a release from pytorch.org",
        "the clock's steps are 15 ms: short times are those of many calls together",
    )


def test_a_processor_that_was_too_hot_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "_CPUS", tmp_path)
    counts = [tmp_path / f"cpu{k}" / "thermal_throttle" / "core_throttle_count" for k in (0, 1)]
    for count in counts:
        count.parent.mkdir(parents=True)
        count.write_text("7\n")
    assert environment.throttles() == 14
    slowing = environment.Slowing(["cpu"])
    assert list(slowing.told()) == []
    counts[1].write_text("9\n")
    assert list(slowing.told()) == [
        "the processor was slowed down by heat 2 times during the run: let it cool, and run again"
    ]


@pytest.fixture
def nvml(monkeypatch):
    """A function that makes the driver's library, of which there is a stand-in, give an answer."""
    import pynvml

    monkeypatch.setattr(environment, "_nvml", lambda: pynvml)
    monkeypatch.setattr(environment, "_handle", lambda *_: 1)
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: None)
    return lambda name, answer: monkeypatch.setattr(pynvml, name, lambda _: answer)


def test_a_gpu_that_others_use_is_told(nvml):
    own, other = SimpleNamespace(pid=environment.os.getpid()), SimpleNamespace(pid=1)
    nvml("nvmlDeviceGetComputeRunningProcesses", [other, own])
    assert environment.busy(["cpu", "cuda:1"], 1) == (
        "another process runs on cuda:1: wait for its end, or choose another device",
    )
    nvml("nvmlDeviceGetComputeRunningProcesses", [own])
    assert environment.busy(["cuda:1"], 1) == ()
    host = [other, SimpleNamespace(pid=2)]  # either may be this one, as the host of a container knows it
    nvml("nvmlDeviceGetComputeRunningProcesses", host)
    assert environment.busy(["cuda:1"], 1) == ()


def test_a_gpu_that_was_slowed_down_at_any_time_is_told(nvml):
    """Once the case is over, it is not any more."""
    import pynvml

    slowing, reasons = environment.Slowing(["cpu", "cuda:1"]), "nvmlDeviceGetCurrentClocksEventReasons"
    assert list(slowing.told()) == []
    for now in (
        pynvml.nvmlClocksEventReasonSwPowerCap,
        pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        pynvml.nvmlClocksEventReasonGpuIdle,
    ):
        nvml(reasons, now)
        slowing.look()
    assert list(slowing.told()) == [
        f"the clock of cuda:1 was held down by {cause}: let it cool, or lower its load, and run again"
        for cause in ("heat", "its power limit")
    ]
    slowing = environment.Slowing(["cuda:1"])
    nvml(reasons, pynvml.nvmlClocksEventReasonSwThermalSlowdown)
    slowing.look()
    assert len(list(slowing.told())) == 1


def test_each_case_looks_whether_its_device_is_slowed_down(monkeypatch):
    seen = []
    with_variant(monkeypatch, lambda a, b: seen.append("call") or a @ b)
    monkeypatch.setattr(environment.Slowing, "look", lambda self: seen.append("look"))
    asked(workload="dot", sizes=(3, 4))
    assert [key for key, _ in groupby(seen)] == ["call", "look"] * 2


def test_the_environment_says_what_a_time_depends_on():
    known = environment.environment(["cpu"], threads=[3, 3], tf32=[])
    assert (known["torch"], known["torch_commit"]) == (torch.__version__, torch.version.git_version)
    assert (known["threads"], known["cores"]) == (3, environment.os.cpu_count())
    assert known["cpu"]
    assert known["blas"] == "mkl" or not torch.backends.mkl.is_available()
    assert (known["gpu"], known["driver"], known["tf32"]) == (None, None, None)


@pytest.mark.parametrize(("tf32", "told"), [([True, True], True), ([False], False), ([False, True], None), ([], None)])
def test_the_environment_says_tf32_where_all_cases_agree(tf32, told):
    assert environment.environment(["cpu"], threads=[1], tf32=tf32)["tf32"] is told


def test_what_is_only_written_is_not_read():
    """The bytes of a product are the same where it is written to a matrix that is there."""
    a = torch.rand(8, 8)
    out = torch.empty(8, 8)
    new, into = (work.observed(call)[1] for call in (lambda: a @ a.T, lambda: torch.mm(a, a.T, out=out)))
    assert (into.flops, into.nbytes) == (new.flops, new.nbytes)


@pytest.mark.parametrize("n", [1, 65_536, 65_537, 10**6, 10**9])
def test_sums_of_inputs_stay_within_float16(n):
    for factors in (1, 2):
        scale = bounded(n, factors=factors)
        assert scale == 1.0 if n <= 65_536 else 0.5**16 < scale < 1.0
        assert n * scale**factors <= 65_536  # of numbers below 1: half as much, or a quarter, is the rule


@pytest.mark.parametrize("workload", ["dot", "sum"])
def test_a_million_numbers_in_float16_have_a_sum(workload):
    names = tuple(variant.name for variant in table()[workload].variants if not variant.parts)
    (answer,) = asked(workload=workload, sizes=(10**6,), dtypes=("float16",), variants=names)
    assert all(variant.agrees is None or variant.agrees.ok for variant in answer.cases[0].variants)
    assert len([variant for variant in answer.cases[0].variants if variant.agrees]) >= 2
