"""Memory while training: clean-ups and smaller parts are told and change nothing; peaks are own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from structure_net.engine.layerwise import LayerwiseEngine
from structure_net.engine.micro_batches import MicroBatches
from structure_net.schema import (
    Cohort,
    EpochFinished,
    Event,
    MemoryCleaned,
    MicroBatchReduced,
    TrialFinished,
    canonical,
)
from structure_net.training import Classroom, train
from structure_net.training.memory import peak_bytes, reset_peaks
from tests.training.cohorts import BATCH, EPOCHS, plan, trained, trials


def with_cleaning(folder: Path, frequency: int) -> list[Event]:
    often = plan(folder).model_copy(update={"memory_cleanup_frequency": frequency})
    room = Classroom.open(often, "cpu", "test")
    return list(train(Cohort(engine="csr", trials=trials(), attempts=(0,) * 3), room))


def test_cleaning_up_is_told_and_changes_no_bit(tmp_path: Path) -> None:
    streams = {frequency: with_cleaning(tmp_path, frequency) for frequency in (1, 2, 10)}
    cleaned = {
        frequency: [event.epoch for event in events if isinstance(event, MemoryCleaned)]
        for frequency, events in streams.items()
    }
    assert cleaned == {1: [0, 1, 2], 2: [1], 10: []}
    assert canonical(streams[1]) == canonical(streams[2]) == canonical(streams[10])
    (event,) = [event for event in streams[2] if isinstance(event, MemoryCleaned)]
    assert (event.generation, event.trial, event.worker) == (2, None, "test")
    assert event.resident_before > 50_000_000 < event.resident_after
    assert event.device_before == event.device_after == 0


def losses(events: list[Event]) -> list[tuple[float, float]]:
    return [
        (event.train_loss, event.validation_loss)
        for event in events
        if isinstance(event, EpochFinished)
    ]


@pytest.mark.parametrize("place", ["_gradient", "_measure"])
def test_running_out_of_memory_is_told_and_the_losses_stay(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second call for the second network, in the middle of training or of validation."""
    straight = trained(trials(), tmp_path)
    plain, struck = getattr(LayerwiseEngine, place), trials()[1].genome
    calls = []

    def scarce(self: LayerwiseEngine, one: object, *rest: object) -> object:
        network = getattr(one, "network", one)
        if network.genome == struck:  # type: ignore[attr-defined]
            calls.append(place)
            if len(calls) == 2:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to "
                                   "allocate 123456 bytes.")  # fmt: skip
        return plain(self, one, *rest)

    monkeypatch.setattr(LayerwiseEngine, place, scarce)
    events = trained(trials(), tmp_path)
    (told,) = [event for event in events if isinstance(event, MicroBatchReduced)]
    # The 144 validation samples are one batch, which the second epoch sees for the second time.
    size, epoch = (BATCH, 0) if place == "_gradient" else (144, 1)
    assert (told.trial, told.epoch, told.step) == (1, epoch, epoch + 1)
    assert (told.before, told.after, told.wanted_bytes) == (size, size // 2, 123456)
    assert not told.planned
    for found, expected in zip(losses(events), losses(straight), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    sizes = {one.result.number: one.result.micro_batch for one in events
             if isinstance(one, TrialFinished)}  # fmt: skip
    assert sizes == {0: None, 1: size // 2, 2: None}


def test_a_planned_micro_batch_is_told_at_the_start_and_the_losses_stay(tmp_path: Path) -> None:
    room = Classroom.open(plan(tmp_path), "cpu", "test")
    chosen = Cohort(engine="csr", trials=trials(), attempts=(0,) * 3, micro_batch=7)
    events = list(train(chosen, room))
    told = [event for event in events if isinstance(event, MicroBatchReduced)]
    assert [(one.trial, one.epoch, one.before, one.after, one.planned) for one in told] == [
        (trial, 0, BATCH, 7, True) for trial in range(3)
    ]
    for found, expected in zip(losses(events), losses(trained(trials(), tmp_path)), strict=True):
        assert found == pytest.approx(expected, rel=1e-5)
    assert len(losses(events)) == 3 * EPOCHS


def test_the_native_engine_needs_no_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scratch is that of 256 samples, whatever the batch."""
    monkeypatch.setattr(MicroBatches, "fitting", None)
    assert any(isinstance(one, TrialFinished) for one in trained(trials(), tmp_path, "native"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process reset its peak")
def test_a_peak_is_that_of_its_cohort() -> None:
    reset_peaks("cpu")
    small = peak_bytes()
    held = torch.ones(50_000_000)
    large = peak_bytes()
    assert large > small + 190_000_000
    del held
    reset_peaks("cpu")
    if peak_bytes() == large:
        pytest.skip("this system does not let the process reset its peak")
    assert peak_bytes() < large - 150_000_000
