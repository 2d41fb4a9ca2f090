"""Metrics: pure functions of one look at a network on a fixed sample."""

from structure_net.metrics import activity as activity
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import METRICS, Better, Level, Metric, chosen, measure, metric
from structure_net.metrics.probe import Probe, ProbedLayer, probe
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
    "Level",
    "Measurement",
    "Metric",
    "Probe",
    "ProbedLayer",
    "Undetermined",
    "Value",
    "chosen",
    "dead",
    "dormant",
    "extrema",
    "firing_rates",
    "gradient_dormant",
    "graph_dead",
    "linearised",
    "measure",
    "metric",
    "probe",
    "saturated",
    "wilson",
]
