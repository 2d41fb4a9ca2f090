"""The controls of evolution: random and local search, and searches within a cost."""

from __future__ import annotations

from typing import Any

import pytest

from structure_net.errors import UsageError
from structure_net.evolution import Evolution, World, within
from structure_net.genome import Genome, connection_count
from structure_net.schema import Config, Trial
from tests.evolution.worlds import (
    assert_inside,
    by_content,
    config_of,
    outcomes_of,
    play,
    result_of,
)


def no_result(_trial: Trial) -> None:
    """The score of a generation in which everything fails."""


@pytest.mark.parametrize("search", ["random", "local"])
def test_every_search_begins_with_the_same_founders_and_seeds(search: str) -> None:
    shared = {"tournament_size": 12, "generations": 3, "seed": 5}
    assert play(config_of(**shared, search=search))[0][0] == play(config_of(**shared))[0][0]


def test_random_search_has_no_parents_and_no_survivors() -> None:
    config = config_of(tournament_size=10, generations=4, search="random")
    asked, told = play(config)
    for trials, selected in zip(asked, told, strict=True):
        assert len(trials) == 10
        assert {trial.parents for trial in trials} == {()}
        assert selected.survivors == ()
        for trial in trials:
            assert_inside(trial.genome, config, 64, 10)
    ids = [trial.genome.id for trials in asked for trial in trials]
    assert len(set(ids)) == len(ids)


def test_random_search_draws_later_trials_like_founders() -> None:
    """Only what founders can be: activation and the range of rates never leave the initial ones."""
    config = config_of(tournament_size=20, generations=6, search="random")
    genomes = [trial.genome for trials in play(config)[0] for trial in trials]
    space = config.space
    assert {genome.activation for genome in genomes} == {space.activations[0]}
    assert all(
        space.initial_min_learning_rate <= one.base_learning_rate <= space.initial_max_learning_rate
        for one in genomes
    )


def test_the_champion_of_a_random_search_is_the_best_of_all_generations() -> None:
    config = config_of(tournament_size=8, generations=5, search="random", fitness="accuracy")
    evolution, best = Evolution(config, 64, 10), 0.0
    for _ in range(5):
        trials = evolution.ask()
        evolution.tell(outcomes_of(trials, by_content))
        best = max(best, *map(by_content, trials))
        assert evolution.champion is not None
        assert evolution.champion.fitness == best


def test_a_lost_generation_of_a_random_search_goes_on() -> None:
    evolution = Evolution(config_of(tournament_size=4, search="random"), 64, 10)
    evolution.tell(outcomes_of(evolution.ask(), by_content))
    champion = evolution.champion
    lost = evolution.tell(outcomes_of(evolution.ask(), no_result))
    assert lost.lost
    assert lost.ranking == ()
    assert evolution.champion == champion


def test_local_search_mutates_one_incumbent_that_only_a_fitter_one_replaces() -> None:
    config = config_of(tournament_size=8, generations=6, search="local", fitness="accuracy")
    asked, told = play(config)
    incumbent = told[0].survivors[0]
    for trials, selected in zip(asked[1:], told[1:], strict=True):
        assert len(trials) == 7
        for trial in trials:
            assert trial.parents == (incumbent.result.number,)
            assert len(trial.operators) == 1
            assert "crossover" not in trial.operators
        best = max(trials, key=by_content)
        if by_content(best) > incumbent.fitness:
            assert selected.survivors[0].result.genome == best.genome
        else:
            assert selected.survivors[0] == incumbent
        (incumbent,) = selected.survivors


def test_the_three_searches_differ_after_their_founders() -> None:
    shared = {"tournament_size": 12, "generations": 2}
    second = {name: play(config_of(**shared, search=name))[0][1] for name in SEARCHES}
    genomes = [tuple(trial.genome.id for trial in trials) for trials in second.values()]
    assert len(set(genomes)) == 3


SEARCHES = ("evolution", "random", "local")


def price(genome: Genome, epochs: int) -> int:
    return epochs * 10 * connection_count(genome)


def charged(trial: Trial) -> int:
    """Every third trial costs less than it might have."""
    return round(price(trial.genome, trial.epochs) * (0.7 if trial.number % 3 == 0 else 1.0))


def spent_by(config: Config, most: int = 200) -> tuple[int, list[Trial]]:
    """A whole search under a limit: the ledger, all trials."""
    evolution = Evolution(config, 64, 10, price)
    trials: list[Trial] = []
    for _ in range(most):
        asked = evolution.ask()
        if not asked:
            break
        told: dict[int, Any] = {
            one.number: result_of(one, by_content(one), cost=charged(one)) for one in asked
        }
        evolution.tell(told)
        trials += asked
    assert evolution.ask() == []
    assert evolution.spent == sum(charged(one) for one in trials)
    return evolution.spent, trials


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("seed", range(4))
def test_a_limited_search_spends_its_limit_and_not_more(search: str, seed: int) -> None:
    config = config_of(
        tournament_size=8, search=search, seed=seed, epochs_per_generation=10, max_cost=4_000_000
    )
    spent, trials = spent_by(config)
    assert 0.985 * 4_000_000 <= spent <= 4_000_000
    assert [one.number for one in trials] == list(range(len(trials)))


def test_without_a_limit_nothing_is_left_out_or_shortened() -> None:
    config = config_of(tournament_size=8, epochs_per_generation=7)
    far = config.model_copy(update={"max_cost": 10**15})
    assert Evolution(far, 64, 10, price).ask() == Evolution(config, 64, 10).ask()


def test_the_first_that_does_not_fit_gets_fewer_epochs_and_is_the_last() -> None:
    trials = Evolution(config_of(tournament_size=4, epochs_per_generation=10), 64, 10).ask()
    prices = {one.genome.id: cost for one, cost in zip(trials, (1, 3, 100, 1), strict=True)}
    chosen = within(trials, 60, 0, lambda genome, epochs: epochs * prices[genome.id])
    # 10 x 1, 10 x 3, then 20 are left: not one epoch of the third, all ten of the fourth.
    assert [(one.number, one.epochs) for one in chosen] == [(0, 10), (1, 10), (2, 10)]
    assert [one.genome for one in chosen] == [trials[place].genome for place in (0, 1, 3)]
    shorter = within(trials, 60, 30, lambda genome, epochs: epochs * prices[genome.id])
    assert [one.epochs for one in shorter] == [10, 6]


def test_a_limit_below_the_first_epoch_is_refused() -> None:
    evolution = Evolution(config_of(tournament_size=4, max_cost=5), 64, 10, price)
    with pytest.raises(UsageError, match=r"max_cost is 5 FLOP and one epoch of the cheapest"):
        evolution.ask()


def test_the_space_is_checked_for_every_search() -> None:
    for search in SEARCHES:
        config = config_of(tournament_size=6, generations=8, search=search, mutation_rate=1.0)
        world = World.of(config, 64, 10)
        for trials in play(config)[0]:
            for trial in trials:
                world.check(trial.genome)
                assert_inside(trial.genome, config, 64, 10)
