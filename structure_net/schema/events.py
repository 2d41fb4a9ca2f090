"""Facts that happened in a run. Everything that runs yields these; nothing else is stored.

An event's class name is its kind in `run.db`. `generation`, `trial`, `attempt` and `step` place it;
`step` counts inside the trial's attempt. Fields marked `Volatile` may differ between two equal
runs; `canonical` leaves them out, and leaves out an event whose class says `PASSING`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from structure_net.genome import Genome
from structure_net.schema.engine_table import EngineTable
from structure_net.schema.trial import (
    Failure,
    Frozen,
    GrowthRecord,
    MetricsLevel,
    OnlyIfGiven,
    PluginFile,
    Seconds,
    TrialResult,
    Volatile,
)


class Event(Frozen):
    """Base of all events. `VERSION` rises when a stored body can no longer be read as it is."""

    VERSION: ClassVar[int] = 1
    PASSING: ClassVar[bool] = False

    generation: int | None = None
    trial: int | None = None
    attempt: int | None = None
    step: int | None = None

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def version(self) -> int:
        return self.VERSION


class DatasetFacts(Frozen):
    """What a run says of its data. Nothing here comes from the test part."""

    name: str
    train_hash: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    verified: str
    train_samples: int
    validation_samples: int
    augmentation: str


class MetricFacts(Frozen):
    """What a metric declares of its numbers; `low` and `high` are None where there is no bound,
    `better` where no direction is."""

    group: str
    unit: str
    low: float | None
    high: float | None
    better: Literal["higher", "lower"] | None
    meaning: str


class TournamentStarted(Event):
    """The first event of a run: everything that decides its results. `engine_table` is the one by
    which `--engine auto` chooses; None in runs from before tables were recorded. `metrics` are
    those that the program knew, by name, in the order of tables."""

    config: dict[str, Any]
    dataset: DatasetFacts
    batch_size: int
    engine: str
    engine_table: EngineTable | None = None
    without: tuple[str, ...]
    plugins: tuple[PluginFile, ...] = ()
    metrics: dict[str, MetricFacts] = Field(default_factory=dict)
    package_version: Annotated[str, Volatile]
    execution: Annotated[dict[str, Any], Volatile]
    environment: Annotated[dict[str, Any], Volatile]


class TournamentResumed(Event):
    """A process took the run up again; `warnings` says what differs from before."""

    PASSING = True

    start_number: int
    finished_trials: int
    warnings: tuple[str, ...] = ()


class GenerationStarted(Event):
    """`carried` are survivors of the generation before, which keep trial, weights and fitness."""

    population_size: int
    carried: tuple[int, ...]
    new_trials: int


class TrialStarted(Event):
    """A worker began to train a genome."""

    genome: Genome
    seed: int
    parents: tuple[int, ...]
    operators: tuple[str, ...]
    architecture: tuple[int, ...]
    strategy: str
    active_parameters: int
    batch_size: int
    epochs: int
    engine: str
    worker: Annotated[str, Volatile]
    device: Annotated[str, Volatile]


class EpochFinished(Event):
    """`epoch` counts from 0; losses in nats a sample, the rate is the last step's pace x base.
    `layer_rates` are the mean rates of each sparse layer's connections at that step, to 6 digits;
    empty in runs from before they were kept."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    layer_rates: tuple[float, ...] = ()
    connections: int
    train_seconds: Seconds
    evaluate_seconds: Seconds


class NotMeasured(Frozen):
    """Stands where a metric has no number, with the reason."""

    undetermined: str


Figure = float | NotMeasured


class Measured(Frozen):
    """One metric: the network's number, one for each of its layers, and further plain data."""

    total: Figure
    layers: tuple[Figure, ...] = ()
    detail: dict[str, Any] = Field(default_factory=dict)


class MetricsMeasured(Event):
    """What the metrics of a level said of a network after an epoch, by name. `epoch` counts from
    0; `seconds` is what preparing and measuring took."""

    epoch: int
    level: MetricsLevel
    values: dict[str, Measured]
    seconds: Seconds


class GrowthAttempted(Event):
    """A network tried to grow; the record tells what came of it. `seconds` is what it took."""

    record: GrowthRecord
    seconds: Seconds


class MicroBatchReduced(Event):
    """From here on the trial's network takes `after` samples at a time, no longer `before`, and
    sums gradients up to the configured batch: the same training up to rounding. `wanted_bytes` is
    what the allocation that failed asked for, None where that is unknown; `planned` tells that
    the estimate asked for it before anything failed. `epoch` counts from 0."""

    PASSING = True

    epoch: int
    before: int
    after: int
    planned: bool
    wanted_bytes: int | None = None


