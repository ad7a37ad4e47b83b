"""The jobs that the commands run, composed of the rooms below. This is goodctl's Python interface."""
