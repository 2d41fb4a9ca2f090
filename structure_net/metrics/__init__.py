"""Metrics: pure functions of one look at a network on a fixed sample."""

from structure_net.metrics import activity as activity
from structure_net.metrics.binned import BinnedInformation, binned_information, table_information
from structure_net.metrics.copula import CopulaInformation, copula_information, copula_value
from structure_net.metrics.information import non_monotone, read_signal
from structure_net.metrics.jackknife import standard_error
from structure_net.metrics.ksg import ksg
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import METRICS, Better, Level, Metric, chosen, measure, metric
from structure_net.metrics.probe import Probe, ProbedLayer, probe
from structure_net.metrics.readers import Reading, read_labels
from structure_net.metrics.representation import (
    Similarity,
    effective_rank_of,
    linear_cka,
    participation_ratio_of,
    variances_of,
)
from structure_net.metrics.sweep import SLOPES
from structure_net.metrics.unit_states import (
    dead,
    dormant,
    extrema,
    firing_rates,
    gradient_dormant,
    graph_dead,
    linearised,
    saturated,
    wilson,
)

__all__ = [
    "METRICS",
    "SLOPES",
    "Better",
    "BinnedInformation",
    "CopulaInformation",
    "Level",
    "Measurement",
    "Metric",
    "Probe",
    "ProbedLayer",
    "Reading",
    "Similarity",
    "Undetermined",
    "Value",
    "binned_information",
    "chosen",
    "copula_information",
    "copula_value",
    "dead",
    "dormant",
    "effective_rank_of",
    "extrema",
    "firing_rates",
    "gradient_dormant",
    "graph_dead",
    "ksg",
    "linear_cka",
    "linearised",
    "measure",
    "metric",
    "non_monotone",
    "participation_ratio_of",
    "probe",
    "read_labels",
    "read_signal",
    "saturated",
    "standard_error",
    "table_information",
    "variances_of",
    "wilson",
]
