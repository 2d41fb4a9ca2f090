"""Pre-registered studies: what a file fixes, what is refused, and the noise of one genome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from structure_net.cli import main
from structure_net.store import open_history
from structure_net.studies import planned, read_study
from tests.studies.planted import by_chance, plant, reachable_by_steps

STUDY = """
name = "rates"
claim = "mutation helps"
outcome = "validation_accuracy"
margin = 0.001
analysis = "wilcoxon-holm"
reference = "mutating"
retrain = 2

[scale]
preset = "quick"
limit_train = 100
executor = "serial"
device = "cpu"
engine = "csr"
fitness = "accuracy"
inherit = "none"
tournament_size = 4
generations = 3
epochs_per_generation = 20

[arms.still]
mutation_rate = 0.0

[arms.mutating]
mutation_rate = 1.0
"""


@pytest.fixture
def path(own_folder: Path) -> Path:
    file = own_folder / "rates.toml"
    file.write_text(STUDY)
    return file


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def results(folder: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "results.json").read_text())
    return read


def test_a_file_fixes_arms_seeds_outcome_and_reference(path: Path) -> None:
    plan = planned(path, confirm=False)
    assert [arm.name for arm in plan.arms] == ["mutating", "still"]
    assert plan.seeds == tuple(range(10))
    assert planned(path, confirm=True).seeds == tuple(range(100, 110))
    assert (plan.outcome, plan.margin, plan.retrain) == ("validation_accuracy", 0.001, 2)
    assert plan.run(plan.arms[1], 3).config.mutation_rate == 0.0
    assert plan.run(plan.arms[0], 3).config.mutation_rate == 1.0
    assert plan.run(plan.arms[0], 3).config.tournament_size == 4
    assert read_study(path)[0].claim == "mutation helps"


def test_tuning_then_confirming_and_no_change_in_between(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(path, "retrain = 2", 'retrain = 1\ntuning_seeds = "0,1"')
    changed(path, "generations = 3", "generations = 2")
    plant(monkeypatch, reachable_by_steps)
    assert main(["study", str(path)]) == 0
    note = path.with_name("rates.registered.json")
    assert not note.exists()  # tuning registers nothing
    tuned = results("runs/study_rates/tuning")
    assert (tuned["phase"], tuned["seeds"]) == ("tuning", [0, 1])

    changed(path, "margin = 0.001", "margin = 0.002")  # still free
    assert main(["study", str(path), "--confirm"]) == 0
    confirmed = results("runs/study_rates/confirming")
    assert confirmed["claim"] == "mutation helps"
    (still,) = [arm for arm in confirmed["arms"] if arm["arm"] == "still"]
    assert still["against"]["count"] == 10
    assert still["p_holm"] is not None
    assert json.loads(note.read_text())["confirming_runs"] == 1

    trained = plant(monkeypatch, reachable_by_steps)
    assert main(["study", str(path), "--confirm"]) == 0
    assert trained == []  # read again, and counted
    assert json.loads(note.read_text())["confirming_runs"] == 2
    capsys.readouterr()
    changed(path, "margin = 0.002", "margin = 0.0")
    assert main(["study", str(path), "--confirm"]) == 2
    assert "changed after its first confirming run" in capsys.readouterr().err
    assert trained == []
    assert json.loads(note.read_text())["confirming_runs"] == 2
    changed(path, "margin = 0.0", "margin = 0.002")
    assert main(["study", str(path), "--confirm", "--dry-run"]) == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("retrain = 2", 'confirming_seeds = "9-20"', "seed 9 is used both to tune and to confirm"),
        ('reference = "mutating"', 'reference = "none"', "'none' is none of the arms"),
        ("mutation_rate = 0.0", "seed = 3", "seed in still is decided by the study"),
        ("[arms.still]", '[arms."../still"]', "cannot name an arm"),
        ("[arms.still]", "[arms.average]", "cannot name an arm"),
        ("margin = 0.001", "", "margin"),
        ("margin = 0.001", "margin = -1", "margin"),
        ('outcome = "validation_accuracy"', 'outcome = "test_accuracy"', "outcome"),
        ('analysis = "wilcoxon-holm"', 'analysis = "t-test"', "analysis"),
        ("mutation_rate = 0.0", "mutatoin_rate = 0.0", "There is no field 'mutatoin_rate'"),
        ("mutation_rate = 0.0", "mutation_rate = 2.0", "arm still"),
        ("[scale]", "[scale", "not valid TOML"),
        ("retrain = 2", "extra = 2", "extra"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_runs(
    path: Path, old: str, new: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(path, old, new)
    assert main(["study", str(path)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


def test_a_confirmation_on_few_seeds_is_refused(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(path, "retrain = 2", 'confirming_seeds = "100-108"')
    assert main(["study", str(path), "--confirm"]) == 2
    assert "confirms on 9 seeds" in capsys.readouterr().err
    assert not path.with_name("rates.registered.json").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rates.toml", "--epochs", "3"], "belongs in the file of the study"),
        (["rates.toml", "--quick"], "belongs in the file of the study"),
        (["rates.toml", "--seeds", "1"], "for `study noise`"),
        (["none.toml"], "cannot be read"),
        (["noise", "--confirm"], "not for noise"),
        (["noise", "--seed", "3"], "give --seeds"),
        (["noise", "--quick", "--champion-of", "nowhere"], "holds no run"),
    ],
)
def test_options_that_do_not_belong(
    path: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *words]) == 2
    assert told in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_damaged_note_is_an_error_not_a_new_start(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.with_name("rates.registered.json").write_text("{}")
    assert main(["study", str(path), "--confirm"]) == 2
    assert "Restore it" in capsys.readouterr().err


NOISE = ["study", "noise", "--quick", "--limit-train", "100", "--executor", "serial"]


def test_noise_is_the_spread_of_one_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = plant(monkeypatch, by_chance)
    assert main([*NOISE, "--seeds", "0-11", "--fitness", "accuracy", "--out", "n"]) == 0
    told = json.loads(Path("n/results.json").read_text())
    assert len({trial.genome.id for trial in trained}) == 1
    assert len({trial.seed for trial in trained}) == 12
    values = [by_chance(trial) for trial in trained]
    mean = sum(values) / 12
    deviation = (sum((value - mean) ** 2 for value in values) / 11) ** 0.5
    spread = told["measures"]["validation_accuracy"]
    assert spread["values"] == values
    assert spread["mean"] == pytest.approx(mean)
    assert spread["deviation"] == pytest.approx(deviation)
    assert told["measures"]["fitness"]["values"] == values
    seeds = {open_history(Path(f"n/seed-{seed}")).config.config.seed for seed in range(12)}
    assert seeds == set(range(12))
    again = plant(monkeypatch, by_chance)
    assert main([*NOISE, "--seeds", "0-12", "--fitness", "accuracy", "--out", "n"]) == 0
    assert len(again) == 1


def test_noise_of_a_champion_really_trained(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--limit-train", "100", "--epochs", "2", "--executor", "serial", "--engine", "csr"]
    sizes = ["--tournament-size", "4", "--generations", "1", "--quiet", "--out", "run"]
    assert main(["tournament", "--quick", *small, *sizes]) == 0
    champion = open_history(Path("run")).finished
    assert champion is not None
    wanted = open_history(Path("run")).results[champion.champion].genome
    capsys.readouterr()
    words = ["study", "noise", "--quick", *small, "--seeds", "1,2", "--champion-of", "run"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert wanted.id in printed
    assert json.loads(Path("runs/noise/results.json").read_text())["genome_id"] == wanted.id
