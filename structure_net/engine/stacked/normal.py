"""Root mean square normalisation of a level's blocks, and the way back, both in place.

For each sample and network, over its members: r = q u with q = 1 / sqrt(mean u^2 + 1e-6). Padded
rows hold zeros, so that they change no sum; the mean is over the members. Sums are in fp32.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.stacked.layout import Block, Layout, Level
from structure_net.networks import RMS_EPSILON


def shares_of(layout: Layout) -> Float[Tensor, "places 1 1"]:
    """One over the members of every normalised layer of all levels, fp32."""
    widths = [width for level in layout.levels for block in level.blocks for width in block.widths]
    return torch.tensor(widths, dtype=torch.float32).reciprocal().view(-1, 1, 1)


def normalise(
    level: Level,
    rows: Float[Tensor, "rows samples"],
    biases: Float[Tensor, "rows 1"],
    shares: Float[Tensor, "places 1 1"],
) -> list[Tensor]:
    """Turns u of the level's blocks into z = r + bias. `shares` holds one over the members of each
    normalised layer.

    Returns the factors q of each block [networks, 1, samples], fp32.
    """
    factors = []
    for block in level.blocks:
        u, share = _part(rows, block), shares[block.place :][: len(block.widths)]
        own = u * _membership(block, share) if block.grown else u
        norm = torch.linalg.vector_norm(own, dim=1, keepdim=True, dtype=torch.float32)
        factor = norm.square_().mul_(share).add_(RMS_EPSILON).rsqrt_()
        torch.addcmul(_part(biases, block), u, factor, out=u)
        factors.append(factor)
    return factors


def slopes_before(
    level: Level,
    slope: Float[Tensor, "rows samples"],
    z: Float[Tensor, "rows samples"],
    biases: Float[Tensor, "rows 1"],
    factors: list[Tensor],
    shares: Float[Tensor, "places 1 1"],
) -> None:
    """Turns the gradients by z of the level's blocks into those by u.

    d_u = q (d_r - r sum(d_r r) / members), q d_r for others; r = z - bias is computed again.
    """
    for block, factor in zip(level.blocks, factors, strict=True):
        d_r, share = _part(slope, block), shares[block.place :][: len(block.widths)]
        r = torch.sub(_part(z, block), _part(biases, block).float())
        mean = torch.mul(d_r, r).sum(1, keepdim=True).mul_(share)
        if block.grown:
            r *= _membership(block, share)
        torch.mul(torch.addcmul(d_r, r, mean, value=-1.0), factor, out=d_r)


def _membership(
    block: Block, share: Float[Tensor, "networks 1 1"]
) -> Float[Tensor, "networks units 1"]:
    """1 for members, 0 for the other rows; made of tensors alone, since a graph may record it."""
    rows = torch.arange(block.units, device=share.device, dtype=share.dtype).view(1, -1, 1)
    return ((rows + 0.5) * share < 1.0).to(share.dtype)


def _part(rows: Tensor, block: Block) -> Float[Tensor, "networks units samples"]:
    count = len(block.widths)
    own = rows[block.start : block.start + count * block.units]
    return own.view(count, block.units, rows.shape[1])
