"""The columns of an Arrow schema, as Parquet files and hub datasets have one."""

from __future__ import annotations

from typing import Any


def schema_paths(schema: Any) -> dict[str, bool]:
    """Every column of a ``pyarrow.Schema`` and, as dotted paths, every field inside its objects.

    Returns:
        Name -> whether it has strings.
    """
    paths: dict[str, bool] = {}
    for field in schema:
        _add(paths, field.name, field.type)
    return paths


def _add(paths: dict[str, bool], path: str, kind: Any) -> None:
    import pyarrow

    value = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    name = str(value)  # by name, as the releases of pyarrow differ in which of these types they know
    paths[path] = name in {"string", "large_string", "string_view"}
    if pyarrow.types.is_struct(kind):
        for index in range(kind.num_fields):
            inner = kind.field(index)
            _add(paths, f"{path}.{inner.name}", inner.type)
