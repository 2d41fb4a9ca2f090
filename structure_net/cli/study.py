"""`structure-net study`: a pre-registered study, or one of those that have a name of their own."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from structure_net.cli.compare import (
    OUTPUT,
    AsJson,
    DryRun,
    interruptible,
    run_to_results,
    without_own,
)
from structure_net.cli.messages import say
from structure_net.cli.tournament import TournamentOptions, given
from structure_net.cli.trainings import (
    OF_TRAININGS,
    TRAININGS_TEXT,
    TrainingsOptions,
    of_trainings,
)
from structure_net.errors import DONE, UsageError
from structure_net.schema import Given, resolve

NOISE = "noise"
METRICS = "metrics"
NETWORKS = 100
BY_NAME = ", ".join((NOISE, METRICS, *OF_TRAININGS))

What = Annotated[str, Parameter(name="FILE", help=f"a study in TOML, or one of {BY_NAME}")]
Networks = Annotated[
    int | None,
    Parameter(help=f"with {METRICS}: random networks to train [default there: {NETWORKS}]"),
]
AtEpoch = Annotated[
    int | None,
    Parameter(help=f"with {METRICS}: metrics after so many epochs, not the last ones"),
]
Confirm = Annotated[
    bool,
    Parameter(
        group=OUTPUT, negative="", show_default=False, help="run on the confirming seeds, once"
    ),
]
ChampionOf = Annotated[
    Path | None,
    Parameter(help=f"with {NOISE}: the genome is this run's champion, not a founder"),
]
Seeds = Annotated[
    str | None,
    Parameter(help=f"with {NOISE}, {' and '.join(OF_TRAININGS)}: seeds [default there: 0-9]"),
]


def study(
    file: What,
    /,
    *,
    options: Annotated[TournamentOptions, Parameter(name="*")] = TournamentOptions(),  # noqa: B008
    confirm: Confirm = False,
    seeds: Seeds = None,
    champion_of: ChampionOf = None,
    networks: Networks = None,
    at_epoch: AtEpoch = None,
    trainings: Annotated[TrainingsOptions, Parameter(name="*")] = TrainingsOptions(),  # noqa: B008
    dry_run: DryRun = False,
    json: AsJson = False,
) -> int:
    """Run a study's arms on its seeds and print paired statistics.

    A study's file fixes claim, outcome, margin, arms and seeds; of the options it takes --out,
    --workers and --data-dir. `study noise` trains one genome on many seeds; `study metrics` many
    random networks, to tell which metric goes with their accuracy; `study growth` and `study
    learning-rates` single networks, to compare rules of growth, or strategies, with their controls.
    """
    wanted = given(options)
    if file in OF_TRAININGS:
        if confirm or champion_of is not None or networks is not None or at_epoch is not None:
            raise UsageError(
                f"`study {file}` takes --seeds, --densities, --rates, --dry-run, --json and "
                f"options of a run; of the other studies' own options none."
            )
        return of_trainings(file, wanted, seeds or "0-9", trainings, dry_run=dry_run, json=json)
    if trainings != TrainingsOptions():
        raise UsageError(f"--densities, --rates and --tuning-seeds are for {TRAININGS_TEXT}.")
    if file != METRICS and (networks is not None or at_epoch is not None):
        raise UsageError("--networks and --at-epoch are for `study metrics`.")
    if file == METRICS:
        if confirm or dry_run or seeds is not None or champion_of is not None:
            raise UsageError(
                "`study metrics` takes --networks, --at-epoch and options of a run; of a study's "
                "own options none."
            )
        return _metrics(wanted, NETWORKS if networks is None else networks, at_epoch, json=json)
    if file == NOISE:
        if confirm or dry_run:
            raise UsageError("--confirm and --dry-run are for a study's file, not for noise.")
        return _noise(wanted, seeds or "0-9", champion_of, json=json)
    if seeds is not None or champion_of is not None:
        raise UsageError(
            "--seeds and --champion-of are for `study noise`: the seeds of a study stand in its "
            "file."
        )
    return _registered(Path(file), wanted, confirm=confirm, dry_run=dry_run, json=json)


# What may be given beside a study's file: it changes no result.
BESIDE_A_FILE = frozenset({"out", "workers", "data_dir"})


def _registered(path: Path, wanted: Given, *, confirm: bool, dry_run: bool, json: bool) -> int:
    from dataclasses import replace

    from structure_net.studies import planned, register

    other = sorted(wanted.values.keys() - BESIDE_A_FILE)
    if other:
        raise UsageError(
            f"{other[0]} (from {wanted.origins[other[0]]}) belongs in the file of the study, so "
            f"that it is registered: put it under [scale] or an arm."
        )
    out = wanted.values.get("out")
    plan = planned(path, Path(out) if out is not None else None, confirm=confirm)
    values = {**plan.given.values, **{k: v for k, v in wanted.values.items() if k != "out"}}
    plan = replace(plan, given=Given(values, {**plan.given.origins, **wanted.origins}))
    for arm in plan.arms:
        plan.run(arm, plan.seeds[0])  # what is wrong with an arm is told before anything runs
    if confirm and not dry_run:
        say(f"Noted in {register(path, plan)}: commit it with the study.")
    return run_to_results(plan, dry_run=dry_run, json=json)


def _noise(wanted: Given, seeds: str, run: Path | None, *, json: bool) -> int:
    from structure_net.studies import (
        NoisePlan,
        genome_for,
        noise_lines,
        noise_results,
        seeds_of,
        write_results,
    )

    known = {name: value for name, value in wanted.values.items() if name != "retrain"}
    cleaned, directory, _ = without_own(Given(known, wanted.origins))
    if not {"out", "name"} & wanted.values.keys():
        directory = Path("runs") / NOISE
    genome = genome_for(resolve(cleaned).config, run)
    plan = NoisePlan(cleaned, genome, seeds_of(seeds), directory)

    def work() -> int:
        found = []
        for seed in plan.seeds:
            training = plan.trained(seed)
            while True:
                try:
                    next(training)
                except StopIteration as ended:
                    found.append(ended.value)
                    break
            say(f"seed {seed}: validation accuracy {found[-1].validation_accuracy:.4f}")
        results = noise_results(plan, found)
        written = write_results(directory, results)
        lines = [*noise_lines(results), "", f"written: {', '.join(map(str, written))}"]
        print(json_text.dumps(results, indent=2) if json else "\n".join(lines))
        return DONE

    return interruptible(work)


def _metrics(wanted: Given, networks: int, at_epoch: int | None, *, json: bool) -> int:
    from structure_net.schema import TrialFinished
    from structure_net.studies import (
        MetricsPlan,
        metrics_lines,
        metrics_page,
        metrics_results,
        write_results,
    )

    values = dict(wanted.values)
    out, name = values.pop("out", None), values.pop("name", None)
    directory = Path(out) if out is not None else Path("runs") / (name or "study_metrics")
    cleaned = Given(values, {field: wanted.origins[field] for field in values})
    plan = MetricsPlan(cleaned, networks, directory / "networks", at_epoch)
    plan.run()  # what is wrong is told before anything runs

    def work() -> int:
        training, done = plan.trained(), 0
        while True:
            try:
                event = next(training)
            except StopIteration as ended:
                history = ended.value
                break
            if isinstance(event, TrialFinished):
                done += 1
                if done % 10 == 0:
                    say(f"{done} networks trained")
        results = metrics_results(plan, history)
        written = write_results(directory, results, metrics_page(results))
        lines = [*metrics_lines(results), "", f"written: {', '.join(map(str, written))}"]
        print(json_text.dumps(results, indent=2, default=str) if json else "\n".join(lines))
        return DONE

    return interruptible(work)
