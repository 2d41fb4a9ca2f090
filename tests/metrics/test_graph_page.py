"""The page of metrics says of each graph metric what is declared of it."""

from __future__ import annotations

from pathlib import Path

from structure_net.metrics import METRICS
from tests.metrics.test_graph import FAMILY, module_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def bounds(low: float | None, high: float | None) -> str:
    assert low is not None
    return f"{low:g} to {high:g}" if high is not None else f"{low:g} and up"


def test_each_row_of_the_page_is_the_declaration() -> None:
    told = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.replace(r"\|", "/").strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 7:
            told[cells[0].strip("`")] = tuple(cells[1:5])
    declared = {}
    for name in METRICS:
        one = METRICS.get(name)
        if module_of(name) in FAMILY:
            better = one.better or "-"
            declared[name] = (one.unit, bounds(one.low, one.high), better, one.level)
    assert {name: told.get(name) for name in declared} == declared
