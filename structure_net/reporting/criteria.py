"""The seed's six success criteria, each decided by a figure of the run."""

from __future__ import annotations

from statistics import fmean

from structure_net.schema import Config, Criterion
from structure_net.store import History

# Below this share of busy workers, cores stand idle that could train.
BUSY_SHARE = 0.8
# The seed's expectation: 10 to 50 and more experiments a second, depending on hardware.
EXPECTED_EXPERIMENTS_PER_SECOND = 10.0


def success_criteria(history: History, config: Config, seconds: float) -> tuple[Criterion, ...]:
    """System integration, scalability, evolution, robustness, logging, performance, in order."""
    return (
        _integration(history),
        _scalability(history),
        _evolution(history),
        _robustness(history, config),
        _logging(history),
        _performance(history, seconds),
    )


def worker_utilization(history: History) -> float | None:
    """Share of the workers' time spent training, over all generations; None before the first."""
    offered = sum(event.duration * event.capacity for event in history.generations)
    busy = sum(event.busy_seconds for event in history.generations)
    return min(1.0, busy / offered) if offered > 0 else None


def _criterion(name: str, met: bool, figure: str) -> Criterion:
    return Criterion(name=name, state="met" if met else "not met", figure=figure)


def _integration(history: History) -> Criterion:
    without = history.started.without if history.started else ()
    if without:
        return _criterion("System Integration", False, "without " + ", ".join(without))
    return _criterion("System Integration", bool(history.results), "every part took part")


def _scalability(history: History) -> Criterion:
    share = worker_utilization(history)
    if share is None:
        return Criterion(name="Scalability", state="not measured", figure="no generation ended")
    workers = max(event.capacity for event in history.generations)
    busy = "1 worker" if workers == 1 else f"{workers} workers"
    figure = f"{busy} busy {share:.0%} of the time (wanted {BUSY_SHARE:.0%})"
    return _criterion("Scalability", share >= BUSY_SHARE, figure)


def _evolution(history: History) -> Criterion:
    """Improving: the best and the mean of the last generation above those of the first."""
    measured = [event for event in history.generations if event.avg_fitness is not None]
    if len(measured) < 2:
        return Criterion(name="Evolution", state="not measured", figure="one generation only")
    first, last = measured[0], measured[-1]
    best = (last.best_fitness or 0.0) - (first.best_fitness or 0.0)
    mean = (last.avg_fitness or 0.0) - (first.avg_fitness or 0.0)
    figure = (
        f"best fitness {first.best_fitness:.4f} to {last.best_fitness:.4f}, "
        f"mean {first.avg_fitness:.4f} to {last.avg_fitness:.4f}"
    )
    return _criterion("Evolution", best > 0 and mean > 0, figure)


def _robustness(history: History, config: Config) -> Criterion:
    total = len(history.outcomes)
    share = len(history.failures) / total if total else 0.0
    figure = (
        f"{len(history.failures)} of {total} trials failed "
        f"(allowed {config.max_failed_fraction:.0%})"
    )
    return _criterion("Robustness", bool(total) and share <= config.max_failed_fraction, figure)


def _logging(history: History) -> Criterion:
    """Every trial that a generation counted has its outcome in the store."""
    ended = [one.finished + one.stopped + one.failed for one in history.generations]
    counted = sum(ended)
    stored = len(history.outcomes.keys() - history.retrained.keys())
    figure = f"{stored} of {counted} outcomes stored, {len(history.generations)} generations"
    return _criterion("Logging", stored == counted > 0, figure)


def _performance(history: History, seconds: float) -> Criterion:
    searched = history.results.keys() - history.retrained.keys()
    rate = len(searched) / seconds if seconds > 0 else 0.0
    mean = fmean([result.seconds for result in history.results.values()] or [0.0])
    figure = (
        f"{rate:.2f} experiments a second (wanted {EXPECTED_EXPERIMENTS_PER_SECOND:.0f}), "
        f"{mean:.2g} s of training each"
    )
    return _criterion("Performance", rate >= EXPECTED_EXPERIMENTS_PER_SECOND, figure)
