"""What `generate` was asked besides its method: prompts, sampling, batches, the output."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goodctl.errors import UsageError
from goodctl.interruption import Interruption
from goodctl.progress import Report, silent
from goodctl.steering.decode import Sampling
from goodctl.workflows.lines import check_out

BATCH_CONTINUATIONS = 200
"""Continuations of a batch on a CPU. More are no faster there (docs/benchmarks.md)."""
CUDA_BATCH_CONTINUATIONS = 1600


@dataclass(frozen=True)
class GenerateChoice:
    """What to generate.

    Attributes:
        prompts: A file of prompts.
        out: The output file, JSON Lines.
        sampling: How many continuations, how long, from which nucleus, with which seed.
        batch_size: Prompts of a batch; None takes what suits the device.
        num_prompts: Only the first so many prompts, or None for all.
        prompt_field: Field of the prompt, or None for the usual ones.
        explain: Of the first so many prompts, one continuation is explained token by token.
        overwrite: Whether to discard an existing output.
        check: Compare all that is read of the stores with its recorded hash.
    """

    prompts: str
    out: str
    sampling: Sampling = field(default_factory=Sampling)
    batch_size: int | None = None
    num_prompts: int | None = None
    prompt_field: str | None = None
    explain: int = 0
    overwrite: bool = False
    check: bool = False

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size {self.batch_size}: it must be at least 1.", hint="Leave it out for auto.")
        if self.explain < 0:
            raise UsageError(f"--explain {self.explain}: it must not be negative.", hint="Leave it out for none.")
        check_out(self.out, self.manifest, self.explanations)

    @property
    def manifest(self) -> Path:
        """The run's manifest, beside the output."""
        return Path(f"{self.out}.manifest.json")

    @property
    def explanations(self) -> Path:
        """The explained continuations, beside the output."""
        return Path(f"{self.out}.explain.jsonl")

    def settings(self) -> dict[str, Any]:
        """Those that decide the text, under the names of the options."""
        return {
            "num_return_sequences": self.sampling.continuations,
            "max_new_tokens": self.sampling.max_new_tokens,
            "top_p": self.sampling.top_p,
            "seed": self.sampling.seed,
            "num_prompts": self.num_prompts,
            "prompt_field": self.prompt_field,
            "explain": self.explain,
        }

    def default_batch_size(self, device_type: str) -> int:
        """Prompts of a batch for a device."""
        most = CUDA_BATCH_CONTINUATIONS if device_type == "cuda" else BATCH_CONTINUATIONS
        return max(1, most // self.sampling.continuations)


@dataclass(frozen=True)
class GenerateRun:
    """How the job runs.

    Attributes:
        interruption: Who may ask it to stop.
        report: Gets progress.
    """

    interruption: Interruption = field(default_factory=Interruption)
    report: Report = silent
