"""Connectivity from extrema: who begins anew, who is relieved, and what that does at once."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from structure_net.genome import AddConnections, Revive
from structure_net.growth import applied, extrema_aware
from structure_net.networks import Network
from structure_net.seeding import derive
from tests.growth.test_rules import INPUTS, LABELS, body_of, network_of, seen

DEAD, HIGH = np.arange(6), np.arange(34, 40)  # of layer 1's 30 units, of its 40 sources


def gradients(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Of the connections into the units that were dead, and out of them."""
    network.values.grad = None
    functional.cross_entropy(network(INPUTS), LABELS).backward()
    assert network.values.grad is not None
    parts = network.split(network.values.grad)
    into = parts[1][network.layer(1).rows < 6]
    out = parts[2][network.layer(2).columns < 6]
    return into.numpy().copy(), out.numpy().copy()


def test_dead_units_begin_anew_and_linearised_sources_are_relieved() -> None:
    network = network_of(dead=0.2, high=0.15)
    edits = extrema_aware(seen(network), 1, DEAD, HIGH)
    revive, relieve = edits
    assert isinstance(revive, Revive)
    assert isinstance(relieve, AddConnections)
    fan_in = network.layer(1).connections.fan_in
    for one in revive.units:
        assert len(one.sources) == max(int(fan_in[one.unit]), 8)  # a fifth of 40 sources
        assert len(set(one.sources)) == len(one.sources)
        assert any(one.weights)
    rows, columns = np.divmod(np.array(relieve.places), 40)
    assert set(columns.tolist()) <= set(HIGH.tolist())
    assert not np.isin(rows, DEAD).any()
    lists = network.layer(1).connections
    for source in HIGH.tolist():
        fed = int(((lists.columns == source) & (lists.rows >= 6)).sum())
        assert (columns == source).sum() == min(4, 24 - fed)  # 15 % of 30 units

    done = applied(
        body_of(network), edits, lambda _: "", lambda _: derive(0, "x"), np.ones(20, bool)
    )
    assert done.refused == ()
    grown, _ = done.body.network()
    with torch.no_grad():
        assert torch.allclose(grown(INPUTS), network(INPUTS), rtol=0, atol=1e-5)
    rates = (seen(grown).layers[1].z[:, :6] > 0).double().mean(0)
    assert float(rates.min()) >= 0.3
    assert float(rates.max()) <= 0.7

    into, out = gradients(grown)
    assert not into.any()
    assert out.any()
    with torch.no_grad():
        grown.values -= 0.01 * grown.values.grad
    into, _ = gradients(grown)
    assert into.any()


def test_shares_are_the_callers_and_nothing_wrong_gives_nothing() -> None:
    network, nobody = network_of(dead=0.2), np.zeros(0, dtype=np.int64)
    assert extrema_aware(seen(network), 1, nobody, nobody) == []
    (dense,) = extrema_aware(seen(network), 1, DEAD[:1], nobody, revival_density=1.0)
    assert isinstance(dense, Revive)
    assert dense.units[0].sources == tuple(range(40))
    (wide,) = extrema_aware(seen(network), 2, nobody, DEAD[:1], relief_density=1.0)
    assert isinstance(wide, AddConnections)
    fan_out = network.layer(2).connections.fan_out
    assert len(wide.places) == 10 - int(fan_out[0])
    assert extrema_aware(seen(network), 2, np.array([1]), nobody) == []  # logits are no units
