"""Selection and fitness against a plain sort and plain arithmetic."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from math import comb

import pytest
from scipy import stats

from structure_net.evolution import FITNESS, SELECTION, Member, World, founders, rank_key
from structure_net.schema import Trial
from structure_net.seeding import derive
from tests.evolution.worlds import config_of, result_of

GENOMES = founders(World.of(config_of(), 64, 10), 40, derive(9, "founders"))


def member(number: int, genome: int, fitness: float, connections: int) -> Member:
    trial = Trial(number=number, generation=0, genome=GENOMES[genome], seed=0, epochs=1)
    return Member(result_of(trial, 0.5, connections=connections), fitness, frozenset())


def members(draw: random.Random, count: int) -> list[Member]:
    """Few distinct fitnesses, connections and genomes, so that every kind of tie occurs."""
    return [
        member(number, draw.randrange(6), draw.choice([0.1, 0.2, 0.3]), draw.choice([50, 60]))
        for number in draw.sample(range(1000), count)
    ]


def test_truncation_is_a_sort_by_fitness_then_size_then_id() -> None:
    draw = random.Random(5)
    for _ in range(200):
        pool = members(draw, draw.randint(2, 40))
        count = draw.randint(1, len(pool) - 1)
        rest, wanted = list(pool), []
        for _ in range(count):  # selection by hand: take out the best, again and again
            best = rest[0]
            for one in rest[1:]:
                pairs = (
                    (best.fitness, one.fitness),
                    (one.result.connections, best.result.connections),
                    (one.result.genome.id, best.result.genome.id),
                    (one.result.number, best.result.number),
                )
                if next(left < right for left, right in pairs if left != right):
                    best = one
            rest.remove(best)
            wanted.append(best)
        shuffled = draw.sample(pool, len(pool))
        assert SELECTION.get("truncation")(shuffled, count, derive(0)) == wanted


def test_ties_go_to_fewer_connections_then_the_smaller_id_then_the_number() -> None:
    low, high = sorted(range(2), key=lambda place: GENOMES[place].id)
    ranked = [
        member(9, high, 0.5, 99),
        member(8, low, 0.4, 10),
        member(7, low, 0.4, 11),
        member(1, high, 0.4, 11),
        member(2, high, 0.4, 11),
    ]
    backwards = ranked[::-1]
    assert sorted(backwards, key=rank_key) == ranked


@pytest.mark.parametrize(
    ("accuracy", "parameters", "fitness"),
    [
        (0.5, 36_000, 0.354167),  # 0.35 + 0.3 * 0.5 / 36
        (0.1, 31, 0.1),  # below 1,000 parameters the size no longer counts
        (0.8, 1_000, 0.8),
        (0.8, 2_000, 0.68),
        (0.0, 5_000, 0.0),
        (1.0, 10**9, 0.7),
    ],
)
def test_the_default_fitness(accuracy: float, parameters: int, fitness: float) -> None:
    trial = Trial(number=0, generation=0, genome=GENOMES[0], seed=0, epochs=1)
    result = result_of(trial, accuracy, active_parameters=parameters)
    assert FITNESS.get("seed")(result) == pytest.approx(fitness, abs=5e-7)
    assert FITNESS.get("accuracy")(result) == accuracy


def chosen(name: str, pool: list[Member], count: int, seed: int = 0) -> list[Member]:
    return SELECTION.get(name)(sorted(pool, key=rank_key), count, derive(seed, name))


def test_the_first_pick_of_best_of_three_follows_its_closed_form() -> None:
    """Rank r of n is the best of three draws with probability C(n - r, 2) / C(n, 3)."""
    count, draws = 12, 20_000
    pool = [member(place, 0, 1.0 - place / 100, 50) for place in range(count)]
    counts = Counter(chosen("best-of-k", pool, 1, seed)[0].result.number for seed in range(draws))
    expected = [comb(count - rank, 2) / comb(count, 3) * draws for rank in range(1, count - 1)]
    assert set(counts) == set(range(count - 2))  # the last two are never the best of three
    assert stats.chisquare([counts[rank] for rank in range(count - 2)], expected).pvalue > 0.001


def test_later_picks_of_best_of_three_come_from_what_is_left() -> None:
    """The pair of picks from five members, against an enumeration of both draws."""
    pool = [member(place, 0, 1.0 - place / 100, 50) for place in range(5)]
    chance: Counter[frozenset[int]] = Counter()
    for first in combinations(range(5), 3):
        left = [place for place in range(5) if place != min(first)]
        for second in combinations(left, 3):
            chance[frozenset({min(first), min(second)})] += 1 / (10 * 4)
    counts = Counter(
        frozenset(one.result.number for one in chosen("best-of-k", pool, 2, seed))
        for seed in range(8000)
    )
    assert set(counts) == set(chance)
    observed, expected = zip(*((counts[key], 8000 * chance[key]) for key in chance), strict=True)
    assert stats.chisquare(observed, expected).pvalue > 0.001


def test_best_of_three_of_fewer_than_three_is_the_best_each_time() -> None:
    for size in (1, 2):
        pool = [member(place, 0, 0.5 - place / 10, 50) for place in range(size)]
        assert chosen("best-of-k", pool, 5) == pool


def test_pareto_takes_whole_fronts_and_of_the_last_the_least_crowded() -> None:
    """Six on the first front, three on the second, one behind: counts 1 to 9 by hand."""
    first = {0: (0.90, 1000), 1: (0.80, 500), 2: (0.79, 480), 3: (0.70, 300), 4: (0.40, 100)}
    others = {10: (0.85, 1500), 11: (0.60, 400), 12: (0.05, 60), 20: (0.50, 2000)}
    figures = {**first, 5: (0.10, 50), **others}  # number: (accuracy, parameters)
    pool = [placed(number, *figure) for number, figure in figures.items()]
    # Gaps over the ranges 0.8 and 950: number 1: 0.1375 + 0.5474, 2: 0.125 + 0.2105,
    # 3: 0.4875 + 0.4, 4: 0.75 + 0.2632.
    by_room = [{0, 5}, {0, 5, 4}, {0, 5, 4, 3}, {0, 5, 4, 3, 1}, {0, 1, 2, 3, 4, 5}]
    for count, wanted in enumerate(by_room, start=2):
        numbers = {one.result.number for one in chosen("pareto", pool, count)}
        assert numbers == wanted
    second = {one.result.number for one in chosen("pareto", pool, 8)}
    assert second == {0, 1, 2, 3, 4, 5, 10, 12}
    assert len(chosen("pareto", pool, 9)) == 9
    assert 20 not in {one.result.number for one in chosen("pareto", pool, 9)}


def placed(number: int, accuracy: float, parameters: int) -> Member:
    trial = Trial(number=number, generation=0, genome=GENOMES[0], seed=0, epochs=1)
    return Member(result_of(trial, accuracy, active_parameters=parameters), accuracy, frozenset())


def test_pareto_does_not_look_at_the_order_or_at_the_draws() -> None:
    draw = random.Random(3)
    for _ in range(50):
        pool = [
            placed(number, draw.randrange(8) / 8, draw.choice([100, 200, 300, 400]))
            for number in range(30)
        ]
        wanted = SELECTION.get("pareto")(pool, 11, derive(0))
        assert SELECTION.get("pareto")(draw.sample(pool, 30), 11, derive(1)) == wanted
