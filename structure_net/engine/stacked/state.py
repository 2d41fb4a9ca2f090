"""What is trained: values, moments and multipliers of a whole stack, each one flat vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.engine import Learner
from structure_net.engine.optimizer import EPSILON, FIRST_DECAY, SECOND_DECAY
from structure_net.genome import Genome
from structure_net.networks import Network

# Each network begins a new block, so that what is one number a learner is one number a block. Half
# a block is lost per network: 1 KiB in each vector.
BLOCK = 512


class StackedState:
    """fp32 vectors [length] that the learners' own tensors are views into.

    They stay views when a learner leaves: it keeps training alone in the same storage.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.learners = list(learners)
        device = learners[0].network.values.device
        self.lengths = [one.network.values.numel() for one in learners]
        blocks = [-(-length // BLOCK) for length in self.lengths]
        self.starts = [BLOCK * sum(blocks[:place]) for place in range(len(blocks))]
        self.length = BLOCK * sum(blocks)
        self.values, self.first_moment, self.second_moment, self.multiplier = (
            torch.zeros(self.length, device=device) for _ in range(4)
        )
        self.gradient = torch.zeros(self.length, device=device)
        self._decay = torch.zeros(self.length, device=device)
        self._limits = torch.zeros(2, len(learners), device=device)
        self._owner = torch.repeat_interleave(torch.arange(len(learners)), torch.tensor(blocks)).to(
            device
        )
        # Held, so that no other tensor can come to lie at their addresses.
        self._connections = [list(one.network.layers.buffers()) for one in learners]
        self._marks = [_mark(one.network) for one in learners]

    def belongs_to(self, learners: Sequence[Learner]) -> bool:
        """Whether these are the learners it was made for, with the connections of then."""
        if len(learners) != len(self.learners):
            return False
        return all(
            one.network is own.network
            and one.optimizer is own.optimizer
            and _mark(one.network) == mark
            for one, own, mark in zip(learners, self.learners, self._marks, strict=True)
        )

    def place_of(self, network: Network) -> int | None:
        """The place of a network whose values are here and whose connections are those of then."""
        for place, (one, start) in enumerate(zip(self.learners, self.starts, strict=True)):
            if one.network is network:
                here = network.values.data_ptr() == self.values[start].data_ptr()
                return place if here and _mark(network) == self._marks[place] else None
        return None

    @torch.no_grad()
    def adopt(self) -> None:
        """Take over every vector of a learner that is not a view into this storage yet, and the
        optimizers' settings."""
        for place, (start, length) in enumerate(zip(self.starts, self.lengths, strict=True)):
            network, optimizer = self.learners[place].network, self.learners[place].optimizer
            own = slice(start, start + length)
            if network.values.data_ptr() != self.values[own].data_ptr():
                self.values[own].copy_(network.values.data)
                network.values.data = self.values[own]
            for name in ("first_moment", "second_moment", "multiplier"):
                flat, theirs = getattr(self, name), getattr(optimizer, name)
                if theirs.data_ptr() != flat[own].data_ptr():
                    flat[own].copy_(theirs)
                    setattr(optimizer, name, flat[own])
            # Decay acts on connections, not on the biases behind them.
            self._decay[start : start + network.connection_count].fill_(optimizer.weight_decay)
        limits = [one.optimizer.limits for one in self.learners]
        self._limits.copy_(torch.tensor(limits).t())

    def scalars(self, rates: Float[Tensor, "steps learners"]) -> Float[Tensor, "steps learners 3"]:
        """What `update` needs of each step to come and learner: rate, epsilon, correction."""
        before = torch.tensor([one.optimizer.steps for one in self.learners])
        steps = (before + torch.arange(1, len(rates) + 1)[:, None]).double()
        second_correction = (1.0 - SECOND_DECAY**steps).sqrt()
        correction = second_correction / (1.0 - FIRST_DECAY**steps)
        table = torch.stack([rates.double(), EPSILON * second_correction, correction], 2)
        return table.float().to(self.values.device)

    def update(self, scalars: Float[Tensor, "learners 3"]) -> None:
        """One step of AdamW against `gradient`: `engine.optimizer`, over all learners at once.

        m / c1 / (sqrt(v) / c2 + eps) is computed as m / (sqrt(v) + eps * c2) * (c2 / c1), which
        saves passes over the vectors. All that needs memory comes before the first change.
        """
        rate, epsilon, correction = scalars.index_select(0, self._owner)[:, :, None].unbind(1)
        low, high = self._limits.index_select(1, self._owner)[:, :, None]
        values, first, second, multiplier, gradient, decay = (
            flat.view(-1, BLOCK)
            for flat in (
                self.values,
                self.first_moment,
                self.second_moment,
                self.multiplier,
                self.gradient,
                self._decay,
            )
        )
        update = torch.empty_like(values)
        rates = torch.mul(multiplier, rate)
        torch.clamp(rates, low, high, out=rates)
        first.lerp_(gradient, 1.0 - FIRST_DECAY)
        second.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1.0 - SECOND_DECAY)
        torch.sqrt(second, out=update).add_(epsilon)
        torch.div(first, update, out=update).mul_(correction).addcmul_(values, decay)
        values.addcmul_(update, rates, value=-1.0)


def _mark(network: Network) -> tuple[Genome, list[tuple[int, int, int]]]:
    """What changes when the genome changes, or a list is replaced or edited in place."""
    lists = network.layers.buffers()
    return network.genome, [(one.data_ptr(), one.numel(), one._version) for one in lists]
