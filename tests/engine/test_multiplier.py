"""A connection's own rate, in every engine: it acts on the update, behind Adam's normalisation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from structure_net.engine import ENGINES, AdamW, Batch, Engine, Learner, StackedEngine, make_engine
from structure_net.networks import build_network
from tests.networks.reference import genome

SHAPE = genome(24, [16, 12], 4, 0.4)
RATE, PLACE, STEPS = 1e-3, 17, 3


@pytest.fixture(params=[*ENGINES, "stacked"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine; `dense` also as it is on a GPU."""
    return StackedEngine() if request.param == "stacked" else make_engine(request.param)


def changed(engine: Engine, prepare: Callable[[AdamW], None], steps: int = 1) -> torch.Tensor:
    """How far every value moves in some steps on one batch."""
    network = build_network(SHAPE, 5)
    learner = Learner(network, AdamW(network, 1e-4, (1e-6, 1e-2)))
    prepare(learner.optimizer)
    before = network.values.detach().clone()
    draw = torch.Generator().manual_seed(0)
    batch = Batch.of(torch.randn(32, 24, generator=draw), torch.randint(4, (32,), generator=draw))
    rates = torch.full((steps, 1), RATE, dtype=torch.float64)
    engine.train_steps([learner], [batch] * steps, rates)
    return (network.values.detach() - before).double()


def test_halving_a_multiplier_halves_that_change_and_no_other(engine: Engine) -> None:
    def halved(optimizer: AdamW) -> None:
        optimizer.multiplier[PLACE] = 0.5

    whole, half = changed(engine, lambda _: None), changed(engine, halved)
    others = torch.arange(len(whole)) != PLACE
    assert abs(whole[PLACE]) > 0.9 * RATE
    # The change is the difference of two floats of about 0.3.
    assert float(half[PLACE] / whole[PLACE]) == pytest.approx(0.5, rel=1e-4)
    assert torch.allclose(half[others], whole[others], atol=1e-9)


def test_a_multiplier_of_zero_and_no_lower_limit_freeze_to_the_bit(engine: Engine) -> None:
    def frozen(optimizer: AdamW) -> None:
        optimizer.multiplier[:40] = 0.0
        optimizer.limits = (0.0, 1e-2)

    moved = changed(engine, frozen, STEPS)
    assert (moved[:40] == 0).all()
    assert (moved[40:] != 0).any()
    lifted = changed(engine, lambda optimizer: optimizer.multiplier[:40].zero_(), STEPS)
    assert (lifted[:40] != 0).any()  # the lower limit of 1e-6 holds otherwise
