"""`structure-net config show` and `config check`."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from structure_net.cli.fields import merged
from structure_net.cli.options import ORDER
from structure_net.cli.sources import from_file
from structure_net.cli.tournament import TournamentOptions, given
from structure_net.errors import DONE
from structure_net.schema import Resolved, flat_values, resolve


def show_config(
    *,
    options: Annotated[TournamentOptions, Parameter(name="*")] = TournamentOptions(),  # noqa: B008
    json: Annotated[
        bool,
        Parameter(group=ORDER["Output"], negative="", show_default=False, help="as JSON"),
    ] = False,
) -> int:
    """Print every value that a tournament with these options would have, with its origin."""
    print(config_text(resolve(given(options)), json=json))
    return DONE


def check(file: Annotated[Path, Parameter(name="FILE", help="a TOML file")], /) -> int:
    """Say whether a configuration file is valid; the environment is left out."""
    resolve(merged([from_file(file)]))
    print(f"{file} is valid.")
    return DONE


def config_text(resolved: Resolved, *, json: bool) -> str:
    """Every value with its origin, as JSON or as three aligned columns."""
    values = flat_values(resolved.config)
    if json:
        rows = {
            name: {"value": value, "origin": resolved.origins[name]}
            for name, value in values.items()
        }
        return json_text.dumps(rows, indent=2)
    shown = {name: _shown(value) for name, value in values.items()}
    name_width = max(map(len, shown))
    value_width = min(40, max(map(len, shown.values())))
    return "\n".join(
        f"{name:<{name_width}}  {value:<{value_width}}  {resolved.origins[name]}"
        for name, value in shown.items()
    )


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return value if isinstance(value, str) else json_text.dumps(value)
