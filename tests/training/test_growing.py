"""Growth in the training loop: what is recorded, what is carried on, what nobody else notices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from structure_net.engine import ENGINES, make_engine
from structure_net.genome import Genome, InsertResidualBlock, active_parameters
from structure_net.growth import GROWTH_RULES, GrowthRule, Proposal, Situation, most_connections
from structure_net.networks import load_network
from structure_net.schema import (
    Cohort,
    EpochFinished,
    Event,
    GrowthAttempted,
    GrowthPlan,
    GrowthRecord,
    Segment,
    Trial,
    TrialFinished,
    TrialPaused,
    TrialResult,
    canonical,
)
from structure_net.training import Classroom, train
from tests.networks.reference import genome
from tests.training.cohorts import BATCH, plan

EPOCHS = 6
PLAN = GrowthPlan(frequency=2, max_layers=6, max_width=200, max_density=0.9)


def grower(rule: str = "predicted_gain", activation: str = "silu") -> Genome:
    own = genome(64, [24, 16], 10, 0.15, strategy="COSINE")
    return own.model_copy(update={"growth_rule": rule, "activation": activation})


def trial_of(own: Genome, number: int = 0, epochs: int = EPOCHS) -> Trial:
    return Trial(number=number, generation=0, genome=own, seed=50 + number, epochs=epochs)


def room(folder: Path, growth: GrowthPlan | None = PLAN) -> Classroom:
    told = plan(folder).model_copy(update={"growth": growth, "keep_states": True})
    return Classroom.open(told, "cpu", "test")


def run(place: Classroom, *trials: Trial, engine: str = "csr", **segment: Any) -> list[Event]:
    part = Segment(**segment)
    attempts = (1,) * len(trials)
    return list(train(Cohort(engine=engine, trials=trials, attempts=attempts, segment=part), place))


def records(events: list[Event], trial: int = 0) -> list[GrowthRecord]:
    return [one.record for one in events if isinstance(one, GrowthAttempted) and one.trial == trial]


def result(events: list[Event], trial: int = 0) -> TrialResult:
    (found,) = (
        one.result for one in events if isinstance(one, TrialFinished) and one.trial == trial
    )
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    return room(tmp_path_factory.mktemp("grown"))


@pytest.fixture(scope="module")
def events(place: Classroom) -> list[Event]:
    return run(place, trial_of(grower()))


def test_attempts_come_every_so_many_epochs_and_not_after_the_last(events: list[Event]) -> None:
    assert [one.epoch for one in records(events)] == [1, 3]
    kinds = [type(event).__name__ for event in events]
    assert kinds.count("GrowthAttempted") == 2
    for number, event in enumerate(events):
        if isinstance(event, GrowthAttempted):
            before = events[number - 1]
            assert isinstance(before, EpochFinished)
            assert (before.epoch, before.step) == (event.record.epoch, event.step)


def test_a_network_grows_by_what_its_record_says(events: list[Event], place: Classroom) -> None:
    start, own, first = grower(), result(events), records(events)[0]
    assert first.outcome == "grown"
    assert first.predicted_gain is not None
    assert first.predicted_gain >= 0.002
    assert first.connections_before == sum(start.counts)
    added = sum(edit.connections for edit in first.edits)
    assert first.connections_after == first.connections_before + added
    assert added > 0
    assert first.connections_after <= most_connections(sum(start.counts), 2 / EPOCHS)
    assert own.growth is not None
    assert list(own.growth) == [one for one in records(events) if one.outcome == "grown"]
    assert own.trial.genome == start
    assert own.final_genome == own.genome != start
    assert own.connections == sum(own.genome.counts) == records(events)[-1].connections_after
    assert own.active_parameters == active_parameters(own.genome)
    path = Path(place.plan.networks) / "0.safetensors"
    assert load_network(path)[0].genome == own.genome
    connections = [one.connections for one in events if isinstance(one, EpochFinished)]
    assert connections[:2] == [sum(start.counts)] * 2
    assert connections[2] == first.connections_after


def test_accuracies_before_and_after_are_those_of_a_second_measurement(tmp_path: Path) -> None:
    """Before: the epoch's own. After: the network as it is saved when the trial waits there."""
    own = room(tmp_path)
    found = run(own, trial_of(grower()), end_epoch=2)
    (record,) = records(found)
    (epoch,) = (one for one in found if isinstance(one, EpochFinished) and one.epoch == 1)
    assert (record.accuracy_before, record.loss_before) == (
        epoch.validation_accuracy,
        epoch.validation_loss,
    )
    (pause,) = (one for one in found if isinstance(one, TrialPaused))
    assert pause.result.validation_accuracy == record.accuracy_after
    assert pause.result.connections == record.connections_after


