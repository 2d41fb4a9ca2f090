"""Metrics of activity: how often units fire, how large they are, and which are of no use.

Layers are the hidden layers, input side first; the total is over all hidden units. Activity is that
of a = phi(z): by |z| an always-off unit would look alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe
from structure_net.metrics.unit_states import (
    dead,
    dormant,
    extrema,
    firing_rates,
    gradient_dormant,
    linearised,
    saturated,
)

HISTOGRAM_BINS = 20
PERSISTENT_ABOVE = 0.1  # of samples
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def unfit(probe: Probe) -> Undetermined | None:
    """Why nothing can be said of the activity of hidden units; None where something can."""
    if not probe.hidden:
        return Undetermined("there is no hidden layer")
    inputs = probe.layers[0].inputs
    if probe.samples < 2:
        return Undetermined("a single sample")
    # The first two samples differ nearly always, and the rest is then not looked at.
    if torch.equal(inputs[0], inputs[1]) and bool((inputs == inputs[:1]).all()):
        return Undetermined("all samples are the same")
    return None


def _of_units(
    probe: Probe,
    values: Callable[[Probe], Sequence[np.ndarray] | Undetermined],
    number: Callable[[np.ndarray], Value],
) -> Measurement:
    """`number` of the values of each hidden layer's units, and of all hidden units together."""
    reason = unfit(probe)
    found = reason if reason is not None else values(probe)
    if isinstance(found, Undetermined):
        return Measurement(found, (found,) * len(probe.hidden))
    return Measurement(number(np.concatenate(found)), tuple(number(layer) for layer in found))


def _share(mask: Bool[np.ndarray, " units"]) -> Value:
    return float(mask.mean())


def _health(mask: Bool[np.ndarray, " units"]) -> Value:
    return 1.0 - float(mask.mean())


@metric("firing_rate", group="activity", unit="share", low=0, high=1, better=None, level="light")
def firing_rate(probe: Probe) -> Measurement:
    """Mean share of samples on which a hidden unit fires, phi'(z) > 1/2 sup phi' (ReLU: z > 0).

    `detail.histogram` counts, for each hidden layer, the units in 20 equal bins of the rate.
    """
    found = _of_units(probe, firing_rates, lambda rates: float(rates.mean()))
    if isinstance(found.total, Undetermined):
        return found
    counts = [_histogram(rates) for rates in firing_rates(probe)]
    return Measurement(found.total, found.layers, {"histogram": counts})


def _histogram(rates: Float[np.ndarray, " units"]) -> list[int]:
    bins = np.minimum((rates * HISTOGRAM_BINS).astype(int), HISTOGRAM_BINS - 1)
    return [int(count) for count in np.bincount(bins, minlength=HISTOGRAM_BINS)]


@metric(
    "dead_fraction", group="activity", unit="share", low=0, high=1, better="lower", level="light"
)
def dead_fraction(probe: Probe) -> Measurement:
    """Share of hidden units that are dead: Wilson's upper 95 % bound of the firing rate is below
    0.5 %. Undetermined below 765 samples, and for tanh."""
    return _of_units(probe, dead, _share)


@metric(
    "linearised_fraction",
    group="activity",
    unit="share",
    low=0,
    high=1,
    better="lower",
    level="light",
)
def linearised_fraction(probe: Probe) -> Measurement:
    """Share of hidden units that are affine on the data: Wilson's lower 95 % bound of the firing
    rate is above 99.5 %. Undetermined below 765 samples."""
    return _of_units(probe, linearised, _share)


@metric(
    "saturated_fraction",
    group="activity",
    unit="share",
    low=0,
    high=1,
    better="lower",
    level="light",
)
def saturated_fraction(probe: Probe) -> Measurement:
    """Share of hidden units with tanh that are saturated: phi'(z) < 0.01 on more than 95 % of the
    samples, by Wilson's lower bound. Undetermined for other activations."""
    return _of_units(probe, saturated, _share)


@metric(
    "dormant_fraction", group="activity", unit="share", low=0, high=1, better="lower", level="light"
)
def dormant_fraction(probe: Probe) -> Measurement:
    """Share of hidden units with E|a| at most 0.025 of their layer's mean (Sokar et al. 2023)."""
    return _of_units(probe, dormant, _share)


