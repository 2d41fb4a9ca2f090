"""Other packages that train sparse networks: timed beside the references where they are installed.

An adapter does what the package's own page shows, no more. Each draws connections of its own, so
their losses are not compared; the shape and the overall density are those of the workload.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from structure_net.bench.data import Tensors
from structure_net.bench.reference import Apprentice, MaskedNetwork, timed, torch_as
from structure_net.bench.workloads import RATE, Workload
from structure_net.genome import Genome, overall_density
from structure_net.networks import build_network

MOMENTUM = 0.9
MOVED = 0.3  # share of connections a change of topology would move
NEVER = 1_000_000_000  # steps: the connections stay as they are


@dataclass(frozen=True)
class Peer:
    """`name` is the package's for pip, `modules` what must be importable for it."""

    name: str
    modules: tuple[str, ...]
    apprentice: Callable[[Genome, int], Apprentice]

    @property
    def installed(self) -> bool:
        return all(find_spec(module) is not None for module in self.modules)

    def train(
        self, workload: Workload, training: Tensors, validation: Tensors, threads: int
    ) -> float:
        """Seconds of every network's steps and evaluation, one network after the other."""
        with torch_as(strong=False, threads=threads):
            return sum(
                timed(self.apprentice(genome, seed), workload.steps, training, validation)[0]
                for seed, genome in enumerate(workload.genomes)
            )


def _dense(genome: Genome) -> nn.Sequential:
    layers: list[nn.Module] = []
    for sources, units in genome.shapes:
        layers += [nn.Linear(sources, units), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _pruned(genome: Genome, seed: int) -> Apprentice:
    """torch.nn.utils.prune.custom_from_mask on every layer, with our own connections."""
    from torch.nn.utils import prune

    masks = MaskedNetwork(build_network(genome, seed)).masks
    network = _dense(genome)
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer, mask in zip(layers, masks, strict=True):
        prune.custom_from_mask(layer, "weight", mask)  # type: ignore[no-untyped-call]
    return Apprentice(network, torch.optim.AdamW(network.parameters(), lr=RATE))


def _rigl(genome: Genome, _seed: int) -> Apprentice:
    """The two lines of rigl-torch's page, its recommended optimizer, a topology that stays.

    It keeps the first layer dense, as its paper does: its work is more than the density says.
    """
    network = _dense(genome)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    scheduler = importlib.import_module("rigl_torch.RigL").RigLScheduler
    pruner = scheduler(
        network,
        optimizer,
        dense_allocation=overall_density(genome),
        T_end=NEVER,
        delta=NEVER,
        ignore_linear_layers=False,
        static_topo=True,
    )
    return _RigLApprentice(network, optimizer, pruner)


class _RigLApprentice(Apprentice):
    """Asks the scheduler before each step of the optimizer, as its page shows."""

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, pruner: Callable[[], bool]
    ) -> None:
        super().__init__(network, optimizer)
        self._pruner = pruner

    def update(self) -> None:
        if self._pruner():
            self.optimizer.step()


class _SparsimonyApprentice(Apprentice):
    """Steps the sparsifier after the optimizer."""

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, sparsifier: Any
    ) -> None:
        super().__init__(network, optimizer)
        self._sparsifier = sparsifier

    def update(self) -> None:
        self.optimizer.step()
        self._sparsifier.step()


def _sparsimony(genome: Genome, _seed: int) -> Apprentice:
    """Its SET with one density for all layers and a topology that stays."""
    network = _dense(genome)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedulers = importlib.import_module("sparsimony.schedulers.base")
    distributions = importlib.import_module("sparsimony.distributions.base")
    sparsifier = importlib.import_module("sparsimony.dst.set").SET(
        schedulers.ConstantScheduler(pruning_ratio=MOVED, t_end=NEVER, delta_t=NEVER),
        distributions.UniformDistribution(),
        optimizer,
        sparsity=1 - overall_density(genome),
    )
    layers = [{"tensor_fqn": f"{place}.weight"} for place in range(0, len(network), 2)]
    sparsifier.prepare(network, layers)
    return _SparsimonyApprentice(network, optimizer, sparsifier)


PEERS = (
    Peer("torch-prune", ("torch.nn.utils.prune",), _pruned),
    Peer("rigl-torch", ("rigl_torch", "torchvision"), _rigl),
    Peer("sparsimony", ("sparsimony",), _sparsimony),
)


def installed() -> list[Peer]:
    """The peers that can be timed here."""
    return [peer for peer in PEERS if peer.installed]
