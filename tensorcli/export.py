"""What a benchmark measured, as the text of files."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from tensorcli.report import Benchmark, Case, Variant


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
            "unsteady": variant.unsteady,
            "limit_gflops_per_second": case.ceiling and case.ceiling.gflops_per_second,
            "limit_gbytes_per_second": case.ceiling and case.ceiling.gbytes_per_second,
            "call_seconds": case.ceiling and case.ceiling.call_seconds,
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
