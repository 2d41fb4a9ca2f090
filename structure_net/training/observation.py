"""Metrics of a trial on its way. A run with metrics trains to the same bits as one without, but for
strategies with a schedule that looks at extrema: those are told what was measured."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int

from structure_net.engine import Engine
from structure_net.learning_rates import ExtremaProximity
from structure_net.metrics import (
    METRICS,
    Masks,
    Measurement,
    Probe,
    Undetermined,
    Value,
    extrema,
    measure,
    probe,
)
from structure_net.schema import (
    Figure,
    Measured,
    MetricFacts,
    MetricsLevel,
    MetricsMeasured,
    NotMeasured,
)
from structure_net.seeding import derive
from structure_net.training.classroom import Classroom, ProbeSet
from structure_net.training.student import Student

EXTREMA = "extrema_ratio"  # the metric that schedules look at
PROBE_SAMPLES = 2048  # enough to tell a rate below 0.5 % from one above, few enough to be cheap


def observed(
    engine: Engine, student: Student, room: Classroom, epoch: int
) -> MetricsMeasured | None:
    """What is due after this epoch: all metrics after a trial's last one, those of the plan's level
    at its frequency before; None where nothing is."""
    level = _due(student, room, epoch)
    if level is None:
        return None
    began = time.perf_counter()
    generation, network = student.trial.generation, student.learner.network
    inputs, labels, batches, of_inputs = probe_set(room, generation)
    seen = probe(
        network,
        inputs,
        labels,
        len(room.dataset.classes),
        seed=room.plan.run_seed,
        path=(generation, "probe"),
        first_products=engine.first_products(network, batches),
        of_inputs=of_inputs,
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
        extrema=_by_layer(seen, masks),
    )


def _by_layer(seen: Probe, masks: Masks | Undetermined | None) -> Masks | None:
    """A mask for every sparse layer but the last: the units that end a block are in none."""
    if masks is None or isinstance(masks, Undetermined):
        return None
    found = dict(zip(seen.hidden_places, masks, strict=True))
    units = [layer.connections.units for layer in seen.layers[:-1]]
    return tuple(found.get(place, np.zeros(count, bool)) for place, count in enumerate(units))


def probe_set(room: Classroom, generation: int) -> ProbeSet:
    """Inputs and labels of 2,048 training samples (all where there are fewer), as they are without
    augmentation; the same for all trials of a generation, whoever trains them."""
    if room.probe_sets.keys() != {generation}:
        room.probe_sets.clear()
        room.probe_sets[generation] = _drawn(room, generation)
    return room.probe_sets[generation]


def probe_rows(
    training_rows: Int[np.ndarray, " training"], run_seed: int, generation: int
) -> Int[np.ndarray, " samples"]:
    """The training samples of a generation's probe set, ascending."""
    if len(training_rows) <= PROBE_SAMPLES:
        return training_rows
    generator = derive(run_seed, generation, "probe")
    return np.sort(generator.choice(training_rows, PROBE_SAMPLES, replace=False))


def measured(seen: Probe, level: MetricsLevel) -> dict[str, Measured]:
    """The metrics of a level, by name, as events hold them."""
    return {name: _stored(one) for name, one in measure(seen, level).items()}


def metric_facts() -> dict[str, MetricFacts]:
    """What every known metric declares, by name."""
    known = [METRICS.get(name) for name in METRICS]
    return {
        one.name: MetricFacts(
            group=one.group,
            unit=one.unit,
            low=one.low,
            high=one.high,
            better=one.better,
            meaning=one.title,
        )
        for one in known
    }


def _drawn(room: Classroom, generation: int) -> ProbeSet:
    rows = probe_rows(room.training_rows, room.plan.run_seed, generation)
    labels = np.array(room.dataset.labels, dtype=np.int64)
    # An engine that takes the images as they lie prepares no floats: these batches stay without.
    bare, own = (list(room.batches.of_part(room.dataset.images, labels, rows)) for _ in range(2))
    # Features down in memory, as the products want them: turned once for all trials.
    inputs = torch.cat([batch.inputs for batch in own]).t().contiguous().t()
    return ProbeSet(inputs, torch.cat([batch.targets for batch in own]), bare, {})


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
