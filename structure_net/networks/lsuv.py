"""Starting weights fitted to data, layer by layer (after Mishkin & Matas 2016, for each unit)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int

from structure_net.networks.network import ACTIVATION_FUNCTIONS, RMS_EPSILON, Network

# A unit whose sums deviate less on the samples is fed by constants; a scale would only blow it up.
LEAST_DEVIATION = 1e-6

# Biases are found for so many units at a time: 4 MB for each array of 2,048 samples.
UNITS_AT_ONCE = 256

Units = Int[np.ndarray, " _"]


@torch.no_grad()
def lsuv(
    network: Network,
    inputs: Float[torch.Tensor, "samples inputs"],
    units: Mapping[int, Units] | None = None,
) -> dict[int, Units]:
    """Scales the incoming weights of hidden units so that their sums u deviate by 1 on these
    samples, and gives them the bias with which they fire on half of them.

    Layers come in their order, each seen behind those done before. `units` names, for some sparse
    layers, those that are changed: without, all hidden units. The output layer and the last of a
    residual block stay as they are. Returns, by sparse layer, the units whose sums do not vary:
    they keep their weights and get bias 0.
    """
    genome, outputs = network.genome, [inputs.detach().cpu().float().numpy().T]
    constant: dict[int, Units] = {}
    for index, plan in enumerate(genome.plans[:-1]):
        sums = _sums(network, index, outputs[-1])
        if plan.skip:
            outputs.append(outputs[-plan.skip] + sums)
            continue
        chosen = _chosen(units, index, plan.units)
        deviations = sums[chosen].std(1, dtype=np.float64)
        still = deviations < LEAST_DEVIATION
        if still.any():
            constant[index] = chosen[still]
        scale = np.ones(plan.units, dtype=np.float32)
        scale[chosen[~still]] = 1.0 / deviations[~still]
        sums *= scale[:, None]
        if genome.normalisation == "rms":
            squares = np.square(sums[: plan.members]).mean(0, dtype=np.float64)
            sums /= np.sqrt(squares + RMS_EPSILON)
        biases = network.biases(index).cpu().numpy().copy()
        biases[chosen] = np.where(still, 0.0, half_firing_biases(sums[chosen]))
        of_rows = torch.from_numpy(scale[network.layer(index).connections.rows])
        network.weights(index).mul_(of_rows.to(network.values.device))
        network.biases(index).copy_(torch.from_numpy(biases))
        z = torch.from_numpy(sums + biases[:, None])
        outputs.append(ACTIVATION_FUNCTIONS[genome.activation](z).numpy())
    return constant


def half_firing_biases(sums: Float[np.ndarray, "units samples"]) -> Float[np.ndarray, " units"]:
    """For each unit -t, t midway between two neighbouring distinct sums such that the share of
    samples above t is nearest 1/2, the larger share in a tie; 0 where all sums are equal. A plain
    median fails where many sums are equal, as behind a `relu` that feeds a unit alone."""
    if len(sums) > UNITS_AT_ONCE:
        return np.concatenate([half_firing_biases(one) for one in _pieces(sums)])
    ordered = np.sort(sums.astype(np.float64), axis=1)
    samples = ordered.shape[1]
    above = samples - np.arange(1, samples)
    apart = ordered[:, 1:] > ordered[:, :-1]
    distance = np.where(apart, np.abs(2 * above - samples), samples)
    best = distance.argmin(1) if samples > 1 else np.zeros(len(ordered), dtype=np.int64)
    rows = np.arange(len(ordered))
    middle = (ordered[rows, best] + ordered[rows, np.minimum(best + 1, samples - 1)]) / 2
    return np.where(apart.any(1), -middle, 0.0)


def _pieces(sums: Float[np.ndarray, "units samples"]) -> list[Float[np.ndarray, "_ samples"]]:
    return np.array_split(sums, -(-len(sums) // UNITS_AT_ONCE))


def _chosen(units: Mapping[int, Units] | None, index: int, count: int) -> Units:
    if units is None:
        return np.arange(count)
    return np.asarray(units.get(index, ()), dtype=np.int64)


def _sums(
    network: Network, index: int, below: Float[np.ndarray, "sources samples"]
) -> Float[np.ndarray, "units samples"]:
    """W h of a sparse layer."""
    from scipy.sparse import csr_matrix

    lists = network.layer(index).connections
    weights = network.weights(index).cpu().numpy()
    matrix = csr_matrix(
        (weights, lists.columns, lists.row_pointers), shape=(lists.units, lists.sources)
    )
    product: np.ndarray = matrix @ below
    return product
