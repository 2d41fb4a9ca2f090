"""The law at work in a training: multipliers in the optimizer, ages, gates, pauses, the placebo."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from structure_net.engine import ENGINES, AdamW, Batch, Learner, StackedEngine, make_engine
from structure_net.genome import Edit, Genome, SetDensity, apply_edit
from structure_net.learning_rates import (
    ROWS,
    Moment,
    Past,
    multipliers,
    pace,
    strategy_of,
)
from structure_net.networks import build_network, load_network
from structure_net.schema import (
    Cohort,
    EpochFinished,
    Event,
    Inheritance,
    MetricsMeasured,
    Segment,
    Trial,
    canonical,
)
from structure_net.training import Classroom, train
from structure_net.training.observation import observed
from structure_net.training.rates import Rates, warming
from structure_net.training.student import Student
from tests.networks.reference import genome
from tests.networks.residual import with_blocks
from tests.training.cohorts import EPOCHS, GENOMES, plan

FOUR = ("BASIC", "ADVANCED", "COMPREHENSIVE", "ULTIMATE")
STEPS = 44  # an epoch
EVERY = "adaptive_phase+plateau:patience=1+extrema_phase+extrema_proximity+trust_ratio+multi_scale"


def room(folder: Path, **more: object) -> Classroom:
    changes = {"keep_states": True, "metrics_frequency": 1, **more}
    return Classroom.open(plan(folder).model_copy(update=changes), "cpu", "test")


def with_strategy(strategy: str, own: Genome = GENOMES[1]) -> Genome:
    return own.model_copy(update={"strategy": strategy})


def one(strategy: str, epochs: int = EPOCHS, number: int = 0) -> Trial:
    own = with_strategy(strategy)
    return Trial(number=number, generation=2, genome=own, seed=100 + number, epochs=epochs)


def run(
    chosen: Sequence[Trial], place: Classroom, engine: str = "csr", segment: Segment | None = None
) -> list[Event]:
    attempts = (0 if segment is None else segment.first_epoch,) * len(chosen)
    cohort = Cohort(
        engine=engine, trials=tuple(chosen), attempts=attempts, segment=segment or Segment()
    )
    return list(train(cohort, place))


def epochs_of(events: Sequence[Event], trial: int = 0) -> list[EpochFinished]:
    return [event for event in events if isinstance(event, EpochFinished) and event.trial == trial]


def moment_of(learner: Learner, epoch: int = 0) -> Moment:
    """The moment that a trial of 3 epochs has at the beginning of one, from its own layers."""
    rates = Rates(one("BASIC"), learner)
    return Moment(
        epoch / EPOCHS, float(epoch), EPOCHS, STEPS, Past(), rates._layers(epoch * STEPS, STEPS)
    )


@pytest.mark.parametrize("strategy", FOUR)
def test_every_strategy_learns(strategy: str, tmp_path: Path) -> None:
    losses = [event.train_loss for event in epochs_of(run([one(strategy)], room(tmp_path)))]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("strategy", [*FOUR, EVERY])
def test_networks_with_residual_blocks_learn_by_every_strategy(
    strategy: str, tmp_path: Path
) -> None:
    """The last layer of a block has no biases to take an age from, and may have units without a
    connection; its units take no part in extrema."""
    own = with_blocks(GENOMES[2], [(0, "two_layer"), (1, "three_layer")])
    trial = one(strategy).model_copy(update={"genome": with_strategy(strategy, own)})
    events = epochs_of(run([trial], room(tmp_path)))
    assert events[-1].train_loss < events[0].train_loss
    assert len(events[-1].layer_rates) == len(own.counts)


@pytest.mark.parametrize("strategy", ROWS)
def test_rates_told_are_the_laws_and_in_range(strategy: str, tmp_path: Path) -> None:
    """Of pace alone they are one number; otherwise the mean over each layer's connections."""
    place = room(tmp_path, metrics_frequency=None)
    trial = one(strategy)
    student = Student(trial, 0, "csr", place.learner(trial))
    rates = student.rates.begin(0, STEPS, Past(), placebo=False)
    schedules = strategy_of(strategy)
    expected = [
        trial.genome.base_learning_rate
        * pace(schedules, Moment(step / (STEPS * EPOCHS), step / STEPS, EPOCHS, STEPS))
        for step in range(STEPS)
    ]
    assert rates == pytest.approx(expected, rel=1e-12)
    optimizer, counts = student.learner.optimizer, trial.genome.counts
    own = np.clip(rates[-1] * optimizer.multiplier.numpy().astype(np.float64), 1e-6, 1e-2)
    means = [part.mean() for part in np.split(own[: sum(counts)], np.cumsum(counts)[:-1])]
    assert student.rates.of_layers == pytest.approx(means, rel=1e-5)
    assert optimizer.limits == (1e-6, 1e-2)
    assert student.rates.newborn is None
    told = epochs_of(run([trial], place))[0]
    assert told.layer_rates == student.rates.of_layers
    assert told.learning_rate == student.rates.last == rates[-1]


