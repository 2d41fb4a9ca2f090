"""Fronts, crowding and hypervolume against brute force and closed forms."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from structure_net.evolution import crowding, dominated_share, fronts, hypervolume
from structure_net.evolution.pareto import Point
from structure_net.schema import Trial
from tests.evolution.test_selection import GENOMES
from tests.evolution.worlds import result_of


def dominates(one: Point, other: Point) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def peeled(points: list[Point]) -> list[list[int]]:
    """Take away those that nothing left dominates, again and again."""
    left, found = set(range(len(points))), []
    while left:
        front = [
            place
            for place in sorted(left)
            if not any(dominates(points[other], points[place]) for other in left)
        ]
        found.append(front)
        left -= set(front)
    return found


def test_fronts_are_those_of_brute_force_on_200_points_with_ties() -> None:
    draw = random.Random(1)
    for values in (3, 10, 40, 10_000):
        for _ in range(5):
            points = [
                (draw.randrange(values) / 7, float(draw.randrange(values))) for _ in range(200)
            ]
            assert fronts(points) == peeled(points)
    assert fronts([]) == []


few = st.lists(
    st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), min_size=1, max_size=25
)


@given(few)
def test_fronts_of_any_points(points: list[Point]) -> None:
    assert fronts(points) == peeled(points)


def test_crowding_of_equal_steps_on_a_line_is_the_same_inside() -> None:
    """n points on a straight front: each gap is 2 / (n - 1) of the range, in both objectives."""
    for count in (3, 4, 11, 50):
        line = [(float(place), 1000.0 - 20.0 * place) for place in range(count)]
        distances = crowding(line)
        assert distances[0] == distances[-1] == math.inf
        assert distances[1:-1] == pytest.approx([4 / (count - 1)] * (count - 2))


def test_crowding_by_hand_whatever_the_order_and_equal_points_share() -> None:
    front = [(0.1, 900.0), (0.2, 500.0), (0.5, 400.0), (0.9, 100.0)]
    by_hand = [math.inf, 0.4 / 0.8 + 500 / 800, 0.7 / 0.8 + 400 / 800, math.inf]
    assert crowding(front) == pytest.approx(by_hand)
    assert crowding(front[::-1]) == pytest.approx(by_hand[::-1])
    doubled = [point for point in front for _ in range(2)]
    assert crowding(doubled) == pytest.approx([one for one in by_hand for _ in range(2)])


@pytest.mark.parametrize("front", [[], [(0.5, 3.0)], [(0.5, 3.0)] * 4, [(0.1, 3.0), (0.2, 1.0)]])
def test_the_ends_are_infinitely_far(front: list[Point]) -> None:
    assert crowding(front) == [math.inf] * len(front)


def counted_area(points: list[Point], reference: Point) -> Fraction:
    """Cells of the grid through all coordinates, each counted if some point dominates it."""
    inside = [p for p in points if p[0] < reference[0] and p[1] < reference[1]]
    rows, columns = (
        sorted({Fraction(p[axis]) for p in inside} | {Fraction(reference[axis])}) for axis in (0, 1)
    )
    area = Fraction(0)
    for low, high in pairwise(rows):
        for left, right in pairwise(columns):
            if any(p[0] <= low and p[1] <= left for p in inside):
                area += (high - low) * (right - left)
    return area


@given(few)
def test_the_hypervolume_is_the_area_counted_cell_by_cell(points: list[Point]) -> None:
    for reference in ((7.0, 7.0), (4.0, 5.5), (0.0, 3.0)):
        assert hypervolume(points, reference) == float(counted_area(points, reference))


def test_the_hypervolume_is_what_random_darts_hit() -> None:
    draw = random.Random(8)
    points = [(draw.random(), draw.random() ** 3) for _ in range(30)]
    darts = 40_000
    hits = 0
    for _ in range(darts):
        dart = (draw.random(), draw.random())
        hits += any(p[0] <= dart[0] and p[1] <= dart[1] for p in points)
    area = hypervolume(points, (1.0, 1.0))
    deviation = math.sqrt(area * (1 - area) / darts)
    assert abs(hits / darts - area) < 4 * deviation


def test_other_programs_agree_on_the_hypervolume() -> None:
    moocore = pytest.importorskip("moocore", reason="moocore is not installed")
    draw = random.Random(9)
    points = [(draw.random(), draw.random()) for _ in range(100)]
    area = hypervolume(points, (1.0, 1.0))
    assert area == pytest.approx(moocore.hypervolume(points, ref=[1.0, 1.0]))


@pytest.mark.parametrize(
    ("figures", "share"),
    [
        ([], 0.0),
        ([(1.0, 1)], 1.0),  # one parameter that makes no error
        ([(0.5, 10_000)], 0.25),  # half of the errors, half of the digits
        ([(0.0, 100)], 0.0),
        ([(1.0, 10**8)], 0.0),
        ([(1.0, 10**9)], 0.0),
        ([(0.5, 10_000), (0.25, 100)], 0.25 + 0.25 * 0.25),
        ([(0.5, 10_000), (0.5, 20_000), (0.4, 10_000)], 0.25),
    ],
)
def test_the_share_of_the_unit_square(figures: list[tuple[float, int]], share: float) -> None:
    results = [
        result_of(
            Trial(number=number, generation=0, genome=GENOMES[0], seed=0, epochs=1),
            accuracy,
            active_parameters=parameters,
        )
        for number, (accuracy, parameters) in enumerate(figures)
    ]
    assert dominated_share(results) == pytest.approx(share, abs=1e-12)
