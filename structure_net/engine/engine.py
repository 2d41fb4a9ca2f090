"""The interface of an engine, and the fixed table that chooses one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.batches import Batch
from structure_net.engine.optimizer import AdamW
from structure_net.networks import Network, Product


@dataclass
class Learner:
    """A network and its optimizer: what an engine trains in place."""

    network: Network
    optimizer: AdamW


class Engine(ABC):
    """Trains and evaluates networks. Members differ in how they multiply, not in what comes out."""

    name: str

    @abstractmethod
    def product(self, network: Network) -> Product:
        """How this engine multiplies the sparse layers of a network."""

    def train_steps(
        self,
        learners: Sequence[Learner],
        batches: Iterable[Batch],
        rates: Float[Tensor, "steps learners"],
    ) -> Float[Tensor, "steps learners"]:
        """One optimizer step per batch and learner, in lockstep; mean cross-entropies in nats.

        `rates` holds each step's base learning rate x pace. A non-finite loss is reported like any
        other: the caller ends that learner after the epoch, its neighbours are not touched.
        """
        losses = torch.zeros(rates.shape)
        products = [self.product(learner.network) for learner in learners]
        for step, (inputs, labels) in enumerate(batches):
            for place, learner in enumerate(learners):
                logits = learner.network(inputs, products[place])
                loss = functional.cross_entropy(logits, labels)
                (gradient,) = torch.autograd.grad(loss, learner.network.values)
                learner.optimizer.step(gradient, float(rates[step, place]))
                losses[step, place] = loss.detach()
        return losses

    @torch.no_grad()
    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """(accuracy, mean cross-entropy in nats, samples) over all samples of `batches`."""
        product = self.product(network)
        correct, loss, count = 0, 0.0, 0
        for inputs, labels in batches:
            logits = network(inputs, product)
            correct += int((logits.argmax(1) == labels).sum())
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            count += len(labels)
        return correct / count, loss / count, count
