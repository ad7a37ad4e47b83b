"""Tests of ``goodctl.corpus``."""
