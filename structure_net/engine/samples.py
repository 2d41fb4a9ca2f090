"""Where the samples of a dataset lie, and gathering some of them on the device that computes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

ROWS_AT_ONCE = 4096  # while uploading: 12 MB of CIFAR-10 beside the memory map


class Samples(ABC):
    """Raw images [n, *shape] and their labels. Members differ in speed, not in what comes out."""

    images: np.ndarray
    labels: Int[np.ndarray, " n"]
    device: torch.device

    @abstractmethod
    def located(self, rows: Int[np.ndarray, " samples"]) -> Int[Tensor, " samples"]:
        """Row numbers where `gather` reads them: placed once for many batches."""

    @abstractmethod
    def gather(self, rows: Int[Tensor, " samples"]) -> Tensor:
        """Raw images [samples, *shape] on the device, which the caller may change."""

    @abstractmethod
    def classes(self, rows: Int[Tensor, " samples"]) -> Int[Tensor, " samples"]:
        """Class numbers on the device, int64."""


class HostSamples(Samples):
    """Samples that stay where they are, usually in a memory map; batches are copied."""

    def __init__(
        self, images: np.ndarray, labels: Int[np.ndarray, " n"], device: torch.device
    ) -> None:
        self.images, self.labels, self.device = images, labels, device

    def located(self, rows: Int[np.ndarray, " samples"]) -> Int[Tensor, " samples"]:
        """See Samples."""
        return torch.from_numpy(np.array(rows))

    def gather(self, rows: Int[Tensor, " samples"]) -> Tensor:
        """See Samples."""
        return self._sent(self.images[rows.numpy()])

    def classes(self, rows: Int[Tensor, " samples"]) -> Int[Tensor, " samples"]:
        """See Samples."""
        return self._sent(self.labels[rows.numpy()])

    def _sent(self, gathered: np.ndarray) -> Tensor:
        """A fresh array on the device. The host does not wait where memory is pinned."""
        values = torch.from_numpy(gathered)
        if self.device.type != "cuda":
            return values.to(self.device)
        return values.pin_memory().to(self.device, non_blocking=True)


class DeviceSamples(Samples):
    """Samples uploaded once; what is gathered never leaves the device."""

    def __init__(
        self, images: np.ndarray, labels: Int[np.ndarray, " n"], device: torch.device
    ) -> None:
        self.images, self.labels, self.device = images, labels, device
        self._classes = torch.from_numpy(np.array(labels)).to(device)
        kind = torch.from_numpy(np.array(images[:1])).dtype
        self._images = torch.empty(images.shape, dtype=kind, device=device)
        for start in range(0, len(images), ROWS_AT_ONCE):
            part = np.array(images[start : start + ROWS_AT_ONCE])
            self._images[start : start + len(part)] = torch.from_numpy(part).to(device)

    def located(self, rows: Int[np.ndarray, " samples"]) -> Int[Tensor, " samples"]:
        """See Samples."""
        return torch.from_numpy(np.array(rows)).to(self.device)

    def gather(self, rows: Int[Tensor, " samples"]) -> Tensor:
        """See Samples."""
        return self._images[rows]

    def classes(self, rows: Int[Tensor, " samples"]) -> Int[Tensor, " samples"]:
        """See Samples."""
        return self._classes[rows]
