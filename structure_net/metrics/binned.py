"""Mutual information of discrete variables, and of continuous ones cut into bins, in nats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# At most ten bins, and on average at least five samples in a cell of the table.
MOST_BINS = 10
SAMPLES_PER_CELL = 5


@dataclass(frozen=True)
class BinnedInformation:
    """The plug-in value of a table of bins, and the value with the correction for its bias."""

    uncorrected: float
    corrected: float
    bins: int


def table_information(table: Float[np.ndarray, "left right"]) -> float:
    """I(X; Y) of a table of joint probabilities or counts: the plug-in value, in nats."""
    joint = table / table.sum()
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / expected[seen])).sum())


def binned_information(
    x: Float[np.ndarray, " samples"], y: Float[np.ndarray, " samples"]
) -> BinnedInformation:
    """Equal-frequency bins, min(10, floor(sqrt(samples / 5))) a side, equal values in the order of
    their index; corrected by (B_x + B_y - B_xy - 1) / (2 M), B occupied bins and cells (Miller
    1955)."""
    samples = len(x)
    bins = max(1, min(MOST_BINS, int(np.sqrt(samples / SAMPLES_PER_CELL))))
    table = np.zeros((bins, bins))
    np.add.at(table, (_equal_bins(x, bins), _equal_bins(y, bins)), 1.0)
    value = table_information(table)
    occupied = [(table.sum(axis=axis) > 0).sum() for axis in (0, 1)]
    correction = (sum(occupied) - (table > 0).sum() - 1) / (2 * samples)
    return BinnedInformation(value, float(value + correction), bins)


def _equal_bins(values: Float[np.ndarray, " samples"], bins: int) -> Int[np.ndarray, " samples"]:
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(ranks * bins // len(values))
