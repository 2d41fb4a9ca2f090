"""The fast room: how networks are trained. One interface, several engines, one table to choose."""

from structure_net.engine.batches import Batch, Batches, BatchPlan, RawSamples
from structure_net.engine.choice import CSR_CROSSOVER, ENGINES, choose_engine, make_engine
from structure_net.engine.csr import CsrEngine
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.native import NativeEngine, best_path, compilers, load_library
from structure_net.engine.optimizer import AdamW

__all__ = [
    "CSR_CROSSOVER",
    "ENGINES",
    "AdamW",
    "Batch",
    "BatchPlan",
    "Batches",
    "CsrEngine",
    "DenseEngine",
    "Engine",
    "Learner",
    "NativeEngine",
    "RawSamples",
    "best_path",
    "choose_engine",
    "compilers",
    "load_library",
    "make_engine",
]
