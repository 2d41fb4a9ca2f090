"""A cohort's state, operands and step, kept between calls of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structure_net.engine.batches import Batch
from structure_net.engine.engine import Learner
from structure_net.engine.micro_batches import MicroBatches
from structure_net.engine.precision import product_dtype
from structure_net.engine.stacked.layout import lay_out
from structure_net.engine.stacked.operands import Operands
from structure_net.engine.stacked.state import StackedState
from structure_net.engine.stacked.step import Step
from structure_net.networks import Network


@dataclass(frozen=True)
class _Measured:
    """Right answers and summed losses of every learner on a list of batches; `versions` tells
    whether somebody has written to its values since."""

    batches: list[Batch]
    versions: list[int]
    results: list[tuple[float, float, int]]


class Stack:
    """What belongs to a cohort as long as its learners and their connections stay the same."""

    def __init__(
        self,
        learners: Sequence[Learner],
        granule: int,
        mixed_precision: bool,
        checkpointing: bool,
        graphs: bool,
    ) -> None:
        self.state = StackedState(learners)
        self.layout = lay_out([one.network.genome for one in learners], granule)
        dtype = product_dtype(self.state.values.device, mixed_precision)
        self.operands = Operands(self.state, self.layout, dtype, checkpointing=checkpointing)
        self._graphs = graphs
        self._step: Step | None = None
        self._measured: _Measured | None = None

    def begin(self) -> None:
        """Before training: what learners hold elsewhere comes in, what was measured is past."""
        self.state.adopt()
        self._measured = None

    def step(self, samples: int) -> Step:
        """The step for batches of that size; the one of the last size is kept."""
        if self._step is None or self._step.samples != samples:
            self._step = None
            self._step = Step(self.state, self.operands, samples, graphs=self._graphs)
        return self._step

    def measured(
        self, network: Network, batches: list[Batch], micro_batches: MicroBatches
    ) -> tuple[float, float, int] | None:
        """(accuracy, mean cross-entropy in nats, samples); None for a network that is not here."""
        place = self.state.place_of(network)
        if place is None:
            return None
        known = self._measured
        version = network.values._version
        if known is None or known.batches is not batches or known.versions[place] != version:
            self._measured = known = self._measure(batches, micro_batches)
        return known.results[place]

    @torch.no_grad()
    def _measure(self, batches: list[Batch], micro_batches: MicroBatches) -> _Measured:
        networks = [one.network for one in self.state.learners]
        versions = [one.values._version for one in networks]
        self.operands.fill()
        total = torch.zeros(2, len(networks), dtype=torch.float64, device=self.state.values.device)
        for batch in batches:

            def attempt(parts: list[slice], batch: Batch = batch) -> list[Tensor]:
                inputs, targets = batch.inputs.to(self.operands.dtype), batch.targets
                return [self.operands.measure(inputs[part], targets[part]) for part in parts]

            for found in micro_batches.fitting(networks, len(batch), attempt):
                total += found
        samples = sum(map(len, batches))
        correct, losses = (total / samples).tolist()
        results: list[tuple[float, float, int]] = [(0.0, 0.0, 0)] * len(networks)
        for place, accuracy, loss in zip(self.layout.order, correct, losses, strict=True):
            results[place] = (accuracy, loss, samples)
        return _Measured(batches, versions, results)
