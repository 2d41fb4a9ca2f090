"""The cache: opened fast, prepared once, and the test part out of reach."""

from __future__ import annotations

import dataclasses
import errno
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from structure_net.datasets import Dataset, Places, Source, has_test, load, open_test
from structure_net.datasets.cache import prepare
from structure_net.errors import DataError, TemporaryError
from structure_net.files import cache_root

REPOSITORY = Path(__file__).parents[2]


def test_digits_are_the_published_ones(tmp_path: Path) -> None:
    dataset = load("digits", data_dir=tmp_path / "ignored")
    assert (dataset.shape, dataset.scale, dataset.inputs) == ((1, 8, 8), 16.0, 64)
    assert (dataset.verified, dataset.augmentation) == ("embedded", "none")
    test = open_test(dataset)
    images = np.concatenate([dataset.images, test.images])
    labels = np.concatenate([dataset.labels, test.labels])
    # Counts of the UCI page for the part with 1,797 digits.
    published = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(labels), published)
    assert (images.min(), images.max(), images.dtype) == (0, 16, np.uint8)


def test_a_cached_dataset_opens_in_milliseconds_as_a_read_only_map() -> None:
    directory = load("synthetic-2000").directory
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        opened = Dataset.open(directory)
        assert opened.images.shape == (2000, 3, 32, 32)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.005
    assert isinstance(opened.images, np.memmap)
    assert opened.labels.dtype == np.int64
    for array in (opened.images, opened.labels, load("synthetic-2000", limit_train=50).images):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_pickling_sends_the_folder_not_the_arrays() -> None:
    dataset = load("synthetic-2000", limit_train=100)
    assert len(dataset.images) == 100
    sent = pickle.dumps(dataset)
    assert len(sent) < 1000
    assert pickle.loads(sent) == dataset


def test_nothing_of_the_dataset_names_the_test_part() -> None:
    dataset = load("digits")
    assert has_test(dataset)
    fields = json.dumps(dataclasses.asdict(dataset))
    manifest = Path(dataset.directory, "manifest.json").read_text()
    assert "test" not in fields.replace(str(Path(dataset.directory).parent), "")
    assert "test" not in manifest
    assert not any("test" in name for name in dir(dataset))
    program = (
        "import sys; from structure_net.datasets import Dataset; "
        f"d = Dataset.open({dataset.directory!r}); d.images, d.labels; "
        "print('structure_net.datasets.sealed' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    assert done.stdout.split() == ["False", "False"]


def test_a_copy_without_the_test_part_stays_sealed(tmp_path: Path) -> None:
    folder = Path(load("digits").directory)
    lone = tmp_path / "worker" / "train"
    lone.mkdir(parents=True)
    for file in folder.iterdir():
        (lone / file.name).write_bytes(file.read_bytes())
    dataset = Dataset.open(lone)
    assert not has_test(dataset)
    with pytest.raises(DataError, match="is missing"):
        open_test(dataset)
    with pytest.raises(DataError, match="train part"):
        Dataset.open(folder.parent / "test")


def test_altered_test_labels_are_noticed() -> None:
    dataset = load("digits")
    path = Path(dataset.directory).parent / "test" / "labels.npy"
    labels = np.load(path)
    labels[0] = (labels[0] + 1) % 10
    np.save(path, labels)
    with pytest.raises(DataError, match="not what was stored"):
        open_test(dataset)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"part": "train"}', '{"part": "train", "name": 3}', "[" * 9999]
)
def test_a_damaged_manifest_is_a_data_error(text: str) -> None:
    directory = load("digits").directory
    Path(directory, "manifest.json").write_text(text)
    with pytest.raises(DataError, match="manifest"):
        Dataset.open(directory)


def test_a_cut_array_is_a_data_error() -> None:
    dataset = load("digits")
    path = Path(dataset.directory, "images.npy")
    for keep in (2000, 50, 0):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match=r"images\.npy cannot be read"):
            _ = Dataset.open(dataset.directory).images


