"""The contract of an engine, run over every one: exact numbers, no learner touches another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch.nn import functional

from structure_net.engine import (
    ENGINES,
    AdamW,
    Batch,
    Engine,
    Learner,
    StackedEngine,
    make_engine,
)
from structure_net.genome import (
    ACTIVATIONS,
    NORMALISATIONS,
    Activation,
    Genome,
    Normalisation,
)
from structure_net.networks import ACTIVATION_FUNCTIONS, Network, build_network
from tests.networks.reference import genome, logits, matrices, pairs

LIMITS = (1e-6, 1e-2)

SHAPES: dict[str, tuple[Genome, int]] = {
    "ordinary": (genome(64, [48, 32], 10, 0.1), 32),
    "batch of 1": (genome(64, [48, 32], 10, 0.1), 1),
    "width 1": (genome(20, [1, 1], 3, 0.5), 8),
    "fan-in 1": (genome(40, [40, 40], 40, 1e-9), 16),
    "one input": (genome(1, [7], 2, 1.0), 5),
    "no hidden layer": (genome(30, [], 4, 0.3), 16),
    "full": (genome(17, [13, 11], 3, 1.0), 9),
    "100,000 connections": (genome(3072, [512, 128], 10, 0.061), 64),
}


@pytest.fixture(params=[*ENGINES, "stacked"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine; `dense` also as it is on a GPU."""
    return StackedEngine() if request.param == "stacked" else make_engine(request.param)


@pytest.fixture(params=ENGINES)
def lone_engine(request: pytest.FixtureRequest) -> Engine:
    """Those of processors, where the make-up of a cohort must not change a bit."""
    return make_engine(request.param)


def data(inputs: int, classes: int, count: int, seed: int = 0) -> Batch:
    generator = np.random.default_rng(seed)
    drawn = torch.from_numpy(generator.standard_normal((count, inputs))).float()
    return Batch.of(drawn, torch.from_numpy(generator.integers(0, classes, count)))


def batches(genome: Genome, count: int, size: int = 16) -> list[Batch]:
    return [data(genome.inputs, genome.classes, size, seed) for seed in range(count)]


def learner(genome: Genome, seed: int = 0) -> Learner:
    network = build_network(genome, seed)
    return Learner(network, AdamW(network, 1e-4, LIMITS))


def loss_and_gradient(engine: Engine, network: Network, batch: Batch) -> tuple[float, np.ndarray]:
    """The loss of one step, and the gradient it took: ten times the first moment after it."""
    one = Learner(network, AdamW(network, 0.0, LIMITS))
    (loss,) = engine.train_steps([one], [batch], torch.full((1, 1), 0.001)).flatten().tolist()
    return loss, 10.0 * one.optimizer.first_moment.double().numpy()


def dense_loss_and_gradient(
    network: Network, batch: Batch, dtype: torch.dtype
) -> tuple[float, np.ndarray]:
    """Plain dense matrices and autograd; the gradient read off at the connections, then biases."""
    layers = [
        [torch.tensor(part, dtype=dtype, requires_grad=True) for part in layer]
        for layer in matrices(network)
    ]
    h = batch.inputs.to(dtype)
    for number, (weights, biases) in enumerate(layers, 1):
        u = h @ weights.t()
        if number < len(layers) and network.genome.normalisation == "rms":
            u = u / torch.sqrt((u * u).mean(1, keepdim=True) + 1e-6)
        h = u + biases
        if number < len(layers):
            h = ACTIVATION_FUNCTIONS[network.genome.activation](h)
    loss = functional.cross_entropy(h, batch.targets)
    loss.backward()
    at_connections = []
    for index, (weights, _) in enumerate(layers):
        units, sources = np.array(pairs(network, index)).T
        assert weights.grad is not None
        at_connections.append(weights.grad.double().numpy()[units, sources])
    biases = [layer[1].grad.double().numpy() for layer in layers]
    return loss.item(), np.concatenate([*at_connections, *biases])


