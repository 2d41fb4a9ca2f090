"""Dense products: the connections scattered into a dense operand, gradients gathered back.

Right where a dense product is fast: processors above the crossover density. On a GPU the networks
of a cohort are stacked, see `engine.stacked`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.autograd import AutogradEngine
from structure_net.engine.precision import product_dtype
from structure_net.networks import Network, Product


class _DenseProduct(torch.autograd.Function):
    """h @ W^T with W held as a reused buffer [units, sources] that is zero off the connections.

    The buffer's dtype is that of the products.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weights: Float[Tensor, " connections"],
        h: Float[Tensor, "batch sources"],
        operand: Float[Tensor, "units sources"],
        places: Tensor,
    ) -> Float[Tensor, "batch units"]:
        # index_copy_, not scatter_: ten times faster on a processor.
        operand.view(-1).index_copy_(0, places, weights.to(operand.dtype))
        h = h.to(operand.dtype)
        ctx.save_for_backward(h, places)
        ctx.operand = operand
        return (h @ operand.t()).to(weights.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (out,) = gradients
        h, places = ctx.saved_tensors
        dtype, out = out.dtype, out.to(h.dtype)
        # A contiguous left operand is faster than a transposed view.
        full = out.t().contiguous() @ h
        from_weights = full.view(-1).index_select(0, places).to(dtype)
        from_h = (out @ ctx.operand).to(dtype) if ctx.needs_input_grad[1] else None
        return from_weights, from_h, None, None


def _product(network: Network, *, mixed_precision: bool) -> Product:
    device = network.values.device
    dtype = product_dtype(device, mixed_precision)
    layers = [network.layer(index) for index in range(len(network.layers))]
    operands = [torch.zeros(one.units, one.sources, dtype=dtype, device=device) for one in layers]
    places = [layer.places for layer in layers]

    def multiply(index: int, weights: Tensor, h: Tensor) -> Tensor:
        result = _DenseProduct.apply(  # type: ignore[no-untyped-call]
            weights, h, operands[index], places[index]
        )
        assert isinstance(result, Tensor)
        return result

    return multiply


def DenseEngine(*, mixed_precision: bool = False, checkpointing: bool = False) -> AutogradEngine:
    """Dense products through reused operands, network by network; bf16 where `product_dtype` says
    so, with values, moments, biases and activations in fp32."""
    product_of = partial(_product, mixed_precision=mixed_precision)
    return AutogradEngine("dense", product_of, checkpointing=checkpointing)
