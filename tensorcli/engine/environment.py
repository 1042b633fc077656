"""Where this runs: the machine, its libraries and its devices, as torch and the drivers report them."""

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tensorcli import report, units

_CPUS = Path("/sys/devices/system/cpu")


def synchronize() -> None:
    """Wait for what has been started on CUDA devices, where any has been used: a time taken before counts launches."""
    if torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.synchronize(index)


def default_device() -> torch.device:
    """torch's default device. (torch 2.9 fails to say it once it has been set to None.)"""
    try:
        return torch.get_default_device()
    except AttributeError:
        return torch.device("cpu")


def set_default_device(name: str) -> None:
    """Make a device torch's default one."""
    if not name.startswith("cpu"):
        torch.set_default_device(name)
    elif default_device().type != "cpu":
        torch.set_default_device(None)


def no_cuda_reason() -> str | None:
    """Why there is no CUDA device, and what to do about it; None where there is one."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA: install a CUDA build from pytorch.org to use a GPU"
    if not _driver():
        return f"torch was built for CUDA {torch.version.cuda}, but found no NVIDIA driver: install one from nvidia.com"
    return "the NVIDIA driver reports no device that torch can use: see CUDA_VISIBLE_DEVICES and nvidia-smi"


def no_tf32_reason(device: str) -> str | None:
    """Why products on a device are the same with tf32 and without, and what to do; None where they are not.

    It came with compute capability 8.0 (CUDA C++ Programming Guide, Compute Capabilities).
    """
    if not device.startswith("cuda"):
        return "tf32 is a mode of NVIDIA GPUs: ask for float32 elsewhere"
    major, minor = torch.cuda.get_device_capability(torch.device(device))
    if (major, minor) < (8, 0):
        return f"tf32 needs compute capability 8.0, and {device} has {major}.{minor}: ask for float32"
    return None


def _nvml() -> Any:
    """NVML, started; None where it, or the driver, is missing."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        return None
    return pynvml


def _asked(question: Any, *arguments: Any) -> Any:
    """NVML's answer, or None: any field may be missing on some device."""
    try:
        answer = question(*arguments)
    except Exception:
        return None
    return answer.decode() if isinstance(answer, bytes) else answer


def _driver() -> str | None:
    nvml = _nvml()
    return _asked(nvml.nvmlSystemGetDriverVersion) if nvml else None


