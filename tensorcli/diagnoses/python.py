"""Diagnoses of interruptions, assertions and memory that ran out."""

import re

from tensorcli.diagnoses import Entry, Failure, Finding


def interrupted(failure: Failure) -> Finding | None:
    """Ctrl-C."""
    if isinstance(failure.error, KeyboardInterrupt):
        return Finding("interrupted", ("the session's variables are as the statement left them",))
    return None


def assertion(failure: Failure) -> Finding | None:
    """An assert of the user's that did not hold."""
    if isinstance(failure.error, AssertionError) and failure.text and not re.search("CUDA", failure.message):
        said = f": {failure.message}" if failure.message else ""
        return Finding(f"the assertion does not hold{said}")
    return None


def out_of_memory(failure: Failure) -> Finding | None:
    """An allocation larger than what is free."""
    asked = re.search(r"tried to allocate ([\d.]+ ?\w+|\d+ bytes)", failure.message)
    if isinstance(failure.error, MemoryError) or "can't allocate memory" in failure.message:
        amount = f"{_readable(asked[1])} were asked for, and that is" if asked else "this needs"
        return Finding(f"{amount} more memory than is free")
    if "out of memory" in failure.message:
        return Finding(f"the GPU has too little free memory for {asked[1] if asked else 'this'}")
    return None


def _readable(amount: str) -> str:
    digits = re.match(r"\d+", amount)
    if not amount.endswith("bytes") or not digits:
        return amount
    value, units = float(digits[0]), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.3g} {units[0]}"


ENTRIES = (
    Entry("interrupted", "interrupted", interrupted, ""),
    Entry("assertion", "value", assertion, "assert torch.rand(3).shape == (4,)"),
    Entry("out-of-memory", "memory", out_of_memory, "torch.empty(10**15)"),
)
