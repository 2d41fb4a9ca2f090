"""Labels of any kind mapped to the numbers 0 .. classes - 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structure_net.datasets.source import Array, printable
from structure_net.errors import DataError

MOST_CLASSES = 65_536  # the widest layer a network may have


def _numbers(labels: Array, where: str) -> Array:
    """Text that spells whole numbers as int64; other text stays."""
    if labels.dtype.kind != "U":
        return labels
    try:
        values = labels.astype(np.float64)
    except ValueError:
        return labels
    if not np.isfinite(values).all():
        return labels
    if (values != np.floor(values)).any() or (np.abs(values) > 2**53).any():
        raise DataError(
            f"{where}: labels must name classes; numbers such as {str(labels[0])!r} were found "
            "(predicting a quantity is not supported)."
        )
    return values.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Coder:
    """Maps labels to class numbers, by the classes of the training part."""

    classes: tuple[str, ...]
    values: Array | None  # sorted label of each class; None: labels are class numbers already

    def __call__(self, labels: Array, where: str) -> Array:
        """Class numbers, int64 [n]; a label of no class is an error."""
        if self.values is None:
            return self._in_range(labels, where)
        if self.values.dtype.kind != "U":
            labels = _numbers(labels, where)
        if (labels.dtype.kind == "U") != (self.values.dtype.kind == "U"):
            raise DataError(f"{where}: labels are of another type than those of the first part.")
        codes = np.searchsorted(self.values, labels).clip(max=len(self.values) - 1)
        wrong = self.values[codes] != labels
        if wrong.any():
            raise DataError(
                f"{where}: the label {str(labels[wrong][0])!r} does not occur in the training "
                f"part, whose classes are {', '.join(self.classes[:20])}."
            )
        return codes.astype(np.int64)

    def _in_range(self, labels: Array, where: str) -> Array:
        if labels.dtype.kind == "U":
            raise DataError(f"{where}: labels must be class numbers, text was found.")
        codes = labels.astype(np.int64)
        wrong = (codes < 0) | (codes >= len(self.classes))
        if wrong.any():
            raise DataError(
                f"{where}: labels must lie in 0 .. {len(self.classes) - 1}, sample "
                f"{int(np.argmax(wrong))} has {codes[wrong][0]}."
            )
        return codes


def coder(labels: Array, classes: tuple[str, ...] | None, where: str) -> Coder:
    """The mapping for these training labels; fewer than two classes are an error."""
    if classes is None:
        labels = _numbers(labels, where)
        values = np.unique(labels)
        names = tuple(printable(str(value)) for value in values)
    else:
        values, names = None, tuple(printable(name) for name in classes)
    distinct = len(np.unique(labels))
    if distinct < 2:
        raise DataError(f"{where}: at least two classes are needed, {distinct} was found.")
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"{where}: {len(names)} distinct labels were found, at most {MOST_CLASSES} classes "
            "are possible. Do the labels name classes?"
        )
    return Coder(names, values)
