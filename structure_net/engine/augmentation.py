"""What augmentation draws for the samples of an epoch, and doing it to tensors.

Order: mirror, crop, standardise, cut, mix. Every part draws from a stream of its own, so that
choosing one more changes no draw of the others:

- flip: an image is mirrored along its width with probability 1/2.
- crop: a window of the image's size at a uniform place in the image, which is padded by an eighth
  of its height and width (4 pixels of 32) with raw zeros, or by the pixels that are named. Zero
  padding before standardisation is what the field does, and it keeps 8-bit images 8-bit images.
- cutout (DeVries & Taylor 2017): a square of half the image's shorter side, its centre uniform over
  the image, so that it may hang over the edge, becomes the mean of each channel: rounded to a raw
  value in 8-bit images, exactly 0 after standardisation in others.
- mixup (Zhang et al. 2018): share x sample + (1 - share) x partner, the partners a permutation of
  the batch, the share of a batch from Beta(0.2, 0.2); the loss is mixed alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

from structure_net.schema import augmentation_parts, crop_pixels
from structure_net.seeding import derive

PADDED_PART = 8  # an image of 32 pixels is padded by 4, as for CIFAR-10 since He et al. (2016)
CUT_PART = 2  # DeVries & Taylor cut 16 of 32 pixels on CIFAR-10
MIXING = 0.2  # the parameter of the Beta distribution; Zhang et al. use 0.1 to 0.4


@dataclass(frozen=True)
class Alterations:
    """What was drawn for some samples. None: that is not done to any of them.

    `offsets` are rows and columns by which a window lies below and right of its image; `corners`
    are row and column of the upper left pixel of the square that is cut, which may lie outside.
    `reach` is the largest size that offsets down and across may have. `partners` are places within
    the own batch, and `shares` belong to batches, not to samples.
    """

    flipped: Bool[Tensor, " samples"] | None = None
    offsets: Int[Tensor, "samples 2"] | None = None
    corners: Int[Tensor, "samples 2"] | None = None
    partners: Int[Tensor, " samples"] | None = None
    shares: tuple[float, ...] = ()
    reach: tuple[int, ...] = (0, 0)

    def to(self, device: torch.device) -> Alterations:
        """The same with its tensors on the device: one upload for a whole epoch."""
        return self._each(lambda drawn: drawn.to(device), self.shares)

    def of_batch(self, here: slice, number: int) -> Alterations:
        """Those of the batch with that number, which has the samples `here`."""
        return self._each(lambda drawn: drawn[here], self.shares[number : number + 1])

    def arrays(self) -> list[np.ndarray | None]:
        """Flips, offsets and corners on the host."""
        tensors = (self.flipped, self.offsets, self.corners)
        return [None if drawn is None else drawn.numpy() for drawn in tensors]

    def _each(self, of: Callable[[Tensor], Tensor], shares: tuple[float, ...]) -> Alterations:
        tensors = (self.flipped, self.offsets, self.corners, self.partners)
        flipped, offsets, corners, partners = (None if t is None else of(t) for t in tensors)
        return Alterations(flipped, offsets, corners, partners, shares, self.reach)


NOTHING_ALTERED = Alterations()


@dataclass(frozen=True)
class EpochDraws:
    """Draws the alterations of epochs: `size` samples a batch of images of `shape`."""

    run_seed: int
    augmentation: str
    shape: tuple[int, ...]
    size: int

    def __call__(self, samples: int, steps: int, generation: int, epoch: int) -> Alterations:
        """For `steps` batches out of `samples` samples; the same for every trial, on any engine."""
        parts, place = augmentation_parts(self.augmentation), (generation, epoch)
        used = steps * self.size
        seed, shape = self.run_seed, self.shape[-2:]
        flipped = offsets = corners = partners = None
        reach = padding(shape, crop_pixels(self.augmentation)) if "crop" in parts else (0, 0)
        shares: tuple[float, ...] = ()
        if "flip" in parts:
            flipped = _kept(derive(seed, "flip", *place).random(samples) < 0.5, used)
        if "crop" in parts:
            drawn = derive(seed, "crop", *place).integers(
                [-most for most in reach], reach, (samples, 2), endpoint=True
            )
            offsets = _kept(drawn, used)
        if "cutout" in parts:
            centres = derive(seed, "cutout", *place).integers(0, shape, (samples, 2))
            corners = _kept(centres - cut_side(shape) // 2, used)
        if "mixup" in parts:
            generator = derive(seed, "mixup", *place)
            shares = tuple(generator.beta(MIXING, MIXING, steps).tolist())
            places = np.broadcast_to(np.arange(self.size), (steps, self.size))
            partners = _kept(generator.permuted(places, axis=1).reshape(-1), used)
        return Alterations(flipped, offsets, corners, partners, shares, reach)


def _kept(drawn: np.ndarray, used: int) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(drawn[:used]))


def padding(shape: tuple[int, ...], pixels: int | None = None) -> tuple[int, ...]:
    """Pixels by which height and width are padded before a crop, at most all but one."""
    wanted = [side // PADDED_PART if pixels is None else pixels for side in shape[-2:]]
    return tuple(max(1, min(most, side - 1)) for most, side in zip(wanted, shape[-2:], strict=True))


def cut_side(shape: tuple[int, ...]) -> int:
    """Pixels of one side of the square that cutout cuts."""
    return max(1, min(shape[-2:]) // CUT_PART)


def moved(
    raw: Shaped[Tensor, " samples *shape"], drawn: Alterations
) -> Shaped[Tensor, " samples *shape"]:
    """Raw samples, mirrored and cropped where they are images."""
    if drawn.flipped is not None:
        raw = torch.where(drawn.flipped[:, None, None, None], raw.flip(-1), raw)
    if drawn.offsets is not None:
        (down, across), (height, width) = drawn.reach, raw.shape[-2:]
        padded = functional.pad(raw, (across, across, down, down))
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        samples = torch.arange(len(raw), device=raw.device)
        raw = windows[samples, :, drawn.offsets[:, 0] + down, drawn.offsets[:, 1] + across]
    return raw


def cut(
    inputs: Float[Tensor, "samples inputs"],
    drawn: Alterations,
    shape: tuple[int, ...],
    fill: Float[Tensor, " inputs"],
) -> Float[Tensor, "samples inputs"]:
    """Standardised images of `shape` with their squares replaced by `fill`."""
    if drawn.corners is None:
        return inputs
    channels, height, width = shape
    side = cut_side(shape)
    down = torch.arange(height, device=inputs.device) - drawn.corners[:, 0, None]
    across = torch.arange(width, device=inputs.device) - drawn.corners[:, 1, None]
    rows, columns = (down >= 0) & (down < side), (across >= 0) & (across < side)
    square = (rows[:, :, None] & columns[:, None, :]).flatten(1)
    return torch.where(square.repeat(1, channels), fill, inputs)


def mixed(
    inputs: Float[Tensor, "samples inputs"], drawn: Alterations
) -> Float[Tensor, "samples inputs"]:
    """Each sample with its partner of the batch, in the batch's share."""
    if drawn.partners is None:
        return inputs
    (share,) = drawn.shares
    return inputs.mul(share).add_(inputs[drawn.partners], alpha=1.0 - share)
