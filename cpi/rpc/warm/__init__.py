"""Calls made by a process that is ready: `cpi serve`, and the way to it."""
