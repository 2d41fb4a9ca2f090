"""Rules on networks with planted findings: triggers, kinds and sizes of edits, budget, controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from structure_net.genome import AddConnections, Genome, Rewire, Widen, apply_edit
from structure_net.growth import (
    GROWTH_RULES,
    LAST_PROGRESS,
    Findings,
    Situation,
    applied,
    found,
    found_by_seed,
    half_firing_bias,
    leading_directions,
    most_connections,
    refusal,
    revivals,
    rewired_share,
    rewirings,
    room,
)
from structure_net.metrics import Probe, Undetermined, probe
from structure_net.networks import Body, Network, OptimizerState, build_network
from structure_net.schema import GrowthPlan
from structure_net.seeding import derive
from tests.metrics.tasks import synthetic
from tests.networks.reference import genome, logits, matrices

PLAN = GrowthPlan(frequency=1, max_layers=6, max_width=100, max_density=0.9)
INPUTS, LABELS = synthetic(0, 1024)


def network_of(dead: float = 0.0, high: float = 0.0, activation: str = "relu") -> Network:
    """Hidden 40-30; of each layer the first units never fire, the last always do."""
    own = genome(20, [40, 30], 10, 0.3).model_copy(update={"activation": activation})
    network = build_network(own, 3)
    with torch.no_grad():
        for index, width in enumerate((40, 30)):
            network.biases(index)[: round(dead * width)] = -60.0
            network.biases(index)[width - round(high * width) :] = 60.0
    return network


def seen(network: Network, samples: int = 1024) -> Probe:
    return probe(network, INPUTS[:samples], LABELS[:samples], 10, path=("growth",))


def body_of(network: Network) -> Body:
    count = len(network.values)
    ones = np.ones(count, dtype=np.float32)
    return Body.of(network, OptimizerState(0 * ones, ones, 1000 * ones, 1000))


def situation_of(network: Network, left: int = 200, samples: int = 1024) -> Situation:
    found_now = found(seen(network, samples))
    nobody = tuple(np.zeros(0, dtype=np.int64) for _ in range(2))
    return Situation(body_of(network), seen(network, samples), found_now, nobody, left)


def exact(network: Network, edits: tuple[object, ...]) -> Body:
    """The body after all edits, which must compute what the network computes."""
    done = applied(
        body_of(network), edits, lambda _: "", lambda _: derive(0, "x"), np.ones(20, dtype=bool)
    )  # type: ignore[arg-type]
    assert len(done.made) == len(edits)
    own = done.body.genome
    before = logits(matrices(network), own.activation, INPUTS.numpy())
    after = logits(matrices(done.body.network()[0]), own.activation, INPUTS.numpy())
    assert np.abs(before - after).max() <= 1e-5 * max(1.0, np.abs(before).max())
    return done.body


# Findings and the trigger


def test_planted_units_are_found_and_the_ratio_is_per_hidden_unit() -> None:
    findings = found(seen(network_of(0.4, 0.2)))
    assert isinstance(findings, Findings)
    # Behind linearised units others are found too: the first layer is as planted.
    assert findings.low[0].nonzero()[0].tolist() == [*range(16)]
    assert findings.high[0].nonzero()[0].tolist() == [*range(32, 40)]
    assert findings.per_layer[0] == 24
    assert findings.ratio == pytest.approx(sum(findings.per_layer) / 70)


@pytest.mark.parametrize(("ratio", "fires"), [(0.300, False), (0.301, True)])
def test_the_seeds_trigger_is_strictly_above_three_tenths(ratio: float, fires: bool) -> None:
    here = situation_of(network_of(0.0, 0.4))
    assert isinstance(here.findings, Findings)
    proposal = GROWTH_RULES.get("extrema").propose(
        replace(here, findings=replace(here.findings, ratio=ratio))
    )
    assert bool(proposal.edits) == fires
    assert proposal.trigger["extrema_ratio"] == ratio
    assert ("not above" in proposal.reason) != fires


def test_too_few_samples_trigger_nothing() -> None:
    here = situation_of(network_of(0.4), samples=700)
    assert isinstance(here.findings, Undetermined)
    proposal = GROWTH_RULES.get("extrema").propose(here)
    assert (proposal.edits, proposal.trigger) == ((), {})
    assert "undetermined" in proposal.reason


def test_the_seeds_thresholds_depend_on_the_scale_and_ours_do_not() -> None:
    network = network_of(0.2)
    small, large = seen(network), probe(network, 3 * INPUTS, LABELS, 10, path=("growth",))
    means = [layer.z.clamp(min=0).mean(0).numpy() for layer in small.layers]
    by_hand = sum(int((mean < 0.01).sum() + (mean > 0.99).sum()) for mean in means) / 80
    ours, legacy = found(small), [found_by_seed(one) for one in (small, large)]
    assert isinstance(legacy[0], Findings)
    assert isinstance(legacy[1], Findings)
    assert isinstance(ours, Findings)
    assert legacy[0].ratio == pytest.approx(by_hand)
    assert legacy[0].ratio != legacy[1].ratio
    bigger = network_of(0.2)
    with torch.no_grad():
        for index in range(2):
            bigger.weights(index).mul_(3)
            bigger.biases(index).mul_(3)
            bigger.biases(1).mul_(3) if index == 0 else None
    again = found(seen(bigger))
    assert isinstance(again, Findings)
    assert again.per_layer == ours.per_layer


# Repair


def test_revived_units_fire_on_half_of_the_samples_and_nothing_else_changes() -> None:
    network = network_of(0.4)
    edits = revivals(seen(network), found(seen(network)).low)  # type: ignore[union-attr]
    body = exact(network, tuple(edits))
    rates = (seen(body.network()[0]).layers[0].z.numpy() > 0).mean(0)
    assert (np.abs(rates[:16] - 0.5) <= 0.2).all()
    assert body.genome == network.genome
    after = found(seen(body.network()[0]))
    assert isinstance(after, Findings)
    assert after.per_layer[0] == 0


@pytest.mark.parametrize("grow", ["rigl", "set"])
def test_rewiring_drops_the_smallest_and_takes_the_largest_gradients(grow: str) -> None:
    network = network_of()
    body, look = body_of(network), seen(network)
    edits = rewirings(body, look, 0.2, grow)  # type: ignore[arg-type]
    assert [edit.layer for edit in edits] == [0, 1, 2]
    for edit in edits:
        assert isinstance(edit, Rewire)
        part = body.parts[edit.layer]
        fan_in = np.bincount(part.rows, minlength=part.units)
        leaving = np.bincount(np.array(edit.dropped) // part.sources, minlength=part.units)
        taking = np.bincount(np.array(edit.added) // part.sources, minlength=part.units)
        assert (leaving == taking).all()  # constant fan-in stays so
        assert (leaving <= np.floor(0.2 * fan_in + 0.5)).all()
    done = applied(body, edits, lambda _: "", lambda _: derive(0, "x"), np.ones(20, dtype=bool))
    assert len(done.made) == 3
    again = rewirings(body, look, 0.2, grow)  # type: ignore[arg-type]
    assert again == edits


def test_the_share_that_moves_falls_to_nothing() -> None:
    assert rewired_share(0.0) == pytest.approx(0.3)
    assert rewired_share(0.375) == pytest.approx(0.15)
    assert rewired_share(0.75) == rewired_share(1.0) == 0.0


# What is added


def test_linearised_units_get_hinges_that_fire_on_half_of_the_samples() -> None:
    network = network_of(0.0, 0.4)
    proposal = GROWTH_RULES.get("extrema").propose(situation_of(network, 10_000))
    knots = [edit for edit in proposal.edits if isinstance(edit, Widen)]
    assert [(edit.layer, edit.mode, len(edit.units)) for edit in knots] == [
        (0, "knot", 3),
        (1, "knot", 3),
    ]
    body = exact(network, proposal.edits)
    assert body.genome.architecture[1] == 43
    z = seen(body.network()[0]).layers[0].z.numpy()[:, 40:]
    assert np.abs((z > 0).mean(0) - 0.5).max() < 0.01


def test_the_best_absent_connections_are_proposed_and_their_gain_is_honest() -> None:
    network = network_of()
    proposal = GROWTH_RULES.get("predicted_gain").propose(situation_of(network, 60))
    assert proposal.gain is not None
    assert proposal.gain > 0.002
    cost = sum(
        apply_edit(network.genome, edit).counts != network.genome.counts for edit in proposal.edits
    )
    assert cost == len(proposal.edits) > 0
    body = exact(network, proposal.edits)
    assert sum(network.genome.counts) < sum(body.genome.counts) <= sum(network.genome.counts) + 60


def test_labels_of_the_networks_own_drawing_promise_nothing() -> None:
    """Nothing is to be gained from labels that follow the network's own probabilities."""
    network, proposals = network_of(), 0
    with torch.no_grad():
        likely = network(INPUTS).double().softmax(1).numpy()
    for seed in range(20):
        points = np.random.default_rng(seed).random((len(INPUTS), 1))
        own = torch.from_numpy((points > likely.cumsum(1)).sum(1)).clamp(max=9)
        look = probe(network, INPUTS, own, 10, path=("null", seed))
        here = replace(situation_of(network, 60), probe=look)
        proposals += bool(GROWTH_RULES.get("predicted_gain").propose(here).edits)
    assert proposals <= 5  # up to five offers, each at the 5 % level


