"""How a run alters its training images: the names, joined by `+` in one configuration value."""

from __future__ import annotations

AUGMENTATIONS = ("flip", "crop", "cutout", "mixup")
IMAGES_ONLY = frozenset({"flip", "crop", "cutout"})  # they move or cut pixels


def augmentation_parts(text: str) -> tuple[str, ...]:
    """The parts of `flip+crop` in their fixed order, none for `none`; ValueError otherwise."""
    from structure_net.registry import nearest, normal

    names = [normal(part) for part in text.split("+")]
    if names == ["none"]:
        return ()
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


def augmentation_text(parts: tuple[str, ...]) -> str:
    """The one spelling of these parts: `flip+crop`, or `none`."""
    return "+".join(parts) or "none"
