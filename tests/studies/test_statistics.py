"""Every figure against scipy, a closed form, or brute force."""

from __future__ import annotations

from itertools import product
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from structure_net.errors import UsageError
from structure_net.seeding import derive
from structure_net.studies.statistics import (
    bootstrap,
    compare_pairs,
    holm,
    paired_effect,
    power,
    vargha_delaney,
    wilcoxon,
)


def drawn(seed: int, count: int, shift: float = 0.3) -> list[float]:
    return (derive(seed, "test").standard_normal(count) + shift).tolist()


@pytest.mark.parametrize("count", [10, 11, 15, 24, 25])
@pytest.mark.parametrize("seed", range(5))
def test_small_samples_without_ties_are_exact(count: int, seed: int) -> None:
    values = drawn(seed, count)
    witness = stats.wilcoxon(values, method="exact").pvalue
    assert wilcoxon(values) == pytest.approx(witness, rel=1e-12)


def test_the_exact_p_counts_all_signs() -> None:
    values = drawn(7, 10)
    ranks = stats.rankdata(np.abs(values))
    seen = min(ranks[np.array(values) > 0].sum(), ranks[np.array(values) < 0].sum())
    sums = [float(np.dot(signs, ranks)) for signs in product((0, 1), repeat=10)]
    assert wilcoxon(values) == pytest.approx(min(1.0, 2 * fmean(one <= seen for one in sums)))


@pytest.mark.parametrize("count", [26, 40, 200])
@pytest.mark.parametrize("digits", [0, 1, 6])
def test_larger_samples_and_ties_are_normal_with_corrections(count: int, digits: int) -> None:
    values = [round(value, digits) for value in drawn(count, count)]
    kept = [value for value in values if value]
    witness = stats.wilcoxon(kept, method="asymptotic", correction=True).pvalue
    assert wilcoxon(values) == pytest.approx(witness, rel=1e-9)


def test_ties_in_a_small_sample_are_not_called_exact() -> None:
    values = [1.0, 1.0, -2.0, 3.0, 3.0, 4.0, 5.0, 6.0, -7.0, 8.0, 9.0]
    witness = stats.wilcoxon(values, method="asymptotic", correction=True).pvalue
    assert wilcoxon(values) == pytest.approx(witness, rel=1e-9)


def test_no_difference_at_all_is_no_evidence() -> None:
    assert wilcoxon([0.0] * 12) == 1.0


def test_below_ten_pairs_there_is_no_p() -> None:
    with pytest.raises(UsageError, match="9 pairs"):
        wilcoxon([1.0] * 9)
    few = compare_pairs([1.0, 2.0, 3.0], [0.5, 1.0, 1.0], "few")
    assert few.p is None
    assert few.power is None
    assert few.difference == pytest.approx(3.5 / 3)


def test_differences_that_only_rounding_makes_unequal_are_ties() -> None:
    first = [0.1 + 0.2, 0.3, 0.7, *range(1, 10)]
    second = [0.3, 0.3, 0.7, *range(9)]
    assert compare_pairs(first, second, "ties").p == wilcoxon([0.0] * 3 + [1.0] * 9)


def test_a12_counts_wins_and_half_the_ties() -> None:
    assert vargha_delaney([1, 2, 3], [0, 2, 9]) == pytest.approx(4.5 / 9)
    first, second = drawn(1, 12, 1.0), drawn(2, 9)
    u = stats.mannwhitneyu(first, second).statistic
    assert vargha_delaney(first, second) == pytest.approx(u / (12 * 9))
    assert vargha_delaney(first, first) == pytest.approx(0.5)


def test_the_paired_effect_is_that_of_a_t_test() -> None:
    values = drawn(3, 14)
    t = stats.ttest_1samp(values, 0.0).statistic
    assert paired_effect(values) == pytest.approx(t / np.sqrt(14))
    assert paired_effect([1.0, 1.0, 1.0]) is None
    assert paired_effect([1.0]) is None


@pytest.mark.parametrize("skewed", [False, True])
def test_the_interval_is_the_one_of_scipy(skewed: bool) -> None:
    values = drawn(4, 20)
    if skewed:
        values = [float(np.exp(2 * value)) for value in values]
    low, high = bootstrap(values, "test")
    witness = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    width = witness.high - witness.low
    assert low == pytest.approx(witness.low, abs=0.05 * width)
    assert high == pytest.approx(witness.high, abs=0.05 * width)
    assert bootstrap(values, "test") == (low, high)
    assert bootstrap([0.5], "one") == (0.5, 0.5)
    assert bootstrap([0.5] * 12, "alike") == (0.5, 0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """300 samples of 20: the bootstrap is known to cover a little less than 95 %."""
    inside = 0
    for seed in range(300):
        low, high = bootstrap(drawn(seed, 20, 0.0), f"cover {seed}")
        inside += low <= 0.0 <= high
    assert 0.88 <= inside / 300 <= 0.98


def test_holm_against_a_hand_count() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    ps = [0.001, 0.2, 0.012, 0.04]
    rejected = [step for step, p in enumerate(sorted(ps)) if p > 0.05 / (len(ps) - step)]
    first_kept = rejected[0] if rejected else len(ps)
    assert sum(p < 0.05 for p in holm(ps)) == first_kept


def test_power_is_what_the_protocol_counts_on() -> None:
    assert power(10, 0.8) == pytest.approx(0.58, abs=0.03)
    assert power(15, 0.8) == pytest.approx(0.80, abs=0.03)
    assert power(12, 0.0) < 0.06
