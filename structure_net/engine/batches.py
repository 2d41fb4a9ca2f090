"""Batches of a training run: shuffled and augmented once for a whole cohort.

Order and augmentation derive from (run, generation, epoch), the same for every trial of a
generation: comparisons inside a generation share their noise. A batch holds where its samples lie
and becomes what an engine wants at first use: standardised floats, or packed 8-bit values. On a
device with memory of its own the samples are uploaded once, and an epoch's draws with one copy;
its batches are then made there, and the host waits for none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from structure_net.datasets import Dataset, Split, standardisation
from structure_net.engine.augmentation import (
    NOTHING_ALTERED,
    Alterations,
    EpochDraws,
    cut,
    mixed,
    moved,
)
from structure_net.engine.samples import DeviceSamples, HostSamples, Samples
from structure_net.engine.slopes import wanted_of
from structure_net.seeding import derive

EVALUATION_BATCH = 1024
ROWS_AT_ONCE = 1024  # while looking for inputs that never change
# Validation parts up to this size stay prepared between epochs: 13 to 25 MB of CIFAR-10 per 2,048.
KEPT_PREPARED = 8192
# A quarter of what one of two processes has of a device whose memory they use to 80 %.
ROOM_PART = 10


@dataclass(frozen=True)
class RawSamples:
    """8-bit images before standardisation: rows of `images`, altered but never mixed.

    `factor` and `shift` standardise: raw * factor + shift for each input. `flipped`, `offsets` and
    `corners` are those of `Alterations`; `fill` is the raw value of each channel in a cut square.
    """

    images: np.ndarray
    rows: Int[np.ndarray, " samples"]
    factor: Float[np.ndarray, " inputs"]
    shift: Float[np.ndarray, " inputs"]
    flipped: Bool[np.ndarray, " samples"] | None = None
    offsets: Int[np.ndarray, "samples 2"] | None = None
    corners: Int[np.ndarray, "samples 2"] | None = None
    fill: UInt8[np.ndarray, " channels"] | None = None


@dataclass(frozen=True)
class Mixing:
    """The partners' classes in a mixed batch; the loss is share x own + (1 - share) x theirs."""

    targets: Int[Tensor, " samples"]
    share: float


class Batch:
    """Samples of one step. Iterating gives `inputs` and `targets`, as tensors on the device.

    Where `mixing` is not None, `targets` are only one of the two classes of each sample: the loss
    is against what `wanted` gives.
    """

    def __init__(
        self,
        labels: Int[np.ndarray, " samples"],
        prepare: Callable[[], Tensor],
        raw: RawSamples | None = None,
        classes: Callable[[], Tensor] | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        """`prepare` and `classes` give inputs and targets at their first use."""
        self.labels = labels
        self.raw = raw
        self.mixing = mixing
        self.packed: object = None  # a form of its own that an engine keeps with the batch
        self._prepare = prepare
        self._classes = classes
        self._forms: dict[tuple[torch.dtype, bool], Tensor] = {}
        self._wanted: Tensor | None = None

    @classmethod
    def of(cls, inputs: Float[Tensor, "samples inputs"], labels: Int[Tensor, " samples"]) -> Batch:
        """A batch of tensors that are ready as they are."""
        return cls(labels.cpu().numpy(), lambda: inputs, None, lambda: labels.to(inputs.device))

    @cached_property
    def inputs(self) -> Float[Tensor, "samples inputs"]:
        """Standardised float inputs."""
        return self._prepare()

    @cached_property
    def targets(self) -> Int[Tensor, " samples"]:
        """Class numbers, int64."""
        return torch.from_numpy(self.labels.copy()) if self._classes is None else self._classes()

    def by_input(self, dtype: torch.dtype) -> Tensor:
        """The inputs as [inputs, samples], contiguous: made once for all networks of a cohort."""
        return self._form((dtype, True), lambda: self._floats().t().to(dtype).contiguous())

    def by_sample(self, dtype: torch.dtype) -> Tensor:
        """The inputs as [samples, inputs], contiguous, made from `by_input` as it is used beside
        it."""
        return self._form((dtype, False), lambda: self.by_input(dtype).t().contiguous())

    def wanted(self, classes: int) -> Float[Tensor, "classes samples"]:
        """What share of each sample's loss is that of each class: 1 or 0, or those of a mix."""
        if self._wanted is None:
            device, mixing, own = self.targets.device, self.mixing, self.targets
            targets = torch.stack([own, own if mixing is None else mixing.targets])
            share = 1.0 if mixing is None else mixing.share
            shares = torch.tensor([share, 1.0 - share], device=device)
            self._wanted = wanted_of(targets, shares, torch.arange(classes, device=device))
        return self._wanted

    def _form(self, key: tuple[torch.dtype, bool], make: Callable[[], Tensor]) -> Tensor:
        if key not in self._forms:
            self._forms[key] = make()
        return self._forms[key]

    def _floats(self) -> Tensor:
        """`inputs`, which are not kept for the sake of another form of them."""
        return self.inputs if "inputs" in self.__dict__ else self._prepare()

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.inputs, self.targets))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class BatchPlan:
    """How the training part becomes batches; `augmentation` is `none`, or names joined by `+`."""

    run_seed: int
    batch_size: int
    augmentation: str


