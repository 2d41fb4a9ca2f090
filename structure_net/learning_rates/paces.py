"""Paces: one number for the whole network, a function of time and of what training came to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from structure_net.learning_rates.moment import Moment
from structure_net.learning_rates.schedule import SCHEDULES, schedule


@schedule("constant")
@dataclass(frozen=True)
class Constant:
    """`factor`, always."""

    factor: float = 1.0

    def __call__(self, moment: Moment) -> float:
        return self.factor


@schedule("warm_up")
@dataclass(frozen=True)
class WarmUp:
    """From `start` up to 1 over the first `share` of the training, linearly."""

    share: float = 0.05
    start: float = 0.01

    def __call__(self, moment: Moment) -> float:
        if moment.progress >= self.share:
            return 1.0
        return min(1.0, self.start + (1.0 - self.start) * moment.progress / self.share)


@schedule("cosine")
@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to `end` (Loshchilov & Hutter 2017); stays there afterwards."""

    end: float = 0.01

    def __call__(self, moment: Moment) -> float:
        wave = 0.5 * (1.0 + math.cos(math.pi * min(1.0, moment.progress)))
        return self.end + (1.0 - self.end) * wave


@schedule("exponential_backoff")
@dataclass(frozen=True)
class ExponentialBackoff:
    """`decay` for each epoch done, down to `floor`. A multiplier of the base rate: the same as an
    absolute rate that starts at 1 diverges."""

    decay: float = 0.95
    floor: float = 0.01

    def __call__(self, moment: Moment) -> float:
        return max(self.floor, math.pow(self.decay, moment.epoch))


@schedule("plateau")
@dataclass(frozen=True)
class Plateau:
    """`cut` for each time that the validation loss failed to get better than its best by the share
    `improvement` in `patience` epochs, down to `floor`; the count begins anew after each cut."""

    cut: float = 0.5
    patience: float = 2.0
    improvement: float = 0.001
    floor: float = 0.01

    def __call__(self, moment: Moment) -> float:
        best, waited, cuts = math.inf, 0, 0
        for loss in moment.past.validation_losses:
            if loss < best * (1.0 - self.improvement):
                best, waited = loss, 0
                continue
            waited += 1
            if waited >= self.patience:
                waited, cuts = 0, cuts + 1
        return max(self.floor, self.cut**cuts)


@schedule("phase")
@dataclass(frozen=True)
class Phase:
    """`early` in the first half of the training, `middle` in the third quarter, then `late`."""

    early: float = 1.0
    middle: float = 0.1
    late: float = 0.01

    def __call__(self, moment: Moment) -> float:
        if moment.progress < 0.5:
            return self.early
        return self.middle if moment.progress < 0.75 else self.late


@schedule("adaptive_phase")
@dataclass(frozen=True)
class AdaptivePhase:
    """By the fall of the training loss over the last 5 epochs, (mean of the first two - mean of the
    last two) / mean of the first two: above `steep`, above `flat`, about 0, or negative."""

    exploration: float = 1.0
    exploitation: float = 0.5
    resting: float = 0.1
    rising: float = 0.25
    steep: float = 0.01
    flat: float = 0.0025

    def __call__(self, moment: Moment) -> float:
        losses = moment.past.train_losses[-5:]
        if len(losses) < 5:
            return 1.0
        before = losses[0] + losses[1]
        fall = (before - losses[3] - losses[4]) / before if before > 0 else 0.0
        if fall > self.steep:
            return self.exploration
        if fall > self.flat:
            return self.exploitation
        return self.resting if fall >= -self.flat else self.rising


@schedule("extrema_phase")
@dataclass(frozen=True)
class ExtremaPhase:
    """By the extrema ratio measured last: `explosive` above 0.1, `steady` above 0.01, `refinement`
    below; 1 while it is undetermined."""

    explosive: float = 2.0
    steady: float = 1.4
    refinement: float = 1.0

    def __call__(self, moment: Moment) -> float:
        ratio = moment.past.extrema_ratio
        if ratio is None:
            return 1.0
        if ratio > 0.1:
            return self.explosive
        return self.steady if ratio > 0.01 else self.refinement


# As first described: a healthy network is slowed down a hundredfold.
SCHEDULES.register("seed_legacy_extrema_phase")(ExtremaPhase(1.0, 0.1, 0.01))
