"""Augmentation: what is drawn, and that images, losses and places of samples follow from it."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional

from structure_net.datasets import Dataset, Split, load, split
from structure_net.engine import (
    ENGINES,
    AdamW,
    Batches,
    BatchPlan,
    Learner,
    StackedEngine,
    make_engine,
)
from structure_net.engine.augmentation import Alterations, EpochDraws
from structure_net.engine.samples import DeviceSamples, HostSamples
from structure_net.errors import UsageError
from structure_net.networks import build_network
from structure_net.schema import Config
from structure_net.seeding import derive
from structure_net.tournament.data_facts import dataset_facts
from tests.networks.reference import genome

SEED, SIZE, COUNT = 5, 16, 120
HEIGHT, WIDTH = 16, 24
DOWN, ACROSS, SIDE = 2, 3, 8  # an eighth of height and width, half of the shorter side
NAMES = ("flip", "crop", "cutout", "mixup")
EVERY = [
    "+".join(chosen) or "none"
    for count in range(len(NAMES) + 1)
    for chosen in itertools.combinations(NAMES, count)
]
EVERY += ["crop1", "flip+crop5+cutout"]
PLENTY = 10**9


def stored(folder: Path, images: np.ndarray) -> Dataset:
    labels = np.arange(len(images)) % 10
    np.savez(folder / "p.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return load(str(folder / "p.npz"), cache=folder / "cache")


@pytest.fixture(scope="module", params=["uint8", "float32"])
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (COUNT, 3, HEIGHT, WIDTH))
    images[:, 1] //= 3
    folder = tmp_path_factory.mktemp("pictures")
    if request.param == "uint8":
        return stored(folder, images.astype(np.uint8))
    return stored(folder, (images / 100.0).astype(np.float32))


@pytest.fixture(scope="module")
def parts(pictures: Dataset) -> Split:
    return split(pictures, 0.2, SEED)


def batches_of(
    dataset: Dataset, parts: Split, augmentation: str, room: int | None = None
) -> Batches:
    return Batches(dataset, parts, BatchPlan(SEED, SIZE, augmentation), "cpu", room)


class SlowImages:
    """One image after the other, one pixel after the other, in float64."""

    def __init__(self, dataset: Dataset, parts: Split, augmentation: str, epoch: int) -> None:
        spelled = augmentation.split("+")
        self.names = [name.rstrip("0123456789") for name in spelled]
        pixels = next((int(name[4:]) for name in spelled if name[:4] == "crop" != name), None)
        down, across = (DOWN, ACROSS) if pixels is None else (pixels, pixels)
        self.values = np.array(dataset.images, dtype=np.float64)
        own = self.values[parts.train]
        self.mean = own.mean(axis=(0, 2, 3))
        self.deviation = own.std(axis=(0, 2, 3))
        whole = dataset.images.dtype == np.uint8
        self.fill = np.round(self.mean) if whole else self.mean
        count, place = len(parts.train), (0, epoch)
        self.order = parts.train[derive(SEED, "batches", *place).permutation(count)]
        self.flips = derive(SEED, "flip", *place).random(count) < 0.5
        reach = ([-down, -across], [down + 1, across + 1])
        self.offsets = derive(SEED, "crop", *place).integers(*reach, size=(count, 2))
        centres = derive(SEED, "cutout", *place).integers(0, [HEIGHT, WIDTH], size=(count, 2))
        self.corners = centres - SIDE // 2
        generator, steps = derive(SEED, "mixup", *place), count // SIZE
        self.shares = generator.beta(0.2, 0.2, steps)
        places = np.tile(np.arange(SIZE), (steps, 1))
        self.partners = generator.permuted(places, axis=1)

    def image(self, at: int) -> np.ndarray:
        """Sample number `at` of the epoch, standardised, before mixing."""
        source = self.values[self.order[at]]
        found = np.zeros_like(source)
        down, right = self.offsets[at] if "crop" in self.names else (0, 0)
        for y, x in np.ndindex(HEIGHT, WIDTH):
            row, column = y + down, x + right
            if 0 <= row < HEIGHT and 0 <= column < WIDTH:
                mirrored = "flip" in self.names and self.flips[at]
                found[:, y, x] = source[:, row, WIDTH - 1 - column if mirrored else column]
            top, left = self.corners[at]
            if "cutout" in self.names and 0 <= y - top < SIDE and 0 <= x - left < SIDE:
                found[:, y, x] = self.fill
        return (found - self.mean[:, None, None]) / self.deviation[:, None, None]


@pytest.mark.parametrize("augmentation", EVERY)
def test_every_combination_gives_the_images_of_a_slow_reference(
    pictures: Dataset, parts: Split, augmentation: str
) -> None:
    slow = SlowImages(pictures, parts, augmentation, 3)
    for number, batch in enumerate(batches_of(pictures, parts, augmentation).epoch(0, 3)):
        here = range(number * SIZE, (number + 1) * SIZE)
        expected = np.stack([slow.image(at).reshape(-1) for at in here])
        labels = slow.order[here.start : here.stop] % 10
        np.testing.assert_array_equal(batch.targets, labels)
        np.testing.assert_array_equal(batch.labels, labels)
        if "mixup" in augmentation:
            assert batch.mixing is not None
            assert batch.raw is None
            share, partners = slow.shares[number], slow.partners[number]
            expected = share * expected + (1 - share) * expected[partners]
            assert batch.mixing.share == share
            np.testing.assert_array_equal(batch.mixing.targets, labels[partners])
        np.testing.assert_allclose(batch.inputs, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("augmentation", EVERY)
def test_samples_on_the_device_give_the_batches_of_samples_on_the_host(
    pictures: Dataset, parts: Split, augmentation: str
) -> None:
    host, device = (batches_of(pictures, parts, augmentation, room) for room in (0, PLENTY))
    assert isinstance(host._samples, HostSamples)
    assert isinstance(device._samples, DeviceSamples)
    pairs = [
        *zip(host.epoch(1, 2), device.epoch(1, 2), strict=True),
        *zip(host.validation(), device.validation(), strict=True),
    ]
    for one, other in pairs:
        assert other.raw is None
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert (one.mixing is None) == (other.mixing is None)
        if one.mixing is not None and other.mixing is not None:
            assert one.mixing.share == other.mixing.share
            assert torch.equal(one.mixing.targets, other.mixing.targets)


def test_samples_move_to_the_device_only_where_they_fit(pictures: Dataset, parts: Split) -> None:
    size = pictures.images.nbytes + pictures.labels.nbytes
    for room, kind in ((None, HostSamples), (size - 1, HostSamples), (size, DeviceSamples)):
        assert type(batches_of(pictures, parts, "none", room)._samples) is kind


def test_gathered_samples_may_be_changed(pictures: Dataset) -> None:
    labels = np.array(pictures.labels)
    for kind in (HostSamples, DeviceSamples):
        samples = kind(pictures.images, labels, torch.device("cpu"))
        rows = samples.located(np.array([3, 1]))
        samples.gather(rows).zero_()
        np.testing.assert_array_equal(samples.gather(rows), pictures.images[[3, 1]])
        assert samples.classes(rows).tolist() == [3, 1]


def test_one_more_part_changes_no_draw_of_the_others() -> None:
    def drawn(augmentation: str) -> Alterations:
        return EpochDraws(SEED, augmentation, (3, 32, 32), SIZE)(100, 6, 2, 1)

    everything = drawn("flip+crop+cutout+mixup")
    for name, field in zip(NAMES, ("flipped", "offsets", "corners", "partners"), strict=True):
        alone = drawn(name)
        assert torch.equal(getattr(alone, field), getattr(everything, field))
        others = {"flipped", "offsets", "corners", "partners"} - {field}
        assert all(getattr(alone, other) is None for other in others)
    assert drawn("mixup").shares == everything.shares


def test_draws_cover_what_they_may_and_nothing_else() -> None:
    steps = 400
    drawn = EpochDraws(SEED, "flip+crop+cutout+mixup", (3, 32, 32), SIZE)(7000, steps, 0, 0)
    assert drawn.flipped is not None
    assert drawn.offsets is not None
    assert drawn.corners is not None
    assert drawn.partners is not None
    assert len(drawn.flipped) == len(drawn.partners) == steps * SIZE
    for axis in range(2):
        assert sorted(set(drawn.offsets[:, axis].tolist())) == list(range(-4, 5))
        assert sorted(set(drawn.corners[:, axis].tolist())) == list(range(-8, 24))
    for batch in drawn.partners.reshape(steps, SIZE):
        assert sorted(batch.tolist()) == list(range(SIZE))
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)), here 0.179.
    assert abs(np.mean(drawn.shares) - 0.5) < 5 * np.sqrt(0.179 / steps)
    assert np.var(drawn.shares) == pytest.approx(1 / (4 * 1.4), rel=0.15)


def test_the_loss_of_a_mixed_batch_is_that_of_its_mixed_classes(
    pictures: Dataset, parts: Split
) -> None:
    logits = torch.randn(SIZE, 10, generator=torch.Generator().manual_seed(0))
    for batch in batches_of(pictures, parts, "mixup").epoch(0, 0):
        assert batch.mixing is not None
        own, theirs = (functional.one_hot(t, 10) for t in (batch.targets, batch.mixing.targets))
        classes = batch.mixing.share * own + (1 - batch.mixing.share) * theirs
        expected = functional.cross_entropy(logits, classes)
        torch.testing.assert_close(batch.wanted(10), classes.t())
        loss = -(logits.log_softmax(1) * batch.wanted(10).t()).sum(1).mean()
        torch.testing.assert_close(loss, expected)
    for batch in batches_of(pictures, parts, "flip").epoch(0, 0):
        assert torch.equal(batch.wanted(10), functional.one_hot(batch.targets, 10).t().float())


def test_validation_is_never_altered(pictures: Dataset, parts: Split) -> None:
    plain, altered = (batches_of(pictures, parts, name) for name in ("none", EVERY[-1]))
    for one, other in zip(plain.validation(), altered.validation(), strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert other.mixing is None


def test_rows_of_numbers_can_be_mixed(tmp_path: Path) -> None:
    table = np.random.default_rng(1).standard_normal((90, 5)).astype(np.float32)
    np.savez(tmp_path / "t.npz", x_train=table, y_train=np.arange(90) % 3)
    dataset = load(str(tmp_path / "t.npz"), cache=tmp_path / "cache")
    parts = split(dataset, 0.2, 0)
    plain, mixed = (batches_of(dataset, parts, name) for name in ("none", "mixup"))
    for one, other in zip(plain.epoch(0, 0), mixed.epoch(0, 0), strict=True):
        assert other.mixing is not None
        assert set(other.mixing.targets.tolist()) <= set(one.targets.tolist())
        assert not torch.equal(one.inputs, other.inputs)
    for name, told in (("flip+mixup", "for flip;"), ("crop+cutout", "for crop and cutout;")):
        with pytest.raises(UsageError, match=told):
            dataset_facts(dataset, Config(augmentation=name))
    assert dataset_facts(dataset, Config(augmentation="mixup")).augmentation == "mixup"


def test_workers_map_the_images_instead_of_copying_them(pictures: Dataset) -> None:
    """One copy a machine: each worker's array is the same file's pages."""
    files = []
    for _ in range(2):
        dataset = pickle.loads(pickle.dumps(pictures))
        samples = batches_of(dataset, split(dataset, 0.2, SEED), "flip")._samples
        assert isinstance(samples.images, np.memmap)
        assert samples.images.mode == "r"
        files.append(samples.images.filename)
    assert files[0] == files[1] == Path(pictures.directory) / "images.npy"
    for batch in batches_of(pictures, split(pictures, 0.2, SEED), "flip").epoch(0, 0):
        assert batch.raw is None or np.shares_memory(batch.raw.images, pictures.images)


@pytest.mark.parametrize("name", [*ENGINES, "stacked"])
def test_every_engine_trains_on_the_mixed_classes(
    pictures: Dataset, parts: Split, name: str
) -> None:
    """Loss and gradient are those of torch with probabilities for classes."""
    network = build_network(genome(3 * HEIGHT * WIDTH, [12], 10, 0.1), 0)
    optimizer = AdamW(network, 0.0, (1e-6, 1e-2))
    batch = next(iter(batches_of(pictures, parts, "flip+mixup").epoch(0, 0)))
    assert batch.mixing is not None
    own, theirs = (functional.one_hot(t, 10) for t in (batch.targets, batch.mixing.targets))
    classes = batch.mixing.share * own + (1 - batch.mixing.share) * theirs
    values = network.values.detach().clone().requires_grad_()
    expected = functional.cross_entropy(
        functional_call(network, {"values": values}, batch.inputs), classes
    )
    (gradient,) = torch.autograd.grad(expected, values)
    engine = StackedEngine() if name == "stacked" else make_engine(name)
    losses = engine.train_steps([Learner(network, optimizer)], [batch], torch.full((1, 1), 1e-3))
    assert float(losses) == pytest.approx(expected.item(), rel=1e-5)
    # The first moment is a tenth of the first gradient.
    torch.testing.assert_close(10 * optimizer.first_moment, gradient, rtol=1e-4, atol=1e-6)
