"""The workers of a run, as many as memory holds, and what each of them may use."""

from __future__ import annotations

from collections.abc import Callable

from structure_net.datasets import Dataset
from structure_net.evolution import World, largest_founders
from structure_net.executors import (
    Allowance,
    Slot,
    allowance,
    read_machine,
    slots_of,
    slots_that_fit,
)
from structure_net.genome import Genome
from structure_net.schema import Config


def workers_of(
    config: Config, dataset: Dataset, batch_size: int, engine_of: Callable[[Genome, str], str]
) -> tuple[list[Slot], Allowance]:
    """Slots and allowance; `engine_of(genome, device kind)` names engines.

    UsageError where the workers asked for, or a single one, cannot train the first networks.
    """
    slots = slots_of(config)
    machine, data = read_machine(slots), int(dataset.images.nbytes)
    largest = largest_founders(World.of(config, dataset.inputs, len(dataset.classes)))

    def allowed(chosen: list[Slot]) -> Allowance:
        return allowance(config, chosen, machine, batch_size, data)

    def engine(genome: Genome) -> str:
        return engine_of(genome, slots[0].device.split(":")[0])

    fitting = slots_that_fit(config, slots, allowed, largest, engine)
    return fitting, allowed(fitting)
