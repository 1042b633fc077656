"""What a benchmark does with a request, and the work that its rates are of, against what torch counts."""

import ast
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tensorcli import report
from tensorcli.engine import bench as bench_module
from tensorcli.engine import workload as workload_module
from tensorcli.engine.compare import compare
from tensorcli.engine.session import Session
from tensorcli.engine.workload import bench
from tensorcli.workloads import Variant, table

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


def test_one_of_several_that_makes_no_sense_leaves_the_others():
    *problems, answer = asked(
        workload="dot",
        sizes=(0, 2),
        dtypes=("float23", "float32"),
        threads=(0, 1, 10**20),
        variants=("dott", "dot"),
    )
    assert [problem.title for problem in problems] == [
        "dot is not measured in float23: did you mean float32?",
        "a size of 0 cannot be measured: n must be at least 1",
        "there is no variant called dott: did you mean dot?",
        "0 threads cannot compute anything: there must be at least 1",
        "100,000,000,000,000,000,000 threads are more than torch can start: 1,024 are the most",
    ]
    (case,) = answer.cases
    assert (case.size, case.dtype, case.threads, [each.name for each in case.variants]) == (
        {"n": 2}, "float32", 1, ["dot"],
    )  # fmt: skip
    assert case.variants[0].status == "measured"


@pytest.mark.parametrize("fields", [{"dtypes": ("float23",)}, {"threads": (0,)}, {"variants": ("dott",)}])
def test_where_none_makes_sense_nothing_is_measured(fields):
    (problem,) = asked(workload="dot", sizes=(2,), **fields)
    assert isinstance(problem, report.Diagnosis)


def compared(*texts, **fields):
    """The diagnoses, and the one report that comes after them."""
    reports = []
    request = report.Compare(**{"texts": texts, "min_seconds": TICK} | fields)
    compare(Session(seed=1), request, reports.append, clock=Ticking())
    return [each for each in reports if not isinstance(each, report.Progress)]


def test_an_expression_that_cannot_be_read_is_a_row_that_failed():
    *problems, answer = compared(
        "x x", "x.__class__", "# x", "x + {n}", "{n} x", setup="x = torch.ones(2)", parameters={"n": (1, 2)}
    )
    assert [problem.code for problem in problems] == ["syntax", "refused", "nothing-to-compare"]  # each kind once
    for case in answer.cases:
        assert [(each.status, each.reason) for each in case.variants[:3]] == [
            ("failed", problem.title) for problem in problems[:3]
        ]
        assert (case.variants[3].status, case.variants[4].status) == ("measured", "failed")


def test_one_dtype_that_makes_no_sense_leaves_the_others_of_a_comparison():
    *problems, answer = compared("torch.ones(2)", dtypes=("float23", "float64"), threads=(1, -1))
    assert [problem.title for problem in problems] == [
        "float23 cannot be the default dtype: did you mean float32?",
        "-1 threads cannot compute anything: there must be at least 1",
    ]
    assert [(case.dtype, case.threads) for case in answer.cases] == [("float64", 1)]


def test_the_first_variant_that_is_named_is_the_one_to_compare_with():
    (answer,) = asked(workload="dot", sizes=(2,), variants=("matmul", "dot", "matmul"))
    assert [(each.name, each.ratio.to) for each in answer.cases[0].variants] == [
        ("matmul", "matmul"),
        ("dot", "matmul"),
    ]


