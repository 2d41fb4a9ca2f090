"""The training part of a dataset: arrays that every process maps, and what identifies them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from structure_net.datasets.source import Array
from structure_net.datasets.splits import limited
from structure_net.errors import DataError

REPAIR = "Delete this folder of the cache and load the dataset again."


@dataclass(frozen=True)
class Dataset:
    """Training samples and their description; nothing here leads to test data.

    `train_hash` identifies the whole training part; with a `limit` only a fixed stratified
    subset of it is used, the same in every run.
    """

    name: str
    shape: tuple[int, ...]  # (channels, height, width) or (features,)
    classes: tuple[str, ...]
    scale: float  # the raw value that counts as 1.0
    train_hash: str  # SHA-256 over decoded arrays and layout
    verified: str
    augmentation: str  # the default one: "flip+crop2" for cifar10, "none" otherwise
    directory: str  # the cache folder of the training part
    limit: int | None = None  # as many samples; None: all

    @classmethod
    def open(cls, directory: str | Path, limit: int | None = None) -> Dataset:
        """The dataset in a cache folder, as a worker process opens it (below 5 ms).

        A limit not below the number of samples means all of them.
        """
        folder = Path(directory)
        manifest = read_manifest(folder, "train")
        whole = limit is None or limit >= manifest["count"]
        dataset = cls(
            name=manifest["name"],
            shape=tuple(manifest["shape"]),
            classes=tuple(manifest["classes"]),
            scale=float(manifest["scale"]),
            train_hash=manifest["hash"],
            verified=manifest["verified"],
            augmentation=manifest["augmentation"],
            directory=str(folder),
            limit=None if whole else limit,
        )
        if not whole:
            len(dataset)  # a limit below two samples a class is refused here, not in a worker
        return dataset

    @cached_property
    def _subset(self) -> Array | None:
        if self.limit is None:
            return None
        return limited(open_array(Path(self.directory) / "labels.npy", ()), self.limit)

    @cached_property
    def images(self) -> Array:
        """Samples [n, *shape], uint8 or float32, read-only; a memory map unless limited."""
        stored = open_array(Path(self.directory) / "images.npy", self.shape)
        return stored if self._subset is None else _sealed_copy(stored[self._subset])

    @cached_property
    def labels(self) -> Array:
        """Class numbers, int64 [n], read-only."""
        stored = open_array(Path(self.directory) / "labels.npy", ())
        return _sealed_copy(stored if self._subset is None else stored[self._subset])

    @property
    def inputs(self) -> int:
        """Values of one sample, flattened."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its folder: a worker maps the arrays, it does not receive them."""
        return Dataset.open, (self.directory, self.limit)


def _sealed_copy(array: Array) -> Array:
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


def open_array(path: Path, shape: tuple[int, ...]) -> Array:
    """A stored array as a read-only memory map [n, *shape]."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}). {REPAIR}") from error
    if array.shape[1:] != shape:
        raise DataError(
            f"{path} holds samples of shape {list(array.shape[1:])}, its manifest says "
            f"{list(shape)}. {REPAIR}"
        )
    return array


FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "shape": list,
    "classes": list,
    "scale": (int, float),
    "hash": str,
    "count": int,
}


def read_manifest(folder: Path, part: str) -> dict[str, Any]:
    """The manifest of a part, its fields checked."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(
            f"No dataset lies in {folder}: {path.name} is missing. Load the dataset again."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}). {REPAIR}") from error
    fields = FIELDS | ({"verified": str, "augmentation": str} if part == "train" else {})
    if not isinstance(manifest, dict) or manifest.get("part") != part:
        raise DataError(f"{path} does not describe the {part} part of a dataset. {REPAIR}")
    for name, kind in fields.items():
        if not isinstance(manifest.get(name), kind):
            raise DataError(f"{path}: the field {name!r} is missing or of a wrong type. {REPAIR}")
    return manifest
