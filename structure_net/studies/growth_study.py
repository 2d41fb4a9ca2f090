"""Does growth help, and does its place? Rules of growth beside their controls on equal terms.

Arms that train on from the start's size: `none`, `recycle_only`, `set`, `rigl`, each rule, and each
rule at random and at opposite places. Then, for each rule and seed, what the same ledger buys
without growth: more connections from the start, fixed (`static_RULE`) or moving (`set_RULE`,
`rigl_RULE`); and the final size from fresh weights (`final_size_RULE`), which costs less.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from structure_net.environment import facts
from structure_net.errors import UsageError
from structure_net.genome import Genome, SetGrowthRule, apply_edit, connection_count
from structure_net.growth import GROWTH_RULES
from structure_net.schema import (
    DatasetFacts,
    Event,
    Trial,
    TrialFailed,
    TrialResult,
    deciding_values,
)
from structure_net.studies.contrasts import Contrast, accuracies, contrasts, interval
from structure_net.studies.findings import EQUAL_LEDGERS
from structure_net.studies.runs import trained
from structure_net.studies.statistics import MINIMUM_PAIRS
from structure_net.studies.study import Step, step_of
from structure_net.studies.trainings import Ground, Training, training_of

ALWAYS = ("none", "recycle_only", "set", "rigl")
CONTROLS = ("random_place", "opposite_place")
# Arms at a rule's ledger: (name, rule of growth). The arm of that rule at the start's size tells
# what a connection costs.
EQUAL = (("static", "none"), ("set", "set"), ("rigl", "rigl"))
FINAL_SIZE = "final_size"
# What growth must beat to be worth its cost: the best of these.
AT_EQUAL_COST = ("random_place", "static", "set", "rigl")
# Attempts come every five epochs, additions within the first 65 %: 20 epochs have two or three.
OWN = {
    "epochs_per_generation": 20,
    "growth_rules": ("predicted_gain", "extrema"),
    "learning_rate_strategies": ("COSINE",),
    "enable_comprehensive_metrics": False,
}
DENSITIES, RATE = (0.1,), 0.003

Outcomes = Mapping[int, TrialResult | TrialFailed]


@dataclass(frozen=True)
class GrowthStudy:
    """All arms on each seed and density, from the same weights at the start where sizes agree."""

    ground: Ground
    seeds: tuple[int, ...]
    densities: tuple[float, ...] = DENSITIES
    rate: float = RATE
    own: ClassVar[Mapping[str, Any]] = OWN

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that are compared with their controls; UsageError where there is none."""
        config = self.ground.config
        if not config.enable_growth:
            raise UsageError(
                "The study of growth cannot be run without growth: leave out --no-growth."
            )
        found = tuple(rule for rule in config.growth_rules if rule not in ALWAYS)
        if not found:
            raise UsageError(
                f"The study of growth compares rules with {', '.join(ALWAYS)}, and growth_rules "
                f"names no other. Give one, as in --growth-rules predicted_gain."
            )
        return found

    @property
    def strategy(self) -> str:
        """The learning-rate strategy of all arms; UsageError where several are given."""
        names = self.ground.config.learning_rate_strategies
        if len(names) > 1:
            raise UsageError(
                f"The study of growth has one learning-rate strategy for all arms, and "
                f"{len(names)} are given: {', '.join(names)}. Give one with --strategies."
            )
        return names[0]

    @property
    def first_arms(self) -> dict[str, str]:
        """Arms that begin at the same size, with their rules of growth."""
        names = [*ALWAYS]
        known = set(GROWTH_RULES)
        for rule in self.rules:
            controls = [f"{control}_{rule}" for control in CONTROLS]
            names += [rule, *(name for name in controls if name in known)]
        return {name: name for name in dict.fromkeys(names)}

    def first_trials(self, seed: int) -> dict[tuple[str, float], Trial]:
        """By arm and density."""
        trials: dict[tuple[str, float], Trial] = {}
        for density in self.densities:
            for arm, rule in self.first_arms.items():
                genome = self.ground.genome(density, self.rate, self.strategy, rule)
                trials[arm, density] = self.ground.trial(len(trials), genome, seed)
        return trials

    def equal_trials(
        self, seed: int, first: Mapping[tuple[str, float], Trial], outcomes: Outcomes
    ) -> dict[tuple[str, float], Trial]:
        """By arm and density: networks whose training costs what that of the rule's did, and those
        of the size that it reached. None for a rule whose training failed."""
        trials: dict[tuple[str, float], Trial] = {}
        number = len(first) - 1
        for density in self.densities:
            for rule in self.rules:
                grown = outcomes[first[rule, density].number]
                for name, own in (*EQUAL, (FINAL_SIZE, "none")):
                    number += 1
                    start = outcomes[first[own, density].number]
                    if isinstance(grown, TrialFailed) or isinstance(start, TrialFailed):
                        continue
                    genome = apply_edit(grown.genome, SetGrowthRule(growth_rule="none"))
                    if name != FINAL_SIZE:
                        genome = self._of_cost(grown.cost, start, own)
                    trial = self.ground.trial(number, genome, seed)
                    trials[f"{name}_{rule}", density] = trial
        return trials

    def _of_cost(self, cost: int, start: TrialResult, rule: str) -> Genome:
        """With so many connections that training costs `cost`: without growth it costs the same for
        each connection."""
        genome = start.trial.genome
        count = round(connection_count(genome) * cost / start.cost)
        return self.ground.sized(genome, count, rule)

    def trained(self, seed: int) -> Generator[Event, None, tuple[list[Training], DatasetFacts]]:
        """Events of all trainings of a seed as far as they were not finished; what came of them."""
        resolved = self.ground.run(seed, f"seed-{seed}")
        first = self.first_trials(seed)
        history = yield from trained(resolved, list(first.values()))
        equal = self.equal_trials(seed, first, history.outcomes)
        trials = {**first, **equal}
        if equal:
            history = yield from trained(resolved, list(trials.values()))
        assert history.started is not None  # a run that trained has a first event
        found = [
            training_of(arm, density, seed, history.outcomes[trial.number])
            for (arm, density), trial in trials.items()
        ]
        return found, history.started.dataset

    def planned(self) -> list[Trial]:
        """Trainings to expect, for what they will cost: those at a rule's ledger as the rule."""
        first = self.first_trials(self.seeds[0])
        equal = [
            trial
            for (arm, _), trial in first.items()
            if arm in self.rules
            for _ in range(1 + len(EQUAL))
        ]
        return [*first.values(), *equal] * len(self.seeds)


