"""The whole run: ask, train, tell, record; a generator of events that the store acknowledged.

Nothing but events is ever saved about the state of a search: a run that is taken up again replays
them into a fresh `Evolution` and trains what that still asks for.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from structure_net.datasets import Dataset
from structure_net.environment import VERSION, facts
from structure_net.errors import DONE, TOO_MANY_FAILURES, DataError
from structure_net.evolution import Evolution, Member, Selected
from structure_net.executors import ProcessExecutor, SerialExecutor, single_thread
from structure_net.files import atomic_write
from structure_net.genome import Genome, connection_count
from structure_net.reporting import REPORT, results_of, success_criteria, write_report
from structure_net.schema import (
    FREE_OF_RESULTS,
    Config,
    EngineTable,
    Event,
    GenerationFinished,
    GenerationStarted,
    Performer,
    PluginFile,
    Resolved,
    TournamentFinished,
    TournamentResumed,
    TournamentStarted,
    TrainingPlan,
    Trial,
    TrialFinished,
    TrialResult,
    deciding_values,
    flat_values,
)
from structure_net.store import History, Store
from structure_net.tournament.data_facts import batch_size_of, dataset_facts
from structure_net.tournament.extensions import copies
from structure_net.tournament.parents import check_parents, network_path
from structure_net.tournament.price import most_cost
from structure_net.tournament.retraining import retraining_started, retrainings
from structure_net.tournament.rungs import Rungs
from structure_net.tournament.workers import workers_of

if TYPE_CHECKING:
    from filelock import FileLock

    from structure_net.executors import Executor

TOP = 5


class Tournament:
    """One run in its directory. Iterate `run()` once; closing that generator ends everything."""

    def __init__(
        self,
        resolved: Resolved,
        dataset: Dataset,
        directory: Path,
        lock: FileLock,
        history: History,
        stamp: str,
        warnings: tuple[str, ...] = (),
        plugins: Sequence[PluginFile] = (),
    ) -> None:
        self.config: Config = resolved.config
        self.resolved = resolved
        self.dataset = dataset
        self.directory = directory
        self.history = history
        self._lock = lock
        self._warnings = warnings
        self._plugins = tuple(plugins)
        self._results = directory / f"stress_test_results_{stamp}.json"
        self.facts = dataset_facts(dataset, self.config)
        self.batch_size = batch_size_of(self.config, self.facts)
        self.evolution = Evolution(self.config, dataset.inputs, len(dataset.classes), self.price)
        self.store = Store(directory)
        self.engine_table = _engine_table(self.config, history)
        self._executor: Executor | None = None

    def run(self) -> Generator[Event]:
        """Every event of this start of the run, each after it has become durable."""
        yield from self._running(self._events())

    def train(self, trials: Sequence[Trial]) -> Generator[Event]:
        """These trials instead of a search: nothing is selected, and the test part stays sealed.

        As `run` does it: iterate once; a run taken up again trains what has no outcome yet.
        """
        yield from self._running(self._given(trials))

    def _running(self, events: Iterator[Event | None]) -> Generator[Event]:
        try:
            with single_thread():
                for event in events:
                    if event is None:
                        yield from self.store.commit_if_due()
                    else:
                        yield from self._record(event)
            yield from self.store.commit()
        finally:
            self.close()

    def close(self) -> None:
        """End the workers, close the store, free the lock. `run` does this by itself."""
        if not self._lock.is_locked:
            return
        try:
            if self._executor is not None:
                self._executor.close()
            self.store.close()
        finally:
            self._lock.release()

    @property
    def exit_code(self) -> int:
        """0, or 3 when more trials failed than `max_failed_fraction` allows."""
        failed, total = len(self.history.failures), len(self.history.outcomes)
        return TOO_MANY_FAILURES if failed > self.config.max_failed_fraction * total else DONE

    def files(self) -> list[Path]:
        """What a reader wants next: results file, report, the champion's network last."""
        champion = self.evolution.champion
        network = [self._network_file(champion.result.number)] if champion else []
        wanted = (self._results, self.directory / REPORT, *network)
        return [path for path in wanted if path.exists()]

    def price(self, genome: Genome, epochs: int) -> int:
        """The most FLOP that a genome may cost in this run when it is trained for so long."""
        plan = self.config.growth_plan(self.dataset.inputs)
        fitted = self.config.initialisation == "lsuv"
        return most_cost(self.facts, self.batch_size, plan, genome, epochs, fitted=fitted)

    def _events(self) -> Iterator[Event | None]:
        yield self._first_event()
        executor = self._executor = self._make_executor()
        for generation in range(self.config.generations):
            if not self.evolution.ask():
                break  # max_cost is spent
            yield from self._generation(generation, executor)
        yield from self._retrain(executor)
        executor.close()
        yield from self._ending()

    def _given(self, trials: Sequence[Trial]) -> Iterator[Event | None]:
        yield self._first_event()
        for trial in trials:
            self._check_same(trial)
        outcomes = self.history.outcomes
        missing = [trial for trial in trials if trial.number not in outcomes]
        if missing:
            executor = self._executor = self._make_executor()
            yield from executor.run(missing, dict(self.history.attempts))
            executor.close()

    def _generation(self, generation: int, executor: Executor) -> Iterator[Event | None]:
        began = time.monotonic()
        trials, carried = self.evolution.ask(), self.evolution.survivors
        for trial in trials:
            self._check_same(trial)
        stored = generation < len(self.history.generations)
        if not stored:
            yield GenerationStarted(
                generation=generation,
                population_size=len(trials) + len(carried),
                carried=tuple(sorted(member.result.number for member in carried)),
                new_trials=len(trials),
            )
            missing = [trial for trial in trials if trial.number not in self.history.outcomes]
            check_parents(missing, self.directory, self.store.kept_files())
            rungs = Rungs(self.evolution, executor, self.history, self.directory / "networks")
            yield from rungs.train(trials)
        selected = self.evolution.tell(self.history.outcomes)
        if not stored:
            yield self._generation_event(selected, trials, time.monotonic() - began)
            self.store.shrink_log()
        self._keep_networks()
        self._write_results()

    def _retrain(self, executor: Executor) -> Iterator[Event | None]:
        """The champion's genome again on fresh seeds, what is missing of that."""
        champion = self.evolution.champion
        if champion is None or self.history.champion is not None or not self.config.retrain:
            return
        epochs = self.history.lineage_epochs(champion.result)
        trials = retrainings(self.config, champion, epochs, self.evolution.asked)
        for trial in trials:
            self._check_same(trial)
        yield retraining_started(champion, trials)
        missing = [trial for trial in trials if trial.number not in self.history.outcomes]
        if missing:
            yield from executor.run(missing, dict(self.history.attempts))

    def _ending(self) -> Iterator[Event]:
        """The one look at the test part, then the last event."""
        from structure_net.training import Classroom, evaluate_champion

        champion = self.evolution.champion
        assert champion is not None  # the first generation had a result, or the run would be over
        number = champion.result.number
        if self.history.champion is None:
            room = Classroom.open(self.plan(), "cpu", "report")
            path = self._network_file(number)
            again = self.history.retrained.values()
            retrained = [one for one in again if isinstance(one, TrialResult)]
            yield evaluate_champion(champion.result, path, self.dataset, room, retrained)
        seconds = sum(event.duration for event in self.history.generations)
        experiments = len(self.history.results.keys() - self.history.retrained.keys())
        yield TournamentFinished(
            champion=number,
            trials=len(self.history.outcomes),
            failed=len(self.history.failures),
            cost=self.history.cost,
            criteria=success_criteria(self.history, self.config, seconds),
            seconds=seconds,
            experiments_per_second=experiments / seconds if seconds else 0.0,
        )
        self._write_results()
        write_report(self.history, self.directory)

    def _record(self, event: Event) -> list[Event]:
        """Store an event; a trial's network is named before its result is acknowledged."""
        if isinstance(event, TrialFinished):
            path = self._network_file(event.result.number)
            size, sha256 = path.stat().st_size, event.result.network_sha256
            relative = str(path.relative_to(self.directory))
            self.store.record_file(relative, sha256, size, "network", event.result.number)
        self.history.add(event)
        return self.store.append(event)

    def _first_event(self) -> Event:
        if self.history.started is not None:
            return TournamentResumed(
                start_number=self.store.start_number,
                finished_trials=len(self.history.outcomes),
                warnings=self._warnings,
            )
        from structure_net.training import metric_facts

        values = flat_values(self.config)
        return TournamentStarted(
            config=deciding_values(self.config),
            dataset=self.facts,
            batch_size=self.batch_size,
            engine=self.config.engine,
            engine_table=self.engine_table,
            without=tuple(self.resolved.without),
            plugins=self._plugins,
            metrics=metric_facts(),
            package_version=VERSION,
            execution={name: values[name] for name in sorted(FREE_OF_RESULTS)},
            environment=facts(),
        )

    def _generation_event(
        self, selected: Selected, trials: list[Trial], duration: float
    ) -> GenerationFinished:
        own = [self.history.results.get(trial.number) for trial in trials]
        return GenerationFinished(
            generation=selected.generation,
            population_size=selected.population_size,
            survivors=tuple(member.result.number for member in selected.survivors),
            best_fitness=selected.best_fitness,
            avg_fitness=selected.average_fitness,
            finished=selected.finished,
            stopped=len(selected.stopped),
            failed=selected.failed,
            lost=selected.lost,
            cost=selected.cost,
            operators=selected.operators,
            top_performers=tuple(performer(member) for member in selected.ranking[:TOP]),
            member_fitness=selected.member_fitness,
            hypervolume=selected.hypervolume,
            front=tuple(member.result.number for member in selected.front),
            duration=duration,
            busy_seconds=sum(result.seconds for result in own if result is not None),
            capacity=self._executor.capacity if self._executor else 1,
        )

    def _make_executor(self) -> Executor:
        from structure_net.engine import choose_engine

        def engine_on(genome: Genome, kind: str) -> str:
            return choose_engine(genome, self.config.engine, kind, self.engine_table)

        slots, allowed = workers_of(self.config, self.dataset, self.batch_size, engine_on)
        device = slots[0].device

        def engine_of(genome: Genome) -> str:
            return engine_on(genome, device.split(":")[0])

        (self.directory / "networks").mkdir(exist_ok=True)
        if self.config.executor == "serial":
            return SerialExecutor(self.plan(), device, engine_of, allowed)
        return ProcessExecutor(self.plan(), slots, engine_of, self.directory / "logs", allowed)

    def plan(self) -> TrainingPlan:
        return TrainingPlan(
            run_seed=self.config.seed,
            dataset=str(self.dataset.directory),
            limit_train=self.config.limit_train,
            validation_fraction=self.config.validation_fraction,
            augmentation=self.facts.augmentation,
            batch_size=self.batch_size,
            weight_decay=self.config.weight_decay,
            initialisation=self.config.initialisation,
            networks=str((self.directory / "networks").resolve()),
            keep_states=self.config.inherit == "weights",
            memory_cleanup_frequency=self.config.memory_cleanup_frequency,
            mixed_precision=self.config.mixed_precision,
            gradient_checkpointing=self.config.gradient_checkpointing,
            plugins=copies(self.directory, self._plugins),
            metrics_frequency=(
                self.config.metrics_frequency if self.config.enable_comprehensive_metrics else None
            ),
            metrics_level=self.config.metrics_level,
            learning_rate_control=self.config.learning_rate_control,
            growth=self.config.growth_plan(self.dataset.inputs),
        )

    def _check_same(self, trial: Trial) -> None:
        """A stored outcome belongs to the trial that is asked for, or the run is not ours."""
        outcome = self.history.outcomes.get(trial.number)
        if outcome is None:
            return
        genome = outcome.trial.genome if isinstance(outcome, TrialResult) else outcome.genome
        if genome != trial.genome:
            raise DataError(
                f"{self.directory}: stored trial {trial.number} is genome {genome.id}, and this "
                f"version of structure_net asks for {trial.genome.id} there. Continue the run with "
                f"the version that began it, or start a new one."
            )

    def _network_file(self, number: int) -> Path:
        return self.directory / network_path(number)

    def _keep_networks(self) -> None:
        """Champion, survivors and front keep their files; those of other members are forgotten,
        then deleted. While a run is replayed, later generations are not the members' yet and
        stay."""
        members = [*self.evolution.survivors, *self.evolution.front]
        if self.evolution.champion is not None:
            members.append(self.evolution.champion)
        keep = {network_path(member.result.number) for member in members}
        asked = {network_path(number) for number in range(self.evolution.asked)}
        gone = (set(self.store.kept_files()) & asked) - keep
        for path in gone:
            self.store.forget_file(path)
        self.store.commit()
        for path in gone:
            (self.directory / path).unlink(missing_ok=True)
            for beside in (".json", ".state"):
                (self.directory / path).with_suffix(beside).unlink(missing_ok=True)

    def _write_results(self) -> None:
        text = results_of(self.history).model_dump_json(indent=2)
        atomic_write(self._results, (text + "\n").encode())


