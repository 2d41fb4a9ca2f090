"""The results file as a view of a run's history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import quantiles

from structure_net.reporting.criteria import success_criteria, worker_utilization
from structure_net.schema import (
    FailureEntry,
    FinalBest,
    FrontEntry,
    GenerationFinished,
    GenerationSummary,
    Ledger,
    OperatorCount,
    Performer,
    Results,
    SystemStats,
    flat_values,
)
from structure_net.store import History


def results_of(history: History) -> Results:
    """Everything the results file holds, at any moment after the run's first event."""
    resolved, started = history.config, history.started
    assert started is not None  # the first event of every run
    seconds = sum(event.duration for event in history.generations)
    criteria = success_criteria(history, resolved.config, seconds)
    return Results(
        state="finished" if history.finished else "running",
        config=flat_values(resolved.config),
        origins=resolved.origins,
        without=started.without,
        plugins=started.plugins,
        dataset=started.dataset,
        batch_size=started.batch_size,
        engine=started.engine,
        generations=tuple(_summary(event) for event in history.generations),
        final_best=_final_best(history),
        front=_front(history),
        system_stats=_system_stats(history, seconds),
        success_criteria=history.finished.criteria if history.finished else criteria,
        failures=tuple(
            FailureEntry(
                trial=number,
                generation=event.generation or 0,
                failure=event.failure,
                reason=event.reason,
                epoch=event.epoch,
            )
            for number, event in sorted(history.failures.items())
        ),
        operators=_operators(history),
        ledger=_ledger(history),
        environment=started.environment,
    )


def _ledger(history: History) -> Ledger:
    return Ledger(
        total=history.cost,
        by_generation=tuple(event.cost for event in history.generations),
        retraining=sum(outcome.cost for outcome in history.retrained.values()),
    )


def _operators(history: History) -> tuple[OperatorCount, ...]:
    """The counts of every operator over all generations, by name."""
    counts: dict[str, Counter[str]] = {}
    for event in history.generations:
        for one in event.operators:
            counts.setdefault(one.name, Counter()).update(one.model_dump(exclude={"name"}))
    return tuple(OperatorCount(name=name, **counts[name]) for name in sorted(counts))


def champion_of(history: History) -> Performer | None:
    """The fittest member of the run so far."""
    leaders = [event.top_performers[0] for event in history.generations if event.top_performers]
    return max(leaders, key=lambda one: (one.fitness, -one.connections), default=None)


def _summary(event: GenerationFinished) -> GenerationSummary:
    return GenerationSummary(
        generation=event.generation or 0,
        population_size=event.population_size,
        survivors=len(event.survivors),
        best_fitness=event.best_fitness,
        avg_fitness=event.avg_fitness,
        fitness_quartiles=_quartiles([value for _, value in event.member_fitness or ()]),
        duration=event.duration,
        finished=event.finished,
        stopped=event.stopped,
        failed=event.failed,
        lost=event.lost,
        cost=event.cost,
        hypervolume=event.hypervolume,
        survivor_ids=event.survivors,
        front_ids=event.front,
        top_performers=event.top_performers,
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    if len(values) < 2:
        return (values[0],) * 3 if values else None
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return (low, middle, high)


def _front(history: History) -> tuple[FrontEntry, ...]:
    """The front after the last generation, smallest error first."""
    numbers = history.generations[-1].front if history.generations else ()
    return tuple(
        FrontEntry(
            id=number,
            genome_id=result.genome.id,
            generation=result.trial.generation,
            architecture=result.genome.architecture,
            validation_accuracy=result.validation_accuracy,
            active_parameters=result.active_parameters,
            connections=result.connections,
            network_file=f"networks/{number}.safetensors",
        )
        for number, result in ((number, history.results[number]) for number in numbers)
    )


def _final_best(history: History) -> FinalBest | None:
    best = champion_of(history)
    if best is None:
        return None
    test, measured = history.champion, history.metrics.get(best.id)
    return FinalBest(
        **{name: getattr(best, name) for name in Performer.model_fields},
        test_accuracy=test.test_accuracy if test else None,
        test_samples=test.test_samples if test else None,
        test_hash=test.test_hash if test else None,
        retraining=test.retraining if test else (),
        network_file=f"networks/{best.id}.safetensors",
        metrics=measured.values if measured else {},
    )


def _system_stats(history: History, seconds: float) -> SystemStats:
    memory = history.started.environment.get("memory_bytes") if history.started else None
    peak = sum(history.worker_peaks.values())
    experiments = len(history.results.keys() - history.retrained.keys())
    return SystemStats(
        total_experiments=len(history.results),
        experiments_per_second=experiments / seconds if seconds > 0 else 0.0,
        gpu_utilization={},
        worker_utilization=worker_utilization(history),
        memory_usage=min(100.0, 100.0 * peak / memory) if memory else None,
        peak_bytes=peak,
        worker_peak_bytes=dict(sorted(history.worker_peaks.items())),
        device_peak_bytes=_by_device(history.device_peaks),
        metrics_shares=history.metrics_shares,
    )


def _by_device(peaks: Mapping[str, int]) -> dict[str, int]:
    """The peaks of the workers on a device added up: `gpu-1-process-0` works on `gpu-1`."""
    total: dict[str, int] = {}
    for worker, peak in sorted(peaks.items()):
        device = worker.partition("-process-")[0]
        total[device] = total.get(device, 0) + peak
    return total
