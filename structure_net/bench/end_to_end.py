"""A whole tournament by this package, and the very same trials by the masked-dense references.

Ours is everything a user waits for while generations run: worker processes start, read the data,
prepare batches, train, evaluate, save networks; the store makes every event durable. Only the
console is off. The references get their batches as ready tensors and their networks built.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structure_net.bench.data import tensors_of
from structure_net.bench.reference import Apprentice, masked, torch_as
from structure_net.bench.workloads import Workload
from structure_net.errors import RunFailedError
from structure_net.learning_rates import Moment, pace, strategy_of
from structure_net.networks import build_network
from structure_net.schema import (
    EpochFinished,
    GenerationFinished,
    TrialResult,
    TrialStarted,
    resolve,
)
from structure_net.tournament import Tournament, start
from structure_net.training import Classroom


@dataclass(frozen=True)
class Contest:
    """The size of the measured tournament; else as by default, without inherited weights. The
    references train only the first `reference_epochs` epochs of each trial: every epoch of theirs
    takes as long."""

    competitors: int
    generations: int
    epochs: int
    images: int
    reference_epochs: int


@dataclass(frozen=True)
class Held:
    """What a tournament took and trained. `seconds` is from before its first event to the end of
    its last generation, `start_seconds` the part of it before the first trial began. `accuracies`
    are those of the results on the validation part, after each epoch."""

    seconds: float
    start_seconds: float
    results: tuple[TrialResult, ...]
    accuracies: tuple[tuple[float, ...], ...]
    failed: int
    room: Classroom
    epochs: int

    @property
    def workload(self) -> Workload:
        """Its trials as a workload of so many steps each."""
        batches = self.room.batches
        return Workload(
            "tournament",
            tuple(result.genome for result in self.results),
            batches.steps * self.epochs,
            self.room.plan.batch_size,
            sum(len(batch) for batch in batches.validation()),
        )


def hold(contest: Contest, cores: int, engines: Sequence[str], **values: Any) -> Held:
    """Run the tournament in a folder that is deleted afterwards; `values` are further ones of its
    configuration."""
    with tempfile.TemporaryDirectory() as folder:
        resolved = resolve(
            tournament_size=contest.competitors,
            generations=contest.generations,
            epochs_per_generation=contest.epochs,
            dataset=f"synthetic-{contest.images}",
            retrain=0,
            device="cpu",
            workers=cores,
            inherit="none",  # the reference begins with fresh weights
            learning_rate_strategies=("COSINE",),  # and has one rate for all connections
            engine=engines[0] if len(engines) == 1 else "auto",
            out=Path(folder) / "run",
            **values,
        )
        tournament = start(resolved)
        if "native" not in engines:
            allowed = tournament.engine_table.model_copy(update={"kernels": False})
            tournament.engine_table = allowed
        return _timed(tournament, contest)


def _timed(tournament: Tournament, contest: Contest) -> Held:
    seconds = start_seconds = 0.0
    curves: dict[int, list[float]] = defaultdict(list)
    began = time.perf_counter()
    with closing(tournament), closing(tournament.run()) as events:
        for event in events:
            if isinstance(event, TrialStarted) and not start_seconds:
                start_seconds = time.perf_counter() - began
            if isinstance(event, EpochFinished) and event.trial is not None:
                curves[event.trial].append(event.validation_accuracy)
            if isinstance(event, GenerationFinished):
                seconds = time.perf_counter() - began
    history = tournament.history
    if not history.results:
        raise RunFailedError("No trial of the measured tournament finished; there is no ratio.")
    return Held(
        seconds,
        start_seconds,
        tuple(history.results[number] for number in sorted(history.results)),
        tuple(tuple(curves[number]) for number in sorted(history.results)),
        len(history.failures),
        Classroom.open(tournament.plan(), "cpu", "bench"),
        contest.epochs,
    )


def train_alike(
    held: Held, epochs: int, *, strong: bool, threads: int
) -> tuple[float, list[float]]:
    """The first epochs of the finished trials again by a reference, their evaluations too: seconds
    of training and evaluating, and each trial's accuracy on the validation part after them.

    It takes over the pace of a trial's rates. What a strategy does layer by layer or connection by
    connection it leaves out: that costs it nothing, and it learns a little otherwise.
    """
    seconds, accuracies = 0.0, []
    validation = tensors_of(held.room.batches.validation())
    generations = sorted({result.trial.generation for result in held.results})
    with torch_as(strong=strong, threads=threads):
        for generation in generations:
            parts = [
                tensors_of(list(held.room.batches.epoch(generation, epoch)))
                for epoch in range(epochs)
            ]
            for result in held.results:
                if result.trial.generation != generation:
                    continue
                trial = result.trial
                network = build_network(trial.genome, trial.seed, held.room.usable_inputs)
                apprentice = masked(network, strong=strong)
                began = time.perf_counter()
                accuracy = 0.0
                for epoch, training in enumerate(parts):
                    for step, batch in enumerate(training):
                        progress = (epoch * len(training) + step) / (held.epochs * len(training))
                        _pace(apprentice, result, progress)
                        apprentice.step(*batch)
                    accuracy, _ = apprentice.evaluate(validation)
                seconds += time.perf_counter() - began
                accuracies.append(accuracy)
    return seconds, accuracies


def _pace(apprentice: Apprentice, result: TrialResult, progress: float) -> None:
    """The learning rate that the trial had at this step."""
    genome = result.genome
    rate = genome.base_learning_rate * pace(strategy_of(genome.strategy), Moment(progress))
    for group in apprentice.optimizer.param_groups:
        group["lr"] = rate
