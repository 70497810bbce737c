"""Disks that grow before they are full: what is read, what is decided, what is done."""
