"""What in a benchmark's request makes no sense anywhere, as far as that can be known without torch."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tensorcli.report import Bench, Compare, Diagnosis
from tensorcli.workloads import FLOATS, table

if TYPE_CHECKING:
    from tensorcli.workloads import Workload

THREADS = range(1, 1025)
_DEVICE = re.compile(r"(cpu|cuda|mps)(:\d+)?", re.ASCII)


def hopeless(request: Bench | Compare) -> list[Diagnosis]:
    """What is wrong with a request of which nothing at all can be measured, wherever it runs; else nothing."""
    bad_devices = [device for device in request.devices if not _DEVICE.fullmatch(device)]
    found = [unknown_device(device) for device in bad_devices] if len(bad_devices) == len(request.devices) else []
    bad_threads = [*threads_problems(request.threads)]
    found += bad_threads if len(bad_threads) == len(request.threads) else []
    if isinstance(request, Compare):
        bad = [*dtype_problems(request.dtypes, FLOATS, "{} cannot be the default dtype")]
        found += bad if len(bad) == len(request.dtypes) else []
        return [*found, *([] if any(map(str.strip, request.texts)) else [nothing_to_compare()])]
    workload = table().get(request.workload)
    if workload is None:
        return [*found, unknown("workload", request.workload, [*table()])]
    asked = request.dtypes, (*request.sizes, *request.unread), request.variants
    for wrong, given in zip(_of_workload(request, workload), asked, strict=True):
        found += wrong if len(wrong) == len(given) else []
    return found


def problems(request: Bench, workload: "Workload") -> Iterator[Diagnosis]:
    """What in a request for a workload cannot be measured anywhere."""
    for wrong in _of_workload(request, workload):
        yield from wrong


def _of_workload(request: Bench, workload: "Workload") -> Iterator[list[Diagnosis]]:
    """What is wrong with its dtypes, with its sizes, and with its variants."""
    yield [*dtype_problems(request.dtypes, workload.dtypes, f"{workload.name} is not measured in {{}}")]
    sizes = [*request.unread]
    sizes += [f"a size of {size} cannot be measured: n must be at least 1" for size in request.sizes if size < 1]
    yield [Diagnosis(code="bad-size", category="value", title=title) for title in sizes]
    names = [variant.name for variant in workload.variants]
    yield [unknown("variant", name, names) for name in request.variants if name not in names]


def dtype_problems(dtypes: Sequence[str], known: Sequence[str], words: str) -> Iterator[Diagnosis]:
    """A sentence for each dtype that is not known; `words` say what is wrong with it."""
    for dtype in dtypes:
        if dtype not in known:
            title = f"{words.format(dtype[:100])}: {meant(dtype, known)}"
            yield Diagnosis(code="unknown-dtype", category="dtype", title=title)


def threads_problems(threads: Sequence[int]) -> Iterator[Diagnosis]:
    """A sentence for each number of threads that cannot be."""
    for count in threads:
        if count not in THREADS:
            few = f"{count} threads cannot compute anything: there must be at least 1"
            many = f"{count:,} threads are more than torch can start: {THREADS[-1]:,} are the most"
            yield Diagnosis(code="bad-threads", category="value", title=few if count < 1 else many)


def nothing_to_compare() -> Diagnosis:
    """That there is no expression."""
    title = "there is nothing to measure: write an expression, such as x @ x.T"
    return Diagnosis(code="nothing-to-compare", category="value", title=title)


def unknown_device(device: str) -> Diagnosis:
    """That there is no such device."""
    title = f"there is no device called {device[:100]}: try cpu, cuda or cuda:1"
    return Diagnosis(code="unknown-device", category="device", title=title)


def unknown(kind: str, name: str, known: Sequence[str]) -> Diagnosis:
    """That there is no such workload or variant."""
    advice = meant(name, sorted(known))
    if kind == "workload" and advice.startswith("choose"):
        advice += "; bench compare measures expressions of your own"
    title = f"there is no {kind} called {name[:100]}: {advice}"
    return Diagnosis(code=f"unknown-{kind}", category="name", title=title)


def meant(name: str, known: Sequence[str]) -> str:
    """What to take in the place of a name that is not known."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.65)
    return f"did you mean {close[0]}?" if close else f"choose from {', '.join(known)}"
