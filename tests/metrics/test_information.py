"""Information through noisy layers against closed forms, and the metrics of whole networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from structure_net.metrics import (
    METRICS,
    Measurement,
    Probe,
    Undetermined,
    copula_value,
    non_monotone,
    probe,
    read_signal,
)
from structure_net.metrics.information import Channel, View, noisy_channel, view
from structure_net.networks import Network, build_network
from tests.networks.reference import genome

NAMES = (
    "label_information",
    "label_efficiency",
    "layer_information",
    "ksg",
    "seed_legacy_binned",
    "effective_rank",
    "participation_ratio",
    "linear_cka",
)


def sparse(generator: np.random.Generator, units: int, sources: int) -> np.ndarray:
    """A matrix with six random connections into each unit."""
    weights = np.zeros((units, sources))
    for row in weights:
        row[generator.choice(sources, 6, replace=False)] = generator.standard_normal(6)
    return weights


def value(x: Tensor, y: Tensor) -> float:
    found = copula_value(x, y)
    assert isinstance(found, float)
    return found


def channel(x: Tensor, y: Tensor, generator: np.random.Generator, most: int = 64) -> Channel:
    found = noisy_channel(view(x, most), view(y, most), generator)
    assert isinstance(found, Channel)
    return found


def through(x: Tensor, y: Tensor, generator: np.random.Generator, most: int = 64) -> float:
    made = channel(x, y, generator, most)
    return value(made.before.coordinates, made.responses)


def log_det(matrix: np.ndarray) -> float:
    return float(np.linalg.slogdet(np.eye(len(matrix)) + matrix)[1])


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_noisy_sparse_linear_layers(sigma: float) -> None:
    """Units of variance 1 from correlated sources, and noise."""
    generator = np.random.default_rng(1)
    mixing = 0.3 * sparse(generator, 30, 30) + np.eye(30)
    weights = sparse(generator, 20, 30)
    weights /= np.linalg.norm(weights @ mixing, axis=1, keepdims=True)
    truth = 0.5 * log_det(weights @ mixing @ mixing.T @ weights.T / sigma**2)
    found = []
    for _ in range(10):
        x = generator.standard_normal((4096, 30)) @ mixing.T
        y = x @ weights.T + sigma * generator.standard_normal((4096, 20))
        found.append(value(torch.from_numpy(x), torch.from_numpy(y)))
    assert np.mean(found) == pytest.approx(truth, abs=max(0.03, 0.03 * truth))


def test_the_declared_noise_is_a_tenth_of_each_unit() -> None:
    generator = np.random.default_rng(2)
    weights = sparse(generator, 20, 30)
    scale = 1 / np.linalg.norm(weights, axis=1, keepdims=True)
    truth = 0.5 * log_det(scale * weights @ (scale * weights).T / 0.01)
    found = []
    for _ in range(10):
        x = torch.from_numpy(generator.standard_normal((4096, 30)))
        found.append(through(x, x @ torch.from_numpy(weights.T), generator))
    assert np.mean(found) == pytest.approx(truth, abs=max(0.03, 0.03 * truth))


@pytest.mark.parametrize("units", [1, 5, 20])
def test_identical_layers_of_independent_units(units: int) -> None:
    generator, found = np.random.default_rng(3), []
    for _ in range(10):
        x = torch.from_numpy(generator.standard_normal((2048, units)))
        found.append(through(x, x, generator))
    truth = units / 2 * math.log(101)
    assert np.mean(found) == pytest.approx(truth, abs=max(0.03, 0.03 * truth))


@pytest.mark.parametrize("units", [300, 1300])
def test_wide_layers_are_seen_along_their_components(units: int) -> None:
    """Ten directions turned into many units, and what comes from elsewhere: Gaussians, so that
    the information follows from covariances along the directions seen."""
    generator = np.random.default_rng(4)
    few, spread = generator.standard_normal((1500, 10)), generator.standard_normal((10, units))
    elsewhere = math.sqrt(units) / 3
    signal = few @ spread + elsewhere * generator.standard_normal((1500, units))
    made = channel(torch.from_numpy(few), torch.from_numpy(signal).float(), generator, 10)
    seen = view(torch.from_numpy(signal).float(), 10)
    assert isinstance(seen, View)
    directions = np.linalg.lstsq(signal - signal.mean(0), seen.coordinates.numpy(), rcond=None)[0]
    noise = 0.01 * directions.T @ (signal.var(0)[:, None] * directions)
    drawn = (made.responses - made.after.coordinates).numpy()
    assert np.cov(drawn.T) == pytest.approx(noise, abs=0.1 * noise.max())
    known = spread @ directions
    unknown = elsewhere**2 * directions.T @ directions + noise
    truth = 0.5 * log_det(np.linalg.solve(unknown, known.T @ known))
    assert truth > 5
    found = value(made.before.coordinates, made.responses)
    assert found == pytest.approx(truth, abs=0.05 * truth)


def test_a_chain_obeys_data_processing() -> None:
    generator = np.random.default_rng(5)
    for _ in range(5):
        first, second = sparse(generator, 20, 30), sparse(generator, 12, 20)
        x = generator.standard_normal((4096, 30))
        one = x @ first.T + 0.5 * generator.standard_normal((4096, 20))
        two = one @ second.T + 0.5 * generator.standard_normal((4096, 12))
        tensors = [torch.from_numpy(signal) for signal in (x, one, two)]
        whole = value(tensors[0], tensors[2])
        assert whole <= value(tensors[0], tensors[1])
        assert whole <= value(tensors[1], tensors[2])


def test_a_parabola_is_flagged_and_a_line_is_not() -> None:
    generator = np.random.default_rng(6)
    x = torch.from_numpy(generator.standard_normal((2048, 1)))
    noise = 0.5 * torch.from_numpy(generator.standard_normal((2048, 1)))
    assert value(x, x**2 + noise) < 0.02
    assert non_monotone(x, x**2 + noise) is True
    assert non_monotone(x, x + noise) is False
    assert non_monotone(x, noise) is False
    assert non_monotone(x, (x + noise) ** 3) is False
    assert non_monotone(x, torch.ones_like(x)) is None


def test_a_view_of_few_units_is_the_units() -> None:
    x = torch.from_numpy(np.random.default_rng(7).standard_normal((500, 6)) * [1, 2, 3, 1, 5, 1])
    found = view(x, 6)
    assert isinstance(found, View)
    assert torch.equal(found.coordinates, x - x.mean(0))
    assert int(found.leading.abs().argmax()) == 4
    doubled = view(torch.cat([x, x], 1), 34)
    assert isinstance(doubled, View)
    assert doubled.coordinates.shape == (500, 6)
    assert isinstance(view(x, 0), Undetermined)
    assert isinstance(view(torch.ones(500, 3), 5), Undetermined)


def network_of(widths: list[int]) -> Network:
    return build_network(genome(20, widths, 5, 0.4), 3)


def looked(network: Network, samples: int = 1300, classes: int = 5) -> Probe:
    generator = np.random.default_rng(8)
    inputs = torch.from_numpy(generator.standard_normal((samples, 20))).float()
    labels = (inputs[:, :5].argmax(1) % classes).long()
    return probe(network, inputs, labels, 5, path=("test",), seed=4)


def measured(seen: Probe) -> dict[str, Measurement]:
    return {name: METRICS.get(name).measure(seen) for name in NAMES}


def test_the_metrics_of_a_network() -> None:
    seen = looked(network_of([16, 12]))
    found = measured(seen)
    assert found == measured(looked(network_of([16, 12])))
    labels = found["label_information"]
    assert len(labels.layers) == 3
    assert labels.total == labels.layers[-1]
    entropy = labels.detail["inputs"]["label_entropy"]
    # The labels are a function of the inputs, linear between each two classes.
    assert 0.5 * entropy < labels.detail["inputs"]["clipped"] <= entropy
    for value, share in zip(labels.layers, found["label_efficiency"].layers, strict=True):
        assert share == pytest.approx(value / entropy)
    layers = found["layer_information"]
    assert layers.total == min(layers.layers)
    for told, nats in zip(layers.detail["layers"], layers.layers, strict=True):
        low, high = told["interval"]
        assert low < nats < high
        assert told["distinguishable"]
        assert told["resolved"]
        assert abs(told["null_mean"]) < 0.5
    assert [told["dimensions"] for told in layers.detail["layers"]] == [[20, 16], [16, 12], [12, 5]]


def test_the_reader_with_units_is_there_on_demand() -> None:
    found = read_signal(looked(network_of([16])), 0, "mlp")
    assert not isinstance(found, Undetermined)
    assert found.clipped > 0.5


def test_the_order_of_hidden_units_changes_no_value() -> None:
    network = network_of([16, 12])
    seen = looked(network)
    order = torch.from_numpy(np.random.default_rng(9).permutation(16))
    first, *others = seen.layers
    mixed = type(first)(
        first.connections,
        first.weights,
        first.biases,
        first.inputs,
        first.z[:, order],
        first.activations[:, order],
        first.derivatives,
        first.sampled_derivatives,
    )
    again = measured(
        Probe((mixed, *others), seen.labels, 5, seen.constant_inputs, seed=4, path=("test",))
    )
    for name, one in measured(seen).items():
        assert one.layers == pytest.approx(again[name].layers, abs=1e-6), name


def undetermined(found: Measurement) -> bool:
    return all(isinstance(value, Undetermined) for value in (found.total, *found.layers))


def test_what_cannot_be_measured_says_why() -> None:
    bare = measured(looked(network_of([])))
    assert undetermined(bare["effective_rank"])
    assert undetermined(bare["participation_ratio"])
    assert not undetermined(bare["label_information"])
    alone = measured(looked(network_of([16, 12]), samples=1))
    assert all(undetermined(found) for found in alone.values())
    few = measured(looked(network_of([16, 12]), samples=59))
    for name in ("label_information", "layer_information", "ksg", "seed_legacy_binned"):
        assert undetermined(few[name])
    one_class = measured(looked(network_of([16, 12]), classes=1))
    assert undetermined(one_class["label_information"])
    assert not undetermined(one_class["layer_information"])


def test_a_constant_layer_is_undetermined() -> None:
    network = network_of([16, 12])
    with torch.no_grad():
        network.weights(0).zero_()
    found = measured(looked(network))
    for name in NAMES:
        assert isinstance(found[name].layers[0], Undetermined), name
    assert isinstance(found["layer_information"].total, Undetermined)
