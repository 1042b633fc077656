"""What only a CUDA device shows. `scripts/gpu-check` runs these; elsewhere they are skipped."""

import pytest
import torch

from tensorcli import report
from tensorcli.engine.measure import Task, clock_of, elapsed, loop_of
from tensorcli.engine.session import Session
from tensorcli.workloads import table

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def answers(*requests):
    """What a new session says to some requests, progress left out."""
    session, found = Session(seed=1), []
    for request in requests:
        session.ask(request, found.append)
    return [each for each in found if not isinstance(each, report.Progress)]


def last(kind, *requests):
    return next(each for each in reversed(answers(*requests)) if isinstance(each, kind))


# Measuring.


@pytest.mark.parametrize("workload", table().values(), ids=lambda workload: workload.name)
def test_every_variant_agrees(workload):
    dtypes = tuple(dtype for dtype in workload.dtypes if not dtype.startswith("int"))
    request = report.Bench(
        workload=workload.name, devices=("cuda", "cpu"), sizes=(8, 33), dtypes=dtypes, min_seconds=0.01
    )
    answer = last(report.Benchmark, request)
    assert {case.device for case in answer.cases} == ({"cuda:0"} if workload.name == "transfer" else {"cuda:0", "cpu"})
    for case in answer.cases:
        for variant in case.variants:
            assert variant.status != "failed", (case.device, case.dtype, variant.name, variant.reason)
            assert variant.agrees is None or variant.agrees.ok, (case.device, case.dtype, variant)


def test_the_clock_waits_for_what_was_started():
    x = torch.rand(4096, 4096, device="cuda")
    x @ x
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()

    def work():
        start.record()
        for _ in range(10):
            x @ x
        end.record()

    seconds = elapsed(Task(loop_of(work)), clock=clock_of("cuda"))
    torch.cuda.synchronize()
    assert seconds >= start.elapsed_time(end) / 1000  # which is in milliseconds, of the device's own clock


def test_a_median_is_that_of_events():
    request = report.Bench(workload="matmul", devices=("cuda",), sizes=(2048,), variants=("matmul",), min_seconds=0.3)
    (variant,) = last(report.Benchmark, request).cases[0].variants
    a = torch.rand(2048, 2048, device="cuda")
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(50):
        a @ a
    start.record()
    for _ in range(200):
        a @ a
    end.record()
    torch.cuda.synchronize()
    assert variant.median == pytest.approx(start.elapsed_time(end) / 1000 / 200, rel=0.25)


def test_kernels_and_waits_are_counted():
    setup = "x = torch.rand(100, device='cuda')"
    answer = last(
        report.Benchmark,
        report.Compare(
            texts=("x + 1", "x.sum().item()"), setup=setup, devices=("cuda",), explain=True, min_seconds=0.01
        ),
    )
    add, value = (variant.counts for variant in answer.cases[0].variants)
    assert (add.kernels, add.operators, add.synchronizations) == (1, 1, 0)
    assert value.kernels >= 1
    assert value.synchronizations == 1


def test_a_comparison_runs_on_the_device_asked_for_and_puts_the_default_back():
    answer = last(
        report.Benchmark,
        report.Compare(texts=("torch.rand(64, 64) @ torch.rand(64, 64)",), devices=("cuda", "cpu"), min_seconds=0.01),
    )
    assert [case.device for case in answer.cases] == ["cuda:0", "cpu"]
    assert all(variant.status == "measured" for case in answer.cases for variant in case.variants)
    assert torch.get_default_device().type == "cpu"


def test_tf32_has_a_row_of_its_own_and_is_put_back():
    before = torch.get_float32_matmul_precision()
    answer = last(
        report.Benchmark,
        report.Bench(
            workload="matmul",
            devices=("cuda",),
            sizes=(512,),
            dtypes=("float32", "tf32"),
            variants=("matmul",),
            min_seconds=0.05,
        ),
    )
    exact, rounded = (case.variants[0] for case in answer.cases)
    assert [case.dtype for case in answer.cases] == ["float32", "tf32"]
    assert exact.agrees.ok
    if torch.cuda.get_device_capability() >= (8, 0):
        assert rounded.agrees.ok
        assert rounded.agrees.max_rel_error > exact.agrees.max_rel_error
    else:
        assert rounded.status == "skipped"
    assert torch.get_float32_matmul_precision() == before


def test_flushed_caches_are_colder():
    def median(cold):
        request = report.Bench(
            workload="copy", devices=("cuda",), sizes=(1 << 20,), min_seconds=0.1, cold=cold, variants=("into out",)
        )
        found = answers(request)[-1]
        assert isinstance(found, report.Benchmark), found
        return found.cases[0].variants[0].median

    assert median(cold=True) > median(cold=False)


def test_what_is_too_large_is_skipped_and_the_rest_is_measured():
    answer = last(
        report.Benchmark,
        report.Bench(workload="dot", devices=("cuda",), sizes=(4, 10**12), variants=("dot",), min_seconds=0.01),
    )
    small, large = (case.variants[0] for case in answer.cases)
    assert (small.status, large.status) == ("measured", "skipped")
    assert large.reason.startswith("needs ")


def test_memory_that_runs_out_in_an_expression_is_one_sentence():
    found = answers(
        report.Compare(
            texts=("x", "torch.empty(10**13)"), setup="x = torch.ones(3)", devices=("cuda",), min_seconds=0.01
        )
    )
    good, bad = found[-1].cases[0].variants
    assert (good.status, bad.status) == ("measured", "failed")
    assert "Traceback" not in bad.reason


# The rest of what a session says.


def test_a_tensor_on_the_device_is_described():
    tensor = last(report.Tensor, report.Evaluate(text="torch.arange(6., device='cuda').reshape(2, 3)"))
    assert (tensor.device, tensor.shape, tensor.dtype) == ("cuda:0", (2, 3), "float32")
    assert tensor.values is not None


def test_tensors_on_two_devices_are_explained_with_edits_that_run():
    found = answers(
        report.Evaluate(text="a = torch.ones(3, device='cuda'); b = torch.ones(3)"), report.Evaluate(text="a + b")
    )
    problem = found[-1]
    assert isinstance(problem, report.Diagnosis)
    assert problem.category == "device"
    assert problem.suggestions


def test_the_parts_of_an_expression_take_time_and_memory_of_the_device():
    trace = last(report.Trace, report.Inspect(text="(x @ x).sum()", setup="x = torch.rand(512, 512, device='cuda')"))
    assert trace.peak_nbytes >= 512 * 512 * 4
    assert trace.total_seconds > 0


def test_devices_are_reported():
    devices = last(report.Devices, report.ListDevices())
    gpu = next(each for each in devices.devices if each.device == "cuda:0")
    assert gpu.name == torch.cuda.get_device_name()
    assert gpu.total_nbytes > gpu.free_nbytes > 0
    assert devices.no_cuda is None


def test_the_environment_names_the_device():
    request = {"workload": "matmul", "sizes": (8,), "variants": ("matmul",), "min_seconds": 0.01}
    for devices, dtypes, tf32 in (
        (("cuda", "cpu"), ("float32",), False),
        (("cuda",), ("tf32",), True),
        (("cuda",), ("float32", "tf32"), None),
    ):
        known = last(report.Benchmark, report.Bench(**request, devices=devices, dtypes=dtypes)).environment
        assert known["gpu"] == torch.cuda.get_device_name()
        assert known["cuda"] == torch.version.cuda
        assert known["tf32"] is tf32
    known = last(report.Benchmark, report.Bench(**request, devices=("cpu",))).environment
    assert (known["gpu"], known["tf32"]) == (None, None)
