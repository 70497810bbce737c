"""Stemcells: what a VM's root disk is made from."""