def _engine_table(config: Config, history: History) -> EngineTable:
    """The table recorded when the run began, else the one in force: it becomes the record."""
    from structure_net.engine import table_in_force

    if history.started is not None and history.started.engine_table is not None:
        return history.started.engine_table
    return table_in_force(mixed_precision=config.mixed_precision)


def performer(member: Member) -> Performer:
    """A member as rankings show it."""
    result, genome = member.result, member.result.genome
    return Performer(
        id=result.number,
        genome_id=genome.id,
        genome=genome,
        generation=result.trial.generation,
        architecture=genome.architecture,
        fitness=member.fitness,
        validation_accuracy=result.validation_accuracy,
        validation_loss=result.validation_loss,
        active_parameters=result.active_parameters,
        dense_parameters=result.dense_parameters,
        connections=connection_count(genome),
        strategy=genome.strategy,
        growth_rule=genome.growth_rule,
        growth_events=result.growth or (),
        activation=genome.activation,
        normalisation=genome.normalisation,
        base_learning_rate=genome.base_learning_rate,
        batch_size=result.batch_size,
        parents=result.trial.parents,
        operators=result.trial.operators,
        lineage=tuple(sorted(member.ancestors)),
        cost=result.cost,
        lineage_cost=result.cost + member.ancestors_cost,
        network_sha256=result.network_sha256,
    )
