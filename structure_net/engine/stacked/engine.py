"""The stacked engine: a whole cohort in lockstep as one program for a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from structure_net.engine.batches import Batch
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.stacked.stack import Stack
from structure_net.networks import Network

# Hidden widths are rounded up to multiples of 64 on a GPU: its products work in tiles of 64 to 256.
GPU_GRANULE = 64


class StackedEngine(Engine):
    """Dense products over a whole cohort: one for all first layers, one for each group of equal
    layers above, one optimizer step for every value; on CUDA the step is a graph.

    Which networks share a cohort may change the last bits of a result, not more.
    """

    name = "dense"

    def __init__(
        self,
        *,
        mixed_precision: bool = False,
        checkpointing: bool = False,
        granule: int = GPU_GRANULE,
        graphs: bool = True,
    ) -> None:
        """`graphs=False` runs every step operation by operation; the numbers are the same."""
        self._options = (granule, mixed_precision, checkpointing, graphs)
        self._stack: Stack | None = None
        self._alone = DenseEngine(mixed_precision=mixed_precision)
        self._alone.micro_batches = self.micro_batches

    @torch.no_grad()
    def train_steps(
        self,
        learners: Sequence[Learner],
        batches: Iterable[Batch],
        rates: Float[Tensor, "steps learners"],
    ) -> Float[Tensor, "steps learners"]:
        """See Engine. Out of memory, the cohort takes the batch in smaller parts."""
        networks = [one.network for one in learners]
        with _on(networks[0].values.device):
            stack = self._stack_of(learners)
            stack.begin()
            scalars = stack.state.scalars(rates)
            losses = torch.zeros(rates.shape, device=scalars.device)
            done = 0
            for done, batch in enumerate(batches, 1):
                step = stack.step(len(batch))
                step.load(batch, scalars[done - 1])
                self.micro_batches.fitting(networks, len(batch), step.run)
                losses[done - 1].copy_(step.losses)
            for one in learners:
                one.optimizer.steps += done
            found = torch.empty(rates.shape)
            found[:, list(stack.layout.order)] = losses.cpu()
        return found

    def evaluate(self, network: Network, batches: Iterable[Batch]) -> tuple[float, float, int]:
        """See Engine. A network of the present cohort, asked for on a list of batches, is measured
        with all the others at once, and the others' results are kept until they train again."""
        stack = self._stack
        if stack is None or not isinstance(batches, list):
            return self._alone.evaluate(network, batches)
        with _on(network.values.device):
            found = stack.measured(network, batches, self.micro_batches)
        return self._alone.evaluate(network, batches) if found is None else found

    def _stack_of(self, learners: Sequence[Learner]) -> Stack:
        if self._stack is None or not self._stack.state.belongs_to(learners):
            self._stack = None  # its operands and its graph go before others come
            self._stack = Stack(learners, *self._options)
        return self._stack


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Libraries and new streams take the current device, which need not be the tensors'."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
