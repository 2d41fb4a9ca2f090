"""One trial of a cohort on its way, and the events that tell of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from structure_net.engine import Learner, Reduction
from structure_net.errors import InvalidGenomeError
from structure_net.genome import active_parameters, dense_parameters
from structure_net.learning_rates import Past
from structure_net.schema import (
    EpochFinished,
    GrowthRecord,
    MicroBatchReduced,
    Trial,
    TrialFailed,
    TrialFinished,
    TrialResult,
    TrialStarted,
)
from structure_net.training.classroom import Classroom
from structure_net.training.memory import device_peak_bytes, peak_bytes
from structure_net.training.rates import Rates

# An epoch whose mean loss is this many times the very first step's has left for good.
DIVERGED_FACTOR = 3.0


@dataclass(eq=False)
class Student:
    """A trial in training. `cost` is its ledger in FLOP, `seconds` its share of the time, `growth`
    the attempts at growth that added something: the learner is another one after each."""

    trial: Trial
    attempt: int
    engine: str
    learner: Learner
    seconds: float = 0.0
    cost: int = 0
    micro_batch: int | None = None
    first_loss: float = math.nan
    last: EpochFinished | None = None
    past: Past = field(default_factory=Past)
    growth: list[GrowthRecord] = field(default_factory=list)
    place: dict[str, Any] = field(init=False)
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        self.place = place_of(self.trial, self.attempt)
        self.rates = Rates(self.trial, self.learner)

    def go_on_with(self, learner: Learner) -> None:
        """Another network takes the place of this one: a grown one, or one that was paused."""
        self.learner = learner
        self.rates = Rates(self.trial, learner)

    def remember(self, train_loss: float, validation_loss: float) -> None:
        """What schedules may look at of an epoch that is over."""
        self.past = replace(
            self.past,
            train_losses=(*self.past.train_losses, train_loss),
            validation_losses=(*self.past.validation_losses, validation_loss),
        )

    def diverged(self, train_loss: float, validation_loss: float) -> bool:
        """Whether the numbers left: not finite, or far above where they began."""
        finite = math.isfinite(train_loss) and math.isfinite(validation_loss)
        began = self.first_loss
        if self.trial.inherits is not None:
            # Trained weights may begin near 0; the loss of knowing nothing is no divergence.
            began = max(began, math.log(self.trial.genome.classes))
        return not (finite and train_loss <= DIVERGED_FACTOR * began)

    def planned(self, batch_size: int, micro_batch: int) -> MicroBatchReduced:
        """By the estimate a whole batch does not fit: the trial begins with fewer samples."""
        self.micro_batch = micro_batch
        return MicroBatchReduced(
            **self.place, step=1, epoch=0, before=batch_size, after=micro_batch, planned=True
        )

    def reduced(self, epoch: int, reduction: Reduction) -> MicroBatchReduced:
        """Memory ran out under this trial, and it goes on with fewer samples at a time."""
        self.micro_batch = reduction.after
        return MicroBatchReduced(
            **self.place,
            step=epoch + 1,
            epoch=epoch,
            before=reduction.before,
            after=reduction.after,
            planned=False,
            wanted_bytes=reduction.wanted_bytes,
        )

    def failed(self, epoch: int, train_loss: float, validation_loss: float) -> TrialFailed:
        """The failure `diverged`, with the layer that shows it where one does."""
        network, reason = self.learner.network, ""
        for index in range(len(network.layers)):
            parts = torch.cat([network.weights(index), network.biases(index)])
            if not bool(parts.isfinite().all()):
                reason = f"sparse layer {index} is no longer finite after epoch {epoch}"
                break
        return TrialFailed(
            **self.place,
            step=epoch + 1,
            genome=self.trial.genome,
            seed=self.trial.seed,
            parents=self.trial.parents,
            failure="diverged",
            reason=reason
            or f"mean training loss {train_loss:.4g} in epoch {epoch} (first step "
            f"{self.first_loss:.4g}, validation {validation_loss:.4g})",
            epoch=epoch,
            cost=self.cost,
        )

    def finished(self, room: Classroom) -> TrialFinished:
        """Save the network and tell the result."""
        last, trial = self.last, self.trial
        assert last is not None  # an epoch ended, or the trial would have failed
        metrics = {
            "validation.accuracy": last.validation_accuracy,
            "validation.loss": last.validation_loss,
            "train.loss": last.train_loss,
        }
        sha256 = room.save(self.learner, trial, metrics, self.engine)
        result = self.result(room, sha256)
        return TrialFinished(**self.place, step=trial.epochs + 1, result=result, worker=room.worker)

    def result(
        self, room: Classroom, network_sha256: str, stopped_after: int | None = None
    ) -> TrialResult:
        """What the training has come to after its last epoch so far."""
        last, trial = self.last, self.trial
        genome = self.learner.network.genome
        assert last is not None
        return TrialResult(
            trial=trial,
            validation_accuracy=last.validation_accuracy,
            validation_loss=last.validation_loss,
            train_loss=last.train_loss,
            active_parameters=active_parameters(genome),
            dense_parameters=dense_parameters(genome),
            connections=self.learner.network.connection_count,
            batch_size=room.plan.batch_size,
            engine=self.engine,
            cost=self.cost,
            network_sha256=network_sha256,
            stopped_after=stopped_after,
            final_genome=None if genome == trial.genome else genome,
            growth=tuple(self.growth) or None,
            seconds=self.seconds,
            micro_batch=self.micro_batch,
            peak_bytes=peak_bytes(),
            device_peak_bytes=device_peak_bytes(room.device),
        )


def place_of(trial: Trial, attempt: int) -> dict[str, Any]:
    """Where the events of an attempt stand in the run."""
    return {"generation": trial.generation, "trial": trial.number, "attempt": attempt}


def started(
    trial: Trial, attempt: int, engine: str, room: Classroom, first_epoch: int = 0
) -> TrialStarted:
    """The first event of an attempt."""
    return TrialStarted(
        **place_of(trial, attempt),
        step=first_epoch,
        genome=trial.genome,
        seed=trial.seed,
        parents=trial.parents,
        operators=trial.operators,
        architecture=trial.genome.architecture,
        strategy=trial.genome.strategy,
        active_parameters=active_parameters(trial.genome),
        batch_size=room.plan.batch_size,
        epochs=trial.epochs,
        engine=engine,
        worker=room.worker,
        device=room.device,
    )


def invalid(trial: Trial, attempt: int, problem: InvalidGenomeError) -> TrialFailed:
    """A genome that no network can be built from."""
    return TrialFailed(
        **place_of(trial, attempt),
        step=1,
        genome=trial.genome,
        seed=trial.seed,
        parents=trial.parents,
        failure="invalid",
        reason=str(problem),
    )
