"""Small graphs for tests, and what is true of them by enumeration and by networkx."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import networkx as nx
import numpy as np
import torch

from structure_net.metrics import Probe, ProbedLayer
from structure_net.metrics.graph import Bundle, Graph, graph_of
from structure_net.networks import Connections


def layer_of(matrix: np.ndarray, mask: np.ndarray | None = None) -> ProbedLayer:
    """A layer with the connections of `mask`, by default where `matrix` [units, sources] is not 0.
    Its signals are zeros: graph metrics look at none."""
    mask = matrix != 0 if mask is None else mask
    units, sources = matrix.shape
    pointers = np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int32)
    connections = Connections(sources, units, pointers, np.nonzero(mask)[1].astype(np.int32))
    zeros = torch.zeros(1, units)
    return ProbedLayer(
        connections,
        matrix[mask].astype(np.float32),
        np.zeros(units, dtype=np.float32),
        torch.zeros(1, sources),
        *[zeros] * 4,
    )


def probe_of(matrices: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None) -> Probe:
    layers = [
        layer_of(matrix, None if masks is None else masks[index])
        for index, matrix in enumerate(matrices)
    ]
    labels = torch.zeros(1, dtype=torch.long)
    constant = np.zeros(matrices[0].shape[1], dtype=np.bool_)
    return Probe(tuple(layers), labels, matrices[-1].shape[0], constant, seed=3, path=("test",))


def random_probe(widths: Sequence[int], density: float, seed: int) -> Probe:
    """Normal weights in random places; units may be cut off."""
    draw = np.random.default_rng(seed)
    matrices = []
    for sources, units in pairwise(widths):
        alive = draw.random((units, sources)) < density
        matrices.append(np.where(alive, draw.standard_normal((units, sources)), 0.0))
    return probe_of(matrices)


def random_widths(seed: int) -> list[int]:
    draw = np.random.default_rng([seed, 1])
    return draw.integers(1, 6, size=draw.integers(2, 7)).tolist()


def with_skips(graph: Graph, seed: int) -> Graph:
    """The same graph with identity skips between random layers that do not touch."""
    draw = np.random.default_rng([seed, 2])
    bundles: list[Bundle] = []
    for end, bundle in enumerate(graph.bundles, start=1):
        bundles.append(bundle)
        for start in range(end - 1):
            if draw.random() < 0.4:
                count = min(len(graph.layers[start]), len(graph.layers[end]))
                places = np.arange(count)
                first, last = graph.layers[start].start, graph.layers[end].start
                bundles.append(Bundle(first + places, last + places, np.ones(count)))
    return Graph(graph.layers, tuple(bundles))


def fifty_graphs() -> Iterator[Graph]:
    """Random small networks, every one with a chance of skips and of units cut off."""
    for seed in range(50):
        graph = graph_of(random_probe(random_widths(seed), 0.6, seed))
        yield with_skips(graph, seed)


def edges_of(graph: Graph) -> list[tuple[int, int, float]]:
    found = zip(graph.sources, graph.targets, graph.weights, strict=True)
    return [(int(source), int(target), float(weight)) for source, target, weight in found]


def every_path(graph: Graph) -> list[list[int]]:
    """All paths from an input to a logit, each as the places of its edges."""
    edges = edges_of(graph)
    leaving: dict[int, list[int]] = {}
    for place, (source, _, _) in enumerate(edges):
        leaving.setdefault(source, []).append(place)
    finished: list[list[int]] = []
    open_ones = [[place] for node in graph.layers[0] for place in leaving.get(node, [])]
    while open_ones:
        path = open_ones.pop()
        end = edges[path[-1]][1]
        if end in graph.layers[-1]:
            finished.append(path)
        open_ones += [[*path, place] for place in leaving.get(end, [])]
    return finished


def directed(graph: Graph) -> nx.DiGraph:
    made = nx.DiGraph()
    made.add_nodes_from(range(graph.nodes))
    made.add_weighted_edges_from(edges_of(graph))
    return made
