"""Paths from input to logit: how many, through what, how strong.

F_v is the sum over the paths from any input to node v, B_v over those from v to any logit: of 1
for counts, of the product of |w| for weights. The paths through v are then F_v B_v.
"""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from structure_net.metrics.graph import NO_HIDDEN, Graph, graph_of, lost_by_layer, weights_finite
from structure_net.metrics.measurement import Measurement, Undetermined
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe

STRONGEST = 5


@dataclass(frozen=True)
class PathSums:
    """F and B of each node and the total over all paths.

    Counts are Python integers in arrays of objects, exact at any size: 20 layers of 100 connections
    a unit have 10^40 paths, and float64 is exact to 10^16 only. Weighted sums are float64; all
    terms are positive, so nothing cancels and the relative error stays near 1e-14.
    """

    forward: np.ndarray  # [nodes], F
    backward: np.ndarray  # [nodes], B
    total: Any  # int for counts, float for weights

    @property
    def unit_shares(self) -> Float[np.ndarray, " nodes"]:
        """The share of all paths that pass through each node: F_v B_v / total."""
        shares = self.forward * self.backward / self.total
        return np.asarray(shares, dtype=np.float64)


def path_sums(graph: Graph, *, weighted: bool) -> PathSums:
    """One pass along the edges, one against them."""
    forward = np.zeros(graph.nodes, dtype=np.float64 if weighted else object)
    forward[graph.inputs] = 1
    for bundle in graph.bundles:
        arriving = forward[bundle.sources]
        np.add.at(forward, bundle.targets, arriving * bundle.weights if weighted else arriving)
    backward = np.zeros_like(forward)
    backward[graph.logits] = 1
    for bundle in reversed(graph.bundles):
        leaving = backward[bundle.targets]
        np.add.at(backward, bundle.sources, leaving * bundle.weights if weighted else leaving)
    return PathSums(forward, backward, forward[graph.logits].sum())


def edge_shares(graph: Graph, sums: PathSums, *, weighted: bool) -> list[np.ndarray]:
    """The share of all paths that each connection carries, by sparse layer: F_u |w| B_v / total,
    for counts without |w|; float64."""
    shares = []
    for bundle in graph.connections:
        carried = sums.forward[bundle.sources] * sums.backward[bundle.targets]
        if weighted:
            carried *= bundle.weights
        shares.append(np.asarray(carried / sums.total, dtype=np.float64))
    return shares


@dataclass(frozen=True)
class StrongPath:
    """A path by its node numbers, and the product of its |w|."""

    nodes: tuple[int, ...]
    strength: float


def strongest(graph: Graph, count: int = STRONGEST) -> list[StrongPath]:
    """The `count` paths with the largest product of |w|, strongest first, those above 0 only.

    A max-product recurrence gives each node the best product from it to a logit. With it the best
    way on from any beginning is known, so beginnings are taken up best first. An edge is worth
    |w| best(v) / best(u), which is at most 1 and exactly 1 on the best way on: the worth of a
    beginning never grows, and `count` paths need `count` times their length steps. Among equals
    the longer beginning comes first, then the lower node numbers.
    """
    best = np.zeros(graph.nodes)
    best[graph.logits] = 1.0
    for bundle in reversed(graph.bundles):
        np.maximum.at(best, bundle.sources, bundle.weights * best[bundle.targets])
    sources, targets, weights = graph.sources, graph.targets, graph.weights
    roots = _leading(best[graph.inputs], count)
    waiting: list[tuple[float, int, tuple[int, ...], float]]
    waiting = [(-float(best[root]), -1, (root,), 1.0) for root in roots]
    heapq.heapify(waiting)
    found: list[StrongPath] = []
    while waiting and len(found) < count:
        worth, length, nodes, strength = heapq.heappop(waiting)
        last = nodes[-1]
        if last >= graph.logits.start:
            found.append(StrongPath(nodes, strength))
            continue
        edges = np.flatnonzero(sources == last)
        edges = edges[np.argsort(targets[edges])]
        kept = weights[edges] * best[targets[edges]] / best[last]
        for place in _leading(kept, count):
            edge = edges[place]
            onward = (*nodes, int(targets[edge]))
            product = strength * float(weights[edge])
            heapq.heappush(waiting, (worth * float(kept[place]), length - 1, onward, product))
    return sorted(found, key=lambda path: (-path.strength, path.nodes))


def _leading(values: Float[np.ndarray, " n"], count: int) -> list[int]:
    """Places of the largest values above 0, at most `count`, equal ones by place."""
    places = np.argsort(-values, kind="stable")[:count]
    return [int(place) for place in places if values[place] > 0]


def weighted_sums_of(probe: Probe) -> PathSums | Undetermined:
    """F, B and total with |w|, summed once a probe; total is the path norm, SynFlow's R."""
    return probe.once("path sums weighted", lambda: _weighted_sums(graph_of(probe)))


def counts_of(probe: Probe) -> PathSums:
    """F, B and total as numbers of paths, counted once a probe."""
    return probe.once("path sums", lambda: path_sums(graph_of(probe), weighted=False))


