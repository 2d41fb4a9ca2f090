"""Full and read-only file systems for real, in a mount namespace of a child process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FULL = """
import sqlite3, sys
from pathlib import Path
from structure_net.errors import TemporaryError
from structure_net.files import atomic_write
from structure_net.store import Store, read_events
from tests.reporting import stream

directory = Path(sys.argv[1])
atomic_write(directory / "results.json", b"old" * 1000)
store, acknowledged, problem = Store(directory), 0, None
try:
    for number in range(100_000):
        acknowledged += len(store.append(stream.epoch_finished(1, 1)))
        if number % 50 == 0:
            acknowledged += len(store.commit())
except TemporaryError as told:
    problem = told
assert "full" in str(problem), problem
try:
    atomic_write(directory / "results.json", b"new" * 400_000)
except OSError as told:
    print("results:", told.strerror)
assert (directory / "results.json").read_bytes() == b"old" * 1000
acknowledged += len(store.commit())
store._connection.close()  # killed here
for part in directory.glob(".*.part"):
    part.unlink()
(directory / "ballast").unlink()
assert len(list(read_events(directory))) == acknowledged
again = Store(directory)
again.append(stream.trial_finished(1))
again.close()
assert len(list(read_events(directory))) == acknowledged + 1
told = sqlite3.connect(directory / "run.db").execute("PRAGMA integrity_check").fetchall()
print("acknowledged:", acknowledged > 100, "integrity:", told[0][0])
"""

READ_ONLY = """
import os, subprocess, sys
from pathlib import Path
from structure_net.errors import RunFailedError
from structure_net.store import Store, open_history, read_events
from tests.reporting import stream

directory = Path(sys.argv[1])
closed, killed = directory / "closed", directory / "killed"
for place in (closed, killed):
    place.mkdir()
    if os.fork() == 0:
        store = Store(place)
        for event in stream.whole_run():
            store.append(event)
        store.commit()
        if place is closed:
            store.close()
        os._exit(0)
    os.wait()
if sys.argv[2] == "without":
    (killed / "run.db-shm").unlink()
subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
for place in (closed, killed):
    assert open_history(place).finished is not None
    assert [event for _, event in read_events(place)] == stream.whole_run()
try:
    Store(closed)
except RunFailedError as told:
    print(str(told).replace(str(directory), ""))
"""


def mounted(tmp_path: Path, script: str, *arguments: str, before: str = "true") -> str:
    """Output of a Python script that has a file system of 1 MiB for itself."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare of util-linux")
    mount = f'mount -t tmpfs -o size=1m none "{tmp_path}"'
    possible = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True)
    if possible.returncode:
        pytest.skip("needs the right to mount a file system")
    command = f'{mount} && {before} && exec "$0" -c "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, sys.executable, script, tmp_path, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    ballast = f'head -c 300000 /dev/zero > "{tmp_path}/ballast"'
    told = mounted(tmp_path, FULL, before=ballast)
    assert told.splitlines() == [
        "results: No space left on device",
        "acknowledged: True integrity: ok",
    ]


@pytest.mark.parametrize("shared_memory", ["with", "without"])
def test_closed_and_killed_runs_are_read_on_a_read_only_medium(
    tmp_path: Path, shared_memory: str
) -> None:
    told = mounted(tmp_path, READ_ONLY, shared_memory)
    wanted = "/closed/run.db cannot be used: attempt to write a readonly database."
    assert told.splitlines() == [wanted]
