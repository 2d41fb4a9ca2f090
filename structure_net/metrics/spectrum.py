"""Spectrum of the graph: how well a network hangs together.

Eigenvalues come from restarted Lanczos (ARPACK) on products alone. Shift-invert, the usual way to
the small end of a Laplacian, would factorise it first, and the factor of a random graph is nearly
dense: 14 s and 0.9 GB at 12,082 nodes and 381,440 connections, against 0.1 s here. The large end
of D^-1/2 A D^-1/2 with its known first vector moved away holds the same number, and 20 to 100
products find it. LOBPCG takes about as many for one vector, but five times and more for several
at a time, as the singular values of a layer want them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from structure_net.metrics.graph import Graph, graph_of, weights_finite
from structure_net.metrics.measurement import Measurement, Undetermined
from structure_net.metrics.metric import metric
from structure_net.metrics.probe import Probe

LARGEST_GRAPH = 20_000
LARGEST_RESIDUAL = 1e-6
# Below this a dense solver is as fast, and ARPACK, which wants its basis smaller than the matrix,
# has no room.
DENSE = 64
# Vectors between restarts: more cost more to keep orthogonal than they save (20 to 80 measured).
BASIS = 20
# Some 1,800 products at most. A random network needs 20 to 100; log-normal weights of deviation 3,
# far more uneven than trained ones, 300.
RESTARTS = 100
# ARPACK's bound on residual / eigenvalue: ten times below the residual that is accepted.
TOLERANCE = 1e-7

Product = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues, farthest out first, and the norm of M x - lambda x for each unit vector x."""

    values: Float[np.ndarray, " k"]
    residuals: Float[np.ndarray, " k"]


def extreme(
    product: Product, size: int, end: Literal["LA", "SA"], count: int, start: np.ndarray
) -> Eigenpairs | Undetermined:
    """The `count` largest (LA) or smallest (SA) eigenvalues of a symmetric matrix, size > BASIS,
    of which only the products with a vector are known; `start` is where Lanczos begins."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    try:
        values, vectors = eigsh(
            operator, k=count, which=end, v0=start, ncv=BASIS, maxiter=RESTARTS, tol=TOLERANCE
        )
    except ArpackError as problem:
        return Undetermined(f"the eigensolver gave up: {problem}")
    order = np.argsort(values if end == "SA" else -values)
    values, vectors = values[order], vectors[:, order]
    images = np.stack([product(vector) for vector in vectors.T], axis=1)
    return Eigenpairs(values, np.linalg.norm(images - vectors * values, axis=0))


@dataclass(frozen=True)
class Laplacian:
    """Ends of the spectrum of L = I - D^-1/2 A D^-1/2 on the largest component, A_uv = |w|."""

    second: float  # lambda_2, in (0, 2]
    largest: float  # lambda_max, in (0, 2]; 2 where the graph is bipartite
    residual: float
    nodes: int


def laplacian_of(probe: Probe) -> Laplacian | Undetermined:
    """The spectrum of a probed network, solved once a probe."""
    start = probe.draw("spectrum", "graph")
    return probe.once("graph spectrum", lambda: laplacian(graph_of(probe), start))


def laplacian(graph: Graph, generator: np.random.Generator) -> Laplacian | Undetermined:
    """lambda_2 and lambda_max, or why there are none. Connections of weight 0 are no edges here."""
    lost = weights_finite(graph)
    if lost is not None:
        return lost
    adjacency = _largest_component(graph)
    nodes = adjacency.shape[0]
    if nodes == 1:
        return Undetermined("no connection has a weight other than 0")
    if nodes > LARGEST_GRAPH:
        return Undetermined(f"{nodes} nodes are more than the {LARGEST_GRAPH} that are solved")
    strengths = adjacency.sum(axis=1)
    scales = 1.0 / np.sqrt(strengths)
    matrix = adjacency.multiply(scales[:, None]).multiply(scales[None, :]).tocsr()
    # The eigenvector of D^-1/2 A D^-1/2 to its largest eigenvalue, which is 1.
    first = np.sqrt(strengths / strengths.sum())
    return _ends(matrix, first, generator)


def _ends(
    matrix: Any, first: Float[np.ndarray, " nodes"], generator: np.random.Generator
) -> Laplacian | Undetermined:
    nodes = len(first)
    if nodes <= DENSE:
        values = np.linalg.eigvalsh(matrix.toarray())
        return _within(values[-2], values[0], 0.0, nodes)

    def rest(vector: np.ndarray) -> np.ndarray:
        """M x with the eigenvalue of the first eigenvector moved from 1 to -1, out of the way."""
        return np.asarray(matrix @ vector - (2.0 * (first @ vector)) * first)

    second = extreme(rest, nodes, "LA", 1, generator.standard_normal(nodes))
    smallest = extreme(lambda x: matrix @ x, nodes, "SA", 1, generator.standard_normal(nodes))
    if isinstance(second, Undetermined):
        return second
    if isinstance(smallest, Undetermined):
        return smallest
    residual = float(max(second.residuals[0], smallest.residuals[0]))
    if residual > LARGEST_RESIDUAL:
        return Undetermined(f"the residual {residual:.1e} is above {LARGEST_RESIDUAL:.0e}")
    return _within(second.values[0], smallest.values[0], residual, nodes)


def _within(second: float, smallest: float, residual: float, nodes: int) -> Laplacian:
    """The Laplacian's eigenvalues from those of D^-1/2 A D^-1/2: in [0, 2] but for rounding."""
    low, high = (min(2.0, max(0.0, 1.0 - float(value))) for value in (second, smallest))
    return Laplacian(low, high, residual, nodes)


