"""Cohorts on the embedded digits: 3 networks, 3 epochs of 44 steps."""

from __future__ import annotations

from pathlib import Path

from structure_net.datasets import load
from structure_net.genome import Genome
from structure_net.schema import Cohort, Event, TrainingPlan, Trial
from structure_net.training import Classroom, train
from tests.networks.reference import genome

EPOCHS, BATCH, RUN_SEED, VALIDATION = 3, 29, 11, 0.1

GENOMES: tuple[Genome, ...] = (
    genome(64, [32], 10, 0.3),
    genome(64, [40, 24], 10, 0.2, "gelu", strategy="COSINE"),
    genome(64, [16, 16, 16], 10, 0.5, "tanh", base_learning_rate=0.006),
)


def plan(folder: Path) -> TrainingPlan:
    return TrainingPlan(
        run_seed=RUN_SEED,
        dataset=load("digits").directory,
        limit_train=None,
        validation_fraction=VALIDATION,
        augmentation="flip",
        batch_size=BATCH,
        weight_decay=1e-4,
        networks=str(folder),
    )


def classroom(folder: Path) -> Classroom:
    return Classroom.open(plan(folder), "cpu", "test")


def trials(genomes: tuple[Genome, ...] = GENOMES) -> tuple[Trial, ...]:
    return tuple(
        Trial(number=number, generation=2, genome=own, seed=100 + number, epochs=EPOCHS)
        for number, own in enumerate(genomes)
    )


def trained(chosen: tuple[Trial, ...], folder: Path, engine: str = "csr") -> list[Event]:
    cohort = Cohort(engine=engine, trials=chosen, attempts=(0,) * len(chosen))
    return list(train(cohort, classroom(folder)))