def test_paces_alone_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training by COSINE costs no pass over the connections."""
    monkeypatch.setattr(Rates, "_layers", None)
    place = room(tmp_path)
    trial = one("COSINE")
    learner = place.learner(trial)
    multiplier = learner.optimizer.multiplier
    version = multiplier._version
    Rates(trial, learner).begin(0, STEPS, Past(), placebo=True)
    assert learner.optimizer.multiplier is multiplier
    assert multiplier._version == version


# Pauses and inheritance


@pytest.mark.parametrize(
    ("strategy", "engine"),
    [
        ("ULTIMATE", "native"),
        ("ULTIMATE", "csr"),
        ("progressive_freezing+cosine", "native"),
        (EVERY, "native"),
    ],
)
def test_resuming_at_a_rung_equals_no_interruption(
    strategy: str, engine: str, tmp_path: Path
) -> None:
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    chosen = [one(strategy, epochs=7), one("COSINE", epochs=7, number=1)]
    whole = run(chosen, room(tmp_path / "whole"), engine)
    parts: list[Event] = []
    for first, end in ((0, 3), (3, 6), (6, None)):
        segment = Segment(first_epoch=first, end_epoch=end)
        parts += run(chosen, room(tmp_path / "parts"), engine, segment)
    kinds = ('["EpochFinished"', '["TrialFinished"')
    told = [
        [line for line in canonical(events) if line.startswith(kinds)] for events in (whole, parts)
    ]
    assert told[0] == told[1]
    for name in ("0.safetensors", "0.state"):
        files = [(tmp_path / folder / name).read_bytes() for folder in ("whole", "parts")]
        assert files[0] == files[1]


def child(parent: Trial, *edits: Edit) -> Trial:
    edited = parent.genome
    for edit in edits:
        edited = apply_edit(edited, edit)
    inherits = Inheritance(primary=0, crossed=parent.genome, edits=edits)
    return Trial(number=9, generation=3, genome=edited, seed=4, epochs=EPOCHS, inherits=inherits)


def test_ages_count_steps_and_survive_inheritance(tmp_path: Path) -> None:
    place = room(tmp_path)
    parent = one("ULTIMATE")
    run([parent], place)
    heir = child(parent, SetDensity(layer=1, density=0.5))
    learner = place.learner(heir)
    ages = learner.optimizer.age.numpy()
    before, now = parent.genome.counts, heir.genome.counts
    assert (ages == 0).sum() == now[1] - before[1] > 0
    assert set(ages.tolist()) == {0.0, EPOCHS * STEPS}
    rates = Rates(heir, learner)
    layers = rates._layers(0, STEPS)
    assert [layer.age_epochs for layer in layers] == [EPOCHS] * 3
    assert [int(layer.grown.sum()) for layer in layers] == [0, now[1] - before[1], 0]
    shares = multipliers(strategy_of("constant+soft_clamping"), moment_of(learner))
    fresh = (layers[1].grown, ~layers[1].grown)
    young, old = (set(shares.connections[1][own].tolist()) for own in fresh)
    assert len(young) == len(old) == 1
    assert old.pop() / young.pop() == pytest.approx(1 - EPOCHS / 100)


def corrected(age: float, count: int) -> float:
    """What an update by the shared count is multiplied by to be one by the value's own."""
    own, shared = (
        np.sqrt(1 - 0.999**steps) / (1 - 0.9**steps) for steps in (age + 1, count + age + 1)
    )
    return float(own / shared) if age < 100 else 1.0


