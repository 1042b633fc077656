"""Diagnoses of sizes that do not go together."""

import re

from tensorcli.diagnoses import Entry, Failure, Finding


def broadcast_sizes(failure: Failure) -> Finding | None:
    """Two sizes that neither agree nor are 1."""
    match = re.search(
        r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)",
        failure.message,
    )
    if not match:
        return None
    return Finding(f"the sizes {match[1]} and {match[2]} at dimension {match[3]} differ, and neither is 1")


def reshape_elements(failure: Failure) -> Finding | None:
    """A reshape that would change the number of elements."""
    match = re.search(r"shape '\[(.*?)\]' is invalid for input of size (\d+)", failure.message)
    if not match:
        return None
    sizes = [int(size) for size in match[1].split(",") if size.strip()]
    if any(size < 0 for size in sizes):
        return Finding(f"{int(match[2]):,} elements cannot be divided into [{match[1]}]")
    product = 1
    for size in sizes:
        product *= size
    return Finding(f"[{match[1]}] has {product:,} elements, and the tensor has {int(match[2]):,}")


ENTRIES = (
    Entry("broadcast-sizes", "shape", broadcast_sizes, "torch.rand(3, 4) + torch.rand(5)"),
    Entry("reshape-elements", "shape", reshape_elements, "torch.arange(10).reshape(3, 4)"),
)
