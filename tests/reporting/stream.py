"""A small scripted tournament: 4 competitors, 2 generations, 10 epochs, one survivor."""

from __future__ import annotations

from typing import Any

from structure_net.genome import Genome, LayerGene
from structure_net.schema import (
    AttemptLost,
    ChampionEvaluated,
    Criterion,
    Crossover,
    DatasetFacts,
    EditMade,
    EngineTable,
    EpochFinished,
    Event,
    GenerationFinished,
    GenerationStarted,
    GrowthAttempted,
    GrowthRecord,
    Measured,
    MemoryCleaned,
    MetricFacts,
    MetricsLevel,
    MetricsMeasured,
    MicroBatchReduced,
    NotMeasured,
    OperatorCount,
    Performer,
    PluginFile,
    Retrained,
    RetrainingStarted,
    TournamentFinished,
    TournamentStarted,
    Trial,
    TrialFailed,
    TrialFinished,
    TrialPaused,
    TrialResult,
    TrialStarted,
    TrialStopped,
)

METRICS = {
    "firing_rate": MetricFacts(
        group="activity", unit="share", low=0, high=1, better=None, meaning="How often units fire."
    ),
    "saturated_fraction": MetricFacts(
        group="activity", unit="share", low=0, high=1, better="lower", meaning="Flat <units>."
    ),
}
CRITERIA = (
    "System Integration",
    "Scalability",
    "Evolution",
    "Robustness",
    "Logging",
    "Performance",
)


def genome(*widths: int, inputs: int = 64, classes: int = 10, strategy: str = "COSINE") -> Genome:
    layers = tuple(
        LayerGene(width=width, density=1.0, innovation=f"g{index}")
        for index, width in enumerate(widths)
    )
    return Genome(
        inputs=inputs,
        classes=classes,
        hidden=layers,
        output_density=1.0,
        base_learning_rate=0.003,
        strategy=strategy,
    )


GENOME = genome(74, 37, 18)


def tournament_started(name: str = "digits", **environment: Any) -> TournamentStarted:
    return TournamentStarted(
        config={
            "tournament_size": 4,
            "survivors_per_generation": None,
            "seed": 7,
            "max_failed_fraction": 0.1,
        },
        dataset=DatasetFacts(
            name=name,
            train_hash="ab" * 32,
            shape=(1, 8, 8),
            classes=tuple("0123456789"),
            verified="verified by SHA-256",
            train_samples=1294,
            validation_samples=143,
            augmentation="none",
        ),
        batch_size=32,
        engine="csr",
        engine_table=EngineTable(
            origin="shipped",
            kernels=True,
            crossovers=(Crossover(possible=1000, mixed_precision=False, native=0.3, csr=0.1),),
        ),
        without=("growth", "residual blocks"),
        plugins=(PluginFile(name="mine.py", sha256="ef" * 32),),
        metrics=METRICS,
        package_version="0.1.0",
        execution={"workers": 2},
        environment=environment,
    )


def generation_started(generation: int = 0) -> GenerationStarted:
    carried = (0,) if generation else ()
    return GenerationStarted(
        generation=generation, population_size=4, carried=carried, new_trials=4 - len(carried)
    )


def trial_started(
    number: int,
    *,
    generation: int = 0,
    worker: str = "worker-0",
    attempt: int = 1,
    grown: Genome = GENOME,
    strategy: str = "COSINE",
) -> TrialStarted:
    return TrialStarted(
        generation=generation,
        trial=number,
        attempt=attempt,
        genome=grown,
        seed=1,
        parents=(),
        operators=(),
        architecture=grown.architecture,
        strategy=strategy,
        active_parameters=8409,
        batch_size=32,
        epochs=10,
        engine="csr",
        worker=worker,
        device="cpu",
    )