def _largest_component(graph: Graph) -> Any:
    """Symmetric adjacency with |w| above 0 of the largest connected part (of equals: the one with
    the lowest node), scipy CSR in float64."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    sources, targets, weights = graph.sources, graph.targets, graph.weights
    live = weights > 0
    sources, targets, weights = sources[live], targets[live], weights[live]
    ends = (np.concatenate([sources, targets]), np.concatenate([targets, sources]))
    both = np.concatenate([weights, weights])
    adjacency = csr_array((both, ends), shape=(graph.nodes, graph.nodes))
    _, labels = connected_components(adjacency, directed=False)
    members = np.flatnonzero(labels == np.bincount(labels).argmax())
    if len(members) == graph.nodes:
        return adjacency
    return adjacency[members][:, members]


def _of_laplacian(probe: Probe, value: Callable[[Laplacian], float]) -> Measurement:
    found = laplacian_of(probe)
    if isinstance(found, Undetermined):
        return Measurement(found)
    return Measurement(value(found), (), {"nodes": found.nodes, "residual": found.residual})


@metric("laplacian_second", group="graph", unit="ratio", low=0, high=2, better="higher")
def laplacian_second(probe: Probe) -> Measurement:
    """lambda_2 of the normalised Laplacian of |w|: how far the largest component is from falling in
    two.

    No layers; the detail has the component's nodes and the residual.
    """
    return _of_laplacian(probe, lambda found: found.second)


@metric("laplacian_largest", group="graph", unit="ratio", low=0, high=2, better=None)
def laplacian_largest(probe: Probe) -> Measurement:
    """lambda_max of the normalised Laplacian of |w|: 2 in a purely layered network.

    No layers.
    """
    return _of_laplacian(probe, lambda found: found.largest)


@metric("conductance_low", group="graph", unit="share", low=0, high=1, better="higher")
def conductance_low(probe: Probe) -> Measurement:
    """Cheeger's lower bound of the conductance: lambda_2 / 2.

    No layers.
    """
    return _of_laplacian(probe, lambda found: found.second / 2.0)


@metric("conductance_high", group="graph", unit="share", low=0, high=2, better="higher")
def conductance_high(probe: Probe) -> Measurement:
    """Cheeger's upper bound of the conductance: the root of 2 lambda_2.

    No layers.
    """
    return _of_laplacian(probe, lambda found: math.sqrt(2.0 * found.second))
