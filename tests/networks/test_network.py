"""The module computes what plain dense algebra computes, and behaves as any torch module."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Activation,
    active_parameters,
    bias_count,
    connection_count,
)
from structure_net.networks import Network, build_network
from tests.networks.reference import genome, logits, matrices, pairs, random_genome


def inputs_for(network: Network, count: int = 50, seed: int = 0) -> torch.Tensor:
    drawn = np.random.default_rng(seed).standard_normal((count, network.genome.inputs))
    return torch.from_numpy(drawn.astype(np.float32))


def with_biases(network: Network, seed: int = 0) -> Network:
    """Biases start at zero, which would hide a bias in the wrong place."""
    drawn = np.random.default_rng(seed).standard_normal(bias_count(network.genome))
    with torch.no_grad():
        network.values[network.connection_count :] = torch.from_numpy(drawn).float()
    return network


@pytest.fixture
def network() -> Network:
    return with_biases(build_network(genome(20, [16, 12], 5, 0.3), 1))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_is_that_of_dense_algebra(
    activation: Activation, normalisation: Normalisation
) -> None:
    some_negative = False
    for seed in range(30):
        drawn = random_genome(np.random.default_rng([2, seed]), widest=40)
        genes = {"activation": activation, "normalisation": normalisation}
        network = build_network(drawn.model_copy(update=genes), seed)
        network = with_biases(network, seed)
        inputs = inputs_for(network, seed=seed)
        expected = logits(matrices(network), activation, inputs.numpy(), normalisation)
        found = network(inputs).detach().double().numpy()
        assert np.abs(found - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())
        some_negative |= bool((found < 0).any())
    assert some_negative


def test_training_and_evaluation_are_one_function(network: Network) -> None:
    inputs = inputs_for(network)
    assert torch.equal(network.train()(inputs), network.eval()(inputs))


@pytest.mark.parametrize("density", [1e-9, 0.05, 1.0])
def test_size_from_the_genome_is_the_size_built(density: float) -> None:
    network = build_network(genome(3072, [512, 256, 128], 10, density), 0)
    (values,) = network.parameters()
    assert values.numel() == active_parameters(network.genome)
    assert network.connection_count == connection_count(network.genome)
    assert sum(len(network.layer(index)) for index in range(4)) == network.connection_count
    if density == 1.0:
        assert (network.connection_count, values.numel()) == (1_737_984, 1_737_984 + 906)


def test_weights_and_biases_are_views_that_cover_values_once(network: Network) -> None:
    with torch.no_grad():
        for index in range(3):
            network.weights(index).add_(1000.0)
            network.biases(index).add_(2000.0)
    before = with_biases(build_network(network.genome, 1)).values
    moved = (network.values - before).round(decimals=1)
    assert moved.tolist() == [1000.0] * network.connection_count + [2000.0] * 33


@pytest.mark.parametrize(
    "twin", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))]
)
def test_a_copy_computes_the_same_and_lives_alone(
    network: Network, twin: Callable[[Network], Network]
) -> None:
    inputs = inputs_for(network)
    other = twin(network)
    before = network(inputs)
    assert torch.equal(other(inputs), before)
    with torch.no_grad():
        other.values.zero_()
    assert torch.equal(network(inputs), before)


def test_state_dict_carries_the_whole_network(network: Network) -> None:
    other = build_network(network.genome, 2)
    inputs = inputs_for(network)
    assert not torch.equal(other(inputs), network(inputs))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(inputs), network(inputs))
    assert [pairs(other, index) for index in range(3)] == [
        pairs(network, index) for index in range(3)
    ]


def test_to_moves_numbers_and_keeps_lists(network: Network) -> None:
    expected = logits(matrices(network), "relu", inputs_for(network).numpy())
    double = network.to(torch.float64)
    assert double.values.dtype == torch.float64
    assert double.layer(0).columns.dtype == torch.int32
    found = double(inputs_for(network).double()).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    assert {buffer.device.type for buffer in network.to("meta").buffers()} == {"meta"}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_autograd_agrees_with_finite_differences(activation: Activation) -> None:
    network = with_biases(build_network(genome(4, [3], 2, 0.6, activation), 0)).double()
    inputs = inputs_for(network, 3).double().requires_grad_()

    def function(values: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(network, {"values": values}, (inputs,))

    values = network.values.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(function, (values, inputs))


def test_any_torch_optimizer_trains_it(network: Network) -> None:
    inputs, labels = inputs_for(network), torch.arange(50) % 5
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_lists_that_do_not_fit_the_genome_are_refused() -> None:
    small, large = (build_network(genome(6, [4], 2, d), 0) for d in (0.3, 0.9))
    lists = [large.layer(index).connections for index in range(2)]
    with pytest.raises(InvalidGenomeError, match="do not fit"):
        Network(small.genome, lists)
