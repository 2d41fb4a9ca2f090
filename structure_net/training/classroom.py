"""What every trial of a run needs at hand: data, batches, engines, the folder for networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.datasets import Dataset, split
from structure_net.engine import AdamW, Batch, Batches, BatchPlan, Learner
from structure_net.learning_rates import HIGHEST_RATE, LOWEST_RATE
from structure_net.networks import (
    STATE_HASH,
    DataSpecification,
    Network,
    OptimizerState,
    build_network,
    save_network,
    save_state,
)
from structure_net.schema import TrainingPlan, Trial
from structure_net.training.inheritance import inherited


class ProbeSet(NamedTuple):
    """The samples that metrics look at, the same as batches for an engine, and what probes found of
    them whatever the network."""

    inputs: Float[Tensor, "samples inputs"]
    labels: Int[Tensor, " samples"]
    batches: list[Batch]
    of_inputs: dict[str, Any]


@dataclass(frozen=True)
class Classroom:
    """The place of training in one process: a plan, the data on one device, a name.
    `training_rows` are the samples that are trained on, `probe_sets` those that metrics look at, of
    the last generation that asked."""

    plan: TrainingPlan
    dataset: Dataset
    batches: Batches
    usable_inputs: np.ndarray
    device: str
    worker: str
    training_rows: np.ndarray
    probe_sets: dict[int, ProbeSet] = field(default_factory=dict)

    @classmethod
    def open(cls, plan: TrainingPlan, device: str, worker: str) -> Classroom:
        """Read the training part and prepare its batches. Nothing here knows the test part."""
        dataset = Dataset.open(plan.dataset, plan.limit_train)
        parts = split(dataset, plan.validation_fraction, plan.run_seed)
        batching = BatchPlan(plan.run_seed, plan.batch_size, plan.augmentation)
        batches = Batches(dataset, parts, batching, device)
        return cls(plan, dataset, batches, batches.usable_inputs(), device, worker, parts.train)

    def learner(self, trial: Trial) -> Learner:
        """The network of a trial, fresh or from its parents' weights, with its optimizer."""
        return self.equipped(*self._network(trial))

    def equipped(self, network: Network, state: OptimizerState | None) -> Learner:
        """A network on the device with an optimizer, which goes on from a state where given."""
        network = network.to(self.device)
        optimizer = AdamW(network, self.plan.weight_decay, (LOWEST_RATE, HIGHEST_RATE))
        if state is not None:
            optimizer.restore(state)
        return Learner(network, optimizer)

    def _network(self, trial: Trial) -> tuple[Network, OptimizerState | None]:
        if trial.inherits is None:
            return build_network(trial.genome, trial.seed, self.usable_inputs), None
        return inherited(trial, trial.inherits, Path(self.plan.networks), self.usable_inputs)

    @property
    def data_specification(self) -> DataSpecification:
        """The data as a saved network records it."""
        images = len(self.dataset.shape) == 3
        return DataSpecification(
            name=self.dataset.name,
            train_hash=self.dataset.train_hash,
            shape=self.dataset.shape,
            order="channels_height_width" if images else "features",
            classes=self.dataset.classes,
            scale=self.dataset.scale,
            mean=tuple(float(value) for value in self.batches.mean),
            deviation=tuple(float(value) for value in self.batches.deviation),
            augmentation=self.plan.augmentation,
        )

    def save(self, learner: Learner, trial: Trial, metrics: dict[str, float], engine: str) -> str:
        """Write the trained network, and its optimizer's state where children may go on from it;
        returns the SHA-256 of the network's tensors."""
        path = Path(self.plan.networks) / f"{trial.number}.safetensors"
        training: dict[str, Any] = {
            "run_seed": self.plan.run_seed,
            "trial_seed": trial.seed,
            "epochs": trial.epochs,
            "batch_size": self.plan.batch_size,
            "weight_decay": self.plan.weight_decay,
            "validation_fraction": self.plan.validation_fraction,
            "limit_train": self.plan.limit_train,
            "engine": engine,
        }
        if self.plan.keep_states:
            training[STATE_HASH] = save_state(learner.optimizer.state(), path)
        lineage = {
            "trial": trial.number,
            "generation": trial.generation,
            "parents": list(trial.parents),
            "operators": list(trial.operators),
        }
        saved = save_network(
            learner.network,
            path,
            data=self.data_specification,
            training=training,
            metrics=metrics,
            lineage=lineage,
            versions={"torch": torch.__version__, "numpy": np.__version__},
        )
        return saved.tensors_sha256
