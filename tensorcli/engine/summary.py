"""Statistics of a tensor in one pass over it, block by block where it lies, with bounded extra memory."""

import math
from collections.abc import Iterator

import torch

from tensorcli import report

BLOCK = 1 << 21  # elements: large enough to be worth every core, small enough for the last-level cache
PIECE = 1 << 18  # elements of what has to be copied: into another dtype, or apart from NaN and infinities
GPU_BLOCK = 1 << 24
MAX_ELEMENTS = 1 << 27  # more are sampled, by blocks spread evenly
SAMPLE = 1 << 14  # elements of the histogram's sample
BINS = 8


def statistics(x: torch.Tensor) -> report.Stats | None:
    """Minimum, maximum, mean, std (of the finite elements), counts of NaN, infinities and zeros, and a histogram.

    Null for tensors whose elements cannot be read where they lie (meta, sparse, nested, quantized).
    """
    if x.is_meta or x.is_nested or x.is_quantized or x.layout is not torch.strided or x.numel() == 0:
        return None
    try:
        x = x.detach().resolve_conj().resolve_neg() if x.numel() <= BLOCK else x.detach()
        return _complex(x) if x.is_complex() else _real(x)
    except (RuntimeError, NotImplementedError, TypeError):  # an exotic dtype without these operators
        return None


def _real(x: torch.Tensor) -> report.Stats:
    distinct, copies = _distinct(x)
    totals = _Totals()
    for block in _blocks(distinct):
        totals.add(block)
    seen = totals.count * copies
    mean, std = totals.moments(copies)
    low, high = totals.low, totals.high
    if totals.exact:
        low, high = totals.exact  # a float64 holds integers up to 2^53 only
    finite = totals.finite > 0
    return report.Stats(
        min=low if finite else None,
        max=high if finite else None,
        mean=report.number(mean) if finite else None,
        std=std if finite and math.isfinite(std) else None,
        nan=totals.nan * copies,
        inf=totals.inf * copies,
        zeros=totals.zeros * copies,
        histogram=_histogram(distinct, low, high) if finite and low < high else None,
        sampled=seen if seen < x.numel() else None,
    )


def _complex(x: torch.Tensor) -> report.Stats:
    parts = torch.view_as_real(x.resolve_conj() if x.numel() <= BLOCK else x)
    real, imaginary = _real(parts[..., 0]), _real(parts[..., 1])
    nan = zeros = 0
    for block in _blocks(_distinct(x)[0]):
        nan += int(torch.isnan(block).sum())
        zeros += block.numel() - int(torch.count_nonzero(block))
    mean = None
    if isinstance(real.mean, float) and isinstance(imaginary.mean, float):
        mean = f"{real.mean:g}{imaginary.mean:+g}j"
    std = None
    if isinstance(real.std, float) and isinstance(imaginary.std, float):
        std = math.hypot(real.std, imaginary.std)  # torch.std: the variances of both parts add up
    return report.Stats(mean=mean, std=std, nan=nan, inf=max(real.inf, imaginary.inf), zeros=zeros)


