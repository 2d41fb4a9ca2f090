"""A sparse network as an ordinary `torch.nn.Module`, built from a genome.

All trainable numbers are one flat vector `values`: the connection weights layer by layer, then the
biases. An engine trains that storage in place; any torch code can use it through autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from structure_net.errors import InvalidGenomeError
from structure_net.genome import Activation, Genome, LayerPlan, bias_count, connection_count
from structure_net.networks.connectivity import Connections, constant_fan_in
from structure_net.networks.initialise import GAIN_SQUARED, he_weights
from structure_net.seeding import derive

LEAK = 0.01
# Added to mean squares: far below those of any signal, and no division by zero without one.
RMS_EPSILON = 1e-6

ACTIVATION_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": lambda z: functional.leaky_relu(z, LEAK),
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


class SparseLayer(nn.Module):
    """The connection list of one layer: where its weights stand, not the weights themselves."""

    row_pointers: Tensor
    columns: Tensor

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self.sources = connections.sources
        self.units = connections.units
        self.register_buffer("row_pointers", torch.from_numpy(connections.row_pointers))
        self.register_buffer("columns", torch.from_numpy(connections.columns))

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def rows(self) -> Int[Tensor, " connections"]:
        """The unit of each connection."""
        fan_in = self.row_pointers.diff()
        return torch.repeat_interleave(torch.arange(self.units, device=fan_in.device), fan_in)

    @property
    def places(self) -> Int[Tensor, " connections"]:
        """Index of each connection in the row-major dense matrix [units, sources], int64."""
        return self.rows * self.sources + self.columns

    @property
    def connections(self) -> Connections:
        """The list as arrays on the processor."""
        return Connections(
            self.sources, self.units, self.row_pointers.cpu().numpy(), self.columns.cpu().numpy()
        )

    def dense(self, weights: Float[Tensor, " connections"]) -> Float[Tensor, "units sources"]:
        """The weights as a dense matrix, zero where there is no connection; differentiable."""
        empty = weights.new_zeros(self.units * self.sources)
        return empty.index_copy(0, self.places, weights).view(self.units, self.sources)


def root_mean_square_normal(
    u: Float[Tensor, "batch units"], members: int | None = None
) -> Float[Tensor, "batch units"]:
    """u / sqrt(mean of u^2 + 1e-6), for each sample, the mean over the first `members` units, all
    without; Zhang & Sennrich 2019."""
    return u * torch.rsqrt(u[:, :members].square().mean(1, keepdim=True) + RMS_EPSILON)


class Network(nn.Module):
    """Sparse layers with biases, one activation after each but the last, which gives the logits.

    The last of a residual block has neither: the output of the layer before the block is added to
    its products.
    """

    def __init__(self, genome: Genome, connections: Sequence[Connections]) -> None:
        super().__init__()
        found = tuple(len(layer.columns) for layer in connections)
        if found != genome.counts:
            raise InvalidGenomeError(
                f"Connection lists of {found} connections do not fit a genome of {genome.counts}."
            )
        self.genome = genome
        self.layers = nn.ModuleList(SparseLayer(layer) for layer in connections)
        self.connection_count = connection_count(genome)
        self.values = nn.Parameter(torch.zeros(self.connection_count + bias_count(genome)))
        self._weight_ends = np.cumsum([0, *genome.counts]).tolist()
        self._sizes = [*genome.counts, *genome.bias_counts]
        self._bias_ends = (self.connection_count + np.cumsum([0, *genome.bias_counts])).tolist()

    def layer(self, index: int) -> SparseLayer:
        """Sparse layer `index`, input side first."""
        layer = self.layers[index]
        assert isinstance(layer, SparseLayer)
        return layer

    def weights(self, index: int) -> Float[Tensor, " connections"]:
        """The weights of sparse layer `index`: a view into `values`."""
        return self.values[self._weight_ends[index] : self._weight_ends[index + 1]]

    def biases(self, index: int) -> Float[Tensor, " biases"]:
        """The biases of sparse layer `index`, none where it ends a block: a view into `values`."""
        return self.values[self._bias_ends[index] : self._bias_ends[index + 1]]

    def split(self, flat: Float[Tensor, " values"]) -> tuple[Tensor, ...]:
        """Views into a vector laid out as `values`: weights layer by layer, then biases."""
        return torch.split(flat, self._sizes)

    def forward(self, inputs: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch classes"]:
        """Logits, by dense products."""
        activation = ACTIVATION_FUNCTIONS[self.genome.activation]
        # Split once: the gradient of a view of its own for each part would be as long as `values`.
        parts, layers, outputs = self.split(self.values), len(self.layers), [inputs]
        for index, plan in enumerate(self.genome.plans):
            u = functional.linear(outputs[-1], self.layer(index).dense(parts[index]))
            if plan.skip:
                outputs.append(outputs[-plan.skip] + u)
                continue
            last = index == layers - 1
            if self.genome.normalisation == "rms" and not last:
                u = root_mean_square_normal(u, plan.members)
            z = u + parts[layers + index]
            outputs.append(z if last else activation(z))
        return outputs[-1]


def build_network(
    genome: Genome, seed: int, usable_inputs: Bool[np.ndarray, " inputs"] | None = None
) -> Network:
    """A network with drawn connections and weights; the same for the same genome and seed.

    `usable_inputs` marks inputs that vary over the training data. The last sparse layer of each
    residual block starts at 0, so that the block changes nothing yet; its gradient is not 0.
    """
    drawn = [
        drawn_connections(
            plan,
            count,
            derive(seed, "connectivity", index),
            usable=usable_inputs if index == 0 else None,
        )
        for index, (plan, count) in enumerate(zip(genome.plans, genome.counts, strict=True))
    ]
    network = Network(genome, drawn)
    with torch.no_grad():
        for index, (plan, connections) in enumerate(zip(genome.plans, drawn, strict=True)):
            if plan.skip:
                continue
            gain = gain_of(genome, index)
            weights = he_weights(connections, gain, derive(seed, "initialise", index))
            network.weights(index).copy_(torch.from_numpy(weights))
    return network


def drawn_connections(
    plan: LayerPlan,
    count: int,
    generator: np.random.Generator,
    usable: Bool[np.ndarray, " inputs"] | None = None,
) -> Connections:
    """Connections at random places for a sparse layer, none of its ends cut off that may not be."""
    return constant_fan_in(
        plan.sources,
        plan.units,
        count,
        generator,
        feed_every_source=plan.every_source,
        feed_every_unit=plan.every_unit,
        usable=usable,
    )


def gain_of(genome: Genome, index: int) -> float:
    """The sum of a unit's squared weights at the start, in sparse layer `index`. Standardised
    inputs have second moment 1; logits start small, so the last gain is 1 too."""
    inner = 0 < index < len(genome.plans) - 1
    return GAIN_SQUARED[genome.activation] if inner else 1.0
