"""One seed, one result: whatever the number of workers, the executor, a kill -9 in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from structure_net.cli import main

from .runs import begin, dump, networks, run


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run") / "serial", "--executor", "serial")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_serial_result(
    serial: Path, workers: int, tmp_path: Path
) -> None:
    other = run(tmp_path / "run", "--workers", str(workers))
    assert dump(other) == dump(serial)
    assert networks(other) == networks(serial)


def test_another_seed_gives_another_result(serial: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "run", "--executor", "serial", "--seed", "1")
    assert dump(other) != dump(serial)


def test_hash_seed_of_python_does_not_matter(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    process = begin(tmp_path / "run", "--executor", "serial")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert dump(tmp_path / "run") == dump(serial)


def finished_trials(directory: Path) -> int:
    """Acknowledged results so far, as a reader beside the run sees them."""
    if not (directory / "run.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{directory}/run.db?mode=ro", uri=True)) as connection:
        try:
            query = "SELECT count(*) FROM events WHERE kind = 'TrialFinished'"
            return int(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:  # the tables are not there yet
            return 0


def kill_at(directory: Path, trials: int, *options: str) -> None:
    """Begin or resume, then SIGKILL the whole process group once so many trials are stored."""
    process = begin(directory, *options)
    try:
        deadline = time.monotonic() + 60
        while finished_trials(directory) < trials:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("trials", [1, 8, 12])
def test_kill_in_mid_generation_then_resume_gives_the_undisturbed_result(
    trials: int, tmp_path: Path, long_run: Path
) -> None:
    directory = tmp_path / "run"
    kill_at(directory, trials, "--workers", "2", "--epochs", "20")
    stored = finished_trials(directory)
    assert trials <= stored < 16, "the kill was to come in mid-run"
    assert main(["resume", str(directory), "--workers", "1", "--quiet"]) == 0
    assert dump(directory) == dump(long_run)
    assert networks(directory) == networks(long_run)
    assert not list(directory.rglob("*.part"))


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed witness: 6 + 5 + 5 trials of 20 epochs."""
    return run(tmp_path_factory.mktemp("run") / "long", "--executor", "serial", "--epochs", "20")


def test_no_worker_outlives_a_killed_coordinator(tmp_path: Path) -> None:
    process = begin(tmp_path / "run", "--workers", "2", "--epochs", "200")
    deadline = time.monotonic() + 60
    workers: list[psutil.Process] = []
    while len(workers) < 3:  # two workers and the resource tracker
        assert time.monotonic() < deadline
        workers = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    gone, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    assert len(gone) == len(workers)


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path, long_run: Path) -> None:
    directory = tmp_path / "run"
    process = begin(directory, "--workers", "2", "--epochs", "20")
    deadline = time.monotonic() + 60
    while finished_trials(directory) < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = psutil.Process(process.pid).children()
    victim = next(one for one in children if "spawn_main" in " ".join(one.cmdline()))
    victim.kill()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert dump(directory) == dump(long_run)


def test_an_interrupt_ends_cleanly_and_names_the_command_to_go_on(
    tmp_path: Path, long_run: Path
) -> None:
    directory = tmp_path / "run"
    process = begin(directory, "--workers", "2", "--epochs", "20")
    while finished_trials(directory) < 3:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"structure-net resume {directory}" in output
    assert "Traceback" not in output
    assert main(["resume", str(directory), "--quiet"]) == 0
    assert dump(directory) == dump(long_run)
