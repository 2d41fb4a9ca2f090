"""Batches: each sample at most once, the same for everyone, mirrored and scaled as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from structure_net.datasets import Dataset, Split, load, split
from structure_net.engine import Batch, Batches, BatchPlan

COUNT, CONSTANT_CHANNEL = 184, 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Random pictures of 3 channels, 4 x 6; the last channel and one corner never change."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (COUNT, 3, 4, 6), dtype=np.uint8)
    images[:, CONSTANT_CHANNEL] = 77
    images[:, 0, 0, 0] = 5
    folder = tmp_path_factory.mktemp("pictures")
    labels = np.arange(COUNT) % 10
    tests = {"x_test": images[:20], "y_test": labels[:20]}
    np.savez(folder / "p.npz", x_train=images, y_train=labels, **tests)
    return load(str(folder / "p.npz"), cache=folder / "cache")


@pytest.fixture(scope="module")
def parts(pictures: Dataset) -> Split:
    return split(pictures, 0.2, 5)


def batches_of(
    dataset: Dataset, parts: Split, augmentation: str = "none", size: int = 16, seed: int = 5
) -> Batches:
    return Batches(dataset, parts, BatchPlan(seed, size, augmentation), "cpu")


def expected_inputs(dataset: Dataset, parts: Split) -> np.ndarray:
    """All samples [n, *shape] standardised by the training part, in float64."""
    values = dataset.images.astype(np.float64) / dataset.scale
    axes = (0, *range(2, values.ndim))
    mean = values[parts.train].mean(axis=axes, keepdims=True)
    deviation = values[parts.train].std(axis=axes, keepdims=True)
    return (values - mean) / np.where(deviation < 1e-8, 1.0, deviation)


class Samples:
    """Tells which sample an input is, and whether it is mirrored."""

    def __init__(self, dataset: Dataset, parts: Split) -> None:
        plain = expected_inputs(dataset, parts)
        self.count = len(plain)
        both = np.concatenate([plain, plain[..., ::-1]]).reshape(2 * self.count, -1)
        self.known = torch.from_numpy(both).float()

    def named(self, inputs: torch.Tensor) -> list[tuple[int, bool]]:
        gaps = torch.cdist(inputs, self.known, p=1.0).min(dim=1)
        assert gaps.values.max() < 1e-3
        return [(int(n) % self.count, int(n) >= self.count) for n in gaps.indices]


@pytest.fixture(scope="module")
def samples(pictures: Dataset, parts: Split) -> Samples:
    return Samples(pictures, parts)


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(left, right)
        for one, other in zip(first, second, strict=True)
        for left, right in zip(one, other, strict=True)
    )


def test_each_sample_at_most_once_and_no_partial_batch(
    pictures: Dataset, parts: Split, samples: Samples
) -> None:
    batches = batches_of(pictures, parts)
    found = list(batches.epoch(0, 0))
    assert len(found) == batches.steps == len(parts.train) // 16
    assert all(inputs.shape == (16, 72) and labels.shape == (16,) for inputs, labels in found)
    seen = [number for inputs, _ in found for number, _ in samples.named(inputs)]
    assert len(seen) == len(set(seen)) == 16 * batches.steps
    assert set(seen) <= set(parts.train.tolist())
    labels = torch.cat([labels for _, labels in found]).tolist()
    assert labels == [number % 10 for number in seen]


def test_over_epochs_every_training_sample_comes_up(
    pictures: Dataset, parts: Split, samples: Samples
) -> None:
    batches = batches_of(pictures, parts)
    seen = {
        number
        for epoch in range(12)
        for inputs, _ in batches.epoch(0, epoch)
        for number, _ in samples.named(inputs)
    }
    assert seen == set(parts.train.tolist())


def test_run_generation_and_epoch_decide_and_nothing_else(pictures: Dataset, parts: Split) -> None:
    one, other = (batches_of(pictures, parts, "flip") for _ in range(2))
    reference = list(one.epoch(2, 3))
    list(other.epoch(0, 0))
    list(other.validation())
    assert equal(list(other.epoch(2, 3)), reference)
    assert equal(list(one.epoch(2, 3)), reference)
    elsewhere = batches_of(pictures, parts, "flip", seed=6)
    for changed in (other.epoch(2, 4), other.epoch(3, 3), elsewhere.epoch(2, 3)):
        assert not equal(list(changed), reference)


def test_flip_mirrors_the_width_of_half_the_images_and_changes_nothing_else(
    pictures: Dataset, parts: Split, samples: Samples
) -> None:
    plain, flipping = (batches_of(pictures, parts, name) for name in ("none", "flip"))
    mirrored = []
    for epoch in range(4):
        pairs = zip(plain.epoch(0, epoch), flipping.epoch(0, epoch), strict=True)
        for (inputs, labels), (turned, same_labels) in pairs:
            named, turned_named = samples.named(inputs), samples.named(turned)
            assert [number for number, _ in named] == [number for number, _ in turned_named]
            assert not any(flipped for _, flipped in named)
            assert torch.equal(labels, same_labels)
            mirrored.append([flipped for _, flipped in turned_named])
    share = np.mean(mirrored)
    # Five standard deviations of a fair coin.
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(np.size(mirrored))
    assert mirrored[0] != mirrored[1]


def test_stored_images_are_never_changed(pictures: Dataset, parts: Split) -> None:
    before = np.array(pictures.images)
    for _ in batches_of(pictures, parts, "flip").epoch(0, 0):
        pass
    np.testing.assert_array_equal(pictures.images, before)


def test_validation_is_whole_in_order_apart_and_never_augmented(
    pictures: Dataset, parts: Split, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("structure_net.engine.batches.EVALUATION_BATCH", 20)
    batches = batches_of(pictures, parts, "flip")
    for _ in range(2):
        found = list(batches.validation())
        assert [len(labels) for _, labels in found] == [20, 17]
        named = [name for inputs, _ in found for name in samples.named(inputs)]
        assert named == [(number, False) for number in parts.validation.tolist()]
        labels = torch.cat([labels for _, labels in found]).tolist()
        assert labels == [number % 10 for number, _ in named]
    assert not set(parts.validation.tolist()) & set(parts.train.tolist())


@pytest.mark.parametrize("name", ["pictures", "digits"])
def test_the_training_part_is_standardised_by_channel(name: str, pictures: Dataset) -> None:
    dataset = pictures if name == "pictures" else load("digits")
    parts = split(dataset, 0.2, 5)
    found = batches_of(dataset, parts).standardise(dataset.images[parts.train])
    channels = found.double().numpy().reshape(len(parts.train), dataset.shape[0], -1)
    for channel in range(dataset.shape[0]):
        if name == "pictures" and channel == CONSTANT_CHANNEL:
            assert np.abs(channels[:, channel]).max() < 1e-6
        else:
            assert abs(channels[:, channel].mean()) < 1e-4
            assert abs(channels[:, channel].std() - 1.0) < 1e-4


def test_a_table_is_standardised_by_column(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    table = generator.standard_normal((90, 5)).astype(np.float32) * [1, 10, 0.01, 0, 3] + 2
    np.savez(tmp_path / "t.npz", x_train=table.astype(np.float32), y_train=np.arange(90) % 3)
    dataset = load(str(tmp_path / "t.npz"), cache=tmp_path / "cache")
    parts = split(dataset, 0.2, 0)
    batches = batches_of(dataset, parts)
    found = batches.standardise(dataset.images[parts.train]).double().numpy()
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(0), [1, 1, 1, 0, 1], atol=1e-4)
    assert batches.usable_inputs().tolist() == [True, True, True, False, True]


def test_usable_inputs_are_those_that_change_in_the_training_part(
    pictures: Dataset, parts: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("structure_net.engine.batches.ROWS_AT_ONCE", 7)
    own = pictures.images[parts.train].reshape(len(parts.train), -1)
    expected = [len(set(column.tolist())) > 1 for column in own.T]
    assert batches_of(pictures, parts).usable_inputs().tolist() == expected
    assert expected.count(False) == 24 + 1
