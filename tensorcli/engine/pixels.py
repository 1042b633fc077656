"""A tensor in plain numbers for a picture: reduced where it lies, piece by piece, before anything leaves its device."""

import math
import warnings
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F

from tensorcli import report, units
from tensorcli.engine import describe, summary

PIECE = 1 << 20  # elements made float64 at a time
MOST = 1 << 24  # elements looked at: of larger tensors every other one, or every fourth
MOST_OF_TILE = 1 << 22
TILES = 36  # of a batch, at most
BINS = 40
LEAST = 8  # rows and columns of what is taken for an image
FIRST, LAST = (1, 3), (1, 3, 4)  # how many colours may come before, and after, an image's rows and columns


class Unsuited(ValueError):
    """What cannot be drawn, in a sentence."""


def plot(value: object, *, text: str = "", drawn: str = "auto", size: tuple[int, int] = (80, 60)) -> report.Plot:
    """A value as a Plot of at most `size` columns and rows. Raises Unsuited."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # complex32 is said to be experimental
        x = _tensor(value)
        kind = _suited(x) if drawn == "auto" else drawn
        base = report.Plot(
            drawn=kind,  # type: ignore[arg-type]
            text=text,
            shape=tuple(x.shape),
            dtype=describe.dtype_name(x.dtype),
            device=str(x.device),
            notes=("magnitudes of complex numbers",) if x.is_complex() else (),
        )
        thin, step = _thinned(x, MOST)
        if step > 1:
            base = _noted(base, f"one of {step:,} elements was looked at")
        base = _with_range(base, thin)
        if not x.is_floating_point() and max(-(base.low or 0), base.high or 0) > 2**53:
            base = _noted(base, "whole numbers beyond 2^53 are rounded")
        if base.low is None or base.high is None:
            return base
        if x.dim() == 0:
            raise Unsuited(f"a single number has no picture: it is {base.low:g}")
        match kind:
            case "line":
                return _line(_noted(base, "its rows one after the other") if x.dim() > 1 else base, thin, 2 * size[0])
            case "histogram":
                return _histogram(base, thin, max(1, min(BINS, size[0] // 2)))
        if x.dim() < 2:
            article = "an" if kind == "image" else "a"
            raise Unsuited(
                f"{article} {kind} has rows and columns, and this has shape {list(x.shape)}: draw a line of it"
            )
        return _grid(base, x, size)


def _noted(base: report.Plot, note: str) -> report.Plot:
    return msgspec.structs.replace(base, notes=(*base.notes, note))


def _tensor(value: object) -> torch.Tensor:
    """A tensor whose elements lie in memory, of a tensor, an array or a list of numbers."""
    if isinstance(value, np.ndarray | list | tuple):
        try:
            value = torch.as_tensor(_native(value) if isinstance(value, np.ndarray) else value, device="cpu")
        except Exception:
            kind = "an array" if isinstance(value, np.ndarray) else units.one(type(value).__name__)
            raise Unsuited(f"{kind} is drawn where it holds numbers alone, and this does not") from None
    if not isinstance(value, torch.Tensor):
        what = "None" if value is None else f"of type {describe.type_name(type(value))}"
        raise Unsuited(f"a picture is made of a tensor, and this is {what}")
    if value.is_nested:
        raise Unsuited("a nested tensor has no picture: draw one of its tensors, as in x[0]")
    if value.layout is not torch.strided:
        layout = str(value.layout).removeprefix("torch.")
        raise Unsuited(f"a tensor of layout {layout} has no picture: make it dense with .to_dense() first")
    if value.is_meta:
        raise Unsuited("a tensor on meta has no elements to draw")
    return value.detach().dequantize() if value.is_quantized else value.detach()


def _native(x: np.ndarray) -> np.ndarray:
    """An array that torch takes: in this machine's order of bytes, its elements in rising order."""
    forward = all(stride >= 0 for stride in x.strides)
    return x if forward and x.dtype.isnative else np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))


def _suited(x: torch.Tensor) -> str:
    """What shows a tensor best, by its shape; bytes in rows and columns are an image's."""
    if x.dim() < 2:
        return "line"
    if x.dim() in (3, 4) and _channels(x) is not None and min(_tile_sizes(x)) >= LEAST:
        return "image"
    if x.dim() == 2 and x.dtype is torch.uint8 and min(x.shape) >= LEAST:
        return "image"
    return "heatmap" if x.dim() < 4 else "histogram"


