"""`run.db`: what it refuses, what it survives, and who may read it when."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from structure_net.errors import DataError, RunFailedError, TemporaryError, UsageError
from structure_net.schema import UnknownEvent, resolve
from structure_net.store import (
    DATABASE,
    Store,
    database,
    open_history,
    read_about,
    read_events,
    reading,
    replay,
)
from tests.reporting import stream

EPOCH = stream.epoch_finished(1, 1)


def stored(directory: Path) -> int:
    return len(list(read_events(directory)))


def sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    told = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return told == [("ok",)]


def test_a_whole_run_is_read_back_and_leaves_one_file(tmp_path: Path) -> None:
    store = Store(tmp_path, now=lambda: 12.5)
    events = stream.whole_run()
    acknowledged = [one for event in events for one in store.append(event)] + store.commit()
    assert acknowledged == events
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE]
    assert list(read_events(tmp_path)) == list(enumerate(events, 1))
    assert open_history(tmp_path) == replay(events)
    with reading(tmp_path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        rows = connection.execute("SELECT DISTINCT at, start_number FROM events").fetchall()
        assert rows == [(12.5, 1)]


def test_events_that_somebody_waits_for_are_acknowledged_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._committed_at = time.monotonic() + 1e6  # the clock asks for no commit in this test
    urgent = {"TrialPaused", "TrialStopped", "TrialFinished", "TrialFailed", "GenerationFinished"}
    urgent |= {"ChampionEvaluated", "TournamentFinished"}
    pending = 0
    for event in stream.whole_run():
        told = store.append(event)
        if event.kind in urgent:
            assert len(told) == pending + 1
            pending = 0
            store._committed_at = time.monotonic() + 1e6
        else:
            assert told == []
            pending += 1
    store.close()


def test_a_thousand_events_or_a_tenth_of_a_second_make_a_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._committed_at = time.monotonic() + 1e6
    told = [len(store.append(EPOCH)) for _ in range(1000)]
    assert told == [0] * 999 + [1000]
    store._committed_at = time.monotonic() + 1e6
    assert store.append(EPOCH) == store.commit_if_due() == []
    store._committed_at = time.monotonic() - 0.1
    assert store.commit_if_due() == [EPOCH]
    store.close()


def test_each_start_has_its_number(tmp_path: Path) -> None:
    for start in (1, 2, 3):
        store = Store(tmp_path)
        assert store.start_number == start
        store.append(EPOCH)
        store.close()
    with reading(tmp_path) as connection:
        rows = connection.execute("SELECT number, start_number FROM events").fetchall()
    assert rows == [(1, 1), (2, 2), (3, 3)]


def test_facts_and_the_configuration_are_kept(tmp_path: Path) -> None:
    store, resolved = Store(tmp_path), resolve(preset="quick", seed=4)
    store.describe(config=resolved.model_dump(mode="json"), stamp="now")
    store.describe(stamp="later")
    assert read_about(tmp_path)["stamp"] == "later"
    assert open_history(tmp_path).config == resolved
    store.close()


def test_files_are_named_and_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(3):
        store.record_file(f"networks/{number}.safetensors", f"{number}" * 64, 10, "network", number)
    store.forget_file("networks/1.safetensors")
    store.commit()
    kept = {f"networks/{number}.safetensors": f"{number}" * 64 for number in (0, 2)}
    assert store.kept_files() == kept
    store.close()


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET kind = 'x'", "DELETE FROM events WHERE number = 1"]
)
def test_events_are_append_only(tmp_path: Path, statement: str) -> None:
    store = Store(tmp_path)
    store.append(EPOCH)
    store.close()
    connection = sqlite3.connect(tmp_path / DATABASE)
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        connection.execute(statement)
    connection.close()
    assert stored(tmp_path) == 1


def test_an_event_of_a_later_version_is_kept_and_copied_as_it_is(tmp_path: Path) -> None:
    body = {"edit": {"kind": "widen"}, "gain": 0.5}
    new = UnknownEvent(stored_kind="NetworkGrown", stored_version=3, body=body, trial=2)
    store = Store(tmp_path)
    store.append(new)
    store.close()
    assert [event for _, event in read_events(tmp_path)] == [new]
    with reading(tmp_path) as connection:
        row = connection.execute("SELECT kind, version, trial, body FROM events").fetchone()
    assert (*row[:3], json.loads(row[3])) == ("NetworkGrown", 3, 2, body)


@pytest.mark.parametrize("body", ["{", "[]", '{"epoch": "three"}', "null"])
def test_a_damaged_row_is_named(tmp_path: Path, body: str) -> None:
    store = Store(tmp_path)
    store.append(EPOCH)
    store._connection.execute(
        "INSERT INTO events (at, start_number, kind, version, body) VALUES (0, 1, ?, 1, ?)",
        ("EpochFinished", body),
    )
    store.close()
    with pytest.raises(DataError, match=r"run\.db: event 2 \(EpochFinished\) is damaged") as told:
        list(read_events(tmp_path))
    assert "\n" not in str(told.value)


# --- other people's files ---


def foreign(directory: Path) -> None:
    connection = sqlite3.connect(directory / DATABASE)
    connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()


def newer(directory: Path) -> None:
    Store(directory).close()
    connection = sqlite3.connect(directory / DATABASE)
    connection.execute("PRAGMA user_version=2")
    connection.close()


def text(directory: Path) -> None:
    (directory / DATABASE).write_text("no database at all, but longer than a header\n" * 40)


def cut(directory: Path) -> None:
    """A few bytes of a database, too few for the first page."""
    Store(directory).close()
    (directory / DATABASE).write_bytes((directory / DATABASE).read_bytes()[:700])


def empty(directory: Path) -> None:
    (directory / DATABASE).touch()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign, "has schema version 0; this program reads version 1"),
        (newer, "has schema version 2; this program reads version 1"),
        (text, "is not a run database"),
        (cut, "is not a run database"),
        (empty, "is empty: the run was ended before it began"),
    ],
)
def test_what_is_no_run_database_is_refused_and_not_touched(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path)
    before = (tmp_path / DATABASE).read_bytes()
    for attempt in (Store, open_history, read_about):
        with pytest.raises(DataError, match=said) as told:
            attempt(tmp_path)
        assert str(tmp_path / DATABASE) in str(told.value)
        assert "\n" not in str(told.value)
    assert (tmp_path / DATABASE).read_bytes() == before


def test_a_damaged_database_is_a_failure_in_plain_words(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(300):
        store.append(EPOCH)
    store.close()
    path = tmp_path / DATABASE
    content = bytearray(path.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(RunFailedError, match=r"run\.db is not a sound run database") as told:
        Store(tmp_path)
    assert "\n" not in str(told.value)
    with pytest.raises(DataError, match=r"run\.db is damaged: database disk image is malformed"):
        open_history(tmp_path)


# --- readers beside the writer ---


def test_20000_events_append_in_linear_time_and_readers_see_prefixes(tmp_path: Path) -> None:
    store, durable, seconds = Store(tmp_path), 0, []
    for quarter in range(4):
        began = time.process_time()
        for _ in range(5000):
            durable += len(store.append(EPOCH))
        seconds.append(time.process_time() - began)
        with reading(tmp_path) as connection:
            (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        assert count == durable
        assert 5000 * quarter < durable <= 5000 * (quarter + 1)
        store.shrink_log()
    assert seconds[3] < 4 * seconds[0] + 0.1  # a search through what is there would cost 7 times
    store.close()
    numbers = [number for number, _ in read_events(tmp_path, after=19_000)]
    assert numbers == list(range(19_001, 20_001))


def test_a_reader_that_follows_sees_every_event_once(tmp_path: Path) -> None:
    store, seen = Store(tmp_path), []
    for event in stream.whole_run():
        store.append(event)
        store.commit()
        seen += list(read_events(tmp_path, len(seen)))
    assert [event for _, event in seen] == stream.whole_run()
    store.close()


def test_closing_beside_an_open_reader_is_no_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for event in stream.whole_run():
        store.append(event)
    follower = read_events(tmp_path)
    next(follower)
    began = time.monotonic()
    store.close()
    assert time.monotonic() - began < 2
    assert 1 + len(list(follower)) == len(stream.whole_run())
    assert stored(tmp_path) == len(stream.whole_run())
    Store(tmp_path).close()  # the next one to close leaves one file
    assert [path.name for path in tmp_path.iterdir()] == [DATABASE]


def test_the_log_stays_small_beside_a_slow_reader(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(stream.trial_finished(0))
    slow = read_events(tmp_path)
    next(slow)
    for _ in range(8):
        for _ in range(1000):
            store.append(EPOCH)
        store.shrink_log()
    assert (tmp_path / f"{DATABASE}-wal").stat().st_size < 16 << 20
    slow.close()
    store.close()


def killed_writer(directory: Path) -> int:
    """A process that stores 50 events and ends without closing; the number acknowledged."""
    code = (
        "import os, sys; from pathlib import Path; from structure_net.store import Store; "
        "from tests.reporting import stream; store = Store(Path(sys.argv[1])); "
        "events = [one for _ in range(50) for one in store.append(stream.epoch_finished(1, 1))]; "
        "events += store.commit(); store.append(stream.epoch_finished(1, 2)); "
        "print(len(events), flush=True); os._exit(9)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 9, done.stderr
    return int(done.stdout)


def test_the_file_of_a_killed_writer_is_read_and_continued(tmp_path: Path) -> None:
    acknowledged = killed_writer(tmp_path)
    assert acknowledged == 50
    assert (tmp_path / f"{DATABASE}-wal").stat().st_size > 0
    assert stored(tmp_path) == 50
    store = Store(tmp_path)
    store.append(EPOCH)
    store.close()
    assert stored(tmp_path) == 51


def test_on_a_medium_that_cannot_be_written_a_copy_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log without its shared memory, and an SQLite that may not make one."""
    killed_writer(tmp_path)
    (tmp_path / f"{DATABASE}-shm").unlink()
    connect, asked = sqlite3.connect, []

    def refuse(name: Any, **options: Any) -> sqlite3.Connection:
        asked.append(str(name))
        if "mode=ro" in str(name):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(name, **options)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    assert stored(tmp_path) == 50
    assert len(asked) == 2
    assert str(tmp_path) not in asked[1]
    monkeypatch.setattr(shutil, "copy", _no_permission)
    with pytest.raises(DataError, match=r"run\.db cannot be read: Permission denied"):
        open_history(tmp_path)


