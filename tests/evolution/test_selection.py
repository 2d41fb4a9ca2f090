"""Selection and fitness against a plain sort and plain arithmetic."""

from __future__ import annotations

import random

import pytest

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
