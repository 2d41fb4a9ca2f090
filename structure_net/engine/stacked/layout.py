"""Where the networks of a stack lie in its operands: arithmetic on widths, no tensors.

A level is sparse layer 0, 1, 2, ... of every network that has one. Its outputs are one matrix
[rows, samples]; each network owns consecutive rows of it, hidden ones before logits. Networks whose
layers have one shape form a group and share a batched product. The first level is one product for
all, since all networks see the same inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from structure_net.genome import Activation, Genome

# Matrices begin at multiples of 64 elements, 128 bytes in bf16: tensor cores ask for 16 bytes.
ALIGNMENT = 64


@dataclass(frozen=True)
class Group:
    """`count` layers of one shape, rows `start` onwards of the level, matrices from `corner`.

    `inputs` are the ranges of rows of the level below that they read, in their order.
    """

    count: int
    units: int
    sources: int
    start: int
    corner: int
    inputs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Block:
    """Neighbours that are normalised, of `units` rows each, from row `start`: over the first
    `widths` of them, the members. `grown`: other real units stand behind the members.

    `place` is the number of the first among the normalised layers of all levels.
    """

    widths: tuple[int, ...]
    units: int
    start: int
    place: int
    grown: bool = False


@dataclass(frozen=True)
class Skip:
    """`count` rows of a level from `start`, which end residual blocks: the rows from `source` of
    the outputs of the level `back` before it are added to their products."""

    back: int
    source: int
    start: int
    count: int


@dataclass(frozen=True)
class Level:
    """`hidden` of the `rows` go through an activation, in `runs` (activation, None where residual
    blocks end, first, end); the rest are logits. `row` is the number of the first row among those
    of all levels, `blocks` are those that are normalised before."""

    groups: tuple[Group, ...]
    rows: int
    hidden: int
    row: int
    runs: tuple[tuple[Activation | None, int, int], ...]
    blocks: tuple[Block, ...]
    skips: tuple[Skip, ...]


@dataclass(frozen=True)
class Seat:
    """A sparse layer of one network: connection (unit, source) has the cell
    corner + unit * stride + source; its biases are rows `row` onwards of all levels', and are added
    behind the normalisation of a layer that has one, else within the product. There are `biases` of
    them."""

    corner: int
    stride: int
    row: int
    normalised: bool
    biases: int


@dataclass(frozen=True)
class Layout:
    """`seats[network][layer]`; `cells` of all matrices; `rows` of all levels; `order` is that of
    the networks' logits when levels follow each other."""

    levels: tuple[Level, ...]
    seats: tuple[tuple[Seat, ...], ...]
    cells: int
    rows: int
    order: tuple[int, ...]


