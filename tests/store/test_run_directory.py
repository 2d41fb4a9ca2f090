"""The directory of a run: where it may be made, who holds it, what is swept from it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from structure_net.errors import TemporaryError, UsageError
from structure_net.store import (
    DATABASE,
    LOCK,
    Store,
    acquire,
    existing_directory,
    new_directory,
    sweep,
    write_owner,
)
from structure_net.store.run_directory import OWNER

HOLD = (
    "import sys; from pathlib import Path; from structure_net.store import acquire, write_owner; "
    "lock = acquire(Path(sys.argv[1])); write_owner(Path(sys.argv[1])); "
    "print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def held(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run's lock."""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_the_second_one_is_told_who_holds_the_run(tmp_path: Path) -> None:
    with held(tmp_path) as holder:
        with pytest.raises(TemporaryError) as told:
            acquire(tmp_path)
        assert f"process {holder.pid} on {socket.gethostname()}" in str(told.value)
        with pytest.raises(TemporaryError, match=str(holder.pid)):
            new_directory(tmp_path, None, "quick")
        (tmp_path / OWNER).write_text("{")
        with pytest.raises(TemporaryError, match="another process"):
            acquire(tmp_path)


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with held(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        acquire(tmp_path).release()


def test_one_process_cannot_hold_a_run_twice(tmp_path: Path) -> None:
    lock = acquire(tmp_path)
    write_owner(tmp_path)
    assert json.loads((tmp_path / OWNER).read_text())["pid"] == os.getpid()
    with pytest.raises(TemporaryError, match=f"process {os.getpid()} "):
        acquire(tmp_path)
    lock.release()
    acquire(tmp_path).release()


def test_a_directory_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"run\.lock cannot be written"):
        acquire(tmp_path / "file")


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    directory = new_directory(tmp_path / "a" / "b", None, "quick")
    assert directory == tmp_path / "a" / "b"
    assert list(directory.iterdir()) == []
    assert new_directory(directory, None, "quick") == directory  # empty: nothing is lost


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (DATABASE, "already holds a run. Continue it with `structure-net resume"),
        (LOCK, "already holds a run"),
        ("thesis.tex", r"is not empty \(it holds thesis.tex\)"),
        (".hidden", r"is not empty \(it holds .hidden\)"),
    ],
)
def test_a_directory_with_something_in_it_is_refused(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / content).write_text("dear")
    with pytest.raises(UsageError, match=said) as told:
        new_directory(tmp_path, None, "quick")
    assert str(tmp_path) in str(told.value)
    assert "--out DIR" in str(told.value)
    assert (tmp_path / content).read_text() == "dear"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(UsageError, match="cannot be made"):
            new_directory(path, None, "quick")


def test_names_and_two_runs_in_one_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "2030-01-02_030405")
    made = [new_directory(None, None, "quick") for _ in range(3)]
    assert [str(path) for path in made] == [
        "runs/2030-01-02_030405_quick",
        "runs/2030-01-02_030405_quick_2",
        "runs/2030-01-02_030405_quick_3",
    ]
    assert all(path.is_dir() for path in made)
    named = new_directory(None, "mine", "quick")
    assert named == Path("runs/mine")
    (named / DATABASE).touch()
    with pytest.raises(UsageError, match="--name NAME"):
        new_directory(None, "mine", "quick")


def test_a_stored_run_is_found_by_its_directory_or_its_database(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert existing_directory(tmp_path) == existing_directory(tmp_path / DATABASE) == tmp_path


@pytest.mark.parametrize("name", ["", "none", "file", "file/below", "x" * 5000, "a\0b", "empty"])
def test_what_holds_no_run_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no run: .* file run\.db"):
        existing_directory(tmp_path / name)


def test_sweeping_removes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    leftovers = [".results.json.123.part", "networks/.0.safetensors.77.part"]
    others = [
        "a.part",
        ".a.part",
        ".a.12.part.gz",
        "networks/0.safetensors",
        ".a.x7.part",
        "run.db",
    ]
    for name in (*leftovers, *others):
        (tmp_path / name).touch()
    assert sorted(sweep(tmp_path)) == sorted(tmp_path / name for name in leftovers)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(others)
    assert sweep(tmp_path) == []
