"""Statistics against textbook values, brute force and NumPy."""

import math
import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorcli import stats

times = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=60)


@given(times)
def test_quantiles_are_numpys(samples):
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert stats.quantile(samples, share) == pytest.approx(np.quantile(samples, share), rel=1e-12)


def warnings(samples, **options):
    return tuple(doubt.sentence for doubt in stats.doubts(samples, **options))


def test_no_samples_have_no_median():
    with pytest.raises(ValueError, match="no samples"):
        stats.median([])


@pytest.mark.parametrize(
    ("count", "ranks"),
    # ranks as tables of the sign test's interval give them
    [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (12, (3, 10)), (20, (6, 15)), (40, (14, 27)), (100, (40, 61))],
)
def test_median_interval_takes_the_ranks_of_the_tables(count, ranks):
    samples = random.Random(1).sample(range(1, count + 1), count)
    assert stats.median_interval(samples) == ranks


@pytest.mark.parametrize("count", range(1, 6))
def test_few_samples_have_no_interval(count):
    assert stats.median_interval([1.0] * count) is None
    found = stats.summary([1.0] * count)
    assert (found.median, found.iqr, found.low, found.high) == (1.0, 0.0, None, None)


@pytest.mark.parametrize("count", range(6, 13))
def test_median_interval_is_the_narrowest_that_covers_95_percent(count):
    """Every way that samples can fall above or below the true median is as likely as any other."""
    low, high = stats.median_interval(range(1, count + 1))

    def coverage(rank):
        falls = [sum(fall) for fall in product((0, 1), repeat=count)]
        return sum(rank <= below <= count - rank for below in falls) / len(falls)

    assert high == count + 1 - low
    assert coverage(low) >= 0.95 > coverage(low + 1)


def test_ratio_is_of_medians_and_repeats():
    draw = random.Random(2)
    slow = [draw.gauss(6.0, 0.1) for _ in range(30)]
    fast = [draw.gauss(2.0, 0.1) for _ in range(40)]
    found = stats.ratio(slow, fast)
    assert found.value == stats.median(slow) / stats.median(fast)
    assert 2.85 < found.low < found.value < found.high < 3.15
    assert stats.ratio(slow, fast) == found
    assert stats.ratio(slow, fast, seed=1) != found


def test_ratio_interval_covers_the_truth_about_as_often_as_it_says():
    draw = random.Random(3)

    def covers():
        found = stats.ratio(
            [draw.lognormvariate(0, 0.2) for _ in range(20)], [draw.lognormvariate(0, 0.2) for _ in range(20)]
        )
        return found.low <= 1.0 <= found.high

    assert sum(covers() for _ in range(60)) >= 54


def test_ratio_of_few_pairs_among_many_samples_is_as_wide_as_that_of_the_samples():
    draw = random.Random(4)
    above, below = ([draw.gauss(2.0, 0.1) for _ in range(40)] for _ in range(2))
    apart = stats.ratio(above, below)
    pairs = list(zip(above, below, strict=True))
    assert [stats.ratio(above, below, pairs=pairs[:count]) for count in range(1, 6)] == [apart] * 5


def test_ratio_of_few_samples_is_twice_as_wide_as_they_allow():
    assert stats.ratio([4.0, 6.0], [1.0, 2.0, 3.0]) == stats.Quotient(2.5, 4 / 3 / 2, 12.0)
    assert not stats.ratio([1.2], [1.0]).differs
    assert stats.ratio([1000.0], [1.0]).differs


@pytest.mark.parametrize("count", [1, 2, 3, 6, 8, 10, 20])
def test_few_samples_of_the_same_are_seldom_called_different(count):
    draw = random.Random(count)

    def differ(k):
        pairs = [(draw.gauss(1.0, 0.05), draw.gauss(1.0, 0.05)) for _ in range(count)]
        above, below = zip(*pairs, strict=True)
        return stats.ratio(above, below, pairs=pairs, seed=k).differs

    assert sum(differ(k) for k in range(100)) <= 5


def test_outliers_are_far_out_and_slow():
    samples = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 0.1, 9.0]
    assert stats.outliers(samples) == [9.0]
    assert stats.outliers([1.0] * 5) == []


