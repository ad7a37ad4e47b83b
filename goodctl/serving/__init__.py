"""Servers that offer what goodctl does to other programs."""