def test_the_ledger_counts_the_connections_of_each_epoch(events: list[Event]) -> None:
    """6 a connection and sample trained, 2 evaluated; 10 for each look at the probe set (all 1,294
    training samples), 2 for each measurement of what was changed."""
    epochs = [one.connections for one in events if isinstance(one, EpochFinished)]
    cost = sum((6 * 44 * BATCH + 2 * 144) * count for count in epochs)
    for record in records(events):
        kinds = {edit.kind for edit in record.edits}
        looks = 2 if "rewire" in kinds else 1
        cost += looks * 10 * 1294 * record.connections_before
        cost += 2 * 144 * record.connections_before * ("rewire" in kinds)
        cost += 2 * 144 * record.connections_after * (record.outcome == "grown")
    assert result(events).cost == cost


@pytest.mark.parametrize("engine", ENGINES)
def test_neighbours_and_rungs_change_no_bit(engine: str, tmp_path: Path) -> None:
    """A growing network alone, beside others, and in segments; and its neighbour without it."""
    grown, still = trial_of(grower()), trial_of(genome(64, [32], 10, 0.3), 1)
    folders = [tmp_path / name for name in ("both", "one", "other", "parts")]
    for folder in folders:
        folder.mkdir()
    both = run(room(folders[0]), grown, still, engine=engine)
    alone = run(room(folders[1]), grown, engine=engine)
    other = run(room(folders[2]), still, engine=engine)
    parts = run(room(folders[3]), grown, engine=engine, end_epoch=2)
    parts += run(room(folders[3]), grown, engine=engine, first_epoch=2, end_epoch=3)
    parts += run(room(folders[3]), grown, engine=engine, first_epoch=3)
    assert records(both)[0].outcome == "grown"
    told = [one for one in canonical(both) if '"trial": 0' in one]
    assert told == canonical(alone)
    assert result(other, 1).network_sha256 == result(both, 1).network_sha256
    assert result(parts).model_dump(exclude={"seconds", "peak_bytes"}) == result(alone).model_dump(
        exclude={"seconds", "peak_bytes"}
    )
    assert records(parts) == records(alone)


def test_without_a_plan_or_with_the_rule_none_nothing_is_tried(tmp_path: Path) -> None:
    plain = run(room(tmp_path, None), trial_of(grower("none")))
    ruled = run(room(tmp_path, None), trial_of(grower()))
    none = run(room(tmp_path), trial_of(grower("none")))
    assert records(plain) == records(ruled) == records(none) == []
    assert result(plain) == result(none).model_copy(
        update={"seconds": result(plain).seconds, "peak_bytes": result(plain).peak_bytes}
    )
    assert result(plain).final_genome is None
    assert result(plain).network_sha256 == result(ruled).network_sha256


def spoiling(situation: Situation) -> Proposal:
    """A pair whose outgoing weights do not cancel: it changes what the network computes."""
    from structure_net.genome import NewUnit, Widen

    unit = NewUnit(sources=(0,), weights=(0.0,), bias=50.0, targets=(3,), outgoing=(50.0,))
    return Proposal((Widen(layer=1, mode="zero_out", units=(unit,)),))


def test_what_harms_is_rolled_back_to_the_bit(tmp_path: Path) -> None:
    GROWTH_RULES.register("spoiling")(GrowthRule(spoiling))
    try:
        spoilt = run(room(tmp_path), trial_of(grower("spoiling")))
    finally:
        GROWTH_RULES.forget("spoiling")
    recycled = run(room(tmp_path), trial_of(grower("recycle_only")))
    assert records(spoilt)[0].outcome == "rolled_back"  # too young for a repair as well
    assert [one.edits for one in records(spoilt)] == [one.edits for one in records(recycled)]
    assert "would go from" in records(spoilt)[0].refused[-1]
    assert result(spoilt).network_sha256 == result(recycled).network_sha256
    assert result(spoilt).final_genome is None


