"""One step of a whole stack, on buffers that stay where they are."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.batches import Batch
from structure_net.engine.stacked.operands import Operands
from structure_net.engine.stacked.program import Program
from structure_net.engine.stacked.state import StackedState


class Step:
    """Gradients over the parts of a batch of `samples`, then one update of all learners."""

    def __init__(
        self, state: StackedState, operands: Operands, samples: int, *, graphs: bool
    ) -> None:
        device = state.values.device
        count, inputs = len(state.learners), state.learners[0].network.genome.inputs
        self.samples = samples
        self._state = state
        self._operands = operands
        self._graphs = graphs
        self._inputs = torch.zeros(samples, inputs, dtype=operands.dtype, device=device)
        self._targets = torch.zeros(2, samples, dtype=torch.int64, device=device)
        self._shares = torch.zeros(2, device=device)
        self._scalars = torch.zeros(count, 3, device=device)
        self.losses = torch.zeros(count, device=device)
        self._parts: list[slice] = []
        self._program: Program | None = None

    def load(self, batch: Batch, scalars: Float[Tensor, "learners 3"]) -> None:
        """The samples and the step's scalars, before `run`."""
        inputs, targets = batch
        mixing = batch.mixing
        self._inputs.copy_(inputs)
        self._targets[0].copy_(targets)
        self._targets[1].copy_(targets if mixing is None else mixing.targets)
        share = 1.0 if mixing is None else mixing.share
        self._shares[0].fill_(share)
        self._shares[1].fill_(1.0 - share)
        self._scalars.copy_(scalars)

    def run(self, parts: list[slice]) -> None:
        """One step over all `parts` of the loaded batch. Out of memory it changes nothing."""
        if self._program is None or parts != self._parts:
            self._program, self._parts = None, parts  # an older graph gives its memory back first
            self._program = Program(self._work, self._inputs.device, graphs=self._graphs)
        self._program()

    def _work(self) -> None:
        self._operands.fill()
        for number, part in enumerate(self._parts):
            losses = self._operands.add_gradient(
                self._inputs[part],
                self._targets[:, part],
                self._shares,
                1.0 / self.samples,
                first=number == 0,
            )
            if number == 0:
                self.losses.copy_(losses)
            else:
                self.losses.add_(losses)
        self._state.update(self._scalars)
