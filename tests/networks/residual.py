"""Networks with residual blocks for tests, and what they compute by loops over plain matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from structure_net.genome import BlockKind, Genome, InsertResidualBlock, apply_edit
from structure_net.networks import Network, build_network
from tests.networks.reference import PHI, pairs


def with_blocks(genome: Genome, blocks: Sequence[tuple[int, BlockKind]]) -> Genome:
    """A block of each kind inserted behind each hidden layer named, in this order."""
    for junction, kind in blocks:
        genome = apply_edit(genome, InsertResidualBlock(junction=junction, block=kind))
    return genome


def awake(genome: Genome, seed: int) -> Network:
    """A network all of whose values matter: no zero matrix, no bias of 0."""
    network = build_network(genome, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.values[network.connection_count :].normal_(0.0, 0.3, generator=generator)
        for index, plan in enumerate(genome.plans):
            if plan.skip:
                network.weights(index).normal_(0.0, 0.4, generator=generator)
    return network


def logits(network: Network, inputs: np.ndarray) -> np.ndarray:
    """By the definition, junction by junction, float64: h, then h + V phi(norm(U h) + b), …"""
    genome, place = network.genome, 0
    values = network.values.detach().double().numpy()
    weights, biases = 0, network.connection_count

    def product(h: np.ndarray) -> np.ndarray:
        nonlocal place, weights
        layer = network.layer(place)
        matrix = np.zeros((layer.units, layer.sources))
        for unit, source in pairs(network, place):
            matrix[unit, source] = values[weights]
            weights += 1
        place += 1
        return np.asarray(h @ matrix.T)

    def units(h: np.ndarray) -> np.ndarray:
        nonlocal biases
        u = product(h)
        if genome.normalisation == "rms":
            u = u / np.sqrt(np.mean(u**2, axis=1, keepdims=True) + 1e-6)
        own = values[biases : biases + u.shape[1]]
        biases += u.shape[1]
        return np.asarray(PHI[genome.activation](u + own))

    h = inputs.astype(np.float64)
    for gene in genome.hidden:
        h = units(h)
        for block in gene.blocks:
            inner = h
            for _ in block.densities[1:]:
                inner = units(inner)
            h = h + product(inner)
    u = product(h)
    return np.asarray(u + values[biases : biases + u.shape[1]])
