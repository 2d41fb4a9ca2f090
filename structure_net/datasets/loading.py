"""From what the user names to an opened dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from structure_net.datasets import cifar10, digits, synthetic
from structure_net.datasets.cache import prepare
from structure_net.datasets.dataset import Dataset
from structure_net.datasets.files import npy_source, npz_source
from structure_net.datasets.functions import function_source, is_function
from structure_net.datasets.images import image_source
from structure_net.datasets.parquet import parquet_source
from structure_net.datasets.source import Places, Source, datasets
from structure_net.datasets.tables import ENDINGS, table_file, table_source
from structure_net.errors import DataError
from structure_net.files import cache_root
from structure_net.registry import nearest

BUILT_IN = (digits.digits, cifar10.cifar10, synthetic.synthetic_cifar)  # registered by import

BY_ENDING: dict[str, Callable[[Path], Source]] = {
    ".parquet": parquet_source,
    ".npz": npz_source,
    ".npy": npy_source,
    **dict.fromkeys(ENDINGS, table_source),
}


def _folder_source(root: Path) -> Source:
    """A folder, by the first kind of file in it that is known."""
    if any(root.glob("*.parquet")) or any(root.glob("*/*.parquet")):
        return parquet_source(root)
    if any(root.glob("*.npy")):
        return npy_source(root)
    if table_file(root, "train"):
        return table_source(root)
    return image_source(root)


def _path_source(path: Path) -> Source:
    if path.is_dir():
        return _folder_source(path)
    if path.is_file():
        for ending, read in BY_ENDING.items():
            if path.name.lower().endswith(ending):
                return read(path)
    raise DataError(
        f"{path} is not a dataset of a known form: a folder, or a file ending in "
        f"{', '.join(BY_ENDING)} was expected."
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def find_source(source: str, places: Places) -> Source:
    """The source that a name, a path or module:function means."""
    if source in datasets:
        return datasets.get(source)(places)
    if generated := synthetic.sized(source):
        return generated
    for path in [Path(source), *([places.data_dir / source] if places.data_dir else [])]:
        if source and _exists(path):
            return _path_source(path)
    if is_function(source):
        return function_source(source)
    raise DataError(
        f"No dataset {source!r}: it is neither a file or folder, nor module:function, nor a known "
        f"name; {nearest(source, [*datasets, 'synthetic-N'])}"
    )


def load(
    source: str,
    data_dir: Path | None = None,
    cache: Path | None = None,
    limit_train: int | None = None,
) -> Dataset:
    """The training part of a dataset, decoded into the cache at the first call.

    `source` is a registered name (digits, cifar10, synthetic-cifar, synthetic-N), a path
    (parquet, .npz, .npy, .csv, or a folder of these or of images), or module:function.
    `data_dir` is where cifar10 and relative paths are looked for. Everything is checked before it
    is returned; DataError says what is wrong.
    """
    root = cache_root(cache)
    places = Places(Path(data_dir) if data_dir is not None else None, root)
    try:
        found = find_source(str(source), places)
    except OSError as error:
        raise DataError(f"The dataset {source!s} cannot be read: {error}.") from error
    return Dataset.open(prepare(found, root), limit_train)
