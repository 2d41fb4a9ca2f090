"""A fixed list of facts about program and machine; never the environment variables themselves."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

try:
    VERSION = metadata.version("structure-net")
except metadata.PackageNotFoundError:  # used from a plain copy of the sources
    VERSION = "unknown"

# Facts whose change between two starts of one run may change the last bits of its results.
DECIDES_BITS = ("version", "torch", "numpy", "machine", "processor")


def facts() -> dict[str, Any]:
    """Versions, processor, memory: what a reader of results needs to judge them."""
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "torch": _version_of("torch"),
        "numpy": _version_of("numpy"),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_bytes": memory_bytes(),
    }


def memory_bytes() -> int:
    """Memory this process may use: the machine's, or its control group's limit if lower."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    for name in limits:
        try:
            total = min(total, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return total


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
