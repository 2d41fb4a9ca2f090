"""What a reader must know before quoting a number: what was measured on what, and what was not."""

from __future__ import annotations

from structure_net.reporting.markup import Cell, bullets, heading, paragraph, table
from structure_net.reporting.report.run import View
from structure_net.reporting.words import counted


def notes(view: View) -> str:
    """The sections of the success criteria and of the notes."""
    parts = []
    if view.results.success_criteria:
        rows: list[list[Cell | str]] = [
            [
                Cell(one.name, one.name, f"success_criteria.{place}.name"),
                Cell(one.state, one.state, f"success_criteria.{place}.state", "words"),
                Cell(one.figure, one.figure, f"success_criteria.{place}.figure", "long words"),
            ]
            for place, one in enumerate(view.results.success_criteria)
        ]
        head = ("criterion", "state", "figure")
        parts += [heading("Success criteria"), table(head, rows, "criteria")]
    said = [*_measured(view), *_not_measured(view)]
    parts += [
        heading("Notes"),
        bullets(said),
        paragraph("Every event is in run.db, every figure of this page in the results file or in "
                  "run.db; the page is made from them alone.", "faint"),
    ]  # fmt: skip
    return "\n".join(parts)


def _measured(view: View) -> list[str]:
    results = view.results
    said = [
        "Accuracies are shares of samples between 0 and 1, losses are nats a sample. Generations "
        "and epochs count from 1 here, and from 0 in the files of the run.",
        "Fitness, accuracies, errors and the front are of the validation part, by which the search "
        "chose; the champion's are therefore too good on average. Figures of the test part are "
        "those beside the word test, and no others.",
        "One seed: how far a run varies over seeds is not measured here, and no control was run "
        "beside it. structure-net compare does both.",
    ]
    if view.history.champion is not None:
        said.append("The test part was read once, after the search was over.")
    if view.history.start_number > 1:
        resumed = counted(view.history.start_number - 1, "time")
        said.append(f"The run was interrupted and taken up again {resumed}.")
    more = sum(1 for number in view.history.attempts.values() if number > 1)
    if more:
        said.append(f"{counted(more, 'trial')} needed more than one attempt.")
    if results.plugins:
        names = ", ".join(f"{one.name} ({one.sha256[:12]})" for one in results.plugins)
        said.append(f"Plug-ins took part, by name and hash: {names}.")
    return said


def _not_measured(view: View) -> list[str]:
    results, said = view.results, []
    if view.history.champion is None:
        said.append("The test part has not been read: no figure here is one of the test.")
    if results.final_best is not None and not results.final_best.retraining:
        said.append("The champion was not trained again on fresh seeds.")
    if not results.system_stats.gpu_utilization:
        said.append("How busy GPUs were was not measured.")
    if results.without:
        said.append(f"Not part of this run, because not built yet: {', '.join(results.without)}.")
    return said
