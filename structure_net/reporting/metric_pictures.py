"""Pictures of metrics, layer by layer, from what events hold of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from structure_net.reporting.markup import beside, element, paragraph, text
from structure_net.reporting.plots import Axis, Chart, Point, axis_of, drawing, legend
from structure_net.schema import Figure, Measured, NotMeasured

Span = tuple[float, float, float]
# Half the width of a 95 % interval in standard errors of a jackknife of 20 groups.
QUANTILE = 2.09


def firing_pictures(values: Mapping[str, Measured]) -> str:
    """A histogram of the firing rates of each hidden layer's units."""
    histograms = values["firing_rate"].detail.get("histogram") if "firing_rate" in values else None
    if not histograms:
        return ""
    figures = [_histogram(layer, counts) for layer, counts in enumerate(histograms, start=1)]
    return beside(*figures)


def _histogram(layer: int, counts: Sequence[int]) -> str:
    units, bins = sum(counts), len(counts)
    shares = [count / units if units else 0.0 for count in counts]
    chart = Chart(
        Axis(0.0, 1.0, "share of samples on which a unit fires", form=_percent),
        Axis(0.0, 1.05 * max(*shares, 0.01), "share of units", form=_percent),
    )
    spans = [(place / bins, (place + 1) / bins, share) for place, share in enumerate(shares)]
    title = f"Hidden layer {layer}: {units:,} units"
    label = f"{title}, by the share of samples on which they fire"
    return _captioned(title, drawing(label, chart.frame(), chart.bars(spans, 0)))


def path_picture(values: Mapping[str, Measured], architecture: Sequence[int]) -> str:
    """Largest share of paths through one hidden unit of each layer, beside an even share."""
    named = (("unit_path_share", "paths", 0), ("weighted_unit_path_share", "weighted by |w|", 1))
    lines = [
        (told, series, _points(values[name].layers))
        for name, told, series in named
        if name in values
    ]
    lines = [line for line in lines if any(share > 0 for _, share in line[2])]
    if not lines:
        return ""
    even = [(float(place), 1.0 / width) for place, width in enumerate(architecture[1:-1], start=1)]
    drawn = [(told, series, [one for one in own if one[1] > 0]) for told, series, own in lines]
    every = [share for *_, own in drawn for _, share in own] + [share for _, share in even]
    chart = Chart(
        _layer_axis(1, len(architecture) - 2, "hidden layer"),
        axis_of(every, "largest share of one unit", logarithmic=True, form=_share),
    )
    parts = [chart.frame(), chart.line(even, 2, dashed=True), chart.dots(even, 2)]
    for _, series, own in drawn:
        parts += [chart.line(own, series), chart.dots(own, series, 8)]
    shown = [(told, "line", series) for told, series, _ in drawn] + [("even share", "dashed", 2)]
    label = "Largest share of all paths through one unit of each hidden layer"
    return element("figure", drawing(label, *parts) + legend(shown))


def information_pictures(values: Mapping[str, Measured]) -> str:
    """What layers tell about the labels, and about what comes before them; with intervals."""
    return beside(*filter(None, (_about_labels(values), _about_before(values))))


def _about_labels(values: Mapping[str, Measured]) -> str:
    one = values.get("label_information")
    points = _points(one.layers) if one is not None else []
    if one is None or not points:
        return ""
    inputs = _told(one.detail.get("inputs"))
    told = [inputs, *map(_told, one.detail.get("layers", ()))]
    entropy = inputs.get("label_entropy")
    clipped = inputs.get("raw")
    if isinstance(clipped, float):
        points.insert(0, (0.0, max(0.0, clipped)))
    errors = {float(place): own.get("standard_error") for place, own in enumerate(told)}
    spans = [
        (x, y - QUANTILE * error, y + QUANTILE * error)
        for x, y in points
        if isinstance(error := errors.get(x), float)
    ]
    most = [entropy] if isinstance(entropy, float) else []
    chart = _chart(points, spans, [0.0, *most], "label information (nats)", first=0)
    parts = [chart.frame(), chart.whiskers(spans, 0), chart.line(points, 0)]
    parts.append(chart.dots(points, 0, 8))
    shown = [("what a linear reader finds, 95 % interval", "line", 0)]
    if most:
        ends = [(chart.across.low, most[0]), (chart.across.high, most[0])]
        parts.append(chart.line(ends, 2, dashed=True))
        shown.append(("all there is: H(Y)", "dashed", 2))
    title = "About the labels (layer 0: the inputs)"
    return _captioned(title, drawing("Label information of each layer", *parts), shown)


