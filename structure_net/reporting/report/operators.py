"""What became of the children of each operator."""

from __future__ import annotations

from structure_net.reporting.markup import Cell, heading, paragraph, table
from structure_net.reporting.report.run import View, count
from structure_net.reporting.words import clean
from structure_net.schema import OperatorCount

COUNTS = tuple(name for name in OperatorCount.model_fields if name != "name")


def operators(view: View) -> str:
    """The section."""
    rows: list[list[Cell | str]] = []
    for place, one in enumerate(view.results.operators):
        name = Cell(clean(one.name), one.name, f"operators.{place}.name")
        counts = [count(getattr(one, field), f"operators.{place}.{field}") for field in COUNTS]
        rows.append([name, *counts])
    if not rows:
        return ""
    return "\n".join(
        [
            heading("Operators"),
            paragraph(
                "Children by the operators that took part in them, over all generations that "
                "ended; a child of two counts for both. Refused children left the space or "
                "repeated a genome (duplicates); improved ones are fitter than their fitter parent."
            ),
            table(("operator", *COUNTS), rows, "operators", sorts=True),
        ]
    )
