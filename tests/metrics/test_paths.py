"""Path counts, path sums and strongest paths against enumeration of every path."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch

from structure_net.metrics import Undetermined
from structure_net.metrics.graph import Graph, graph_of
from structure_net.metrics.paths import (
    connection_path_share,
    edge_shares,
    path_count,
    path_norm,
    path_sums,
    strongest,
    strongest_paths,
    unit_path_share,
    weighted_connection_path_share,
    weighted_unit_path_share,
)
from tests.metrics.graphs import edges_of, every_path, fifty_graphs, probe_of, random_probe


def test_counts_and_shares_equal_enumeration() -> None:
    nonzero = 0
    for graph in fifty_graphs():
        paths, edges = every_path(graph), edges_of(graph)
        sums = path_sums(graph, weighted=False)
        assert sums.total == len(paths)
        if not paths:
            continue
        nonzero += 1
        through_edges = Counter(place for path in paths for place in path)
        through_nodes = Counter(edges[path[0]][0] for path in paths)
        through_nodes.update(edges[place][1] for path in paths for place in path)
        units = [float(Fraction(through_nodes[v], len(paths))) for v in range(graph.nodes)]
        assert sums.unit_shares.tolist() == units
        carried = np.concatenate(edge_shares(graph, sums, weighted=False))
        expected = [float(Fraction(through_edges[e], len(paths))) for e in range(len(edges))]
        assert carried.tolist() == expected
    assert nonzero > 25


def test_weighted_sums_and_shares_equal_enumeration() -> None:
    for graph in fifty_graphs():
        paths, edges = every_path(graph), edges_of(graph)
        sums = path_sums(graph, weighted=True)
        products = [math.prod(edges[place][2] for place in path) for path in paths]
        assert sums.total == pytest.approx(math.fsum(products), rel=1e-12)
        if not paths:
            continue
        carried = np.zeros(len(edges))
        for path, product in zip(paths, products, strict=True):
            carried[path] += product / sums.total
        found = np.concatenate(edge_shares(graph, sums, weighted=True))
        assert np.allclose(found, carried, rtol=1e-11, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_shares_of_every_cut_sum_to_one(weighted: bool) -> None:
    for graph in fifty_graphs():
        sums = path_sums(graph, weighted=weighted)
        if sums.total == 0:
            continue
        shares = np.concatenate(edge_shares(graph, sums, weighted=weighted))
        for layer in graph.layers[:-1]:
            crossing = (graph.sources < layer.stop) & (graph.targets >= layer.stop)
            assert shares[crossing].sum() == pytest.approx(1.0, abs=1e-12)
        for layer in (graph.layers[0], graph.layers[-1]):
            units = sums.unit_shares[layer.start : layer.stop]
            assert units.sum() == pytest.approx(1.0, abs=1e-12)


def test_counts_stay_exact_where_float64_does_not() -> None:
    """40 full layers of 7 units: 7^41 paths, far above 2^53."""
    probe = probe_of([np.ones((7, 7))] * 40)
    found = path_count(probe)
    assert found.detail["exact"] == str(7**41)
    assert found.total == float(7**41)
    assert unit_path_share(probe).layers == (1 / 7,) * 39
    assert connection_path_share(probe).layers == (1 / 49,) * 40


def test_a_count_above_the_largest_float_is_undetermined_and_its_shares_are_not() -> None:
    probe = probe_of([np.ones((32, 32))] * 210)
    found = path_count(probe)
    assert isinstance(found.total, Undetermined)
    assert found.detail["exact"] == str(32**211)
    assert unit_path_share(probe).total == 1 / 32


def test_path_norm_is_the_r_of_synflow() -> None:
    probe = random_probe([30, 25, 20, 10], 0.3, 4)
    matrices = []
    for layer in probe.layers:
        dense = np.zeros((layer.connections.units, layer.connections.sources))
        dense[layer.connections.rows, layer.connections.columns] = np.abs(layer.weights)
        matrices.append(torch.tensor(dense, dtype=torch.float64, requires_grad=True))
    flow = torch.ones(30, dtype=torch.float64)
    for matrix in matrices:
        flow = matrix @ flow
    r = flow.sum()
    r.backward()
    found = path_norm(probe)
    assert found.total == pytest.approx(float(r.detach()), rel=1e-9)
    graph = graph_of(probe)
    shares = edge_shares(graph, path_sums(graph, weighted=True), weighted=True)
    for matrix, layer, share in zip(matrices, probe.layers, shares, strict=True):
        assert matrix.grad is not None
        score = (matrix.detach() * matrix.grad).numpy()
        rows, columns = layer.connections.rows, layer.connections.columns
        assert np.allclose(share * found.total, score[rows, columns], rtol=1e-9, atol=0)


def enumerated(graph: Graph) -> list[tuple[float, tuple[int, ...]]]:
    edges = edges_of(graph)
    paths = [
        (
            math.prod(edges[place][2] for place in path),
            (edges[path[0]][0], *(edges[place][1] for place in path)),
        )
        for path in every_path(graph)
    ]
    return sorted((path for path in paths if path[0] > 0), key=lambda path: (-path[0], path[1]))


def test_strongest_paths_equal_enumeration() -> None:
    for graph in fifty_graphs():
        found, expected = strongest(graph), enumerated(graph)[:5]
        assert [path.nodes for path in found] == [nodes for _, nodes in expected]
        strengths = [strength for strength, _ in expected]
        assert [path.strength for path in found] == pytest.approx(strengths, rel=1e-12)


def test_equal_paths_come_by_lower_index_at_once() -> None:
    """All 10^21 paths are equal up to rounding; a search that took them up breadth first would not
    come back."""
    graph = graph_of(probe_of([np.full((10, 10), 0.1)] * 20))
    found = strongest(graph)
    assert [path.nodes[-1] - graph.logits.start for path in found] == [0, 1, 2, 3, 4]
    assert all(path.nodes[:-1] == found[0].nodes[:-1] for path in found)
    assert found[0].nodes[:-1] == tuple(range(0, 200, 10))


def test_where_the_strongest_paths_lie() -> None:
    probe = probe_of([np.array([[1.0, 0.0], [0.0, -4.0]]), np.array([[0.5, 0.25], [0.0, 0.0]])])
    found = strongest_paths(probe)
    assert found.detail["paths"] == [
        {"strength": 1.0, "nodes": [[0, 1], [1, 1], [2, 0]]},
        {"strength": 0.5, "nodes": [[0, 0], [1, 0], [2, 0]]},
    ]
    assert found.total == 1.0
    assert weighted_unit_path_share(probe).total == pytest.approx(2 / 3)
    assert weighted_connection_path_share(probe).detail == {"connections": [1, 1]}


def test_without_a_path_sums_are_zero_and_shares_undetermined() -> None:
    probe = probe_of([np.array([[1.0], [0.0]]), np.array([[0.0, 1.0]])])
    assert path_count(probe).total == 0.0
    assert path_norm(probe).total == 0.0
    for share in (unit_path_share, connection_path_share, weighted_unit_path_share):
        assert isinstance(share(probe).total, Undetermined)
    assert isinstance(strongest_paths(probe).total, Undetermined)


def test_weights_that_are_not_finite_or_too_large_are_undetermined() -> None:
    for value, layers in ((np.nan, 1), (np.inf, 2), (1e38, 10)):
        probe = probe_of([np.full((2, 2), value)] * layers)
        assert isinstance(path_norm(probe).total, Undetermined)
        assert isinstance(weighted_connection_path_share(probe).total, Undetermined)
        assert isinstance(strongest_paths(probe).total, Undetermined)
        assert path_count(probe).total == 2.0 ** (layers + 1)


def test_a_network_without_hidden_layers_has_connection_shares_only() -> None:
    probe = probe_of([np.ones((2, 3))])
    assert isinstance(unit_path_share(probe).total, Undetermined)
    assert connection_path_share(probe).total == 1 / 6
