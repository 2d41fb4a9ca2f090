"""Readers: small classifiers trained on a signal to see how much it tells about the labels.

Held-out cross-entropy bounds the conditional entropy of the labels from above, whatever the reader:
one that is trained badly lowers the bound, and the bound stays true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from structure_net.metrics.jackknife import standard_error
from structure_net.metrics.measurement import Undetermined

FOLDS = 5
# On the squares of all parameters, biases too: a class that a training fold lacks then keeps a
# finite bias, and the optimum is unique.
PENALTY = 1e-3
UNITS = 64
# L-BFGS ends at slopes of 3e-4: within 3e-4^2 / (2 PENALTY), 5e-5 nats, of the least loss, a
# hundredth of the standard error or less, in about half the time that 1e-5 takes.
SLOPE = 3e-4

ReaderName = Literal["linear", "mlp"]


@dataclass(frozen=True)
class Reading:
    """What a reader found in a signal about the labels; nats but for the shares.

    `raw` is H(Y) less the held-out cross-entropy, below 0 where the reader does worse than the
    shares of the classes; `clipped` lies in [0, H(Y)]. `accuracy` is that on held-out samples.
    The standard error is that of the readers as trained: they are not trained anew without a group.
    """

    raw: float
    clipped: float
    standard_error: float
    accuracy: float
    label_entropy: float

    @property
    def efficiency(self) -> float:
        """The share of the labels' entropy that was found, in [0, 1]."""
        return self.clipped / self.label_entropy


@runtime_checkable
class Reader(Protocol):
    """A classifier whose parameters are one flat float64 vector; `x` has a last column of ones.
    `convex`: its loss has one minimum, wherever training starts. `steps`: L-BFGS steps at most."""

    convex: bool
    steps: int

    def start(
        self, columns: int, classes: int, generator: np.random.Generator
    ) -> Float[np.ndarray, " parameters"]: ...

    def loss(
        self,
        parameters: Float[Tensor, " parameters"],
        x: Float[Tensor, "samples columns"],
        targets: Float[Tensor, "samples classes"],
    ) -> tuple[float, Float[Tensor, " parameters"]]:
        """Mean cross-entropy and its derivatives, without the penalty."""

    def logits(
        self,
        parameters: Float[Tensor, " parameters"],
        x: Float[Tensor, "samples columns"],
        classes: int,
    ) -> Float[Tensor, "samples classes"]: ...


class LinearReader:
    """Multinomial logistic regression."""

    convex = True
    steps = 200

    def start(
        self, columns: int, classes: int, generator: np.random.Generator
    ) -> Float[np.ndarray, " parameters"]:
        return np.zeros(columns * classes)

    def loss(
        self,
        parameters: Float[Tensor, " parameters"],
        x: Float[Tensor, "samples columns"],
        targets: Float[Tensor, "samples classes"],
    ) -> tuple[float, Float[Tensor, " parameters"]]:
        loss, errors = _cross_entropy(self.logits(parameters, x, targets.shape[1]), targets)
        return loss, (x.T @ errors).flatten()

    def logits(
        self,
        parameters: Float[Tensor, " parameters"],
        x: Float[Tensor, "samples columns"],
        classes: int,
    ) -> Float[Tensor, "samples classes"]:
        return x @ parameters.view(-1, classes)


class MlpReader:
    """One hidden layer of 64 ReLU units."""

    convex = False
    # Where it has seen enough: on 2,048 samples more steps learn the noise by heart, at 200 a
    # quarter of the information is lost again.
    steps = 25

    def start(
        self, columns: int, classes: int, generator: np.random.Generator
    ) -> Float[np.ndarray, " parameters"]:
        first = generator.standard_normal((columns, UNITS)) * np.sqrt(2.0 / columns)
        return np.concatenate([first.ravel(), np.zeros((UNITS + 1) * classes)])

    def loss(
        self,
        parameters: Float[Tensor, " parameters"],
        x: Float[Tensor, "samples columns"],
        targets: Float[Tensor, "samples classes"],
    ) -> tuple[float, Float[Tensor, " parameters"]]:
        first, last = self._matrices(parameters, x.shape[1], targets.shape[1])
        hidden = torch.relu(x @ first)
        loss, errors = _cross_entropy(hidden @ last[:-1] + last[-1], targets)
        back = (errors @ last[:-1].T) * (hidden > 0)
        slopes = (x.T @ back, hidden.T @ errors, errors.sum(0))
        return loss, torch.cat([slope.flatten() for slope in slopes])

    def logits(
        self,
        parameters: Float[Tensor, " parameters"],
        x: Float[Tensor, "samples columns"],
        classes: int,
    ) -> Float[Tensor, "samples classes"]:
        first, last = self._matrices(parameters, x.shape[1], classes)
        return torch.relu(x @ first) @ last[:-1] + last[-1]

    def _matrices(self, parameters: Tensor, columns: int, classes: int) -> tuple[Tensor, Tensor]:
        cut = columns * UNITS
        return parameters[:cut].view(columns, UNITS), parameters[cut:].view(UNITS + 1, classes)


