"""Starting weights by actual fan-in (He et al. 2015, with the live fan-in of each unit)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from structure_net.genome import Activation
from structure_net.networks.connectivity import Connections

# 1 / E[phi(xi)^2] for xi ~ N(0, 1): the squared row norm that keeps a signal's second moment.
# relu and leaky_relu in closed form, the others by quadrature (a test repeats it).
GAIN_SQUARED: dict[Activation, float] = {
    "relu": 2.0,
    "leaky_relu": 2.0 / (1.0 + 0.01**2),
    "gelu": 2.352,
    "silu": 2.811,
    "tanh": 2.536,
}


def he_weights(
    connections: Connections, gain_squared: float, generator: np.random.Generator
) -> Float[np.ndarray, " connections"]:
    """N(0, 1) draws, each row scaled so that the sum of its squares is exactly `gain_squared`.

    Exactly, because at a fan-in of 3 drawn row norms spread the signal more than tenfold over ten
    layers. float32 [N], in the order of `connections.columns`.
    """
    drawn = generator.standard_normal(len(connections.columns))
    squares = np.add.reduceat(drawn**2, connections.row_pointers[:-1])
    scale = np.sqrt(gain_squared / squares)
    weights: np.ndarray = drawn * np.repeat(scale, connections.fan_in)
    return weights.astype(np.float32)
