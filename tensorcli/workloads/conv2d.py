"""A 3 x 3 convolution of an image of n x n pixels, 16 channels to 16."""

from typing import Any

from tensorcli.workloads import FLOATS, Parts, Variant, Workload, no_compiler, uniform

CHANNELS = 16


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    (x,) = uniform(1, 1, CHANNELS, n, n, device=device, dtype=dtype, seed=seed)
    (w,) = uniform(1, CHANNELS, CHANNELS, 3, 3, device=device, dtype=dtype, seed=seed + 1)
    wide = {name: each.to(memory_format=torch.channels_last) for name, each in (("x_last", x), ("w_last", w))}
    return {"x": x, "w": w, **wide}


def loop_over_pixels(x: Any, w: Any, parts: int | None) -> Any:
    """Pixel by pixel, all channels at a time."""
    import torch

    n = x.shape[-1]
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    out = torch.zeros_like(x)
    for place in range(n * n if parts is None else parts):
        i, j = divmod(place, n)
        out[0, :, i, j] = (w * padded[0, :, i : i + 3, j : j + 3]).sum(dim=(1, 2, 3))
    return out


def shift_and_add(x: Any, w: Any) -> Any:
    """One product of the whole image for each of the 9 places in the kernel."""
    import torch

    n = x.shape[-1]
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    return sum(
        torch.einsum("oc,bchw->bohw", w[:, :, i, j], padded[:, :, i : i + n, j : j + n])
        for i in range(3)
        for j in range(3)
    )


def unfold_and_multiply(x: Any, w: Any) -> Any:
    """The patches as columns of one matrix, times the kernel as another: what many libraries do inside."""
    import torch

    columns = torch.nn.functional.unfold(x, 3, padding=1)
    return (w.flatten(1) @ columns).view_as(x)


WORKLOAD = Workload(
    name="conv2d",
    title="a 3 x 3 convolution of an image of n x n pixels, 16 channels to 16",
    sizes=(32, 128),
    dtypes=FLOATS,
    inputs=_inputs,
    variants=(
        Variant("loop over pixels", "loop_over_pixels(x, w, parts)", parts=Parts(lambda n: n * n, steps=lambda n: 1)),
        Variant("shift and add", "shift_and_add(x, w)"),
        Variant(
            "unfold and matmul",
            "unfold_and_multiply(x, w)",
            scratch_nbytes=lambda n, itemsize: 9 * CHANNELS * n * n * itemsize,
        ),
        Variant("conv2d", "F.conv2d(x, w, padding=1)"),
        Variant("channels last", "F.conv2d(x_last, w_last, padding=1)"),
        Variant(
            "compiled",
            "convolved(x, w)",
            setup="convolved = torch.compile(lambda x, w: F.conv2d(x, w, padding=1))",
            lacking=no_compiler,
        ),
    ),
    functions={
        "loop_over_pixels": loop_over_pixels,
        "shift_and_add": shift_and_add,
        "unfold_and_multiply": unfold_and_multiply,
    },
    reference="F.conv2d(x, w, padding=1)",
    # Fast algorithms (Winograd) round more often than sums do (Lavin and Gray, 2016).
    terms=lambda n: 4 * 9 * CHANNELS,
    roundings=9,  # shift and add: one for each place in the kernel
    # a product and a sum for each weight and pixel, borders as if they were inside (as torch.utils.flop_counter counts)
    flops=lambda n: 2 * 9 * CHANNELS * CHANNELS * n * n,
    nbytes=lambda n, itemsize: (2 * CHANNELS * n * n + 9 * CHANNELS * CHANNELS) * itemsize,
)
