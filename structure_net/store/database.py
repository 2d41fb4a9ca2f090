"""`run.db`: every event of a run, appended by one process, read by any number.

SQLite with a write-ahead log and full synchronisation; commits are grouped, at most ten a second.
An event is acknowledged when its commit has returned, and only then handed on to readers: what a
screen has shown, no crash can take back.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from structure_net.errors import DataError, RunFailedError, StructureNetError, TemporaryError
from structure_net.schema import (
    AttemptLost,
    Event,
    TrialFailed,
    TrialFinished,
    TrialPaused,
    TrialStarted,
    TrialStopped,
    event_body,
)
from structure_net.store.reading import SCHEMA_VERSION, check_version
from structure_net.store.run_directory import DATABASE

COMMIT_SECONDS = 0.1
COMMIT_EVENTS = 1000
# Kinds whose loss would cost work, or that somebody waits for: committed at once.
URGENT = frozenset(
    {
        "TrialPaused",
        "TrialStopped",
        "TrialFinished",
        "TrialFailed",
        "GenerationFinished",
        "ChampionEvaluated",
        "TournamentFinished",
    }
)
# WAL needs memory shared by all readers, which these do not offer between hosts.
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "lustre", "fuse", "gpfs", "beegfs", "9p", "ceph")

TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE events (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, start_number INTEGER NOT NULL,
  kind TEXT NOT NULL, version INTEGER NOT NULL, generation INTEGER, trial INTEGER,
  attempt INTEGER, step INTEGER, body TEXT NOT NULL) STRICT;
CREATE INDEX events_of_trial ON events (trial, number) WHERE trial IS NOT NULL;
CREATE TRIGGER events_stay BEFORE UPDATE ON events
  BEGIN SELECT raise(ABORT, 'events are append only'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
  BEGIN SELECT raise(ABORT, 'events are append only'); END;
CREATE TABLE trials (
  number INTEGER PRIMARY KEY, generation INTEGER NOT NULL, genome TEXT NOT NULL,
  seed INTEGER NOT NULL, parents TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
  result TEXT, failure TEXT) STRICT;
CREATE TABLE files (
  path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, kind TEXT NOT NULL,
  trial INTEGER, state TEXT NOT NULL) STRICT;
"""