@metric(
    "gradient_dormant_fraction",
    group="activity",
    unit="share",
    low=0,
    high=1,
    better="lower",
    level="light",
)
def gradient_dormant_fraction(probe: Probe) -> Measurement:
    """Share of hidden units with E|d loss/du| at most 0.025 of their layer's mean, u = W h."""
    return _of_units(probe, gradient_dormant, _share)


@metric(
    "active_fraction", group="activity", unit="share", low=0, high=1, better="higher", level="light"
)
def active_fraction(probe: Probe) -> Measurement:
    """1 - dead_fraction; for tanh 1 - saturated_fraction."""
    return _of_units(probe, saturated if probe.activation == "tanh" else dead, _health)


@metric(
    "persistent_fraction",
    group="activity",
    unit="share",
    low=0,
    high=1,
    better="higher",
    level="light",
)
def persistent_fraction(probe: Probe) -> Measurement:
    """Share of hidden units that fire on more than a tenth of the samples."""
    return _of_units(probe, firing_rates, lambda rates: _share(rates > PERSISTENT_ABOVE))


@metric(
    "extrema_ratio", group="activity", unit="share", low=0, high=1, better="lower", level="light"
)
def extrema_ratio(probe: Probe) -> Measurement:
    """Share of hidden units that are dead, linearised, saturated (tanh) or on no path from an input
    to a logit. Logits are never counted."""
    return _of_units(probe, extrema, _share)


@metric(
    "layer_health", group="activity", unit="share", low=0, high=1, better="higher", level="light"
)
def layer_health(probe: Probe) -> Measurement:
    """1 - extrema_ratio."""
    return _of_units(probe, extrema, _health)


@metric(
    "activity_entropy",
    group="activity",
    unit="share",
    low=0,
    high=1,
    better="higher",
    level="light",
)
def activity_entropy(probe: Probe) -> Measurement:
    """Entropy of the firing rates as shares of their sum, over ln(units): 1 where all units fire
    alike."""
    return _of_units(probe, firing_rates, _entropy)


@metric(
    "activity_gini", group="activity", unit="share", low=0, high=1, better="lower", level="light"
)
def activity_gini(probe: Probe) -> Measurement:
    """Gini coefficient of the firing rates: 0 where all units fire alike."""
    return _of_units(probe, firing_rates, gini)


@metric("activation", group="activity", unit="activation", low=None, high=None, better=None)
def activation(probe: Probe) -> Measurement:
    """Mean of a = phi(z) over units and samples.

    `detail` has a list over hidden layers of each: `deviation`, `max`, `quantiles` (10, 25, 50, 75,
    90 %).
    """
    reason = unfit(probe)
    if reason is not None:
        return Measurement(reason, (reason,) * len(probe.hidden))
    values = [layer.activations.numpy() for layer in probe.hidden]
    means = [float(one.mean(dtype=np.float64)) for one in values]
    sizes = [one.shape[1] for one in values]
    return Measurement(
        float(np.average(means, weights=sizes)),
        tuple(means),
        {
            "deviation": [float(one.std(dtype=np.float64)) for one in values],
            "max": [float(one.max()) for one in values],
            "quantiles": [_quantiles(one) for one in values],
        },
    )


def _quantiles(values: Float[np.ndarray, "samples units"]) -> list[float]:
    """By the value that has so many below it, without interpolation."""
    # To sort it all takes a fifth of the time of a partition at five places.
    ordered = np.sort(values.T, axis=None)
    places = [round(share * (len(ordered) - 1)) for share in QUANTILES]
    return [float(ordered[place]) for place in places]


def _entropy(rates: Float[np.ndarray, " units"]) -> Value:
    if len(rates) < 2:
        return Undetermined("a single unit")
    if not rates.any():
        return Undetermined("no unit fires")
    shares = rates[rates > 0] / rates.sum()
    return min(1.0, float(-(shares * np.log(shares)).sum() / np.log(len(rates))))


def gini(values: Float[np.ndarray, " n"]) -> Value:
    """Sum over pairs of |x_i - x_j| / (2 n^2 mean), of values >= 0."""
    if not values.any():
        return Undetermined("all values are 0")
    n, ordered = len(values), np.sort(values)
    ranks = 2 * np.arange(1, n + 1) - n - 1
    return max(0.0, float((ranks * ordered).sum() / (n * ordered.sum())))
