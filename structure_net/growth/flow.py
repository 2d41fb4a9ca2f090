"""The rule of information: where what is told about the labels gets lost, there is help.

What a layer tells is what a linear reader finds in it, or in a later layer: nothing comes back that
is lost, so later layers bound it from below. A reader with a hidden layer is no help here: of wide
layers it learns 2,048 samples by heart and finds less than the linear one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from structure_net.genome import Edit, InsertResidualBlock
from structure_net.growth.additions import exact_insertion
from structure_net.growth.offers import connections_of, fitting, offer_of
from structure_net.growth.situation import Proposal, Situation
from structure_net.metrics import Reading, Undetermined, read_signal

LEAST_DROP = 0.05  # nats: twice the error of a reading of 2,048 samples
DEEP, MIDDLING = 0.5, 0.2  # severities that want a layer, a residual block
MOST_ADDED = 0.1  # of a layer's possible connections
TWO_SIDED = 2.09  # 95 % quantile of Student's t with 19 degrees of freedom, as for every interval


@dataclass(frozen=True)
class Drop:
    """Nats that a hidden layer (the logits: as many as there are hidden layers) tells less about
    the labels than what it reads; `severity` is their share of the most that any layer tells."""

    layer: int
    nats: float
    error: float
    severity: float


def by_information_flow(situation: Situation) -> Proposal:
    """Where label information falls most: a layer before, a residual block behind, or connections
    into the layer that loses it, by how much it loses. What does not fit gives way to the next."""
    drop = largest_drop(situation)
    if isinstance(drop, Undetermined):
        return Proposal(reason=f"label information is undetermined: {drop.reason}")
    trigger = {
        "information_drop": drop.nats,
        "standard_error": drop.error,
        "threshold": LEAST_DROP,
        "severity": drop.severity,
    }
    if drop.nats <= LEAST_DROP or drop.nats - TWO_SIDED * drop.error <= 0:
        reason = f"no layer tells {LEAST_DROP} nats less than the one before"
        return Proposal(trigger=trigger, reason=reason)
    edit = _remedy(situation, drop)
    if edit is None:
        return Proposal(trigger=trigger, reason="no edit fits the budget")
    offer = offer_of(situation, edit)
    return Proposal((edit,), trigger, "", offer.nats, offer.error)


def largest_drop(situation: Situation) -> Drop | Undetermined:
    """The greatest fall of label information from what a layer outside residual blocks reads to
    what it, or the last block behind it, gives."""
    genome, readings = situation.genome, list[Reading]()
    for index in (0, *genome.trunk[1:], len(genome.plans)):  # one more than the layer that gives it
        found = read_signal(situation.probe, index)
        if isinstance(found, Undetermined):
            return found
        readings.append(found)
    for at in reversed(range(len(readings) - 1)):
        if readings[at + 1].clipped > readings[at].clipped:
            readings[at] = readings[at + 1]
    falls = [readings[at].clipped - readings[at + 1].clipped for at in range(len(readings) - 1)]
    worst = max(range(len(falls)), key=lambda at: falls[at])
    error = math.hypot(*(one.standard_error for one in readings[worst : worst + 2]))
    most = readings[0].clipped
    return Drop(worst, falls[worst], error, falls[worst] / most if most > 0 else 0.0)


def _remedy(situation: Situation, drop: Drop) -> Edit | None:
    genome, edits = situation.genome, list[Edit]()
    if drop.severity > DEEP and drop.layer > 0 and situation.layers_left:
        layer = exact_insertion(genome, drop.layer - 1)
        edits += [] if layer is None else [layer]
    if drop.severity > MIDDLING and drop.layer in situation.junctions:
        edits.append(InsertResidualBlock(junction=drop.layer))
    fits = fitting(situation, edits)
    if fits:
        return fits[0]
    index = genome.trunk[drop.layer]
    sources, units = genome.shapes[index]
    wanted = round(min(MOST_ADDED, drop.severity) * sources * units)
    offer = connections_of(situation, index, wanted) if wanted and situation.room else None
    return None if offer is None else offer.edit
