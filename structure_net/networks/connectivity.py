"""Which source feeds which unit: connection lists with no unit cut off.

A layer's connections are compressed sparse rows by unit: `row_pointers` [n_dst + 1] and `columns`
[N], the sources of each unit ascending.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from structure_net.errors import InvalidGenomeError

# Random keys are drawn for this many (unit, source) pairs at a time: 32 MB of doubles.
KEYS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Connections:
    """The connections of one sparse layer from `sources` to `units`."""

    sources: int
    units: int
    row_pointers: Int[np.ndarray, " units_plus_1"]
    columns: Int[np.ndarray, " connections"]

    @property
    def rows(self) -> Int[np.ndarray, " connections"]:
        """The unit of each connection."""
        return np.repeat(np.arange(self.units), np.diff(self.row_pointers))

    @property
    def fan_in(self) -> Int[np.ndarray, " units"]:
        """Connections into each unit."""
        return np.diff(self.row_pointers)

    @property
    def fan_out(self) -> Int[np.ndarray, " sources"]:
        """Connections out of each source."""
        return np.bincount(self.columns, minlength=self.sources)


def constant_fan_in(
    sources: int,
    units: int,
    count: int,
    generator: np.random.Generator,
    *,
    feed_every_source: bool,
    feed_every_unit: bool = True,
    usable: Bool[np.ndarray, " sources"] | None = None,
) -> Connections:
    """`count` connections, floor(count / units) or one more into each unit, at random places.

    With `feed_every_source` (hidden sources) each source is used at least once. `usable` marks
    inputs that vary over the training data: each unit gets one of them at least. Without
    `feed_every_unit` there may be fewer connections than units, and some get none.
    """
    if not (units if feed_every_unit else 1) <= count <= sources * units:
        raise InvalidGenomeError(f"{count} connections from {sources} sources to {units} units.")
    fan_in = np.full(units, count // units)
    fan_in[generator.permutation(units)[: count % units]] += 1
    row_pointers = np.concatenate([[0], np.cumsum(fan_in)])
    columns = _draw_sources(sources, fan_in, generator)
    if usable is not None and usable.any():
        _give_usable(columns, row_pointers, usable, generator)
    if feed_every_source:
        _feed(columns, sources, generator)
    for start, stop in pairwise(row_pointers):
        columns[start:stop].sort()
    return Connections(sources, units, row_pointers.astype(np.int32), columns.astype(np.int32))


def _draw_sources(
    sources: int, fan_in: Int[np.ndarray, " units"], generator: np.random.Generator
) -> Int[np.ndarray, " connections"]:
    """Sources without replacement inside each unit: the smallest of random keys."""
    widest = int(fan_in.max())
    rows_at_once = max(1, KEYS_AT_ONCE // sources)
    drawn = []
    for start in range(0, len(fan_in), rows_at_once):
        wanted = fan_in[start : start + rows_at_once]
        keys = generator.random((len(wanted), sources), dtype=np.float32)
        nearest = np.argpartition(keys, widest - 1, axis=1)[:, :widest]
        # argpartition leaves the chosen ones in no order of their own; sorting by key makes the
        # choice of a shorter row the smallest keys too.
        order = np.argsort(np.take_along_axis(keys, nearest, axis=1), axis=1, kind="stable")
        nearest = np.take_along_axis(nearest, order, axis=1)
        drawn.append(nearest[np.arange(widest)[None, :] < wanted[:, None]])
    return np.concatenate(drawn)


def _give_usable(
    columns: Int[np.ndarray, " connections"],
    row_pointers: Int[np.ndarray, " units_plus_1"],
    usable: Bool[np.ndarray, " sources"],
    generator: np.random.Generator,
) -> None:
    """A unit that sees only constant inputs swaps one of them for a varying one."""
    varying = np.flatnonzero(usable)
    has_usable = np.logical_or.reduceat(usable[columns], row_pointers[:-1])
    for unit in np.flatnonzero(~has_usable):
        place = generator.integers(row_pointers[unit], row_pointers[unit + 1])
        columns[place] = generator.choice(varying)


def _feed(
    columns: Int[np.ndarray, " connections"], sources: int, generator: np.random.Generator
) -> None:
    """A source without consumer replaces, in a random row, one that has two or more."""
    fan_out = np.bincount(columns, minlength=sources)
    for source in np.flatnonzero(fan_out == 0):
        spare = np.flatnonzero(fan_out[columns] >= 2)
        if len(spare) == 0:
            raise InvalidGenomeError(f"{len(columns)} connections cannot feed {sources} sources.")
        place = generator.choice(spare)
        fan_out[columns[place]] -= 1
        columns[place] = source
        fan_out[source] = 1
