"""What people see of a run: the terminal and the results file."""

from structure_net.reporting.console import Console, Mode, choose_mode
from structure_net.reporting.criteria import success_criteria, worker_utilization
from structure_net.reporting.results_file import champion_of, results_of
from structure_net.reporting.trial_metrics import MetricRow, metric_rows
from structure_net.reporting.words import retraining_text

__all__ = [
    "Console",
    "MetricRow",
    "Mode",
    "champion_of",
    "choose_mode",
    "metric_rows",
    "results_of",
    "retraining_text",
    "success_criteria",
    "worker_utilization",
]
