"""Events as stored lines, and the canonical dump by which two runs are equal."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from structure_net.schema import (
    KINDS,
    Event,
    TournamentResumed,
    UnknownEvent,
    canonical,
    event_body,
    event_line,
    read_event,
    read_line,
)
from tests.reporting import stream

PLACE = ("generation", "trial", "attempt", "step")
VOLATILE_OF_A_RESULT = {
    f"result.{name}" for name in ("seconds", "micro_batch", "peak_bytes", "device_peak_bytes")
}
# What may differ between two equal runs, by kind, beside the attempt; everything else must make
# a dump differ.
VOLATILE = {
    "TournamentStarted": {"package_version", "execution", "environment"},
    "TrialStarted": {"worker", "device"},
    "MetricsMeasured": {"seconds"},
    "GrowthAttempted": {"seconds"},
    "EpochFinished": {"train_seconds", "evaluate_seconds"},
    "TrialPaused": {"worker", "state_sha256", *VOLATILE_OF_A_RESULT},
    "TrialStopped": VOLATILE_OF_A_RESULT,
    "TrialFinished": {"worker", *VOLATILE_OF_A_RESULT},
    "TrialFailed": {"details"},
    "GenerationFinished": {"duration", "busy_seconds", "capacity"},
    "TournamentFinished": {"criteria", "seconds", "experiments_per_second"},
}

PASSING = {"AttemptLost", "TournamentResumed", "MicroBatchReduced", "MemoryCleaned"}


def resumed() -> TournamentResumed:
    return TournamentResumed(start_number=2, finished_trials=3, warnings=("torch was 2.6",))


def samples() -> dict[str, Event]:
    """One event of every kind."""
    events = {event.kind: event for event in [*stream.whole_run(), resumed()]}
    assert set(events) == set(KINDS)
    return events


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_survives_its_line_and_its_stored_row(kind: str) -> None:
    event = samples()[kind]
    line = event_line(event)
    assert "\n" not in line
    assert read_line(line) == read_line(line.encode()) == event
    place = {name: getattr(event, name) for name in PLACE}
    assert read_event(kind, 1, place, event_body(event)) == event
    fields = json.loads(line)
    assert (fields.pop("kind"), fields.pop("version")) == (kind, 1)
    assert fields == json.loads(event.model_dump_json())
    assert not set(json.loads(event_body(event))) & set(PLACE)


@pytest.mark.parametrize(("kind", "version"), [("NetworkGrown", 1), ("EpochFinished", 2)])
def test_an_unknown_kind_or_version_is_kept_word_for_word(kind: str, version: int) -> None:
    place = {"generation": 1, "trial": 2, "attempt": 3, "step": 4}
    body = {"edit": {"kind": "widen", "units": [1, 2]}, "gain": 0.25, "name": "\u00e9"}
    line = json.dumps({"kind": kind, "version": version, **place, **body})
    event = read_line(line)
    assert isinstance(event, UnknownEvent)
    assert (event.kind, event.version, event.body) == (kind, version, body)
    assert json.loads(event_line(event)) == json.loads(line)
    assert json.loads(event_body(event)) == body
    assert read_line(event_line(event)) == event
    assert read_event(event.kind, event.version, place, event_body(event)) == event


def test_unknown_events_take_part_in_the_dump() -> None:
    place = dict.fromkeys(PLACE)
    first, second = (read_event("New", 1, place, json.dumps({"a": a})) for a in (1, 2))
    assert canonical([first]) == canonical([first]) != canonical([second])


@pytest.mark.parametrize(
    "damage",
    [
        {"epoch": "three"},
        {"train_loss": None},
        {"surprise": 1},
        {"validation_loss": "NaN"},
    ],
)
def test_a_damaged_body_is_a_validation_error(damage: dict[str, Any]) -> None:
    body = {**json.loads(event_body(samples()["EpochFinished"])), **damage}
    with pytest.raises(ValidationError):
        read_event("EpochFinished", 1, {}, json.dumps(body))


@given(st.text(max_size=30))
def test_any_text_is_an_event_or_a_plain_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, AttributeError, TypeError)):
        read_line(text)


# --- the canonical dump ---


def run() -> list[Event]:
    return [*stream.whole_run(), resumed()]


def test_the_dump_does_not_depend_on_the_order_of_the_stream() -> None:
    dump = canonical(run())
    draw = random.Random(6)
    for _ in range(20):
        assert canonical(draw.sample(run(), len(run()))) == dump


def test_the_dump_tells_the_run_in_order() -> None:
    rows = [json.loads(line) for line in canonical(run())]
    kinds = [kind for kind, _ in rows]
    assert kinds[0] == "TournamentStarted"
    assert kinds[-2:] == ["ChampionEvaluated", "TournamentFinished"]
    for generation in (0, 1):
        own = [kind for kind, body in rows[1:-2] if (body["generation"] or 0) == generation]
        assert own[0] == "GenerationStarted"
        assert own[-1] == "GenerationFinished"
        middle = [
            (body["trial"], body["step"] or 0)
            for kind, body in rows
            if body["trial"] is not None and kind != "ChampionEvaluated"
            if body["generation"] == generation
        ]
        assert [trial for trial, _ in middle] == sorted(trial for trial, _ in middle)


def test_passing_events_are_left_out() -> None:
    passing = {kind for kind, event in samples().items() if type(event).PASSING}
    assert passing == PASSING
    without = [event for event in run() if event.kind not in PASSING]
    assert canonical(without) == canonical(run())


def test_of_several_attempts_only_the_last_counts() -> None:
    straight = [stream.trial_started(5), stream.epoch_finished(5, 0), stream.epoch_finished(5, 1)]
    straight.append(stream.trial_finished(5))
    lost = [
        stream.trial_started(5, worker="worker-9"),
        stream.epoch_finished(5, 0).model_copy(update={"train_loss": 9.0}),
        stream.attempt_lost(5),
    ]
    again = [event.model_copy(update={"attempt": 2}) for event in straight]
    assert canonical([*lost, *again]) == canonical(straight)
    assert canonical([*again, *lost]) == canonical(straight)
    assert canonical([*lost, *again[:-1]]) != canonical(straight)


def test_a_later_attempt_from_a_rung_keeps_what_came_before_it() -> None:
    """Epochs 0 and 1, a pause after them; epoch 2 is lost with its worker and done again."""

    def at(event: Event, attempt: int, step: int) -> Event:
        return event.model_copy(update={"attempt": attempt, "step": step})

    def epoch(number: int, attempt: int) -> Event:
        return at(stream.epoch_finished(6, number), attempt, number + 1)

    begun, paused = stream.trial_started(6), stream.trial_paused(6)
    first = [at(begun, 1, 0), epoch(0, 1), epoch(1, 1), at(paused, 1, 2)]
    end = at(stream.trial_finished(6, 1), 2, 5)
    straight = [*first, at(begun, 2, 2), epoch(2, 2), epoch(3, 2), end]
    spoilt = epoch(2, 2).model_copy(update={"train_loss": 9.0})
    again = [at(begun, 3, 2), epoch(2, 3), epoch(3, 3), at(end, 3, 5)]
    dump = canonical([*first, at(begun, 2, 2), spoilt, *again])
    assert dump == canonical(straight)
    assert sum("TrialPaused" in line for line in dump) == 1
    # From the start: all of it again.
    whole = [at(event, 4, event.step or 0) for event in (*first[:3], *again[1:])]
    assert canonical([*straight, *whole]) == canonical(whole)


def test_an_event_that_a_resumed_run_repeats_counts_once() -> None:
    once = stream.whole_run()
    assert canonical([*once, stream.generation_started(1), stream.tournament_finished()]) == (
        canonical(once)
    )


def _other(value: Any) -> list[Any]:
    """Other values of the same form, for a model to accept or refuse."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1]
        case float():
            return [value / 2 + 0.01]
        case str():
            return [value + "x", "killed", "light"]
        case None:
            return [1, 0.5, "x"]
        case dict():
            return [{**value, "new": 1}, *({**value, "new": one} for one in value.values())]
        case [] | [*_]:
            return [[*value, *value[:1]], value[:-1], [*value, "x"], [*value, 1]]
    return []


