"""The whole page, put together of its sections."""

from __future__ import annotations

import shlex
from pathlib import Path

from structure_net.files import atomic_write
from structure_net.reporting.markup import SORTING, beside, code, document, element, paragraph, text
from structure_net.reporting.report.champion import champion
from structure_net.reporting.report.failures import failures
from structure_net.reporting.report.front import front
from structure_net.reporting.report.generations import generations
from structure_net.reporting.report.lineage import lineage
from structure_net.reporting.report.metrics import metrics
from structure_net.reporting.report.notes import notes
from structure_net.reporting.report.operators import operators
from structure_net.reporting.report.population import population
from structure_net.reporting.report.run import View, what_ran
from structure_net.reporting.results_file import results_of
from structure_net.reporting.words import accuracy, clean, counted
from structure_net.store import History

REPORT = "report.html"


def report_page(history: History, name: str) -> str:
    """The file of a run at any moment; `name` is that of its directory.

    The page follows from the events and the name alone: written at the run's end or made again
    later, on any machine, it is the same.
    """
    title = f"structure_net: {clean(name)}"
    top = element("h1", text(clean(name)))
    if history.started is None:
        nothing = paragraph("The run ended before it began: it has a configuration and no trial.")
        return document(title, [top, nothing])
    view = View(history, results_of(history), name)
    parts = [top, _standing(view)]
    if history.results:
        parts += [beside(what_ran(view), champion(view)), beside(generations(view), front(view))]
        parts += [metrics(view), population(view), lineage(view), operators(view)]
    else:
        parts.append(what_ran(view))
    return document(title, [*parts, failures(view), notes(view)], SORTING)


def write_report(history: History, directory: Path, path: Path | None = None) -> Path:
    """The page written whole; returns its path, `report.html` of the directory unless given."""
    path = path or directory / REPORT
    page = report_page(history, directory.resolve().name)
    atomic_write(path, page.encode())
    return path


def _headline(view: View) -> str:
    """The champion in a sentence."""
    best = view.results.final_best
    if best is None:
        return ""
    test = best.test_accuracy
    return (
        f"The champion has {best.active_parameters:,} active parameters, validation accuracy "
        f"{accuracy(best.validation_accuracy)} and test accuracy "
        + ("not read." if test is None else f"{accuracy(test)}.")
    )


def _standing(view: View) -> str:
    """How far the run got, in a sentence or two."""
    history, results = view.history, view.results
    done = (
        f"{len(results.generations)} of {results.config['generations']} generations, "
        f"{counted(results.system_stats.total_experiments, 'training')} finished, "
        f"{len(results.failures)} failed."
    )
    if history.finished is not None:
        return paragraph(f"Finished: {done} {_headline(view)}")
    words = f"Not finished: {done}"
    if not history.results:
        words += " No trial has finished, so there is nothing to compare yet."
    elif not results.generations:
        words += " No generation has ended, so there is no fitness, front or champion yet."
    resume = code(shlex.join(["structure-net", "resume", view.name]))
    return paragraph(words + " Unless it is running, this goes on with it:") + resume
