"""One network's way forward and back, layer by layer, written out.

Everything stands as [units, samples]: the samples of a unit lie together, on which sparse products
are two to three times faster than on rows of samples, and dense ones need no transposed copy.
Written out and not left to autograd: a third of the operations, no vector as long as all values
for each layer, and gradients that go straight to their places in one vector.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.slopes import SLOPES
from structure_net.networks import ACTIVATION_FUNCTIONS, RMS_EPSILON, Network

Rows = Callable[[], Tensor]


class Operands(ABC):
    """What an engine keeps of one network to multiply with; `dtype` is that of its products and
    activations."""

    dtype: torch.dtype

    @abstractmethod
    def forward(
        self, index: int, weights: Float[Tensor, " connections"], h: Float[Tensor, "sources batch"]
    ) -> Float[Tensor, "units batch"]:
        """W @ h of a layer, a tensor of its own."""

    @abstractmethod
    def gradient(
        self,
        index: int,
        slope: Float[Tensor, "units batch"],
        h: Float[Tensor, "sources batch"],
        rows: Rows | None,
    ) -> Float[Tensor, " connections"]:
        """slope @ h^T at the connections; `rows` gives contiguous h^T where that is at hand."""

    @abstractmethod
    def below(
        self,
        index: int,
        weights: Float[Tensor, " connections"],
        slope: Float[Tensor, "units batch"],
    ) -> Float[Tensor, "sources batch"]:
        """W^T @ slope, after a `forward` of the same weights."""


@dataclass(frozen=True)
class Kept:
    """What the way back needs of a layer: its inputs, the products u and the factors by which they
    were normalised (None without), the activation's argument z and its value h. Where a block ends,
    all three are the sum that is read."""

    below: Tensor
    u: Tensor
    factor: Tensor | None
    z: Tensor
    h: Tensor


class Passage:
    """The layers of one network with their present weights and biases."""

    def __init__(self, network: Network, operands: Operands) -> None:
        self._genome = network.genome
        self._operands = operands
        self.layers = len(network.layers)
        self._parts = network.split(network.values.detach())
        self._skips = [plan.skip for plan in self._genome.plans]
        self._opens = {index - skip + 1 for index, skip in enumerate(self._skips) if skip}

    def segments(self) -> list[tuple[int, int]]:
        """See the function of that name."""
        return segments(self._skips)

    def through(self, first: int, end: int, h: Float[Tensor, "sources batch"]) -> Iterator[Kept]:
        """Layers `first` to `end - 1`, each with what the way back needs of it."""
        entered = h
        for index in range(first, end):
            if index in self._opens:
                entered = h
            kept = self._layer(index, h, entered)
            h = kept.h
            yield kept

    def output(self, first: int, end: int, h: Float[Tensor, "sources batch"]) -> Tensor:
        """What layers `first` to `end - 1` make of h; nothing is kept."""
        entered = h
        for index in range(first, end):
            if index in self._opens:
                entered = h
            h = self._layer(index, h, entered).h
        return h

    def back(
        self,
        first: int,
        kept: list[Kept],
        slope: Float[Tensor, "units batch"],
        gradient: list[Tensor],
        rows: Rows,
        *,
        add: bool,
    ) -> Tensor:
        """Puts the gradients of layers `first` and following into the views `gradient`, or adds
        them there. `slope` is that behind the last of them; returns that before `first`, which
        for the inputs is never computed and empty."""
        around = slope  # a block, by the skip
        for index in reversed(range(first, first + len(kept))):
            one = kept.pop()
            own: list[tuple[int, Tensor]] = []
            if self._skips[index]:
                around = slope
            else:
                slope = self._before(index, one, slope)
                own.append((self.layers + index, slope.sum(1)))
                slope = self._unnormalised(index, one, slope)
            weights = self._operands.gradient(index, slope, one.below, None if index else rows)
            for place, found in ((index, weights), *own):
                if add:
                    gradient[place].add_(found)
                else:
                    gradient[place].copy_(found)
            slope = self._operands.below(index, self._parts[index], slope) if index else slope[:0]
            if index in self._opens:
                slope = slope.add_(around)
        return slope

    def _layer(self, index: int, h: Tensor, entered: Tensor) -> Kept:
        """`entered` is what the block was given that the layer ends, if it ends one."""
        below, u = h, self._operands.forward(index, self._parts[index], h)
        if self._skips[index]:
            h = u.add_(entered)
            return Kept(below, h, None, h, h)
        biases = self._parts[self.layers + index].to(u.dtype)[:, None]
        if index == self.layers - 1:
            z = u.add_(biases)
            return Kept(below, u, None, z, z)
        factor = None
        if self._genome.normalisation == "rms":
            factor = _factor(u[: self._genome.plans[index].members])
            z = torch.addcmul(biases, u, factor.to(u.dtype))
        else:
            z = u.add_(biases)
        if self._genome.activation == "relu":  # whose slope shows in its value
            return Kept(below, u, factor, z, z.relu_())
        return Kept(below, u, factor, z, ACTIVATION_FUNCTIONS[self._genome.activation](z))

    def _before(self, index: int, kept: Kept, above: Tensor) -> Tensor:
        """The gradient by z from that by h."""
        if index == self.layers - 1:
            return above
        return SLOPES[self._genome.activation](above, kept.z, kept.h)

    def _unnormalised(self, index: int, kept: Kept, slope: Tensor) -> Tensor:
        """The gradient by u: d_u = q (d_r - r sum(d_r r) / members) with r = q u, where u is that
        of a member, which moves q; else q d_r."""
        if kept.factor is None:
            return slope
        members = self._genome.plans[index].members
        r = kept.u * kept.factor
        mean = (slope * r).sum(0, keepdim=True, dtype=torch.float32).div_(members)
        before = slope.to(r.dtype, copy=True)
        before[:members] -= r[:members] * mean
        return before.mul_(kept.factor).to(slope.dtype)


def _factor(u: Float[Tensor, "units batch"]) -> Float[Tensor, "1 batch"]:
    """1 / sqrt(mean u^2 + 1e-6) over the members of each sample, fp32."""
    norm = torch.linalg.vector_norm(u, dim=0, keepdim=True, dtype=torch.float32)
    return norm.square_().div_(len(u)).add_(RMS_EPSILON).rsqrt_()  # type: ignore[no-any-return]


def segments(skips: Sequence[int]) -> list[tuple[int, int]]:
    """(first, end) of runs of about sqrt(layers) layers: as many activations stay as are made
    again at a time (Chen et al. 2016). `skips` are those of the layers; a run longer than that
    where it would end within a residual block."""
    layers = len(skips)
    length = math.isqrt(layers - 1) + 1
    within = {end for last, skip in enumerate(skips) for end in range(last - skip + 2, last + 1)}
    ends = [0]
    for end in range(1, layers):
        if end - ends[-1] >= length and end not in within:
            ends.append(end)
    return list(pairwise([*ends, layers]))