def test_blocks_come_where_rules_want_them_two_a_trial(tmp_path: Path) -> None:
    """A rule that wants one behind the second layer at each attempt, and sees where one may be."""
    seen: list[tuple[int, ...]] = []

    def wanting(situation: Situation) -> Proposal:
        seen.append(situation.junctions)
        return Proposal((InsertResidualBlock(junction=1),))

    growth = PLAN.model_copy(update={"max_layers": 20, "new_blocks": 2, "frequency": 1})
    own = genome(64, [64, 8, 8], 10, 0.3).model_copy(update={"growth_rule": "wanting"})
    GROWTH_RULES.register("wanting")(GrowthRule(wanting))
    try:
        found = run(room(tmp_path, growth), trial_of(own, epochs=10))
    finally:
        GROWTH_RULES.forget("wanting")
    told, final = records(found), result(found).genome
    grown = [number for number, one in enumerate(told) if one.outcome == "grown"]
    assert [len(behind) for behind in final.blocks] == [0, 2, 0]
    first, second = grown
    assert second < len(seen) - 1
    for number, junctions in enumerate(seen):
        assert junctions == ((0, 1, 2) if number <= second else ())
        assert (number in grown) != any(one.startswith("insert") for one in told[number].refused)
    assert "2 more than at first" in told[second + 1].refused[-1]
    (block,) = (edit for edit in told[first].edits if edit.kind == "insert_residual_block")
    assert (block.layer, block.units) == (1, final.blocks[1][0].width)
    assert load_network(tmp_path / "0.safetensors")[0].genome == final


def test_all_engines_agree_on_a_network_that_grew(place: Classroom, events: list[Event]) -> None:
    network, _ = load_network(Path(place.plan.networks) / "0.safetensors")
    found = [
        make_engine(name, device="cpu").evaluate(network, place.batches.validation())
        for name in ENGINES
    ]
    for accuracy, loss, _count in found:
        assert accuracy == pytest.approx(result(events).validation_accuracy, abs=1 / 144)
        assert loss == pytest.approx(result(events).validation_loss, rel=1e-4)


def broken(learner: Any, share: float) -> None:
    """So many of each hidden layer's units never fire again: their biases are far below 0."""
    network = learner.network
    with torch.no_grad():
        for index in range(len(network.layers) - 1):
            network.biases(index)[: int(np.ceil(share * network.layer(index).units))] = -30.0


@pytest.mark.parametrize(("share", "fires"), [(0.4, True), (0.0, False)])
def test_dead_units_trigger_and_recover_and_a_healthy_network_does_not(
    share: float, fires: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 % of the units killed before the first step: the ratio fires, all are revived."""
    own = Classroom.learner

    def killed(self: Classroom, trial: Trial) -> Any:
        learner = own(self, trial)
        broken(learner, share)
        return learner

    monkeypatch.setattr(Classroom, "learner", killed)
    found = run(room(tmp_path), trial_of(grower("extrema", activation="relu"), epochs=8))
    first, second = records(found)[:2]
    assert (first.trigger["extrema_ratio"] > 0.3) == fires
    revived = sum(edit.units for edit in first.edits if edit.kind == "revive")
    assert (revived >= 16) == fires
    if fires:
        assert second.trigger["extrema_ratio"] <= 0.1
        assert first.outcome == "grown"
    else:
        assert first.trigger["extrema_ratio"] < 0.1
        assert "not above" in first.reason
        assert first.connections_after == first.connections_before


def test_set_and_rigl_move_connections_and_neither_revive_nor_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of networks with dead units, trained with the same draws; both differ in places alone."""
    own = Classroom.learner

    def killed(self: Classroom, trial: Trial) -> Any:
        learner = own(self, trial)
        broken(learner, 0.2)
        return learner

    monkeypatch.setattr(Classroom, "learner", killed)
    hashes = set()
    for rule in ("set", "rigl", "recycle_only"):
        found = run(room(tmp_path), trial_of(grower(rule, activation="relu"), 0, epochs=8))
        told = records(found)
        kinds = {edit.kind for record in told for edit in record.edits}
        if rule == "recycle_only":  # what is revived in the attempt before may be too young to move
            assert "revive" in kinds <= {"rewire", "revive"}
        else:
            assert kinds == {"rewire"}
        assert sum(edit.moved for record in told for edit in record.edits) > 0
        # A move that costs too much at once is undone.
        assert {record.outcome for record in told} <= {"repaired", "nothing", "rolled_back"}
        assert {record.connections_after for record in told} == {sum(grower().counts)}
        hashes.add(result(found).network_sha256)
    assert len(hashes) == 3
