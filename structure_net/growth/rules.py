"""Rules of growth: a situation -> edits. Each is registered by name.

Every rule but `none` first repairs what is broken (`growth.repair`), `set` and `rigl` in so far as
connections move; a rule says what is added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from structure_net.genome import (
    AddConnections,
    Edit,
    InsertLayer,
    InsertResidualBlock,
    Widen,
)
from structure_net.growth.additions import added, connections_at, exact_insertion, knot
from structure_net.growth.findings import (
    Findings,
    found,
    found_by_seed,
    found_relative,
    starved,
)
from structure_net.growth.flow import by_information_flow
from structure_net.growth.offers import (
    FEWEST_SAMPLES,
    Offer,
    connection_offers,
    fitting,
    offer_of,
    pair_offers,
    structure_offers,
)
from structure_net.growth.places import healthiest, uniform
from structure_net.growth.repair import Grow
from structure_net.growth.situation import Proposal, Situation
from structure_net.growth.units import unit_layers
from structure_net.metrics import LEAST_GAIN, Probe, Undetermined, unit_utilities
from structure_net.registry import Registry

EXTREMA_RATIO = 0.3  # the seed's: above it a network grows
FEWEST_FINDINGS, MOST_KNOTS = 5, 3  # a layer with so many findings gets so many hinges
INTO_EACH, OUT_OF_EACH = 3, 2  # connections for a revived or starved unit, for a linearised one
THIN_FAN_IN = 0.1  # of the sources; units above it are fed well enough
STRUCTURES = (InsertLayer, InsertResidualBlock)

Propose = Callable[[Situation], Proposal]


@dataclass(frozen=True)
class GrowthRule:
    """`propose` says what is added, `find` by what definitions units are counted; without `grows`
    a rule makes no attempt at all. `revives`: dead units begin anew; `rewires` tells where
    connections go that are moved."""

    propose: Propose
    find: Callable[[Probe], Findings | Undetermined] = found
    grows: bool = True
    revives: bool = True
    rewires: Grow = "rigl"


GROWTH_RULES: Registry[GrowthRule] = Registry("growth rule")


def by_extrema(situation: Situation) -> Proposal:
    """The seed's: where more than 0.3 of the units have a finding, connections for the thin and the
    linearised, hinges for the linearised of greatest utility, where most is wrong a residual block,
    or a layer."""
    findings = situation.findings
    if isinstance(findings, Undetermined):
        return Proposal(reason=f"extrema are undetermined: {findings.reason}")
    trigger = {"extrema_ratio": findings.ratio, "threshold": EXTREMA_RATIO}
    if findings.ratio <= EXTREMA_RATIO:
        reason = f"extrema ratio {findings.ratio:.3f} is not above {EXTREMA_RATIO}"
        return Proposal(trigger=trigger, reason=reason)
    edits: list[Edit] = [*_fed(situation, findings)]
    left = situation.room - sum(len(one.places) for one in edits if isinstance(one, AddConnections))
    for widen in _hinges(situation, findings):
        cost = sum(len(unit.sources) + len(unit.targets) for unit in widen.units)
        if cost <= left:
            edits.append(widen)
            left -= cost
    insertion = _insertion(situation, findings, left)
    if insertion is not None:
        edits.append(insertion)
    return Proposal(tuple(edits), trigger, "" if edits else "no edit fits the budget")


def _insertion(
    situation: Situation, findings: Findings, room: int
) -> InsertLayer | InsertResidualBlock | None:
    """Where most is wrong a residual block, or else a layer behind the hidden one where most is
    wrong of those that may have one."""
    probe, plans = situation.probe, situation.genome.plans
    own = zip(probe.hidden_places, findings.per_layer, findings.low, strict=True)
    shares = {place: count / len(low) for place, count, low in own}
    within = replace(situation, room=room)
    worst = plans[max(shares, key=lambda place: shares[place])].gene
    block = InsertResidualBlock(junction=worst)
    if worst in situation.junctions and fitting(within, [block]):
        return block
    hidden = unit_layers(probe)
    places = [place for place in shares if place in hidden]
    if not places:
        return None
    best = max(places, key=lambda place: shares[place])
    layer = exact_insertion(situation.genome, hidden[best])
    return layer if layer is not None and fitting(within, [layer]) else None


def _fed(situation: Situation, findings: Findings) -> list[AddConnections]:
    """Connections into revived and starved units, and out of linearised ones, within the room."""
    probe, room = situation.probe, situation.room
    numbers = {place: number for number, place in enumerate(probe.hidden_places)}
    edits: list[AddConnections] = []
    for index in range(len(probe.layers)):
        draw, places = situation.draw("feed", index), np.zeros(0, dtype=np.int64)
        if index in numbers:
            lists = probe.layers[index].connections
            wanted = starved(probe, index)
            wanted[situation.revived[numbers[index]]] = True
            wanted &= lists.fan_in < THIN_FAN_IN * lists.sources
            ends = np.flatnonzero(wanted)
            places = connections_at(probe, index, ends, INTO_EACH, into=True, generator=draw)
        if index - 1 in numbers:
            ends = np.flatnonzero(findings.high[numbers[index - 1]])
            more = connections_at(probe, index, ends, OUT_OF_EACH, into=False, generator=draw)
            places = np.union1d(places, more)
        own = added(index, places, room)
        room -= sum(len(edit.places) for edit in own)
        edits += own
    return edits


def _hinges(situation: Situation, findings: Findings) -> list[Widen]:
    probe, edits = situation.probe, []
    hidden = unit_layers(probe)
    own = zip(probe.hidden_places, findings.high, findings.per_layer, strict=True)
    for index, high, count in own:
        if count < FEWEST_FINDINGS or index not in hidden:
            continue
        utility = np.where(high, unit_utilities(probe, index), -1.0)
        best = np.argsort(-utility, kind="stable")[: min(MOST_KNOTS, int(high.sum()))]
        units = [knot(probe, index, unit) for unit in best.tolist()]
        hinges = tuple(unit for unit in units if unit is not None)
        if hinges:
            edits.append(Widen(layer=hidden[index], mode="knot", units=hinges))
    return edits


def by_predicted_gain(situation: Situation) -> Proposal:
    """Of each layer's best absent connections and best pair of units, of a residual block at each
    junction and of inserted layers, those whose gain is proven on samples that did not choose them,
    by gain per connection, until the room is used."""
    if situation.probe.samples < FEWEST_SAMPLES:
        return Proposal(reason="two halves of the probe want 4 samples")
    if situation.room == 0:
        return Proposal(reason="no connection may be added by now")
    offers = [
        *connection_offers(situation),
        *pair_offers(situation),
        *structure_offers(situation),
    ]
    if not offers:
        return Proposal(reason="nothing can be added")
    best = max(offers, key=lambda offer: offer.nats)
    trigger = {"predicted_gain": best.nats, "standard_error": best.error, "threshold": LEAST_GAIN}
    chosen = _chosen(offers, situation.room)
    if not chosen:
        return Proposal(trigger=trigger, reason=f"no gain of {LEAST_GAIN} nats is proven")
    # Places count in rows as long as the layer before: connections come before units.
    chosen.sort(key=lambda one: not isinstance(one.edit, AddConnections))
    gain, error = sum(one.nats for one in chosen), sum(one.error**2 for one in chosen) ** 0.5
    return Proposal(tuple(one.edit for one in chosen), trigger, "", gain, error)


def _chosen(offers: Sequence[Offer], room: int) -> list[Offer]:
    """Those proven, by gain per connection, as far as the room goes. Beside one new structure there
    is no other, nor new units: what one of them is worth, and that it changes nothing, holds for
    the layers as they are."""
    chosen: list[Offer] = []
    for offer in sorted(offers, key=lambda one: -one.each):
        kinds = {one.edit.kind for one in chosen}
        if isinstance(offer.edit, STRUCTURES):
            clash = bool(kinds - {"add_connections"})
        else:
            clash = isinstance(offer.edit, Widen) and bool(kinds - {"add_connections", "widen"})
        if offer.proven and offer.connections <= room and not clash:
            chosen.append(offer)
            room -= offer.connections
    return chosen


def by_any(situation: Situation) -> Proposal:
    """Of what `extrema`, `predicted_gain` and `information_flow` propose, that with the highest
    predicted gain per connection."""
    if situation.probe.samples < FEWEST_SAMPLES:
        return Proposal(reason="two halves of the probe want 4 samples")
    trigger: dict[str, float] = {}
    best, highest, reasons = Proposal(), -math.inf, []
    for name, propose in BY_SIGNALS.items():
        proposal = propose(situation)
        if not proposal.edits:
            reasons.append(f"{name}: {proposal.reason}")
            continue
        proposal, each = _priced(situation, proposal)
        trigger[f"{name}_nats_per_connection"] = each
        if each > highest:
            best, highest = proposal, each
    if not best.edits:
        return Proposal(trigger=trigger, reason="; ".join(reasons))
    return replace(best, trigger={**best.trigger, **trigger})


def _priced(situation: Situation, proposal: Proposal) -> tuple[Proposal, float]:
    """The proposal with its gain, and that for each connection."""
    if proposal.gain is None:
        offers = [offer_of(situation, edit) for edit in proposal.edits]
        error = sum(one.error**2 for one in offers) ** 0.5
        proposal = replace(proposal, gain=sum(one.nats for one in offers), gain_error=error)
    assert proposal.gain is not None
    cost = sum(situation.cost(edit) for edit in proposal.edits)
    return proposal, proposal.gain / max(1, cost)


def nothing(_situation: Situation) -> Proposal:
    """For rules that repair alone, or but move connections."""
    return Proposal(reason="the rule adds nothing")


def random_place(rule: GrowthRule) -> GrowthRule:
    """The control of a rule: its kinds and sizes of edits, at uniform places."""
    return replace(rule, propose=lambda one: uniform(one, rule.propose(one)))


def opposite_place(rule: GrowthRule) -> GrowthRule:
    """The other control: the same at the healthiest places."""
    return replace(rule, propose=lambda one: healthiest(one, rule.propose(one)))


BY_SIGNALS: dict[str, Propose] = {
    "extrema": by_extrema,
    "predicted_gain": by_predicted_gain,
    "information_flow": by_information_flow,
}
EXTREMA, PREDICTED_GAIN = GrowthRule(by_extrema), GrowthRule(by_predicted_gain)
GROWTH_RULES.register("extrema")(EXTREMA)
GROWTH_RULES.register("predicted_gain")(PREDICTED_GAIN)
GROWTH_RULES.register("information_flow")(GrowthRule(by_information_flow))
GROWTH_RULES.register("hybrid")(GrowthRule(by_any))
GROWTH_RULES.register("seed_legacy_extrema")(GrowthRule(by_extrema, found_by_seed))
GROWTH_RULES.register("seed_legacy_relative")(GrowthRule(by_extrema, found_relative))
GROWTH_RULES.register("recycle_only")(GrowthRule(nothing))
GROWTH_RULES.register("random_place_extrema")(random_place(EXTREMA))
GROWTH_RULES.register("random_place_predicted_gain")(random_place(PREDICTED_GAIN))
GROWTH_RULES.register("opposite_place_extrema")(opposite_place(EXTREMA))
GROWTH_RULES.register("opposite_place_predicted_gain")(opposite_place(PREDICTED_GAIN))
GROWTH_RULES.register("set")(GrowthRule(nothing, revives=False, rewires="set"))
GROWTH_RULES.register("rigl")(GrowthRule(nothing, revives=False))
GROWTH_RULES.register("none")(GrowthRule(nothing, grows=False))
