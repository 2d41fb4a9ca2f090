"""The first generation: named lists first, random ones after, all inside the space."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy import stats

from structure_net.evolution import Evolution, World, founders
from structure_net.schema import STRATEGIES as ALL_STRATEGIES
from structure_net.seeding import derive
from tests.evolution.worlds import assert_inside, config_of

NAMED = [
    (512, 256, 128),
    (1024, 512, 256, 128),
    (256, 512, 256),
    (800, 400, 200, 100),
    (1536, 768, 384, 192),
]
# The named lists for 64 inputs: each width times sqrt(64 / 3072) = 0.14434, rounded, 8 or more.
NAMED_64 = [(74, 37, 18), (148, 74, 37, 18), (37, 74, 37), (115, 58, 29, 14), (222, 111, 55, 28)]
SIZES = (3072, 64, 1, 17, 784)


@pytest.mark.parametrize("block", range(10))
def test_1000_seeds_of_64_members_are_all_inside_the_space(block: int) -> None:
    """A tenth of the seeds; every second one for 3,072 inputs or 64, the others small and odd."""
    config = config_of(tournament_size=64)
    for seed in range(100 * block, 100 * block + 100):
        inputs = SIZES[seed % 2] if seed % 4 < 2 else SIZES[seed // 4 % len(SIZES)]
        world = World.of(config, inputs, 10)
        genomes = founders(world, 64, derive(seed, "founders"))
        assert len({genome.id for genome in genomes}) == 64
        for genome in genomes:
            assert_inside(genome, config, inputs, 10)


def test_the_named_lists_come_first_and_are_scaled_to_the_inputs() -> None:
    for inputs, named in ((3072, NAMED), (64, NAMED_64), (10_000, NAMED)):
        world = World.of(config_of(), inputs, 10)
        genomes = founders(world, 7, derive(3, "founders"))
        assert [genome.architecture[1:-1] for genome in genomes[:5]] == named


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("inputs", [1, 2, 3, 8, 100, 3071, 3072])
def test_small_populations_and_any_number_of_inputs(size: int, inputs: int) -> None:
    config = config_of(tournament_size=max(2, size))
    genomes = founders(World.of(config, inputs, 2), size, derive(size, "founders"))
    assert len(genomes) == size
    for genome in genomes:
        assert_inside(genome, config, inputs, 2)


@pytest.mark.parametrize("size", [2, 5, 16, 63, 64])
def test_strategies_are_dealt_evenly_and_shuffled(size: int) -> None:
    config = config_of(learning_rate_strategies=ALL_STRATEGIES[:4])
    orders = set()
    for seed in range(5):
        genomes = founders(World.of(config, 64, 10), size, derive(seed, "founders"))
        dealt = [genome.strategy for genome in genomes]
        counts = Counter(dict.fromkeys(ALL_STRATEGIES[:4], 0))
        counts.update(dealt)
        assert max(counts.values()) - min(counts.values()) <= 1
        orders.add(tuple(dealt))
    assert len(orders) > 1 or size == 2


def test_random_members_cover_the_initial_ranges() -> None:
    """Depths 1 to 5 equally often, widths never growing, densities and rates over their ranges."""
    world = World.of(config_of(), 3072, 10)
    genomes = founders(world, 1005, derive(11, "founders"))[5:]
    depths = Counter(len(genome.hidden) for genome in genomes)
    assert set(depths) == {1, 2, 3, 4, 5}
    assert all(160 <= count <= 240 for count in depths.values())  # 200 expected, deviation 12.6
    for genome in genomes:
        widths = genome.architecture[1:-1]
        assert list(widths) == sorted(widths, reverse=True)
        assert 64 <= widths[-1] <= widths[0] <= 1024
        assert genome.activation == "silu"
        assert genome.normalisation == "none"
    rates = sorted(genome.base_learning_rate for genome in genomes)
    assert 1e-3 <= rates[0] < 1.1e-3
    assert 0.9e-2 < rates[-1] <= 1e-2
    assert 0.0028 < rates[500] < 0.0036  # log-uniform: the median is the geometric mean


def test_two_processes_would_found_the_same_population() -> None:
    config = config_of(seed=5)
    first, second = (Evolution(config, 64, 10).ask() for _ in range(2))
    assert first == second
    assert Evolution(config_of(seed=6), 64, 10).ask() != first


def test_half_of_the_deep_founders_have_one_block_in_their_middle() -> None:
    world = World.of(config_of(), 3072, 10)
    genomes = founders(world, 600, derive(7, "founders"))
    deep = [genome for genome in genomes if len(genome.hidden) >= 3]
    blocked = [genome for genome in deep if any(genome.blocks)]
    assert stats.binomtest(len(blocked), len(deep), 0.5).pvalue > 0.001
    for genome in blocked:
        middle = (len(genome.hidden) - 1) // 2
        assert [len(behind) for behind in genome.blocks] == [
            int(place == middle) for place in range(len(genome.hidden))
        ]
        (block,) = genome.blocks[middle]
        assert block.width == min(2 * genome.hidden[middle].width, 256)
        assert len(block.densities) == 2
    assert not any(any(genome.blocks) for genome in genomes if len(genome.hidden) < 3)
    without = World.of(config_of(enable_residual_blocks=False), 3072, 10)
    plain = founders(without, 60, derive(7, "founders"))
    assert not any(any(genome.blocks) for genome in plain)
