"""Where the networks of a stack lie: every cell once, every row once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from structure_net.engine.stacked.layout import ALIGNMENT, lay_out, padded
from structure_net.engine.stacked.places import bias_places, cell_places
from structure_net.genome import ACTIVATIONS, NORMALISATIONS, Genome
from structure_net.networks import build_network
from tests.networks.reference import genome


@pytest.mark.parametrize(
    ("width", "granule", "expected"),
    [
        *((1, 1, 1), (77, 1, 77), (9, 8, 16), (100, 8, 104)),
        *((1, 64, 64), (64, 64, 64), (65, 64, 128), (513, 64, 576), (3000, 64, 3072)),
    ],
)
def test_widths_are_rounded_up_by_an_eighth_at_most(
    width: int, granule: int, expected: int
) -> None:
    assert padded(width, granule) == expected


@given(strategies.integers(1, 100_000), strategies.sampled_from([8, 64]))
def test_rounding_wastes_little_and_leaves_few_sizes(width: int, granule: int) -> None:
    size = padded(width, granule)
    assert size % granule == 0
    assert width <= size < width + max(granule, width / 8 + 1)
    assert padded(size, granule) == size


def stack(seed: int, networks: int) -> list[Genome]:
    generator = np.random.default_rng(seed)
    return [
        genome(
            12,
            generator.choice([3, 4, 8, 9, 20], generator.integers(0, 5)).tolist(),
            3,
            0.4,
            ACTIVATIONS[generator.integers(len(ACTIVATIONS))],
            normalisation=NORMALISATIONS[generator.integers(len(NORMALISATIONS))],
        )
        for _ in range(networks)
    ]


CASES = {
    "seed": strategies.integers(0, 1000),
    "networks": strategies.integers(1, 9),
    "granule": strategies.sampled_from([1, 8]),
}


@settings(max_examples=40)
@given(**CASES)
def test_groups_fill_their_level_and_read_each_hidden_row_below_once(
    seed: int, networks: int, granule: int
) -> None:
    genomes = stack(seed, networks)
    layout = lay_out(genomes, granule)
    below = None
    for level in layout.levels:
        rows = [
            row
            for group in level.groups
            for row in range(group.start, group.start + group.count * group.units)
        ]
        assert rows == list(range(level.rows))
        activated = [row for _, first, end in level.runs for row in range(first, end)]
        assert activated == list(range(level.hidden))
        assert all(group.corner % ALIGNMENT == 0 for group in level.groups)
        for group in level.groups:
            read = sum(end - first for first, end in group.inputs)
            assert read == group.count * group.sources
        if below is not None:
            ranges = [one for group in level.groups for one in group.inputs]
            read = sorted(row for first, end in ranges for row in range(first, end))
            assert read == list(range(below.hidden))
        below = level
    assert sorted(layout.order) == list(range(len(genomes)))
    assert len(layout.levels[0].groups) == 1


@settings(max_examples=40)
@given(**CASES)
def test_every_value_has_a_cell_of_its_own(seed: int, networks: int, granule: int) -> None:
    genomes = stack(seed, networks)
    layout = lay_out(genomes, granule)
    made = [build_network(own, seed) for seed, own in enumerate(genomes)]
    *starts, length = np.cumsum([0, *(network.values.numel() + 5 for network in made)]).tolist()
    places = cell_places(made, layout, starts, length)
    assert len(places) == length == len(set(places.tolist()))
    positions, rows = bias_places(made, layout, starts)
    assert len(set(rows.tolist())) == len(rows)
    behind = [
        own.normalisation == "rms" and layer < len(own.hidden)
        for own in genomes
        for layer, units in enumerate(own.architecture[1:])
        for _ in range(units)
    ]
    assert torch.equal(places[positions], layout.cells + rows + layout.rows * torch.tensor(behind))


@settings(max_examples=40)
@given(**CASES)
def test_blocks_are_the_normalised_hidden_layers_with_their_own_widths(
    seed: int, networks: int, granule: int
) -> None:
    genomes = stack(seed, networks)
    layout = lay_out(genomes, granule)
    found, places = {}, []
    for level in layout.levels:
        for block in level.blocks:
            places += [block.place + number for number in range(len(block.widths))]
            for number, width in enumerate(block.widths):
                found[level.row + block.start + number * block.units] = (width, block.units)
    expected = {
        layout.seats[number][layer].row: (gene.width, padded(gene.width, granule))
        for number, own in enumerate(genomes)
        for layer, gene in enumerate(own.hidden)
        if own.normalisation == "rms"
    }
    assert found == expected
    assert places == list(range(len(expected)))
