"""A training is its list of events: order, numbers, cost; and no trial touches another."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from structure_net.datasets import Dataset, load, split
from structure_net.engine import ENGINES, Learner
from structure_net.errors import InvalidGenomeError
from structure_net.genome import forward_flop
from structure_net.networks import build_network, load_network, lsuv
from structure_net.schema import (
    EpochFinished,
    Event,
    Inheritance,
    Trial,
    TrialFailed,
    TrialFinished,
    TrialStarted,
    canonical,
)
from structure_net.training import Classroom
from structure_net.training.observation import probe_set
from structure_net.training.start import fitted_to_data
from tests.networks.reference import genome, logits, matrices
from tests.training.cohorts import (
    BATCH,
    EPOCHS,
    GENOMES,
    RUN_SEED,
    VALIDATION,
    classroom,
    trained,
    trials,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def events(folder: Path) -> list[Event]:
    return trained(trials(), folder)


def of(events: list[Event], trial: int) -> list[Event]:
    return [event for event in events if event.trial == trial]


def results(events: list[Event]) -> dict[int, TrialFinished]:
    return {event.result.number: event for event in events if isinstance(event, TrialFinished)}


def same_but(events: list[Event], others: list[Event], trial: int) -> bool:
    """Whether two streams tell the same of every trial but one."""
    one, other = (
        canonical([event for event in stream if event.trial != trial])
        for stream in (events, others)
    )
    return one == other


# Order and numbers


def test_events_come_in_lockstep_and_each_trial_has_one_outcome(events: list[Event]) -> None:
    starts = [(TrialStarted, trial) for trial in range(3)]
    epochs = [(EpochFinished, trial) for _ in range(EPOCHS - 1) for trial in range(3)]
    ends = [(kind, trial) for trial in range(3) for kind in (EpochFinished, TrialFinished)]
    assert [(type(event), event.trial) for event in events] == starts + epochs + ends
    for trial in range(3):
        assert [event.step for event in of(events, trial)] == list(range(EPOCHS + 2))
        assert {(event.generation, event.attempt) for event in of(events, trial)} == {(2, 0)}
        numbers = [event.epoch for event in of(events, trial) if isinstance(event, EpochFinished)]
        assert numbers == list(range(EPOCHS))


def test_trials_of_fewer_epochs_leave_earlier(tmp_path: Path) -> None:
    lengths = (2, 1, 3)
    chosen = tuple(
        trial.model_copy(update={"epochs": epochs})
        for trial, epochs in zip(trials(), lengths, strict=True)
    )
    found = trained(chosen, tmp_path)
    for trial, epochs in enumerate(lengths):
        own = of(found, trial)
        assert len(own) == epochs + 2
        assert isinstance(own[-1], TrialFinished)
    outcomes = [event.trial for event in found if isinstance(event, TrialFinished)]
    assert outcomes == [1, 0, 2]


def test_the_start_tells_what_is_trained(events: list[Event]) -> None:
    for trial, started in zip(trials(), events[:3], strict=True):
        assert isinstance(started, TrialStarted)
        assert started.genome == trial.genome
        assert started.seed == trial.seed
        assert (started.batch_size, started.epochs, started.engine) == (BATCH, EPOCHS, "csr")
        assert (started.worker, started.device) == ("test", "cpu")


def test_the_result_repeats_the_last_epoch(events: list[Event]) -> None:
    for trial in range(3):
        *_, last, end = of(events, trial)
        assert isinstance(last, EpochFinished)
        assert isinstance(end, TrialFinished)
        assert end.result.validation_accuracy == last.validation_accuracy
        assert end.result.validation_loss == last.validation_loss
        assert end.result.train_loss == last.train_loss
        assert end.result.trial == trials()[trial]
        assert end.result.connections == last.connections == sum(GENOMES[trial].counts)


def test_the_ledger_is_six_n_a_sample_trained_and_two_n_a_sample_validated(
    events: list[Event],
) -> None:
    """1,438 training samples of digits, a tenth of them (144) for validation: 44 steps of 29."""
    assert len(load("digits")) == 1438
    for trial, connections in enumerate(sum(own.counts) for own in GENOMES):
        result = results(events)[trial].result
        assert result.cost == 3 * (6 * connections * 29 * 44 + 2 * connections * 144)
        units = sum(GENOMES[trial].architecture[1:])
        assert result.active_parameters == connections + units


def test_rates_are_base_rate_times_pace_of_the_epochs_last_step(events: list[Event]) -> None:
    for trial, own in enumerate(GENOMES):
        for event in of(events, trial):
            if isinstance(event, EpochFinished):
                progress = (event.epoch * 44 + 43) / (EPOCHS * 44)
                cosine = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))
                pace = cosine if own.strategy == "COSINE" else 1.0
                expected = own.base_learning_rate * pace
                assert event.learning_rate == pytest.approx(expected, rel=1e-12)


def test_training_learns(events: list[Event]) -> None:
    for trial in range(3):
        losses = [event.train_loss for event in of(events, trial) if hasattr(event, "train_loss")]
        assert losses[-1] < 0.8 * losses[0]
        assert results(events)[trial].result.validation_accuracy > 0.3


def test_training_starts_from_the_network_that_the_seed_builds(
    folder: Path, events: list[Event]
) -> None:
    """Connections do not move while training: the saved lists are the drawn ones."""
    for trial in trials():
        usable = load("digits").images.reshape(1438, 64)[split_of().train].std(0) > 0
        drawn = build_network(trial.genome, trial.seed, usable)
        saved, _ = load_network(folder / f"{trial.number}.safetensors")
        for index in range(len(trial.genome.counts)):
            assert torch.equal(saved.layer(index).columns, drawn.layer(index).columns)
        assert not torch.equal(saved.values, drawn.values)


# Witnesses from outside


def split_of() -> Any:
    return split(load("digits"), VALIDATION, RUN_SEED)


def standardised(dataset: Dataset, images: np.ndarray) -> np.ndarray:
    """Images as a network wants them, by mean and deviation of the training part."""
    known = dataset.images[split_of().train] / 16.0
    return ((images / 16.0 - known.mean()) / known.std()).reshape(len(images), -1)


def test_the_result_is_that_of_the_saved_file(folder: Path, events: list[Event]) -> None:
    dataset, rows = load("digits"), split_of().validation
    inputs, labels = standardised(dataset, dataset.images[rows]), dataset.labels[rows]
    for number, finished in results(events).items():
        network, described = load_network(folder / f"{number}.safetensors")
        output = logits(matrices(network), network.genome.activation, inputs)
        losses = np.log(np.exp(output).sum(1)) - output[range(len(rows)), labels]
        assert finished.result.validation_accuracy == (output.argmax(1) == labels).mean()
        assert finished.result.validation_loss == pytest.approx(losses.mean(), rel=1e-5)
        assert finished.result.network_sha256 == described.tensors_sha256
        assert described.metrics == {
            "validation.accuracy": finished.result.validation_accuracy,
            "validation.loss": finished.result.validation_loss,
            "train.loss": finished.result.train_loss,
        }
        assert described.data.train_hash == dataset.train_hash
        assert described.lineage["trial"] == number


@pytest.mark.parametrize("engine", ENGINES)
def test_who_else_is_in_the_cohort_changes_nothing(tmp_path: Path, engine: str) -> None:
    together = trained(trials(), tmp_path, engine)
    alone = [event for trial in trials() for event in trained((trial,), tmp_path, engine)]
    backwards = trained(trials()[::-1], tmp_path, engine)
    assert canonical(together) == canonical(alone) == canonical(backwards)


def test_seed_and_generation_change_the_result(events: list[Event], tmp_path: Path) -> None:
    own = results(events)[0].result.network_sha256
    for change in ({"seed": 999}, {"generation": 3}):
        other = trained((trials()[0].model_copy(update=change),), tmp_path)
        assert results(other)[0].result.network_sha256 != own


def forbidden(*_: object, **__: object) -> Any:
    raise AssertionError("a global generator was used")


def test_no_global_generator_is_read_or_seeded(
    events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in dir(np.random):
        if getattr(getattr(np.random, name), "__self__", None) is np.random.mtrand._rand:
            monkeypatch.setattr(np.random, name, forbidden)
    monkeypatch.setattr(np.random, "seed", forbidden)
    for name in dir(random):
        if isinstance(getattr(getattr(random, name), "__self__", None), random.Random):
            monkeypatch.setattr(random, name, forbidden)
    for name in ("manual_seed", "seed", "rand", "randn", "randint", "randperm", "normal"):
        monkeypatch.setattr(torch, name, forbidden)
    with pytest.raises(AssertionError, match="global generator"):
        np.random.rand()
    numpys, torchs = str(np.random.mtrand._rand.get_state()), torch.get_rng_state()
    found = trained(trials(), tmp_path)
    assert str(np.random.mtrand._rand.get_state()) == numpys
    assert torch.equal(torch.get_rng_state(), torchs)
    assert canonical(found) == canonical(events)


# Failures


def test_a_loss_that_explodes_fails_alone(
    events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The law's limits would tame the rate, so the limit goes; the neighbours never reach it."""
    monkeypatch.setattr("structure_net.training.classroom.HIGHEST_RATE", 100.0)
    wild = genome(64, [40, 24], 10, 0.2, base_learning_rate=1.0)
    found = trained(trials((GENOMES[0], wild, GENOMES[2])), tmp_path)
    failed = of(found, 1)[-1]
    assert isinstance(failed, TrialFailed)
    assert failed.failure == "diverged"
    assert failed.epoch == 0
    assert failed.step == 1
    assert "epoch 0" in failed.reason
    assert failed.cost == 6 * sum(wild.counts) * 29 * 44 + 2 * sum(wild.counts) * 144
    assert [type(event) for event in of(found, 1)] == [TrialStarted, TrialFailed]
    assert same_but(found, events, trial=1)
    assert not (tmp_path / "1.safetensors").exists()


