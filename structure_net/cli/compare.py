"""`structure-net compare`: the tournament beside random and local search; the loop of studies."""

from __future__ import annotations

import json as json_text
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from structure_net.cli.messages import say
from structure_net.cli.options import ORDER
from structure_net.cli.tournament import Terminated, TournamentOptions, given, termination_raises
from structure_net.errors import DONE, INTERRUPTED, TERMINATED, UsageError
from structure_net.schema import Given, resolve

if TYPE_CHECKING:
    from structure_net.studies import Plan, Step

Found = TypeVar("Found")
OUTPUT = ORDER["Output"]
TUNING_SEEDS = "0-9"
Seeds = Annotated[str, Parameter(help="seeds of the pairs: ranges and numbers, 0-9 or 0,3,5-7")]
DryRun = Annotated[
    bool,
    Parameter(
        group=OUTPUT,
        negative="",
        show_default=False,
        help="tell cost and time, and run no more than a pilot of one epoch",
    ),
]
AsJson = Annotated[
    bool,
    Parameter(group=OUTPUT, negative="", show_default=False, help="the results as JSON on stdout"),
]
KEPT = "Finished runs are kept, and the same command goes on from there."


def compare(
    *,
    options: Annotated[TournamentOptions, Parameter(name="*")] = TournamentOptions(),  # noqa: B008
    seeds: Seeds = TUNING_SEEDS,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> int:
    """Run the tournament, random searches and local search on the same seeds at equal cost.

    Each champion is trained again from scratch on fresh seeds, --retrain times: 3 without it, 1
    with --quick. Finished runs are read, not run again.
    """
    from structure_net.studies import compared, seeds_of

    wanted, directory, retrain = without_own(given(options))
    plan = compared(wanted, seeds_of(seeds), directory, retrain)
    return run_to_results(plan, dry_run=dry_run, json=json)


def without_own(wanted: Given) -> tuple[Given, Path, int]:
    """The options of every run, the directory of the whole, and how often a champion is trained
    again; UsageError for what a comparison decides itself."""
    if "seed" in wanted.values:
        raise UsageError(
            f"A comparison runs on several seeds (seed came from {wanted.origins['seed']}): give "
            f"--seeds, as in --seeds 0-9."
        )
    values, origins = dict(wanted.values), dict(wanted.origins)
    preset = str(values.get("preset", "balanced"))
    retrain = values.pop("retrain", 1 if preset == "quick" else 3)
    if not 0 <= retrain <= 1000:
        raise UsageError(f"retrain cannot be {retrain}: from 0 to 1000.")
    out, name = values.pop("out", None), values.pop("name", None)
    resolve(Given(values, origins))  # what is wrong is told before anything runs
    directory = Path(out) if out is not None else Path("runs") / (name or f"compare_{preset}")
    return Given(values, origins), directory, retrain


def run_to_results(plan: Plan, *, dry_run: bool, json: bool) -> int:
    """Run a plan to its end, or tell what it would cost; returns the exit code."""
    from structure_net.studies import estimate, results_of, run_study, table_lines, write_results

    def work() -> int:
        if dry_run or not plan.directory.exists():
            told = estimate(plan)
            say(
                f"{told.runs} runs, about {told.trainings} trainings and {told.cost:.2g} FLOP, "
                f"about {rough(told.seconds)} on this machine."
            )
        if dry_run:
            return DONE
        results = results_of(told_step_by_step(run_study(plan)))
        written = write_results(plan.directory, results)
        if json:
            print(json_text.dumps(results, indent=2, default=str))
        else:
            print("\n".join(table_lines(results)))
            print(f"\nwritten: {', '.join(map(str, written))}")
        return DONE

    return interruptible(work)


def told_step_by_step(steps: Generator[Step, None, Found]) -> Found:
    """What a study finds at last; each of its steps is told as it ends."""
    began = time.monotonic()
    while True:
        try:
            step = next(steps)
        except StopIteration as ended:
            found: Found = ended.value
            return found
        left = (time.monotonic() - began) / step.place * (step.runs - step.place)
        say(
            f"{step.place}/{step.runs} {step.arm}, seed {step.seed}: {step.trained} trained, "
            f"{step.seconds:.1f} s; about {rough(left)} left"
        )


def interruptible(work: Callable[[], int]) -> int:
    """What `work` returns; where it is interrupted or ended, a sentence about going on."""
    try:
        with termination_raises():
            code = work()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        say(f"Interrupted. {KEPT}")
        return INTERRUPTED
    except Terminated as ended:
        say(f"Ended by {ended}. {KEPT}")
        return TERMINATED


def rough(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
