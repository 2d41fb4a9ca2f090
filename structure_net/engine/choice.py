"""Which engine trains a network: a fixed table, never a clock."""

from __future__ import annotations

import torch

from structure_net.engine.csr import CsrEngine
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine
from structure_net.genome import Genome, overall_density

ENGINES: dict[str, type[Engine]] = {"dense": DenseEngine, "csr": CsrEngine}

# Measured on one AVX-512 core at batch 256: for 3072-512-256-128-10 a step takes 4.5, 7.9 and
# 12.8 ms by csr and 14.5 ms by dense at densities 1, 5 and 10 %; the lines cross near 12 %.
CROSSOVER_DENSITY = 0.12


def choose_engine(genome: Genome, requested: str, device: str) -> str:
    """The engine's name for one trial; `requested` is the configured one, perhaps `auto`."""
    if requested != "auto":
        return requested
    # torch's CSR products on a processor come from MKL, which builds for Arm do not hold.
    mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    sparse = overall_density(genome) <= CROSSOVER_DENSITY
    return "csr" if device == "cpu" and mkl and sparse else "dense"


def make_engine(name: str) -> Engine:
    """The engine of that name."""
    return ENGINES[name]()
