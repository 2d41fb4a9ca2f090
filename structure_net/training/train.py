"""The training loop: a cohort of networks through the same batches in lockstep, as events.

Read it top to bottom: start, epochs of steps and validation, an outcome for each. A network whose
numbers stop being finite fails alone; its neighbours go on with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from structure_net.engine import Engine, make_engine
from structure_net.errors import InvalidGenomeError
from structure_net.genome import forward_flop
from structure_net.schema import Cohort, EpochFinished, Event, MicroBatchReduced, TrialFailed
from structure_net.training.classroom import Classroom
from structure_net.training.growing import grow
from structure_net.training.memory import clean, reset_peaks
from structure_net.training.observation import observed
from structure_net.training.paused import paused, paused_file, take_up
from structure_net.training.rates import warming
from structure_net.training.start import fitted_to_data
from structure_net.training.student import Student, invalid, started


def train(cohort: Cohort, room: Classroom) -> Iterator[Event]:
    """Train every trial of the cohort; each ends in one TrialFinished or TrialFailed, or in one
    TrialPaused where the cohort's segment ends before its epochs."""
    engine = make_engine(
        cohort.engine,
        device=room.device,
        mixed_precision=room.plan.mixed_precision,
        checkpointing=room.plan.gradient_checkpointing,
    )
    engine.micro_batches.first = cohort.micro_batch
    reset_peaks(room.device)
    students: list[Student] = []
    epoch, end = cohort.segment.first_epoch, cohort.segment.end_epoch
    for trial, attempt in zip(cohort.trials, cohort.attempts, strict=True):
        yield started(trial, attempt, cohort.engine, room, epoch)
        try:
            learner = room.learner(trial)
        except InvalidGenomeError as problem:
            yield invalid(trial, attempt, problem)
            continue
        cost = 0 if epoch else fitted_to_data(learner, trial, room)
        student = Student(trial, attempt, cohort.engine, learner, cost=cost)
        if epoch > 0:
            take_up(student, room, paused_file(Path(room.plan.networks), trial.number, epoch))
        students.append(student)
        if cohort.micro_batch is not None and epoch == 0:
            yield student.planned(room.plan.batch_size, cohort.micro_batch)
    while students:
        losses, seconds = _train_epoch(engine, students, room, epoch)
        yield from _reductions(engine, students, epoch)
        for student, own_losses in zip(list(students), losses, strict=True):
            event = _validate(engine, student, room, epoch, own_losses, seconds)
            yield from _reductions(engine, students, epoch)
            yield event
            if isinstance(event, TrialFailed):
                students.remove(student)
                continue
            if (found := observed(engine, student, room, epoch)) is not None:
                yield found
            if (tried := grow(engine, student, room, epoch)) is not None:
                yield tried
            if epoch + 1 == student.trial.epochs:
                students.remove(student)
                yield student.finished(room)
            elif epoch + 1 == end:
                students.remove(student)
                yield paused(student, room, end)
        epoch += 1
        if epoch % room.plan.memory_cleanup_frequency == 0:
            yield clean(cohort.trials[0].generation, epoch - 1, room.device, room.worker)


def _train_epoch(
    engine: Engine, students: list[Student], room: Classroom, epoch: int
) -> tuple[list[torch.Tensor], float]:
    """One epoch of steps for all: each student's losses, and the seconds that fall to each."""
    began = time.perf_counter()
    steps = room.batches.steps
    placebo = room.plan.learning_rate_control == "shuffled"
    own = [one.rates.begin(epoch, steps, one.past, placebo=placebo) for one in students]
    rates = torch.tensor(own, dtype=torch.float64).t()
    batches = room.batches.epoch(students[0].trial.generation, epoch)
    gated = warming(batches, [one.rates for one in students])
    losses = engine.train_steps([one.learner for one in students], gated, rates)
    seconds = (time.perf_counter() - began) / len(students)
    for place, student in enumerate(students):
        # Forward 2 and backward 4 per connection and sample: three forward passes.
        samples = steps * room.plan.batch_size
        student.cost += samples * 3 * forward_flop(student.learner.network.genome)
        student.seconds += seconds
        student.learner.optimizer.age += steps
        if epoch == 0:
            student.first_loss = float(losses[0, place])
    return list(losses.t()), seconds


def _reductions(engine: Engine, students: list[Student], epoch: int) -> Iterator[MicroBatchReduced]:
    """Networks still in training that must take fewer samples at a time since memory ran out."""
    by_network = {student.learner.network: student for student in students}
    for reduction in engine.micro_batches.take_reductions():
        if reduction.network in by_network:
            yield by_network[reduction.network].reduced(epoch, reduction)


def _validate(
    engine: Engine,
    student: Student,
    room: Classroom,
    epoch: int,
    losses: torch.Tensor,
    train_seconds: float,
) -> EpochFinished | TrialFailed:
    """The epoch's outcome for one network: measured, or failed because its numbers left."""
    began = time.perf_counter()
    train_loss = float(losses.double().mean())
    network = student.learner.network
    accuracy, loss, count = engine.evaluate(network, room.batches.validation())
    seconds = time.perf_counter() - began
    student.cost += count * forward_flop(student.learner.network.genome)
    student.seconds += seconds
    if student.diverged(train_loss, loss):
        return student.failed(epoch, train_loss, loss)
    student.remember(train_loss, loss)
    student.last = EpochFinished(
        **student.place,
        step=epoch + 1,
        epoch=epoch,
        train_loss=train_loss,
        validation_loss=loss,
        validation_accuracy=accuracy,
        learning_rate=student.rates.last,
        layer_rates=student.rates.of_layers,
        connections=network.connection_count,
        train_seconds=train_seconds,
        evaluate_seconds=seconds,
    )
    return student.last
