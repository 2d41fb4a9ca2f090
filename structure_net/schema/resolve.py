"""From what was given to the configuration that runs, with the origin of every value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from structure_net.errors import UsageError
from structure_net.registry import normal
from structure_net.schema.config import FREE_OF_RESULTS, PRESETS, Config
from structure_net.schema.not_built import NOT_BUILT

NOT_BUILT_ORIGIN = "not built"
SPACE = "space."


class Resolved(BaseModel):
    """A configuration ready to run. `origins` maps each field (`space.x` too) to its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: Config
    origins: dict[str, str]

    @property
    def without(self) -> list[str]:
        """What the defaults ask for and the program does not do yet, in words."""
        return [
            row.told
            for row in NOT_BUILT
            if row.told and self.origins.get(row.field) == NOT_BUILT_ORIGIN
        ]


@dataclass(frozen=True)
class Given:
    """Values as they were given, flat (`space.min_width` is a key), and where each came from."""

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


def resolve(given: Given | None = None, **values: Any) -> Resolved:
    """Given values over the preset's over the defaults; UsageError names field and origin.

    Keyword arguments are the way of a script: `resolve(preset="quick", seed=3)`.
    """
    given = given or Given(values, dict.fromkeys(values, "argument"))
    flat, origins = dict(given.values), dict(given.origins)
    preset = flat.get("preset", Config.model_fields["preset"].default)
    for name, value in PRESETS.get(str(preset), {}).items():
        if name not in flat:
            flat[name] = value
            origins[name] = f"preset:{preset}"
    _replace_not_built(flat, origins, given)
    _select_by_fronts(flat, origins)
    config = validated(flat, origins)
    for name in _every_name():
        origins.setdefault(name, "default")
    return Resolved(config=config, origins=dict(sorted(origins.items())))


def validated(flat: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """The model of flat values; each problem of pydantic's becomes one sentence."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        if name.startswith(SPACE):
            if isinstance(space := nested.setdefault("space", {}), dict):
                space[name.removeprefix(SPACE)] = value
        elif name == "space" and isinstance(value, BaseModel):
            nested.setdefault("space", {}).update(value.model_dump(exclude_unset=True))
        elif name == "space" and isinstance(value, Mapping):
            nested.setdefault("space", {}).update(value)
        else:
            nested[name] = value
    try:
        return Config.model_validate(nested)
    except ValidationError as problem:
        raise UsageError(explain(problem, origins)) from problem


def explain(problem: ValidationError, origins: Mapping[str, str]) -> str:
    """One paragraph for a pydantic error: option, value, what is allowed, where it came from."""
    sentences = []
    for error in problem.errors(include_url=False):
        name = ".".join(str(part) for part in error["loc"][:2] if isinstance(part, str))
        origin = origins.get(name) or origins.get(name.split(".")[0])
        text = str(error["msg"]).removeprefix("Value error, ")
        where = f" (from {origin})" if origin else ""
        if error["type"] == "extra_forbidden":
            sentences.append(f"There is no field {name!r}{where}.")
        elif name in ("", "space") and error["type"] == "value_error":
            sentences.append(_ended(text + _sources(text, origins)))
        elif error["type"] == "value_error":
            sentences.append(_ended(f"{name}{where}: {text}"))
        else:
            shown = json.dumps(error["input"], default=str)[:80]
            sentences.append(_ended(f"{name} cannot be {shown}{where}: {_lower(text)}"))
    return " ".join(dict.fromkeys(sentences))


def _sources(text: str, origins: Mapping[str, str]) -> str:
    """Where the fields came from that a sentence about several of them names."""
    told = [
        f"{name} from {origin}"
        for name, origin in origins.items()
        if re.search(rf"(?<![\w.]){re.escape(name)}\b", text)
    ]
    return f" ({', '.join(told)})" if told else ""


def _ended(text: str) -> str:
    return text if text.endswith((".", "?")) else text + "."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _replace_not_built(flat: dict[str, Any], origins: dict[str, str], given: Given) -> None:
    for row in NOT_BUILT:
        default = Config.model_fields[row.field].get_default()
        value = flat.get(row.field, default)
        if row.field in given.values:
            value = _typed(row.field, value)
            if value is not _WRONG and value != row.instead and row.missing(value):
                shown = ",".join(value) if isinstance(value, tuple) else _word(value)
                raise UsageError(
                    f"{row.field} = {shown} (from {given.origins.get(row.field, 'argument')}) is "
                    f"not built yet. Leave it out: the rest of the run works without it."
                )
        elif row.inert:
            origins[row.field] = NOT_BUILT_ORIGIN
        elif row.missing(value):
            flat[row.field] = row.instead
            origins[row.field] = NOT_BUILT_ORIGIN


def _select_by_fronts(flat: dict[str, Any], origins: dict[str, str]) -> None:
    """`fitness = pareto` is a wish about selection: a pair of numbers has no order to rank by."""
    if not isinstance(wish := flat.get("fitness"), str) or normal(wish) != "pareto":
        return
    origin = f"{origins.get('fitness', 'argument')}, fitness = pareto"
    chosen = flat.get("selection", "pareto")
    if not isinstance(chosen, str) or normal(chosen) != "pareto":
        raise UsageError(
            f"fitness = pareto (from {origins.get('fitness', 'argument')}) is selection by fronts, "
            f"and selection is {chosen} (from {origins.get('selection', 'argument')}). Leave out "
            f"one of the two."
        )
    flat["selection"], origins["selection"] = "pareto", origin
    flat["fitness"], origins["fitness"] = Config.model_fields["fitness"].default, origin


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


_WRONG = object()


@cache
def _field_type(name: str) -> TypeAdapter[Any]:
    info = Config.model_fields[name]
    kind: Any = info.annotation
    if info.metadata:
        kind = Annotated[kind, *info.metadata]
    return TypeAdapter(kind)


def _typed(name: str, value: Any) -> Any:
    """The value as the field takes it; a wrong one is not missing, and is refused later."""
    try:
        return _field_type(name).validate_python(value)
    except ValidationError:
        return _WRONG


def _every_name() -> list[str]:
    names = [name for name in Config.model_fields if name != "space"]
    space = Config.model_fields["space"].get_default()
    return names + [SPACE + name for name in type(space).model_fields]


def flat_values(config: Config) -> dict[str, Any]:
    """Every field by its flat name, as JSON values."""
    nested = config.model_dump(mode="json")
    space = nested.pop("space")
    return {**nested, **{SPACE + name: value for name, value in space.items()}}


def deciding_values(config: Config) -> dict[str, Any]:
    """The fields that can change a result, flat: what two equal runs share.

    Of plug-ins the content decides, which stands beside in `TournamentStarted.plugins`.
    """
    left_out = FREE_OF_RESULTS | {"plugin"}
    return {name: value for name, value in flat_values(config).items() if name not in left_out}