@pytest.mark.parametrize("rule", ["extrema", "predicted_gain"])
@pytest.mark.parametrize("control", ["random_place", "opposite_place"])
def test_a_control_makes_the_kinds_and_sizes_of_its_rule_elsewhere(rule: str, control: str) -> None:
    network = network_of(0.0, 0.4)
    here = situation_of(network)
    wrapped = GROWTH_RULES.get(rule).propose(here)
    proposal = GROWTH_RULES.get(f"{control}_{rule}").propose(here)
    assert wrapped.edits

    def sizes(edits: tuple[object, ...]) -> list[tuple[str, int]]:
        told = []
        for edit in edits:
            count = len(edit.places) if isinstance(edit, AddConnections) else 0
            count = len(edit.units) if isinstance(edit, Widen) else count
            told.append((type(edit).__name__, count))
        return told

    assert sizes(proposal.edits) == sizes(wrapped.edits)
    assert proposal.edits != wrapped.edits
    exact(network, proposal.edits)
    assert proposal.trigger == wrapped.trigger


def test_random_places_are_uniform() -> None:
    """Each absent place of the only layer that has room for all is taken equally often."""
    own = genome(6, [4], 3, 1e-9)
    network = build_network(own, 0)
    body = body_of(network)
    counts = np.zeros(24)
    from structure_net.networks import absent_places

    for seed in range(2000):
        counts[absent_places(body.parts[0], 3, derive(seed, "c"))] += 1
    free = np.setdiff1d(np.arange(24), body.parts[0].places)
    assert (counts[body.parts[0].places] == 0).all()
    expected = 2000 * 3 / len(free)
    assert ((counts[free] - expected) ** 2 / expected).sum() < 45.3  # chi2, 19 degrees, p = 0.001


