"""Shares of connections within their layer: by age, weight, gradient, origin, neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from structure_net.learning_rates.moment import LayerState, Moment
from structure_net.learning_rates.schedule import ConnectionShare, Shares, schedule


@schedule("soft_clamping")
@dataclass(frozen=True)
class SoftClamping(ConnectionShare):
    """max(`floor`, 1 - age / `epochs`): the older a connection, the less it moves."""

    epochs: float = 100.0
    floor: float = 0.1

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        return np.maximum(self.floor, 1.0 - moment.ages(layer) / self.epochs)


@schedule("multi_scale")
@dataclass(frozen=True)
class MultiScale(ConnectionShare):
    """By the progress at which a connection was born: `coarse` before 0.2, `medium` before 0.5,
    `fine` after; times exp(-`fading` age)."""

    coarse: float = 0.1
    medium: float = 0.5
    fine: float = 1.0
    fading: float = 0.01  # an epoch

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        births = moment.births(layer)
        scale = np.select([births < 0.2, births < 0.5], [self.coarse, self.medium], self.fine)
        shares: Shares = scale * np.exp(-self.fading * moment.ages(layer))
        return shares


@schedule("scale_dependent")
@dataclass(frozen=True)
class ScaleDependent(ConnectionShare):
    """By |w| beside the root mean square of the layer: `large` above twice that, `small` below
    half of it."""

    large: float = 0.5
    small: float = 2.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        sizes = np.abs(layer.learnt().weights.astype(np.float64))
        usual = np.sqrt(np.mean(sizes**2))
        return np.select([sizes > 2 * usual, sizes < usual / 2], [self.large, self.small], 1.0)


@schedule("age_decay")
@dataclass(frozen=True)
class AgeDecay(ConnectionShare):
    """From 1 down to `oldest` at an age of `epochs`, geometrically; stays there."""

    oldest: float = 0.1
    epochs: float = 50.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        shares: Shares = self.oldest ** np.minimum(1.0, moment.ages(layer) / self.epochs)
        return shares


@schedule("sedimentary")
@dataclass(frozen=True)
class Sedimentary(ConnectionShare):
    """By age: `active` up to 20 epochs, `sediment` up to 100, `geological` beyond."""

    active: float = 1.0
    sediment: float = 0.1
    geological: float = 0.01

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        ages = moment.ages(layer)
        return np.select([ages <= 20, ages <= 100], [self.active, self.sediment], self.geological)


@schedule("origin")
@dataclass(frozen=True)
class Origin(ConnectionShare):
    """`first` for founders and what was inherited, `grown` for connections born in this trial."""

    first: float = 0.1
    grown: float = 1.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        return np.where(layer.grown, self.grown, self.first)


@schedule("gradient_based")
@dataclass(frozen=True)
class GradientBased(ConnectionShare):
    """By the root of the second moment beside the layer's median: `large` above 4 times that,
    `small` below a quarter."""

    large: float = 0.5
    small: float = 2.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        roots = layer.learnt().roots
        usual = np.median(roots)
        return np.select([roots > 4 * usual, roots < usual / 4], [self.large, self.small], 1.0)


@schedule("extrema_proximity")
@dataclass(frozen=True)
class ExtremaProximity(ConnectionShare):
    """`near` for connections into or out of a unit that was extreme when last measured, else 1."""

    near: float = 2.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        extrema = moment.past.extrema
        touches = np.zeros(len(layer.columns), dtype=bool)
        if extrema is not None and layer.index < len(extrema):
            touches |= np.repeat(extrema[layer.index], layer.fan_in)
        if extrema is not None and layer.index > 0:
            touches |= extrema[layer.index - 1][layer.columns]
        return np.where(touches, self.near, 1.0)


@schedule("trust_ratio")
@dataclass(frozen=True)
class TrustRatio(ConnectionShare):
    """For each unit the norm of its weights over that of their last direction, 1 where either is 0,
    within [`lowest`, `highest`] (LAMB, You et al. 2020, by rows)."""

    lowest: float = 0.1
    highest: float = 10.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        learnt, starts = layer.learnt(), layer.row_pointers[:-1]
        weights, directions = _norms(learnt.weights, starts), _norms(learnt.directions, starts)
        both = (weights > 0) & (directions > 0)
        ratios = np.divide(weights, directions, out=np.ones(len(starts)), where=both)
        return layer.of_units(np.clip(ratios, self.lowest, self.highest))


def _norms(values: Shares, starts: np.ndarray) -> Float[np.ndarray, " units"]:
    """Of each row; every unit has a connection."""
    norms: np.ndarray = np.sqrt(np.add.reduceat(values.astype(np.float64) ** 2, starts))
    return norms
