"""Where trials run: in this process, or in worker processes."""

from structure_net.executors.devices import Slot, resolve_device, slots_of, usable_cores
from structure_net.executors.executor import LARGEST_COHORT, Desk, Executor, deal, work_of
from structure_net.executors.memory import (
    Allowance,
    Machine,
    allowance,
    program_bytes,
    read_machine,
    run_bytes,
    slots_that_fit,
)
from structure_net.executors.processes import ProcessExecutor, interrupts_blocked
from structure_net.executors.serial import SerialExecutor, single_thread

__all__ = [
    "LARGEST_COHORT",
    "Allowance",
    "Desk",
    "Executor",
    "Machine",
    "ProcessExecutor",
    "SerialExecutor",
    "Slot",
    "allowance",
    "deal",
    "interrupts_blocked",
    "program_bytes",
    "read_machine",
    "resolve_device",
    "run_bytes",
    "single_thread",
    "slots_of",
    "slots_that_fit",
    "usable_cores",
    "work_of",
]
