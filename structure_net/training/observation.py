"""Metrics of a trial on its way. A run with metrics trains to the same bits as one without, but for
strategies with a schedule that looks at extrema: those are told what was measured."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from structure_net.learning_rates import ExtremaProximity
from structure_net.metrics import (
    Measurement,
    Probe,
    Undetermined,
    Value,
    extrema,
    measure,
    probe,
)
from structure_net.schema import Figure, Measured, MetricsLevel, MetricsMeasured, NotMeasured
from structure_net.seeding import derive
from structure_net.training.classroom import Classroom
from structure_net.training.student import Student

EXTREMA = "extrema_ratio"  # the metric that schedules look at
PROBE_SAMPLES = 2048  # enough to tell a rate below 0.5 % from one above, few enough to be cheap


def observed(student: Student, room: Classroom, epoch: int) -> MetricsMeasured | None:
    """What is due after this epoch: all metrics after a trial's last one, those of the plan's level
    at its frequency before; None where nothing is."""
    level = _due(student, room, epoch)
    if level is None:
        return None
    began = time.perf_counter()
    generation = student.trial.generation
    inputs, labels = probe_set(room, generation)
    seen = probe(
        student.learner.network,
        inputs,
        labels,
        len(room.dataset.classes),
        seed=room.plan.run_seed,
        path=(generation, "probe"),
    )
    found = measure(seen, level)
    remember_extrema(student, seen, found[EXTREMA].total)
    values = {name: _stored(one) for name, one in found.items()}
    seconds = time.perf_counter() - began
    student.seconds += seconds
    return MetricsMeasured(
        **student.place, step=epoch + 1, epoch=epoch, level=level, values=values, seconds=seconds
    )


def remember_extrema(student: Student, seen: Probe, ratio: Value) -> None:
    """What schedules may look at: the extrema ratio, and the units it counts for those that ask."""
    masks = None
    if any(isinstance(one, ExtremaProximity) for one in student.rates.schedules):
        masks = extrema(seen)
    student.past = replace(
        student.past,
        extrema_ratio=None if isinstance(ratio, Undetermined) else float(ratio),
        extrema=None if isinstance(masks, Undetermined) else masks,
    )


def probe_set(
    room: Classroom, generation: int
) -> tuple[Float[Tensor, "samples inputs"], Int[Tensor, " samples"]]:
    """Inputs and labels of 2,048 training samples (all where there are fewer), as they are without
    augmentation; the same for all trials of a generation, whoever trains them."""
    if room.probe_sets.keys() != {generation}:
        room.probe_sets.clear()
        room.probe_sets[generation] = _drawn(room, generation)
    return room.probe_sets[generation]


def _drawn(room: Classroom, generation: int) -> tuple[Tensor, Tensor]:
    rows = room.training_rows
    if len(rows) > PROBE_SAMPLES:
        generator = derive(room.plan.run_seed, generation, "probe")
        rows = np.sort(generator.choice(rows, PROBE_SAMPLES, replace=False))
    labels = np.array(room.dataset.labels, dtype=np.int64)
    batches = list(room.batches.of_part(room.dataset.images, labels, rows))
    # Features down in memory, as the products want them: turned once for all trials.
    inputs = torch.cat([batch.inputs for batch in batches]).t().contiguous().t()
    return inputs, torch.cat([batch.targets for batch in batches])


def _due(student: Student, room: Classroom, epoch: int) -> MetricsLevel | None:
    frequency = room.plan.metrics_frequency
    if frequency is None:
        return None
    if epoch + 1 == student.trial.epochs:
        return "full"
    return room.plan.metrics_level if (epoch + 1) % frequency == 0 else None


def _stored(found: Measurement) -> Measured:
    return Measured(
        total=_figure(found.total),
        layers=tuple(_figure(value) for value in found.layers),
        detail=dict(found.detail),
    )


def _figure(value: Value) -> Figure:
    if isinstance(value, Undetermined):
        return NotMeasured(undetermined=value.reason)
    return float(value)
