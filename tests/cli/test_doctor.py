"""The requirements: each bound, the limits of containers, and the command as a whole."""

from __future__ import annotations

import json

import pytest

from structure_net.cli import main
from structure_net.cli.estimate import cohort_estimate
from structure_net.cli.requirements import (
    GB,
    check_compiler,
    check_dataset,
    check_disk,
    check_memory,
    check_part,
    check_python,
    check_sqlite,
)
from structure_net.schema import resolve


def test_doctor_as_json_and_its_exit_code(capsys):
    code = main(["doctor", "--json"])
    rows = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in rows]
    for name in ("Python", "torch", "processor cores", "memory", "disk", "SQLite", "data digits"):
        assert name in names
    assert {row["state"] for row in rows} <= {"ok", "missing", "problem"}
    bad = [row for row in rows if row["required"] and row["state"] != "ok"]
    assert code == (1 if bad else 0)
    assert all(row["advice"] for row in rows if row["state"] != "ok")


def test_doctor_as_text(capsys):
    assert main(["doctor"]) in (0, 1)
    for line in capsys.readouterr().out.splitlines():
        assert line.split()[0] in ("ok", "missing", "problem")


@pytest.mark.parametrize(
    ("amount", "state", "advice"),
    [
        (8 * GB - 1, "problem", "8.0 GB needed"),
        (8 * GB, "ok", "32.0 GB recommended"),
        (32 * GB, "ok", ""),
    ],
)
def test_memory_bounds(amount, state, advice):
    check = check_memory(amount)
    assert check.state == state
    assert advice in check.advice
    assert bool(check.advice) == bool(advice)


def test_version_bounds():
    assert check_python((3, 10, 9)).state == "problem"
    assert check_python((3, 11, 0)).state == "ok"
    assert check_sqlite((3, 36, 0)).state == "problem"
    assert check_sqlite((3, 37, 0)).state == "ok"


def test_disk_of_a_folder_that_does_not_exist_yet(tmp_path):
    assert str(tmp_path) in check_disk(tmp_path / "runs" / "deep").figure


def test_compiler_and_parts(monkeypatch):
    from structure_net import engine

    monkeypatch.setattr(engine, "compilers", lambda: [["/usr/bin/g++"]])
    assert check_compiler().figure == f"{engine.best_path()} kernels, compiled by /usr/bin/g++"
    monkeypatch.setattr(engine, "compilers", list)
    missing = check_compiler()
    assert (missing.state, missing.required) == ("missing", False)
    assert "ziglang" in missing.advice
    monkeypatch.setattr("structure_net.cli.requirements.find_spec", lambda _name: None)
    part = check_part("PIL")
    assert (part.state, part.required) == ("missing", False)
    assert "structure-net[data]" in part.advice


def test_data_is_looked_for_and_not_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("STRUCTURE_NET_CACHE", str(tmp_path / "cache"))
    check = check_dataset("cifar10")
    assert (check.state, check.required) == ("missing", False)
    assert not (tmp_path / "cache").exists()


def test_the_estimate_of_a_cohort_is_that_of_its_networks():
    """One hidden layer of 100 at density 1: 3072 x 100 + 100 x 10 connections. With metrics it is
    what looking at one of them takes, beside all."""
    config = resolve(
        batch_size_base=2,
        enable_comprehensive_metrics=False,
        engine="dense",
        **{
            "space.initial_architectures": [[100]],
            "space.initial_max_density": 1.0,
            "space.initial_max_width": 64,
            "space.initial_max_hidden_layers": 1,
            "space.max_density": 1.0,
        },
    ).config
    connections = 3072 * 100 + 100 * 10
    batch = 1024 * 3072 * 12
    found = cohort_estimate(config, 3072, 10) - batch
    # Kept 16 + 4 + 8 + 16 + 4 bytes a connection by each of eight, 4 + 8 + 4 more by one at a time.
    assert found == pytest.approx((8 * 48 + 16) * connections, rel=0.01)
    measured = config.model_copy(update={"enable_comprehensive_metrics": True})
    looking = 2048 * (4 * 3072 + 20 * 110 + 16 * 3072) + 24 * 2048**2 + 140 * connections + 16e6
    expected = 8 * 48 * connections + looking
    assert cohort_estimate(measured, 3072, 10) == pytest.approx(expected, rel=0.01)
