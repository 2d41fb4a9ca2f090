"""What every rule does first: dead units begin anew, the smallest connections move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from structure_net.genome import Revive, RevivedUnit, Rewire
from structure_net.growth.units import row_along, unit_layers
from structure_net.metrics import Probe, candidate_gradient, layer_candidates
from structure_net.networks import AGE, MATURITY, SECOND, VALUE, Body, Part, needed_connections

REWIRED_SHARE = 0.3  # of a layer's connections, at the start of training
LAST_REWIRING = 0.75  # progress from which on nothing moves: Evci et al. 2020

Grow = Literal["rigl", "set"]


def rewired_share(progress: float) -> float:
    """The share of connections that move: half a cosine from 0.3 down to 0."""
    if progress >= LAST_REWIRING:
        return 0.0
    return REWIRED_SHARE * 0.5 * (1.0 + math.cos(math.pi * progress / LAST_REWIRING))


def revivals(probe: Probe, dead: Sequence[Bool[np.ndarray, " _"]]) -> list[Revive]:
    """Each dead unit with as many sources as it had, drawn anew, firing on half of the samples.

    `dead` are masks of the probe's hidden layers. The first layer draws among inputs that vary. A
    unit for which no draw varies stays as it is, and so do those of layers that are not among
    `unit_layers`.
    """
    edits, hidden = [], unit_layers(probe)
    for index, mask in zip(probe.hidden_places, dead, strict=True):
        if index not in hidden:
            continue
        revived = [revived_unit(probe, index, unit) for unit in np.flatnonzero(mask).tolist()]
        units = tuple(one for one in revived if one is not None)
        if units:
            edits.append(Revive(layer=hidden[index], units=units))
    return edits


def revived_unit(probe: Probe, index: int, unit: int, fewest: int = 0) -> RevivedUnit | None:
    """A unit of sparse layer `index` anew, with as many sources as it had, or `fewest` where those
    are more; of the first layer at most those that vary. None where no draw varies."""
    layer, draw = probe.layers[index], probe.draw("growth", "revive", index, unit)
    choices = np.arange(layer.connections.sources)
    if index == 0 and not probe.constant_inputs.all():
        choices = np.flatnonzero(~probe.constant_inputs)
    had = int(layer.connections.fan_in[unit])
    count = max(had, min(fewest, len(choices)))
    if count > len(choices):
        return None
    sources = draw.choice(choices, count, replace=False)
    row = row_along(probe, layer, sources, draw.standard_normal(count))
    if row is None:
        return None
    return RevivedUnit(
        unit=unit,
        added=count - had,
        sources=tuple(row.sources.tolist()),
        weights=tuple(row.weights.tolist()),
        bias=row.bias,
        mean=float(layer.activations[:, unit].double().mean()),
    )


def rewirings(
    body: Body,
    probe: Probe,
    share: float,
    grow: Grow = "rigl",
    usable: Bool[np.ndarray, " inputs"] | None = None,
) -> list[Rewire]:
    """For each sparse layer, the smallest weights that may go and as many absent places: uniform
    ones (`set`, Mocanu et al. 2018) or those of largest gradient among the candidates (`rigl`,
    Evci et al. 2020). A layer of constant fan-in keeps it. Connections of fewer than 100 steps
    stay, those that came in this attempt among them.
    """
    edits = []
    for index, part in enumerate(body.parts):
        candidates = layer_candidates(probe, index).places
        if share <= 0.0 or len(candidates) == 0:
            continue
        score = (
            np.abs(candidate_gradient(probe, index))
            if grow == "rigl"
            else probe.draw("growth", "rewire", index).random(len(candidates))
        )
        still = ~np.isin(candidates, part.places)
        plan, varying = body.genome.plans[index], usable if index == 0 else None
        free = ~needed_connections(
            part, first=not plan.every_source, every_unit=plan.every_unit, usable=varying
        )
        # Of the newest nothing is remembered; the young had no time to become large.
        free &= ~np.isnan(part.numbers[SECOND]) & (part.numbers[AGE] >= MATURITY)
        dropped, added = _moves(part, free, candidates[still], score[still], share)
        if len(dropped):
            edits.append(
                Rewire(layer=index, dropped=tuple(dropped.tolist()), added=tuple(added.tolist()))
            )
    return edits


def _moves(
    part: Part,
    free: Bool[np.ndarray, " connections"],
    candidates: Int[np.ndarray, " candidates"],
    score: Float[np.ndarray, " candidates"],
    share: float,
) -> tuple[Int[np.ndarray, " moved"], Int[np.ndarray, " moved"]]:
    """Places to leave and places to take."""
    places, sizes = part.places[free], np.abs(part.numbers[VALUE, free])
    fan_in = np.bincount(part.rows, minlength=part.units)
    if fan_in.max() - fan_in.min() > 1:
        zeros = np.zeros(1, dtype=np.int64)
        moved = np.array([math.floor(share * len(part.places) + 0.5)])
        leaving, taking = np.repeat(zeros, len(places)), np.repeat(zeros, len(candidates))
    else:
        moved = np.floor(share * fan_in + 0.5).astype(np.int64)
        leaving, taking = places // part.sources, candidates // part.sources
    quota = np.minimum(moved, np.bincount(leaving, minlength=len(moved)))
    quota = np.minimum(quota, np.bincount(taking, minlength=len(moved)))
    return places[_best(leaving, sizes, quota)], candidates[_best(taking, -score, quota)]


def _best(
    group: Int[np.ndarray, " n"], cost: Float[np.ndarray, " n"], quota: Int[np.ndarray, " groups"]
) -> Int[np.ndarray, " chosen"]:
    """Of each group the `quota` members of least cost; ties by lower index. Ascending."""
    order = np.lexsort((cost, group))
    starts = np.searchsorted(group[order], np.arange(len(quota)))
    rank = np.arange(len(order)) - starts[group[order]]
    return np.sort(order[rank < quota[group[order]]])
