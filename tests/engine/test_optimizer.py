"""AdamW per connection: torch's own, a multiplier that acts on the update, limits, decay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from structure_net.engine import AdamW
from structure_net.networks import Network, build_network
from tests.networks.reference import genome

LIMITS = (1e-6, 1e-2)
DECAY = 0.05


def fresh(dtype: torch.dtype = torch.float64) -> Network:
    network = build_network(genome(12, [10, 8], 4, 0.5), 1).to(dtype)
    with torch.no_grad():
        network.values[network.connection_count :] = 0.5
    return network


def gradients(network: Network, steps: int) -> Iterator[torch.Tensor]:
    """Scripted ones of very different sizes, some exactly zero."""
    generator = np.random.default_rng(0)
    size = 10.0 ** generator.uniform(-6, 2, len(network.values))
    size[::17] = 0.0
    for _ in range(steps):
        drawn = generator.standard_normal(len(size)) * size
        yield torch.from_numpy(drawn).to(network.values.dtype)


class Torchs:
    """torch.optim.AdamW over a copy, connections and biases as two groups."""

    def __init__(self, network: Network, rate: float) -> None:
        end = network.connection_count
        values = network.values.detach().double()
        self.weights = values[:end].clone().requires_grad_()
        self.biases = values[end:].clone().requires_grad_()
        groups = [
            {"params": [self.weights], "weight_decay": DECAY},
            {"params": [self.biases], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=rate)

    @property
    def values(self) -> torch.Tensor:
        return torch.cat([self.weights, self.biases])

    def step(self, gradient: torch.Tensor) -> None:
        self.weights.grad, self.biases.grad = gradient.split([len(self.weights), len(self.biases)])
        self.optimizer.step()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_with_multipliers_of_one_it_is_torchs_adamw(dtype: torch.dtype, tolerance: float) -> None:
    """Against torch in float64: in float32 torch's own rounding is ten times as large as ours."""
    network = fresh(dtype)
    ours, torchs = AdamW(network, DECAY, LIMITS), Torchs(network, 0.003)
    for gradient in gradients(network, 100):
        ours.step(gradient, 0.003)
        torchs.step(gradient.double())
    torch.testing.assert_close(network.values.double(), torchs.values, rtol=0, atol=tolerance)


def test_a_hundred_steps_of_training_are_those_of_torch() -> None:
    network = fresh()
    ours, torchs = AdamW(network, DECAY, LIMITS), Torchs(network, 0.003)
    generator = np.random.default_rng(3)
    for step in range(100):
        rate = 0.003 * (1.0 + np.cos(step / 40.0)) / 2.0
        torchs.optimizer.param_groups[0]["lr"] = torchs.optimizer.param_groups[1]["lr"] = rate
        inputs = torch.from_numpy(generator.standard_normal((16, 12)))
        labels = torch.from_numpy(generator.integers(0, 4, 16))
        found = []
        for values in (network.values, torchs.values):
            output = torch.func.functional_call(network, {"values": values}, (inputs,))
            found.append(torch.autograd.grad(functional.cross_entropy(output, labels), values)[0])
        ours.step(found[0], rate)
        torchs.step(found[1])
    torch.testing.assert_close(network.values, torchs.values, rtol=0, atol=1e-10)


def moved(place: int, *, multiplier: float = 1.0, gradient_factor: float = 1.0) -> torch.Tensor:
    """Change of every value over 20 steps when one connection is treated differently."""
    network = fresh()
    optimizer = AdamW(network, 0.0, LIMITS)
    optimizer.multiplier[place] = multiplier
    before = network.values.detach().clone()
    for gradient in gradients(network, 20):
        gradient[place] *= gradient_factor
        optimizer.step(gradient, 0.002)
    return network.values.detach() - before


@pytest.mark.parametrize("place", [3, 40, -1])
def test_the_multiplier_scales_the_change_and_the_gradient_does_not(place: int) -> None:
    plain = moved(place)
    halved = moved(place, multiplier=0.5)
    assert plain[place] != 0
    assert float(halved[place]) == pytest.approx(0.5 * float(plain[place]), rel=1e-6)
    others = torch.arange(len(plain)) != place % len(plain)
    assert torch.equal(halved[others], plain[others])
    by_gradient = moved(place, gradient_factor=0.5)
    assert float(by_gradient[place]) == pytest.approx(float(plain[place]), rel=0.01)


def test_a_halved_multiplier_halves_the_decay_with_the_rest() -> None:
    changes = []
    for multiplier in (1.0, 0.5):
        network = fresh()
        optimizer = AdamW(network, DECAY, LIMITS)
        optimizer.multiplier.fill_(multiplier)
        before = network.values.detach().clone()
        optimizer.step(next(gradients(network, 1)), 0.002)
        changes.append(network.values.detach() - before)
    torch.testing.assert_close(changes[1], 0.5 * changes[0], rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize(
    ("rate", "multiplier", "used"),
    [(1.0, 1.0, 1e-2), (1e-9, 1.0, 1e-6), (0.003, 8.0, 1e-2), (1e-5, 1e-3, 1e-6), (4e-3, 2, 8e-3)],
)
def test_rates_are_clipped_to_the_limits(rate: float, multiplier: float, used: float) -> None:
    """The first step without decay moves by exactly the rate against the sign of the gradient."""
    network = fresh()
    optimizer = AdamW(network, 0.0, LIMITS)
    optimizer.multiplier[0] = multiplier
    before = network.values[0].item()
    optimizer.step(torch.ones_like(network.values), rate)
    assert before - network.values[0].item() == pytest.approx(used, rel=1e-6)


def test_decay_pulls_at_connections_only() -> None:
    network = fresh()
    before = network.values.detach().clone()
    AdamW(network, DECAY, LIMITS).step(torch.zeros_like(network.values), 0.004)
    end = network.connection_count
    torch.testing.assert_close(
        network.values[:end], before[:end] * (1.0 - 0.004 * DECAY), rtol=1e-12, atol=0
    )
    assert torch.equal(network.values[end:], before[end:])
