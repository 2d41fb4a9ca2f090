"""Where members come from when they have no parents: named lists first, then random ones.

A draw that does not fit the space is never an error: it is drawn again, made smaller, and at last
replaced by the smallest network of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from structure_net.errors import InvalidGenomeError, UsageError
from structure_net.genome import (
    Genome,
    InsertResidualBlock,
    LayerPlan,
    active_parameters,
    allocate,
    apply_edit,
    genome_of,
    junctions_of,
    plans_of,
    shapes_of,
)
from structure_net.schema import Config, Space

TRIES = 20


@dataclass(frozen=True)
class World:
    """What bounds every genome of a run: the space, the ends of the network, the depth, and whether
    there are residual blocks."""

    space: Space
    inputs: int
    classes: int
    max_layers: int
    strategies: tuple[str, ...]
    residual_blocks: bool = False
    growth_rules: tuple[str, ...] = ("none",)

    @classmethod
    def of(cls, config: Config, inputs: int, classes: int) -> World:
        """The world of a configuration and a dataset; UsageError if nothing fits into it."""
        world = cls(
            config.space,
            inputs,
            classes,
            config.max_layers,
            config.learning_rate_strategies,
            config.enable_residual_blocks,
            config.growth_rules if config.enable_growth else ("none",),
        )
        try:
            world.check(smallest_genome(world))
        except InvalidGenomeError as problem:
            limit = config.space.max_parameters
            raise UsageError(
                f"No network fits the search space for {inputs} inputs and {classes} classes"
                f"{'' if limit is None else f' (space.max_parameters is {limit})'}: the smallest "
                f"has {active_parameters(smallest_genome(world))} parameters. {problem} Widen the "
                f"bounds in [space]."
            ) from problem
        return world

    def check(self, genome: Genome) -> None:
        """InvalidGenomeError where a genome leaves the world."""
        self.space.check(genome, self.max_layers)
        if genome.strategy not in self.strategies:
            raise InvalidGenomeError(f"Strategy {genome.strategy} is not enabled.")
        if genome.growth_rule not in self.growth_rules:
            raise InvalidGenomeError(f"Growth rule {genome.growth_rule} is not enabled.")
        if any(genome.blocks) and not self.residual_blocks:
            raise InvalidGenomeError("Residual blocks are not enabled.")

    def junctions(self, genome: Genome) -> list[int]:
        """Hidden layers that may have another residual block behind them."""
        if not self.residual_blocks:
            return []
        return list(junctions_of(genome, self.space.narrowest_junction(self.inputs)))

    def fitted(self, widths: Sequence[int]) -> list[int]:
        """A named list scaled to the inputs, clipped to the space, no deeper than allowed."""
        low, high = self.space.width_range(self.inputs)
        scaled = [self.space.scaled(width, self.inputs) for width in widths]
        return [min(max(width, low), high) for width in scaled][: self.max_layers - 1]

    def genome(
        self,
        widths: Sequence[int],
        density: float,
        rate: float,
        strategy: str,
        growth_rule: str | None = None,
    ) -> Genome:
        """A founder of these widths, its density lowered as far as the parameter limit asks; of the
        first growth rule where none is named."""
        plans = plans_of(self.inputs, widths, self.classes)
        shapes = shapes_of(self.inputs, widths, self.classes)
        counts = allocate(shapes, self.highest_density(plans, density), self.space.allocation)
        return genome_of(
            self.inputs,
            widths,
            self.classes,
            counts,
            base_learning_rate=rate,
            activation=self.space.activations[0],
            normalisation=self.space.normalisations[0],
            strategy=strategy,
            growth_rule=self.growth_rules[0] if growth_rule is None else growth_rule,
        )

    def highest_density(self, plans: Sequence[LayerPlan], wanted: float) -> float:
        """`wanted`, or what the parameter limit leaves for these sparse layers if that is less."""
        if self.space.max_parameters is None:
            return wanted
        left = max(1, self.space.max_parameters - sum(plan.biases for plan in plans))
        return min(wanted, left / sum(plan.possible for plan in plans))


def smallest_genome(world: World, rate: float | None = None, strategy: str | None = None) -> Genome:
    """One hidden layer, as narrow and as sparse as the space allows."""
    space = world.space
    return world.genome(
        [space.width_range(world.inputs)[0]],
        space.min_density,
        space.initial_min_learning_rate if rate is None else rate,
        world.strategies[0] if strategy is None else strategy,
    )


def founders(world: World, count: int, generator: np.random.Generator) -> list[Genome]:
    """The first generation: distinct where that is possible, strategies dealt evenly."""
    strategies = _dealt(world.strategies, count, generator)
    rules = list(world.growth_rules) * count
    if len(world.growth_rules) > 1:
        rules = _dealt(world.growth_rules, count, generator)
    named = [world.fitted(widths) for widths in world.space.initial_architectures]
    genomes: list[Genome] = []
    seen: set[str] = set()
    for place in range(count):
        widths = named[place] if place < len(named) else None
        genome = founder(world, strategies[place], generator, seen, widths, rules[place])
        seen.add(genome.id)
        genomes.append(genome)
    return genomes


def largest_founders(world: World) -> list[Genome]:
    """Founders as large as they can be drawn: of each named list, and of random widths."""
    space = world.space
    most = min(space.initial_max_hidden_layers, world.max_layers - 1)
    widest = [space.scaled(space.initial_max_width, world.inputs)] * most
    drawn = [
        world.genome(
            world.fitted(widths),
            space.initial_max_density,
            space.initial_min_learning_rate,
            world.strategies[0],
        )
        for widths in (*space.initial_architectures, widest)
    ]
    return [_with_block(world, genome) for genome in drawn]


def founder(
    world: World,
    strategy: str,
    generator: np.random.Generator,
    seen: set[str],
    widths: Sequence[int] | None = None,
    growth_rule: str | None = None,
) -> Genome:
    """A genome without parents, of the given widths or random ones; not in `seen` if it can be."""
    space = world.space
    for attempt in range(TRIES):
        drawn = widths if widths is not None and attempt == 0 else random_widths(world, generator)
        density = float(generator.uniform(space.initial_min_density, space.initial_max_density))
        rates = np.log([space.initial_min_learning_rate, space.initial_max_learning_rate])
        # Log-uniform: the best rate varies about tenfold with fan-in and length of training.
        rate = _inside(float(np.exp(generator.uniform(*rates))), space)
        genome = _made_small_enough(world, list(drawn), density, rate, strategy, growth_rule)
        if genome is not None and world.junctions(genome) and generator.random() < 0.5:
            genome = _with_block(world, genome)
        if genome is not None and genome.id not in seen:
            return genome
    return smallest_genome(world, rate, strategy)


def _with_block(world: World, genome: Genome) -> Genome:
    """With a residual block of two layers in its middle, where one may stand and fits."""
    middle = (len(genome.hidden) - 1) // 2
    if middle not in world.junctions(genome):
        return genome
    grown = apply_edit(genome, InsertResidualBlock(junction=middle))
    try:
        world.check(grown)
    except InvalidGenomeError:
        return genome
    return grown


def random_widths(world: World, generator: np.random.Generator) -> list[int]:
    """Non-increasing widths, their number and sizes uniform in the space's initial ranges."""
    space = world.space
    most = min(space.initial_max_hidden_layers, world.max_layers - 1)
    fewest = min(space.initial_min_hidden_layers, most)
    low = space.scaled(space.initial_min_width, world.inputs)
    previous = max(low, space.scaled(space.initial_max_width, world.inputs))
    widths = []
    for _ in range(int(generator.integers(fewest, most, endpoint=True))):
        previous = int(generator.integers(low, previous, endpoint=True))
        widths.append(previous)
    return widths


def _inside(rate: float, space: Space) -> float:
    """Kept within the initial range, which rounding of exp and log may leave by a last digit."""
    return min(max(rate, space.initial_min_learning_rate), space.initial_max_learning_rate)


def _dealt(strategies: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    """Each strategy equally often, to within one, in random order; the same for growth rules."""
    dealt = [strategies[place % len(strategies)] for place in range(count)]
    return [dealt[place] for place in generator.permutation(count)]


def _made_small_enough(
    world: World,
    widths: list[int],
    density: float,
    rate: float,
    strategy: str,
    growth_rule: str | None,
) -> Genome | None:
    """The genome, its layers halved towards the narrowest until it fits; None when none does."""
    low = world.space.width_range(world.inputs)[0]
    while True:
        try:
            genome = world.genome(widths, density, rate, strategy, growth_rule)
            world.check(genome)
            return genome
        except InvalidGenomeError:
            if all(width == low for width in widths):
                return None
            widths = [max(low, width // 2) for width in widths]
