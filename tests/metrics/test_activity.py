"""Planted units are counted exactly; coefficients against closed forms and brute force."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from structure_net.genome import Activation
from structure_net.metrics import (
    METRICS,
    Measurement,
    Probe,
    Undetermined,
    dead,
    dormant,
    extrema,
    firing_rates,
    gradient_dormant,
    graph_dead,
    linearised,
    probe,
    saturated,
    wilson,
)
from structure_net.metrics.activity import gini
from structure_net.metrics.unit_states import firing_above
from structure_net.networks import Network, build_network
from tests.networks.reference import genome

SAMPLES = 2048


def network_of(activation: Activation = "relu", hidden: tuple[int, ...] = (30, 20)) -> Network:
    genes = {"activation": activation}
    return build_network(genome(12, [*hidden], 4, 0.5).model_copy(update=genes), 5)


def drawn(count: int = SAMPLES) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(1)
    inputs = torch.from_numpy(generator.standard_normal((count, 12))).float()
    return inputs, torch.from_numpy(generator.integers(0, 4, count))


def seen(network: Network, count: int = SAMPLES) -> Probe:
    return probe(network, *drawn(count), 4, path=("test",))


def measured(name: str, found: Probe) -> Measurement:
    return METRICS.get(name).measure(found)


def planted(network: Network, layer: int, low: list[int], high: list[int]) -> Network:
    """Biases of -10 and +10 standard deviations: what they do to a unit is known."""
    z = seen(network).layers[layer].z
    with torch.no_grad():
        for places, sign in ((low, -1.0), (high, 1.0)):
            for unit in places:
                network.biases(layer)[unit] = sign * (
                    10 * z[:, unit].std() + z[:, unit].abs().max()
                )
    return network


def numbers(masks: Any) -> list[list[int]]:
    return [np.flatnonzero(mask).tolist() for mask in masks]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "silu"])
def test_planted_dead_and_linearised_units_are_counted_exactly(activation: Activation) -> None:
    found = seen(planted(network_of(activation, (30,)), 0, low=[3, 7, 19], high=[0, 4]))
    assert numbers(dead(found)) == [[3, 7, 19]]
    assert numbers(linearised(found)) == [[0, 4]]
    assert measured("dead_fraction", found).layers == (3 / 30,)
    assert measured("dead_fraction", found).total == 3 / 30
    assert measured("active_fraction", found).layers == (1 - 3 / 30,)
    assert measured("linearised_fraction", found).total == 2 / 30
    assert measured("extrema_ratio", found).total == 5 / 30
    assert measured("layer_health", found).layers == (1 - 5 / 30,)


def test_findings_have_no_unit_of_measure() -> None:
    """Weights and bias of a unit times 3: the same findings."""
    network = planted(network_of("relu", (30,)), 0, low=[1], high=[2, 5])
    before = seen(network)
    with torch.no_grad():
        for unit in (1, 2, 9):
            rows = network.layer(0).rows == unit
            network.weights(0)[rows] *= 3
            network.biases(0)[unit] *= 3
    after = seen(network)
    assert numbers(dead(before)) == numbers(dead(after)) == [[1]]
    assert numbers(linearised(before)) == numbers(linearised(after)) == [[2, 5]]
    (one,), (other,) = firing_rates(before), firing_rates(after)
    assert np.abs(one - other).max() < 2 / SAMPLES  # but for rounding next to 0


def test_half_of_a_layer_dead() -> None:
    network = planted(network_of(), 0, low=list(range(15)), high=[])
    assert measured("dead_fraction", seen(network)).layers[0] == 0.5


def of_z(z: np.ndarray, activation: Activation = "relu", slopes: np.ndarray | None = None) -> Probe:
    """A probe whose one hidden layer has these z, and these derivatives."""
    network = network_of(activation, (z.shape[1],))
    found = probe(network, *drawn(len(z)), 4, path=())
    values = torch.from_numpy(z).float()
    phi = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    given = {} if slopes is None else {"derivatives": torch.from_numpy(slopes).float()}
    first = replace(
        found.layers[0],
        z=values,
        activations=phi(values),
        **{
            "derivatives": found.layers[0].derivatives,
            "sampled_derivatives": found.layers[0].sampled_derivatives,
            **given,
        },
    )
    return replace(found, layers=(first, found.layers[1]))


def firing(counts: list[int], samples: int = SAMPLES) -> np.ndarray:
    """z of units that fire on so many samples."""
    z = np.full((samples, len(counts)), -1.0)
    for unit, count in enumerate(counts):
        z[:count, unit] = 1.0
    return z


def test_three_of_2048_is_dead_and_four_is_not() -> None:
    assert numbers(dead(of_z(firing([0, 3, 4, 100])))) == [[0, 1]]
    counts = [SAMPLES, SAMPLES - 3, SAMPLES - 4]
    assert numbers(linearised(of_z(firing(counts)))) == [[0, 1]]


def test_below_765_samples_nobody_is_told_to_be_dead() -> None:
    assert numbers(dead(of_z(firing([0, 300], 765)))) == [[0]]
    few = of_z(firing([0, 300], 764))
    for found in (dead(few), linearised(few), extrema(few)):
        assert found == Undetermined("764 samples; it takes 765 to tell")
    for name in ("dead_fraction", "extrema_ratio", "layer_health", "active_fraction"):
        assert isinstance(measured(name, few).total, Undetermined)
    assert measured("firing_rate", few).total == pytest.approx(150 / 764)


def test_planted_saturated_units() -> None:
    """97 % of the samples at |z| = 3.1, where 1 - tanh^2 is below 0.01; 94 % are too few."""
    z = np.random.default_rng(0).normal(0, 0.5, (SAMPLES, 4))
    for unit, share in ((1, 0.97), (2, 0.94), (3, 1.0)):
        z[: int(share * SAMPLES), unit] = 3.1 * (-1) ** unit
    found = of_z(z, "tanh")
    assert numbers(saturated(found)) == [[1, 3]]
    assert measured("saturated_fraction", found).total == 0.5
    assert measured("active_fraction", found).total == 0.5
    assert measured("extrema_ratio", found).total == 0.5
    assert isinstance(dead(found), Undetermined)
    assert isinstance(saturated(of_z(firing([5]))), Undetermined)


def test_planted_dormant_units() -> None:
    """Means 1, 1, 0.04 and 0.06 of a layer of mean 0.525: 0.025 of it is 0.0131."""
    z = np.abs(np.random.default_rng(0).normal(1, 0.1, (SAMPLES, 5)))
    z[:, 2], z[:, 3] = 0.010, 0.030
    slopes = np.ones((SAMPLES, 5))
    slopes[:, 4] = 0.01
    slopes[::2] *= -1  # of either sign: absolute values count
    found = of_z(z, slopes=slopes)
    assert numbers(dormant(found)) == [[2]]
    assert measured("dormant_fraction", found).total == 0.2
    assert numbers(gradient_dormant(found)) == [[4]]
    assert measured("gradient_dormant_fraction", found).total == 0.2
    still = of_z(z, slopes=np.zeros((SAMPLES, 5)))
    assert isinstance(gradient_dormant(still), Undetermined)


def test_where_a_unit_fires() -> None:
    """phi'(z) > 1/2 sup phi', by finite differences of phi on a grid."""
    grid = np.linspace(-6, 6, 240_001)
    functions = {
        "relu": lambda z: torch.relu(z),
        "gelu": torch.nn.functional.gelu,
        "silu": torch.nn.functional.silu,
        "tanh": torch.tanh,
    }
    for name, function in functions.items():
        slopes = np.gradient(function(torch.from_numpy(grid)).numpy(), grid)
        steep = slopes > slopes.max() / 2
        edge = firing_above(name)
        expected = np.abs(grid) < edge if name == "tanh" else grid > edge
        assert (steep != expected).sum() <= 2, name


def test_graph_dead_units_are_those_on_no_path() -> None:
    generator = np.random.default_rng(3)
    some = 0
    for seed in range(20):
        network = build_network(genome(9, [14, 11, 8], 3, 0.15), seed)
        inputs = torch.from_numpy(generator.standard_normal((4, 9))).float()
        found = probe(network, inputs, torch.tensor([0, 1, 2, 0]), 3, path=())
        layers = []
        for layer in found.layers:  # a third of the connections gone
            lists = layer.connections
            kept = generator.random(len(lists.columns)) > 0.4
            pointers = np.concatenate(
                [[0], np.cumsum(np.bincount(lists.rows[kept], minlength=lists.units))]
            )
            thinner = replace(
                lists, row_pointers=pointers.astype(np.int32), columns=lists.columns[kept]
            )
            layers.append(
                replace(
                    layer,
                    connections=thinner,
                    weights=layer.weights[kept],
                    derivatives=layer.derivatives,
                    sampled_derivatives=layer.sampled_derivatives,
                )
            )
        thin = replace(found, layers=tuple(layers))
        graph = nx.DiGraph()
        for depth, layer in enumerate(thin.layers):
            graph.add_nodes_from((depth, one) for one in range(layer.connections.sources))
            pairs = zip(layer.connections.columns, layer.connections.rows, strict=True)
            graph.add_edges_from(((depth, int(a)), (depth + 1, int(b))) for a, b in pairs)
        graph.add_nodes_from(["in", "out"])
        graph.add_edges_from(("in", (0, one)) for one in range(9))
        graph.add_edges_from(((4, one), "out") for one in range(3))
        live = nx.descendants(graph, "in") & nx.ancestors(graph, "out")
        for depth, mask in enumerate(graph_dead(thin), start=1):
            assert [(depth, unit) in live for unit in range(len(mask))] == (~mask).tolist()
            some += int(mask.sum())
    assert some > 50


def test_wilson_bounds_solve_their_equation() -> None:
    """At a bound p the seen share is 1.96 standard errors of p away."""
    shares = np.array([0.0, 0.001, 0.3, 0.5, 0.999, 1.0])
    for samples in (10, 765, 2048):
        for bound in wilson(shares, samples):
            variance = bound * (1 - bound) / samples
            assert np.allclose((bound - shares) ** 2, 1.96**2 * variance, atol=1e-12)


def test_entropy_and_gini_closed_forms() -> None:
    """Rates 1/4 and 3/4 half and half; one unit of four alone; all alike."""
    half = of_z(firing([512, 1536]))
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(2)
    assert measured("activity_entropy", half).total == pytest.approx(expected, abs=1e-9)
    assert measured("activity_gini", half).total == pytest.approx(0.25, abs=1e-9)
    alone = of_z(firing([0, 0, 1000, 0]))
    assert measured("activity_entropy", alone).total == 0.0
    assert measured("activity_gini", alone).total == pytest.approx(0.75, abs=1e-9)
    alike = of_z(firing([700] * 6))
    assert measured("activity_entropy", alike).total == pytest.approx(1.0, abs=1e-9)
    assert measured("activity_gini", alike).total == pytest.approx(0.0, abs=1e-9)
    silent = of_z(firing([0, 0]))
    assert isinstance(measured("activity_entropy", silent).total, Undetermined)
    assert isinstance(measured("activity_gini", silent).total, Undetermined)


def test_gini_is_that_of_all_pairs() -> None:
    values = np.random.default_rng(0).random(40)
    pairs = np.abs(values[:, None] - values[None, :]).sum()
    assert gini(values) == pytest.approx(pairs / (2 * 40**2 * values.mean()), abs=1e-12)


def test_rates_histogram_and_quantiles() -> None:
    found = of_z(firing([0, 100, 1024, 2047, 2048]))
    rates = measured("firing_rate", found)
    assert rates.total == pytest.approx((100 + 1024 + 2047 + 2048) / 5 / 2048)
    histogram = rates.detail["histogram"][0]
    assert [place for place, count in enumerate(histogram) for _ in range(count)] == [
        *(0, 0, 10, 19, 19)
    ]
    assert measured("persistent_fraction", found).total == 0.6
    layer = seen(network_of()).layers[0].activations.double()
    numbers_of_it = measured("activation", seen(network_of()))
    assert numbers_of_it.layers[0] == pytest.approx(float(layer.mean()), rel=1e-6)
    assert numbers_of_it.detail["deviation"][0] == pytest.approx(float(layer.std(correction=0)))
    assert numbers_of_it.detail["max"][0] == float(layer.max())
    for share, value in zip(
        (0.1, 0.25, 0.5, 0.75, 0.9), numbers_of_it.detail["quantiles"][0], strict=True
    ):
        assert float((layer <= value).double().mean()) >= share - 1e-3
        assert float((layer < value).double().mean()) <= share + 1e-3


def test_totals_weigh_layers_by_their_units() -> None:
    found = seen(network_of())
    for name in ("firing_rate", "dead_fraction", "persistent_fraction", "activation"):
        one = measured(name, found)
        assert one.total == pytest.approx((30 * one.layers[0] + 20 * one.layers[1]) / 50)
