"""Sparse networks: connection lists, starting weights, the module, the saved file."""

from structure_net.networks.canonical import canonical_order
from structure_net.networks.connectivity import Connections, constant_fan_in
from structure_net.networks.fitting import absent_places, needed_connections
from structure_net.networks.initialise import GAIN_SQUARED, he_weights
from structure_net.networks.lsuv import half_firing_biases, lsuv
from structure_net.networks.merge import merged
from structure_net.networks.model_file import (
    DataSpecification,
    ModelDescription,
    load_network,
    network_tensors,
    save_network,
    tensors_sha256,
)
from structure_net.networks.network import (
    ACTIVATION_FUNCTIONS,
    LEAK,
    RMS_EPSILON,
    Network,
    SparseLayer,
    build_network,
    drawn_connections,
    gain_of,
)
from structure_net.networks.parts import AGE, MATURITY, SECOND, VALUE, OptimizerState, Part
from structure_net.networks.state_file import STATE_HASH, load_alive, save_state, state_file
from structure_net.networks.surgery import Body, edited, reshaped

__all__ = [
    "ACTIVATION_FUNCTIONS",
    "AGE",
    "GAIN_SQUARED",
    "LEAK",
    "MATURITY",
    "RMS_EPSILON",
    "SECOND",
    "STATE_HASH",
    "VALUE",
    "Body",
    "Connections",
    "DataSpecification",
    "ModelDescription",
    "Network",
    "OptimizerState",
    "Part",
    "SparseLayer",
    "absent_places",
    "build_network",
    "canonical_order",
    "constant_fan_in",
    "drawn_connections",
    "edited",
    "gain_of",
    "half_firing_biases",
    "he_weights",
    "load_alive",
    "load_network",
    "lsuv",
    "merged",
    "needed_connections",
    "network_tensors",
    "reshaped",
    "save_network",
    "save_state",
    "state_file",
    "tensors_sha256",
]
