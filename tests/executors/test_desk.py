"""What happens to trials whose worker dies, hangs on an error, or finishes."""

from __future__ import annotations

from structure_net.executors import Desk, deal, work_of
from structure_net.genome import allocate, genome_of, shapes_of
from structure_net.schema import Cohort, Trial, TrialFailed


def trial(number: int, width: int = 16, epochs: int = 2) -> Trial:
    counts = allocate(shapes_of(64, [width], 10), 0.2)
    genome = genome_of(64, [width], 10, counts, base_learning_rate=0.003)
    return Trial(number=number, generation=0, genome=genome, seed=number, epochs=epochs)


def desk(*sizes: int) -> Desk:
    """Cohorts of the given sizes, trials numbered through."""
    numbers = iter(range(sum(sizes)))
    cohorts = [
        Cohort(
            engine="csr",
            trials=tuple(trial(next(numbers)) for _ in range(size)),
            attempts=(1,) * size,
        )
        for size in sizes
    ]
    return Desk(cohorts, {})


def finished(number: int) -> TrialFailed:
    """Any outcome closes a trial."""
    one = trial(number)
    return TrialFailed(
        generation=0,
        trial=number,
        genome=one.genome,
        seed=one.seed,
        parents=(),
        failure="diverged",
        reason="planted",
    )


def test_a_lost_cohort_is_split_and_charges_nobody() -> None:
    waiting = desk(4)
    cohort = waiting.take()
    assert cohort is not None
    waiting.note(finished(1))
    events = waiting.lost(cohort, "killed", "by SIGKILL", "")
    assert [event.trial for event in events] == [0, 2, 3]
    assert not any(event.charged for event in events)  # type: ignore[attr-defined]
    halves = [waiting.take(), waiting.take()]
    assert [[one.number for one in half.trials] for half in halves if half] == [[0, 2], [3]]
    assert [half.attempts for half in halves if half] == [(2, 2), (2,)]
    assert waiting.take() is None


def test_three_deaths_alone_are_a_failure() -> None:
    waiting = desk(1)
    for death in (1, 2, 3):
        cohort = waiting.take()
        assert cohort is not None
        assert cohort.attempts == (death,)
        (event,) = waiting.lost(cohort, "killed", "by SIGKILL", "log")
        assert (event.kind == "TrialFailed") == (death == 3)
    assert isinstance(event, TrialFailed)
    assert event.failure == "killed"
    assert event.details == "log"
    assert not waiting.unfinished


def test_an_error_of_a_single_trial_is_not_tried_again() -> None:
    waiting = desk(1)
    cohort = waiting.take()
    assert cohort is not None
    (event,) = waiting.lost(cohort, "error", "ValueError: planted", "traceback")
    assert isinstance(event, TrialFailed)
    assert not waiting.unfinished
    assert waiting.take() is None


def test_attempts_go_on_from_an_earlier_start_of_the_run() -> None:
    cohort = Cohort(engine="csr", trials=(trial(7),), attempts=(1,))
    taken = Desk([cohort], {7: 2}).take()
    assert taken is not None
    assert taken.attempts == (3,)


def test_dealing_gives_each_trial_once_the_most_expensive_first() -> None:
    trials = [trial(number, width=8 + 4 * number) for number in range(23)]
    cohorts = deal(trials, lambda genome: "csr" if genome.hidden[0].width < 50 else "dense", 2)
    numbers = sorted(one.number for cohort in cohorts for one in cohort.trials)
    assert numbers == list(range(23))
    assert all(1 <= len(cohort.trials) <= 8 for cohort in cohorts)
    for cohort in cohorts:
        kinds = {one.genome.hidden[0].width < 50 for one in cohort.trials}
        assert kinds == {cohort.engine == "csr"}
    works = [work_of(cohort) for cohort in cohorts]
    assert works == sorted(works, reverse=True)
    for engine in ("csr", "dense"):
        own = [cohort for cohort in cohorts if cohort.engine == engine]
        sizes = [sum(one.genome.counts) for cohort in own for one in cohort.trials]
        assert sizes == sorted(sizes, reverse=True)
