"""Absolutes: corrections and gates of single connections that no mean takes back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from structure_net.learning_rates.moment import LayerState, Moment
from structure_net.learning_rates.schedule import Absolute, Shares, schedule


@schedule("sparsity_awareness")
@dataclass(frozen=True)
class SparsityAwareness(Absolute):
    """`reference` / live fan-in of the unit, within [1/8, 8].

    A sign-like step moves a unit's argument by rate x fan-in x E|h|. With this factor the movement
    is the same for all units and densities: SuPar (Dey et al. 2024) where all fan-ins are equal.
    """

    reference: float = 128.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        return layer.of_units(np.clip(self.reference / layer.fan_in, 1 / 8, 8.0))


@schedule("progressive_freezing")
@dataclass(frozen=True)
class ProgressiveFreezing(Absolute):
    """Half a cosine down to 0 at progress `first` + (1 - `first`) l / (L - 1), frozen from there
    on; the output layer runs to the end (Brock et al. 2017)."""

    first: float = 0.5

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        depth = layer.index / max(1, len(moment.layers) - 1)
        end = self.first + (1.0 - self.first) * depth
        if moment.progress >= end:
            return np.zeros(len(layer.columns))
        wave = 0.5 * (1.0 + math.cos(math.pi * moment.progress / end))
        return np.full(len(layer.columns), wave)


@schedule("newborn_warm_up")
@dataclass(frozen=True)
class NewbornWarmUp(Absolute):
    """min(1, age / `steps`) for connections that were born in this trial. It is part of the law of
    every strategy; naming it in a list gives it other numbers, 0 steps turn it off."""

    steps: float = 100.0

    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        return np.where(layer.grown, self.at(layer.age_steps), 1.0)

    def at(self, age_steps: Shares) -> Shares:
        """The factor at these ages."""
        return np.minimum(1.0, age_steps / self.steps) if self.steps else np.ones(len(age_steps))
