"""A training in segments is the training in one go: the same bits, losses and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from structure_net.engine import ENGINES
from structure_net.errors import ModelFileError
from structure_net.networks import load_network
from structure_net.schema import (
    Cohort,
    EpochFinished,
    Event,
    Segment,
    Trial,
    TrialFinished,
    TrialPaused,
    canonical,
)
from structure_net.training import paused_file, paused_files, state_sha256, train
from tests.training.cohorts import EPOCHS, GENOMES, classroom, trained, trials


def part(
    chosen: Sequence[Trial], folder: Path, first: int, end: int | None, engine: str = "csr"
) -> list[Event]:
    """One segment, in a classroom of its own: nothing but the files is left of what came before."""
    segment = Segment(first_epoch=first, end_epoch=end)
    attempts = (first + 1,) * len(chosen)
    cohort = Cohort(engine=engine, trials=tuple(chosen), attempts=attempts, segment=segment)
    return list(train(cohort, classroom(folder)))


def told(events: list[Event]) -> list[str]:
    """Epochs and outcomes."""
    kinds = ('["EpochFinished"', '["TrialFinished"')
    return [line for line in canonical(events) if line.startswith(kinds)]


@pytest.mark.parametrize("engine", ENGINES)
def test_segments_in_other_cohorts_give_the_bits_of_one_training(
    engine: str, tmp_path: Path
) -> None:
    chosen = trials()
    (tmp_path / "whole").mkdir()
    whole = trained(chosen, tmp_path / "whole", engine)
    parts = part(chosen, tmp_path, 0, 1, engine)
    parts += part(chosen[:1], tmp_path, 1, 2, engine) + part(chosen[1:], tmp_path, 1, 2, engine)
    parts += part(chosen[::-1], tmp_path, 2, None, engine)
    assert told(parts) == told(whole)
    for trial in chosen:
        first, second = (
            load_network(folder / f"{trial.number}.safetensors")[1]
            for folder in (tmp_path / "whole", tmp_path)
        )
        assert first == second


def test_a_pause_tells_what_the_training_has_come_to_and_cost(tmp_path: Path) -> None:
    """1,294 training samples in 44 batches of 29, 144 for validation."""
    events = part(trials(), tmp_path, 0, 2)
    pauses = [event for event in events if isinstance(event, TrialPaused)]
    assert [event.trial for event in pauses] == [0, 1, 2]
    for pause, genome in zip(pauses, GENOMES, strict=True):
        (last,) = (
            one
            for one in events
            if isinstance(one, EpochFinished) and (one.trial, one.epoch) == (pause.trial, 1)
        )
        result = pause.result
        assert result.validation_accuracy == last.validation_accuracy
        assert (result.stopped_after, pause.step) == (2, 2)
        connections = sum(genome.counts)
        assert result.cost == 2 * (6 * connections * 29 * 44 + 2 * connections * 144)
        path = paused_file(tmp_path, result.number, 2)
        assert pause.state_sha256 == state_sha256(path)
    assert sorted((number, epochs) for number, epochs, _ in paused_files(tmp_path)) == [
        (number, 2) for number in range(3)
    ]
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_segment_to_the_last_epoch_ends_the_trial(tmp_path: Path) -> None:
    events = part(trials()[:1], tmp_path, 0, EPOCHS)
    assert isinstance(events[-1], TrialFinished)
    assert events[-1].result.stopped_after is None


def damaged(folder: Path) -> None:
    path = paused_file(folder, 0, 1)
    path.write_bytes(path.read_bytes()[:-1])


def of_another(folder: Path) -> None:
    paused_file(folder, 0, 1).write_bytes(paused_file(folder, 1, 1).read_bytes())


def gone(folder: Path) -> None:
    paused_file(folder, 0, 1).unlink()


@pytest.mark.parametrize("spoil", [damaged, of_another, gone])
def test_a_state_that_is_not_the_trials_own_is_refused(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    part(trials()[:2], tmp_path, 0, 1)
    spoil(tmp_path)
    with pytest.raises(ModelFileError, match=r"0\.1\.paused"):
        part(trials()[:1], tmp_path, 1, None)
