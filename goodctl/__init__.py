"""goodctl: datastores of hidden states that steer causal language models while they decode."""

__version__ = "0.1.0"