def spoiling(trial: int, change: Callable[[Learner], None]) -> Callable[..., Learner]:
    """`Classroom.learner` with one trial's learner changed."""
    original = Classroom.learner

    def learner(room: Classroom, asked: Trial) -> Learner:
        made = original(room, asked)
        if asked.number == trial:
            change(made)
        return made

    return learner


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e38])
def test_numbers_that_leave_fail_with_epoch_and_layer_and_alone(
    value: float, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(learner: Learner) -> None:
        with torch.no_grad():
            learner.network.weights(1).fill_(value)

    monkeypatch.setattr(Classroom, "learner", spoiling(1, change))
    found = trained(trials(), tmp_path)
    failed = of(found, 1)[-1]
    assert isinstance(failed, TrialFailed)
    assert (failed.failure, failed.epoch) == ("diverged", 0)
    assert "sparse layer" in failed.reason
    assert "epoch 0" in failed.reason
    assert same_but(found, events, trial=1)


def test_divergence_in_a_later_epoch_names_that_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is bound until epoch 1 begins, then let go."""
    wild = genome(64, [40, 24], 10, 0.2, base_learning_rate=1.0)

    def change(learner: Learner) -> None:
        ordinary = learner.optimizer.step

        def step(gradient: torch.Tensor, rate: float) -> None:
            highest = 1e-3 if learner.optimizer.steps < 44 else 100.0
            learner.optimizer.limits = (1e-6, highest)
            ordinary(gradient, rate)

        monkeypatch.setattr(learner.optimizer, "step", step)

    monkeypatch.setattr(Classroom, "learner", spoiling(0, change))
    first, epoch, failed = trained(trials((wild,)), tmp_path)
    assert isinstance(first, TrialStarted)
    assert isinstance(epoch, EpochFinished)
    assert isinstance(failed, TrialFailed)
    assert (failed.failure, failed.epoch, failed.step) == ("diverged", 1, 2)


def test_a_genome_that_cannot_be_built_fails_alone(
    events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(learner: Learner) -> None:
        raise InvalidGenomeError("no such network")

    monkeypatch.setattr(Classroom, "learner", spoiling(1, refuse))
    found = trained(trials(), tmp_path)
    failed = of(found, 1)[-1]
    assert isinstance(failed, TrialFailed)
    assert (failed.failure, failed.reason, failed.cost) == ("invalid", "no such network", 0)
    assert same_but(found, events, trial=1)


def test_a_cohort_of_failures_only_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(learner: Learner) -> None:
        raise InvalidGenomeError("no such network")

    monkeypatch.setattr(Classroom, "learner", spoiling(0, refuse))
    found = trained(trials()[:1], tmp_path)
    assert [type(event) for event in found] == [TrialStarted, TrialFailed]


def test_starting_weights_are_fitted_where_the_plan_says_so(tmp_path: Path) -> None:
    """The cost is one forward pass of the probe set more; weights of parents are left alone."""
    room = classroom(tmp_path)
    fitting = replace(room, plan=room.plan.model_copy(update={"initialisation": "lsuv"}))
    (trial, *_) = trials()
    plain, fitted = room.learner(trial), fitting.learner(trial)
    assert fitted_to_data(plain, trial, room) == 0
    samples = len(probe_set(fitting, trial.generation).inputs)
    assert fitted_to_data(fitted, trial, fitting) == samples * forward_flop(trial.genome)
    expected = room.learner(trial).network
    assert torch.equal(plain.network.values, expected.values)
    lsuv(expected, probe_set(room, trial.generation).inputs)
    assert torch.equal(fitted.network.values, expected.values)
    heir = trial.model_copy(update={"inherits": Inheritance(primary=0, crossed=trial.genome)})
    assert fitted_to_data(fitted, heir, fitting) == 0
