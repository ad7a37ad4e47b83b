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
        blocks = [
            self._block(weights[start : start + rows], values[start : start + rows], tokens[start : start + rows])
            for start in range(0, len(weights), rows)
        ]
        return torch.cat(blocks) if blocks else weights.new_zeros(tokens.shape)

    def _block(self, weights: torch.Tensor, values: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        assert self._buffer is not None
        sums = self._buffer[: len(weights)]  # (B, V), all zero
        sums.scatter_add_(1, values, weights)
        proposed = sums.gather(1, values).log()  # (B, K): of each neighbour's token
        asked = sums.gather(1, tokens).log()  # (B, N)
        sums.scatter_(1, values, 0.0)  # only what was touched is cleared
        return with_floor(asked, row_floor(proposed)) if proposed.shape[1] else torch.zeros_like(asked)

    def _rows(self, weights: torch.Tensor) -> int:
        """How many rows are summed at a time; makes the buffer for them."""
        rows = max(1, len(weights) if weights.is_cuda else min(len(weights), BLOCK_BYTES // (4 * self.vocab_size)))
        if self._buffer is None or self._buffer.shape[0] < rows or self._buffer.device != weights.device:
            self._buffer = weights.new_zeros(rows, self.vocab_size)
        return rows
