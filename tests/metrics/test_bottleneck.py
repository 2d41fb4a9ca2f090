"""A planted narrow layer is the bottleneck."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from structure_net.metrics import METRICS, Measurement, Undetermined, probe
from structure_net.metrics.bottleneck import _ranks
from structure_net.networks import build_network
from tests.metrics.tasks import synthetic, trained
from tests.networks.reference import genome


def measured(hidden: list[int], seed: int, steps: int, count: int = 2048) -> Measurement:
    inputs, labels = synthetic(seed, 4096)
    network = build_network(genome(20, hidden, 10, 0.3), seed)
    trained(network, inputs, labels, steps)
    seen = probe(network, inputs[:count], labels[:count], 10, path=(seed,))
    return METRICS.get("bottleneck_index").measure(seen)


def test_the_narrow_layer_is_lowest() -> None:
    """64-4-64: alone at the lowest index in 9 of 10 seeds at least; every other one is trained."""
    found = [measured([64, 4, 64], seed, 400 * (seed % 2)).layers for seed in range(10)]
    assert sum(narrow < min(first, last) for first, narrow, last in found) >= 9


def test_layers_are_ranked_by_three_signs() -> None:
    told = measured([16, 12, 8], 0, 0)
    signs = [np.array(told.detail[name]) for name in ("information_gain", "directions_kept")]
    signs.append(-np.array(told.detail["square_derivative"]))
    assert told.layers == tuple(sum(stats.rankdata(sign) for sign in signs))
    assert told.total == min(told.layers)
    assert told.layers[told.detail["bottleneck"]] == told.total


def test_equal_signs_share_their_ranks() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    assert np.array_equal(_ranks(values), stats.rankdata(values))


@pytest.mark.parametrize(("hidden", "count"), [([], 100), ([8], 100), ([8, 6], 1), ([8, 6], 3)])
def test_too_little_to_rank_is_undetermined(hidden: list[int], count: int) -> None:
    assert isinstance(measured(hidden, 0, 0, count).total, Undetermined)
