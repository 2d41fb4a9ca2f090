"""What is wrong with hidden units, by definitions without units of measure; growth uses them too.

A unit's *firing rate* f is the share of probe samples on which its activation is in its steep part,
phi'(z) > 1/2 sup phi'. Whether f is truly near 0 or 1 is asked of Wilson's 95 % bounds, so that few
samples decide nothing. Everything is one tensor or array [units] for each hidden layer.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from structure_net.genome import Activation
from structure_net.metrics.measurement import Undetermined
from structure_net.metrics.probe import Probe, ProbedLayer
from structure_net.metrics.sweep import SLOPES

Z_95 = 1.96  # two-sided 95 % of a normal distribution
DEAD_BELOW = 0.005  # of samples: at 2,048 samples a unit that fires on at most 3
LINEARISED_ABOVE = 0.995
SATURATED_SLOPE = 0.01  # of sup phi'
SATURATED_ABOVE = 0.95  # of samples
DORMANT_SHARE = 0.025  # tau of Sokar et al. 2023
# sup phi' of each activation.
HIGHEST_SLOPE: dict[Activation, float] = {
    "relu": 1.0,
    "leaky_relu": 1.0,
    "gelu": 1.1289,
    "silu": 1.0998,
    "tanh": 1.0,
}

Masks = tuple[Bool[np.ndarray, " _"], ...]


def wilson(
    share: Float[np.ndarray, " n"], samples: int
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Wilson's lower and upper 95 % bounds of shares seen on so many samples (Wilson 1927)."""
    square = Z_95**2 / samples
    middle = share + square / 2
    around = Z_95 * np.sqrt(share * (1 - share) / samples + square / (4 * samples))
    return (middle - around) / (1 + square), (middle + around) / (1 + square)


@cache
def fewest_samples(share: float) -> int:
    """Samples below which no rate can be told to lie under `share`: 765 for 0.5 %."""
    # The upper bound of a rate of 0 is z^2 / (n + z^2).
    return math.floor(Z_95**2 * (1 - share) / share) + 1


@cache
def firing_above(activation: Activation) -> float:
    """The z above which phi'(z) > 1/2 sup phi'; of tanh, the |z| below which it is."""
    if activation == "tanh":
        return math.atanh(math.sqrt(0.5))
    if activation in ("relu", "leaky_relu"):
        return 0.0
    # phi' of gelu and silu rises through the half once, between 0 and 1.
    low, high, half = 0.0, 1.0, HIGHEST_SLOPE[activation] / 2
    for _ in range(60):
        middle = (low + high) / 2
        slope = float(SLOPES[activation](torch.tensor(middle, dtype=torch.float64)))
        low, high = (middle, high) if slope < half else (low, middle)
    return high


def firing_rates(probe: Probe) -> tuple[Float[np.ndarray, " _"], ...]:
    """f of each unit of each hidden layer, in [0, 1]."""
    return probe.once("firing rates", lambda: tuple(_firing(probe, one) for one in probe.hidden))


def dead(probe: Probe) -> Masks | Undetermined:
    """Units that fire on next to no sample: the upper bound of f is below 0.5 %. For tanh, whose
    units saturate instead, undetermined."""
    if probe.activation == "tanh":
        return Undetermined("units with tanh saturate, they do not die")
    rates = firing_rates(probe)
    return _decided(probe) or tuple(wilson(f, probe.samples)[1] < DEAD_BELOW for f in rates)


def linearised(probe: Probe) -> Masks | Undetermined:
    """Units that are affine on the data: the lower bound of f is above 99.5 %."""
    rates = firing_rates(probe)
    return _decided(probe) or tuple(wilson(f, probe.samples)[0] > LINEARISED_ABOVE for f in rates)


def saturated(probe: Probe) -> Masks | Undetermined:
    """Units with tanh at its flat ends: phi'(z) < 1 % of its greatest on more than 95 % of the
    samples, by the lower bound. Undetermined for other activations."""
    if probe.activation != "tanh":
        return Undetermined("only units with tanh saturate")
    if probe.samples < fewest_samples(1 - SATURATED_ABOVE):
        return _too_few(probe, fewest_samples(1 - SATURATED_ABOVE))
    flat = math.atanh(math.sqrt(1 - SATURATED_SLOPE))
    shares = [_share(np.abs(one.z.numpy()) > flat) for one in probe.hidden]
    return tuple(wilson(share, probe.samples)[0] > SATURATED_ABOVE for share in shares)


def dormant(probe: Probe) -> Masks:
    """Units with E|a| at most 0.025 of their layer's mean of it (Sokar et al. 2023)."""
    return tuple(_dormant(_sizes(one.activations)) for one in probe.hidden)


def gradient_dormant(probe: Probe) -> Masks | Undetermined:
    """Units with E|delta| at most 0.025 of their layer's mean of it, delta by the product u = W h.
    Undetermined where no derivative differs from 0."""
    sizes = [_sizes(one.derivatives) for one in probe.hidden]
    if not all(size.any() for size in sizes):
        return Undetermined("a hidden layer receives no derivative that differs from 0")
    return tuple(_dormant(size) for size in sizes)


def graph_dead(probe: Probe) -> Masks:
    """Units without a source, without a consumer, or on no path from an input to a logit; from the
    connection lists alone."""
    # Here and not above: that file registers metrics, and those of activity come before them.
    from structure_net.metrics.graph import graph_of, reach_of

    useful = reach_of(probe).useful
    return tuple(~useful[layer.start : layer.stop] for layer in graph_of(probe).hidden_layers)


def extrema(probe: Probe) -> Masks | Undetermined:
    """Units that are dead, linearised, saturated or graph-dead."""
    sparse = graph_dead(probe)
    findings = [linearised(probe), saturated(probe) if probe.activation == "tanh" else dead(probe)]
    masks = list(sparse)
    for found in findings:
        if isinstance(found, Undetermined):
            return found
        masks = [mask | more for mask, more in zip(masks, found, strict=True)]
    return tuple(masks)


def _decided(probe: Probe) -> Undetermined | None:
    """Why no unit can be told to be dead or linearised; None where it can."""
    fewest = fewest_samples(DEAD_BELOW)
    return _too_few(probe, fewest) if probe.samples < fewest else None


def _too_few(probe: Probe, fewest: int) -> Undetermined:
    return Undetermined(f"{probe.samples} samples; it takes {fewest} to tell")


def _firing(probe: Probe, layer: ProbedLayer) -> Float[np.ndarray, " units"]:
    edge, z = firing_above(probe.activation), layer.z.numpy()
    return _share(np.abs(z) < edge if probe.activation == "tanh" else z > edge)


def _share(holds: Bool[np.ndarray, "samples units"]) -> Float[np.ndarray, " units"]:
    # By numpy: torch takes ten times as long to count.
    return np.asarray(np.count_nonzero(holds, axis=0) / len(holds))


def _sizes(signals: Float[Tensor, "samples units"]) -> Float[np.ndarray, " units"]:
    return np.asarray(signals.abs().mean(0).double().numpy())


def _dormant(sizes: Float[np.ndarray, " units"]) -> Bool[np.ndarray, " units"]:
    return np.asarray(sizes <= DORMANT_SHARE * sizes.mean())
