"""What a child begins with is what its parent ended with, edited; and what that needs is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from structure_net.errors import InvalidGenomeError, ModelFileError
from structure_net.genome import Edit, InsertLayer, ResizeLayer, SetDensity, apply_edit
from structure_net.networks import load_network, state_file
from structure_net.schema import Cohort, EpochFinished, Inheritance, TrainingPlan, Trial
from structure_net.training import Classroom, train
from structure_net.training.student import Student
from tests.networks.reference import genome
from tests.training.cohorts import EPOCHS, plan, trained, trials

PARENTS = trials((genome(64, [32], 10, 0.3), genome(64, [32], 10, 0.3)))


def room_of(folder: Path) -> Classroom:
    told = plan(folder).model_dump() | {"keep_states": True}
    return Classroom.open(TrainingPlan.model_validate(told), "cpu", "test")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """A classroom in whose folder two parents lie, 32 hidden units each."""
    room = room_of(tmp_path_factory.mktemp("networks"))
    list(train(Cohort(engine="csr", trials=PARENTS, attempts=(1, 1)), room))
    return room


def child(*edits: Edit, taken: tuple[int, ...] = (), seed: int = 9) -> Trial:
    crossed = PARENTS[0].genome
    edited = crossed
    for edit in edits:
        edited = apply_edit(edited, edit)
    return Trial(
        number=5,
        generation=3,
        genome=edited,
        seed=seed,
        parents=(0, 1),
        epochs=EPOCHS,
        inherits=Inheritance(
            primary=0,
            other=1 if taken else None,
            matched=((0, 0),) if taken else (),
            taken=taken,
            crossed=crossed,
            edits=edits,
        ),
    )


def inputs(room: Classroom) -> torch.Tensor:
    return next(iter(room.batches.epoch(0, 0))).inputs


def test_an_unedited_child_is_its_parent_to_the_bit(tmp_path: Path) -> None:
    """Trained on for no epoch: the parent's learner at its end, kept in memory, is the witness."""
    own = room_of(tmp_path)
    ended: list[Student] = []
    with pytest.MonkeyPatch.context() as around:
        finished = Student.finished

        def remembered(student: Student, place: Classroom) -> object:
            ended.append(student)
            return finished(student, place)

        around.setattr(Student, "finished", remembered)
        list(train(Cohort(engine="csr", trials=PARENTS[:1], attempts=(1,)), own))
    parent, begun = ended[0].learner, own.learner(child())
    assert torch.equal(begun.network.values, parent.network.values)
    for name in ("first_moment", "second_moment", "age"):
        assert torch.equal(getattr(begun.optimizer, name), getattr(parent.optimizer, name))
    assert begun.optimizer.steps == parent.optimizer.steps == EPOCHS * own.batches.steps
    with torch.no_grad():
        assert torch.equal(begun.network(inputs(own)), parent.network(inputs(own)))


def test_the_optimizer_goes_on_where_it_was(room: Classroom) -> None:
    """One more step of a child is the step that the parent would have made."""
    begun = room.learner(child())
    gradient = torch.linspace(-1, 1, len(begun.network.values))
    first = begun.optimizer.first_moment * 0.9 + gradient * 0.1
    second = begun.optimizer.second_moment * 0.999 + gradient**2 * 0.001
    before, steps = begun.network.values.detach().double(), begun.optimizer.steps + 1
    begun.optimizer.step(gradient, 0.001)
    update = (first / (1 - 0.9**steps)) / ((second / (1 - 0.999**steps)).sqrt() + 1e-8)
    update[: begun.network.connection_count] += 1e-4 * before[: begun.network.connection_count]
    assert torch.allclose(begun.network.values.double(), before - 0.001 * update, atol=1e-7)


@pytest.mark.parametrize(
    "edit",
    [
        ResizeLayer(layer=0, width=40),
        SetDensity(layer=0, density=0.6),
        InsertLayer(place=0, width=33),
    ],
)
def test_an_edited_child_begins_with_the_parents_function(room: Classroom, edit: Edit) -> None:
    begun, parent = room.learner(child(edit)), room.learner(child())
    assert begun.network.genome == apply_edit(PARENTS[0].genome, edit)
    with torch.no_grad():
        now, before = begun.network(inputs(room)), parent.network(inputs(room))
    assert float((now - before).abs().max()) <= 1e-5 * float(before.abs().max())


def test_a_crossed_child_is_neither_parent_and_the_same_for_the_same_seed(room: Classroom) -> None:
    begun, again, other = (
        room.learner(child(taken=(0,), seed=seed)).network.values for seed in (9, 9, 10)
    )
    assert torch.equal(begun, again)
    assert not torch.equal(begun, other)
    own, _ = load_network(Path(room.plan.networks) / "0.safetensors")
    assert not torch.equal(begun, own.values)
    # Of the output layer, which was not taken, all is the primary parent's.
    assert torch.equal(begun[-10:], own.values[-10:])


@pytest.mark.parametrize("engine", ["csr", "dense"])
def test_a_child_trains_on_and_begins_far_better_than_chance(room: Classroom, engine: str) -> None:
    events = list(train(Cohort(engine=engine, trials=(child(),), attempts=(1,)), room))
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    assert len(epochs) == EPOCHS
    fresh = trained((child().model_copy(update={"inherits": None}),), Path(room.plan.networks))
    begun = next(event for event in fresh if isinstance(event, EpochFinished))
    assert epochs[0].train_loss < 0.7 * begun.train_loss


def test_a_low_first_loss_is_no_reason_to_call_a_later_one_diverged(room: Classroom) -> None:
    for trial, diverged in (
        (child(), False),
        (child().model_copy(update={"inherits": None}), True),
    ):
        student = Student(trial, 1, "csr", room.learner(trial))
        student.first_loss = 0.05
        assert student.diverged(1.0, 1.0) == diverged
        assert student.diverged(3 * np.log(10) + 0.1, 1.0)


def test_a_missing_parent_is_told(room: Classroom) -> None:
    trial = child()
    assert trial.inherits is not None
    lost = trial.model_copy(update={"inherits": trial.inherits.model_copy(update={"primary": 77})})
    with pytest.raises(ModelFileError, match=r"77\.json cannot be read"):
        room.learner(lost)


def test_an_inheritance_that_gives_another_genome_is_refused(room: Classroom) -> None:
    trial = child().model_copy(update={"genome": genome(64, [32], 10, 0.4)})
    with pytest.raises(InvalidGenomeError, match="Trial 5 is genome"):
        room.learner(trial)


def test_states_are_saved_only_where_children_may_want_them(
    room: Classroom, tmp_path: Path
) -> None:
    assert state_file(Path(room.plan.networks) / "1.safetensors").exists()
    trained(PARENTS[:1], tmp_path)
    assert not state_file(tmp_path / "0.safetensors").exists()
    assert load_network(tmp_path / "0.safetensors")[1].training.keys() < (
        load_network(Path(room.plan.networks) / "1.safetensors")[1].training.keys()
    )
