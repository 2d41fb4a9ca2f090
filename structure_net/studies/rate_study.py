"""Learning-rate strategies against cosine and against their own shuffled placebo, over densities.

First each strategy is tuned: a small grid of base rates at each density, on seeds of their own.
Then all are compared on other seeds, each at the rate that was best for it at that density, so that
none loses by a rate set for another; and each is trained with the rate that was best at 5 % density
too, which tells what tuning once would cost.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from structure_net.environment import facts
from structure_net.errors import UsageError
from structure_net.learning_rates import paces_alone, strategy_of
from structure_net.schema import DatasetFacts, Event, Trial, deciding_values
from structure_net.studies.contrasts import Place, accuracies, contrasts, interval
from structure_net.studies.runs import trained
from structure_net.studies.statistics import MINIMUM_PAIRS
from structure_net.studies.study import Step, step_of
from structure_net.studies.trainings import Ground, Training, training_of

BASELINES = ("COSINE", "CONSTANT")
FOUR = ("BASIC", "ADVANCED", "COMPREHENSIVE", "ULTIMATE")
# Cosine with rates by fan-in alone: what one rate for all densities owes to that.
BY_FAN_IN = "warm_up+cosine+sparsity_awareness"
OWN = {
    "learning_rate_strategies": (*FOUR, BY_FAN_IN),
    "growth_rules": ("none",),
    # Two schedules look at extrema, which come with the metrics.
    "enable_comprehensive_metrics": True,
}
DENSITIES = (0.2, 0.05, 0.02, 0.005)
RATES = (0.0005, 0.001, 0.002, 0.004, 0.008)
FEWEST_RATES = 2
ANCHOR = 0.05  # density at which a rate that is to serve all densities is tuned
MARGIN = 0.003  # of accuracy: what tuning once may cost
SHUFFLED = "shuffled"  # the name of a placebo is that of its strategy with this behind
AT_ANCHOR = "with the anchor's rate"

Chosen = Mapping[Place, float]
Found = Generator[Event, None, tuple[list[Training], DatasetFacts]]


@dataclass(frozen=True)
class RateStudy:
    """Strategies at densities; tuned on `tuning_seeds`, compared on `seeds`."""

    ground: Ground
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    densities: tuple[float, ...] = DENSITIES
    rates: tuple[float, ...] = RATES
    own: ClassVar[Mapping[str, Any]] = OWN

    def __post_init__(self) -> None:
        both = sorted(set(self.seeds) & set(self.tuning_seeds))
        if both:
            raise UsageError(
                f"Seed {both[0]} is used both to tune and to compare: rates would be chosen on the "
                f"seeds that judge them. Give others with --seeds or --tuning-seeds."
            )
        if len(self.rates) < FEWEST_RATES:
            raise UsageError("A grid wants two base rates or more: give them with --rates.")

    @property
    def arms(self) -> tuple[str, ...]:
        """Strategies, the baselines last."""
        given = self.ground.config.learning_rate_strategies
        return (*(name for name in given if name not in BASELINES), *BASELINES)

    @property
    def with_placebo(self) -> tuple[str, ...]:
        """Those whose rates differ from connection to connection: others are their own placebo."""
        return tuple(name for name in self.arms if not paces_alone(strategy_of(name)))

    @property
    def anchor(self) -> float:
        """Of the densities the one nearest to 5 %, as a factor."""
        return min(self.densities, key=lambda density: abs(math.log(density / ANCHOR)))

    def tuning_trials(self, seed: int) -> dict[tuple[str, float, float], Trial]:
        """By strategy, density and rate."""
        trials: dict[tuple[str, float, float], Trial] = {}
        for density in self.densities:
            for arm in self.arms:
                for rate in self.rates:
                    genome = self.ground.genome(density, rate, arm)
                    number = len(trials)
                    trials[arm, density, rate] = self.ground.trial(number, genome, seed)
        return trials

    def compared_trials(self, seed: int, chosen: Chosen) -> dict[Place, Trial]:
        """By arm and density: each strategy at its own rate there; and, named so, with that of the
        anchor where it is another."""
        trials: dict[Place, Trial] = {}
        for density in self.densities:
            for arm in self.arms:
                own, anchored = chosen[arm, density], chosen[arm, self.anchor]
                wanted = {arm: own}
                if anchored != own:
                    wanted[f"{arm}, {AT_ANCHOR}"] = anchored
                for name, rate in wanted.items():
                    genome = self.ground.genome(density, rate, arm)
                    trials[name, density] = self.ground.trial(len(trials), genome, seed)
        return trials

    def placebo_trials(self, seed: int, chosen: Chosen) -> dict[Place, Trial]:
        """By arm and density, each at its strategy's rate."""
        trials: dict[Place, Trial] = {}
        for density in self.densities:
            for arm in self.with_placebo:
                genome = self.ground.genome(density, chosen[arm, density], arm)
                trials[placebo(arm), density] = self.ground.trial(len(trials), genome, seed)
        return trials

    def tuned(self, seed: int) -> Found:
        """Events of the grid on a tuning seed; what came of it."""
        trials = self.tuning_trials(seed)
        resolved = self.ground.run(seed, f"tuning/seed-{seed}", learning_rate_control="none")
        history = yield from trained(resolved, list(trials.values()))
        assert history.started is not None  # a run that trained has a first event
        found = [
            training_of(arm, density, seed, history.outcomes[trial.number])
            for (arm, density, _), trial in trials.items()
        ]
        return found, history.started.dataset

    def compared(self, seed: int, chosen: Chosen) -> Found:
        """Events of all arms on a seed, placebos in a run of their own; what came of them."""
        parts = (
            (f"seed-{seed}", "none", self.compared_trials(seed, chosen)),
            (f"seed-{seed}-{SHUFFLED}", SHUFFLED, self.placebo_trials(seed, chosen)),
        )
        found: list[Training] = []
        for folder, control, trials in parts:
            if not trials:
                continue
            resolved = self.ground.run(seed, folder, learning_rate_control=control)
            history = yield from trained(resolved, list(trials.values()))
            assert history.started is not None
            dataset = history.started.dataset
            found += [
                training_of(arm, density, seed, history.outcomes[trial.number])
                for (arm, density), trial in trials.items()
            ]
        return found, dataset

    def planned(self) -> list[Trial]:
        """Trainings to expect, at most, for what they will cost."""
        chosen = {(arm, d): self.rates[0] for arm in self.arms for d in self.densities}
        tuning = list(self.tuning_trials(0).values())
        own = list(self.compared_trials(0, chosen).values())
        placebos = list(self.placebo_trials(0, chosen).values())
        return tuning * len(self.tuning_seeds) + [*own, *own, *placebos] * len(self.seeds)

    @property
    def steps(self) -> int:
        """Steps of the whole: one for each seed."""
        return len(self.tuning_seeds) + len(self.seeds)


