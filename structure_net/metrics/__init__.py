"""Metrics: pure functions of one look at a network on a fixed sample."""

from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import METRICS, Better, Level, Metric, chosen, measure, metric
from structure_net.metrics.probe import Probe, ProbedLayer, probe
from structure_net.metrics.sweep import SLOPES

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
    "measure",
    "metric",
    "probe",
]
