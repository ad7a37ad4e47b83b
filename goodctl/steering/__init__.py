"""Steering a causal language model while it decodes: distributions, methods, the sampling loop."""
