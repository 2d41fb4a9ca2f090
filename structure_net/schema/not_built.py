"""What the configuration already names and the program does not do yet. The only such list.

A row says which values of a field are missing and what the field is resolved to instead. Asked for
by command line, file or environment, a missing value is an error that names it; standing there only
by default or preset it is resolved with the origin `not built`. Turning it off always works.
The project is not finished while this list has any row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NotBuilt:
    """`missing(value)` tells which values cannot be had; `instead` is what a default becomes.

    `told` is the word for the run's first line, empty for a detail of something told already.
    `inert` marks a setting without an off value: it keeps its default and does nothing.
    """

    field: str
    missing: Callable[[Any], bool]
    instead: Any = None
    told: str = ""
    inert: bool = False


def _on(value: Any) -> bool:
    return bool(value)


def _any(_value: Any) -> bool:
    return True


NOT_BUILT: tuple[NotBuilt, ...] = (
    NotBuilt("enable_profiling", _on, False, "profiling"),
    NotBuilt("profiling_level", lambda level: level > 0, 0),
    NotBuilt("from_hunt", lambda run: run is not None, None),
    NotBuilt("executor", lambda name: name == "ray", "processes"),
    NotBuilt("dashboard", _on, False),
    NotBuilt("track", _on, ()),
    NotBuilt("enable_wandb", _on, False),
    NotBuilt("checkpoint_seconds", _any, inert=True),
    NotBuilt("grace_seconds", _any, inert=True),
    NotBuilt("stall_factor", _any, inert=True),
)

NOT_BUILT_COMMANDS: dict[str, str] = {
    "hunt": "the seed hunter",
    "dashboard": "the live page",
    "evaluate": "accuracy and robustness of a saved network",
    "records": "the outbox of experiment records",
    "export": "handing results on",
}
