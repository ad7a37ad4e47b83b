"""Scoring texts: what a scorer is asked and answers, and the scorers that come with goodctl."""
