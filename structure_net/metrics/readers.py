"""Readers: small classifiers trained on a signal to see how much it tells about the labels.

Held-out cross-entropy bounds the conditional entropy of the labels from above, whatever the reader:
one that is trained badly lowers the bound, and the bound stays true.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from structure_net.metrics.jackknife import standard_error
from structure_net.metrics.measurement import Undetermined

FOLDS = 5
# On the squares of all parameters, biases too: a class that a training fold lacks then keeps a
# finite bias, and the optimum is unique.
PENALTY = 1e-3
UNITS = 64
# L-BFGS ends at slopes of 3e-4: what is held out is then within 1e-3 nats of what 1e-6 gives, a
# tenth of the standard error, in a third of the time.
SLOPE = 3e-4
# More than L-BFGS ever took, and where the reader with units has seen enough: on 2,048 samples more
# steps learn the noise by heart, at 200 a quarter of the information is lost again.
LINEAR_STEPS, MLP_STEPS = 200, 25

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


class LinearReader:
    """Multinomial logistic regression without each of five folds, all five at once.

    The samples are standardised by what stays in; parameters are a weight for each column and
    class, the biases last, of one fold after another. All five lie near one another, so that one
    sequence of steps serves them; float32 holds what depends on samples, sums are float64.
    """

    def __init__(
        self,
        features: Float[Tensor, "samples columns"],
        numbers: Int[Tensor, " samples"],
        classes: int,
        folds: Int[Tensor, " samples"],
    ) -> None:
        whole = _standard(features, torch.ones(len(features), dtype=torch.bool))
        self.shape = FOLDS, features.shape[1] + 1, classes
        # Features down: over classes that lie next to each other, a softmax takes twenty times as
        # long.
        self._x = torch.cat([whole, whole.new_ones(len(whole), 1)], 1).float().t().contiguous()
        self._numbers = numbers.expand(FOLDS, 1, -1)
        kept = folds != torch.arange(FOLDS)[:, None]
        self._shares = (kept.double() / kept.sum(1, keepdim=True)).float()[:, None]
        self._maps = torch.zeros(FOLDS, *(2 * [self.shape[1]]), dtype=torch.double)
        for fold in range(FOLDS):
            # A row of x times this is that row standardised by the samples that stay.
            deviation, mean = torch.std_mean(whole[kept[fold]], 0)
            inverse = 1.0 / torch.where(deviation > 0, deviation, 1.0)
            self._maps[fold, :-1, :-1] = inverse.diag()
            self._maps[fold, -1, :-1] = -mean * inverse
            self._maps[fold, -1, -1] = 1.0

    def logits(
        self, point: Float[np.ndarray, " parameters"]
    ) -> Float[Tensor, "folds classes samples"]:
        """By the regression without each fold, float32."""
        weights = self._maps @ torch.from_numpy(point).view(self.shape)
        joined = weights.float().transpose(1, 2).reshape(-1, self.shape[1])
        return (joined @ self._x).view(FOLDS, self.shape[2], -1)

    def objective(self, point: Float[np.ndarray, " parameters"]) -> tuple[float, np.ndarray]:
        """Sum over the folds of mean cross-entropy + half the penalty times the squares of the
        parameters, and its derivatives."""
        logs = torch.log_softmax(self.logits(point), 1)
        loss = -float((logs.gather(1, self._numbers) * self._shares).double().sum())
        errors = logs.exp_().mul_(self._shares)
        errors.scatter_add_(1, self._numbers, -self._shares)
        slopes = (errors.view(-1, errors.shape[2]) @ self._x.t()).double()
        by_fold = slopes.view(FOLDS, self.shape[2], -1).transpose(1, 2)
        slope = (self._maps.transpose(1, 2) @ by_fold).flatten().numpy() + PENALTY * point
        return loss + 0.5 * PENALTY * float(point @ point), slope

    def held_out(self, folds: Int[Tensor, " samples"]) -> Float[Tensor, "samples classes"]:
        """Logits of each sample by the regression that was trained on the other folds."""
        found = _minimum(self.objective, np.zeros(math.prod(self.shape)), LINEAR_STEPS)
        return self.logits(found)[folds, :, torch.arange(len(folds))].double()


class MlpReader:
    """One hidden layer of 64 ReLU units. Parameters are one flat float64 vector; `x` has a last
    column of ones."""

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
        """Mean cross-entropy and its derivatives, without the penalty."""
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
    folds = _stratified(classes, generator)
    if reader == "linear":
        logits = LinearReader(features.double(), classes, len(names), folds).held_out(folds)
    else:
        logits = _read_by_units(features.double(), classes, folds, generator)
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


def _read_by_units(
    features: Float[Tensor, "samples columns"],
    numbers: Int[Tensor, " samples"],
    folds: Int[Tensor, " samples"],
    generator: np.random.Generator,
) -> Float[Tensor, "samples classes"]:
    """Logits of each sample by the reader with units that was trained on the other folds."""
    reader, targets = MlpReader(), functional.one_hot(numbers).double()
    logits, ones = torch.empty_like(targets), features.new_ones(len(features), 1)
    # The same start for each: the minimum found last would remember samples held out now.
    start = reader.start(features.shape[1] + 1, targets.shape[1], generator)
    for fold in range(FOLDS):
        held = folds == fold
        x = torch.cat([_standard(features, ~held), ones], 1)
        found = _trained(reader, x[~held], targets[~held], start)
        logits[held] = reader.logits(torch.from_numpy(found), x[held], targets.shape[1])
    return logits


def _standard(
    features: Float[Tensor, "samples columns"], kept: Bool[Tensor, " samples"]
) -> Float[Tensor, "samples columns"]:
    """The features by mean and standard deviation of the samples kept."""
    deviation, mean = torch.std_mean(features[kept], 0)
    return (features - mean) / torch.where(deviation > 0, deviation, 1.0)


def _trained(
    reader: MlpReader, x: Tensor, targets: Tensor, start: Float[np.ndarray, " parameters"]
) -> Float[np.ndarray, " parameters"]:
    """The parameters at the least mean loss + half the penalty times their squares."""

    def objective(point: Float[np.ndarray, " parameters"]) -> tuple[float, np.ndarray]:
        parameters = torch.from_numpy(point)
        loss, slope = reader.loss(parameters, x, targets)
        penalty = 0.5 * PENALTY * float(point @ point)
        return loss + penalty, slope.add_(parameters, alpha=PENALTY).numpy()

    return _minimum(objective, start, MLP_STEPS)


def _minimum(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: Float[np.ndarray, " parameters"],
    steps: int,
) -> Float[np.ndarray, " parameters"]:
    """Where `objective`, which gives its derivatives too, is least, by L-BFGS."""
    from scipy.optimize import minimize

    options = {"maxiter": steps, "gtol": SLOPE, "ftol": 0.0}
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