class Batches:
    """The training and validation parts of a dataset, ready for an engine on one device."""

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        plan: BatchPlan,
        device: str,
        room: int | None = None,
    ) -> None:
        """Samples of up to `room` bytes are held on the device; None: a part of its own memory."""
        self.plan = plan
        self.device = torch.device(device)
        labels = np.array(dataset.labels, dtype=np.int64)
        self._samples = _placed(dataset.images, labels, self.device, room)
        self._split = split
        self._shape = dataset.shape
        self.mean, self.deviation = standardisation(dataset.images, dataset.scale, split.train)
        # (raw / scale - mean) / deviation as one product and one sum, for every input.
        self._factor = _spread(1.0 / (dataset.scale * self.deviation), dataset.shape)
        self._shift = _spread(-self.mean / self.deviation, dataset.shape)
        self._scaling = [torch.from_numpy(v).to(self.device) for v in (self._factor, self._shift)]
        # Of 8-bit images: what a cut square holds.
        self._fill = np.rint(self.mean * dataset.scale).clip(0, 255).astype(np.uint8)
        self._cut_fill = self._standardised_fill().to(self.device)
        self.steps = len(split.train) // plan.batch_size
        self._draws = EpochDraws(plan.run_seed, plan.augmentation, dataset.shape, plan.batch_size)
        self._validation: list[Batch] = []

    def epoch(self, generation: int, epoch: int) -> Iterator[Batch]:
        """`steps` batches of exactly `batch_size` samples; the last partial one is dropped."""
        train, size = self._split.train, self.plan.batch_size
        order = derive(self.plan.run_seed, "batches", generation, epoch).permutation(len(train))
        drawn = self._draws(len(train), self.steps, generation, epoch)
        rows = train[order[: self.steps * size]]
        return self._batches(self._samples, rows, size, drawn)

    def validation(self) -> list[Batch]:
        """The validation part in order, the last partial batch included."""
        if self._validation:
            return self._validation
        rows = self._split.validation
        made = list(self._batches(self._samples, rows, EVALUATION_BATCH, NOTHING_ALTERED))
        if len(rows) <= KEPT_PREPARED:
            self._validation = made
        return made

    def of_part(
        self, images: np.ndarray, labels: Int[np.ndarray, " n"], rows: Int[np.ndarray, " samples"]
    ) -> Iterator[Batch]:
        """Any rows of any images of this dataset's kind, never augmented, for evaluation."""
        there = HostSamples(images, labels, self.device)
        return self._batches(there, rows, EVALUATION_BATCH, NOTHING_ALTERED)

    def standardise(self, raw: np.ndarray) -> Float[Tensor, "batch inputs"]:
        """Raw images or rows [batch, *shape] as the standardised inputs of a network."""
        return self._standardised(torch.from_numpy(np.array(raw)).to(self.device))

    def usable_inputs(self) -> Bool[np.ndarray, " inputs"]:
        """Inputs that are not constant over the training part."""
        rows = self._split.train
        images = self._samples.images
        first = np.asarray(images[rows[0]])
        varies = np.zeros(first.shape, dtype=bool)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = images[rows[start : start + ROWS_AT_ONCE]]
            varies |= (part != first).any(axis=0)
            if varies.all():
                break
        return varies.reshape(-1)

    def _standardised(self, values: Tensor) -> Float[Tensor, "batch inputs"]:
        factor, shift = self._scaling
        return values.flatten(1).to(torch.float32).mul_(factor).add_(shift)

    def _standardised_fill(self) -> Float[Tensor, " inputs"]:
        """What a cut square holds, standardised: 0, or what rounding to 8 bits makes of it."""
        if self._samples.images.dtype != np.uint8:
            return torch.zeros(len(self._factor))
        fill = _spread(self._fill, self._shape)
        return torch.from_numpy(fill * self._factor + self._shift)

    def _batches(
        self, samples: Samples, rows: Int[np.ndarray, " n"], size: int, drawn: Alterations
    ) -> Iterator[Batch]:
        """The samples `rows` in order, `size` a batch, altered as drawn.

        Tensors are cut into batches at their first use: engines that take raw samples need none.
        """
        located, near = samples.located(rows), drawn.to(self.device)
        arrays = drawn.arrays() if self._packable(samples, drawn) else None
        for number, start in enumerate(range(0, len(rows), size)):
            here = slice(start, start + size)
            own, mixing = rows[here], None
            classes = partial(_classes, samples, located, here)
            if near.partners is not None:
                mixing = Mixing(classes()[near.partners[here]], near.shares[number])
            raw = None if arrays is None else self._raw(samples.images, own, arrays, here)
            prepare = partial(self._inputs, samples, located, near, here, number)
            yield Batch(samples.labels[own], prepare, raw, classes, mixing)

    def _packable(self, samples: Samples, drawn: Alterations) -> bool:
        """Whether the compiled kernels can take the images as they lie."""
        here = isinstance(samples, HostSamples) and self.device.type == "cpu"
        return here and samples.images.dtype == np.uint8 and drawn.partners is None

    def _raw(
        self,
        images: np.ndarray,
        rows: Int[np.ndarray, " samples"],
        arrays: list[np.ndarray | None],
        here: slice,
    ) -> RawSamples:
        flipped, offsets, corners = (None if a is None else a[here] for a in arrays)
        scaling = (self._factor, self._shift)
        return RawSamples(images, rows, *scaling, flipped, offsets, corners, self._fill)

    def _inputs(
        self,
        samples: Samples,
        located: Int[Tensor, " n"],
        drawn: Alterations,
        here: slice,
        number: int,
    ) -> Float[Tensor, "batch inputs"]:
        """The inputs of one batch, altered and standardised on the device."""
        own = drawn.of_batch(here, number)
        inputs = self._standardised(moved(samples.gather(located[here]), own))
        return mixed(cut(inputs, own, self._shape, self._cut_fill), own)


def _classes(samples: Samples, located: Int[Tensor, " n"], here: slice) -> Int[Tensor, " samples"]:
    return samples.classes(located[here])


def _placed(
    images: np.ndarray, labels: Int[np.ndarray, " n"], device: torch.device, room: int | None
) -> Samples:
    """On the device if there is room, else where they are, as always for a processor."""
    if room is None and device.type == "cuda":
        room = torch.cuda.get_device_properties(device).total_memory // ROOM_PART
    fits = images.nbytes + labels.nbytes <= (room or 0)
    return (DeviceSamples if fits else HostSamples)(images, labels, device)


def _spread(values: np.ndarray, shape: tuple[int, ...]) -> Float[np.ndarray, " inputs"]:
    """One value a channel as one a input, float32."""
    channels = values.reshape(-1, *(1,) * (len(shape) - 1))
    return np.broadcast_to(channels, shape).reshape(-1).astype(np.float32)
