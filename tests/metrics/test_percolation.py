"""Removing connections, against removing them one by one."""

from __future__ import annotations

import numpy as np
import pytest

from structure_net.metrics import Undetermined
from structure_net.metrics.graph import Bundle, Graph, graph_of, reach, useless_units
from structure_net.metrics.percolation import (
    branching,
    robustness,
    survival,
    useful_after_removal,
    useful_curves,
)
from tests.metrics.graphs import fifty_graphs, probe_of, random_probe


def without(graph: Graph, order: np.ndarray, removed: int) -> Graph:
    """The graph after the first `removed` connections of the order went."""
    bundles, start = [], 0
    for bundle in graph.bundles:
        kept = order[start : start + len(bundle.sources)] >= removed
        start += len(bundle.sources)
        edges = (bundle.sources[kept], bundle.targets[kept], bundle.weights[kept])
        bundles.append(Bundle(*edges))
    return Graph(graph.layers, tuple(bundles))


def test_survival_equals_removing_one_by_one() -> None:
    for seed, graph in enumerate(fifty_graphs()):
        count = len(graph.sources)
        order = np.random.default_rng(seed).permutation(count)
        lasting = survival(graph, order)
        for removed in range(count + 1):
            useful = reach(without(graph, order, removed)).useful
            hidden = [unit for layer in graph.hidden_layers for unit in layer]
            assert ((lasting >= removed) == useful)[hidden].all()


def test_curves_count_the_useful_units_of_each_layer() -> None:
    graph = graph_of(random_probe([20, 15, 10, 5], 0.3, 1))
    count = len(graph.sources)
    order = np.random.default_rng(0).permutation(count)
    curve = useful_curves(graph, [order])[0]
    for step in range(11):
        useful = reach(without(graph, order, int(step / 10 * count + 0.5))).useful
        shares = [useful[layer.start : layer.stop].mean() for layer in graph.layers[1:-1]]
        assert curve[step].tolist() == pytest.approx(shares)


def test_nothing_removed_and_everything_removed() -> None:
    probe = random_probe([20, 15, 10, 5], 0.15, 1)
    useless = useless_units(probe).total
    assert useless > 0
    found = useful_after_removal(probe)
    assert found.detail["useful"][0] == pytest.approx(1 - useless / 25)
    assert found.detail["useful"][-1] == 0.0
    assert found.total == found.detail["useful"][5]
    assert np.all(np.diff(found.detail["useful"]) <= 0)
    assert len(found.layers) == len(robustness(probe).layers) == 2


def test_robustness_of_one_chain() -> None:
    """Two connections: both are there up to 20 % removed, so the area is 0.2 + 0.1 / 2."""
    probe = probe_of([np.ones((1, 1)), np.ones((1, 1))])
    found = robustness(probe)
    assert found.total == pytest.approx(0.25)
    assert found.layers == pytest.approx((0.25,))
    assert found.detail == {"deviation": 0.0}


def test_robustness_is_the_area_under_the_curve() -> None:
    probe = random_probe([40, 30, 20, 5], 0.3, 1)
    curve = useful_after_removal(probe).detail
    assert robustness(probe).total == pytest.approx(np.trapezoid(curve["useful"], curve["removed"]))


def test_branching_of_constant_degree_layers_is_the_fan_out() -> None:
    ring = sum(np.roll(np.eye(12), shift, axis=1) for shift in range(4))
    probe = probe_of([np.ones((12, 5)), ring, np.ones((3, 12))])
    assert branching(probe).layers == (4.0, 3.0)


def test_branching_weighs_by_incoming_connections() -> None:
    probe = random_probe([10, 12, 6], 0.4, 0)
    fan_in, fan_out = probe.layers[0].connections.fan_in, probe.layers[1].connections.fan_out
    ends = [q for k, q in zip(fan_in, fan_out, strict=True) for _ in range(k)]
    assert branching(probe).total == pytest.approx(np.mean(ends))


def test_draws_belong_to_the_probe_alone() -> None:
    first, second = (random_probe([40, 30, 5], 0.2, 1) for _ in range(2))
    assert useful_after_removal(first) == useful_after_removal(second)


def test_without_hidden_units_or_connections_undetermined() -> None:
    for metric in (branching, useful_after_removal, robustness):
        assert isinstance(metric(probe_of([np.ones((2, 3))])).total, Undetermined)
    empty = probe_of([np.zeros((2, 3)), np.ones((2, 2))])
    assert isinstance(branching(empty).total, Undetermined)
    assert robustness(empty).total == 0.0
