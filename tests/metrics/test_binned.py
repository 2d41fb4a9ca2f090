"""Discrete information against exact tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from structure_net.metrics import binned_information, table_information


def test_a_binary_symmetric_channel() -> None:
    truth = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert truth == pytest.approx(0.3681, abs=5e-5)
    table = np.array([[0.45, 0.05], [0.05, 0.45]])
    assert table_information(table) == pytest.approx(truth, abs=1e-12)
    assert table_information(1000 * table) == pytest.approx(truth, abs=1e-12)


def test_exclusive_or_tells_nothing_by_one_input_and_all_by_both() -> None:
    table = np.zeros((2, 2, 2))
    for a in (0, 1):
        for b in (0, 1):
            table[a, b, a ^ b] = 0.25
    assert table_information(table.sum(axis=0)) == pytest.approx(0.0, abs=1e-12)
    assert table_information(table.sum(axis=1)) == pytest.approx(0.0, abs=1e-12)
    assert table_information(table.reshape(4, 2)) == pytest.approx(math.log(2), abs=1e-12)


def test_the_correction_takes_the_bias_away() -> None:
    generator = np.random.default_rng(0)
    found = [binned_information(*generator.random((2, 500))) for _ in range(10)]
    assert abs(np.mean([one.corrected for one in found])) < 0.02
    assert np.mean([one.uncorrected for one in found]) == pytest.approx(0.08, abs=0.01)
    assert found[0].bins == 10


def test_bins_hold_equally_many_and_follow_the_sample_size() -> None:
    values = np.random.default_rng(1).standard_normal(80)
    found = binned_information(values, values)
    assert found.bins == 4
    assert found.uncorrected == pytest.approx(math.log(4), abs=1e-12)
    # Four bins a side, four cells: (4 + 4 - 4 - 1) / 160.
    assert found.corrected - found.uncorrected == pytest.approx(3 / 160, abs=1e-12)
