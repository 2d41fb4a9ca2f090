"""The Gaussian copula against closed forms, and what must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from structure_net.metrics import Undetermined, copula_information, copula_value
from structure_net.metrics.copula import Scores, resolution


def correlated(
    generator: np.random.Generator, columns: int, rho: float, samples: int
) -> tuple[Tensor, Tensor]:
    """Standard normal pairs of that correlation, column by column."""
    x, noise = generator.standard_normal((2, samples, columns))
    return torch.from_numpy(x), torch.from_numpy(rho * x + math.sqrt(1 - rho**2) * noise)


def value(x: Tensor, y: Tensor) -> float:
    found = copula_value(x, y)
    assert isinstance(found, float)
    return found


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(
    ("columns", "samples"), [(1, 2048), (5, 2048), (16, 2048), (20, 2048), (34, 2048), (64, 4096)]
)
def test_correlated_pairs(columns: int, samples: int, rho: float) -> None:
    generator = np.random.default_rng(columns)
    found = [value(*correlated(generator, columns, rho, samples)) for _ in range(10)]
    truth = -columns / 2 * math.log(1 - rho**2)
    assert np.mean(found) == pytest.approx(truth, abs=max(0.03, 0.03 * truth))


def test_monotone_maps_and_the_order_of_units_change_nothing() -> None:
    generator = np.random.default_rng(1)
    x, y = correlated(generator, 12, 0.7, 2048)
    expected = value(x, y)
    assert value(x**3, y.sinh().asinh().asinh()) == pytest.approx(expected, abs=1e-12)
    order = generator.permutation(12)
    assert value(x[:, order], y[:, order[::-1].copy()]) == pytest.approx(expected, abs=1e-12)
    samples = generator.permutation(2048)
    assert value(x[samples], y[samples]) == pytest.approx(expected, abs=1e-12)


def test_an_invertible_linear_map_of_one_side_keeps_the_information() -> None:
    generator = np.random.default_rng(2)
    x, y = correlated(generator, 8, 0.6, 2048)
    mixing = torch.from_numpy(np.eye(8) + 0.2 * generator.standard_normal((8, 8)))
    truth = -4 * math.log(1 - 0.36)
    assert value(x, y @ mixing) == pytest.approx(truth, abs=0.06 * truth)
    assert value(x, y @ mixing) == pytest.approx(value(x, y), abs=0.02 * truth)


@pytest.mark.parametrize(("columns", "rho"), [(1, 0.5), (5, 0.5)])
def test_the_interval_covers_the_truth(columns: int, rho: float) -> None:
    generator, truth, covered = np.random.default_rng(3), -columns / 2 * math.log(1 - rho**2), 0
    for _ in range(100):
        found = copula_information(*correlated(generator, columns, rho, 2048), generator)
        assert not isinstance(found, Undetermined)
        assert found.distinguishable
        low, high = found.interval
        covered += low <= truth <= high
    assert 88 <= covered <= 99


def test_independent_data_stay_within_the_null() -> None:
    generator, within = np.random.default_rng(4), 0
    for _ in range(100):
        found = copula_information(*correlated(generator, 5, 0.0, 2048), generator)
        assert not isinstance(found, Undetermined)
        within += not found.distinguishable
        assert abs(found.null_mean) < 0.01
    assert within >= 88


@pytest.mark.parametrize("columns", [2, 10, 34])
def test_more_than_the_resolution_is_underestimated_and_less_is_not(columns: int) -> None:
    generator = np.random.default_rng(8)
    turned = np.linalg.qr(generator.standard_normal((columns, columns)))[0]
    x, noise = generator.standard_normal((2, 2048, columns))
    for sigma, resolved in ((0.15, True), (0.02, False)):
        truth = columns / 2 * math.log(1 + sigma**-2)
        found = value(torch.from_numpy(x), torch.from_numpy(x @ turned + sigma * noise))
        assert (found <= resolution(columns, 2048)) == resolved
        assert (found > 0.96 * truth) == resolved


def test_equal_values_share_their_scores() -> None:
    """A shared atom is no dependence; tied by index it would look like one."""
    generator = np.random.default_rng(5)
    x, y = correlated(generator, 2, 0.0, 2048)
    assert abs(value(x.relu(), y.relu())) < 0.01
    rounded = value(*[(20 * one).round() for one in correlated(generator, 2, 0.9, 2048)])
    assert rounded == pytest.approx(-math.log(1 - 0.81), rel=0.06)


def test_ties_do_not_depend_on_the_order_of_samples() -> None:
    generator = np.random.default_rng(6)
    x, y = (one.round() for one in correlated(generator, 3, 0.8, 500))
    order = generator.permutation(500)
    assert value(x[order], y[order]) == pytest.approx(value(x, y), abs=1e-12)


def test_a_column_twice_or_constant_is_undetermined() -> None:
    x, y = correlated(np.random.default_rng(7), 2, 0.5, 300)
    generator = np.random.default_rng(0)
    assert isinstance(copula_information(torch.cat([x, x[:, :1]], 1), y, generator), Undetermined)
    assert isinstance(copula_value(torch.ones_like(x), y), Undetermined)
    assert isinstance(copula_value(x[:4], y[:4]), Undetermined)


@pytest.mark.parametrize("rounded", [False, True])
def test_the_jackknife_is_that_of_ranks_taken_anew(rounded: bool) -> None:
    """Skewed, not only monotone, also with many equal values: first order comes within a tenth."""
    generator = np.random.default_rng(9)
    x, y = correlated(generator, 6, 0.9, 1300)
    y = (y + 0.3 * x[:, :1] ** 2).exp()
    if rounded:
        x, y = x.relu(), (3 * y).round()
    groups = np.arange(1300) % 20
    anew = [value(x[groups != group], y[groups != group]) for group in range(20)]
    found = Scores(x, y).left_out()
    assert np.std(found) == pytest.approx(np.std(anew), rel=0.1)
    assert np.corrcoef(found, anew)[0, 1] > 0.98


def test_the_null_is_that_of_permuted_rows() -> None:
    x, y = correlated(np.random.default_rng(10), 4, 0.5, 300)
    generator = np.random.default_rng(11)
    expected = [value(x, y[generator.permutation(300)]) for _ in range(20)]
    found = Scores(x, y).permuted(np.random.default_rng(11))
    assert found == pytest.approx(expected, abs=1e-10)