# Budget


def test_the_budget_accrues_until_two_thirds_of_the_training() -> None:
    assert most_connections(1000, 0.0) == 1000
    assert most_connections(1000, LAST_PROGRESS / 2) == 1250
    assert most_connections(1000, LAST_PROGRESS) == most_connections(1000, 1.0) == 1500


def test_each_limit_alone_refuses() -> None:
    start = genome(20, [40, 30], 10, 0.3)
    bigger = apply_edit(start, AddConnections(layer=2, places=_absent(start, 60)))
    assert refusal(PLAN, start, bigger, 0.65) == ""
    assert "by now" in refusal(PLAN, start, bigger, 0.01)
    tight = {"max_layers": 2, "max_width": 39, "max_parameters": 100}
    for field, value in tight.items():
        assert refusal(PLAN.model_copy(update={field: value}), start, bigger, 0.65)
    assert "density" in refusal(PLAN.model_copy(update={"max_density": 0.1}), start, bigger, 0.65)
    assert room(PLAN, start, start, 0.65) == sum(start.counts) // 2
    assert room(PLAN, start, bigger, 0.65) == sum(start.counts) // 2 - 60
    assert room(PLAN, start, bigger, 0.01) == 0


def _absent(own: Genome, count: int) -> tuple[int, ...]:
    part = body_of(build_network(own, 3)).parts[2]
    free = np.setdiff1d(np.arange(part.units * part.sources), part.places)
    return tuple(free[:count].tolist())


# Their parts


def test_the_leading_directions_are_those_of_a_dense_decomposition() -> None:
    draw = np.random.default_rng(5)
    left, right = (np.linalg.qr(draw.normal(size=(500, n)))[0] for n in (12, 20))
    mixed = left + 0.0
    mixed[:, 0] = 2.0 * right[:, 3]  # one strong pair: gap far above 2
    derivatives, inputs = (torch.from_numpy(one.astype(np.float32)) for one in (mixed, right))
    u, v = leading_directions(derivatives, inputs, derive(1, "pair"))
    wanted_u, _, wanted_v = np.linalg.svd(mixed.T @ right)
    assert abs(u @ wanted_u[:, 0]) >= 0.99
    assert abs(v @ wanted_v[0]) >= 0.99


def test_the_half_firing_bias_splits_where_many_sums_are_equal() -> None:
    sums = np.array([0.0] * 60 + [1.0] * 25 + [3.0] * 15)
    assert half_firing_bias(sums) == -0.5  # 40 of 100 above; the other cut has 15
    assert half_firing_bias(np.ones(5)) == 0.0
    draws = np.random.default_rng(0).normal(size=1001)
    assert ((draws + half_firing_bias(draws)) > 0).mean() == pytest.approx(0.5, abs=0.001)
