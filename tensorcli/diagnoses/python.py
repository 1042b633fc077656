"""Diagnoses of interruptions, assertions and memory that ran out."""

import re

from tensorcli import units
from tensorcli.diagnoses import Entry, Failure, Finding


def interrupted(failure: Failure) -> Finding | None:
    """Ctrl-C."""
    if isinstance(failure.error, KeyboardInterrupt):
        return Finding("interrupted", ("the session's variables are as the statement left them",))
    return None


def assertion(failure: Failure) -> Finding | None:
    """An assert of the user's that did not hold."""
    if (
        isinstance(failure.error, AssertionError)
        and failure.layer is None
        and failure.text
        and not re.search("CUDA", failure.message)
    ):
        first = failure.message.split("\n")[0].rstrip("!.")
        said = f": {first}" if first else ""
        return Finding(f"the assertion does not hold{said}")
    return None


def out_of_memory(failure: Failure) -> Finding | None:
    """An allocation larger than what is free."""
    asked = re.search(r"tried to allocate (\d+) bytes|[Tt]ried to allocate ([\d.]+ \w+)", failure.message)
    amount = "" if not asked else units.nbytes(int(asked[1])) if asked[1] else asked[2]
    if isinstance(failure.error, MemoryError) or "can't allocate memory" in failure.message:
        asks = f"{amount} were asked for, and that is" if amount else "this needs"
        return Finding(f"{asks} more memory than is free")
    if "out of memory" in failure.message:
        return Finding(f"the GPU has too little free memory for {amount or 'this'}")
    return None


ENTRIES = (
    Entry("interrupted", "interrupted", interrupted, ""),
    Entry("assertion", "value", assertion, "assert torch.rand(3).shape == (4,)"),
    Entry("out-of-memory", "memory", out_of_memory, "torch.empty(10**15)"),
)
