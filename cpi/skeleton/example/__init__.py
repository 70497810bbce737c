"""The driver `example`: one folder, to be changed file by file until it speaks to a real cloud."""

STEMCELL_FORMATS = ("example-raw",)
"""Stated here, where nothing is imported: `info` reads it before nearly every call."""
