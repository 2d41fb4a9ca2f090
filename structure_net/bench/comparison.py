"""Two published results side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structure_net.errors import UsageError

SAME_MACHINE = ("processor", "machine", "memory_bytes", "torch")


@dataclass(frozen=True)
class Change:
    """One ratio in both results; `percent` is how much higher the second is."""

    name: str
    side: str
    first: float
    second: float

    @property
    def percent(self) -> float:
        return 100 * (self.second / self.first - 1)


@dataclass(frozen=True)
class Comparison:
    """The ratios that both results hold, and what makes them hard to compare."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


def read_result(path: Path) -> dict[str, Any]:
    """A result as `structure-net bench --json` wrote it; UsageError for anything else."""
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"{path} cannot be read as a result of structure-net bench --json: {problem}."
        ) from problem
    if not isinstance(result, dict) or not {"workload", "workloads", "environment"} <= set(result):
        raise UsageError(
            f"{path} is not a result of structure-net bench --json: it needs the keys workload, "
            f"workloads and environment."
        )
    return result


def compare(first: Path, second: Path) -> Comparison:
    """The second result against the first; UsageError where they measured different things."""
    before, after = read_result(first), read_result(second)
    if before["workload"] != after["workload"]:
        raise UsageError(
            f"{first} measured workload {before['workload']} and {second} workload "
            f"{after['workload']}: different work, so their ratios do not compare. Measure both "
            f"with one version of structure-net."
        )
    changes = tuple(
        Change(name, side, ratio, after["workloads"][name]["ratio"][side])
        for name, figures in before["workloads"].items()
        for side, ratio in figures["ratio"].items()
        if side in after["workloads"].get(name, {}).get("ratio", {})
    )
    return Comparison(changes, tuple(_differences(before, after)))


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    pairs = [
        (key, before["environment"].get(key), after["environment"].get(key)) for key in SAME_MACHINE
    ]
    pairs += [(key, before.get(key), after.get(key)) for key in ("cores", "scale", "engines")]
    return [f"{key} was {old} and is {new}" for key, old, new in pairs if old != new]
