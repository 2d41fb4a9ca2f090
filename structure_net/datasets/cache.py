"""The cache of decoded datasets: each source is read once, then opened as a memory map.

`<cache>/datasets/<key>/train/` and `.../test/` hold `images.npy`, `labels.npy`, `manifest.json`.
A folder gets its final name only when everything in it is written and synced.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from structure_net.datasets.labels import Coder, coder
from structure_net.datasets.source import Array, Chunk, Source, rows
from structure_net.datasets.splits import held_out, remaining
from structure_net.errors import DataError, TemporaryError
from structure_net.files import atomic_write, sync_folder

FORMAT = 1  # a change of anything below makes every source be read anew
MOST_INPUTS = 2**24  # 16 million numbers a sample; a header that says more is nonsense
LOCK_SECONDS = 3600.0  # longer than any decoding; then the other process hangs


@dataclass(frozen=True, eq=False)
class Written:
    """Images on disk, and the labels that came with them."""

    shape: tuple[int, ...]
    dtype: str
    sha256: str
    labels: Array


def _write_header(stream: IO[bytes], dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> int:
    """The head of a .npy file; its length does not depend on the number of samples."""
    head = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
    return stream.tell()


def write_images(path: Path, chunks: Iterable[Chunk], where: str) -> Written:
    """Append chunks to a .npy file whose head is completed at the end; one chunk in memory."""
    first: Array | None = None
    labels: list[Array] = []
    checksum, start = hashlib.sha256(), 0
    with path.open("wb") as stream:
        for images, own in chunks:
            if first is None:
                first = images[:0]
                start = _write_header(stream, images.dtype, first.shape)
            _check_chunk(images, own, first, where)
            packed = np.ascontiguousarray(images)
            stream.write(packed.data)
            checksum.update(packed.data)
            labels.append(own)
        if first is None or not (count := sum(len(own) for own in labels)):
            raise DataError(f"{where} holds no samples.")
        shape = first.shape[1:]
        stream.seek(0)
        if _write_header(stream, first.dtype, (count, *shape)) != start:
            raise DataError(f"{where}: {count} samples are more than an array's head can say.")
        stream.flush()
        os.fsync(stream.fileno())
    return Written(shape, first.dtype.str, checksum.hexdigest(), _joined(labels, where))


def _check_chunk(images: Array, labels: Array, first: Array, where: str) -> None:
    if images.shape[1:] != first.shape[1:] or images.dtype != first.dtype:
        raise DataError(
            f"{where}: every sample must have the same shape and type; found "
            f"{list(first.shape[1:])} {first.dtype} and {list(images.shape[1:])} {images.dtype}."
        )
    if images.dtype.str not in ("|u1", "<f4"):
        raise DataError(f"{where}: samples must be uint8 or float32, not {images.dtype}.")
    if math.prod(images.shape[1:]) > MOST_INPUTS:
        raise DataError(
            f"{where}: a sample has {math.prod(images.shape[1:])} values, at most {MOST_INPUTS} "
            "are possible."
        )
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} samples have {len(labels)} labels.")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError(
            f"{where}: values must be finite and fit into 32 bits; NaN, infinite or larger ones "
            "were found. Remove or fill them."
        )


def _joined(labels: list[Array], where: str) -> Array:
    if len({own.dtype.kind for own in labels}) > 1:
        raise DataError(f"{where}: labels are text in one place and numbers in another.")
    return np.concatenate(labels)


def _write_part(folder: Path, source: Source, images: Written, labels: Array, code: Coder) -> None:
    """Labels and manifest beside the images of one part."""
    stored = io.BytesIO()
    np.save(stored, labels.astype("<i8"), allow_pickle=False)
    atomic_write(folder / "labels.npy", stored.getvalue())
    scale = source.scale or (255.0 if images.dtype == "|u1" else 1.0)
    layout = {
        "layout": "channels, height, width" if len(images.shape) == 3 else "features",
        "shape": list(images.shape),
        "dtype": images.dtype,
        "classes": list(code.classes),
        "scale": scale,
        "count": len(labels),
        "images_sha256": images.sha256,
        "labels_sha256": hashlib.sha256(labels.astype("<i8").data).hexdigest(),
    }
    spelled = json.dumps(layout, sort_keys=True, separators=(",", ":"))
    about = {
        "format": FORMAT,
        "part": folder.name,
        "name": source.name,
        "source": source.description,
        "hash": hashlib.sha256(spelled.encode()).hexdigest(),
    }
    if folder.name == "train":
        about |= {"verified": source.verify(), "augmentation": source.augmentation}
    atomic_write(folder / "manifest.json", (json.dumps(about | layout, indent=1) + "\n").encode())


def _stored_chunks(images: Array, labels: Array, indices: Array) -> Iterator[Chunk]:
    for part in rows(len(indices)):
        yield images[indices[part]], labels[indices[part]]


def _build_held_out(source: Source, folder: Path, where: str) -> None:
    """Both parts from one: everything is decoded to a scratch file, then dealt out."""
    scratch = folder / "whole.npy"
    written = write_images(scratch, source.train(), where)
    code = coder(written.labels, source.classes, where)
    labels = code(written.labels, where)
    images = np.load(scratch, mmap_mode="r", allow_pickle=False)
    test = held_out(labels)
    for part, indices in (("train", remaining(len(labels), test)), ("test", test)):
        place = folder / part
        place.mkdir()
        dealt = write_images(place / "images.npy", _stored_chunks(images, labels, indices), where)
        _write_part(place, source, dealt, dealt.labels, code)
    del images
    scratch.unlink()


def _build(source: Source, folder: Path) -> None:
    """Decode a source into `folder`, the training part first: it decides shape and classes."""
    where = f"Dataset {source.description}"
    if source.test is None:
        return _build_held_out(source, folder, where)
    train = folder / "train"
    train.mkdir()
    written = write_images(train / "images.npy", source.train(), f"{where}, training part")
    code = coder(written.labels, source.classes, where)
    labels = code(written.labels, f"{where}, training part")
    _write_part(train, source, written, labels, code)
    test = folder / "test"
    test.mkdir()
    sealed = write_images(test / "images.npy", source.test(), f"{where}, test part")
    if (sealed.shape, sealed.dtype) != (written.shape, written.dtype):
        raise DataError(
            f"{where}: both parts must have one layout; training samples are "
            f"{list(written.shape)} {written.dtype}, test samples {list(sealed.shape)} "
            f"{sealed.dtype}."
        )
    _write_part(test, source, sealed, code(sealed.labels, f"{where}, test part"), code)
    return None


def _key(source: Source) -> str:
    facts = json.dumps([FORMAT, source.name, source.identity, source.augmentation])
    slug = re.sub(r"[^A-Za-z0-9_-]", "_", source.name)[:40]
    return f"{slug}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _build_locked(source: Source, root: Path, key: str) -> None:
    """Sweep what a killed process left, build under a scratch name, rename."""
    for leftover in [*root.glob(f".{key}.*"), root / key]:
        if leftover.is_dir():
            shutil.rmtree(leftover)
    scratch = root / f".{key}.{os.getpid()}"
    scratch.mkdir()
    try:
        _build(source, scratch)
        sync_folder(scratch)
        scratch.rename(root / key)
        sync_folder(root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def prepare(source: Source, cache: Path) -> Path:
    """The folder of the training part in the cache, decoded now if it is not there yet.

    Two processes that prepare at once wait for each other; the second finds it ready.
    """
    from filelock import FileLock, Timeout  # 20 ms that `import structure_net` need not pay

    root, key = cache / "datasets", _key(source)
    ready = root / key / "train"
    if (ready / "manifest.json").is_file():
        return ready
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{key}.lock", timeout=LOCK_SECONDS):
            if not (ready / "manifest.json").is_file():
                _build_locked(source, root, key)
    except Timeout as error:
        raise TemporaryError(
            f"Another process has been preparing {source.name} in {root} for an hour; end it, or "
            "choose another cache folder by STRUCTURE_NET_CACHE."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TemporaryError(
                f"The disk is full: {source.name} could not be stored in {root}. Free some space, "
                "or choose another cache folder by STRUCTURE_NET_CACHE."
            ) from error
        raise DataError(
            f"The cache {root} cannot be used ({error}). Choose a folder that can be written, by "
            "STRUCTURE_NET_CACHE."
        ) from error
    return ready
