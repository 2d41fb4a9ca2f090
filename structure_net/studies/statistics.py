"""Paired statistics: what may be said of two arms that ran on the same seeds.

Nothing here knows what was measured. Differences are first minus second, pair by pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from statistics import NormalDist, fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from structure_net.errors import UsageError
from structure_net.seeding import derive

Numbers = npt.NDArray[np.float64]

# Five pairs cannot reach p < .05 in a two-sided signed-rank test; ten resolve d = 0.8 with a power
# of .58.
MINIMUM_PAIRS = 10
EXACT_PAIRS = 25  # up to here the distribution is counted, beyond it a normal one is close
RESAMPLES = 10_000  # the ends of a 95 % interval then move by about a hundredth of its width
CORRELATION_RESAMPLES = 2_000  # ranks are taken anew in each; the ends move by 2 % of the width
CONFIDENCE = 0.95
ALPHA = 0.05
LARGE_EFFECT = 0.8  # in standard deviations of the differences (Cohen 1988)
SIMULATIONS = 4_000  # a power of .5 is then known to within .016
DIGITS = 12  # of a difference: what rounding alone makes unequal is a tie
NORMAL = NormalDist()


@dataclass(frozen=True)
class Pairs:
    """Two arms over the same seeds. `p` and `power` are None below `MINIMUM_PAIRS`; `effect` is the
    mean difference in standard deviations of the differences, None where these do not vary; `a12`
    the probability that the first arm gives the larger value."""

    count: int
    difference: float
    low: float
    high: float
    effect: float | None
    a12: float
    p: float | None
    power: float | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_pairs(first: Sequence[float], second: Sequence[float], purpose: str) -> Pairs:
    """All figures of two equally long lists, a value for each seed; `purpose` names the draw."""
    differences = [round(a - b, DIGITS) for a, b in zip(first, second, strict=True)]
    count = len(differences)
    enough = count >= MINIMUM_PAIRS
    low, high = bootstrap(differences, purpose)
    return Pairs(
        count=count,
        difference=fmean(differences),
        low=low,
        high=high,
        effect=paired_effect(differences),
        a12=vargha_delaney(first, second),
        p=wilcoxon(differences) if enough else None,
        power=power(count, LARGE_EFFECT) if enough else None,
    )


def wilcoxon(differences: Sequence[float]) -> float:
    """Two-sided p of the signed-rank test (Wilcoxon 1945); UsageError below `MINIMUM_PAIRS`.

    Differences of zero are left out. Exact up to `EXACT_PAIRS` without ties, else normal with the
    variance corrected for ties and a correction for continuity.
    """
    if len(differences) < MINIMUM_PAIRS:
        raise UsageError(
            f"A signed-rank test was asked of {len(differences)} pairs. Below {MINIMUM_PAIRS} it "
            f"says nothing: run more seeds."
        )
    values = np.array([value for value in differences if value != 0.0])
    count = len(values)
    if count == 0:
        return 1.0
    ranks = _ranks(np.abs(values))
    smaller = min(float(ranks[values > 0].sum()), float(ranks[values < 0].sum()))
    _, repeats = np.unique(np.abs(values), return_counts=True)
    if count <= EXACT_PAIRS and int(repeats.max()) == 1:
        return min(1.0, 2.0 * _probability_up_to(count, round(smaller)))
    variance = count * (count + 1) * (2 * count + 1) / 24
    variance -= float((repeats**3 - repeats).sum()) / 48
    distance = max(0.0, abs(smaller - count * (count + 1) / 4) - 0.5)
    return min(1.0, 2.0 * NORMAL.cdf(-distance / math.sqrt(variance)))


def _ranks(values: Numbers) -> Numbers:
    """Ranks from 1, equal values share their mean rank."""
    _, place, repeats = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(repeats)
    return np.asarray((last - (repeats - 1) / 2)[place], dtype=np.float64)


@cache
def _rank_sums(count: int) -> tuple[int, ...]:
    """How many of the 2^count choices of signs give each sum of positive ranks."""
    ways = [1]
    for rank in range(1, count + 1):
        longer = [*ways, *[0] * rank]
        ways = [own + (longer[s - rank] if s >= rank else 0) for s, own in enumerate(longer)]
    return tuple(ways)


def _probability_up_to(count: int, total: int) -> float:
    return float(sum(_rank_sums(count)[: total + 1]) / 2**count)


def vargha_delaney(first: Sequence[float], second: Sequence[float]) -> float:
    """A12: P(first > second) + P(equal) / 2 over all pairs of values (Vargha & Delaney 2000)."""
    one, other = np.array(first)[:, None], np.array(second)[None, :]
    return float(((one > other) + 0.5 * (one == other)).mean())


def paired_effect(differences: Sequence[float]) -> float | None:
    """Mean difference over the standard deviation of the differences; None where that is 0."""
    if len(differences) < 2 or (spread := stdev(differences)) == 0.0:
        return None
    return fmean(differences) / spread


def bootstrap(values: Sequence[float], purpose: str) -> tuple[float, float]:
    """95 % interval of the mean, bias-corrected and accelerated (Efron 1987).

    One value, or all alike, is its own interval. The draw depends on `purpose` and the count alone.
    """
    sample = np.array(values, dtype=np.float64)
    count = len(sample)
    if count < 2 or bool((sample == sample[0]).all()):
        return float(sample[0]), float(sample[0])
    draw = derive(0, "bootstrap", purpose, count)
    means = sample[draw.integers(count, size=(RESAMPLES, count))].mean(axis=1)
    mean = float(sample.mean())
    below = float(((means < mean) + 0.5 * (means == mean)).mean())
    bias = NORMAL.inv_cdf(min(max(below, 1 / RESAMPLES), 1 - 1 / RESAMPLES))
    # For a mean the jackknife's acceleration is a sixth of the skewness over the root of the count.
    centred = sample - mean
    skew = float((centred**3).sum()) / float((centred**2).sum()) ** 1.5
    acceleration = skew / 6
    return (
        float(np.quantile(means, _shifted((1 - CONFIDENCE) / 2, bias, acceleration))),
        float(np.quantile(means, _shifted((1 + CONFIDENCE) / 2, bias, acceleration))),
    )


def _shifted(level: float, bias: float, acceleration: float) -> float:
    place = bias + NORMAL.inv_cdf(level)
    return NORMAL.cdf(bias + place / (1 - acceleration * place))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p-values for as many tests (Holm 1979), in the order given."""
    adjusted, worst = [0.0] * len(ps), 0.0
    for step, place in enumerate(sorted(range(len(ps)), key=lambda one: ps[one])):
        worst = max(worst, min(1.0, (len(ps) - step) * ps[place]))
        adjusted[place] = worst
    return adjusted