def run_rates(study: RateStudy) -> Generator[Step, None, dict[str, Any]]:
    """The grid, then every seed; steps as they end, the results at last. Finished trainings are
    read."""
    tuning: list[Training] = []
    found: list[Training] = []
    for place, seed in enumerate(study.tuning_seeds, start=1):
        own, _ = yield from step_of("grid", seed, place, study.steps, study.tuned(seed))
        tuning += own
    chosen = best_rates(tuning)
    for place, seed in enumerate(study.seeds, start=len(study.tuning_seeds) + 1):
        parts = ("strategies", seed, place, study.steps)
        own, dataset = yield from step_of(*parts, study.compared(seed, chosen))
        found += own
    return rates_results(study, tuning, found, dataset)


def placebo(arm: str) -> str:
    """The name of a strategy's placebo."""
    return f"{arm}, {SHUFFLED}"


def grid(trainings: Sequence[Training]) -> dict[Place, dict[float, list[Training]]]:
    """Trainings of the tuning seeds by strategy and density, and there by rate."""
    found: dict[Place, dict[float, list[Training]]] = {}
    for one in trainings:
        found.setdefault((one.arm, one.density), {}).setdefault(one.rate, []).append(one)
    return found


def best_rates(trainings: Sequence[Training]) -> dict[Place, float]:
    """For each strategy and density the rate of highest mean accuracy over the tuning seeds; of
    equal ones that of lower loss. A rate at which a training failed is taken where all have one."""
    found = {}
    for place, by_rate in grid(trainings).items():
        found[place] = max(by_rate, key=lambda rate: _merit(by_rate[rate]))
    return found


def _merit(own: Sequence[Training]) -> tuple[int, float, float]:
    known = [(one.accuracy, one.loss) for one in own if one.accuracy is not None]
    failed = len(own) - len(known)
    if not known:
        return (-failed, 0.0, 0.0)
    return (-failed, fmean(a for a, _ in known), -fmean(loss or 0.0 for _, loss in known))


