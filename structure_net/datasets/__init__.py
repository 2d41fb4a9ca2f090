"""Datasets: read once from any source, validated, cached, opened as memory maps.

The training part and the sealed test part are apart: `load` gives the former, and only the final
report calls `open_test`. Importing this costs little; numpy comes with the first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structure_net.datasets.dataset import Dataset as Dataset
    from structure_net.datasets.loading import load as load
    from structure_net.datasets.sealed import TestPart as TestPart
    from structure_net.datasets.sealed import has_test as has_test
    from structure_net.datasets.sealed import open_test as open_test
    from structure_net.datasets.source import Places as Places
    from structure_net.datasets.source import Source as Source
    from structure_net.datasets.source import datasets as datasets
    from structure_net.datasets.source import register as register
    from structure_net.datasets.splits import Split as Split
    from structure_net.datasets.splits import split as split
    from structure_net.datasets.splits import standardisation as standardisation

_HOMES = {
    "Dataset": "dataset",
    "Places": "source",
    "Source": "source",
    "Split": "splits",
    "TestPart": "sealed",
    "datasets": "loading",  # which registers the built-in ones
    "has_test": "sealed",
    "load": "loading",
    "open_test": "sealed",
    "register": "source",
    "split": "splits",
    "standardisation": "splits",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
