"""What is expected of a result: how it is written, and what is said of a result that is something else."""

import re
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorcli import report as r
from tensorcli.expect import ALIASES, DTYPES, Expectation, Malformed, difference, parse, problem


def said(expected: str, *sizes: int, dtype: str = "float32", device: str = "cpu") -> str | None:
    return difference(parse(expected), r.Tensor(shape=sizes, dtype=dtype, device=device))


@pytest.mark.parametrize(
    ("expected", "sizes"),
    [
        ("float32 [64, 10] cpu", (64, 10)),
        ("[64,10]", (64, 10)),
        ("cpu torch.float32", (64, 10)),
        ("float32, [64, 10], cpu", (64, 10)),
        ("float [*, 10]", (64, 10)),
        ("[N, N, M]", (3, 3, 4)),
        ("[N, M]", (3, 3)),
        ("[...]", ()),
        ("[...]", (1, 2, 3)),
        ("[..., 3]", (3,)),
        ("[..., N, N]", (7, 2, 2)),
        ("[]", ()),
        ("[3,]", (3,)),
    ],
)
def test_what_is_as_expected(expected, sizes):
    assert said(expected, *sizes) is None


@pytest.mark.parametrize(
    ("expected", "sizes", "sentence"),
    [
        (
            "float32 [64, 10]",
            (64, 12),
            "expected float32 [64, 10], got float32 [64, 12]: dimension 1 is 12, not 10",
        ),
        (
            "float64 [64, 10] cuda",
            (64, 10),
            "expected float64 [64, 10] cuda, got float32 [64, 10] cpu: "
            "the dtype is float32, not float64; the device is cpu, not cuda",
        ),
        ("[64]", (64, 10), "expected [64], got [64, 10]: there are 2 dimensions, not 1"),
        ("[A, B]", (64,), "expected [A, B], got [64]: there is 1 dimension, not 2"),
        ("[..., 3, 4]", (4,), "expected [..., 3, 4], got [4]: there is 1 dimension, not at least 2"),
        ("[..., 3, 4]", (9, 3, 5), "expected [..., 3, 4], got [9, 3, 5]: dimension 2 is 5, not 4"),
        ("[N, *, N]", (2, 9, 3), "expected [N, *, N], got [2, 9, 3]: dimension 2 is 3, and N is 2 in dimension 0"),
        ("[]", (0,), "expected [], got [0]: there is 1 dimension, not 0"),
    ],
)
def test_what_differs(expected, sizes, sentence):
    assert said(expected, *sizes) == sentence


def test_a_device_without_a_number_is_any_of_its_kind():
    assert said("cuda", device="cuda:1") is None
    assert said("cuda:1", device="cuda:1") is None
    assert said("cuda:0", device="cuda:1") == "expected cuda:0, got cuda:1: the device is cuda:1, not cuda:0"


def test_what_is_no_tensor():
    array = r.Value(type="numpy.ndarray", shape=(3,), dtype="float64")
    assert difference(parse("float64 [3] cpu"), array) is None
    assert difference(parse("float64 [4]"), array) == "expected float64 [4], got float64 [3]: dimension 0 is 3, not 4"
    assert difference(parse("[3]"), r.Value(type="int")) == "expected [3], got no tensor but an int"
    assert difference(parse("[3]"), r.Value(type="NoneType")) == "expected [3], got no tensor but None"
    pair = r.Value(type="tuple", length=2, items=(r.Tensor(shape=(3,)), r.Tensor(shape=(3,))))
    assert difference(parse("[3]"), pair) == "expected [3], got no tensor but a tuple: take one of its 2 items"


class Symbolic(r.Tensor, frozen=True, kw_only=True):
    """A tensor of sizes that are not known."""

    sizes: tuple[int | str, ...] | None = None


def test_sizes_that_are_not_known_are_compared_as_they_are_written():
    result = Symbolic(shape=(7, 10), sizes=("B", 10))
    assert difference(parse("[B, 10]"), result) is None
    assert difference(parse("[*, N]"), result) is None
    assert difference(parse("[N, 10]"), result) == "expected [N, 10], got [B, 10]: dimension 0 is B, not N"
    assert difference(parse("[B, B]"), result) == "expected [B, B], got [B, 10]: dimension 1 is 10, not B"
    assert difference(parse("[7, 10]"), result) == "expected [7, 10], got [B, 10]: dimension 0 is B, not 7"


