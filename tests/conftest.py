"""Settings of all tests: shapes checked at run time, derandomised properties, no cache of the user.

`STRUCTURE_NET_CI` turns a skip for an absent tool into a failure; `slow` tests run only there or
with `--slow`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

IN_CI = os.environ.get("STRUCTURE_NET_CI") == "1"
CIFAR10 = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if IN_CI or config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs in CI, or with --slow"))


TOOLS = {"browser", "ray", "mlflow", "wandb", "netns"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """In CI the tools that a marked test needs are there, so their absence is a failure."""
    report = yield
    marked = TOOLS & {mark.name for mark in item.iter_markers()}
    if IN_CI and report.skipped and marked:
        report.outcome = "failed"
        report.longrepr = (
            f"skipped in CI, where {', '.join(marked)} must be there: {report.longrepr}"
        )
    return report


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Datasets are prepared in a folder of this test run, shared by its workers."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    os.environ["STRUCTURE_NET_CACHE"] = str(shared / "cache")


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """The folder with CIFAR-10, or a skip with the reason."""
    if not CIFAR10.is_dir():
        pytest.skip(f"no CIFAR-10 in {CIFAR10.parent.name}/{CIFAR10.name} beside the repository")
    return CIFAR10


@pytest.fixture
def registries() -> Generator[None]:
    """What a test registers, by itself or through a plug-in, is forgotten after it."""
    from structure_net.plugins import MODULE
    from structure_net.tournament.extensions import FAMILIES

    before = [set(family) for family in FAMILIES]
    yield
    for family, had in zip(FAMILIES, before, strict=True):
        for name in set(family) - had:
            family.forget(name)
    for name in [name for name in sys.modules if name.startswith(MODULE)]:
        del sys.modules[name]
