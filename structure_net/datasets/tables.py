"""Tables of numbers as text: CSV, also compressed, one row a sample."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from structure_net.datasets.archives import bounded
from structure_net.datasets.arrays import storable
from structure_net.datasets.source import (
    ROWS_PER_CHUNK,
    UNREADABLE,
    Array,
    Chunk,
    Source,
    identity,
    memory_bytes,
    short_name,
)
from structure_net.errors import DataError

LABELS = ("label", "labels", "target", "class", "y")
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


@contextmanager
def _text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The file as text; what it decompresses to is bounded by the machine's memory."""
    packed = path.name.lower().endswith(".gz")
    with (
        path.open("rb") as raw,
        gzip.GzipFile(fileobj=raw) if packed else raw as plain,
        bounded(plain, memory_bytes()) as limited,
        io.TextIOWrapper(limited, encoding="utf-8-sig", newline="") as text,
    ):
        yield text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _head(first: list[str], where: str) -> tuple[bool, int]:
    """Whether the first row names columns, and which column is the label (default: the last)."""
    if len(first) < 2:
        raise DataError(f"{where}: at least one feature and a label a row were expected.")
    named = not any(_is_number(field) for field in first[:-1])
    if not named:
        return False, len(first) - 1
    names = [field.strip().lower() for field in first]
    return True, next((names.index(name) for name in LABELS if name in names), len(first) - 1)


def _numbers(batch: list[list[str]], label: int, line: int, where: str) -> Chunk:
    width = len(batch[0])
    for offset, row in enumerate(batch):
        if len(row) != width:
            raise DataError(
                f"{where}: sample {line + offset} has {len(row)} fields, others {width}."
            )
    labels = np.array([row.pop(label).strip() for row in batch], dtype=np.str_)
    if (labels == "").any():
        raise DataError(f"{where}: sample {line + int(np.argmax(labels == ''))} has no label.")
    try:
        values: Array = np.array(batch, dtype=np.str_).astype(np.float64)
    except ValueError as error:
        wrong = [field for row in batch for field in row if not _is_number(field)]
        raise DataError(
            f"{where}: features must be numbers; in samples {line} to {line + len(batch) - 1} "
            f"{wrong[0] if wrong else 'something else'!r} was found. Code other columns as numbers "
            f"first."
        ) from error
    return storable(values, where), labels


def _chunks(path: Path) -> Callable[[], Iterator[Chunk]]:
    def read() -> Iterator[Chunk]:
        where = str(path)
        try:
            with _text(path) as stream:
                yield from _rows(stream, where)
        except (*UNREADABLE, csv.Error) as error:
            raise DataError(f"{where} cannot be read as a table: {error}.") from error

    return read


def _rows(stream: io.TextIOWrapper, where: str) -> Iterator[Chunk]:
    start = stream.readline(2**20)
    delimiter = max(",;\t", key=start.count)
    first = next(csv.reader([start], delimiter=delimiter), [])
    named, label = _head(first, where)
    batch, done, width = ([] if named else [first]), 0, len(first)
    for row in csv.reader(stream, delimiter=delimiter):
        if row:
            batch.append(row)
        if len(batch) * width >= ROWS_PER_CHUNK * 64 or len(batch) == ROWS_PER_CHUNK:
            yield _numbers(batch, label, done + 1, where)
            done, batch = done + len(batch), []
    if batch:
        yield _numbers(batch, label, done + 1, where)


def table_file(folder: Path, part: str) -> Path | None:
    """The table of a part in a folder: train.csv, test.csv.gz, …"""
    return next((folder / f"{part}{e}" for e in ENDINGS if (folder / f"{part}{e}").is_file()), None)


def table_source(path: Path) -> Source:
    """A table, or a folder with train.csv and test.csv; a column named label, target or class
    holds the labels, else the last one."""
    train = path if path.is_file() else table_file(path, "train")
    test = None if path.is_file() else table_file(path, "test")
    if train is None:
        raise DataError(f"{path}: a table named train.csv was expected.")
    return Source(
        name=short_name(path),
        identity=identity("table", [train, test] if test else [train]),
        description=f"table {short_name(path)}",
        train=_chunks(train),
        test=_chunks(test) if test else None,
    )
