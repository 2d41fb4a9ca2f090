"""The engines in pure torch that train network by network, given a way to multiply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.batches import Batch
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.passes import Kept, Operands, Passage
from structure_net.engine.slopes import losses_and_slopes
from structure_net.networks import Network

OperandsOf = Callable[[Network], Operands]


class LayerwiseEngine(Engine):
    """`operands_of` makes, for each network, what its sparse layers are multiplied with.

    With `checkpointing` a network keeps the activations between segments of its layers only, and
    computes the others again in the backward pass: the same bits, fewer bytes, more time.
    """

    def __init__(self, name: str, operands_of: OperandsOf, *, checkpointing: bool = False) -> None:
        self.name = name
        self._operands_of = operands_of
        self._checkpointing = checkpointing
        # Networks take turns: one gradient for all of them, as long as the longest.
        self._gradient_room = torch.empty(0)

    @torch.no_grad()
    def train_steps(
        self,
        learners: Sequence[Learner],
        batches: Iterable[Batch],
        rates: Float[Tensor, "steps learners"],
    ) -> Float[Tensor, "steps learners"]:
        """See Engine. Out of memory, a network takes the batch in smaller parts."""
        losses = torch.zeros(rates.shape)
        # Made in the first step, where it may be tried again, and kept for the others.
        operands = [cache(partial(self._operands_of, learner.network)) for learner in learners]
        for step, batch in enumerate(batches):
            for place, learner in enumerate(learners):
                attempt = partial(self._gradient, learner, operands[place], batch)
                fitting = self.micro_batches.fitting
                loss, gradient = fitting([learner.network], len(batch), attempt)
                learner.optimizer.step(gradient, float(rates[step, place]))
                losses[step, place] = loss
        return losses

    @torch.no_grad()
    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """See Engine."""
        operands = cache(partial(self._operands_of, network))
        correct, loss, count = 0, 0.0, 0
        for batch in batches:
            attempt = partial(self._measure, network, operands, batch)
            own = self.micro_batches.fitting([network], len(batch), attempt)
            correct, loss, count = correct + own[0], loss + own[1], count + len(batch)
        return correct / count, loss / count, count

    def _gradient(
        self, learner: Learner, operands: Callable[[], Operands], batch: Batch, parts: list[slice]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " values"]]:
        """Mean cross-entropy over a batch before the step, and its gradient, summed over parts.

        Each part counts by its share of the batch. The gradient is valid until the next.
        """
        network = learner.network
        passage = Passage(network, operands())
        gradient = self._room(network.values)
        views = list(network.split(gradient))
        total = torch.zeros((), device=gradient.device)
        for number, part in enumerate(parts):
            total += self._part(passage, operands().dtype, batch, part, views, add=number > 0)
        learner.optimizer.reserve()  # the step itself must not run out of memory
        return total, gradient

    def _part(
        self,
        passage: Passage,
        dtype: torch.dtype,
        batch: Batch,
        part: slice,
        views: list[Tensor],
        *,
        add: bool,
    ) -> Float[Tensor, ""]:
        """The share of the batch's loss of these samples; their gradient goes to `views`."""
        ends = passage.segments() if self._checkpointing else [(0, passage.layers)]
        starts = [batch.by_input(dtype)[:, part]]
        for first, end in ends[:-1]:
            starts.append(passage.output(first, end, starts[-1]))
        slope, loss = torch.empty(0), torch.empty(0)
        for first, end in reversed(ends):
            kept: list[Kept] = list(passage.through(first, end, starts.pop()))
            if end == passage.layers:
                logits = kept[-1].h.float()[None]
                wanted = batch.wanted(logits.shape[1])[:, part]
                losses, slopes = losses_and_slopes(logits, wanted, 1.0 / len(batch))
                loss, slope = losses[0], slopes[0]
            rows = partial(_rows, batch, dtype, part)
            slope = passage.back(first, kept, slope.to(dtype), views, rows, add=add)
        return loss

    def _measure(
        self, network: Network, operands: Callable[[], Operands], batch: Batch, parts: list[slice]
    ) -> tuple[int, float]:
        """Right answers and summed cross-entropy of a batch."""
        correct, loss = 0, 0.0
        passage = Passage(network, operands())
        for part in parts:
            h, targets = batch.by_input(operands().dtype)[:, part], batch.targets[part]
            logits = passage.output(0, passage.layers, h).t().float()
            correct += int((logits.argmax(1) == targets).sum())
            loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
        return correct, loss

    def _room(self, values: Tensor) -> Float[Tensor, " values"]:
        if self._gradient_room.device != values.device or len(self._gradient_room) < len(values):
            self._gradient_room = torch.empty(0)  # freed first
            self._gradient_room = torch.empty_like(values)
        return self._gradient_room[: len(values)]


def _rows(batch: Batch, dtype: torch.dtype, part: slice) -> Tensor:
    return batch.by_sample(dtype)[part]
