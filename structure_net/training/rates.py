"""The learning rates of one trial on its way: paces step by step, multipliers epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from structure_net.engine import AdamW, Batch, Learner, corrections
from structure_net.learning_rates import (
    LOWEST_RATE,
    LayerState,
    Learnt,
    Moment,
    NewbornWarmUp,
    Past,
    multipliers,
    paces_alone,
    paces_of,
    shuffled,
    strategy_of,
)
from structure_net.networks import MATURITY
from structure_net.schema import Trial
from structure_net.seeding import derive

DIGITS = 6  # of a rate in the record


class Rates:
    """What the trial's strategy makes of its base rate. `begin` writes the multipliers of an epoch;
    `last` is the base rate x pace of its last step, `of_layers` the mean rate of each layer there,
    `newborn` the values that are not like the others yet, None where there are none."""

    def __init__(self, trial: Trial, learner: Learner) -> None:
        self.schedules = strategy_of(trial.genome.strategy)
        self.last = 0.0
        self.of_layers: tuple[float, ...] = ()
        self._trial, self._learner = trial, learner
        own = [one for one in self.schedules if isinstance(one, NewbornWarmUp)]
        self._paces = paces_of(self.schedules)
        self._warm_up = own[0] if own else NewbornWarmUp()
        self.newborn: Newborn | None = None
        self._all_one = True  # as the optimizer makes its multipliers

    def begin(self, epoch: int, steps: int, past: Past, *, placebo: bool) -> list[float]:
        """Base rate x pace at each of the `steps` steps of an epoch, with the multipliers of its
        connections set; as a `placebo` they are shuffled."""
        trial = self._trial
        base, epochs = trial.genome.base_learning_rate, trial.epochs
        rates = []
        for step in range(steps):
            progress = (epoch * steps + step) / (epochs * steps)
            moment = Moment(progress, epoch + step / steps, epochs, steps, past)
            rates.append(base * math.prod(one(moment) for one in self._paces))
        self.last = rates[-1]
        done = epoch * steps
        flat = None
        if not paces_alone(self.schedules):
            layers = self._layers(done, steps)
            moment = Moment(epoch / epochs, float(epoch), epochs, steps, past, layers)
            found = multipliers(self.schedules, moment)
            if placebo:
                found = shuffled(found, derive(trial.seed, "placebo", epoch))
            flat = found.flat(self._learner.network.genome.bias_counts)
        self._set(flat, rates)
        self.of_layers = self._means(flat)
        return rates

    def _set(self, flat: Float[np.ndarray, " values"] | None, rates: Sequence[float]) -> None:
        """Write the multipliers. Where one is exactly 0, or below what it is to become, the
        optimizer's lower limit would lift it: then the others are kept above that limit here, at
        the epoch's lowest rate."""
        optimizer, lowest = self._learner.optimizer, min(rates)
        born = self._born()
        frozen = len(born) > 0 or (flat is not None and not flat.all())
        if frozen and flat is None:
            flat = np.ones(len(optimizer.values), dtype=np.float32)
        if frozen and flat is not None and lowest > 0:
            flat = np.where(flat > 0, np.maximum(flat, LOWEST_RATE / lowest), 0.0)
        optimizer.limits = (0.0 if frozen else LOWEST_RATE, optimizer.limits[1])
        if flat is not None:
            optimizer.multiplier.copy_(torch.from_numpy(flat.astype(np.float32, copy=False)))
        elif not self._all_one:
            optimizer.multiplier.fill_(1.0)
        self._all_one = flat is None
        self.newborn = Newborn(optimizer, born, self._warm_up, rates) if len(born) else None

    def _born(self) -> Int[np.ndarray, " born"]:
        """Places of values that are younger than their optimizer and not settled yet."""
        optimizer, connections = self._learner.optimizer, self._learner.network.connection_count
        ages = optimizer.age.numpy()
        young = np.flatnonzero(ages < optimizer.steps)
        own = ages[young]
        gated = (young < connections) & (self._warm_up.at(own) < 1.0)
        return young[(own <= MATURITY) | gated]

    def _grown(self, done: int) -> Bool[np.ndarray, " connections"]:
        """Connections that are younger than the trial, or came with the edits that made it."""
        ages = self._learner.optimizer.age.numpy()[: self._learner.network.connection_count]
        grown: np.ndarray = ages < done
        return grown | (ages == done) if self._trial.inherits is not None else grown

    def _means(self, flat: Float[np.ndarray, " values"] | None) -> tuple[float, ...]:
        """Mean rate of each layer's connections at the last step, the gate of the newborn aside."""
        low, high = LOWEST_RATE, self._learner.optimizer.limits[1]
        counts = self._learner.network.genome.counts
        if flat is None:
            return (_short(min(max(self.last, low), high)),) * len(counts)
        parts = np.split(flat[: sum(counts)].astype(np.float64), np.cumsum(counts)[:-1])
        rates = [np.clip(self.last * part, low, high) * (part > 0) for part in parts]
        return tuple(_short(float(one.mean())) for one in rates)

    def _layers(self, done: int, steps: int) -> tuple[LayerState, ...]:
        """The sparse layers as schedules see them."""
        network, age = self._learner.network, self._learner.optimizer.age.numpy()
        grown = self._grown(done)
        learnt = cache(self._learnt)
        states, weights, biases = [], 0, network.connection_count
        for index, (pointers, columns) in enumerate(self._lists):
            own = slice(weights, weights + len(columns))
            units = network.genome.bias_counts[index]
            # Its oldest unit, where it has biases: those that came later are younger than it.
            oldest = age[biases : biases + units] if units else age[own]
            states.append(
                LayerState(
                    index=index,
                    sources=network.genome.shapes[index][0],
                    row_pointers=pointers,
                    columns=columns,
                    age_epochs=float(oldest.max()) / steps,
                    age_steps=age[own].astype(np.float64),
                    grown=grown[own],
                    learnt=_part(learnt, own),
                )
            )
            weights, biases = own.stop, biases + units
        return tuple(states)

    @cached_property
    def _lists(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Row pointers and columns of each layer, on the processor: they stay while it trains."""
        network = self._learner.network
        lists = [network.layer(index).connections for index in range(len(network.layers))]
        return [(one.row_pointers, one.columns) for one in lists]

    def _learnt(self) -> Learnt:
        """Weights and what the optimizer remembers of all connections."""
        network = self._learner.network
        vectors = (network.values, *self._learner.optimizer.recalled())
        connections = slice(0, network.connection_count)
        return Learnt(*(vector.detach()[connections].cpu().numpy() for vector in vectors))


class Newborn:
    """Values younger than their optimizer, whose rates follow a law of their own from step to step.

    Until they are 100 steps old: the gate of warm-up (connections alone), Adam's bias corrected by
    their own step count, no weight decay. All of it is done here, by multiplier, moments and
    values, so that no engine knows of it. Without warm-up there is decay as for all others.
    """

    def __init__(
        self,
        optimizer: AdamW,
        places: Int[np.ndarray, " born"],
        warm_up: NewbornWarmUp,
        rates: Sequence[float],
    ) -> None:
        # The optimizer and not its vectors: an engine may move those elsewhere.
        self._optimizer, self._warm_up, self._rates = optimizer, warm_up, rates
        self._places, self._before = places, optimizer.steps
        gated = places < optimizer.connections
        # Few were born apart: what holds for all of one kind is computed once a step.
        kinds = np.stack([optimizer.age.numpy()[places].astype(np.float64), gated])
        (self._ages, self._gated), self._kind = np.unique(kinds, axis=1, return_inverse=True)
        self._kind = self._kind.reshape(-1)
        self._full = optimizer.multiplier.cpu().numpy()[places]
        self._decay = optimizer.weight_decay if warm_up.steps else 0.0
        self._open = False

    def before(self, step: int) -> None:
        """Make multipliers, moments and values fit for step `step` of the epoch."""
        if self._open:
            return
        ages, rate = self._ages + step, self._rates[step]
        gates = np.where(self._gated > 0, self._warm_up.at(ages), 1.0)
        own = self._corrections(ages, step)
        highest = self._optimizer.limits[1] / rate if rate > 0 else np.inf
        factors = np.minimum(self._full * gates[self._kind], highest) * own[self._kind]
        _set_at(self._optimizer.multiplier, self._places, factors)
        self._settle(ages == MATURITY, self._before + step)
        decaying = (ages < MATURITY) & (self._gated > 0)
        if self._decay and rate > 0 and decaying.any():
            # The step takes rate x decay of the value away: that much more is there to take.
            kept = 1.0 - rate * self._decay * factors * decaying[self._kind]
            _scale_at(self._optimizer.values, self._places, 1.0 / kept)
        self._open = bool((gates == 1.0).all() and (ages >= MATURITY).all())

    def _corrections(
        self, ages: Float[np.ndarray, " kinds"], step: int
    ) -> Float[np.ndarray, " kinds"]:
        """What the update by the shared step count is to be multiplied by to be that by the own."""
        first, second = corrections(np.minimum(ages, MATURITY) + 1.0)
        shared_first, shared_second = corrections(self._before + step + 1)
        own = shared_first / first * np.sqrt(second / shared_second)
        return np.where(ages < MATURITY, own, 1.0)

    def _settle(self, kinds: Bool[np.ndarray, " kinds"], count: int) -> None:
        """Moments of these as if they had the shared step count: what they are divided by changes,
        what comes out does not."""
        if not kinds.any():
            return
        places = self._places[kinds[self._kind]]
        shared, own = corrections(count), corrections(MATURITY)
        moments = (self._optimizer.first_moment, self._optimizer.second_moment)
        for moment, of_all, of_these in zip(moments, shared, own, strict=True):
            _scale_at(moment, places, np.full(len(places), of_all / of_these))


def _set_at(
    vector: torch.Tensor, places: Int[np.ndarray, " n"], numbers: Float[np.ndarray, " n"]
) -> None:
    """Write float32 numbers. On the processor by numpy: a step of a small network should not wait
    for more."""
    vector = vector.detach()
    if vector.device.type == "cpu":
        vector.numpy()[places] = numbers
    else:
        there = torch.from_numpy(numbers.astype(np.float32)).to(vector.device)
        vector[torch.from_numpy(places).to(vector.device)] = there


def _scale_at(
    vector: torch.Tensor, places: Int[np.ndarray, " n"], factors: Float[np.ndarray, " n"]
) -> None:
    vector = vector.detach()
    if vector.device.type == "cpu":
        vector.numpy()[places] *= factors.astype(np.float32)
    else:
        there = torch.from_numpy(factors.astype(np.float32)).to(vector.device)
        vector[torch.from_numpy(places).to(vector.device)] *= there


def warming(batches: Iterable[Batch], cohort: Iterable[Rates]) -> Iterable[Batch]:
    """The batches of an epoch; before each the newborn are made fit for it. An engine asks for a
    batch when it is done with the one before."""
    newborn = [one.newborn for one in cohort if one.newborn is not None]
    return _opening(batches, newborn) if newborn else batches


def _opening(batches: Iterable[Batch], newborn: Sequence[Newborn]) -> Iterator[Batch]:
    for step, batch in enumerate(batches):
        for one in newborn:
            one.before(step)
        yield batch


def _part(learnt: Callable[[], Learnt], own: slice) -> Callable[[], Learnt]:
    def of_layer() -> Learnt:
        every = learnt()
        return Learnt(every.weights[own], every.directions[own], every.roots[own])

    return of_layer


def _short(rate: float) -> float:
    return float(f"{rate:.{DIGITS}g}")
