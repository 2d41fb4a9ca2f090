"""What children start from: decided by genomes, the same whatever carried the outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from structure_net.evolution import Crossed, Evolution, Member, continuation, crossed, inheritance
from structure_net.genome import Genome, SetActivation, apply_edit, genome_of
from structure_net.schema import Trial, TrialResult
from structure_net.seeding import derive
from tests.evolution.worlds import by_content, config_of, outcomes_of, play, result_of

FIRST = genome_of(64, [30, 20, 16], 10, [400, 90, 60, 40], base_learning_rate=0.002)
SECOND = genome_of(64, [31, 21, 17], 10, [1500, 500, 300, 150], base_learning_rate=0.003)


def member(number: int, genome: Genome) -> Member:
    trial = Trial(number=number, generation=0, genome=genome, seed=number, epochs=1)
    return Member(result_of(trial, 0.5), 0.5, frozenset())


def weights(**fields: Any) -> Any:
    return config_of(inherit="weights", **fields)


def test_without_weights_nobody_inherits_and_nobody_is_continued() -> None:
    for mode in ("none", "architecture"):
        asked, _ = play(config_of(tournament_size=12, generations=4, inherit=mode))
        trials = [trial for generation in asked for trial in generation]
        assert all(trial.inherits is None for trial in trials)
        assert all("continue" not in trial.operators for trial in trials)


def test_architecture_is_none_as_long_as_networks_do_not_grow() -> None:
    none, same = (
        play(config_of(tournament_size=12, generations=4, inherit=mode))[0]
        for mode in ("none", "architecture")
    )
    assert none == same


def test_the_children_are_those_of_a_search_without_weights() -> None:
    """The same draws: only what they start from differs, and one slot goes on."""
    with_weights = Evolution(weights(tournament_size=12), 64, 10)
    without = Evolution(config_of(tournament_size=12), 64, 10)
    for evolution in (with_weights, without):
        evolution.tell(outcomes_of(evolution.ask(), by_content))
    ours, theirs = with_weights.ask(), without.ask()
    assert len(ours) == len(theirs)
    blank = [trial.model_copy(update={"inherits": None}) for trial in ours[:-1]]
    assert blank == theirs[:-1]
    changed = [
        "activation" in trial.operators for trial in ours
    ]  # weights of another one are no use
    assert [trial.inherits is None for trial in ours] == changed


def test_the_fittest_survivor_is_trained_further_once() -> None:
    config = weights(tournament_size=8, generations=6, survivors_per_generation=3)
    asked, told = play(config)
    done: set[int] = set()
    for trials, before in zip(asked[1:], told, strict=False):
        waiting = [one.result.number for one in before.survivors]
        left = [number for number in waiting if number not in done]
        going_on = [trial for trial in trials if trial.operators == ("continue",)]
        assert len(going_on) == min(1, len(left))
        for trial in going_on:
            assert trial is trials[-1]
            assert trial.parents == (left[0],)
            assert trial.inherits is not None
            assert trial.inherits.trials == (left[0],)
            assert trial.inherits.edits == ()
            assert trial.genome == trial.inherits.crossed
            done.add(left[0])


def test_with_room_for_one_child_only_the_child_comes() -> None:
    config = weights(tournament_size=4, survivors_per_generation=3, generations=3)
    for trials in play(config)[0][1:]:
        assert [trial.operators[0] for trial in trials] == ["crossover"]


def test_edits_turn_what_was_crossed_into_the_child() -> None:
    asked, _ = play(weights(tournament_size=40, generations=4, mutation_rate=1.0))
    trials = [trial for generation in asked[1:] for trial in generation]
    for trial in trials:
        if trial.inherits is None:
            assert trial.operators == ("fresh",) or {"activation", "normalisation"} & set(
                trial.operators
            )
            continue
        genome = trial.inherits.crossed
        for edit in trial.inherits.edits:
            genome = apply_edit(genome, edit)
        assert genome == trial.genome
        assert set(trial.inherits.trials) <= set(trial.parents)
        assert Trial.model_validate_json(trial.model_dump_json()) == trial
    assert sum(trial.inherits is not None and trial.inherits.other is not None for trial in trials)


@pytest.mark.parametrize(
    ("taken", "primary", "of_other"),
    [
        ((), 7, ()),
        ((1,), 7, (1,)),
        ((1, 3), 7, (1, 3)),  # a tie: the fitter
        ((0, 1, 3), 4, (2,)),
        ((0, 1, 2, 3), 4, ()),
    ],
)
def test_the_parent_with_more_layers_supplies_the_network(
    taken: tuple[int, ...], primary: int, of_other: tuple[int, ...]
) -> None:
    cross = Crossed(FIRST, ((0, 0), (1, 1), (2, 2)), taken)
    told = inheritance(cross, [member(7, FIRST), member(4, SECOND)], [], FIRST)
    assert told is not None
    assert told.primary == primary
    assert told.taken == of_other
    assert told.other == ({7: 4, 4: 7}[primary] if of_other else None)


def test_where_layers_do_not_match_the_fitter_supplies_it() -> None:
    shallow = genome_of(64, [31, 21], 10, [1500, 500, 150], base_learning_rate=0.003)
    cross = Crossed(FIRST, ((0, 0), (1, 1)), (0, 1, 3))
    told = inheritance(cross, [member(7, FIRST), member(4, shallow)], [], FIRST)
    assert told is not None
    assert (told.primary, told.other, told.taken) == (7, 4, (0, 1, 3))


def test_another_activation_than_the_primary_parents_means_fresh_weights() -> None:
    edit = SetActivation(activation="tanh")
    child = apply_edit(FIRST, edit)
    cross = Crossed(FIRST, ((0, 0), (1, 1), (2, 2)), ())
    assert inheritance(cross, [member(7, FIRST), member(4, SECOND)], [edit], child) is None


def test_crossing_tells_which_layers_it_took() -> None:
    for seed in range(200):
        cross = crossed(FIRST, SECOND, derive(seed, "taken"))
        widths = [gene.width for gene in cross.genome.hidden]
        from_second = [place for place in range(3) if widths[place] == (31, 21, 17)[place]]
        from_second += [3] * (cross.genome.output_density > 0.5)
        assert list(cross.taken) == from_second
        assert cross.matched == ((0, 0), (1, 1), (2, 2))


def test_equal_genomes_of_different_parents_are_told_apart_by_the_coin_alone() -> None:
    """Results may be the very objects that were asked for, or copies that came through a pipe."""
    copy = Genome.model_validate_json(FIRST.model_dump_json())
    for seed in range(50):
        one = crossed(FIRST, FIRST, derive(seed, "same"))
        assert one == crossed(FIRST, copy, derive(seed, "same"))
    assert any(crossed(FIRST, FIRST, derive(seed, "same")).taken for seed in range(5))


def test_outcomes_from_a_pipe_give_the_same_search() -> None:
    config = weights(tournament_size=10, generations=5)

    def copied(outcomes: Any) -> Any:
        return {
            number: TrialResult.model_validate_json(one.model_dump_json())
            for number, one in outcomes.items()
        }

    assert play(config, order=copied) == play(config)


def test_a_continuation_is_the_member_as_it_is() -> None:
    told = continuation(replace(member(7, FIRST), fitness=0.9))
    assert (told.primary, told.other, told.crossed, told.edits) == (7, None, FIRST, ())
