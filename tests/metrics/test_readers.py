"""Readers against the mutual information of labels and Gaussian classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from torch import Tensor
from torch.nn import functional

from structure_net.metrics import Reading, Undetermined, read_labels
from structure_net.metrics.readers import PENALTY, LinearReader, MlpReader, ReaderName


def reading(x: np.ndarray, y: np.ndarray, reader: ReaderName = "linear") -> Reading:
    generator = np.random.default_rng(0)
    found = read_labels(torch.from_numpy(x), torch.from_numpy(y), generator, reader)
    assert isinstance(found, Reading)
    return found


@pytest.mark.parametrize(("mean", "truth"), [(0.5, 0.1114), (1.0, 0.3368), (2.0, 0.6327)])
def test_two_gaussian_classes(mean: float, truth: float) -> None:
    generator, found = np.random.default_rng(1), []
    for _ in range(10):
        y = generator.integers(0, 2, 2048)
        found.append(reading(generator.standard_normal((2048, 1)) + mean * (2 * y[:, None] - 1), y))
    assert -0.02 <= np.mean([one.raw for one in found]) - truth <= 0.01
    # The errors stated are those seen between draws, as far as ten draws tell.
    seen = np.std([one.raw for one in found], ddof=1)
    assert 0.4 < np.mean([one.standard_error for one in found]) / seen < 2.5


def test_ten_classes_in_sixteen_dimensions() -> None:
    generator = np.random.default_rng(2)
    means = 0.7 * generator.standard_normal((10, 16))

    def drawn(samples: int) -> tuple[np.ndarray, np.ndarray]:
        y = generator.integers(0, 10, samples)
        return generator.standard_normal((samples, 16)) + means[y], y

    x, y = drawn(400_000)
    scores = x @ means.T - 0.5 * np.square(means).sum(1)
    likely = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    truth = np.log(10) + likely[np.arange(len(y)), y].mean()
    found = [reading(*drawn(2048)) for _ in range(10)]
    assert -0.08 <= np.mean([one.raw for one in found]) - truth <= 0.03
    assert found[0].efficiency == found[0].clipped / found[0].label_entropy
    bayes = (likely.argmax(1) == y).mean()
    assert np.mean([one.accuracy for one in found]) == pytest.approx(bayes, abs=0.03)


@pytest.mark.parametrize("reader", ["linear", "mlp"])
def test_independent_labels_tell_nothing(reader: ReaderName) -> None:
    generator = np.random.default_rng(3)
    x, y = generator.standard_normal((2048, 16)), generator.integers(0, 10, 2048)
    found = reading(x, y, reader)
    assert found.raw < 0
    assert found.clipped <= 0.01


def test_only_the_reader_with_units_sees_exclusive_or() -> None:
    x = np.random.default_rng(4).standard_normal((2048, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    assert reading(x, y).clipped < 0.02
    assert reading(x, y, "mlp").clipped > 0.55


def test_slopes_are_those_of_finite_differences() -> None:
    generator, model = np.random.default_rng(5), MlpReader()
    x = torch.from_numpy(generator.standard_normal((30, 4)))
    targets = torch.eye(3, dtype=torch.double)[torch.from_numpy(generator.integers(0, 3, 30))]
    point = model.start(4, 3, generator)
    point = point + 0.3 * generator.standard_normal(len(point))

    def loss(at: np.ndarray) -> float:
        return model.loss(torch.from_numpy(at), x, targets)[0]

    _, slopes = model.loss(torch.from_numpy(point), x, targets)
    assert slopes.numpy() == pytest.approx(approx_fprime(point, loss, 1e-7), abs=1e-5)


def test_the_linear_reader_is_one_regression_for_each_fold() -> None:
    """Each standardised by, and trained on, the other folds: torch's loss and derivatives."""
    generator = np.random.default_rng(8)
    features = torch.from_numpy(50 + generator.standard_normal((103, 4)) * [1, 30, 0, 0.1])
    numbers, folds = torch.arange(103) % 3, torch.from_numpy(generator.integers(0, 5, 103))
    model = LinearReader(features, numbers, 3, folds)
    point = generator.standard_normal(5 * 5 * 3)
    weights = torch.from_numpy(point).view(5, 5, 3).requires_grad_()
    loss = 0.5 * PENALTY * weights.square().sum()
    for fold in range(5):
        kept = folds != fold
        deviation, mean = torch.std_mean(features[kept], 0)
        x = (features - mean) / torch.where(deviation > 0, deviation, 1.0)
        logits = x @ weights[fold, :-1] + weights[fold, -1]
        loss = loss + functional.cross_entropy(logits[kept], numbers[kept])
        found = model.logits(point)[fold].t().double()
        assert torch.allclose(found, logits.detach(), atol=1e-4)
    torch.autograd.backward(loss)
    value, slope = model.objective(point)
    assert weights.grad is not None
    assert value == pytest.approx(float(loss.detach()), rel=1e-6)
    assert slope == pytest.approx(weights.grad.flatten().numpy(), abs=1e-5)


def test_scale_and_a_turned_order_of_labels_change_nothing() -> None:
    generator = np.random.default_rng(6)
    y = generator.integers(0, 3, 600)
    x = generator.standard_normal((600, 2)) + y[:, None]
    expected = reading(x, y).raw
    assert reading(1000 * x - 5, y).raw == pytest.approx(expected, abs=1e-4)
    # Class numbers are names: gaps between them are no classes.
    assert reading(x, 7 * y + 2).raw == pytest.approx(expected, abs=1e-9)


def test_a_class_of_two_samples_is_read_without_harm() -> None:
    generator = np.random.default_rng(7)
    y = np.r_[np.zeros(150, np.int64), np.ones(148, np.int64), [2, 2]]
    found = reading(generator.standard_normal((300, 3)) + y[:, None], y)
    assert np.isfinite([found.raw, found.standard_error]).all()
    assert 0 < found.clipped < found.label_entropy


def test_one_class_or_no_feature_is_undetermined() -> None:
    def read(x: Tensor, y: Tensor) -> Reading | Undetermined:
        return read_labels(x, y, np.random.default_rng(0))

    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    assert isinstance(read(x, torch.zeros(100, dtype=torch.long)), Undetermined)
    assert isinstance(read(x[:, :0], torch.arange(100) % 2), Undetermined)
