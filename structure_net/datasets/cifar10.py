"""CIFAR-10 (Krizhevsky 2009): found in any of its usual forms, else downloaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from structure_net.datasets.archives import read_members
from structure_net.datasets.download import Remote, fetch
from structure_net.datasets.images import class_folders, image_chunks, image_files
from structure_net.datasets.parquet import columns, parquet_chunks
from structure_net.datasets.pickles import read_batch
from structure_net.datasets.source import Chunk, Places, Source, digest, identity, register
from structure_net.errors import DataError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SHAPE = (3, 32, 32)
PIXELS = 3072
RECORD = 1 + PIXELS  # label, then 1,024 red, green and blue values
MOST_RECORDS = 10_000  # a batch
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)

BINARY_FOLDER, PYTHON_FOLDER = "cifar-10-batches-bin", "cifar-10-batches-py"
BINARY_ARCHIVE, PYTHON_ARCHIVE = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
ARCHIVE_BYTES = 2**28  # the tar of either form has 185 MB
PICKLE_BYTES = 2**26  # a batch has 31 MB

REMOTE = Remote(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170_052_171,
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
# MD5 of the official training batches of the python form.
OFFICIAL_BATCHES = (
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
)
# SHA-256 of the training file of uoft-cs/cifar10 on Hugging Face, which codes without loss.
OFFICIAL_PARQUET = "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883"

LOOKED_FOR = (
    f"{BINARY_ARCHIVE} or its folder {BINARY_FOLDER}, {PYTHON_ARCHIVE} or its folder "
    f"{PYTHON_FOLDER}, parquet files train-*.parquet and test-*.parquet (also in data/ or "
    "plain_text/), image folders train/<class>/ and test/<class>/"
)

Reader = Callable[[], Iterator[Chunk]]
Decode = Callable[[bytes, str], Chunk]


def _source(
    form: str, files: list[Path], train: Reader, test: Reader, verify: Callable[[], str]
) -> Source:
    return Source(
        name="cifar10",
        identity=identity(form, files),
        description=f"cifar10 ({form})",
        train=_checked(train),
        test=_checked(test),
        classes=CLASSES,
        augmentation="flip+crop2",
        verify=verify,
    )


def _checked(read: Reader) -> Reader:
    def checked() -> Iterator[Chunk]:
        for images, labels in read():
            if images.shape[1:] != SHAPE or images.dtype != np.uint8:
                raise DataError(
                    f"CIFAR-10 has images of 3 x 32 x 32 bytes, these are {images.shape[1:]} "
                    f"{images.dtype}: other data lie where CIFAR-10 was looked for."
                )
            yield images, labels

    return checked


def _missing(folder: Path, names: list[str]) -> None:
    """An error when an official file is not in its folder."""
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise DataError(f"{folder} lacks {', '.join(missing)}: CIFAR-10 is not complete there.")


def _records(data: bytes, where: str) -> Chunk:
    """A batch of the binary form."""
    if len(data) % RECORD or not 0 < len(data) <= RECORD * MOST_RECORDS:
        raise DataError(
            f"{where}: {len(data)} bytes are not whole records of {RECORD} bytes (at most "
            f"{MOST_RECORDS}); it may be cut short. Fetch it again."
        )
    table = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD)
    images = np.ascontiguousarray(table[:, 1:]).reshape(-1, *SHAPE)
    return images, table[:, 0].astype(np.int64)


def _pickled(data: bytes, where: str) -> Chunk:
    """A batch of the python form."""
    images, labels = read_batch(data, PIXELS, where)
    return np.ascontiguousarray(images).reshape(-1, *SHAPE), labels


def _bytes(path: Path, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise DataError(f"{path} is larger than a batch of CIFAR-10 can be.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _folder_batches(folder: Path, names: list[str], most: int, decode: Decode) -> Reader:
    def read() -> Iterator[Chunk]:
        for name in names:
            yield decode(_bytes(folder / name, most), str(folder / name))

    return read


def _archive_batches(archive: Path, names: list[str], most: int, decode: Decode) -> Reader:
    def read() -> Iterator[Chunk]:
        found = read_members(archive, dict.fromkeys(names, most), ARCHIVE_BYTES)
        for name in names:
            yield decode(found.pop(name), f"{archive}, {name}")

    return read


def _official_batches(read: Callable[[], list[str]]) -> Callable[[], str]:
    return lambda: "official archive" if tuple(read()) == OFFICIAL_BATCHES else "unverified"


def _binary_folder(base: Path) -> Source | None:
    folder = base if (base / "data_batch_1.bin").is_file() else base / BINARY_FOLDER
    if not folder.is_dir():
        return None
    train, test = [f"{n}.bin" for n in TRAIN], [f"{n}.bin" for n in TEST]
    _missing(folder, train + test)
    most = RECORD * MOST_RECORDS
    return _source(
        "binary folder",
        [folder / name for name in train + test],
        _folder_batches(folder, train, most, _records),
        _folder_batches(folder, test, most, _records),
        lambda: "unverified",
    )


def _binary_archive(base: Path) -> Source | None:
    archive = base if base.name == BINARY_ARCHIVE else base / BINARY_ARCHIVE
    if not archive.is_file():
        return None
    train, test = ([f"{BINARY_FOLDER}/{n}.bin" for n in names] for names in (TRAIN, TEST))
    most = RECORD * MOST_RECORDS

    def verify() -> str:
        # Only the whole archive has a known checksum: it covers the test part as well.
        return "official archive" if digest(archive, "md5") == REMOTE.md5 else "unverified"

    return _source(
        "binary archive",
        [archive],
        _archive_batches(archive, train, most, _records),
        _archive_batches(archive, test, most, _records),
        verify,
    )


def _python_folder(base: Path) -> Source | None:
    folder = base if (base / "data_batch_1").is_file() else base / PYTHON_FOLDER
    if not folder.is_dir():
        return None
    _missing(folder, [*TRAIN, *TEST])
    return _source(
        "python folder",
        [folder / name for name in TRAIN + TEST],
        _folder_batches(folder, [*TRAIN], PICKLE_BYTES, _pickled),
        _folder_batches(folder, [*TEST], PICKLE_BYTES, _pickled),
        _official_batches(lambda: [digest(folder / name, "md5") for name in TRAIN]),
    )


def _python_archive(base: Path) -> Source | None:
    archive = base if base.name == PYTHON_ARCHIVE else base / PYTHON_ARCHIVE
    if not archive.is_file():
        return None
    train, test = ([f"{PYTHON_FOLDER}/{n}" for n in names] for names in (TRAIN, TEST))

    def sums() -> list[str]:
        found = read_members(archive, dict.fromkeys(train, PICKLE_BYTES), ARCHIVE_BYTES)
        return [hashlib.md5(found[name]).hexdigest() for name in train]

    return _source(
        "python archive",
        [archive],
        _archive_batches(archive, train, PICKLE_BYTES, _pickled),
        _archive_batches(archive, test, PICKLE_BYTES, _pickled),
        _official_batches(sums),
    )


def _parquet(base: Path) -> Source | None:
    for folder in (base, base / "data", base / "plain_text"):
        train = sorted(folder.glob("train*.parquet"))
        if train:
            break
    else:
        return None
    test = sorted(folder.glob("test*.parquet"))
    if not test:
        raise DataError(f"{folder} holds the training part of CIFAR-10 but no test-*.parquet.")
    what = columns(train[0])

    def verify() -> str:
        known = len(train) == 1 and digest(train[0], "sha256") == OFFICIAL_PARQUET
        return "official pixels (uoft-cs/cifar10)" if known else "unverified"

    return _source(
        "parquet",
        train + test,
        parquet_chunks(train, what, channels=3),
        parquet_chunks(test, what, channels=3),
        verify,
    )


def _image_folders(base: Path) -> Source | None:
    train, test = base / "train", base / "test"
    if not train.is_dir() or class_folders(train) != sorted(CLASSES):
        return None
    if not test.is_dir() or not set(class_folders(test)) <= set(CLASSES):
        raise DataError(f"{test} is missing or holds other folders than the classes of CIFAR-10.")
    names = list(CLASSES)
    return _source(
        "image folders",
        image_files(train, names) + image_files(test, names),
        image_chunks(train, names, channels=3),
        image_chunks(test, names, channels=3),
        lambda: "unverified",
    )


FORMS = (
    _binary_folder,
    _binary_archive,
    _python_folder,
    _python_archive,
    _parquet,
    _image_folders,
)


def find(root: Path) -> Source | None:
    """CIFAR-10 at `root` or in its folder cifar10, in the first form that is there."""
    for base in (root, root / "cifar10"):
        for form in FORMS:
            if source := form(base):
                return source
    return None


def _downloads(cache: Path) -> Path:
    return cache / "downloads"


def _fetched(folder: Path, looked: list[Path]) -> Source:
    try:
        archive = fetch(REMOTE, folder / BINARY_ARCHIVE)
    except OSError as error:
        places = ", ".join(str(place) for place in looked)
        raise DataError(
            f"CIFAR-10 is neither on this machine (looked in {places}) nor could "
            f"{REMOTE.url} be fetched: {error}. Provide it in one of these forms: {LOOKED_FOR}. "
            "Name the folder that holds it by --data-dir or the variable STRUCTURE_NET_DATA, or "
            f"put it into {folder}; what was fetched so far is kept there and continued. "
            "Without any data at hand, --dataset digits works offline."
        ) from error
    source = find(archive.parent)
    if source is None:
        raise DataError(f"{archive} disappeared while it was being read.")
    return source


def _lacks(folder: Path) -> str:
    return "holds no CIFAR-10" if folder.is_dir() else "does not exist"


@register("cifar10")
def cifar10(places: Places) -> Source:
    """CIFAR-10 from the named folder, else `$STRUCTURE_NET_DATA`, else the cache, else the net."""
    if places.data_dir is not None:
        found = find(places.data_dir)
        if found is None:
            raise DataError(
                f"The data folder {places.data_dir} {_lacks(places.data_dir)}. Looked for: "
                f"{LOOKED_FOR}."
            )
        return found
    named = os.environ.get("STRUCTURE_NET_DATA")
    looked = [Path(named)] if named else []
    looked.append(_downloads(places.cache))
    for root in looked:
        if found := find(root):
            return found
    return _fetched(looked[-1], looked)
