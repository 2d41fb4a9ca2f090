"""Batches of the drawn images, for both sides the same samples in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from structure_net.engine import Batch, RawSamples

SCALE, MEAN, DEVIATION = 255.0, 0.5, 0.29  # of uniform 8-bit values


def batches_of(
    pixels: np.ndarray, labels: np.ndarray, batch_size: int, steps: int
) -> Iterator[Batch]:
    """`steps` batches, beginning again at the first sample when the images are used up."""
    inputs = pixels[0].size
    factor = np.full(inputs, 1.0 / (SCALE * DEVIATION), dtype=np.float32)
    shift = np.full(inputs, -MEAN / DEVIATION, dtype=np.float32)
    whole = len(pixels) // batch_size
    for step in range(steps):
        start = step % whole * batch_size
        rows = np.arange(start, start + batch_size)
        raw = RawSamples(pixels, rows, None, pixels.shape[-1], factor, shift)

        def prepare(start: int = start) -> Tensor:
            values = torch.from_numpy(pixels[start : start + batch_size]).flatten(1).float()
            return values.mul_(torch.from_numpy(factor)).add_(torch.from_numpy(shift))

        yield Batch(labels[rows], prepare, raw)


def tensors_of(
    pixels: np.ndarray, labels: np.ndarray, batch_size: int
) -> list[tuple[Tensor, Tensor]]:
    """The same batches as ready tensors: the reference does not pay for preparing them."""
    whole = len(pixels) // batch_size
    return [
        (batch.inputs, batch.targets) for batch in batches_of(pixels, labels, batch_size, whole)
    ]
