"""What a trial may cost at most, against what trials that grow did cost."""

from __future__ import annotations

from pathlib import Path

from structure_net import resolve, start
from structure_net.schema import TrialFinished


def test_no_trial_costs_more_than_its_price_and_one_that_does_not_grow_costs_that(
    tmp_path: Path,
) -> None:
    tournament = start(
        resolve(
            preset="quick",
            limit_train=300,
            tournament_size=10,
            generations=2,
            epochs_per_generation=6,
            growth_frequency=2,
            growth_rules=["predicted_gain", "hybrid", "extrema", "none"],
            initialisation="lsuv",
            space={"normalisations": ["rms", "none"]},
            enable_comprehensive_metrics=False,
            executor="serial",
            out=tmp_path / "run",
        )
    )
    events = list(tournament.run())
    shares: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, TrialFinished):
            trial, rule = event.result.trial, event.result.trial.genome.growth_rule
            share = event.result.cost / tournament.price(trial.genome, trial.epochs)
            shares.setdefault(rule, []).append(share)
    # Exactly the price where nothing is inherited; else less by the fit of fresh weights.
    assert 1.0 in shares["none"]
    assert all(0.5 < share <= 1.0 for own in shares.values() for share in own)
    assert any(event.kind == "GrowthAttempted" and event.record.edits for event in events)