class MemoryCleaned(Event):
    """A worker gave unused memory back after an epoch of its cohort: resident bytes of the process
    and reserved ones of its CUDA device (0 on a processor), before and after."""

    PASSING = True

    epoch: int
    worker: str
    resident_before: int
    resident_after: int
    device_before: int
    device_after: int


class TrialPaused(Event):
    """A trial reached a rung, and waits for the others of its generation. `result` is what it has
    come to so far; the state to go on from lies in a file with the hash `state_sha256`."""

    result: TrialResult
    state_sha256: Annotated[str, Volatile]
    worker: Annotated[str, Volatile]


class TrialStopped(Event):
    """Status `stopped_early`: of `entrants` trials that reached a rung this one was the `rank`-th
    by fitness, counted from 1, and only the better half goes on. The result is valid for its
    epochs; it cannot survive."""

    result: TrialResult
    rank: int
    entrants: int


class TrialFinished(Event):
    """A training that ended with a valid result."""

    result: TrialResult
    worker: Annotated[str, Volatile]


class TrialFailed(Event):
    """A trial that has no result: it enters no average and cannot survive."""

    genome: Genome
    seed: int
    parents: tuple[int, ...]
    failure: Failure
    reason: str
    epoch: int | None = None
    details: Annotated[str, Volatile] = ""
    cost: int = 0


class AttemptLost(Event):
    """A worker died under a trial; it is run again, and charged only if it was alone."""

    PASSING = True

    failure: Failure
    reason: str
    charged: bool
    details: str = ""


class OperatorCount(Frozen):
    """What came of the children that an operator took part in.

    Every proposal is refused, evaluated or failed. `refused` left the space or repeated a genome;
    `duplicates` counts the latter. `improved`: fitter than the fitter parent.
    """

    name: str
    proposed: int = 0
    refused: int = 0
    duplicates: int = 0
    evaluated: int = 0
    failed: int = 0
    improved: int = 0
    survived: int = 0


class Performer(Frozen):
    """One member of a ranking, with everything needed to judge and rebuild it. `lineage_cost` is
    its own cost and that of all its ancestors, each once; None in runs from before it was kept."""

    id: int
    genome_id: str
    genome: Genome
    generation: int
    architecture: tuple[int, ...]
    fitness: float
    validation_accuracy: float
    validation_loss: float
    active_parameters: int
    dense_parameters: int
    connections: int
    strategy: str
    activation: str
    normalisation: str = "none"
    base_learning_rate: float
    batch_size: int
    parents: tuple[int, ...]
    operators: tuple[str, ...]
    lineage: tuple[int, ...]
    growth_rule: str = "none"
    growth_events: tuple[GrowthRecord, ...] = ()
    cost: int
    lineage_cost: int | None = None
    network_sha256: str


class GenerationFinished(Event):
    """Selection is done. `best_fitness` is over all members that trained to the end, `avg_fitness`
    over all with a result; `lost` says that no new trial came to its end and the parents simply
    go on. Every new trial is `finished`, `stopped` at a rung, or `failed`. `front` are the trials
    of the run so far that no other beats in both error and size, `hypervolume` is what they
    dominate; null in runs that did not measure it. `member_fitness` pairs trial and fitness of
    every member with a result, best first, those that a rung stopped last; null in runs from
    before it was kept."""

    population_size: int
    survivors: tuple[int, ...]
    best_fitness: float | None
    avg_fitness: float | None
    finished: int
    stopped: int = 0
    failed: int
    lost: bool
    cost: int
    operators: tuple[OperatorCount, ...] = ()
    top_performers: tuple[Performer, ...]
    member_fitness: Annotated[tuple[tuple[int, float], ...] | None, OnlyIfGiven] = None
    hypervolume: float | None = None
    front: tuple[int, ...] = ()
    duration: Seconds
    busy_seconds: Seconds
    capacity: Annotated[int, Volatile]


class RetrainingStarted(Event):
    """The search is over: its champion's genome is trained again from scratch, as these trials."""

    champion: int
    trials: tuple[int, ...]
    seeds: tuple[int, ...]


class Retrained(Frozen):
    """One training of the champion's genome on a fresh seed; accuracies in [0, 1]."""

    trial: int
    seed: int
    validation_accuracy: float
    test_accuracy: float


class ChampionEvaluated(Event):
    """The one reading of the test part, after the search is over, for the champion and for those
    of its retrainings that have a result."""

    test_accuracy: float
    test_samples: int
    test_hash: str
    validation_accuracy: float
    retraining: tuple[Retrained, ...] = ()


class Criterion(Frozen):
    """One of the six success criteria with the figure that decides it."""

    name: str
    state: Literal["met", "not met", "not measured"]
    figure: str


class TournamentFinished(Event):
    """The last event. `criteria` holds measured times, so it may differ between equal runs."""

    champion: int
    trials: int
    failed: int
    cost: int
    criteria: Annotated[tuple[Criterion, ...], Volatile]
    seconds: Seconds
    experiments_per_second: Annotated[float, Volatile]


