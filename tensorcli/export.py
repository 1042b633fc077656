"""What a benchmark measured, as files: each is written whole or not at all."""

import csv
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorcli.report import Benchmark, Case, Variant


def write(path: Path, data: bytes) -> None:
    """Put a file in its place once all of it is written; until then what was there stays. Raises OSError."""
    if path.exists() and not path.is_file():  # a pipe or a device
        path.write_bytes(data)
        return
    path = path.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tensorcli.")
    except PermissionError:  # a file of ours in a folder of others'
        _write_over(path, data)
        return
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(name, path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _write_over(path: Path, data: bytes) -> None:
    """Write where no second file can be: what was there is put back where that fails."""
    before = path.read_bytes()
    try:
        path.write_bytes(data)
    except BaseException:
        path.write_bytes(before)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def as_csv(benchmark: Benchmark) -> bytes:
    """A line for each variant of each case, as plain numbers in the units named. Samples are in the JSON alone."""
    rows = [_row(benchmark, case, variant) for case in benchmark.cases for variant in case.variants]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _row(benchmark: Benchmark, case: Case, variant: Variant) -> dict[str, Any]:
    environment = benchmark.environment
    return dict(
        {
            "workload": benchmark.workload,
            "complete": benchmark.complete,
            "device": case.device,
            "dtype": case.dtype,
            **{f"size_{name}": value for name, value in case.size.items()},
            "threads": case.threads,
            "cold": case.cold,
            "variant": variant.name,
            "text": variant.text,
            "status": variant.status,
            "reason": variant.reason,
            "median_seconds": variant.median,
            "low_seconds": variant.low,
            "high_seconds": variant.high,
            "iqr_seconds": variant.iqr,
            "first_seconds": variant.first_seconds,
            "samples": len(variant.seconds),
            "calls_per_sample": variant.calls_per_sample,
            "flops": variant.flops,
            "nbytes": variant.nbytes,
            "gflops_per_second": variant.gflops_per_second,
            "gbytes_per_second": variant.gbytes_per_second,
            "share_of_limit": variant.share,
            "bound": variant.bound,
            "limit_gflops_per_second": case.ceiling and case.ceiling.gflops_per_second,
            "limit_gbytes_per_second": case.ceiling and case.ceiling.gbytes_per_second,
        },
        **dict(_prefixed("ratio", variant.ratio, ("to", "value", "low", "high", "extrapolated"))),
        **dict(_prefixed("then", variant.then, ("value", "low", "high"))),
        **dict(_prefixed("agrees", variant.agrees, ("with_", "max_abs_error", "max_rel_error", "ok"))),
        **dict(
            _prefixed(
                "counted",
                variant.counts,
                ("operators", "allocations", "allocated_nbytes", "kernels", "synchronizations"),
            )
        ),
        torch=environment.get("torch"),
        cpu=environment.get("cpu"),
        gpu=environment.get("gpu"),
    )


def _prefixed(prefix: str, data: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in fields:
        yield f"{prefix}_{name.rstrip('_')}", None if data is None else getattr(data, name)
