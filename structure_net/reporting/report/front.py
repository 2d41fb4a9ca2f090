"""Error against size: every trial, and the front that none of them beats in both."""

from __future__ import annotations

from structure_net.reporting.markup import Cell, element, heading, paragraph, table
from structure_net.reporting.plots import Chart, Point, axis_of, drawing, legend
from structure_net.reporting.report.run import View, accuracy, count
from structure_net.reporting.words import architecture, counted
from structure_net.schema import FrontEntry, TrialResult

MOST_ROWS = 100
MOST_RINGS = 150  # points of the front with a text of their own
DOTS, STOPPED, FRONT, CHAMPION = 0, 3, 1, 2  # series

HEAD = ("trial", "validation accuracy", "active parameters", "connections", "generation", "layers")


def front(view: View) -> str:
    """The section: drawing, hypervolume, table of the front."""
    entries = view.results.front
    rows = [_row(place, one) for place, one in enumerate(entries[:MOST_ROWS])]
    parts = [heading("Validation error against size"), *_drawing(view), _hypervolume(view)]
    if rows:
        more = f", the first {MOST_ROWS} of {len(entries):,}" if len(entries) > MOST_ROWS else ""
        summary = element("summary", f"The front in numbers{more}")
        parts.append(element("details", summary + table(HEAD, rows, "front", sorts=True)))
    return "\n".join(parts)


def _drawing(view: View) -> list[str]:
    whole = [_point(one) for one in view.searched if one.stopped_after is None]
    halved = [_point(one) for one in view.searched if one.stopped_after is not None]
    every = [*whole, *halved]
    sizes, errors = zip(*every, strict=True)
    chart = Chart(
        axis_of(sizes, "active parameters", logarithmic=True),
        axis_of(errors, "validation error"),
    )
    dots, crosses = chart.thinned(whole), chart.thinned(halved)
    parts = [chart.frame(), chart.crosses(crosses, STOPPED), chart.dots(dots, DOTS)]
    shown = [("trial", "dot", DOTS)]
    if halved:
        shown.append(("trial that a rung stopped early", "cross", STOPPED))
    if view.results.front:
        parts.append(_front_drawn(chart, view))
        shown.append(("front", "ring", FRONT))
    best = view.results.final_best
    if best is not None:
        title = f"trial {best.id}, the fittest"
        point = (float(best.active_parameters), 1 - best.validation_accuracy)
        parts.append(chart.marks([point], [title], CHAMPION))
        shown.append(("fittest of the run", "ring", CHAMPION))
    label = "Validation error against active parameters of all trials, with the front"
    figure = element("figure", drawing(label, *parts) + legend(shown))
    return [figure, _left_out(len(every), len(every) - len(dots) - len(crosses))]


def _front_drawn(chart: Chart, view: View) -> str:
    """A line of steps, since what lies above and right of a point is beaten by it; and rings."""
    entries = view.results.front
    points = [(float(one.active_parameters), 1 - one.validation_accuracy) for one in entries]
    corners: list[Point] = []
    for size, error in sorted(points):
        corners += [(size, corners[-1][1])] if corners else []
        corners.append((size, error))
    titles = [
        f"trial {one.id}: error {1 - one.validation_accuracy:.3f}, "
        f"{one.active_parameters:,} active parameters"
        for one in entries[:MOST_RINGS]
    ]
    return chart.line(corners, FRONT) + chart.marks(points[:MOST_RINGS], titles, FRONT)


def _left_out(trials: int, missing: int) -> str:
    told = f"{counted(trials, 'trial')} of the search; sizes on a logarithmic scale."
    if missing:
        told += f" {missing:,} are left out: each shares its spot with one that is drawn."
    return paragraph(told, "faint")


def _hypervolume(view: View) -> str:
    last = view.results.generations[-1] if view.results.generations else None
    if last is None:
        return paragraph("No generation has ended: the front is not measured yet.")
    if last.hypervolume is None:
        return paragraph("Front and hypervolume were not kept by the version that ran this.")
    place = f"generations.{last.generation}.hypervolume"
    share = element("strong", f"{last.hypervolume:.4f}",
                    f' data-field="{place}" data-value="{last.hypervolume!r}"')  # fmt: skip
    return element(
        "p",
        f"The front after generation {last.generation + 1} has "
        f"{counted(len(view.results.front), 'trial')} and a hypervolume of {share}: the share that "
        f"it dominates of the square of validation error 0 to 1 and 1 to 10<sup>8</sup> "
        f"parameters, these by their logarithm. Trials that a rung stopped take no part.",
    )


def _point(one: TrialResult) -> Point:
    return (float(one.active_parameters), 1 - one.validation_accuracy)


def _row(place: int, one: FrontEntry) -> list[Cell | str]:
    where = f"front.{place}"
    return [
        count(one.id, f"{where}.id"),
        accuracy(one.validation_accuracy, f"{where}.validation_accuracy"),
        count(one.active_parameters, f"{where}.active_parameters"),
        count(one.connections, f"{where}.connections"),
        str(one.generation + 1),
        architecture(one.architecture, 60),
    ]
