"""What a run says of its data, and the batch size that suits them."""

from __future__ import annotations

from structure_net.datasets import Dataset, split
from structure_net.errors import UsageError
from structure_net.schema import IMAGES_ONLY, Config, DatasetFacts, augmentation_parts

LARGEST_BATCH = 256
STEPS_WANTED = 32  # an epoch of fewer steps learns too little: small data gets smaller batches


def dataset_facts(dataset: Dataset, config: Config) -> DatasetFacts:
    """What the run says of its data; UsageError where the configuration does not fit them."""
    parts = split(dataset, config.validation_fraction, config.seed)
    augmentation = config.augmentation or dataset.augmentation
    wanted = [part for part in augmentation_parts(augmentation) if part in IMAGES_ONLY]
    if wanted and len(dataset.shape) != 3:
        raise UsageError(
            f"augmentation {augmentation} wants images for {' and '.join(wanted)}; {dataset.name} "
            "holds rows of numbers. mixup and none suit any data."
        )
    return DatasetFacts(
        name=dataset.name,
        train_hash=dataset.train_hash,
        shape=dataset.shape,
        classes=dataset.classes,
        verified=dataset.verified,
        train_samples=len(parts.train),
        validation_samples=len(parts.validation),
        augmentation=augmentation,
    )


def batch_size_of(config: Config, data: DatasetFacts) -> int:
    """The configured batch size, or one that gives small data enough steps an epoch."""
    if config.batch_size_base is None:
        return max(1, min(LARGEST_BATCH, data.train_samples // STEPS_WANTED))
    if config.batch_size_base > data.train_samples:
        raise UsageError(
            f"batch_size_base is {config.batch_size_base} and the training part has only "
            f"{data.train_samples} samples; use at most that."
        )
    return config.batch_size_base
