"""Splits are stratified partitions; statistics agree with the closed form."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structure_net.datasets import load, open_test, split, standardisation
from structure_net.datasets.splits import held_out, limited
from structure_net.errors import DataError


def _labelled(counts: list[int]) -> Any:
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(0).shuffle(labels)
    return SimpleNamespace(labels=labels, name="made up")


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=12),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_a_stratified_partition(counts: list[int], fraction: float, seed: int) -> None:
    made = _labelled([*counts, 5])
    parts = split(made, fraction, seed)
    together = np.concatenate([parts.train, parts.validation])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(made.labels)))
    assert parts.train.dtype == parts.validation.dtype == np.int64
    for number, count in enumerate([*counts, 5]):
        own = int((made.labels[parts.validation] == number).sum())
        if count == 1:
            assert own == 0
        else:
            assert 1 <= own <= count - 1
    again = split(made, fraction, seed)
    np.testing.assert_array_equal(parts.train, again.train)


def test_shares_are_exact_where_they_can_be() -> None:
    made = _labelled([500] * 10)
    parts = split(made, 0.1, 3)
    np.testing.assert_array_equal(np.bincount(made.labels[parts.validation]), np.full(10, 50))
    assert not np.array_equal(parts.validation, split(made, 0.1, 4).validation)
    assert len(held_out(made.labels)) == 1000
    with pytest.raises(DataError, match="between 0 and 1"):
        split(made, 1.0, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.data())
def test_a_limit_is_met_exactly_and_keeps_every_class(
    counts: list[int], data: st.DataObject
) -> None:
    labels = _labelled(counts).labels
    limit = data.draw(st.integers(2 * len(counts), max(2 * len(counts), len(labels))))
    chosen = limited(labels, limit)
    assert len(chosen) == min(limit, len(labels))
    assert set(labels[chosen]) == set(labels)


def test_a_limited_dataset_is_a_fixed_subset() -> None:
    whole, few = load("digits"), load("digits", limit_train=100)
    assert (len(few), few.limit, few.images.shape) == (100, 100, (100, 1, 8, 8))
    assert few.train_hash == whole.train_hash
    assert load("digits", limit_train=10**6).limit is None
    rows = {image.tobytes() for image in whole.images}
    assert all(image.tobytes() in rows for image in few.images)
    np.testing.assert_array_equal(few.images, load("digits", limit_train=100).images)
    np.testing.assert_array_equal(np.bincount(few.labels), np.full(10, 10))
    with pytest.raises(DataError, match="too small"):
        load("digits", limit_train=19)


@pytest.mark.parametrize(("shape", "kind"), [((5000, 3, 4, 4), np.uint8), ((3000, 7), np.float32)])
def test_standardisation_agrees_with_numpy(shape: tuple[int, ...], kind: type) -> None:
    generator = np.random.default_rng(2)
    images = (generator.integers(0, 256, shape)).astype(kind)
    if kind is np.float32:
        images = images * np.float32(0.001) + np.float32(1000)  # cancellation would show
        images[:, 2] = 4.0
    indices = np.sort(generator.permutation(shape[0])[: shape[0] // 2 + 300])
    scale = 255.0 if kind is np.uint8 else 1.0
    mean, deviation = standardisation(images, scale, indices)
    values = images[indices].astype(np.float64).reshape(len(indices), shape[1], -1) / scale
    np.testing.assert_allclose(mean, values.mean(axis=(0, 2)), rtol=1e-12)
    expected = values.std(axis=(0, 2))
    np.testing.assert_allclose(deviation, np.where(expected < 1e-8, 1, expected), rtol=1e-9)
    assert mean.dtype == deviation.dtype == np.float64
    if kind is np.float32:
        assert deviation[2] == 1.0
    with pytest.raises(DataError):
        standardisation(images, scale, indices[:0])


def test_the_held_out_fifth_of_the_digits_is_fixed(tmp_path: Path) -> None:
    one, two = load("digits", cache=tmp_path / "a"), load("digits", cache=tmp_path / "b")
    assert one.train_hash == two.train_hash
    assert open_test(one).test_hash == open_test(two).test_hash
    assert len(one) + len(open_test(one).labels) == 1797
    assert abs(len(open_test(one).labels) - 1797 / 5) < 1
