"""Schedules: a `Moment` of a training -> a dimensionless multiplier of the base learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# The law's range for AdamW: below, nothing moves; above, sign-like steps tear a network apart.
LOWEST_RATE = 1e-6
HIGHEST_RATE = 1e-2


@dataclass(frozen=True)
class Moment:
    """What a schedule may look at. `progress` = steps done / steps planned, in [0, 1]."""

    progress: float


Schedule = Callable[[Moment], float]


@dataclass(frozen=True)
class Constant:
    """1, always."""

    def __call__(self, moment: Moment) -> float:
        return 1.0


@dataclass(frozen=True)
class WarmUp:
    """From `start` up to 1 over the first `share` of the training, linearly."""

    share: float = 0.05
    start: float = 0.01

    def __call__(self, moment: Moment) -> float:
        return min(1.0, self.start + (1.0 - self.start) * moment.progress / self.share)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to `end` (Loshchilov & Hutter 2017); stays there afterwards."""

    end: float = 0.01

    def __call__(self, moment: Moment) -> float:
        wave = 0.5 * (1.0 + math.cos(math.pi * min(1.0, moment.progress)))
        return self.end + (1.0 - self.end) * wave