def _about_before(values: Mapping[str, Measured]) -> str:
    one = values.get("layer_information")
    points = _points(one.layers) if one is not None else []
    if one is None or not points:
        return ""
    told = [_told(own) for own in one.detail.get("layers", ())]
    spans: list[Span] = []
    null: list[Point] = []
    for place, own in enumerate(told, start=1):
        if isinstance(interval := own.get("interval"), list | tuple) and None not in interval:
            spans.append((float(place), float(interval[0]), float(interval[1])))
        if isinstance(quantile := own.get("null_quantile"), float):
            null.append((float(place), quantile))
    chart = _chart(points, spans, [0.0, *(y for _, y in null)], "layer information (nats)", first=1)
    parts = [chart.frame(), chart.whiskers(spans, 0), chart.line(points, 0)]
    parts += [chart.dots(points, 0, 8), chart.line(null, 1, dashed=True), chart.crosses(null, 1)]
    shown = [("copula, 95 % interval", "line", 0), ("chance: 95 % of shuffles", "dashed", 1)]
    title = "Of each layer about the one before"
    return _captioned(title, drawing("Layer information of each layer", *parts), shown)


def connection_pictures(blocks: Sequence[Sequence[Sequence[float]]], widths: Sequence[int]) -> str:
    """Each sparse layer's matrix at the density of its blocks: units upwards, sources across."""
    return beside(*_matrices(blocks, widths))


def _matrices(blocks: Sequence[Sequence[Sequence[float]]], widths: Sequence[int]) -> Iterator[str]:
    for place, densities in enumerate(blocks, start=1):
        sources, units = widths[place - 1], widths[place]
        most = max(max(line) for line in densities) or 1.0
        chart = Chart(Axis(0.0, float(sources), "source"), Axis(0.0, float(units), "unit"))
        shares = [[density / most for density in line] for line in densities]
        title = f"Layer {place}: {sources:,} to {units:,}, densest block {100 * most:.3g} %"
        label = f"Density of the blocks of the connections from {sources} sources to {units} units"
        yield _captioned(title, drawing(label, chart.frame(), chart.cells(shares, 0)))


def _chart(
    points: Sequence[Point], spans: Sequence[Span], more: Sequence[float], label: str, first: int
) -> Chart:
    every = [y for _, y in points] + [end for _, *ends in spans for end in ends] + [*more]
    last = int(max(x for x, _ in points))
    return Chart(_layer_axis(first, last, "sparse layer"), axis_of(every, label))


def _layer_axis(first: int, last: int, label: str) -> Axis:
    def form(value: float) -> str:
        return f"{value:.0f}" if value == round(value) else ""

    return Axis(first - 0.5, last + 0.5, label, form=form)


def _points(layers: Sequence[Figure]) -> list[Point]:
    """(layer, number) of every layer that has one; layers count from 1."""
    return [
        (float(place), one)
        for place, one in enumerate(layers, start=1)
        if not isinstance(one, NotMeasured)
    ]


def _told(detail: object) -> Mapping[str, Any]:
    """A part of a metric's detail; empty where a layer had nothing to tell."""
    return detail if isinstance(detail, Mapping) else {}


def _captioned(title: str, picture: str, shown: Sequence[tuple[str, str, int]] = ()) -> str:
    caption = element("figcaption", text(title))
    return element("figure", caption + picture + (legend(shown) if shown else ""))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _share(share: float) -> str:
    return f"{100 * share:.2g} %"


def metric_pictures(values: Mapping[str, Measured], architecture: Sequence[int]) -> str:
    """All pictures that follow from the values alone, each with a sentence; empty without any."""
    pictures = (
        (
            "Information, layer by layer. What a reader finds may rise from layer to layer "
            "although no layer adds any: what is there becomes easier to read.",
            information_pictures(values),
        ),
        ("How often units fire.", firing_pictures(values)),
        (
            "Which part of all paths goes through the busiest unit.",
            path_picture(values, architecture),
        ),
    )
    return "\n".join(paragraph(words) + drawn for words, drawn in pictures if drawn)
