"""What a study leaves in its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structure_net.files import atomic_write
from structure_net.studies.page import page

RESULTS = "results.json"
PAGE = "report.html"


def write_results(
    directory: Path, results: Mapping[str, Any], html: str | None = None
) -> list[Path]:
    """The results file, and the page: `html`, or that of arms that were compared; returns their
    paths."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=2, default=str, allow_nan=False)
    atomic_write(directory / RESULTS, (text + "\n").encode())
    if html is None and "arms" in results:
        html = page(results)
    if html is None:
        return [directory / RESULTS]
    atomic_write(directory / PAGE, html.encode())
    return [directory / RESULTS, directory / PAGE]