def test_the_newborn_warm_up_step_by_step_and_the_others_do_not(tmp_path: Path) -> None:
    place = room(tmp_path)
    parent = one("COSINE")
    run([parent], place)
    heir = child(parent, SetDensity(layer=1, density=0.5))
    learner = place.learner(heir)
    rates, optimizer = Rates(heir, learner), learner.optimizer
    born = np.flatnonzero(optimizer.age.numpy() == 0)
    batches = [Batch.of(torch.zeros(1, 64), torch.zeros(1, dtype=torch.int64))] * STEPS
    for epoch in range(EPOCHS):
        paces = rates.begin(epoch, STEPS, Past(), placebo=False)
        assert len(paces) == STEPS
        assert optimizer.limits == (0.0 if epoch * STEPS <= 100 else 1e-6, 1e-2)
        for step, _ in enumerate(warming(batches, [rates])):
            own = optimizer.multiplier.numpy()
            age = epoch * STEPS + step
            gate = min(1.0, age / 100) * corrected(age, EPOCHS * STEPS)
            assert own[born] == pytest.approx(gate, rel=1e-6)
            assert (np.delete(own, born) == 1).all()
        optimizer.age += STEPS
        optimizer.steps += STEPS
    rates.begin(EPOCHS, STEPS, Past(), placebo=False)
    assert warming(batches, [rates]) is batches


