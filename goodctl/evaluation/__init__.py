"""Figures of scored texts: toxicity, fluency, diversity, their intervals, comparisons and reports."""
