"""A whole file appears complete or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from structure_net import files
from structure_net.files import atomic_write
from structure_net.store import sweep

ROOT = Path(__file__).resolve().parents[1]


def test_new_content_replaces_old_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for content in (b"first", b"", b"third" * 100_000):
        atomic_write(path, content)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "results.json"
    atomic_write(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, step, full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    assert len(sweep(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("step", "after"), [("fsync", b"old"), ("replace", b"old")])
def test_a_process_that_dies_at_any_step_leaves_old_or_new(
    tmp_path: Path, step: str, after: bytes
) -> None:
    path = tmp_path / "results.json"
    atomic_write(path, b"old")
    code = (
        f"import os, sys; from pathlib import Path; os.{step} = lambda *_: os._exit(9); "
        "from structure_net.files import atomic_write; atomic_write(Path(sys.argv[1]), b'new')"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT)
    assert done.returncode == 9
    assert path.read_bytes() == after


def test_bytes_are_on_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order of the calls that make it durable: file, name, folder."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append("folder" if target.is_dir() else target.read_bytes().decode())
        fsync(descriptor)

    def named(source: Path, target: Path) -> None:
        calls.append("name")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(files.os, "replace", named)
    atomic_write(tmp_path / "file", b"content")
    assert calls == ["content", "name", "folder"]
