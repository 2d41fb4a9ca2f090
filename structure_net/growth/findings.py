"""What is wrong with the hidden units of a network, and how many of them: what rules look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from structure_net.metrics import (
    Probe,
    Undetermined,
    dead,
    extrema,
    linearised,
    saturated,
    starvation,
)

STARVED_RATIO = 2.0  # absent gradients over live ones
STARVED_SHARE = 0.1  # of a layer, the most starved
# The seed's thresholds, in units of the activations themselves.
LEGACY_LOW, LEGACY_HIGH = 0.01, 0.99
RELATIVE_LOW, RELATIVE_DEVIATIONS = 0.1, 2.0

Masks = tuple[Bool[np.ndarray, " _"], ...]


@dataclass(frozen=True)
class Findings:
    """For each hidden layer of the probe, those in residual blocks too, which units are `low`
    (dead, or saturated with tanh) and which `high` (linearised). `ratio` is the share of units with
    a finding."""

    low: Masks
    high: Masks
    ratio: float

    @property
    def per_layer(self) -> tuple[int, ...]:
        """Units with a finding in each hidden layer."""
        both = zip(self.low, self.high, strict=True)
        return tuple(int((low | high).sum()) for low, high in both)


def found(probe: Probe) -> Findings | Undetermined:
    """By the definitions without units of measure; the ratio is per hidden unit."""
    low = saturated(probe) if probe.activation == "tanh" else dead(probe)
    high, every = linearised(probe), extrema(probe)
    for masks in (low, high, every):
        if isinstance(masks, Undetermined):
            return masks
    assert not isinstance(low, Undetermined)
    assert not isinstance(high, Undetermined)
    assert not isinstance(every, Undetermined)
    units = sum(len(mask) for mask in every)
    return Findings(low, high, sum(int(mask.sum()) for mask in every) / max(1, units))


def found_by_seed(probe: Probe) -> Findings | Undetermined:
    """The seed's: mean of max(z, 0) below 0.01 or above 0.99, logits counted among the units."""
    means = _positive_means(probe)
    return _legacy(means, [np.full(len(mean), LEGACY_HIGH) for mean in means], LEGACY_LOW)


def found_relative(probe: Probe) -> Findings | Undetermined:
    """The seed's relative form: below 0.1, or more than two deviations above the layer's mean."""
    means = _positive_means(probe)
    bounds = [mean.mean() + RELATIVE_DEVIATIONS * mean.std() for mean in means]
    highest = [np.full(len(mean), bound) for mean, bound in zip(means, bounds, strict=True)]
    return _legacy(means, highest, RELATIVE_LOW)


def starved(probe: Probe, index: int) -> Bool[np.ndarray, " units"]:
    """Units of a sparse layer to which absent connections would bring more than twice the gradient
    of their live ones, among the tenth of the layer where that ratio is largest."""
    ratio = starvation(probe, index)
    known = np.nan_to_num(ratio, nan=0.0)
    edge = np.sort(known)[::-1][max(1, round(STARVED_SHARE * len(known))) - 1]
    return np.asarray((known > STARVED_RATIO) & (known >= edge))


def _positive_means(probe: Probe) -> list[np.ndarray]:
    """Of the hidden layers and the logits; the sums of residual blocks are no units."""
    layers = (*probe.hidden, probe.layers[-1])
    return [np.asarray(one.z.clamp(min=0).mean(0).double().numpy()) for one in layers]


def _legacy(means: list[np.ndarray], highest: list[np.ndarray], lowest: float) -> Findings:
    low = [mean < lowest for mean in means]
    high = [mean > bound for mean, bound in zip(means, highest, strict=True)]
    units = sum(len(mean) for mean in means)
    count = sum(int((a | b).sum()) for a, b in zip(low, high, strict=True))
    return Findings(tuple(low[:-1]), tuple(high[:-1]), count / units)
