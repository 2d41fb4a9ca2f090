"""Growth of a network on its way: looked at, repaired, enlarged; measured, and undone if it harms.

Another network's growth touches nothing here: every draw is of the trial's own seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool

from structure_net.engine import Engine, Learner
from structure_net.errors import InvalidGenomeError
from structure_net.genome import (
    BLOCK_LAYERS,
    AddConnections,
    Edit,
    Genome,
    InsertLayer,
    InsertResidualBlock,
    Revive,
    Rewire,
    SplitUnit,
    Widen,
    active_parameters,
    apply_edit,
    connection_count,
    forward_flop,
)
from structure_net.growth import (
    GROWTH_RULES,
    LAST_PROGRESS,
    Applied,
    Findings,
    GrowthRule,
    Proposal,
    Situation,
    applied,
    draw_of,
    found,
    junctions,
    refusal,
    revivals,
    rewired_share,
    rewirings,
    room,
    unit_layers,
)
from structure_net.learning_rates import Growth
from structure_net.metrics import Probe, Undetermined, probe
from structure_net.networks import Body
from structure_net.schema import EditMade, GrowthAttempted, GrowthOutcome, GrowthPlan, GrowthRecord
from structure_net.seeding import PathPart
from structure_net.training.classroom import Classroom
from structure_net.training.observation import probe_set
from structure_net.training.student import Student

# What a change may cost at once on the validation split, in accuracy and as a factor of the loss:
# an epoch or two win that back, and what costs more was not the edit that it was meant to be.
MOST_LOST, MOST_WORSE = 0.02, 1.5


@dataclass
class _Ground:
    """A network in the middle of an attempt. `accuracy` and `loss` are on the validation split."""

    engine: Engine
    student: Student
    room: Classroom
    plan: GrowthPlan
    epoch: int
    learner: Learner
    body: Body
    accuracy: float
    loss: float
    edits: tuple[EditMade, ...] = ()
    refused: tuple[str, ...] = ()
    events: tuple[Growth, ...] = ()
    undone: bool = False

    @property
    def progress(self) -> float:
        return (self.epoch + 1) / self.student.trial.epochs

    @property
    def path(self) -> tuple[PathPart, ...]:
        """What the draws of this attempt have in common."""
        return ("growth", self.epoch)

    def look(self) -> Probe:
        """The network on the probe set of its generation."""
        trial, network = self.student.trial, self.learner.network
        inputs, labels, batches, _ = probe_set(self.room, trial.generation)
        seen = probe(
            network,
            inputs,
            labels,
            len(self.room.dataset.classes),
            seed=trial.seed,
            path=self.path,
            first_products=self.engine.first_products(network, batches),
        )
        # Forward 2, and backward 4 for the true labels and for sampled ones.
        self.student.cost += len(labels) * 5 * forward_flop(network.genome)
        return seen

    def make(self, edits: Sequence[Edit]) -> tuple[Edit, ...]:
        """The edits made, one after the other, measured, and kept unless they harm; those kept."""
        trial = self.student.trial

        def against(genome: Genome) -> str:
            if connection_count(genome) <= connection_count(self.body.genome):
                return ""
            return refusal(self.plan, trial.genome, genome, self.progress)

        draw = partial(draw_of, trial.seed, self.path)
        done = applied(self.body, edits, against, draw, self.room.usable_inputs)
        self.refused += done.refused
        if done.made and self._kept(done):
            return done.made
        return ()

    def _kept(self, done: Applied) -> bool:
        network, state = done.body.network()
        learner = self.room.equipped(network, state)
        validation = self.room.batches.validation()
        accuracy, loss, count = self.engine.evaluate(learner.network, validation)
        self.student.cost += count * forward_flop(done.body.genome)
        sound = math.isfinite(loss) and loss <= MOST_WORSE * self.loss
        if not sound or accuracy < self.accuracy - MOST_LOST:
            self.undone = True
            lost = (
                f"validation accuracy would go from {self.accuracy:.4f} to {accuracy:.4f}, loss "
                f"from {self.loss:.4g} to {loss:.4g}"
            )
            self.refused += tuple(f"{edit.kind}: {lost}" for edit in done.made)
            return False
        self.edits += _told(self.body.genome, done.made)
        self.events = _with_events(self.events, self.body.genome, done.made, self.epoch + 1)
        self.learner, self.body = learner, Body.of(network, state)
        self.accuracy, self.loss = accuracy, loss
        return True


def grow(engine: Engine, student: Student, room: Classroom, epoch: int) -> GrowthAttempted | None:
    """The attempt that is due after this epoch; None where none is. The student goes on with the
    network that comes of it; where nothing is kept, with its own, untouched."""
    plan, last = room.plan.growth, student.last
    rule = GROWTH_RULES.get(student.trial.genome.growth_rule)
    left = epoch + 1 < student.trial.epochs
    if plan is None or last is None or not rule.grows or not left or (epoch + 1) % plan.frequency:
        return None
    began = time.perf_counter()
    learner = student.learner
    ground = _Ground(
        engine,
        student,
        room,
        plan,
        epoch,
        learner,
        Body.of(learner.network, learner.optimizer.state()),
        last.validation_accuracy,
        last.validation_loss,
        events=student.past.growth,
    )
    record = _attempt(ground, rule)
    if ground.learner is not learner:
        student.go_on_with(ground.learner)
        student.past = replace(
            student.past,
            growth=ground.events,
            extrema=_of_grown(student.past.extrema, ground.body.genome),
        )
        student.last = last.model_copy(
            update={"validation_accuracy": ground.accuracy, "validation_loss": ground.loss}
        )
    if record.outcome == "grown":
        student.growth.append(record)
    seconds = time.perf_counter() - began
    student.seconds += seconds
    return GrowthAttempted(**student.place, step=epoch + 1, record=record, seconds=seconds)


def _attempt(ground: _Ground, rule: GrowthRule) -> GrowthRecord:
    before, accuracy, loss = ground.body.genome, ground.accuracy, ground.loss
    seen = ground.look()
    findings = rule.find(seen)
    revived = _repair(ground, seen, rule)
    if ground.body.genome is not before or ground.edits:
        seen = ground.look()
    if ground.progress > LAST_PROGRESS:
        proposal = Proposal(reason=f"nothing is added after {LAST_PROGRESS:.0%} of the training")
    else:
        proposal = _proposal(rule, _situation(ground, seen, findings, revived))
    made = ground.make(proposal.edits)
    reason = proposal.reason
    if not made and not reason:
        reason = "no edit was kept"
    after = ground.body.genome
    return GrowthRecord(
        epoch=ground.epoch,
        rule=ground.student.trial.genome.growth_rule,
        outcome=_outcome(ground, grown=bool(made)),
        trigger=proposal.trigger,
        findings=() if isinstance(findings, Undetermined) else findings.per_layer,
        reason=reason,
        edits=ground.edits,
        refused=ground.refused,
        predicted_gain=proposal.gain if made else None,
        predicted_gain_error=proposal.gain_error if made else None,
        architecture_before=before.architecture,
        architecture_after=after.architecture,
        connections_before=connection_count(before),
        connections_after=connection_count(after),
        parameters_before=active_parameters(before),
        parameters_after=active_parameters(after),
        accuracy_before=accuracy,
        accuracy_after=ground.accuracy,
        loss_before=loss,
        loss_after=ground.loss,
    )


def _situation(
    ground: _Ground,
    seen: Probe,
    findings: Findings | Undetermined,
    revived: tuple[np.ndarray, ...],
) -> Situation:
    plan, start, genome = ground.plan, ground.student.trial.genome, ground.body.genome
    return Situation(
        ground.body,
        seen,
        findings,
        revived,
        room(plan, start, genome, ground.progress),
        junctions(plan, start, genome),
        max(0, plan.max_layers - len(genome.plans)),
    )


def _repair(ground: _Ground, seen: Probe, rule: GrowthRule) -> tuple[np.ndarray, ...]:
    """Dead units revived, connections moved; the units of each hidden layer that were revived."""
    findings = found(seen)
    revives: list[Revive] = []
    if rule.revives and not isinstance(findings, Undetermined):
        revives = revivals(seen, findings.low)
        ground.refused += _left_dead(seen, findings.low)
    made = ground.make(revives)
    revived = [np.zeros(0, dtype=np.int64) for _ in seen.hidden]
    places = {hidden: place for place, hidden in unit_layers(seen).items()}
    for edit in made:
        assert isinstance(edit, Revive)
        number = seen.hidden_places.index(places[edit.layer])
        revived[number] = np.array([one.unit for one in edit.units])
    share = rewired_share(ground.progress)
    usable = ground.room.usable_inputs
    ground.make(rewirings(ground.body, seen, share, rule.rewires, usable))
    return tuple(revived)


def _left_dead(seen: Probe, dead: Sequence[Bool[np.ndarray, " _"]]) -> tuple[str, ...]:
    """Why dead units in and before residual blocks stay; nothing where there are none."""
    own = zip(seen.hidden_places, dead, strict=True)
    count = sum(int(mask.sum()) for place, mask in own if place not in unit_layers(seen))
    if not count:
        return ()
    return (f"revive: {count} dead units in or before residual blocks, where none is edited",)


def _proposal(rule: GrowthRule, situation: Situation) -> Proposal:
    try:
        return rule.propose(situation)
    except InvalidGenomeError as problem:  # a control found no place of the kind
        return Proposal(reason=str(problem))


def _outcome(ground: _Ground, *, grown: bool) -> GrowthOutcome:
    if grown:
        return "grown"
    if ground.edits:
        return "repaired"
    return "rolled_back" if ground.undone else "nothing"


def _with_events(
    events: Sequence[Growth], genome: Genome, edits: Sequence[Edit], epochs: int
) -> tuple[Growth, ...]:
    """Events of growth as schedules see them, with those of these edits: one for each sparse layer
    that got connections, numbered as it is afterwards."""
    known = list(events)
    for edit in edits:
        after = apply_edit(genome, edit)
        if isinstance(edit, InsertLayer):
            layer = genome.trunk[edit.place]
            known = [replace(one, layer=one.layer + (one.layer >= layer)) for one in known]
            layers = [layer]
        elif isinstance(edit, InsertResidualBlock):
            layer, count = genome.trunk[edit.junction + 1], BLOCK_LAYERS[edit.block]
            known = [replace(one, layer=one.layer + count * (one.layer >= layer)) for one in known]
            layers = [*range(layer, layer + count)]
        elif isinstance(edit, AddConnections):
            layers = [edit.layer]
        elif isinstance(edit, Widen | SplitUnit):
            layers = [genome.trunk[edit.layer]]
        else:
            layers = []
        known += [Growth(float(epochs), layer) for layer in layers]
        genome = after
    return tuple(dict.fromkeys(known))


def _of_grown(
    masks: tuple[Bool[np.ndarray, " _"], ...] | None, genome: Genome
) -> tuple[Bool[np.ndarray, " _"], ...] | None:
    """The extreme units measured last, where a layer only got units: those come behind the others.
    None where layers came or units went."""
    widths = [units for _, units in genome.shapes[:-1]]
    if masks is None or len(masks) != len(widths):
        return None
    more = [width - len(mask) for width, mask in zip(widths, masks, strict=True)]
    if min(more, default=0) < 0:
        return None
    return tuple(np.pad(mask, (0, count)) for mask, count in zip(masks, more, strict=True))


def _told(genome: Genome, edits: Sequence[Edit]) -> tuple[EditMade, ...]:
    """The edits by their sizes."""
    told = []
    for edit in edits:
        after = apply_edit(genome, edit)
        more = connection_count(after) - connection_count(genome)
        units = sum(after.hidden_widths) - sum(genome.hidden_widths)
        names = ("layer", "place", "junction")
        moved, layer = 0, next((getattr(edit, one) for one in names if hasattr(edit, one)), 0)
        if isinstance(edit, Rewire):
            moved = len(edit.added)
        elif isinstance(edit, Revive):
            units, moved = len(edit.units), sum(len(one.sources) for one in edit.units)
        told.append(
            EditMade(kind=edit.kind, layer=layer, connections=more, moved=moved, units=units)
        )
        genome = after
    return tuple(told)
