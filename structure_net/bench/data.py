"""Batches of the drawn images, for both sides the same samples in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from structure_net.bench.workloads import TRAINING_SAMPLES, VALIDATION_SAMPLES, Workload, images
from structure_net.engine import Batch, RawSamples

SCALE, MEAN, DEVIATION = 255.0, 0.5, 0.29  # of uniform 8-bit values

Tensors = list[tuple[Tensor, Tensor]]


def batches_of(
    pixels: np.ndarray, labels: np.ndarray, batch_size: int, steps: int
) -> Iterator[Batch]:
    """`steps` batches, beginning again at the first sample when the images are used up."""
    factor, shift = _standard(pixels[0].size)
    whole = len(pixels) // batch_size
    for step in range(steps):
        start = step % whole * batch_size
        rows = np.arange(start, start + batch_size)
        raw = RawSamples(pixels, rows, factor, shift)

        def prepare(start: int = start) -> Tensor:
            values = torch.from_numpy(pixels[start : start + batch_size]).flatten(1).float()
            return values.mul_(torch.from_numpy(factor)).add_(torch.from_numpy(shift))

        yield Batch(labels[rows], prepare, raw)


@cache
def _standard(inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift of every input: one pair for both parts, as a real data set has it."""
    factor = np.full(inputs, 1.0 / (SCALE * DEVIATION), dtype=np.float32)
    return factor, np.full(inputs, -MEAN / DEVIATION, dtype=np.float32)


@dataclass(frozen=True)
class Parts:
    """The drawn training and validation images of all workloads."""

    pixels: np.ndarray
    labels: np.ndarray

    @classmethod
    def draw(cls) -> Parts:
        """The same on every machine."""
        return cls(*images(TRAINING_SAMPLES + VALIDATION_SAMPLES))

    def training(self, batch_size: int, steps: int) -> Iterator[Batch]:
        """Fresh batches, which prepare themselves when they are used."""
        end = TRAINING_SAMPLES
        return batches_of(self.pixels[:end], self.labels[:end], batch_size, steps)

    def validation(self, samples: int) -> list[Batch]:
        """One batch, or none."""
        if samples == 0:
            return []
        here = slice(TRAINING_SAMPLES, TRAINING_SAMPLES + samples)
        return list(batches_of(self.pixels[here], self.labels[here], samples, 1))

    def tensors(self, workload: Workload) -> tuple[Tensors, Tensors]:
        """Both parts ready as a reference wants them: it does not pay for preparing them."""
        size = workload.batch_size
        training = self.training(size, min(workload.steps, TRAINING_SAMPLES // size))
        validation = self.validation(workload.validation)
        return tensors_of(training), tensors_of(validation)


def tensors_of(batches: Iterator[Batch] | list[Batch]) -> Tensors:
    """Standardised inputs and class numbers of each batch."""
    return [(batch.inputs, batch.targets) for batch in batches]
