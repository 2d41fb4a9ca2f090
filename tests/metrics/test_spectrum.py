"""Spectra against dense solvers, and Cheeger's bounds against every way to cut."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest

from structure_net.metrics import Undetermined, layer_spectrum, spectrum
from structure_net.metrics.graph import Graph, graph_of
from structure_net.metrics.layer_spectrum import spectral_gap, stable_rank, wiring_second
from structure_net.metrics.spectrum import (
    Laplacian,
    conductance_high,
    conductance_low,
    laplacian,
    laplacian_largest,
    laplacian_second,
)
from tests.metrics.graphs import directed, probe_of, random_probe, with_skips


def solved(graph: Graph) -> Laplacian:
    found = laplacian(graph, np.random.default_rng(0))
    assert isinstance(found, Laplacian)
    return found


def dense(graph: Graph) -> np.ndarray:
    """Eigenvalues of the normalised Laplacian of the largest component, by networkx and LAPACK."""
    peer = directed(graph).to_undirected()
    peer.remove_edges_from([(u, v) for u, v, weight in peer.edges.data("weight") if weight == 0])
    component = peer.subgraph(max(nx.connected_components(peer), key=len))
    return np.linalg.eigvalsh(nx.normalized_laplacian_matrix(component).toarray())


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize(
    "widths",
    [[5, 6, 4], [20, 15, 10, 5], [60, 50, 40, 10], [100, 200, 100, 10], [12] * 20, [3] * 40],
)
def test_both_ends_equal_a_dense_solver(widths: list[int], skips: bool) -> None:
    graph = graph_of(random_probe(widths, max(0.1, 2.5 / min(widths)), 7))
    if skips:
        graph = with_skips(graph, 7)
    found, values = solved(graph), dense(graph)
    assert found.nodes == len(values)
    assert found.second == pytest.approx(values[1], abs=1e-6)
    assert found.largest == pytest.approx(values[-1], abs=1e-6)
    if not skips:
        assert found.largest == pytest.approx(2.0, abs=1e-9)


def test_weights_over_six_orders_of_magnitude() -> None:
    draw = np.random.default_rng(1)
    shapes = [(90, 60), (70, 90), (10, 70)]
    matrices = [
        np.where(draw.random(shape) < 0.15, np.exp(2 * draw.standard_normal(shape)), 0.0)
        for shape in shapes
    ]
    graph = graph_of(probe_of(matrices))
    found, values = solved(graph), dense(graph)
    assert found.second == pytest.approx(values[1], abs=1e-6)


def conductance(graph: Graph) -> float:
    """Least cut over the smaller side's strength, of all ways to split the largest component."""
    peer = directed(graph).to_undirected()
    component = peer.subgraph(max(nx.connected_components(peer), key=len))
    nodes = list(component)
    best = math.inf
    for size in range(1, len(nodes) // 2 + 1):
        for side in itertools.combinations(nodes, size):
            best = min(best, nx.conductance(component, side, weight="weight"))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_cheeger_bounds_hold_against_every_cut(seed: int) -> None:
    probe = random_probe([4, 4, 2], 0.7, seed)
    low, high = conductance_low(probe).total, conductance_high(probe).total
    assert isinstance(low, float)
    assert isinstance(high, float)
    true = conductance(graph_of(probe))
    assert low - 1e-12 <= true <= high + 1e-12
    assert low == pytest.approx(laplacian_second(probe).total / 2)


def test_connections_of_weight_zero_join_nothing() -> None:
    weights = [np.eye(4), np.eye(4)]
    everywhere = [np.ones((4, 4), dtype=np.bool_)] * 2
    found = laplacian_largest(probe_of(weights, everywhere))
    assert found.detail["nodes"] == 3
    assert found.total == pytest.approx(2.0)


def test_what_cannot_be_solved_is_undetermined(monkeypatch: pytest.MonkeyPatch) -> None:
    for matrix in (np.full((3, 3), np.nan), np.full((3, 3), np.inf)):
        for metric in (laplacian_second, spectral_gap, stable_rank):
            assert isinstance(metric(probe_of([matrix, matrix])).total, Undetermined)
    everywhere = [np.ones((3, 3), dtype=np.bool_)]
    zero = probe_of([np.zeros((3, 3))], everywhere)
    for metric in (laplacian_second, spectral_gap, stable_rank):
        assert isinstance(metric(zero).total, Undetermined)
    wide = probe_of([np.ones((1, 20_000)), np.ones((1, 1))])
    found = laplacian_second(wide).total
    assert isinstance(found, Undetermined)
    assert "20002 nodes" in found.reason
    # A solver that stops at once leaves a residual, and one that may not go on says so.
    monkeypatch.setattr(spectrum, "TOLERANCE", 0.9)
    loose = random_probe([400, 300, 350, 10], 0.05, 0)
    found = laplacian_second(loose).total
    assert isinstance(found, Undetermined)
    assert "residual" in found.reason
    monkeypatch.setattr(layer_spectrum, "LARGEST_RESIDUAL", 1e-30)
    assert isinstance(spectral_gap(loose).total, Undetermined)
    assert isinstance(spectral_gap(loose).layers[0], Undetermined)
    monkeypatch.setattr(spectrum, "TOLERANCE", 1e-15)
    monkeypatch.setattr(spectrum, "RESTARTS", 1)
    found = laplacian_second(random_probe([90, 80, 70, 10], 0.1, 0)).total
    assert isinstance(found, Undetermined)
    assert "gave up" in found.reason


@pytest.mark.parametrize("shape", [(5, 9), (64, 200), (80, 100), (100, 80), (200, 300)])
def test_singular_values_equal_a_dense_solver(shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(shape)
    matrix = np.where(draw.random(shape) < 0.3, draw.standard_normal(shape), 0.0)
    matrix = matrix.astype(np.float32).astype(np.float64)
    probe = probe_of([matrix])
    sizes = np.linalg.svd(np.abs(matrix), compute_uv=False)
    gap = spectral_gap(probe)
    assert gap.detail["sigma_1"] == pytest.approx([sizes[0]], rel=1e-9)
    assert gap.detail["sigma_2"] == pytest.approx([sizes[1]], rel=1e-6)
    assert gap.total == pytest.approx(1 - sizes[1] / sizes[0], abs=1e-6)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    assert stable_rank(probe).total == pytest.approx((matrix**2).sum() / largest**2, rel=1e-6)


@pytest.mark.parametrize("side", [8, 100])
def test_full_and_orthogonal_layers(side: int) -> None:
    full = probe_of([np.ones((side, side))])
    assert stable_rank(full).total == pytest.approx(1.0)
    assert spectral_gap(full).total == pytest.approx(1.0, abs=1e-6)
    assert wiring_second(full).total == pytest.approx(0.0, abs=1e-6)
    identity = probe_of([np.eye(side)])
    assert stable_rank(identity).total == pytest.approx(side)
    assert spectral_gap(identity).total == pytest.approx(0.0, abs=1e-9)
    assert isinstance(wiring_second(identity).total, Undetermined)


def test_a_layer_with_one_unit_has_no_second_value() -> None:
    found = spectral_gap(probe_of([np.ones((1, 5))]))
    assert found.total == 1.0
    assert found.detail["sigma_2"] == [0.0]


def test_random_wiring_sits_at_its_expected_value() -> None:
    found = wiring_second(random_probe([800, 600, 400], 0.05, 0))
    assert found.total == pytest.approx(1.0, abs=0.05)


def test_layers_are_told_apart() -> None:
    probe = probe_of([np.ones((6, 5)), np.eye(6)])
    assert stable_rank(probe).layers == pytest.approx((1.0, 6.0))
    assert stable_rank(probe).total == pytest.approx(3.5)
    assert spectral_gap(probe).layers == pytest.approx((1.0, 0.0), abs=1e-9)
    assert spectral_gap(probe).total == pytest.approx(0.0, abs=1e-9)
    spectra = layer_spectrum.layer_spectra(probe)
    assert spectra is layer_spectrum.layer_spectra(probe)
