"""How connections are spread over units, and into how many pieces the network falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from structure_net.metrics.activity import gini
from structure_net.metrics.graph import NO_CONNECTION, Graph, graph_of
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe

Degrees = Int[np.ndarray, " _"]  # layers differ in length


def fan_ins(probe: Probe) -> list[Degrees]:
    """Connections into each unit, by sparse layer."""
    return [layer.connections.fan_in for layer in probe.layers]


def fan_outs(probe: Probe) -> list[Degrees]:
    """Connections out of each source, by sparse layer; unused sources count with 0."""
    return [layer.connections.fan_out for layer in probe.layers]


def variation(degrees: Degrees) -> Value:
    """Standard deviation (population) over mean."""
    return float(degrees.std() / degrees.mean()) if degrees.any() else NO_CONNECTION


def unevenness(degrees: Degrees) -> Value:
    """Gini coefficient: 0 where all are equal, 1 - 1/n where one has everything."""
    return gini(degrees.astype(np.float64)) if degrees.any() else NO_CONNECTION


def hubs(degrees: Degrees) -> Value:
    """How many lie above mean + 2 standard deviations."""
    return float((degrees > degrees.mean() + 2 * degrees.std()).sum())


def _spread(
    degrees: list[Degrees],
    statistic: Callable[[Degrees], Value],
    total: Callable[[Sequence[float]], float],
) -> Measurement:
    """The statistic of each layer, and what `total` makes of them."""
    layers = tuple(statistic(one) for one in degrees)
    numbers = [value for value in layers if not isinstance(value, Undetermined)]
    if len(numbers) < len(layers):
        return Measurement(NO_CONNECTION, layers)
    return Measurement(total(numbers), layers)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _average(degrees: list[Degrees]) -> Measurement:
    """Mean of each layer; in total over the nodes of all layers."""
    layers = tuple(float(one.mean()) for one in degrees)
    return Measurement(float(np.concatenate(degrees).mean()), layers)


@metric("fan_in_mean", group="graph", unit="connections", low=0, high=None, better=None)
def fan_in_mean(probe: Probe) -> Measurement:
    """Mean number of connections into a unit.

    Layers: all sparse layers; in total over all units.
    """
    return _average(fan_ins(probe))


@metric("fan_out_mean", group="graph", unit="connections", low=0, high=None, better=None)
def fan_out_mean(probe: Probe) -> Measurement:
    """Mean number of connections out of a source.

    Layers: all sparse layers; in total over all sources.
    """
    return _average(fan_outs(probe))


@metric("fan_in_max", group="graph", unit="connections", low=0, high=None, better=None)
def fan_in_max(probe: Probe) -> Measurement:
    """Most connections into one unit.

    Layers: all sparse layers; the total is the largest.
    """
    return _spread(fan_ins(probe), lambda one: float(one.max()), max)


@metric("fan_out_max", group="graph", unit="connections", low=0, high=None, better=None)
def fan_out_max(probe: Probe) -> Measurement:
    """Most connections out of one source.

    Layers: all sparse layers; the total is the largest.
    """
    return _spread(fan_outs(probe), lambda one: float(one.max()), max)


@metric("fan_in_variation", group="graph", unit="ratio", low=0, high=None, better=None)
def fan_in_variation(probe: Probe) -> Measurement:
    """Coefficient of variation of the connections into the units of a layer.

    Layers: all sparse layers; the total is their mean.
    """
    return _spread(fan_ins(probe), variation, _mean)


@metric("fan_out_variation", group="graph", unit="ratio", low=0, high=None, better=None)
def fan_out_variation(probe: Probe) -> Measurement:
    """Coefficient of variation of the connections out of the sources of a layer.

    Layers: all sparse layers; the total is their mean.
    """
    return _spread(fan_outs(probe), variation, _mean)


@metric("fan_in_gini", group="graph", unit="share", low=0, high=1, better=None)
def fan_in_gini(probe: Probe) -> Measurement:
    """Gini coefficient of the connections into the units of a layer.

    Layers: all sparse layers; the total is their mean.
    """
    return _spread(fan_ins(probe), unevenness, _mean)


@metric("fan_out_gini", group="graph", unit="share", low=0, high=1, better=None)
def fan_out_gini(probe: Probe) -> Measurement:
    """Gini coefficient of the connections out of the sources of a layer.

    Layers: all sparse layers; the total is their mean.
    """
    return _spread(fan_outs(probe), unevenness, _mean)


@metric("fan_in_hubs", group="graph", unit="units", low=0, high=None, better=None)
def fan_in_hubs(probe: Probe) -> Measurement:
    """Units with more incoming connections than their layer's mean + 2 standard deviations.

    Layers: all sparse layers; the total is their sum.
    """
    return _spread(fan_ins(probe), hubs, sum)


@metric("fan_out_hubs", group="graph", unit="sources", low=0, high=None, better=None)
def fan_out_hubs(probe: Probe) -> Measurement:
    """Sources with more outgoing connections than their layer's mean + 2 standard deviations.

    Layers: all sparse layers; the total is their sum.
    """
    return _spread(fan_outs(probe), hubs, sum)


def component_sizes(graph: Graph) -> Int[np.ndarray, " components"]:
    """Nodes of each connected part of the undirected graph, largest first."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    sources = graph.sources
    edges = csr_array(
        (np.ones(len(sources), dtype=np.int8), (sources, graph.targets)),
        shape=(graph.nodes, graph.nodes),
    )
    _, labels = connected_components(edges, directed=False)
    return np.sort(np.bincount(labels))[::-1]


def _sizes(probe: Probe) -> Int[np.ndarray, " components"]:
    return probe.once("graph components", lambda: component_sizes(graph_of(probe)))


@metric("components", group="graph", unit="components", low=1, high=None, better="lower")
def components(probe: Probe) -> Measurement:
    """Connected parts of the undirected graph of inputs, hidden units and logits.

    No layers. A node without a connection is a part of its own; the detail counts those.
    """
    sizes = _sizes(probe)
    return Measurement(float(len(sizes)), (), {"single_nodes": int((sizes == 1).sum())})


@metric("largest_component", group="graph", unit="share", low=0, high=1, better="higher")
def largest_component(probe: Probe) -> Measurement:
    """Share of all nodes that lie in the largest connected part.

    No layers.
    """
    sizes = _sizes(probe)
    return Measurement(float(sizes[0] / sizes.sum()), (), {"nodes": int(sizes[0])})
