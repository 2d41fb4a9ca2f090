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
from structure_net.reporting.metric_pictures import connection_pictures, metric_pictures
from structure_net.reporting.metric_tables import HEAD as METRIC_HEAD
from structure_net.reporting.metric_tables import GroupedMetric, by_group, metric_tables
from structure_net.reporting.plots import Axis, Chart, axis_of, drawing, legend
from structure_net.reporting.report import REPORT, report_page, write_report
from structure_net.reporting.results_file import champion_of, results_of
from structure_net.reporting.trial_metrics import MetricRow, metric_rows
from structure_net.reporting.words import retraining_text

__all__ = [
    "METRIC_HEAD",
    "REPORT",
    "Axis",
    "Chart",
    "Console",
    "GroupedMetric",
    "MetricRow",
    "Mode",
    "axis_of",
    "bullets",
    "by_group",
    "champion_of",
    "choose_mode",
    "connection_pictures",
    "document",
    "drawing",
    "element",
    "facts",
    "heading",
    "legend",
    "metric_pictures",
    "metric_rows",
    "metric_tables",
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
