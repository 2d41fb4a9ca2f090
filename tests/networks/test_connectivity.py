"""No unit is cut off, counts are exact: by brute force and by networkx."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
from scipy import stats

from structure_net.errors import InvalidGenomeError
from structure_net.genome import Genome
from structure_net.networks import Network, build_network, connectivity, constant_fan_in
from tests.networks.reference import genome, pairs, random_genome

CORNERS = {
    "one input": genome(1, [5], 3, 1e-9),
    "one hidden unit": genome(30, [1], 4, 1e-9),
    "width 1 twice": genome(9, [1, 1], 2, 0.5),
    "wide to 1 to wide": genome(40, [30, 1, 30], 10, 1e-9),
    "fan-in 1": genome(50, [50, 50], 50, 1e-9),
    "full": genome(12, [7, 9], 5, 1.0),
    "no hidden layer": genome(12, [], 5, 1e-9),
    "few sources, many units": genome(3, [2, 200], 2, 1e-9),
    "many sources, few units": genome(3, [200, 2], 2, 1e-9),
}


def violations(network: Network) -> list[str]:
    """Every break of the guarantee, found with sets and loops."""
    found = []
    for index, (sources, units) in enumerate(network.genome.shapes):
        listed = pairs(network, index)
        fan_in = [sum(unit == own for unit, _ in listed) for own in range(units)]
        if len(listed) != network.genome.counts[index]:
            found.append(f"layer {index}: {len(listed)} connections")
        if len(set(listed)) != len(listed) or sorted(listed) != listed:
            found.append(f"layer {index}: duplicates or disorder")
        if not all(0 <= source < sources for _, source in listed):
            found.append(f"layer {index}: a source that does not exist")
        if min(fan_in) < 1 or max(fan_in) - min(fan_in) > 1:
            found.append(f"layer {index}: fan-in from {min(fan_in)} to {max(fan_in)}")
        if index > 0 and {source for _, source in listed} != set(range(sources)):
            found.append(f"layer {index}: a hidden unit without consumer")
    return found


@pytest.mark.parametrize("genome", CORNERS.values(), ids=CORNERS.keys())
def test_corners_keep_the_guarantee(genome: Genome) -> None:
    for seed in range(20):
        assert violations(build_network(genome, seed)) == []


@pytest.mark.parametrize("part", range(10))
def test_a_thousand_random_networks_keep_the_guarantee(part: int) -> None:
    for number in range(100):
        generator = np.random.default_rng([part, number])
        genome = random_genome(generator)
        assert violations(build_network(genome, number)) == [], genome


def graph(network: Network) -> networkx.DiGraph:
    """Units as (layer, number), with one node before the inputs and one behind the logits."""
    edges = networkx.DiGraph()
    for index in range(len(network.layers)):
        edges.add_edges_from(
            ((index, source), (index + 1, unit)) for unit, source in pairs(network, index)
        )
    last = len(network.layers)
    edges.add_edges_from(("start", (0, number)) for number in range(network.genome.inputs))
    edges.add_edges_from(((last, number), "end") for number in range(network.genome.classes))
    return edges


def test_every_unit_is_on_a_path_from_an_input_to_a_logit() -> None:
    for seed in range(100):
        network = build_network(random_genome(np.random.default_rng([7, seed])), seed)
        edges = graph(network)
        on_path = networkx.descendants(edges, "start") & networkx.ancestors(edges, "end")
        units = {
            (layer, number)
            for layer, width in enumerate(network.genome.architecture)
            for number in range(width)
            if layer > 0
        }
        assert units <= on_path


def test_each_first_layer_unit_sees_an_input_that_varies() -> None:
    for seed in range(200):
        generator = np.random.default_rng([3, seed])
        genome = random_genome(generator)
        usable = generator.random(genome.inputs) < 0.2
        usable[generator.integers(genome.inputs)] = True
        network = build_network(genome, seed, usable)
        assert violations(network) == []
        seeing = {unit for unit, source in pairs(network, 0) if usable[source]}
        assert seeing == set(range(genome.architecture[1]))


def test_data_without_any_varying_input_still_builds() -> None:
    assert violations(build_network(genome(20, [9], 4, 0.2), 0, np.zeros(20, dtype=bool))) == []


def test_sources_are_drawn_uniformly() -> None:
    drawn = constant_fan_in(20, 3000, 9500, np.random.default_rng(0), feed_every_source=False)
    assert stats.chisquare(drawn.fan_out).pvalue > 0.001
    longer = np.flatnonzero(drawn.fan_in == 4)
    assert len(longer) == 500
    assert stats.chisquare(np.histogram(longer, bins=10)[0]).pvalue > 0.001


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> np.ndarray:
        generator = np.random.default_rng(4)
        return constant_fan_in(31, 57, 200, generator, feed_every_source=True).columns

    at_once = draw()
    monkeypatch.setattr(connectivity, "KEYS_AT_ONCE", 100)
    np.testing.assert_array_equal(draw(), at_once)


def test_degrees_and_rows_are_those_of_a_loop() -> None:
    network = build_network(genome(13, [8], 4, 0.4), 5)
    listed, found = pairs(network, 0), network.layer(0).connections
    assert found.rows.tolist() == network.layer(0).rows.tolist() == [unit for unit, _ in listed]
    assert found.fan_in.tolist() == [sum(u == own for u, _ in listed) for own in range(8)]
    assert found.fan_out.tolist() == [sum(s == own for _, s in listed) for own in range(13)]
    assert network.layer(0).places.tolist() == [unit * 13 + source for unit, source in listed]


def test_the_seed_decides_everything() -> None:
    one, again, other = (build_network(genome(20, [16, 8], 4, 0.3), seed) for seed in (1, 1, 2))
    for index in range(3):
        assert pairs(one, index) == pairs(again, index) != pairs(other, index)
    assert one.values.detach().numpy().tobytes() == again.values.detach().numpy().tobytes()
    assert not (one.values == other.values).all()


@pytest.mark.parametrize(("sources", "units", "count"), [(4, 5, 4), (4, 5, 21), (9, 2, 8)])
def test_counts_that_cut_off_a_unit_or_overflow_are_refused(
    sources: int, units: int, count: int
) -> None:
    with pytest.raises(InvalidGenomeError, match=f"{count} connections"):
        constant_fan_in(sources, units, count, np.random.default_rng(0), feed_every_source=True)
