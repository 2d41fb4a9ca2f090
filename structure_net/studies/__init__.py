"""Studies: arms on the same seeds at equal cost, paired statistics, pre-registration."""

from structure_net.studies.estimate import Estimate, estimate, estimate_trainings
from structure_net.studies.files import write_results
from structure_net.studies.findings import Interval, Row, results_of, rows_of, verdict
from structure_net.studies.growth_page import growth_lines, growth_page
from structure_net.studies.growth_study import GrowthStudy, run_growth
from structure_net.studies.metric_page import metrics_lines, metrics_page
from structure_net.studies.metric_study import (
    Correlation,
    MetricsPlan,
    correlations,
    metrics_results,
)
from structure_net.studies.noise import NoisePlan, genome_for, noise_lines, noise_results
from structure_net.studies.page import page
from structure_net.studies.plan import Arm, Plan, compared, seeds_of
from structure_net.studies.rate_page import rates_lines, rates_page
from structure_net.studies.rate_study import RateStudy, run_rates
from structure_net.studies.registration import planned, read_study, register, registration_of
from structure_net.studies.statistics import MINIMUM_PAIRS, Pairs, compare_pairs
from structure_net.studies.study import Champion, Finding, Findings, Step, run_study
from structure_net.studies.table import table_lines
from structure_net.studies.trainings import Ground, Training, numbers_of

__all__ = [
    "MINIMUM_PAIRS",
    "Arm",
    "Champion",
    "Correlation",
    "Estimate",
    "Finding",
    "Findings",
    "Ground",
    "GrowthStudy",
    "Interval",
    "MetricsPlan",
    "NoisePlan",
    "Pairs",
    "Plan",
    "RateStudy",
    "Row",
    "Step",
    "Training",
    "compare_pairs",
    "compared",
    "correlations",
    "estimate",
    "estimate_trainings",
    "genome_for",
    "growth_lines",
    "growth_page",
    "metrics_lines",
    "metrics_page",
    "metrics_results",
    "noise_lines",
    "noise_results",
    "numbers_of",
    "page",
    "planned",
    "rates_lines",
    "rates_page",
    "read_study",
    "register",
    "registration_of",
    "results_of",
    "rows_of",
    "run_growth",
    "run_rates",
    "run_study",
    "seeds_of",
    "table_lines",
    "verdict",
    "write_results",
]
