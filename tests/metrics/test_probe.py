"""A probe against plain autograd, and that looking changes nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from structure_net.errors import UsageError
from structure_net.genome import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation
from structure_net.metrics import Probe, probe
from structure_net.networks import ACTIVATION_FUNCTIONS, Network, build_network
from structure_net.networks.network import root_mean_square_normal
from tests.networks.reference import genome


def network_of(
    activation: Activation, normalisation: Normalisation, seed: int = 3, density: float = 0.4
) -> Network:
    genes = {"activation": activation, "normalisation": normalisation}
    made = build_network(genome(20, [16, 40], 5, density).model_copy(update=genes), seed)
    drawn = np.random.default_rng(seed).standard_normal(len(made.values))
    with torch.no_grad():
        made.values.add_(torch.from_numpy(0.3 * drawn).float())
    return made


def samples(count: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    inputs = torch.from_numpy(generator.standard_normal((count, 20))).float()
    return inputs, torch.from_numpy(generator.integers(0, 5, count))


def by_autograd(network: Network, inputs: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """d(own cross-entropy)/du: the sum over samples has the derivatives of each in its row."""
    products: list[torch.Tensor] = []
    outputs, genes = [inputs], network.genome
    for index, plan in enumerate(genes.plans):
        u = functional.linear(outputs[-1], network.layer(index).dense(network.weights(index)))
        products.append(u)
        if plan.skip:
            outputs.append(outputs[-plan.skip] + u)
            continue
        last = index == len(genes.plans) - 1
        r = (
            root_mean_square_normal(u, plan.members)
            if genes.normalisation == "rms" and not last
            else u
        )
        z = r + network.biases(index)
        outputs.append(z if last else ACTIVATION_FUNCTIONS[genes.activation](z))
    assert torch.equal(outputs[-1], network(inputs))
    loss = functional.cross_entropy(outputs[-1], labels, reduction="sum")
    return list(torch.autograd.grad(loss, products))


@pytest.mark.parametrize("density", [0.06, 0.4])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_signals_are_those_of_the_network(
    activation: Activation, normalisation: Normalisation, density: float
) -> None:
    """By sparse products and by dense ones."""
    network = network_of(activation, normalisation, density=density)
    inputs, labels = samples()
    seen = probe(network, inputs, labels, 5, path=("test",))
    assert torch.allclose(seen.layers[-1].activations, network(inputs).detach(), atol=1e-5)
    for layer, expected in zip(seen.layers, by_autograd(network, inputs, labels), strict=True):
        assert torch.allclose(layer.derivatives, expected, atol=1e-5)
    first = seen.layers[0]
    u = functional.linear(inputs, network.layer(0).dense(network.weights(0))).detach()
    r = root_mean_square_normal(u) if normalisation == "rms" else u
    assert torch.allclose(first.z, r + network.biases(0).detach(), atol=1e-5)
    assert torch.equal(seen.layers[1].inputs, first.activations)


def test_sampled_labels_follow_the_prediction() -> None:
    """The mean over samples of sampled derivatives at the logits is 0 but for chance: 4 SE."""
    network = network_of("relu", "none")
    inputs, labels = samples(20_000)
    at_logits = probe(network, inputs, labels, 5, path=("test",)).layers[-1].sampled_derivatives
    error = at_logits.std(0) / at_logits.shape[0] ** 0.5
    assert bool((at_logits.mean(0).abs() < 4 * error).all())
    likely = functional.softmax(network(inputs).detach(), 1)
    drawn = likely - at_logits  # one-hot rows
    assert torch.allclose(drawn, drawn.round(), atol=1e-4)
    assert torch.allclose(drawn.sum(1), torch.ones(len(inputs)), atol=1e-4)


def test_looking_changes_nothing() -> None:
    network = network_of("tanh", "rms").train()
    network.values.grad = torch.ones_like(network.values)
    before, threads = copy.deepcopy(network), torch.get_num_threads()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    seen = probe(network, *samples(), 5, path=("test",))
    for layer in seen.layers:
        assert not layer.derivatives.requires_grad
        assert not layer.sampled_derivatives.requires_grad
    assert torch.equal(network.values, before.values)
    assert torch.equal(network.values.grad, torch.ones_like(network.values))
    assert network.training
    assert not network._forward_hooks
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_the_same_path_draws_the_same() -> None:
    network = network_of("relu", "none")

    def seen(*path: str | int) -> Probe:
        return probe(network, *samples(), 5, path=path, seed=7)

    one, same, other = seen(2, "probe"), seen(2, "probe"), seen(3, "probe")
    drawn = [each.layers[0].sampled_derivatives for each in (one, same, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert one.draw("nulls").random() == same.draw("nulls").random()
    assert one.draw("nulls").random() != one.draw("pairs").random()


def test_a_probe_holds_what_it_saw() -> None:
    """Backward passes wait for their first use; by then the network may have been trained on."""
    for density in (0.06, 0.4):
        network = network_of("relu", "rms", density=density)
        seen = probe(network, *samples(), 5, path=())
        expected = by_autograd(network, *samples())
        with torch.no_grad():
            network.values.mul_(3.0)
        assert torch.allclose(seen.layers[0].derivatives, expected[0], atol=1e-5)
        assert not np.array_equal(seen.layers[0].weights, network.weights(0).detach().numpy())


def test_once_is_once() -> None:
    seen = probe(network_of("relu", "none"), *samples(), 5, path=())
    made: list[int] = []
    for _ in range(2):
        assert seen.once("answer", lambda: made.append(1) or 42) == 42
    assert made == [1]


def test_constant_inputs() -> None:
    inputs, labels = samples()
    inputs[:, [2, 5]] = 1.5
    seen = probe(network_of("relu", "none"), inputs, labels, 5, path=())
    assert np.flatnonzero(seen.constant_inputs).tolist() == [2, 5]


def test_samples_that_do_not_fit_are_refused() -> None:
    network = network_of("relu", "none")
    inputs, labels = samples()
    with pytest.raises(UsageError, match="one label each"):
        probe(network, inputs[:, :19], labels, 5, path=())
    with pytest.raises(UsageError, match="labels from 0 to 4"):
        probe(network, inputs, labels + 1, 5, path=())
