"""Blocks and layers as additions: what they promise, where they go, what they change: nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from structure_net.genome import (
    AddConnections,
    Edit,
    Genome,
    InsertLayer,
    InsertResidualBlock,
    apply_edit,
    genome_of,
)
from structure_net.growth import GROWTH_RULES, Findings, Situation, found, largest_drop, offer_of
from structure_net.metrics import (
    Pairs,
    Undetermined,
    honest_gain,
    largest_gains,
    pair_signals,
    probe,
)
from structure_net.networks import Network, build_network, edited
from tests.growth.test_rules import INPUTS, LABELS, body_of, network_of, seen, situation_of
from tests.metrics.tasks import synthetic, trained
from tests.networks.reference import genome


def deep(activation: str = "relu", normalisation: str = "none") -> Network:
    """Hidden 24-24-16, a little trained, so that the labels want something of every layer."""
    own = genome(20, [24, 24, 16], 10, 0.4)
    genes = {"activation": activation, "normalisation": normalisation}
    return trained(build_network(own.model_copy(update=genes), 1), INPUTS, LABELS, 60)


def after(here: Situation, edit: Edit) -> Network:
    """The network that the edit makes in this situation; it computes what it computed."""
    network = edited(here.body, edit, here.draw_of(edit)).network()[0]
    with torch.no_grad():
        change = network(INPUTS) - here.body.network()[0](INPUTS)
    assert float(change.abs().max()) <= 1e-4
    return network


@pytest.mark.parametrize(
    ("edit", "activation", "normalisation"),
    [
        (InsertResidualBlock(junction=1), "silu", "rms"),
        (InsertResidualBlock(junction=2, block="three_layer"), "relu", "none"),
        (InsertLayer(place=1, width=24), "relu", "none"),
        (InsertLayer(place=3, width=16), "relu", "none"),
    ],
)
def test_a_structures_gain_is_that_of_its_zeros_in_the_network_it_makes(
    edit: Edit, activation: str, normalisation: str
) -> None:
    """The edited network is looked at by itself: its connections of weight 0 are the new ones."""
    here = situation_of(deep(activation, normalisation), 10_000)
    offer, network = offer_of(here, edit), after(here, edit)
    assert offer.connections == sum(network.genome.counts) - sum(here.genome.counts)
    nats, squares, look = 0.0, 0.0, seen(network)
    for layer in look.layers:
        zeros = layer.weights == 0
        if zeros.any():
            places = layer.connections.rows * layer.connections.sources + layer.connections.columns
            pairs = Pairs(layer.connections.sources, layer.connections.units, places[zeros])
            signals = pair_signals(
                layer.derivatives, layer.sampled_derivatives, layer.inputs, pairs
            )
            choose = largest_gains(len(pairs))
            gain = honest_gain(signals, layer.derivatives, layer.inputs, choose)
            nats, squares = nats + gain.nats, squares + gain.standard_error**2
    assert nats != 0.0
    assert offer.nats == pytest.approx(nats, rel=1e-3)
    assert offer.error == pytest.approx(squares**0.5, rel=1e-2)


def test_the_seeds_rule_puts_a_block_where_most_is_wrong_or_else_a_layer() -> None:
    """Of the second layer more is wrong. A block needs a junction, room and depth."""
    network = network_of(0.0, 0.4)
    with torch.no_grad():
        network.biases(1).fill_(60.0)
    here = situation_of(network, 10_000)
    rule = GROWTH_RULES.get("extrema")
    last = {
        (0, 1): InsertResidualBlock(junction=1),
        (0,): InsertLayer(place=2, width=30),
        (): InsertLayer(place=2, width=30),
    }
    for junctions, wanted in last.items():
        edits = rule.propose(replace(here, junctions=junctions)).edits
        assert edits[-1] == wanted
        after(here, edits[-1])
    for less in ({"layers_left": 1}, {"room": 300}):
        kinds = {edit.kind for edit in rule.propose(replace(here, junctions=(1,), **less)).edits}
        assert "insert_residual_block" not in kinds


def test_a_block_that_pays_is_proposed_by_predicted_gain_and_clashes_with_no_other_change() -> None:
    here = replace(situation_of(deep("tanh"), 10_000), junctions=(0, 1, 2))
    proposal = GROWTH_RULES.get("predicted_gain").propose(here)
    kinds = [edit.kind for edit in proposal.edits]
    others = [kind for kind in kinds if kind != "add_connections"]
    assert kinds == sorted(kinds, key=lambda kind: kind != "add_connections")
    assert "widen" not in others or set(others) == {"widen"}
    assert len(others) <= 3


# Information flow


def narrow(seed: int) -> tuple[Genome, Situation]:
    """Hidden 64-4-64 on the synthetic task, as drawn."""
    inputs, labels = synthetic(seed, 2048)
    shapes = [(20, 64), (64, 4), (4, 64), (64, 10)]
    counts = [sources * units // 2 for sources, units in shapes]
    own = genome_of(20, [64, 4, 64], 10, counts, base_learning_rate=0.003)
    network = build_network(own, seed)
    look = probe(network, inputs, labels, 10, path=("narrow", seed))
    nobody = tuple(np.zeros(0, dtype=np.int64) for _ in range(3))
    return own, Situation(body_of(network), look, found(look), nobody, 500)


@pytest.mark.parametrize("seed", range(4))
def test_the_narrow_layer_is_where_information_falls(seed: int) -> None:
    own, here = narrow(seed)
    drop = largest_drop(here)
    assert not isinstance(drop, Undetermined)
    assert drop.layer == 1
    assert drop.nats > 0.05
    rule = GROWTH_RULES.get("information_flow")
    wide = replace(here, room=10_000, junctions=(1,))
    first, second, last = (
        rule.propose(one).edits
        for one in (wide, replace(wide, layers_left=0), replace(wide, layers_left=0, junctions=()))
    )
    # By severity a layer before it, a block behind it, or connections into it.
    if drop.severity > 0.5:
        assert first == (InsertLayer(place=1, width=64),)
    assert rule.propose(replace(here, junctions=(1,))).gain is not None
    assert second == last
    assert isinstance(last[0], AddConnections)
    assert last[0].layer == 1
    assert len(last[0].places) == round(min(0.1, drop.severity) * 64 * 4)
    assert apply_edit(own, last[0])


def test_without_a_fall_nothing_is_proposed() -> None:
    own = genome(20, [40], 10, 0.5)
    look = seen(build_network(own, 0))
    look = replace(look, labels=torch.from_numpy(np.random.default_rng(0).integers(0, 10, 1024)))
    here = replace(situation_of(network_of()), probe=look, body=body_of(build_network(own, 0)))
    proposal = GROWTH_RULES.get("information_flow").propose(here)
    assert proposal.edits == ()
    assert "no layer tells" in proposal.reason


# Hybrid


def test_hybrid_takes_what_promises_most_for_each_connection() -> None:
    here = replace(situation_of(network_of(0.0, 0.4), 300), junctions=(0, 1))
    assert isinstance(here.findings, Findings)
    three = ("extrema", "predicted_gain", "information_flow")
    each = {}
    for name in three:
        proposal = GROWTH_RULES.get(name).propose(here)
        if proposal.edits:
            offers = [offer_of(here, edit) for edit in proposal.edits]
            gain = proposal.gain
            gain = sum(offer.nats for offer in offers) if gain is None else gain
            each[name] = gain / sum(offer.connections for offer in offers)
    assert {"extrema", "predicted_gain"} <= set(each)
    proposal = GROWTH_RULES.get("hybrid").propose(here)
    best = max(each, key=lambda name: each[name])
    assert proposal.edits == GROWTH_RULES.get(best).propose(here).edits
    told = {name: proposal.trigger[f"{name}_nats_per_connection"] for name in each}
    assert told == pytest.approx(each)
    healthy = replace(here, room=0)
    assert "predicted_gain: no connection may be added" in (
        GROWTH_RULES.get("hybrid").propose(healthy).reason
    )
