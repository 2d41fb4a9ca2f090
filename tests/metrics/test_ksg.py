"""The neighbour estimate against closed forms and a brute-force count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import digamma

from structure_net.errors import UsageError
from structure_net.metrics import Undetermined, ksg
from structure_net.metrics.ksg import ksg_left_out


def value(x: np.ndarray, y: np.ndarray) -> float:
    found = ksg(x, y)
    assert isinstance(found, float)
    return found


def close(found: list[float], truth: float) -> bool:
    return abs(float(np.mean(found)) - truth) <= max(0.05, 0.05 * truth)


@pytest.mark.parametrize(
    ("columns", "rho", "truth"),
    [(1, 0.0, 0.0), (1, 0.75, 0.413), (1, 0.99, 1.959), (2, 0.9, 1.661)],
)
def test_correlated_pairs(columns: int, rho: float, truth: float) -> None:
    generator, found = np.random.default_rng(1), []
    for _ in range(10):
        x, noise = generator.standard_normal((2, 2048, columns))
        found.append(value(x, rho * x + math.sqrt(1 - rho**2) * noise))
    assert close(found, truth)


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0, 2.0])
def test_uniform_noise(width: float) -> None:
    generator, found = np.random.default_rng(2), []
    for _ in range(10):
        x = generator.random((2048, 1))
        found.append(value(x, x + generator.uniform(-width, width, (2048, 1))))
    assert close(found, width - math.log(2 * width) if width <= 0.5 else 1 / (4 * width))


def test_a_parabola() -> None:
    generator, found = np.random.default_rng(3), []
    for _ in range(10):
        x = generator.standard_normal((2048, 1))
        found.append(value(x, x**2 + 0.5 * generator.standard_normal((2048, 1))))
    assert close(found, 0.803)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (1, 3), (2, 2)])
def test_counts_are_those_of_brute_force(left: int, right: int) -> None:
    generator = np.random.default_rng(4)
    x, y = generator.standard_normal((200, left)), generator.standard_normal((200, right))
    apart = [np.abs(side[:, None] - side).max(2) for side in (x / x.std(axis=0), y / y.std(axis=0))]
    terms = []
    for one in range(200):
        radius = np.sort(np.maximum(apart[0][one], apart[1][one]))[5]
        counts = [int((side[one] < radius).sum()) - 1 for side in apart]
        terms.append(digamma(counts[0] + 1) + digamma(counts[1] + 1))
    expected = digamma(5) + digamma(200) - np.mean(terms)
    assert value(x, y) == pytest.approx(expected, abs=1e-12)


def test_five_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"at most 4 columns .* 2 \+ 3 came"):
        ksg(np.zeros((100, 2)), np.zeros((100, 3)))


def test_few_constant_or_repeated_points_are_undetermined() -> None:
    x = np.random.default_rng(5).standard_normal((100, 1))
    for left, right in ((x[:5], x[:5]), (np.ones_like(x), x), (x.round(), x.round())):
        assert isinstance(ksg(left, right), Undetermined)


@pytest.mark.parametrize("samples", [60, 500])
def test_left_out_groups_are_left_out(samples: int) -> None:
    generator = np.random.default_rng(6)
    x = generator.standard_normal((samples, 1))
    y = x**2 + 0.5 * generator.standard_normal((samples, 1))
    groups = np.arange(samples) % 20
    # Scaled so that no subset is scaled anew: it is by the deviations of all samples.
    expected = []
    for group in range(20):
        kept = groups != group
        apart = [np.abs(one[kept] - one[kept].T) / one.std() for one in (x, y)]
        radii = np.sort(np.maximum(*apart), axis=1)[:, 5:6]
        counts = [(one < radii).sum(axis=1) for one in apart]
        terms = digamma(counts[0]) + digamma(counts[1])
        expected.append(digamma(5) + digamma(kept.sum()) - terms.mean())
    assert ksg_left_out(x, y) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(ksg_left_out(x.round(), y.round())).all()
