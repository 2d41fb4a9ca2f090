"""Parquet files as Hugging Face writes them: images in a column of coded bytes, or a table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from structure_net.datasets.arrays import storable, storable_labels
from structure_net.datasets.images import Decoder
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

LABELS = ("label", "labels", "fine_label", "target", "class", "y")
IMAGES = ("image", "img", "picture", "photo")  # plain binary columns; structs are known by type
ROWS_TOGETHER = 512
PARTS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Columns:
    """What of a file is read: coded images (a struct's field or plain bytes), or features."""

    label: str
    image: str | None
    in_struct: bool
    features: tuple[str, ...]
    classes: tuple[str, ...] | None


def _label_column(schema: Any, where: str) -> str:
    types = needed("pyarrow.types")
    names = {field.name.lower(): field.name for field in schema}
    for name in LABELS:
        if name in names and not types.is_nested(schema.field(names[name]).type):
            return str(names[name])
    integers = [field.name for field in schema if types.is_integer(field.type)]
    if len(integers) == 1:
        return str(integers[0])
    raise DataError(
        f"{where}: no column of labels. Expected one named {', '.join(LABELS)}, or a single column "
        f"of integers; found {', '.join(schema.names) or 'no columns'}."
    )


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """The names that Hugging Face stores in the file's metadata, if they are there and sound."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return None
    sound = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if sound and len(names) >= 2 else None


def _holds_images(field: Any, types: Any) -> bool:
    if types.is_struct(field.type):
        return any(part.name == "bytes" and types.is_binary(part.type) for part in field.type)
    return bool(types.is_binary(field.type)) and field.name.lower() in IMAGES


def columns(path: Path) -> Columns:
    """Which columns of a file hold images and labels."""
    types, where = needed("pyarrow.types"), str(path)
    schema = _opened(path).schema_arrow
    if len(set(schema.names)) != len(schema.names):
        raise DataError(f"{where}: two columns have one name.")
    label = _label_column(schema, where)
    images = [field for field in schema if _holds_images(field, types)]
    if len(images) > 1:
        raise DataError(
            f"{where}: one column of images was expected, found "
            f"{', '.join(field.name for field in images)}. Keep one."
        )
    if images:
        struct = bool(types.is_struct(images[0].type))
        return Columns(label, images[0].name, struct, (), _class_names(schema, label))
    others = [field for field in schema if field.name != label]
    bad = [f.name for f in others if not (types.is_integer(f.type) or types.is_floating(f.type))]
    if bad or not others:
        raise DataError(
            f"{where}: neither a column of coded images (a struct with `bytes`) nor a table of "
            f"numbers; columns that are neither: {', '.join(bad) or 'none'}."
        )
    names = tuple(field.name for field in others)
    return Columns(label, None, False, names, _class_names(schema, label))


def _opened(path: Path) -> Any:
    arrow, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    try:
        return parquet.ParquetFile(path)
    except (*UNREADABLE, arrow.ArrowException) as error:
        raise DataError(f"{path} is not a parquet file that can be read: {error}.") from error


def parquet_chunks(
    files: list[Path], what: Columns, channels: int | None = None
) -> Callable[[], Iterator[Chunk]]:
    """A reader of the files' rows in order."""

    def read() -> Iterator[Chunk]:
        decoder = Decoder(channels) if what.image else None
        for path in files:
            start = 0
            for batch in _batches(path, what):
                where = f"{path}, rows {start} to {start + batch.num_rows - 1}"
                labels = storable_labels(_numpy(batch.column(what.label), where), where)
                if decoder is None:
                    yield _features(batch, what, where), labels
                else:
                    yield decoder.stack(_coded(batch, what, path, start)), labels
                start += batch.num_rows

    return read


def _batches(path: Path, what: Columns) -> Iterator[Any]:
    """Batches of at least one row with the wanted columns."""
    arrow = needed("pyarrow")
    wanted = [what.label, *what.features] + ([what.image] if what.image else [])
    opened = _opened(path)
    if missing := sorted(set(wanted) - set(opened.schema_arrow.names)):
        raise DataError(f"{path}: the column {missing[0]}, found in other parts, is missing.")
    try:
        for batch in opened.iter_batches(batch_size=ROWS_TOGETHER, columns=wanted):
            if batch.num_rows:
                yield batch
    except (*UNREADABLE, arrow.ArrowException) as error:
        raise DataError(f"{path} is damaged: {error}.") from error


def _numpy(column: Any, where: str) -> Array:
    """A column of numbers or text; empty fields are an error."""
    if column.null_count:
        raise DataError(
            f"{where}: {column.null_count} rows have no value in a column that is used."
        )
    arrow = needed("pyarrow")
    try:
        array: Array = column.to_numpy(zero_copy_only=False)
    except (*UNREADABLE, arrow.ArrowException) as error:
        raise DataError(f"{where}: values that cannot be read: {error}.") from error
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array):
        array = array.astype(np.str_)
    return array


def _features(batch: Any, what: Columns, where: str) -> Array:
    values = [_numpy(batch.column(name), where).astype(np.float64) for name in what.features]
    return storable(np.stack(values, axis=1), where)


def _coded(batch: Any, what: Columns, path: Path, start: int) -> list[tuple[str, bytes]]:
    column = batch.column(what.image)
    if what.in_struct:
        if not needed("pyarrow.types").is_struct(column.type):
            raise DataError(f"{path}: the column {what.image} is of another type than elsewhere.")
        column = column.field("bytes")
    coded = []
    for row, data in enumerate(column.to_pylist(), start):
        if not isinstance(data, bytes):
            raise DataError(f"{path}: row {row} holds no image bytes (a path alone is not enough).")
        coded.append((f"{path}, row {row}", data))
    return coded


def part_of(path: Path, root: Path) -> str | None:
    """train, validation or test by the words of the file name, else of its folders."""
    for word_source in reversed(path.relative_to(root).parts):
        words = re.split(r"[^a-z]+", word_source.lower())
        for word in words:
            if word in PARTS:
                return PARTS[word]
    return None


def _by_part(root: Path, files: list[Path]) -> dict[str, list[Path]]:
    parts: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    named = {path: part_of(path, root) for path in files}
    if not any(named.values()):
        return parts | {"train": files}
    for path, part in named.items():
        if part is None:
            raise DataError(
                f"{path}: some files here name their part (train, validation, test), this one "
                "does not. Rename or move it."
            )
        parts[part].append(path)
    if not parts["train"]:
        raise DataError(f"{root}: no file is named as the training part (train-….parquet).")
    return parts


def parquet_source(root: Path) -> Source:
    """A parquet file, or a folder of them.

    Files named after validation are the test part where no file is; otherwise they join the
    training part, from which each run splits its own validation samples.
    """
    files = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
    parts = {"train": files} if root.is_file() else _by_part(root, files)
    test = parts.get("test") or parts.get("validation", [])
    train = parts["train"] + (parts.get("validation", []) if parts.get("test") else [])
    what = columns(train[0])
    return Source(
        name=short_name(root),
        identity=identity("parquet", files),
        description=f"parquet {short_name(root)}",
        train=parquet_chunks(train, what),
        test=parquet_chunks(test, what) if test else None,
        classes=what.classes,
    )
