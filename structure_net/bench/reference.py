"""What a user writes without this package: dense layers times a mask, dense AdamW.

`plain` is that; `strong` adds the two lines that make it fast: a fused optimizer, and 16-bit
products where the processor has them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from structure_net.bench.data import Tensors
from structure_net.bench.workloads import RATE, Workload
from structure_net.networks import ACTIVATION_FUNCTIONS, Network, build_network

WEIGHT_DECAY = 1e-4
RMS_EPSILON = 1e-6  # as in our networks


class MaskedNetwork(nn.Module):
    """Dense weights and 0/1 masks of the same shape; the connections of a given network."""

    masks: list[Tensor]

    def __init__(self, network: Network) -> None:
        super().__init__()
        layers = range(len(network.layers))
        self.weights = nn.ParameterList(
            network.layer(index).dense(network.weights(index)).detach().clone() for index in layers
        )
        self.biases = nn.ParameterList(network.biases(index).detach().clone() for index in layers)
        ones = [torch.ones(len(network.layer(index))) for index in layers]
        self.masks = [network.layer(index).dense(ones[index]) for index in layers]
        self.plans = network.genome.plans
        self.normalised = network.genome.normalisation == "rms"
        self.activation = ACTIVATION_FUNCTIONS[network.genome.activation]

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = [inputs]
        for index, (plan, mask) in enumerate(zip(self.plans, self.masks, strict=True)):
            weights, biases = self.weights[index] * mask, self.biases[index]
            last = index == len(self.masks) - 1
            if plan.skip:  # the end of a residual block
                outputs.append(outputs[-plan.skip] + functional.linear(outputs[-1], weights))
                continue
            if self.normalised and not last:
                z = functional.linear(outputs[-1], weights)
                z = functional.rms_norm(z, z.shape[1:], eps=RMS_EPSILON) + biases
            else:
                z = functional.linear(outputs[-1], weights, biases)
            outputs.append(z if last else self.activation(z))
        return outputs[-1]


class Apprentice:
    """A network and an optimizer as torch's own programs train them: what a side times."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.network = network
        self.optimizer = optimizer

    def step(self, inputs: Tensor, targets: Tensor) -> float:
        """One step; the loss before it."""
        loss = functional.cross_entropy(self.network(inputs), targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.update()
        return float(loss.detach())

    def update(self) -> None:
        """The optimizer's step."""
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self, batches: Tensors) -> tuple[float, float]:
        """(accuracy, mean cross-entropy) over all samples of `batches`."""
        correct, loss, count = 0, 0.0, 0
        for inputs, targets in batches:
            logits = self.network(inputs)
            correct += int((logits.argmax(1) == targets).sum())
            loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
            count += len(targets)
        return correct / count, loss / count


def masked(network: Network, *, strong: bool, rate: float = RATE) -> Apprentice:
    """The reference for a network, with its connections and weights."""
    dense = MaskedNetwork(network)
    optimizer = torch.optim.AdamW(
        dense.parameters(), lr=rate, weight_decay=WEIGHT_DECAY, fused=strong
    )
    return Apprentice(dense, optimizer)


@contextmanager
def torch_as(*, strong: bool, threads: int) -> Iterator[None]:
    """Inside: so many threads, and 16-bit products for the strong reference."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium" if strong else "highest")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])


def timed(
    apprentice: Apprentice, steps: int, training: Tensors, validation: Tensors
) -> tuple[float, float]:
    """Seconds of `steps` steps and one evaluation, and the last loss. One step of each comes
    before the clock starts."""
    loss = apprentice.step(*training[0])
    if validation:
        apprentice.evaluate(validation)
    began = time.perf_counter()
    for number in range(steps):
        loss = apprentice.step(*training[number % len(training)])
    if validation:
        apprentice.evaluate(validation)
    return time.perf_counter() - began, loss


class ReferenceTrainer:
    """Trains the networks of a workload one after the other, on all cores."""

    def __init__(self, workload: Workload, *, strong: bool, threads: int) -> None:
        self._workload = workload
        self._strong = strong
        self._threads = threads

    def train(self, training: Tensors, validation: Tensors) -> tuple[float, list[float]]:
        """Every network for the workload's steps, then its evaluation: seconds, and last losses."""
        with torch_as(strong=self._strong, threads=self._threads):
            done = [
                timed(
                    masked(build_network(genome, seed), strong=self._strong),
                    self._workload.steps,
                    training,
                    validation,
                )
                for seed, genome in enumerate(self._workload.genomes)
            ]
        return sum(seconds for seconds, _ in done), [loss for _, loss in done]
