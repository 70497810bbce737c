"""Containers as jobs: what a spec says of them, the engine that runs them, and the room each of them runs in."""
