"""Metrics: pure functions of one look at a network on a fixed sample."""

from structure_net.metrics import activity as activity
from structure_net.metrics.degrees import component_sizes
from structure_net.metrics.graph import Bundle, Graph, Reach, graph_of, reach_of
from structure_net.metrics.layer_spectrum import layer_spectra
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import METRICS, Better, Level, Metric, chosen, measure, metric
from structure_net.metrics.paths import PathSums, counts_of, strongest, weighted_sums_of
from structure_net.metrics.percolation import curves_of
from structure_net.metrics.probe import Probe, ProbedLayer, probe
from structure_net.metrics.spectrum import laplacian_of
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
    "Bundle",
    "Graph",
    "Level",
    "Measurement",
    "Metric",
    "PathSums",
    "Probe",
    "ProbedLayer",
    "Reach",
    "Undetermined",
    "Value",
    "chosen",
    "component_sizes",
    "counts_of",
    "curves_of",
    "dead",
    "dormant",
    "extrema",
    "firing_rates",
    "gradient_dormant",
    "graph_dead",
    "graph_of",
    "laplacian_of",
    "layer_spectra",
    "linearised",
    "measure",
    "metric",
    "probe",
    "reach_of",
    "saturated",
    "strongest",
    "weighted_sums_of",
    "wilson",
]
