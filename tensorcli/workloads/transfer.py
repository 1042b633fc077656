"""n elements from the host to a device and back, from memory that the system may move and from pinned memory."""

from typing import Any

from tensorcli.workloads import FLOATS, INTEGERS, Variant, Workload, uniform


def _inputs(n: int, *, device: str, dtype: str, seed: int) -> dict[str, Any]:
    import torch

    (x,) = uniform(1, n, device="cpu", dtype=dtype, seed=seed)
    pinned = x.pin_memory() if torch.cuda.is_available() else x
    there = x.to(device)
    return {"x": x, "pinned": pinned, "there": there, "device": there.device, "back": torch.empty_like(pinned)}


def _no_host(device: str) -> str | None:
    return "the CPU has its data at hand: name another device" if device == "cpu" else None


def _unpinned(device: str) -> str | None:
    return _no_host(device) or (None if device.startswith("cuda") else f"{device} has no pinned memory")


WORKLOAD = Workload(
    name="transfer",
    title="n elements from the host to a device and back",
    sizes=(1_000, 10_000_000),
    dtypes=FLOATS + INTEGERS,
    inputs=_inputs,
    variants=(
        Variant("to the device", "x.to(device)", lacking=_no_host),
        Variant("pinned to the device", "pinned.to(device)", lacking=_unpinned),
        Variant("pinned, without waiting", "pinned.to(device, non_blocking=True)", lacking=_unpinned),
        Variant("to the host", "there.cpu()", lacking=_no_host),
        Variant("to pinned host memory", "back.copy_(there)", lacking=_unpinned),
    ),
    reference="x.clone()",
    terms=lambda n: 0,
    roundings=0,
    flops=lambda n: 0,
    nbytes=lambda n, itemsize: n * itemsize,
)
