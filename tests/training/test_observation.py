"""When trials are measured, on what, and that measuring changes no bit of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from structure_net.datasets import load, split
from structure_net.engine import ENGINES
from structure_net.metrics import METRICS, Measurement, Probe, Undetermined, metric
from structure_net.schema import (
    Cohort,
    EpochFinished,
    Event,
    MetricsMeasured,
    NotMeasured,
    Segment,
    TrialFinished,
    canonical,
    event_line,
    read_line,
)
from structure_net.training import Classroom, train
from structure_net.training.observation import probe_set
from tests.training.cohorts import EPOCHS, RUN_SEED, VALIDATION, plan, trials


def room(folder: Path, frequency: int | None = 2, level: str = "light", **more: Any) -> Classroom:
    changes = {"metrics_frequency": frequency, "metrics_level": level, **more}
    return Classroom.open(plan(folder).model_copy(update=changes), "cpu", "test")


def trained(
    place: Classroom, engine: str = "csr", segment: Segment | None = None, count: int = 3
) -> list[Event]:
    chosen = trials()[:count]
    cohort = Cohort(
        engine=engine,
        trials=chosen,
        attempts=(0,) * count,
        segment=segment or Segment(),
    )
    return list(train(cohort, place))


def measured(events: list[Event]) -> list[MetricsMeasured]:
    return [event for event in events if isinstance(event, MetricsMeasured)]


def without_metrics(events: list[Event]) -> list[str]:
    return canonical(event for event in events if not isinstance(event, MetricsMeasured))


@pytest.mark.parametrize(
    ("frequency", "level", "expected"),
    [
        (2, "light", [(1, "light"), (2, "full")]),
        (1, "light", [(0, "light"), (1, "light"), (2, "full")]),
        (3, "light", [(2, "full")]),
        (100, "light", [(2, "full")]),
        (1, "full", [(0, "full"), (1, "full"), (2, "full")]),
        (None, "light", []),
    ],
)
def test_light_at_the_frequency_and_full_after_the_last_epoch(
    frequency: int | None, level: str, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    assert EPOCHS == 3
    found = measured(trained(room(tmp_path, frequency, level), count=1))
    assert [(event.epoch, event.level) for event in found] == expected
    for event in found:
        light = {name for name in METRICS if METRICS.get(name).level == "light"}
        assert event.values.keys() == (light if event.level == "light" else set(METRICS))
        assert event.step == event.epoch + 1
        assert event.seconds > 0


def test_a_measurement_follows_its_epoch_and_precedes_the_result(tmp_path: Path) -> None:
    events = [event for event in trained(room(tmp_path)) if event.trial == 1]
    kinds = [event.kind for event in events]
    assert kinds[2:] == [
        *("EpochFinished", "MetricsMeasured", "EpochFinished", "MetricsMeasured", "TrialFinished")
    ]
    result = next(event.result for event in events if isinstance(event, TrialFinished))
    assert result.seconds > sum(event.seconds for event in measured(events))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_with_metrics_is_one_without(engine: str, tmp_path: Path) -> None:
    """Also from one rung to the next, and with every optimizer state written out."""
    more = {"keep_states": True}
    bare = trained(room(tmp_path / "bare", None, **more), engine)
    seen = trained(room(tmp_path / "seen", 1, "full", **more), engine)
    assert measured(bare) == []
    assert len(measured(seen)) == 3 * EPOCHS
    assert without_metrics(seen) == without_metrics(bare)
    files = sorted(path.name for path in (tmp_path / "bare").iterdir())
    assert any(name.endswith(".state") for name in files)
    for name in files:
        assert (tmp_path / "seen" / name).read_bytes() == (tmp_path / "bare" / name).read_bytes()


def test_measurements_do_not_depend_on_neighbours_or_rungs(tmp_path: Path) -> None:
    together = canonical(measured(trained(room(tmp_path, 1))))
    place = room(tmp_path, 1)
    first = trained(place, segment=Segment(end_epoch=2), count=1)
    second = trained(place, segment=Segment(first_epoch=2), count=1)
    alone = canonical(measured([*first, *second]))
    assert len(alone) == EPOCHS
    assert alone == together[:EPOCHS]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("bare", "seen"):
        (tmp_path / name).mkdir()


def test_the_probe_set_is_of_the_training_part_without_augmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,294 samples of digits, all of them where there are fewer than 2,048; else a drawn part."""
    data, rows = load("digits"), split(load("digits"), VALIDATION, RUN_SEED).train
    images = data.images.reshape(len(data), -1)[rows] / 16.0
    standard = (images - images.mean()) / images.std()
    inputs, labels, *_ = probe_set(room(tmp_path), 0)
    assert len(inputs) == len(rows) == 1294
    assert np.allclose(inputs.numpy(), standard, atol=1e-5)
    assert np.array_equal(labels.numpy(), data.labels[rows])
    monkeypatch.setattr("structure_net.training.observation.PROBE_SAMPLES", 200)
    place = room(tmp_path)
    drawn = [probe_set(place, generation)[0] for generation in (0, 1, 0)]
    assert drawn[0].shape == (200, 64)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], probe_set(room(tmp_path), 0)[0])
    known = {row.tobytes() for row in inputs.numpy()}
    found = [row.tobytes() for row in drawn[0].numpy()]
    assert set(found) <= known
    assert len(set(found)) == 200


def test_without_metrics_nothing_is_drawn_or_imported_for_them(tmp_path: Path) -> None:
    place = room(tmp_path, None)
    assert measured(trained(place, count=1)) == []
    assert place.probe_sets == {}


def test_an_undetermined_number_keeps_its_reason(tmp_path: Path) -> None:
    last = measured(trained(room(tmp_path), count=1))[-1]
    assert last.values["saturated_fraction"].total == NotMeasured(
        undetermined="only units with tanh saturate"
    )
    line = event_line(last)
    assert '"total":{"undetermined":"only units with tanh saturate"}' in line
    assert read_line(line) == last


def test_a_metric_that_raises_passes_through_with_its_name(
    tmp_path: Path, registries: None
) -> None:
    @metric("broken", unit="count", low=None, high=None, better=None)
    def broken(probe: Probe) -> Measurement:
        """Nothing."""
        return Measurement(Undetermined("never") if probe.samples == 0 else 1 / 0)

    with pytest.raises(ZeroDivisionError) as told:
        trained(room(tmp_path), count=1)
    assert "metric 'broken'" in told.value.__notes__[0]


def test_epochs_are_told_as_before(tmp_path: Path) -> None:
    events = trained(room(tmp_path, 1), count=1)
    epochs = [event.epoch for event in events if isinstance(event, EpochFinished)]
    assert epochs == list(range(EPOCHS))
