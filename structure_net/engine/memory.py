"""How much memory training takes, from genomes alone; and cohorts that fit a budget.

Hidden units are those inside residual blocks too, and the sums that end them; with blocks `native`
has 3 widest. With n connections, v = n + biases, u units in a layer, s sources, r samples at a
time, b samples a batch, i inputs, in bytes:

| | kept while the network lives | while it is trained |
|---|---|---|
| every engine | 16 v (value, two moments, multiplier) + 4 n (columns) + 4 units | |
| `csr` | 8 v (optimizer's scratch) + 12 n (order, units) + 4 sources | 4 v + 28 n (sorting) + a |
| `dense` | 8 v + 16 n (places) + 4 sum(s u) (operands) | 4 v + 8 n + 4 max(s u) + a |
| `native` | 4 v + 12 n + 12 n of the first + 1024 (2 hidden + 2 widest) | 32 n of the largest |

a = r (4 k hidden + 20 widest) are the activations: k vectors kept for each hidden layer (one, two
with an activation other than relu, one more with a normalisation), and those that come and go with
the widest. 4 v is the gradient.

On a processor the networks of a cohort take turns and share what is needed while training; stacked
on a device they all need it at once. To that comes the batch: 12 b i of floats (read, standardised,
mixed), for `native` at most 4 b i (floats; 8-bit images take 1 b i).

To look at one network with all metrics takes, for r samples of w inputs or units in the widest
layer and U units in all layers, 20 r U + 16 r w + 24 min(r, w)^2 + 140 n + 16 MB at a time, while
nothing trains. That decides how many workers and how large cohorts fit, never how many samples of a
batch are taken at a time: results do not depend on whether metrics are measured.

The formulas hold within a factor of 2 of what was measured; tests/engine/test_memory.py measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from structure_net.engine.batches import EVALUATION_BATCH
from structure_net.engine.native.memory import LARGEST_BLOCK
from structure_net.engine.passes import segments
from structure_net.genome import (
    Genome,
    active_parameters,
    connection_count,
    possible_connections,
)

FLOAT, PLACE, INDEX = 4, 8, 4  # bytes of a value, of a place in a dense operand, of a list's entry


@dataclass(frozen=True)
class Setting:
    """What decides about memory beside the genome. `stacked`: all networks of a cohort compute at
    the same time, as engine `dense` does on a device. `probe_samples`: those that metrics look at,
    0 without metrics."""

    engine: str
    batch_size: int
    stacked: bool = False
    checkpointing: bool = False
    probe_samples: int = 0


@dataclass(frozen=True)
class Portion:
    """Networks that train together, by their places in the list that was planned, and how many
    samples of a batch they take at a time; 0 where not even one sample fits the budget."""

    members: tuple[int, ...]
    micro_batch: int


def budget(total_bytes: int, share: float, processes: int, *, shared: int = 0, own: int = 0) -> int:
    """Bytes for the training of one of `processes` that divide a `share` of `total_bytes`.

    `shared` is taken by all of them together, `own` by each before it trains anything. Negative
    where those alone are too much.
    """
    return (int(total_bytes * share) - shared) // processes - own


def kept_bytes(genome: Genome, setting: Setting) -> int:
    """Memory of one network as long as it is in training."""
    connections, values = connection_count(genome), active_parameters(genome)
    units = sum(plan.units for plan in genome.plans)
    sources = sum(plan.sources for plan in genome.plans)
    kept = 4 * FLOAT * values + INDEX * (connections + units)
    if setting.engine == "native":
        hidden = [plan.units for plan in genome.plans[:-1]]
        spares = 3 if any(genome.blocks) else 2
        rows = 2 * sum(hidden) + spares * max(hidden, default=0) + genome.classes
        lists = 3 * INDEX * (connections + genome.counts[0]) + INDEX * (units + sources)
        return kept + FLOAT * values + lists + FLOAT * LARGEST_BLOCK * rows
    kept += 2 * FLOAT * values
    if setting.engine == "csr":
        return kept + (PLACE + INDEX) * connections + INDEX * sources
    operands = FLOAT * possible_connections(genome)
    return kept + 2 * PLACE * connections + operands


def working_bytes(genome: Genome, setting: Setting, rows: int) -> int:
    """Memory that one network needs beside that while it takes `rows` samples of a batch."""
    if setting.engine == "native":
        return 4 * PLACE * max(genome.counts)  # sorting the connections by source
    widest = max(plan.units for plan in genome.plans)
    vectors = 1 + (genome.activation != "relu") + (genome.normalisation != "none")
    units = vectors * _kept_units(genome, setting.checkpointing) + 5 * widest
    activations = FLOAT * rows * units
    gradients = FLOAT * active_parameters(genome)
    if setting.engine == "csr":
        return gradients + 7 * FLOAT * connection_count(genome) + activations
    gradients += 2 * FLOAT * connection_count(genome)
    return gradients + FLOAT * max(source * unit for source, unit in genome.shapes) + activations


def _kept_units(genome: Genome, checkpointing: bool) -> int:
    """Hidden units whose activations stay between the forward and the backward pass."""
    widths = [*(plan.units for plan in genome.plans[:-1]), 0]
    if not checkpointing:
        return sum(widths)
    runs = segments([plan.skip for plan in genome.plans])
    between = sum(widths[end - 1] for _, end in runs)
    return between + max(sum(widths[first : end - 1]) for first, end in runs)


def batch_bytes(inputs: int, setting: Setting) -> int:
    """Memory of the batch in training, which a cohort shares, or of one for validation."""
    samples = max(setting.batch_size, EVALUATION_BATCH)
    return samples * inputs * (4 if setting.engine == "native" else 3 * FLOAT)


def cohort_bytes(genomes: Sequence[Genome], setting: Setting, micro_batch: int) -> int:
    """Memory of training these networks in lockstep, `micro_batch` samples at a time."""
    kept = sum(kept_bytes(genome, setting) for genome in genomes)
    working = [working_bytes(genome, setting, micro_batch) for genome in genomes]
    together = sum(working) if setting.stacked else max(working)
    return kept + together + batch_bytes(genomes[0].inputs, setting)


def probe_bytes(genome: Genome, samples: int) -> int:
    """Memory of looking at one network on so many samples with all metrics."""
    units = sum(plan.units for plan in genome.plans)
    widest = max(genome.inputs, *(plan.units for plan in genome.plans))
    signals = 5 * FLOAT * samples * units + 2 * PLACE * samples * widest
    products = 3 * PLACE * min(samples, widest) ** 2
    return signals + products + 140 * connection_count(genome) + 16_000_000


def observed_bytes(genomes: Sequence[Genome], setting: Setting) -> int:
    """Memory of a cohort while metrics look at the largest of its networks; 0 without metrics."""
    if not setting.probe_samples:
        return 0
    kept = sum(kept_bytes(genome, setting) for genome in genomes)
    inputs = FLOAT * setting.probe_samples * genomes[0].inputs
    return kept + inputs + max(probe_bytes(genome, setting.probe_samples) for genome in genomes)


def portions(
    genomes: Sequence[Genome], setting: Setting, room: int | None, largest: int
) -> list[Portion]:
    """Cohorts of at most `largest` networks in the given order, each within `room` bytes.

    The batch stays as configured. Only a network that does not fit alone gets a smaller
    micro-batch, halved until it fits. None for `room` means as much as it takes.
    """
    made: list[Portion] = []
    members: list[int] = []
    for place in range(len(genomes)):
        chosen = [genomes[member] for member in (*members, place)]
        if members and (
            len(chosen) > largest
            or not _fits(cohort_bytes(chosen, setting, setting.batch_size), room)
            or not _fits(observed_bytes(chosen, setting), room)
        ):
            made.append(_portion(genomes, members, setting, room))
            members = []
        members.append(place)
    return [*made, _portion(genomes, members, setting, room)] if members else made


def _portion(
    genomes: Sequence[Genome], members: Sequence[int], setting: Setting, room: int | None
) -> Portion:
    chosen, size = [genomes[member] for member in members], setting.batch_size
    while size and not _fits(cohort_bytes(chosen, setting, size), room):
        size //= 2
    return Portion(tuple(members), size)


def _fits(wanted: int, room: int | None) -> bool:
    return room is None or wanted <= room
