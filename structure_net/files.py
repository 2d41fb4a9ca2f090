"""Whole files that appear complete or not at all, and the folder of what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def atomic_write(path: Path, content: bytes) -> None:
    """Old or new content under `path`, never less: temporary name, fsync, rename, fsync again."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_root(cache: Path | None = None) -> Path:
    """The argument, else `$STRUCTURE_NET_CACHE`, else `structure_net` in the user's cache."""
    if cache is not None:
        return Path(cache)
    if named := os.environ.get("STRUCTURE_NET_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "structure_net"
