"""Arrays in files: `.npz`, `.npy`, folders of `.npy`; never a pickle."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from structure_net.datasets.arrays import arrays_source
from structure_net.datasets.source import (
    UNREADABLE,
    Array,
    Source,
    identity,
    memory_bytes,
    short_name,
)
from structure_net.errors import DataError


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, whether columns come first, and type, from the head of a .npy file."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"version {version} of the format")


def read_npy(stream: IO[bytes], size: int) -> Array:
    """The array in a stream of `size` bytes; the head must agree with the size before reading."""
    shape, columns_first, kind = _header(stream)
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are never read")
    if math.prod(shape) * kind.itemsize != size - stream.tell():
        raise ValueError("its head does not agree with its size")
    data = stream.read()
    return np.frombuffer(data, dtype=kind).reshape(shape, order="F" if columns_first else "C")


def _member(path: Path, name: str) -> Array:
    """One array of an .npz archive, read by name and size, never extracted."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(name).file_size
            if size > memory_bytes() // 2:
                raise ValueError(f"{size} bytes are more than half of this machine's memory")
            with archive.open(name) as stream:
                return read_npy(stream, size)
    except UNREADABLE as error:
        raise DataError(f"{path}: the array {name} cannot be read: {error}.") from error


def npz_source(path: Path) -> Source:
    """An .npz archive with x_train, y_train[, x_test, y_test] or one of the other namings."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except UNREADABLE as error:
        raise DataError(f"{path} is not an .npz archive that can be read: {error}.") from error
    arrays = {name.removesuffix(".npy"): partial(_member, path, name) for name in names}
    name = short_name(path)
    return arrays_source(name, arrays, identity("npz", [path]), f"npz {name}")


def _mapped(path: Path) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        raise DataError(f"{path} is not an array that can be read: {error}.") from error
    return array


def npy_source(path: Path) -> Source:
    """A folder of .npy files named as the keys of an .npz, or a single matrix."""
    files = [path] if path.is_file() else sorted(path.glob("*.npy"))
    arrays: dict[str, Callable[[], Array]] = {file.stem: partial(_mapped, file) for file in files}
    name = short_name(path)
    return arrays_source(name, arrays, identity("npy", files), f"npy {name}")
