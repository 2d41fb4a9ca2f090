"""Principal components against a full singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from structure_net.metrics.components import centred, components, eigenvalues, smaller_gram


def signal(samples: int, units: int, decay: float, seed: int = 0) -> Tensor:
    """Sixty directions whose deviations fall as rank to the power `decay`, and noise."""
    generator = np.random.default_rng(seed)
    weights = np.arange(1, 61) ** -decay
    few = generator.standard_normal((samples, 60)) * weights
    made = few @ generator.standard_normal((60, units))
    return centred(torch.from_numpy(made + 0.02 * generator.standard_normal(made.shape)).float())


# Complete by samples and by units, Krylov by samples and by units.
@pytest.mark.parametrize("shape", [(300, 500), (500, 300), (1300, 1400), (1400, 1300)])
def test_scores_and_directions_are_those_of_the_decomposition(shape: tuple[int, int]) -> None:
    x = signal(*shape, decay=1.0)
    found = components(x, 8)
    left, sizes, right = torch.linalg.svd(x.double(), full_matrices=False)
    overlap = (found.directions.T @ right[:8].T).diagonal().abs()
    assert overlap.min() > 1 - 1e-5
    agreement = (found.scores.T @ left[:, :8]).diagonal().abs() / sizes[:8]
    assert agreement.min() > 1 - 1e-5
    assert found.captured == pytest.approx(
        float(sizes[:8].square().sum() / sizes.square().sum()), abs=1e-5
    )
    assert torch.allclose(x.double() @ found.directions, found.scores, atol=1e-4)
    assert (found.scores.gather(0, found.scores.abs().argmax(0)[None]) > 0).all()


def test_white_noise_loses_less_than_a_hundredth_of_the_captured_variance() -> None:
    generator = np.random.default_rng(1)
    x = centred(torch.from_numpy(generator.standard_normal((2048, 2100))).float())
    gram = smaller_gram(x.double())
    values = eigenvalues(gram)
    best = float(values[:34].sum() / values.sum())
    assert 0.99 * best < components(x, 34, gram).captured <= best * (1 + 1e-6)


@pytest.mark.parametrize("units", [500, 1300])
def test_no_more_components_than_the_rank(units: int) -> None:
    generator = np.random.default_rng(2)
    few = generator.standard_normal((1300, 5)) @ generator.standard_normal((5, units))
    x = centred(torch.from_numpy(few).float())
    found = components(x, 20)
    assert len(found) == 5
    assert found.captured == pytest.approx(1.0, abs=1e-6)
    gram = found.directions.T @ found.directions
    assert torch.allclose(gram, torch.eye(5, dtype=torch.double), atol=1e-5)


def test_a_constant_signal_has_none() -> None:
    found = components(centred(torch.ones(50, 7)), 4)
    assert len(found) == 0
    assert found.captured == 0.0
    assert found.directions.shape == (7, 0)


@pytest.mark.parametrize("shape", [(700, 600), (600, 700), (1, 5), (5, 1)])
def test_the_smaller_gram_matrix(shape: tuple[int, int]) -> None:
    x = signal(*shape, decay=0.5).double()
    expected = x @ x.T if shape[0] < shape[1] else x.T @ x
    assert torch.allclose(smaller_gram(x), expected, atol=1e-9)
