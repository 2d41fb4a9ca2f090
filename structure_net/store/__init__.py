"""What a run leaves on disk: its directory, its database, its history."""

from structure_net.store.database import Store
from structure_net.store.history import History, replay
from structure_net.store.reading import open_history, read_about, read_events, reading
from structure_net.store.run_directory import (
    DATABASE,
    LOCK,
    acquire,
    existing_directory,
    new_directory,
    sweep,
    write_owner,
)

__all__ = [
    "DATABASE",
    "LOCK",
    "History",
    "Store",
    "acquire",
    "existing_directory",
    "new_directory",
    "open_history",
    "read_about",
    "read_events",
    "reading",
    "replay",
    "sweep",
    "write_owner",
]
