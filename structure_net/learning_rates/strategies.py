"""Strategies: named lists of schedules, as data."""

from __future__ import annotations

import math

from structure_net.learning_rates.schedule import Constant, Cosine, Moment, Schedule, WarmUp
from structure_net.registry import Registry

STRATEGIES: Registry[tuple[Schedule, ...]] = Registry("learning-rate strategy")
STRATEGIES.register("CONSTANT")((Constant(),))
STRATEGIES.register("COSINE")((WarmUp(), Cosine()))


def pace(strategy: str, moment: Moment) -> float:
    """The product of the strategy's schedules: what multiplies the base rate at this moment."""
    return math.prod(schedule(moment) for schedule in STRATEGIES.get(strategy))
