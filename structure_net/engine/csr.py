"""Sparse products by compressed rows, fp32: the readable reference, and fast at low density."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.autograd import AutogradEngine
from structure_net.networks import Network, Product, SparseLayer


def _compressed(
    row_pointers: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]
) -> Tensor:
    return torch.sparse_csr_tensor(
        row_pointers, columns, values, size=shape, check_invariants=False
    )


# torch says once per process that CSR tensors are in beta; said here, where nobody waits for it.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _compressed(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([0.0]), (1, 1))


class _Pattern:
    """A layer's connections by unit, and by source for the backward pass."""

    def __init__(self, layer: SparseLayer) -> None:
        self.shape = (layer.units, layer.sources)
        self.row_pointers, self.columns = layer.row_pointers, layer.columns
        self.by_source = torch.argsort(layer.columns.long() * layer.units + layer.rows)
        fan_out = torch.bincount(layer.columns.long(), minlength=layer.sources)
        ends = torch.cat([fan_out.new_zeros(1), fan_out.cumsum(0)])
        self.source_pointers = ends.to(layer.row_pointers.dtype)
        self.units = layer.rows[self.by_source].to(layer.columns.dtype)

    def matrix(self, values: Tensor) -> Tensor:
        """[units, sources]."""
        return _compressed(self.row_pointers, self.columns, values, self.shape)

    def transposed(self, values: Tensor) -> Tensor:
        """[sources, units]."""
        sources_first = (self.shape[1], self.shape[0])
        chosen = values.index_select(0, self.by_source)
        return _compressed(self.source_pointers, self.units, chosen, sources_first)


class _SparseProduct(torch.autograd.Function):
    """h @ W^T with W in compressed rows."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Float[Tensor, " connections"],
        h: Float[Tensor, "batch sources"],
        pattern: _Pattern,
    ) -> Float[Tensor, "batch units"]:
        ctx.save_for_backward(weights, h)
        ctx.pattern = pattern
        return (pattern.matrix(weights) @ h.t()).t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (out,) = gradients
        weights, h = ctx.saved_tensors
        pattern: _Pattern = ctx.pattern
        empty = pattern.matrix(torch.zeros_like(weights))
        from_weights = torch.sparse.sampled_addmm(empty, out.t(), h).values()
        from_h = None
        if ctx.needs_input_grad[1]:
            from_h = (pattern.transposed(weights) @ out.t()).t()
        return from_weights, from_h, None


def _product(network: Network) -> Product:
    patterns = [_Pattern(network.layer(index)) for index in range(len(network.layers))]

    def multiply(index: int, weights: Tensor, h: Tensor) -> Tensor:
        result = _SparseProduct.apply(  # type: ignore[no-untyped-call]
            weights, h, patterns[index]
        )
        assert isinstance(result, Tensor)
        return result

    return multiply


# torch's CSR products and `sampled_addmm` for the gradient at the connections only.
CsrEngine = partial(AutogradEngine, "csr", _product)
