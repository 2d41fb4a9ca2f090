"""Dense products: the connections scattered into a dense operand, gradients gathered back.

Right where a dense product is fast: processors above the crossover density. On a GPU the networks
of a cohort are stacked, see `engine.stacked`.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.layerwise import LayerwiseEngine
from structure_net.engine.passes import Operands, Rows
from structure_net.engine.precision import product_dtype
from structure_net.networks import Network

# Below this density the first layer goes forward row by row: 7 ns a connection against 0.5 ns for
# each place of a 16-bit product and 2 ns a connection for its operand (Xeon with AMX). A layer
# behind it needs the operand anyhow, for the gradient of its sources.
SPARSE_FORWARD = 0.08

# Up to so many units the gradient of a first layer is faster as h @ slope^T: what a product packs
# first is its right operand, and that is the smaller one then.
NARROW = 600


class _Scratch:
    """One buffer for the full gradients of all layers of all networks, which come one at a time.

    A fresh one of megabytes at every step would cost more in page faults than the product that
    fills it.
    """

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """`left @ right`, valid until the next."""
        size = left.shape[0] * right.shape[1]
        same = self._buffer.dtype == left.dtype and self._buffer.device == left.device
        if not same or len(self._buffer) < size:
            self._buffer = torch.empty(0)  # freed first
            self._buffer = torch.empty(size, dtype=left.dtype, device=left.device)
        return torch.mm(left, right, out=self._buffer[:size].view(left.shape[0], -1))


class _Buffers(Operands):
    """For each layer a reused buffer [units, sources] that is zero off the connections."""

    def __init__(self, network: Network, scratch: _Scratch, *, mixed_precision: bool) -> None:
        device = network.values.device
        self.dtype = product_dtype(device, mixed_precision)
        self._scratch = scratch
        self._layers = [network.layer(index) for index in range(len(network.layers))]
        self._places = [layer.places for layer in self._layers]
        self._places_of_gradient = list(self._places)
        first = self._layers[0]
        if first.units <= NARROW:  # whose gradient is computed as [sources, units]
            self._places_of_gradient[0] = first.columns * first.units + first.rows
        self._sparse = len(first) <= SPARSE_FORWARD * first.units * first.sources
        self._buffers = [
            torch.zeros(0 if self._sparse and one is first else one.units * one.sources).to(
                device, self.dtype
            )
            for one in self._layers
        ]

    def forward(
        self, index: int, weights: Float[Tensor, " connections"], h: Float[Tensor, "sources batch"]
    ) -> Float[Tensor, "units batch"]:
        """See Operands."""
        weights, layer = weights.to(self.dtype), self._layers[index]
        if self._sparse and index == 0:
            starts = layer.row_pointers[:-1]
            return functional.embedding_bag(
                layer.columns, h, starts, mode="sum", per_sample_weights=weights
            )
        # index_copy_, not scatter_: ten times faster on a processor.
        self._buffers[index].index_copy_(0, self._places[index], weights)
        return self._operand(index) @ h

    def gradient(
        self,
        index: int,
        slope: Float[Tensor, "units batch"],
        h: Float[Tensor, "sources batch"],
        rows: Rows | None,
    ) -> Float[Tensor, " connections"]:
        """See Operands."""
        if index == 0 and len(slope) <= NARROW:
            full = self._scratch.product(h, slope.t().contiguous())
        else:
            full = self._scratch.product(slope, h.t() if rows is None else rows())
        return full.view(-1).index_select(0, self._places_of_gradient[index])

    def below(
        self,
        index: int,
        weights: Float[Tensor, " connections"],
        slope: Float[Tensor, "units batch"],
    ) -> Float[Tensor, "sources batch"]:
        """See Operands."""
        return self._operand(index).t() @ slope

    def _operand(self, index: int) -> Float[Tensor, "units sources"]:
        return self._buffers[index].view(self._layers[index].units, self._layers[index].sources)


def DenseEngine(*, mixed_precision: bool = False, checkpointing: bool = False) -> LayerwiseEngine:
    """Dense products through reused operands, network by network; products and activations in bf16
    where `product_dtype` says so, with values, moments and gradients at the connections in fp32."""
    operands_of = partial(_Buffers, scratch=_Scratch(), mixed_precision=mixed_precision)
    return LayerwiseEngine("dense", operands_of, checkpointing=checkpointing)
