"""An earlier benchmark against a new one, and benchmarks as files."""

import csv
import errno
import io
import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace
from samples import SAMPLES

from tensorcli import atomic, baseline, export, wire
from tensorcli.render.bench import markdown, render_bench
from tensorcli.report import Agreement, Benchmark, Case, Ceiling, Compare, Ratio, Variant

LIMIT = Ceiling(gflops_per_second=100.0, gbytes_per_second=10.0)


def variant(name="matmul", *, low, high, **fields):
    """One that was measured, its median in the middle of its interval."""
    middle = (low + high) / 2
    known = {"status": "measured", "seconds": (low, middle, high), "median": middle, "low": low, "high": high}
    return Variant(**{"name": name, **known, **fields})


def benchmark(*variants, size=64, limit=LIMIT, cold=False, **fields):
    case = Case(device="cpu", dtype="float32", size={"n": size}, threads=2, variants=variants, ceiling=limit, cold=cold)
    return Benchmark(
        **{"workload": "matmul", "environment": {"torch": "2.13.0", "cpu": "X"}, "cases": (case,), **fields}
    )


def then(now, before, **fields):
    """How one variant compares with an earlier run of it."""
    found = baseline.since(benchmark(now), benchmark(before, **fields))
    return found.cases[0].variants[0].then


def test_a_difference_has_the_interval_of_the_nearest_and_the_farthest_ends():
    assert then(variant(low=1.0, high=3.0), variant(low=6.0, high=10.0)) == Ratio(
        to="then", value=4.0, low=2.0, high=10.0
    )


@pytest.mark.parametrize(
    ("now", "before"), [((1.0, 2.0), (1.5, 3.0)), ((1.5, 3.0), (1.0, 2.0)), ((1.0, 4.0), (2.0, 3.0))]
)
def test_intervals_that_overlap_are_no_difference(now, before):
    earlier = benchmark(variant(low=before[0], high=before[1]))
    found = baseline.since(benchmark(variant(low=now[0], high=now[1])), earlier)
    ratio = found.cases[0].variants[0].then
    assert ratio.low <= 1 <= ratio.high
    assert list(baseline.slower(found, earlier, 0.0)) == []
    assert "no difference" in render_bench(found, width=120).plain


def test_without_an_interval_it_is_twice_all_that_was_sampled():
    few = replace(variant(low=4.0, high=8.0), low=None, high=None)
    assert then(few, variant(low=1.0, high=2.0)) == Ratio(to="then", value=0.25, low=1 / 16, high=1.0)


def test_what_was_not_measured_alike_is_not_compared():
    now = variant(low=1.0, high=2.0)
    assert then(now, replace(now, name="einsum")) is None
    assert then(now, replace(now, status="extrapolated")) is None
    assert then(now, Variant(name="matmul", status="failed", reason="no")) is None
    assert then(now, now, size=65) is None
    assert then(now, now, workload="dot") is None


def test_slower_is_told_with_numbers_and_only_beyond_the_share():
    before = benchmark(variant(low=0.9, high=1.1), variant("einsum", low=1.0, high=1.0))
    now = baseline.since(benchmark(variant(low=1.2, high=1.3), variant("einsum", low=1.0, high=1.0)), before)
    (problem,) = baseline.slower(now, before, 0.10)
    assert problem.title == (
        '"matmul" on cpu at n = 64 takes 25 % longer than then (9.1 % .. 44 % by the noise within each run)'
    )  # 1.25 / 1, 1.2 / 1.1, 1.3 / 0.9
    assert list(baseline.slower(now, before, 0.30)) == []


@pytest.mark.parametrize(
    ("slow", "bound", "slowdown"),
    [
        ({"gflops_per_second": 56.0, "gflops_low": 26.9}, "call", 100 / 26.9),
        ({"gflops_per_second": 50.0}, "in cache", 2.0),
        ({"call_seconds": 1e-6, "call_high": 3e-6}, "arithmetic", 3.0),
        ({"gbytes_per_second": 5.0}, "memory", 2.0),
        ({"gbytes_per_second": 5.0}, None, 2.0),
        ({"gbytes_per_second": 1.0}, "in cache", 1.0),
        ({"gflops_per_second": 200.0}, "arithmetic", 2.0),
    ],
)
def test_what_a_slower_machine_explains_is_told_and_does_not_fail(slow, bound, slowdown):
    limit = Ceiling(gflops_per_second=100.0, gbytes_per_second=10.0, call_seconds=1e-6)
    before = benchmark(variant(low=1.0, high=1.0, bound=bound), limit=limit)

    def found(times):
        now = benchmark(variant(low=times, high=times, bound=bound), limit=replace(limit, **slow))
        now = baseline.since(now, before, 0.1)
        said = [each for each in now.warnings if "not comparable" in each]
        return said, [each.code for each in baseline.slower(now, before, 0.1)]

    assert found(1.12 * slowdown) == ([], ["slower-than-then"])
    if slowdown > 1:
        (said,), failed = found(1.08 * slowdown)
        assert failed == []
        assert said.startswith('"matmul" on cpu at n = 64 is not comparable: it takes ')
        more = baseline.percent(slowdown)
        assert said.endswith(f"the machine itself varied by up to {more}; run both again")
    else:
        assert found(1.08) == ([], [])


