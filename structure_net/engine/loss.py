"""The loss of a training step."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from structure_net.engine.batches import Batch

WHOLE = slice(None)


def batch_loss(
    logits: Float[Tensor, "samples classes"], batch: Batch, here: slice = WHOLE
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats of a batch's samples `here`, whose logits these are.

    In a mixed batch it is that against both classes of a sample, in the batch's share.
    """
    own = functional.cross_entropy(logits, batch.targets[here])
    if batch.mixing is None:
        return own
    partners = functional.cross_entropy(logits, batch.mixing.targets[here])
    return batch.mixing.share * own + (1.0 - batch.mixing.share) * partners