def file_system_of(path: Path) -> str:
    """Type of the mount that holds `path`, from /proc/mounts; empty where that cannot be read."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    here, best = str(path.resolve()), ("", "")
    for line in lines:
        _, mount, kind, *_ = line.split(" ")
        inside = here == mount or here.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):  # of two on one folder the later is on top
            best = (mount, kind)
    return best[1]


class Store:
    """The one writer of a run. `append` returns the events that became durable by it."""

    def __init__(self, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        self.directory = directory
        self.path = directory / DATABASE
        self._now = now
        self._pending: list[Event] = []
        self._committed_at = time.monotonic()
        fresh = not self.path.exists()
        with _said_plainly(self.path):
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            if not fresh:
                self._check_own()
            self._connection.execute(f"PRAGMA journal_mode={self._journal_mode()}")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA journal_size_limit=1048576")
            if fresh:
                self._connection.executescript(
                    f"BEGIN; {TABLES} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
                )
            row = self._connection.execute("SELECT max(start_number) FROM events").fetchone()
        self.start_number = (row[0] or 0) + 1

    def _check_own(self) -> None:
        """DataError, before anything is changed, where the file is not a run database of ours."""
        try:
            check_version(self._connection, self.path)
        except DataError:
            self._connection.close()
            raise

    def _journal_mode(self) -> str:
        kind = file_system_of(self.directory)
        return "DELETE" if kind.startswith(NETWORK_FILE_SYSTEMS) else "WAL"

    def describe(self, **facts: Any) -> None:
        """Write facts about the run as JSON values, at once."""
        with self._writing():
            self._begin()
            self._connection.executemany(
                "INSERT OR REPLACE INTO about VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in facts.items()],
            )
        self.commit()

    def append(self, event: Event) -> list[Event]:
        """Store an event; returns those acknowledged, in order, possibly none yet."""
        with self._writing():
            self._begin()
            self._connection.execute(
                "INSERT INTO events (at, start_number, kind, version, generation, trial, attempt,"
                " step, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._now(),
                    self.start_number,
                    event.kind,
                    event.version,
                    event.generation,
                    event.trial,
                    event.attempt,
                    event.step,
                    event_body(event),
                ),
            )
            derive_trial(self._connection, event)
        self._pending.append(event)
        if event.kind in URGENT or len(self._pending) >= COMMIT_EVENTS:
            return self.commit()
        return self.commit_if_due()

    def commit_if_due(self) -> list[Event]:
        """Commit when the last one is old enough; called between events too."""
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            return self.commit()
        return []

    def commit(self) -> list[Event]:
        """Make everything durable and return what became so."""
        with self._writing():
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        self._committed_at = time.monotonic()
        acknowledged, self._pending = self._pending, []
        return acknowledged

    def shrink_log(self) -> None:
        """Write the log back into the database; done after each generation."""
        with _said_plainly(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def record_file(self, path: str, sha256: str, size: int, kind: str, trial: int | None) -> None:
        """Name a file of the run before it is trusted."""
        with self._writing():
            self._begin()
            self._connection.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, 'kept')",
                (path, sha256, size, kind, trial),
            )

    def forget_file(self, path: str) -> None:
        """A file that the run no longer needs and is about to delete."""
        with self._writing():
            self._begin()
            self._connection.execute("UPDATE files SET state = 'deleted' WHERE path = ?", (path,))

    def kept_files(self) -> dict[str, str]:
        """Path relative to the run's directory -> SHA-256, of the files that should be there."""
        query = "SELECT path, sha256 FROM files WHERE state = 'kept'"
        return dict(self._connection.execute(query).fetchall())

    def close(self) -> None:
        """One file, readable on any medium: the log is written back and given up.

        While somebody reads, SQLite keeps the log's file: empty, and no reason to fail.
        """
        with closing(self._connection), _said_plainly(self.path):
            self.commit()
            self.shrink_log()
            try:
                self._connection.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem):
                    raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A full disk may make SQLite take the whole transaction back: nothing is pending then."""
        try:
            with _said_plainly(self.path):
                yield
        except StructureNetError:
            if not self._connection.in_transaction:
                self._pending.clear()
            raise

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")


def _described(event: TrialStarted | TrialFailed) -> tuple[Any, ...]:
    """Number, generation, genome, seed and parents of a trial, as its row holds them."""
    genome, parents = event.genome.model_dump_json(), json.dumps(event.parents)
    return (event.trial, event.generation, genome, event.seed, parents)


def derive_trial(connection: sqlite3.Connection, event: Event) -> None:
    """Keep the table `trials` in step with an event, in the same transaction."""
    match event:
        case TrialStarted():
            connection.execute(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, 'running', 1, NULL, NULL) ON CONFLICT "
                "(number) DO UPDATE SET state = 'running', attempts = attempts + 1",
                _described(event),
            )
        case TrialPaused():
            connection.execute(
                "UPDATE trials SET state = 'paused' WHERE number = ?", (event.trial,)
            )
        case TrialFinished() | TrialStopped():
            state = "finished" if isinstance(event, TrialFinished) else "stopped_early"
            connection.execute(
                "UPDATE trials SET state = ?, result = ? WHERE number = ?",
                (state, event.result.model_dump_json(), event.trial),
            )
        case TrialFailed():
            failure = json.dumps([event.failure, event.reason])
            connection.execute(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, 'failed', 1, NULL, ?) ON CONFLICT "
                "(number) DO UPDATE SET state = 'failed', failure = excluded.failure",
                (*_described(event), failure),
            )
        case AttemptLost():
            connection.execute(
                "UPDATE trials SET state = 'waiting' WHERE number = ?", (event.trial,)
            )
        case _:
            pass


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    """SQLite's errors in the program's words; a full disk is temporary, the rest is not."""
    try:
        yield
    except sqlite3.OperationalError as problem:
        if "full" in str(problem) or "locked" in str(problem):
            raise TemporaryError(
                f"{path} cannot be written: {problem}. Nothing acknowledged is lost; make room and "
                f"continue with `structure-net resume {path.parent}`."
            ) from problem
        raise RunFailedError(f"{path} cannot be used: {problem}.") from problem
    except sqlite3.DatabaseError as problem:
        raise RunFailedError(
            f"{path} is not a sound run database: {problem}. Restore it from a copy."
        ) from problem
