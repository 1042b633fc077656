"""What torch, NumPy and Python say, matched in this one place: the words change between versions.

Each pattern has a name; entries ask `said(failure, name)`. The tests see to it that every pattern still matches
something that the installed torch says.
"""

import re

from tensorcli.diagnoses import Failure

PATTERNS: dict[str, str] = {
    # matrix products
    "inner sizes": r"shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)"
    r"|size mismatch, got input \((\d+)\), mat \((\d+)x(\d+)\), vec \((\d+)\)"
    r"|inconsistent tensor size, expected tensor \[(\d+)\] and src \[(\d+)\]"
    r"|Expected size for first two dimensions of batch2 tensor to be: \[\d+, \d+\] but got: \[\d+, \d+\]"
    r"|inner\(\) the last dimension must match on both input tensors",
    "product ranks": r"(?:vector|matrix|matrices|1D tensors|2D tensors|3D tensor|batch\d|mat\d?|self|input) ?"
    r"(?:\+ )?.*(?:expected|must be|must have)",
    "broadcast": r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) "
    r"at non-singleton dimension (\d+)",
    "reshape": r"shape '\[(.*?)\]' is invalid for input of size (\d+)",
}
_COMPILED: dict[str, re.Pattern[str]] = {}


def said(failure: Failure, name: str) -> re.Match[str] | None:
    """How the failure's message matches a pattern of the table; None where it says something else."""
    if name not in _COMPILED:
        _COMPILED[name] = re.compile(PATTERNS[name])
    return _COMPILED[name].search(failure.message)