class _Totals:
    """Running mean and squared deviation over blocks, merged pairwise (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self.count = self.finite = self.nan = self.inf = self.zeros = 0
        self.low, self.high = math.inf, -math.inf
        self.mean = self.deviation = 0.0
        self.exact: tuple[int, int] | None = None

    def add(self, block: torch.Tensor) -> None:
        """Take in one block of any real dtype."""
        self.count += block.numel()
        if not block.is_floating_point():
            self._bounds(block)
            block = block.to(torch.float64)
        elif block.dtype not in (torch.float32, torch.float64):
            block = block.to(torch.float32)
        self._add(block)

    def _bounds(self, block: torch.Tensor) -> None:
        """Keep the exact least and greatest of integers."""
        if block.dtype in (torch.bool, torch.uint16, torch.uint32, torch.uint64):
            block = block.to(torch.int64)
        low, high = (int(bound) for bound in torch.aminmax(block))
        self.exact = (min(low, self.exact[0]), max(high, self.exact[1])) if self.exact else (low, high)

    def _add(self, block: torch.Tensor) -> None:
        if self._add_finite(block):
            return
        if block.numel() > PIECE:
            for piece in block.flatten().split(PIECE):
                self._add(piece)
            return
        self.nan += int(torch.isnan(block).sum())
        self.inf += int(torch.isinf(block).sum())
        rest = block[torch.isfinite(block)].to(torch.float64)
        if rest.numel():
            self._add_finite(rest)

    def _add_finite(self, block: torch.Tensor) -> bool:
        """Add a block if its elements, and the sums over it, are finite; say whether they were."""
        low, high = (float(bound) for bound in torch.aminmax(block))
        if not (math.isfinite(low) and math.isfinite(high)):
            return False
        mean, deviation = _mean_and_deviation(block)
        if not math.isfinite(deviation) and block.dtype is not torch.float64:
            return False
        self.low, self.high = min(self.low, low), max(self.high, high)
        if low <= 0 <= high:
            self.zeros += _zeros(block)
        self._merge(block.numel(), mean, deviation)
        return True

    def _merge(self, n: int, mean: float, deviation: float) -> None:
        total = self.finite + n
        step = mean - self.mean
        self.deviation += deviation + step * step * self.finite * n / total
        self.mean += step * n / total
        self.finite = total

    def moments(self, copies: int) -> tuple[float, float]:
        """Mean and standard deviation (divided by n - 1), every element standing `copies` times."""
        n = self.finite * copies
        return self.mean, math.sqrt(self.deviation * copies / (n - 1)) if n > 1 else math.nan


def _mean_and_deviation(block: torch.Tensor) -> tuple[float, float]:
    """The mean of a block and the sum of squared deviations from it."""
    flat = block.flatten()
    mean = float(flat.sum()) / flat.numel()
    squares = float(torch.dot(flat, flat)) / flat.numel()
    # mean(x^2) - mean^2 loses digits where the mean is large against the spread: then in a second pass, shifted.
    if math.isfinite(squares) and squares - mean * mean > 0.1 * squares:
        return mean, (squares - mean * mean) * flat.numel()
    if not math.isfinite(squares):
        return mean, math.inf
    shifted = flat - mean
    rest = float(shifted.sum()) / flat.numel()
    return mean + rest, max(float(torch.dot(shifted, shifted)) - rest * rest * flat.numel(), 0.0)


def _zeros(block: torch.Tensor) -> int:
    """How many elements are zero. The product of 16 elements at a time tells faster that none is."""
    rows = 16
    if block.is_contiguous() and block.numel() % rows == 0:
        product = block.view(rows, -1).prod(0)
        # an infinite product may hide a zero: inf * 0 is nan
        if bool(((product != 0) & torch.isfinite(product)).all()):
            return 0
    return block.numel() - int(torch.count_nonzero(block))


def _distinct(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The elements of `x` once each, in the order they lie in memory, and how often each stands in `x`."""
    copies = 1
    for d in range(x.dim()):
        if x.stride(d) == 0 and x.size(d) > 1:
            copies *= x.size(d)
            x = x.narrow(d, 0, 1)
    strides = x.stride()
    x = x.permute(sorted(range(x.dim()), key=lambda d: -strides[d]))
    return (x.view(-1) if x.is_contiguous() else x), copies


def _blocks(x: torch.Tensor) -> Iterator[torch.Tensor]:
    """`x` in pieces of at most a block; evenly spread ones where it is too large to read whole."""
    plain = x.dtype in (torch.float32, torch.float64) and x.is_contiguous()
    size = GPU_BLOCK if x.device.type != "cpu" else BLOCK if plain else PIECE
    step = max(1, math.ceil(x.numel() / MAX_ELEMENTS))
    for index, block in enumerate(pieces(x, size)):
        if index % step == 0:
            yield block


def pieces(x: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """`x` in views of at most `size` elements, in order."""
    if x.numel() <= size:
        yield x
        return
    inner = x.numel() // x.size(0)
    if inner <= size:
        rows = max(1, size // inner)
        for start in range(0, x.size(0), rows):
            yield x.narrow(0, start, min(rows, x.size(0) - start))
    else:
        for row in x.unbind(0):
            yield from pieces(row, size)


def _histogram(x: torch.Tensor, low: float, high: float) -> tuple[int, ...] | None:
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low)):
        return None
    step = max(1, x.numel() // SAMPLE)
    sample = x[::step] if x.dim() == 1 else _corner(x)
    try:
        counts = torch.histc(sample.reshape(-1)[:SAMPLE].to("cpu", torch.float64), bins=BINS, min=low, max=high)
    except RuntimeError:  # torch 2.9, where integers this large are further apart as floats than the bins are wide
        return None
    return tuple(int(count) for count in counts.tolist())


def _corner(x: torch.Tensor) -> torch.Tensor:
    """Some elements spread over every dimension of a tensor that cannot be flattened in place."""
    keep = max(1, round(SAMPLE ** (1 / x.dim())))
    for d in range(x.dim()):
        step = max(1, x.size(d) // keep)
        x = x[(slice(None),) * d + (slice(None, None, step),)]
    return x
