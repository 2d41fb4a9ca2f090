"""Coded images (PNG, JPEG, …) to arrays, and folders of them."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from structure_net.datasets.source import (
    UNREADABLE,
    Array,
    Chunk,
    Source,
    identity,
    needed,
    short_name,
)
from structure_net.errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")  # decoders that run no programs
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp"})
GREY = frozenset({"L", "1"})
COLOUR = frozenset({"RGB", "RGBA", "P", "CMYK", "YCbCr", "LA", "PA"})
DECODED_TOGETHER = 512  # images a chunk
MOST_PIXELS = 2**24  # 4096 x 4096; Pillow's own limit stays on as well

TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "testing")


class Decoder:
    """Turns coded images into uint8 [channels, height, width], all of the first one's shape.

    A grey first image makes the dataset one channel; otherwise three, and grey ones are repeated.
    Transparency is dropped.
    """

    def __init__(self, channels: int | None = None) -> None:
        self._pillow = needed("PIL.Image")
        self._channels = channels
        self._size: tuple[int, int] | None = None

    def __call__(self, coded: bytes, where: str) -> Array:
        try:
            with self._pillow.open(io.BytesIO(coded), formats=FORMATS) as image:
                return self._decoded(image, where)
        except (*UNREADABLE, Warning, self._pillow.DecompressionBombError) as error:
            raise DataError(f"{where} is not an image that can be read: {error}.") from error

    def _decoded(self, image: Any, where: str) -> Array:
        if self._size is None:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(f"{where}: {image.width} x {image.height} pixels are too many.")
            self._size = image.size
        if self._channels is None:
            self._channels = 1 if image.mode in GREY else 3
        if image.size != self._size:
            raise DataError(
                f"{where}: all images must have one size, the first has {self._size[0]} x "
                f"{self._size[1]} pixels, this one {image.width} x {image.height}. Resize them."
            )
        if image.mode not in GREY | COLOUR or (self._channels == 1 and image.mode not in GREY):
            raise DataError(
                f"{where}: pixels of the kind {image.mode} do not fit a dataset of "
                f"{self._channels} channel(s) of 8 bits. Convert all images to grey or all to RGB."
            )
        pixels = np.asarray(image.convert("L" if self._channels == 1 else "RGB"))
        return pixels[None] if self._channels == 1 else pixels.transpose(2, 0, 1)

    def stack(self, coded: list[tuple[str, bytes]]) -> Array:
        """A chunk of (place for messages, coded image), uint8 [n, channels, height, width]."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata are no concern of ours
            warnings.simplefilter("error", self._pillow.DecompressionBombWarning)
            return np.stack([self(data, where) for where, data in coded])


def class_folders(root: Path) -> list[str]:
    """Sorted names of the sub folders, hidden ones left out."""
    try:
        return sorted(
            entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."
        )
    except OSError as error:
        raise DataError(f"The folder {root} cannot be read: {error}.") from error


def _natural(path: Path) -> tuple[object, ...]:
    """Order by file name first, numbers by value: 2.png before 10.png."""
    words = re.split(r"([0-9]+)", path.name)
    return (*(int(word) if word.isdecimal() else word for word in words[:15]), path.parent.name)


def image_files(root: Path, classes: list[str]) -> list[Path]:
    """All images below root/<class>/, ordered by file name, then by class."""
    found = [
        path
        for name in classes
        for path in (root / name).rglob("*")
        if path.suffix.lower() in ENDINGS and path.is_file()
    ]
    return sorted(found, key=_natural)


def image_chunks(
    root: Path, classes: list[str], channels: int | None = None
) -> Callable[[], Iterator[Chunk]]:
    """A reader of root/<class>/…; the label is the class's place in `classes`."""

    def read() -> Iterator[Chunk]:
        files, decoder = image_files(root, classes), Decoder(channels)
        number = {name: place for place, name in enumerate(classes)}
        for start in range(0, len(files), DECODED_TOGETHER):
            batch = files[start : start + DECODED_TOGETHER]
            images = decoder.stack([(str(path), _bytes(path)) for path in batch])
            labels = [number[path.relative_to(root).parts[0]] for path in batch]
            yield images, np.array(labels, dtype=np.int64)

    return read


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def part_folder(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the named sub folders that is there."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def image_source(root: Path) -> Source:
    """root/train/<class>/… and root/test/<class>/…, or root/<class>/… without a test part."""
    train, test = part_folder(root, TRAIN_FOLDERS), part_folder(root, TEST_FOLDERS)
    base = train or root
    classes = class_folders(base)
    files = image_files(base, classes)
    if not files or (test and not train):
        raise DataError(
            f"{root}: no dataset was found in this folder. Expected parquet files, .npy arrays "
            "(x_train.npy, y_train.npy, …), train.csv, or images in train/<class>/ and "
            "test/<class>/, or in <class>/."
        )
    if empty := [name for name in classes if not any(name in path.parts for path in files)]:
        raise DataError(f"{base}: the class folder {empty[0]} holds no images.")
    if test and (foreign := sorted(set(class_folders(test)) - set(classes))):
        raise DataError(f"{test}: the class {foreign[0]} has no folder in {base}.")
    return Source(
        name=short_name(root),
        identity=identity("images", files + (image_files(test, classes) if test else [])),
        description=f"image folder {short_name(root)}",
        train=image_chunks(base, classes),
        test=image_chunks(test, classes) if test else None,
        classes=tuple(classes),
    )
