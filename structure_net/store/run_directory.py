"""The directory of a run: its name, its lock, its leftovers."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from structure_net.errors import TemporaryError, UsageError
from structure_net.files import atomic_write

if TYPE_CHECKING:
    from filelock import FileLock

DATABASE = "run.db"
LOCK = "run.lock"
OWNER = "run.lock.json"
LEFTOVER = re.compile(r"^\..+\.(\d+)\.part$")


def sweep(folder: Path) -> list[Path]:
    """Delete what an interrupted `atomic_write` left; call only while holding the run's lock."""
    gone = [path for path in folder.rglob(".*.part") if LEFTOVER.match(path.name)]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def new_directory(out: Path | None, name: str | None, preset: str) -> Path:
    """A directory for a new run, made if need be; UsageError where one must not be made."""
    stamp = time.strftime("%Y-%m-%d_%H%M%S")
    directory = out if out is not None else Path("runs") / (name or f"{stamp}_{preset}")
    if out is None and name is None:
        directory = _first_free(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        present = sorted(entry.name for entry in directory.iterdir())
    except OSError as problem:
        raise UsageError(
            f"The run's directory {directory} cannot be made: {problem.strerror}. Choose another "
            f"with --out DIR."
        ) from problem
    if DATABASE in present or LOCK in present:
        raise_if_locked(directory)
        raise UsageError(
            f"{directory} already holds a run. Continue it with `structure-net resume {directory}`,"
            f" or choose another directory with --out DIR or --name NAME."
        )
    if present:
        raise UsageError(
            f"{directory} is not empty (it holds {present[0]}). A run wants a directory of its own:"
            f" choose another with --out DIR."
        )
    if not os.access(directory, os.W_OK):
        raise UsageError(f"{directory} cannot be written to. Choose another with --out DIR.")
    return directory


def _first_free(directory: Path) -> Path:
    """Two runs begun in one second get different directories."""
    candidate, number = directory, 2
    while candidate.exists():
        candidate = directory.with_name(f"{directory.name}_{number}")
        number += 1
    return candidate


def existing_directory(run: Path) -> Path:
    """The directory of a stored run, given it or its run.db; UsageError when there is none."""
    with suppress(OSError, ValueError):
        directory = run.parent if run.name == DATABASE and run.is_file() else run
        if (directory / DATABASE).is_file():
            return directory
    raise UsageError(
        f"{run} holds no run: a run's directory has a file {DATABASE}. Runs lie in runs/ unless "
        f"--out said otherwise."
    )


def raise_if_locked(directory: Path) -> None:
    """TemporaryError while another process runs here."""
    acquire(directory).release()


def acquire(directory: Path) -> FileLock:
    """The run's lock, which the kernel frees when its holder dies; TemporaryError when held."""
    from filelock import FileLock, Timeout

    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as held:
        raise TemporaryError(
            f"{directory} is being run by {_owner(directory)}. Wait for it, or watch it with "
            f"`structure-net show {directory}`."
        ) from held
    except OSError as problem:
        raise UsageError(
            f"{directory / LOCK} cannot be written: {problem.strerror}. A run that is continued "
            f"needs a writable directory."
        ) from problem
    return lock


def write_owner(directory: Path) -> None:
    """Who holds the lock, for the message of the next one."""
    owner = {"pid": os.getpid(), "host": socket.gethostname()}
    atomic_write(directory / OWNER, json.dumps(owner).encode())


def _owner(directory: Path) -> str:
    try:
        owner = json.loads((directory / OWNER).read_text())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
