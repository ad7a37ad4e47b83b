"""The neighbours' distribution at a few tokens, without a tensor over the vocabulary for every query."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from goodctl.steering.logits import neighbor_weights, row_floor, with_floor

BLOCK_BYTES = 8 * 2**20
"""Size of the buffer that weights are summed in on a CPU: it stays in the processor's cache."""


@dataclass
class Neighborhood:
    """Sums the weights of neighbours per token; keeps one buffer from call to call.

    Attributes:
        vocab_size: V.
    """

    vocab_size: int
    _buffer: torch.Tensor | None = field(default=None, repr=False)

    def log_probs(
        self, distances: torch.Tensor, neighbor_values: torch.Tensor, temperature: float, tokens: torch.Tensor
    ) -> torch.Tensor:
        """``floored(knn_log_probs(...))`` at some tokens.

        Args:
            distances: (B, K) squared L2, infinite where there is no neighbour.
            neighbor_values: (B, K) token ids.
            temperature: In units of the distances.
            tokens: (B, N) int64 token ids.

        Returns:
            (B, N) float32, with each row's own floor, which is taken over all tokens that its neighbours propose.
        """
        weights, values = neighbor_weights(distances, neighbor_values, temperature)  # (B, K)
        rows = self._rows(weights)
        buffer = self._zeros(rows, weights)
        # Taken for the time of the call: what an error or Ctrl-C leaves in it, nobody sees again.
        self._buffer = None
        blocks = [
            _block(buffer, weights[start : start + rows], values[start : start + rows], tokens[start : start + rows])
            for start in range(0, len(weights), rows)
        ]
        self._buffer = buffer
        return torch.cat(blocks) if blocks else weights.new_zeros(tokens.shape)

    def _rows(self, weights: torch.Tensor) -> int:
        """How many rows are summed at a time."""
        most = len(weights) if weights.is_cuda else min(len(weights), BLOCK_BYTES // (4 * self.vocab_size))
        return max(1, most)

    def _zeros(self, rows: int, weights: torch.Tensor) -> torch.Tensor:
        """At least so many rows (R, V) of zeros, on the device of the weights."""
        buffer = self._buffer
        if buffer is None or buffer.shape[0] < rows or buffer.device != weights.device:
            with torch.inference_mode(False):  # made inside, it could not be written to outside
                buffer = torch.zeros(rows, self.vocab_size, device=weights.device)
        return buffer


def _block(buffer: torch.Tensor, weights: torch.Tensor, values: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    sums = buffer[: len(weights)]  # (B, V), all zero
    sums.scatter_add_(1, values, weights)
    proposed = sums.gather(1, values).log()  # (B, K): of each neighbour's token
    asked = sums.gather(1, tokens).log()  # (B, N)
    sums.scatter_(1, values, 0.0)  # only what was touched is cleared
    return with_floor(asked, row_floor(proposed)) if proposed.shape[1] else torch.zeros_like(asked)
