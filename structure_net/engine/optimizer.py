"""AdamW over the flat vector of connections and biases, each with a rate of its own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim.adam import adam

from structure_net.networks import MATURITY, Network, OptimizerState

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


def corrections(count: Any) -> tuple[Any, Any]:
    """1 - 0.9^n and 1 - 0.999^n: what moments after n steps, a number or an array of them, are
    divided by."""
    return 1.0 - FIRST_DECAY**count, 1.0 - SECOND_DECAY**count


class AdamW:
    """Loshchilov & Hutter 2019, decoupled decay on connections only, none on biases.

    The update of value i is `rate * multiplier_i * (m / (sqrt(v) + eps) + decay * value)`, the
    product `rate * multiplier_i` clipped to `limits`. The multiplier acts on the update: scaling
    the gradient instead does nothing, Adam divides it out again. `age` holds the steps that each
    value lived, through inheritance too.

    One step count corrects the bias of all moments. A *newborn* value, of an age up to 100 and
    below that count, has moments of its own count, its age: whoever trains makes up for the
    difference in its multiplier, and at 100 in its moments (`corrections`).
    """

    def __init__(self, network: Network, weight_decay: float, limits: tuple[float, float]) -> None:
        self.values = network.values
        self.connections = network.connection_count
        self.weight_decay = weight_decay
        self.limits = limits
        self.steps = 0
        self.first_moment = torch.zeros_like(self.values, requires_grad=False)
        self.second_moment = torch.zeros_like(self.values, requires_grad=False)
        self.multiplier = torch.ones_like(self.values, requires_grad=False)
        # On the processor always: whoever trains counts it up, no step reads it.
        self.age = torch.zeros(len(self.values))
        self._scratch: tuple[Tensor, Tensor] | None = None

    def state(self) -> OptimizerState:
        """A copy of what it remembers, on the processor."""
        vectors = (self.first_moment, self.second_moment, self.age)
        first, second, age = (vector.detach().cpu().numpy().copy() for vector in vectors)
        return OptimizerState(first, second, age, self.steps)

    def restore(self, state: OptimizerState) -> None:
        """Go on from a state of as many values."""
        self.first_moment.copy_(torch.from_numpy(state.first_moment))
        self.second_moment.copy_(torch.from_numpy(state.second_moment))
        self.age.copy_(torch.from_numpy(state.age))
        self.steps = state.steps

    @torch.no_grad()
    def recalled(self) -> tuple[Float[Tensor, " values"], Float[Tensor, " values"]]:
        """The direction of the last step, with decay, and the roots of the corrected second
        moments; 0 before the first step."""
        if self.steps == 0:
            return torch.zeros_like(self.values), torch.zeros_like(self.values)
        first, second = corrections(self.steps)
        roots = self.second_moment.div(second)
        directions = self.first_moment.div(first)
        born = self.newborn()
        if len(born):
            own = corrections(self.age[born].double().clamp(min=1.0))
            places = born.to(roots.device)
            for vector, shared, count in zip(
                (directions, roots), (first, second), own, strict=True
            ):
                vector[places] *= (shared / count).to(vector)
        directions.div_(roots.sqrt_() + EPSILON)
        connections = slice(0, self.connections)
        directions[connections] += self.weight_decay * self.values[connections]
        return directions, roots

    def newborn(self) -> Int[Tensor, " born"]:
        """Places of the values whose moments have a count of their own."""
        return torch.nonzero((self.age < self.steps) & (self.age <= MATURITY)).flatten()

    def reserve(self) -> tuple[Tensor, Tensor]:
        """Two vectors that `step` works in. With them a step allocates nothing, so that it cannot
        run out of memory half-way; made at the first step, since not every engine calls `step`."""
        if self._scratch is None:
            values = self.values.detach()
            self._scratch = torch.empty_like(values), torch.empty_like(values)
        return self._scratch

    @torch.no_grad()
    def step(self, gradient: Float[Tensor, " values"], rate: float) -> None:
        """Move `values` against `gradient`; `rate` = base learning rate x pace. All or nothing."""
        update, rates = self.reserve()
        # torch's fused step at rate 1 from -decay x value arrives at minus the whole update: one
        # pass instead of seven over vectors that no longer lie in the cache.
        torch.mul(self.values, -self.weight_decay, out=update)
        update[self.connections :].zero_()
        adam(
            [update],
            [gradient],
            [self.first_moment],
            [self.second_moment],
            [],
            [torch.tensor(float(self.steps), device=update.device)],
            fused=True,
            foreach=False,
            amsgrad=False,
            beta1=FIRST_DECAY,
            beta2=SECOND_DECAY,
            lr=1.0,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
        self.steps += 1
        torch.mul(self.multiplier, rate, out=rates).clamp_(*self.limits)
        self.values.addcmul_(update, rates)
