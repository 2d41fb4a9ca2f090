"""Which engine trains a network: a fixed table, never a clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from structure_net.engine.csr import CsrEngine
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine
from structure_net.engine.native import NativeEngine, NoCompilerError, load_library
from structure_net.genome import Genome, overall_density

ENGINES: dict[str, Callable[[], Engine]] = {
    "native": NativeEngine,
    "dense": DenseEngine,
    "csr": CsrEngine,
}

# Densities above which dense products are faster, on one core with AVX-512 at batch 256. A step of
# 3072-512-256-128-10 takes at 1, 5, 10 % in milliseconds: native 0.5, 2.1, 4.2; csr 4.5, 7.9, 12.8;
# dense 14.5 always.
NATIVE_CROSSOVER = 0.30
CSR_CROSSOVER = 0.12


def choose_engine(genome: Genome, requested: str, device: str) -> str:
    """The engine's name for one trial; `requested` is the configured one, perhaps `auto`."""
    if requested != "auto":
        return requested
    if device != "cpu":
        return "dense"
    density = overall_density(genome)
    if native_is_there():
        return "native" if density <= NATIVE_CROSSOVER else "dense"
    # torch's CSR products on a processor come from MKL, which builds for Arm do not hold.
    sparse = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return "csr" if sparse and density <= CSR_CROSSOVER else "dense"


@cache
def native_is_there() -> bool:
    """Whether the kernels are compiled or can be compiled here."""
    try:
        load_library()
    except NoCompilerError:
        return False
    return True


def make_engine(name: str) -> Engine:
    """The engine of that name."""
    return ENGINES[name]()
