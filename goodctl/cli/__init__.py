"""The command line. Only this floor prints; commands import their work inside their bodies."""
