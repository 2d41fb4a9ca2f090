"""Runs of a study, begun, taken up again or read: whatever their directory holds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from structure_net.errors import RunFailedError, UsageError
from structure_net.evolution import FITNESS
from structure_net.schema import Event, Given, Resolved, Trial, TrialResult, deciding_values
from structure_net.seeding import derive_seed
from structure_net.store import DATABASE, History, open_history
from structure_net.studies.plan import Arm, Plan
from structure_net.tournament import Tournament, resume, start

Fitness = Callable[[TrialResult], float]


def searched(resolved: Resolved) -> Generator[Event, None, History]:
    """Events of a search as far as it was not finished; returns its whole history."""
    directory = _directory(resolved)
    stored = _stored(resolved, directory)
    if stored is not None and stored.finished is not None:
        return stored
    with closing(_opened(resolved, directory, stored)) as tournament:
        with closing(tournament.run()) as events:
            yield from events
        return tournament.history


def trained_again(
    plan: Plan, arm: Arm, seed: int, champion: TrialResult, epochs: int
) -> Generator[Event, None, list[TrialResult]]:
    """Events of the champion's genome trained from scratch; returns what had a result.

    `epochs` are its lineage's; split, weights and batches are ones it never saw.
    """
    if not plan.retrain:
        return []
    resolved = plan.again(arm, seed)
    trials = [
        Trial(
            number=place,
            generation=place,
            genome=champion.genome,
            seed=derive_seed(resolved.config.seed, "again", place),
            epochs=epochs,
        )
        for place in range(plan.retrain)
    ]
    history = yield from trained(resolved, trials)
    return [history.results[place] for place in range(plan.retrain) if place in history.results]


def trained(resolved: Resolved, trials: Sequence[Trial]) -> Generator[Event, None, History]:
    """Events of given trials, as far as they had no outcome yet; returns their history."""
    directory = _directory(resolved)
    stored = _stored(resolved, directory)
    if stored is not None:
        _check_same(stored, trials, directory)
        if {trial.number for trial in trials} <= stored.outcomes.keys():
            return stored
    with closing(_opened(resolved, directory, stored)) as tournament:
        with closing(tournament.train(trials)) as events:
            yield from events
        return tournament.history


def champion_of(history: History, directory: Path) -> TrialResult:
    """The result of a finished run's champion."""
    if history.finished is None:
        raise RunFailedError(f"{directory} ended without a champion.")
    return history.results[history.finished.champion]


def fitness_of(resolved: Resolved) -> Fitness:
    """The configured fitness, a number for every result."""
    return FITNESS.get(resolved.config.fitness)


def ledger(history: History) -> int:
    """FLOP of every trial of a run, failed ones too."""
    return sum(outcome.cost for outcome in history.outcomes.values())


def curve(history: History, fitness: Fitness) -> Iterator[tuple[int, float]]:
    """(ledger, best fitness so far) wherever the best rises, and at the end; in order of trials."""
    spent, best, told = 0, float("-inf"), 0
    for number in sorted(history.outcomes):
        outcome = history.outcomes[number]
        spent += outcome.cost
        if isinstance(outcome, TrialResult) and (value := fitness(outcome)) > best:
            best, told = value, spent
            yield spent, best
    if told and spent > told:
        yield spent, best


def _directory(resolved: Resolved) -> Path:
    assert resolved.config.out is not None  # a plan gives each of its runs a directory
    return resolved.config.out


def _stored(resolved: Resolved, directory: Path) -> History | None:
    """What the directory holds already; UsageError where that is another run."""
    if not (directory / DATABASE).exists():
        return None
    history = open_history(directory)
    before, now = deciding_values(history.config.config), deciding_values(resolved.config)
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        name = changed[0]
        raise UsageError(
            f"{directory} holds a run with {name} = {before.get(name)!r}, and this study asks for "
            f"{now[name]!r}. Give another directory with --out, or the options of before."
        )
    return history


def _check_same(stored: History, trials: Sequence[Trial], directory: Path) -> None:
    """UsageError where a stored outcome is that of another genome than is asked for now."""
    for trial in trials:
        outcome = stored.outcomes.get(trial.number)
        if outcome is None:
            continue
        genome = outcome.trial.genome if isinstance(outcome, TrialResult) else outcome.genome
        if genome != trial.genome:
            raise UsageError(
                f"{directory} holds the training of another genome as number {trial.number}: this "
                f"study was begun with other options. Give another directory with --out, or the "
                f"options of before."
            )


def _opened(resolved: Resolved, directory: Path, stored: History | None) -> Tournament:
    if stored is None:
        return start(resolved)
    free = {"workers": resolved.config.workers, "data_dir": resolved.config.data_dir}
    given = {name: value for name, value in free.items() if value is not None}
    return resume(directory, Given(given, dict.fromkeys(given, "study")))
