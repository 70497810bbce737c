"""The drivers of this repository: one folder each, found by its name."""
