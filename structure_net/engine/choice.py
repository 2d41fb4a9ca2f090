"""Which engine trains a network: a fixed table, never a clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from structure_net.engine.csr import CsrEngine
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine
from structure_net.engine.native import NativeEngine
from structure_net.engine.stacked import StackedEngine
from structure_net.engine.table import native_is_there, table_in_force
from structure_net.genome import Genome, overall_density
from structure_net.schema import EngineTable

# Each takes device type, mixed precision, checkpointing. `native` works in 32 bits and keeps its
# activations in a buffer of its own.
ENGINES: dict[str, Callable[[str, bool, bool], Engine]] = {
    "native": lambda *_: NativeEngine(),
    "dense": lambda device, mixed_precision, checkpointing: (
        DenseEngine if device == "cpu" else StackedEngine
    )(mixed_precision=mixed_precision, checkpointing=checkpointing),
    "csr": lambda _device, _mixed, checkpointing: CsrEngine(checkpointing=checkpointing),
}


def choose_engine(
    genome: Genome, requested: str, device: str, table: EngineTable | None = None
) -> str:
    """The engine's name for one trial; `requested` is the configured one, perhaps `auto`.

    `table` is the run's; None means the one in force for 32-bit products.
    """
    if requested != "auto":
        return requested
    if device != "cpu":
        return "dense"
    table = table or table_in_force(mixed_precision=False)
    possible = sum(source * unit for source, unit in genome.shapes)
    row = min(table.crossovers, key=lambda row: abs(math.log(row.possible / possible)))
    density = overall_density(genome)
    if table.kernels and native_is_there():
        return "native" if density <= row.native else "dense"
    # torch's CSR products on a processor come from MKL, which builds for Arm do not hold.
    sparse = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return "csr" if sparse and density <= row.csr else "dense"


def make_engine(
    name: str, *, device: str = "cpu", mixed_precision: bool = False, checkpointing: bool = False
) -> Engine:
    """The engine of that name for a device.

    `dense` trains network by network on a processor, where the make-up of a cohort must not change
    a result, and a whole cohort stacked on any other device. `mixed_precision` concerns `dense`,
    `checkpointing` `dense` and `csr`.
    """
    return ENGINES[name](torch.device(device).type, mixed_precision, checkpointing)
