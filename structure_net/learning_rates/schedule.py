"""Schedules: a `Moment` of a training -> dimensionless multipliers of the base learning rate.

Four kinds: a *pace* is one number and a function of time; a *share* redistributes among layers, or
among the connections of a layer, and is divided by its mean; an *absolute* is a correction of
single connections. `law` multiplies them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from structure_net.learning_rates.moment import LayerState, Moment
from structure_net.registry import Registry

# The law's range for AdamW: below, nothing moves; above, sign-like steps tear a network apart.
LOWEST_RATE = 1e-6
HIGHEST_RATE = 1e-2

Pace = Callable[[Moment], float]
Shares = Float[np.ndarray, " connections"]


class LayerShare(ABC):
    """Redistributes among sparse layers."""

    @abstractmethod
    def __call__(self, moment: Moment) -> Float[np.ndarray, " layers"]:
        """A share above 0 for each of `moment.layers`; only their proportions count."""


class ConnectionShare(ABC):
    """Redistributes among the connections of a layer."""

    @abstractmethod
    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        """A share above 0 for each connection; only their proportions count."""


class Absolute(ABC):
    """A correction or gate of connections, taken as it is."""

    @abstractmethod
    def __call__(self, moment: Moment, layer: LayerState) -> Shares:
        """A factor from 0 on for each connection; exactly 0 is frozen."""


Schedule = Pace | LayerShare | ConnectionShare | Absolute
SCHEDULES: Registry[Schedule] = Registry("learning-rate schedule")

Kind = TypeVar("Kind", bound=Callable[[], Schedule])


def schedule(name: str) -> Callable[[Kind], Kind]:
    """Decorator that registers a frozen dataclass, with its default numbers, by name."""

    def enter(kind: Kind) -> Kind:
        SCHEDULES.register(name)(kind())
        return kind

    return enter