def test_steady_samples_need_no_warning():
    assert warnings([1.0, 1.01, 0.99, 1.0, 1.02, 1.0], name="dot") == ()
    assert warnings([], name="dot") == ()


def test_warnings_say_what_and_what_to_do():
    assert warnings([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6], name="row times matrix") == (
        'the samples of "row times matrix" spread by 23 %: close other programs, or raise --min-time',
    )
    assert warnings([1.0], name="dot") == ('only 1 sample of "dot", too few for a 95 % interval: raise --min-time',)
    assert warnings([1.0, 1.0], name="dot", more="allow it more time") == (
        'only 2 samples of "dot", too few for a 95 % interval: allow it more time',
    )
    assert warnings([1.0] * 12 + [3.0, 2.0], name="dot") == (
        '2 of 14 samples of "dot" took up to 3.0 times as long as the others: '
        "close other programs, or raise --min-time",
    )


def test_samples_that_are_far_out_but_hardly_slower_need_no_warning():
    assert stats.outliers([1.0] * 5 + [1.2]) == [1.2]
    assert warnings([1.0] * 5 + [1.2], name="dot") == ()
    assert "took up to 1,475 times as long" in warnings([1.0] * 5 + [1475.0], name="dot")[0]


def test_pairs_cancel_what_disturbs_both():
    """The machine is twice as slow half of the time, and one takes 5 % more."""
    draw = random.Random(1)
    pairs = [
        ((1.05 + draw.gauss(0, 0.01)) * slow, (1 + draw.gauss(0, 0.01)) * slow) for slow in (1, 2) for _ in range(50)
    ]
    above, below = zip(*pairs, strict=True)
    paired, alone = stats.ratio(above, below, pairs=pairs), stats.ratio(above, below)
    assert paired.value == pytest.approx(1.05, abs=0.005)
    assert paired.differs
    assert paired.high - paired.low < 0.01
    assert not alone.differs


def test_what_the_clock_explains_is_no_difference():
    assert not stats.differs(1.001, 1.009)
    assert not stats.differs(0.992, 0.999)
    assert stats.differs(1.006, 1.01)
    assert stats.differs(0.99, 0.994)


def test_drift_is_told_where_it_is_no_chance():
    steady = [1 + 0.01 * math.sin(k) for k in range(90)]
    assert stats.drift(steady) is None
    assert stats.drift([each * (1 + k / 90) for k, each in enumerate(steady)]) == pytest.approx(1.57, abs=0.05)
    assert stats.drift([1.0, 2.0, 3.0]) is None


def test_a_slow_first_call_and_many_noisy_variants_are_told():
    (first,) = stats.doubts([1e-3] * 20, name="f", first=0.5)
    assert (first.kind, first.sentence) == ("first", 'the first call of "f" took 0.5 s, and is no sample')
    assert stats.doubts([1e-3] * 20, name="f", first=0.05) == []
    assert stats.first_calls([[first], []]) == [first.sentence]
    assert stats.first_calls([[first], [first]]) == ['the first calls of "f" took up to 0.5 s, and are no samples']
    assert stats.told([[first]]) == ([()], [])


def test_what_is_to_be_said_of_several_variants_or_sizes_is_said_once():
    one, other, third = ([*stats.doubts([1.0, 1.5] * 10, name=name)] for name in "aab")
    sentence = "the samples of 2 variants spread or drift by up to 40 %: close other programs, or raise --min-time"
    assert stats.told([one, [*other, *third]]) == ([(), ()], [sentence])
    assert stats.told([one, third]) == ([(one[0].sentence,), (third[0].sentence,)], [])
    few = stats.doubts([1.0, 1.0], name="a")
    assert stats.told([few, stats.doubts([1.0], name="b")]) == (
        [(), ()],
        ["too few samples of 2 variants for a 95 % interval, as few as 1: raise --max-time"],
    )


def test_intervals_of_thousands_of_samples():
    low, high = stats.median_interval([float(k) for k in range(3000)])
    assert (low, high) == (1445.0, 1554.0)


# Two recorded series, in microseconds, and what SciPy 1.17 says of them.

