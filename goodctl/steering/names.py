"""The methods' names, apart from their code, so that the command line can list them without loading torch."""

from __future__ import annotations

BASE, DATASTORES, KNN_LM, DISCOURAGE, DEXPERTS = "base", "datastores", "knn-lm", "knn-lm-discourage", "dexperts"
METHODS = (BASE, DATASTORES, KNN_LM, DISCOURAGE, DEXPERTS)
