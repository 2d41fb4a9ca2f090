"""A study from its first run to its findings: arms side by side, seed by seed."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Generic, TypeVar

from structure_net.schema import DatasetFacts, Event, Resolved, TrialFinished, TrialResult
from structure_net.store import History
from structure_net.studies.plan import AVERAGE, RANDOM, Arm, Plan
from structure_net.studies.runs import (
    Fitness,
    champion_of,
    curve,
    fitness_of,
    ledger,
    searched,
    trained_again,
)

Came = TypeVar("Came")


@dataclass(frozen=True)
class Step:
    """A run of a study has ended: the `place`-th of `runs`; `trained` trials were not there yet."""

    arm: str
    seed: int
    place: int
    runs: int
    trained: int
    seconds: float


@dataclass(frozen=True)
class Champion:
    """The best of a search, as found and as trained again from scratch."""

    genome: str
    architecture: tuple[int, ...]
    parameters: int
    fitness: float
    validation_accuracy: float
    again_fitness: tuple[float, ...]
    again_accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Finding:
    """What one arm found on one seed. `points` are (validation error, active parameters) of all its
    trials with a result, `curve` (ledger in FLOP, best fitness so far). The average of random draws
    has no champion, points or curve, but `mean_fitness` and `mean_accuracy`."""

    arm: str
    seed: int
    cost: int
    trials: int
    failed: int
    champion: Champion | None
    points: tuple[tuple[float, int], ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    mean_fitness: float | None = None
    mean_accuracy: float | None = None


@dataclass(frozen=True)
class Findings:
    """All of a study: for each arm its findings in the order of seeds."""

    plan: Plan
    dataset: DatasetFacts
    config: Resolved
    by_arm: dict[str, list[Finding]]


def run_study(plan: Plan) -> Generator[Step, None, Findings]:
    """Every arm on every seed; steps as they end, the findings at last. Finished runs are read."""
    by_arm: dict[str, list[Finding]] = {arm.name: [] for arm in plan.arms}
    if plan.average:
        by_arm[AVERAGE] = []
    runs, place = len(plan.arms) * len(plan.seeds), 0
    dataset: DatasetFacts | None = None
    for seed in plan.seeds:
        met: int | None = None
        for arm in plan.arms:
            place += 1
            resolved, told = plan.run(arm, seed, met), (arm.name, seed, place, runs)
            history, again = yield from step_of(*told, _arm(plan, arm, resolved, seed))
            by_arm[arm.name].append(finding(arm, seed, history, again, resolved))
            if plan.average and arm.name == RANDOM:
                by_arm[AVERAGE].append(average(seed, history, resolved))
            if plan.equal_cost and met is None:
                met = ledger(history)
            if dataset is None and history.started is not None:
                dataset = history.started.dataset
    assert dataset is not None  # a plan has an arm and a seed, and a finished run a first event
    config = plan.run(plan.reference, plan.seeds[0])
    return Findings(plan, dataset, config, by_arm)


def _arm(
    plan: Plan, arm: Arm, resolved: Resolved, seed: int
) -> Generator[Event, None, tuple[History, list[TrialResult]]]:
    history = yield from searched(resolved)
    champion = champion_of(history, plan.folder(arm, seed))
    epochs = history.lineage_epochs(champion)
    again = yield from trained_again(plan, arm, seed, champion, epochs)
    return history, again


class Counted(Iterator[Event], Generic[Came]):
    """Events on their way: how many trainings finished, and what came of them at last."""

    def __init__(self, events: Generator[Event, None, Came]) -> None:
        self._events = events
        self.trained = 0
        self.came: Came

    def __next__(self) -> Event:
        try:
            event = next(self._events)
        except StopIteration as ended:
            self.came = ended.value
            raise StopIteration from None
        self.trained += isinstance(event, TrialFinished)
        return event


def step_of(
    arm: str, seed: int, place: int, runs: int, events: Generator[Event, None, Came]
) -> Generator[Step, None, Came]:
    """All the events of one run, told as one step; returns what came of them."""
    began, done = time.monotonic(), Counted(events)
    for _ in done:
        pass
    yield Step(arm, seed, place, runs, done.trained, time.monotonic() - began)
    return done.came


def finding(
    arm: Arm, seed: int, history: History, again: list[TrialResult], resolved: Resolved
) -> Finding:
    """An arm's run on one seed as the study keeps it."""
    fitness = fitness_of(resolved)
    results = [history.results[number] for number in sorted(history.results)]
    assert history.finished is not None  # `champion_of` saw it
    best = history.results[history.finished.champion]
    return Finding(
        arm=arm.name,
        seed=seed,
        cost=ledger(history),
        trials=len(history.outcomes),
        failed=len(history.failures),
        champion=_champion(best, again, fitness),
        points=tuple((1 - one.validation_accuracy, one.active_parameters) for one in results),
        curve=tuple(curve(history, fitness)),
    )


def _champion(best: TrialResult, again: list[TrialResult], fitness: Fitness) -> Champion:
    return Champion(
        genome=best.genome.id,
        architecture=best.genome.architecture,
        parameters=best.active_parameters,
        fitness=fitness(best),
        validation_accuracy=best.validation_accuracy,
        again_fitness=tuple(fitness(one) for one in again),
        again_accuracy=tuple(one.validation_accuracy for one in again),
    )


def average(seed: int, history: History, resolved: Resolved) -> Finding:
    """The mean of the random draws of a random search, trained for all their epochs.

    The named architectures of the space are no draws. Nothing is chosen, so nothing needs to be
    trained again.
    """
    config, fitness = resolved.config, fitness_of(resolved)
    named = min(len(config.space.initial_architectures), config.tournament_size)
    draws = [
        one
        for one in history.results.values()
        if one.number >= named and one.trial.epochs == config.epochs_per_generation
    ]
    return Finding(
        arm=AVERAGE,
        seed=seed,
        cost=ledger(history),
        trials=len(draws),
        failed=0,
        champion=None,
        mean_fitness=fmean(map(fitness, draws)) if draws else None,
        mean_accuracy=fmean(one.validation_accuracy for one in draws) if draws else None,
    )
