"""structure_net evolves sparse neural networks in tournaments.

The nouns that a script needs, loaded when first used: importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structure_net.datasets import Dataset as Dataset
    from structure_net.datasets import load as load_dataset  # noqa: F401
    from structure_net.evolution import FITNESS as FITNESS
    from structure_net.evolution import MUTATIONS as MUTATIONS
    from structure_net.evolution import SELECTION as SELECTION
    from structure_net.genome import Genome as Genome
    from structure_net.learning_rates import STRATEGIES as STRATEGIES
    from structure_net.metrics import METRICS as METRICS
    from structure_net.metrics import metric as metric
    from structure_net.networks import Network as Network
    from structure_net.networks import build_network as build_network
    from structure_net.networks import load_network as load_network
    from structure_net.schema import Config as Config
    from structure_net.schema import Trial as Trial
    from structure_net.schema import TrialResult as TrialResult
    from structure_net.schema import resolve as resolve
    from structure_net.store import History as History
    from structure_net.store import open_history as open_history
    from structure_net.tournament import Tournament as Tournament
    from structure_net.tournament import resume as resume
    from structure_net.tournament import start as start

_HOMES = {
    "FITNESS": ("evolution", "FITNESS"),
    "METRICS": ("metrics", "METRICS"),
    "MUTATIONS": ("evolution", "MUTATIONS"),
    "SELECTION": ("evolution", "SELECTION"),
    "STRATEGIES": ("learning_rates", "STRATEGIES"),
    "Config": ("schema", "Config"),
    "Dataset": ("datasets", "Dataset"),
    "Genome": ("genome", "Genome"),
    "History": ("store", "History"),
    "Network": ("networks", "Network"),
    "Tournament": ("tournament", "Tournament"),
    "Trial": ("schema", "Trial"),
    "TrialResult": ("schema", "TrialResult"),
    "build_network": ("networks", "build_network"),
    "load_dataset": ("datasets", "load"),
    "load_network": ("networks", "load_network"),
    "metric": ("metrics", "metric"),
    "open_history": ("store", "open_history"),
    "resolve": ("schema", "resolve"),
    "resume": ("tournament", "resume"),
    "start": ("tournament", "start"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


__all__ = sorted(_HOMES)
