"""How the loss answers to each connection: gradients, their noise, curvature, and scores of them.

Layers of these metrics are all sparse layers, input side first, unless said otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from structure_net.metrics.fisher import fisher_information
from structure_net.metrics.gain import layer_candidates
from structure_net.metrics.gradients import (
    MICRO_BATCHES,
    batch_gradients,
    candidate_gradient,
    live_gradient,
    removal_cost,
    unit_utilities,
)
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.pairs import Pairs, live_pairs
from structure_net.metrics.probe import Probe, ProbedLayer

TOP = 10  # pairs named in a report
STRONGEST_SHARE = 0.01
QUANTILES = (0.1, 0.5, 0.9)


@metric(
    "connection_gradient",
    group="sensitivity",
    unit="nats per weight",
    low=0,
    high=None,
    better=None,
)
def connection_gradient(probe: Probe) -> Measurement:
    """Frobenius norm of the mean loss's gradient by the weights of the connections.

    Detail: root mean squares at live and at absent pairs (a drawn subset of these), and the ten
    pairs of largest gradient among both, as [unit, source, gradient, live]."""
    norms, told = [], []
    for index, layer in enumerate(probe.layers):
        live, absent = live_gradient(probe, index), candidate_gradient(probe, index)
        pairs, candidates = live_pairs(layer.connections), layer_candidates(probe, index)
        top = _top(pairs, live, True) + _top(candidates, absent, False)
        norms.append(float(np.linalg.norm(live)))
        told.append(
            {
                "live_rms": _root_mean_square(live),
                "absent_rms": _root_mean_square(absent),
                "top": [list(row) for row in sorted(top, key=lambda row: -abs(row[2]))[:TOP]],
            }
        )
    return Measurement(math.hypot(*norms), tuple(norms), {"layers": told})


def _root_mean_square(values: Float[np.ndarray, " n"]) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def _top(
    pairs: Pairs, gradient: Float[np.ndarray, " pairs"], live: bool
) -> list[tuple[int, int, float, bool]]:
    first = max(0, len(gradient) - TOP)
    largest = np.argpartition(np.abs(gradient), first)[first:] if first else range(len(gradient))
    return [
        (*divmod(int(pairs.places[pair]), pairs.sources), float(gradient[pair]), live)
        for pair in largest
    ]


@metric(
    "gradient_norm_profile", group="sensitivity", unit="per layer", low=None, high=None, better=None
)
def gradient_norm_profile(probe: Probe) -> Measurement:
    """Slope over depth of ln E|delta|^2 per unit: below 0 where gradients grow towards the input,
    above 0 where they vanish.

    Layers: E|delta|, the mean length of a sample's derivatives, nats. Detail: `of_the_mean`,
    |E delta|, which falls below it as samples disagree."""
    lengths, of_the_mean, per_unit = [], [], []
    for layer in probe.layers:
        of_each = layer.derivatives.square().sum(1).double()
        lengths.append(float(of_each.sqrt().mean()))
        of_the_mean.append(float(layer.derivatives.mean(0).double().norm()))
        per_unit.append(float(of_each.mean()) / layer.connections.units)
    detail = {"of_the_mean": of_the_mean}
    return Measurement(_slope(per_unit), tuple(lengths), detail)


def _slope(per_unit: list[float]) -> Value:
    if len(per_unit) < 2:
        return Undetermined("a slope over depth wants two layers")
    if min(per_unit) == 0.0:
        return Undetermined("a layer gets no gradient at all")
    depth = np.arange(len(per_unit)) - 0.5 * (len(per_unit) - 1)
    return float(depth @ np.log(per_unit) / (depth @ depth))


@metric(
    "gradient_snr",
    group="sensitivity",
    unit="ratio",
    low=0,
    high=None,
    better="higher",
    level="light",
)
def gradient_snr(probe: Probe) -> Measurement:
    """Length of a unit's mean gradient over that of its noise between 8 micro-batches; the median
    over units. Noise alone gives about 1/sqrt(8) = 0.35.

    Detail: 10, 50 and 90 % quantiles over units, and the units without any gradient, which count
    in none of them."""
    if probe.samples < MICRO_BATCHES:
        lacking = f"{MICRO_BATCHES} micro-batches want as many samples, there are {probe.samples}"
        return Measurement(Undetermined(lacking))
    ratios, told, layers = [], [], []
    for index, layer in enumerate(probe.layers):
        found = _unit_ratios(batch_gradients(probe, index), layer)
        ratios.append(found)
        layers.append(_median(found))
        told.append(
            {
                "quantiles": np.quantile(found, QUANTILES).tolist() if len(found) else None,
                "silent": layer.connections.units - len(found),
            }
        )
    return Measurement(_median(np.concatenate(ratios)), tuple(layers), {"layers": told})


def _unit_ratios(
    gradients: Float[np.ndarray, "batches connections"], layer: ProbedLayer
) -> Float[np.ndarray, " heard"]:
    """|mean| / sqrt(trace of the covariance) of the gradient of each unit that has any noise."""
    rows, units = layer.connections.rows, layer.connections.units
    centre = gradients.mean(0, dtype=np.float64)
    variance = gradients.var(0, dtype=np.float64, ddof=1)
    signal = np.bincount(rows, weights=centre**2, minlength=units)
    noise = np.bincount(rows, weights=variance, minlength=units)
    heard = noise > 0.0
    return np.asarray(np.sqrt(signal[heard] / noise[heard]))


def _median(ratios: Float[np.ndarray, " heard"]) -> Value:
    if len(ratios) == 0:
        return Undetermined("no unit has a gradient that varies between micro-batches")
    return float(np.median(ratios))


@metric(
    "fisher", group="sensitivity", unit="nats per squared weight", low=0, high=None, better=None
)
def fisher(probe: Probe) -> Measurement:
    """Trace of the Fisher information over the connections: the mean over samples, labels drawn
    from the network, of squared derivatives of each sample's own loss.

    Detail: mean and largest of each layer's connections."""
    found = [fisher_information(probe, index) for index in range(len(probe.layers))]
    traces = tuple(float(one.sum(dtype=np.float64)) for one in found)
    told = [{"mean": float(one.mean()), "largest": float(one.max())} for one in found]
    return Measurement(sum(traces), traces, {"layers": told})


