"""The law: rate = clip(base rate x pace x layer share x connection share x absolutes).

Layer shares are divided by their mean over the layers, connection shares by their mean over the
live connections of the layer: they move learning rate and bring none in. Everything acts on the
optimizer's update: scaling the gradient instead does nothing under Adam.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from structure_net.errors import RunFailedError
from structure_net.learning_rates.absolutes import NewbornWarmUp
from structure_net.learning_rates.moment import LayerState, Moment
from structure_net.learning_rates.schedule import (
    Absolute,
    ConnectionShare,
    LayerShare,
    Pace,
    Schedule,
)

# A share beyond eight times the mean, or below an eighth of it, is another training, no emphasis.
SMALLEST_SHARE, LARGEST_SHARE = 1 / 8, 8.0

Factors = Float[np.ndarray, " _"]


@dataclass(frozen=True)
class Multipliers:
    """What multiplies base rate and pace: `layers` [layers] for a whole layer with its biases,
    `connections` [connections of the layer] beside that, for each layer."""

    layers: Factors
    connections: tuple[Factors, ...]

    def flat(self, biases: Sequence[int]) -> Float[np.ndarray, " values"]:
        """One factor for each value: connections layer by layer, then so many biases of each layer;
        float32."""
        products = [share * own for share, own in zip(self.layers, self.connections, strict=True)]
        return np.concatenate([*products, np.repeat(self.layers, biases)]).astype(np.float32)


def paces_of(schedules: Iterable[Schedule]) -> tuple[Pace, ...]:
    """The paces among the schedules."""
    return tuple(
        one for one in schedules if not isinstance(one, LayerShare | ConnectionShare | Absolute)
    )


def pace(schedules: Iterable[Schedule], moment: Moment) -> float:
    """The product of the paces among the schedules."""
    return math.prod(one(moment) for one in paces_of(schedules))


def paces_alone(schedules: Iterable[Schedule]) -> bool:
    """Whether all connections have the same rate, but for the gate of the newborn."""
    kinds = (LayerShare, ConnectionShare, Absolute)
    return all(isinstance(one, NewbornWarmUp) or not isinstance(one, kinds) for one in schedules)


def multipliers(schedules: Sequence[Schedule], moment: Moment) -> Multipliers:
    """Shares and absolutes at the beginning of an epoch, without the gate of the newborn, which
    opens step by step. RunFailedError where a schedule gives no number from 0 on."""
    shares = [one(moment) for one in schedules if isinstance(one, LayerShare)]
    layers = _limited(_product(shares, len(moment.layers)))
    own = [one for one in schedules if isinstance(one, ConnectionShare)]
    absolutes = [
        one for one in schedules if isinstance(one, Absolute) and not isinstance(one, NewbornWarmUp)
    ]
    connections = tuple(_of_layer(own, absolutes, moment, layer) for layer in moment.layers)
    if not all((factors >= 0).all() for factors in (layers, *connections)):  # false for NaN
        raise RunFailedError(
            f"Schedules gave a share that is no number from 0 on, at progress {moment.progress:.4g}"
            f"; the schedules are {', '.join(type(one).__name__ for one in schedules)}."
        )
    return Multipliers(layers, connections)


def _of_layer(
    shares: Sequence[ConnectionShare],
    absolutes: Sequence[Absolute],
    moment: Moment,
    layer: LayerState,
) -> Factors:
    count = len(layer.columns)
    found = np.ones(count)
    if shares:
        found = _limited(_product([one(moment, layer) for one in shares], count))
    return _product([found, *(one(moment, layer) for one in absolutes)], count)


def _product(factors: Sequence[Factors], count: int) -> Factors:
    product = np.ones(count)
    for one in factors:
        product *= one
    return product


def _limited(shares: Factors) -> Factors:
    """Divided by their mean, within the limits. Of zeros alone nothing is left to share: NaN."""
    mean = shares.mean()
    if not mean > 0:
        return np.full(len(shares), np.nan)
    limited: Factors = np.clip(shares / mean, SMALLEST_SHARE, LARGEST_SHARE)
    return limited


def shuffled(given: Multipliers, generator: np.random.Generator) -> Multipliers:
    """The placebo: the layers' shares in another order, and those of connections in another within
    each layer; frozen ones stay where they are. The same rates without what they knew."""
    connections = []
    for own in given.connections:
        moved = own.copy()
        live = np.flatnonzero(own)
        moved[live] = own[generator.permutation(live)]
        connections.append(moved)
    return Multipliers(generator.permutation(given.layers), tuple(connections))
