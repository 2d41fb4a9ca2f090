"""Every field of the configuration as a command-line option: its group, help and type.

A model is made whose set fields are exactly the options given. The types serve help and
completion; what arrives is the text as typed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel, ConfigDict, SkipValidation, create_model

from structure_net.cli.fields import (
    SHORTCUTS,
    SPACE,
    Layer,
    bare_type,
    fields,
    keys,
    option_names,
)
from structure_net.schema import NOT_BUILT, PRESETS, flat_values, resolve

COMMAND_LINE = "command line"

GROUPS: dict[str, tuple[str, ...]] = {
    "Tournament": (
        "preset",
        "tournament_size",
        "generations",
        "survivors_per_generation",
        "mutation_rate",
        "search",
        "max_cost",
        "selection",
        "fitness",
        "inherit",
        "adaptive_operators",
        "rungs",
        "retrain",
        "from_hunt",
        "plugin",
        "seed",
        "max_failed_fraction",
    ),
    "Training": (
        "epochs_per_generation",
        "batch_size_base",
        "weight_decay",
        "initialisation",
        "learning_rate_strategies",
        "learning_rate_control",
        "gradient_checkpointing",
        "mixed_precision",
    ),
    "Growth": (
        "enable_growth",
        "enable_residual_blocks",
        "growth_frequency",
        "growth_rules",
        "max_layers",
    ),
    "Metrics and profiling": (
        "enable_comprehensive_metrics",
        "metrics_frequency",
        "metrics_level",
        "enable_profiling",
        "profiling_level",
    ),
    "Data": ("dataset", "data_dir", "limit_train", "validation_fraction", "augmentation"),
    "Where it runs": (
        "device",
        "workers",
        "processes_per_gpu",
        "executor",
        "engine",
        "max_memory_per_gpu",
        "memory_cleanup_frequency",
        "checkpoint_seconds",
        "grace_seconds",
        "stall_factor",
    ),
    "Output": ("out", "name", "dashboard", "track", "enable_wandb"),
}
OTHER = "Other"  # a field that joined the configuration and no group yet
SEARCH_SPACE = "Search space"
ORDER = {name: Group(name, sort_key=place) for place, name in enumerate([*GROUPS, OTHER])}
ORDER[SEARCH_SPACE] = Group(SEARCH_SPACE, sort_key=len(ORDER))


def from_command_line(options: BaseModel) -> Layer:
    """The fields of a model of `option_model` that were given."""
    layer = Layer()
    for attribute in type(options).model_fields:
        field = _field_of(attribute)
        if attribute not in options.model_fields_set or field not in keys():
            continue
        value = getattr(options, attribute)
        if isinstance(value, list):
            value = (";" if field == "space.initial_architectures" else ",").join(value)
        layer.put(field, value, COMMAND_LINE)
    return layer


def _attribute(field: str) -> str:
    return field.replace(".", "__")


def _field_of(attribute: str) -> str:
    return attribute.replace("__", ".")


def option_model(name: str, only: frozenset[str] | None = None) -> type[BaseModel]:
    """A model with an attribute for each field (or for `only` these), unset unless given.

    The types serve help and completion; what arrives is the text as typed.
    """
    wanted = [field for field in fields() if only is None or field in only]
    members: dict[str, Any] = {
        _attribute(field): (_option(field), None) for field in sorted(wanted, key=_place)
    }
    if only is None:
        members = {**_preset_options(), **members}
    # The parser looks for a class's comments in its module's source: in the smallest, 50 ms sooner.
    home = __name__.rpartition(".")[0]
    return create_model(name, __config__=ConfigDict(frozen=True), __module__=home, **members)


def _place(field: str) -> int:
    listed = [name for group in GROUPS.values() for name in group]
    return listed.index(field) if field in listed else len(listed)


def _group(field: str) -> Group:
    if field.startswith(SPACE):
        return ORDER[SEARCH_SPACE]
    return ORDER[next((name for name, of in GROUPS.items() if field in of), OTHER)]


def _texts(_type: Any, tokens: Any) -> Any:
    """All that was typed, unconverted."""
    texts = [token.value for token in tokens]
    return texts if get_origin(_type) is list else texts[-1]


def _option(field: str) -> Any:
    kind, names = bare_type(field), option_names(field)
    parameter = Parameter(
        name=["--" + name for name in names],
        group=_group(field),
        help=help_text(field),
        show_default=False,
        negative=["--no-" + names[0].removeprefix("enable-")] if kind is bool else "",
        negative_iterable=(),
        converter=None if kind is bool else _texts,
        allow_leading_hyphen=False,
    )
    shown = list[str] if get_origin(kind) is tuple else kind
    return Annotated[shown | None, SkipValidation, parameter]


def _preset_options() -> dict[str, Any]:
    """`--quick`, `--full` and `--config`, which are no fields."""

    def plain(kind: Any, name: str, about: str) -> Any:
        parameter = Parameter(
            name="--" + name, help=about, group=ORDER["Tournament"], show_default=False, negative=""
        )
        return (Annotated[kind | None, parameter], None)

    return {
        "quick": plain(bool, "quick", f"small run: {_sizes('quick')}"),
        "full": plain(bool, "full", f"large run: {_sizes('full')}"),
        "config_file": plain(Path, "config", "TOML file with any of these options"),
    }


def _sizes(preset: str) -> str:
    chosen = PRESETS[preset]
    return (
        f"{chosen['tournament_size']} networks, {chosen['generations']} generations, "
        f"{chosen['epochs_per_generation']} epochs"
    )


@cache
def _values(preset: str) -> dict[str, Any]:
    return flat_values(resolve(preset=preset).config)


def help_text(field: str) -> str:
    """What the option means, what holds without it (per preset), and what is not built."""
    parts = [_default_text(field), _not_built_text(field)]
    brackets = "; ".join(part for part in parts if part)
    about = fields()[field].description or ""
    return f"{about} [{brackets}]" if brackets else about


def _default_text(field: str) -> str:
    default = _default(field, "balanced")
    if any(row.field == field and row.inert for row in NOT_BUILT) or not default:
        return ""
    others = [
        f"{preset} {_default(field, preset)}"
        for preset in SHORTCUTS
        if _default(field, preset) not in (default, "")
    ]
    return "; ".join([f"default: {default}", *([", ".join(others)] if others else [])])


def _default(field: str, preset: str) -> str:
    return "" if field == "preset" and preset in SHORTCUTS else _shown(_values(preset)[field])


def _not_built_text(field: str) -> str:
    """Which values cannot be had yet; without choices: none but the default."""
    row = next((row for row in NOT_BUILT if row.field == field), None)
    kind = bare_type(field)
    if row is None or kind is str:
        return ""
    if get_origin(kind) is Literal and not row.inert:
        missing = [choice for choice in get_args(kind) if row.missing(choice)]
        return f"{', '.join(missing)} not built yet"
    return "not built yet"


def _shown(value: Any) -> str:
    """A default as it would be typed; empty for none."""
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        inner = ";" if isinstance(value[0], list) else ","
        return inner.join(_shown(item) for item in value)
    return str(value)
