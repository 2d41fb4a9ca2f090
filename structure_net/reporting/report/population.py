"""The members of the last generation that ended."""

from __future__ import annotations

from structure_net.reporting.markup import Cell, heading, paragraph, table
from structure_net.reporting.report.run import View, accuracy, count, figure
from structure_net.reporting.words import architecture, clean
from structure_net.schema import GenerationFinished, TrialResult

MOST_ROWS = 200

HEAD = (
    *("trial", "fitness", "validation accuracy", "active parameters", "connections"),
    *("layers", "state", "born in generation", "parents", "operators", "strategy"),
    *("activation", "learning rate", "seconds of training", "genome"),
)


def population(view: View) -> str:
    """The section: a table that a script on the page sorts."""
    if not view.history.generations:
        return ""
    event = view.history.generations[-1]
    ranked = event.member_fitness
    pairs = ranked or tuple((one.id, one.fitness) for one in event.top_performers)
    told = "best first; a head sorts. A survivor keeps the result of the generation it was born in."
    if ranked is None:
        told = "the best alone: the version that ran this did not keep the fitness of the others."
    elif len(pairs) > MOST_ROWS:
        told = f"the best {MOST_ROWS} of {len(pairs):,}, {told}"
    survivors = frozenset(event.survivors)
    rows = [
        _row(view.history.results[number], fitness, number in survivors)
        for number, fitness in pairs[:MOST_ROWS]
    ]
    return "\n".join(
        [
            heading(f"Population of generation {(event.generation or 0) + 1}"),
            paragraph(f"Members with a result, {told}{_failed(event)}"),
            table(HEAD, rows, "population", sorts=True),
        ]
    )


def _failed(event: GenerationFinished) -> str:
    return f" {event.failed} more failed and have none." if event.failed else ""


def _row(one: TrialResult, fitness: float, survives: bool) -> list[Cell | str]:
    genome, trial = one.genome, one.trial
    state = "survives" if survives else "trained"
    state = f"stopped after {one.stopped_after} epochs" if one.stopped_after else state
    parents = ", ".join(map(str, trial.parents)) or "none"
    operators = clean(", ".join(trial.operators)) or "founder"
    layers = architecture(genome.architecture, 48)
    return [
        count(one.number),
        figure(fitness),
        accuracy(one.validation_accuracy),
        count(one.active_parameters),
        count(one.connections),
        Cell(layers, layers, kind="words"),
        Cell(state, state, kind="words"),
        Cell(str(trial.generation + 1), trial.generation),
        Cell(parents, list(trial.parents), kind="words"),
        Cell(operators, operators, kind="words"),
        Cell(clean(genome.strategy), genome.strategy, kind="words"),
        Cell(genome.activation, genome.activation, kind="words"),
        Cell(f"{genome.base_learning_rate:.3g}", genome.base_learning_rate),
        Cell(f"{one.seconds:.2f}", one.seconds),
        Cell(genome.id, genome.id, kind="words"),
    ]
