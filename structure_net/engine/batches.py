"""Batches of a training run: shuffled and augmented once for a whole cohort.

Order and augmentation derive from (run, generation, epoch), the same for every trial of a
generation: comparisons inside a generation share their noise. A batch holds where its samples lie
and becomes what an engine wants at first use: standardised floats, or packed 8-bit values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from structure_net.datasets import Dataset, Split, standardisation
from structure_net.seeding import derive

EVALUATION_BATCH = 1024
ROWS_AT_ONCE = 1024  # while looking for inputs that never change
# Validation parts up to this size stay prepared between epochs: 13 to 25 MB of CIFAR-10 per 2,048.
KEPT_PREPARED = 8192


@dataclass(frozen=True)
class RawSamples:
    """8-bit images before standardisation: rows of `images`, some mirrored.

    `factor` and `shift` standardise: raw * factor + shift for each input; `line` inputs form the
    lines that a flip reverses.
    """

    images: np.ndarray
    rows: Int[np.ndarray, " samples"]
    flipped: Bool[np.ndarray, " samples"] | None
    line: int
    factor: Float[np.ndarray, " inputs"]
    shift: Float[np.ndarray, " inputs"]


class Batch:
    """Samples of one step. Iterating gives `inputs` and `targets`, as tensors on the device."""

    def __init__(
        self,
        labels: Int[np.ndarray, " samples"],
        prepare: Callable[[], Tensor],
        raw: RawSamples | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.labels = labels
        self.raw = raw
        self.packed: object = None  # a form of its own that an engine keeps with the batch
        self._prepare = prepare
        self._device = device

    @classmethod
    def of(cls, inputs: Float[Tensor, "samples inputs"], labels: Int[Tensor, " samples"]) -> Batch:
        """A batch of tensors that are ready as they are."""
        return cls(labels.cpu().numpy(), lambda: inputs, None, inputs.device)

    @cached_property
    def inputs(self) -> Float[Tensor, "samples inputs"]:
        """Standardised float inputs."""
        return self._prepare()

    @cached_property
    def targets(self) -> Int[Tensor, " samples"]:
        """Class numbers, int64."""
        return torch.from_numpy(self.labels.copy()).to(self._device)

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.inputs, self.targets))

    def __len__(self) -> int:
        return len(self.labels)


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
        self.mean, self.deviation = standardisation(dataset.images, dataset.scale, split.train)
        # (raw / scale - mean) / deviation as one product and one sum, for every input.
        channels = (-1, *(1,) * (len(dataset.shape) - 1))
        self._factor = _spread(1.0 / (dataset.scale * self.deviation), channels, dataset.shape)
        self._shift = _spread(-self.mean / self.deviation, channels, dataset.shape)
        self._line = dataset.shape[-1]
        self.steps = len(split.train) // plan.batch_size
        self._validation: list[Batch] = []

    def epoch(self, generation: int, epoch: int) -> Iterator[Batch]:
        """`steps` batches of exactly `batch_size` samples; the last partial one is dropped."""
        place = (generation, epoch)
        order = derive(self.plan.run_seed, "batches", *place).permutation(len(self._split.train))
        flips = derive(self.plan.run_seed, "flip", *place).random(len(order)) < 0.5
        size = self.plan.batch_size
        for start in range(0, self.steps * size, size):
            chosen = order[start : start + size]
            flipped = flips[start : start + size] if self.plan.augmentation == "flip" else None
            rows = self._split.train[chosen]
            yield self._batch(self._images, self._labels[rows], rows, flipped)

    def validation(self) -> list[Batch]:
        """The validation part in order, the last partial batch included."""
        if self._validation:
            return self._validation
        rows = self._split.validation
        made = list(self.of_part(self._images, self._labels, rows))
        if len(rows) <= KEPT_PREPARED:
            self._validation = made
        return made

    def of_part(
        self, images: np.ndarray, labels: Int[np.ndarray, " n"], rows: Int[np.ndarray, " samples"]
    ) -> Iterator[Batch]:
        """Any rows of any images of this dataset's kind, never augmented, for evaluation."""
        for start in range(0, len(rows), EVALUATION_BATCH):
            chosen = rows[start : start + EVALUATION_BATCH]
            yield self._batch(images, labels[chosen], chosen, None)

    def standardise(self, raw: np.ndarray) -> Float[Tensor, "batch inputs"]:
        """Raw images or rows [batch, *shape] as the standardised inputs of a network."""
        values = torch.from_numpy(np.require(raw, requirements=["C", "W"])).to(self.device)
        factor = torch.from_numpy(self._factor).to(self.device)
        shift = torch.from_numpy(self._shift).to(self.device)
        return values.flatten(1).to(torch.float32).mul_(factor).add_(shift)

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

    def _batch(
        self,
        images: np.ndarray,
        labels: Int[np.ndarray, " samples"],
        rows: Int[np.ndarray, " samples"],
        flipped: Bool[np.ndarray, " samples"] | None,
    ) -> Batch:
        raw = None
        if images.dtype == np.uint8:
            raw = RawSamples(images, rows, flipped, self._line, self._factor, self._shift)

        def prepare() -> Tensor:
            chosen = images[rows]
            if flipped is not None:
                chosen[flipped] = chosen[flipped][..., ::-1]
            return self.standardise(chosen)

        return Batch(labels, prepare, raw, self.device)


def _spread(
    values: np.ndarray, channels: tuple[int, ...], shape: tuple[int, ...]
) -> Float[np.ndarray, " inputs"]:
    """One value a channel as one a input, float32."""
    return np.broadcast_to(values.reshape(channels), shape).reshape(-1).astype(np.float32)
