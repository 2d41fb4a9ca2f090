"""`constraints.txt` satisfies `pyproject.toml`, is closed, and binds nobody to one machine."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .conftest import ROOT

LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ["3.11", "3.12", "3.13"]
# Parts of a CUDA build of torch: their versions are its own business.
CUDA = re.compile(r"^(nvidia-(?!ml-py$)|cuda-|triton)")


def pins(python: str) -> dict[str, Version]:
    """The pinned versions for one Python on Linux, by canonical name."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    found: dict[str, Version] = {}
    for line in LINES:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in found, f"{requirement.name} is pinned twice"
            (specifier,) = requirement.specifier
            found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def wanted() -> list[Requirement]:
    extras: dict[str, list[str]] = PROJECT["optional-dependencies"]
    texts = PROJECT["dependencies"] + [text for extra in extras.values() for text in extra]
    return [Requirement(text) for text in texts if not text.startswith("structure-net")]


def unpinned(start: Iterable[Requirement], known: dict[str, Version]) -> set[str]:
    """Names reached through the requirements of installed packages that `known` lacks."""
    waiting = list(start)
    seen: set[tuple[str, frozenset[str]]] = set()
    lacking: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen or CUDA.match(name):
            continue
        seen.add(key)
        if name not in known:
            lacking.add(name)
        try:
            texts = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed here
        for needed in map(Requirement, texts):
            extras = requirement.extras or {""}
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return lacking


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_satisfy_the_project(python: str) -> None:
    known = pins(python)
    for requirement in wanted():
        version = known[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_pins_are_closed() -> None:
    assert unpinned(wanted(), pins("3.11")) == set()


@pytest.mark.parametrize("python", PYTHONS)
def test_torch_is_the_version_that_was_tried(python: str) -> None:
    assert str(pins(python)["torch"]) == "2.13.0"


def test_no_cuda_package_is_pinned() -> None:
    assert [line for line in LINES if CUDA.match(line.split("==")[0])] == []


def test_lines_hold_a_name_a_public_version_and_a_marker_only() -> None:
    line_form = re.compile(r"^[a-z0-9][a-z0-9._-]*==[0-9][a-z0-9.]*( ; [^#@]+)?$")
    assert [line for line in LINES if not line_form.match(line)] == []


def test_no_path_or_address_is_written_down() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert (
        re.findall(r"https?:|file:|(?<![\w.])/\w+|--(?:extra-)?index-url|--find-links", text) == []
    )


def test_console_command_is_the_front_door_of_cli() -> None:
    assert PROJECT["scripts"] == {"structure-net": "structure_net.cli:entry"}
