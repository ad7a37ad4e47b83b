"""The Perspective API as a scorer: who may send when, what is sent, and what the answers mean."""

from goodctl.scoring.perspective.scorer import PerspectiveScorer, Surroundings, open_scorer

__all__ = ["PerspectiveScorer", "Surroundings", "open_scorer"]
