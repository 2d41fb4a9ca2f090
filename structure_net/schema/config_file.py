"""The resolved configuration as a TOML file that gives it back."""

from __future__ import annotations

from typing import Any

from structure_net.schema.config import Config
from structure_net.schema.not_built import NOT_BUILT
from structure_net.schema.resolve import NOT_BUILT_ORIGIN, SPACE, Resolved, flat_values
from structure_net.schema.space import Space


def config_toml(resolved: Resolved) -> str:
    """Every value with its meaning and origin as a comment; given to `--config` it is reproduced.

    An unset value is left out: TOML has no word for it. A setting that does nothing yet is named in
    a comment only, because asking for it is an error.
    """
    import tomlkit

    inert = {row.field for row in NOT_BUILT if row.inert}
    document = tomlkit.document()
    space = tomlkit.table()
    for name, value in flat_values(resolved.config).items():
        target: Any = space if name.startswith(SPACE) else document
        key, origin = name.removeprefix(SPACE), resolved.origins.get(name, "default")
        if name in inert and origin == NOT_BUILT_ORIGIN:
            target.add(tomlkit.comment(f"{key}: {origin}"))
        elif value is None:
            target.add(tomlkit.comment(f"{key} is unset: {_description(name)}"))
        else:
            target.add(tomlkit.comment(f"{_description(name)} ({_one_line(origin)})"))
            target.add(key, value)
    document.add("space", space)
    return tomlkit.dumps(document)


def _description(name: str) -> str:
    if name.startswith(SPACE):
        return Space.model_fields[name.removeprefix(SPACE)].description or ""
    return Config.model_fields[name].description or ""


def _one_line(text: str) -> str:
    """A comment ends with its line, and TOML forbids control characters in it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
