"""The fast room: how networks are trained. One interface, several engines, one table to choose."""

from structure_net.engine.batches import Batch, Batches, BatchPlan, Mixing, RawSamples
from structure_net.engine.choice import ENGINES, choose_engine, make_engine
from structure_net.engine.csr import CsrEngine
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.memory import (
    Portion,
    Setting,
    budget,
    cohort_bytes,
    observed_bytes,
    portions,
)
from structure_net.engine.micro_batches import (
    MicroBatches,
    Reduction,
    free_unused,
    is_out_of_memory,
)
from structure_net.engine.native import NativeEngine, best_path, compilers, load_library
from structure_net.engine.optimizer import AdamW, corrections
from structure_net.engine.stacked import StackedEngine
from structure_net.engine.table import (
    native_is_there,
    stored_table,
    table_file,
    table_in_force,
    this_machine,
    write_table,
)

__all__ = [
    "ENGINES",
    "AdamW",
    "Batch",
    "BatchPlan",
    "Batches",
    "CsrEngine",
    "DenseEngine",
    "Engine",
    "Learner",
    "MicroBatches",
    "Mixing",
    "NativeEngine",
    "Portion",
    "RawSamples",
    "Reduction",
    "Setting",
    "StackedEngine",
    "best_path",
    "budget",
    "choose_engine",
    "cohort_bytes",
    "compilers",
    "corrections",
    "free_unused",
    "is_out_of_memory",
    "load_library",
    "make_engine",
    "native_is_there",
    "observed_bytes",
    "portions",
    "stored_table",
    "table_file",
    "table_in_force",
    "this_machine",
    "write_table",
]