def test_whose_samples_are_too_far_apart_is_not_compared_with_then():
    steady, wild = variant(low=1.0, high=2.0), variant(low=1.0, high=20.0, unsteady=True)
    assert then(steady, wild) is None
    assert then(wild, steady) is None


def test_whose_noise_an_interval_is_of_is_said():
    one = benchmark(variant(low=1.0, high=2.0))
    found = baseline.since(one, one)
    said = "vs then: intervals are of the noise within each run, not of what differs between runs"
    assert found.notes == (said,)
    assert f" {said}" in render_bench(found, width=120).plain.split("\n")
    assert f"- {said}" in markdown(found).split("\n")


def test_another_setup_is_not_compared():
    asked = [Compare(texts=("x.sum()",), setup=f"x = torch.rand({n})") for n in (10, 1000)]
    before, now = (benchmark(variant(low=1.0, high=1.1), asked=each) for each in asked)
    found = baseline.since(now, before)
    assert found.cases[0].variants[0].then is None
    assert any("another setup" in warning for warning in found.warnings)
    assert [each.code for each in baseline.slower(found, before, 0.1)] == ["nothing-to-compare"]
    assert baseline.since(before, before).cases[0].variants[0].then is not None


def test_a_wrong_result_does_not_pass():
    wrong = Agreement(with_="float64", max_abs_error=1.0, max_rel_error=1.0, ok=False)
    before = benchmark(variant(low=1.0, high=1.1))
    found = baseline.since(benchmark(variant(low=1.0, high=1.1, agrees=wrong)), before)
    assert [*baseline.slower(found, before, 0.1)] == []  # whoever measured it has said so


def test_a_comparison_of_nothing_does_not_pass():
    before = benchmark(variant("other", low=1.0, high=2.0))
    now = baseline.since(benchmark(variant(low=1.0, high=2.0)), before)
    (problem,) = baseline.slower(now, before, 0.5)
    assert problem.title.startswith("nothing was compared: no variant was measured then and now")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ()),
        (
            {"environment": {"torch": "2.9.0", "cpu": "X"}},
            ("torch was 2.9.0 then, and is 2.13.0 now: the difference may be theirs",),
        ),
        (
            {"limit": Ceiling(gflops_per_second=50.0)},
            (
                "cpu did 50 GFLOP/s at most then and 100 now: the machine was in another state, and what differs may "
                "be its doing",
            ),
        ),
        ({"limit": Ceiling(gflops_per_second=95.0)}, ()),
        ({"workload": "dot"}, ("the earlier run was of dot, not of matmul",)),
        ({"complete": False}, ("the earlier run was interrupted",)),
    ],
)
def test_what_else_differs_is_told(fields, said):
    one = variant(low=1.0, high=2.0)
    assert baseline.since(benchmark(one), benchmark(one, **fields)).warnings == said


def test_what_failed_or_became_too_long_to_measure_whole_does_not_pass():
    before = benchmark(*(variant(name, low=1.0, high=1.1) for name in "abc"))
    longer = replace(
        variant("b", low=1000.0, high=1100.0), status="extrapolated", reason="extrapolated from 1 of 9 steps"
    )
    now = benchmark(Variant(name="a", status="failed", reason="no"), longer, variant("c", low=1.0, high=1.1))
    found = baseline.since(now, before)
    assert [each.title for each in baseline.slower(found, before, 0.1)] == [
        '"a" on cpu at n = 64 was measured then and is failed now: no',
        '"b" on cpu at n = 64 was measured then and is extrapolated now: extrapolated from 1 of 9 steps',
    ]