@cache
def power(count: int, effect: float) -> float:
    """Share of simulated studies of `count` pairs with p < .05, differences normal around `effect`
    standard deviations."""
    draw = derive(0, "power", count)
    samples = draw.standard_normal((SIMULATIONS, count)) + effect
    return fmean(wilcoxon(row) < ALPHA for row in samples.tolist())


def summary(values: Sequence[float], purpose: str) -> tuple[float, float, float]:
    """Mean, and both ends of its interval."""
    return (fmean(values), *bootstrap(values, purpose))


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation (Spearman 1904), equal values sharing their mean rank; neither constant."""
    one, other = (_ranks(np.array(values, dtype=np.float64)) for values in (first, second))
    return _correlation(one, other)


def spearman_p(rho: float, count: int) -> float:
    """Two-sided p of no relation, by Student's t with count - 2 degrees of freedom."""
    from scipy.special import stdtr

    if abs(rho) >= 1.0:
        return 0.0
    t = abs(rho) * math.sqrt((count - 2) / (1.0 - rho * rho))
    return min(1.0, 2.0 * float(stdtr(count - 2, -t)))


def spearman_interval(
    first: Sequence[float], second: Sequence[float], purpose: str
) -> tuple[float, float]:
    """95 % interval of a rank correlation: percentiles over `CORRELATION_RESAMPLES` bootstrap
    samples of pairs. The draw depends on `purpose` and the count alone."""
    one, other = np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
    draw = derive(0, "bootstrap of correlations", purpose, len(one))
    places = draw.integers(len(one), size=(CORRELATION_RESAMPLES, len(one)))
    left, right = (_ranks_of_resamples(values, places) for values in (one, other))
    sizes = np.sqrt((left * left).sum(1) * (right * right).sum(1))
    varied = sizes > 0
    found = (left * right).sum(1)[varied] / sizes[varied]
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _ranks_of_resamples(values: Numbers, places: npt.NDArray[np.int64]) -> Numbers:
    """Ranks within each row of `values[places]`, equal values sharing theirs, less their mean."""
    _, kinds = np.unique(values, return_inverse=True)
    drawn, count = kinds[places], int(kinds.max()) + 1
    row = count * np.arange(len(places))[:, None]
    counts = np.bincount((drawn + row).ravel(), minlength=len(places) * count)
    counts = counts.reshape(len(places), count)
    middle = counts.cumsum(1) - (counts - 1) / 2
    ranks = np.take_along_axis(middle, drawn, 1)
    return np.asarray(ranks - ranks.mean(1, keepdims=True), dtype=np.float64)


def partial_spearman(
    first: Sequence[float], second: Sequence[float], fixed: Sequence[float]
) -> float | None:
    """The rank correlation with a third quantity held fixed: (r12 - r13 r23) / sqrt((1 - r13^2)
    (1 - r23^2)); None where the third says all of one of the two, or does not vary."""
    if min(fixed) == max(fixed):
        return None
    both, one, other = spearman(first, second), spearman(first, fixed), spearman(second, fixed)
    rest = (1.0 - one * one) * (1.0 - other * other)
    if rest < 1e-12:
        return None
    return max(-1.0, min(1.0, (both - one * other) / math.sqrt(rest)))


def _correlation(first: Numbers, second: Numbers) -> float:
    one, other = first - first.mean(), second - second.mean()
    size = math.sqrt(float((one * one).sum()) * float((other * other).sum()))
    return max(-1.0, min(1.0, float((one * other).sum()) / size))
