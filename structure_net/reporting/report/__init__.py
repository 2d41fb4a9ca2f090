"""The report of a run: one HTML file that needs nothing else."""

from structure_net.reporting.report.page import REPORT, report_page, write_report

__all__ = ["REPORT", "report_page", "write_report"]
