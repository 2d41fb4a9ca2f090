"""Starting weights: exact row norms, gains by quadrature, a signal that lasts ten layers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from structure_net.genome import ACTIVATIONS, Activation
from structure_net.networks import GAIN_SQUARED, build_network
from tests.networks.reference import PHI, genome, matrices, random_genome


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gains_keep_the_second_moment_of_a_normal_variable(activation: Activation) -> None:
    phi = PHI[activation]
    kept, _ = integrate.quad(
        lambda z: float(phi(z)) ** 2 * stats.norm.pdf(z), -12, 12, points=[0], epsabs=1e-10
    )
    assert GAIN_SQUARED[activation] == pytest.approx(1.0 / kept, abs=1e-3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_row_has_exactly_the_gain_of_its_sources(activation: Activation) -> None:
    for seed in range(20):
        drawn = random_genome(np.random.default_rng([1, seed]))
        layers = matrices(build_network(drawn.model_copy(update={"activation": activation}), seed))
        for index, (weights, biases) in enumerate(layers):
            at_the_ends = index in (0, len(layers) - 1)
            gain = 1.0 if at_the_ends else GAIN_SQUARED[activation]
            np.testing.assert_allclose((weights**2).sum(1), gain, rtol=0, atol=1e-6)
            assert not biases.any()


# A fan-in of 5 leaves the smooth, unbounded activations to chance: their second moment drifts away
# from 1 on either side, where that of relu has no preferred value.
@pytest.mark.parametrize(
    ("activation", "density"),
    [("relu", 0.02), ("relu", 0.05), ("leaky_relu", 0.02), ("tanh", 0.02)]
    + [(activation, density) for activation in ACTIVATIONS for density in (0.1, 1.0)],
)
def test_the_signal_lasts_through_ten_layers(activation: Activation, density: float) -> None:
    inputs = np.random.default_rng(0).standard_normal((512, 256))
    network = build_network(genome(256, [256] * 10, 10, density, activation), 0)
    h = inputs
    for weights, biases in matrices(network)[:-1]:
        z = h @ weights.T + biases
        assert 0.4 <= (z**2).mean() <= 2.5
        h = PHI[activation](z)


def test_signs_are_even_and_rows_differ() -> None:
    weights = matrices(build_network(genome(100, [400], 5, 0.5), 3))[0][0]
    drawn = weights[weights != 0]
    assert abs((drawn > 0).mean() - 0.5) < 0.01
    assert stats.kstest(drawn / drawn.std(), "norm").pvalue > 0.001