def metrics_measured(number: int, epoch: int, level: MetricsLevel = "light") -> MetricsMeasured:
    """One metric with numbers and one without."""
    none = NotMeasured(undetermined="only units with tanh saturate")
    rates = Measured(total=0.4, layers=(0.5, 0.3), detail={"histogram": [[1, 2], [0, 3]]})
    return MetricsMeasured(
        generation=0,
        trial=number,
        attempt=1,
        step=epoch + 1,
        epoch=epoch,
        level=level,
        values={
            "firing_rate": rates,
            "saturated_fraction": Measured(total=none, layers=(none, none)),
        },
        seconds=0.25 if level == "light" else 1.5,
    )


def epoch_finished(number: int, epoch: int, generation: int = 0) -> EpochFinished:
    return EpochFinished(
        generation=generation,
        trial=number,
        attempt=1,
        step=epoch + 1,
        epoch=epoch,
        train_loss=2.0,
        validation_loss=2.1234,
        validation_accuracy=0.234,
        learning_rate=0.003,
        connections=8270,
        train_seconds=0.5,
        evaluate_seconds=0.1,
    )


def trial_finished(number: int, generation: int = 0) -> TrialFinished:
    return TrialFinished(
        generation=generation,
        trial=number,
        attempt=1,
        worker="worker-0",
        result=TrialResult(
            trial=Trial(number=number, generation=generation, genome=GENOME, seed=1, epochs=10),
            validation_accuracy=0.912,
            validation_loss=0.3012,
            train_loss=0.2,
            active_parameters=8409,
            dense_parameters=8409,
            connections=8270,
            batch_size=32,
            engine="csr",
            cost=1000,
            network_sha256="cd" * 32,
            seconds=12.34,
        ),
    )


def partial_result(number: int) -> TrialResult:
    finished = trial_finished(number, generation=1).result
    return finished.model_copy(update={"stopped_after": 5, "cost": 500})


def trial_paused(number: int) -> TrialPaused:
    return TrialPaused(
        generation=1,
        trial=number,
        attempt=1,
        step=5,
        result=partial_result(number),
        state_sha256="ab" * 32,
        worker="worker-0",
    )


def trial_stopped(number: int) -> TrialStopped:
    return TrialStopped(
        generation=1, trial=number, step=5, result=partial_result(number), rank=3, entrants=4
    )


def retraining_started() -> RetrainingStarted:
    return RetrainingStarted(generation=2, champion=0, trials=(7,), seeds=(99,))


def trial_failed(number: int, reason: str = "the loss is not finite") -> TrialFailed:
    return TrialFailed(
        generation=0,
        trial=number,
        genome=GENOME,
        seed=0,
        parents=(),
        failure="diverged",
        reason=reason,
        epoch=3,
    )


def attempt_lost(number: int) -> AttemptLost:
    return AttemptLost(
        generation=0,
        trial=number,
        attempt=1,
        failure="out_of_memory",
        reason="worker-1 was killed by signal 9",
        charged=True,
    )


def growth_attempted(number: int) -> GrowthAttempted:
    record = GrowthRecord(
        epoch=4,
        rule="extrema",
        outcome="grown",
        trigger={"extrema_ratio": 0.4},
        findings=(9, 3, 1),
        edits=(EditMade(kind="widen", layer=1, connections=12, units=3),),
        architecture_before=(64, 74, 37, 18, 10),
        architecture_after=(64, 74, 40, 18, 10),
        connections_before=8270,
        connections_after=8282,
        parameters_before=8409,
        parameters_after=8424,
        accuracy_before=0.71,
        accuracy_after=0.71,
        loss_before=0.9,
        loss_after=0.9,
    )
    return GrowthAttempted(
        generation=0, trial=number, attempt=1, step=5, record=record, seconds=0.2
    )


def micro_batch_reduced(number: int) -> MicroBatchReduced:
    return MicroBatchReduced(
        generation=0,
        trial=number,
        attempt=1,
        step=4,
        epoch=3,
        before=32,
        after=16,
        planned=False,
        wanted_bytes=20_971_520,
    )


def memory_cleaned(generation: int) -> MemoryCleaned:
    return MemoryCleaned(
        generation=generation,
        epoch=9,
        worker="worker-1",
        resident_before=500_000_000,
        resident_after=450_000_000,
        device_before=0,
        device_after=0,
    )


