"""Where trials run: in this process, or in worker processes."""

from structure_net.executors.devices import Slot, resolve_device, slots_of, usable_cores
from structure_net.executors.executor import Desk, Executor, deal
from structure_net.executors.processes import ProcessExecutor
from structure_net.executors.serial import SerialExecutor, single_thread

__all__ = [
    "Desk",
    "Executor",
    "ProcessExecutor",
    "SerialExecutor",
    "Slot",
    "deal",
    "resolve_device",
    "single_thread",
    "slots_of",
    "usable_cores",
]