def run_growth(study: GrowthStudy) -> Generator[Step, None, dict[str, Any]]:
    """Every seed; steps as they end, the results at last. Finished trainings are read."""
    found: list[Training] = []
    for place, seed in enumerate(study.seeds, start=1):
        parts = ("growth", seed, place, len(study.seeds))
        own, dataset = yield from step_of(*parts, study.trained(seed))
        found += own
    return growth_results(study, found, dataset)


def against(study: GrowthStudy, rule: str) -> list[str]:
    """The arms that a rule is compared with."""
    own = [name for name in study.first_arms if name in {f"{one}_{rule}" for one in CONTROLS}]
    return [*ALWAYS, *own, *(f"{name}_{rule}" for name in (FINAL_SIZE, *dict(EQUAL)))]


def growth_results(
    study: GrowthStudy, trainings: Sequence[Training], dataset: DatasetFacts
) -> dict[str, Any]:
    """The study as JSON values: a row for each arm, and for each rule a table of contrasts."""
    values = accuracies(trainings)
    tables = []
    for rule in study.rules:
        wanted = [
            (rule, arm, density) for density in study.densities for arm in against(study, rule)
        ]
        told = [_with_ledger(one, trainings) for one in contrasts(values, wanted)]
        tables.append({"rule": rule, "contrasts": told, "best": _best(rule, study, values, told)})
    arms = dict.fromkeys((one.arm, one.density) for one in trainings)
    ground = study.ground
    return {
        "schema_version": 1,
        "study": "growth",
        "outcome": "validation_accuracy",
        "seeds": list(study.seeds),
        "minimum_pairs": MINIMUM_PAIRS,
        "rules": list(study.rules),
        "strategy": study.strategy,
        "rate": study.rate,
        "epochs": ground.config.epochs_per_generation,
        "growth_frequency": ground.config.growth_frequency,
        "densities": ground.told(study.densities),
        "arms": [_arm(arm, density, trainings) for arm, density in arms],
        "tables": tables,
        "trainings": [one.__dict__ for one in trainings],
        "dataset": dataset.model_dump(mode="json"),
        "config": deciding_values(ground.run(study.seeds[0], "").config),
        "environment": facts(),
    }


def _arm(arm: str, density: float, trainings: Sequence[Training]) -> dict[str, Any]:
    own = [one for one in trainings if (one.arm, one.density) == (arm, density)]
    done = [one for one in own if one.accuracy is not None]
    known = [one.accuracy for one in done if one.accuracy is not None]
    return {
        "arm": arm,
        "density": density,
        "accuracy": interval(known, f"growth/{arm}/{density!r}"),
        "connections": fmean(one.connections for one in done) if done else None,
        "cost": fmean(one.cost for one in done) if done else None,
        "growth_events": fmean(one.growth_events for one in done) if done else None,
        "failed": len(own) - len(done),
    }


def _with_ledger(contrast: Contrast, trainings: Sequence[Training]) -> dict[str, Any]:
    """The contrast, with the smallest and largest share of the rule's ledger that the arm cost."""
    costs = {
        (one.arm, one.seed): one.cost
        for one in trainings
        if one.density == contrast.density and one.accuracy is not None
    }
    shares = [
        costs[contrast.second, seed] / cost
        for (arm, seed), cost in costs.items()
        if arm == contrast.first and (contrast.second, seed) in costs
    ]
    equal = all(abs(share - 1) <= EQUAL_LEDGERS for share in shares)
    ends = [min(shares), max(shares)] if shares else None
    return {**contrast.as_json(), "ledger": ends, "equal_ledgers": equal}


def _best(
    rule: str,
    study: GrowthStudy,
    values: Mapping[tuple[str, float], Mapping[int, float]],
    told: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """For each density the control at equal cost of highest mean accuracy: which one that is was
    seen in the same seeds, so the difference is, if anything, too small."""
    names = {f"{one}_{rule}" for one in AT_EQUAL_COST}
    found = []
    for density in study.densities:
        own = [one for one in told if one["density"] == density and one["second"] in names]
        known = [one for one in own if one["pairs"] is not None]
        if known:
            best = max(known, key=lambda one: fmean(values[one["second"], density].values()))
            found.append(dict(best))
    return found
