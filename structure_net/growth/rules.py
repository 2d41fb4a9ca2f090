"""Rules of growth: a situation -> edits. Each is registered by name.

Every rule but `none` first repairs what is broken (`growth.repair`), `set` and `rigl` in so far as
connections move; a rule says what is added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from structure_net.genome import AddConnections, Edit, InsertLayer, Widen, apply_edit
from structure_net.growth.additions import (
    added,
    connections_at,
    exact_insertion,
    knot,
    outgoing_size,
    pair_of,
)
from structure_net.growth.findings import (
    Findings,
    found,
    found_by_seed,
    found_relative,
    starved,
)
from structure_net.growth.places import healthiest, uniform
from structure_net.growth.repair import Grow
from structure_net.growth.situation import Proposal, Situation
from structure_net.growth.units import unit_layers
from structure_net.metrics import (
    LEAST_GAIN,
    Probe,
    Undetermined,
    added_count,
    honest_gain,
    in_sample_gain,
    largest_gains,
    layer_candidates,
    layer_signals,
    unit_utilities,
)
from structure_net.registry import Registry

EXTREMA_RATIO = 0.3  # the seed's: above it a network grows
FEWEST_FINDINGS, MOST_KNOTS = 5, 3  # a layer with so many findings gets so many hinges
INTO_EACH, OUT_OF_EACH = 3, 2  # connections for a revived or starved unit, for a linearised one
THIN_FAN_IN = 0.1  # of the sources; units above it are fed well enough
ONE_SIDED = 1.645  # 95 % quantile of the normal distribution

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
    linearised, hinges for the linearised of greatest utility, a layer where most is wrong."""
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
    insertion = _insertion(situation, findings)
    if insertion is not None:
        grown = apply_edit(situation.genome, insertion)
        if sum(grown.counts) - sum(situation.genome.counts) <= left:
            edits.append(insertion)
    return Proposal(tuple(edits), trigger, "" if edits else "no edit fits the budget")


def _insertion(situation: Situation, findings: Findings) -> InsertLayer | None:
    """A layer behind the hidden one where most is wrong, of those that may have one."""
    hidden, worst, most = unit_layers(situation.probe), -1, -1.0
    own = zip(situation.probe.hidden_places, findings.per_layer, findings.low, strict=True)
    for place, count, low in own:
        if place in hidden and count / len(low) > most:
            worst, most = hidden[place], count / len(low)
    return None if worst < 0 else exact_insertion(situation.genome, worst)


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
    if probe.normalisation != "none":
        return []  # a normalised layer cannot get units without a change
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


@dataclass(frozen=True)
class _Offer:
    edit: Edit
    connections: int
    nats: float
    error: float

    @property
    def proven(self) -> bool:
        return self.nats - ONE_SIDED * self.error > 0 and self.nats >= LEAST_GAIN


def by_predicted_gain(situation: Situation) -> Proposal:
    """Of each layer's best absent connections and best pair of units, those whose gain is proven on
    samples that did not choose them, by gain per connection, until the room is used."""
    if situation.probe.samples < 4:
        return Proposal(reason="two halves of the probe want 4 samples")
    if situation.room == 0:
        return Proposal(reason="no connection may be added by now")
    offers = [*_connection_offers(situation), *_pair_offers(situation)]
    if not offers:
        return Proposal(reason="nothing can be added")
    best = max(offers, key=lambda offer: offer.nats)
    trigger = {"predicted_gain": best.nats, "standard_error": best.error, "threshold": LEAST_GAIN}
    chosen: list[_Offer] = []
    left = situation.room
    for offer in sorted(offers, key=lambda one: -one.nats / one.connections):
        if offer.proven and offer.connections <= left:
            chosen.append(offer)
            left -= offer.connections
    if not chosen:
        return Proposal(trigger=trigger, reason=f"no gain of {LEAST_GAIN} nats is proven")
    # Places count in rows as long as the layer before: connections come before units.
    chosen.sort(key=lambda one: isinstance(one.edit, Widen))
    gain, error = sum(one.nats for one in chosen), sum(one.error**2 for one in chosen) ** 0.5
    return Proposal(tuple(one.edit for one in chosen), trigger, "", gain, error)


def _connection_offers(situation: Situation) -> list[_Offer]:
    probe, offers = situation.probe, []
    for index, layer in enumerate(probe.layers):
        pairs = layer_candidates(probe, index)
        count = min(added_count(layer), situation.room, len(pairs))
        if count == 0:
            continue
        signals, choose = layer_signals(probe, index), largest_gains(count)
        gain = honest_gain(signals, layer.derivatives, layer.inputs, choose)
        places = pairs.only(choose(in_sample_gain(signals))).places
        edit = AddConnections(layer=index, places=tuple(places.tolist()))
        offers.append(_Offer(edit, count, gain.nats, gain.standard_error))
    return offers


def _pair_offers(situation: Situation) -> list[_Offer]:
    if situation.probe.normalisation != "none":
        return []  # a normalised layer cannot get units without a change
    offers = []
    for index in unit_layers(situation.probe):
        pair = pair_of(situation, index)
        if pair is not None and pair.connections <= situation.room:
            edit = pair.edit(outgoing_size(situation.genome, index))
            half = pair.gain.halves[0]
            offers.append(_Offer(edit, pair.connections, half.found, half.standard_error))
    return offers


def nothing(_situation: Situation) -> Proposal:
    """For rules that repair alone, or but move connections."""
    return Proposal(reason="the rule adds nothing")


def random_place(rule: GrowthRule) -> GrowthRule:
    """The control of a rule: its kinds and sizes of edits, at uniform places."""
    return replace(rule, propose=lambda one: uniform(one, rule.propose(one)))


def opposite_place(rule: GrowthRule) -> GrowthRule:
    """The other control: the same at the healthiest places."""
    return replace(rule, propose=lambda one: healthiest(one, rule.propose(one)))


EXTREMA, PREDICTED_GAIN = GrowthRule(by_extrema), GrowthRule(by_predicted_gain)
GROWTH_RULES.register("extrema")(EXTREMA)
GROWTH_RULES.register("predicted_gain")(PREDICTED_GAIN)
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
