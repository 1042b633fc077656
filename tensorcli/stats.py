"""What samples of a time say: median, spread, intervals, ratios, and warnings that carry advice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.95
FEWEST_SAMPLES = 6  # below it no pair of order statistics encloses the median with 95 %: 1 - 2 / 2**5 is 0.94
WIDE_SPREAD = 0.10  # of the median; above it the interquartile range deserves a word
FAR_OUT = 3.0  # interquartile ranges beyond a quartile
SLOW = 1.5  # times the median; a far-out sample that is nearer deserves no word
MANY_OUTLIERS = 0.10  # of the samples
RESAMPLES = 2000
FEW_PAIRS = 30  # below it blocks of them are too few to draw from: of 8 equal pairs 15 % would be called different
UNSURE = 2.0  # times: what fewer than FEWEST_SAMPLES samples may be off by, either way
UNSTEADY = 10.0  # times as long as the other end of an interval: samples so far apart compare with nothing
DRIFT = 0.05  # of the first third's median
SLOW_FIRST = 20  # times the median
LONG_FIRST = 0.1  # seconds
CLOCK_ERROR = 0.005  # of a sample: the most that reading the clock adds to it


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
    allowed = round((1 - CONFIDENCE) / 2 * 2**53) * 2**count  # in whole numbers: there may be thousands of samples
    inside, term, tail = 0, 1, 1
    while inside < count and tail * 2**53 <= allowed:
        term = term * (count - inside) // (inside + 1)
        inside, tail = inside + 1, tail + term
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

    @property
    def differs(self) -> bool:
        """Whether it is not 1."""
        return differs(self.low, self.high)


def differs(low: float, high: float) -> bool:
    """Whether a ratio with this interval is not 1: it is further from it than the clock's own error."""
    return low > 1 + CLOCK_ERROR or high < 1 - CLOCK_ERROR


def unsteady(low: float, high: float) -> bool:
    """Whether an interval is so wide that no comparison with it means anything."""
    return high > UNSTEADY * low


