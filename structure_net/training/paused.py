"""A training that waits at a rung: all that decides how it goes on, in one file.

Genome and connection lists are in it: growth changes both on the way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structure_net.errors import InvalidGenomeError, ModelFileError
from structure_net.files import atomic_write
from structure_net.genome import Genome
from structure_net.learning_rates import Growth, Past
from structure_net.networks import Connections, Network, network_tensors, tensors_sha256
from structure_net.schema import GrowthRecord, TrialPaused
from structure_net.training.classroom import Classroom
from structure_net.training.student import Student

SUFFIX = ".paused"


def paused_file(networks: Path, trial: int, epochs: int) -> Path:
    """Where the state of a trial lies after so many epochs. A file for each rung: until the next
    pause is acknowledged, this one is still needed."""
    return networks / f"{trial}.{epochs}{SUFFIX}"


def paused_files(networks: Path) -> list[tuple[int, int, Path]]:
    """(trial, epochs done, file) of every state in the folder."""
    found = []
    for path in networks.glob(f"[0-9]*.[0-9]*{SUFFIX}"):
        number, epochs = path.stem.split(".")
        found.append((int(number), int(epochs), path))
    return found


def state_sha256(path: Path) -> str | None:
    """SHA-256 of the state in a file, in hex; None where there is no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def save_state(student: Student, path: Path) -> str:
    """Write the state of a student; returns its SHA-256."""
    from safetensors.numpy import save

    numbers = {
        "steps": student.learner.optimizer.steps,
        "first_loss": student.first_loss,
        "cost": student.cost,
        "seconds": student.seconds,
        "micro_batch": student.micro_batch,
        "past": _past_json(student.past),
        "born": [student.trial.genome.id, student.trial.seed],
        "genome": student.learner.network.genome.model_dump(mode="json"),
        "growth": [record.model_dump(mode="json") for record in student.growth],
    }
    tensors = {name: one.detach().cpu().numpy() for name, one in _tensors(student).items()}
    content = bytes(save(tensors, {"numbers": json.dumps(numbers)}))
    atomic_write(path, content)
    return hashlib.sha256(content).hexdigest()


def paused(student: Student, room: Classroom, epochs: int) -> TrialPaused:
    """Save the state of a student that reached a rung, and tell what it has come to."""
    networks = Path(room.plan.networks)
    sha256 = save_state(student, paused_file(networks, student.trial.number, epochs))
    network = tensors_sha256(network_tensors(student.learner.network))
    return TrialPaused(
        **student.place,
        step=epochs,
        result=student.result(room, network, stopped_after=epochs),
        state_sha256=sha256,
        worker=room.worker,
    )


def take_up(student: Student, room: Classroom, path: Path) -> None:
    """Give a fresh student the state of a file; ModelFileError where that is not its own."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            numbers = json.loads(file.metadata()["numbers"])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelFileError(
            f"{path} does not hold the state of a paused training: {problem}. Delete it: the trial "
            f"is then trained from its start."
        ) from problem
    student.go_on_with(room.equipped(_network(path, numbers, found, student), None))
    own = _tensors(student)
    shapes = {
        name: (tuple(one.shape), one.detach().cpu().numpy().dtype) for name, one in own.items()
    }
    if {name: (one.shape, one.dtype) for name, one in found.items()} != shapes:
        raise _of_another(path)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.from_numpy(found[name]))
    student.learner.optimizer.steps = numbers["steps"]
    student.first_loss, student.cost = numbers["first_loss"], numbers["cost"]
    student.seconds, student.micro_batch = numbers["seconds"], numbers["micro_batch"]
    student.past = _past_of(numbers["past"])
    student.growth = [GrowthRecord.model_validate(record) for record in numbers["growth"]]


def _past_json(past: Past) -> dict[str, Any]:
    """What schedules remember, as JSON values: floats come back to the bit."""
    extrema = None if past.extrema is None else [mask.tolist() for mask in past.extrema]
    return {**asdict(past), "extrema": extrema}


def _past_of(told: dict[str, Any]) -> Past:
    masks, growth = told["extrema"], told["growth"]
    return Past(
        tuple(told["train_losses"]),
        tuple(told["validation_losses"]),
        told["extrema_ratio"],
        None if masks is None else tuple(np.array(mask, dtype=bool) for mask in masks),
        tuple(Growth(**event) for event in growth),
    )


def _network(
    path: Path, numbers: dict[str, Any], found: dict[str, np.ndarray], student: Student
) -> Network:
    """The network as it was: the trial's own, or what it had grown to."""
    try:
        genome = Genome.model_validate(numbers["genome"])
        lists = [
            Connections(*shape, found[_list(index, "row_pointers")], found[_list(index, "columns")])
            for index, shape in enumerate(genome.shapes)
        ]
        network = Network(genome, lists)
    except (InvalidGenomeError, ValueError, KeyError, TypeError) as problem:
        raise _of_another(path) from problem
    if numbers["born"] != [student.trial.genome.id, student.trial.seed]:
        raise _of_another(path)
    return network


def _of_another(path: Path) -> ModelFileError:
    return ModelFileError(f"{path} is the state of another network than {path.stem}'s.")


def _list(index: int, name: str) -> str:
    return f"layer{index}.{name}"


def _tensors(student: Student) -> dict[str, Tensor]:
    optimizer = student.learner.optimizer
    network = student.learner.network
    lists = {
        _list(index, name): getattr(network.layer(index), name)
        for index in range(len(network.layers))
        for name in ("row_pointers", "columns")
    }
    return {
        **lists,
        "values": network.values,
        "first_moment": optimizer.first_moment,
        "second_moment": optimizer.second_moment,
        "age": optimizer.age,
    }
