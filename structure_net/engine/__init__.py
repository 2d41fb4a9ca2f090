"""The fast room: how networks are trained. One interface, several engines, one table to choose."""

from structure_net.engine.batches import Batch, Batches, BatchPlan
from structure_net.engine.choice import ENGINES, choose_engine, make_engine
from structure_net.engine.csr import CsrEngine
from structure_net.engine.dense import DenseEngine
from structure_net.engine.engine import Engine, Learner
from structure_net.engine.native import NativeEngine, best_path, compilers
from structure_net.engine.optimizer import AdamW

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
    "NativeEngine",
    "best_path",
    "choose_engine",
    "compilers",
    "make_engine",
]
