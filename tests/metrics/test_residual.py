"""Metrics of networks with residual blocks: signals by autograd, graphs by enumeration."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Activation,
    Normalisation,
    ResizeLayer,
    apply_edit,
)
from structure_net.metrics import (
    METRICS,
    Measurement,
    Probe,
    Undetermined,
    fisher_information,
    probe,
    unit_utilities,
)
from structure_net.metrics.graph import Bundle, graph_of
from structure_net.metrics.percolation import survival
from structure_net.metrics.probe import led_on
from structure_net.metrics.unit_states import graph_dead
from structure_net.networks import Network
from tests.metrics.graphs import every_path
from tests.metrics.test_probe import by_autograd
from tests.networks.reference import genome
from tests.networks.residual import awake, with_blocks

BLOCKS = [(0, "two_layer"), (1, "three_layer"), (1, "two_layer")]
SUMS = (2, 6, 8)  # sparse layers that end a block, of 10


def network_of(
    activation: Activation = "relu",
    normalisation: Normalisation = "none",
    widths: tuple[int, int] = (16, 12),
    density: float = 0.4,
) -> Network:
    plain = genome(20, list(widths), 5, density, activation, normalisation=normalisation)
    if normalisation == "rms":  # whose last units came later and move no scale
        plain = apply_edit(plain, ResizeLayer(layer=1, width=widths[1] + 2))
    return awake(with_blocks(plain, BLOCKS), 3)


def samples(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    inputs = torch.from_numpy(generator.standard_normal((count, 20))).float()
    return inputs, torch.from_numpy(generator.integers(0, 5, count))


def seen(network: Network, count: int = 64) -> Probe:
    return probe(network, *samples(count), 5, path=("test",))


def small() -> Probe:
    """Few enough paths to enumerate."""
    return seen(network_of(widths=(3, 2), density=1e-9))


def measured(name: str, found: Probe) -> Measurement:
    return METRICS.get(name).measure(found)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_signals_are_those_of_autograd(
    activation: Activation, normalisation: Normalisation
) -> None:
    network = network_of(activation, normalisation)
    inputs, labels = samples()
    found = seen(network)
    assert [index for index, layer in enumerate(found.layers) if layer.skip] == list(SUMS)
    assert len(found.hidden) == 6
    assert torch.allclose(found.layers[-1].activations, network(inputs).detach(), atol=1e-5)
    for layer, expected in zip(found.layers, by_autograd(network, inputs, labels), strict=True):
        assert torch.allclose(layer.derivatives, expected, atol=1e-5)
    likely = functional.softmax(network(inputs).detach(), 1)
    squares = [
        [one.square() for one in by_autograd(network, inputs, torch.full((64,), label))]
        for label in range(5)
    ]
    for index, layer in enumerate(found.layers):
        exact = sum(likely[:, c : c + 1] * squares[c][index] for c in range(5))
        lists = layer.connections
        expected = (exact[:, lists.rows] * layer.inputs[:, lists.columns].square()).mean(0)
        mine = torch.from_numpy(fisher_information(found, index, exact=True))
        assert torch.allclose(mine, expected, rtol=1e-3, atol=1e-7)


def test_paths_are_those_of_the_graph() -> None:
    found = small()
    graph = graph_of(found)
    paths = every_path(graph)
    assert measured("path_count", found).total == len(paths)
    assert len(graph.connections) == len(found.layers)
    assert len(graph.bundles) == len(found.layers) + len(SUMS)
    edges, weights = [], []
    for number, bundle in enumerate(graph.bundles):
        edges += [number] * len(bundle.sources)
        weights += bundle.weights.tolist()
        assert bundle.skip == (number in (2, 7, 10))
        assert not bundle.skip or (bundle.weights == 1).all()
    products = [np.prod([weights[edge] for edge in path]) for path in paths]
    assert measured("path_norm", found).total == pytest.approx(sum(products), rel=1e-9)
    on = {edge for path in paths for edge in path}
    effective = measured("effective_connections", found)
    connections = [number for number, one in enumerate(graph.bundles) if not one.skip]
    expected = [sum(edges[edge] == number for edge in on) for number in connections]
    assert list(effective.layers) == expected
    nodes = {node for path in paths for edge in path for node in ends(graph.bundles, edge)}
    useless = [sum(unit not in nodes for unit in layer) for layer in graph.hidden_layers]
    assert list(measured("useless_units", found).layers) == useless
    assert [int(mask.sum()) for mask in graph_dead(found)] == useless


def ends(bundles: tuple[Bundle, ...], edge: int) -> tuple[int, int]:
    for bundle in bundles:
        if edge < len(bundle.sources):
            return int(bundle.sources[edge]), int(bundle.targets[edge])
        edge -= len(bundle.sources)
    raise AssertionError(edge)


def test_a_unit_that_only_its_skip_uses_is_alive_and_one_cut_off_is_not() -> None:
    found = small()
    layer = found.layers[4]  # begins the first block behind the second hidden layer
    silent = replace(layer.connections, columns=np.zeros_like(layer.connections.columns))
    others = [replace(one) for one in found.layers]
    others[4] = replace(layer, connections=silent)
    alive = Probe(tuple(others), found.labels, 5, found.constant_inputs)
    assert not any(mask.any() for mask in graph_dead(alive)[:3])
    last = found.layers[-1]
    others[-1] = replace(
        last, connections=replace(last.connections, columns=np.zeros_like(last.connections.columns))
    )
    cut = Probe(tuple(others), found.labels, 5, found.constant_inputs)
    useless = measured("useless_units", cut).layers
    assert [float(mask.sum()) for mask in graph_dead(cut)] == list(useless)
    assert sum(useless) > 0


def test_connections_go_and_skips_stay() -> None:
    graph = graph_of(small())
    count = sum(len(bundle.sources) for bundle in graph.connections)
    order = np.random.default_rng(1).permutation(count)
    found = survival(graph, order)
    for removed in (0, count // 3, count // 2, count):
        left, first = [], 0
        for bundle in graph.bundles:
            kept = np.ones(len(bundle.sources), dtype=bool)
            if not bundle.skip:
                kept = order[first : first + len(kept)] >= removed
                first += len(kept)
            left.append(
                Bundle(
                    bundle.sources[kept], bundle.targets[kept], bundle.weights[kept], bundle.skip
                )
            )
        less = replace(graph, bundles=tuple(left))
        on = {n for path in every_path(less) for edge in path for n in ends(less.bundles, edge)}
        for node in range(graph.layers[0].stop, graph.nodes):
            assert (found[node] >= removed) == (node in on)


def test_what_leads_on_from_a_unit() -> None:
    found = small()
    graph, skips = graph_of(found), {}
    for bundle in graph.bundles:
        if bundle.skip:
            skips.update(zip(bundle.sources.tolist(), bundle.targets.tolist(), strict=True))

    def out_of(node: int) -> float:
        own = sum(bundle.weights[bundle.sources == node].sum() for bundle in graph.connections)
        return float(own + (out_of(skips[node]) if node in skips else 0.0))

    for index in range(len(found.layers) - 1):
        expected = [out_of(node) for node in graph.layers[index + 1]]
        sizes = found.layers[index].activations.abs().mean(0).numpy()
        assert np.allclose(unit_utilities(found, index), expected * sizes, rtol=1e-5)
    assert all((counts > 0).all() for counts in led_on(found))


def test_every_metric_says_something() -> None:
    """On a network wide enough for all: as many layers as its docstring tells, and plain data."""
    network = network_of("silu", "rms")
    inputs, labels = samples(900)
    found = probe(network, inputs, labels, 5, path=("test",))
    hidden, sparse = len(found.hidden), len(found.layers)
    for name in METRICS:
        one = measured(name, found)
        assert len(one.layers) in (0, hidden, sparse, sparse - 1), name
        json.dumps(dict(one.detail), allow_nan=False)
        if name != "saturated_fraction":  # of tanh alone
            assert not isinstance(one.total, Undetermined), (name, one.total)
