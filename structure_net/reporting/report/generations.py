"""Fitness generation by generation: the best, the median, the middle half."""

from __future__ import annotations

from structure_net.reporting.markup import Cell, element, heading, paragraph, table
from structure_net.reporting.plots import Chart, Point, axis_of, drawing, legend
from structure_net.reporting.report.run import View, count, figure
from structure_net.schema import GenerationSummary

MOST_DRAWN = 400  # generations: about one a unit of the drawing's width
MOST_ROWS = 200
MARKED = 40  # up to so many generations each one also gets a dot
BEST, MIDDLE = 1, 0  # series

HEAD = (
    *("generation", "best fitness", "lower quartile", "median", "upper quartile", "mean fitness"),
    *("trained", "stopped early", "failed", "hypervolume", "seconds"),
)


def generations(view: View) -> str:
    """The section: a drawing and its table."""
    rows = view.results.generations
    if not rows:
        return ""
    parts = [heading("Fitness by generation"), _drawing(rows), _left_out(rows)]
    if any(one.fitness_quartiles is None for one in rows):
        parts.append(
            paragraph("Median and quartiles were not kept by the version that ran this, or by "
                      "generations without a result.")
        )  # fmt: skip
    shown = rows[-MOST_ROWS:]
    numbers = table(HEAD, [_row(one) for one in shown], "generations", sorts=True)
    first = f"The last {MOST_ROWS} generations" if len(rows) > MOST_ROWS else "Every generation"
    more = element("summary", f"{first} in numbers") + numbers
    return "\n".join([*parts, element("details", more)])


def _drawing(rows: tuple[GenerationSummary, ...]) -> str:
    drawn = _chosen(rows)
    best = [(one.generation + 1.0, one.best_fitness) for one in drawn]
    peaks: list[Point] = [(x, value) for x, value in best if value is not None]
    spread = [(one.generation + 1.0, one.fitness_quartiles) for one in drawn]
    boxes = [(x, box) for x, box in spread if box is not None]
    if not peaks:
        return paragraph("No generation had a member with a result.")
    low, middle, high = ([(x, box[place]) for x, box in boxes] for place in range(3))
    every = [y for _, y in (*peaks, *low, *high)]
    chart = Chart(
        axis_of([x for x, _ in peaks], "generation", form=_whole),
        axis_of(every, "fitness (validation)"),
    )
    parts = [chart.frame()]
    shown = [("best", "line", BEST)]
    if boxes:
        parts += [chart.band(low, high, MIDDLE), chart.line(middle, MIDDLE, dashed=True)]
        shown += [("median", "dashed", MIDDLE), ("middle half of all members", "band", MIDDLE)]
    parts.append(chart.line(peaks, BEST))
    if len(drawn) <= MARKED:
        parts += [chart.dots(peaks, BEST, 7), chart.dots(middle, MIDDLE, 7)]
    picture = drawing("Best and median fitness of each generation", *parts)
    return element("figure", picture + legend(shown))


def _chosen(rows: tuple[GenerationSummary, ...]) -> tuple[GenerationSummary, ...]:
    """At most `MOST_DRAWN`, evenly spaced, the last always among them."""
    step = -(-len(rows) // MOST_DRAWN)
    return rows[::-1][::step][::-1]


def _left_out(rows: tuple[GenerationSummary, ...]) -> str:
    drawn = len(_chosen(rows))
    if drawn == len(rows):
        return ""
    return paragraph(f"{drawn:,} of {len(rows):,} generations are drawn, evenly spaced.", "faint")


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 and value == round(value) else ""


def _row(one: GenerationSummary) -> list[Cell | str]:
    place = f"generations.{one.generation}"
    low, middle, high = one.fitness_quartiles or (None, None, None)
    return [
        Cell(str(one.generation + 1), one.generation, f"{place}.generation"),
        figure(one.best_fitness, f"{place}.best_fitness"),
        figure(low, f"{place}.fitness_quartiles.0" if one.fitness_quartiles else ""),
        figure(middle, f"{place}.fitness_quartiles.1" if one.fitness_quartiles else ""),
        figure(high, f"{place}.fitness_quartiles.2" if one.fitness_quartiles else ""),
        figure(one.avg_fitness, f"{place}.avg_fitness"),
        count(one.finished, f"{place}.finished"),
        count(one.stopped, f"{place}.stopped"),
        count(one.failed, f"{place}.failed"),
        figure(one.hypervolume, f"{place}.hypervolume"),
        Cell(f"{one.duration:,.2f}", one.duration, f"{place}.duration"),
    ]