FIRST = [
    74.4, 103.44, 66.02, 72.47, 71.08, 71.32, 72.17, 87.43, 68.45, 70.63, 87.57, 79.07, 70.67, 63.15, 63.86,
    64.95, 71.19, 66.64, 73.97, 63.26, 61.96, 69.02, 70.23, 64.72, 73.61, 70.42, 63.83, 66.29, 70.94, 75.01,
    71.26, 69.33, 73.4, 70.06, 96.64, 70.06, 67.28, 65.75, 72.57, 152.06,
]  # fmt: skip
SECOND = [
    81.01, 153.58, 105.12, 65.27, 129.01, 78.61, 68.86, 73.02, 78.94, 66.9, 69.6, 68.53, 66.52, 80.03, 65.7,
    167.47, 69.55, 68.17, 105.46, 79.39, 78.88, 70.01, 69.5, 71.03, 80.47, 68.78, 76.22, 63.17, 69.55, 67.67,
    73.58, 81.35, 76.03, 66.35, 65.48, 74.14, 74.66, 66.01, 78.1, 76.93, 70.16,
]  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "median", "iqr", "interval"),
    # scipy.stats.iqr(samples); scipy.stats.quantile_test(samples, p=0.5).confidence_interval(0.95)
    [(FIRST, 70.65, 6.9, (69.02, 72.17)), (SECOND, 73.02, 10.41, (69.5, 78.1))],
)
def test_a_summary_is_scipys(samples, median, iqr, interval):
    found = stats.summary(samples)
    assert (found.median, found.iqr) == (pytest.approx(median), pytest.approx(iqr))
    assert (found.low, found.high) == interval


def drawn(found, blocks):
    """The ends between which the drawn medians lie, of an interval that is wider for so few blocks."""
    student = {6: 2.570582, 30: 2.045230}[blocks]  # scipy.stats.t.ppf(0.975, blocks - 1)
    wider = student / 1.959964 * math.sqrt(blocks / (blocks - 1))
    return tuple(found.value * (end / found.value) ** (1 / wider) for end in (found.low, found.high))


@pytest.mark.parametrize(
    ("pairs", "value", "low", "high"),
    # scipy.stats.bootstrap(..., method="percentile", n_resamples=20_000) of the ratio of medians, and of the median of
    # ratios; the samples come one at a time there, and in blocks here
    [((), 1.03354565, 0.97696, 1.09664), (tuple(zip(SECOND, FIRST, strict=False)), 1.03068493, 0.97868, 1.09535)],
)
def test_a_ratio_is_scipys(pairs, value, low, high):
    found = stats.ratio(SECOND, FIRST, pairs=pairs)
    assert found.value == pytest.approx(value, rel=1e-8)
    assert drawn(found, 6) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert not found.differs


def test_the_interval_of_a_ratio_leaves_five_per_cent_of_the_drawn_medians_outside():
    draw = random.Random(5)
    below = [1.0] * 900
    above = [draw.lognormvariate(0, 0.1) for _ in below]
    # The circular block bootstrap once more, by numbers of its own, and ten times as often.
    starts = np.random.default_rng(99).integers(900, size=(20_000, 30, 1))
    places = ((starts + np.arange(30)) % 900).reshape(20_000, 900)
    medians = np.median(np.asarray(above)[places], axis=1)

    def outside(seed):
        found = stats.ratio(above, below, pairs=list(zip(above, below, strict=True)), seed=seed)
        low, high = drawn(found, 30)
        return np.mean((medians < low) | (medians > high))

    assert np.mean([outside(seed) for seed in range(8)]) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(("count", "most"), [(30, 0.07), (60, 0.07), (200, 0.07)])
def test_a_bootstrapped_interval_of_few_pairs_is_seldom_off(count, most):
    """Of 400 pairs of equal series 5 % may be called different; blocks alone call twice as many so."""
    draw, wrong = np.random.default_rng(1), 0
    for seed in range(400):
        a, b = np.exp(0.02 * draw.normal(size=(2, count)))
        found = stats.ratio([*a], [*b], pairs=[*zip(a, b, strict=True)], seed=seed)
        wrong += not found.low <= 1 <= found.high
    assert wrong / 400 <= most
