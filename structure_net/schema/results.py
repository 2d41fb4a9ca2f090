"""The results file: the seed's structure, completed. Rewritten after every generation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from structure_net.schema.events import (
    Criterion,
    DatasetFacts,
    Measured,
    OperatorCount,
    Performer,
    Retrained,
)
from structure_net.schema.trial import Failure, Frozen, MetricsLevel, PluginFile

RESULTS_VERSION = 1


class GenerationSummary(Frozen):
    """One generation. `duration` in seconds; fitness is null when no member had a result.

    `front_ids` are the trials of the run so far that no other beats in both validation error and
    active parameters; `hypervolume` is the share of the unit square of error and
    log10(parameters) / 8 that they dominate, null in runs that did not measure it.
    `fitness_quartiles` are those of every member with a result: a quarter, half and three
    quarters of them lie below; null without any, and in runs from before fitness was kept.
    """

    generation: int
    population_size: int
    survivors: int
    best_fitness: float | None
    avg_fitness: float | None
    fitness_quartiles: tuple[float, float, float] | None = None
    duration: float
    finished: int
    stopped: int
    failed: int
    lost: bool
    cost: int
    hypervolume: float | None = None
    survivor_ids: tuple[int, ...]
    front_ids: tuple[int, ...] = ()
    top_performers: tuple[Performer, ...]


class FrontEntry(Frozen):
    """A trial that no other of the run beats in both validation error and active parameters."""

    id: int
    genome_id: str
    generation: int
    architecture: tuple[int, ...]
    validation_accuracy: float
    active_parameters: int
    connections: int
    network_file: str


class FinalBest(Performer):
    """The champion. Test figures are read once, after the search; null until then. `metrics` are
    those measured last, by name; empty where the run measured none."""

    test_accuracy: float | None = None
    test_samples: int | None = None
    test_hash: str | None = None
    retraining: tuple[Retrained, ...] = ()
    network_file: str | None = None
    metrics: dict[str, Measured] = Field(default_factory=dict)


class SystemStats(Frozen):
    """`total_experiments` counts trainings that finished. Utilisation is the measured busy share
    of each device in [0, 1]; `memory_usage` is the largest resident share of memory in percent.
    Peaks are in bytes: resident memory of each worker and of all of them added up, and what
    tensors took on each CUDA device, its processes added up. `metrics_shares` is the share of the
    workers' wall time that light and full measurements took, null before the first generation."""

    total_experiments: int
    experiments_per_second: float
    gpu_utilization: dict[str, float]
    worker_utilization: float | None
    memory_usage: float | None
    peak_bytes: int
    worker_peak_bytes: dict[str, int]
    device_peak_bytes: dict[str, int]
    metrics_shares: dict[MetricsLevel, float] | None = None


class FailureEntry(Frozen):
    """A trial without a result, and why."""

    trial: int
    generation: int
    failure: Failure
    reason: str
    epoch: int | None


class Ledger(Frozen):
    """Cost in floating-point operations: 6 per sample and connection trained, 2 evaluated. The
    total is that of all generations and of retraining the champion."""

    unit: Literal["FLOP"] = "FLOP"
    total: int
    by_generation: tuple[int, ...]
    retraining: int


class Results(Frozen):
    """The whole file."""

    schema_version: int = RESULTS_VERSION
    state: Literal["running", "finished"]
    config: dict[str, Any]
    origins: dict[str, str]
    without: tuple[str, ...]
    plugins: tuple[PluginFile, ...] = ()
    dataset: DatasetFacts
    batch_size: int
    engine: str
    generations: tuple[GenerationSummary, ...]
    final_best: FinalBest | None
    front: tuple[FrontEntry, ...] = ()
    system_stats: SystemStats
    success_criteria: tuple[Criterion, ...]
    failures: tuple[FailureEntry, ...]
    operators: tuple[OperatorCount, ...]
    ledger: Ledger
    environment: dict[str, Any] = Field(default_factory=dict)


def results_schema() -> dict[str, Any]:
    """The published JSON Schema of the results file; `docs/results.schema.json` holds it:

    python -c 'import json, structure_net.schema as s; print(json.dumps(s.results_schema()))' |
        python -m json.tool > docs/results.schema.json
    """
    return Results.model_json_schema(mode="serialization")
