"""The number format of products: 16-bit where the hardware is fast at it, else 32-bit."""

from __future__ import annotations

import torch

from structure_net.engine.native import processor_flags


def product_dtype(device: torch.device, mixed_precision: bool) -> torch.dtype:
    """bf16 with `mixed_precision` on a GPU that has it or a processor with AMX, else fp32.

    A processor without AMX takes up to 25 times longer for a product in bf16. fp16 would need its
    losses scaled to keep small gradients, and is not used.
    """
    if not mixed_precision:
        return torch.float32
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = "amx_bf16" in processor_flags()
    return torch.bfloat16 if fast else torch.float32
