"""Mutual information from distances to neighbours (Kraskov, Stögbauer & Grassberger 2004)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from structure_net.errors import UsageError
from structure_net.metrics.jackknife import GROUPS, groups_of
from structure_net.metrics.measurement import Undetermined, Value

NEIGHBOURS = 5
# Above four dimensions in all the estimate falls far short: at 16 + 16 to a quarter of the truth.
LARGEST = 4
# The neighbour at the distance itself is not nearer than it, whatever rounding says.
NEARER = 1 - 1e-10
# Neighbours looked up for the estimates without a group, each sample itself among them: eleven of
# sixteen lie in one group of a twentieth of the samples only where samples repeat.
LOOKED_UP = 16


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


def ksg_left_out(
    x: Float[np.ndarray, "samples 1"], y: Float[np.ndarray, "samples 1"]
) -> Float[np.ndarray, " groups"]:
    """`ksg` of two columns without each of 20 groups of samples (number modulo 20), both divided by
    the standard deviations of all samples; NaN where it is undetermined.

    Each sample's neighbours are looked up once, and counts of a group are taken off those of all.
    """
    from scipy.spatial import KDTree
    from scipy.special import digamma

    samples, groups = len(x), groups_of(len(x))
    sides = [(side / side.std(axis=0))[:, 0] for side in (x, y)]
    joint = np.stack(sides, axis=1)
    most = min(LOOKED_UP, samples)
    distances, near = KDTree(joint).query(joint, k=most, p=np.inf)
    places = _fifth_places(groups[near])
    others = groups[:, None] != np.arange(GROUPS)
    lacking = (places >= most) & others
    places = np.minimum(places, most - 1)
    radii = np.take_along_axis(distances, places, axis=1) * NEARER
    table = digamma(np.maximum(np.arange(samples + 1), 1))
    terms = sum(table[_without_groups(side, groups, radii, places)] for side in sides)
    kept = others.sum(axis=0)
    found = table[NEIGHBOURS] + table[kept] - (terms * others).sum(axis=0) / kept
    unknown = (lacking | ((radii == 0.0) & others)).any(axis=0)
    return np.asarray(np.where(unknown, np.nan, found))


def _fifth_places(theirs: Int[np.ndarray, "samples near"]) -> Int[np.ndarray, "samples groups"]:
    """Among the neighbours of each sample, itself at 0, the place of the fifth of other groups, for
    each group; `theirs` are the neighbours' groups, nearest first."""
    samples, near = theirs.shape
    rows = np.arange(samples)
    nearest = rows[:, None] * GROUPS + theirs[:, : NEIGHBOURS + 1]
    met = np.bincount(nearest.ravel(), minlength=samples * GROUPS).reshape(samples, GROUPS)
    places = NEIGHBOURS + met
    for place in range(NEIGHBOURS + 1, near):
        group = theirs[:, place]
        places[rows, group] += places[rows, group] >= place
    return places


def _without_groups(
    side: Float[np.ndarray, " samples"],
    groups: Int[np.ndarray, " samples"],
    radii: Float[np.ndarray, "samples groups"],
    places: Int[np.ndarray, "samples groups"],
) -> Int[np.ndarray, "samples groups"]:
    """How many points of the other groups lie within the radius of each, itself counted, for each
    group that is left out. `places` tell which radii of a sample are the same."""
    order = np.argsort(side)
    points = side[order]
    below = np.zeros((len(side) + 1, GROUPS), dtype=np.int64)
    np.cumsum(groups[order][:, None] == np.arange(GROUPS), axis=0, out=below[1:])
    ends = []
    own, (rows, columns) = radii.min(axis=1), np.nonzero(places > places.min(axis=1, keepdims=True))
    for edge, sign in (("left", -1.0), ("right", 1.0)):
        found = np.searchsorted(points, side + sign * own, side=edge)  # type: ignore[call-overload]
        each = np.repeat(found[:, None], GROUPS, axis=1)
        farther = side[rows] + sign * radii[rows, columns]
        each[rows, columns] = np.searchsorted(points, farther, side=edge)  # type: ignore[call-overload]
        ends.append(each - below[each, np.arange(GROUPS)])
    return np.asarray(ends[1] - ends[0])