def test_the_cache_folder_is_argument_then_variable_then_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_root(tmp_path) == tmp_path
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("STRUCTURE_NET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_root() == Path("/x/structure_net")


TWICE = """
import sys, time
from pathlib import Path
import numpy as np
from structure_net.datasets import Source
from structure_net.datasets.cache import prepare

def chunks():
    with open(sys.argv[2], "a") as log:
        log.write("read\\n")
    time.sleep(0.7)
    yield np.arange(80, dtype=np.uint8).reshape(20, 4), np.arange(20) % 2

print(prepare(Source("twice", "same", "twice", chunks), Path(sys.argv[1])))
"""


def test_two_processes_at_once_read_the_source_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", TWICE, str(tmp_path / "c"), str(log)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        for _ in range(2)
    ]
    places = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(places) == 1
    assert log.read_text() == "read\n"


def test_another_default_augmentation_is_not_taken_from_what_was_prepared(tmp_path: Path) -> None:
    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.arange(80, dtype=np.uint8).reshape(20, 4), np.arange(20) % 2

    for augmentation in ("none", "mixup"):
        source = Source("s", "same", "same", chunks, augmentation=augmentation)
        assert Dataset.open(prepare(source, tmp_path)).augmentation == augmentation


def test_a_source_that_fails_leaves_nothing_and_leftovers_are_swept(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.zeros((4, 2), np.uint8), np.arange(4) % 2
        raise DataError("cut short")

    def sound() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.zeros((4, 2), np.uint8), np.arange(4) % 2

    with pytest.raises(DataError, match="cut short"):
        prepare(Source("one", "id", "one", broken), tmp_path)
    root = tmp_path / "datasets"
    assert [path.suffix for path in root.iterdir()] == [".lock"]
    (key,) = (path.stem for path in root.glob("*.lock"))
    (root / f".{key}.99").mkdir()
    (root / f".{key}.99" / "rest").write_text("of a killed process")
    prepare(Source("one", "id", "one", sound), tmp_path)
    assert sorted(path.name for path in root.iterdir()) == [key, f"{key}.lock"]


def test_a_full_disk_is_temporary_and_a_file_in_the_way_is_not(tmp_path: Path) -> None:
    def full() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    with pytest.raises(TemporaryError, match="disk is full"):
        prepare(Source("one", "id", "one", full), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="STRUCTURE_NET_CACHE"):
        load("digits", cache=tmp_path / "file")


def test_synthetic_data_are_the_same_everywhere_and_learnable(tmp_path: Path) -> None:
    one, two = (load("synthetic-2000", cache=tmp_path / name) for name in "ab")
    assert one.train_hash == two.train_hash
    assert (one.verified, one.name, len(one)) == ("synthetic", "synthetic-2000", 2000)
    test = open_test(one)
    means = np.stack([one.images[one.labels == k].mean(axis=0).ravel() for k in range(10)])
    values = test.images.reshape(len(test.labels), -1).astype(np.float64)
    scores = values @ means.T - 0.5 * (means**2).sum(axis=1)  # nearest mean
    assert (scores.argmax(axis=1) == test.labels).mean() > 0.9
    for wrong in ("synthetic-3", "synthetic-99999999"):
        with pytest.raises(DataError, match="possible"):
            load(wrong)


def test_a_registered_name_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from structure_net.datasets import datasets

    monkeypatch.setattr(datasets, "_members", dict(datasets._members))

    @datasets.register("xor")
    def xor(places: Places) -> Source:
        del places
        x = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (10, 1))
        labels = (x[:, 0] != x[:, 1]).astype(np.int64)
        return Source("xor", "1", "xor", lambda: iter([(x, labels)]))

    assert len(load("XOR")) == 32
    assert {"digits", "cifar10", "synthetic-cifar"} <= set(datasets)