@metric("snip", group="sensitivity", unit="nats", low=0, high=None, better=None)
def snip(probe: Probe) -> Measurement:
    """Sum of |w g| over the connections: the first-order cost of removing each (Lee et al. 2019).

    Detail: each layer's share, and the share of its sum in its strongest 1 % of connections."""
    costs = [removal_cost(probe, index) for index in range(len(probe.layers))]
    sums = tuple(float(one.sum()) for one in costs)
    total = sum(sums)
    told = [
        {"share": one / total if total else None, "strongest_share": strongest_share(cost)}
        for one, cost in zip(sums, costs, strict=True)
    ]
    return Measurement(total, sums, {"layers": told})


def strongest_share(scores: Float[np.ndarray, " connections"]) -> float | None:
    """Share of the sum in the largest hundredth (rounded up) of the scores; None where it is 0."""
    if scores.sum() == 0.0:
        return None
    first = len(scores) - math.ceil(STRONGEST_SHARE * len(scores))
    return float(np.partition(scores, first)[first:].sum() / scores.sum())


@metric("unit_utility", group="sensitivity", unit="signal", low=0, high=None, better="higher")
def unit_utility(probe: Probe) -> Measurement:
    """Mean over hidden units of E|a| times the sum of |w| of the connections out of the unit.

    Layers: the hidden layers. Detail: 10, 50 and 90 % quantiles over each one's units, and how many
    have none."""
    if not probe.hidden:
        return Measurement(Undetermined("there is no hidden layer"))
    found = [unit_utilities(probe, index) for index in probe.hidden_places]
    told = [
        {"quantiles": np.quantile(one, QUANTILES).tolist(), "useless": int((one == 0).sum())}
        for one in found
    ]
    means = tuple(float(one.mean()) for one in found)
    return Measurement(float(np.concatenate(found).mean()), means, {"layers": told})
