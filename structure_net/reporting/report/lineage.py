"""Where the champion comes from: its ancestors, with the operators that made each."""

from __future__ import annotations

from structure_net.reporting.markup import Cell, element, heading, paragraph, table, text
from structure_net.reporting.plots import colour, drawing
from structure_net.reporting.report.run import View, accuracy, count, figure
from structure_net.reporting.words import architecture, clean, counted
from structure_net.schema import FinalBest, TrialResult

MOST_SHOWN = 60  # of the champion and its ancestors, the latest; more lines cannot be told apart
COLUMN, ROW, EDGE = 84, 40, 34  # units: the room of a generation, of a trial, around all
RADIUS = 15

HEAD = (
    *("trial", "generation", "parents", "operators", "fitness", "validation accuracy"),
    *("active parameters", "layers"),
)


def lineage(view: View) -> str:
    """The section: a drawing of who came from whom, and its table."""
    best = view.results.final_best
    if best is None:
        return ""
    if not best.lineage:
        told = "The champion is a founder or a fresh draw: it has no ancestors."
        return heading("Lineage of the champion") + paragraph(told)
    numbers = sorted({best.id, *best.lineage}, reverse=True)
    shown = [view.history.results[number] for number in numbers[:MOST_SHOWN]]
    told = f"Trial {best.id} and {counted(len(best.lineage), 'ancestor')}"
    if len(numbers) > MOST_SHOWN:
        told += f"; the latest {MOST_SHOWN} are shown, {len(numbers) - MOST_SHOWN:,} are left out"
    rows = [_row(view, one) for one in shown]
    summary = element("summary", "The lineage in numbers")
    return "\n".join(
        [
            heading("Lineage of the champion"),
            paragraph(told + ". Lines lead from parents, left, to their children."),
            _drawing(shown, best),
            element("details", summary + table(HEAD, rows, "lineage", sorts=True)),
        ]
    )


def _drawing(shown: list[TrialResult], best: FinalBest) -> str:
    """A column for each generation in which one of them was born, oldest to the left."""
    columns: dict[int, list[TrialResult]] = {}
    for one in sorted(shown, key=lambda one: one.number):
        columns.setdefault(one.trial.generation, []).append(one)
    tallest = max(map(len, columns.values()))
    width, height = 2 * EDGE + COLUMN * (len(columns) - 1), 2 * EDGE + ROW * (tallest - 1) + 20
    places: dict[int, tuple[float, float]] = {}
    parts = []
    for column, (generation, members) in enumerate(sorted(columns.items())):
        x = EDGE + COLUMN * column
        free = ROW * (tallest - len(members)) / 2
        for row, one in enumerate(members):
            places[one.number] = (x, EDGE + free + ROW * row)
        label = f"gen. {generation + 1}"
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle">{label}</text>')
    lines = [
        f'<path class="rule" d="M{places[parent][0]} {places[parent][1]:.1f}'
        f'L{places[one.number][0]} {places[one.number][1]:.1f}"/>'
        for one in shown
        for parent in one.trial.parents
        if parent in places
    ]
    nodes = [_node(one, places[one.number], one.number == best.id) for one in shown]
    picture = drawing("Lineage of the champion", *parts, *lines, *nodes, width=width, height=height)
    size = f' style="width:{width}px"'
    return f'<div class="scroll" tabindex="0">{element("div", picture, size)}</div>'


def _node(one: TrialResult, place: tuple[float, float], champion: bool) -> str:
    x, y = place
    made = ", ".join(one.trial.operators) or "founder"
    title = f"trial {one.number}: {made}, validation accuracy {one.validation_accuracy:.3f}"
    return (
        f'<circle class="ring" cx="{x}" cy="{y:.1f}" r="{RADIUS}" stroke-width="2" '
        f'style="stroke:{colour(2 if champion else 0)}"><title>{text(title)}</title></circle>'
        f'<text x="{x}" y="{y + 5:.1f}" text-anchor="middle">{one.number}</text>'
    )


def _row(view: View, one: TrialResult) -> list[Cell | str]:
    trial, layers = one.trial, architecture(one.genome.architecture, 48)
    parents = ", ".join(map(str, trial.parents)) or "none"
    operators = clean(", ".join(trial.operators)) or "founder"
    return [
        count(one.number),
        Cell(str(trial.generation + 1), trial.generation),
        Cell(parents, list(trial.parents), kind="words"),
        Cell(operators, operators, kind="words"),
        figure(view.fitness.get(one.number)),
        accuracy(one.validation_accuracy),
        count(one.active_parameters),
        Cell(layers, layers, kind="words"),
    ]
