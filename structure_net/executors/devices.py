"""Where workers run: the devices of this machine and the slots on them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from structure_net.errors import UsageError
from structure_net.schema import Config


@dataclass(frozen=True)
class Slot:
    """Room for one worker. `device` as torch names it there; `visible` = CUDA_VISIBLE_DEVICES."""

    name: str
    device: str
    visible: str


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _group_quota()
    return max(1, min(cores or 1, int(quota)) if quota is not None else cores or 1)


def _group_quota() -> float | None:
    """Processors that the control group allows, version 2 or 1; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        allowed = float((folder / "cpu.cfs_quota_us").read_text())
        return allowed / float((folder / "cpu.cfs_period_us").read_text()) if allowed > 0 else None
    except (OSError, ValueError):
        return None


def resolve_device(device: str) -> list[str]:
    """CUDA device numbers that `--device` means, empty for the processor; UsageError if absent."""
    if device == "cpu":
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return [str(number) for number in range(count)]
    if count == 0:
        raise UsageError(
            f"--device {device} asks for CUDA, and torch {torch.__version__} finds no CUDA device "
            f"here. Use --device cpu, or install a CUDA build of torch and its driver; "
            f"`structure-net doctor` shows what is found."
        )
    if device == "cuda":
        return [str(number) for number in range(count)]
    number = int(device.removeprefix("cuda:"))
    if number >= count:
        raise UsageError(f"--device {device}: there are {count} CUDA devices, 0 to {count - 1}.")
    return [str(number)]


def slots_of(config: Config) -> list[Slot]:
    """One slot per worker: devices x processes per device, or one per usable core."""
    visible = _already_visible(resolve_device(config.device))
    if not visible:
        return [
            Slot(f"worker-{place}", "cpu", "") for place in range(config.workers or usable_cores())
        ]
    slots = [
        Slot(f"gpu-{number}-process-{process}", "cuda:0", number)
        for process in range(config.processes_per_gpu)
        for number in visible
    ]
    return slots[: config.workers] if config.workers else slots


def _already_visible(numbers: list[str]) -> list[str]:
    """Device numbers as the driver knows them, where CUDA_VISIBLE_DEVICES renumbers already."""
    listed = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    return [listed[int(number)] if listed else number for number in numbers]
