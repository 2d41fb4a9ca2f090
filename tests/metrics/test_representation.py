"""Ranks against constructed spectra; similarity against its definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from structure_net.errors import UsageError
from structure_net.metrics import (
    METRICS,
    Similarity,
    Undetermined,
    effective_rank_of,
    linear_cka,
    participation_ratio_of,
    probe,
    variances_of,
)
from structure_net.networks import build_network
from tests.networks.reference import genome


def orthonormal(samples: int, columns: int) -> Tensor:
    """Orthonormal columns of mean zero."""
    drawn = np.random.default_rng(0).standard_normal((samples, columns))
    return torch.from_numpy(np.linalg.qr(drawn - drawn.mean(axis=0))[0])


def alike(first: Tensor, second: Tensor) -> Similarity:
    found = linear_cka(first, second)
    assert isinstance(found, Similarity)
    return found


def normals(*shape: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize(("samples", "columns"), [(200, 17), (40, 39)])
def test_orthonormal_columns_fill_as_many_directions(samples: int, columns: int) -> None:
    variances = variances_of(3.0 + 5.0 * orthonormal(samples, columns))
    assert effective_rank_of(variances) == pytest.approx(columns, abs=1e-9)
    assert participation_ratio_of(variances) == pytest.approx(columns, abs=1e-9)


@pytest.mark.parametrize("units", [20, 300])
def test_one_direction(units: int) -> None:
    variances = variances_of(normals(100, 1) @ normals(1, units, seed=2))
    assert effective_rank_of(variances) == pytest.approx(1.0, abs=1e-9)
    assert participation_ratio_of(variances) == pytest.approx(1.0, abs=1e-9)


def test_ranks_of_a_known_spectrum() -> None:
    sizes = torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.double)
    variances = variances_of(orthonormal(60, 4) * sizes @ orthonormal(30, 4).T)
    shares = sizes / 8
    assert effective_rank_of(variances) == pytest.approx(
        float((-shares * shares.log()).sum().exp()), abs=1e-9
    )
    assert participation_ratio_of(variances) == pytest.approx(22**2 / 274, abs=1e-9)


def test_a_constant_signal_has_no_rank() -> None:
    variances = variances_of(torch.ones(30, 4))
    assert isinstance(effective_rank_of(variances), Undetermined)
    assert isinstance(participation_ratio_of(variances), Undetermined)


def test_turning_scaling_and_shifting_keep_the_similarity_at_one() -> None:
    x = normals(300, 12)
    turned = x @ torch.linalg.qr(normals(12, 12, seed=3)).Q
    assert alike(x, 7.0 * turned - 2.0).value == pytest.approx(1.0, abs=1e-9)


def test_independent_signals_are_within_three_errors_of_zero() -> None:
    for seed in range(10):
        found = alike(normals(1024, 50, seed=seed), normals(1024, 80, seed=100 + seed))
        assert found.standard_error is not None
        assert abs(found.value) <= 3 * found.standard_error


def test_similarity_is_symmetric_and_that_of_its_definition() -> None:
    x = normals(90, 6)
    y = x[:, :4].relu() + 0.5 * normals(90, 4, seed=4)
    found = alike(x, y)
    assert found.value == pytest.approx(alike(y, x).value, abs=1e-12)
    assert found.value == pytest.approx(by_definition(x.numpy(), y.numpy()), abs=1e-12)
    left_out = [
        by_definition(x.numpy()[kept], y.numpy()[kept])
        for kept in (np.arange(90) % 20 != group for group in range(20))
    ]
    spread = np.sqrt(19 / 20 * np.square(left_out - np.mean(left_out)).sum())
    assert found.standard_error == pytest.approx(spread, abs=1e-12)


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n, ones = len(k), np.ones(len(k))
        return float(
            np.trace(k @ m)
            + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (ones @ k @ m @ ones)
        ) / (n * (n - 3))

    kernels = [side @ side.T for side in (x, y)]
    for kernel in kernels:
        np.fill_diagonal(kernel, 0.0)
    k, m = kernels
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_similarity_needs_the_same_samples_and_signals_that_vary() -> None:
    with pytest.raises(UsageError, match="not on 30 and 40"):
        linear_cka(normals(30, 3), normals(40, 3))
    assert isinstance(linear_cka(normals(30, 3), torch.ones(30, 2)), Undetermined)
    assert isinstance(linear_cka(normals(3, 3), normals(3, 2)), Undetermined)
    assert alike(normals(30, 3), normals(30, 3)).standard_error is None


def test_the_metrics_of_a_network_are_those_of_its_signals() -> None:
    network = build_network(genome(20, [16, 12], 5, 0.4), 3)
    labels = torch.arange(150) % 5
    seen = probe(network, normals(150, 20).float(), labels, 5, path=("test",))
    signals = [seen.layers[0].inputs, *(layer.activations for layer in seen.layers)]
    ranks = METRICS.get("effective_rank").measure(seen)
    expected = [effective_rank_of(variances_of(signal)) for signal in signals[1:3]]
    assert ranks.layers == pytest.approx(expected, rel=1e-9)
    assert ranks.total == min(ranks.layers)
    assert ranks.detail["share_of_width"] == pytest.approx(
        [expected[0] / 16, expected[1] / 12], rel=1e-9
    )
    ratios = METRICS.get("participation_ratio").measure(seen)
    assert ratios.layers == pytest.approx(
        [participation_ratio_of(variances_of(signal)) for signal in signals[1:3]], rel=1e-9
    )
    similar = METRICS.get("linear_cka").measure(seen)
    pairs = pairwise(signals)
    assert similar.layers == pytest.approx([alike(*pair).value for pair in pairs], abs=1e-9)
    assert similar.total == pytest.approx(np.mean(similar.layers))
