"""Which metric tells how good a network is: each against final accuracy over random networks."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from structure_net.environment import facts
from structure_net.errors import UsageError
from structure_net.schema import (
    Event,
    Given,
    MetricFacts,
    MetricsMeasured,
    NotMeasured,
    Resolved,
    TrialResult,
    deciding_values,
    resolve,
)
from structure_net.store import History, read_events
from structure_net.studies.runs import searched
from structure_net.studies.statistics import (
    ALPHA,
    MINIMUM_PAIRS,
    holm,
    partial_spearman,
    spearman,
    spearman_interval,
    spearman_p,
)

# What the study decides itself.
OWN = {
    "search": "random",
    "generations": 1,
    "rungs": 0,
    "retrain": 0,
    "enable_comprehensive_metrics": True,
}
UNDECLARED = MetricFacts(group="other", unit="", low=None, high=None, better=None, meaning="")


@dataclass(frozen=True)
class MetricsPlan:
    """So many random networks of the configured space, each trained once. Metrics are those after
    `epoch` epochs, None for the last measurement of each."""

    given: Given
    networks: int
    directory: Path
    epoch: int | None = None

    def run(self) -> Resolved:
        """The configuration of the one run: a random search of one generation. The named
        architectures of the space are trained too, and left out afterwards."""
        taken = [
            name for name in (*OWN, "tournament_size", "max_cost") if name in self.given.values
        ]
        if taken:
            raise UsageError(
                f"{taken[0]} (from {self.given.origins.get(taken[0], 'an argument')}) is decided "
                f"by the study of metrics itself; leave it out. --networks says how many are "
                f"trained."
            )
        if self.networks < MINIMUM_PAIRS:
            raise UsageError(
                f"--networks is {self.networks}: a correlation over fewer than {MINIMUM_PAIRS} "
                f"networks says nothing; a hundred tell one of 0.3 from none."
            )
        named = len(resolve(self.given).config.space.initial_architectures)
        values = {**OWN, "tournament_size": self.networks + named, "out": self.directory}
        origins = {**self.given.origins, **dict.fromkeys(values, "study metrics")}
        resolved = resolve(Given({**self.given.values, **values}, origins))
        frequency, epochs = (
            resolved.config.metrics_frequency,
            resolved.config.epochs_per_generation,
        )
        if self.epoch is not None and not (
            self.epoch == epochs or (self.epoch < epochs and self.epoch % frequency == 0)
        ):
            raise UsageError(
                f"--at-epoch is {self.epoch}, and metrics are measured every {frequency} of "
                f"{epochs} epochs and after the last: see --metrics-frequency."
            )
        return resolved

    def trained(self) -> Generator[Event, None, History]:
        """Events of the trainings, as far as they were not finished; their history at last."""
        return (yield from searched(self.run()))


@dataclass(frozen=True)
class Correlation:
    """A metric against final validation accuracy. `rho` is Spearman's, None with the reason where
    there is none; `partial` the same with the number of connections held fixed."""

    metric: str
    group: str
    better: str | None
    count: int
    reason: str = ""
    rho: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    partial: float | None = None

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.rho is None or self.p_holm is None:
            return self.reason
        if self.p_holm >= ALPHA:
            return "no relation shown"
        side = "higher" if self.rho > 0 else "lower"
        told = f"{side} in better networks"
        return told + (", against what it declares" if self.better not in (None, side) else "")


def correlations(
    values: Mapping[str, Mapping[int, float]],
    results: Mapping[int, TrialResult],
    declared: Mapping[str, MetricFacts],
) -> list[Correlation]:
    """Of each metric's numbers by trial; p-values adjusted together (Holm), strongest first."""
    found = []
    for name, own in values.items():
        numbers = sorted(own.keys() & results.keys())
        found.append(
            _correlation(
                name,
                declared.get(name, UNDECLARED),
                [own[number] for number in numbers],
                [results[number] for number in numbers],
            )
        )
    tested = [place for place, one in enumerate(found) if one.p is not None]
    adjusted = holm([one.p for one in found if one.p is not None])
    for place, p in zip(tested, adjusted, strict=True):
        found[place] = Correlation(**{**asdict(found[place]), "p_holm": p})
    return sorted(found, key=lambda one: -abs(one.rho) if one.rho is not None else 1.0)


def _correlation(
    name: str, declared: MetricFacts, values: Sequence[float], results: Sequence[TrialResult]
) -> Correlation:
    reason, count = "", len(values)
    accuracies = [one.validation_accuracy for one in results]
    if count < MINIMUM_PAIRS:
        reason = f"{count} networks have a number; {MINIMUM_PAIRS} are wanted"
    elif min(values) == max(values):
        reason = "the same in all networks"
    elif min(accuracies) == max(accuracies):
        reason = "all networks are equally good"
    if reason:
        return Correlation(name, declared.group, declared.better, count, reason)
    sizes = [float(one.connections) for one in results]
    rho = spearman(values, accuracies)
    low, high = spearman_interval(values, accuracies, f"metrics/{name}")
    return Correlation(
        name,
        declared.group,
        declared.better,
        count,
        rho=rho,
        low=low,
        high=high,
        p=spearman_p(rho, count),
        partial=partial_spearman(values, accuracies, sizes),
    )


def measured_values(directory: Path, epoch: int | None) -> dict[str, dict[int, float]]:
    """Each metric's number by trial, after so many epochs or as measured last."""
    last: dict[int, MetricsMeasured] = {}
    for _, event in read_events(directory):
        if not isinstance(event, MetricsMeasured) or event.trial is None:
            continue
        if epoch is None or event.epoch + 1 == epoch:
            last[event.trial] = event
    values: dict[str, dict[int, float]] = {}
    for number, event in sorted(last.items()):
        for name, one in event.values.items():
            own = values.setdefault(name, {})
            if not isinstance(one.total, NotMeasured):
                own[number] = one.total
    return values


def metrics_results(plan: MetricsPlan, history: History) -> dict[str, Any]:
    """The study as JSON values."""
    started, resolved = history.started, plan.run()
    assert started is not None  # a finished run has a first event
    named = len(resolved.config.space.initial_architectures)
    results = {number: one for number, one in history.results.items() if number >= named}
    found = correlations(measured_values(plan.directory, plan.epoch), results, started.metrics)
    accuracies = sorted(one.validation_accuracy for one in results.values())
    return {
        "schema_version": 1,
        "study": "metrics",
        "outcome": "validation_accuracy",
        "networks": len(results),
        "failed": len(history.failures),
        "epoch": plan.epoch,
        "epochs": resolved.config.epochs_per_generation,
        "accuracy": {
            "lowest": accuracies[0] if accuracies else None,
            "median": accuracies[len(accuracies) // 2] if accuracies else None,
            "highest": accuracies[-1] if accuracies else None,
        },
        "smallest_shown": _smallest_shown(len(results), len(found)),
        "correlations": [{**asdict(one), "verdict": one.verdict} for one in found],
        "dataset": started.dataset.model_dump(mode="json"),
        "config": deciding_values(resolved.config),
        "environment": facts(),
    }


def _smallest_shown(networks: int, tests: int) -> float | None:
    """About the smallest |rho| that so many networks can show among so many metrics: where the
    normal approximation of Fisher's z reaches the first step of Holm."""
    if networks < MINIMUM_PAIRS or not tests:
        return None
    return math.tanh(NormalDist().inv_cdf(1 - ALPHA / (2 * tests)) / math.sqrt(networks - 3))
