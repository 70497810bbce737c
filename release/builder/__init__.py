"""Builds the BOSH release: python -m release.builder. Needs Python and its pip, and nothing else."""
