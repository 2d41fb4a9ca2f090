"""The table behind `--engine auto`: where the times cross, kept, recorded, never a clock's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from structure_net import engine
from structure_net.bench import Workload, calibrate
from structure_net.bench.calibrate import crossover, step_seconds
from structure_net.cli import main
from structure_net.cli.requirements import check_engine_table
from structure_net.engine import choose_engine, native_is_there, table_in_force
from structure_net.errors import UsageError
from structure_net.genome import allocate, genome_of, overall_density, shapes_of
from structure_net.schema import EngineTable, canonical, resolve
from structure_net.store import open_history, read_events
from structure_net.tournament import resume, start

DENSITIES = (0.01, 0.1, 0.5)
# A sparse engine takes so many seconds at density 1, dense products always 1 second, or half of it
# in 16 bits: the crossings are at 1 / slope and 0.5 / slope.
SLOPES = {"native": 4.0, "csr": 20.0}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRUCTURE_NET_CACHE", str(tmp_path / "cache"))


def timed(name: str, workload: Workload, mixed_precision: bool) -> float:
    """A clock that tells what it is told to."""
    if name == "dense":
        return 0.5 if mixed_precision else 1.0
    return SLOPES[name] * overall_density(workload.genomes[0])


def table() -> EngineTable:
    *_, last = calibrate(timed, DENSITIES)
    assert isinstance(last, EngineTable)
    return last


def test_the_crossings_are_found() -> None:
    rows = table().crossovers
    assert [row.mixed_precision for row in rows] == [False, True, False, True]
    assert rows[0].possible == 3072 * 512 + 512 * 256 + 256 * 128 + 128 * 10
    for row in rows:
        dense = 0.5 if row.mixed_precision else 1.0
        if native_is_there():
            assert row.native == pytest.approx(dense / 4.0, rel=1e-3)
        assert row.csr == pytest.approx(dense / 20.0, rel=1e-3)


@pytest.mark.parametrize(
    ("sparse", "expected"),
    [((1.1, 2.0, 3.0), 0.0), ((0.1, 0.2, 0.9), 0.5), ((0.5, 2.0, 8.0), 0.0316)],
)
def test_a_crossing_outside_the_measured_densities_is_not_made_up(
    sparse: tuple[float, ...], expected: float
) -> None:
    assert crossover(DENSITIES, sparse, (1.0, 1.0, 1.0)) == pytest.approx(expected, abs=1e-4)


def test_a_step_is_timed() -> None:
    from structure_net.bench import single

    assert step_seconds("csr", single("A", 0.01, 1, 1), False) > 0


def genome(density: float):
    shapes = shapes_of(3072, (512, 256, 128), 10)
    return genome_of(3072, (512, 256, 128), 10, allocate(shapes, density), base_learning_rate=1e-3)


def test_the_command_keeps_the_table_and_auto_reads_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table_in_force(mixed_precision=False).origin == "shipped"
    assert check_engine_table().figure == "shipped"
    monkeypatch.setattr("structure_net.bench.calibrate", lambda: calibrate(timed, DENSITIES))
    assert main(["bench", "--calibrate"]) == 0
    assert str(engine.table_file()) in capsys.readouterr().out
    force = table_in_force(mixed_precision=False)
    assert (force.origin, force.machine) == ("calibrated", engine.this_machine())
    assert [row.mixed_precision for row in force.crossovers] == [False, False]
    assert "calibrated" in check_engine_table().figure
    sparse = "native" if native_is_there() else "dense"
    assert choose_engine(genome(0.2), "auto", "cpu") == sparse
    assert choose_engine(genome(0.28), "auto", "cpu") == "dense"


def test_the_row_of_the_nearest_size_counts() -> None:
    small, large = table().crossovers[0], table().crossovers[2]
    rows = (small.model_copy(update={"csr": 0.0}), large.model_copy(update={"csr": 1.0}))
    shipped = table().model_copy(update={"kernels": False, "crossovers": rows})
    assert choose_engine(genome(0.05), "auto", "cpu", shipped) == "dense"


def test_a_table_of_another_machine_is_not_used() -> None:
    engine.write_table(table().model_copy(update={"machine": "another"}))
    assert table_in_force(mixed_precision=False).origin == "shipped"
    check = check_engine_table()
    assert (check.state, "another machine" in check.figure) == ("ok", True)
    assert "--calibrate" in check.advice


@pytest.mark.parametrize("text", ["", "{}", '{"origin": "mine"}', "[]"])
def test_a_damaged_table_is_named(text: str) -> None:
    path = engine.table_file()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UsageError, match="--calibrate") as told:
        table_in_force(mixed_precision=False)
    assert str(path) in str(told.value)
    assert check_engine_table().state == "problem"


SMALL = {
    "preset": "quick",
    "tournament_size": 3,
    "generations": 2,
    "epochs_per_generation": 1,
    "executor": "serial",
    "device": "cpu",
}


def test_a_run_records_its_table_and_resume_keeps_it(tmp_path: Path) -> None:
    """Interrupted under the shipped table, calibrated to the opposite, taken up again: the run is
    what it would have been."""
    whole = start(resolve(**SMALL, out=tmp_path / "whole"))
    list(whole.run())
    broken = start(resolve(**SMALL, out=tmp_path / "broken"))
    events = broken.run()
    for event in events:
        if event.kind == "GenerationFinished":
            break
    events.close()
    everything_dense = tuple(
        row.model_copy(update={"native": 0.0, "csr": 0.0}) for row in table().crossovers
    )
    engine.write_table(table().model_copy(update={"crossovers": everything_dense}))
    list(resume(tmp_path / "broken").run())
    stored = open_history(tmp_path / "broken")
    assert stored.started is not None
    assert stored.started.engine_table is not None
    assert stored.started.engine_table.origin == "shipped"
    dumps = [
        canonical(event for _, event in read_events(tmp_path / name))
        for name in ("whole", "broken")
    ]
    assert dumps[0] == dumps[1]
    calibrated = start(resolve(**SMALL, out=tmp_path / "calibrated"))
    list(calibrated.run())
    assert {result.engine for result in calibrated.history.results.values()} == {"dense"}
    first = json.loads(canonical(event for _, event in read_events(tmp_path / "calibrated"))[0])
    assert first[1]["engine_table"]["origin"] == "calibrated"
