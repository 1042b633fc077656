"""What samples of a time say: median, spread, intervals, ratios, and warnings that carry advice."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

CONFIDENCE = 0.95
FEWEST_SAMPLES = 6  # below it no pair of order statistics encloses the median with 95 %: 1 - 2 / 2**5 is 0.94
WIDE_SPREAD = 0.10  # of the median; above it the interquartile range deserves a word
FAR_OUT = 3.0  # interquartile ranges beyond a quartile
SLOW = 1.5  # times the median; a far-out sample that is nearer deserves no word
MANY_OUTLIERS = 0.10  # of the samples
RESAMPLES = 1000


@dataclass(frozen=True)
class Summary:
    """The median of some samples, their interquartile range, and the 95 % interval of the median where there is one."""

    median: float
    iqr: float
    low: float | None
    high: float | None


def summary(samples: Sequence[float]) -> Summary:
    """What a report says of samples. Raises ValueError where there are none."""
    lower, upper = quartiles(samples)
    low, high = median_interval(samples) or (None, None)
    return Summary(median(samples), upper - lower, low, high)


def quantile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` of the samples lie, interpolated linearly between the two nearest.

    Definition 7 of Hyndman and Fan, Sample Quantiles in Statistical Packages (1996), as NumPy and torch have it.
    Raises ValueError where there are no samples.
    """
    if not samples:
        raise ValueError("there is no quantile of no samples")
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two in the middle. Raises ValueError where there are none."""
    return quantile(samples, 0.5)


def quartiles(samples: Sequence[float]) -> tuple[float, float]:
    """The values below which a quarter and three quarters of the samples lie."""
    return quantile(samples, 0.25), quantile(samples, 0.75)


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Two samples that enclose the true median in at least 95 % of all cases; None below `FEWEST_SAMPLES`.

    The number of samples below the true median is binomial with p = 1/2, whatever the samples' distribution, so the
    k-th smallest and the k-th largest enclose it with probability 1 - 2 P(B < k): the largest such k is taken.
    (David and Nagaraja, Order Statistics, 3rd ed., 7.1.)
    """
    count = len(samples)
    allowed = (1 - CONFIDENCE) / 2 * 2**count
    inside, tail = 0, 0
    while inside < count and (tail := tail + comb(count, inside)) <= allowed:
        inside += 1
    if inside == 0:
        return None
    ordered = sorted(samples)
    return ordered[inside - 1], ordered[count - inside]


@dataclass(frozen=True)
class Quotient:
    """A ratio of two medians with its interval."""

    value: float
    low: float
    high: float


def ratio(above: Sequence[float], below: Sequence[float], *, seed: int = 0) -> Quotient:
    """The median of `above` over the median of `below`, with the percentile bootstrap's 95 % interval.

    Both are drawn again, with replacement, `RESAMPLES` times (Efron and Tibshirani, An Introduction to the Bootstrap,
    13.3); the seed makes the same samples give the same interval. With fewer than `FEWEST_SAMPLES` on a side there is
    nothing to draw from: the interval is then the widest that the samples allow.
    """
    value = median(above) / median(below)
    if min(len(above), len(below)) < FEWEST_SAMPLES:
        return Quotient(value, min(above) / max(below), max(above) / min(below))
    draw = random.Random(seed)
    drawn = [
        median(draw.choices(above, k=len(above))) / median(draw.choices(below, k=len(below))) for _ in range(RESAMPLES)
    ]
    tail = (1 - CONFIDENCE) / 2
    return Quotient(value, quantile(drawn, tail), quantile(drawn, 1 - tail))


def outliers(samples: Sequence[float]) -> list[float]:
    """The samples more than three interquartile ranges above the upper quartile: Tukey's "far out" (1977, 2D).

    Only the slow side: whatever else a machine does makes code slower, never faster.
    """
    lower, upper = quartiles(samples)
    return [sample for sample in samples if sample > upper + FAR_OUT * (upper - lower)]


def warnings(samples: Sequence[float], *, name: str, more: str = "raise --min-time") -> tuple[str, ...]:
    """Sentences on what makes samples hard to trust, each with what to do; `more` is how to get more of them."""
    if not samples:
        return ()
    sentences = []
    found, count = summary(samples), len(samples)
    slow = [sample for sample in outliers(samples) if sample > SLOW * found.median]
    if count < FEWEST_SAMPLES:
        counted = "1 sample" if count == 1 else f"{count} samples"
        sentences.append(f'only {counted} of "{name}", too few for a 95 % interval: {more}')
    if found.iqr > WIDE_SPREAD * found.median:
        spread = 100 * found.iqr / found.median
        sentences.append(f'the samples of "{name}" spread by {spread:.0f} %: close other programs, or {more}')
    elif len(slow) > MANY_OUTLIERS * count:
        times = max(slow) / found.median
        longest = f"{times:.1f}" if times < 100 else f"{times:,.0f}"
        sentences.append(
            f'{len(slow)} of {count} samples of "{name}" took up to {longest} times as long as the others: '
            f"close other programs, or {more}"
        )
    return tuple(sentences)