def relative_error(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("name", SHAPES)
def test_as_exact_as_plain_dense_training(engine: Engine, name: str) -> None:
    genome, size = SHAPES[name]
    network = build_network(genome, 3)
    batch = data(genome.inputs, genome.classes, size)
    true_loss, truth = dense_loss_and_gradient(network, batch, torch.float64)
    _, plain = dense_loss_and_gradient(network, batch, torch.float32)
    loss, gradient = loss_and_gradient(engine, network, batch)
    rounding = float(np.finfo(np.float32).eps)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    allowed = 4.0 * max(relative_error(plain, truth), rounding)
    assert relative_error(gradient, truth) <= allowed


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_its_own_gradient(
    engine: Engine, activation: Activation, normalisation: Normalisation
) -> None:
    shape = genome(30, [20, 16], 5, 0.3, activation, normalisation=normalisation)
    network = build_network(shape, 1)
    with torch.no_grad():  # biases that matter
        network.values[network.connection_count :].normal_(
            0.0, 0.3, generator=torch.Generator().manual_seed(5)
        )
    batch = data(30, 5, 24)
    _, truth = dense_loss_and_gradient(network, batch, torch.float64)
    _, found = loss_and_gradient(engine, network, batch)
    assert relative_error(found, truth) < 2e-6


@pytest.mark.parametrize("name", SHAPES)
def test_a_step_uses_the_gradient_and_tells_the_loss(engine: Engine, name: str) -> None:
    genome, size = SHAPES[name]
    one, batch = learner(genome, 3), data(genome.inputs, genome.classes, size)
    true_loss, truth = dense_loss_and_gradient(one.network, batch, torch.float64)
    losses = engine.train_steps([one], [batch], torch.full((1, 1), 0.003))
    assert losses.shape == (1, 1)
    assert losses.item() == pytest.approx(true_loss, rel=1e-6)
    first_moment = one.optimizer.first_moment.double().numpy()
    assert relative_error(first_moment, 0.1 * truth) < 1e-5


def test_losses_are_those_before_each_step_and_fall(engine: Engine) -> None:
    one = learner(genome(20, [24], 4, 0.4))
    batch = data(20, 4, 64)
    rates = torch.full((80, 1), 0.01)
    found = engine.train_steps([one], [batch] * 80, rates)[:, 0]
    again = learner(genome(20, [24], 4, 0.4))
    halves = [engine.train_steps([again], [batch] * 40, rates[:40])[:, 0] for _ in range(2)]
    assert torch.equal(torch.cat(halves), found)
    assert torch.equal(again.network.values, one.network.values)
    assert found[-1] < 0.6 * found[0]


def test_each_step_and_learner_has_its_own_rate(engine: Engine) -> None:
    """A first AdamW step without decay moves every touched value by its rate, whatever the slope"""
    small = genome(6, [5], 3, 1.0)
    learners = [learner(small, seed) for seed in (1, 2)]
    for one in learners:
        one.optimizer.weight_decay = 0.0
    before = [one.network.values.detach().clone() for one in learners]
    engine.train_steps(learners, batches(small, 1), torch.tensor([[0.001, 0.004]]))
    for one, old, rate in zip(learners, before, (0.001, 0.004), strict=True):
        moved = (one.network.values.detach() - old).abs()
        touched = one.optimizer.first_moment.abs() > 1e-4
        assert touched.any()
        torch.testing.assert_close(
            moved[touched], torch.full_like(moved[touched], rate), rtol=1e-3, atol=0
        )


def cohort() -> list[Learner]:
    return [
        learner(genome(24, widths, 5, density, activation), seed)
        for seed, (widths, density, activation) in enumerate(
            [([16, 8], 0.3, "relu"), ([32], 0.1, "gelu"), ([8, 8, 8], 0.8, "tanh")]
        )
    ]


def bits(learners: Sequence[Learner]) -> list[tuple[bytes, ...]]:
    return [
        tuple(
            part.detach().numpy().tobytes()
            for part in (
                one.network.values,
                one.optimizer.first_moment,
                one.optimizer.second_moment,
            )
        )
        for one in learners
    ]


def test_a_cohort_gives_the_bits_of_each_trained_alone(lone_engine: Engine) -> None:
    together = cohort()
    shared = batches(together[0].network.genome, 20)
    rates = torch.linspace(0.001, 0.01, 60).reshape(20, 3)
    losses = lone_engine.train_steps(together, shared, rates)
    for place, alone in enumerate(cohort()):
        own = lone_engine.train_steps([alone], shared, rates[:, place : place + 1])
        assert own[:, 0].numpy().tobytes() == losses[:, place].numpy().tobytes()
        assert bits([alone]) == bits([together[place]])


def test_what_is_not_a_number_stays_with_its_learner(engine: Engine) -> None:
    sound, struck = cohort(), cohort()
    shared = batches(sound[0].network.genome, 10)
    rates = torch.full((10, 3), 0.003)
    expected = engine.train_steps(sound, shared, rates)
    with torch.no_grad():
        struck[1].network.weights(1)[0] = math.nan
    losses = engine.train_steps(struck, shared, rates)
    assert losses[:, 1].isnan().all()
    assert losses[:, [0, 2]].numpy().tobytes() == expected[:, [0, 2]].numpy().tobytes()
    assert bits([struck[0], struck[2]]) == bits([sound[0], sound[2]])


def test_evaluation_counts_every_sample_once(engine: Engine) -> None:
    network = build_network(genome(24, [16, 8], 5, 0.3), 0)
    parts = [data(24, 5, size, seed) for seed, size in enumerate((7, 7, 1, 3))]
    inputs, labels = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    output = logits(matrices(network), "relu", inputs)
    log_sums = np.log(np.exp(output).sum(1))
    before = network.values.detach().clone()
    accuracy, loss, count = engine.evaluate(network, iter(parts))
    assert count == 18
    assert accuracy == (output.argmax(1) == labels).mean()
    assert loss == pytest.approx((log_sums - output[range(18), labels]).mean(), rel=1e-6)
    assert torch.equal(network.values, before)
    assert network.values.grad is None


def test_engines_agree_over_a_hundred_steps() -> None:
    """Same numbers up to rounding: which engine trains is no part of the method."""
    shape = genome(64, [48, 32], 10, 0.2)
    ends = {}
    for name in ENGINES:
        one = learner(shape)
        losses = make_engine(name).train_steps(
            [one], batches(shape, 100), torch.full((100, 1), 0.001)
        )
        ends[name] = (losses, one.network.values.detach())
    first = ends.pop("dense")
    for losses, values in ends.values():
        torch.testing.assert_close(losses, first[0], rtol=1e-4, atol=0)
        torch.testing.assert_close(values, first[1], rtol=0, atol=1e-4)
