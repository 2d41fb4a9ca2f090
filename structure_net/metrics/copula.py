"""Mutual information of two vectors under a Gaussian copula (Ince et al. 2017), in nats.

Each column is replaced by normal scores of its ranks; of the scores the mutual information is that
of Gaussians, with entropies corrected for the bias of a sample covariance. Monotone changes of a
column change nothing. It sees monotone dependence only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.metrics.jackknife import GROUPS, STUDENT, spread
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


class Scores:
    """Phi^-1(rank / (samples + 1)) of each column of both sides, the first `left` columns x; equal
    values share the mean of their scores. `covariance` is that of the scores, whose means are 0."""

    def __init__(self, x: Float[Tensor, "samples _"], y: Float[Tensor, "samples _"]) -> None:
        columns = np.ascontiguousarray(torch.cat([x, y], 1).T.numpy())
        self.left, self.samples = x.shape[1], len(x)
        # Which of equal values comes first does not matter below.
        self.order = np.argsort(columns, axis=1)
        self.first, self.last = _runs(np.take_along_axis(columns, self.order, axis=1))
        sums = _summed_table(self.samples)
        ordered = (sums[self.last + 1] - sums[self.first]) / (self.last + 1 - self.first)
        self.values = np.empty_like(ordered)
        np.put_along_axis(self.values, self.order, ordered, axis=1)
        self.products = self.values @ self.values.T

    @cached_property
    def nats(self) -> Value:
        """The estimate: H_x + H_y - H_xy."""
        if self.samples <= len(self.values):
            return Undetermined(f"{self.samples} samples of {len(self.values)} columns")
        found = _information(self.products[None], self.left, np.array([self.samples]))
        return float(found[0]) if np.isfinite(found[0]) else DEPENDENT

    def left_out(self) -> Float[np.ndarray, " groups"]:
        """The estimate without each group of samples (number modulo 20); NaN where there is none.

        Sums of products go without the group exactly. That the ranks of the others move up is taken
        to first order: by `rank_shares`.
        """
        shares = self.rank_shares().sum(0)
        products = np.empty((GROUPS, *self.products.shape))
        shifts, kept = np.empty(GROUPS), np.empty(GROUPS, dtype=np.int64)
        for group in range(GROUPS):
            out = np.ascontiguousarray(self.values[:, group::GROUPS])
            products[group] = self.products - out @ out.T
            shifts[group], kept[group] = shares[group::GROUPS].sum(), self.samples - out.shape[1]
        return _information(products, self.left, kept) + shifts

    def rank_shares(self) -> Float[np.ndarray, "columns samples"]:
        """By how much the estimate would change when a sample goes because the others' ranks in a
        column change, to first order.

        A score at place i of M moves by [i/M - i/(M+1) - (1/M where the sample stands below it)] /
        phi(score). Of equal values each stands half below the others.
        """
        samples = self.samples
        slopes = -_inverse(self.products)
        for side in self._sides:
            slopes[side, side] += _inverse(self.products[side, side])
        by_place = np.exp(0.5 * np.square(self.values)) * (slopes @ self.values)
        moves = math.sqrt(2 * math.pi) * np.take_along_axis(by_place, self.order, axis=1)
        until = np.zeros((len(moves), samples + 1))
        np.cumsum(moves, axis=1, out=until[:, 1:])
        end = np.take_along_axis(until, self.last + 1, axis=1)
        equal = end - np.take_along_axis(until, self.first, axis=1)
        above = until[:, -1:] - end + 0.5 * (equal - moves)
        places = (self.first + self.last + 2) / (2.0 * samples * (samples + 1))
        up = moves * places
        shares = np.empty_like(moves)
        np.put_along_axis(
            shares, self.order, up.sum(1, keepdims=True) - up - above / samples, axis=1
        )
        return shares

    def permuted(self, generator: np.random.Generator) -> Float[np.ndarray, " permutations"]:
        """The estimate after the rows of one side went into random orders, 20 times.

        With both sides made uncorrelated, K their covariance in a new order, that is
        -1/2 ln det(1 - K K').
        """
        x, y = (_uncorrelated(self.values[side], self.products[side, side]) for side in self._sides)
        rows = np.ascontiguousarray(y.T)
        mixed = np.stack(
            [x @ rows[generator.permutation(self.samples)] for _ in range(PERMUTATIONS)]
        )
        inside = np.eye(len(x)) - mixed @ mixed.transpose(0, 2, 1)
        biases = _biases((len(x), len(y)), self.samples)
        return -0.5 * _log_determinants(inside) - biases

    @property
    def _sides(self) -> tuple[slice, slice]:
        return slice(None, self.left), slice(self.left, None)


def copula_value(x: Float[Tensor, "samples left"], y: Float[Tensor, "samples right"]) -> Value:
    """The estimate alone, in nats; Undetermined where a covariance is singular."""
    return Scores(x, y).nats


def copula_information(
    x: Float[Tensor, "samples left"],
    y: Float[Tensor, "samples right"],
    generator: np.random.Generator,
) -> CopulaInformation | Undetermined:
    """The estimate with its jackknife interval and its null; `generator` draws permutations."""
    scores = Scores(x, y)
    if isinstance(scores.nats, Undetermined):
        return scores.nats
    thinned, null = scores.left_out(), scores.permuted(generator)
    if not (np.isfinite(thinned).all() and np.isfinite(null).all()):
        return DEPENDENT
    # Weibull's quantile: a further permutation stays at or below it with probability 0.95.
    return CopulaInformation(
        scores.nats,
        spread(thinned.tolist()),
        float(np.mean(null)),
        float(np.quantile(null, 0.95, method="weibull")),
    )


def _runs(
    ordered: Float[np.ndarray, "columns samples"],
) -> tuple[Int[np.ndarray, "columns samples"], Int[np.ndarray, "columns samples"]]:
    """Of each place in ascending columns, the first and the last place of the same value."""
    columns, samples = ordered.shape
    places = np.broadcast_to(np.arange(samples), ordered.shape)
    new = ordered[:, 1:] != ordered[:, :-1]
    if bool(new.all()):
        return places, places
    edge = np.ones((columns, 1), dtype=np.bool_)
    first = np.maximum.accumulate(np.where(np.hstack([edge, new]), places, 0), axis=1)
    ends = np.where(np.hstack([new, edge]), places, samples - 1)[:, ::-1]
    return first, np.minimum.accumulate(ends, axis=1)[:, ::-1]


@cache
def _summed_table(samples: int) -> Float[np.ndarray, " samples_plus_1"]:
    """Sums of the first 0, 1, ... normal scores of so many samples."""
    ranks = torch.arange(1, samples + 1, dtype=torch.double)
    scores = torch.special.ndtri(ranks / (samples + 1)).numpy()
    sums = np.concatenate([[0.0], scores.cumsum()])
    # Scores come in pairs of opposite sign: to the bit, so that those of a constant are 0.
    return np.asarray(np.where(np.arange(samples + 1) <= samples // 2, sums, sums[::-1]))


def _information(
    products: Float[np.ndarray, "n columns columns"], left: int, samples: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """H_x + H_y - H_xy of sums of products of scores; NaN where a matrix is singular."""
    sides = (products[:, :left, :left], products[:, left:, left:], products)
    x, y, both = (_log_determinants(side) for side in sides)
    sizes = left, products.shape[1] - left
    biases = np.array([_biases(sizes, int(count)) for count in samples])
    return np.asarray(0.5 * (x + y - both) - biases)


def _log_determinants(matrices: Float[np.ndarray, "n size size"]) -> Float[np.ndarray, " n"]:
    """Of positive definite matrices; NaN for others."""
    factors, failed = torch.linalg.cholesky_ex(torch.from_numpy(np.ascontiguousarray(matrices)))
    found = 2.0 * factors.diagonal(dim1=1, dim2=2).log().sum(1)
    return np.asarray(found.masked_fill(failed != 0, math.nan).numpy())


def _inverse(matrix: Float[np.ndarray, "size size"]) -> Float[np.ndarray, "size size"]:
    """Of a positive definite matrix."""
    factor, _ = torch.linalg.cholesky_ex(torch.from_numpy(matrix))
    return np.asarray(torch.cholesky_inverse(factor).numpy())


def _uncorrelated(
    values: Float[np.ndarray, "columns samples"], products: Float[np.ndarray, "columns columns"]
) -> Float[np.ndarray, "columns samples"]:
    """The columns turned so that their sums of products are the unit matrix."""
    factor, _ = torch.linalg.cholesky_ex(torch.from_numpy(products))
    turned: Tensor = torch.linalg.solve_triangular(factor, torch.from_numpy(values), upper=False)
    return np.asarray(turned.numpy())


@cache
def _biases(sizes: tuple[int, int], samples: int) -> float:
    """Nats by which log determinants of sums of products make the estimate too high.

    The mean of ln det S exceeds ln det of the truth by D ln 2 - D ln(M-1) + sum psi((M-i)/2); the
    terms in ln cancel between the sides and the whole.
    """
    places = (samples - torch.arange(1, sum(sizes) + 1, dtype=torch.double)) / 2
    sums: list[float] = (0.5 * places.digamma().cumsum(0)).tolist()
    return sums[sizes[0] - 1] + sums[sizes[1] - 1] - sums[-1]
