"""Mutation: a genome and a generator -> edits. Each operator is registered with its weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np

from structure_net.errors import InvalidGenomeError, RunFailedError, UsageError
from structure_net.evolution.population import World
from structure_net.genome import (
    BlockKind,
    Edit,
    Genome,
    InsertLayer,
    InsertResidualBlock,
    RemoveLayer,
    RemoveResidualBlock,
    ResizeLayer,
    ScaleDensity,
    SetActivation,
    SetDensity,
    SetGrowthRule,
    SetLearningRate,
    SetNormalisation,
    SetStrategy,
    overall_density,
)
from structure_net.registry import Registry

Mutation = Callable[[Genome, World, np.random.Generator], Edit]
MUTATIONS: Registry[Mutation] = Registry("mutation")
EDITS: tuple[type, ...] = get_args(get_args(Edit)[0])

# How often each is drawn, relative to the others; a plug-in gives its own with `register`.
WEIGHTS: dict[str, float] = {
    "width": 0.30,
    "density": 0.15,
    # Most other edits, and growth, only ever enlarge a network; what it brought: docs/LOG.md.
    "thin": 0.50,
    "insert_layer": 0.12,
    "remove_layer": 0.06,
    "add_block": 0.10,
    "remove_block": 0.04,
    "learning_rate": 0.10,
    "strategy": 0.10,
    "growth_rule": 0.05,
    "activation": 0.02,
    "normalisation": 0.02,
}

# Drawn only where residual blocks are enabled.
BLOCK_MUTATIONS = ("add_block", "remove_block")
TWO_LAYER_PART = 0.75  # of new blocks


@MUTATIONS.register("width")
def mutate_width(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """One hidden layer times U(0.5, 2), rounded, inside the space."""
    layer = int(generator.integers(len(genome.hidden)))
    low, high = world.space.width_range(genome.inputs)
    width = round(genome.hidden[layer].width * float(generator.uniform(0.5, 2.0)))
    return ResizeLayer(layer=layer, width=min(max(width, low), high))


@MUTATIONS.register("density")
def mutate_density(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """One sparse layer's density times U(0.5, 2), at most 1."""
    layer = int(generator.integers(len(genome.densities)))
    factor = float(generator.uniform(0.5, 2.0))
    return SetDensity(layer=layer, density=min(1.0, genome.densities[layer] * factor))


