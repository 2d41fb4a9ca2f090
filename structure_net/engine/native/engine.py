"""Training by the compiled kernels: only the connections are touched, forward and backward."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.batches import Batch
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.native.library import load_library
from structure_net.engine.native.memory import (
    AHEAD,
    LARGEST_BLOCK,
    Arena,
    Blocks,
    LayerView,
    NetworkView,
    Quads,
    UpdateView,
    aligned,
)
from structure_net.engine.optimizer import FIRST_DECAY, SECOND_DECAY, AdamW
from structure_net.genome import ACTIVATIONS
from structure_net.networks import Network


class NativeEngine(Engine):
    """8-bit inputs as they are, float arithmetic, one network after the other.

    `path` chooses the instruction set, the processor's best if None.
    """

    name = "native"

    def __init__(self, path: str | None = None) -> None:
        self._library = _declared(load_library(path))
        self._arena = Arena()
        self._bound: WeakKeyDictionary[Network, _Bound] = WeakKeyDictionary()

    def train_steps(
        self,
        learners: Sequence[Learner],
        batches: Iterable[Batch],
        rates: Float[Tensor, "steps learners"],
    ) -> Float[Tensor, "steps learners"]:
        """See Engine. Every learner of the cohort takes the same packed batch from the cache."""
        losses = [[0.0] * len(learners) for _ in range(len(rates))]
        table = rates.tolist()
        for step, batch in enumerate(batches):
            blocks = Blocks(batch, self._library, self._arena)
            for place, learner in enumerate(learners):
                view = self._view(learner.network, batch, learner.optimizer)
                update = _update(learner.optimizer, table[step][place])
                losses[step][place] = self._library.sn_step(
                    view, blocks.views, blocks.count, blocks.samples, ctypes.byref(update)
                )
        return torch.tensor(losses).reshape(rates.shape)

    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """See Engine."""
        correct, loss, count = ctypes.c_int64(0), 0.0, 0
        for batch in batches:
            if not isinstance(batch.packed, Blocks):
                batch.packed = Blocks(batch, self._library, Arena())
            blocks = batch.packed
            view = self._view(network, batch, None)
            loss += self._library.sn_evaluate(
                view, blocks.views, blocks.count, ctypes.byref(correct)
            )
            count += blocks.samples
        return correct.value / count, loss / count, count

    def first_products(
        self, network: Network, batches: Sequence[Batch]
    ) -> Float[Tensor, "units samples"] | None:
        """See Engine. For 8-bit samples: others are multiplied no faster here."""
        if any(batch.raw is None for batch in batches):
            return None
        parts = []
        for batch in batches:
            if not isinstance(batch.packed, Blocks):
                batch.packed = Blocks(batch, self._library, Arena())
            blocks = batch.packed
            products = np.empty((network.layer(0).units, blocks.samples), dtype=np.float32)
            view = self._view(network, batch, None)
            self._library.sn_first(
                view, blocks.views, blocks.count, blocks.samples, products.ctypes.data
            )
            parts.append(torch.from_numpy(products))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def _view(self, network: Network, batch: Batch, optimizer: AdamW | None) -> ctypes.c_void_p:
        bound = self._bound.get(network)
        if bound is None:
            bound = self._bound[network] = _Bound(network)
        return bound.view(network, batch, optimizer)


class _Bound:
    """One network's storage as the kernels see it; the lists by source are made once."""

    def __init__(self, network: Network) -> None:
        values = network.values
        self._gradient = np.zeros(len(values), dtype=np.float32)
        self._layers = (LayerView * len(network.layers))()
        self._kept: list[np.ndarray] = []
        weights, biases = 0, network.connection_count
        normalised = network.genome.normalisation == "rms"
        for index, view in enumerate(self._layers):
            connections = network.layer(index).connections
            order = np.argsort(connections.columns, kind="stable").astype(np.int32)
            ends = np.concatenate([[0], np.cumsum(connections.fan_out)]).astype(np.int32)
            units = connections.rows[order].astype(np.int32)
            view.sources, view.units = connections.sources, connections.units
            plan = network.genome.plans[index]
            view.skip = plan.skip
            inner = normalised and not plan.skip and index < len(network.layers) - 1
            view.normalised = plan.members if inner else 0
            view.row_pointers = self._at(connections.row_pointers)
            view.columns = self._at(_padded(connections.columns))
            view.source_pointers, view.source_units = self._at(ends), self._at(_padded(units))
            view.source_order = self._at(order)
            view.weights, view.biases = weights, biases
            weights, biases = weights + len(order), biases + plan.biases
        hidden = [plan.units for plan in network.genome.plans[:-1]]
        # What a block's sum was derived by stays until the way back has passed the block.
        spares = 3 if any(network.genome.blocks) else 2
        # Two matrices a layer, two or three of the widest, the logits, one row of scales a layer.
        rows = 2 * sum(hidden) + spares * max(hidden, default=0) + network.genome.classes
        rows += len(hidden)
        self._first = network.layer(0).connections
        self._quads: Quads | None = None
        self._scratch = aligned(rows * LARGEST_BLOCK, np.float32)
        self._network = NetworkView(
            layer_count=len(network.layers),
            spares=spares,
            activation=ACTIVATIONS.index(network.genome.activation),
            layers=ctypes.addressof(self._layers),
            gradient=self._gradient.ctypes.data,
            value_count=len(values),
            connection_count=network.connection_count,
            scratch=self._scratch.ctypes.data,
        )

    def view(self, network: Network, batch: Batch, optimizer: AdamW | None) -> ctypes.c_void_p:
        """The structure, with the standardisation of `batch` and the moments of `optimizer`."""
        raw, view = batch.raw, self._network
        view.values = network.values.data_ptr()
        view.raw = None
        if raw is not None:
            if self._quads is None or not self._quads.standardise_as(raw):
                self._quads = Quads(self._first, raw)
            view.raw = ctypes.addressof(self._quads.view)
        if optimizer is not None:
            view.first_moment = optimizer.first_moment.data_ptr()
            view.second_moment = optimizer.second_moment.data_ptr()
            view.multiplier = optimizer.multiplier.data_ptr()
        return ctypes.c_void_p(ctypes.addressof(view))

    def _at(self, array: np.ndarray) -> int:
        self._kept.append(np.ascontiguousarray(array, dtype=np.int32))
        return int(self._kept[-1].ctypes.data)


def _padded(places: np.ndarray) -> np.ndarray:
    """The kernels ask for the row of a connection a few places further on."""
    return np.concatenate([places, np.zeros(AHEAD, dtype=places.dtype)])


def _update(optimizer: AdamW, rate: float) -> UpdateView:
    """The numbers of one step; the optimizer counts it."""
    optimizer.steps += 1
    return UpdateView(
        rate,
        *optimizer.limits,
        optimizer.weight_decay,
        1.0 - FIRST_DECAY**optimizer.steps,
        math.sqrt(1.0 - SECOND_DECAY**optimizer.steps),
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Argument types of the functions of `kernels.cpp`."""
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    library.sn_step.restype = library.sn_evaluate.restype = ctypes.c_double
    library.sn_step.argtypes = [pointer, pointer, int32, int64, pointer]
    library.sn_evaluate.argtypes = [pointer, pointer, int32, pointer]
    library.sn_first.restype = library.sn_pack.restype = None
    library.sn_first.argtypes = [pointer, pointer, int32, int64, pointer]
    library.sn_pack.argtypes = [*(pointer, int64, pointer, int32, pointer, int32, pointer, pointer)]
    return library