def _no_permission(*_: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


# --- other file systems, full disks ---


def test_a_network_file_system_gets_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("nfs4", "cifs", "fuse.sshfs", "lustre", "9p"):
        directory = tmp_path / kind
        directory.mkdir()
        monkeypatch.setattr(database, "file_system_of", lambda _, kind=kind: kind)
        store = Store(directory)
        store.append(stream.trial_finished(0))
        assert not (directory / f"{DATABASE}-wal").exists()
        assert stored(directory) == 1
        store.close()


def test_the_type_of_a_file_system_is_what_the_system_says(tmp_path: Path) -> None:
    if shutil.which("findmnt") is None:
        pytest.skip("needs findmnt of util-linux as witness")
    for path in (tmp_path, Path("/"), Path("/proc"), Path("/dev")):
        command = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert database.file_system_of(path) == said.split()[-1]


def fill(store: Store, every: int) -> tuple[int, str]:
    """Append until the disk is full: how many were acknowledged, and what was said then."""
    acknowledged = 0
    for number in range(100_000):
        try:
            acknowledged += len(store.append(EPOCH))
            if number % every == 0:
                acknowledged += len(store.commit())
        except TemporaryError as problem:
            return acknowledged, str(problem)
    raise AssertionError("the disk never got full")


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_a_full_disk_is_temporary_and_takes_back_nothing_acknowledged(
    tmp_path: Path, every: int
) -> None:
    """SQLite takes the whole open transaction back: what waited in it is never acknowledged."""
    store = Store(tmp_path)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count={pages + 20}")
    acknowledged, said = fill(store, every)
    assert "full. Nothing acknowledged is lost; make room and continue" in said
    assert f"structure-net resume {tmp_path}" in said
    acknowledged += len(store.commit())
    assert stored(tmp_path) == acknowledged
    store._connection.execute(f"PRAGMA max_page_count={pages + 2000}")  # there is room again
    store.append(EPOCH)
    assert len(store.commit()) == 1
    store.close()
    assert stored(tmp_path) == acknowledged + 1
    assert sound(tmp_path / DATABASE)


def test_a_missing_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"run\.db cannot be used: unable to open"):
        Store(tmp_path / "none")
    with pytest.raises(UsageError, match="holds no run"):
        open_history(tmp_path / "none")
