"""Fields of the configuration as the command line knows them: names, types, values from outside.

`schema` does not know the command line; here its fields get option names, which hold for the
environment and files too. Text becomes a value of the field's own type; ranges are left to
`schema.resolve`. What one source gives is a `Layer`; `merged` makes one `Given` of them.
"""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from structure_net.errors import UsageError
from structure_net.schema import Config, Given, Space

SPACE = "space."
SHORTCUTS = ("quick", "full")  # each is a preset by its own option
LONGEST_VALUE = 80  # characters of a wrong value that are shown
# A later word on one of the two takes back an earlier one on the other.
EXCLUDING = {"out": "name", "name": "out"}

# Option names that differ from the field's; the field's own name with dashes always works too.
OPTION_NAMES: dict[str, tuple[str, ...]] = {
    "epochs_per_generation": ("epochs", "epochs-per-generation"),
    "survivors_per_generation": ("survivors", "survivors-per-generation"),
    "batch_size_base": ("batch-size", "batch-size-base"),
    "enable_growth": ("growth", "enable-growth"),
    "enable_residual_blocks": ("residual", "enable-residual-blocks"),
    "enable_comprehensive_metrics": ("metrics", "enable-comprehensive-metrics"),
    "enable_profiling": ("profiling", "enable-profiling"),
    "learning_rate_strategies": ("learning-rate-strategies", "strategies"),
    "enable_wandb": ("wandb", "enable-wandb"),
    "space.max_parameters": ("max-parameters", "space.max-parameters"),
}


@cache
def fields() -> dict[str, FieldInfo]:
    """Every field by its flat name: those of the configuration, then those of `space`."""
    own = {name: info for name, info in Config.model_fields.items() if name != "space"}
    return {**own, **{SPACE + name: info for name, info in Space.model_fields.items()}}


def option_names(field: str) -> tuple[str, ...]:
    """Names of a field's option without the leading dashes, the usual one first."""
    return OPTION_NAMES.get(field, (field.replace("_", "-"),))


@cache
def keys() -> dict[str, str]:
    """What may stand in a file -> field: option names with underscores, and the fields' own."""
    known = {name.replace("-", "_"): field for field in fields() for name in option_names(field)}
    return {**known, **{name: name for name in (*fields(), *SHORTCUTS)}}


def bare_type(field: str) -> Any:
    """The type of a field without `None`; of a shortcut, a truth value."""
    annotation = bool if field in SHORTCUTS else fields()[field].annotation
    if get_origin(annotation) in (Union, UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def typed(field: str, value: Any, origin: str) -> Any:
    """A value from outside as the field's type; UsageError where it is none. Ranges come later."""
    kind, shown = bare_type(field), str(value)[:LONGEST_VALUE]
    if isinstance(value, str) and get_origin(kind) is tuple:
        value = split(value, nested=get_origin(get_args(kind)[0]) is tuple)
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as problem:
        wanted = str(problem.errors(include_url=False)[0]["msg"])
        raise UsageError(
            f"{field} cannot be {shown!r} (from {origin}): {wanted[:1].lower()}{wanted[1:]}."
        ) from problem


def split(text: str, *, nested: bool) -> list[Any]:
    """`A,B` is a list of two; `512,256;64` a list of two lists."""
    if nested:
        return [split(part, nested=False) for part in text.split(";") if part.strip()]
    return [part.strip() for part in text.split(",") if part.strip()]


class Layer:
    """The values that one source gives; a field given twice with two values is an error."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}

    def put(self, field: str, value: Any, origin: str) -> None:
        value = typed(field, value, origin)
        if field in SHORTCUTS:
            if not value:
                return
            field, value = "preset", field
        if field in self.values and self.values[field] != value:
            raise UsageError(
                f"{field} is given twice: {str(self.values[field])[:LONGEST_VALUE]} (from "
                f"{self.origins[field]}) and {str(value)[:LONGEST_VALUE]} (from {origin}). "
                f"Keep one of the two."
            )
        self.values[field] = value
        self.origins[field] = origin


def merged(layers: list[Layer]) -> Given:
    """The layers as one; the first has the last word."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        for field, value in layer.values.items():
            other = EXCLUDING.get(field)
            if other is not None and other not in layer.values:
                values.pop(other, None)
                origins.pop(other, None)
            values[field], origins[field] = value, layer.origins[field]
    return Given(values, origins)
