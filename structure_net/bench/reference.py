"""What a user writes without this package: dense layers times a mask, dense AdamW.

`plain` is that; `strong` adds the two lines that make it fast: a fused optimizer, and 16-bit
products where the processor has them.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from structure_net.bench.workloads import RATE, Workload
from structure_net.genome import Genome
from structure_net.networks import Network, build_network

WEIGHT_DECAY = 1e-4


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

    def forward(self, inputs: Tensor) -> Tensor:
        h = inputs
        for index, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = functional.linear(h, weights * self.masks[index], biases)
            if index < len(self.masks) - 1:
                h = torch.relu(h)
        return h


class ReferenceTrainer:
    """Trains the networks of a workload one after the other, on all cores."""

    def __init__(self, workload: Workload, *, strong: bool, threads: int) -> None:
        self._workload = workload
        self._strong = strong
        self._threads = threads

    def train(self, batches: list[tuple[Tensor, Tensor]]) -> tuple[float, list[float]]:
        """Every network for the workload's steps over `batches`: seconds, and its last loss.

        Each network is built, and takes one step, before its clock starts.
        """
        before = torch.get_num_threads(), torch.get_float32_matmul_precision()
        torch.set_num_threads(self._threads)
        torch.set_float32_matmul_precision("medium" if self._strong else "highest")
        try:
            done = [
                self._one(genome, seed, batches)
                for seed, genome in enumerate(self._workload.genomes)
            ]
        finally:
            torch.set_num_threads(before[0])
            torch.set_float32_matmul_precision(before[1])
        return sum(seconds for seconds, _ in done), [loss for _, loss in done]

    def _one(
        self, genome: Genome, seed: int, batches: list[tuple[Tensor, Tensor]]
    ) -> tuple[float, float]:
        network = MaskedNetwork(build_network(genome, seed))
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY, fused=self._strong
        )

        def step(inputs: Tensor, targets: Tensor) -> float:
            loss = functional.cross_entropy(network(inputs), targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            return float(loss.detach())

        loss = step(*batches[0])
        began = time.perf_counter()
        for number in range(self._workload.steps):
            loss = step(*batches[number % len(batches)])
        return time.perf_counter() - began, loss
