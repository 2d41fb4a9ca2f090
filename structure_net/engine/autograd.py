"""The engines in pure torch: steps by autograd, given a way to multiply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.batches import Batch
from structure_net.engine.engine import Engine, Learner
from structure_net.networks import Network, Product

ProductOf = Callable[[Network], Product]


class AutogradEngine(Engine):
    """`product_of` makes, for each network, the way to multiply its sparse layers."""

    def __init__(self, name: str, product_of: ProductOf) -> None:
        self.name = name
        self._product_of = product_of

    def train_steps(
        self,
        learners: Sequence[Learner],
        batches: Iterable[Batch],
        rates: Float[Tensor, "steps learners"],
    ) -> Float[Tensor, "steps learners"]:
        """See Engine."""
        losses = torch.zeros(rates.shape)
        products = [self._product_of(learner.network) for learner in learners]
        for step, (inputs, targets) in enumerate(batches):
            for place, learner in enumerate(learners):
                logits = learner.network(inputs, products[place])
                loss = functional.cross_entropy(logits, targets)
                (gradient,) = torch.autograd.grad(loss, learner.network.values)
                learner.optimizer.step(gradient, float(rates[step, place]))
                losses[step, place] = loss.detach()
        return losses

    @torch.no_grad()
    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """See Engine."""
        product = self._product_of(network)
        correct, loss, count = 0, 0.0, 0
        for inputs, targets in batches:
            logits = network(inputs, product)
            correct += int((logits.argmax(1) == targets).sum())
            loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
            count += len(targets)
        return correct / count, loss / count, count
