"""Connection counts and parameters from the genome alone, against integers and fractions."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structure_net.genome import (
    Allocation,
    Genome,
    LayerGene,
    active_parameters,
    allocate,
    bias_count,
    connection_count,
    dense_parameters,
    forward_flop,
    genome_of,
    overall_density,
    shapes_of,
)
from tests.genome.draws import random_genome

RULES: tuple[Allocation, ...] = ("erdos_renyi", "uniform", "equal_fan_in")


def weight(shape: tuple[int, int], rule: Allocation) -> int:
    sources, units = shape
    return {"erdos_renyi": sources + units, "uniform": sources * units, "equal_fan_in": units}[rule]


def floors(shapes: list[tuple[int, int]]) -> list[int]:
    return [max(shape) if layer else shape[1] for layer, shape in enumerate(shapes)]


def exact_shares(
    shapes: list[tuple[int, int]], weights: list[int], total: int
) -> tuple[list[Fraction], Fraction]:
    """The clamped shares by exact arithmetic: the sum is linear between the layers' bends."""
    lows, caps = floors(shapes), [sources * units for sources, units in shapes]

    def clamped(scale: Fraction) -> list[Fraction]:
        rows = zip(weights, lows, caps, strict=True)
        return [min(max(scale * share, Fraction(low)), Fraction(cap)) for share, low, cap in rows]

    bends = sorted(
        {
            Fraction(bound, share)
            for bounds in (lows, caps)
            for bound, share in zip(bounds, weights, strict=True)
        }
    )
    for left, right in pairwise(bends):
        below, above = sum(clamped(left)), sum(clamped(right))
        if below <= total <= above and below != above:
            scale = left + (right - left) * (total - below) / (above - below)
            return clamped(scale), scale
    end = bends[0] if sum(clamped(bends[0])) == total else bends[-1]
    return clamped(end), end


@given(
    widths=st.lists(st.integers(1, 80), min_size=1, max_size=6),
    inputs=st.integers(1, 300),
    classes=st.integers(2, 12),
    density=st.floats(1e-4, 1.0),
    rule=st.sampled_from(RULES),
)
def test_allocation_is_the_exact_clamped_share_rounded(
    widths: list[int], inputs: int, classes: int, density: float, rule: Allocation
) -> None:
    shapes = shapes_of(inputs, widths, classes)
    counts = allocate(shapes, density, rule)
    possible = sum(sources * units for sources, units in shapes)
    wanted = int(Fraction(density) * possible + Fraction(1, 2))
    total = min(max(wanted, sum(floors(shapes))), possible)
    shares, scale = exact_shares(shapes, [weight(shape, rule) for shape in shapes], total)
    assert sum(counts) == total
    for count, share, low, shape in zip(counts, shares, floors(shapes), shapes, strict=True):
        assert low <= count <= shape[0] * shape[1]
        assert abs(count - share) <= 1
        if low < share < shape[0] * shape[1]:  # at no bound: N / w equals the scale within 1 / w
            unit = weight(shape, rule)
            assert abs(Fraction(count, unit) - scale) <= Fraction(1, unit)


@given(
    widths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    density=st.floats(0.001, 1.0),
    seed=st.integers(0, 1000),
)
def test_allocation_by_given_weights_keeps_bounds_and_total(
    widths: list[int], density: float, seed: int
) -> None:
    shapes = shapes_of(50, widths, 10)
    draw = random.Random(seed)
    weights = [draw.randint(1, 5000) for _ in shapes]
    counts = allocate(shapes, density, weights=weights)
    shares, _ = exact_shares(shapes, weights, sum(counts))
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - share) <= 1


def test_allocation_worked_examples() -> None:
    ends = [3072, 4000, 1000, 4000, 10]
    shapes = list(pairwise(ends))
    density = 381_440 / sum(sources * units for sources, units in shapes)
    assert allocate(shapes, density) == [141_440, 100_000, 100_000, 40_000]
    counts = allocate(shapes_of(3072, [1024, 512], 10), 0.05)
    assert counts == pytest.approx([129_918, 48_719, 5_120], abs=1)


def test_a_density_below_the_floors_is_raised_and_stored() -> None:
    assert allocate(shapes_of(3072, [512, 256, 128], 10), 0.001) == [842, 512, 256, 128]
    small = shapes_of(64, [74, 37, 18], 10)
    counts = allocate(small, 0.001)
    assert counts == [74, 74, 37, 18]
    genome = genome_of(64, [74, 37, 18], 10, counts, base_learning_rate=0.003)
    assert overall_density(genome) == 203 / 8_320
    assert Genome.model_validate_json(genome.model_dump_json()).counts == (74, 74, 37, 18)


def test_a_saturated_layer_hands_its_excess_on() -> None:
    # Half of 1,737,984. In proportion to 3584, 768, 384, 138 the last three would get more than
    # they have room for, so they are full and the first takes the rest.
    full = [131_072, 32_768, 1_280]
    assert allocate(shapes_of(3072, [512, 256, 128], 10), 0.5) == [868_992 - sum(full), *full]
    assert allocate(shapes_of(1000, [10, 1000], 10), 1.0) == [10_000, 10_000, 10_000]


def test_the_largest_remainders_are_rounded_up() -> None:
    # 100 among weights 110, 30, 24 with the floors 10, 20, 20 and no cap in the way:
    # 67.07, 18.29, 14.63; the last two are lifted to 20 and the first takes the rest.
    assert allocate([(100, 10), (10, 20), (20, 4)], 100 / 1280) == [60, 20, 20]
    # 1,003 among 6, 10, 13: 207.52, 345.86, 449.62. Two are rounded up, and not the first.
    shapes = [(100, 50)] * 3
    counts = allocate(shapes, 1003 / 15_000, weights=[6, 10, 13])
    assert counts == [207, 346, 450]


def test_counts_come_back_from_the_stored_text_of_1000_random_genomes() -> None:
    draw = random.Random(1)
    for _ in range(1000):
        genome = random_genome(draw)
        stored = json.loads(genome.model_dump_json())
        ends = [stored["inputs"], *(layer["width"] for layer in stored["hidden"])]
        ends.append(stored["classes"])
        densities = [*(layer["density"] for layer in stored["hidden"]), stored["output_density"]]
        counts = [
            int(Fraction(density) * sources * units + Fraction(1, 2))
            for density, (sources, units) in zip(densities, pairwise(ends), strict=True)
        ]
        read = Genome.model_validate(stored)
        assert list(read.counts) == counts
        assert connection_count(read) == sum(counts)
        assert bias_count(read) == sum(ends[1:])
        assert active_parameters(read) == sum(counts) + sum(ends[1:])
        full = sum(sources * units for sources, units in pairwise(ends))
        assert dense_parameters(read) == full + sum(ends[1:])
        assert overall_density(read) == sum(counts) / full
        assert forward_flop(read) == 2 * sum(counts)


def test_parameters_of_the_reference_network_at_density_1() -> None:
    genome = Genome(
        inputs=3072,
        classes=10,
        hidden=tuple(LayerGene(width=width, density=1, innovation="") for width in (512, 256, 128)),
        output_density=1,
        base_learning_rate=0.003,
    )
    assert connection_count(genome) == 1_737_984
    assert bias_count(genome) == 906
    assert active_parameters(genome) == dense_parameters(genome) == 1_737_984 + 906
