"""Reading `run.db`: live beside its writer, after a crash, or from a read-only medium."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from structure_net.errors import DataError
from structure_net.schema import Event, Resolved, read_event
from structure_net.store.history import History
from structure_net.store.run_directory import DATABASE, existing_directory

SCHEMA_VERSION = 1
ROWS_AT_ONCE = 1000  # a cursor left open keeps the log from shrinking


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """DataError unless this program can read the tables."""
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.OperationalError as problem:
        raise DataError(f"{path} cannot be opened: {problem}.") from problem
    except sqlite3.DatabaseError as problem:
        raise DataError(f"{path} is not a run database: {problem}.") from problem
    if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
        raise DataError(
            f"{path} is empty: the run was ended before it began. Delete {path.parent} and start "
            f"the run again."
        )
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {version}; this program reads version {SCHEMA_VERSION}. "
            f"Use the version of structure_net that wrote it."
        )


@contextmanager
def reading(directory: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection, live beside a writer; on a read-only medium a copy is read.

    `immutable=1` is never used: it silently leaves out what is still in the write-ahead log.
    """
    path = existing_directory(directory) / DATABASE
    with tempfile.TemporaryDirectory() as spare:
        try:
            connection = _live(path)
        except sqlite3.OperationalError:
            connection = _copied(path, Path(spare))
        except sqlite3.DatabaseError as problem:
            raise DataError(f"{path} is not a run database: {problem}.") from problem
        with closing(connection):
            check_version(connection, path)
            try:
                yield connection
            except sqlite3.DatabaseError as problem:
                raise DataError(
                    f"{path} is damaged: {problem}. Restore it from a copy."
                ) from problem


def _live(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=5)
    try:
        connection.execute("PRAGMA query_only=1")
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _copied(path: Path, spare: Path) -> sqlite3.Connection:
    try:
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (path.parent / name).exists():
                shutil.copy(path.parent / name, spare)
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}.") from problem
    return sqlite3.connect(spare / DATABASE)


def read_events(directory: Path, after: int = 0) -> Iterator[tuple[int, Event]]:
    """(number, event) of a run beyond `after`, live or finished; memory stays bounded."""
    columns = "number, kind, version, generation, trial, attempt, step, body"
    with reading(directory) as connection:
        while True:
            rows = connection.execute(
                f"SELECT {columns} FROM events WHERE number > ? ORDER BY number LIMIT ?",
                (after, ROWS_AT_ONCE),
            ).fetchall()
            for number, kind, version, generation, trial, attempt, step, body in rows:
                place = {"generation": generation, "trial": trial, "attempt": attempt, "step": step}
                yield number, _stored_event(directory, number, kind, version, place, body)
                after = number
            if len(rows) < ROWS_AT_ONCE:
                return


def _stored_event(
    directory: Path, number: int, kind: str, version: int, place: dict[str, Any], body: str
) -> Event:
    try:
        return read_event(kind, version, place, body)
    except ValueError as problem:
        raise DataError(
            f"{directory / DATABASE}: event {number} ({kind}) is damaged: "
            f"{str(problem).splitlines()[0]}. Restore the file from a copy."
        ) from problem


def read_about(directory: Path) -> dict[str, Any]:
    """The facts a run stored about itself."""
    with reading(directory) as connection:
        rows = connection.execute("SELECT key, value FROM about").fetchall()
    return {key: json.loads(value) for key, value in rows}


def open_history(directory: Path) -> History:
    """The present state of a run, read from its directory."""
    history = History()
    for _, event in read_events(directory):
        history.add(event)
    stored = read_about(directory).get("config")
    if stored is not None:
        history.stored_config = Resolved.model_validate(stored)
    return history