READERS: dict[ReaderName, Reader] = {"linear": LinearReader(), "mlp": MlpReader()}


def read_labels(
    features: Float[Tensor, "samples columns"],
    labels: Int[Tensor, " samples"],
    generator: np.random.Generator,
    reader: ReaderName = "linear",
) -> Reading | Undetermined:
    """What a reader finds in the features about the labels, by five stratified folds.

    The features are standardised by each training fold. `generator` deals the folds and, for
    `mlp`, draws the starting weights. Undetermined for labels of one class.
    """
    names, numbers, counts = np.unique(labels.numpy(), return_inverse=True, return_counts=True)
    if len(names) < 2 or features.shape[1] == 0:
        return Undetermined("all labels are the same" if len(names) < 2 else "no feature varies")
    classes = torch.from_numpy(numbers)
    targets = functional.one_hot(classes).double()
    folds = _stratified(classes, generator)
    logits = _held_out(features.double(), targets, folds, READERS[reader], generator)
    losses = functional.cross_entropy(logits, classes, reduction="none").numpy()

    def information(kept: Int[np.ndarray, " kept"]) -> float:
        return _entropy(np.bincount(numbers[kept])) - float(losses[kept].mean())

    entropy = _entropy(counts)
    raw = entropy - float(losses.mean())
    return Reading(
        raw,
        min(max(raw, 0.0), entropy),
        standard_error(information, len(losses)),
        float((logits.argmax(1) == classes).double().mean()),
        entropy,
    )


def _stratified(
    classes: Int[Tensor, " samples"], generator: np.random.Generator
) -> Int[Tensor, " samples"]:
    """The fold of each sample: the classes one after another, each in random order, dealt out."""
    mixed = generator.permutation(len(classes))
    order = mixed[np.argsort(classes.numpy()[mixed], kind="stable")]
    folds = np.empty(len(classes), dtype=np.int64)
    folds[order] = np.arange(len(classes)) % FOLDS
    return torch.from_numpy(folds)


def _held_out(
    features: Float[Tensor, "samples columns"],
    targets: Float[Tensor, "samples classes"],
    folds: Int[Tensor, " samples"],
    reader: Reader,
    generator: np.random.Generator,
) -> Float[Tensor, "samples classes"]:
    """Logits of each sample by the reader that was trained on the other folds."""
    logits = torch.empty_like(targets)
    start = reader.start(features.shape[1] + 1, targets.shape[1], generator)
    found = start
    for held, x in _standardised(features, folds):
        # With one minimum the last fold's is a near start. Without, it would remember samples that
        # are held out now.
        found = _trained(reader, x[~held], targets[~held], found if reader.convex else start)
        logits[held] = reader.logits(torch.from_numpy(found), x[held], targets.shape[1])
    return logits


def _standardised(
    features: Float[Tensor, "samples columns"], folds: Int[Tensor, " samples"]
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each fold what it holds out, and the features by the scale of the rest, with ones."""
    ones = features.new_ones(len(features), 1)
    for fold in range(FOLDS):
        held = folds == fold
        deviation, mean = torch.std_mean(features[~held], 0)
        scale = torch.where(deviation > 0, deviation, 1.0)
        yield held, torch.cat([(features - mean) / scale, ones], 1)


def _trained(
    reader: Reader, x: Tensor, targets: Tensor, start: Float[np.ndarray, " parameters"]
) -> Float[np.ndarray, " parameters"]:
    """The parameters at the least mean loss + half the penalty times their squares, by L-BFGS."""
    from scipy.optimize import minimize

    def objective(point: Float[np.ndarray, " parameters"]) -> tuple[float, np.ndarray]:
        parameters = torch.from_numpy(point)
        loss, slope = reader.loss(parameters, x, targets)
        penalty = 0.5 * PENALTY * float(point @ point)
        return loss + penalty, slope.add_(parameters, alpha=PENALTY).numpy()

    options = {"maxiter": reader.steps, "gtol": SLOPE, "ftol": 0.0}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return np.array(found.x, dtype=np.float64)


def _cross_entropy(
    logits: Float[Tensor, "samples classes"], targets: Float[Tensor, "samples classes"]
) -> tuple[float, Float[Tensor, "samples classes"]]:
    """The mean over the samples, and its derivatives by the logits."""
    logs = torch.log_softmax(logits, 1)
    loss = -float((logs * targets).sum()) / len(logits)
    return loss, (logs.exp_() - targets) / len(logits)


def _entropy(counts: Int[np.ndarray, " classes"]) -> float:
    """Plug-in entropy of counts, nats."""
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * np.log(shares)).sum())
