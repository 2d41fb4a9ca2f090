"""Gradients, curvatures and scores of connections against finite differences and brute force."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from structure_net.genome import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation
from structure_net.metrics import (
    METRICS,
    Measurement,
    Pairs,
    Probe,
    Undetermined,
    candidate_gradient,
    candidate_pairs,
    connection_gradients,
    fisher_information,
    layer_candidates,
    live_gradient,
    live_pairs,
    mean_products,
    probe,
    removal_cost,
    starvation,
    synflow_scores,
    unit_utilities,
)
from structure_net.networks import Connections, Network, build_network, constant_fan_in
from tests.networks.reference import genome, logits, matrices

OWN = (
    "connection_gradient",
    "gradient_norm_profile",
    "gradient_snr",
    "fisher",
    "snip",
    "synflow",
    "unit_utility",
    "predicted_gain",
)
# Central differences are as good as their step is small; with 1e-4 a few samples would cross a kink
# of a ReLU, and 1e-6 still leaves ten digits of the loss.
STEP = {"relu": 1e-6, "leaky_relu": 1e-6, "gelu": 1e-4, "silu": 1e-4, "tanh": 1e-4}


def network_of(
    activation: Activation = "relu", normalisation: Normalisation = "none", seed: int = 3
) -> Network:
    genes = {"activation": activation, "normalisation": normalisation}
    made = build_network(genome(20, [16, 12], 5, 0.4).model_copy(update=genes), seed)
    drawn = np.random.default_rng(seed).standard_normal(len(made.values))
    with torch.no_grad():
        made.values.add_(torch.from_numpy(0.3 * drawn).float())
    return made


def samples(count: int = 256, inputs: int = 20, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    drawn = torch.from_numpy(generator.standard_normal((count, inputs))).float()
    return drawn, torch.from_numpy(generator.integers(0, 5, count))


def seen(network: Network, count: int = 256) -> Probe:
    return probe(network, *samples(count, network.genome.inputs), 5, path=("test",))


def measured(name: str, found: Probe) -> Measurement:
    return METRICS.get(name).measure(found)


def mean_loss(network: Network, layers: list, inputs: np.ndarray, labels: np.ndarray) -> float:
    genes = network.genome
    z = logits(layers, genes.activation, inputs, genes.normalisation)
    z = z - z.max(1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_central_differences_of_the_loss(
    activation: Activation, normalisation: Normalisation
) -> None:
    """Live pairs and absent ones, of every layer, in float64; tolerance 1 % where |g| > 1e-6."""
    network = network_of(activation, normalisation)
    found, inputs, labels = seen(network), samples()[0].double().numpy(), samples()[1].numpy()
    for index, layer in enumerate(found.layers):
        live, absent = live_pairs(layer.connections), layer_candidates(found, index)
        pairs = np.concatenate([live.places[::6], absent.places[::8]])
        gradients = np.concatenate(
            [live_gradient(found, index)[::6], candidate_gradient(found, index)[::8]]
        )
        assert np.allclose(connection_gradients(layer, absent), candidate_gradient(found, index))
        for place, gradient in zip(pairs, gradients, strict=True):
            losses, size = [], STEP[activation]
            for step in (size, -size):
                layers = [(weights.copy(), biases) for weights, biases in matrices(network)]
                layers[index][0].flat[place] += step
                losses.append(mean_loss(network, layers, inputs, labels))
            difference = (losses[0] - losses[1]) / (2 * size)
            assert gradient == pytest.approx(difference, rel=0.01, abs=1e-6)


def test_candidates_are_absent_distinct_and_uniform() -> None:
    lists = constant_fan_in(30, 12, 60, np.random.default_rng(0), feed_every_source=True)
    live = set(live_pairs(lists).places.tolist())
    every = candidate_pairs(lists, np.random.default_rng(1), "all")
    assert set(every.places.tolist()) == set(range(360)) - live
    counts = np.zeros(360)
    for seed in range(500):
        drawn = candidate_pairs(lists, np.random.default_rng(seed))
        assert len(drawn) == 120
        assert np.all(np.diff(drawn.places) > 0)
        counts[drawn.places] += 1
    assert counts[sorted(live)].sum() == 0
    # Binomial with 500 draws of 120 among 300: mean 200, deviation 11; 300 of them within 4.5.
    assert np.abs(counts[every.places] - 200).max() < 4.5 * math.sqrt(500 * 0.4 * 0.6)


@pytest.mark.parametrize("layer", [(300, 200, 400), (40, 30, 1200), (7, 5, 6)])
@pytest.mark.parametrize("groups", [1, 3, 8])
def test_products_at_pairs_are_those_of_the_whole_matrix(
    layer: tuple[int, int, int], groups: int
) -> None:
    """Few pairs, all pairs, some: both ways to compute them; groups of unequal size."""
    sources, units, count = layer
    generator = np.random.default_rng(5)
    left = torch.from_numpy(generator.standard_normal((101, units))).float()
    right = torch.from_numpy(generator.standard_normal((101, sources))).float()
    places = np.sort(generator.choice(sources * units, count, replace=False))
    found = mean_products(left, right, Pairs(sources, units, places), groups)
    for group in range(groups):
        own = [one[group::groups].double().numpy() for one in (left, right)]
        expected = (own[0].T @ own[1] / len(own[0])).flat[places]
        assert np.allclose(found[group], expected, atol=1e-5)


def test_planted_ratio_of_mean_to_noise_is_recovered() -> None:
    """delta h = r + noise of unit variance in each of a unit's 4 pairs, 256 samples a batch: the
    ratio is r sqrt(256)."""
    planted, units, batch = 0.25, 400, 256
    generator = np.random.default_rng(2)
    lists = Connections(1, units, np.arange(units + 1, dtype=np.int32), np.zeros(units, np.int32))
    noise = generator.standard_normal((8 * batch, units))
    base = seen(network_of())
    layer = replace(
        base.layers[0],
        connections=lists,
        weights=np.ones(units, np.float32),
        biases=np.zeros(units, np.float32),
        inputs=torch.ones(8 * batch, 1),
        derivatives=torch.from_numpy(planted + noise).float(),
        sampled_derivatives=torch.from_numpy(planted + noise).float(),
        z=torch.zeros(8 * batch, units),
        activations=torch.zeros(8 * batch, units),
    )
    found = Probe((layer,), torch.zeros(8 * batch, dtype=torch.long), 5, np.zeros(1, bool))
    assert measured("gradient_snr", found).total == pytest.approx(planted * 16, rel=0.1)
    silent = replace(layer, derivatives=torch.zeros(8 * batch, units))
    nothing = measured("gradient_snr", replace(found, layers=(silent,)))
    assert isinstance(nothing.total, Undetermined)
    assert nothing.detail["layers"][0]["silent"] == units


def test_fisher_of_a_softmax_layer_is_its_closed_form() -> None:
    """F = E[h^2 p (1 - p)]: exactly to 1e-6; with drawn labels within 3 standard errors."""
    network = build_network(genome(20, [], 5, 0.4), 1)
    found = seen(network, 4096)
    layer = found.layers[0]
    p = torch.softmax(layer.activations.double(), 1).numpy()
    h = layer.inputs.double().numpy()
    rows, columns = live_pairs(layer.connections).rows, layer.connections.columns
    expected = np.mean((h**2)[:, columns] * (p * (1 - p))[:, rows], axis=0)
    assert np.abs(fisher_information(found, 0, exact=True) - expected).max() < 1e-6
    drawn = layer.sampled_derivatives.double().numpy()
    error = np.std((h[:, columns] * drawn[:, rows]) ** 2, axis=0) / math.sqrt(len(h))
    sampled = fisher_information(found, 0)
    # 40 connections: one beyond 3 errors is chance, hence 4 for the worst.
    assert np.mean(np.abs(sampled - expected) < 3 * error) >= 0.95
    assert np.all(np.abs(sampled - expected) < 4 * error)
    assert 0.95 <= sampled.mean() / expected.mean() <= 1.05


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_exact_fisher_is_the_sum_over_all_labels_by_brute_force(
    activation: Activation, normalisation: Normalisation
) -> None:
    """One probe for each choice of label, weighted by how likely the network finds it."""
    network = network_of(activation, normalisation)
    inputs, _ = samples(40)
    found = probe(network, inputs, torch.zeros(40, dtype=torch.long), 5, path=())
    likely = torch.softmax(found.layers[-1].activations.double(), 1)
    for index, layer in enumerate(found.layers):
        pairs, expected = live_pairs(layer.connections), 0.0
        for label in range(5):
            alike = probe(network, inputs, torch.full((40,), label), 5, path=()).layers[index]
            products = alike.derivatives[:, pairs.rows] * alike.inputs[:, pairs.columns]
            expected += (products.double().square() * likely[:, label : label + 1]).mean(0)
        exact = fisher_information(found, index, exact=True)
        assert np.allclose(exact, expected, rtol=1e-4, atol=1e-7)


def test_fisher_is_not_the_square_of_a_batch_gradient() -> None:
    """It does not fall with the number of samples."""
    network = network_of()
    few, many = (measured("fisher", seen(network, count)).total for count in (256, 4096))
    assert isinstance(few, float)
    assert many == pytest.approx(few, rel=0.25)


def test_snip_on_a_linear_network_is_the_change_of_the_loss() -> None:
    """|w g| with g of float64: in one softmax layer E[(p - y) h] is the closed form."""
    network = build_network(genome(20, [], 5, 0.4), 1)
    found = seen(network, 512)
    layer = found.layers[0]
    p = torch.softmax(layer.activations.double(), 1)
    wrong = (p - torch.nn.functional.one_hot(found.labels, 5)).numpy()
    gradient = wrong.T @ layer.inputs.double().numpy() / 512
    live = live_pairs(layer.connections)
    expected = np.abs(layer.weights * gradient[live.rows, live.columns])
    assert np.abs(removal_cost(found, 0) - expected).max() < 1e-6
    total = measured("snip", found)
    assert total.total == pytest.approx(expected.sum(), abs=1e-5)
    assert total.detail["layers"][0]["share"] == 1.0


def test_synflow_is_conserved_and_is_the_sum_over_paths() -> None:
    """Every layer sums to R, which enumeration of all paths gives too; so does each connection."""
    network = build_network(genome(6, [5, 4], 3, 0.5), 2)
    found = probe(network, *_small(), 3, path=())
    dense = [np.abs(weights) for weights, _ in matrices(network)]
    total, through = 0.0, [np.zeros_like(weights) for weights in dense]
    for path in itertools.product(range(6), range(5), range(4), range(3)):
        steps = [(path[n + 1], path[n]) for n in range(3)]
        worth = math.prod(dense[n][step] for n, step in enumerate(steps))
        total += worth
        for n, step in enumerate(steps):
            through[n][step] += worth
    told, scores = measured("synflow", found), synflow_scores(found)
    assert not isinstance(scores, Undetermined)
    for index, layer in enumerate(told.detail["layers"]):
        assert layer["sum"] == pytest.approx(total, rel=1e-9)
        count = len(found.layers[index].weights)
        assert told.layers[index] == pytest.approx(total / count, rel=1e-9)
        live = live_pairs(found.layers[index].connections)
        assert np.allclose(scores[index], through[index][live.rows, live.columns], rtol=1e-9)


def _small() -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = samples(32, 6)
    return inputs, labels % 3


def test_gradient_profile_against_loops() -> None:
    found = seen(network_of("tanh"))
    told = measured("gradient_norm_profile", found)
    logs = []
    for index, layer in enumerate(found.layers):
        each = [math.sqrt(sum(float(d) ** 2 for d in row)) for row in layer.derivatives]
        assert told.layers[index] == pytest.approx(np.mean(each), rel=1e-5)
        of_the_mean = np.linalg.norm(layer.derivatives.double().numpy().mean(0))
        assert told.detail["of_the_mean"][index] == pytest.approx(of_the_mean, rel=1e-4)
        logs.append(math.log(np.mean(np.square(each)) / layer.connections.units))
    assert told.total == pytest.approx(np.polyfit([0, 1, 2], logs, 1)[0], rel=1e-5)


def test_utility_of_units_against_loops() -> None:
    network = network_of()
    found = seen(network)
    for index in range(2):
        outgoing = np.abs(matrices(network)[index + 1][0]).sum(0)
        activity = found.layers[index].activations.abs().double().numpy().mean(0)
        assert np.allclose(unit_utilities(found, index), activity * outgoing, rtol=1e-5)


def test_a_unit_whose_missing_sources_matter_more_is_starved() -> None:
    network = network_of()
    found = seen(network)
    layer, pairs = found.layers[1], layer_candidates(found, 1)
    live = live_pairs(layer.connections)
    for unit, ratio in enumerate(starvation(found, 1)):
        absent = candidate_gradient(found, 1)[pairs.rows == unit]
        own = live_gradient(found, 1)[live.rows == unit]
        if len(absent) == 0 or not own.any() or not absent.any():
            assert np.isnan(ratio)
        else:
            expected = math.sqrt(np.mean(absent**2) / np.mean(own**2))
            assert ratio == pytest.approx(expected)


def test_the_largest_gradients_are_named() -> None:
    found = seen(network_of())
    for index, told in enumerate(measured("connection_gradient", found).detail["layers"]):
        sizes = np.abs(
            np.concatenate([live_gradient(found, index), candidate_gradient(found, index)])
        )
        assert [abs(row[2]) for row in told["top"]] == pytest.approx(np.sort(sizes)[::-1][:10])
        live = live_pairs(found.layers[index].connections)
        for unit, source, _, is_live in told["top"]:
            assert (unit * live.sources + source in live.places) == is_live


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("hidden", [[], [8, 6]])
@pytest.mark.parametrize("count", [1, 3, 64])
def test_few_samples_and_no_hidden_layer_raise_nothing(
    name: str, hidden: list[int], count: int
) -> None:
    """Whatever is said is finite or undetermined, and plain JSON; also when all samples are one."""
    network = build_network(genome(20, hidden, 5, 0.4), 1)
    inputs, labels = samples(count)
    for inputs_of_all in (inputs, torch.zeros_like(inputs)):
        told = measured(name, probe(network, inputs_of_all, labels, 5, path=()))
        for value in (told.total, *told.layers):
            assert isinstance(value, Undetermined) or math.isfinite(value)
        json.dumps(dict(told.detail), allow_nan=False)


def test_one_class_is_no_exception() -> None:
    """All samples of one class, which the network says without any doubt."""
    network = build_network(genome(6, [4], 3, 0.9), 1)
    with torch.no_grad():
        network.biases(1)[0] = 1000.0
    found = probe(network, samples(32, 6)[0], torch.zeros(32, dtype=torch.long), 3, path=())
    assert not found.layers[0].derivatives.any()
    for name in OWN:
        told = measured(name, found)
        assert isinstance(told.total, Undetermined) or math.isfinite(told.total)
