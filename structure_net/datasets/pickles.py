"""The one pickle that is read: a batch of the CIFAR-10 python archive.

No function of numpy or of anything else is ever called by it: the five names it may mention stand
for recorders below, and every other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

from structure_net.datasets.source import UNREADABLE, Array
from structure_net.errors import DataError


class _Recorder:
    """Keeps what a pickled array or type was made of."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _encoded(text: str, coding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into the old protocols."""
    if coding != "latin1":
        raise ValueError(f"the coding {coding!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Recorder,
    ("numpy._core.multiarray", "_reconstruct"): _Recorder,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Recorder,
    ("_codecs", "encode"): _encoded,
}

# Codes that allocate before they read, or that reach outside the stream.
_REFUSED = {
    pickle.BYTEARRAY8[0],
    pickle.NEXT_BUFFER[0],
    pickle.READONLY_BUFFER[0],
    pickle.EXT1[0],
    pickle.EXT2[0],
    pickle.EXT4[0],
    pickle.PERSID[0],
    pickle.BINPERSID[0],
}


class _Restricted(pickle._Unpickler):
    """The unpickler in Python: the one in C may allocate gigabytes for a forged memo index."""

    dispatch = {  # noqa: RUF012
        code: action for code, action in pickle._Unpickler.dispatch.items() if code not in _REFUSED
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, not a dataset")
        return ALLOWED[module_name, global_name]


def _rows(recorded: Any, width: int) -> Array:
    """The uint8 matrix [n, width] that a recorder describes."""
    _, shape, kind, columns_first, data = recorded.state
    if kind.arguments[0] not in ("u1", b"u1") or not isinstance(data, bytes):
        raise ValueError("its data are not bytes")
    if len(shape) != 2 or shape[1] != width or math.prod(shape) != len(data):
        raise ValueError(f"its data have the shape {shape}")
    matrix = np.frombuffer(data, dtype=np.uint8)
    return matrix.reshape(shape, order="F" if columns_first else "C")


def read_batch(data: bytes, width: int, where: str) -> tuple[Array, Array]:
    """Rows uint8 [n, width] and labels int64 [n] of a pickled batch."""
    try:
        batch = _Restricted(io.BytesIO(data), encoding="bytes").load()
        named = {k.decode() if isinstance(k, bytes) else k: v for k, v in batch.items()}
        images = _rows(named["data"], width)
        labels = np.array(named["labels"])
    except (*UNREADABLE, pickle.UnpicklingError) as error:
        raise DataError(f"{where} is not a batch of CIFAR-10: {error}. Fetch it again.") from error
    if labels.dtype.kind != "i" or labels.shape != (len(images),):
        raise DataError(f"{where}: one whole number a sample was expected as label.")
    return images, labels.astype(np.int64)
