"""How well a network's wiring bears the loss of connections."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from structure_net.metrics.graph import NO_CONNECTION, NO_HIDDEN, Graph, graph_of, led_on
from structure_net.metrics.measurement import Measurement
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe

DRAWS = 5
STEPS = 10  # 0, 10, …, 90 % removed, and 100 %, where nothing is left


def survival(graph: Graph, removed_at: Int[np.ndarray, " edges"]) -> Int[np.ndarray, " nodes"]:
    """How many connections, in the order `removed_at` (0, 1, …), can go before each node is
    useless; -1 for a node that is so from the start.

    A path lasts until the first of its connections goes, a node until its last path does. That
    is a max-min recurrence, so one pass forwards and one backwards give every removal at once.
    """
    places = np.cumsum([0, *(len(bundle.sources) for bundle in graph.connections)])
    always = len(removed_at)
    removals = iter([removed_at[start:stop] for start, stop in pairwise(places)])
    # What leads around a residual block is no connection, and never goes.
    times = [
        np.full(len(bundle.sources), always) if bundle.skip else next(removals)
        for bundle in graph.bundles
    ]
    reached = np.full(graph.nodes, -1, dtype=np.int64)
    reached[graph.inputs] = always
    for bundle, until in zip(graph.bundles, times, strict=True):
        np.maximum.at(reached, bundle.targets, np.minimum(reached[bundle.sources], until))
    reaching = np.full(graph.nodes, -1, dtype=np.int64)
    reaching[graph.logits] = always
    for bundle, until in zip(reversed(graph.bundles), reversed(times), strict=True):
        np.maximum.at(reaching, bundle.sources, np.minimum(reaching[bundle.targets], until))
    return np.minimum(reached, reaching)


def useful_curves(
    graph: Graph, orders: list[Int[np.ndarray, " edges"]]
) -> Float[np.ndarray, "draws steps_plus_1 layers"]:
    """Share of useful units of each hidden layer after 0, 10, …, 100 % of the connections went,
    for each order of removal."""
    curves = np.empty((len(orders), STEPS + 1, len(graph.hidden_layers)))
    for draw, order in enumerate(orders):
        lasting = survival(graph, order)
        for step in range(STEPS + 1):
            removed = (2 * step * len(order) + STEPS) // (2 * STEPS)  # rounded, half up
            for index, layer in enumerate(graph.hidden_layers):
                useful = lasting[layer.start : layer.stop] >= removed
                curves[draw, step, index] = useful.mean()
    return curves


def _curves(probe: Probe) -> Float[np.ndarray, "draws steps_plus_1 layers"]:
    graph = graph_of(probe)
    count = sum(len(bundle.sources) for bundle in graph.connections)
    orders = [probe.draw("percolation", draw).permutation(count) for draw in range(DRAWS)]
    return useful_curves(graph, orders)


def curves_of(probe: Probe) -> Float[np.ndarray, "draws steps_plus_1 layers"]:
    """The curves of `DRAWS` random orders, drawn once a probe."""
    return probe.once("percolation", lambda: _curves(probe))


def areas(curves: Float[np.ndarray, "draws steps_plus_1 *layers"]) -> np.ndarray:
    """Area under each curve by trapezoids, over removed shares 0 to 1: [draws, layers]."""
    return np.asarray((curves[:, 1:] + curves[:, :-1]).sum(axis=1) / (2 * STEPS))


def _over_units(
    probe: Probe, curves: Float[np.ndarray, "draws steps layers"]
) -> Float[np.ndarray, "draws steps"]:
    """From shares of layers to shares of all hidden units."""
    widths = np.array([layer.connections.units for layer in probe.hidden])
    return np.asarray(curves @ (widths / widths.sum()))


@metric("branching", group="graph", unit="connections", low=0, high=None, better=None)
def branching(probe: Probe) -> Measurement:
    """Connections that lead on from where a random connection ends: sum of k q over sum of k.

    k are a hidden unit's incoming, q its outgoing connections, also those behind the residual
    blocks that it is led around. Layers: all sparse layers but the last.
    """
    if len(probe.layers) == 1:
        return Measurement(NO_HIDDEN)
    onward, arriving = [], []
    for layer, fan_out in zip(probe.layers, led_on(probe), strict=False):
        fan_in = layer.connections.fan_in.astype(np.int64)
        onward.append(int(fan_in @ fan_out))
        arriving.append(int(fan_in.sum()))
    layers = tuple(
        count / into if into else NO_CONNECTION
        for count, into in zip(onward, arriving, strict=True)
    )
    total = sum(onward) / sum(arriving) if any(arriving) else NO_CONNECTION
    return Measurement(total, layers)


@metric("useful_after_removal", group="graph", unit="share", low=0, high=1, better="higher")
def useful_after_removal(probe: Probe) -> Measurement:
    """Share of hidden units still on a path after half of all connections went at random.

    Layers: the hidden layers. Mean of 5 draws; the detail has the curve over 0, 10, …, 100 %
    removed, its mean, least and largest value.
    """
    if len(probe.layers) == 1:
        return Measurement(NO_HIDDEN)
    curves = curves_of(probe)
    overall = _over_units(probe, curves)
    half = STEPS // 2
    detail = {
        "removed": [step / STEPS for step in range(STEPS + 1)],
        "useful": overall.mean(axis=0).tolist(),
        "least": overall.min(axis=0).tolist(),
        "largest": overall.max(axis=0).tolist(),
    }
    layers = tuple(curves[:, half].mean(axis=0).tolist())
    return Measurement(float(overall[:, half].mean()), layers, detail)


@metric("robustness", group="graph", unit="share", low=0, high=1, better="higher")
def robustness(probe: Probe) -> Measurement:
    """Area under the share of useful hidden units against the share of connections removed.

    Layers: the hidden layers. Mean of 5 draws; the detail has the standard deviation between them.
    """
    if len(probe.layers) == 1:
        return Measurement(NO_HIDDEN)
    curves = curves_of(probe)
    overall = areas(_over_units(probe, curves))
    layers = tuple(areas(curves).mean(axis=0).tolist())
    return Measurement(float(overall.mean()), layers, {"deviation": float(overall.std(ddof=1))})
