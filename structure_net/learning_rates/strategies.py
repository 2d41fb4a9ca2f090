"""Strategies: named lists of schedules, as data; and lists that a configuration writes itself."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from structure_net.errors import UsageError
from structure_net.learning_rates.schedule import SCHEDULES, Schedule
from structure_net.registry import Registry, nearest
from structure_net.schema import is_list, schedule_parts

Strategy = tuple[Schedule, ...]
STRATEGIES: Registry[Strategy] = Registry("learning-rate strategy")

# Numbers that something is divided by.
DIVISORS = frozenset({"epochs", "reference"})


def strategy_of(name: str) -> Strategy:
    """The schedules of a registered strategy, or of a list like `warm_up:share=0.1+cosine`.

    UsageError with suggestions where a strategy, a schedule or a number of one is unknown.
    """
    if not is_list(name):
        return STRATEGIES.get(name)
    try:
        parts = schedule_parts(name)
    except ValueError as problem:
        raise UsageError(f"{problem}.") from problem
    return tuple(_numbered(part, numbers) for part, numbers in parts)


def _numbered(name: str, numbers: dict[str, float]) -> Schedule:
    """The schedule of that name with numbers of its own."""
    one: Any = SCHEDULES.get(name)
    known = [field.name for field in fields(one)] if is_dataclass(one) else []
    for key, value in numbers.items():
        if key not in known:
            hint = nearest(key, known) if known else "it has none."
            raise UsageError(f"The schedule {name!r} has no number {key!r}: {hint}")
        if value == 0 and key in DIVISORS:
            raise UsageError(f"{key} of the schedule {name!r} cannot be 0: a number above 0.")
    schedule: Schedule = replace(one, **numbers) if numbers else one
    return schedule


_FIRST = "exponential_backoff+layerwise+soft_clamping"
_SECOND = f"{_FIRST}+extrema_phase+layer_age"
_THIRD = f"{_SECOND}+multi_scale+sparsity_awareness"

ROWS = {
    # The four that compete by default, each with all that the one before it has.
    "BASIC": _FIRST,
    "ADVANCED": _SECOND,
    "COMPREHENSIVE": _THIRD,
    "ULTIMATE": f"{_THIRD}+growth_decay+trust_ratio",
    # Baselines.
    "CONSTANT": "constant:factor=1",
    "COSINE": "warm_up+cosine",
    "PLATEAU": "warm_up+plateau",
    # Presets for a purpose.
    "CONSERVATIVE": "constant:factor=0.5+warm_up:share=0.1+cosine+soft_clamping",
    "AGGRESSIVE": "constant:factor=2+warm_up:share=0.02+cosine:end=0.05+extrema_phase",
    "BALANCED": "warm_up+cosine+layerwise+sparsity_awareness",
    "EXTREMA_FOCUSED": "warm_up+cosine+extrema_phase+extrema_proximity",
    "FINE_TUNING": "constant:factor=0.2+cosine+cascading_decay+origin",
}
for _name, _row in ROWS.items():
    STRATEGIES.register(_name)(strategy_of(_row))
