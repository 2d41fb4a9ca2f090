"""Searches whose outcome is a known function of the genome: no training, the rest is real."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from structure_net import executors, training
from structure_net.genome import (
    Genome,
    active_parameters,
    connection_count,
    dense_parameters,
    forward_flop,
    overall_density,
)
from structure_net.schema import (
    ChampionEvaluated,
    Cohort,
    Event,
    Trial,
    TrialFinished,
    TrialResult,
    TrialStarted,
)
from structure_net.seeding import derive
from structure_net.training import Classroom

Score = Callable[[Trial], float]
OPTIONS = [
    *("--dataset", "digits", "--limit-train", "100", "--executor", "serial", "--device", "cpu"),
    *("--fitness", "accuracy", "--engine", "csr"),
    *("--inherit", "none"),  # planted trainings leave no networks to go on from
]
NOISE = 0.004  # of an accuracy, from the trial's seed


def reachable_by_steps(trial: Trial) -> float:
    """Higher towards rates and densities that founders cannot have and mutations can."""
    genome = trial.genome
    rate = abs(math.log10(genome.base_learning_rate / 2e-4)) / 2
    density = abs(math.log10(overall_density(genome) / 0.2))
    noise = NOISE * float(derive(trial.seed, "noise").standard_normal())
    return min(1.0, max(0.0, 0.95 - 0.3 * rate - 0.2 * density + noise))


def by_chance(trial: Trial) -> float:
    """The genome does not matter."""
    return float(derive(trial.seed, "chance").random())


def plant(monkeypatch: pytest.MonkeyPatch, score: Score) -> list[Trial]:
    """Let trainings end with `score`, at their true cost; returns the trials that were trained."""
    trained: list[Trial] = []

    def train(cohort: Cohort, room: Classroom) -> Iterator[Event]:
        for trial, attempt in zip(cohort.trials, cohort.attempts, strict=True):
            trained.append(trial)
            yield _started(trial, attempt, cohort, room)
            yield _finished(trial, attempt, cohort, room, score(trial))

    def evaluate(result: TrialResult, *_: object) -> ChampionEvaluated:
        return ChampionEvaluated(
            generation=result.trial.generation,
            trial=result.number,
            test_accuracy=0.5,
            test_samples=10,
            test_hash="ab" * 32,
            validation_accuracy=result.validation_accuracy,
        )

    monkeypatch.setattr(executors.serial, "train", train)
    monkeypatch.setattr(training, "evaluate_champion", evaluate)
    return trained


def epoch_flop(genome: Genome, room: Classroom) -> int:
    """Counted sample by sample over the real batches."""
    validation = sum(len(labels) for _, labels in room.batches.validation())
    samples = room.batches.steps * room.plan.batch_size
    return (3 * samples + validation) * forward_flop(genome)


def _started(trial: Trial, attempt: int, cohort: Cohort, room: Classroom) -> TrialStarted:
    return TrialStarted(
        generation=trial.generation,
        trial=trial.number,
        attempt=attempt,
        step=0,
        genome=trial.genome,
        seed=trial.seed,
        parents=trial.parents,
        operators=trial.operators,
        architecture=trial.genome.architecture,
        strategy=trial.genome.strategy,
        active_parameters=active_parameters(trial.genome),
        batch_size=room.plan.batch_size,
        epochs=trial.epochs,
        engine=cohort.engine,
        worker=room.worker,
        device=room.device,
    )


def _finished(
    trial: Trial, attempt: int, cohort: Cohort, room: Classroom, accuracy: float
) -> TrialFinished:
    (Path(room.plan.networks) / f"{trial.number}.safetensors").write_bytes(b"planted")
    result = TrialResult(
        trial=trial,
        validation_accuracy=accuracy,
        validation_loss=1.0 - accuracy,
        train_loss=1.0,
        active_parameters=active_parameters(trial.genome),
        dense_parameters=dense_parameters(trial.genome),
        connections=connection_count(trial.genome),
        batch_size=room.plan.batch_size,
        engine=cohort.engine,
        cost=trial.epochs * epoch_flop(trial.genome, room),
        network_sha256="ab" * 32,
    )
    return TrialFinished(
        generation=trial.generation,
        trial=trial.number,
        attempt=attempt,
        step=trial.epochs + 1,
        result=result,
        worker=room.worker,
    )
