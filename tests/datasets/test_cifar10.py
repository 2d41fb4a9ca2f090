"""CIFAR-10: all forms are one dataset, hostile files run nothing, the network comes last."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import random
import shutil
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from structure_net.datasets import cifar10 as module
from structure_net.datasets import download, load, open_test
from structure_net.datasets.download import Remote, fetch
from structure_net.datasets.pickles import read_batch
from structure_net.errors import DataError

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10"


def test_every_form_gives_the_same_arrays_and_hashes(
    tmp_path: Path, small: dict[str, Any], forms: dict[str, Any], requests: list[str]
) -> None:
    images = np.concatenate([batch[0] for batch in small["train"]])
    labels = np.concatenate([batch[1] for batch in small["train"]])
    hashes = set()
    for name, write in forms.items():
        dataset = load("cifar10", write(tmp_path / name, small))
        np.testing.assert_array_equal(dataset.images, images, err_msg=name)
        np.testing.assert_array_equal(dataset.labels, labels, err_msg=name)
        test = open_test(dataset)
        np.testing.assert_array_equal(test.images, small["test"][0])
        np.testing.assert_array_equal(test.labels, small["test"][1])
        hashes.add((dataset.train_hash, test.test_hash))
        assert (dataset.name, dataset.verified) == ("cifar10", "unverified")
        assert (dataset.shape, dataset.scale, dataset.augmentation) == (
            (3, 32, 32),
            255,
            "flip+crop2",
        )
        assert dataset.classes[2] == "bird"
        assert dataset.inputs == 3072
    assert len(hashes) == 1
    assert not requests


def test_other_test_labels_change_nothing_of_the_training_part(
    tmp_path: Path, small: dict[str, Any], forms: dict[str, Any]
) -> None:
    noise = np.random.default_rng(1).integers(0, 10, 20)
    other = small | {"test": (small["test"][0], noise)}
    for name, write in forms.items():
        one = load("cifar10", write(tmp_path / name, small))
        two = load("cifar10", write(tmp_path / f"{name} again", other))
        assert one.train_hash == two.train_hash
        assert open_test(one).test_hash != open_test(two).test_hash
        for file in sorted(os.listdir(one.directory)):
            assert (
                Path(one.directory, file).read_bytes() == Path(two.directory, file).read_bytes()
            ), (name, file)


def test_known_checksums_name_the_verification(
    tmp_path: Path, small: dict[str, Any], forms: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = forms["binary_archive"](tmp_path / "b", small)
    python = forms["python_folder"](tmp_path / "p", small)
    archive = (binary / module.BINARY_ARCHIVE).read_bytes()
    sums = [
        hashlib.md5((python / "cifar-10-batches-py" / name).read_bytes()).hexdigest()
        for name in module.TRAIN
    ]
    remote = Remote("", 0, hashlib.md5(archive).hexdigest(), "")
    monkeypatch.setattr(module, "REMOTE", remote)
    monkeypatch.setattr(module, "OFFICIAL_BATCHES", tuple(sums))
    assert load("cifar10", binary).verified == "official archive"
    assert load("cifar10", python).verified == "official archive"
    packed = forms["python_archive"](tmp_path / "q", small)
    assert load("cifar10", packed).verified == "official archive"


class _Command:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_calls_a_command_is_refused_before_it_runs(
    tmp_path: Path, protocol: int
) -> None:
    mark = tmp_path / "ran"
    hostile = pickle.dumps({b"data": _Command(mark), b"labels": [1]}, protocol=protocol)
    with pytest.raises(DataError, match="system"):
        read_batch(hostile, 3072, "batch")
    assert not mark.exists()


def test_a_pickle_that_asks_for_memory_is_refused_at_once() -> None:
    huge = b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"."
    memo = b"\x80\x02}r\xff\xff\xff\xff."
    for data in (huge, memo):
        with pytest.raises(DataError):
            read_batch(data, 3072, "batch")


def test_damaged_files_are_errors_or_data_and_never_anything_else(
    tmp_path: Path, small: dict[str, Any], forms: dict[str, Any]
) -> None:
    chance = random.Random(7)
    for name in ("binary_folder", "binary_archive", "python_folder", "python_archive", "parquet"):
        whole = forms[name](tmp_path / name, small)
        for attempt in range(20):
            copy = tmp_path / f"{name} {attempt}"
            shutil.copytree(whole, copy)
            victim = chance.choice(sorted(path for path in copy.rglob("*") if path.is_file()))
            data = bytearray(victim.read_bytes())
            if attempt % 2:
                del data[chance.randrange(len(data)) :]
            else:
                for _ in range(8):
                    data[chance.randrange(len(data))] = chance.randrange(256)
            victim.write_bytes(data)
            with contextlib.suppress(DataError):
                assert len(load("cifar10", copy)) > 0


def test_an_archive_that_decompresses_without_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ARCHIVE_BYTES", 2**20)
    path = tmp_path / "data" / module.BINARY_ARCHIVE
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("padding")
        member.size = 2**24
        archive.addfile(member, io.BytesIO(bytes(2**24)))
    with pytest.raises(DataError, match="more than can be right"):
        load("cifar10", path.parent)


def test_incomplete_and_foreign_data_are_refused(
    tmp_path: Path, small: dict[str, Any], forms: dict[str, Any], parquet_file: Any
) -> None:
    folder = forms["binary_folder"](tmp_path / "b", small) / "cifar-10-batches-bin"
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"lacks data_batch_3\.bin"):
        load("cifar10", tmp_path / "b")
    images = np.zeros((4, 3, 8, 8), np.uint8)
    (tmp_path / "f").mkdir()
    for part in ("train", "test"):
        parquet_file(tmp_path / "f" / f"{part}-0.parquet", images, np.arange(4) % 2)
    with pytest.raises(DataError, match="other data"):
        load("cifar10", tmp_path / "f")
    (tmp_path / "f" / "test-0.parquet").unlink()
    with pytest.raises(DataError, match="no test-"):
        load("cifar10", tmp_path / "f")


def test_a_named_folder_without_cifar10_is_an_error_without_download(
    tmp_path: Path, requests: list[str]
) -> None:
    with pytest.raises(DataError, match=r"holds no CIFAR-10.*cifar-10-binary\.tar\.gz"):
        load("cifar10", tmp_path)
    assert not requests


def test_without_network_the_error_names_every_way(requests: list[str]) -> None:
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        load("cifar10")
    assert time.monotonic() - started < 15
    assert requests == [module.REMOTE.url]
    message = str(caught.value)
    assert "\n" not in message
    for way in ("cifar-10-python.tar.gz", "parquet", "STRUCTURE_NET_DATA", "--data-dir", "digits"):
        assert way in message


def test_the_variable_and_the_cache_are_searched(
    tmp_path: Path,
    small: dict[str, Any],
    forms: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    requests: list[str],
) -> None:
    forms["binary_archive"](tmp_path / "cache" / "downloads", small)
    monkeypatch.setenv("STRUCTURE_NET_DATA", str(tmp_path / "nothing"))
    assert len(load("cifar10")) == 100
    forms["binary_folder"](tmp_path / "named", small)
    monkeypatch.setenv("STRUCTURE_NET_DATA", str(tmp_path / "named"))
    assert len(load("cifar10")) == 100
    assert not requests


def test_a_network_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: time.sleep(1.0))
    started = time.monotonic()
    with pytest.raises(DataError, match=r"no answer in 0\.2 s"):
        load("cifar10", cache=tmp_path)
    assert time.monotonic() - started < 0.9


class _Server:
    """Answers like a server that resumes, and cuts the first connection short."""

    def __init__(self, content: bytes, cut: int) -> None:
        self.content, self.cut, self.ranges = content, cut, [""]

    def __call__(self, request: urllib.request.Request, **_: object) -> Any:
        wanted = request.get_header("Range", "")
        self.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        answer = io.BytesIO(self.content[start : self.cut if not wanted else None])
        answer.status = 206 if wanted else 200  # type: ignore[attr-defined]
        return answer


def test_a_download_is_resumed_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = random.Random(3).randbytes(50_000)
    sums = [hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha256")]
    remote = Remote("https://example.org/file", len(content), *sums)
    server = _Server(content, cut=20_000)
    monkeypatch.setattr(urllib.request, "urlopen", server)
    target = tmp_path / "downloads" / "file"
    with pytest.raises(OSError, match="ended after 20000"):
        fetch(remote, target)
    assert not target.exists()
    assert fetch(remote, target).read_bytes() == content
    assert server.ranges[-1] == "bytes=20000-"
    wrong = Remote(remote.url, len(content), sums[0], "0" * 64)
    (tmp_path / "other.part").write_bytes(content)
    with pytest.raises(OSError, match="checksum"):
        fetch(wrong, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other.part").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/cifar10")
def test_the_real_training_images_load() -> None:
    started = time.monotonic()
    dataset = load("cifar10", REAL)
    assert time.monotonic() - started < 60
    assert dataset.images.shape == (50_000, 3, 32, 32)
    np.testing.assert_array_equal(np.bincount(dataset.labels), np.full(10, 5_000))
    assert dataset.verified == "unverified"
    assert len(open_test(dataset).labels) == 5_000
    started = time.monotonic()
    again = load("cifar10", REAL)
    assert len(again.images) == 50_000
    assert time.monotonic() - started < 0.1