def padded(width: int, granule: int) -> int:
    """A hidden width rounded up to a multiple of `granule`, above 8 granules to an eighth of its
    power of two, so that more networks share a product; 1 leaves widths as they are.

    The added units have no connections and no bias: they give zeros and change nothing.
    """
    if granule == 1:
        return width
    step = max(granule, 1 << max(width.bit_length() - 4, 0))
    return -(-width // step) * step


def lay_out(genomes: Sequence[Genome], granule: int) -> Layout:
    """The layout of a stack; all genomes have the same inputs and classes."""
    widths = [
        (one.inputs, *(padded(plan.units, granule) for plan in one.plans[:-1]), one.classes)
        for one in genomes
    ]
    seats: list[list[Seat]] = [[] for _ in genomes]
    levels: list[Level] = []
    order: list[int] = []
    # The inputs of every network are the same rows below the first level.
    below = dict.fromkeys(range(len(genomes)), 0)
    passed = [below]  # where each network begins, in the inputs and in each level so far
    cells = row = place = 0
    for depth in range(max(map(len, widths)) - 1):
        here = _ordered(genomes, widths, depth)
        ends = list(accumulate((widths[one][depth + 1] for one in here), initial=0))
        starts = dict(zip(here, ends, strict=False))
        groups = []
        for members in _shared(widths, here, depth):
            group = _group(widths, members, depth, starts, below, cells)
            groups.append(group)
            for one in members:
                corner = cells + (starts[one] - group.start) * group.sources
                normalised = _is_normalised(genomes[one], depth)
                biases = genomes[one].bias_counts[depth]
                seats[one].append(
                    Seat(corner, group.sources, row + starts[one], normalised, biases)
                )
            size = group.count * group.units * group.sources
            cells += -(-size // ALIGNMENT) * ALIGNMENT
        lasting = [one for one in here if len(widths[one]) > depth + 2]
        order += here[len(lasting) :]
        hidden = ends[len(lasting)]
        runs = _runs(genomes, starts, lasting, depth, hidden)
        blocks = _blocks(genomes, widths, starts, depth, place)
        place += sum(len(block.widths) for block in blocks)
        passed.append(starts)
        skips = _skips(genomes, widths, passed)
        levels.append(Level(tuple(groups), ends[-1], hidden, row, runs, blocks, skips))
        below, row = starts, row + ends[-1]
    return Layout(tuple(levels), tuple(map(tuple, seats)), cells, row, tuple(order))


def _group(
    widths: Sequence[tuple[int, ...]],
    members: Sequence[int],
    depth: int,
    starts: dict[int, int],
    below: dict[int, int],
    corner: int,
) -> Group:
    """Layers that are multiplied together; on the first level as one matrix of all their units."""
    units = sum(widths[one][depth + 1] for one in members)
    sources = widths[members[0]][depth]
    count = len(members) if depth else 1
    inputs = _merged((below[one], below[one] + sources) for one in members[:count])
    return Group(count, units // count, sources, starts[members[0]], corner, inputs)


def _ordered(genomes: Sequence[Genome], widths: Sequence[tuple[int, ...]], depth: int) -> list[int]:
    """The networks of a level: hidden before ended, then by shape, which forms groups; then by
    activation, normalisation and what follows, which makes few runs and blocks and keeps the next
    groups together."""

    def key(network: int) -> tuple[object, ...]:
        own, genome = widths[network], genomes[network]
        shape = own[depth : depth + 2] if depth else ()
        functions = str(_activation(genome, depth)), _is_normalised(genome, depth)
        return len(own) == depth + 2, shape, functions, own[depth + 1 :], network

    return sorted((one for one, own in enumerate(widths) if len(own) > depth + 1), key=key)


def _shared(widths: Sequence[tuple[int, ...]], here: Sequence[int], depth: int) -> list[list[int]]:
    """Networks that share a product: all on the first level, those of one shape above it."""
    if depth == 0:
        return [list(here)]

    def shape(network: int) -> tuple[object, ...]:
        own = widths[network]
        return own[depth : depth + 2], len(own) == depth + 2

    return [list(members) for _, members in groupby(here, shape)]


def _runs(
    genomes: Sequence[Genome],
    starts: dict[int, int],
    hidden: Sequence[int],
    depth: int,
    end: int,
) -> tuple[tuple[Activation | None, int, int], ...]:
    """Neighbours of one activation; `end` is the end of the hidden rows."""
    runs: list[tuple[Activation | None, int]] = []
    for activation, members in groupby(hidden, lambda one: _activation(genomes[one], depth)):
        runs.append((activation, starts[next(members)]))
    ends = [first for _, first in [*runs, ("", end)]][1:]
    return tuple((*run, stop) for run, stop in zip(runs, ends, strict=True))


def _activation(genome: Genome, depth: int) -> Activation | None:
    return None if genome.plans[depth].skip else genome.activation


def _is_normalised(genome: Genome, depth: int) -> bool:
    hidden = depth < len(genome.plans) - 1 and not genome.plans[depth].skip
    return genome.normalisation == "rms" and hidden


def _skips(
    genomes: Sequence[Genome],
    widths: Sequence[tuple[int, ...]],
    passed: Sequence[dict[int, int]],
) -> tuple[Skip, ...]:
    """Those of the last level of `passed`; neighbours there that are neighbours before are one."""
    depth, skips = len(passed) - 2, list[Skip]()
    for one, start in passed[-1].items():
        back = genomes[one].plans[depth].skip
        if not back:
            continue
        skip = Skip(back, passed[-1 - back][one], start, widths[one][depth + 1])
        last = skips[-1] if skips else None
        if last and (last.back, last.source + last.count, last.start + last.count) == (
            back,
            skip.source,
            start,
        ):
            skips[-1] = Skip(back, last.source, last.start, last.count + skip.count)
        else:
            skips.append(skip)
    return tuple(skips)


def _blocks(
    genomes: Sequence[Genome],
    widths: Sequence[tuple[int, ...]],
    starts: dict[int, int],
    depth: int,
    place: int,
) -> tuple[Block, ...]:
    """Neighbours of one width that are normalised, `place` onwards; `starts` is in their order."""

    def size(network: int) -> tuple[bool, int]:
        return _is_normalised(genomes[network], depth), widths[network][depth + 1]

    blocks = []
    for (normalised, units), members in groupby(starts, size):
        if normalised:
            here = list(members)
            plans = [genomes[one].plans[depth] for one in here]
            own = tuple(plan.members for plan in plans)
            grown = any(plan.grown for plan in plans)
            blocks.append(Block(own, units, starts[here[0]], place, grown))
            place += len(own)
    return tuple(blocks)


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges in their order, neighbours that touch made one."""
    merged: list[tuple[int, int]] = []
    for first, end in ranges:
        if merged and merged[-1][1] == first:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((first, end))
    return tuple(merged)
