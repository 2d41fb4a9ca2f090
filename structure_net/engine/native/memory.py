"""Arrays and structures as the kernels see them; names and order as in `kernels.cpp`."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from jaxtyping import Int

from structure_net.engine.augmentation import cut_side
from structure_net.engine.batches import Batch, RawSamples
from structure_net.networks import Connections

GROUP = 64  # samples whose 8-bit values fill one vector
LARGEST_BLOCK = 256  # samples whose partial sums fit the registers
LANES = 16  # floats in a vector
AHEAD = 3  # entries behind the end of a connection list that may be read, not used
ALIGNMENT = 64  # bytes; an unaligned 512-bit access touches two cache lines


class LayerView(ctypes.Structure):
    _fields_ = (
        ("sources", ctypes.c_int32),
        ("units", ctypes.c_int32),
        ("normalised", ctypes.c_int32),
        ("skip", ctypes.c_int32),
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
        ("spares", ctypes.c_int32),
        ("layers", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("gradient", ctypes.c_void_p),
        ("first_moment", ctypes.c_void_p),
        ("second_moment", ctypes.c_void_p),
        ("multiplier", ctypes.c_void_p),
        ("value_count", ctypes.c_int64),
        ("connection_count", ctypes.c_int64),
        ("raw", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
    )


class QuadsView(ctypes.Structure):
    _fields_ = (
        ("pointers", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("factor", ctypes.c_void_p),
        ("shift", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
        ("room", ctypes.c_int64),
    )


class BlockView(ctypes.Structure):
    _fields_ = (
        ("inputs", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("partners", ctypes.c_void_p),
        ("groups", ctypes.c_int32),
        ("share", ctypes.c_float),
    )


class AlterationView(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("flipped", "offsets", "corners", "fill")),
        *((name, ctypes.c_int32) for name in ("height", "width", "side")),
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


class Quads:
    """A first layer's connections as 8-bit inputs want them: each unit's a multiple of four.

    Those added stand at the unit's last source and count for nothing.
    """

    def __init__(self, connections: Connections, raw: RawSamples) -> None:
        self.standard = (raw.factor, raw.shift)
        fan_in = np.diff(connections.row_pointers)
        fours = -(-fan_in // 4)
        pointers = np.concatenate([[0], np.cumsum(fours)]).astype(np.int32)
        largest = 4 * int(fours.max(initial=0))
        # The kernels ask for the rows of the connections one unit further on.
        columns = np.zeros(4 * int(pointers[-1]) + largest + LANES, dtype=np.int32)
        unit = connections.rows.astype(np.int64)
        places = 4 * pointers[unit] + np.arange(len(unit)) - connections.row_pointers[unit]
        columns[places] = connections.columns
        for extra in range(3):
            short = (fan_in > 0) & (4 * fours - fan_in > extra)
            last = connections.columns[connections.row_pointers[1:][short] - 1]
            columns[4 * pointers[1:][short] - 1 - extra] = last
        room = largest + LANES
        self._kept = (
            pointers,
            columns,
            np.ascontiguousarray(raw.factor[columns], dtype=np.float32),
            np.ascontiguousarray(raw.shift[columns], dtype=np.float32),
            aligned(3 * room, np.int8),
        )
        self.view = QuadsView(*(array.ctypes.data for array in self._kept), room)

    def standardise_as(self, raw: RawSamples) -> bool:
        """Whether these lists hold the standardisation of that batch."""
        return self.standard[0] is raw.factor and self.standard[1] is raw.shift


@cache
def sample_order(library: ctypes.CDLL) -> np.ndarray:
    """Sample of each place of a group in float matrices, as the library's path wants it."""
    order = np.zeros(GROUP, dtype=np.int32)
    library.sn_order(ctypes.c_void_p(order.ctypes.data))
    return order


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
            order = sample_order(library)
            inputs = (
                _floats(batch, here, groups, order)
                if batch.raw is None
                else _packed(batch.raw, here, groups, library, arena)
            )
            labels = _labels(batch.labels[here], groups, order)
            self._kept += [inputs, labels]
            if batch.mixing is not None:
                partners = _labels(batch.mixing.targets[here].numpy(), groups, order)
                self._kept.append(partners)
                view.partners, view.share = partners.ctypes.data, batch.mixing.share
            view.inputs, view.labels = inputs.ctypes.data, labels.ctypes.data
            view.groups = groups


def _labels(labels: Int[np.ndarray, " samples"], groups: int, order: np.ndarray) -> np.ndarray:
    padded = np.full(groups * GROUP, -1, dtype=np.int32)
    padded[: len(labels)] = labels
    return np.ascontiguousarray(padded.reshape(groups, GROUP)[:, order])


def _floats(batch: Batch, here: slice, groups: int, order: np.ndarray) -> np.ndarray:
    inputs = batch.inputs[here].numpy()
    padded = aligned(inputs.shape[1] * groups * GROUP, np.float32)
    padded = padded.reshape(inputs.shape[1], groups * GROUP)
    padded[:, : len(inputs)] = inputs.T
    grouped = padded.reshape(inputs.shape[1], groups, GROUP)
    grouped[...] = grouped[:, :, order]
    return padded


def _packed(
    raw: RawSamples, here: slice, groups: int, library: ctypes.CDLL, arena: Arena
) -> np.ndarray:
    features = len(raw.factor)
    block = arena.take(features * groups * GROUP, np.uint8, "block", here.start)
    rows = np.ascontiguousarray(raw.rows[here], dtype=np.int64)
    alterations, _kept = _altered(raw, here)
    spare = arena.take(GROUP * (features + LANES), np.uint8, "rows")
    library.sn_pack(
        raw.images.ctypes.data,
        features,
        rows.ctypes.data,
        len(rows),
        ctypes.byref(alterations),
        groups,
        spare.ctypes.data,
        block.ctypes.data,
    )
    return block


def _altered(raw: RawSamples, here: slice) -> tuple[AlterationView, list[np.ndarray]]:
    """What was drawn for samples of a batch, and the arrays that must outlive the call."""
    shape = raw.images.shape[1:]
    height, width = shape[-2:] if len(shape) == 3 else (1, shape[-1])
    view = AlterationView(height=height, width=width, side=cut_side(shape))
    kept = [] if raw.fill is None else [raw.fill]
    view.fill = None if raw.fill is None else raw.fill.ctypes.data
    kinds = {"flipped": np.uint8, "offsets": np.int32, "corners": np.int32}
    for name, kind in kinds.items():
        if (drawn := getattr(raw, name)) is not None:
            kept.append(np.ascontiguousarray(drawn[here], dtype=kind))
            setattr(view, name, kept[-1].ctypes.data)
    return view, kept