def performer(
    number: int, grown: Genome = GENOME, strategy: str = "COSINE", fitness: float = 0.8123
) -> Performer:
    return Performer(
        id=number,
        genome_id=grown.id,
        genome=grown,
        generation=0,
        architecture=grown.architecture,
        fitness=fitness,
        validation_accuracy=0.912,
        validation_loss=0.3012,
        active_parameters=8409,
        dense_parameters=8409,
        connections=8270,
        strategy=strategy,
        activation="leaky_relu",
        base_learning_rate=0.003,
        batch_size=32,
        parents=(),
        operators=(),
        lineage=(),
        cost=1000,
        network_sha256="cd" * 32,
    )


def generation_finished(
    generation: int, *best: Performer, failed: int = 0, stopped: int = 0, lost: bool = False
) -> GenerationFinished:
    return GenerationFinished(
        generation=generation,
        population_size=4,
        survivors=(0,),
        best_fitness=best[0].fitness if best else None,
        avg_fitness=0.6234 if best else None,
        finished=len(best),
        stopped=stopped,
        failed=failed,
        lost=lost,
        cost=1000,
        operators=(OperatorCount(name="width", proposed=3, refused=1, evaluated=2, survived=1),),
        top_performers=best,
        member_fitness=tuple((one.id, one.fitness) for one in best),
        duration=61.5,
        busy_seconds=100.0,
        capacity=2,
    )


def champion_evaluated() -> ChampionEvaluated:
    return ChampionEvaluated(
        trial=0,
        test_accuracy=0.943,
        test_samples=360,
        test_hash="ef" * 32,
        validation_accuracy=0.951,
        retraining=(Retrained(trial=7, seed=99, validation_accuracy=0.94, test_accuracy=0.923),),
    )


def tournament_finished(failed: int = 1, trials: int = 7) -> TournamentFinished:
    states = ("met", "met", "not met", "met", "not measured", "met")
    return TournamentFinished(
        champion=0,
        trials=trials,
        failed=failed,
        cost=7000,
        criteria=tuple(
            Criterion(name=name, state=state, figure=f"figure of {name.lower()}")
            for name, state in zip(CRITERIA, states, strict=True)
        ),
        seconds=123.0,
        experiments_per_second=0.0488,
    )


def whole_run() -> list[Event]:
    """Every kind of event but TournamentResumed, in an order a run can have."""
    deep = genome(512, 256, 128, 64, 64, 32, 32, inputs=3072)
    first: list[Event] = [
        trial_started(0, worker="worker-0"),
        trial_started(1, worker="worker-0"),
        trial_started(2, worker="worker-1", grown=deep),
        trial_started(3, worker="worker-1"),
    ]
    first += [epoch_finished(number, epoch) for epoch in range(10) for number in range(3)]
    first += [
        metrics_measured(0, 1),
        metrics_measured(0, 9, "full"),
        growth_attempted(0),
        micro_batch_reduced(2),
        memory_cleaned(0),
        attempt_lost(3),
        trial_started(3, worker="worker-2", attempt=2),
        trial_failed(3),
        *(trial_finished(number) for number in range(3)),
        generation_finished(0, performer(2, deep), performer(0), performer(1), failed=1),
    ]
    second: list[Event] = [
        trial_started(number, generation=1, worker=f"worker-{number - 4}") for number in (4, 5, 6)
    ]
    second += [trial_paused(6), trial_stopped(6)]
    second += [trial_finished(number, 1) for number in (4, 5)]
    best = (performer(0, fitness=0.9), performer(5), performer(2, deep))
    second.append(generation_finished(1, *best, stopped=1))
    return [
        tournament_started(fault="worker-1:kill"),
        generation_started(0),
        *first,
        generation_started(1),
        *second,
        retraining_started(),
        trial_started(7, generation=2),
        trial_finished(7, 2),
        champion_evaluated(),
        tournament_finished(),
    ]
