"""Datastores: versioned Zarr hierarchies of keys, values and documents. ``docs/reference/datastore-format.md`` specifies them."""
