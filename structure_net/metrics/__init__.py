"""Metrics: pure functions of one look at a network on a fixed sample."""

from structure_net.metrics import activity as activity
from structure_net.metrics import bottleneck as bottleneck
from structure_net.metrics import sensitivity as sensitivity
from structure_net.metrics import synflow as synflow
from structure_net.metrics.binned import BinnedInformation, binned_information, table_information
from structure_net.metrics.copula import CopulaInformation, copula_information, copula_value
from structure_net.metrics.degrees import component_sizes
from structure_net.metrics.fisher import fisher_information
from structure_net.metrics.gain import (
    DAMPING,
    LEAST_GAIN,
    HalfGain,
    HonestGain,
    PairSignals,
    added_count,
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
from structure_net.metrics.information import non_monotone, read_signal
from structure_net.metrics.jackknife import standard_error
from structure_net.metrics.ksg import ksg
from structure_net.metrics.layer_spectrum import layer_spectra
from structure_net.metrics.measurement import Measurement, Undetermined, Value
from structure_net.metrics.metric import (
    METRICS,
    Better,
    Group,
    Level,
    Metric,
    chosen,
    measure,
    metric,
)
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
from structure_net.metrics.readers import Reading, read_labels
from structure_net.metrics.representation import (
    Similarity,
    effective_rank_of,
    linear_cka,
    participation_ratio_of,
    variances_of,
)
from structure_net.metrics.spectrum import laplacian_of
from structure_net.metrics.sweep import SLOPES
from structure_net.metrics.synflow import synflow_scores
from structure_net.metrics.unit_states import (
    Masks,
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
    "BinnedInformation",
    "Bundle",
    "Candidates",
    "CopulaInformation",
    "Graph",
    "Group",
    "HalfGain",
    "HonestGain",
    "Level",
    "Masks",
    "Measurement",
    "Metric",
    "PairSignals",
    "Pairs",
    "PathSums",
    "Probe",
    "ProbedLayer",
    "Reach",
    "Reading",
    "Similarity",
    "Undetermined",
    "Value",
    "added_count",
    "batch_gradients",
    "binned_information",
    "candidate_gradient",
    "candidate_pairs",
    "chosen",
    "component_sizes",
    "connection_curvatures",
    "connection_gradients",
    "copula_information",
    "copula_value",
    "counts_of",
    "curves_of",
    "dead",
    "dormant",
    "effective_rank_of",
    "extrema",
    "firing_rates",
    "fisher_information",
    "gradient_dormant",
    "graph_dead",
    "graph_of",
    "honest_gain",
    "in_sample_gain",
    "ksg",
    "laplacian_of",
    "largest_gains",
    "layer_candidates",
    "layer_signals",
    "layer_spectra",
    "linear_cka",
    "linearised",
    "live_gradient",
    "live_pairs",
    "mean_products",
    "measure",
    "metric",
    "non_monotone",
    "pair_signals",
    "participation_ratio_of",
    "probe",
    "reach_of",
    "read_labels",
    "read_signal",
    "removal_cost",
    "saturated",
    "standard_error",
    "starvation",
    "strongest",
    "synflow_scores",
    "table_information",
    "unit_utilities",
    "variances_of",
    "weighted_sums_of",
    "wilson",
]
