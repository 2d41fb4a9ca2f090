"""What a dataset is before it is stored: a source that yields its samples in chunks."""

from __future__ import annotations

import hashlib
import importlib
import json
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from structure_net.errors import DataError
from structure_net.registry import Registry

Array = np.ndarray[Any, Any]
Chunk = tuple[Array, Array]
"""Images [k, *shape] uint8 or float32, and k labels: class numbers (int64) or names (str)."""

ROWS_PER_CHUNK = 2048  # 6 MB of CIFAR-10: large enough for numpy, small beside any memory

# What the standard library and numpy raise when a file is cut short or holds nonsense.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def _unverified() -> str:
    return "unverified"


@dataclass(frozen=True)
class Source:
    """Samples that are not in the cache yet.

    `train` and `test` may be called more than once. Without `test` a fixed stratified fifth of
    what `train` yields is held out. With `classes` labels are numbers below their count; without,
    the sorted distinct labels of the training part are the classes. `verify` says how the
    training part was recognised; it must not look at the test part where that can be avoided.
    """

    name: str
    identity: str  # any text that changes when the content may have changed
    description: str  # form and file name, without folders: equal data give equal manifests
    train: Callable[[], Iterable[Chunk]]
    test: Callable[[], Iterable[Chunk]] | None = None
    classes: tuple[str, ...] | None = None
    scale: float | None = None  # None: 255 for uint8, 1 for float32
    augmentation: str = "none"
    verify: Callable[[], str] = _unverified


@dataclass(frozen=True)
class Places:
    """Where data may lie: the folder the user named, if any, and the cache."""

    data_dir: Path | None
    cache: Path


datasets: Registry[Callable[[Places], Source]] = Registry("dataset")
register = datasets.register


def identity(form: str, files: Iterable[Path]) -> str:
    """Resolved path, size and time of change of every file that belongs to a source."""
    facts: list[tuple[str, int, int]] = []
    for path in files:
        state = path.stat()
        facts.append((str(path.resolve()), state.st_size, state.st_mtime_ns))
    return json.dumps([form, sorted(facts)])


def needed(module: str) -> Any:
    """An optional module, or a DataError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"Reading this dataset needs {module.partition('.')[0]}, which cannot be imported "
            f"({error}): install the extra `data`, pip install 'structure-net[data]'."
        ) from error


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal checksum of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def short_name(path: Path) -> str:
    """The file or folder name without its endings, printable, at most 40 characters."""
    stem = path.resolve().name.split(".")[0] or "data"
    return printable(stem)[:40]


def printable(text: str) -> str:
    """The text with control characters and lone surrogates replaced: names reach terminals."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def memory_bytes() -> int:
    """Memory of this machine; a single array of a source may take half of it."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def rows(count: int) -> Iterator[slice]:
    """Slices that cover `count` rows, `ROWS_PER_CHUNK` at a time."""
    for start in range(0, count, ROWS_PER_CHUNK):
        yield slice(start, min(start + ROWS_PER_CHUNK, count))
