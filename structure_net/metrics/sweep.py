"""The sums of a probe: forward once, backward once for each choice of labels.

Matrices lie features down, [units, samples]: a unit's samples stand together, for the products
here and for the means of the metrics.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from structure_net.genome import Activation
from structure_net.networks import ACTIVATION_FUNCTIONS, LEAK, RMS_EPSILON, Network


def _gelu_slope(z: Tensor) -> Tensor:
    below = 0.5 * (1.0 + torch.erf(z / math.sqrt(2.0)))
    return below + z * torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)


def _silu_slope(z: Tensor) -> Tensor:
    gate = torch.sigmoid(z)
    return gate * (1.0 + z * (1.0 - gate))


def _positive(z: Tensor) -> Tensor:
    """1 where z > 0, else 0. Into floats at once: by way of booleans it takes ten times as long."""
    return torch.gt(z, 0.0, out=torch.empty_like(z))


# phi'(z), with 0 (leaky_relu: the leak) at the kink.
SLOPES: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": _positive,
    "leaky_relu": lambda z: _positive(z).mul_(1.0 - LEAK).add_(LEAK),
    "gelu": _gelu_slope,
    "silu": _silu_slope,
    "tanh": lambda z: 1.0 - torch.tanh(z).square(),
}


# Above this density a dense product is the faster one on a processor: measured on layers of 80 to
# 1,500 units and 2,048 samples, the two meet between 0.05 and 0.08.
SPARSEST_DENSE = 0.0625


def weights_of(network: Network, index: int) -> tuple[Tensor, Tensor]:
    """A copy of the weights of a sparse layer as a matrix [units, sources] and its transpose, each
    in the form that multiplies fastest."""
    layer, weights = network.layer(index), network.weights(index).detach().clone()
    density = len(layer) / (layer.units * layer.sources)
    if weights.device.type != "cpu" or density > SPARSEST_DENSE:
        matrix = layer.dense(weights)
        return matrix, matrix.t()
    shape = (layer.units, layer.sources)
    lists = (layer.row_pointers, layer.columns, weights)
    with warnings.catch_warnings():
        # torch says once per process that these forms are in beta.
        warnings.simplefilter("ignore", UserWarning)
        by_unit = torch.sparse_csr_tensor(*lists, size=shape, check_invariants=False)
        by_source = torch.sparse_csc_tensor(*lists, size=shape[::-1], check_invariants=False)
    return by_unit, by_source


class Sweep:
    """A network's signals on some samples; `z` and `activations` of each sparse layer, features
    down, where the network lies. `first_products`, u of the first layer, become its z in place."""

    def __init__(
        self,
        network: Network,
        inputs: Float[Tensor, "samples inputs"],
        first_products: Float[Tensor, "units samples"] | None = None,
    ) -> None:
        count, activation = len(network.layers), network.genome.activation
        self.inputs = inputs.detach().to(network.values.device).t()
        self.z: list[Tensor] = []
        self.activations: list[Tensor] = []
        self._matrices = [weights_of(network, index) for index in range(count)]
        self._biases = [network.biases(index).detach().clone()[:, None] for index in range(count)]
        self._slope = SLOPES[activation]
        self._scales: list[Tensor | None] = []
        self._skips = [plan.skip for plan in network.genome.plans]
        self._members = [plan.members for plan in network.genome.plans]
        h = self.inputs
        for index, (matrix, _) in enumerate(self._matrices):
            last, scale = index == count - 1, None
            z = matrix @ h if index > 0 or first_products is None else first_products
            if self._skips[index]:
                h = z.add_(self.activations[index - self._skips[index]])
                self.z.append(h)
                self.activations.append(h)
                self._scales.append(None)
                continue
            if network.genome.normalisation == "rms" and not last:
                scale = torch.rsqrt(z[: self._members[index]].square().mean(0) + RMS_EPSILON)
                z *= scale
            z += self._biases[index]
            h = z if last else ACTIVATION_FUNCTIONS[activation](z)
            self.z.append(z)
            self.activations.append(h)
            self._scales.append(scale)

    def back(self, labels: Int[Tensor, " samples"]) -> list[Float[Tensor, "units samples"]]:
        """d(own cross-entropy)/du of each sparse layer, u = W h, for these labels."""
        around = {end - skip: end for end, skip in enumerate(self._skips) if skip}
        likely = functional.softmax(self.z[-1], 0)
        chosen = functional.one_hot(labels.to(likely.device), len(likely)).t()
        derivatives = [likely - chosen]
        for index in range(len(self.z) - 2, -1, -1):
            by_h = self._matrices[index + 1][1] @ derivatives[0]
            if index in around:
                by_h += derivatives[around[index] - index - 1]
            by_u = by_h if self._skips[index] else by_h * self._slope(self.z[index])
            scale = self._scales[index]
            if scale is not None:
                # r = s u with s = (mean u^2 + epsilon)^-1/2, hence
                # dl/du_i = s (dl/dr_i - r_i sum_j(dl/dr_j r_j) / members), s dl/dr_i for others.
                r, members = self.z[index] - self._biases[index], self._members[index]
                along = (by_u * r).sum(0) / members
                by_u[:members] -= r[:members] * along
                by_u *= scale
            derivatives.insert(0, by_u)
        return derivatives
