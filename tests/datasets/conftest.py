"""Caches in temporary folders, no network, and one small CIFAR-10 in all its forms."""

from __future__ import annotations

import io
import pickle
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Forms = dict[str, Callable[[Path, dict[str, Any]], Path]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRUCTURE_NET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STRUCTURE_NET_DATA", raising=False)


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were asked for; each request fails as it does without a network."""
    asked: list[str] = []

    def refuse(request: urllib.request.Request, **_: object) -> None:
        asked.append(request.full_url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return asked


def _batch(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    images = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return images, generator.permutation(count) % 10


@pytest.fixture
def small() -> dict[str, Any]:
    """Five batches of 20 training images and 20 test images."""
    generator = np.random.default_rng(5)
    batches = [_batch(generator, 20) for _ in range(5)]
    return {"train": batches, "test": _batch(generator, 20)}


def _named(small: dict[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    names = {f"data_batch_{k}": batch for k, batch in enumerate(small["train"], 1)}
    return names | {"test_batch": small["test"]}


def _records(images: np.ndarray, labels: np.ndarray) -> bytes:
    table = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(len(images), -1)], 1)
    return table.tobytes()


def _pickled(images: np.ndarray, labels: np.ndarray) -> bytes:
    batch = {b"data": images.reshape(len(images), -1), b"labels": [int(k) for k in labels]}
    return pickle.dumps(batch, protocol=2)


def _archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in reversed(members.items()):  # order in the archive must not matter
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def binary_folder(root: Path, small: dict[str, Any]) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, batch in _named(small).items():
        (folder / f"{name}.bin").write_bytes(_records(*batch))
    return root


def binary_archive(root: Path, small: dict[str, Any]) -> Path:
    root.mkdir(parents=True)
    parts = {f"cifar-10-batches-bin/{n}.bin": _records(*b) for n, b in _named(small).items()}
    _archive(root / "cifar-10-binary.tar.gz", parts | {"cifar-10-batches-bin/readme.html": b"x"})
    return root


def python_folder(root: Path, small: dict[str, Any]) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, batch in _named(small).items():
        (folder / name).write_bytes(_pickled(*batch))
    return root


def python_archive(root: Path, small: dict[str, Any]) -> Path:
    root.mkdir(parents=True)
    parts = {f"cifar-10-batches-py/{n}": _pickled(*b) for n, b in _named(small).items()}
    _archive(root / "cifar-10-python.tar.gz", parts)
    return root


def png(image: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(stream, "PNG")
    return stream.getvalue()


def write_parquet(path: Path, images: np.ndarray, labels: np.ndarray, image: str = "img") -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    coded = [{"bytes": png(picture), "path": f"{k}.png"} for k, picture in enumerate(images)]
    parquet.write_table(pa.table({image: coded, "label": labels.astype(np.int64)}), path)


def parquet(root: Path, small: dict[str, Any]) -> Path:
    folder = root / "plain_text"
    folder.mkdir(parents=True)
    for number, batch in enumerate(small["train"]):
        write_parquet(folder / f"train-{number:05d}-of-00005.parquet", *batch)
    write_parquet(folder / "test-00000-of-00001.parquet", *small["test"])
    return root


CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905


def image_folders(root: Path, small: dict[str, Any]) -> Path:
    number = 0
    for part, batches in (("train", small["train"]), ("test", [small["test"]])):
        for images, labels in batches:
            for image, label in zip(images, labels, strict=True):
                path = root / part / CLASSES[label] / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(image))
                number += 1
    return root


@pytest.fixture
def forms() -> Forms:
    """Writers of CIFAR-10 by the name of the form."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("PIL")
    writers = (
        binary_folder,
        binary_archive,
        python_folder,
        python_archive,
        parquet,
        image_folders,
    )
    return {writer.__name__: writer for writer in writers}


@pytest.fixture
def coded_png() -> Callable[[np.ndarray], bytes]:
    return png


@pytest.fixture
def parquet_file() -> Callable[..., None]:
    return write_parquet
