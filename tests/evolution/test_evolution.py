"""Whole searches with scripted outcomes: ask and tell, failures, limits, one stream a seed."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import fmean
from typing import Any

import pytest

from structure_net.errors import RunFailedError, UsageError
from structure_net.evolution import (
    FITNESS,
    MUTATIONS,
    SELECTION,
    Evolution,
    World,
    founders,
    rank_key,
    smallest_genome,
)
from structure_net.schema import PRESETS, Trial, resolve
from structure_net.seeding import derive
from tests.evolution.worlds import (
    assert_inside,
    by_content,
    config_of,
    failure_of,
    outcomes_of,
    play,
    result_of,
)


def no_result(_trial: Trial) -> None:
    """The score of a generation in which everything fails."""


def test_the_same_seed_asks_for_the_same_trials_and_another_for_others() -> None:
    config = config_of(tournament_size=12, generations=4)
    assert play(config) == play(config)
    assert play(config_of(tournament_size=12, generations=4, seed=1))[0] != play(config)[0]


def test_the_order_of_outcomes_does_not_matter() -> None:
    config = config_of(tournament_size=16, generations=5)

    def shuffled(outcomes: Any) -> dict[int, Any]:
        items = list(outcomes.items())
        random.Random(len(items)).shuffle(items)
        return dict(items)

    assert play(config, order=shuffled) == play(config)


def test_ask_says_the_same_until_tell_and_a_list_of_ones_own() -> None:
    evolution = Evolution(config_of(tournament_size=6), 64, 10)
    first = evolution.ask()
    first.clear()
    again = evolution.ask()
    assert [trial.number for trial in again] == list(range(6))
    assert evolution.asked == 6
    evolution.tell(outcomes_of(again, by_content))
    assert evolution.ask() == evolution.ask() != again
    assert [trial.number for trial in evolution.ask()] == list(range(6, 11))


def test_outcomes_of_other_trials_are_ignored() -> None:
    """Resume hands over everything that is stored, later generations and earlier ones too."""
    config = config_of(tournament_size=8, generations=3)
    asked, told = play(config)
    everything = {
        number: outcome
        for trials in asked
        for number, outcome in outcomes_of(trials, by_content).items()
    }
    replayed = Evolution(config, 64, 10)
    for trials, selected in zip(asked, told, strict=True):
        assert replayed.ask() == trials
        assert replayed.tell(everything) == selected


def test_numbers_seeds_and_genomes_are_never_given_twice() -> None:
    for seed in range(6):
        for inputs in (64, 3072):
            config = config_of(tournament_size=24, generations=8, seed=seed, mutation_rate=0.05)
            trials = [trial for asked in play(config, inputs)[0] for trial in asked]
            assert [trial.number for trial in trials] == list(range(len(trials)))
            for values in (
                {trial.genome.id for trial in trials},
                {trial.seed for trial in trials},
            ):
                assert len(values) == len(trials)


def test_no_search_leaves_the_space() -> None:
    for seed, rate in ((0, 0.3), (1, 1.0), (2, 0.0)):
        config = config_of(
            tournament_size=20, generations=10, seed=seed, mutation_rate=rate, max_layers=5
        )
        for trials in play(config, 3072 if seed == 1 else 64)[0]:
            for trial in trials:
                assert_inside(trial.genome, config, 3072 if seed == 1 else 64, 10)


def test_the_best_never_falls_and_the_average_is_over_everybody() -> None:
    draw = random.Random(1)
    config = config_of(tournament_size=16, generations=12, fitness="accuracy")
    evolution, best, carried = Evolution(config, 64, 10), 0.0, []
    for _ in range(12):
        trials = evolution.ask()
        scores = {trial.number: draw.random() for trial in trials}
        selected = evolution.tell(outcomes_of(trials, lambda one, told=scores: told[one.number]))
        everybody = [*carried, *scores.values()]
        assert selected.population_size == len(everybody) == 16
        assert selected.best_fitness == max(everybody)
        assert selected.average_fitness == pytest.approx(fmean(everybody))
        carried = sorted(everybody, reverse=True)[:4]
        assert [member.fitness for member in selected.survivors] == carried
        assert selected.best_fitness >= best
        best = selected.best_fitness
        assert evolution.champion is not None
        assert evolution.champion.fitness == best


@pytest.mark.parametrize("size", [*range(2, 20), 32, 63, 64, 65, 127, 128])
def test_survivors_are_fewer_than_the_population(size: int) -> None:
    config = config_of(tournament_size=size, generations=3)
    assert 1 <= config.survivors < size
    for trials, selected in zip(*play(config), strict=True):
        assert len(trials) >= 1
        assert len(selected.survivors) == config.survivors
    assert len(trials) == size - config.survivors


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_has_survivors_and_offspring(preset: str) -> None:
    config = resolve(preset=preset).config
    asked, told = play(config.model_copy(update={"generations": 2}))
    assert len(asked[0]) == PRESETS[preset]["tournament_size"]
    assert len(told[0].survivors) == PRESETS[preset]["tournament_size"] // 4
    assert len(asked[1]) == len(asked[0]) - len(told[0].survivors)


def test_parents_are_survivors_and_lineage_is_their_closure() -> None:
    config = config_of(tournament_size=12, generations=6)
    asked, told = play(config)
    ancestors: dict[int, set[int]] = {}
    alive: set[int] = set()
    for trials, selected in zip(asked, told, strict=True):
        for trial in trials:
            assert set(trial.parents) <= alive
            assert len(trial.parents) in ((0, 2) if alive else (0,))
            above = [ancestors[parent] for parent in trial.parents]
            ancestors[trial.number] = set(trial.parents).union(*above)
        for member in selected.ranking:
            assert member.ancestors == ancestors[member.result.number]
        alive = {member.result.number for member in selected.survivors}


def test_mutation_happens_at_its_rate() -> None:
    config = config_of(tournament_size=128, generations=5, mutation_rate=0.3)
    children = [trial for asked in play(config)[0][1:] for trial in asked]
    assert all(trial.operators[0] in ("crossover", "fresh") for trial in children)
    share = fmean(len(trial.operators) == 2 for trial in children)
    assert 0.2 < share < 0.4  # 384 children: 0.3 within four deviations of 0.023
    never = config_of(tournament_size=16, generations=3, mutation_rate=0.0)
    assert all(len(trial.operators) == 1 for asked in play(never)[0][1:] for trial in asked)


def test_failed_trials_move_no_average_and_cannot_survive() -> None:
    config = config_of(tournament_size=8, generations=2, fitness="accuracy")
    evolution = Evolution(config, 64, 10)
    scores = [0.5, None, 0.9, None, 0.7, 0.1, None, None]
    selected = evolution.tell(outcomes_of(evolution.ask(), lambda one: scores[one.number]))
    assert (selected.finished, selected.failed, selected.population_size) == (4, 4, 8)
    assert selected.average_fitness == pytest.approx(0.55)
    assert [member.result.number for member in selected.survivors] == [2, 4]
    counts = [sum(trial.genome.counts) for trial in play(config)[0][0]]
    finished = (0, 2, 4, 5)
    assert selected.cost == 4 * 7 + sum(6 * counts[place] for place in finished)


def test_fewer_results_than_survivors_leave_more_room_for_children() -> None:
    evolution = Evolution(config_of(tournament_size=8, survivors_per_generation=5), 64, 10)
    evolution.tell(outcomes_of(evolution.ask(), lambda one: 0.5 if one.number < 2 else None))
    assert len(evolution.survivors) == 2
    assert len(evolution.ask()) == 6


def test_one_survivor_alone_is_crossed_with_itself() -> None:
    evolution = Evolution(config_of(tournament_size=4), 64, 10)
    evolution.tell(outcomes_of(evolution.ask(), lambda one: 0.5 if one.number == 3 else None))
    assert {trial.parents for trial in evolution.ask()} == {(3,)}


def test_a_lost_generation_goes_on_with_its_parents() -> None:
    evolution = Evolution(config_of(tournament_size=8), 64, 10)
    before = evolution.tell(outcomes_of(evolution.ask(), by_content))
    lost = evolution.tell(outcomes_of(evolution.ask(), no_result))
    assert lost.lost
    assert lost.survivors == before.survivors
    assert lost.best_fitness == before.best_fitness
    assert (lost.finished, lost.failed, lost.population_size) == (0, 6, 8)
    assert not evolution.tell(outcomes_of(evolution.ask(), by_content)).lost
    evolution.tell(outcomes_of(evolution.ask(), no_result))  # not the second in a row


def test_the_second_lost_generation_in_a_row_ends_the_run() -> None:
    evolution = Evolution(config_of(tournament_size=8), 64, 10)
    evolution.tell(outcomes_of(evolution.ask(), by_content))
    evolution.tell(outcomes_of(evolution.ask(), no_result))
    with pytest.raises(RunFailedError) as told:
        evolution.tell(outcomes_of(evolution.ask(), no_result))
    assert "generation 3" in str(told.value)


def test_a_first_generation_that_fails_alike_says_the_reason_once() -> None:
    evolution = Evolution(config_of(tournament_size=8), 64, 10)
    with pytest.raises(RunFailedError) as told:
        evolution.tell(outcomes_of(evolution.ask(), no_result))
    assert str(told.value).count("the loss is not finite") == 1
    assert "all alike" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_first_generation_that_fails_in_several_ways_says_how_many() -> None:
    evolution = Evolution(config_of(tournament_size=6), 64, 10)
    trials = evolution.ask()
    outcomes = {one.number: failure_of(one, f"reason {one.number % 3}") for one in trials}
    with pytest.raises(RunFailedError, match="in 3 ways, the first: diverged: reason 0"):
        evolution.tell(outcomes)


def test_the_smallest_network_is_the_smallest() -> None:
    config = config_of()
    world = World.of(config, 64, 10)
    least = sum(smallest_genome(world).counts)
    assert all(least <= sum(one.counts) for one in founders(world, 200, derive(2, "founders")))


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="No fitness is named 'sead': did you mean 'seed'"):
        Evolution(config_of(fitness="sead"), 64, 10)


def test_a_trial_carries_what_a_worker_needs() -> None:
    config = config_of(tournament_size=4, epochs_per_generation=13)
    for trial in Evolution(config, 64, 10).ask():
        assert trial.epochs == 13
        assert Trial.model_validate_json(trial.model_dump_json()) == trial
        assert result_of(trial, 0.5).number == trial.number


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5", [0.5]])
def test_a_fitness_that_is_no_number_ends_the_run_and_is_named(
    value: Any, registries: None
) -> None:
    FITNESS.register("odd")(lambda _: value)
    evolution = Evolution(config_of(tournament_size=4, fitness="odd"), 64, 10)
    told = outcomes_of(evolution.ask(), lambda _: 0.5)
    with pytest.raises(RunFailedError, match=r"fitness 'odd' gave .* for trial 0"):
        evolution.tell(told)


@pytest.mark.parametrize("name", [*SELECTION])
def test_best_fitness_and_hypervolume_never_fall(name: str) -> None:
    for seed in range(4):
        config = config_of(tournament_size=14, generations=8, selection=name, seed=seed)
        told = play(config)[1]
        for before, after in pairwise(told):
            assert after.best_fitness >= before.best_fitness
            assert after.hypervolume >= before.hypervolume
            best = min(before.ranking, key=rank_key)
            assert best in before.survivors
            assert best in after.ranking
            assert after.ranking[0] == best or rank_key(after.ranking[0]) < rank_key(best)


@pytest.mark.parametrize("name", [*SELECTION])
def test_the_front_is_that_of_all_results_so_far(name: str) -> None:
    asked, told = play(config_of(tournament_size=16, generations=6, selection=name))
    results = []
    for trials, selected in zip(asked, told, strict=True):
        results += [result_of(trial, by_content(trial)) for trial in trials]
        wanted = {
            one.number
            for one in results
            if not any(
                other.validation_accuracy >= one.validation_accuracy
                and other.active_parameters <= one.active_parameters
                and (other.validation_accuracy, other.active_parameters)
                != (one.validation_accuracy, one.active_parameters)
                for other in results
            )
        }
        assert {member.result.number for member in selected.front} == wanted
        errors = [1 - member.result.validation_accuracy for member in selected.front]
        assert errors == sorted(errors)


@pytest.mark.parametrize("size", [2, 3, 7, 64, 128])
@pytest.mark.parametrize("name", [*SELECTION])
def test_every_selection_leaves_room_for_children(name: str, size: int) -> None:
    config = config_of(tournament_size=size, generations=2, selection=name)
    for trials, selected in zip(*play(config), strict=True):
        assert 1 <= len(selected.survivors) <= config.survivors < size
        assert len(trials) >= 1


def test_a_selection_that_leaves_the_best_out_keeps_it_all_the_same(registries: None) -> None:
    SELECTION.register("worst")(lambda members, count, _: list(members)[-count:])
    selected = play(config_of(tournament_size=12, generations=1, selection="worst"))[1][0]
    assert selected.survivors == (selected.ranking[0], *selected.ranking[-3:-1])


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda members: [], "returned 0 members"),
        (lambda members: [*members], "returned 8 members"),
        (lambda members: [members[0], members[0]], "1 of them different"),
        (lambda members: None, "a list of the members"),
        (lambda members: [members[0].result], "a list of the members"),
    ],
)
def test_a_selection_that_gives_back_something_else_ends_the_run(
    returned: Any, words: str, registries: None
) -> None:
    SELECTION.register("odd")(lambda members, count, _: returned(members))
    with pytest.raises(RunFailedError, match=f"^The selection 'odd' .*{words}"):
        play(config_of(tournament_size=8, generations=1, selection="odd"))


def test_a_mutation_that_proposes_no_edit_ends_the_run(registries: None) -> None:
    MUTATIONS.register("odd", weight=1e9)(lambda genome, world, generator: genome)
    config = config_of(tournament_size=8, generations=2, mutation_rate=1.0)
    with pytest.raises(RunFailedError, match=r"^The mutation 'odd' returned .* a Genome; an edit"):
        play(config)


def test_a_mutation_without_a_weight_is_refused_before_anything_runs(registries: None) -> None:
    MUTATIONS.register("weightless")(lambda genome, world, generator: None)
    with pytest.raises(UsageError, match="'weightless' has no weight"):
        Evolution(config_of(), 64, 10)