def test_a_statement_that_failed_is_not_held_to_anything():
    node = r.Node(text="x", span=None, operation="name", result=r.Tensor(shape=(3,)))
    trace = r.Trace(root=node, total_seconds=0.0, source="x")
    found = problem(parse("[4]"), trace)
    assert found
    assert (found.code, found.category, found.source) == ("not-as-expected", "shape", "x")
    failed = msgspec.structs.replace(trace, root=msgspec.structs.replace(node, failed=True))
    assert problem(parse("[4]"), failed) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is nothing to expect: "),
        ("flot32", "flot32 is no dtype, shape or device: did you mean float32?"),
        ("float32 float64", "there are two dtypes, float32 and float64: "),
        ("[3] [4]", "there are two shapes, [3] and [4]: "),
        ("[3, ...]", "... stands for any number of leading dimensions"),
        ("[-3]", "-3 is no size"),
        ("[3,,4]", "an empty place is no size"),
        ("[3", "[ is no dtype, shape or device: a shape stands in brackets, as in [64, 10]"),
        ("(3, 4)", "(3 is no dtype, shape or device: a shape stands in brackets, as in [64, 10]"),
        ("3, 4", "3 is no dtype, shape or device: a shape stands in brackets, as in [64, 10]"),
        (f"[{'1' * 5000}]", f"{'1' * 40} is no size"),
        ("CPU", "CPU is no dtype, shape or device: did you mean cpu?"),
        ("gpu", "gpu is no dtype, shape or device: did you mean cuda?"),
        ("cuda:x", "cuda:x is no dtype, shape or device"),
    ],
)
def test_what_is_no_expectation(text, sentence):
    with pytest.raises(Malformed, match="^" + re.escape(sentence)):
        parse(text)


EXPECTED = st.builds(
    Expectation,
    dtype=st.sampled_from(DTYPES),
    sizes=st.lists(st.one_of(st.integers(0, 10**6), st.sampled_from(["*", "N", "batch_2"])), max_size=5).map(tuple),
    any_leading=st.booleans(),
    device=st.sampled_from([None, "cpu", "cuda", "cuda:3"]),
)


@settings(deadline=None)
@given(EXPECTED)
def test_an_expectation_is_read_as_it_is_written(expected):
    assert parse(str(expected)) == expected


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read_or_malformed(text):
    with suppress(Malformed):
        expected = parse(text)
        assert parse(str(expected)) == expected


SIZES = st.lists(st.integers(0, 9), max_size=5)


@settings(deadline=None)
@given(SIZES, st.sampled_from(DTYPES), st.sampled_from(["cpu", "cuda:0"]))
def test_a_result_is_what_it_is(sizes, dtype, device):
    assert said(f"{dtype} {sizes} {device}", *sizes, dtype=dtype, device=device) is None
    assert said(f"[{', '.join('*' * len(sizes))}]", *sizes) is None


@settings(deadline=None)
@given(SIZES, SIZES)
def test_sizes_are_as_expected_only_where_they_are_equal(wanted, sizes):
    assert (said(str(wanted), *sizes) is None) == (wanted == sizes)
    ending = wanted == sizes[len(sizes) - len(wanted) :] if len(wanted) <= len(sizes) else False
    assert (said(f"[{', '.join(['...', *map(str, wanted)])}]", *sizes) is None) == ending


@settings(deadline=None)
@given(SIZES, st.lists(st.sampled_from("AB"), max_size=5))
def test_a_name_is_one_size(sizes, names):
    one_each = len(set(zip(names, sizes, strict=False))) == len(set(names[: len(sizes)]))
    assert (said(f"[{', '.join(names)}]", *sizes) is None) == (len(names) == len(sizes) and one_each)


def test_torchs_own_other_names_are_known():
    import torch

    for alias, name in ALIASES.items():
        assert getattr(torch, alias) is getattr(torch, name)
    names = {str(value).removeprefix("torch.") for value in vars(torch).values() if isinstance(value, torch.dtype)}
    common = {name for name in names if not re.match(r"bits|quint\dx|u?int[1-7]$", name)}
    assert common - {*DTYPES} == set()
