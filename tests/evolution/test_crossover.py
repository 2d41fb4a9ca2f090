"""Crossover: every pair of depths, matched layers by a fair coin, the rest from the fitter."""

from __future__ import annotations

from itertools import combinations

import pytest
from scipy import stats

from structure_net.evolution import World, crossover, founder, founders
from structure_net.genome import (
    Genome,
    InsertLayer,
    InsertResidualBlock,
    RemoveLayer,
    ResizeLayer,
    apply_edit,
    genome_of,
)
from structure_net.seeding import derive
from tests.evolution.worlds import assert_inside, config_of

DEEP = config_of(
    max_layers=21,
    space={"initial_max_hidden_layers": 20, "initial_max_width": 128, "max_density": 1.0},
)


def of_depth(depth: int, seed: int) -> Genome:
    bounds = {"initial_min_hidden_layers": depth, "initial_max_hidden_layers": depth}
    space = DEEP.space.model_copy(update=bounds)
    world = World.of(DEEP.model_copy(update={"space": space}), 3072, 10)
    genome = founder(world, "COSINE", derive(seed, "depth", depth), set())
    assert len(genome.hidden) == depth
    return genome


def test_all_pairs_of_depths_from_1_to_20_cross() -> None:
    fitter = [of_depth(depth, 1) for depth in range(1, 21)]
    others = [of_depth(depth, 2) for depth in range(1, 21)]
    for first in fitter:
        for second in others:
            child = crossover(first, second, derive(len(first.hidden), "x", len(second.hidden)))
            assert len(child.hidden) == len(first.hidden)
            assert child == Genome.model_validate_json(child.model_dump_json())
            common = min(len(first.hidden), len(second.hidden))
            for place, gene in enumerate(child.hidden):
                sources = [first, second] if place < common else [first]
                assert gene.width in {one.hidden[place].width for one in sources}
                assert gene.innovation == first.hidden[place].innovation
            assert child.output_density > 0


def test_a_genome_with_itself_gives_itself() -> None:
    for depth in range(1, 21):
        genome = of_depth(depth, 3)
        assert crossover(genome, genome, derive(depth, "self")) == genome


def test_matched_genes_come_from_either_parent_equally_often() -> None:
    """Each gene of 2,000 children against a binomial at 99.9 %; width and density together."""
    first = genome_of(64, [30, 20, 16], 10, [400, 90, 60, 40], base_learning_rate=0.002)
    second = genome_of(
        64,
        [31, 21, 17],
        10,
        [1500, 500, 300, 150],
        base_learning_rate=0.003,
        activation="tanh",
        normalisation="rms",
        strategy="CONSTANT",
    )
    children = [crossover(first, second, derive(place, "coin")) for place in range(2000)]
    genes = {
        "first width": [child.hidden[0].width == 31 for child in children],
        "second width": [child.hidden[1].width == 21 for child in children],
        "third width": [child.hidden[2].width == 17 for child in children],
        "output": [child.output_density > 0.5 for child in children],
        "rate": [child.base_learning_rate == 0.003 for child in children],
        "activation": [child.activation == "tanh" for child in children],
        "normalisation": [child.normalisation == "rms" for child in children],
        "strategy": [child.strategy == "CONSTANT" for child in children],
    }
    for name, taken in genes.items():
        assert stats.binomtest(sum(taken), 2000, 0.5).pvalue > 0.001, name
    for left, right in combinations(genes, 2):
        both = sum(a and b for a, b in zip(genes[left], genes[right], strict=True))
        assert stats.binomtest(both, 2000, 0.25).pvalue > 0.0001, (left, right)
    for child in children:  # dense came with 31 and its like, sparse with 30
        for gene, sparse in zip(child.hidden, first.hidden, strict=True):
            assert (gene.density > 0.5) == (gene.width != sparse.width)


def test_layers_align_by_the_longest_common_subsequence() -> None:
    start = genome_of(64, [30, 20, 16], 10, [400, 120, 60, 40], base_learning_rate=0.002)
    grown = apply_edit(start, InsertLayer(place=1, width=25))
    shrunk = apply_edit(start, RemoveLayer(layer=0))
    for place in range(50):
        child = crossover(grown, shrunk, derive(place, "align"))
        assert child.architecture == grown.architecture  # equal widths wherever they match
        assert crossover(shrunk, grown, derive(place, "align")).architecture == shrunk.architecture
    twice = [apply_edit(start, InsertLayer(place=1, width=width)) for width in (24, 26)]
    widths = {crossover(*twice, derive(place, "twice")).architecture[2] for place in range(50)}
    assert widths == {24, 26}  # the same insertion in two lineages is one gene


def test_unmatched_layers_come_from_the_fitter_parent() -> None:
    first = genome_of(
        64, [30, 20], 10, [400, 90, 60], base_learning_rate=0.002, innovations=["a", "b"]
    )
    second = genome_of(
        64, [31, 21], 10, [400, 90, 60], base_learning_rate=0.002, innovations=["b", "a"]
    )
    seen = {crossover(first, second, derive(place, "cross")).architecture for place in range(60)}
    # One of two crossed names can match: a (30 or 21) or b (20 or 31), never both.
    assert seen in ({(64, 30, 20, 10), (64, 21, 20, 10)}, {(64, 30, 20, 10), (64, 30, 31, 10)})


@pytest.mark.parametrize("inputs", [64, 3072])
def test_children_of_a_population_are_whole_genomes_of_its_own_genes(inputs: int) -> None:
    config = config_of()
    genomes = founders(World.of(config, inputs, 10), 40, derive(1, "founders"))
    for first, second in combinations(genomes, 2):
        child = crossover(first, second, derive(0, first.id, second.id))
        wide = config.model_copy(
            update={"space": config.space.model_copy(update={"max_density": 1.0})}
        )
        low = wide.space.model_copy(update={"min_density": 1e-4})
        assert_inside(child, wide.model_copy(update={"space": low}), inputs, 10)


def test_blocks_follow_the_gene_of_their_junction() -> None:
    first = genome_of(64, [30, 20, 16], 10, [400, 120, 60, 40], base_learning_rate=0.002)
    second = apply_edit(first, ResizeLayer(layer=1, width=21))
    first = apply_edit(first, InsertResidualBlock(junction=0))
    second = apply_edit(second, InsertResidualBlock(junction=1, block="three_layer"))
    seen = set()
    for place in range(60):
        child = crossover(first, second, derive(place, "blocks"))
        assert len(child.hidden[0].blocks) in (0, 1)
        assert (child.hidden[1].width == 21) == (len(child.hidden[1].blocks) == 1)
        assert not child.hidden[2].blocks
        seen.add(tuple(map(len, child.blocks)))
    assert len(seen) == 4
    # The same insertion in two lineages is one block.
    again = apply_edit(first, InsertResidualBlock(junction=1, block="three_layer"))
    assert again.hidden[1].blocks[0].innovation == second.hidden[1].blocks[0].innovation