@pytest.mark.parametrize("engine", [*ENGINES, "stacked"])
def test_a_newborn_connection_stands_still_at_its_first_step(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of one step: after the first, new weights are 0 as they came, and then they move."""
    if engine == "stacked":  # as `dense` is on a GPU, which keeps the vectors elsewhere
        engine = "dense"
        loop = sys.modules["structure_net.training.train"]  # the package names its function so
        monkeypatch.setattr(loop, "make_engine", lambda *_, **__: StackedEngine())
    parent = one("COSINE")
    run([parent], room(tmp_path, batch_size=1294), engine)
    heir = child(parent, SetDensity(layer=1, density=0.5))
    ages = room(tmp_path).learner(heir).optimizer.age.numpy()
    born = np.flatnonzero(ages == 0)
    assert ages.max() == EPOCHS
    weights = []
    for epochs in (1, 2):
        folder = tmp_path / f"{epochs}"
        folder.mkdir()
        for path in tmp_path.glob("0.*"):
            (folder / path.name).write_bytes(path.read_bytes())
        short = heir.model_copy(update={"epochs": epochs})
        run([short], room(folder, batch_size=1294), engine)
        weights.append(load_network(folder / "9.safetensors")[0].values.detach().numpy()[born])
    assert (weights[0] == 0).all()
    assert (weights[1] != 0).any()


# Freezing, extrema, the placebo


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_layers_stand_still_to_the_bit(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four epochs, three layers: the first is frozen from the third on, its biases are not."""
    seen: list[torch.Tensor] = []
    begin = Rates.begin

    def remembered(self: Rates, *arguments: object, **more: object) -> list[float]:
        seen.append(self._learner.network.values.detach().clone())
        return begin(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Rates, "begin", remembered)
    trial = one("progressive_freezing+constant", epochs=4)
    events = run([trial], room(tmp_path), engine)
    first = trial.genome.counts[0]
    connections = sum(trial.genome.counts)
    assert torch.equal(seen[2][:first], seen[3][:first])
    assert not torch.equal(seen[1][:first], seen[2][:first])
    assert not torch.equal(seen[2][first:connections], seen[3][first:connections])
    assert not torch.equal(seen[2][connections:], seen[3][connections:])
    assert [event.layer_rates[0] == 0 for event in epochs_of(events)] == [False, False, True, True]


def silenced(learner: Learner) -> None:
    """A third of the first hidden layer never fires: 13 of 64 hidden units, a ratio above 0.1."""
    with torch.no_grad():
        learner.network.biases(0)[:13] = -1e3


@pytest.mark.parametrize("sick", [True, False])
def test_extrema_phases_follow_planted_networks(
    sick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Classroom.learner

    def learner(place: Classroom, trial: Trial) -> Learner:
        made = original(place, trial)
        if sick:
            silenced(made)
        return made

    monkeypatch.setattr(Classroom, "learner", learner)
    own = genome(64, [40, 24], 10, 0.2, strategy="extrema_phase+constant")
    trial = Trial(number=0, generation=2, genome=own, seed=1, epochs=EPOCHS)
    for frequency in (1, 2, None):
        events = run([trial], room(tmp_path, metrics_frequency=frequency))
        expected = []
        phase = 1.0
        for epoch in range(EPOCHS):
            expected.append(phase)
            for event in events:
                if isinstance(event, MetricsMeasured) and event.epoch == epoch:
                    ratio = event.values["extrema_ratio"].total
                    assert isinstance(ratio, float)
                    assert (ratio > 0.1) == sick
                    phase = 2.0 if ratio > 0.1 else 1.4 if ratio > 0.01 else 1.0
        found = [event.learning_rate / own.base_learning_rate for event in epochs_of(events)]
        assert found == pytest.approx(expected)
        assert (frequency is None) == (phase == 1.0 and expected == [1.0] * EPOCHS) or not sick


def test_units_found_extreme_reach_the_schedule_that_asks(tmp_path: Path) -> None:
    trial = one("constant+extrema_proximity")
    place = room(tmp_path)
    student = Student(trial, 0, "csr", place.learner(trial))
    with torch.no_grad():
        student.learner.network.biases(1)[3] = -1e3
    assert observed(make_engine("csr"), student, place, 0) is not None
    assert student.past.extrema is not None
    assert student.past.extrema[1][3]
    student.rates.begin(1, STEPS, student.past, placebo=False)
    (_, second, last) = (
        student.learner.optimizer.multiplier[
            student.learner.network.weights(index).storage_offset() :
        ][: len(student.learner.network.weights(index))]
        for index in range(3)
    )
    assert second[student.learner.network.layer(1).rows == 3].min() > second.min()
    assert last[student.learner.network.layer(2).columns == 3].min() > last.min()


def test_the_placebo_shuffles_each_epoch_within_each_layer(tmp_path: Path) -> None:
    place = room(tmp_path)
    trial = one("ULTIMATE")
    learner = place.learner(trial)
    rates, count = Rates(trial, learner), sum(trial.genome.counts)
    ends = np.cumsum(trial.genome.counts)[:-1]
    written = []
    for placebo in (False, True, True):
        rates.begin(1, STEPS, Past(), placebo=placebo)
        written.append(learner.optimizer.multiplier.numpy()[:count].copy())
    rates.begin(2, STEPS, Past(), placebo=True)
    later = learner.optimizer.multiplier.numpy()[:count]
    honest, shuffled, again = written
    assert (shuffled == again).all()
    assert (shuffled != honest).any()
    assert not (later == shuffled).all()
    layers = multipliers(rates.schedules, moment_of(learner, 1)).connections
    for part, given in zip(np.split(shuffled, ends), layers, strict=True):
        ratio = np.sort(part) / np.sort(given)
        assert ratio == pytest.approx(ratio[0], rel=1e-6)  # a layer's share, maybe another's


def test_the_placebo_keeps_the_pace_and_changes_the_training(tmp_path: Path) -> None:
    (tmp_path / "placebo").mkdir()
    honest = epochs_of(run([one("ULTIMATE")], room(tmp_path)))
    place = room(tmp_path / "placebo", learning_rate_control="shuffled")
    placebo = epochs_of(run([one("ULTIMATE")], place))
    assert [event.learning_rate for event in placebo] == [event.learning_rate for event in honest]
    assert [event.train_loss for event in placebo] != [event.train_loss for event in honest]


@pytest.mark.parametrize("engine", ["native", "csr"])
def test_neighbours_of_other_strategies_change_no_bit(engine: str, tmp_path: Path) -> None:
    chosen = [one(name, number=number) for number, name in enumerate((*FOUR, "COSINE"))]
    together = run(chosen, room(tmp_path), engine)
    alone = [event for trial in chosen for event in run([trial], room(tmp_path), engine)]
    assert canonical(together) == canonical(alone)


# The coordinate check


@pytest.mark.parametrize("density", [0.005, 0.02, 0.1, 0.5])
def test_updates_move_pre_activations_alike_at_every_density(density: float) -> None:
    """One sample, one step: |change of u| over 128 E|h| rate within a factor of 2."""
    own = genome(3072, [64], 10, density, strategy="constant+sparsity_awareness")
    network = build_network(own, 1)
    optimizer = AdamW(network, 0.0, (1e-9, 1.0))
    trial = Trial(number=0, generation=0, genome=own, seed=1, epochs=1)
    (rate,) = Rates(trial, Learner(network, optimizer)).begin(0, 1, Past(), placebo=False)
    inputs = torch.randn(1, 3072, generator=torch.Generator().manual_seed(0))
    before = inputs @ network.layer(0).dense(network.weights(0)).detach().t()
    loss = torch.nn.functional.cross_entropy(network(inputs), torch.tensor([3]))
    (gradient,) = torch.autograd.grad(loss, network.values)
    optimizer.limits = (0.0, 1.0)
    optimizer.step(gradient, rate)
    moved = (inputs @ network.layer(0).dense(network.weights(0)).detach().t() - before).abs()
    moved = moved[moved > 0.1 * moved.max()]  # units that fire
    usual = rate * 128 * inputs.abs().mean()
    assert 0.5 < float(moved.mean() / usual) < 2.0
