"""Batches of a training run: shuffled, augmented and standardised once for a whole cohort.

Order and augmentation derive from (run, generation, epoch), the same for every trial of a
generation: comparisons inside a generation share their noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from structure_net.datasets import Dataset, Split, standardisation
from structure_net.seeding import derive

EVALUATION_BATCH = 1024
ROWS_AT_ONCE = 1024  # while looking for inputs that never change

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class BatchPlan:
    """How the training part becomes batches; `augmentation` is `none` or `flip`."""

    run_seed: int
    batch_size: int
    augmentation: str


class Batches:
    """The training and validation parts of a dataset, ready for an engine on one device."""

    def __init__(self, dataset: Dataset, split: Split, plan: BatchPlan, device: str) -> None:
        self.plan = plan
        self.device = torch.device(device)
        self._images = dataset.images
        self._labels = np.array(dataset.labels, dtype=np.int64)
        self._split = split
        mean, deviation = standardisation(dataset.images, dataset.scale, split.train)
        self.mean, self.deviation = mean, deviation
        channel = (-1, *(1,) * (len(dataset.shape) - 1))
        # (raw / scale - mean) / deviation as one product and one sum.
        self._factor = _column(1.0 / (dataset.scale * deviation), channel, self.device)
        self._shift = _column(-mean / deviation, channel, self.device)
        self.steps = len(split.train) // plan.batch_size

    def epoch(self, generation: int, epoch: int) -> Iterator[Batch]:
        """`steps` batches of exactly `batch_size` samples; the last partial one is dropped."""
        place = (generation, epoch)
        order = derive(self.plan.run_seed, "batches", *place).permutation(len(self._split.train))
        flips = derive(self.plan.run_seed, "flip", *place).random(len(order)) < 0.5
        size = self.plan.batch_size
        for start in range(0, self.steps * size, size):
            chosen = order[start : start + size]
            flipped = flips[start : start + size] if self.plan.augmentation == "flip" else None
            yield self._prepare(self._split.train[chosen], flipped)

    def validation(self) -> Iterator[Batch]:
        """The validation part in order, the last partial batch included."""
        for start in range(0, len(self._split.validation), EVALUATION_BATCH):
            yield self._prepare(self._split.validation[start : start + EVALUATION_BATCH], None)

    def standardise(self, raw: np.ndarray) -> Float[Tensor, "batch inputs"]:
        """Raw images or rows [batch, *shape] as the standardised inputs of a network."""
        values = torch.from_numpy(np.require(raw, requirements=["C", "W"])).to(self.device)
        scaled = values.to(torch.float32).mul_(self._factor).add_(self._shift)
        return scaled.flatten(1)

    def usable_inputs(self) -> Bool[np.ndarray, " inputs"]:
        """Inputs that are not constant over the training part."""
        rows = self._split.train
        first = np.asarray(self._images[rows[0]])
        varies = np.zeros(first.shape, dtype=bool)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = self._images[rows[start : start + ROWS_AT_ONCE]]
            varies |= (part != first).any(axis=0)
            if varies.all():
                break
        return varies.reshape(-1)

    def _prepare(self, rows: Int[np.ndarray, " batch"], flipped: np.ndarray | None) -> Batch:
        raw = self._images[rows]
        if flipped is not None:
            raw[flipped] = raw[flipped][..., ::-1]
        labels = torch.from_numpy(self._labels[rows])
        return self.standardise(raw), labels.to(self.device)


def _column(values: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=device).reshape(shape)
