"""What people see of a run: terminal, results file, report; and what pages are made of."""

from structure_net.reporting.console import Console, Mode, choose_mode
from structure_net.reporting.criteria import success_criteria, worker_utilization
from structure_net.reporting.markup import (
    bullets,
    document,
    element,
    facts,
    heading,
    paragraph,
    table,
    text,
)
from structure_net.reporting.plots import Axis, Chart, axis_of, drawing, legend
from structure_net.reporting.report import REPORT, report_page, write_report
from structure_net.reporting.results_file import champion_of, results_of
from structure_net.reporting.trial_metrics import MetricRow, metric_rows
from structure_net.reporting.words import retraining_text

__all__ = [
    "REPORT",
    "Axis",
    "Chart",
    "Console",
    "MetricRow",
    "Mode",
    "axis_of",
    "bullets",
    "champion_of",
    "choose_mode",
    "document",
    "drawing",
    "element",
    "facts",
    "heading",
    "legend",
    "metric_rows",
    "paragraph",
    "report_page",
    "results_of",
    "retraining_text",
    "success_criteria",
    "table",
    "text",
    "worker_utilization",
    "write_report",
]
