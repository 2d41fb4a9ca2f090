"""One genome trained once, and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from structure_net.genome import Edit, Genome

Failure = Literal["killed", "out_of_memory", "stalled", "node_lost", "diverged", "error", "invalid"]
MetricsLevel = Literal["light", "full"]
LearningRateControl = Literal["none", "shuffled"]
Initialisation = Literal["he", "lsuv"]
GrowthOutcome = Literal["grown", "repaired", "rolled_back", "nothing"]
# Causes outside the trial: the same trial may succeed when it is run again.
OUTSIDE_CAUSES: frozenset[str] = frozenset({"killed", "out_of_memory", "stalled", "node_lost"})


class Volatile:
    """Marks a field that two equal runs may differ in: times, places, bytes. See `canonical`."""


Seconds = Annotated[float, Field(ge=0), Volatile]


class Frozen(BaseModel):
    """Base of stored data: immutable, no unknown fields, no NaN or infinity.

    What is written always holds every field, and the published schema says so.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


class OnlyIfGiven:
    """Marks a field that the canonical dump leaves out while it is None: runs that do without what
    it tells keep the dump that they had before there was such a field."""


class Inheritance(Frozen):
    """What a trial starts from: the network of an earlier trial, turned into the child's.

    Of the `primary` parent comes the network. Where `other` is given, the sparse layers `taken`
    are of that parent, `matched` pairs hidden layers of the two. `crossed` is the genome that comes
    of it; `edits` turn that into the trial's.
    """

    primary: int = Field(ge=0)
    other: int | None = Field(default=None, ge=0)
    matched: tuple[tuple[int, int], ...] = ()
    taken: tuple[int, ...] = ()
    crossed: Genome
    edits: tuple[Edit, ...] = ()

    @property
    def trials(self) -> tuple[int, ...]:
        """The trials whose saved networks are needed."""
        return (self.primary,) if self.other is None else (self.primary, self.other)


class Trial(Frozen):
    """`number` counts through the whole run; `seed` derives everything random inside. A trial that
    `inherits` nothing starts from drawn weights."""

    number: int = Field(ge=0)
    generation: int = Field(ge=0)
    genome: Genome
    seed: int = Field(ge=0)
    parents: tuple[int, ...] = ()
    operators: tuple[str, ...] = ()
    epochs: int = Field(ge=1)
    inherits: Annotated[Inheritance | None, OnlyIfGiven] = None


class EditMade(Frozen):
    """An edit of a growth event by its size: connections that it added, connections that it moved
    to other places, units that it added or revived. `layer` counts as the edit's kind does."""

    kind: str
    layer: int
    connections: int = 0
    moved: int = 0
    units: int = 0


class GrowthRecord(Frozen):
    """One attempt at growth, after `epoch` (counted from 0).

    `trigger` holds the numbers that decided, `findings` the units with one in each hidden layer,
    `reason` why nothing was added, `refused` edits that did not fit and why. Accuracy and loss are
    those on the validation split right before and right after. What was rolled back is not among
    the `edits`. The predicted gain is in nats.
    """

    epoch: int = Field(ge=0)
    rule: str
    outcome: GrowthOutcome
    trigger: dict[str, float] = Field(default_factory=dict)
    findings: tuple[int, ...] = ()
    reason: str = ""
    edits: tuple[EditMade, ...] = ()
    refused: tuple[str, ...] = ()
    predicted_gain: float | None = None
    predicted_gain_error: float | None = None
    architecture_before: tuple[int, ...]
    architecture_after: tuple[int, ...]
    connections_before: int = Field(ge=1)
    connections_after: int = Field(ge=1)
    parameters_before: int = Field(ge=1)
    parameters_after: int = Field(ge=1)
    accuracy_before: float = Field(ge=0, le=1)
    accuracy_after: float = Field(ge=0, le=1)
    loss_before: float = Field(ge=0)
    loss_after: float = Field(ge=0)


