"""The configuration of a run: every field, its default (the seed's) and its range."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from structure_net.schema.augmentation import augmentation_text
from structure_net.schema.space import Space
from structure_net.schema.strategy_text import is_list, strategy_text
from structure_net.schema.trial import GrowthPlan, Initialisation, LearningRateControl, MetricsLevel

Preset = Literal["quick", "balanced", "full"]
# The first four compete by default; `learning_rates` says what each is made of.
STRATEGIES = (
    *("BASIC", "ADVANCED", "COMPREHENSIVE", "ULTIMATE"),
    *("CONSTANT", "COSINE", "PLATEAU"),
    *("CONSERVATIVE", "AGGRESSIVE", "BALANCED", "EXTREMA_FOCUSED", "FINE_TUNING"),
)
# The first two compete by default; `growth` says what each does.
GROWTH_RULES = (
    *("extrema", "predicted_gain", "information_flow", "hybrid"),
    *("seed_legacy_extrema", "seed_legacy_relative"),
    *("random_place_extrema", "random_place_predicted_gain"),
    *("opposite_place_extrema", "opposite_place_predicted_gain"),
    *("recycle_only", "set", "rigl", "none"),
)
NEW_BLOCKS = 2  # residual blocks that one training may add


def _split_at_commas(value: Any) -> Any:
    """`A,B` from the command line or the environment is a list of two."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return tuple(
        part.strip() if isinstance(part, str) else part
        for item in value
        for part in (item.split(",") if isinstance(item, str) else [item])
        if not isinstance(part, str) or part.strip()
    )


Names = Annotated[tuple[str, ...], BeforeValidator(_split_at_commas)]


