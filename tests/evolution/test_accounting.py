"""What operators' children came to, recounted from the trials; weights; cost of lineages."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from structure_net.evolution import MUTATIONS, WEIGHTS, Evolution, Outcome, Selected
from structure_net.evolution.accounting import Accounting
from structure_net.schema import Config, OperatorCount, Trial, TrialResult
from tests.evolution.worlds import by_content, config_of, failure_of, play, result_of

COUNTS = [name for name in OperatorCount.model_fields if name != "name"]


def scored(trial: Trial) -> Outcome:
    """One of nine fails, one of four stops at a rung."""
    kind = int(trial.genome.id, 16)
    if kind % 9 == 0:
        return failure_of(trial)
    stopped = 1 if kind % 4 == 0 else None
    return result_of(trial, by_content(trial), stopped_after=stopped)


def search(config: Config) -> tuple[list[list[Trial]], list[dict[int, Outcome]], list[Selected]]:
    evolution = Evolution(config, 64, 10)
    asked, outcomes, told = [], [], []
    for _ in range(config.generations):
        asked.append(evolution.ask())
        outcomes.append({trial.number: scored(trial) for trial in asked[-1]})
        told.append(evolution.tell(outcomes[-1]))
    return asked, outcomes, told


def summed(told: list[Selected]) -> dict[str, Counter[str]]:
    sums: dict[str, Counter[str]] = {}
    for selected in told:
        for count in selected.operators:
            sums.setdefault(count.name, Counter()).update(count.model_dump(exclude={"name"}))
    return sums


def test_every_proposal_is_refused_evaluated_or_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proposals by counting calls from outside; the rest by going through trials and outcomes."""
    import structure_net.evolution.evolution as module

    calls: Counter[str] = Counter()
    cross, draw = module.crossed, module.draw_operator

    def crossed(*arguments: Any) -> Any:
        calls["crossover"] += 1
        return cross(*arguments)

    def draw_operator(*arguments: Any) -> str:
        name = draw(*arguments)
        calls[name] += 1
        return name

    monkeypatch.setattr(module, "crossed", crossed)
    monkeypatch.setattr(module, "draw_operator", draw_operator)
    config = config_of(tournament_size=24, generations=8, mutation_rate=0.7, max_layers=4)
    asked, outcomes, told = search(config)
    sums = summed(told)
    again: defaultdict[str, Counter[str]] = defaultdict(Counter)
    fitness = {
        member.result.number: member.fitness
        for selected in told
        for member in (*selected.ranking, *selected.stopped)
    }
    for trials, ended, selected in zip(asked, outcomes, told, strict=True):
        survivors = {member.result.number for member in selected.survivors}
        for trial in trials:
            for name in trial.operators:
                done = isinstance(ended[trial.number], TrialResult)
                again[name]["evaluated" if done else "failed"] += 1
                best = max((fitness[parent] for parent in trial.parents), default=2.0)
                again[name]["improved"] += done and fitness[trial.number] > best
                again[name]["survived"] += trial.number in survivors
    calls["fresh"] = again["fresh"]["evaluated"] + again["fresh"]["failed"]
    for name, count in sums.items():
        assert count["proposed"] == count["refused"] + count["evaluated"] + count["failed"]
        assert count["proposed"] == calls[name]
        assert count["refused"] >= count["duplicates"] >= 0
        for kind in ("evaluated", "failed", "improved", "survived"):
            assert count[kind] == again[name][kind], (name, kind)
    assert set(sums) <= {"crossover", "fresh", *MUTATIONS}
    assert sum(count["refused"] for count in sums.values()) > 0
    assert sum(count["improved"] for count in sums.values()) > 0


def test_a_genome_of_the_run_is_refused_as_a_duplicate_and_not_trained() -> None:
    """Without mutation and with one width, density and rate, children repeat their parents."""
    space = {
        "initial_min_width": 64,
        "initial_max_width": 64,
        "initial_max_hidden_layers": 1,
        "min_density": 0.05,
        "max_density": 0.05,
        "initial_min_density": 0.05,
        "initial_max_density": 0.05,
        "initial_architectures": ((64,),),
    }
    config = config_of(tournament_size=8, generations=4, mutation_rate=0.0, space=space)
    asked, told = play(config, 3072)
    count = summed(told)["crossover"]
    assert count["duplicates"] == count["refused"] > 0
    genomes = [trial.genome.id for trials in asked for trial in trials]
    assert len(set(genomes)) == len(genomes)