def test_what_is_no_longer_measured_is_named():
    names = ("a", "b", "c", "d", "e")
    before = benchmark(*(variant(name, low=1.0, high=2.0) for name in names))
    lost = Variant(name="c", status="failed", reason="no")

    def said(*left, **fields):
        now = benchmark(*(variant(name, low=1.0, high=2.0) for name in left), lost, **fields)
        return [each for each in baseline.since(now, before).warnings if "measured" in each]

    assert said("a", "b", "d", "e", "new") == ['no longer measured: "c" on cpu at n = 64, float32, 2 threads']
    (one,) = said("a", size=65)
    assert one == (
        'no longer measured: "a" on cpu at n = 64, float32, 2 threads; "b" on cpu at n = 64, float32, 2 threads; '
        '"c" on cpu at n = 64, float32, 2 threads and 2 more'
    )
    assert said("a", "b", "d", "e", cold=True)[0].startswith(
        'no longer measured: "a" on cpu at n = 64, float32, 2 threads with caches warm; '
    )
    assert said("a", complete=False) == []  # which is told anyway
    assert said("a", workload="dot") == []
    assert baseline.since(before, benchmark(lost)).warnings == ()  # nothing was, then


def test_reading(tmp_path):
    path = tmp_path / "b.json"
    assert baseline.read(path) == f"{path} cannot be read: No such file or directory"
    path.write_text("{}")
    assert baseline.read(path) == f"{path} holds no benchmark: --json FILE writes one"
    path.write_bytes(wire.encode(SAMPLES["timing"]))
    assert baseline.read(path) == f"{path} holds no benchmark: --json FILE writes one"
    path.write_bytes(wire.encode(SAMPLES["bench"]))
    assert baseline.read(path) == SAMPLES["bench"]


# Files.


def test_a_csv_has_a_line_for_each_variant_with_plain_numbers():
    now = benchmark(
        variant(low=1.0, high=2.0, flops=10, agrees=None, ratio=Ratio(to="matmul", value=1.0, low=1.0, high=1.0)),
        Variant(name='a "b", c', status="failed", reason="no\nmemory"),
    )
    first, second = csv.DictReader(io.StringIO(export.as_csv(now).decode()))
    assert {name: first[name] for name in ("workload", "device", "size_n", "variant", "median_seconds", "flops")} == {
        "workload": "matmul", "device": "cpu", "size_n": "64", "variant": "matmul", "median_seconds": "1.5",
        "flops": "10",
    }  # fmt: skip
    assert (first["low_seconds"], first["ratio_to"], first["samples"], first["torch"]) == (
        "1.0",
        "matmul",
        "3",
        "2.13.0",
    )
    assert (second["variant"], second["reason"], second["median_seconds"]) == ('a "b", c', "no\nmemory", "")


def test_markdown_has_the_tables_of_the_screen():
    now = benchmark(
        variant(low=1.0, high=2.0, flops=10**9, gflops_per_second=1 / 1.5),
        variant("a | b", low=0.1, high=0.2, ratio=Ratio(to="matmul", value=10.0, low=9.0, high=11.0)),
        Variant(name="c", status="skipped", reason="needs 2 TiB"),
        complete=False,
    )
    assert markdown(now) == (
        "# matmul\n"
        "\n"
        "## n = 64, float32, 2 threads\n"
        "\n"
        "| variant | device | median | 95 % interval | GFLOP/s | of limit | vs matmul |\n"
        "| :-- | :-- | --: | --: | --: | --: | --: |\n"
        "| matmul | cpu | 1.50 s | 1.00 .. 2.00 | 0.67 |  |  |\n"
        "| a \\| b | cpu | 150 ms | 100 .. 200 |  |  | 10.0 x faster (9.00 .. 11.0) |\n"
        "| c | cpu |  | needs 2 TiB |  |  |  |\n"
        "\n"
        "- warning: this is incomplete: it was interrupted\n"
        "\n"
        "- torch: 2.13.0\n"
        "- cpu: X\n"
    )


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "b.json"
    atomic.write(path, b"one")
    assert path.read_bytes() == b"one"
    path.chmod(0o640)
    atomic.write(path, b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o640)
    assert os.listdir(tmp_path) == ["b.json"]


def test_a_link_stays_one(tmp_path):
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / "link").symlink_to("real")
    atomic.write(tmp_path / "link", b"two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"two"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch, error):
    path = tmp_path / "b.json"
    path.write_bytes(b"one")

    def fail(*_):
        raise error

    monkeypatch.setattr(atomic.os, "replace", fail)
    with pytest.raises(type(error)):
        atomic.write(path, b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["b.json"]


def test_what_cannot_be_written_over_leaves_what_was_there(tmp_path, monkeypatch):
    path, written = tmp_path / "b.json", []
    path.write_bytes(b"one")
    real = Path.write_bytes

    def refuse(*_, **__):
        raise PermissionError

    def half(self, data):
        written.append(data)
        real(self, data[: len(data) if len(written) > 1 else 1])
        if len(written) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        atomic.write(path, b"two")
    assert path.read_bytes() == b"one"


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    reader, writer = os.pipe()
    try:
        atomic.write(Path(f"/dev/fd/{writer}"), b"two")
        assert os.read(reader, 10) == b"two"
    finally:
        os.close(reader)
        os.close(writer)
