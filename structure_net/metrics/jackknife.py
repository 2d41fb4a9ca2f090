"""Standard errors by leaving out one group of samples at a time (delete-group jackknife)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

GROUPS = 20
# 97.5 % point of Student's t with 19 degrees of freedom, for a two-sided 95 % interval.
STUDENT = 2.09


def groups_of(samples: int) -> Int[np.ndarray, " samples"]:
    """The group 0 … 19 of each sample: its index modulo 20, so that data in order do no harm."""
    return np.arange(samples) % GROUPS


def spread(left_out: Sequence[float]) -> float:
    """Standard error from the estimates that leave out one group each:
    SE^2 = (G - 1)/G sum_g (theta_g - mean)^2."""
    values = np.asarray(left_out, dtype=np.float64)
    squares = np.square(values - values.mean())
    return math.sqrt((len(values) - 1) * float(squares.mean()))


def standard_error(estimate: Callable[[Int[np.ndarray, " kept"]], float], samples: int) -> float:
    """That of `estimate`, a function of the indices of the samples that stay in."""
    groups = groups_of(samples)
    return spread([estimate(np.flatnonzero(groups != group)) for group in range(GROUPS)])
