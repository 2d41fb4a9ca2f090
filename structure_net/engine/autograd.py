"""What the engines in pure torch share: steps by autograd, given a way to multiply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.batches import Batch
from structure_net.engine.engine import Learner
from structure_net.networks import Network, Product

ProductOf = Callable[[Network], Product]


def train_by_autograd(
    product_of: ProductOf,
    learners: Sequence[Learner],
    batches: Iterable[Batch],
    rates: Float[Tensor, "steps learners"],
) -> Float[Tensor, "steps learners"]:
    """`Engine.train_steps` with the products that `product_of` makes for each network."""
    losses = torch.zeros(rates.shape)
    products = [product_of(learner.network) for learner in learners]
    for step, (inputs, targets) in enumerate(batches):
        for place, learner in enumerate(learners):
            logits = learner.network(inputs, products[place])
            loss = functional.cross_entropy(logits, targets)
            (gradient,) = torch.autograd.grad(loss, learner.network.values)
            learner.optimizer.step(gradient, float(rates[step, place]))
            losses[step, place] = loss.detach()
    return losses


@torch.no_grad()
def evaluate_by(
    product: Product, network: Network, batches: Iterable[Batch]
) -> tuple[float, float, int]:
    """`Engine.evaluate` with that product."""
    correct, loss, count = 0, 0.0, 0
    for inputs, targets in batches:
        logits = network(inputs, product)
        correct += int((logits.argmax(1) == targets).sum())
        loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
        count += len(targets)
    return correct / count, loss / count, count
