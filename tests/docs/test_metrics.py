"""The page on metrics lists those of the program, with what they declare."""

from __future__ import annotations

import os
import subprocess
import sys

from structure_net.metrics import METRICS, chosen
from tests.docs.blocks import ROOT, blocks

PAGE = ROOT / "docs" / "metrics.md"


def declared(name: str) -> list[str]:
    one = METRICS.get(name)
    both = one.low is not None and one.high is not None
    bounds = f"{one.low} to {one.high}" if both else "any"
    if one.low is not None and one.high is None:
        bounds = f"from {one.low}"
    elif one.high is not None and one.low is None:
        bounds = f"to {one.high}"
    return [f"`{name}`", one.unit, bounds, one.better or "-", one.level]


def test_the_table_has_every_metric_as_it_is_declared() -> None:
    lines = PAGE.read_text().split("| metric | unit |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    own = [one.name for one in chosen("full")]
    assert [row[:5] for row in rows] == [declared(name) for name in own]
    assert all(len(row) == 6 and row[5].endswith(".") for row in rows)


def test_the_python_of_the_page_runs() -> None:
    (block,) = (block for block in blocks(PAGE) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "firing_rate 0." in done.stdout
