"""Operators: valid children, weights as stated, one generator and no other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from structure_net.errors import InvalidGenomeError
from structure_net.evolution import MUTATIONS, World, founder, founders, jitter
from structure_net.evolution.mutation import BLOCK_MUTATIONS, draw_operator, operator_weights
from structure_net.genome import (
    Genome,
    InsertResidualBlock,
    RemoveResidualBlock,
    ResizeLayer,
    apply_edit,
    overall_density,
)
from structure_net.seeding import derive
from tests.evolution.worlds import assert_inside, config_of

CONFIG = config_of(max_layers=6, space={"normalisations": ("none", "rms")})
SIZES = (64, 3072, 5)


@pytest.fixture(scope="module")
def parents() -> dict[int, list[Genome]]:
    """240 genomes of each size of input."""
    return {
        inputs: [
            genome
            for seed in range(4)
            for genome in founders(World.of(CONFIG, inputs, 10), 60, derive(seed, "founders"))
        ]
        for inputs in SIZES
    }


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_an_operator_stays_inside_or_is_refused(
    name: str, parents: dict[int, list[Genome]]
) -> None:
    """1,440 draws of each: what the world lets pass is inside by another reckoning."""
    passed = refused = 0
    for inputs, genomes in parents.items():
        world = World.of(CONFIG, inputs, 10)
        for place, genome in enumerate(genomes * 2):
            draw = derive(place, name, inputs)
            try:
                child = apply_edit(genome, MUTATIONS.get(name)(genome, world, draw))
                world.check(child)
            except InvalidGenomeError:
                refused += 1
                continue
            passed += 1
            assert_inside(child, CONFIG, inputs, 10)
    if name in BLOCK_MUTATIONS:  # at most 6 sparse layers leave little room, half have no block
        assert passed > 100
    else:
        assert passed > refused
    if name in ("strategy", "activation", "normalisation", "learning_rate"):
        assert refused == 0


def test_jitter_scales_all_densities_by_up_to_a_fifth(parents: dict[int, list[Genome]]) -> None:
    world, ratios = World.of(CONFIG, 3072, 10), []
    for place, genome in enumerate(parents[3072]):
        child = apply_edit(genome, jitter(genome, world, derive(place, "jitter")))
        assert child.architecture == genome.architecture
        assert 0.005 - 1e-6 <= overall_density(child) <= 0.2 + 1e-6
        if 0.0125 < overall_density(genome) < 0.16:
            ratios.append(overall_density(child) / overall_density(genome))
    assert 0.799 < min(ratios) < 0.83
    assert 1.17 < max(ratios) < 1.201


SHARES = {  # of 156
    "width": 30,
    "density": 15,
    "thin": 50,
    "insert_layer": 12,
    "remove_layer": 6,
    "add_block": 10,
    "remove_block": 4,
    "learning_rate": 10,
    "strategy": 10,
    "growth_rule": 5,
    "activation": 2,
    "normalisation": 2,
}


def test_operators_are_drawn_by_weight() -> None:
    draw = derive(1, "operators")
    counts = Counter(draw_operator(draw) for _ in range(10_000))
    assert set(counts) == set(SHARES) == set(MUTATIONS)
    expected = [10_000 * share / 156 for share in SHARES.values()]
    assert stats.chisquare([counts[name] for name in SHARES], expected).pvalue > 0.001


def test_a_registered_mutation_is_drawn_by_its_own_weight(registries: None) -> None:
    MUTATIONS.register("mine", weight=1.56)(lambda genome, world, generator: None)
    draw = derive(2, "operators")
    share = sum(draw_operator(draw) == "mine" for _ in range(4000)) / 4000
    assert abs(share - 0.5) < 4 * 0.5 / 4000**0.5


def test_another_value_is_another_one(parents: dict[int, list[Genome]]) -> None:
    world = World.of(CONFIG, 64, 10)
    for place, genome in enumerate(parents[64]):
        for name in ("strategy", "activation", "normalisation"):
            edit = MUTATIONS.get(name)(genome, world, derive(place, name))
            assert getattr(edit, name) != getattr(genome, name)


def test_where_there_is_no_choice_the_operator_says_so(parents: dict[int, list[Genome]]) -> None:
    alone = config_of(learning_rate_strategies=("COSINE",), space={"activations": ("silu",)})
    world = World.of(alone, 64, 10)
    genome = (
        apply_edit(
            parents[64][0],
            MUTATIONS.get("strategy")(parents[64][0], world, np.random.default_rng(0)),
        )
        if parents[64][0].strategy != "COSINE"
        else parents[64][0]
    )
    for name in ("strategy", "activation", "normalisation"):
        with pytest.raises(InvalidGenomeError, match="no other choice"):
            MUTATIONS.get(name)(genome, world, derive(0))


def test_width_and_rate_change_by_at_most_a_factor_of_two(
    parents: dict[int, list[Genome]],
) -> None:
    world = World.of(CONFIG, 3072, 10)
    for place, genome in enumerate(parents[3072]):
        child = apply_edit(genome, MUTATIONS.get("width")(genome, world, derive(place, "w")))
        changed = [
            (old.width, new.width)
            for old, new in zip(genome.hidden, child.hidden, strict=True)
            if old.width != new.width
        ]
        assert len(changed) <= 1
        assert all(0.5 * old - 1 <= new <= 2 * old + 1 for old, new in changed)
        edit = MUTATIONS.get("learning_rate")(genome, world, derive(place, "r"))
        factor = edit.base_learning_rate / genome.base_learning_rate
        assert 0.5 <= factor <= 2 or edit.base_learning_rate in (1e-4, 1e-2)


def test_blocks_are_added_three_to_one_at_any_junction_and_removed_alike() -> None:
    world = World.of(config_of(), 3072, 10)
    genome = founder(world, "COSINE", derive(1, "f"), set(), [512, 256, 128, 64])
    genome = apply_edit(genome, ResizeLayer(layer=3, width=32))
    edits = [MUTATIONS.get("add_block")(genome, world, derive(n, "add")) for n in range(2000)]
    added = [edit for edit in edits if isinstance(edit, InsertResidualBlock)]
    assert len(added) == 2000
    three = sum(edit.block == "three_layer" for edit in added)
    assert stats.binomtest(three, 2000, 0.25).pvalue > 0.001
    junctions = Counter(edit.junction for edit in added)
    assert stats.chisquare([junctions[at] for at in range(4)]).pvalue > 0.001
    grown = genome
    for junction in (0, 2, 2):
        grown = apply_edit(grown, InsertResidualBlock(junction=junction))
    own = [(at, place) for at, behind in enumerate(grown.blocks) for place in range(len(behind))]
    removed = Counter(
        (edit.junction, edit.place)
        for edit in (
            MUTATIONS.get("remove_block")(grown, world, derive(n, "remove")) for n in range(2000)
        )
        if isinstance(edit, RemoveResidualBlock)
    )
    assert stats.chisquare([removed[place] for place in own]).pvalue > 0.001


def test_no_block_where_none_may_stand() -> None:
    world = World.of(config_of(), 3072, 10)
    shallow = world.genome([512, 256], 0.05, 0.003, "COSINE")
    narrow = world.genome([512, 256, 128], 0.05, 0.003, "COSINE")
    for layer in range(3):
        narrow = apply_edit(narrow, ResizeLayer(layer=layer, width=31))
    off = World.of(config_of(enable_residual_blocks=False), 3072, 10)
    deep = world.genome([512, 256, 128], 0.05, 0.003, "COSINE")
    for own, genome in ((world, shallow), (world, narrow), (off, deep)):
        with pytest.raises(InvalidGenomeError, match="may have a residual block"):
            MUTATIONS.get("add_block")(genome, own, derive(0, "add"))
    with pytest.raises(InvalidGenomeError, match="no residual block"):
        MUTATIONS.get("remove_block")(deep, world, derive(0, "remove"))
    grown = apply_edit(deep, InsertResidualBlock(junction=1))
    world.check(grown)
    with pytest.raises(InvalidGenomeError, match="not enabled"):
        off.check(grown)
    assert not set(operator_weights(residual_blocks=False)) & set(BLOCK_MUTATIONS)
