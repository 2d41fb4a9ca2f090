"""Learning rates over a training: schedules and the strategies made of them."""

from structure_net.learning_rates.schedule import (
    HIGHEST_RATE,
    LOWEST_RATE,
    Constant,
    Cosine,
    Moment,
    Schedule,
    WarmUp,
)
from structure_net.learning_rates.strategies import STRATEGIES, pace

__all__ = [
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "STRATEGIES",
    "Constant",
    "Cosine",
    "Moment",
    "Schedule",
    "WarmUp",
    "pace",
]
