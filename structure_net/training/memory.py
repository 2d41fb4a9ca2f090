"""The memory of a worker while it trains: peaks of a cohort, and giving unused memory back."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from structure_net.engine import free_unused
from structure_net.schema import MemoryCleaned

RESET_RESIDENT_PEAK = "5"  # proc(5), clear_refs: the peak falls to what is resident now


def reset_peaks(device: str) -> None:
    """Let the peaks count from here. Where the system forbids it, the resident one goes on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_RESIDENT_PEAK)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes() -> int:
    """Largest resident size since `reset_peaks`; of the whole process where no peak is reset."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # KiB on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else peak * 1024


def device_peak_bytes(device: str) -> int:
    """Most bytes that tensors took on a CUDA device since `reset_peaks`; 0 on a processor."""
    return 0 if device == "cpu" else torch.cuda.max_memory_allocated(device)


def clean(generation: int, epoch: int, device: str, worker: str) -> MemoryCleaned:
    """Give unused memory back, and tell what came of it. Nothing that is computed changes."""
    resident, reserved = _held(device)
    free_unused()
    resident_after, reserved_after = _held(device)
    return MemoryCleaned(
        generation=generation,
        epoch=epoch,
        worker=worker,
        resident_before=resident,
        resident_after=resident_after,
        device_before=reserved,
        device_after=reserved_after,
    )


def _held(device: str) -> tuple[int, int]:
    """Resident bytes of this process, and those that torch holds of its CUDA device."""
    reserved = 0 if device == "cpu" else torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss, reserved
