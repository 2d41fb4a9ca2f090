"""Metrics: pure functions of one look at a network on a fixed sample."""

from structure_net.metrics import activity as activity
from structure_net.metrics import sensitivity as sensitivity
from structure_net.metrics import synflow as synflow
from structure_net.metrics.degrees import component_sizes
from structure_net.metrics.fisher import fisher_information
from structure_net.metrics.gain import (
    DAMPING,
    LEAST_GAIN,
    HalfGain,
    HonestGain,
    PairSignals,
    honest_gain,
    in_sample_gain,
    largest_gains,
    layer_candidates,
    layer_signals,
    pair_signals,
)
from structure_net.metrics.gradients import (
    batch_gradients,
    candidate_gradient,
    connection_curvatures,
    connection_gradients,
    live_gradient,
    removal_cost,
    starvation,
    unit_utilities,
)
from structure_net.metrics.graph import Bundle, Graph, Reach, graph_of, reach_of
from structure_net.metrics.layer_spectrum import layer_spectra
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import METRICS, Better, Level, Metric, chosen, measure, metric
from structure_net.metrics.pairs import (
    Candidates,
    Pairs,
    candidate_pairs,
    live_pairs,
    mean_products,
)
from structure_net.metrics.paths import PathSums, counts_of, strongest, weighted_sums_of
from structure_net.metrics.percolation import curves_of
from structure_net.metrics.probe import Probe, ProbedLayer, probe
from structure_net.metrics.spectrum import laplacian_of
from structure_net.metrics.sweep import SLOPES
from structure_net.metrics.synflow import synflow_scores
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
    "DAMPING",
    "LEAST_GAIN",
    "METRICS",
    "SLOPES",
    "Better",
    "Bundle",
    "Candidates",
    "Graph",
    "HalfGain",
    "HonestGain",
    "Level",
    "Measurement",
    "Metric",
    "PairSignals",
    "Pairs",
    "PathSums",
    "Probe",
    "ProbedLayer",
    "Reach",
    "Undetermined",
    "Value",
    "batch_gradients",
    "candidate_gradient",
    "candidate_pairs",
    "chosen",
    "component_sizes",
    "connection_curvatures",
    "connection_gradients",
    "counts_of",
    "curves_of",
    "dead",
    "dormant",
    "extrema",
    "firing_rates",
    "fisher_information",
    "gradient_dormant",
    "graph_dead",
    "graph_of",
    "honest_gain",
    "in_sample_gain",
    "laplacian_of",
    "largest_gains",
    "layer_candidates",
    "layer_signals",
    "layer_spectra",
    "linearised",
    "live_gradient",
    "live_pairs",
    "mean_products",
    "measure",
    "metric",
    "pair_signals",
    "probe",
    "reach_of",
    "removal_cost",
    "saturated",
    "starvation",
    "strongest",
    "synflow_scores",
    "unit_utilities",
    "weighted_sums_of",
    "wilson",
]
