"""How much memory each worker may use: what the machine has, and how a run divides it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from structure_net.engine import Setting, budget, cohort_bytes, observed_bytes
from structure_net.environment import memory_bytes
from structure_net.errors import UsageError
from structure_net.executors.devices import Slot
from structure_net.genome import Genome
from structure_net.schema import Config
from structure_net.training import PROBE_SAMPLES

# What drawing the connections of a new network takes for a moment (48 to 58 MB measured), and a
# validation part of 8,192 CIFAR-10 images kept as floats.
BESIDE_COHORT = 60_000_000 + 8192 * 3072 * 4
# A CUDA context with the kernels of torch and the workspace of cuBLAS, for each process.
CUDA_CONTEXT = 700_000_000
PROGRAM_ELSEWHERE = 300_000_000  # Python with torch, where the system does not tell


@dataclass(frozen=True)
class Machine:
    """Bytes: what all processes here may use, what one holds that has imported torch, and the
    memory of each CUDA device by the name that `Slot.visible` has."""

    memory: int
    program: int
    devices: dict[str, int]


@dataclass(frozen=True)
class Allowance:
    """What cohorts are cut to. `room`: bytes for the training of one worker, None without limit;
    `probe_samples`: those that metrics look at, 0 without metrics."""

    room: int | None
    batch_size: int
    on_device: bool
    checkpointing: bool
    probe_samples: int = 0

    def setting(self, engine: str) -> Setting:
        """What decides about the memory of a cohort on that engine."""
        stacked = self.on_device and engine == "dense"
        return Setting(engine, self.batch_size, stacked, self.checkpointing, self.probe_samples)


UNLIMITED = Allowance(room=None, batch_size=1, on_device=False, checkpointing=False)


def read_machine(slots: Sequence[Slot]) -> Machine:
    """The machine as it is."""
    visible = {slot.visible for slot in slots if slot.device != "cpu"}
    return Machine(memory_bytes(), program_bytes(), {name: device_bytes(name) for name in visible})


def program_bytes() -> int:
    """Resident memory of this process, which has imported what a worker imports."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return PROGRAM_ELSEWHERE
    return pages * os.sysconf("SC_PAGE_SIZE")


def device_bytes(visible: str) -> int:
    """Memory of a CUDA device by number or UUID, asked of the driver: torch would begin to use it
    to tell."""
    import pynvml

    pynvml.nvmlInit()
    try:
        if visible.isdecimal():
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(visible))
        else:
            handle = pynvml.nvmlDeviceGetHandleByUUID(visible)
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    finally:
        pynvml.nvmlShutdown()


def allowance(
    config: Config, slots: Sequence[Slot], machine: Machine, batch_size: int, data_bytes: int
) -> Allowance:
    """What each of these workers may use; `data_bytes` are those of the dataset.

    On processors the workers share what this process and the dataset, which all of them map, leave.
    The processes on a device share its memory, and each holds the dataset and a context of its own.
    """
    share, on_device = config.max_memory_per_gpu, slots[0].device != "cpu"
    if on_device:
        processes = Counter(slot.visible for slot in slots)
        room = min(
            budget(machine.devices[name], share, count, own=CUDA_CONTEXT + data_bytes)
            for name, count in processes.items()
        )
    elif config.executor == "serial":
        own = machine.program + BESIDE_COHORT
        room = budget(machine.memory, share, 1, shared=data_bytes, own=own)
    else:
        shared, own = machine.program + data_bytes, machine.program + BESIDE_COHORT
        room = budget(machine.memory, share, len(slots), shared=shared, own=own)
    samples = PROBE_SAMPLES if config.enable_comprehensive_metrics else 0
    return Allowance(room, batch_size, on_device, config.gradient_checkpointing, samples)


def run_bytes(machine: Machine, workers: int, cohort: int, data_bytes: int) -> int:
    """Memory of a run on processors: this process, the dataset, and workers that each train a
    cohort of `cohort` bytes."""
    return machine.program + data_bytes + workers * (machine.program + BESIDE_COHORT + cohort)


def slots_that_fit(
    config: Config,
    slots: Sequence[Slot],
    allowed: Callable[[list[Slot]], Allowance],
    genomes: Sequence[Genome],
    engine_of: Callable[[Genome], str],
) -> list[Slot]:
    """As many of the workers as memory holds when each trains one of `genomes`, whole batches.

    UsageError where `--workers` asks for more, or where not even one fits.
    """

    def fit(count: int) -> bool:
        given = allowed(list(slots[:count]))
        return all(
            given.room is None or _wanted(one, given, engine_of) <= given.room for one in genomes
        )

    count = next((count for count in range(len(slots), 0, -1) if fit(count)), 0)
    if count == len(slots) or (count and config.workers is None):
        return list(slots[:count])
    given = allowed(list(slots[: count or 1]))
    wanted = max(_wanted(one, given, engine_of) for one in genomes)
    most = f"take --workers {count}" if count else "take a smaller --batch-size or space.max_width"
    raise UsageError(
        f"{len(slots)} workers do not fit the memory: one of the first networks takes "
        f"{wanted / 1e6:,.0f} MB to train and measure, and max_memory_per_gpu = "
        f"{config.max_memory_per_gpu:g} of this machine's memory leaves "
        f"{max(given.room or 0, 0) / 1e6:,.0f} MB for each of {count or 1} workers. Raise it, or "
        f"{most}."
    )


def _wanted(genome: Genome, given: Allowance, engine_of: Callable[[Genome], str]) -> int:
    setting = given.setting(engine_of(genome))
    observed = observed_bytes([genome], setting)
    return max(cohort_bytes([genome], setting, given.batch_size), observed)
