"""What the optimizer of a saved network remembers: `NAME.state` beside the network, a safetensors
file with an ending of its own, so that a search for networks does not find it.

Its hash stands in the network's description under `training`, so that the two are of one moment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from structure_net.errors import ModelFileError
from structure_net.files import atomic_write
from structure_net.networks.model_file import load_network, sealed_tensors, tensors_sha256
from structure_net.networks.network import Network
from structure_net.networks.parts import OptimizerState

STATE_HASH = "optimizer_state_sha256"  # in a description's `training`
VECTORS = ("first_moment", "second_moment", "age")


def state_file(path: Path) -> Path:
    """Where the optimizer's state of the network at `path` lies."""
    return path.with_suffix(".state")


def save_state(state: OptimizerState, path: Path) -> str:
    """Write the state beside the network at `path`; returns its SHA-256, for the description."""
    from safetensors.numpy import save

    vectors = {name: getattr(state, name) for name in VECTORS}
    content = bytes(save({**vectors, "steps": np.array([state.steps], dtype=np.int64)}))
    atomic_write(state_file(path), content)
    return tensors_sha256(content)


def load_alive(path: Path) -> tuple[Network, OptimizerState]:
    """A saved network with its optimizer's state; ModelFileError says what is wrong or missing."""
    network, described = load_network(path)
    own, description = state_file(path), path.with_suffix(".json")
    sha256 = described.training.get(STATE_HASH)
    if not isinstance(sha256, str):
        raise ModelFileError(
            f"{description} names no state of an optimizer, so nothing can go on from {path}. "
            f"Only a run with inherit = weights saves one."
        )
    tensors = sealed_tensors(own, sha256, description)
    count = len(network.values)
    fits = tensors.keys() == {*VECTORS, "steps"} and tensors["steps"].shape == (1,)
    for name in VECTORS:
        fits = fits and tensors[name].shape == (count,) and tensors[name].dtype == np.float32
        fits = fits and bool(np.isfinite(tensors[name]).all())
    if not fits:
        raise ModelFileError(
            f"{own} is not the state of an optimizer of {count} values: expected finite float32 "
            f"vectors {', '.join(VECTORS)} of that length, and steps."
        )
    first, second, age = (tensors[name].copy() for name in VECTORS)
    return network, OptimizerState(first, second, age, int(tensors["steps"][0]))
