"""Schedules against their formulas, strategies found by name."""

from __future__ import annotations

import itertools
import math

import pytest

from structure_net.errors import UsageError
from structure_net.learning_rates import (
    HIGHEST_RATE,
    LOWEST_RATE,
    STRATEGIES,
    Constant,
    Cosine,
    Moment,
    WarmUp,
    pace,
)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 1.0), (0.5, 0.505), (1.0, 0.01)])
def test_cosine_at_its_ends_and_middle(progress: float, expected: float) -> None:
    assert Cosine()(Moment(progress)) == pytest.approx(expected, abs=1e-15)


def test_cosine_never_rises_after_the_end() -> None:
    assert [Cosine()(Moment(progress)) for progress in (1.0, 1.3, 2.0)] == [0.01] * 3


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.01), (0.025, 0.505), (0.05, 1.0), (0.3, 1.0), (1.0, 1.0)]
)
def test_warm_up_is_a_line_and_then_one(progress: float, expected: float) -> None:
    assert WarmUp()(Moment(progress)) == pytest.approx(expected, abs=1e-15)


def test_schedules_take_numbers_of_their_own() -> None:
    assert Cosine(end=0.2)(Moment(1.0)) == pytest.approx(0.2)
    assert WarmUp(share=0.5, start=0.0)(Moment(0.25)) == pytest.approx(0.5)
    assert {Constant()(Moment(progress / 10)) for progress in range(11)} == {1.0}


@pytest.mark.parametrize("step", range(0, 1001, 50))
def test_the_strategy_cosine_is_warm_up_times_cosine(step: int) -> None:
    p = step / 1000
    expected = min(1.0, 0.01 + 0.99 * p / 0.05) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * p)))
    assert pace("COSINE", Moment(p)) == pytest.approx(expected, rel=1e-12)
    assert pace("CONSTANT", Moment(p)) == 1.0


def test_cosine_falls_once_it_is_warm() -> None:
    paces = [pace("COSINE", Moment(step / 1000)) for step in range(50, 1001)]
    assert all(later < earlier for earlier, later in itertools.pairwise(paces))


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_every_pace_is_positive_and_at_most_one(strategy: str) -> None:
    assert all(0 < pace(strategy, Moment(step / 100)) <= 1 for step in range(101))


@pytest.mark.parametrize("spelling", ["COSINE", "cosine", "Cosine", " cosine "])
def test_spelling_of_a_strategy_does_not_matter(spelling: str) -> None:
    assert pace(spelling, Moment(0.7)) == pace("COSINE", Moment(0.7))


@pytest.mark.parametrize(("wrong", "right"), [("COSIN", "COSINE"), ("constnat", "CONSTANT")])
def test_an_unknown_strategy_suggests_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(UsageError, match=f"learning-rate strategy.*{wrong}.*'{right}'"):
        pace(wrong, Moment(0.0))


def test_strategies_differ() -> None:
    """Each pair by more than 1 % somewhere."""
    for one, other in itertools.combinations(STRATEGIES, 2):
        gaps = [
            abs(pace(one, Moment(step / 100)) / pace(other, Moment(step / 100)) - 1)
            for step in range(101)
        ]
        assert max(gaps) > 0.01


def test_the_limits_are_those_of_the_law() -> None:
    assert (LOWEST_RATE, HIGHEST_RATE) == (1e-6, 1e-2)
