"""Mutual information from distances to neighbours (Kraskov, Stögbauer & Grassberger 2004)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from structure_net.errors import UsageError
from structure_net.metrics.measurement import Undetermined, Value

NEIGHBOURS = 5
# Above four dimensions in all the estimate falls far short: at 16 + 16 to a quarter of the truth.
LARGEST = 4
# The neighbour at the distance itself is not nearer than it, whatever rounding says.
NEARER = 1 - 1e-10


def ksg(x: Float[np.ndarray, "samples left"], y: Float[np.ndarray, "samples right"]) -> Value:
    """I(X; Y) in nats by Kraskov's first estimator: max-norm, 5 neighbours, no assumption on the
    form of dependence. Columns are divided by their standard deviations first.

    UsageError for more than four columns in all; Undetermined where points repeat.
    """
    if x.shape[1] + y.shape[1] > LARGEST:
        raise UsageError(
            f"The neighbour estimate of information takes at most {LARGEST} columns on both sides "
            f"together, and {x.shape[1]} + {y.shape[1]} came: with more it is far too low. Use the "
            f"Gaussian copula, or reduce the sides first."
        )
    from scipy.spatial import KDTree
    from scipy.special import digamma

    if len(x) <= NEIGHBOURS:
        return Undetermined(f"{len(x)} samples, and {NEIGHBOURS} neighbours of each are needed")
    if not (np.ptp(x, axis=0).all() and np.ptp(y, axis=0).all()):
        return Undetermined("a column is constant")
    sides = [side / side.std(axis=0) for side in (x.astype(np.float64), y.astype(np.float64))]
    joint = np.concatenate(sides, axis=1)
    # The nearest point of each is itself.
    distances, _ = KDTree(joint).query(joint, k=[NEIGHBOURS + 1], p=np.inf)
    radii = distances[:, 0] * NEARER
    if not radii.all():
        return Undetermined("points repeat, so that neighbours lie at distance 0")
    nearer = [digamma(_within(side, radii)) for side in sides]
    return float(digamma(NEIGHBOURS) + digamma(len(x)) - np.mean(nearer[0] + nearer[1]))


def _within(
    side: Float[np.ndarray, "samples columns"], radii: Float[np.ndarray, " samples"]
) -> Int[np.ndarray, " samples"]:
    """How many points lie within the radius of each, itself counted."""
    if side.shape[1] == 1:
        points = np.sort(side[:, 0])
        above = np.searchsorted(points, side[:, 0] + radii, side="right")
        return np.asarray(above - np.searchsorted(points, side[:, 0] - radii, side="left"))
    from scipy.spatial import KDTree

    near = KDTree(side).query_ball_point(side, radii, p=np.inf, return_length=True)
    return np.asarray(near)