def _channels(x: torch.Tensor) -> int | None:
    """The dimension of an image's colours, from the end: first as torch has it, or last as most others have it."""
    if x.dim() < 3:
        return None
    first, last = x.size(-3) in FIRST, x.size(-1) in LAST
    if first and last:
        return -1 if x.dtype is torch.uint8 else -3
    return -3 if first else -1 if last else None


def _tile_sizes(x: torch.Tensor) -> tuple[int, int]:
    return (x.size(-3), x.size(-2)) if _channels(x) == -1 else (x.size(-2), x.size(-1))


def _thinned(x: torch.Tensor, most: int) -> tuple[torch.Tensor, int]:
    """A view of at most `most` elements, evenly spread, and one of how many is in it."""
    step = 1
    while x.numel() > most:
        longest = max(range(x.dim()), key=lambda d: x.size(d))
        x = x[(slice(None),) * longest + (slice(None, None, 2),)]
        step *= 2
    return x, step


def _real(x: torch.Tensor) -> torch.Tensor:
    if x.is_complex():
        x = x.to(torch.complex64 if x.dtype is torch.complex32 else x.dtype).abs()
    try:
        return x.to(torch.float32 if x.device.type == "mps" else torch.float64)
    except NotImplementedError:
        raise Unsuited(
            f"torch has no numbers for {describe.dtype_name(x.dtype)}, so there is no picture of it"
        ) from None


def _pieces(x: torch.Tensor) -> Iterator[torch.Tensor]:
    """The elements in order, a piece at a time, as plain floats."""
    for piece in summary.pieces(x, PIECE) if x.numel() else ():
        yield _real(piece).reshape(-1)


def _with_range(base: report.Plot, x: torch.Tensor) -> report.Plot:
    low, high, nan, inf = math.inf, -math.inf, 0, 0
    for piece in _pieces(x):
        bounds = piece.aminmax()
        if not all(bound.isfinite() for bound in bounds):
            nan += int(piece.isnan().sum())
            inf += int(piece.isinf().sum())
            piece = piece[piece.isfinite()]
            if not piece.numel():
                continue
            bounds = piece.aminmax()
        low, high = min(low, float(bounds[0])), max(high, float(bounds[1]))
    found = low <= high
    return msgspec.structs.replace(base, low=low if found else None, high=high if found else None, nan=nan, inf=inf)


def _line(base: report.Plot, x: torch.Tensor, most: int) -> report.Plot:
    """The least and the greatest of equal stretches: no peak is lost."""
    n = x.numel()
    bins = min(n, max(most, 1))
    lows, highs = (torch.full((bins,), bound, dtype=torch.float64, device=x.device) for bound in (math.inf, -math.inf))
    start = 0
    for piece in _pieces(x):
        places = torch.arange(start, start + piece.numel(), device=x.device) * bins // n
        start += piece.numel()
        finite = piece.isfinite()
        places, piece = places[finite], piece[finite].to(lows.dtype)
        lows.scatter_reduce_(0, places, piece, "amin")
        highs.scatter_reduce_(0, places, piece, "amax")
    return msgspec.structs.replace(base, lows=tuple(_plain(lows)), highs=tuple(_plain(highs)))


def _histogram(base: report.Plot, x: torch.Tensor, most: int) -> report.Plot:
    """Equal bins, as many as Rice's rule has it: twice the cube root of the number of elements. Few integers: each."""
    low, high = base.low or 0.0, base.high or 0.0
    bins = max(1, min(most, round(2 * x.numel() ** (1 / 3))))
    if low == high:
        bins = 1
    elif not x.is_floating_point() and not x.is_complex() and high - low < most:
        bins = int(high - low) + 1
    counts = torch.zeros(bins, dtype=torch.int64, device=x.device)
    for piece in _pieces(x):
        shares = _share(piece[piece.isfinite()], low, high)
        counts += torch.bincount((shares * bins).long().clamp(0, bins - 1), minlength=bins)
    return msgspec.structs.replace(base, counts=tuple(counts.tolist()))