class GrowthPlan(Frozen):
    """How often networks try to grow, in epochs, and how far they may. `new_blocks` is how many
    residual blocks a trial may get, behind hidden layers of `narrowest_junction` units or more."""

    frequency: int = Field(ge=1)
    max_layers: int = Field(ge=2)
    max_width: int = Field(ge=1)
    max_density: float = Field(gt=0, le=1)
    max_parameters: int | None = Field(default=None, ge=1)
    new_blocks: int = Field(default=0, ge=0)
    narrowest_junction: int = Field(default=1, ge=1)


class TrainingPlan(Frozen):
    """What all trials of a run share; a worker gets it once. Folders are this machine's.

    `keep_states` asks for the optimizer's state beside each saved network. Metrics are measured
    every `metrics_frequency` epochs, None for never. `learning_rate_control`: as the strategies
    say, or shuffled as a placebo. `growth` is None where no network grows. `initialisation`
    is that of weights that are not inherited: drawn by fan-in, or fitted to training samples too.
    """

    run_seed: int = Field(ge=0)
    dataset: str
    limit_train: int | None
    validation_fraction: float
    augmentation: str
    batch_size: int = Field(ge=1)
    weight_decay: float = Field(ge=0)
    networks: str
    initialisation: Initialisation = "he"
    keep_states: bool = False
    mixed_precision: bool = False
    gradient_checkpointing: bool = False
    memory_cleanup_frequency: int = Field(default=10, ge=1)
    plugins: tuple[str, ...] = ()
    metrics_frequency: int | None = Field(default=None, ge=1)
    metrics_level: MetricsLevel = "light"
    learning_rate_control: LearningRateControl = "none"
    growth: GrowthPlan | None = None


class PluginFile(Frozen):
    """A plug-in of a run: its name in the run's folder `plugins`, the hash of its content."""

    name: str = Field(pattern=r"^[^/]+$")  # of a file in that folder and nowhere else
    sha256: str


class Segment(Frozen):
    """The part of a training between two rungs: epochs `first_epoch` to `end_epoch` - 1, or to
    the trial's last epoch. One that does not begin at 0 goes on from a paused state."""

    first_epoch: int = Field(default=0, ge=0)
    end_epoch: int | None = Field(default=None, ge=1)


WHOLE = Segment()


class Cohort(Frozen):
    """Trials that one worker trains in lockstep, all by one engine.

    `micro_batch` is how many samples of a batch they take at a time to begin with, as estimated;
    None for whole batches. `segment` is the part of their epochs that is trained now.
    """

    engine: str
    trials: tuple[Trial, ...]
    attempts: tuple[int, ...]
    micro_batch: int | None = Field(default=None, ge=1)
    segment: Segment = WHOLE


class TrialResult(Frozen):
    """A finished training. Accuracies in [0, 1] on the validation split, losses in nats.

    `cost` is the ledger: floating-point operations of training and evaluation. `network_sha256` is
    of the saved weights: equal hashes are equal networks, bit for bit. `micro_batch` is how many
    samples at a time memory allowed in the end, None for whole batches. The peaks are those of the
    worker while it trained the trial's cohort: resident memory, and allocated CUDA memory.
    `stopped_after` is the number of epochs after which a rung ended it, None for all of them.
    A network that changed while it trained has a `final_genome`, and `growth` holds the attempts
    that added something; sizes are those at the end.
    """

    trial: Trial
    validation_accuracy: float = Field(ge=0, le=1)
    validation_loss: float = Field(ge=0)
    train_loss: float = Field(ge=0)
    active_parameters: int = Field(ge=1)
    dense_parameters: int = Field(ge=1)
    connections: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    engine: str
    cost: int = Field(ge=0)
    network_sha256: str
    stopped_after: Annotated[int | None, Field(ge=1)] = None
    final_genome: Annotated[Genome | None, OnlyIfGiven] = None
    growth: Annotated[tuple[GrowthRecord, ...] | None, OnlyIfGiven] = None
    seconds: Seconds = 0.0
    micro_batch: Annotated[int | None, Field(ge=1), Volatile] = None
    peak_bytes: Annotated[int, Field(ge=0), Volatile] = 0
    device_peak_bytes: Annotated[int, Field(ge=0), Volatile] = 0

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def genome(self) -> Genome:
        """The genome of the network at the end, which children come from."""
        return self.final_genome or self.trial.genome