def test_what_is_compiled_has_no_counts_and_says_why(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    workload = table()["softmax"]
    without_a_compiler = [replace(each, lacking=None) for each in workload.variants]
    monkeypatch.setattr(workload_module, "table", lambda: {"softmax": replace(workload, variants=without_a_compiler)})
    (answer,) = asked(workload="softmax", sizes=(2,), variants=("softmax", "compiled"), explain=True)
    (case,) = answer.cases
    assert [(each.counts is None) for each in case.variants] == [False, True]
    said = 'the operators of "compiled" are not counted: compiled code would be compiled anew for it'
    assert case.warnings[0] == said
    (answer,) = asked(workload="softmax", sizes=(2,), variants=("compiled",))
    assert said not in answer.cases[0].warnings


def test_progress_names_a_variant_before_it_is_tried(monkeypatch):
    monkeypatch.setattr(bench_module, "READ_SECONDS", float("inf"))
    named, dot = [], table()["dot"]
    variants = tuple(Variant(name, f"seen(a, {name!r})") for name in ("one", "two"))
    tried = replace(dot, variants=variants, functions={"seen": lambda a, name: named.append(name) or a @ a})
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": tried})

    def emit(each):
        if isinstance(each, report.Progress):
            named.append(each.label)

    bench(report.Bench(workload="dot", sizes=(2,), min_seconds=TICK), emit, clock=Ticking())
    # each is called once to be checked, and once to have its operators counted
    trying = [f"dot n = 2 cpu: trying {name} (at most 100 s, then the others)" for name in ("one", "two")]
    assert named[:6] == [trying[0], "one", "one", trying[1], "two", "two"]


# What a request asks for is what is done.


def watched(monkeypatch, look):
    """A workload whose one variant calls `look` each time."""
    dot = table()["dot"]
    variants = (Variant("watched", "look() or a @ b"),)
    odd = replace(dot, variants=variants, functions={"look": look})
    monkeypatch.setattr(workload_module, "table", lambda: {"dot": odd})


@pytest.mark.parametrize("cold", [True, False])
def test_cold_flushes_the_caches_before_each_call_that_is_timed(monkeypatch, cold):
    done = []
    monkeypatch.setattr(bench_module.environment, "cache_flush", lambda device: lambda: done.append(f"flush {device}"))
    watched(monkeypatch, lambda: done.append("call"))
    (answer,) = asked(workload="dot", sizes=(2,), cold=cold)
    (case,) = answer.cases
    (variant,) = case.variants
    assert (case.cold, len(variant.seconds) >= 6) == (cold, True)
    assert (done.pop(0), done.pop(0)) == ("call", "call")  # which are checked, and looked at
    assert done.count("call") >= 5
    if cold:
        assert done == ["flush cpu", "call"] * done.count("call")
    else:
        assert "flush cpu" not in done


@pytest.mark.parametrize(("full", "status"), [(True, "measured"), (False, "extrapolated")])
def test_full_runs_loops_to_their_end(full, status):
    def clock():
        clock.now += 1.0
        return clock.now

    clock.now = 0.0
    (answer,) = asked(
        clock, workload="dot", sizes=(8,), variants=("python loop",), full=full, min_seconds=1.0, max_seconds=10.0
    )
    (variant,) = answer.cases[0].variants
    assert variant.status == status
    assert variant.reason == (None if full else "extrapolated from 2 of 8 steps")


def test_a_case_is_measured_with_its_threads(monkeypatch):
    before, seen = torch.get_num_threads(), []
    watched(monkeypatch, lambda: seen.append(torch.get_num_threads()))
    (answer,) = asked(workload="dot", sizes=(2,), threads=(3, 1))
    assert [case.threads for case in answer.cases] == [3, 1]
    assert list(dict.fromkeys(seen)) == [3, 1]
    assert torch.get_num_threads() == before


# The work that rates are of.


def inputs_of(name, n, dtype="float32"):
    workload = table()[name]
    names = {"torch": torch, "F": torch.nn.functional, **workload.functions}
    return workload, names | workload.inputs(n, device="cpu", dtype=dtype, seed=0)


@pytest.mark.parametrize(("name", "variant"), [("matmul", "matmul"), ("conv2d", "conv2d"), ("attention", "by hand")])
@pytest.mark.parametrize("n", [5, 8])
def test_operations_are_those_that_torch_counts(name, variant, n):
    workload, names = inputs_of(name, n)
    (text,) = (each.text for each in workload.variants if each.name == variant)
    with FlopCounterMode(display=False) as counter:
        eval(text, names)
    assert workload.flops(n) == counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("softmax", 5 * 7 * 7),  # for each element: maximum, difference, exponential, sum, quotient
        ("elementwise", 3 * 7),  # product, sum, relu
        ("dot", 7 + 7),
        ("sum", 7),
        ("launch", 0),
        ("copy", 0),
        ("transfer", 0),
    ],
)
def test_operations_that_torch_does_not_count(name, operations):
    assert table()[name].flops(7) == operations


@pytest.mark.parametrize(("dtype", "itemsize"), [("float32", 4), ("float64", 8)])
@pytest.mark.parametrize("name", sorted(set(table()) - {"transfer", "launch"}))
def test_bytes_are_those_of_what_is_read_and_written(name, dtype, itemsize):
    workload, names = inputs_of(name, 6, dtype)
    result = eval(workload.reference, names)
    read = {each.id for each in ast.walk(ast.parse(workload.reference)) if isinstance(each, ast.Name)}
    tensors = [names[each] for each in read if isinstance(names[each], torch.Tensor)]
    assert workload.nbytes(6, itemsize) == result.nbytes + sum(each.nbytes for each in tensors)


def test_bytes_of_a_transfer_cross_once():
    assert table()["transfer"].nbytes(6, 4) == 24
