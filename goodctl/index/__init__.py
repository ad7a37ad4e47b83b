"""Search in datastores: exact as a matrix product, approximate from codes that are kept in the store."""