class UnknownEvent(Event):
    """A stored fact of a kind or version not known here: kept, and shown as such."""

    stored_kind: str
    stored_version: int
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.stored_kind

    @property
    def version(self) -> int:
        return self.stored_version


KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        TournamentStarted,
        TournamentResumed,
        GenerationStarted,
        TrialStarted,
        EpochFinished,
        MetricsMeasured,
        GrowthAttempted,
        MicroBatchReduced,
        MemoryCleaned,
        TrialPaused,
        TrialStopped,
        TrialFinished,
        TrialFailed,
        AttemptLost,
        GenerationFinished,
        RetrainingStarted,
        ChampionEvaluated,
        TournamentFinished,
    )
}
PLACE = ("generation", "trial", "attempt", "step")


def event_body(event: Event) -> str:
    """The stored JSON: the event's fields without its place; an unknown one's as it came."""
    if isinstance(event, UnknownEvent):
        return json.dumps(event.body)
    return event.model_dump_json(exclude=set(PLACE))


def event_line(event: Event) -> str:
    """One JSON line that stands alone: kind, version, place, fields."""
    head = {"kind": event.kind, "version": event.version}
    place = {name: getattr(event, name) for name in PLACE}
    body = json.loads(event_body(event))
    return json.dumps({**head, **place, **body}, separators=(",", ":"))


def read_line(line: str | bytes) -> Event:
    """The event of an `event_line`."""
    fields = json.loads(line)
    kind, version = fields.pop("kind"), fields.pop("version")
    place = {name: fields.pop(name) for name in PLACE}
    return read_event(kind, version, place, json.dumps(fields))


def read_event(kind: str, version: int, place: dict[str, Any], body: str) -> Event:
    """The event of a stored row; one that this program does not know comes back as unknown."""
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError(f"the body of an event is an object, not {body[:40]}")
    if kind not in KINDS or version != KINDS[kind].VERSION:
        return UnknownEvent(stored_kind=kind, stored_version=version, body=fields, **place)
    return KINDS[kind].model_validate({**fields, **place})


def _is_left_out(metadata: Iterable[Any], value: Any) -> bool:
    return any(item is Volatile or (item is OnlyIfGiven and value is None) for item in metadata)


def _stable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {
            name: _stable(getattr(value, name))
            for name, field in type(value).model_fields.items()
            if not _is_left_out(field.metadata, getattr(value, name))
        }
    if isinstance(value, tuple | list):
        return [_stable(item) for item in value]
    if isinstance(value, dict):
        return {name: _stable(item) for name, item in value.items()}
    return value


def canonical(events: Iterable[Event]) -> list[str]:
    """The canonical dump: equal lists are equal runs.

    Volatile fields and lost attempts are left out; the rest is sorted by generation, trial and
    step. Of several attempts at the same epochs of a trial only the last counts: it is the one
    with the outcome.
    """
    kept = [event for event in events if not event.PASSING]
    begun = _begun(kept)
    rows = []
    for event in kept:
        if _done_again(event, begun):
            continue
        body = _stable(event)
        body.pop("attempt", None)
        rows.append((_order(event), json.dumps([event.kind, body], sort_keys=True)))
    return list(dict.fromkeys(text for _, text in sorted(rows)))


def _begun(events: Iterable[Event]) -> dict[int, dict[int, int]]:
    """Trial -> attempt -> the step at which it began: 0, or that of a rung."""
    begun: dict[int, dict[int, int]] = {}
    for event in events:
        if event.trial is not None and event.attempt is not None:
            attempts = begun.setdefault(event.trial, {})
            start = (event.step or 0) if isinstance(event, TrialStarted) else 0
            attempts[event.attempt] = max(start, attempts.get(event.attempt, 0))
    return begun


def _done_again(event: Event, begun: Mapping[int, Mapping[int, int]]) -> bool:
    """Whether a later attempt went through the step of this event once more."""
    if event.trial is None or event.attempt is None:
        return False
    return any(
        attempt > event.attempt and (start == 0 or event.step is None or event.step > start)
        for attempt, start in begun[event.trial].items()
    )


def _order(event: Event) -> tuple[float, int, float, float, str]:
    """Run-level events first and last, a generation's own events around those of its trials."""
    first_or_last = {"TournamentStarted": -1.0, "ChampionEvaluated": float("inf")}
    ends = {**first_or_last, "TournamentFinished": float("inf")}
    generation = ends.get(event.kind, float(event.generation or 0))
    if event.trial is None or event.kind == "ChampionEvaluated":
        inside = 0 if event.kind in ("GenerationStarted", "RetrainingStarted") else 2
        return (generation, inside, 0.0, 0.0, event.kind)
    return (generation, 1, float(event.trial), float(event.step or 0), event.kind)
