"""What this machine can do at most: the context of every figure of the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from structure_net.bench.reference import torch_as
from structure_net.bench.workloads import Workload

SIDE = 1024  # of the matrices: large enough for full speed, 0.1 s where 16 bits are emulated
COPIED = 1 << 28  # bytes, beyond any cache
CACHED = 1 << 20  # bytes: in the second-level cache of a core, not in the first
PASSES = 2  # over a sample's values for each connection: forward, backward
BYTES = 2  # of a value in the caches of the kernels


@dataclass(frozen=True)
class Machine:
    """Rates with all cores, but `cache_gigabytes`: the reading of 1 MB by one core."""

    matmul_gigaflops: float
    matmul16_gigaflops: float
    copy_gigabytes: float
    cache_gigabytes: float
    cores: int

    def floor(self, workload: Workload) -> float:
        """Seconds a step of the workload's average network takes at least: for every connection
        a row of one value a sample comes out of the second-level cache, forward and backward."""
        connections = workload.connections / len(workload.genomes)
        moved = connections * workload.batch_size * BYTES * PASSES
        return moved / (self.cache_gigabytes * 1e9 * self.cores)

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def fastest(action: Callable[[], object], times: int) -> float:
    """Least seconds of an action: what disturbs it only adds."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def machine(cores: int) -> Machine:
    """Measured now; takes about a second."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(SIDE, SIDE, generator=generator)
    small = left.bfloat16()
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    held = torch.ones(CACHED // 4)
    flop = 2 * SIDE**3 / 1e9
    with torch_as(strong=False, threads=cores):
        full = flop / fastest(lambda: left @ left, 5)
        half = flop / fastest(lambda: small @ small, 5)
        copied = 2 * COPIED / 1e9 / fastest(lambda: target.copy_(source), 5)
    with torch_as(strong=False, threads=1):
        read = min(fastest(lambda: torch.dot(held, held), 500), fastest(lambda: held.sum(), 500))
    return Machine(full, half, copied, CACHED / 1e9 / read, cores)
