"""Fisher information of each connection: drawn labels, or exactly, all labels summed.

It is the mean of squared derivatives of single samples, with labels as the network predicts them.
The square of a batch's mean gradient is another thing and falls with the batch size.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.metrics.gradients import connection_curvatures
from structure_net.metrics.pairs import live_pairs, mean_products
from structure_net.metrics.probe import Probe, ProbedLayer
from structure_net.metrics.sweep import SLOPES
from structure_net.networks import RMS_EPSILON, SparseLayer


def fisher_information(
    probe: Probe, index: int, exact: bool = False
) -> Float[np.ndarray, " connections"]:
    """E[(delta_i h_j)^2] at the connections of sparse layer `index`, float32.

    Labels are those drawn once a sample, which is unbiased; with `exact` the expectation over all
    classes is summed, at the price of a backward pass for each of them.
    """
    layer = probe.layers[index]
    pairs = live_pairs(layer.connections)
    if not exact:
        return probe.once(f"fisher {index}", lambda: connection_curvatures(layer, pairs))
    squares = probe.once("expected squared derivatives", lambda: expected_squares(probe))
    return np.asarray(mean_products(squares[index], layer.inputs.square(), pairs)[0])


def expected_squares(probe: Probe) -> list[Float[Tensor, "samples _"]]:
    """Of each sparse layer, the expectation of delta_i^2 over labels drawn from the network."""
    with torch.no_grad():
        likely = functional.softmax(probe.layers[-1].activations, 1)
        matrices = [_matrix(layer) for layer in probe.layers]
        sums = [torch.zeros_like(layer.z) for layer in probe.layers]
        for label in range(probe.classes):
            chosen = functional.one_hot(torch.tensor(label), probe.classes)
            for index, delta in enumerate(_back(probe, matrices, likely - chosen)):
                sums[index].addcmul_(delta.square(), likely[:, label : label + 1])
    return sums


def _matrix(layer: ProbedLayer) -> Float[Tensor, "units sources"]:
    return SparseLayer(layer.connections).dense(torch.from_numpy(layer.weights))


def _back(
    probe: Probe,
    matrices: list[Float[Tensor, "_ _"]],
    by_logits: Float[Tensor, "samples classes"],
) -> list[Float[Tensor, "samples _"]]:
    """Derivatives by the product u of each sparse layer, from those by the logits."""
    slope, around = SLOPES[probe.activation], probe.around
    found = [by_logits]
    for index in range(len(probe.layers) - 2, -1, -1):
        layer = probe.layers[index]
        by_h = found[0] @ matrices[index + 1]
        if index in around:
            by_h += found[around[index] - index - 1]
        by_u = by_h if layer.skip else by_h * slope(layer.z)
        if probe.normalisation == "rms" and not layer.skip:
            u = layer.inputs @ matrices[index].t()
            members = layer.members or u.shape[1]
            scale = torch.rsqrt(u[:, :members].square().mean(1, keepdim=True) + RMS_EPSILON)
            r = scale * u
            along = (by_u * r).sum(1, keepdim=True) / members
            by_u[:, :members] -= r[:, :members] * along
            by_u *= scale
        found.insert(0, by_u)
    return found
