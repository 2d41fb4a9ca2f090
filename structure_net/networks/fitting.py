"""A sparse layer brought to a number of connections, with no unit cut off.

What is kept is kept as it is; what goes are the smallest weights; what comes has weight 0. So
adding changes nothing that the network computes, and removing equals setting weights to 0.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from structure_net.networks.parts import VALUE, Part

Usable = Bool[np.ndarray, " inputs"] | None


def fitted(
    part: Part,
    count: int,
    generator: np.random.Generator,
    *,
    first: bool,
    every_unit: bool = True,
    usable: Usable = None,
) -> Part:
    """`part` with `count` connections: each unit with one at least (of the first layer, one from an
    input that varies), each hidden source too. `first`: no source needs one; without `every_unit`
    no unit does."""
    if usable is not None and not usable.any():
        usable = None
    kinds = {"first": first, "every_unit": every_unit}
    part = _without_gaps(part, generator, **kinds, usable=usable)
    if len(part.places) > count:
        needed = needed_connections(part, **kinds, usable=usable)
        if needed.sum() > count:
            part, needed = _fewest(part, generator)
        part = _pruned(part, needed, count)
    return part.plus(absent_places(part, count - len(part.places), generator))


def whole(part: Part, *, first: bool, every_unit: bool = True, usable: Usable = None) -> bool:
    """Whether nothing is cut off: a connection into each unit (of the first layer, one from an
    input that varies), one out of each hidden source. `first` and `every_unit` as in `fitted`."""
    useful = part.rows if usable is None or not usable.any() else part.rows[usable[part.columns]]
    fed = not every_unit or len(np.unique(useful)) == part.units
    return fed and (first or len(np.unique(part.columns)) == part.sources)


def absent_places(
    part: Part, count: int, generator: np.random.Generator
) -> Int[np.ndarray, " count"]:
    """`count` different places without a connection, all equally likely."""
    free = part.sources * part.units - len(part.places)
    ranks = np.sort(generator.choice(free, size=count, replace=False, shuffle=False))
    # The r-th free place lies behind as many taken ones as have at most r free ones before them.
    before = part.places - np.arange(len(part.places))
    places: np.ndarray = ranks + np.searchsorted(before, ranks, side="right")
    return places


def _without_gaps(
    part: Part, generator: np.random.Generator, *, first: bool, every_unit: bool, usable: Usable
) -> Part:
    """A unit that nothing useful enters, and a hidden source that goes nowhere, get a connection
    at a random place."""
    useful = np.ones(len(part.places), dtype=bool) if usable is None else usable[part.columns]
    choices = np.arange(part.sources) if usable is None else np.flatnonzero(usable)
    empty = np.flatnonzero(np.bincount(part.rows[useful], minlength=part.units) == 0)
    empty = empty if every_unit else empty[:0]
    drawn = generator.choice(choices, size=len(empty))
    part = part.plus(empty * part.sources + drawn)
    if first:
        return part
    idle = np.flatnonzero(np.bincount(part.columns, minlength=part.sources) == 0)
    drawn = generator.integers(part.units, size=len(idle))
    return part.plus(drawn * part.sources + idle)


def _largest_first(part: Part) -> Int[np.ndarray, " connections"]:
    """Connections by weight, largest magnitude first; ties by place."""
    return np.argsort(-np.abs(part.numbers[VALUE]), kind="stable")


def needed_connections(
    part: Part, *, first: bool, every_unit: bool = True, usable: Usable
) -> Bool[np.ndarray, " connections"]:
    """The largest connection into each unit, and out of each hidden source."""
    needed = np.zeros(len(part.places), dtype=bool)
    order = _largest_first(part)
    useful = order if usable is None else order[usable[part.columns[order]]]
    if every_unit:
        needed[useful[np.unique(part.rows[useful], return_index=True)[1]]] = True
    if not first:
        needed[order[np.unique(part.columns[order], return_index=True)[1]]] = True
    return needed


def _pruned(part: Part, needed: Bool[np.ndarray, " connections"], count: int) -> Part:
    """The needed connections, and the largest of the others."""
    order = _largest_first(part)
    spare = order[~needed[order]]
    kept = needed.copy()
    kept[spare[: count - int(needed.sum())]] = True
    return part.only(kept)


def _fewest(
    part: Part, generator: np.random.Generator
) -> tuple[Part, Bool[np.ndarray, " connections"]]:
    """`part`, and which max(units, sources) of its connections leave nothing cut off: large ones
    that pair a unit with a source, then new ones between the units and sources left over."""
    rows, columns = part.rows, part.columns
    fed, feeding = np.zeros(part.units, dtype=bool), np.zeros(part.sources, dtype=bool)
    chosen = []
    for place in _largest_first(part):
        row, column = rows[place], columns[place]
        if not fed[row] and not feeding[column]:
            fed[row] = feeding[column] = True
            chosen.append(place)
    units, sources = np.flatnonzero(~fed), np.flatnonzero(~feeding)
    pairs = min(len(units), len(sources))
    chosen += [*_largest_of(part, rows, units[pairs:])]
    chosen += [*_largest_of(part, columns, sources[pairs:])]
    fresh = units[:pairs] * part.sources + generator.permutation(sources[:pairs])
    needed = np.concatenate([part.places[chosen], fresh])
    part = part.plus(fresh)
    return part, np.isin(part.places, needed)


def _largest_of(
    part: Part, ends: Int[np.ndarray, " connections"], wanted: Int[np.ndarray, " wanted"]
) -> Int[np.ndarray, " wanted"]:
    """The largest connection at each wanted end (a unit, or a source)."""
    order = _largest_first(part)
    of_end, places = np.unique(ends[order], return_index=True)
    found: np.ndarray = order[places[np.isin(of_end, wanted)]]
    return found