class Config(BaseModel):
    """One tournament. `schema.resolve` applies presets and tells what is not built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset = Field(default="balanced", description="size of the run: quick, balanced, full")

    tournament_size: int = Field(
        default=64, ge=2, le=100_000, description="competing networks in a generation"
    )
    generations: int = Field(default=10, ge=1, le=100_000, description="generations of evolution")
    survivors_per_generation: int | None = Field(
        default=None, ge=1, description="members kept each generation; unset: a quarter of them"
    )
    mutation_rate: float = Field(
        default=0.3, ge=0, le=1, description="probability that a child is mutated"
    )
    epochs_per_generation: int = Field(
        default=20, ge=1, le=1_000_000, description="training epochs of a competitor"
    )
    batch_size_base: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="samples per step; unset: min(256, training samples / 32)",
    )
    weight_decay: float = Field(
        default=0.1, ge=0, le=1, description="decoupled weight decay of connections"
    )
    initialisation: Initialisation = Field(
        default="he",
        description="starting weights: he, by fan-in; lsuv, fitted to training samples too",
    )
    plugin: Names = Field(
        default=(), description="Python files with extensions of your own, run as they are"
    )
    learning_rate_strategies: Names = Field(
        default=("BASIC", "ADVANCED", "COMPREHENSIVE", "ULTIMATE"),
        min_length=1,
        description="strategies that compete, separated by commas; or lists like warm_up+cosine",
    )
    learning_rate_control: LearningRateControl = Field(
        default="none", description="shuffled: a placebo, each strategy's rates in random places"
    )

    enable_growth: bool = Field(default=True, description="networks grow while they train")
    enable_residual_blocks: bool = Field(default=True, description="sparse residual blocks")
    growth_frequency: int = Field(
        default=5, ge=1, le=1_000_000, description="epochs between attempts at growth"
    )
    growth_rules: Names = Field(
        default=("extrema", "predicted_gain"),
        min_length=1,
        description="rules of growth that compete, separated by commas",
    )
    max_layers: int = Field(
        default=20, ge=2, le=1000, description="most sparse layers, the output layer included"
    )

    enable_comprehensive_metrics: bool = Field(default=True, description="metrics during training")
    metrics_frequency: int = Field(
        default=2, ge=1, le=1_000_000, description="epochs between measurements"
    )
    metrics_level: MetricsLevel = Field(
        default="light", description="which metrics are measured every time"
    )
    enable_profiling: bool = Field(default=True, description="profile processor, memory and time")
    profiling_level: int = Field(default=1, ge=0, le=2, description="how much profiling collects")

    gradient_checkpointing: bool = Field(
        default=True, description="save memory in deep networks by computing activations twice"
    )
    mixed_precision: bool = Field(
        default=True, description="16-bit products with 32-bit weights where the device is fast"
    )
    memory_cleanup_frequency: int = Field(
        default=10, ge=1, le=1_000_000, description="epochs between clean-ups of device memory"
    )
    max_memory_per_gpu: float = Field(
        default=0.8, gt=0, le=1, description="share of a device's memory that a run may use"
    )
    processes_per_gpu: int = Field(
        default=2, ge=1, le=64, description="worker processes for each GPU"
    )

    dataset: str = Field(
        default="cifar10", description="digits, cifar10, synthetic-N, a path, or module:function"
    )
    data_dir: Path | None = Field(default=None, description="folder that holds the dataset")
    limit_train: int | None = Field(
        default=None, ge=20, description="use only so many training samples, drawn by class"
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=0.9, description="share of the training part kept for validation"
    )
    augmentation: str | None = Field(
        default=None,
        description="none, or any of flip, crop, cutout, mixup joined by +; crop2: by 2 pixels",
    )

    inherit: Literal["weights", "architecture", "none"] = Field(
        default="weights", description="what a child takes from its parents beside genes"
    )
    search: Literal["evolution", "random", "local"] = Field(
        default="evolution", description="where trials come from after the first generation"
    )
    max_cost: int | None = Field(
        default=None, ge=1, description="most FLOP of training; unset: generations end the run"
    )
    selection: str = Field(
        default="truncation", description="truncation, best-of-k, pareto, or a registered name"
    )
    fitness: str = Field(default="seed", description="seed, accuracy, or a registered name")
    adaptive_operators: bool = Field(
        default=False, description="draw more often the operators whose children survive"
    )
    rungs: int = Field(
        default=0, ge=0, le=20, description="times within a generation that the weaker half stops"
    )
    retrain: int = Field(
        default=0, ge=0, le=1000, description="fresh seeds on which the champion is trained again"
    )
    from_hunt: Path | None = Field(default=None, description="start from the results of a hunt")

    device: str = Field(default="auto", description="auto, cpu, cuda, or cuda:K")
    workers: int | None = Field(
        default=None, ge=1, le=4096, description="worker processes; unset: the usable cores"
    )
    executor: Literal["serial", "processes", "ray"] = Field(
        default="processes", description="where trials run"
    )
    engine: Literal["auto", "native", "dense", "csr"] = Field(
        default="auto", description="how networks are trained"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of every random draw")
    out: Path | None = Field(default=None, description="the run's directory itself")
    name: str | None = Field(default=None, description="last part of the run's directory")

    max_failed_fraction: float = Field(
        default=0.1, ge=0, le=1, description="share of trials that may fail before exit code 3"
    )
    checkpoint_seconds: float = Field(
        default=60, ge=0, description="seconds between partial saves of a running trial"
    )
    grace_seconds: float = Field(
        default=10, ge=0, description="seconds that running epochs get after an interrupt"
    )
    stall_factor: float = Field(
        default=10, ge=2, description="a worker this many median epochs silent is stuck"
    )

    dashboard: bool = Field(default=False, description="open the live page")
    track: Names = Field(default=(), description="trackers to ship to: wandb, mlflow")
    enable_wandb: bool = Field(default=False, description="the same as --track wandb")

    space: Space = Field(default=Space(), description="bounds of the search")

    @field_validator("learning_rate_strategies")
    @classmethod
    def _known_strategies(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Without a plug-in the names are known here; with one, and of lists of schedules, the
        run's start checks them."""
        from structure_net.registry import nearest, normal

        known = {normal(name): name for name in STRATEGIES}
        for name in names:
            own = is_list(name) or bool(info.data.get("plugin"))
            if normal(name) not in known and not own:
                raise ValueError(f"no strategy {name!r}: {nearest(name, list(STRATEGIES))}")
        spelled = [known.get(normal(name), strategy_text(name)) for name in names]
        return tuple(dict.fromkeys(spelled))

    @field_validator("growth_rules")
    @classmethod
    def _known_rules(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """As for strategies."""
        from structure_net.registry import nearest, normal

        known = {normal(name): name for name in GROWTH_RULES}
        for name in names:
            if normal(name) not in known and not info.data.get("plugin"):
                raise ValueError(f"no growth rule {name!r}: {nearest(name, list(GROWTH_RULES))}")
        return tuple(dict.fromkeys(known.get(normal(name), name) for name in names))

    @field_validator("device")
    @classmethod
    def _device_form(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", device):
            raise ValueError(f"no device {device!r}: auto, cpu, cuda or cuda:K with a number K")
        return device

    @field_validator("name")
    @classmethod
    def _name_form(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[\w.+-]{1,100}", name):
            raise ValueError(f"{name!r} cannot name a folder: letters, digits, . _ + - only")
        if name in (".", ".."):
            raise ValueError(f"{name!r} cannot name a folder")
        return name

    @field_validator("augmentation")
    @classmethod
    def _augmentation_form(cls, text: str | None) -> str | None:
        return None if text is None else augmentation_text(text)

    @field_validator("dataset", "selection", "fitness", "data_dir", "out", "from_hunt")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        if value is not None and (not str(value).strip() or "\0" in str(value)):
            raise ValueError("wants a name or path, not an empty one")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        survivors = self.survivors_per_generation
        if survivors is not None and survivors >= self.tournament_size:
            raise ValueError(
                f"survivors_per_generation is {survivors} and must be fewer than tournament_size, "
                f"which is {self.tournament_size}: every generation needs offspring"
            )
        if self.out is not None and self.name is not None:
            raise ValueError("out and name exclude each other: out is the whole directory")
        return self

    @property
    def survivors(self) -> int:
        """Members kept each generation: as configured, else a quarter, always fewer than all."""
        return self.survivors_per_generation or max(1, self.tournament_size // 4)

    def growth_plan(self, inputs: int) -> GrowthPlan | None:
        """How networks with so many inputs may grow; None without growth."""
        if not self.enable_growth:
            return None
        return GrowthPlan(
            frequency=self.growth_frequency,
            max_layers=self.max_layers,
            max_width=self.space.width_range(inputs)[1],
            max_density=self.space.max_density,
            max_parameters=self.space.max_parameters,
            new_blocks=NEW_BLOCKS if self.enable_residual_blocks else 0,
            narrowest_junction=self.space.narrowest_junction(inputs),
        )

    @property
    def rung_epochs(self) -> tuple[int, ...]:
        """Epochs after which the weaker half stops: the shares 1/2^rungs to 1/2 of all epochs,
        rounded down, at least one, each once; none where there is but one epoch."""
        planned = self.epochs_per_generation
        wanted = {max(1, planned >> halvings) for halvings in range(1, self.rungs + 1)}
        return tuple(sorted(epoch for epoch in wanted if epoch < planned))


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "tournament_size": 16,
        "generations": 3,
        "epochs_per_generation": 10,
        "retrain": 0,
        "dataset": "digits",
    },
    "balanced": {
        "tournament_size": 32,
        "generations": 5,
        "epochs_per_generation": 15,
        "retrain": 2,
    },
    "full": {
        "tournament_size": 64,
        "generations": 10,
        "epochs_per_generation": 20,
        "retrain": 5,
    },
}

# Fields that cannot change a result: where and how it is computed, shown and kept. `resume` may
# change them, and the canonical dump leaves them out.
FREE_OF_RESULTS = frozenset(
    {
        "preset",
        "data_dir",
        "workers",
        "executor",
        "processes_per_gpu",
        "out",
        "name",
        "dashboard",
        "track",
        "enable_wandb",
        "enable_profiling",
        "profiling_level",
        "checkpoint_seconds",
        "grace_seconds",
        "stall_factor",
        "max_memory_per_gpu",
        "memory_cleanup_frequency",
        "max_failed_fraction",
    }
)
