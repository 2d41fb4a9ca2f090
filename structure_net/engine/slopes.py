"""Derivatives written out: of the activations, and of the losses by the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.genome import Activation
from structure_net.networks import LEAK

_aten: Any = torch.ops.aten

# The gradient before an activation from the one behind it, its argument z and its value h.
SLOPES: dict[Activation, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "relu": lambda above, _z, h: _aten.threshold_backward(above, h, 0.0),
    "leaky_relu": lambda above, z, _h: _aten.leaky_relu_backward(above, z, LEAK, False),
    "gelu": lambda above, z, _h: _aten.gelu_backward(above, z),
    "silu": lambda above, z, _h: _aten.silu_backward(above, z),
    "tanh": lambda above, _z, h: _aten.tanh_backward(above, h),
}


def wanted_of(
    targets: Int[Tensor, "2 samples"],
    shares: Float[Tensor, " 2"],
    classes: Int[Tensor, " classes"],
) -> Float[Tensor, "classes samples"]:
    """The probabilities that a loss asks for: two classes a sample, each with its share.

    `classes` is 0, 1, 2, ...
    """
    right = targets[:, None, :] == classes[:, None]
    return (right * shares[:, None, None]).sum(0)


def losses_and_slopes(
    logits: Float[Tensor, "networks classes samples"],
    wanted: Float[Tensor, "classes samples"],
    scale: float,
) -> tuple[Float[Tensor, " networks"], Float[Tensor, "networks classes samples"]]:
    """Cross-entropies in nats summed over samples times `scale`, and their gradients."""
    logarithms = torch.log_softmax(logits, 1)
    losses = (logarithms * wanted).sum((1, 2)).mul_(-scale)
    return losses, logarithms.exp_().sub_(wanted).mul_(scale)