def _share(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """How far each element is on its way from `low` to `high`, whose distance may be larger than any number."""
    if high == low:
        return torch.full_like(x, 0.5)
    return (x - low) / (high - low) if math.isfinite(high - low) else (x / 2 - low / 2) / (high / 2 - low / 2)


def _grid(base: report.Plot, x: torch.Tensor, size: tuple[int, int]) -> report.Plot:
    """Pictures beside and below each other, reduced so that all fit."""
    channels = _channels(x) if base.drawn == "image" else None
    x = x.movedim(channels, -3) if channels else x.unsqueeze(-3)
    if x.size(-3) == 4:
        x = x.narrow(-3, 0, 3)
        base = _noted(base, "the fourth channel is left out")
    batch, (depth, height, width) = x.shape[:-3], x.shape[-3:]
    total = math.prod(batch)
    tiles = min(total, TILES)
    if tiles < total:
        base = _noted(base, f"the first {tiles} of {total:,}")
    across, rows, columns = _layout(tiles, height, width, size)
    down = math.ceil(tiles / across)
    if (rows, columns) != (height, width):
        item = "pixel" if base.drawn == "image" else "cell"
        base = _noted(base, f"each {item} is a mean of about {height / rows:.3g} x {width / columns:.3g} elements")
    gap = 1 if tiles > 1 else 0
    shape = depth, down * (rows + gap) - gap, across * (columns + gap) - gap
    whole = torch.full(shape, math.nan, dtype=torch.float64, device="cpu")
    for place, index in enumerate(islice(product(*map(range, batch)), tiles)):
        top, left = place // across * (rows + gap), place % across * (columns + gap)
        whole[:, top : top + rows, left : left + columns] = _reduced(x[index], rows, columns).cpu()
    if base.drawn == "image":
        return _image(base, whole, x.dtype)
    each = " each" if tiles > 1 else ""
    base = _noted(base, f"{units.plural(height, 'row')}, {units.plural(width, 'column')}{each}")
    finite = whole[whole.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (None, None)
    return msgspec.structs.replace(base, low=low, high=high, cells=tuple(tuple(_plain(row)) for row in whole[0]))


def _layout(tiles: int, height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int]:
    """How many pictures stand side by side, and the rows and columns of each, for them to be as large as they can."""
    if tiles == 1:  # rows and columns by themselves: of a long one the few columns stay apart
        return 1, min(height, size[1]), min(width, size[0])
    gap = 1

    def room(across: int) -> tuple[int, int]:
        return (size[1] + gap) // math.ceil(tiles / across) - gap, (size[0] + gap) // across - gap

    def scale(across: int) -> tuple[bool, float]:
        rows, columns = room(across)
        return min(rows, columns) >= 1, min(columns / width, rows / height)

    across = max(range(1, tiles + 1), key=scale)
    shrunk = min(scale(across)[1], 1.0)
    rows, columns = (  # of a few all stay
        max(1, int(length * shrunk), min(length, most, LEAST))
        for length, most in zip((height, width), room(across), strict=True)
    )
    return across, rows, columns


def _reduced(x: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Means of the finite elements in equal rectangles; NaN where there is none."""
    x = _real(_thinned(x, MOST_OF_TILE)[0])
    size = min(rows, x.size(-2)), min(columns, x.size(-1))
    finite = x.isfinite()
    share = F.adaptive_avg_pool2d(finite.to(x.dtype), size)
    means = F.adaptive_avg_pool2d(torch.where(finite, x, 0.0), size) / share
    return means if size == (rows, columns) else F.interpolate(means[None], (rows, columns))[0]


def _image(base: report.Plot, x: torch.Tensor, dtype: torch.dtype) -> report.Plot:
    """Colours: bytes as they are, 0 to 1 as torch's images have it, anything else from its least to its greatest."""
    low, high = base.low or 0.0, base.high or 0.0
    if dtype is torch.uint8:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    else:
        base = _noted(base, "black is the least and white the greatest element")
    shares = _share(x, low, high).nan_to_num(0).clamp(0, 1)
    levels = (255 * shares).round().to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).reshape(x.size(1), -1)
    return msgspec.structs.replace(base, pixels=tuple(bytes(row).hex() for row in levels.tolist()))


def _plain(x: torch.Tensor) -> list[Any]:
    return [value if math.isfinite(value) else None for value in x.tolist()]