def test_weights_are_half_fixed_half_the_share_that_survived() -> None:
    accounting = Accounting()
    config = config_of(tournament_size=4)
    first, second, third, _ = (
        trial.model_copy(update={"operators": ("crossover", name), "parents": ()})
        for trial, name in zip(
            Evolution(config, 64, 10).ask(), ("width", "width", "density", "x"), strict=True
        )
    )
    begin = accounting.weights()
    raw = {name: 0.5 * base + 0.25 for name, base in WEIGHTS.items()}
    assert begin == pytest.approx({name: raw[name] / sum(raw.values()) for name in raw})
    for trial in (first, second, third):
        accounting.proposed(trial.operators)
    told = play(config)[1][0].ranking
    members = {trial.number: told[0] for trial in (first, second)}  # the third failed
    accounting.finish([first, second, third], members, {}, {first.number})
    raw["width"] = 0.5 * WEIGHTS["width"] + 0.5 * (1 + 1) / (2 + 2)
    assert accounting.weights() == pytest.approx(
        {name: raw[name] / sum(raw.values()) for name in raw}
    )


def test_adaptive_operators_change_the_draws_and_are_replayed_alike() -> None:
    fields = {"tournament_size": 32, "generations": 5, "mutation_rate": 1.0}
    adaptive = config_of(**fields, adaptive_operators=True)
    assert search(adaptive) == search(adaptive)
    assert play(adaptive)[0][0] == play(config_of(**fields))[0][0]
    assert play(adaptive)[0] != play(config_of(**fields))[0]


# Cost of lineages, and trials that stopped


def test_the_cost_of_a_lineage_of_three_generations_by_hand() -> None:
    """Founders 0 and 1 cost 10 and 100; child 2 of both 1,000; grandchild 3 of 2 and 0 10,000."""
    evolution = Evolution(config_of(tournament_size=3, survivors_per_generation=2), 64, 10)

    def told(accuracies: list[float], costs: list[int]) -> Selected:
        trials = evolution.ask()
        return evolution.tell(
            {
                trial.number: result_of(trial, accuracy, cost=cost)
                for trial, accuracy, cost in zip(trials, accuracies, costs, strict=True)
            }
        )

    told([0.6, 0.5, 0.1], [10, 100, 7])
    (child,) = evolution.ask()
    assert child.parents == (0, 1)
    second = told([0.9], [1000])
    assert [member.result.number for member in second.survivors] == [3, 0]
    (grandchild,) = evolution.ask()
    assert grandchild.parents == (0, 3)
    third = told([0.95], [10_000])
    costs = {
        member.result.number: member.result.cost + member.ancestors_cost for member in third.ranking
    }
    # Trial 0 is an ancestor of trial 4 twice, and counts once.
    assert costs == {4: 10_000 + 1000 + 100 + 10, 3: 1000 + 100 + 10, 0: 10}


def test_a_stopped_trial_counts_in_mean_and_cost_and_can_neither_survive_nor_win() -> None:
    evolution = Evolution(config_of(tournament_size=4, fitness="accuracy"), 64, 10)
    trials = evolution.ask()
    outcomes: dict[int, Outcome] = {
        0: result_of(trials[0], 0.9, stopped_after=1, cost=3),
        1: result_of(trials[1], 0.5, cost=10),
        2: result_of(trials[2], 0.4, cost=10),
        3: failure_of(trials[3], cost=1),
    }
    selected = evolution.tell(outcomes)
    assert [member.result.number for member in selected.survivors] == [1]
    assert evolution.champion is not None
    assert evolution.champion.result.number == 1
    assert selected.best_fitness == 0.5
    assert selected.average_fitness == pytest.approx(0.6)
    assert (selected.finished, len(selected.stopped), selected.failed) == (2, 1, 1)
    assert (selected.population_size, selected.cost) == (4, 24)


def test_a_generations_record_is_the_same_after_the_next_ones() -> None:
    config = config_of(tournament_size=12, generations=5)
    evolution, kept = Evolution(config, 64, 10), []
    for _ in range(config.generations):
        selected = evolution.tell({trial.number: scored(trial) for trial in evolution.ask()})
        kept.append((selected, repr(selected)))
    assert all(repr(selected) == text for selected, text in kept)


def test_the_best_never_falls_where_trials_stop_and_fail() -> None:
    for seed in range(5):
        config = config_of(tournament_size=12, generations=8, seed=seed)
        best = [selected.best_fitness for selected in search(config)[2]]
        assert None not in best
        assert best == sorted(best, key=lambda one: one or 0.0)


def test_partial_results_are_ranked_in_the_order_of_selection() -> None:
    evolution = Evolution(config_of(tournament_size=8, fitness="accuracy"), 64, 10)
    trials = evolution.ask()
    draw = random.Random(3)
    results = [result_of(one, draw.choice([0.2, 0.5]), stopped_after=1) for one in trials]
    ranked = evolution.ranked(draw.sample(results, len(results)))
    keys = [(-one.validation_accuracy, one.connections, one.genome.id) for one in results]
    assert [keys[one.number] for one in ranked] == sorted(keys)
