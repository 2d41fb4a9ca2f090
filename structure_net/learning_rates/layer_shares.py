"""Shares of layers. Layer l of L counts from the input side; the output layer is the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from structure_net.learning_rates.moment import Moment
from structure_net.learning_rates.schedule import LayerShare, schedule

Layers = Float[np.ndarray, " layers"]


def depths(moment: Moment) -> Layers:
    """l / (L - 1): 0 at the input side, 1 at the output layer; 0 for a single layer."""
    count = len(moment.layers)
    return np.arange(count) / max(1, count - 1)


@schedule("layerwise")
@dataclass(frozen=True)
class Layerwise(LayerShare):
    """By the third of the depth in which the layer's middle (l + 1/2) / L lies."""

    early: float = 2.0
    middle: float = 1.0
    late: float = 0.5

    def __call__(self, moment: Moment) -> Layers:
        count = len(moment.layers)
        centres = (np.arange(count) + 0.5) / count
        thirds = [centres < 1 / 3, centres > 2 / 3]
        return np.select(thirds, [self.early, self.late], self.middle)


@schedule("layer_age")
@dataclass(frozen=True)
class LayerAge(LayerShare):
    """(1/2 + 1/2 l / (L - 1)) exp(-age / `epochs`), the layer's age in epochs: old and early layers
    are slower."""

    epochs: float = 50.0

    def __call__(self, moment: Moment) -> Layers:
        ages = np.array([layer.age_epochs for layer in moment.layers])
        shares: Layers = (0.5 + 0.5 * depths(moment)) * np.exp(-ages / self.epochs)
        return shares


@schedule("cascading_decay")
@dataclass(frozen=True)
class CascadingDecay(LayerShare):
    """From `first` at the input side to 1 at the output layer, geometrically: protects features
    that everything behind them is built on."""

    first: float = 0.1

    def __call__(self, moment: Moment) -> Layers:
        shares: Layers = self.first ** (1.0 - depths(moment))
        return shares


@schedule("growth_decay")
@dataclass(frozen=True)
class GrowthDecay(LayerShare):
    """Slower after a layer grew: `grown` in it, `beside` one layer away, `beyond` further off; the
    effect of each event fades as exp(-epochs since / `epochs`)."""

    grown: float = 0.9
    beside: float = 0.7
    beyond: float = 0.5
    epochs: float = 2.0

    def __call__(self, moment: Moment) -> Layers:
        places = np.arange(len(moment.layers))
        shares = np.ones(len(places))
        for event in moment.past.growth:
            distance = np.abs(places - event.layer)
            slower = np.select(
                [distance == 0, distance == 1], [self.grown, self.beside], self.beyond
            )
            shares *= 1.0 - (1.0 - slower) * np.exp((event.epoch - moment.epoch) / self.epochs)
        return shares
