"""What a schedule may look at. Schedules keep nothing themselves: a moment holds all they remember,
so the same moments give the same rates, also after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


@dataclass(frozen=True)
class Growth:
    """Sparse layer `layer` grew when `epoch` epochs of the trial were done."""

    epoch: float
    layer: int


@dataclass(frozen=True)
class Past:
    """What a trial has seen so far. Mean losses in nats, one an epoch; the extrema ratio and the
    extreme units of each sparse layer but the last (none of those that end a residual block) are
    those measured last, None where they are undetermined."""

    train_losses: tuple[float, ...] = ()
    validation_losses: tuple[float, ...] = ()
    extrema_ratio: float | None = None
    extrema: tuple[Bool[np.ndarray, " _"], ...] | None = None
    growth: tuple[Growth, ...] = ()


@dataclass(frozen=True)
class Learnt:
    """What training made of a layer's connections: weights, the optimizer's last directions with
    decay (0 before its first step), and the roots of its corrected second moments."""

    weights: Float[np.ndarray, " connections"]
    directions: Float[np.ndarray, " connections"]
    roots: Float[np.ndarray, " connections"]


@dataclass(frozen=True)
class LayerState:
    """Sparse layer `index`, its connections as compressed rows by unit.

    `age_epochs` is the layer's own age; `age_steps` counts the steps that each connection lived,
    through inheritance too; `grown` marks those that were born in this trial, behind its start or
    by an edit at it. `learnt` fetches weights and moments, which a GPU would have to hand over.
    """

    index: int
    sources: int
    row_pointers: Int[np.ndarray, " units_plus_1"]
    columns: Int[np.ndarray, " connections"]
    age_epochs: float
    age_steps: Float[np.ndarray, " connections"]
    grown: Bool[np.ndarray, " connections"]
    learnt: Callable[[], Learnt]

    @cached_property
    def fan_in(self) -> Int[np.ndarray, " units"]:
        """Live connections into each unit."""
        return np.diff(self.row_pointers)

    def of_units(self, values: Shaped[np.ndarray, " units"]) -> Shaped[np.ndarray, " connections"]:
        """Each connection's value of its unit."""
        return np.repeat(values, self.fan_in)


@dataclass(frozen=True)
class Moment:
    """A moment of a trial. `progress` = steps done / steps planned, in [0, 1]; `epoch` of `epochs`
    planned ones are done, `epoch_steps` steps each; `layers` are the sparse layers, input side
    first, at the beginning of an epoch, and empty between."""

    progress: float
    epoch: float = 0.0
    epochs: int = 1
    epoch_steps: int = 1
    past: Past = Past()
    layers: tuple[LayerState, ...] = ()

    def ages(self, layer: LayerState) -> Float[np.ndarray, " connections"]:
        """Ages of a layer's connections in epochs."""
        return layer.age_steps / self.epoch_steps

    def births(self, layer: LayerState) -> Float[np.ndarray, " connections"]:
        """The progress at which each connection was born: 0 for founders and inherited ones."""
        return np.maximum(0.0, self.progress - self.ages(layer) / self.epochs)
