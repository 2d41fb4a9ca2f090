"""What can be reached, against networkx."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
import pytest

from structure_net.metrics import METRICS, Probe, Undetermined
from structure_net.metrics.graph import (
    effective_connections,
    graph_of,
    reach,
    reach_of,
    receptive_field,
    receptive_fields,
    unused_inputs,
    useless_units,
)
from tests.metrics.graphs import (
    directed,
    fifty_graphs,
    probe_of,
    random_probe,
    random_widths,
    with_skips,
)

FAMILY = ("graph", "paths", "degrees", "percolation", "spectrum", "layer_spectrum")


def test_what_is_reached_is_what_networkx_reaches() -> None:
    for graph in fifty_graphs():
        peer, found = directed(graph), reach(graph)
        forwards = set(graph.layers[0]).union(*(nx.descendants(peer, i) for i in graph.layers[0]))
        backwards = set(graph.layers[-1]).union(*(nx.ancestors(peer, i) for i in graph.layers[-1]))
        assert set(np.flatnonzero(found.from_inputs)) == forwards
        assert set(np.flatnonzero(found.to_logits)) == backwards
        fields = [len(nx.ancestors(peer, i) & set(graph.layers[0])) for i in graph.layers[-1]]
        assert receptive_fields(graph).tolist() == fields


def test_receptive_fields_of_more_logits_than_a_word_has_bits() -> None:
    probe = random_probe([7, 9, 150], 0.2, 5)
    reached = (probe_matrix(probe, 1) @ probe_matrix(probe, 0) > 0).sum(1)
    found = receptive_field(probe)
    assert found.detail["inputs"] == reached.tolist()
    assert found.total == pytest.approx(reached.mean())


def probe_matrix(probe: Probe, index: int) -> np.ndarray:
    lists = probe.layers[index].connections
    matrix = np.zeros((lists.units, lists.sources))
    matrix[lists.rows, lists.columns] = 1.0
    return matrix


def test_counts_of_a_network_with_known_gaps() -> None:
    # Unit 1 of the first hidden layer has no source, unit 2 no consumer; input 2 feeds unit 2 only.
    first = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 1.0]])
    second = np.array([[1.0, 1.0, 0.0], [3.0, 0.0, 0.0]])
    probe = probe_of([first, second])
    useless = useless_units(probe)
    assert (useless.total, useless.layers) == (2.0, (2.0,))
    assert useless.detail == {"share": 2 / 3, "not_reached": 1, "not_reaching": 1}
    effective = effective_connections(probe)
    assert (effective.total, effective.layers) == (4.0, (2.0, 2.0))
    assert effective.detail["share"] == pytest.approx(4 / 7)
    assert unused_inputs(probe).total == 1.0


def test_a_connection_of_weight_zero_is_a_connection() -> None:
    matrices = [np.zeros((2, 3)), np.zeros((2, 2))]
    probe = probe_of(matrices, [np.ones((2, 3), np.bool_), np.ones((2, 2), np.bool_)])
    assert useless_units(probe).total == 0.0
    assert effective_connections(probe).total == 10.0


def test_a_skip_rescues_a_unit_without_connections() -> None:
    cut = probe_of([np.ones((2, 2)), np.zeros((2, 2)), np.ones((2, 2))])
    graph = graph_of(cut)
    assert not reach(graph).useful.any()
    for seed in range(20):
        skipped = with_skips(graph, seed)
        if len(skipped.bundles) > len(graph.bundles):
            assert reach(skipped).useful.any()


def test_no_hidden_layer_is_undetermined() -> None:
    probe = probe_of([np.ones((2, 3))])
    assert isinstance(useless_units(probe).total, Undetermined)
    assert unused_inputs(probe).total == 0.0


def test_every_number_is_within_its_declared_range() -> None:
    names = [name for name in METRICS if module_of(name) in FAMILY]
    assert len(names) == 33
    for seed in range(20):
        probe = random_probe(random_widths(seed), 0.5, seed)
        for name in names:
            one = METRICS.get(name)
            found = one.measure(probe)
            for value in (found.total, *found.layers):
                if not isinstance(value, Undetermined):
                    assert one.low is None or value >= one.low, (name, value)
                    assert one.high is None or value <= one.high, (name, value)


def module_of(name: str) -> str:
    return METRICS.get(name).measure.__module__.rpartition(".")[2]


def test_reach_is_found_once() -> None:
    probe = random_probe([4, 4, 4], 0.5, 0)
    assert reach_of(probe) is reach_of(probe)


def test_the_light_graph_metrics_need_no_scipy() -> None:
    """A training worker that measures the light set only must not pay scipy's import."""
    code = f"""
import sys
from structure_net.metrics import METRICS
from tests.metrics.graphs import random_probe
probe = random_probe([5, 6, 3], 0.5, 0)
sys.modules["scipy"] = None  # any import of it now fails
for one in (METRICS.get(name) for name in METRICS):
    if one.level == "light" and one.measure.__module__.rpartition(".")[2] in {FAMILY!r}:
        one.measure(probe)
        print(one.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {
        "useless_units",
        "effective_connections",
        "unused_inputs",
        "receptive_field",
    }
