"""The synthetic task, and networks trained on it by plain torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from structure_net.networks import Network


def synthetic(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """20 inputs N(0, 1), label = argmax of a fixed random ReLU teacher 20-64-32-10, 10 % of the
    labels drawn anew."""
    generator = np.random.default_rng(seed)
    h = inputs = generator.standard_normal((count, 20))
    for index, (sources, units) in enumerate(((20, 64), (64, 32), (32, 10))):
        h = h @ (generator.standard_normal((sources, units)) * np.sqrt(2 / sources))
        h = h if index == 2 else np.maximum(h, 0.0)
    labels = h.argmax(1)
    anew = generator.random(count) < 0.1
    labels[anew] = generator.integers(0, 10, anew.sum())
    return torch.from_numpy(inputs).float(), torch.from_numpy(labels)


def trained(network: Network, inputs: Tensor, labels: Tensor, steps: int) -> Network:
    """After so many steps of Adam on batches of 256."""
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(0, len(inputs), (256,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
        optimizer.step()
    return network
