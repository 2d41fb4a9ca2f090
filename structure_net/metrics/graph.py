"""A network as a directed acyclic graph, and which of its parts lie on a way from input to logit.

Every quantity of the graph family is a recurrence over bundles of edges in topological order, so
none of them knows what made an edge: it costs one look at each edge, O(connections).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from structure_net.metrics.measurement import Measurement, Undetermined
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe

BITS = 64
NO_CONNECTION = Undetermined("the layer has no connection")
NO_HIDDEN = Undetermined("the network has no hidden layer")


@dataclass(frozen=True)
class Bundle:
    """Edges that are followed in one step: none leads into a source of another of them.

    Those of a `skip` lead around a residual block to its sums, with weight 1; all others are
    connections.
    """

    sources: Int[np.ndarray, " edges"]
    targets: Int[np.ndarray, " edges"]
    weights: Float[np.ndarray, " edges"]  # |w|, float64
    skip: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes, numbered from the inputs to the logits, and edges in topological order.

    `layers` are the node numbers of the inputs and of what each sparse layer gives, the logits
    last; `sums` are the numbers of those that end residual blocks, whose nodes are no units. A
    bundle stands after every bundle that leads into one of its sources.
    """

    layers: tuple[range, ...]
    bundles: tuple[Bundle, ...]
    sums: frozenset[int] = frozenset()

    @property
    def nodes(self) -> int:
        return self.layers[-1].stop

    @property
    def inputs(self) -> slice:
        return slice(0, self.layers[0].stop)

    @property
    def logits(self) -> slice:
        return slice(self.layers[-1].start, self.nodes)

    @property
    def hidden_layers(self) -> tuple[range, ...]:
        """The hidden units of each hidden layer."""
        between = enumerate(self.layers[1:-1], 1)
        return tuple(layer for number, layer in between if number not in self.sums)

    @property
    def connections(self) -> tuple[Bundle, ...]:
        """The bundle of each sparse layer."""
        return tuple(bundle for bundle in self.bundles if not bundle.skip)

    @property
    def sources(self) -> Int[np.ndarray, " edges"]:
        return np.concatenate([bundle.sources for bundle in self.bundles])

    @property
    def targets(self) -> Int[np.ndarray, " edges"]:
        return np.concatenate([bundle.targets for bundle in self.bundles])

    @property
    def weights(self) -> Float[np.ndarray, " edges"]:
        return np.concatenate([bundle.weights for bundle in self.bundles])


@dataclass(frozen=True)
class Reach:
    """Which nodes an input reaches, and which reach a logit; a node is its own way to itself."""

    from_inputs: Bool[np.ndarray, " nodes"]
    to_logits: Bool[np.ndarray, " nodes"]

    @property
    def useful(self) -> Bool[np.ndarray, " nodes"]:
        """Nodes on some path from an input to a logit."""
        both: np.ndarray = self.from_inputs & self.to_logits
        return both


def graph_of(probe: Probe) -> Graph:
    """The graph of a probed network, made once a probe."""
    return probe.once("graph", lambda: _graph(probe))


def reach_of(probe: Probe) -> Reach:
    """What is reachable in a probed network, found once a probe."""
    return probe.once("graph reach", lambda: reach(graph_of(probe)))


def _graph(probe: Probe) -> Graph:
    widths = [probe.layers[0].connections.sources]
    widths += [layer.connections.units for layer in probe.layers]
    ends = np.cumsum([0, *widths]).tolist()
    layers = tuple(range(start, stop) for start, stop in pairwise(ends))
    bundles = []
    for index, layer in enumerate(probe.layers):
        lists = layer.connections
        if layer.skip:
            units, entered = np.arange(lists.units), ends[index + 1 - layer.skip]
            ones = np.ones(lists.units)
            bundles.append(Bundle(units + entered, units + ends[index + 1], ones, skip=True))
        bundles.append(
            Bundle(
                lists.columns + np.int64(ends[index]),
                lists.rows + np.int64(ends[index + 1]),
                np.abs(layer.weights.astype(np.float64)),
            )
        )
    sums = frozenset(index + 1 for index, layer in enumerate(probe.layers) if layer.skip)
    return Graph(layers, tuple(bundles), sums)


