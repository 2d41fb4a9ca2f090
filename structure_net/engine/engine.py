"""The interface of an engine: how networks are trained and evaluated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from structure_net.engine.batches import Batch
from structure_net.engine.micro_batches import MicroBatches
from structure_net.engine.optimizer import AdamW
from structure_net.networks import Network


@dataclass
class Learner:
    """A network and its optimizer: what an engine trains in place."""

    network: Network
    optimizer: AdamW


class Engine(ABC):
    """Trains and evaluates networks. Members differ in how they multiply, not in what comes out."""

    name: str

    @cached_property
    def micro_batches(self) -> MicroBatches:
        """Samples that each network takes at a time; an engine that needs no more memory for a
        larger batch leaves it alone."""
        return MicroBatches()

    @abstractmethod
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

    @abstractmethod
    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """(accuracy, mean cross-entropy in nats, samples) over all samples of `batches`."""

    def first_products(
        self, network: Network, batches: Sequence[Batch]
    ) -> Float[Tensor, "units samples"] | None:
        """u = W h of the first sparse layer for all samples of `batches`, without bias; None where
        this engine knows no faster way than a plain product."""
        return None