def cpu_name() -> str:
    """The processor's model, as the system names it."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()


def environment(devices: Iterable[str], *, threads: Iterable[int], tf32: Iterable[bool]) -> dict[str, Any]:
    """What a measurement on devices depends on; null is unknown, or not in use. Clocks are in MHz, as they are now.

    `threads` are those of each case, and `tf32` is whether each on a GPU may round to it: null where they differ. A GPU
    that is not in use is left alone: asking torch for its name would start it.
    """
    gpus = _indices(devices)
    return {
        "torch": str(torch.__version__),
        "torch_commit": torch.version.git_version,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_mhz": _cpu_mhz(),
        "governor": _first_word(_CPUS / "cpu0/cpufreq/scaling_governor"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": _shared(threads),
        "interop_threads": torch.get_num_interop_threads(),
        "blas": _built_with(r"BLAS_INFO=(\w+)") or ("mkl" if torch.backends.mkl.is_available() else None),
        "mkl": _built_with(r"Math Kernel Library Version (\S+)"),
        "onednn": _built_with(r"MKL-DNN v(\S+)"),
        "gpu": ", ".join(dict.fromkeys(map(torch.cuda.get_device_name, gpus))) or None,
        "driver": _driver() if gpus else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if gpus else None,
        "tf32": _shared(tf32),
        **(_gpu_clocks(gpus[0]) if gpus else {"gpu_mhz": None, "gpu_memory_mhz": None}),
    }


def _shared(values: Iterable[Any]) -> Any:
    """What all are; None where they differ, or there are none."""
    first, *others = {*values} or {None}
    return None if others else first


def _indices(devices: Iterable[str]) -> list[int]:
    """Those of the CUDA devices among devices."""
    return [torch.device(device).index or 0 for device in devices if device.startswith("cuda")]


def _built_with(pattern: str) -> str | None:
    """What torch says it was built with."""
    match = re.search(pattern, torch.__config__.show())
    return match[1] if match else None


def _first_word(path: Path) -> str | None:
    try:
        return path.read_text().split()[0]
    except (OSError, IndexError, ValueError):
        return None


def _cpu_mhz() -> float | None:
    try:
        match = re.search(r"^cpu MHz\s*:\s*([\d.]+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return float(match[1]) if match else None


def _gpu_clocks(index: int) -> dict[str, int | None]:
    nvml = _nvml()
    handle = _handle(nvml, torch.cuda.get_device_properties(index)) if nvml else None
    if nvml is None or handle is None:
        return {"gpu_mhz": None, "gpu_memory_mhz": None}
    kinds = {"gpu_mhz": nvml.NVML_CLOCK_SM, "gpu_memory_mhz": nvml.NVML_CLOCK_MEM}
    return {name: _asked(nvml.nvmlDeviceGetClockInfo, handle, kind) for name, kind in kinds.items()}


def throttles() -> int:
    """How often the processor has been slowed down by heat since the machine started, as far as that is counted."""
    counts = _CPUS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    return sum(int(_first_word(path) or 0) for path in counts)


class Slowing:
    """What slows devices down while they work: `look` at them right after they did, since idle ones are not slowed."""

    def __init__(self, devices: Iterable[str]) -> None:
        self._since = throttles()
        self._reasons = dict.fromkeys(_indices(devices), 0)  # NVML's bits, of all looks together

    def look(self) -> None:
        """Note what slows GPUs down now."""
        for index in self._reasons:
            self._reasons[index] |= _slowing(index)

    def told(self) -> Iterator[str]:
        """What has been seen, each with advice."""
        count = throttles() - self._since
        if count > 0:
            times = "once" if count == 1 else f"{count:,} times"
            yield f"the processor was slowed down by heat {times} during the run: let it cool, and run again"
        for index, reasons in self._reasons.items():
            for cause, bits in _CAUSES.items():
                if reasons & bits:
                    advice = "let it cool, or lower its load, and run again"
                    yield f"the clock of cuda:{index} was held down by {cause}: {advice}"


# Bits of NVML's clock event reasons (nvml.h): 0x20 is the software's thermal slowdown, and 0x40 the hardware's.
_CAUSES = {"heat": 0x20 | 0x40, "its power limit": 0x04}


def busy(devices: Iterable[str], threads: int) -> tuple[str, ...]:
    """What times on devices suffer from, each with advice: other programs, a debug build, a coarse clock.

    `threads` is the most that any case is asked for: those that share a core wait for each other.
    """
    found = []
    cores = os.cpu_count() or threads
    if threads > cores:
        found.append(f"{threads:,} threads share {units.plural(cores, 'core')}: ask for at most --threads {cores}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY * cores:
        spare = f", or leave them a core with --threads {cores - 1}" if 1 < cores <= threads else ""
        found.append(f"the load average is {load:.1f} on {units.plural(cores, 'core')}: close other programs{spare}")
    if torch.version.debug:
        found.append("this torch is a debug build, which is slow: install a release from pytorch.org")
    step = time.get_clock_info("perf_counter").resolution
    if step > COARSE:
        found.append(f"the clock's steps are {units.seconds(step)}: short times are those of many calls together")
    return (*found, *(word for index in _indices(devices) for word in _busy_gpu(index)))


BUSY = 0.5  # runnable programs for each core, before any of ours
COARSE = 1e-6  # seconds


def _busy_gpu(index: int) -> Iterator[str]:
    nvml = _nvml()
    handle = _handle(nvml, torch.cuda.get_device_properties(index)) if nvml else None
    if nvml is None or handle is None:
        return
    _asked(lambda: torch.zeros(1, device=f"cuda:{index}"))  # from then on NVML counts this process, too
    running = {one.pid for one in _asked(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()}
    if os.getpid() not in running:  # in a container: NVML has the host's numbers, and any of them may be ours
        return
    if others := len(running) - 1:
        count = "another process runs" if others == 1 else f"{others} other processes run"
        yield f"{count} on cuda:{index}: wait for its end, or choose another device"


def _slowing(index: int) -> int:
    """NVML's bits for what holds down the clock of a GPU now."""
    nvml = _nvml()
    handle = _handle(nvml, torch.cuda.get_device_properties(index)) if nvml else None
    return 0 if handle is None else _asked(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle) or 0


def cache_flush(device: str) -> Callable[[], object]:
    """A function that fills a device's caches with something else, from memory that is its own."""
    junk = torch.empty(max(LEAST_FLUSHED, 2 * cache_nbytes(device)), dtype=torch.int8, device=device)
    return junk.zero_


LEAST_FLUSHED = 1 << 28  # bytes: more than most processors cache, where nobody says how much this one does


def cache_nbytes(device: str) -> int:
    """What a device's last caches hold together, the L3 of each of several processors; 0 where nobody says."""
    place = torch.device(device)
    if place.type == "cuda":
        return int(getattr(torch.cuda.get_device_properties(place), "L2_cache_size", 0))
    levels: dict[str, dict[str, int]] = {}  # by level, bytes by the cores that share them
    for held in _CPUS.glob("cpu[0-9]*/cache/index[0-9]*") if place.type == "cpu" else ():
        level, size, cores = (_first_word(held / name) for name in ("level", "size", "shared_cpu_list"))
        if level and size and cores and size.endswith("K"):
            levels.setdefault(level, {})[cores] = int(size[:-1]) * 1024
    return sum(levels[max(levels)].values()) if levels else 0


def devices(default: str) -> report.Devices:
    """Every device, with what is unknown left null."""
    found = [_cpu(), *(_cuda(index) for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))]
    if torch.backends.mps.is_available():
        found.append(report.Device(device="mps", name="Apple GPU"))
    return report.Devices(devices=tuple(found), default=default, no_cuda=no_cuda_reason())


