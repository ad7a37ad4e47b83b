"""The devices that models run on, as torch sees them, and what ``auto`` takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goodctl.workflows.doctor_findings import Finding, State, isolated
from goodctl.workflows.doctor_probes import Probes

if TYPE_CHECKING:
    import torch

GET_CUDA = "Install a build of PyTorch with CUDA, as https://pytorch.org/get-started/locally/ says."


def torch_threads() -> tuple[int, int]:
    """Threads of torch inside one operation, and across operations."""
    import torch

    return torch.get_num_threads(), torch.get_num_interop_threads()


def devices(probes: Probes) -> Iterator[Finding]:
    """The CPU's precision, each GPU, and what ``auto`` takes."""
    import torch

    from goodctl.models.device import choose_device, choose_precision

    cpu = torch.device("cpu")
    precision = choose_precision("auto", cpu)
    why = "multiplies bf16 natively" if precision == "bf16" else "has neither avx512_bf16 nor amx"
    yield Finding(
        "CPU precision", State.OK, f"{why}: --precision auto takes {precision}", details={"precision": precision}
    )
    yield from isolated("cuda", lambda: _cuda(probes))
    if torch.backends.mps.is_available():
        precision = choose_precision("auto", torch.device("mps"))
        text = f"Apple's GPU: --precision auto takes {precision}"
        yield Finding("mps", State.OK, text, details={"precision": precision})
    chosen = choose_device()
    precision = choose_precision("auto", chosen)
    text = f"--device auto takes {chosen.type}, in {precision}"
    yield Finding("auto", State.OK, text, details={"device": chosen.type, "precision": precision})


def _cuda(probes: Probes) -> Iterator[Finding]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(count):
        device = torch.device("cuda", number)
        yield from isolated(str(device), partial(_gpu, device))
    if not count:
        yield _no_cuda(probes, torch.version.cuda)


def _gpu(device: torch.device) -> Iterator[Finding]:
    import torch

    from goodctl.models.device import choose_precision

    properties: Any = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    precision = choose_precision("auto", device)
    text = f"{properties.name}, {free / 1e9:,.1f} GB free of {total / 1e9:,.1f} GB; --precision auto takes {precision}"
    details = {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "free_bytes": free,
        "total_bytes": total,
        "precision": precision,
    }
    torch.ones(1, device=device).add_(1).item()  # a build without code for this GPU fails here
    yield Finding(str(device), State.OK, text, details=details)


def _no_cuda(probes: Probes, built_for: str | None) -> Finding:
    """Why there is none: no GPU, a build of torch for CPUs, or a driver that does not fit."""
    driver = _driver(probes.root)
    details: dict[str, Any] = {"torch_cuda": built_for, "driver": driver}
    hidden = probes.environment.get("CUDA_VISIBLE_DEVICES")
    if driver is None:
        return Finding("cuda", State.INFO, "no NVIDIA GPU is seen", details=details)
    if built_for is None:
        return Finding(
            "cuda", State.WARNING, "an NVIDIA driver is there, but torch is built for CPUs", GET_CUDA, details
        )
    if hidden is not None:
        text = f"CUDA_VISIBLE_DEVICES is {hidden[:40]!r}, and torch sees no GPU"
        return Finding("cuda", State.WARNING, text, "unset CUDA_VISIBLE_DEVICES", details)
    text = f"an NVIDIA driver ({driver}) is there, but torch, built for CUDA {built_for}, sees no GPU"
    return Finding(
        "cuda",
        State.WARNING,
        text,
        "Look at nvidia-smi; update the driver, or take a build for an older CUDA.",
        details,
    )


def _driver(root: Path) -> str | None:
    """The NVIDIA driver's version, ``unknown``, or None where there is no driver."""
    try:
        first = (root / "proc" / "driver" / "nvidia" / "version").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return "unknown" if (root / "dev" / "nvidia0").exists() else None
    words = [word for word in first.split() if word[:1].isdecimal() and "." in word]
    return words[0] if words else "unknown"
