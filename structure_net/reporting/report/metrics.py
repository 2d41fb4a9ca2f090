"""The champion's metrics, as they were measured last."""

from __future__ import annotations

from structure_net.reporting.markup import element, heading, paragraph
from structure_net.reporting.metric_pictures import metric_pictures
from structure_net.reporting.metric_tables import metric_tables
from structure_net.reporting.report.run import View


def metrics(view: View) -> str:
    """The section; empty where there is no champion or nothing was measured of it."""
    best = view.results.final_best
    measured = view.history.metrics.get(best.id) if best is not None else None
    if best is None or measured is None:
        return ""
    started = view.history.started
    declared = started.metrics if started is not None else {}
    tables = metric_tables(measured.values, declared, "final_best.metrics")
    summary = element("summary", f"All {len(measured.values)} metrics, with what each layer has")
    return "\n".join(
        [
            heading("Inside the champion"),
            paragraph(
                f"Metrics of trial {best.id} after epoch {measured.epoch + 1}, "
                + ("all of them" if measured.level == "full" else "the light ones")
                + ", on samples of the training part. Layers stand with the input side first."
            ),
            metric_pictures(measured.values, best.architecture),
            element("details", summary + tables),
        ]
    )
