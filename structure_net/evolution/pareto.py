"""Two objectives at once, validation error and active parameters, both minimised.

Points are pairs of finite numbers. One point *dominates* another if it is nowhere larger and
somewhere smaller; a *front* holds points of which none dominates another.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from structure_net.schema import TrialResult

Point = tuple[float, float]

# Decimal digits of the largest size that counts: 10^8 parameters. The largest network of the
# default space (20 layers of 4,096 units at 20 % density) has 6.3e7.
LARGEST_DIGITS = 8.0


def objectives(result: TrialResult) -> Point:
    """Validation error in [0, 1], active parameters."""
    return (1.0 - result.validation_accuracy, float(result.active_parameters))


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Non-dominated sorting (Deb et al. 2002): the places of the points, front by front.

    The first front is dominated by no point, the second by points of the first alone, and so on.
    Equal points share a front. O(n log n): the points come by their first number, so that each is
    dominated by a front exactly if that front already holds a second number not above its own.
    """
    lowest: list[float] = []  # the smallest second number of each front, in ascending order
    front_of: dict[Point, int] = {}
    for point in sorted(set(points)):
        place = bisect_right(lowest, point[1])
        lowest[place : place + 1] = [point[1]]
        front_of[point] = place
    sorted_out: list[list[int]] = [[] for _ in lowest]
    for place, point in enumerate(points):
        sorted_out[front_of[point]].append(place)
    return sorted_out


def crowding(front: Sequence[Point]) -> list[float]:
    """Crowding distance of the points of one front (Deb et al. 2002).

    For each objective the gap between the neighbours on both sides, over the range of the front;
    both added. The ends are infinitely far from others; equal points share the distance of one.
    """
    distinct = sorted(set(front))
    distance = dict.fromkeys(distinct, math.inf)
    for before, point, after in zip(distinct, distinct[1:], distinct[2:], strict=False):
        distance[point] = sum(
            abs(after[axis] - before[axis]) / abs(distinct[-1][axis] - distinct[0][axis])
            for axis in (0, 1)
        )
    return [distance[point] for point in front]


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """The area that the points dominate below the reference (Zitzler & Thiele 1999)."""
    area, ceiling = 0.0, reference[1]
    for first, second in sorted(points):
        if first < reference[0] and second < ceiling:
            area += (reference[0] - first) * (ceiling - second)
            ceiling = second
    return area


def dominated_share(results: Iterable[TrialResult]) -> float:
    """Hypervolume of results in the unit square of validation error and log10(parameters) / 8.

    The reference point is error 1 and 10^8 parameters; 0 is nothing learnt or nothing there, 1
    would be one parameter that makes no error. Of sizes the logarithm counts, because they differ
    by factors; a larger network than 10^8 adds nothing.
    """
    points = [objectives(result) for result in results]
    scaled = [(error, math.log10(size) / LARGEST_DIGITS) for error, size in points]
    return hypervolume(scaled, (1.0, 1.0))
