"""Starting weights fitted to data: what they promise on the samples they saw, and on others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structure_net.genome import ACTIVATIONS, NORMALISATIONS, Activation, Genome, Normalisation
from structure_net.networks import Network, build_network, half_firing_biases, lsuv
from tests.networks.reference import PHI, genome
from tests.networks.residual import with_blocks

SAMPLES = 2048


def samples(seed: int, inputs: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((SAMPLES, inputs)).astype(np.float32)


def sums(network: Network, inputs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(u, z) [samples, units] of each layer of hidden units, in float64."""
    own, found, outputs = network.genome, [], [inputs.astype(np.float64)]
    values = network.values.detach().double().numpy()
    bias = network.connection_count
    for index, plan in enumerate(own.plans[:-1]):
        weights = network.layer(index).dense(network.weights(index)).detach().double().numpy()
        u = outputs[-1] @ weights.T
        if plan.skip:
            outputs.append(outputs[-plan.skip] + u)
            continue
        r = u
        if own.normalisation == "rms":
            r = u / np.sqrt(np.mean(u[:, : plan.members] ** 2, axis=1, keepdims=True) + 1e-6)
        z = r + values[bias : bias + plan.units]
        bias += plan.units
        outputs.append(PHI[own.activation](z))
        found.append((u, z))
    return found


def fitted(own: Genome, seed: int = 0) -> tuple[Network, dict[int, np.ndarray]]:
    network = build_network(own, seed)
    return network, lsuv(network, torch.from_numpy(samples(1)))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_sums_deviate_by_one_and_half_of_them_fire(
    activation: Activation, normalisation: Normalisation
) -> None:
    plain = genome(40, [30, 20, 24], 5, 0.2, activation, normalisation=normalisation)
    own = with_blocks(plain, [(0, "two_layer"), (1, "three_layer")])
    network, constant = fitted(own)
    assert constant == {}
    near = 0.2 if activation == "relu" else 0.01  # units of few sources have many equal sums
    for u, z in sums(network, samples(1)):
        np.testing.assert_allclose(u.std(0), 1.0, atol=1e-3)
        np.testing.assert_allclose((z > 0).mean(0), 0.5, atol=near)
    drawn = build_network(own, 0)
    for index, plan in enumerate(own.plans):
        if plan.skip or index == len(own.plans) - 1:
            assert torch.equal(network.weights(index), drawn.weights(index))
    assert not network.biases(len(own.plans) - 1).any()


def test_twenty_layers_of_few_connections_hold_on_fresh_samples() -> None:
    deep = genome(40, [40] * 19, 5, 3 / 40)
    network, _ = fitted(deep)
    for layer, (u, z) in enumerate(sums(network, samples(2))):
        assert u.std(0).min() >= 0.7, layer
        assert u.std(0).max() <= 1.5, layer
        assert (z > 0).mean(0).min() >= 0.1, layer
        assert (z > 0).mean(0).max() <= 0.9, layer


def test_bias_is_the_midpoint_whose_share_is_nearest_a_half() -> None:
    """Against every midpoint tried: many equal values, ties, nothing to tell apart."""
    draw = np.random.default_rng(3)
    rows = np.round(draw.standard_normal((600, 30)), 1) * (draw.random((600, 30)) < 0.4)
    rows[:3] = [[0.0] * 30, [1.0] * 29 + [2.0], [0.0] * 10 + [1.0] * 10 + [2.0] * 10]
    for row, bias in zip(rows, half_firing_biases(rows), strict=True):
        values = np.unique(row)
        middles = (values[1:] + values[:-1]) / 2
        shares = [(-abs((row > t).mean() - 0.5), (row > t).mean(), t) for t in middles]
        best = max(shares, key=lambda one: (round(one[0], 12), one[1]), default=(0, 0, 0.0))
        assert bias == pytest.approx(-best[2])


def test_rows_not_named_and_constant_rows_keep_their_weights() -> None:
    own = genome(40, [30, 20], 5, 0.2)
    network, before = build_network(own, 0), build_network(own, 0)
    inputs = torch.from_numpy(samples(1))
    inputs[:, :] = inputs[:1]  # nothing varies
    constant = lsuv(network, inputs, {1: np.array([4, 7])})
    assert list(constant) == [1]
    assert constant[1].tolist() == [4, 7]
    assert torch.equal(network.values, before.values)
    lsuv(network, torch.from_numpy(samples(1)), {1: np.array([4, 7])})
    changed = (network.values != before.values).numpy()
    own_rows = np.isin(network.layer(1).rows.numpy(), [4, 7])
    weights = np.concatenate([np.zeros(own.counts[0], bool), own_rows])
    assert (changed[: len(weights)] == weights).all()
    assert changed[network.connection_count :].nonzero()[0].tolist() == [34, 37]
