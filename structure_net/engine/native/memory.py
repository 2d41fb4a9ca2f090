"""Arrays and structures as the kernels see them; names and order as in `kernels.cpp`."""

from __future__ import annotations

import ctypes

import numpy as np
from jaxtyping import Int

from structure_net.engine.batches import Batch, RawSamples

GROUP = 32  # samples in one pair of vectors
LARGEST_BLOCK = 256  # samples whose partial sums fit the registers
AHEAD = 3  # entries behind the end of a connection list that may be read, not used
ALIGNMENT = 64  # bytes; an unaligned 512-bit access touches two cache lines
SAMPLE_ORDER = np.concatenate([np.arange(0, GROUP, 2), np.arange(1, GROUP, 2)])


class LayerView(ctypes.Structure):
    _fields_ = (
        ("sources", ctypes.c_int32),
        ("units", ctypes.c_int32),
        ("row_pointers", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("source_pointers", ctypes.c_void_p),
        ("source_units", ctypes.c_void_p),
        ("source_order", ctypes.c_void_p),
        ("weights", ctypes.c_int64),
        ("biases", ctypes.c_int64),
    )


class NetworkView(ctypes.Structure):
    _fields_ = (
        ("layer_count", ctypes.c_int32),
        ("activation", ctypes.c_int32),
        ("layers", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("gradient", ctypes.c_void_p),
        ("first_moment", ctypes.c_void_p),
        ("second_moment", ctypes.c_void_p),
        ("multiplier", ctypes.c_void_p),
        ("value_count", ctypes.c_int64),
        ("connection_count", ctypes.c_int64),
        ("factor", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
    )


class BlockView(ctypes.Structure):
    _fields_ = (
        ("inputs", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("groups", ctypes.c_int32),
    )


class UpdateView(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_float)
        for name in (
            "rate",
            "lowest",
            "highest",
            "decay",
            "first_correction",
            "second_correction",
        )
    )


def aligned(count: int, dtype: type[np.generic]) -> np.ndarray:
    """`count` zeros that begin at a cache line."""
    size = np.dtype(dtype).itemsize * count
    memory = np.zeros(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype)


class Arena:
    """Arrays that are used again: fresh memory costs a page fault for every 4 KiB."""

    def __init__(self) -> None:
        self._held: dict[tuple[object, ...], np.ndarray] = {}

    def take(self, count: int, dtype: type[np.generic], *name: object) -> np.ndarray:
        """The aligned array of that name and size, with whatever it held before."""
        key = (count, dtype, *name)
        if key not in self._held:
            self._held[key] = aligned(count, dtype)
        return self._held[key]


class Blocks:
    """A batch as the kernels take it: blocks of at most 256 samples, features down.

    8-bit samples are packed by the library; others are copied as floats in group order. Missing
    samples of the last group have zeros for inputs and a negative label. What is made in an arena
    holds until the next batch is made there.
    """

    def __init__(self, batch: Batch, library: ctypes.CDLL, arena: Arena) -> None:
        starts = range(0, len(batch), LARGEST_BLOCK)
        self.samples = len(batch)
        self.count = len(starts)
        self.views = (BlockView * len(starts))()
        self._kept: list[np.ndarray] = []
        for view, start in zip(self.views, starts, strict=True):
            here = slice(start, min(start + LARGEST_BLOCK, len(batch)))
            groups = -(-(here.stop - start) // GROUP)
            inputs = (
                _floats(batch, here, groups)
                if batch.raw is None
                else _packed(batch.raw, here, groups, library, arena)
            )
            labels = _labels(batch.labels[here], groups)
            self._kept += [inputs, labels]
            view.inputs, view.labels = inputs.ctypes.data, labels.ctypes.data
            view.groups = groups


def _labels(labels: Int[np.ndarray, " samples"], groups: int) -> np.ndarray:
    padded = np.full(groups * GROUP, -1, dtype=np.int32)
    padded[: len(labels)] = labels
    return np.ascontiguousarray(padded.reshape(groups, GROUP)[:, SAMPLE_ORDER])


def _floats(batch: Batch, here: slice, groups: int) -> np.ndarray:
    inputs = batch.inputs[here].numpy()
    padded = aligned(inputs.shape[1] * groups * GROUP, np.float32)
    padded = padded.reshape(inputs.shape[1], groups * GROUP)
    padded[:, : len(inputs)] = inputs.T
    grouped = padded.reshape(inputs.shape[1], groups, GROUP)
    grouped[...] = grouped[:, :, SAMPLE_ORDER]
    return padded


def _packed(
    raw: RawSamples, here: slice, groups: int, library: ctypes.CDLL, arena: Arena
) -> np.ndarray:
    features = len(raw.factor)
    block = arena.take(features * groups * GROUP, np.uint16, "block", here.start)
    rows = np.ascontiguousarray(raw.rows[here], dtype=np.int64)
    flips = None
    if raw.flipped is not None:
        flips = np.ascontiguousarray(raw.flipped[here], dtype=np.uint8)
    spare = arena.take(groups * GROUP * (features + 16), np.uint8, "rows")
    library.sn_pack(
        raw.images.ctypes.data,
        features,
        rows.ctypes.data,
        None if flips is None else flips.ctypes.data,
        len(rows),
        raw.line,
        groups,
        spare.ctypes.data,
        block.ctypes.data,
    )
    return block
