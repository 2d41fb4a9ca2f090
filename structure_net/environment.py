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


def memory_bytes(root: Path = Path("/")) -> int:
    """Memory this process may use: the machine's, or the limit of its control group or of one
    around that, whichever is lowest. `root` is where `sys` and `proc` are."""
    import psutil

    limits = (_number(folder / name) for folder, name in _memory_groups(root))
    return min([int(psutil.virtual_memory().total), *(limit for limit in limits if limit)])


def memory_kills(root: Path = Path("/")) -> int:
    """How many processes the kernel has killed for want of memory in the own control group."""
    for folder, _ in _memory_groups(root):
        for name in ("memory.events", "memory.oom_control"):
            try:
                words = (folder / name).read_text().split()
                return int(words[words.index("oom_kill") + 1])
            except (OSError, ValueError, IndexError):
                continue
    return 0


def _memory_groups(root: Path) -> list[tuple[Path, str]]:
    """Folders of the own control group and those around it, versions 2 and 1, innermost first,
    with the file that holds the limit of each."""
    mounts = {"": ("sys/fs/cgroup", "memory.max")}
    mounts["memory"] = ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = {line.split(":")[1]: line.split(":", 2)[2] for line in lines if line.count(":") >= 2}
    found = []
    for controllers, (mount, name) in mounts.items():
        path = Path(own.get(controllers, "/").lstrip("/"))
        found += [(root / mount / part, name) for part in (path, *path.parents)]
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None


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
