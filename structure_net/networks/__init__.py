"""Sparse networks: connection lists, starting weights, the module, the saved file."""

from structure_net.networks.connectivity import Connections, constant_fan_in
from structure_net.networks.initialise import GAIN_SQUARED, he_weights
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
    Product,
    SparseLayer,
    build_network,
)

__all__ = [
    "ACTIVATION_FUNCTIONS",
    "GAIN_SQUARED",
    "LEAK",
    "RMS_EPSILON",
    "Connections",
    "DataSpecification",
    "ModelDescription",
    "Network",
    "Product",
    "SparseLayer",
    "build_network",
    "constant_fan_in",
    "he_weights",
    "load_network",
    "network_tensors",
    "save_network",
    "tensors_sha256",
]
