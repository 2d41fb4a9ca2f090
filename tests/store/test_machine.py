"""The store as a state machine: whatever happens, what was acknowledged is read."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from structure_net.schema import Event, TournamentResumed, event_line
from structure_net.store import DATABASE, Store, open_history, read_events, replay
from tests.reporting import stream

NUMBERS = st.integers(0, 1)
EVENTS = st.one_of(
    st.builds(stream.trial_started, NUMBERS),
    st.builds(stream.epoch_finished, NUMBERS, st.integers(0, 9)),
    st.builds(stream.trial_finished, NUMBERS),
    st.builds(stream.trial_failed, NUMBERS),
    st.builds(stream.attempt_lost, NUMBERS),
    st.builds(stream.generation_started, st.integers(0, 1)),
    st.builds(lambda: stream.generation_finished(0, stream.performer(1))),
    st.builds(TournamentResumed, start_number=st.just(2), finished_trials=NUMBERS),
)


def trials_by_hand(events: list[Event]) -> dict[int, dict[str, Any]]:
    """The table `trials` as a dictionary, from the stored lines alone."""
    trials: dict[int, dict[str, Any]] = {}
    for event in events:
        fields = json.loads(event_line(event))
        number = fields["trial"]
        if fields["kind"] == "TrialStarted":
            row = trials.setdefault(number, {"attempts": 0, "result": None, "failure": None})
            row["attempts"] += 1
            row["state"] = "running"
            row.setdefault("genome", fields["genome"])
        elif number in trials and fields["kind"] == "TrialFinished":
            trials[number].update(state="finished", result=fields["result"])
        elif fields["kind"] == "TrialFailed":  # a worker may die before it says a word
            told = [fields["failure"], fields["reason"]]
            fresh = {"attempts": 1, "result": None, "genome": fields["genome"]}
            trials.setdefault(number, fresh).update(state="failed", failure=told)
        elif number in trials and fields["kind"] == "AttemptLost":
            trials[number].update(state="waiting")
    return trials


def stored_trials(path: Path) -> dict[int, dict[str, Any]]:
    connection = sqlite3.connect(path)
    names = ("state", "attempts", "genome", "result", "failure")
    rows = connection.execute(f"SELECT number, {', '.join(names)} FROM trials").fetchall()
    connection.close()
    found = {}
    for number, *values in rows:
        row = dict(zip(names, values, strict=True))
        texts = {name: row[name] and json.loads(row[name]) for name in names[2:]}
        found[number] = {**row, **texts}
    return found


class StoreMachine(RuleBasedStateMachine):
    """Model: the list of all appended events, of which the first `acknowledged` are durable."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.lives = 0
        self.appended: list[Event] = []
        self.acknowledged = 0
        self.starts = 1
        self.open(self.root / "0")

    def open(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.store = Store(directory)

    def acknowledge(self, events: list[Event]) -> None:
        place = self.acknowledged
        assert events == self.appended[place : place + len(events)]
        self.acknowledged += len(events)

    @rule(events=st.lists(EVENTS, min_size=1, max_size=8))
    def append(self, events: list[Event]) -> None:
        for event in events:
            self.appended.append(event)
            self.acknowledge(self.store.append(event))

    @rule()
    def commit(self) -> None:
        self.acknowledge(self.store.commit())
        assert self.acknowledged == len(self.appended)
        assert self.store.commit() == []

    @rule(after=st.integers(0, 30))
    def read_from(self, after: int) -> None:
        read = list(read_events(self.store.directory, after))
        durable = list(enumerate(self.appended[: self.acknowledged], 1))
        assert read == durable[after:]

    @rule()
    def shrink(self) -> None:
        self.commit()
        self.store.shrink_log()
        log = self.store.path.with_name(f"{DATABASE}-wal")
        assert not log.exists() or log.stat().st_size == 0

    @precondition(lambda self: self.lives < len(self.appended) / 6)
    @rule(torn=st.binary(max_size=60), shared_memory=st.booleans())
    def crash(self, torn: bytes, shared_memory: bool) -> None:
        """The files as they lie there, with half a frame at the log's end, opened elsewhere."""
        self.lives += 1
        copy = self.root / str(self.lives)
        copy.mkdir()
        for path in self.store.directory.iterdir():
            if shared_memory or not path.name.endswith("-shm"):
                shutil.copy(path, copy)
        log = copy / f"{DATABASE}-wal"
        if log.exists() and log.stat().st_size:
            log.write_bytes(log.read_bytes() + torn)
        self.store._connection.close()
        self.open(copy)
        read = [event for _, event in read_events(copy)]
        assert read == self.appended[: len(read)]
        assert len(read) >= self.acknowledged
        self.appended, self.acknowledged = read, len(read)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.acknowledged = len(self.appended)
        assert [path.name for path in self.store.directory.iterdir()] == [DATABASE]
        self.open(self.store.directory)

    @invariant()
    def trials_are_what_replay_gives(self) -> None:
        if hasattr(self, "store"):
            durable = self.appended[: self.acknowledged]
            assert stored_trials(self.store.path) == trials_by_hand(durable)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.acknowledge(self.store.commit())
            assert open_history(self.store.directory) == replay(self.appended)
            self.store.close()
            connection = sqlite3.connect(self.store.path)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            numbers = [row[0] for row in connection.execute("SELECT number FROM events")]
            connection.close()
            assert numbers == list(range(1, len(self.appended) + 1))
            shutil.rmtree(self.root)


def test_whatever_happens_what_was_acknowledged_is_read() -> None:
    run_state_machine_as_test(
        StoreMachine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
