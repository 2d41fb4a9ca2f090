"""Arrays of any origin brought into the one layout that is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from structure_net.datasets.source import Array, Chunk, Source, rows
from structure_net.errors import DataError

TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("train_x", "train_y"))
WHOLE = (("x", "y"), ("images", "labels"), ("data", "target"), ("data", "labels"))
TEST = (("x_test", "y_test"), ("test_images", "test_labels"), ("test_x", "test_y"))
CHANNELS = (1, 3, 4)  # the lengths by which an axis of channels is recognised

Load = Callable[[], Array]


def storable(images: Array, where: str) -> Array:
    """Samples as uint8 (kept) or float32, features [n, f] or images [n, channels, h, w].

    Three axes are single-channel images. Four are n, channels, height, width, unless only the
    last one has the length of channels (1, 3 or 4): then it is moved forward.
    """
    if images.dtype.kind not in "buif":
        raise DataError(f"{where}: numbers were expected, the array has type {images.dtype}.")
    if images.ndim not in (2, 3, 4) or 0 in images.shape[1:]:
        raise DataError(
            f"{where}: an array [n, features], [n, height, width] or [n, channels, height, width] "
            f"was expected, it has the shape {list(images.shape)}."
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in CHANNELS and images.shape[3] in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(images, dtype="<f4")


def storable_labels(labels: Array, where: str) -> Array:
    """One label a sample: int64, or text that names classes."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{where}: one label a sample was expected, the array has shape {list(labels.shape)}."
        )
    if labels.dtype.kind == "U":
        return labels
    if labels.dtype.kind not in "buif":
        raise DataError(f"{where}: labels must be numbers or text, not {labels.dtype}.")
    with np.errstate(invalid="ignore"):
        whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise DataError(
            f"{where}: labels must be whole numbers that name classes; other values were found "
            "(predicting a quantity is not supported)."
        )
    return whole


def array_chunks(images: Array, labels: Array, where: str) -> Iterator[Chunk]:
    """Chunks of two arrays of equal length."""
    if images.ndim == 0 or labels.ndim == 0 or len(images) != len(labels):
        raise DataError(
            f"{where}: as many labels as samples were expected; the shapes are "
            f"{list(images.shape)} and {list(labels.shape)}."
        )
    labels = storable_labels(labels, where)
    for part in rows(len(labels)):
        yield storable(images[part], where), labels[part]


def _pair(
    arrays: Mapping[str, Load], choices: tuple[tuple[str, str], ...]
) -> tuple[str, str] | None:
    """The first pair of names that is there, as spelled there."""
    spelled = {name.lower(): name for name in arrays}
    for images, labels in choices:
        if images in spelled and labels in spelled:
            return spelled[images], spelled[labels]
    return None


def _matrix_chunks(load: Load, where: str) -> Iterator[Chunk]:
    """A single matrix: the last column is the label."""
    matrix = load()
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise DataError(
            f"{where}: a matrix with features and, in its last column, labels was expected; "
            f"its shape is {list(matrix.shape)}."
        )
    yield from array_chunks(matrix[:, :-1], matrix[:, -1], where)


def arrays_source(name: str, arrays: Mapping[str, Load], identity: str, description: str) -> Source:
    """The source made of named arrays; what the names must be stands in the error."""
    where = f"Dataset {description}"

    def read(pair: tuple[str, str]) -> Callable[[], Iterator[Chunk]]:
        place = f"{where}, {pair[0]} and {pair[1]}"
        return lambda: array_chunks(arrays[pair[0]](), arrays[pair[1]](), place)

    train, test = _pair(arrays, TRAIN), _pair(arrays, TEST)
    if train and test:
        return Source(name, identity, description, read(train), read(test))
    whole = train or _pair(arrays, WHOLE)
    if whole and not test:
        return Source(name, identity, description, read(whole))
    if len(arrays) == 1:
        (load,) = arrays.values()
        return Source(name, identity, description, lambda: _matrix_chunks(load, where))
    raise DataError(
        f"{where}: expected arrays x_train, y_train and x_test, y_test (or without the test "
        "pair; or x, y; or images, labels; or one matrix whose last column is the label), found "
        f"{', '.join(sorted(arrays)) or 'none'}."
    )
