"""Runs the tests marked cuda and measures every workload on a CUDA device; writes what came of it as JSON."""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("torch", "numpy", "msgspec", "pytest")
DTYPES = ("float32", "tf32", "float16", "bfloat16")


def main() -> int:
    """The exit code: 1 where a test failed or a workload could not be measured, 2 where nothing could be checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "data", help="folder for the results")
    parser.add_argument("--min-time", type=float, default=0.2, help="seconds to spend on each variant")
    parser.add_argument("--workload", action="append", help="only these")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"gpu-check needs {', '.join(missing)} in {sys.executable}: pip install {' '.join(missing)}")
        return 2
    import torch

    if not torch.cuda.is_available():
        from tensorcli.engine.environment import no_cuda_reason

        print(f"no CUDA device here: {no_cuda_reason()}")
        return 2
    name = re.sub(r"\W+", "-", torch.cuda.get_device_name()).strip("-").lower()
    options.out.mkdir(parents=True, exist_ok=True)
    tests, passed = run_tests()
    benchmarks, measured = run_benchmarks(options.workload, options.min_time)
    found = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "tests": tests,
        "benchmarks": benchmarks,
    }
    path = options.out / f"gpu-{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    counts = {outcome: sum(test["outcome"] == outcome for test in tests) for outcome in ("passed", "failed", "skipped")}
    print(f"{', '.join(f'{count} {outcome}' for outcome, count in counts.items())}; {len(benchmarks)} benchmarks")
    print(f"written: {path.name}")
    return 0 if passed and measured else 1


def run_tests() -> tuple[list[dict[str, object]], bool]:
    """Each test with its outcome, and whether all that ran passed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        code = subprocess.run([*command, "tests/test_cuda.py"], cwd=ROOT, env=environment, check=False).returncode
        cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else []
        found: list[dict[str, object]] = []
        for case in cases:
            bad = case.find("failure") if case.find("failure") is not None else case.find("error")
            outcome = "failed" if bad is not None else "skipped" if case.find("skipped") is not None else "passed"
            said = None if bad is None else (bad.get("message") or "")[:500]
            found.append({"name": case.get("name"), "outcome": outcome, "message": said})
    return found, code == 0


def run_benchmarks(names: list[str] | None, min_seconds: float) -> tuple[list[object], bool]:
    """The report of each workload, and whether all could be measured."""
    from tensorcli import report, wire
    from tensorcli.engine.session import Session
    from tensorcli.workloads import table

    found: list[object] = []
    measured = True
    session = Session(seed=0)
    for name, workload in table().items():
        if names and name not in names:
            continue
        request = report.Bench(
            workload=name,
            devices=("cuda", "cpu"),
            dtypes=tuple(dtype for dtype in DTYPES if dtype in workload.dtypes),
            min_seconds=min_seconds,
            max_seconds=10 * min_seconds,
            explain=True,
        )
        answers: list[report.AnyReport] = []
        session.ask(request, answers.append)
        for answer in answers:
            if isinstance(answer, report.Progress):
                continue
            found.append(json.loads(wire.encode(answer)))
            if isinstance(answer, report.Benchmark):
                checked = [variant.agrees for case in answer.cases for variant in case.variants if variant.agrees]
                print(f"{name}: {len(answer.cases)} cases, {sum(each.ok for each in checked)} of {len(checked)} agree")
            elif isinstance(answer, report.Diagnosis):
                measured = measured and answer.code == "unfit-device"  # there is no transfer to the CPU itself
                print(f"{name}: {answer.title}")
    return found, measured


if __name__ == "__main__":
    sys.exit(main())
