"""Networks for tests, and what they compute by a second, slow way: loops and float64 NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from structure_net.genome import Activation, Genome, Normalisation, allocate, genome_of, shapes_of
from structure_net.networks import DataSpecification, Network

PHI = {
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "gelu": lambda z: z * 0.5 * (1.0 + special.erf(z / np.sqrt(2.0))),
    "silu": lambda z: z * special.expit(z),
    "tanh": np.tanh,
}


def genome(
    inputs: int,
    widths: list[int],
    classes: int,
    density: float,
    activation: Activation = "relu",
    base_learning_rate: float = 0.003,
    strategy: str = "CONSTANT",
    normalisation: Normalisation = "none",
) -> Genome:
    """A genome whose connections are shared out by Erdos-Renyi weights."""
    counts = allocate(shapes_of(inputs, widths, classes), density)
    return genome_of(
        inputs,
        widths,
        classes,
        counts,
        base_learning_rate=base_learning_rate,
        activation=activation,
        strategy=strategy,
        normalisation=normalisation,
    )


def random_genome(generator: np.random.Generator, widest: int = 24) -> Genome:
    """Any small genome; a third of them at the fewest connections, a sixth at all of them."""
    widths = generator.integers(1, widest + 1, generator.integers(0, 5)).tolist()
    density = float(generator.choice([1e-9, 1e-9, 1.0, *generator.uniform(0.02, 1.0, 3)]))
    inputs, classes = int(generator.integers(1, 2 * widest)), int(generator.integers(2, 12))
    return genome(inputs, widths, classes, density)


def pairs(network: Network, index: int) -> list[tuple[int, int]]:
    """(unit, source) of every connection of a layer, in the stored order."""
    layer = network.layer(index)
    ends, columns = layer.row_pointers.tolist(), layer.columns.tolist()
    return [
        (unit, columns[place])
        for unit in range(layer.units)
        for place in range(ends[unit], ends[unit + 1])
    ]


def matrices(network: Network) -> list[tuple[np.ndarray, np.ndarray]]:
    """Dense weights [units, sources] and biases of every layer, float64."""
    values = network.values.detach().double().numpy()
    layers, place = [], 0
    bias = network.connection_count
    for index, (sources, units) in enumerate(network.genome.shapes):
        weights = np.zeros((units, sources))
        for unit, source in pairs(network, index):
            weights[unit, source] = values[place]
            place += 1
        layers.append((weights, values[bias : bias + units]))
        bias += units
    return layers


def logits(
    layers: list[tuple[np.ndarray, np.ndarray]],
    activation: str,
    inputs: np.ndarray,
    normalisation: str = "none",
    members: Sequence[int] = (),
) -> np.ndarray:
    """The network's output in float64; normalised by the first `members` units of each layer, by
    all without."""
    h = inputs.astype(np.float64)
    for number, (weights, biases) in enumerate(layers, 1):
        u = h @ weights.T
        if normalisation == "rms" and number < len(layers):
            own = u[:, : members[number - 1]] if members else u
            u = u / np.sqrt(np.mean(own**2, axis=1, keepdims=True) + 1e-6)
        z = u + biases
        h = z if number == len(layers) else PHI[activation](z)
    return h


def description(network: Network) -> dict[str, Any]:
    """Everything that a model file says beside genome and numbers."""
    return {
        "data": DataSpecification(
            name="digits",
            train_hash="ab" * 32,
            shape=(network.genome.inputs,),
            order="features",
            classes=tuple(f"class {n}" for n in range(network.genome.classes)),
            scale=16.0,
            mean=(0.3,),
            deviation=(1e-05,),
            augmentation="none",
        ),
        "training": {"epochs": 3, "weight_decay": 1e-4},
        "metrics": {"validation.accuracy": 0.875},
        "lineage": {"trial": 7, "parents": [1, 2]},
        "versions": {"torch": "2.6.0"},
    }
