"""The assignment against all permutations, and against scipy."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from structure_net.networks.assignment import LARGEST_EXACT, assignment, matching


def total(similarity: np.ndarray, columns: np.ndarray) -> float:
    assert sorted(columns.tolist()) == list(range(len(similarity)))
    return float(sum(similarity[row, column] for row, column in enumerate(columns)))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_small_ones_are_the_best_of_all_permutations(size: int) -> None:
    draw = np.random.default_rng(size)
    for _ in range(30):
        similarity = draw.integers(-3, 4, (size, size)).astype(float)  # many ties
        best = max(total(similarity, np.array(one)) for one in permutations(range(size)))
        assert total(similarity, assignment(similarity)) == best


@pytest.mark.parametrize("size", [40, 150, 400])
def test_large_ones_reach_what_scipy_reaches(size: int) -> None:
    draw = np.random.default_rng(size)
    units = draw.normal(size=(size, 30)) * (draw.random((size, 30)) < 0.2)
    alike = units @ (units + draw.normal(size=units.shape))[draw.permutation(size)].T
    for similarity in (draw.random((size, size)), alike, np.zeros((size, size))):
        rows, columns = linear_sum_assignment(similarity, maximize=True)
        best = float(similarity[rows, columns].sum())
        assert total(similarity, assignment(similarity)) == pytest.approx(best, rel=1e-9)


def test_a_planted_permutation_is_found() -> None:
    draw = np.random.default_rng(0)
    units, order = draw.normal(size=(200, 64)), draw.permutation(200)
    assert (order[assignment(units @ units[order].T)] == np.arange(200)).all()


def test_beyond_the_exact_size_the_most_similar_pairs_come_first() -> None:
    size = LARGEST_EXACT + 20
    similarity = np.random.default_rng(1).normal(size=(size, size))
    found, free, by_hand = matching(similarity), similarity.copy(), np.full(size, -1)
    for _ in range(size):
        row, column = np.unravel_index(free.argmax(), free.shape)
        by_hand[row] = column
        free[row], free[:, column] = -np.inf, -np.inf
    assert (found == by_hand).all()
    small = similarity[:30, :30]
    assert (matching(small) == assignment(small)).all()


def test_ties_everywhere_still_give_each_column_once() -> None:
    for similarity in (np.zeros((600, 600)), np.ones((600, 600)), np.eye(600)[::-1]):
        assert sorted(matching(similarity).tolist()) == list(range(600))


def test_a_large_planted_permutation_is_found() -> None:
    draw = np.random.default_rng(0)
    units, order = draw.normal(size=(700, 64)), draw.permutation(700)
    assert (order[matching(units @ units[order].T)] == np.arange(700)).all()
