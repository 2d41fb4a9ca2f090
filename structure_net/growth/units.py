"""The incoming side of a unit to come: weights, and the bias with which it fires half the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from structure_net.metrics import Probe, ProbedLayer
from structure_net.networks import RMS_EPSILON, half_firing_biases

# A weighted sum that varies less says nothing about its samples.
LEAST_DEVIATION = 1e-6
# At a spectral gap of 2 the angle shrinks fourfold in each: far below what is noise here.
POWER_ITERATIONS = 10


def unit_layers(probe: Probe) -> dict[int, int]:
    """Where units may come and begin anew: each such place among the sparse layers, with the number
    of the hidden layer that it feeds. Not inside residual blocks, nor where one stands behind the
    layer: its sum would read them too."""
    around = probe.around
    inside = {at for begin, end in around.items() for at in range(begin + 1, end + 1)}
    trunk = [place for place in range(len(probe.layers) - 1) if place not in inside]
    return {place: hidden for hidden, place in enumerate(trunk) if place not in around}


@dataclass(frozen=True)
class Row:
    """Sources ascending, their weights, a bias; `activations` are phi's arguments on the probe."""

    sources: Int[np.ndarray, " sources"]
    weights: Float[np.ndarray, " sources"]
    bias: float
    z: Float[np.ndarray, " samples"]


def half_firing_bias(sums: Float[np.ndarray, " samples"]) -> float:
    """`half_firing_biases` of one unit."""
    return float(half_firing_biases(sums[None])[0])


def row_along(
    probe: Probe,
    layer: ProbedLayer,
    sources: Int[np.ndarray, " sources"],
    direction: Float[np.ndarray, " sources"],
) -> Row | None:
    """A row of these proportions whose sums deviate by 1 on the probe set, as typical sums of the
    layer do under normalisation. None where its sources do not vary."""
    order = np.argsort(sources)
    sources, direction = sources[order], direction[order]
    h = layer.inputs.t()[torch.from_numpy(sources)].double().numpy()
    sums = direction @ h
    deviation = float(sums.std())
    if deviation < LEAST_DEVIATION * max(1.0, float(np.abs(direction).max())):
        return None
    scale = 1.0
    if probe.normalisation == "rms":
        u = torch.from_numpy(_dense(layer)) @ layer.inputs.t()
        squares = u[: layer.members].square().mean(0).double().numpy()
        scale = float(np.sqrt(squares.mean()))
        sums = sums / np.sqrt(squares + RMS_EPSILON) * scale
    weights = direction * (scale / deviation)
    bias = half_firing_bias(sums / deviation)
    return Row(sources, weights, bias, sums / deviation + bias)


def _dense(layer: ProbedLayer) -> Float[np.ndarray, "units sources"]:
    lists = layer.connections
    matrix = np.zeros((lists.units, lists.sources), dtype=np.float32)
    matrix[lists.rows, lists.columns] = layer.weights
    return matrix


def leading_directions(
    derivatives: Float[torch.Tensor, "samples units"],
    inputs: Float[torch.Tensor, "samples sources"],
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, " units"], Float[np.ndarray, " sources"]]:
    """(u, v): the leading singular pair of E[derivative input^T], by power iterations that never
    form the matrix."""
    # A product with a strided matrix would copy it each time.
    derivatives, inputs = derivatives.contiguous(), inputs.contiguous()
    v = torch.from_numpy(generator.standard_normal(inputs.shape[1]).astype(np.float32))
    u = torch.zeros(derivatives.shape[1])
    for _ in range(POWER_ITERATIONS):
        u = derivatives.t() @ (inputs @ v)
        u /= u.norm().clamp(min=torch.finfo(torch.float32).tiny)
        v = inputs.t() @ (derivatives @ u)
        v /= v.norm().clamp(min=torch.finfo(torch.float32).tiny)
    return u.double().numpy(), v.double().numpy()
