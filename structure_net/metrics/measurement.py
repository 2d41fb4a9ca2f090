"""What a metric says: a number for the network, one for each layer, and why where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Undetermined:
    """What cannot be computed, and why: never 0, never NaN, and it triggers nothing."""

    reason: str


Value = float | Undetermined


@dataclass(frozen=True)
class Measurement:
    """One metric of one network. `layers` are the hidden layers or all sparse layers, input side
    first: the metric's docstring says which. `detail` is plain JSON data (lists, dicts by string,
    numbers, texts, None): histograms, intervals, flags."""

    total: Value
    layers: tuple[Value, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
