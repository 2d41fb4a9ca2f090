"""Mutual information of two vectors under a Gaussian copula (Ince et al. 2017), in nats.

Each column is replaced by normal scores of its ranks; of the scores the mutual information is that
of Gaussians, with entropies corrected for the bias of a sample covariance. Monotone changes of a
column change nothing. It sees monotone dependence only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from structure_net.metrics.jackknife import GROUPS, STUDENT, groups_of, spread
from structure_net.metrics.measurement import Undetermined, Value

PERMUTATIONS = 20
DEPENDENT = Undetermined("columns of one side determine one another, or one is constant")


@dataclass(frozen=True)
class CopulaInformation:
    """An estimate in nats, its 95 % interval, and what row permutations of one side give."""

    nats: float
    standard_error: float
    null_mean: float
    null_quantile: float

    @property
    def interval(self) -> tuple[float, float]:
        return (
            self.nats - STUDENT * self.standard_error,
            self.nats + STUDENT * self.standard_error,
        )

    @property
    def distinguishable(self) -> bool:
        """Whether it lies above the 95 % quantile of the permutations: else it may well be 0."""
        return self.nats > self.null_quantile


def resolution(dimensions: int, samples: int) -> float:
    """Nats up to which ranks of so many samples can tell, `dimensions` those of the smaller side.

    Ranks place a sample to about 1/sqrt(samples) of a standard deviation, which is like noise on
    each coordinate. Between turned Gaussian vectors of 2 to 34 dimensions the estimate lies less
    than 4 % below the truth here, and about 20 % at a truth of 1.7 times as much.
    """
    return dimensions * max(0.0, 0.5 * float(np.log(samples / 20)))


class Ranked:
    """The columns of both sides, sorted once; scores of all samples or of some from that."""

    def __init__(self, columns: Float[Tensor, "samples columns"]) -> None:
        values, self._order = columns.T.contiguous().sort(dim=1, stable=True)
        ends = values[:, 1:] != values[:, :-1]
        # Ordinal number of each run of equal values; None without ties, the common case.
        first = torch.zeros(len(values), 1, dtype=torch.long)
        self._runs = None if bool(ends.all()) else torch.cat([first, ends.long().cumsum(1)], 1)
        self.samples = len(columns)

    def scores(
        self, kept: Bool[Tensor, " samples"] | None = None
    ) -> Float[Tensor, "columns samples"]:
        """Phi^-1(rank / (samples + 1)), equal values sharing the mean of their scores; 0 where a
        sample is left out, the ranks being those among the others."""
        order, runs = self._order, self._runs
        if kept is not None:
            inside = kept[order]
            order = order[inside].view(len(order), -1)
            runs = None if runs is None else runs[inside].view(len(order), -1)
        many = order.shape[1]
        table = torch.special.ndtri(torch.arange(1, many + 1, dtype=torch.double) / (many + 1))
        table = table.expand(len(order), many)
        if runs is not None:
            sums = torch.zeros(len(runs), self.samples, dtype=torch.double)
            counts = sums.scatter_add(1, runs, torch.ones_like(table))
            sums.scatter_add_(1, runs, table)
            table = (sums / counts.clamp(min=1.0)).gather(1, runs)
        scores = torch.zeros(len(order), self.samples, dtype=torch.double)
        return scores.scatter_(1, order, table)


def copula_value(x: Float[Tensor, "samples left"], y: Float[Tensor, "samples right"]) -> Value:
    """The estimate alone, in nats; Undetermined where a covariance is singular."""
    scores = Ranked(torch.cat([x, y], 1)).scores()
    return _information(scores, x.shape[1], len(x))


def copula_information(
    x: Float[Tensor, "samples left"],
    y: Float[Tensor, "samples right"],
    generator: np.random.Generator,
) -> CopulaInformation | Undetermined:
    """The estimate with its jackknife interval and its null; `generator` draws permutations."""
    ranked, left, samples = Ranked(torch.cat([x, y], 1)), x.shape[1], len(x)
    scores = ranked.scores()
    nats = _information(scores, left, samples)
    if isinstance(nats, Undetermined):
        return nats
    thinned = _left_out(ranked, left)
    shuffled = [_permuted(scores, left, generator) for _ in range(PERMUTATIONS)]
    for value in (*thinned, *shuffled):
        if isinstance(value, Undetermined):
            return value
    null = [value for value in shuffled if isinstance(value, float)]
    # Weibull's quantile: a further permutation stays at or below it with probability 0.95.
    return CopulaInformation(
        nats,
        spread([value for value in thinned if isinstance(value, float)]),
        float(np.mean(null)),
        float(np.quantile(null, 0.95, method="weibull")),
    )


def _left_out(ranked: Ranked, left: int) -> list[Value]:
    """The estimate without each group of samples, ranks taken anew among those that stay."""
    groups = torch.from_numpy(groups_of(ranked.samples))
    return [
        _information(ranked.scores(groups != group), left, int((groups != group).sum()))
        for group in range(GROUPS)
    ]


def _permuted(
    scores: Float[Tensor, "columns samples"], left: int, generator: np.random.Generator
) -> Value:
    """The estimate after the rows of one side went into a random order."""
    order = torch.from_numpy(generator.permutation(scores.shape[1]))
    mixed = torch.cat([scores[:left], scores[left:, order]])
    return _information(mixed, left, scores.shape[1])


def _information(scores: Float[Tensor, "columns samples"], left: int, samples: int) -> Value:
    """H_x + H_y - H_xy of scores of mean 0, of which the first `left` columns are x."""
    covariance = scores @ scores.T / (samples - 1)
    sides = (covariance[:left, :left], covariance[left:, left:], covariance)
    if samples <= len(scores):
        return Undetermined(f"{samples} samples of {len(scores)} columns")
    entropies = list(_entropies(sides, samples))
    if not all(np.isfinite(entropies)):
        return DEPENDENT
    return entropies[0] + entropies[1] - entropies[2]


def _entropies(covariances: tuple[Float[Tensor, "_ _"], ...], samples: int) -> Iterator[float]:
    """Gaussian entropies up to constants that cancel, without the bias of a sample covariance:
    the mean of ln det S exceeds ln det of the truth by D ln 2 - D ln(M-1) + sum psi((M-i)/2)."""
    for covariance in covariances:
        size = len(covariance)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        places = (samples - torch.arange(1, size + 1, dtype=torch.double)) / 2
        bias = size * float(np.log(2.0 / (samples - 1))) + float(places.digamma().sum())
        yield np.nan if int(failed) else float(factor.diagonal().log().sum()) - bias / 2