def rates_results(
    study: RateStudy,
    tuning: Sequence[Training],
    trainings: Sequence[Training],
    dataset: DatasetFacts,
) -> dict[str, Any]:
    """The study as JSON values: the grid, what one rate for all densities costs, and two tables of
    contrasts: each strategy against its placebo, each against cosine."""
    values, chosen = accuracies(trainings), best_rates(tuning)
    pairs = [(arm, density) for density in study.densities for arm in study.arms]
    placebos = [(a, placebo(a), d) for a, d in pairs if a in study.with_placebo]
    cosine = [(arm, "COSINE", density) for arm, density in pairs if arm != "COSINE"]
    ground = study.ground
    failed = [one for one in trainings if one.accuracy is None]
    told = [one.as_json() for one in contrasts(values, placebos)]
    return {
        "schema_version": 1,
        "study": "learning-rates",
        "outcome": "validation_accuracy",
        "seeds": list(study.seeds),
        "tuning_seeds": list(study.tuning_seeds),
        "minimum_pairs": MINIMUM_PAIRS,
        "strategies": list(study.arms),
        "rates": list(study.rates),
        "anchor": study.anchor,
        "margin": MARGIN,
        "epochs": ground.config.epochs_per_generation,
        "densities": ground.told(study.densities),
        "arms": [
            {
                "arm": arm,
                "density": density,
                "rate": chosen[arm.split(", ")[0], density],
                "accuracy": interval(list(own.values()), f"rates/{arm}/{density!r}"),
            }
            for (arm, density), own in values.items()
            if not arm.endswith(AT_ANCHOR)
        ],
        "grid": _grid(tuning, chosen),
        "transfer": [_transfer(study, values, chosen, *pair) for pair in pairs],
        "placebo": told,
        "cosine": [one.as_json() for one in contrasts(values, cosine)],
        "sentences": [_sentence(arm, told) for arm in study.with_placebo],
        "failed": len(failed),
        "trainings": [one.__dict__ for one in (*tuning, *trainings)],
        "dataset": dataset.model_dump(mode="json"),
        "config": deciding_values(ground.run(study.seeds[0], "").config),
        "environment": facts(),
    }


def _grid(tuning: Sequence[Training], chosen: Chosen) -> list[dict[str, Any]]:
    """Mean accuracy at each rate of the grid."""
    return [
        {
            "arm": arm,
            "density": density,
            "best": chosen[arm, density],
            "rates": [
                {
                    "rate": rate,
                    "accuracy": fmean(known) if (known := _known(own)) else None,
                    "failed": len(own) - len(known),
                }
                for rate, own in sorted(by_rate.items())
            ],
        }
        for (arm, density), by_rate in grid(tuning).items()
    ]


def _known(own: Sequence[Training]) -> list[float]:
    return [one.accuracy for one in own if one.accuracy is not None]


def _transfer(
    study: RateStudy,
    values: Mapping[Place, Mapping[int, float]],
    chosen: Chosen,
    arm: str,
    density: float,
) -> dict[str, Any]:
    """What the rate tuned at the anchor loses at a density, on seeds that tuned nothing."""
    own, anchored = chosen[arm, density], chosen[arm, study.anchor]
    loss = None
    if own != anchored:
        with_own, with_it = values[arm, density], values[f"{arm}, {AT_ANCHOR}", density]
        seeds = sorted(with_own.keys() & with_it.keys())
        lost = [with_own[seed] - with_it[seed] for seed in seeds]
        loss = interval(lost, f"rates/transfer/{arm}/{density!r}")
    return {
        "arm": arm,
        "density": density,
        "best": own,
        "anchored": anchored,
        "at_an_end": own in (min(study.rates), max(study.rates)),
        "loss": loss,
        "verdict": _kept(loss, same=own == anchored),
    }


def _kept(loss: Mapping[str, Any] | None, *, same: bool) -> str:
    if same:
        return "the same rate"
    if loss is None:
        return "no seed has both"
    if loss["high"] <= MARGIN:
        return "within the margin"
    return "beyond the margin" if loss["low"] > MARGIN else "not decided"


def _sentence(arm: str, told: Sequence[Mapping[str, Any]]) -> str:
    """Whether a strategy beats its placebo, in words."""
    own = [one for one in told if one["first"] == arm]
    if all(one["p_holm"] is None for one in own):
        return f"{arm} against its placebo: not tested, too few seeds"
    better = [f"{one['density']:g}" for one in own if one["verdict"] == "better"]
    worse = [f"{one['density']:g}" for one in own if one["verdict"] == "worse"]
    if len(better) == len(own):
        return f"{arm} beats its placebo at every density"
    told_better = f"{arm} beats its placebo at density {', '.join(better)} and nowhere else"
    if not better:
        told_better = f"{arm} does not beat its placebo: where its rates lie is decoration"
    return told_better + (f"; it is worse at {', '.join(worse)}" if worse else "")
