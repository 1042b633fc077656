"""Statistics against textbook values, brute force and NumPy."""

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


def test_ratio_of_few_samples_is_as_wide_as_they_allow():
    assert stats.ratio([4.0, 6.0], [1.0, 2.0, 3.0]) == stats.Quotient(2.5, 4 / 3, 6.0)


def test_outliers_are_far_out_and_slow():
    samples = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 0.1, 9.0]
    assert stats.outliers(samples) == [9.0]
    assert stats.outliers([1.0] * 5) == []


def test_steady_samples_need_no_warning():
    assert stats.warnings([1.0, 1.01, 0.99, 1.0, 1.02, 1.0], name="dot") == ()
    assert stats.warnings([], name="dot") == ()


def test_warnings_say_what_and_what_to_do():
    assert stats.warnings([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6], name="row times matrix") == (
        'the samples of "row times matrix" spread by 23 %: close other programs, or raise --min-time',
    )
    assert stats.warnings([1.0], name="dot") == (
        'only 1 sample of "dot", too few for a 95 % interval: raise --min-time',
    )
    assert stats.warnings([1.0, 1.0], name="dot", more="allow it more time") == (
        'only 2 samples of "dot", too few for a 95 % interval: allow it more time',
    )
    assert stats.warnings([1.0] * 12 + [3.0, 2.0], name="dot") == (
        '2 of 14 samples of "dot" took up to 3.0 times as long as the others: '
        "close other programs, or raise --min-time",
    )


def test_samples_that_are_far_out_but_hardly_slower_need_no_warning():
    assert stats.outliers([1.0] * 5 + [1.2]) == [1.2]
    assert stats.warnings([1.0] * 5 + [1.2], name="dot") == ()
    assert "took up to 1,475 times as long" in stats.warnings([1.0] * 5 + [1475.0], name="dot")[0]