def _weighted_sums(graph: Graph) -> PathSums | Undetermined:
    lost = weights_finite(graph)
    if lost is not None:
        return lost
    with np.errstate(over="ignore", invalid="ignore"):
        sums = path_sums(graph, weighted=True)
    if not bool(np.isfinite(sums.forward).all() and np.isfinite(sums.backward).all()):
        return Undetermined("a sum over paths is above the largest float64")
    return sums


@metric("path_count", group="graph", unit="paths", low=0, high=None, better=None)
def path_count(probe: Probe) -> Measurement:
    """Paths from an input to a logit.

    No layers; the detail has the exact count as text.
    """
    total = counts_of(probe).total
    detail = {"exact": str(total)}
    if total > int(sys.float_info.max):
        return Measurement(Undetermined("the count is above the largest float64"), (), detail)
    return Measurement(float(total), (), detail)


@metric("path_norm", group="graph", unit="ratio", low=0, high=None, better=None)
def path_norm(probe: Probe) -> Measurement:
    """Sum over all paths of the product of |w|: the R of SynFlow (Tanaka et al. 2020).

    No layers: each layer's sum over its connections is the same number.
    """
    sums = weighted_sums_of(probe)
    return Measurement(sums if isinstance(sums, Undetermined) else float(sums.total))


@metric("unit_path_share", group="graph", unit="share", low=0, high=1, better="lower")
def unit_path_share(probe: Probe) -> Measurement:
    """Largest share of all paths that pass through one hidden unit.

    Layers: the hidden layers; the detail has the unit of each.
    """
    return _largest_unit(graph_of(probe), counts_of(probe))


@metric("weighted_unit_path_share", group="graph", unit="share", low=0, high=1, better="lower")
def weighted_unit_path_share(probe: Probe) -> Measurement:
    """Largest share of the path norm that passes through one hidden unit.

    Layers: the hidden layers; the detail has the unit of each.
    """
    return _largest_unit(graph_of(probe), weighted_sums_of(probe))


@metric("connection_path_share", group="graph", unit="share", low=0, high=1, better="lower")
def connection_path_share(probe: Probe) -> Measurement:
    """Largest share of all paths that one connection carries.

    Layers: all sparse layers; the detail has the connection's place in the list of each.
    """
    return _largest_edge(graph_of(probe), counts_of(probe), weighted=False)


@metric(
    "weighted_connection_path_share", group="graph", unit="share", low=0, high=1, better="lower"
)
def weighted_connection_path_share(probe: Probe) -> Measurement:
    """Largest share of the path norm that one connection carries.

    Layers: all sparse layers; the detail has the connection's place in the list of each.
    """
    return _largest_edge(graph_of(probe), weighted_sums_of(probe), weighted=True)


def _largest_unit(graph: Graph, sums: PathSums | Undetermined) -> Measurement:
    if len(graph.layers) == 2:
        return Measurement(NO_HIDDEN)
    if isinstance(sums, Undetermined):
        return lost_by_layer(sums, len(graph.hidden_layers))
    if not sums.total > 0:
        return lost_by_layer(_NO_PATH, len(graph.hidden_layers))
    shares = sums.unit_shares
    return _largest([shares[layer.start : layer.stop] for layer in graph.hidden_layers], "units")


def _largest_edge(graph: Graph, sums: PathSums | Undetermined, *, weighted: bool) -> Measurement:
    if isinstance(sums, Undetermined):
        return lost_by_layer(sums, len(graph.connections))
    if not sums.total > 0:
        return lost_by_layer(_NO_PATH, len(graph.connections))
    return _largest(edge_shares(graph, sums, weighted=weighted), "connections")


_NO_PATH = Undetermined("no path of a weight above 0 leads from an input to a logit")


def _largest(shares: list[np.ndarray], where: str) -> Measurement:
    # A share is at most 1; rounding may lift that of a bottleneck by one bit.
    layers = tuple(min(1.0, float(one.max(initial=0.0))) for one in shares)
    return Measurement(max(layers), layers, {where: [_place(one) for one in shares]})


def _place(shares: Float[np.ndarray, " n"]) -> int | None:
    return int(shares.argmax()) if len(shares) else None


@metric("strongest_paths", group="graph", unit="share", low=0, high=1, better=None)
def strongest_paths(probe: Probe) -> Measurement:
    """Share of the path norm that the five paths with the largest product of |w| carry.

    No layers; the detail has each path's strength and its nodes as [layer, place], where layer 0
    are the inputs.
    """
    graph, sums = graph_of(probe), weighted_sums_of(probe)
    if isinstance(sums, Undetermined):
        return Measurement(sums)
    if not sums.total > 0:
        return Measurement(_NO_PATH)
    found = strongest(graph)
    carried = min(1.0, sum(path.strength for path in found) / float(sums.total))
    paths = [
        {"strength": path.strength, "nodes": [_located(graph, node) for node in path.nodes]}
        for path in found
    ]
    return Measurement(carried, (), {"paths": paths})


def _located(graph: Graph, node: int) -> list[int]:
    layer = next(index for index, nodes in enumerate(graph.layers) if node in nodes)
    return [layer, node - graph.layers[layer].start]
