"""Noise first: one fixed genome over seeds, so that every gain has a measure beside it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

from structure_net.datasets import load
from structure_net.environment import facts
from structure_net.errors import RunFailedError
from structure_net.evolution import World, founders
from structure_net.genome import Genome
from structure_net.schema import (
    Config,
    Event,
    Given,
    Resolved,
    Trial,
    TrialResult,
    deciding_values,
    resolve,
)
from structure_net.seeding import derive, derive_seed
from structure_net.store import existing_directory, open_history
from structure_net.studies.runs import champion_of, fitness_of, trained
from structure_net.studies.statistics import summary
from structure_net.studies.table import aligned

MEASURES = ("fitness", "validation_accuracy", "validation_loss")


@dataclass(frozen=True)
class NoisePlan:
    """One genome, trained once on each seed, which draws split, weights and batches."""

    given: Given
    genome: Genome
    seeds: tuple[int, ...]
    directory: Path

    def trained(self, seed: int) -> Generator[Event, None, TrialResult]:
        """Events of one training; UsageError where the directory holds another genome's."""
        resolved = self.run(seed)
        trial = Trial(
            number=0,
            generation=0,
            genome=self.genome,
            seed=derive_seed(seed, "noise"),
            epochs=resolved.config.epochs_per_generation,
        )
        history = yield from trained(resolved, [trial])
        if 0 not in history.results:
            reason = history.failures[0].reason
            raise RunFailedError(f"The genome could not be trained on seed {seed}: {reason}.")
        return history.results[0]

    def run(self, seed: int) -> Resolved:
        """The configuration of one training."""
        values = {"seed": seed, "retrain": 0, "out": self.directory / f"seed-{seed}"}
        origins = {**self.given.origins, **dict.fromkeys(values, "study noise")}
        return resolve(Given({**self.given.values, **values}, origins))


def genome_for(config: Config, run: Path | None) -> Genome:
    """The champion of a run, else a founder of the configured space, always the same one."""
    if run is not None:
        directory = existing_directory(run)
        return champion_of(open_history(directory), directory).genome
    dataset = load(config.dataset, config.data_dir, limit_train=config.limit_train)
    world = World.of(config, dataset.inputs, len(dataset.classes))
    return founders(world, 1, derive(0, "noise", "genome"))[0]


def noise_results(plan: NoisePlan, results: Sequence[TrialResult]) -> dict[str, Any]:
    """Each measure over the seeds, as JSON values. `deviation_of_difference` is that of two
    independent trainings: a gain from one seed below it is nothing."""
    fitness = fitness_of(plan.run(plan.seeds[0]))
    values = {
        "fitness": [fitness(one) for one in results],
        "validation_accuracy": [one.validation_accuracy for one in results],
        "validation_loss": [one.validation_loss for one in results],
    }
    return {
        "schema_version": 1,
        "study": "noise",
        "seeds": list(plan.seeds),
        "genome": plan.genome.model_dump(mode="json"),
        "genome_id": plan.genome.id,
        "architecture": list(plan.genome.architecture),
        "measures": {name: _spread(name, values[name]) for name in MEASURES},
        "config": deciding_values(plan.run(plan.seeds[0]).config),
        "environment": facts(),
    }


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    mean, low, high = summary(values, f"noise/{name}")
    deviation = stdev(values) if len(values) > 1 else None
    return {
        "values": list(values),
        "mean": mean,
        "low": low,
        "high": high,
        "smallest": min(values),
        "largest": max(values),
        "deviation": deviation,
        "deviation_of_difference": None if deviation is None else math.sqrt(2) * deviation,
    }


def noise_lines(results: Mapping[str, Any]) -> list[str]:
    """The spread as a table of text."""
    head = ("measure", "mean", "95 % interval", "smallest", "largest", "deviation", "of difference")
    rows = [head]
    for name, one in results["measures"].items():
        spreads = (one["deviation"], one["deviation_of_difference"])
        rows.append(
            (
                name.replace("_", " "),
                f"{one['mean']:.4f}",
                f"{one['low']:.4f} {one['high']:.4f}",
                f"{one['smallest']:.4f}",
                f"{one['largest']:.4f}",
                *("-" if spread is None else f"{spread:.4f}" for spread in spreads),
            )
        )
    count = len(results["seeds"])
    return [
        f"genome {results['genome_id']} {results['architecture']}, {count} seeds",
        *aligned(rows),
    ]