def _cpu() -> report.Device:
    total = _meminfo("MemTotal")
    return report.Device(device="cpu", name=cpu_name(), total_nbytes=total, free_nbytes=available_nbytes())


def _cuda(index: int) -> report.Device:
    properties = torch.cuda.get_device_properties(index)
    free, total = _asked(torch.cuda.mem_get_info, index) or (None, properties.total_memory)
    nvml = _nvml()
    handle = _handle(nvml, properties) if nvml else None
    known = {}
    if nvml and handle is not None:
        rates, power = _asked(nvml.nvmlDeviceGetUtilizationRates, handle), _asked(nvml.nvmlDeviceGetPowerUsage, handle)
        known = {
            "utilization": None if rates is None else float(rates.gpu),
            "temperature": _asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "power_watts": None if power is None else power / 1000,  # NVML gives milliwatts
        }
    return report.Device(
        device=f"cuda:{index}",
        name=properties.name,
        total_nbytes=total,
        free_nbytes=free,
        capability=f"{properties.major}.{properties.minor}",
        driver=_driver(),
        **known,
    )


def _handle(nvml: Any, properties: Any) -> Any:
    """NVML's handle of a device of torch's: NVML numbers all devices, torch only the visible ones."""
    uuid = getattr(properties, "uuid", None)
    return _asked(nvml.nvmlDeviceGetHandleByUUID, f"GPU-{uuid}") if uuid else None


def available_nbytes() -> int | None:
    """The memory that could be had now without swapping; None where the system does not say.

    The least of what Linux calls available and what the control group still allows.
    """
    bounds = [_meminfo("MemAvailable"), _group_nbytes()]
    return min((bound for bound in bounds if bound is not None), default=None)


def _meminfo(field: str) -> int | None:
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


@dataclass(frozen=True)
class _Hierarchy:
    """Control groups of memory: where they stand, their files, and what they call the cache they can drop at once."""

    root: Path
    own: str  # how the line of /proc/self/cgroup begins that names this process's group
    limits: tuple[str, ...]
    used: str
    droppable: str


_HIERARCHIES = (
    _Hierarchy(Path("/sys/fs/cgroup"), "0::", ("memory.max", "memory.high"), "memory.current", "inactive_file"),
    _Hierarchy(
        Path("/sys/fs/cgroup/memory"),
        ":memory:",
        ("memory.limit_in_bytes",),
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
_OWN_GROUPS = Path("/proc/self/cgroup")


def _group_nbytes() -> int | None:
    """What the control groups of this process still allow, the outer ones too; None without one or without a limit."""
    allowed = [_allowed(group, each) for each in _HIERARCHIES for group in _groups(each)]
    return min((nbytes for nbytes in allowed if nbytes is not None), default=None)


@cache
def _groups(each: _Hierarchy) -> tuple[Path, ...]:
    """This process's group and those around it. Within a container the path may be one of outside: then the root's."""
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:
        return ()
    path = next((line.partition(each.own)[2] for line in lines if each.own in line), "/").strip("/")
    parts = [*Path(path).parts, ""]
    folders = (each.root.joinpath(*parts[:count]) for count in range(len(parts)))
    return tuple(folder for folder in folders if (folder / each.used).is_file())


def _allowed(group: Path, each: _Hierarchy) -> int | None:
    """What one control group still allows; None without a limit.

    Files that were read lately count as used: those that can be dropped are taken off, or a long download would look
    like a full memory.
    """
    limits = []
    for name in each.limits:
        with suppress(OSError, ValueError):  # "max"
            limits.append(int((group / name).read_text()))
    if not limits:
        return None
    try:
        left = min(limits) - int((group / each.used).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return max(0, left + int(stat.get(each.droppable, 0)))


def free_nbytes(device: str) -> int | None:
    """The free memory of a device; None where that is unknown.

    On a GPU what torch keeps for its next tensors is free as well, though the driver takes it for used.
    """
    place = torch.device(device)
    match place.type:
        case "cpu":
            return available_nbytes()
        case "cuda":
            free = _asked(torch.cuda.mem_get_info, place)
            if free is None:
                return None
            return int(free[0]) + torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
        case _:
            return None


def problem_with(device: str) -> report.Diagnosis | None:
    """Why nothing can be computed on a device, and what to do; None where it can."""
    try:
        place = torch.device(device)
    except RuntimeError:
        title = f"there is no device called {device}: try cpu, cuda or cuda:1"
        return report.Diagnosis(code="unknown-device", category="device", title=title)
    count = torch.cuda.device_count()
    match place.type:
        case "cpu":
            return None
        case "cuda" if reason := no_cuda_reason():
            return report.Diagnosis(code="no-cuda", category="device", title=reason)
        case "cuda" if (place.index or 0) >= count:
            title = f"there is no {device}: the CUDA devices here are numbered 0 to {count - 1}"
            return report.Diagnosis(code="no-cuda", category="device", title=title)
        case "cuda":
            return None
        case "mps" if torch.backends.mps.is_available():
            return None
        case _:
            title = f"nothing can be computed on {device} here: use cpu{', cuda' if count else ''}"
            return report.Diagnosis(code="unknown-device", category="device", title=title)
