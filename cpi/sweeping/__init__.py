"""Leftovers: what carries the tags of a director and is not among what it knows."""
