"""Sparse products by compressed rows, fp32: the readable reference, and fast at low density."""

from __future__ import annotations

import warnings
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.layerwise import LayerwiseEngine
from structure_net.engine.passes import Operands, Rows
from structure_net.networks import Network, SparseLayer

# torch says once per process that CSR tensors are in beta; said here, where nobody waits for it.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([0.0]), (1, 1))


class _Pattern:
    """A layer's connections by unit, and by source for the backward pass."""

    def __init__(self, layer: SparseLayer) -> None:
        self._shape = (layer.units, layer.sources)
        self._row_pointers, self._columns = layer.row_pointers, layer.columns
        self._by_source = torch.argsort(layer.columns.long() * layer.units + layer.rows)
        fan_out = torch.bincount(layer.columns.long(), minlength=layer.sources)
        starts = fan_out.cumsum(0) - fan_out
        self._source_starts = starts.to(layer.row_pointers.dtype)
        self._units = layer.rows[self._by_source].to(layer.columns.dtype)

    def forward(self, weights: Tensor, h: Tensor) -> Tensor:
        """W @ h."""
        return _summed(weights, self._columns, self._row_pointers[:-1], h.contiguous())

    def backward(self, weights: Tensor, slope: Tensor) -> Tensor:
        """W^T @ slope."""
        chosen = weights.index_select(0, self._by_source)
        return _summed(chosen, self._units, self._source_starts, slope)

    def sampled(self, slope: Tensor, h: Tensor) -> Tensor:
        """slope @ h^T at the connections."""
        values = slope.new_zeros(len(self._columns))  # which are added to
        pattern = torch.sparse_csr_tensor(
            self._row_pointers, self._columns, values, self._shape, check_invariants=False
        )
        found = torch.sparse.sampled_addmm(pattern, slope, h.t())
        return found.values()  # type: ignore[no-any-return]


def _summed(weights: Tensor, places: Tensor, starts: Tensor, rows: Tensor) -> Tensor:
    """Weighted sums of rows: a product by compressed rows, a tenth faster than torch's own, which
    fills and copies its result first."""
    return functional.embedding_bag(places, rows, starts, mode="sum", per_sample_weights=weights)


class _Patterns(Operands):
    dtype = torch.float32

    def __init__(self, network: Network) -> None:
        self._patterns = [_Pattern(network.layer(index)) for index in range(len(network.layers))]

    def forward(
        self, index: int, weights: Float[Tensor, " connections"], h: Float[Tensor, "sources batch"]
    ) -> Float[Tensor, "units batch"]:
        """See Operands."""
        return self._patterns[index].forward(weights, h)

    def gradient(
        self,
        index: int,
        slope: Float[Tensor, "units batch"],
        h: Float[Tensor, "sources batch"],
        rows: Rows | None,
    ) -> Float[Tensor, " connections"]:
        """See Operands."""
        return self._patterns[index].sampled(slope, h)

    def below(
        self,
        index: int,
        weights: Float[Tensor, " connections"],
        slope: Float[Tensor, "units batch"],
    ) -> Float[Tensor, "sources batch"]:
        """See Operands."""
        return self._patterns[index].backward(weights, slope)


# torch's sums of rows, and `sampled_addmm` for the gradient at the connections only.
CsrEngine = partial(LayerwiseEngine, "csr", _Patterns)
