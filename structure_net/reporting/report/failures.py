"""Trials without a result, and why."""

from __future__ import annotations

from collections import Counter

from structure_net.reporting.markup import Cell, bullets, heading, paragraph, table
from structure_net.reporting.report.run import View, count
from structure_net.reporting.words import LONGEST_REASON, brief, counted
from structure_net.schema import FailureEntry

MOST_ROWS = 100

HEAD = ("trial", "generation", "epoch", "failure", "reason")


def failures(view: View) -> str:
    """The section."""
    entries = view.results.failures
    if not entries:
        ended = len(view.history.results)
        told = "No trial failed." if ended else "No trial failed, and none has finished."
        return "\n".join([heading("Failed trials"), paragraph(told)])
    kinds = Counter(one.failure.replace("_", " ") for one in entries)
    told = f"{counted(len(entries), 'trial')} failed; none of them enters an average or survives."
    if len(entries) > MOST_ROWS:
        told += f" The first {MOST_ROWS} are shown, the results file has all."
    rows = [_row(place, one) for place, one in enumerate(entries[:MOST_ROWS])]
    return "\n".join(
        [
            heading("Failed trials"),
            paragraph(told),
            bullets([f"{kind}: {number:,}" for kind, number in kinds.most_common()]),
            table(HEAD, rows, "failures", sorts=True),
        ]
    )


def _row(place: int, one: FailureEntry) -> list[Cell | str]:
    where, epoch = f"failures.{place}", "" if one.epoch is None else str(one.epoch + 1)
    reason = brief(one.reason, LONGEST_REASON)
    return [
        count(one.trial, f"{where}.trial"),
        Cell(str(one.generation + 1), one.generation, f"{where}.generation"),
        Cell(epoch or "none", one.epoch, f"{where}.epoch" if epoch else ""),
        Cell(one.failure.replace("_", " "), one.failure, f"{where}.failure", "words"),
        Cell(reason, reason, kind="long words"),
    ]
