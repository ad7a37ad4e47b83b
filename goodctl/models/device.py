"""Which device a model runs on, and in which precision."""

from __future__ import annotations

from typing import Any

import torch

from goodctl.errors import IncompatibleError, UsageError
from goodctl.models.names import DEVICE_TYPES, PRECISIONS

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}


def choose_device(device: str = "auto") -> torch.device:
    """The device named, or the best there is.

    Args:
        device: ``auto`` (CUDA, else Apple's MPS, else the CPU) or a name that torch knows.

    Raises:
        UsageError: torch does not know the name.
        IncompatibleError: This machine has no such device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"There is no device {device!r}.", hint="Use auto, cpu, cuda, cuda:1 or mps.") from error
    if chosen.type not in DEVICE_TYPES:
        raise UsageError(f"goodctl does not run on {device!r}.", hint="Use auto, cpu, cuda, cuda:1 or mps.")
    count = torch.cuda.device_count() if cuda else 0
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        raise IncompatibleError(f"{device} was asked for; torch sees {count} CUDA devices.", hint="Use --device auto.")
    if chosen.type == "mps" and not mps:
        raise IncompatibleError("mps was asked for; torch sees no such device.", hint="Use --device auto.")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """The precision named, or the one that the device computes well.

    Args:
        precision: ``auto`` (bf16 where the hardware computes it natively, else fp32), ``bf16``, ``fp32`` or ``fp16``.
        device: Where the model will run.

    Returns:
        ``bf16``, ``fp32`` or ``fp16``.

    Raises:
        UsageError: The name is unknown, or fp16 was asked for where it is emulated.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"There is no precision {precision!r}.", hint=f"Use one of {', '.join(PRECISIONS)}.")
    if precision == "auto":
        return "bf16" if computes_bf16(device) else "fp32"
    if precision == "fp16" and device.type != "cuda":
        raise UsageError(f"fp16 needs a CUDA device; this is {device}.", hint="Use --precision auto.")
    return precision


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bf16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    # Private names of torch: where they are missing, the safe answer is no.
    return device.type == "cpu" and (_cpu_has("_is_avx512_bf16_supported") or _cpu_has("_is_amx_tile_supported"))


def _cpu_has(question: str) -> bool:
    ask: Any = getattr(torch.cpu, question, None)
    return bool(ask()) if callable(ask) else False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice: each kind of device has its own way."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        any(sign in text for sign in ("out of memory", "can't allocate memory", "ALLOC_FAILED"))
    )
