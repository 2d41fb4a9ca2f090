"""The champion: what it is, how good, and how to use its file."""

from __future__ import annotations

import shlex
from statistics import fmean

from structure_net.genome import overall_density
from structure_net.reporting import words
from structure_net.reporting.markup import Cell, code, facts, heading, paragraph, table
from structure_net.reporting.report.run import View, accuracy, cell, count, figure
from structure_net.schema import FinalBest


def champion(view: View) -> str:
    """The section. Test figures stand only beside the word test."""
    best = view.results.final_best
    if best is None:
        return "\n".join([heading("Champion"), _best_so_far(view)])
    title = "Champion" if view.history.finished is not None else "Best so far"
    parts = [heading(title), facts([*_structure(best), *_measured(best)])]
    if best.retraining:
        parts.append(_retraining(best))
    return "\n".join([*parts, _use(view.name, best)])


def _best_so_far(view: View) -> str:
    best = max(view.searched, key=lambda one: one.validation_accuracy)
    return paragraph(
        f"No generation has ended, so there is no champion. The highest validation accuracy so far "
        f"is {words.accuracy(best.validation_accuracy)}, of trial {best.number}."
    )


def _structure(best: FinalBest) -> list[tuple[str, Cell | str]]:
    place, genome = "final_best", best.genome
    return [
        ("trial", cell(str(best.id), best.id, f"{place}.id")),
        ("genome", cell(best.genome_id, best.genome_id, f"{place}.genome_id")),
        (
            "architecture",
            cell(
                words.architecture(best.architecture),
                list(best.architecture),
                f"{place}.architecture",
            ),
        ),
        ("residual blocks", words.blocks_text(genome)),
        ("density", f"{overall_density(genome):.4f} of all possible connections"),
        ("connections", count(best.connections, f"{place}.connections")),
        ("active parameters", count(best.active_parameters, f"{place}.active_parameters")),
        ("parameters if dense", count(best.dense_parameters, f"{place}.dense_parameters")),
        (
            "activation, normalisation",
            f"{best.activation}, {best.normalisation}",
        ),
        (
            "learning rate",
            f"{best.base_learning_rate:.4g} to begin with, strategy {words.clean(best.strategy)}",
        ),
        ("growth", _growth(best)),
    ]


def _growth(best: FinalBest) -> str:
    """Its rule, and what its own training grew it by; what its ancestors grew is not counted."""
    rule = f"rule {words.clean(best.growth_rule)}"
    if not best.growth_events:
        return f"{rule}, not in its own training"
    first, last = best.growth_events[0], best.growth_events[-1]
    epochs = ", ".join(str(event.epoch + 1) for event in best.growth_events)
    return (
        f"{rule}, after epoch {epochs}: from {first.connections_before:,} to "
        f"{last.connections_after:,} connections, {words.architecture(first.architecture_before)} "
        f"to {words.architecture(last.architecture_after)}"
    )


def _measured(best: FinalBest) -> list[tuple[str, Cell | str]]:
    place, test = "final_best", best.test_accuracy
    samples = f" on {best.test_samples:,} samples, read once" if best.test_samples else ""
    again = [one.test_accuracy for one in best.retraining]
    return [
        ("fitness (validation)", figure(best.fitness, f"{place}.fitness")),
        ("validation accuracy", accuracy(best.validation_accuracy, f"{place}.validation_accuracy")),
        (
            "validation loss",
            cell(
                f"{words.loss(best.validation_loss)} nats a sample",
                best.validation_loss,
                f"{place}.validation_loss",
            ),
        ),
        (
            "test accuracy",
            Cell("not read", None, f"{place}.test_accuracy")
            if test is None
            else Cell(words.accuracy(test) + samples, test, f"{place}.test_accuracy"),
        ),
        (
            "test accuracy, trained again",
            f"mean {words.accuracy(fmean(again))} of {words.counted(len(again), 'fresh seed')}"
            if again
            else "not measured",
        ),
    ]


def _retraining(best: FinalBest) -> str:
    rows: list[list[Cell | str]] = [
        [
            str(one.trial),
            accuracy(one.validation_accuracy, f"final_best.retraining.{place}.validation_accuracy"),
            accuracy(one.test_accuracy, f"final_best.retraining.{place}.test_accuracy"),
            str(one.seed),
        ]
        for place, one in enumerate(best.retraining)
    ]
    head = ("trial", "validation accuracy", "test accuracy", "seed")
    told = paragraph("The champion's genome trained again from scratch, each time on a fresh seed:")
    return told + table(head, rows, "retraining")


def _use(name: str, best: FinalBest) -> str:
    """Lines of Python and of shell that load the champion's file."""
    path = f"{name}/{best.network_file}"
    lines = (
        "from pathlib import Path\n"
        "from structure_net import load_network\n"
        f"network, description = load_network(Path({path!r}))\n"
        "print(network.genome.architecture, description.data)  # the data say how inputs are made"
    )
    return (
        paragraph("The saved network is a torch.nn.Module; in the folder that holds the run:")
        + code(lines)
        + paragraph("The files of the run, and its state:")
        + code(shlex.join(["structure-net", "show", name]))
    )
