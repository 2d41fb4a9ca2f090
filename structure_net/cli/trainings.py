"""`structure-net study growth` and `study learning-rates`: networks beside their controls."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from structure_net.cli.compare import interruptible, rough, told_step_by_step, without_own
from structure_net.cli.messages import say
from structure_net.errors import DONE, UsageError
from structure_net.schema import Given, Resolved, Trial

if TYPE_CHECKING:
    from structure_net.studies import Step

GROWTH = "growth"
LEARNING_RATES = "learning-rates"
OF_TRAININGS = (GROWTH, LEARNING_RATES)
TRAININGS_TEXT = "`study growth` and `study learning-rates`"
TUNING_SEEDS = "1000-1001"
HIGHEST_RATE = 1.0  # of a genome


@dataclass(frozen=True)
class TrainingsOptions:
    """What the two studies ask beside the options of a run."""

    densities: Annotated[
        str | None,
        Parameter(
            help=f"with {GROWTH} and {LEARNING_RATES}: overall densities, as in 0.2,0.05 "
            f"[default there: 0.1; 0.2,0.05,0.02,0.005]"
        ),
    ] = None
    rates: Annotated[
        str | None,
        Parameter(
            help=f"with {GROWTH}: the base learning rate [default there: 0.003]; with "
            f"{LEARNING_RATES}: the grid that each strategy is tuned over "
            f"[default there: 0.0005,0.001,0.002,0.004,0.008]"
        ),
    ] = None
    tuning_seeds: Annotated[
        str | None,
        Parameter(
            help=f"with {LEARNING_RATES}: seeds on which rates are tuned "
            f"[default there: {TUNING_SEEDS}]"
        ),
    ] = None


@dataclass(frozen=True)
class _Study:
    """A study ready to run: what it will train in how many runs, its steps, its two faces."""

    directory: Path
    resolved: Resolved
    planned: Sequence[Trial]
    runs: int
    run: Callable[[], Generator[Step, None, dict[str, Any]]]
    lines: Callable[[dict[str, Any]], list[str]]
    page: Callable[[dict[str, Any]], str]


def of_trainings(
    what: str, wanted: Given, seeds: str, options: TrainingsOptions, *, dry_run: bool, json: bool
) -> int:
    """Run one of the two to its end, or tell what it would cost; returns the exit code."""
    from structure_net.studies import seeds_of

    if "retrain" in wanted.values:
        raise UsageError(
            f"retrain (from {wanted.origins['retrain']}) is about the champion of a search; study "
            f"{what} trains single networks. Leave it out."
        )
    cleaned, directory, _ = without_own(wanted)
    if not {"out", "name"} & wanted.values.keys():
        directory = Path("runs") / f"study_{what}"
    ready = _growth if what == GROWTH else _learning_rates
    study = ready(cleaned, directory, seeds_of(seeds), options)
    return interruptible(lambda: _work(study, dry_run=dry_run, json=json))


def _work(study: _Study, *, dry_run: bool, json: bool) -> int:
    from structure_net.studies import estimate_trainings, write_results

    if dry_run or not study.directory.exists():
        told = estimate_trainings(study.resolved, study.planned, study.runs)
        say(
            f"{told.runs} runs, at most about {told.trainings} trainings and {told.cost:.2g} FLOP, "
            f"about {rough(told.seconds)} on this machine."
        )
    if dry_run:
        return DONE
    results = told_step_by_step(study.run())
    written = write_results(study.directory, results, study.page(results))
    lines = [*study.lines(results), "", f"written: {', '.join(map(str, written))}"]
    print(json_text.dumps(results, indent=2, default=str) if json else "\n".join(lines))
    return DONE


def _growth(
    wanted: Given, directory: Path, seeds: tuple[int, ...], options: TrainingsOptions
) -> _Study:
    from structure_net.studies import (
        Ground,
        GrowthStudy,
        growth_lines,
        growth_page,
        numbers_of,
        run_growth,
    )

    if options.tuning_seeds is not None:
        raise UsageError("--tuning-seeds is for `study learning-rates`: growth tunes nothing.")
    rates = numbers_of(options.rates or str(GrowthStudy.rate), "--rates", HIGHEST_RATE)
    if len(rates) > 1:
        raise UsageError("`study growth` has one base learning rate for all arms: give one.")
    ground = Ground(GROWTH, wanted, directory, GrowthStudy.own)
    densities = _densities(options, GrowthStudy.densities)
    study = GrowthStudy(ground, seeds, ground.distinct(densities), rates[0])
    return _Study(
        directory,
        ground.run(seeds[0], "pilot"),
        study.planned(),
        2 * len(seeds),
        lambda: run_growth(study),
        growth_lines,
        growth_page,
    )


def _learning_rates(
    wanted: Given, directory: Path, seeds: tuple[int, ...], options: TrainingsOptions
) -> _Study:
    from structure_net.studies import (
        Ground,
        RateStudy,
        numbers_of,
        rates_lines,
        rates_page,
        run_rates,
        seeds_of,
    )

    rates = RateStudy.rates
    if options.rates is not None:
        rates = numbers_of(options.rates, "--rates", HIGHEST_RATE)
    tuning = seeds_of(options.tuning_seeds or TUNING_SEEDS)
    ground = Ground(LEARNING_RATES, wanted, directory, RateStudy.own)
    densities = ground.distinct(_densities(options, RateStudy.densities))
    study = RateStudy(ground, seeds, tuning, densities, rates)
    return _Study(
        directory,
        ground.run(seeds[0], "pilot"),
        study.planned(),
        len(tuning) + 2 * len(seeds),
        lambda: run_rates(study),
        rates_lines,
        rates_page,
    )


def _densities(options: TrainingsOptions, usual: tuple[float, ...]) -> tuple[float, ...]:
    from structure_net.studies import numbers_of

    if options.densities is None:
        return usual
    return numbers_of(options.densities, "--densities", 1.0)