def led_on(probe: Probe, weights: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """For each sparse layer but the last, connections out of what each of its units gives, also
    those out of the sums of residual blocks behind it; with `weights`, one for each connection of
    each layer, their sums."""
    around, found = probe.around, dict[int, np.ndarray]()
    for index in reversed(range(len(probe.layers) - 1)):
        lists = probe.layers[index + 1].connections
        own = None if weights is None else weights[index + 1]
        found[index] = np.bincount(lists.columns, weights=own, minlength=lists.sources)
        if index in around:
            found[index] = found[index] + found[around[index]]
    return [found[index] for index in range(len(found))]


def weights_finite(graph: Graph) -> Undetermined | None:
    """Why nothing can be said of the weights; None where all are finite."""
    if all(bool(np.isfinite(bundle.weights).all()) for bundle in graph.bundles):
        return None
    return Undetermined("a weight is not finite")


def lost_by_layer(reason: Undetermined, layers: int) -> Measurement:
    """A measurement that failed for the network and so for each of its layers."""
    return Measurement(reason, (reason,) * layers)


def reach(graph: Graph) -> Reach:
    """Follow every edge once forwards and once backwards."""
    from_inputs = np.zeros(graph.nodes, dtype=np.bool_)
    from_inputs[graph.inputs] = True
    for bundle in graph.bundles:
        from_inputs[bundle.targets[from_inputs[bundle.sources]]] = True
    to_logits = np.zeros(graph.nodes, dtype=np.bool_)
    to_logits[graph.logits] = True
    for bundle in reversed(graph.bundles):
        to_logits[bundle.sources[to_logits[bundle.targets]]] = True
    return Reach(from_inputs, to_logits)


def receptive_fields(graph: Graph) -> Int[np.ndarray, " logits"]:
    """How many inputs reach each logit.

    The set of logits that a node reaches is a word of 64 bits, so 64 logits cost one pass.
    """
    logits, inputs = graph.layers[-1], len(graph.layers[0])
    counts = np.zeros(len(logits), dtype=np.int64)
    for first in range(0, len(logits), BITS):
        count = min(BITS, len(logits) - first)
        reached = np.zeros(graph.nodes, dtype=np.uint64)
        marks = np.arange(count, dtype=np.uint64)
        reached[logits.start + first : logits.start + first + count] = np.uint64(1) << marks
        for bundle in reversed(graph.bundles):
            np.bitwise_or.at(reached, bundle.sources, reached[bundle.targets])
        seen = (reached[:inputs, None] >> marks[None, :]) & np.uint64(1)
        counts[first : first + count] = seen.sum(axis=0)
    return counts


@metric(
    "useless_units", group="graph", unit="units", low=0, high=None, better="lower", level="light"
)
def useless_units(probe: Probe) -> Measurement:
    """Hidden units that no input reaches or that reach no logit.

    Layers: the hidden layers. Undetermined without a hidden layer.
    """
    graph, found = graph_of(probe), reach_of(probe)
    if len(graph.layers) == 2:
        return Measurement(NO_HIDDEN)
    layers = [float((~found.useful[list(layer)]).sum()) for layer in graph.hidden_layers]
    hidden = np.concatenate(graph.hidden_layers)
    return Measurement(
        sum(layers),
        tuple(layers),
        {
            "share": sum(layers) / len(hidden),
            "not_reached": int((~found.from_inputs[hidden]).sum()),
            "not_reaching": int((~found.to_logits[hidden]).sum()),
        },
    )


@metric(
    "effective_connections",
    group="graph",
    unit="connections",
    low=0,
    high=None,
    better=None,
    level="light",
)
def effective_connections(probe: Probe) -> Measurement:
    """Connections that lie on some path from an input to a logit.

    Layers: all sparse layers.
    """
    graph, found = graph_of(probe), reach_of(probe)
    counts = [
        float((found.from_inputs[bundle.sources] & found.to_logits[bundle.targets]).sum())
        for bundle in graph.connections
    ]
    possible = sum(len(bundle.sources) for bundle in graph.connections)
    share = sum(counts) / possible if possible else None
    return Measurement(sum(counts), tuple(counts), {"share": share})


@metric(
    "unused_inputs", group="graph", unit="inputs", low=0, high=None, better="lower", level="light"
)
def unused_inputs(probe: Probe) -> Measurement:
    """Inputs of the network that reach no logit.

    No layers.
    """
    graph, found = graph_of(probe), reach_of(probe)
    unused = int((~found.to_logits[graph.inputs]).sum())
    return Measurement(float(unused), (), {"share": unused / len(graph.layers[0])})


@metric(
    "receptive_field",
    group="graph",
    unit="inputs",
    low=0,
    high=None,
    better="higher",
    level="light",
)
def receptive_field(probe: Probe) -> Measurement:
    """Inputs that reach a logit, on average over the logits.

    No layers; the detail has the count of each logit.
    """
    graph = graph_of(probe)
    counts = receptive_fields(graph)
    share = float(counts.mean()) / len(graph.layers[0])
    return Measurement(float(counts.mean()), (), {"inputs": counts.tolist(), "share": share})
