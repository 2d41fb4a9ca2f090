"""A clean environment, an empty working folder, and a tournament that only remembers."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from structure_net.schema import Resolved


@pytest.fixture(autouse=True)
def clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("STRUCTURE_NET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@dataclass
class Remembered:
    """What the command line asked of `structure_net.tournament`, and what it then does."""

    resolved: list[Resolved] = field(default_factory=list)
    resumed: list[tuple[Path, Any]] = field(default_factory=list)
    exit_code: int = 0
    closed: int = 0  # the generator of events and the tournament itself
    body: Callable[[], None] = lambda: None
    begin: Callable[[], None] = lambda: None
    directory: Path = Path("runs/one")

    def start(self, resolved: Resolved) -> Remembered:
        self.resolved.append(resolved)
        self.begin()
        return self

    def resume(self, directory: Path, changes: Any) -> Remembered:
        self.resumed.append((directory, changes))
        return self

    def run(self) -> Iterator[Any]:
        try:
            self.body()
            yield from ()
        finally:
            self.closed += 1

    def close(self) -> None:
        self.closed += 1

    def files(self) -> list[Path]:
        return []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Remembered:
    remembered = Remembered()
    module = types.ModuleType("structure_net.tournament")
    module.start = remembered.start  # type: ignore[attr-defined]
    module.resume = remembered.resume  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "structure_net.tournament", module)
    return remembered
