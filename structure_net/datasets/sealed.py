"""The sealed test part. Only the final report opens it; nothing else imports this file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from structure_net.datasets.dataset import REPAIR, Dataset, open_array, read_manifest
from structure_net.datasets.source import Array
from structure_net.errors import DataError


@dataclass(frozen=True, eq=False)
class TestPart:
    """Test samples [n, *shape], labels int64 [n], and the hash that names them."""

    images: Array
    labels: Array
    test_hash: str


def _folder(dataset: Dataset) -> Path:
    return Path(dataset.directory).parent / "test"


def has_test(dataset: Dataset) -> bool:
    """Whether the test part lies beside the training part (it does not on a worker's copy)."""
    return (_folder(dataset) / "manifest.json").is_file()


def open_test(dataset: Dataset) -> TestPart:
    """The test part of a dataset; missing, damaged or altered ones are an error."""
    folder = _folder(dataset)
    manifest = read_manifest(folder, "test")
    images = open_array(folder / "images.npy", dataset.shape)
    labels = open_array(folder / "labels.npy", ())
    for name, array in (("images", images), ("labels", labels)):
        if hashlib.sha256(array.data).hexdigest() != manifest.get(f"{name}_sha256"):
            raise DataError(f"{folder / name}.npy is not what was stored there. {REPAIR}")
    if tuple(manifest["classes"]) != dataset.classes:
        raise DataError(f"{folder} has other classes than the training part. {REPAIR}")
    return TestPart(images, labels, manifest["hash"])
