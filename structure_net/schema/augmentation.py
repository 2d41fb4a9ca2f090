"""How a run alters its training images: the names, joined by `+` in one configuration value."""

from __future__ import annotations

import re

AUGMENTATIONS = ("flip", "crop", "cutout", "mixup")
IMAGES_ONLY = frozenset({"flip", "crop", "cutout"})  # they move or cut pixels


# `crop2` shifts images by up to 2 pixels; `crop` alone by what fits their size.
_CROP = re.compile(r"crop([1-9]\d?)")


def augmentation_parts(text: str) -> tuple[str, ...]:
    """The parts of `flip+crop2` in their fixed order, none for `none`; ValueError otherwise."""
    from structure_net.registry import nearest, normal

    spelled = [normal(part) for part in text.split("+")]
    if spelled == ["none"]:
        return ()
    cropped = {part for part in spelled if part.startswith("crop")}
    if len(cropped) > 1:
        raise ValueError(f"augmentation {text!r} names crop twice, with different pixels")
    names = ["crop" if _CROP.fullmatch(part) else part for part in spelled]
    for name in names:
        if name == "none":
            raise ValueError(f"augmentation {text!r}: none stands alone")
        if name not in AUGMENTATIONS:
            known = ["none", *AUGMENTATIONS]
            raise ValueError(
                f"no augmentation {name!r}: {nearest(name, known)} Several are joined by +, as in "
                "flip+crop"
            )
    return tuple(name for name in AUGMENTATIONS if name in names)


def crop_pixels(text: str) -> int | None:
    """2 in `flip+crop2`; None where `crop` stands alone or not at all."""
    from structure_net.registry import normal

    found = [_CROP.fullmatch(normal(part)) for part in text.split("+")]
    return next((int(match[1]) for match in found if match), None)


def augmentation_text(text: str) -> str:
    """The one spelling of what `text` names: `flip+crop2`, or `none`."""
    pixels = crop_pixels(text)
    cropped = "crop" if pixels is None else f"crop{pixels}"
    parts = [cropped if part == "crop" else part for part in augmentation_parts(text)]
    return "+".join(parts) or "none"