def ratio(
    above: Sequence[float], below: Sequence[float], *, pairs: Sequence[tuple[float, float]] = (), seed: int = 0
) -> Quotient:
    """How many times as long one takes as another, with the percentile bootstrap's 95 % interval.

    Of `pairs` of samples taken side by side it is the median of their ratios: what disturbed both cancels out. Of
    samples that were not, it is the ratio of the medians. They are drawn again, with replacement, `RESAMPLES` times
    (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3), in blocks of neighbours, for what disturbs a machine
    lasts longer than a sample (the circular block bootstrap of Politis and Romano, 1992; a block is the square root of
    their number). So few blocks vary less than what they were drawn from, and the interval is wider by what Student's t
    says of as many. The seed makes the same samples give the same interval. Of less than `FEW_PAIRS` pairs the interval
    is that of their ratios' median, which holds whatever their number. With fewer than `FEWEST_SAMPLES` on a side there
    is nothing to draw from: the interval is then the widest that the samples allow, and `UNSURE` times wider each way.
    """
    import numpy as np

    if min(len(above), len(below)) < FEWEST_SAMPLES:
        low, high = min(above) / max(below) / UNSURE, max(above) / min(below) * UNSURE
        return Quotient(median(above) / median(below), low, high)
    if len(pairs) < FEW_PAIRS and (known := median_interval(quotients := [a / b for a, b in pairs])):
        return Quotient(median(quotients), *known)
    draw = np.random.default_rng(seed)

    def medians(samples: "np.ndarray") -> "np.ndarray":
        block, count = round(len(samples) ** 0.5), len(samples)
        starts = draw.integers(count, size=(RESAMPLES, -(-count // block), 1))
        places = ((starts + np.arange(block)) % count).reshape(RESAMPLES, -1)[:, :count]
        found: np.ndarray = np.median(samples[places], axis=1)
        return found

    if len(pairs) >= FEWEST_SAMPLES:
        ratios = np.asarray([a / b for a, b in pairs])
        value, drawn, count = float(np.median(ratios)), medians(ratios), len(pairs)
    else:
        value, drawn = median(above) / median(below), medians(np.asarray(above)) / medians(np.asarray(below))
        count = min(len(above), len(below))
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    wider = _wider(round(count**0.5))
    return Quotient(value, value * (low / value) ** wider, value * (high / value) ** wider)


def _wider(blocks: int) -> float:
    """How many times as wide an interval from so few blocks has to be as one from many.

    It is t / z sqrt(b / (b - 1)), t being Student's quantile with b - 1 degrees of freedom, here by the first three
    terms of its expansion (Abramowitz and Stegun, 26.7.5).
    """
    z, free = 1.959964, blocks - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return t / z * math.sqrt(blocks / free)


def outliers(samples: Sequence[float]) -> list[float]:
    """The samples more than three interquartile ranges above the upper quartile: Tukey's "far out" (1977, 2D).

    Only the slow side: whatever else a machine does makes code slower, never faster.
    """
    lower, upper = quartiles(samples)
    return [sample for sample in samples if sample > upper + FAR_OUT * (upper - lower)]


def drift(samples: Sequence[float]) -> float | None:
    """How many times as long the last third of the samples took as the first; None where that may be chance."""
    third = len(samples) // 3
    if third < FEWEST_SAMPLES:
        return None
    found = ratio(samples[-third:], samples[:third])
    return found.value if found.low > 1 + DRIFT or found.high < 1 - DRIFT else None


class Doubt(NamedTuple):
    """What makes samples hard to trust, in a sentence with what to do.

    `amount` is by how many percent they spread or drift, how few there are, or the seconds of the first call.
    """

    kind: Literal["few", "spread", "outliers", "drift", "first"]
    name: str
    sentence: str
    amount: float = 0.0


def doubts(
    samples: Sequence[float],
    *,
    name: str,
    more: str = "raise --min-time",
    longer: str = "",
    first: float | None = None,
) -> list[Doubt]:
    """What makes samples hard to trust.

    `more` is how to get more of them, `longer` how where each takes much of the time there is; `first` are the seconds
    of the very first call, which is no sample.
    """
    if not samples:
        return []
    found: list[Doubt] = []
    known, count = summary(samples), len(samples)
    slow = [sample for sample in outliers(samples) if sample > SLOW * known.median]
    if count < FEWEST_SAMPLES:
        counted = "1 sample" if count == 1 else f"{count} samples"
        found.append(
            Doubt("few", name, f'only {counted} of "{name}", too few for a 95 % interval: {longer or more}', count)
        )
    if known.iqr > WIDE_SPREAD * known.median:
        spread = 100 * known.iqr / known.median
        sentence = f'the samples of "{name}" spread by {spread:.0f} %: close other programs, or {more}'
        found.append(Doubt("spread", name, sentence, spread))
    elif len(slow) > MANY_OUTLIERS * count:
        times = max(slow) / known.median
        longest = f"{times:.1f}" if times < 100 else f"{times:,.0f}"
        sentence = f'{len(slow)} of {count} samples of "{name}" took up to {longest} times as long as the others'
        found.append(Doubt("outliers", name, f"{sentence}: close other programs, or {more}"))
    if change := drift(samples):
        how = f"slower by {100 * (change - 1):.0f} %" if change > 1 else f"faster by {100 * (1 - change):.0f} %"
        sentence = f'"{name}" became {how} during the run: let the machine come to rest, and run again'
        found.append(Doubt("drift", name, sentence, 100 * abs(change - 1)))
    if first is not None and first > SLOW_FIRST * known.median and first > LONG_FIRST:
        sentence = f'the first call of "{name}" took {first:.2g} s, and is no sample'
        found.append(Doubt("first", name, sentence, first))
    return found


def told(
    cases: Sequence[Sequence[Doubt]], *, more: str = "raise --min-time"
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The sentences of each case, and those of all of them: what is to be said of several variants is said once.

    Of first calls neither says anything: `first_calls` does.
    """
    everywhere = [doubt for case in cases for doubt in case]
    noisy, few = ([each for each in everywhere if each.kind in kinds] for kinds in (_NOISY, {"few"}))
    together = [each for each in everywhere if each.kind == "first"]
    once: list[str] = []
    if len(noisy) > 2:
        together += noisy
        most = max(doubt.amount for doubt in noisy)
        how = f"spread or drift by up to {most:.0f} %" if most else "have outliers"
        once.append(f"the samples of {_counted(noisy)} {how}: close other programs, or {more}")
    if len(few) > 1:
        together += few
        least = min(doubt.amount for doubt in few)
        once.append(f"too few samples of {_counted(few)} for a 95 % interval, as few as {least:.0f}: raise --max-time")
    return [tuple(doubt.sentence for doubt in case if doubt not in together) for case in cases], once


def first_calls(cases: Sequence[Sequence[Doubt]]) -> list[str]:
    """A sentence on first calls that were slow, for they compiled or loaded something: there is nothing to do."""
    first = [doubt for case in cases for doubt in case if doubt.kind == "first"]
    if len(first) < 2:
        return [doubt.sentence for doubt in first]
    longest = max(doubt.amount for doubt in first)
    return [f"the first calls of {_counted(first)} took up to {longest:.2g} s, and are no samples"]


_NOISY = {"spread", "outliers", "drift"}


def _counted(doubts: Sequence[Doubt]) -> str:
    names = len({doubt.name for doubt in doubts})
    return f"{names} variants" if names > 1 else f'"{doubts[0].name}"'
