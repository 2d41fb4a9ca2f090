"""The engines in pure torch: steps by autograd, given a way to multiply."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from structure_net.engine.batches import Batch
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.loss import batch_loss
from structure_net.networks import Network, Product

ProductOf = Callable[[Network], Product]


class AutogradEngine(Engine):
    """`product_of` makes, for each network, the way to multiply its sparse layers.

    With `checkpointing` a network keeps the activations between segments of its layers only, and
    computes the others again in the backward pass: the same bits, fewer bytes, more time.
    """

    def __init__(self, name: str, product_of: ProductOf, *, checkpointing: bool = False) -> None:
        self.name = name
        self._product_of = product_of
        self._checkpointing = checkpointing

    def train_steps(
        self,
        learners: Sequence[Learner],
        batches: Iterable[Batch],
        rates: Float[Tensor, "steps learners"],
    ) -> Float[Tensor, "steps learners"]:
        """See Engine. Out of memory, a network takes the batch in smaller parts."""
        losses = torch.zeros(rates.shape)
        # Made in the first step, where it may be tried again, and kept for the others.
        products = [cache(partial(self._product_of, learner.network)) for learner in learners]
        for step, batch in enumerate(batches):
            for place, learner in enumerate(learners):
                attempt = partial(self._gradient, learner, products[place], batch)
                fitting = self.micro_batches.fitting
                loss, gradient = fitting([learner.network], len(batch), attempt)
                learner.optimizer.step(gradient, float(rates[step, place]))
                losses[step, place] = loss
        return losses

    @torch.no_grad()
    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """See Engine."""
        product = cache(partial(self._product_of, network))
        correct, loss, count = 0, 0.0, 0
        for batch in batches:
            attempt = partial(self._measure, network, product, batch)
            own = self.micro_batches.fitting([network], len(batch), attempt)
            correct, loss, count = correct + own[0], loss + own[1], count + len(batch)
        return correct / count, loss / count, count

    def _gradient(
        self, learner: Learner, product: Callable[[], Product], batch: Batch, parts: list[slice]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " values"]]:
        """Mean cross-entropy over a batch before the step, and its gradient, summed over parts.

        Each part counts by its share of the batch; a single part counts 1, which changes no bit.
        """
        network = learner.network
        losses: list[Tensor] = []
        total = torch.empty(0)
        for part in parts:
            logits = self._forward(network, batch.inputs[part], product())
            share = (part.stop - part.start) / len(batch)
            loss = batch_loss(logits, batch, part) * share
            (gradient,) = torch.autograd.grad(loss, network.values)
            total = total.add_(gradient) if losses else gradient
            losses.append(loss.detach())
        learner.optimizer.reserve()  # the step itself must not run out of memory
        return sum(losses[1:], start=losses[0]), total

    def _measure(
        self, network: Network, product: Callable[[], Product], batch: Batch, parts: list[slice]
    ) -> tuple[int, float]:
        """Right answers and summed cross-entropy of a batch."""
        inputs, targets = batch
        correct, loss = 0, 0.0
        for part in parts:
            logits = network(inputs[part], product())
            correct += int((logits.argmax(1) == targets[part]).sum())
            loss += float(functional.cross_entropy(logits, targets[part], reduction="sum"))
        return correct, loss

    def _forward(
        self, network: Network, inputs: Float[Tensor, "batch inputs"], product: Product
    ) -> Float[Tensor, "batch classes"]:
        h, layers = inputs, len(network.layers)
        if not self._checkpointing:
            return network.forward_through(0, layers, h, product)
        *earlier, (last, _) = segments(layers)
        for first, end in earlier:
            through = partial(network.forward_through, first, end)
            # Nothing in a network draws, so there is no generator to bring back.
            h = checkpoint(through, h, product, use_reentrant=False, preserve_rng_state=False)
        # The last segment would be computed again at once.
        return network.forward_through(last, layers, h, product)


def segments(layers: int) -> list[tuple[int, int]]:
    """(first, end) of runs of about sqrt(layers) layers: as many activations stay as are made
    again at a time (Chen et al. 2016)."""
    length = math.isqrt(layers - 1) + 1
    return [(first, min(first + length, layers)) for first in range(0, layers, length)]
