"""Datastores: versioned Zarr hierarchies of keys, values and documents, as docs/reference/datastore-format.md says."""