def _variants(event: Event) -> list[tuple[str, Event]]:
    """The event with one field changed, each in turn; those of a nested result or record too."""
    fields = json.loads(event.model_dump_json())
    found: list[tuple[str, Event]] = []
    paths = [(name,) for name in fields]
    paths += [(part, name) for part in ("result", "record") for name in fields.get(part, {})]
    for path in paths:
        inner = fields[path[0]] if len(path) == 2 else fields
        for value in _other(inner[path[-1]]):
            changed = {**inner, path[-1]: value}
            whole = {**fields, path[0]: changed} if len(path) == 2 else changed
            try:
                other = type(event).model_validate_json(json.dumps(whole))
            except ValidationError:
                continue
            if other != event:
                found.append((".".join(path), other))
    return found


@pytest.mark.parametrize("kind", sorted(set(KINDS) - PASSING))
def test_exactly_the_volatile_fields_are_left_out(kind: str) -> None:
    event = samples()[kind]
    variants = _variants(event)
    changed = {path for path, _ in variants}
    plain = set(json.loads(event.model_dump_json())) - {"result", "record"}
    # Their own bounds refuse a change.
    hard = {"failure", "genome", "top_performers", "dataset", "engine_table"}
    assert plain - hard <= changed
    for path, other in variants:
        same = canonical([other]) == canonical([event])
        assert same == (path == "attempt" or path in VOLATILE.get(kind, set())), path
