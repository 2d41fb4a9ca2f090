"""Newborn connections by Adam's law for a value that has just begun; others notice nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structure_net.engine import ENGINES, AdamW, Batch, Learner, StackedEngine, make_engine
from structure_net.genome import AddConnections
from structure_net.learning_rates import Past
from structure_net.networks import Body, Network, OptimizerState, build_network, edited
from structure_net.schema import Trial
from structure_net.seeding import derive
from structure_net.training.rates import Rates, warming
from tests.networks.reference import genome

LIMITS, DECAY, RATE, COUNT = (1e-6, 1e-2), 0.1, 0.003, 300
NOTHING = Batch.of(torch.zeros(1, 20), torch.zeros(1, dtype=torch.int64))


def old(warm_up: str) -> tuple[Trial, Network, OptimizerState]:
    """A network of 300 steps, with moments of some size everywhere."""
    own = genome(20, [24, 16], 5, 0.3, strategy=f"constant{warm_up}", base_learning_rate=RATE)
    network, draw = build_network(own, 1), np.random.default_rng(2)
    count = len(network.values)
    first = draw.normal(size=count).astype(np.float32)
    ones = np.ones(count, dtype=np.float32)
    trial = Trial(number=0, generation=0, genome=own, seed=0, epochs=100)
    return trial, network, OptimizerState(first, first**2 + 1, COUNT * ones, COUNT)


def with_newborn(network: Network, state: OptimizerState) -> tuple[Network, OptimizerState]:
    """With 100 new connections of weight 0 in the second layer."""
    body = Body.of(network, state)
    free = np.setdiff1d(np.arange(24 * 16), body.parts[1].places)[:100]
    edit = AddConnections(layer=1, places=tuple(free.tolist()))
    return edited(body, edit, derive(0, "x")).network()


def learner_of(network: Network, state: OptimizerState) -> Learner:
    optimizer = AdamW(network, DECAY, LIMITS)
    optimizer.restore(state)
    return Learner(network, optimizer)


def test_a_newborn_follows_a_fresh_scalar_adamw_with_the_gate() -> None:
    """130 steps in epochs of 26, by the formulas, in float64. From its 100th step on a newborn
    forgets by the shared count and decays like the others."""
    trial, network, state = old("")
    learner, same = learner_of(*with_newborn(network, state)), learner_of(network, state)
    optimizer, rates, others = learner.optimizer, Rates(trial, learner), Rates(trial, same)
    born = np.flatnonzero(optimizer.age.numpy() == 0)
    grown = np.setdiff1d(np.arange(len(learner.network.values)), born)
    draw = np.random.default_rng(5)
    w, m, v = np.zeros((3, len(born)))
    for epoch in range(5):
        paces = [one.begin(epoch, 26, Past(), placebo=False) for one in (rates, others)]
        assert (rates.newborn is not None) == (epoch < 4)
        assert others.newborn is None
        for step, _ in enumerate(warming([NOTHING] * 26, [rates, others])):
            gradient = (draw.normal(size=len(learner.network.values)) + 0.3).astype(np.float32)
            age, g = 26 * epoch + step, gradient[born].astype(np.float64)
            if age == 100:  # as if they were of the shared count
                m *= (1 - 0.9 ** (COUNT + 100)) / (1 - 0.9**100)
                v *= (1 - 0.999 ** (COUNT + 100)) / (1 - 0.999**100)
            count = age + 1 if age < 100 else COUNT + age + 1
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            direction = (m / (1 - 0.9**count)) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8)
            rate, decay = RATE * min(1.0, age / 100), DECAY * (age >= 100)
            w = w - rate * (direction + decay * w)
            optimizer.step(torch.from_numpy(gradient), paces[0][step])
            same.optimizer.step(torch.from_numpy(gradient[grown]), paces[1][step])
        optimizer.age += 26
        same.optimizer.age += 26
        found = learner.network.values.detach().numpy()
        assert found[born] == pytest.approx(w, rel=1e-5, abs=1e-6)
        for name in ("first_moment", "second_moment", "multiplier"):
            own, theirs = (getattr(one.optimizer, name).numpy() for one in (learner, same))
            assert own[grown] == pytest.approx(theirs, rel=1e-6)  # places decide on last bits
        assert found[grown] == pytest.approx(same.network.values.detach().numpy(), rel=1e-5)


@pytest.mark.parametrize("engine", [*ENGINES, "stacked"])
def test_the_first_update_of_a_newborn_is_the_rate_and_the_others_are_as_without(
    engine: str,
) -> None:
    """Without the gate. New weights are 0: the network computes the same, and so do gradients."""
    trial, network, state = old("+newborn_warm_up:steps=0")
    learner, same = learner_of(*with_newborn(network, state)), learner_of(network, state)
    born = np.flatnonzero(learner.optimizer.age.numpy() == 0)
    grown = np.setdiff1d(np.arange(len(learner.network.values)), born)
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32))
    labels = torch.arange(64) % 5
    for one in (learner, same):
        machine = StackedEngine() if engine == "stacked" else make_engine(engine)
        rates = Rates(trial, one)
        paces = torch.tensor([rates.begin(0, 1, Past(), placebo=False)]).t()
        machine.train_steps([one], warming([Batch.of(inputs, labels)], [rates]), paces)
    found, without = (one.network.values.detach().numpy() for one in (learner, same))
    moved = np.abs(found[born])
    assert moved.max() <= RATE * (1 + 1e-5)
    # All but those behind units that fire on hardly any sample, whose gradient is next to nothing.
    assert (moved > 0.999 * RATE).mean() > 0.8
    assert (found[grown] == without).all()
