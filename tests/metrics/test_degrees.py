"""Degrees and components against networkx and closed forms."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from structure_net.metrics import Undetermined
from structure_net.metrics.degrees import (
    component_sizes,
    components,
    fan_in_gini,
    fan_in_hubs,
    fan_in_max,
    fan_in_mean,
    fan_in_variation,
    fan_out_gini,
    fan_out_hubs,
    fan_out_max,
    fan_out_mean,
    fan_out_variation,
    hubs,
    largest_component,
    unevenness,
)
from structure_net.metrics.graph import graph_of
from tests.metrics.graphs import directed, fifty_graphs, probe_of, random_probe


def test_degrees_are_those_of_networkx() -> None:
    probe = random_probe([30, 20, 25, 10], 0.3, 2)
    graph = graph_of(probe)
    peer = directed(graph)
    arriving = [np.array([peer.in_degree(v) for v in layer]) for layer in graph.layers[1:]]
    leaving = [np.array([peer.out_degree(v) for v in layer]) for layer in graph.layers[:-1]]
    for mean, most, degrees in (
        (fan_in_mean, fan_in_max, arriving),
        (fan_out_mean, fan_out_max, leaving),
    ):
        assert mean(probe).layers == pytest.approx([one.mean() for one in degrees])
        assert mean(probe).total == pytest.approx(np.concatenate(degrees).mean())
        assert most(probe).layers == tuple(float(one.max()) for one in degrees)
        assert most(probe).total == max(one.max() for one in degrees)
    for spread, degrees in ((fan_in_variation, arriving), (fan_out_variation, leaving)):
        expected = [one.std() / one.mean() for one in degrees]
        assert spread(probe).layers == pytest.approx(expected)
        assert spread(probe).total == pytest.approx(np.mean(expected))
    for spread, degrees in ((fan_in_gini, arriving), (fan_out_gini, leaving)):
        pairs = [np.abs(one[:, None] - one[None, :]).mean() for one in degrees]
        expected = [pair / (2 * one.mean()) for pair, one in zip(pairs, degrees, strict=True)]
        assert spread(probe).layers == pytest.approx(expected, abs=1e-12)


def test_gini_closed_forms() -> None:
    assert unevenness(np.full(7, 3)) == 0.0
    assert unevenness(np.array([0, 0, 0, 12])) == 0.75
    assert unevenness(np.arange(1, 11)) == pytest.approx((10 - 1) / (3 * 10))


def test_planted_hubs_are_found() -> None:
    degrees = np.array([*[5] * 50, 40, 41])
    assert hubs(degrees) == 2.0
    assert hubs(np.array([*[0] * 7, 10])) == 1.0  # 2.6 standard deviations above the mean
    assert hubs(np.array([*[0] * 3, 10])) == 0.0  # 1.7
    matrix = np.eye(20)
    matrix[:, 3] = 1.0
    probe = probe_of([matrix, np.ones((4, 20))])
    assert fan_out_hubs(probe).layers == (1.0, 0.0)
    assert fan_out_hubs(probe).total == 1.0
    assert fan_in_hubs(probe).layers == (0.0, 0.0)


def test_a_layer_without_connections_is_undetermined() -> None:
    probe = probe_of([np.ones((2, 2)), np.zeros((2, 2))])
    for spread in (fan_in_variation, fan_out_gini):
        found = spread(probe)
        assert isinstance(found.total, Undetermined)
        assert found.layers[0] == 0.0
    assert fan_in_mean(probe).layers == (2.0, 0.0)


def test_components_are_those_of_networkx() -> None:
    for graph in fifty_graphs():
        parts = nx.connected_components(directed(graph).to_undirected())
        assert component_sizes(graph).tolist() == sorted(map(len, parts), reverse=True)


def test_components_of_a_network_in_two_pieces() -> None:
    probe = probe_of([np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), np.eye(2)])
    found = components(probe)
    # {inputs 0 1, unit 0, logit 0}, {unit 1, logit 1}, {input 2}
    assert (found.total, found.detail) == (3.0, {"single_nodes": 1})
    assert largest_component(probe).total == pytest.approx(4 / 7)
