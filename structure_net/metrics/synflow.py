"""What each connection carries of the sum over all paths, whatever the data are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from structure_net.metrics.graph import graph_of
from structure_net.metrics.measurement import Measurement, Undetermined
from structure_net.metrics.metric import metric
from structure_net.metrics.paths import PathSums, weighted_sums_of
from structure_net.metrics.probe import Probe
from structure_net.metrics.sensitivity import strongest_share


def synflow_scores(
    probe: Probe,
) -> tuple[Float[np.ndarray, " _"], ...] | Undetermined:
    """|w| dR/d|w| of each connection, an array for each sparse layer; R is the sum over all paths
    of the product of |w| (Tanaka et al. 2020), and this what the paths through each add to it."""
    sums = weighted_sums_of(probe)
    if isinstance(sums, Undetermined):
        return sums
    return tuple(_carried(probe, index, sums) for index in range(len(probe.layers)))


def _carried(probe: Probe, index: int, sums: PathSums) -> Float[np.ndarray, " connections"]:
    layer, ends = probe.layers[index], graph_of(probe).layers
    forward = sums.forward[ends[index].start : ends[index].stop]
    backward = sums.backward[ends[index + 1].start : ends[index + 1].stop]
    strength = np.abs(layer.weights.astype(np.float64))
    connections = layer.connections
    return np.asarray(forward[connections.columns] * strength * backward[connections.rows])


@metric("synflow", group="sensitivity", unit="ratio", low=0, high=None, better=None)
def synflow(probe: Probe) -> Measurement:
    """Mean over connections of |w| dR/d|w|, R the sum over all paths of the product of |w|.

    A layer without skips sums to R, so its mean falls as its connections grow in number. Detail:
    the sum, and the share of it in the layer's strongest 1 % of connections."""
    scores = synflow_scores(probe)
    if isinstance(scores, Undetermined):
        return Measurement(scores)
    means = tuple(float(score.mean()) for score in scores)
    told = [{"sum": float(one.sum()), "strongest_share": strongest_share(one)} for one in scores]
    return Measurement(float(np.concatenate(scores).mean()), means, {"layers": told})
