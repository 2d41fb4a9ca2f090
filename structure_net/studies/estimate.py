"""What a study will cost, before it begins: FLOP from its founders, time from one short pilot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from structure_net.errors import RunFailedError
from structure_net.executors import usable_cores
from structure_net.schema import Config, Given, Resolved, Trial, TrialFailed, resolve
from structure_net.studies.plan import Arm, Plan
from structure_net.tournament import Tournament, start

PROBE_SAMPLES = 2048  # that an attempt at growth looks at
START_SECONDS = 3.0  # for the workers of a run to import torch, and to write its last files


@dataclass(frozen=True)
class Estimate:
    """`cost` in FLOP, over all arms and seeds; `seconds` on this machine, roughly."""

    runs: int
    trainings: int
    cost: int
    seconds: float


@dataclass(frozen=True)
class _Pilot:
    """Of one run: trials, FLOP of the search, and of a usual trial; seconds a FLOP here."""

    trials: int
    cost: int
    trial_cost: int
    seconds_per_flop: float


def estimate(plan: Plan) -> Estimate:
    """Later generations are taken to cost what the first does, a member."""
    first = _pilot(plan, plan.reference)
    pilots = [first] + [first if plan.equal_cost else _pilot(plan, arm) for arm in plan.arms[1:]]
    seeds = len(plan.seeds)
    searches = [(one.cost + plan.retrain * one.trial_cost) * seeds for one in pilots]
    config = plan.run(plan.reference, plan.seeds[0]).config
    workers = config.workers or usable_cores()
    busy = sum(
        cost * one.seconds_per_flop / workers for cost, one in zip(searches, pilots, strict=True)
    )
    runs = len(plan.arms) * seeds
    return Estimate(
        runs=runs,
        trainings=sum(one.trials + plan.retrain for one in pilots) * seeds,
        cost=sum(searches),
        seconds=busy + runs * START_SECONDS,
    )


def _pilot(plan: Plan, arm: Arm) -> _Pilot:
    """One epoch of the founder of median cost, in a directory that is gone afterwards."""
    with _begun(plan.run(arm, plan.seeds[0])) as tournament:
        founders = tournament.evolution.ask()
        costs = {one.number: tournament.price(one.genome, one.epochs) for one in founders}
        chosen = next(one for one in founders if costs[one.number] == median_low(costs.values()))
        seconds = _seconds_per_flop(tournament, chosen)
        trials = _trials(tournament.config)
    return _Pilot(
        trials=trials,
        cost=round(sum(costs.values()) * trials / len(founders)),
        trial_cost=costs[chosen.number],
        seconds_per_flop=seconds,
    )


def estimate_trainings(resolved: Resolved, trials: Sequence[Trial], runs: int) -> Estimate:
    """The same for single trainings in so many runs, by one epoch of the one of median cost. Each
    network is taken to grow as far as it may."""
    with _begun(resolved) as tournament:
        costs = {id(one): tournament.price(one.genome, one.epochs) for one in trials}
        chosen = next(one for one in trials if costs[id(one)] == median_low(costs.values()))
        seconds = _seconds_per_flop(tournament, chosen)
    workers = resolved.config.workers or usable_cores()
    cost = sum(costs.values())
    busy = cost * seconds / workers
    return Estimate(runs, len(trials), cost, busy + runs * START_SECONDS)


@contextmanager
def _begun(resolved: Resolved) -> Iterator[Tournament]:
    """A run of this configuration in one process, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        values = {**resolved.config.model_dump(exclude_unset=True), "executor": "serial"}
        values |= {"out": Path(folder) / "pilot", "name": None}
        with closing(start(resolve(Given(values, dict.fromkeys(values, "pilot"))))) as tournament:
            yield tournament


def _seconds_per_flop(tournament: Tournament, chosen: Trial) -> float:
    """Of one epoch of this trial."""
    trial = Trial.model_validate({**chosen.model_dump(), "number": 0, "epochs": 1})
    with closing(tournament.train([trial])) as events:
        failed = [event for event in events if isinstance(event, TrialFailed)]
    if failed:
        raise RunFailedError(f"The pilot training failed: {failed[0].reason}.")
    result = tournament.history.results[0]
    return result.seconds / max(1, result.cost)


def _trials(config: Config) -> int:
    """New trials of a whole tournament: survivors are not trained again."""
    later = config.tournament_size - config.survivors
    return config.tournament_size + (config.generations - 1) * later