@MUTATIONS.register("thin")
def mutate_thin(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """A quarter to three quarters of all connections stay, inside the space; of inherited weights
    the largest."""
    wanted = overall_density(genome) * float(generator.uniform(0.25, 0.75))
    space = world.space
    wanted = min(max(wanted, space.min_density), space.max_density)
    return ScaleDensity(overall_density=world.highest_density(genome.plans, wanted))


@MUTATIONS.register("insert_layer")
def mutate_insert(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """A hidden layer at a uniform place, its width between those of its neighbours."""
    place = int(generator.integers(len(genome.hidden) + 1))
    low, high = world.space.width_range(genome.inputs)
    around = sorted([genome.architecture[place], genome.architecture[place + 1]])
    narrow, wide = (min(max(width, low), high) for width in around)
    width = int(generator.integers(narrow, wide, endpoint=True))
    return InsertLayer(place=place, width=width)


@MUTATIONS.register("remove_layer")
def mutate_remove(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """A uniform hidden layer goes; refused when it is the only one."""
    if len(genome.hidden) == 1:
        raise InvalidGenomeError("The only hidden layer cannot be removed.")
    return RemoveLayer(layer=int(generator.integers(len(genome.hidden))))


@MUTATIONS.register("add_block")
def mutate_add_block(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """A residual block of two layers or, one time in four, three, behind a uniform hidden layer
    that may have one; refused where none may."""
    junctions = world.junctions(genome)
    if not junctions:
        raise InvalidGenomeError("No hidden layer may have a residual block behind it.")
    junction = junctions[int(generator.integers(len(junctions)))]
    kind: BlockKind = "two_layer" if generator.random() < TWO_LAYER_PART else "three_layer"
    return InsertResidualBlock(junction=junction, block=kind)


@MUTATIONS.register("remove_block")
def mutate_remove_block(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """A uniform residual block goes; refused where there is none."""
    places = [
        (at, place) for at, behind in enumerate(genome.blocks) for place in range(len(behind))
    ]
    if not places:
        raise InvalidGenomeError("There is no residual block to remove.")
    junction, place = places[int(generator.integers(len(places)))]
    return RemoveResidualBlock(junction=junction, place=place)


@MUTATIONS.register("learning_rate")
def mutate_learning_rate(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """The base learning rate times 2^U(-1, 1), inside the space."""
    rate = genome.base_learning_rate * 2.0 ** float(generator.uniform(-1.0, 1.0))
    low, high = world.space.min_learning_rate, world.space.max_learning_rate
    return SetLearningRate(base_learning_rate=min(max(rate, low), high))


@MUTATIONS.register("strategy")
def mutate_strategy(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """Another of the enabled strategies; refused when there is no other."""
    return SetStrategy(strategy=_another(genome.strategy, world.strategies, generator))


@MUTATIONS.register("growth_rule")
def mutate_growth_rule(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """Another of the enabled growth rules; refused when there is no other."""
    return SetGrowthRule(growth_rule=_another(genome.growth_rule, world.growth_rules, generator))


@MUTATIONS.register("activation")
def mutate_activation(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """Another activation of the space; refused when there is no other."""
    choices = tuple(str(name) for name in world.space.activations)
    chosen = _another(genome.activation, choices, generator)
    return SetActivation.model_validate({"activation": chosen})


@MUTATIONS.register("normalisation")
def mutate_normalisation(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """Another normalisation of the space; refused when there is no other."""
    choices = tuple(str(name) for name in world.space.normalisations)
    chosen = _another(genome.normalisation, choices, generator)
    return SetNormalisation.model_validate({"normalisation": chosen})


def _another(present: str, choices: tuple[str, ...], generator: np.random.Generator) -> str:
    others = [choice for choice in choices if choice != present]
    if not others:
        raise InvalidGenomeError(f"There is no other choice than {present}.")
    return others[int(generator.integers(len(others)))]


def operator_weights(*, residual_blocks: bool = True) -> dict[str, float]:
    """Every mutation with its weight: the package's own, then registered ones. Those of blocks only
    with `residual_blocks`."""
    weights = {**WEIGHTS, **MUTATIONS.weights}
    for name in MUTATIONS:
        if name not in weights:
            raise UsageError(
                f"The mutation {name!r} has no weight, so it would never be drawn. Register it "
                f"with one: MUTATIONS.register({name!r}, weight=0.1); the package's own lie "
                f"between {min(WEIGHTS.values())} and {max(WEIGHTS.values())}."
            )
    unused = () if residual_blocks else BLOCK_MUTATIONS
    return {name: weight for name, weight in weights.items() if name not in unused}


def draw_operator(
    generator: np.random.Generator, weighted: Mapping[str, float] | None = None
) -> str:
    """The name of a mutation, drawn by weight."""
    table = operator_weights() if weighted is None else weighted
    names = list(table)
    weights = np.array([table[name] for name in names])
    return names[int(generator.choice(len(names), p=weights / weights.sum()))]


def proposed(name: str, genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """What the mutation of that name proposes; InvalidGenomeError where it refuses."""
    edit = MUTATIONS.get(name)(genome, world, generator)
    if not isinstance(edit, EDITS):
        raise RunFailedError(
            f"The mutation {name!r} returned {str(edit)[:80]!r}, a {type(edit).__name__}; an edit "
            f"was expected, one of {', '.join(kind.__name__ for kind in EDITS)}."
        )
    return edit


def jitter(genome: Genome, world: World, generator: np.random.Generator) -> Edit:
    """All densities by one factor U(0.8, 1.2), the overall density kept inside the space."""
    wanted = overall_density(genome) * float(generator.uniform(0.8, 1.2))
    space = world.space
    wanted = min(max(wanted, space.min_density), space.max_density)
    return ScaleDensity(overall_density=world.highest_density(genome.plans, wanted))
