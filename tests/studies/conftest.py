"""A working folder in memory: a comparison of ten seeds is sixty runs, and each syncs its files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IN_MEMORY = Path("/dev/shm")


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """An empty folder, the working one inside; gone afterwards."""
    place = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Path(folder)


@pytest.fixture(autouse=True)
def own_folder() -> Iterator[Path]:
    """Each test begins in a folder of its own."""
    with fresh_folder() as folder:
        yield folder
