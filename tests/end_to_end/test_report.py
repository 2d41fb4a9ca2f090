"""The page that a run leaves, and the one made anew from what it stored."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from structure_net.cli import main
from structure_net.evolution import FITNESS
from structure_net.schema import GenerationFinished
from structure_net.store import open_history, read_events
from tests.end_to_end.runs import networks, results, run
from tests.reporting.pages import read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "<i>run", "--retrain", "1", "--executor", "serial")


def test_a_run_ends_with_the_page_that_report_makes_anew(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (finished / "report.html").read_bytes()
    capsys.readouterr()
    assert main(["report", str(finished), "--out", str(tmp_path / "other.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'other.html'}\n"
    assert (tmp_path / "other.html").read_bytes() == page
    moved = shutil.copytree(finished, tmp_path / "elsewhere" / finished.name)
    (moved / "report.html").unlink()
    assert main(["report", str(moved)]) == 0
    assert (moved / "report.html").read_bytes() == page
    assert str(finished.parent) not in page.decode()


def test_its_numbers_are_those_of_the_results_file(finished: Path) -> None:
    content = results(finished)
    found = {
        one.attributes["data-field"]: one
        for one in read((finished / "report.html").read_text()).valued()
    }
    best, last = content["final_best"], content["generations"][-1]
    for name in ("test_accuracy", "validation_accuracy", "active_parameters", "fitness"):
        assert found[f"final_best.{name}"].value == best[name]
    for name in ("best_fitness", "avg_fitness", "hypervolume"):
        assert found[f"generations.2.{name}"].value == last[name]
    assert (
        found["final_best.retraining.0.test_accuracy"].value
        == (best["retraining"][0]["test_accuracy"])
    )
    assert found["ledger.total"].value == content["ledger"]["total"]


def test_its_lines_of_python_and_of_shell_work_as_they_stand(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = read((finished / "report.html").read_text()).page
    again, load, show = [one.text for one in page.all("pre")]
    monkeypatch.chdir(finished.parent)
    exec(load, names := {})
    assert names["network"].genome.id == results(finished)["final_best"]["genome_id"]
    for line in (again + " --quiet", show):
        program, *arguments = shlex.split(line.replace("\\\n", " "))
        assert program == "structure-net"
        assert main(arguments) == 0
    repeated = finished.parent / f"{finished.name}-again"
    assert networks(repeated) == networks(finished)
    assert "finished in" in capsys.readouterr().out


def test_the_fitness_of_every_member_is_kept(finished: Path) -> None:
    history = open_history(finished)
    for event in history.generations:
        assert event.member_fitness is not None
        assert len(event.member_fitness) == event.population_size - event.failed
        for number, value in event.member_fitness:
            assert value == FITNESS.get("seed")(history.results[number])
        assert max(value for _, value in event.member_fitness) == event.best_fitness


def test_a_run_stopped_in_its_first_generation_has_a_page(finished: Path, tmp_path: Path) -> None:
    from structure_net.store import Store

    stopped = tmp_path / "stopped"
    stopped.mkdir()
    store, about = Store(stopped), open_history(finished).config
    store.describe(config=about.model_dump(mode="json"))
    for _, event in read_events(finished):
        if isinstance(event, GenerationFinished):
            break
        store.append(event)
    store.close()
    assert main(["report", str(stopped)]) == 0
    text = read((stopped / "report.html").read_text()).page.text
    assert "No generation has ended" in text
    assert "Not finished: 0 of 3 generations, 6 trainings finished" in text


def test_a_place_that_cannot_be_written_is_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(finished), "--out", str(tmp_path / "none" / "x.html")]) == 2
    assert "--out FILE" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
