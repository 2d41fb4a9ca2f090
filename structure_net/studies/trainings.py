"""Single networks trained side by side: what the studies of growth and of learning rates share.

Every arm trains the same genome, but for what the arm is about, on the same split, weights and
batches. Nothing is searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from structure_net.datasets import Dataset, load
from structure_net.errors import UsageError
from structure_net.evolution import World
from structure_net.genome import (
    Genome,
    allocate,
    connection_count,
    genome_of,
    overall_density,
    possible_connections,
)
from structure_net.schema import (
    Config,
    Given,
    Resolved,
    Trial,
    TrialFailed,
    TrialResult,
    resolve,
)
from structure_net.seeding import derive_seed

# Fields about a search: there is none here.
OF_A_SEARCH = ("search", "generations", "tournament_size", "max_cost", "rungs", "selection")


@dataclass(frozen=True)
class Ground:
    """Where a study's networks are trained: its options over its `own` values, its directory, and
    the genomes that its data allow."""

    study: str
    given: Given
    directory: Path
    own: Mapping[str, Any] = field(default_factory=dict)

    def run(self, seed: int, folder: str, **values: Any) -> Resolved:
        """The configuration of one run; UsageError for options about a search."""
        for name in OF_A_SEARCH:
            if name in self.given.values:
                raise UsageError(
                    f"{name} (from {self.given.origins.get(name, 'an argument')}) is about a "
                    f"search; study {self.study} trains single networks. Leave it out."
                )
        fixed = {"seed": seed, "out": self.directory / folder, "retrain": 0, "inherit": "none"}
        origins = dict.fromkeys((*self.own, *values, *fixed), f"study {self.study}")
        merged = {**self.own, **self.given.values, **values, **fixed}
        return resolve(Given(merged, {**origins, **self.given.origins}))

    @cached_property
    def config(self) -> Config:
        """The configuration that all runs share."""
        return self.run(0, "").config

    @cached_property
    def data(self) -> Dataset:
        config = self.config
        return load(config.dataset, config.data_dir, limit_train=config.limit_train)

    @cached_property
    def world(self) -> World:
        return World.of(self.config, self.data.inputs, len(self.data.classes))

    def genome(
        self, density: float, rate: float, strategy: str, growth_rule: str = "none"
    ) -> Genome:
        """The first named architecture of the space, without residual blocks, at this density or
        the nearest that leaves no unit cut off."""
        widths = self.world.fitted(self.world.space.initial_architectures[0])
        return self.world.genome(widths, density, rate, strategy, growth_rule)

    def sized(self, genome: Genome, connections: int, growth_rule: str) -> Genome:
        """The same widths with so many connections, or as many as they can have."""
        density = min(1.0, connections / possible_connections(genome))
        return genome_of(
            genome.inputs,
            [gene.width for gene in genome.hidden],
            genome.classes,
            allocate(genome.shapes, density, self.world.space.allocation),
            base_learning_rate=genome.base_learning_rate,
            activation=genome.activation,
            normalisation=genome.normalisation,
            strategy=genome.strategy,
            growth_rule=growth_rule,
        )

    def trial(self, number: int, genome: Genome, seed: int) -> Trial:
        """A training of all epochs; weights and placement are those of the study's seed."""
        return Trial(
            number=number,
            generation=0,
            genome=genome,
            seed=derive_seed(seed, "studies", self.study),
            epochs=self.config.epochs_per_generation,
        )

    def distinct(self, densities: Iterable[float]) -> tuple[float, ...]:
        """The densities from high to low, each network once: below its fewest connections an
        architecture has but one."""
        found: dict[int, float] = {}
        for density in sorted(set(densities), reverse=True):
            genome = self.genome(density, 1e-3, "COSINE")
            found.setdefault(connection_count(genome), density)
        return tuple(found.values())

    def told(self, densities: Sequence[float]) -> list[dict[str, Any]]:
        """Each density as asked for and as it is, with its connections."""
        genomes = [self.genome(density, 1e-3, "COSINE") for density in densities]
        return [
            {
                "density": density,
                "realised": overall_density(genome),
                "connections": connection_count(genome),
                "architecture": list(genome.architecture),
            }
            for density, genome in zip(densities, genomes, strict=True)
        ]


@dataclass(frozen=True)
class Training:
    """What came of one training. Accuracy and loss are those on the validation part after the last
    epoch, None with the reason in `failure`; `cost` is its ledger in FLOP, `connections` those at
    the end, `growth_events` the attempts that added something."""

    arm: str
    density: float
    seed: int
    rate: float
    accuracy: float | None
    loss: float | None
    cost: int
    connections: int
    growth_events: int = 0
    failure: str = ""


def training_of(
    arm: str, density: float, seed: int, outcome: TrialResult | TrialFailed
) -> Training:
    """An outcome as the study keeps it."""
    if isinstance(outcome, TrialFailed):
        genome = outcome.genome
        rate, size = genome.base_learning_rate, connection_count(genome)
        return Training(
            arm, density, seed, rate, None, None, outcome.cost, size, failure=outcome.reason
        )
    return Training(
        arm=arm,
        density=density,
        seed=seed,
        rate=outcome.trial.genome.base_learning_rate,
        accuracy=outcome.validation_accuracy,
        loss=outcome.validation_loss,
        cost=outcome.cost,
        connections=outcome.connections,
        growth_events=len(outcome.growth or ()),
    )


def numbers_of(text: str, what: str, high: float) -> tuple[float, ...]:
    """`0.2,0.05` as numbers above 0 and up to `high`, each once, in the order given; UsageError for
    anything else."""
    found: list[float] = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not 0 < value <= high:
            raise UsageError(
                f"{what} cannot be {text[:80]!r}: give numbers above 0, at most {high:g}, "
                f"separated by commas."
            )
        if value not in found:
            found.append(value)
    return tuple(found)
